//! Metrics and traces at a real OTLP receiver, and what happens while it is none.

mod receiver;

use crate::stage::{one_thread, start};
use receiver::{Receiver, Shop, Way, told_of};
use scenario::gateway::Folder;
use scenario::origin::answer;
use scenario::server::{free_port, wait_until};
use scenario::{Client, Gateway, Origin, Text, patience};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Starts a gateway with these settings that tells a receiver.
#[track_caller]
fn telling(settings: &Text, url: &str, way: Way) -> Gateway {
    let folder = Folder::new();
    let file = folder.write("fleetfoot.toml", &settings.to_string());
    let mut command = told_of(url, way);
    command.arg("run").arg("--config").arg(file);
    Gateway::spawn(command, folder)
}

/// Asks as a part of this trace, which its caller records. Answers the status.
fn ask_traced(client: &mut Client, target: &str, trace: u64) -> u16 {
    let trace = trace_id(trace);
    client.send(format!(
        "GET {target} HTTP/1.1\r\nHost: shop.test\r\ntraceparent: 00-{trace}-{CALLER}-01\r\n\r\n"
    ));
    client.response("GET").status
}

/// The span of whoever asks.
const CALLER: &str = "00000000000000ca";

fn trace_id(trace: u64) -> String {
    format!("{trace:032x}")
}

fn text<'v>(span: &'v Value, name: &str) -> &'v str {
    span[name].as_str().unwrap_or_default()
}

fn service(span: &Value) -> &str {
    span["resource"]["service.name"].as_str().unwrap_or_default()
}

/// What is wrong with the spans of one trace: they must be one tree below the caller.
fn fault(spans: &[Value]) -> Option<String> {
    let ids: BTreeMap<&str, &Value> = spans.iter().map(|span| (text(span, "id"), span)).collect();
    if ids.len() != spans.len() {
        return Some("two spans have one id".to_owned());
    }
    let roots = spans.iter().filter(|span| text(span, "parent") == CALLER).count();
    if roots != 1 {
        return Some(format!("{roots} roots"));
    }
    spans.iter().find_map(|span| {
        let Some(parent) = ids.get(text(span, "parent")) else {
            return (text(span, "parent") != CALLER).then(|| format!("an orphan: {span}"));
        };
        // Whoever is asked is below who asks, and the other way round.
        let alternate = text(parent, "kind") != text(span, "kind");
        (!alternate).then(|| format!("{span} is below {parent}"))
    })
}

/// Waits until a trace is whole and `ready` with it.
#[track_caller]
fn wait_trace(receiver: &Receiver, trace: u64, ready: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let id = trace_id(trace);
    let by = patience();
    loop {
        let spans = receiver.trace(&id);
        let fault = fault(&spans);
        if fault.is_none() && ready(&spans) {
            return spans;
        }
        let late = by.passed(base::Moment::now());
        assert!(!late, "{fault:?}: {}", serde_json::to_string_pretty(&spans).expect("JSON"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn of<'s>(spans: &'s [Value], name: &str, kind: &str) -> Vec<&'s Value> {
    spans.iter().filter(|span| service(span) == name && text(span, "kind") == kind).collect()
}

#[test]
fn a_request_through_gateway_and_two_services_is_one_trace() {
    let Some(receiver) = Receiver::start() else { return };
    for (trace, way) in [(0x11, Way::Grpc), (0x12, Way::Http)] {
        let url = receiver.url(way);
        let shop = Shop::start(&url, way, &[]);
        let gateway = telling(&Text::to(&[shop.address]), &url, way);
        assert_eq!(ask_traced(&mut gateway.client(), "/products/7?a=b", trace), 200);
        let enough = |spans: &[Value]| {
            !of(spans, "fleetfoot", "server").is_empty()
                && !of(spans, "shop-pages", "client").is_empty()
                && spans.iter().any(|span| service(span) == "shop-catalogue")
        };
        let spans = wait_trace(&receiver, trace, enough);
        let ours = of(&spans, "fleetfoot", "server")[0];
        let tries = of(&spans, "fleetfoot", "client");
        assert_eq!((text(ours, "parent"), tries.len()), (CALLER, 1));
        assert_eq!(text(tries[0], "parent"), text(ours, "id"));
        let pages = of(&spans, "shop-pages", "server");
        assert_eq!((pages.len(), text(pages[0], "parent")), (1, text(tries[0], "id")));
        let told = &ours["attributes"];
        for (name, value) in [
            ("http.request.method", Value::from("GET")),
            ("http.response.status_code", 200.into()),
            ("url.path", "/products/7".into()),
            ("url.query", "a=b".into()),
            ("server.address", "shop.test".into()),
            ("client.address", "127.0.0.1".into()),
            ("fleetfoot.why", "asked".into()),
        ] {
            assert_eq!(told[name], value, "{name}: {ours}");
        }
        // The shop's database is a phase of ours, by its own Server-Timing.
        assert!(told["fleetfoot.phase.db"].as_f64().is_some_and(|ms| ms > 0.0), "{ours}");
        assert!(pages[0]["attributes"]["shop.db.ms"].is_number(), "{}", pages[0]);
        // Whatever is below happened meanwhile.
        let (begun, ended) = (ours["begun"].as_u64(), ours["ended"].as_u64());
        assert!(begun <= tries[0]["begun"].as_u64() && tries[0]["ended"].as_u64() <= ended);
        let expected = if way == Way::Grpc { "grpc" } else { "http" };
        assert_eq!(
            (text(ours, "way"), ours["fields"]["x-tenant"].as_str()),
            (expected, Some("town"))
        );
    }
}

#[test]
fn a_trace_is_whole_over_a_retry() {
    let Some(receiver) = Receiver::start() else { return };
    let (way, url) = (Way::Http, receiver.url(Way::Http));
    let (well, ill) = (Shop::start(&url, way, &[]), Shop::start(&url, way, &["--ill", "fails"]));
    let settings = Text::to(&[ill.address, well.address])
        .top("threads = 1\ncache = false")
        .service("retry = { budget = \"100%\", reserve = 100 }")
        .service("balance = { policy = \"round-robin\", eject = false }");
    let gateway = telling(&settings, &url, way);
    let mut client = gateway.client();
    // Of two in turn one is answered by the ill shop first.
    let traces = [0x21, 0x22];
    for trace in traces {
        assert_eq!(ask_traced(&mut client, "/products/7", trace), 200);
    }
    let both = traces.map(|trace| {
        wait_trace(&receiver, trace, |spans| {
            spans.iter().any(|span| service(span) == "shop-catalogue")
                && of(spans, "shop-pages", "server").len() == of(spans, "fleetfoot", "client").len()
        })
    });
    let retried = both.iter().find(|spans| of(spans, "fleetfoot", "client").len() == 2);
    let retried = retried.unwrap_or_else(|| panic!("nothing was tried again: {both:?}"));
    let tries = of(retried, "fleetfoot", "client");
    let cause = |span: &Value| span["attributes"]["fleetfoot.try"].clone();
    assert_eq!((cause(tries[0]), cause(tries[1])), ("first".into(), "retry".into()));
    assert_eq!(tries[0]["failed"], true);
    assert_eq!(tries[0]["attributes"]["http.response.status_code"], 503);
    assert_eq!(tries[1]["attributes"]["http.request.resend_count"], 1);
    assert_eq!(of(retried, "fleetfoot", "server")[0]["failed"], false);
}

#[test]
fn a_trace_is_whole_over_a_hedge() {
    let Some(receiver) = Receiver::start() else { return };
    let (way, url) = (Way::Grpc, receiver.url(Way::Grpc));
    // One of fifty answers comes a second late.
    let shops = [(); 2].map(|()| Shop::start(&url, way, &["--ill", "stalls"]));
    let settings = Text::to(&[shops[0].address, shops[1].address])
        .top("threads = 1\ncache = false")
        .service("hedge = \"5%\"\nbalance = { policy = \"round-robin\", eject = false }");
    let gateway = telling(&settings, &url, way);
    let mut client = gateway.client();
    let sent = || gateway.metric("fleetfoot_service_hedges_total{service=\"shop\",ended=\"sent\"");
    let learned = || gateway.metric("fleetfoot_service_hedge_delay_seconds") > 0.0;
    for _ in 0..40 {
        (0..25).for_each(|_| assert_eq!(client.get("/catalogue/categories").status, 200));
        if learned() {
            break;
        }
    }
    assert!(learned(), "no hedge was learned");
    let (mut before, mut hedged) = (sent(), None);
    for trace in 0x3000..0x3400 {
        assert_eq!(ask_traced(&mut client, "/reviews/7", trace), 200);
        if sent() > before {
            hedged = Some(trace);
            let spans = wait_trace(&receiver, trace, |spans| {
                let tries = of(spans, "fleetfoot", "client");
                tries.len() == 2 && spans.iter().any(|span| service(span) == "shop-reviews")
            });
            // Whoever lost may not have been asked at all, and whoever was is below his try.
            let tries = of(&spans, "fleetfoot", "client");
            let causes: BTreeSet<_> = tries
                .iter()
                .filter_map(|span| span["attributes"]["fleetfoot.try"].as_str())
                .collect();
            assert_eq!(causes, BTreeSet::from(["first", "hedge"]), "{spans:?}");
            assert_eq!(
                of(&spans, "fleetfoot", "server")[0]["attributes"]["fleetfoot.hedged"],
                true
            );
            break;
        }
        before = sent();
    }
    assert!(hedged.is_some(), "nothing was hedged: {}", gateway.metrics());
}

#[test]
fn what_is_refreshed_behind_a_client_is_no_orphan_of_its_trace() {
    let fields = "Cache-Control: max-age=0, stale-while-revalidate=600\r\nETag: \"a\"";
    let origin =
        Origin::saying(format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 2\r\n\r\nok"));
    let gateway = start(&one_thread(&origin));
    let mut client = gateway.client();
    let told = |number| {
        let said = origin.request(number).head.one("traceparent").map(str::to_owned);
        said.unwrap_or_default()
    };
    let caller = |trace| format!("00-{}-{CALLER}-01", trace_id(trace));
    // The first is fetched as a try of ours; the second is stale, and what refreshes it is nobody's try.
    assert_eq!(ask_traced(&mut client, "/", 0xa1), 200);
    assert!(told(1).contains(&trace_id(0xa1)) && told(1) != caller(0xa1), "{}", told(1));
    assert_eq!(ask_traced(&mut client, "/", 0xa2), 200);
    assert_eq!(told(2), caller(0xa2));
}

#[test]
fn who_is_asked_once_more_for_the_store_is_told_of_another_try() {
    let origin = Origin::play(|request| {
        answer(if request.head.has("if-none-match") {
            // About something else than what the store holds: it has to ask again.
            "HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\nContent-Length: 2\r\n\r\nok"
        })
    });
    let gateway = start(&one_thread(&origin));
    let mut client = gateway.client();
    assert_eq!(ask_traced(&mut client, "/", 0xc1), 200);
    assert_eq!(ask_traced(&mut client, "/", 0xc2), 200);
    let told = |number| origin.request(number).head.one("traceparent").map(str::to_owned);
    let (conditional, again) = (told(2).unwrap_or_default(), told(3).unwrap_or_default());
    assert!([&conditional, &again].iter().all(|told| told.contains(&trace_id(0xc2))));
    assert_ne!(conditional, again);
}

#[test]
fn tls_is_spoken_to_whoever_wants_it() {
    let Some(receiver) = Receiver::start() else { return };
    let origin = Origin::start();
    for (number, way) in [Way::Grpc, Way::Http].into_iter().enumerate() {
        let plain = receiver.url(way);
        let address = plain.trim_start_matches("http://").parse().expect("an address");
        let front = crate::town::Front::start(address);
        let url = format!("https://{}", front.address);
        let settings = one_thread(&origin);
        let trusting = |trust: &str| {
            let folder = Folder::new();
            let file = folder.write("fleetfoot.toml", &settings.to_string());
            let mut command = told_of(&url, way);
            command.env("SSL_CERT_FILE", trust).arg("run").arg("--config").arg(file);
            Gateway::spawn(command, folder)
        };
        let gateway = trusting(&front.trust);
        let trace = 0xb0 + number as u64;
        assert_eq!(ask_traced(&mut gateway.client(), "/", trace), 200);
        wait_trace(&receiver, trace, |spans| spans.len() == 2);
        // Whoever cannot prove who he is is told nothing.
        let gateway = trusting("/dev/null");
        assert_eq!(ask_traced(&mut gateway.client(), "/", trace + 0x10), 200);
        gateway.wait_line("invalid peer certificate");
    }
}

fn stream<'s>(streams: &'s [Value], name: &str) -> Vec<&'s Value> {
    streams.iter().filter(|stream| text(stream, "name") == name).collect()
}

#[test]
fn every_family_of_the_page_is_told() {
    let Some(receiver) = Receiver::start() else { return };
    for way in [Way::Grpc, Way::Http] {
        let origin = Origin::start();
        let gateway = telling(&one_thread(&origin), &receiver.url(way), way);
        let mut client = gateway.client();
        (0..10).for_each(|_| assert_eq!(client.get("/").status, 200));
        let count = |streams: &[Value]| {
            let requests = stream(streams, "http.server.request.duration");
            requests.iter().filter_map(|stream| stream["count"].as_u64()).sum::<u64>()
        };
        let expected = if way == Way::Grpc { "grpc" } else { "http" };
        wait_until("all requests to be told of", || {
            let last = receiver.told("metrics").pop();
            last.is_some_and(|last| text(&last, "way") == expected)
                && count(&receiver.streams()) == 10
        });
        let streams = receiver.streams();
        let request = stream(&streams, "http.server.request.duration")[0];
        assert_eq!(
            (&request["kind"], &request["unit"]),
            (&"exponential_histogram".into(), &"s".into())
        );
        assert_eq!((&request["scale"], &request["buckets"]), (&3.into(), &request["count"]));
        assert_eq!(request["attributes"]["http.route"], "*", "{request}");
        assert!(!stream(&streams, "http.client.request.duration").is_empty());
        let phases = stream(&streams, "gateway.phase.duration");
        let phases: BTreeSet<&str> =
            phases.iter().filter_map(|s| s["attributes"]["gateway.phase"].as_str()).collect();
        assert!(phases.contains("server") && phases.contains("gateway"), "{phases:?}");
        let named = |name: &str| match name {
            "fleetfoot_request_seconds" => "http.server.request.duration".to_owned(),
            "fleetfoot_service_first_byte_seconds" => "http.client.request.duration".to_owned(),
            "fleetfoot_phase_seconds" => "gateway.phase.duration".to_owned(),
            name => name.to_owned(),
        };
        for sample in gateway.metrics().lines().filter(|line| !line.starts_with('#')) {
            let name = sample.split(['{', ' ']).next().unwrap_or_default();
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            assert!(!stream(&streams, &named(name)).is_empty(), "{name} is on the page alone");
        }
    }
}

#[test]
fn a_receiver_that_is_down_harms_nobody_and_is_told_when_it_is_back() {
    let Some(mut receiver) = Receiver::start() else { return };
    let origin = Origin::start();
    let url = receiver.url(Way::Grpc);
    receiver.kill();
    let gateway = telling(&one_thread(&origin), &url, Way::Grpc);
    // It is said at once, and again, less and less often.
    gateway.wait_line("otlp: metrics for");
    let mut client = gateway.client();
    for trace in 0x400..0x500 {
        let begun = base::Moment::now();
        assert_eq!(ask_traced(&mut client, "/", trace), 200);
        assert!(base::Moment::now().since(begun) < Duration::from_secs(1));
    }
    gateway.wait_line("otlp: traces for");
    let failures = || gateway.metric("fleetfoot_otlp_failures_total{signal=\"traces\"}");
    wait_until("a second try", || failures() >= 2.0);
    let lost = || gateway.metric("fleetfoot_otlp_lost_total{signal=\"metrics\"}");
    assert!(lost() > 0.0);
    // Spans wait for a while, and come when they can.
    receiver.restart();
    wait_until("all spans", || receiver.told("span").len() >= 2 * 256);
    gateway.wait_line("are taken again");
    assert!(gateway.metric("fleetfoot_otlp_exported_total{signal=\"traces\"}") >= 512.0);
}

#[test]
fn a_receiver_that_refuses_is_not_asked_for_ever() {
    let Some(receiver) = Receiver::start() else { return };
    let origin = Origin::start();
    for (number, way) in [Way::Grpc, Way::Http].into_iter().enumerate() {
        receiver.mode("refuse");
        let gateway = telling(&one_thread(&origin), &receiver.url(way), way);
        let trace = 0x600 + number as u64;
        assert_eq!(ask_traced(&mut gateway.client(), "/", trace), 200);
        let why = if way == Way::Grpc { "gRPC status 3 never" } else { "status 400 Bad Request" };
        gateway.wait_line(why);
        let lost = || gateway.metric("fleetfoot_otlp_lost_total{signal=\"traces\"}");
        wait_until("loss to be counted", || lost() >= 2.0);
        receiver.mode("partly");
        assert_eq!(ask_traced(&mut gateway.client(), "/", trace + 0x10), 200);
        wait_until("what was taken in part", || lost() >= 3.0);
    }
}

#[test]
fn a_slow_receiver_holds_nobody_up_and_memory_is_bounded() {
    let Some(receiver) = Receiver::start() else { return };
    let origin = Origin::start();
    receiver.mode("slow");
    let gateway = telling(&one_thread(&origin), &receiver.url(Way::Http), Way::Http);
    let mut client = gateway.client();
    let lost = || gateway.metric("fleetfoot_otlp_lost_total{signal=\"traces\"}");
    let (mut trace, mut longest) = (0x7000, Duration::ZERO);
    // Until more has come than waits in the queue (2,048 spans) and in a batch (512).
    wait_until("loss to be counted", || {
        for _ in 0..200 {
            let begun = base::Moment::now();
            assert_eq!(ask_traced(&mut client, "/", trace), 200);
            longest = longest.max(base::Moment::now().since(begun));
            trace += 1;
        }
        lost() > 0.0
    });
    assert!(longest < Duration::from_secs(1), "a request took {longest:?}");
    let grown = gateway.memory().resident >> 20;
    assert!(grown < 120, "{grown} MiB");
}

#[test]
fn an_address_that_is_none_is_a_warning_that_repeats() {
    let origin = Origin::start();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for (url, why) in [
        ("collector:4317", "is no URL of an OTLP receiver"),
        (
            "http://nobody.invalid:4317",
            "otlp: metrics for http://nobody.invalid:4317 are not taken",
        ),
        (nowhere.as_str(), "Connection refused"),
    ] {
        let gateway = telling(&one_thread(&origin), url, Way::Grpc);
        assert_eq!(gateway.get("/").status, 200);
        gateway.wait_line(why);
        if url != nowhere {
            continue;
        }
        let said = || gateway.stderr().matches("otlp: metrics").count();
        let begun = base::Moment::now();
        wait_until("three complaints", || said() >= 3);
        // After one second and two more.
        let took = base::Moment::now().since(begun);
        assert!(took > Duration::from_secs(2), "{took:?}\n{}", gateway.stderr());
        assert!(gateway.metric("fleetfoot_otlp_failures_total{signal=\"metrics\"}") >= 3.0);
    }
}

#[test]
fn what_is_left_is_told_at_the_end() {
    let Some(receiver) = Receiver::start() else { return };
    let origin = Origin::start();
    let mut gateway = telling(&one_thread(&origin), &receiver.url(Way::Grpc), Way::Grpc);
    let mut client = gateway.client();
    assert_eq!(ask_traced(&mut client, "/last", 0x900), 200);
    drop(client);
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    wait_trace(&receiver, 0x900, |spans| of(spans, "fleetfoot", "client").len() == 1);
}

#[test]
fn strangers_cannot_make_series() {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let url = receiver.as_ref().map_or_else(
        || format!("http://127.0.0.1:{}", free_port()),
        |receiver| receiver.url(Way::Http),
    );
    let gateway = telling(&one_thread(&origin), &url, Way::Http);
    let series = || {
        let page = gateway.metrics();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
    };
    let mut client = gateway.client();
    let mut attack = |round: u32| {
        for number in 0..1_000 {
            let odd = format!("{round}x{number}");
            client.send(format!(
                "M{odd} /{odd}/{odd}?{odd}={odd} HTTP/1.1\r\nHost: {odd}.test\r\nField-{odd}: {odd}\r\n\
                 User-Agent: {odd}\r\nContent-Length: 0\r\n\r\n"
            ));
            client.response("POST");
        }
    };
    attack(1);
    let before: BTreeSet<String> = series();
    attack(2);
    attack(3);
    let after: BTreeSet<String> = series();
    let new: Vec<_> = after.difference(&before).collect();
    // Of phases that nothing had spent time in yet.
    let others = new.iter().filter(|name| !name.contains("_phase_seconds"));
    assert_eq!(others.count(), 0, "{new:?}");
    assert!(after.len() < 1_000, "{}", after.len());
    let Some(receiver) = receiver else { return };
    let told = || receiver.streams().len();
    wait_until("metrics", || told() > 0);
    assert!(told() < 300, "{}", told());
    for line in receiver.told("metrics") {
        assert!(!line.to_string().contains("2x500"), "a client's words became an attribute");
    }
}

#[test]
fn nothing_is_sent_unless_told_to() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin));
    assert_eq!(gateway.get("/").status, 200);
    let counted = gateway.metric("fleetfoot_otlp_");
    assert!(counted.abs() < 0.5, "{counted}");
}

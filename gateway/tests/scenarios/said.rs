//! What is said of a request to people: the access log, `Server-Timing`, request ids, traces.

use crate::stage::{before, one_thread, start};
use scenario::origin::{Action, answer, send};
use scenario::{Fleet, Gateway, Origin, Text};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The settings of a gateway that logs to `access.log` beside its settings.
fn logging(origin: &Origin, monitor: &str) -> Text {
    one_thread(origin).rest(&format!("[monitor]\naccess_log = \"access.log\"\n{monitor}"))
}

/// The first line of the log that has this in it.
#[track_caller]
fn line_in(file: &Path, part: &str) -> String {
    let by = scenario::patience();
    loop {
        let text = String::from_utf8(std::fs::read(file).unwrap_or_default()).expect("text");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        if let Some(line) = whole.lines().find(|line| line.contains(part)) {
            return line.to_owned();
        }
        assert!(!by.passed(base::Moment::now()), "{part} was not logged: {text}");
        std::thread::yield_now();
    }
}

#[track_caller]
fn line(gateway: &Gateway, part: &str) -> String {
    line_in(&gateway.file().with_file_name("access.log"), part)
}

#[track_caller]
fn json(gateway: &Gateway, part: &str) -> Value {
    serde_json::from_str(&line(gateway, part)).expect("JSON")
}

#[track_caller]
fn ask(gateway: &Gateway, target: &str, fields: &str) -> scenario::Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n");
    gateway.client().send(request).response("GET")
}

#[test]
fn a_line_has_all_that_is_known() {
    let origin = Origin::start();
    let gateway = start(&logging(&origin, "request_id = true"));
    let fields = "User-Agent: a \"browser\"\r\nReferer: http://me:pw@a.test/?token=1#x\r\n\
                  Cookie: id=biscuit\r\nAuthorization: Bearer hush\r\n\
                  traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n";
    let answer = ask(&gateway, "/a/token=1?b=2&Token=secret", fields);
    let text = line(&gateway, "/a/");
    for secret in ["secret", "biscuit", "hush", "pw"] {
        assert!(!text.contains(secret), "{text}");
    }
    let line: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(line["target"], "/a/token=1?b=2&Token=REDACTED");
    assert_eq!(line["referer"], "http://a.test/?token=REDACTED#x");
    assert_eq!(line["user_agent"], "a \"browser\"");
    assert_eq!(line["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["request_id"].as_str(), answer.field("x-request-id"));
    assert_eq!((&line["status"], &line["cache"]), (&200.into(), &"private".into()), "{line}");
    let phases = line["phases_ms"].as_object().expect("an object");
    assert!(phases["server"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    let sum: f64 = phases.values().filter_map(Value::as_f64).sum();
    let total = line["total_ms"].as_f64().expect("a number");
    // Each is rounded to a microsecond, and those below one are left out.
    assert!((sum - total).abs() < 0.018, "{sum} of {total}: {line}");
    assert!(line.get("sample").is_none(), "{line}");
}

#[test]
fn a_retry_stands_in_its_line_as_a_phase() {
    let fleet = Fleet::play(2, |turn, _| {
        if turn.number == 1 {
            return answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
        answer(OK)
    });
    let monitor = "[monitor]\naccess_log = \"access.log\"";
    let retry = "retry = { attempts = 1, budget = \"100%\" }\nhealth = false\nbalance = { policy = \"round-robin\", eject = false }";
    let gateway = start(&fleet.text().service(retry).rest(monitor));
    assert_eq!(ask(&gateway, "/twice", "").status, 200);
    let line = json(&gateway, "/twice");
    assert_eq!(line["attempts"], 2, "{line}");
    assert!(line["phases_ms"]["retry"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
}

#[test]
fn other_programs_formats_are_theirs() {
    let origin = Origin::saying(OK);
    for (format, tail) in [("common", ""), ("combined", " \"-\" \"x\\x22y\"")] {
        let gateway = start(&logging(&origin, &format!("log_format = \"{format}\"")));
        ask(&gateway, "/a\"b?token=1", "User-Agent: x\"y\r\n");
        let line = line(&gateway, "127.0.0.1");
        let (front, rest) = line.split_once('[').expect("a time");
        let (time, rest) = rest.split_once("] ").expect("a time");
        assert_eq!(front, "127.0.0.1 - - ");
        assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
        let rest = rest.strip_prefix("\"GET /a\\x22b?token=REDACTED HTTP/1.1\" 200 ");
        let rest = rest.unwrap_or_else(|| panic!("{line}"));
        let sent = rest.strip_suffix(tail).unwrap_or_else(|| panic!("{line}"));
        assert!(sent.parse::<u64>().is_ok_and(|n| n > 30), "{line}");
        gateway.client().send("\x16\x03\x01\r\n\r\n").rest();
        let refused = line_in(&gateway.file().with_file_name("access.log"), "\"-\" 400 0");
        assert!(refused.ends_with(if tail.is_empty() { "400 0" } else { "0 \"-\" \"-\"" }));
    }
}

#[test]
fn what_went_well_is_sampled_and_what_did_not_is_not() {
    let origin = Origin::play(|request| {
        let status = if request.target.starts_with("/bad") { "500 Oh" } else { "200 OK" };
        answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    });
    let text = logging(&origin, "log_sample = \"10%\"").top("cache = false");
    let gateway = start(
        &text.service("retry = { attempts = 0 }\nhealth = false\nbalance = { eject = false }"),
    );
    let mut client = gateway.client();
    for number in 0..400 {
        assert_eq!(client.get(&format!("/good/{number}")).status, 200);
    }
    for number in 0..20 {
        assert_eq!(client.get(&format!("/bad/{number}")).status, 500);
    }
    line(&gateway, "/bad/19");
    let text = std::fs::read_to_string(gateway.file().with_file_name("access.log")).unwrap();
    assert_eq!(text.matches("/bad/").count(), 20);
    // Slow ones have lines too, a hundredth of them all, once it is known what is slow.
    let good: Vec<_> = text.lines().filter(|line| line.contains("/good/")).collect();
    assert!((8..120).contains(&good.len()), "{}", good.len());
    assert!(good.iter().any(|line| line.contains("\"sample\":0.1}")), "{}", good[0]);
}

#[test]
fn complaints_are_redacted_too() {
    let origin = Origin::play(|_| vec![Action::Body, Action::Close]);
    let gateway = start(&one_thread(&origin).service("retry = { attempts = 0 }"));
    assert_eq!(gateway.get("/broken?id=1&api_key=hush").status, 502);
    let said = gateway.wait_line("/broken");
    assert!(said.contains("/broken?id=1&api_key=REDACTED: "), "{said}");
}

/// Is there an answer of 200 to each of so many requests?
#[track_caller]
fn goes_on(gateway: &Gateway, count: usize) {
    let mut client = gateway.client();
    for number in 0..count {
        assert_eq!(client.get(&format!("/on/{number}")).status, 200);
    }
}

#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let origin = Origin::saying(OK);
    let text = one_thread(&origin).rest("[monitor]\naccess_log = \"/dev/full\"");
    let gateway = start(&text);
    goes_on(&gateway, 500);
    let by = scenario::patience();
    while gateway.metric("fleetfoot_access_log_failed_total") < 500.0 {
        assert!(!by.passed(base::Moment::now()), "the loss is not counted");
    }
    let said = gateway.wait_line("access log: /dev/full: ");
    assert!(said.contains("No space left") && said.contains("lines are lost"), "{said}");
    // Once, and again after a second or two: no flood.
    assert!(gateway.stderr().matches("access log: ").count() <= 4, "{}", gateway.stderr());
}

#[test]
fn a_log_that_is_moved_or_deleted_is_begun_anew() {
    let origin = Origin::saying(OK);
    let gateway = start(&logging(&origin, ""));
    let file = gateway.file().with_file_name("access.log");
    let moved = file.with_file_name("access.log.1");
    ask(&gateway, "/first", "");
    line_in(&file, "/first");
    std::fs::rename(&file, &moved).expect("it can be renamed");
    let by = scenario::patience();
    let mut number = 0;
    while !file.exists() {
        ask(&gateway, &format!("/next/{number}"), "");
        number += 1;
        assert!(!by.passed(base::Moment::now()), "no new file was begun");
    }
    ask(&gateway, "/last", "");
    line_in(&file, "/last");
    assert!(std::fs::read_to_string(&moved).unwrap_or_default().contains("/first"));
    // Where it cannot be begun, lines are lost, counted and told, and requests are not.
    std::fs::remove_file(&file).expect("it can be removed");
    std::fs::create_dir(&file).expect("a folder in its place");
    let by = scenario::patience();
    while gateway.metric("fleetfoot_access_log_failed_total") == 0.0 {
        goes_on(&gateway, 20);
        assert!(!by.passed(base::Moment::now()), "the loss is not counted");
    }
    assert!(gateway.wait_line("access log: ").contains("access.log"));
    std::fs::remove_dir(&file).expect("it is empty");
    let by = scenario::patience();
    while !file.exists() {
        goes_on(&gateway, 20);
        assert!(!by.passed(base::Moment::now()), "it was not begun anew");
    }
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let origin = Origin::saying(OK);
    let mut gateway = start(&logging(&origin, ""));
    let file = gateway.file().with_file_name("access.log");
    let mut client = gateway.client();
    for number in 0..300 {
        client.get(&format!("/line/{number}"));
    }
    drop(client);
    gateway.signal("TERM");
    gateway.wait_exit();
    let text = std::fs::read_to_string(file).expect("a log");
    assert_eq!(text.lines().count(), 300);
}

/// A tiny disk, full: half of a line may be on it, and nothing is glued to that when there is room.
#[test]
fn a_disk_that_was_full_has_whole_lines_again() {
    let Some(disk) = Tiny::mount() else { return };
    let origin = Origin::saying(OK);
    let file = disk.0.path().join("access.log");
    let text = format!("[monitor]\naccess_log = {:?}", file.display().to_string());
    let gateway = start(&one_thread(&origin).rest(&text));
    let by = scenario::patience();
    while gateway.metric("fleetfoot_access_log_failed_total") == 0.0 {
        goes_on(&gateway, 100);
        assert!(!by.passed(base::Moment::now()), "64 KiB are never full");
    }
    gateway.wait_line("No space left");
    std::fs::File::options()
        .write(true)
        .open(&file)
        .and_then(|file| file.set_len(4096))
        .expect("cut");
    ask(&gateway, "/after", "");
    line_in(&file, "/after");
    gateway.wait_line("access log: ");
    let text = std::fs::read_to_string(&file).expect("a log");
    let bad = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert!(bad <= 2, "{bad} of {}", text.lines().count());
}

/// A file system of 64 KiB; none where it cannot be mounted.
struct Tiny(scenario::gateway::Folder);

impl Tiny {
    fn mount() -> Option<Self> {
        let folder = scenario::gateway::Folder::new();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let mut unmount = std::process::Command::new("umount");
        let _left_to_the_system = unmount.arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn timings_are_told_to_those_who_may_know() {
    const SLOW: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer-Timing: db;dur=0.001\r\n\
                        traceresponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n\r\n";
    let origin = Origin::saying(SLOW);
    let told = |text: &Text, fields: &str| {
        let gateway = start(text);
        let answer = ask(&gateway, "/", fields);
        let lines = answer.head.all("server-timing");
        assert_eq!(lines[0], "db;dur=0.001", "the service's own comes first");
        (
            lines.get(1).map(|line| (*line).to_owned()),
            answer.field("traceresponse").map(str::to_owned),
        )
    };
    let plain = one_thread(&origin);
    assert_eq!(told(&plain, "").0, None);
    let everybody = plain.clone().rest("[monitor]\nserver_timing = true");
    let (line, trace) = told(
        &everybody,
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    );
    let (line, trace) = (line.expect("told"), trace.expect("told"));
    assert!(line.starts_with("cache;desc=") && line.contains(", server;dur="), "{line}");
    assert!(line.contains(", total;dur=") && !line.contains("127.0.0.1"), "{line}");
    assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
    assert!(!trace.contains("00f067aa0ba902b7"), "our own span, not another's: {trace}");
    assert!(line.ends_with(&format!(", trace;desc={trace}")), "{line}");
    assert_eq!(told(&everybody.clone().route("server_timing = false"), "").0, None);
    assert!(told(&plain.clone().route("server_timing = true"), "").0.is_some());
    let token = plain.rest("[monitor]\nserver_timing = { token = \"open-sesame\" }");
    assert_eq!(told(&token, "").0, None);
    assert_eq!(told(&token, "Server-Timing-Token: open-sesami\r\n").0, None);
    let line = told(&token, "Server-Timing-Token: open-sesame\r\n").0.expect("told");
    let server = origin.address();
    assert!(line.contains(&format!(";desc=\"{server}\"")), "{line}");
    for request in origin.requests() {
        assert!(!request.head.has("server-timing-token"), "{}", request.head.line);
    }
}

#[test]
fn a_stored_answer_says_nothing_of_another_request() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nServer-Timing: app;dur=7\r\n\
         X-Request-Id: of-the-first\r\ntraceresponse: x\r\nContent-Length: 2\r\n\r\nhi",
    );
    let text = one_thread(&origin)
        .rest("[monitor]\nserver_timing = true\nrequest_id = true\ntrace = false");
    let gateway = start(&text);
    let first = ask(&gateway, "/", "");
    assert_eq!(first.head.all("server-timing")[0], "app;dur=7");
    assert_eq!(first.field("traceresponse"), Some("x"));
    let second = ask(&gateway, "/", "");
    assert_eq!(second.text(), "hi");
    let lines = second.head.all("server-timing");
    assert!(lines.len() == 1 && lines[0].starts_with("cache;desc=HIT"), "{lines:?}");
    assert!(!lines[0].contains("server;"), "{lines:?}");
    assert_eq!(second.field("traceresponse"), None);
    let ids = [&first, &second].map(|answer| answer.field("x-request-id").map(str::to_owned));
    assert!(ids[0].is_some() && ids[0] != ids[1], "{ids:?}");
    assert_ne!(ids[0].as_deref(), Some("of-the-first"));
    // Without ids of ours the service's own is passed on once.
    let gateway = before(&origin);
    assert_eq!(ask(&gateway, "/", "").field("x-request-id"), Some("of-the-first"));
    assert_eq!(ask(&gateway, "/", "").field("x-request-id"), None);
}

#[test]
fn an_id_is_a_trusted_proxys_or_our_own() {
    let origin = Origin::saying(OK);
    let text = one_thread(&origin).top("cache = false").rest("[monitor]\nrequest_id = true");
    let stranger = start(&text);
    let trusted = start(&text.clone().forward("trusted_proxies = [\"127.0.0.0/8\"]"));
    let uuid = |id: &str| id.len() == 36 && &id[14..15] == "7";
    for (gateway, fields, kept) in [
        (&stranger, "X-Request-Id: mine\r\n", false),
        (&trusted, "X-Request-Id: mine\r\n", true),
        (&trusted, "X-Request-Id: mine\r\nConnection: x-request-id\r\n", true),
        (&trusted, "X-Request-Id: mi ne\r\n", false),
        (&trusted, "X-Request-Id: mine\r\nX-Request-Id: yours\r\n", false),
        (&trusted, "", false),
    ] {
        let answer = ask(gateway, "/", fields);
        let id = answer.field("x-request-id").expect("an id").to_owned();
        assert!(if kept { id == "mine" } else { uuid(&id) }, "{fields}: {id}");
        let sent = origin.requests().pop().expect("it was asked").head;
        assert_eq!(sent.all("x-request-id"), [id.as_str()], "{fields}");
    }
    // A request that no service saw has one too.
    let lost = start(&text.takes("/here"));
    let answer = ask(&lost, "/there", "");
    assert_eq!(answer.status, 404);
    assert!(answer.field("x-request-id").is_some_and(uuid));
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn every_try_is_a_span_of_one_trace() {
    let fleet = Fleet::play(3, |turn, _| {
        if turn.number < 3 {
            return answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
        answer(OK)
    });
    let retry = "retry = { attempts = 2, budget = \"100%\" }\nhealth = false\nbalance = { policy = \"round-robin\", eject = false }";
    let gateway = start(&fleet.text().service(retry));
    let fields = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
    assert_eq!(ask(&gateway, "/", &fields).status, 200);
    let mut spans = Vec::new();
    for number in 1..=3 {
        let head = fleet.request(number).1.head;
        assert_eq!(head.all("tracestate").join(","), "a=1,b=2");
        let parents = head.all("traceparent");
        assert_eq!(parents.len(), 1, "{parents:?}");
        assert!(parents[0].starts_with(&PARENT[..36]) && parents[0].ends_with("-01"));
        spans.push(parents[0][36..52].to_owned());
    }
    spans.push(PARENT[36..52].to_owned());
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), 4, "{spans:?}");
}

#[test]
fn a_malformed_parent_begins_a_new_trace() {
    let origin = Origin::saying(OK);
    let gateway = start(&one_thread(&origin).top("cache = false"));
    let upper = PARENT.to_uppercase();
    let twice = format!("{PARENT}\r\ntraceparent: {PARENT}");
    for parent in ["", "00-0-0-0", upper.as_str(), &PARENT[..52], twice.as_str()] {
        ask(&gateway, "/", &format!("traceparent: {parent}\r\ntracestate: a=1\r\n"));
        let head = origin.requests().pop().expect("it was asked").head;
        let parents = head.all("traceparent");
        assert!(parents.len() == 1 && parents[0].len() == 55, "{parents:?}");
        assert!(!parents[0].to_lowercase().contains(&PARENT[3..35]), "{parent}");
        assert!(!head.has("tracestate"), "a state without a parent: {parent}");
        assert!(parents[0].ends_with("-02"), "not recorded, and random: {parents:?}");
    }
    // Off, they are a matter between the client and the service.
    let gateway = start(&one_thread(&origin).top("cache = false").rest("[monitor]\ntrace = false"));
    ask(&gateway, "/", "traceparent: what\r\ntracestate: a=1\r\n");
    let head = origin.requests().pop().expect("it was asked").head;
    assert_eq!((head.one("traceparent"), head.one("tracestate")), (Some("what"), Some("a=1")));
}

/// A request that takes longer than its line says is a lie: what a slow service takes stands there.
#[test]
fn a_slow_service_is_told_as_slow() {
    const PAUSE: Duration = Duration::from_millis(60);
    let origin = Origin::play(|_| {
        std::thread::park_timeout(PAUSE);
        vec![Action::Body, send(OK)]
    });
    let gateway = start(&logging(&origin, "server_timing = true"));
    let answer = ask(&gateway, "/slow", "");
    let told = answer.head.all("server-timing")[0].to_owned();
    let server = told.split(", ").find_map(|part| part.strip_prefix("server;dur="));
    let server: f64 = server.expect("told").parse().expect("a number");
    assert!(server > 55.0, "{told}");
    let line = json(&gateway, "/slow");
    assert!(line["phases_ms"]["server"].as_f64().is_some_and(|ms| ms > 55.0), "{line}");
}

#[test]
fn a_broken_promise_is_told() {
    let origin = Origin::play(|request| {
        let status = if request.target.starts_with("/bad") { "500 Oh" } else { "200 OK" };
        answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    });
    let service = "retry = { attempts = 0 }\nhealth = false\nbalance = { eject = false }";
    let objective = "objective = { p50 = \"1h\", success = \"99.9%\" }";
    let text = one_thread(&origin).top("cache = false").service(service).route(objective);
    let gateway = start(&text);
    let burn = |goal: &str| {
        gateway.metric(&format!(
            "fleetfoot_objective_burn{{route=\"*\",objective=\"{goal}\",window=\"5m\"}}"
        ))
    };
    // Not before the gateway has looked for the first time does it know what is new.
    let by = scenario::patience();
    while !gateway.metrics().contains("fleetfoot_objective_burn{") {
        assert!(!by.passed(base::Moment::now()), "nobody looks");
    }
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/good").status, 200);
        assert_eq!(client.get("/bad").status, 500);
    }
    let by = scenario::patience();
    while burn("success >= 99.9%") == 0.0 {
        assert!(!by.passed(base::Moment::now()), "it is not counted");
    }
    assert!(burn("p50 <= 1h") == 0.0);
    let left = "fleetfoot_objective_budget_left{route=\"*\",objective=\"success >= 99.9%\"}";
    assert!(gateway.metric(left) < 1.0);
}

//! Requests shared out among services, and copied to one whose answers nobody waits for.

use crate::stage::{plain, start};
use scenario::message::Framing;
use scenario::origin::{Action, answer, send};
use scenario::{Gateway, Origin, Text};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Settings of services under these names, `shop` first, with a route `/x` of these lines.
fn text(shop: &Origin, others: &[(&str, SocketAddr)], route: &str) -> Text {
    let mut rest = String::new();
    for (name, address) in others {
        let _ = write!(rest, "[service.{name}]\nservers = [\"http://{address}\"]\n");
    }
    let _ = write!(rest, "[[route]]\nmatch = \"/x/*\"\n{route}\n");
    Text::to(&[shop.address()]).top("threads = 1\ncache = false").rest(&rest)
}

fn shadowed(shop: &Origin, shadow: SocketAddr) -> Text {
    text(shop, &[("shadow", shadow)], "to = \"shop\"\nshadow = \"shadow\"")
}

fn shadows(gateway: &Gateway, ended: &str) -> f64 {
    gateway
        .metrics()
        .lines()
        .filter(|line| line.starts_with("fleetfoot_service_shadows_total{"))
        .filter(|line| line.contains("shadow\"") && line.contains(&format!("\"{ended}\"")))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[track_caller]
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let by = scenario::patience();
    while !reached() {
        assert!(!by.passed(base::Moment::now()), "waiting for {what}");
    }
}

/// Asks so often, over several connections.
fn ask(gateway: &Gateway, clients: usize, each: usize) {
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..each {
                    assert_eq!(client.get("/x/").status, 200);
                }
            });
        }
    });
}

#[test]
fn services_get_their_shares() {
    let origins = [Origin::saying(OK), Origin::saying(OK), Origin::saying(OK), Origin::saying(OK)];
    let [shop, next, third, none] = &origins;
    let others = [("next", next.address()), ("third", third.address()), ("none", none.address())];
    let gateway =
        start(&text(shop, &others, "to = { shop = 70, next = 20, third = 10, none = 0 }"));
    ask(&gateway, 4, 500);
    let counts = origins.each_ref().map(|origin| origin.requests().len());
    assert_eq!(counts.iter().sum::<usize>(), 2_000);
    // Five standard deviations of a binomial: one run in a million is outside.
    for (count, share) in counts.into_iter().zip([0.7, 0.2, 0.1]) {
        let (mean, deviation) = (2_000.0 * share, (2_000.0_f64 * share * (1.0 - share)).sqrt());
        assert!((count as f64 - mean).abs() <= 5.0 * deviation, "{counts:?}");
    }
    assert_eq!(counts[3], 0);
}

#[test]
fn a_service_of_a_split_that_is_dead_fails_its_share_alone() {
    let (shop, dead) = (Origin::saying(OK), nobody());
    let gateway = start(&text(&shop, &[("next", dead)], "to = { shop = 50, next = 50 }"));
    let mut client = gateway.client();
    let good = (0..200).filter(|_| client.get("/x/").status == 200).count();
    assert_eq!(shop.requests().len(), good);
    assert!((65..=135).contains(&good), "{good}");
}

#[test]
fn a_shadow_gets_the_same_request() {
    let (shop, shadow) = (Origin::saying(OK), Origin::saying(OK));
    let gateway = start(&shadowed(&shop, shadow.address()));
    let mut client = gateway.client();
    client
        .send("PUT /x/a?b=c HTTP/1.1\r\nHost: shop.test\r\nA: b\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("PUT").text(), "hello");
    let (one, two) = (shop.request(1), shadow.request(1));
    assert_eq!((one.framing, one.text()), (two.framing, two.text()));
    assert_eq!(plain(&one.head), plain(&two.head));
    let parents = [&one, &two].map(|request| request.head.one("traceparent").unwrap_or("none"));
    assert!(parents[0][..36] == parents[1][..36] && parents[0] != parents[1], "{parents:?}");
    assert_eq!((two.text().as_str(), two.head.one("a")), ("hello", Some("b")));
    client.send("POST /x/ HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nhel\r\n2\r\nlo\r\n0\r\nSum: 1\r\n\r\n");
    assert_eq!(client.response("POST").text(), "hello");
    let (one, two) = (shop.request(2), shadow.request(2));
    assert_eq!((two.text().as_str(), two.framing), ("hello", Framing::Chunked));
    assert_eq!((plain(&one.head), one.trailers), (plain(&two.head), two.trailers));
    // Other routes have none.
    assert_eq!(client.get("/y").status, 200);
    assert_eq!(client.get("/x/last").status, 200);
    assert_eq!(shadow.request(3).target, "/x/last");
    assert_eq!(shop.requests().len(), 4);
    until("the counts", || (shadows(&gateway, "sent") - 3.0).abs() < 0.1);
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

#[test]
fn whatever_a_shadow_does_the_client_sees_nothing_of_it() {
    let scripts: [(&str, Vec<Action>); 7] = [
        ("says nothing", vec![Action::Silence]),
        ("closes", vec![Action::Close]),
        ("resets", vec![Action::Reset]),
        ("fails", answer("HTTP/1.1 500 No\r\nShadow: 1\r\nContent-Length: 6\r\n\r\nshadow")),
        ("talks nonsense", answer("SSH-2.0-nobody\r\n\r\n")),
        ("never ends", vec![send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Action::Silence]),
        (
            "says too much",
            vec![
                send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"),
                Action::Fill(100_000_000),
            ],
        ),
    ];
    for (what, actions) in scripts {
        let shop = Origin::saying(OK);
        let shadow = Origin::forgetful(move |_| actions.clone());
        let gateway = start(&shadowed(&shop, shadow.address()));
        let mut client = gateway.client();
        for number in 0..20 {
            client.send("POST /x/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi");
            let response = client.response("POST");
            assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{what}");
            assert!(!response.head.has("shadow"), "{what}");
            assert_eq!(shop.request(number + 1).text(), "hi");
        }
        // A shadow that answers nobody is soon taken for dead, as any service is.
        until(what, || shadows(&gateway, "sent") > 19.5 && shadow.requests().len() >= 5);
        assert_eq!(shop.requests().len(), 20, "{what}");
    }
    let shop = Origin::saying(OK);
    let gateway = start(&shadowed(&shop, nobody()));
    ask(&gateway, 2, 20);
    assert_eq!(shop.requests().len(), 40);
    until("all to fail", || (shadows(&gateway, "failed") - 40.0).abs() < 0.1);
}

#[test]
fn a_shadows_answer_is_read_so_that_its_connection_is_used_again() {
    let shop = Origin::saying(OK);
    let body = "x".repeat(100_000);
    let shadow = Origin::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}"));
    let gateway = start(&shadowed(&shop, shadow.address()));
    let mut client = gateway.client();
    for number in 1..=50 {
        assert_eq!(client.get("/x/").status, 200);
        shadow.request(number);
    }
    assert!(shadow.connections() <= 10, "{} connections", shadow.connections());
}

#[test]
fn a_shadow_gets_its_share() {
    let (shop, shadow) = (Origin::saying(OK), Origin::saying(OK));
    let route = "to = \"shop\"\nshadow = { to = \"shadow\", share = \"25%\" }";
    let gateway = start(&text(&shop, &[("shadow", shadow.address())], route));
    ask(&gateway, 2, 400);
    assert_eq!(shop.requests().len(), 800);
    let sent = shadows(&gateway, "sent");
    // 200, give or take five standard deviations.
    assert!((138.0..=262.0).contains(&sent), "{sent}");
    until("the shadow", || (shadow.requests().len() as f64 - sent).abs() < 0.1);
}

#[test]
fn a_body_too_large_to_keep_is_passed_on_and_not_copied() {
    let (shop, shadow) = (Origin::saying(OK), Origin::saying(OK));
    let gateway = start(&shadowed(&shop, shadow.address()));
    let body = "x".repeat(100_000);
    for head in ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"] {
        let mut client = gateway.client();
        client.send(format!("POST /x/ HTTP/1.1\r\nHost: shop.test\r\n{head}{body}"));
        if head.starts_with('T') {
            client.send("\r\n0\r\n\r\n");
        }
        assert_eq!(client.response("POST").status, 200);
    }
    assert_eq!((shop.request(1).body.len(), shop.request(2).body.len()), (100_000, 100_000));
    assert!((shadows(&gateway, "left_out") - 2.0).abs() < 0.1);
    assert_eq!(shadow.requests().len(), 0);
}

/// What the shadow keeps of bodies is no bound for the service itself.
#[test]
fn a_request_with_a_shadow_is_asked_again_as_any_other() {
    let fleet = scenario::Fleet::play(2, |turn, _| {
        answer(if turn.number == 1 { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" } else { OK })
    });
    let shadow = Origin::saying(OK);
    let address = shadow.address();
    let gateway = start(&fleet.text().rest(&format!(
        "[service.shadow]\nservers = [\"http://{address}\"]\nretry = {{ body_max = \"0 B\" }}\n\
         [[route]]\nmatch = \"/x/*\"\nto = \"shop\"\nshadow = \"shadow\"\n"
    )));
    let mut client = gateway.client();
    client.send("PUT /x/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("PUT").text(), "hello");
    assert_eq!([1, 2].map(|n| fleet.request(n).1.text()), ["hello", "hello"]);
    // One copy, whatever it took.
    assert_eq!(client.get("/x/fence").status, 200);
    let _fence = shadow.request(shadow.requests().len().max(1));
    let copies = shadow.requests().iter().filter(|request| request.method == "PUT").count();
    assert!(copies <= 1, "{copies}");
}

#[test]
fn shadows_that_hang_are_bounded_and_cost_the_client_nothing() {
    let shop = Origin::forgetful(|_| answer(OK));
    let shadow = Origin::forgetful(|_| vec![Action::Silence]);
    let gateway = start(&shadowed(&shop, shadow.address()));
    ask(&gateway, 2, 510);
    assert_eq!(shop.requests().len(), 1_020);
    shadow.head(1_000);
    assert_eq!(shadow.requests().len(), 1_000);
    assert!((shadows(&gateway, "left_out") - 20.0).abs() < 0.1);
    // Those under way at the shadow are none of the service's.
    let in_flight = gateway.metric("fleetfoot_service_in_flight{service=\"shop\"");
    assert!(in_flight < 0.1, "{in_flight}");
}

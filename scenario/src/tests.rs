//! The kit against itself: client straight to origin.

use crate::client::Ending;
use crate::load::{Habit, Load};
use crate::message::Framing;
use crate::origin::{Action, answer, send};
use crate::reading::Problem;
use crate::{Client, Gate, Origin};

#[test]
fn a_client_reads_what_an_origin_says() {
    let origin = Origin::start();
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/a").text(), "GET /a HTTP/1.1");
    client.send("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\nSum: 1\r\n\r\n");
    assert_eq!(client.response("POST").status, 200);
    let seen = origin.request(2);
    assert_eq!((seen.text().as_str(), seen.framing), ("hello", Framing::Chunked));
    assert_eq!(seen.trailers, [("Sum".to_owned(), "1".to_owned())]);
    assert!(origin.problems().is_empty());
}

#[test]
fn what_no_strict_server_accepts_is_a_problem() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let origin = Origin::start();
        let mut client = Client::connect(origin.address());
        client.send(head);
        client.ends();
        assert_eq!(origin.problems().len(), 1, "{head:?}");
    }
}

#[test]
fn cuts_and_resets_are_told_apart() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    for (last, expected) in
        [(Action::Close, Problem::Closed(false)), (Action::Reset, Problem::Reset(false))]
    {
        let gate = Gate::new();
        let wait = gate.clone();
        let origin =
            Origin::play(move |_| vec![send(head), Action::Wait(wait.clone()), last.clone()]);
        let mut client = Client::connect(origin.address());
        client.request("GET", "/");
        client.head();
        assert_eq!(client.bytes(5), b"hello");
        gate.open();
        let ending = client.ends();
        assert_eq!(ending == Ending::Reset, matches!(expected, Problem::Reset(_)));
    }
    let origin = Origin::play(move |_| vec![send(head), Action::Close]);
    let mut client = Client::connect(origin.address());
    client.request("GET", "/");
    assert_eq!(client.cut_response("GET").0.text(), "hello");
}

#[test]
fn an_origin_dies_and_comes_back() {
    let mut origin = Origin::start();
    let mut client = Client::connect(origin.address());
    client.get("/");
    origin.stop();
    client.ends();
    assert!(Client::try_connect(origin.address()).is_err());
    origin.restart();
    assert_eq!(Client::connect(origin.address()).get("/").status, 200);
}

#[test]
fn a_load_counts_what_failed() {
    let origin = Origin::play(|request| {
        let status = if request.head.connection("close") { "500 No" } else { "200 OK" };
        answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    });
    let load = Load::start(2, Habit::Both, &[origin.address()]);
    load.wait_more(100);
    let tally = load.stop();
    assert!(tally.good > 0 && !tally.failed.is_empty() && tally.raced == 0, "{tally:?}");
}

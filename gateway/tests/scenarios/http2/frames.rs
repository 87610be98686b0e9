//! Frames that break the protocol, or come in floods (RFC 9113 §4 to §6, §10.5).

use super::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, open, until,
};
use crate::stage::{before, one_thread, stage, start};
use scenario::origin::{Action, echo_line, send};
use scenario::{Client, Gate, Origin};

fn head(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, stream, block(get("/case")))
}

/// These frames end the connection in an error, and the gateway is well afterwards.
#[track_caller]
fn ends(frames: &[Vec<u8>]) {
    let stage = stage();
    let mut client = open(&stage.gateway);
    client.send(frames.concat());
    if let Some(goaway) = until(&mut client, |frame| frame.kind == GOAWAY) {
        assert_ne!(goaway.error(), 0, "GOAWAY without an error");
    }
    client.rest();
    assert_eq!(stage.gateway.get("/fence").status, 200);
}

/// These frames end stream 1 in an error, or the connection.
#[track_caller]
fn resets(frames: &[Vec<u8>]) {
    let stage = stage();
    let mut client = open(&stage.gateway);
    client.send(frames.concat());
    until(&mut client, |frame| match frame.kind {
        GOAWAY => true,
        RST_STREAM => frame.stream == 1 && frame.error() != 0,
        _ => false,
    });
    assert_eq!(stage.gateway.get("/fence").status, 200);
}

/// These frames do no harm: a PING after them is answered.
#[track_caller]
fn harmless(frames: &[Vec<u8>]) {
    let stage = stage();
    let mut client = open(&stage.gateway);
    client.send([frames.concat(), frame(PING, 0, 0, "12345678")].concat());
    alive(&mut client);
}

#[track_caller]
fn alive(client: &mut Client) {
    let pong = until(client, |f| f.kind == PING && f.flags & ACK != 0 && f.payload == b"12345678");
    assert!(pong.is_some(), "the connection ended\n{}", client.transcript());
}

/// Makes a test of each row: `name: what happens(frames);`.
macro_rules! frames {
    ($($name:ident: $fate:ident($($frame:expr),* $(,)?);)*) => {
        $(#[test]
        fn $name() {
            $fate(&[$($frame),*]);
        })*
    };
}

const WHOLE: u8 = END_HEADERS | END_STREAM;

frames! {
    data_on_stream_0: ends(frame(DATA, 0, 0, "x"));
    headers_on_stream_0: ends(head(0, WHOLE));
    headers_on_an_even_stream: ends(head(2, WHOLE));
    headers_on_an_older_stream: ends(head(5, WHOLE), head(3, WHOLE));
    data_on_an_idle_stream: ends(frame(DATA, 0, 1, "x"));
    reset_of_an_idle_stream: ends(frame(RST_STREAM, 0, 1, [0, 0, 0, 8]));
    reset_on_stream_0: ends(frame(RST_STREAM, 0, 0, [0, 0, 0, 8]));
    reset_of_wrong_size: ends(head(1, END_HEADERS), frame(RST_STREAM, 0, 1, "x"));
    window_of_an_idle_stream: ends(frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]));
    window_of_zero: ends(frame(WINDOW_UPDATE, 0, 0, [0; 4]));
    window_of_wrong_size: ends(frame(WINDOW_UPDATE, 0, 0, "x"));
    window_past_its_bound: ends(frame(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff]));
    settings_of_wrong_size: ends(frame(SETTINGS, 0, 0, "12345"));
    settings_on_a_stream: ends(frame(SETTINGS, 0, 1, ""));
    settings_acknowledged_with_a_payload: ends(frame(SETTINGS, ACK, 0, [0; 6]));
    settings_push_of_two: ends(frame(SETTINGS, 0, 0, [0, 2, 0, 0, 0, 2]));
    settings_window_too_large: ends(frame(SETTINGS, 0, 0, [0, 4, 0x80, 0, 0, 0]));
    settings_frame_size_too_small: ends(frame(SETTINGS, 0, 0, [0, 5, 0, 0, 0x3f, 0xff]));
    settings_frame_size_too_large: ends(frame(SETTINGS, 0, 0, [0, 5, 1, 0, 0, 0]));
    ping_of_wrong_size: ends(frame(PING, 0, 0, "1234567"));
    ping_on_a_stream: ends(frame(PING, 0, 1, "12345678"));
    goaway_on_a_stream: ends(frame(GOAWAY, 0, 1, [0; 8]));
    push_from_a_client: ends(head(1, END_HEADERS), frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]));
    continuation_of_nothing: ends(frame(CONTINUATION, END_HEADERS, 1, ""));
    headers_interrupted: ends(head(1, END_STREAM), frame(PING, 0, 0, "12345678"));
    headers_continued_on_another_stream: ends(head(1, END_STREAM), frame(CONTINUATION, END_HEADERS, 3, ""));
    headers_with_too_much_padding: ends(frame(HEADERS, WHOLE | 8, 1, [200, 0x82]));
    data_with_too_much_padding: ends(head(1, END_HEADERS), frame(DATA, 8, 1, [200, 1]));
    headers_with_a_broken_index: ends(frame(HEADERS, WHOLE, 1, [0xff, 0xff, 0xff, 0xff, 0x7f]));
    headers_with_index_zero: ends(frame(HEADERS, WHOLE, 1, [0x80]));
    headers_with_a_string_past_their_end: ends(frame(HEADERS, WHOLE, 1, [0, 0x7e, b'a']));
    headers_with_too_large_a_table: ends(frame(HEADERS, WHOLE, 1, [0x3f, 0xff, 0xff, 0xff, 0x7f]));
    frame_too_large: ends(head(1, END_HEADERS), frame(DATA, 0, 1, vec![0; (16 << 10) + 1]));
    data_after_the_end: resets(head(1, WHOLE), frame(DATA, 0, 1, "x"));
    stream_window_of_zero: resets(head(1, END_HEADERS), frame(WINDOW_UPDATE, 0, 1, [0; 4]));
    stream_window_past_its_bound: resets(head(1, END_HEADERS), frame(WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff]));
    stream_that_depends_on_itself: harmless_or_resets(frame(PRIORITY, 0, 1, [0, 0, 0, 1, 15]));
    trailers_without_the_end: resets(head(1, END_HEADERS), frame(HEADERS, END_HEADERS, 1, block([("a", "b")])));
    frame_of_unknown_kind: harmless(frame(0x77, 0xff, 0, "anything"));
    settings_unknown: harmless(frame(SETTINGS, 0, 0, [0xab, 0xcd, 0, 0, 0, 1]));
    priority_of_an_idle_stream: harmless(frame(PRIORITY, 0, 3, [0, 0, 0, 1, 15]));
    flags_unknown: harmless(head(1, WHOLE | 0x50));
    headers_in_many_pieces: harmless(
        frame(HEADERS, END_STREAM, 1, &block(get("/case"))[..5]),
        frame(CONTINUATION, 0, 1, ""),
        frame(CONTINUATION, END_HEADERS, 1, &block(get("/case"))[5..]),
    );
}

/// RFC 9113 deprecates priorities; to ignore them and to object are both in use.
#[track_caller]
fn harmless_or_resets(frames: &[Vec<u8>]) {
    let stage = stage();
    let mut client = open(&stage.gateway);
    client.send([frames.concat(), frame(PING, 0, 0, "12345678")].concat());
    until(&mut client, |f| {
        matches!(f.kind, GOAWAY | RST_STREAM) || f.kind == PING && f.flags & ACK != 0
    });
    assert_eq!(stage.gateway.get("/fence").status, 200);
}

/// RFC 9113 §8.1 calls them malformed; the `h2` crate drops them. Either way they reach nobody.
#[test]
fn pseudo_fields_in_trailers_reach_nobody() {
    let stage = stage();
    let mut client = open(&stage.gateway);
    let trailers = block([(":path", "/x"), ("sum", "1")]);
    client.send([head(1, END_HEADERS), frame(HEADERS, WHOLE, 1, trailers)].concat());
    until(&mut client, |f| f.stream == 1 || f.kind == GOAWAY);
    assert_eq!(stage.gateway.get("/fence").status, 200);
    let problems = stage.origin.problems();
    assert!(problems.is_empty(), "{problems:?}");
    for request in stage.origin.requests() {
        assert!(request.target != "/x" && request.trailers.len() <= 1, "{request}");
    }
}

/// CVE-2023-44487: streams opened and reset at once must not make work without bound.
#[test]
fn rapid_resets_end_the_connection() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/case" => {
            vec![Action::Wait(wait.clone()), send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
        }
        _ => echo_line(request),
    });
    let gateway = start(&one_thread(&origin).limits("resets = 20\nstreams = 100"));
    let mut client = open(&gateway);
    let flood = |n: u32| {
        let stream = 2 * n + 1;
        [head(stream, WHOLE), frame(RST_STREAM, 0, stream, [0, 0, 0, 8])].concat()
    };
    client.send((0..5_000).flat_map(flood).collect::<Vec<u8>>());
    if let Some(goaway) = until(&mut client, |frame| frame.kind == GOAWAY) {
        assert_ne!(goaway.error(), 0, "GOAWAY without an error");
    }
    client.rest();
    gate.open();
    assert_eq!(gateway.get("/fence").status, 200);
    let seen = origin.requests().len();
    assert!(seen <= 500, "the origin was asked {seen} times");
}

#[test]
fn a_flood_of_pings_is_bounded() {
    flood(|_| frame(PING, 0, 0, "12345678"));
}

#[test]
fn a_flood_of_settings_is_bounded() {
    flood(|_| frame(SETTINGS, 0, 0, ""));
}

#[test]
fn a_flood_of_empty_data_is_bounded() {
    flood(|n| if n == 0 { head(1, END_HEADERS) } else { frame(DATA, 0, 1, "") });
}

/// CVE-2024-27316 and its kin.
#[test]
fn a_flood_of_continuations_is_bounded() {
    flood(|n| match n {
        0 => frame(HEADERS, END_STREAM, 1, block(get("/case"))),
        _ => frame(CONTINUATION, 0, 1, block([("a", &"b".repeat(100) as &str)])),
    });
}

/// Sends many frames and never reads. The gateway may object or not; its memory stays bounded.
#[track_caller]
fn flood(make: impl Fn(usize) -> Vec<u8>) {
    let origin = Origin::start();
    let gateway = before(&origin);
    gateway.get("/warm");
    let rest = gateway.memory().resident;
    let mut client = open(&gateway);
    for start in 0..50 {
        let frames: Vec<u8> = (start * 1_000..(start + 1) * 1_000).flat_map(&make).collect();
        if client.try_send(&frames).is_err() {
            break;
        }
    }
    assert_eq!(gateway.get("/fence").status, 200);
    let growth = gateway.memory().peak.saturating_sub(rest);
    assert!(growth < 16 << 20, "it grew by {} KiB", growth >> 10);
}

#[test]
fn the_cap_on_streams_is_announced_and_kept() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| {
        vec![Action::Wait(wait.clone()), send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
    });
    let gateway = start(&one_thread(&origin).top("cache = false").limits("streams = 3"));
    let mut client = open(&gateway);
    let settings =
        until(&mut client, |f| f.kind == SETTINGS && f.flags & ACK == 0).expect("settings");
    let cap = settings.payload.chunks(6).find(|entry| entry[..2] == [0, 3]);
    assert_eq!(cap, Some(&[0, 3, 0, 0, 0, 3][..]));
    client.send((0..4).flat_map(|n| head(2 * n + 1, WHOLE)).collect::<Vec<u8>>());
    let refused =
        until(&mut client, |f| f.kind == RST_STREAM || f.kind == GOAWAY).expect("a refusal");
    assert!(refused.kind == GOAWAY || refused.stream == 7, "{refused:?}");
    origin.head(3);
    gate.open();
    assert_eq!(gateway.get("/fence").status, 200);
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn too_large_a_head_is_refused() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).limits("head_bytes = \"4 KiB\""));
    let mut client = open(&gateway);
    let long = "b".repeat(6_000);
    let fields = get("/case").into_iter().chain([("a", long.as_str())]);
    client.send(frame(HEADERS, WHOLE, 1, block(fields)));
    let answer = until(&mut client, |f| matches!(f.kind, HEADERS | RST_STREAM | GOAWAY));
    assert!(!answer.is_some_and(|frame| frame.is_ok()));
    assert_eq!(gateway.get("/fence").status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn too_many_fields_are_refused() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).limits("fields = 20"));
    let mut client = open(&gateway);
    let fields = get("/case").into_iter().chain([("a", "b"); 30]);
    client.send(frame(HEADERS, WHOLE, 1, block(fields)));
    let answer = until(&mut client, |f| matches!(f.kind, HEADERS | RST_STREAM | GOAWAY));
    assert!(!answer.is_some_and(|frame| frame.is_ok()));
    assert_eq!(gateway.get("/fence").status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_idle_connection_is_ended() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).limits("idle_time = \"300ms\""));
    let mut client = open(&gateway);
    client.rest();
}

#[test]
fn a_connection_that_stops_in_its_preface_is_ended() {
    let origin = Origin::start();
    let limits = "idle_time = \"300ms\"\nhead_time = \"300ms\"";
    let gateway = start(&one_thread(&origin).limits(limits));
    for bytes in ["PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = gateway.client();
        client.send(bytes);
        client.rest();
    }
}

#[test]
fn a_stream_reset_by_the_client_ends_the_exchange() {
    let origin = Origin::play(|_| vec![Action::Silence]);
    // With a cache the fetch would go on for it.
    let gateway = start(&one_thread(&origin).top("cache = false"));
    let mut client = open(&gateway);
    client.send(head(1, WHOLE));
    origin.head(1);
    client.send(frame(RST_STREAM, 0, 1, [0, 0, 0, 8]));
    origin.open_connections(0);
    client.send(frame(PING, 0, 0, "12345678"));
    alive(&mut client);
}

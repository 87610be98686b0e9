//! Lines and keys.

use super::draw::{Told, digits, frame, millis, plain, spark};
use super::view::{Asked, View};
use serde_json::{Value, json};

fn live() -> Value {
    json!({
        "version": "1", "uptime_s": 75, "served": 9, "listen": ["http://127.0.0.1:8080"],
        "notices": [{ "level": "bad", "text": "shop: 1 of 2 servers out" }],
        "total": { "rps": 1240.0, "p50_ms": 0.6, "p95_ms": 41.0, "p99_ms": 310.0,
            "percentiles_over_s": [10, 10, 60], "max_ms": 1900.0, "error_share": 0.0002,
            "hit_share": 0.71, "origin_share": 0.29, "own_us": 310.0, "cpu_us": 22.0 },
        "objectives": [],
        "time": { "middle": { "name": "p50", "ms": 10.0, "parts": { "gateway": 1.0, "server": 9.0 } },
            "tail": { "name": "p99", "ms": 300.0, "parts": { "queue": 100.0, "server": 200.0 } } },
        "routes": [
            { "route": "/fast", "rps": 900.0, "p99_ms": 60.0, "time_share": 0.14, "error_share": 0.0 },
            { "route": "/search", "rps": 88.0, "p99_ms": 900.0, "time_share": 0.61, "error_share": 0.01 }],
        "services": [{ "service": "shop", "servers": [
            { "server": "http://10.0.0.1:80", "condition": "ejected", "why": "slow", "rps": 3.0, "latency_ms": 210.0, "in_flight": 4, "ejections": 2 }] }],
        "kept": [
            { "id": "a1", "ms": 900.0, "why": "slow", "status": 200, "method": "GET", "target": "/search\u{1b}[2J\u{202e}x", "route": "/search" },
            { "id": "b2", "ms": 3.0, "why": "sample", "status": 200, "method": "GET", "target": "/fast", "route": "/fast" }],
    })
}

fn drawn(view: &View, size: (usize, usize), colour: bool) -> Vec<String> {
    let (live, why) = (
        live(),
        json!({ "findings": [{ "title": "a2 is slow", "sentence": "91 % went there.", "next": "Look at a2.", "ms": 201.0 }] }),
    );
    let told = Told { admin: "here:9900", live: &live, why: Some(&why), lost: None };
    frame(&told, view, size).iter().map(|line| line.text(size.0, colour)).collect()
}

#[test]
fn the_blocks_come_in_order() {
    let text = drawn(&View::default(), (120, usize::MAX), false).join("\n");
    let mut from = 0;
    for part in [
        "fleetfoot 1 at here:9900, up 75 s",
        "! shop: 1 of 2 servers out",
        "IS IT FAST?",
        "1240/s",
        "p99 310 ms (60 s)",
        "errors 0.02 %",
        "WHERE DOES THE TIME GO?",
        "p50",
        "█",
        "server 9.00 ms",
        "p99",
        "queue 100 ms",
        "WHY IS THE TAIL SLOW?",
        "+201 ms a2 is slow: 91 % went there.",
        "next: Look at a2.",
        "ROUTES by time",
        "/search",
        "/fast",
        "SERVERS",
        "shop 10.0.0.1:80",
        "ejected: slow",
        "KEPT REQUESTS",
        "900 ms",
        "GET /search",
    ] {
        let at = text[from..].find(part);
        from += at.unwrap_or_else(|| panic!("no {part:?} after {}:\n{text}", &text[..from]));
    }
}

#[test]
fn it_fits_any_terminal_and_nothing_sent_commands_it() {
    for size in [(80, 24), (40, 10), (200, 60), (10, 2)] {
        let lines = drawn(&View::default(), size, false);
        assert_eq!(lines.len(), size.1, "{size:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= size.0), "{size:?}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains('\u{1b}') || line.contains('\u{202e}')));
    }
    assert_eq!(plain(&json!("a\u{1b}[2J\nb\u{202e}é")), "a·[2J·b··");
}

#[test]
fn keys_sort_filter_choose_open_and_end() {
    let (mut view, live) = (View::default(), live());
    assert_eq!(view.press(b"s", &live), Asked::Nothing);
    let routes = drawn(&view, (120, usize::MAX), false).join("\n");
    assert!(routes.find("/fast ") < routes.find("/search "), "by req/s: {routes}");
    assert_eq!(view.press(b"\r", &live), Asked::One("a1".into()));
    view.press(b"\x1b[B", &live);
    view.press(b"j", &live);
    assert_eq!(view.press(b"\r", &live), Asked::One("b2".into()));
    view.press(b"\x1b[A", &live);
    assert_eq!(view.press(b"\r", &live), Asked::One("a1".into()));
    view.press(b"/fastq\x7f\r", &live);
    assert_eq!((view.filter.as_str(), view.writing), ("fast", false));
    assert_eq!(view.press(b"\r", &live), Asked::One("b2".into()));
    view.open(Some(json!({ "ms": 3.0, "method": "GET", "target": "/fast", "status": 200, "why": "sample",
        "phases": [{ "phase": "server", "from_ms": 0.0, "ms": 3.0 }],
        "tries": [{ "cause": "first", "server": "http://a", "from_ms": 1.0, "ms": 2.0, "status": 502 }] })));
    let text = drawn(&view, (100, 30), false).join("\n");
    for part in ["GET /fast", "200 after 3.00 ms", "server", "first a 502", "esc back"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert_eq!(view.press(b"q", &live), Asked::Nothing);
    view.press(b"\x1b", &live);
    assert_eq!((view.filter.as_str(), view.one.is_none()), ("", true));
    assert_eq!(view.press(b"q", &live), Asked::End);
    assert_eq!(view.press(b"\x03", &live), Asked::End);
}

#[test]
fn figures_read_well() {
    assert_eq!([0.0, 0.123, 12.34, 1234.5].map(digits), ["0", "0.12", "12.3", "1234"]);
    let times = [json!(null), json!(0.0123), json!(12.3), json!(2500)];
    assert_eq!(times.map(|time| millis(&time)), ["-", "12.3 µs", "12.3 ms", "2.50 s"]);
    assert_eq!(spark(&[Some(0.0), None, Some(7.0), Some(3.5)]), "▁ █▅");
}

#[test]
fn jobs_have_one_line() {
    let why = Value::Null;
    let line = |jobs: Value| {
        let mut live = live();
        live["jobs"] = jobs;
        let told = Told { admin: "here:9900", live: &live, why: Some(&why), lost: None };
        let lines = frame(&told, &View::default(), (120, usize::MAX));
        let lines: Vec<_> = lines.iter().map(|line| line.text(120, false)).collect();
        lines.into_iter().find(|line| line.starts_with("JOBS ")).unwrap_or_default()
    };
    let queue = |name: &str, oldest: f64, dead: u64, away: bool| {
        json!({ "queue": name, "ready": 3, "scheduled": 2, "running": 1, "oldest_s": oldest,
            "in_per_s": 0.5, "out_per_s": 2.0, "dead": dead, "away": away })
    };
    let two = json!({ "queues": [queue("mail", 180.0, 0, false), queue("x", 0.0, 7, true)], "closed": null });
    let text = line(two);
    for part in
        ["10 wait, ", "in mail", "in 1.00/s", "out 4.00/s", "running 2", "dead 7", "1 without"]
    {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(line(json!({ "queues": [], "closed": "EIO" })).contains("the log is closed"));
    assert_eq!(line(Value::Null), "");
}

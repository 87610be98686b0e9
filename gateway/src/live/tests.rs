//! The page's figures from made-up records and lists.

use super::bands::{Band, bands};
use super::kept::{Wanted, find, list};
use super::shown::{EVENT_BYTES_MAX, fitted, short};
use base::Moment;
use monitor::facts::{Cause, Facts, Try};
use monitor::keep::Why;
use monitor::record::Beside;
use monitor::{Kept, Phase, Record, Trace};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

/// An exchange of so many milliseconds at a server, and one of our own.
fn facts(begun: u64, server: u64) -> Facts {
    let mut facts = Facts { status: 200, ..Facts::begin(at(begun)) };
    facts.timeline.enter(Phase::Server, at(begun + 1));
    facts.timeline.enter(Phase::Gateway, at(begun + 1 + server));
    facts
}

#[test]
fn bands_sum_to_their_whole_and_name_what_is_slow() {
    // Of 2,000 the last hundred wait long for their server.
    let took = |i: u64| if i < 1_900 { 10 } else { 300 };
    let all: Vec<Record> =
        (0..2_000).map(|i| Record::of(&facts(i, took(i)), Beside::default())).collect();
    let [middle, tail] = bands(all.iter()).map(|band| band.expect("2,000 are enough"));
    assert_eq!((middle.name, tail.name), ("p50", "p99"));
    let spent = |band: &Band, phase| {
        band.parts.iter().find(|(p, _)| *p == phase).map_or(0, |(_, time)| time.as_millis())
    };
    assert_eq!((spent(&middle, Phase::Server), spent(&tail, Phase::Server)), (10, 300));
    assert_eq!((spent(&middle, Phase::Gateway), spent(&tail, Phase::Gateway)), (1, 1));
    for band in [middle, tail] {
        let sum: Duration = band.parts.iter().map(|(_, time)| *time).sum();
        assert!(band.total.abs_diff(sum) < Duration::from_micros(1), "{band:?}");
    }
}

#[test]
fn a_band_of_too_few_is_not_told() {
    for (count, names) in [
        (39, [None, None]),
        (40, [Some("p50"), None]),
        (200, [Some("p50"), Some("p90")]),
        (400, [Some("p50"), Some("p95")]),
        (2_000, [Some("p50"), Some("p99")]),
    ] {
        let all: Vec<Record> =
            (0..count).map(|i| Record::of(&facts(i, i), Beside::default())).collect();
        assert_eq!(bands(all.iter()).map(|band| band.map(|band| band.name)), names, "{count}");
    }
}

fn kept(begun: u64, server: u64, trace: u128) -> Arc<Kept> {
    let mut facts = facts(begun, server);
    if trace != 0 {
        facts.trace = Trace::begin(None, (trace, trace as u64 + 1), false);
    }
    let tried = Try {
        number: 1,
        cause: Cause::First,
        server: 0,
        begun: at(begun + 1),
        ended: at(begun + 1 + server),
        status: 200,
        fault: None,
        reused: false,
    };
    Arc::new(Kept {
        why: Why::Slow,
        facts,
        client: "127.0.0.1".into(),
        method: "GET".into(),
        host: "shop.test".into(),
        target: "/x".repeat(100),
        protocol: "HTTP/1.1",
        tls: false,
        user_agent: String::new(),
        route: Some("*".into()),
        service: Some("shop".into()),
        tries: vec![(tried, "http://a".into())],
        request_id: None,
    })
}

#[test]
fn an_exchange_is_found_by_span_trace_or_number() {
    let all = [kept(0, 5, 0), kept(10, 6, 0xab), kept(20, 7, 0xab), kept(30, 8, 0)];
    let ms = |id: &str| find(all.iter(), 7, id).map(|found| found["ms"].clone());
    assert_eq!(ms("7"), Some(json!(6.0)));
    assert_eq!(ms("10"), Some(json!(9.0)));
    assert_eq!(ms("00000000000000ac"), Some(json!(8.0)));
    assert_eq!(ms("000000000000000000000000000000ab"), Some(json!(8.0)));
    assert_eq!((ms("8"), ms("11"), ms("")), (None, None, None));
}

#[test]
fn a_waterfall_is_in_order_and_sums_to_the_whole() {
    let found = find([kept(10, 6, 0)].iter(), 0, "0").expect("the only one");
    let phases = found["phases"].as_array().expect("a list");
    let mut from = 0.0;
    for phase in phases {
        assert!((phase["from_ms"].as_f64().unwrap() - from).abs() < 1e-9, "{phases:?}");
        from += phase["ms"].as_f64().unwrap();
    }
    assert!((from - found["ms"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(found["tries"][0]["server"], "http://a");
    assert_eq!(
        (&found["tries"][0]["from_ms"], &found["tries"][0]["ms"]),
        (&json!(1.0), &json!(6.0))
    );
}

#[test]
fn a_list_has_what_was_asked_for_the_newest_first() {
    let all: Vec<_> = (0..10).map(|i| kept(i * 1_000, i, 0)).collect();
    let ids = |query: &str| {
        let wanted = Wanted::read(query).expect("a good query");
        let list = list(all.iter(), 0, wanted);
        list.as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("limit=3"), ["9", "8", "7"]);
    assert_eq!(ids("min_ms=4&max_ms=6"), ["5", "4", "3"]);
    let second = at(5_000).wall_ms().0;
    assert_eq!(ids(&format!("from={second}&to={}", second + 1_900)), ["6", "5"]);
    for bad in ["limit=x", "min_ms=-1", "color=red", "limit"] {
        let name = bad.split('=').next().unwrap();
        assert!(Wanted::read(bad).unwrap_err().contains(name), "{bad}");
    }
}

#[test]
fn an_event_fits_whatever_there_is_to_tell() {
    let long = "n".repeat(200);
    let server = || json!({ "server": long, "condition": "up", "weight": 1, "rps": 1.5 });
    let services: Vec<Value> = (0..40)
        .map(|_| json!({ "service": long, "servers": (0..100).map(|_| server()).collect::<Vec<_>>(), "servers_more": 0 }))
        .collect();
    let row = json!({ "route": long, "text": long, "id": long });
    let rows: Vec<&Value> = vec![&row; 300];
    let value = json!({ "routes": rows, "kept": rows, "objectives": rows, "notices": rows, "services": services });
    let text = fitted(&value);
    assert!(text.len() <= EVENT_BYTES_MAX, "{}", text.len());
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let routes = told["routes"].as_array().unwrap().len() as u64;
    assert!(routes > 0 && routes + told["routes_more"].as_u64().unwrap() == 300, "{text}");
    let services = told["services"].as_array().unwrap().len() as u64;
    assert!(services > 0 && services + told["services_more"].as_u64().unwrap() == 40, "{text}");
    // What is small is told whole.
    let small = json!({ "routes": [row], "services": [{ "service": "a", "servers": [server()], "servers_more": 0 }] });
    let told: Value = serde_json::from_str(&fitted(&small)).expect("JSON");
    assert_eq!((&told["routes"], &told["routes_more"]), (&small["routes"], &Value::Null));
}

#[test]
fn figures_have_four_digits() {
    for (value, told) in [
        (0.0, "0.0"),
        (1234.567, "1235.0"),
        (123_456.0, "123500.0"),
        (0.012_345_6, "0.01235"),
        (0.1 + 0.2, "0.3"),
        (99.999_9, "100.0"),
    ] {
        assert_eq!(json!(short(value)).to_string(), told, "{value}");
    }
    assert_eq!(short(f64::INFINITY).to_string(), "0");
}

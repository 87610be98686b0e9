//! What is told of a ledger, in each format.

use super::*;
use crate::Ledger;
use std::sync::Arc;

fn told() -> Vec<Told> {
    let ledger = Arc::new(Ledger::default());
    ledger.server("a\"b", "x\\y");
    let route = ledger.route("r");
    for millis in [3, 3, 3, 700] {
        route.from_service.record(Duration::from_millis(millis));
    }
    route.phase(crate::Phase::Queue).record(Duration::from_millis(2));
    let house = House {
        version: "1",
        threads: 1,
        reloads: 0,
        reload_failures: 0,
        draining: false,
        uptime: Duration::ZERO,
    };
    let exemplar = |span, micros| Exemplar {
        trace: 0xab,
        span,
        took: Duration::from_micros(micros),
        at: Moment::now(),
    };
    let some = vec![exemplar(1, 2_600), exemplar(2, 3_000), exemplar(3, 90_000_000)];
    let others = vec![Family::one("fleetfoot_x_total", "counter", "Help.", 3)];
    gather(&[ledger], others, house, &Exemplars::from([("r".to_owned(), some)]))
}

#[test]
fn label_values_are_escaped_and_families_announced() {
    let text = text::plain(&told());
    assert!(text.contains("\nfleetfoot_x_total 3\n"));
    assert!(text.contains(r#"fleetfoot_server_connections{service="a\"b",server="x\\y"} 0"#));
    assert!(text.contains("fleetfoot_request_seconds_bucket{route=\"r\",le=\"0.005\"} 3\n"));
    assert!(text.contains("fleetfoot_request_seconds_bucket{route=\"r\",le=\"1\"} 4\n"));
    let queue = "fleetfoot_phase_seconds_bucket{route=\"r\",phase=\"queue\",le=\"0.005\"} 1\n";
    assert!(text.contains(queue) && !text.contains("phase=\"db\""), "{text}");
    assert!(!text.contains("trace_id"), "there are no exemplars in this format");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
        let family = family.unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
    }
}

#[test]
fn open_metrics_has_exemplars_and_an_end() {
    let text = text::open(&told());
    assert!(text.ends_with("\n# EOF\n"));
    assert!(text.contains("# TYPE fleetfoot_x counter\nfleetfoot_x_total 3\n"));
    let line = |le: &str| {
        let start = format!("fleetfoot_request_seconds_bucket{{route=\"r\",le=\"{le}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {le}: {text}")).to_owned()
    };
    let span = |le: &str| line(le).split("span_id=\"").nth(1).map(|rest| rest[..16].to_owned());
    // The newest of its bucket.
    assert_eq!(span("0.005").as_deref(), Some("0000000000000002"));
    assert_eq!(span("+Inf").as_deref(), Some("0000000000000003"));
    assert_eq!((span("0.0025"), line("1.0").as_str()), (None, "4"));
    let told = line("0.005");
    let told = told.split(" # ").nth(1).unwrap();
    let ids = "{trace_id=\"000000000000000000000000000000ab\",span_id=\"0000000000000002\"} 0.003 ";
    assert!(told.starts_with(ids), "{told}");
}

#[test]
fn a_bound_counts_what_lasted_as_long() {
    let mut merged = Merged::<7>::default();
    merged.add(Duration::from_micros(100), 1);
    merged.add(Duration::from_secs(100), 1);
    let bars = Bars::of(&merged, Vec::new());
    let below: Vec<u64> = bars.below(&[50, 150, 60_000_000]).iter().map(|(_, n, _)| *n).collect();
    assert_eq!((below, bars.count), (vec![0, 1, 1], 2));
}

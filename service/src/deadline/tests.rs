//! Deadlines: what is read, what is handed on, who is refused for want of time.

use super::*;
use base::Version;
use fastrand::Rng;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::build(Version::Http2, b"POST", b"/");
    for (name, value) in fields {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn rules(field: Option<&str>) -> Deadlines {
    Deadlines { field: field.map(str::to_owned), ..Deadlines::standard() }
}

/// What fields say, under a rule that names `field`.
fn check(field: Option<&str>, fields: &[(&str, &str)], expected: Told) {
    assert_eq!(told(&request(fields).fields, &rules(field)), expected, "{fields:?}");
}

#[test]
fn grpc_timeouts_are_digits_and_a_unit() {
    for (text, nanos) in [
        ("1H", Some(3_600_000_000_000)),
        ("2M", Some(120_000_000_000)),
        ("3S", Some(3_000_000_000)),
        ("250m", Some(250_000_000)),
        ("99999999u", Some(99_999_999_000)),
        ("00000007n", Some(7)),
        ("0S", Some(0)),
        ("99999999H", Some(u64::MAX)),
        ("000000007n", None),
        ("S", None),
        ("", None),
        ("10", None),
        ("1s", None),
        ("1h", None),
        ("-1S", None),
        ("+1S", None),
        ("1.5S", None),
        (" 1S", None),
        ("1 S", None),
        ("1SS", None),
    ] {
        assert_eq!(grpc_timeout(text.as_bytes()), nanos.map(Duration::from_nanos), "{text:?}");
    }
}

#[test]
fn plain_timeouts_may_bring_a_unit() {
    for (text, in_ms, in_s) in [
        ("250", Some(ms(250)), Some(ms(250_000))),
        ("0", Some(ms(0)), Some(ms(0))),
        ("1.5", Some(Duration::from_micros(1_500)), Some(ms(1_500))),
        ("250ms", Some(ms(250)), Some(ms(250))),
        ("250 ms", Some(ms(250)), Some(ms(250))),
        ("2s", Some(ms(2_000)), Some(ms(2_000))),
        ("0.25s", Some(ms(250)), Some(ms(250))),
        ("40us", Some(Duration::from_micros(40)), Some(Duration::from_micros(40))),
        ("1m", Some(ms(60_000)), Some(ms(60_000))),
        ("1h", Some(ms(3_600_000)), Some(ms(3_600_000))),
        ("0.0000000019s", Some(Duration::from_nanos(1)), Some(Duration::from_nanos(1))),
        ("", None, None),
        ("ms", None, None),
        (".5", None, None),
        ("5.", None, None),
        ("1.2.3", None, None),
        ("-5", None, None),
        ("+5", None, None),
        ("1e3", None, None),
        ("5 S", None, None),
        ("0x10", None, None),
        ("Infinity", None, None),
    ] {
        assert_eq!(plain_timeout(text.as_bytes(), true), in_ms, "{text:?} in ms");
        assert_eq!(plain_timeout(text.as_bytes(), false), in_s, "{text:?} in s");
    }
    let huge = "9".repeat(60);
    assert_eq!(plain_timeout(huge.as_bytes(), true), Some(Duration::from_nanos(u64::MAX)));
}

#[test]
fn the_shortest_that_can_be_read_counts() {
    let grpc = ("content-type", "application/grpc+proto");
    let x = Some("X-Timeout-Ms");
    check(x, &[], Told::Nothing);
    check(x, &[("x-timeout-MS", "250")], Told::For(ms(250)));
    check(Some("x-timeout"), &[("x-timeout", "2")], Told::For(ms(2_000)));
    check(None, &[("x-timeout-ms", "250")], Told::Nothing);
    check(x, &[("grpc-timeout", "1S")], Told::Nothing);
    check(None, &[grpc, ("Grpc-Timeout", "1S")], Told::For(ms(1_000)));
    check(x, &[grpc, ("grpc-timeout", "1S"), ("x-timeout-ms", "250")], Told::For(ms(250)));
    check(x, &[grpc, ("grpc-timeout", "1m"), ("x-timeout-ms", "250")], Told::For(ms(1)));
    check(x, &[grpc, ("grpc-timeout", "soon"), ("x-timeout-ms", "250")], Told::For(ms(250)));
    check(x, &[grpc, ("grpc-timeout", "1S"), ("x-timeout-ms", "soon")], Told::For(ms(1_000)));
    check(x, &[grpc, ("grpc-timeout", "soon")], Told::Junk);
    check(x, &[("x-timeout-ms", "soon")], Told::Junk);
    check(
        x,
        &[("x-timeout-ms", "soon"), ("x-timeout-ms", "7"), ("x-timeout-ms", "9")],
        Told::For(ms(7)),
    );
}

#[test]
fn a_client_shortens_what_its_route_allows_and_never_lengthens_it() {
    let came = Moment::from_nanos(5);
    let route = Deadline::after(came, ms(1_000));
    for (told, left) in [
        (Told::Nothing, 1_000),
        (Told::Junk, 1_000),
        (Told::For(ms(200)), 200),
        (Told::For(ms(2_000)), 1_000),
        (Told::For(ms(0)), 0),
    ] {
        assert_eq!(deadline(came, route, told).left(came), ms(left), "{told:?}");
    }
    assert_eq!(deadline(came, Deadline::NEVER, Told::Nothing), Deadline::NEVER);
}

#[test]
fn the_next_hop_is_told_once_and_in_its_own_words() {
    let fields = [("grpc-timeout", "9S"), ("X-T-Ms", "9000"), ("a", "b"), ("x-t-ms", "8000")];
    let mut head = request(&fields);
    write(&mut head, Some(ms(1_000)), true, &rules(Some("x-t-ms")));
    let lines: Vec<_> = head.fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(lines, [line("a", "b"), line("grpc-timeout", "950m"), line("x-t-ms", "950")]);

    // A request that is not gRPC keeps a field that means nothing to us.
    let mut head = request(&fields);
    write(&mut head, Some(ms(1_000)), false, &rules(Some("x-t")));
    assert_eq!(head.fields.find(b"grpc-timeout"), Some(&b"9S"[..]));
    assert_eq!(head.fields.find(b"x-t"), Some(&b"0.950"[..]));

    // No end: nothing is said.
    let mut head = request(&fields);
    write(&mut head, None, true, &rules(Some("x-t-ms")));
    assert_eq!(head.fields.len(), 1);
}

#[test]
fn what_is_handed_on_never_grows() {
    for (shrink, left, on) in
        [(500, 1_000_000, 950_000), (0, 7, 7), (10_000, 7, 0), (20_000, 7, 0), (500, 1, 0)]
    {
        let rules = Deadlines { shrink: Share(shrink), ..Deadlines::standard() };
        assert_eq!(handed_on(Duration::from_nanos(left), &rules), Duration::from_nanos(on));
    }
    let rules = Deadlines { shrink: Share(0), ..Deadlines::standard() };
    assert_eq!(handed_on(Duration::MAX, &rules), Duration::from_nanos(u64::MAX));
}

/// Written and read again a time is at most what it was, and at least 95 % of that less rounding.
#[test]
fn a_deadline_survives_the_way() {
    for seed in 0..20_000 {
        let mut rng = Rng::with_seed(seed);
        let left = Duration::from_nanos(rng.u64(..) >> rng.u32(0..64));
        let name = if rng.bool() { "x-left-ms" } else { "x-left" };
        let rules = rules(Some(name));
        let mut head = request(&[("content-type", "application/grpc")]);
        let is_grpc = rng.bool();
        write(&mut head, Some(left), is_grpc, &rules);
        let Told::For(read) = told(&head.fields, &rules) else { panic!("seed {seed}: {left:?}") };
        assert!(read <= left, "seed {seed}: {read:?} of {left:?}");
        assert!(read + ms(1) >= left.mul_f64(0.95 * 0.999_98), "seed {seed}: {read:?} of {left:?}");
        if is_grpc {
            let text = head.fields.find(GRPC_TIMEOUT).expect("written");
            let read = grpc_timeout(text).expect("as gRPC has it");
            // Five digits at least are kept where one has to go.
            let least = left.mul_f64(0.95 * 0.999_98).saturating_sub(Duration::from_nanos(2));
            assert!(read <= left && read >= least, "seed {seed}: {read:?} of {left:?}");
        }
    }
}

#[test]
fn grpc_timeouts_are_written_in_eight_digits() {
    for (nanos, text) in [
        (0, "0H"),
        (7, "7n"),
        (950_000_000, "950m"),
        (1_000_000_000, "1S"),
        (3_600_000_000_000, "1H"),
        (99_999_999, "99999999n"),
        (100_000_001, "100000u"),
        (u64::MAX, "5124095H"),
    ] {
        assert_eq!(grpc_text(Duration::from_nanos(nanos)), text);
    }
    assert_eq!(grpc_text(Duration::MAX), "5124095H");
}

#[test]
fn an_estimate_refuses_a_fifth_at_most_and_the_settings_all() {
    let early = Early::new();
    let rules = Deadlines::standard();
    let now = |n: u64| Moment::from_nanos(n * 1_000_000);
    let refuse = |n: u64, left: u64, median: Option<u64>| {
        early.refuse(now(n), ms(left), median.map(ms), &rules)
    };
    assert_eq!(refuse(0, 4, None), Some(Late::Least));
    assert_eq!(refuse(0, 5, None), None);
    assert_eq!(refuse(0, 20, Some(20)), None);
    // All would be late: one in five is told so.
    let refused = (0..10_000).filter(|&n| refuse(n, 19, Some(20)) == Some(Late::Median)).count();
    assert!((1_990..=2_000).contains(&refused), "{refused}");
    // The least is no estimate.
    assert!((10_000..20_000).all(|n| refuse(n, 4, Some(20)) == Some(Late::Least)));
}

//! The table of retries, row by row and over every case.

use super::*;
use base::Version;
use std::cell::Cell;

const LEAST: Duration = Duration::from_millis(5);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn rules(attempts: u32, statuses: &[u16]) -> Retry {
    Retry { attempts, statuses: statuses.to_vec(), ..Retry::standard() }
}

/// A try after which nothing forbids another.
fn fair(ended: Ended<'_>) -> Tried<'_> {
    Tried {
        ended,
        begun: false,
        tries: 1,
        may_repeat: true,
        body_kept: true,
        reused: false,
        redialled: false,
        other: true,
        left: ms(1_000),
        least: LEAST,
        chance: 0.5,
    }
}

/// What is decided after an answer, two attempts being allowed.
fn check(status: u16, pairs: &[(&str, &str)], statuses: &[u16], expected: Next) {
    let fields = fields(pairs);
    let tried = fair(Ended::Answer { status, fields: &fields });
    assert_eq!(decide(&tried, &rules(2, statuses), || true), expected, "{status} {pairs:?}");
}

/// Every kind and replay of a fault, and answers that fail and that do not.
fn endings(each: &mut impl FnMut(Ended<'_>)) {
    for kind in FaultKind::ALL {
        for replay in [Replay::Never, Replay::IfIdempotent, Replay::Always] {
            each(Ended::Fault(&Fault::new(*kind, "").replay(replay)));
        }
    }
    for status in [200, 404, 429, 500, 501, 502, 503, 504] {
        for retry_after in [None, Some("0"), Some("2"), Some("3"), Some("soon")] {
            let pairs: Vec<_> = retry_after.iter().map(|value| ("retry-after", *value)).collect();
            each(Ended::Answer { status, fields: &fields(&pairs) });
        }
    }
}

/// Every state that a request can be in after a try that ended so.
fn states<'a>(ended: Ended<'a>, each: &mut impl FnMut(&Tried<'a>)) {
    for bits in 0..64_u32 {
        let bit = |at: u32| bits >> at & 1 == 1;
        for tries in 1..=4 {
            for left in [0, 5, 6, 30, 1_000, 10_000] {
                each(&Tried {
                    begun: bit(0),
                    may_repeat: bit(1),
                    body_kept: bit(2),
                    reused: bit(3),
                    redialled: bit(4),
                    other: bit(5),
                    tries,
                    left: ms(left),
                    ..fair(ended)
                });
            }
        }
    }
}

/// All that forbids another try, each by itself: [`decide`] must stop for one of these, and only then.
fn forbids(tried: &Tried<'_>, rules: &Retry) -> Vec<Why> {
    let mut against = Vec::new();
    let mut unless = |holds: bool, why: Why| {
        if !holds {
            against.push(why);
        }
    };
    unless(!tried.begun, Why::Begun);
    let unmade = ["service_full", "unresolved", "unreachable", "bad_tls"];
    let unmade = matches!(tried.ended, Ended::Fault(f) if unmade.contains(&f.kind.name()));
    let more = if unmade && rules.attempts > 0 { 10 } else { 0 };
    unless(tried.tries <= rules.attempts + more, Why::Attempts);
    unless(tried.body_kept, Why::Body);
    let mut wait = match tried.tries {
        1 => ms(0),
        2 => ms(25).mul_f64(0.75),
        3 => ms(50).mul_f64(0.75),
        _ => ms(100).mul_f64(0.75),
    };
    match tried.ended {
        Ended::Fault(fault) => {
            unless(fault.replay != Replay::Never, Why::Final);
            unless(fault.replay == Replay::Always || tried.may_repeat, Why::Method);
            let closed = fault.kind == FaultKind::ServerClosed;
            if closed && tried.reused && !tried.redialled || unmade && fault.replay != Replay::Never
            {
                wait = ms(0);
            }
            let elsewhere = [
                "service_full",
                "unresolved",
                "unreachable",
                "bad_tls",
                "connect_timeout",
                "first_byte_timeout",
            ];
            unless(tried.other || !elsewhere.contains(&fault.kind.name()), Why::Nobody);
        }
        Ended::Answer { status, fields } => {
            unless(rules.statuses.contains(&status), Why::Final);
            unless(tried.may_repeat, Why::Method);
            unless(tried.other, Why::Nobody);
            if status == 429 {
                match fields.get(FieldName::RetryAfter) {
                    Some(b"0") => wait = ms(0),
                    Some(b"2") => wait = ms(2_000),
                    _ => unless(false, Why::Told),
                }
            }
        }
    }
    unless(tried.left > wait + LEAST, Why::Time);
    against
}

#[test]
fn every_case_stops_for_a_reason_or_goes_on_for_lack_of_one() {
    let mut cases = 0_u64;
    endings(&mut |ended| {
        for rules in [rules(0, &[503]), rules(1, &[502, 503, 504]), rules(3, &[429, 503])] {
            states(ended, &mut |tried| {
                let against = forbids(tried, &rules);
                for rich in [false, true] {
                    let asked = Cell::new(false);
                    let next = decide(tried, &rules, || {
                        asked.set(true);
                        rich
                    });
                    match next {
                        Next::Stop(Why::Budget) => {
                            assert!(asked.get() && !rich && against.is_empty(), "{tried:?}");
                        }
                        Next::Stop(why) => {
                            assert!(!asked.get(), "nothing is withdrawn in vain: {tried:?}");
                            assert!(against.contains(&why), "{why:?} of {against:?}: {tried:?}");
                        }
                        Next::Again { at, free, .. } => {
                            assert!(against.is_empty(), "{against:?}: {tried:?}");
                            assert_eq!(asked.get(), !free, "{tried:?}");
                            assert!(at == At::Same || tried.other, "{tried:?}");
                        }
                    }
                    cases += 1;
                }
            });
        }
    });
    assert!(cases > 1_000_000, "{cases}");
}

#[test]
fn what_no_server_has_seen_is_free() {
    endings(&mut |ended| {
        let Next::Again { free, .. } = decide(&fair(ended), &rules(1, &[503]), || true) else {
            return;
        };
        let unseen = matches!(ended, Ended::Fault(fault) if fault.replay == Replay::Always);
        assert_eq!(free, unseen, "{ended:?}");
    });
}

#[test]
fn a_dead_connection_is_replaced_at_once_and_once() {
    let closed = Fault::new(FaultKind::ServerClosed, "").replay(Replay::IfIdempotent);
    let tried = Tried { reused: true, tries: 2, ..fair(Ended::Fault(&closed)) };
    let after = ms(0);
    let again = Next::Again { at: At::Same, after, free: true };
    assert_eq!(decide(&tried, &rules(2, &[]), || false), again);
    // The second time it is a fault like others.
    let tried = Tried { redialled: true, ..tried };
    let after = ms(25).mul_f64(0.75);
    let again = Next::Again { at: At::Other, after, free: false };
    assert_eq!(decide(&tried, &rules(2, &[]), || true), again);
    assert_eq!(decide(&tried, &rules(2, &[]), || false), Next::Stop(Why::Budget));
    // Nobody knows what became of a POST.
    let tried = Tried { redialled: false, may_repeat: false, ..tried };
    assert_eq!(decide(&tried, &rules(2, &[]), || true), Next::Stop(Why::Method));
}

#[test]
fn answers_are_tried_elsewhere_as_the_service_says() {
    let all = &[429, 502, 503, 504];
    let at_once = Next::Again { at: At::Other, after: ms(0), free: false };
    let later = |after: u64| Next::Again { at: At::Other, after: ms(after), free: false };
    let grpc = ("content-type", "application/grpc");
    let stop = Next::Stop;
    check(200, &[], all, stop(Why::Final));
    check(503, &[], all, at_once);
    check(503, &[], &[502], stop(Why::Final));
    // Retry-After holds back the one server.
    check(503, &[("retry-after", "100")], all, at_once);
    check(503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], all, at_once);
    check(429, &[], all, stop(Why::Told));
    check(429, &[("retry-after", "0")], all, at_once);
    check(429, &[("retry-after", "1")], all, stop(Why::Time));
    check(429, &[("retry-after", "3")], all, stop(Why::Told));
    check(429, &[("retry-after", "0")], &[503], stop(Why::Final));
    check(200, &[grpc, ("grpc-status", "0")], all, stop(Why::Final));
    check(200, &[grpc, ("grpc-status", "13")], all, stop(Why::Final));
    check(200, &[grpc, ("grpc-status", "14")], all, at_once);
    check(200, &[grpc, ("grpc-status", "8")], all, at_once);
    check(200, &[grpc, ("grpc-status", "8")], &[503], stop(Why::Final));
    check(200, &[("grpc-status", "14")], all, stop(Why::Final));
    let pushed = |ms| [grpc, ("grpc-status", "14"), ("grpc-retry-pushback-ms", ms)];
    check(200, &pushed("300"), all, later(300));
    check(200, &pushed("1500"), all, stop(Why::Time));
    check(200, &pushed("2500"), all, stop(Why::Told));
    check(200, &pushed("-1"), all, stop(Why::Told));
    check(200, &pushed("soon"), all, stop(Why::Told));
}

#[test]
fn pauses_double_and_half_of_each_is_chance() {
    for (tries, chance, pause) in [
        (0, 1.0, 0),
        (1, 1.0, 0),
        (2, 0.0, 50),
        (2, 1.0, 100),
        (3, 0.0, 100),
        (3, 0.5, 150),
        (4, 1.0, 400),
    ] {
        assert_eq!(backoff(ms(100), tries, chance), ms(pause), "{tries} {chance}");
    }
    assert!(backoff(Duration::MAX, 40, 1.0) > Duration::from_hours(1_000_000));
    assert!(backoff(ms(25), 80, 1.0) > Duration::from_hours(1_000));
}

#[test]
fn a_request_may_say_that_it_can_be_repeated() {
    for (method, key, expected) in [
        ("GET", None, true),
        ("HEAD", None, true),
        ("OPTIONS", None, true),
        ("TRACE", None, true),
        ("PUT", None, true),
        ("DELETE", None, true),
        ("POST", None, false),
        ("PATCH", None, false),
        ("get", None, false),
        ("POST", Some("\"8e03978e\""), true),
        ("PATCH", Some("x"), true),
        ("POST", Some(""), false),
    ] {
        let mut head = RequestHead::build(Version::Http11, method.as_bytes(), b"/");
        if let Some(key) = key {
            head.fields.push(b"Idempotency-Key", key.as_bytes());
        }
        assert_eq!(may_repeat(&head), expected, "{method} {key:?}");
    }
}

#[test]
fn one_try_has_its_own_end_where_another_may_follow() {
    let now = Moment::from_nanos(0);
    let by = Deadline::after(now, ms(100));
    for (try_time, attempts_left, left) in
        [(None, 1, 100), (Some(40), 1, 40), (Some(40), 0, 100), (Some(400), 1, 100)]
    {
        let rules = Retry { try_time: try_time.map(ms), ..Retry::standard() };
        assert_eq!(try_by(now, by, &rules, attempts_left).left(now), ms(left));
    }
}

#[test]
fn what_failed_is_told_to_the_balancer() {
    let grpc = ("content-type", "application/grpc+json");
    let failed = |hold: Option<u64>| Outcome::Failed { hold: hold.map(ms) };
    for status in 100..=999 {
        let bad = (500..600).contains(&status) && ![501, 505].contains(&status);
        let expected = if bad { failed(None) } else { Outcome::Good };
        assert_eq!(outcome_of(status, &fields(&[])), expected, "{status}");
    }
    for (status, pairs, expected) in [
        (503, vec![("retry-after", "7")], failed(Some(7_000))),
        (503, vec![("retry-after", "-7")], failed(None)),
        (429, vec![("Retry-After", "0")], Outcome::Good),
        (200, vec![("retry-after", "7")], Outcome::Good),
        (200, vec![grpc, ("grpc-status", "14")], failed(None)),
        (200, vec![grpc, ("grpc-status", "8"), ("grpc-retry-pushback-ms", "70")], failed(Some(70))),
        (200, vec![grpc, ("grpc-status", "8"), ("grpc-retry-pushback-ms", "-1")], failed(None)),
        (200, vec![grpc, ("grpc-status", "5")], Outcome::Good),
        (200, vec![grpc], Outcome::Good),
        (200, vec![("grpc-status", "14")], Outcome::Good),
    ] {
        assert_eq!(outcome_of(status, &fields(&pairs)), expected, "{status} {pairs:?}");
    }
    for kind in FaultKind::ALL {
        let unconnected = ["unresolved", "unreachable", "bad_tls", "connect_timeout"];
        let expected = match kind.side() {
            Side::Upstream if unconnected.contains(&kind.name()) => Outcome::Unconnected,
            Side::Upstream => failed(None),
            Side::Client | Side::Gateway => Outcome::Cancelled,
        };
        assert_eq!(outcome_of_fault(&Fault::new(*kind, "")), expected, "{}", kind.name());
    }
}

//! Callbacks as requests, and what follows their tries.

use super::*;
use crate::job::{JobId, Node};

const NOW: Wall = Wall(1_700_000_000_123);

fn over(state: State, status: u16) -> Over {
    Over {
        id: JobId::mint(NOW, Node::named("a"), 7),
        state,
        reason: Reason::Delivered,
        status,
        attempts: 2,
        queue: "mail".to_owned(),
        route: "send".to_owned(),
        ended: NOW,
        until: NOW,
        origin: JobId::NONE,
        answer: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        request: None,
        replayed: JobId::NONE,
    }
}

#[test]
fn a_request_is_read_as_it_was_made() {
    let over = over(State::Succeeded, 200);
    let about = About { token: "T0ken", path: "/jobs", node: "a" };
    let bytes = request(&over, "https://hooks.example/x?a=1", about);
    let told = read(&bytes).unwrap();
    assert_eq!(told.url, "https://hooks.example/x?a=1");
    let field = |name: &str| told.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    assert_eq!(field("ce-specversion"), Some("1.0"));
    assert_eq!(field("ce-id"), Some(over.id.to_string().as_str()));
    assert_eq!(field("ce-type"), Some("fleetfoot.job.succeeded.v1"));
    assert_eq!(field("ce-source"), Some("/fleetfoot/a"));
    assert_eq!(field("ce-time"), Some("2023-11-14T22:13:20.123Z"));
    assert_eq!(field("ce-subject"), Some("T0ken"));
    assert_eq!(field("Content-Length"), None);
    let body: Value = serde_json::from_slice(&bytes[told.body_at..]).unwrap();
    assert_eq!(body["type"], "fleetfoot.job.succeeded.v1");
    assert_eq!(body["timestamp"], "2023-11-14T22:13:20.123Z");
    assert_eq!(body["data"]["job"], "T0ken");
    assert_eq!(body["data"]["status"], 200);
    assert_eq!(body["data"]["links"]["result"], "/jobs/T0ken/result");
    for end in 0..told.body_at {
        assert!(read(&bytes[..end]).is_none(), "cut at {end}");
    }
}

fn after(attempt: u16, tried: Tried) -> Verdict {
    verdict(&queue().retry, attempt, &tried, NOW, &mut fastrand::Rng::with_seed(1))
}

fn answered(status: u16) -> Tried {
    Tried::Answered { status, retry_after: None }
}

#[test]
fn only_2xx_is_success_and_410_is_final() {
    for status in 200..=299 {
        let done = Verdict::Done { state: State::Succeeded, reason: Reason::Delivered };
        assert_eq!(after(1, answered(status)), done);
    }
    for status in [100, 199, 300, 301, 302, 307, 308, 400, 404, 409, 411, 429, 500, 503, 599, 999] {
        let verdict = after(1, answered(status));
        assert!(matches!(verdict, Verdict::Again { reason: Reason::Status, .. }), "{status}");
        let dead = Verdict::Dead { reason: Reason::Status };
        assert_eq!(after(TRIES, answered(status)), dead, "{status}");
    }
    assert_eq!(after(1, answered(410)), Verdict::Dead { reason: Reason::Refused });
    let refused = Tried::Failed(Reason::Refused);
    assert_eq!(after(1, refused), Verdict::Dead { reason: Reason::Refused });
    let timeout = Tried::Failed(Reason::Timeout);
    assert!(matches!(after(1, timeout), Verdict::Again { reason: Reason::Timeout, .. }));
}

#[test]
fn tries_are_spread_over_days_and_never_in_step() {
    let rules = queue().retry;
    let pauses: Vec<Duration> = (1..TRIES).map(|attempt| longest(&rules, attempt)).collect();
    let whole: Duration = pauses.iter().sum();
    assert!(pauses.is_sorted() && pauses[0] == Duration::from_secs(10), "{pauses:?}");
    assert!(whole > Duration::from_hours(60) && whole < Duration::from_hours(84), "{whole:?}");
    let mut rng = fastrand::Rng::with_seed(3);
    let mut dues = std::collections::HashSet::new();
    for _ in 0..100 {
        let Verdict::Again { due, .. } = verdict(&rules, 2, &answered(500), NOW, &mut rng) else {
            panic!("it is tried again")
        };
        let pause = due.since(NOW).as_secs_f64() / longest(&rules, 2).as_secs_f64();
        assert!((0.79..=1.21).contains(&pause), "{pause}");
        dues.insert(due.0);
    }
    assert!(dues.len() > 90);
}

#[test]
fn who_asks_for_time_gets_it() {
    let pause = |status, retry_after| match after(1, Tried::Answered { status, retry_after }) {
        Verdict::Again { due, .. } => due.since(NOW),
        other => panic!("{other:?}"),
    };
    let hour = Duration::from_hours(1);
    assert_eq!(pause(503, Some(hour)), hour);
    assert_eq!(pause(429, Some(Duration::from_hours(1_000))), PAUSE_MAX, "bounded");
    assert!(pause(500, Some(Duration::ZERO)) >= PAUSE.mul_f64(0.79), "never sooner");
    for status in [429, 502, 504] {
        assert!(pause(status, None) >= pause(500, None) * 4, "{status} is throttled");
    }
}

#[test]
fn no_receiver_slows_down_the_others() {
    for tried in [answered(429), answered(503), answered(301), Tried::Failed(Reason::Timeout)] {
        assert_eq!(lesson(&tried), Tried::Failed(Reason::Refused));
    }
    assert_eq!(lesson(&answered(204)), answered(204));
}

#[test]
fn the_file_may_say_how_callbacks_go_but_not_through_a_broker() {
    let default = Queue { name: "default".to_owned(), ..queue() };
    let all = with_queue(std::slice::from_ref(&default));
    assert_eq!(all, [default.clone(), queue()]);
    let own = Queue { broker: Some("nats://x".to_owned()), at_once: 2, ..queue() };
    let all = with_queue(&[default.clone(), own]);
    assert_eq!(all, [default, Queue { at_once: 2, ..queue() }]);
}

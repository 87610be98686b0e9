//! What follows a try, row by row, and how pauses spread.

use super::*;

fn rules() -> Retry {
    Retry {
        tries: 5,
        pause: Duration::from_secs(1),
        growth_percent: 200,
        pause_max: Duration::from_mins(1),
        on: Retry::standard_statuses(),
        lost_max: 3,
    }
}

fn check(attempt: u16, tried: Tried) -> Verdict {
    verdict(&rules(), attempt, &tried, Wall(1_000_000), &mut fastrand::Rng::with_seed(1))
}

fn answered(status: u16) -> Tried {
    Tried::Answered { status, retry_after: None }
}

#[test]
fn every_status_has_its_verdict() {
    for status in 0..=999 {
        let (is_again, dead) = match status {
            408 | 425 | 429 | 500..=599 => (true, Reason::Status),
            0..=199 => (true, Reason::BadAnswer),
            _ => (false, Reason::Delivered),
        };
        let reason = if (200..400).contains(&status) { Reason::Delivered } else { Reason::Refused };
        match check(4, answered(status)) {
            Verdict::Again { reason, .. } => assert!(is_again && reason == dead, "{status}"),
            other => assert_eq!(
                (is_again, other),
                (false, Verdict::Done { state: State::Succeeded, reason }),
                "{status}"
            ),
        }
        if is_again {
            assert_eq!(check(5, answered(status)), Verdict::Dead { reason: dead }, "{status}");
            assert_eq!(check(6, answered(status)), Verdict::Dead { reason: dead }, "{status}");
        }
    }
}

#[test]
fn a_try_without_an_answer_is_followed_by_another_until_they_are_used_up() {
    for reason in [Reason::Unreachable, Reason::Timeout, Reason::BadAnswer, Reason::NoService] {
        let Verdict::Again { reason: why, .. } = check(1, Tried::Failed(reason)) else {
            panic!("{reason:?} is given up at once");
        };
        assert_eq!(why, reason);
        assert_eq!(check(5, Tried::Failed(reason)), Verdict::Dead { reason });
    }
}

#[test]
fn pauses_double_up_to_the_longest_and_are_spread_from_nothing_on() {
    let mut rng = fastrand::Rng::with_seed(7);
    let rules = Retry { tries: u16::MAX, ..rules() };
    for (attempt, longest_s) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60), (60_000, 60)] {
        assert_eq!(longest(&rules, attempt), Duration::from_secs(longest_s));
        let mut thirds = [0; 3];
        for _ in 0..3_000 {
            let Verdict::Again { due, .. } =
                verdict(&rules, attempt, &answered(500), Wall(5), &mut rng)
            else {
                panic!("no more tries at {attempt}");
            };
            let pause = due.0 - 5;
            assert!(pause <= longest_s * 1_000, "{pause} ms after try {attempt}");
            thirds[(pause * 3 / (longest_s * 1_000 + 1)) as usize] += 1;
        }
        assert!(thirds.iter().all(|&n| (800..1_200).contains(&n)), "{attempt}: {thirds:?}");
    }
}

#[test]
fn a_service_that_asks_for_longer_gets_it_up_to_the_longest() {
    for (asked_s, from_s, to_s) in [(0, 0, 1), (30, 30, 30), (3_600, 60, 60)] {
        let retry_after = Some(Duration::from_secs(asked_s));
        match check(1, Tried::Answered { status: 503, retry_after }) {
            Verdict::Again { due, .. } => {
                let pause = due.0 - 1_000_000;
                assert!((from_s * 1_000..=to_s * 1_000).contains(&pause), "{asked_s}: {pause}");
            }
            other => panic!("{other:?}"),
        }
    }
}

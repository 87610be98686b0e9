//! The health of servers, as their pool sees it: by tables, laws and many seeds in simulated time.

use super::*;
use base::Share;
use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize};

const FAILED: Outcome = Outcome::Failed { hold: None };
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NO_JITTER: f64 = 0.0;

fn at(seconds: f64) -> Moment {
    Moment::from_nanos(0) + Duration::from_secs_f64(seconds)
}

fn rules() -> Eject {
    Eject::standard()
}

/// One server and its pool's part: what [`Health`] asks for is done.
#[derive(Debug, Default)]
struct One {
    health: Health,
}

impl One {
    /// A request that took a millisecond ends at `now`.
    fn ended(&self, outcome: Outcome, now: Moment) -> Verdict {
        self.took(outcome, MS, now)
    }

    fn took(&self, outcome: Outcome, took: Duration, now: Moment) -> Verdict {
        let verdict = self.health.ended(outcome, took, now, &rules());
        self.follow(verdict, now);
        verdict
    }

    fn follow(&self, verdict: Verdict, now: Moment) {
        match verdict {
            Verdict::None => {}
            Verdict::Eject(cause) => {
                self.health.eject(cause, now, &rules(), NO_JITTER);
            }
            Verdict::Dead => {
                self.health.died(now, &rules(), NO_JITTER, false);
            }
            Verdict::Back => self.health.back(now),
        }
    }

    fn is(&self, now: Moment) -> Condition {
        self.health.condition(now)
    }

    /// In this condition at 100 s; out since 95 s and until 101 s, or until 96 s for a probation.
    fn start(start: Start) -> Self {
        let one = Self { health: Health::new(at(10.0)) };
        let out = |seconds: u64| Eject {
            time: Duration::from_secs(seconds),
            time_max: Duration::from_mins(1),
            ..rules()
        };
        match start {
            Start::Up => {}
            Start::Out(cause) => {
                one.health.eject(cause, at(95.0), &out(6), NO_JITTER);
            }
            Start::Dead => {
                one.health.died(at(95.0), &out(6), NO_JITTER, false);
            }
            Start::Probation(cause) => {
                one.health.eject(cause, at(95.0), &out(1), NO_JITTER);
            }
            Start::DeadProbation => {
                one.health.died(at(95.0), &out(1), NO_JITTER, false);
            }
            Start::Down => {
                one.health.checked(Checked::Unhealthy, at(95.0));
            }
        }
        one
    }
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Up,
    Out(Cause),
    Dead,
    Probation(Cause),
    DeadProbation,
    Down,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Good,
    Failed,
    Unconnected,
    Cancelled,
    Healthy,
    Unhealthy,
}

/// What the condition is afterwards, without times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Up,
    Out(Cause),
    Dead,
    Probation,
    Down,
}

fn end(condition: Condition) -> End {
    match condition {
        Condition::Up => End::Up,
        Condition::Ejected { why, .. } => End::Out(why),
        Condition::Dead { .. } => End::Dead,
        Condition::Probation => End::Probation,
        Condition::Down => End::Down,
    }
}

#[test]
fn every_condition_knows_every_event() {
    use Event::{Cancelled, Failed, Good, Healthy, Unconnected, Unhealthy};
    let events = [Good, Failed, Unconnected, Cancelled, Healthy, Unhealthy];
    let (up, dead, probation, down) = (End::Up, End::Dead, End::Probation, End::Down);
    let causes = [Cause::Failures, Cause::Success, Cause::Slow];
    let [failures, success, slow] = causes.map(End::Out);
    let [out_failures, out_success, out_slow] = causes.map(Start::Out);
    let [try_failures, try_success, try_slow] = causes.map(Start::Probation);
    // In the order of `events`; what ends began half a second ago, as the probe if there is one.
    let table = [
        (Start::Up, [up, up, up, up, up, down]),
        (out_failures, [failures, failures, failures, failures, up, down]),
        (out_success, [success, success, success, success, up, down]),
        (out_slow, [slow, slow, slow, slow, slow, down]),
        (Start::Dead, [dead, dead, dead, dead, up, down]),
        (try_failures, [up, failures, failures, probation, up, down]),
        (try_success, [up, success, success, probation, up, down]),
        (try_slow, [up, slow, slow, probation, probation, down]),
        (Start::DeadProbation, [up, failures, dead, probation, up, down]),
        (Start::Down, [down, down, down, down, up, down]),
    ];
    for (start, ends) in table {
        for (event, expected) in events.into_iter().zip(ends) {
            let one = One::start(start);
            let (probed, now) = (at(100.0), at(100.5));
            one.health.try_probe(probed, true);
            let ended = |outcome| one.took(outcome, now.since(probed), now);
            let before = one.is(now);
            let verdict = match event {
                Good => Some(ended(Outcome::Good)),
                Failed => Some(ended(FAILED)),
                Unconnected => Some(ended(Outcome::Unconnected)),
                Cancelled => Some(ended(Outcome::Cancelled)),
                Healthy | Unhealthy => {
                    let found = if matches!(event, Healthy) {
                        Checked::Healthy
                    } else {
                        Checked::Unhealthy
                    };
                    let changed = one.health.checked(found, now);
                    assert_eq!(changed, one.is(now) != before, "{start:?} {event:?}");
                    None
                }
            };
            let is = one.is(now);
            assert_eq!(end(is), expected, "{start:?} {event:?}");
            if verdict == Some(Verdict::None) {
                assert_eq!(is, before, "{start:?} {event:?}: changed without a verdict");
            }
        }
    }
}

proptest! {
    /// The n-th failure in a row, and the 2n-th, whatever else is between; a plain count is the
    /// oracle. Nothing is followed, as if the pool's cap forbade all.
    #[test]
    fn failures_in_a_row_are_exact(outcomes in vec(0..5u8, 0..200), failures in 0..7u32) {
        let health = Health::default();
        let rules = Eject { failures, ..rules() };
        let (mut bad, mut mute) = (0, 0);
        for (step, outcome) in (1u32..).zip(outcomes) {
            let outcome = match outcome {
                0 => Outcome::Good,
                1 => Outcome::Cancelled,
                2 => FAILED,
                _ => Outcome::Unconnected,
            };
            match outcome {
                Outcome::Good => (bad, mute) = (0, 0),
                Outcome::Failed { .. } => (bad, mute) = (bad + 1, 0),
                Outcome::Unconnected => (bad, mute) = (bad + 1, mute + 1),
                Outcome::Cancelled => {}
            }
            let counts = !matches!(outcome, Outcome::Good | Outcome::Cancelled) && failures > 0;
            let expected = if counts && mute > 0 && mute % failures == 0 {
                Verdict::Dead
            } else if counts && bad % failures == 0 {
                Verdict::Eject(Cause::Failures)
            } else {
                Verdict::None
            };
            let now = at(f64::from(step));
            prop_assert_eq!(health.ended(outcome, MS, now, &rules), expected);
        }
    }

    /// 1 to 1.5 times the doubled pause, never more than one and a half of the longest.
    #[test]
    fn pauses_double_up_to_the_longest(
        time_ms in 1..5_000u64, longest in 1..100u32, rounds in 1..60i32, jitter in 0.0..=1.0f64,
    ) {
        let time = Duration::from_millis(time_ms);
        let rules = Eject { time, time_max: time * longest, ..rules() };
        let health = Health::default();
        let mut now = at(1.0);
        for round in 0..rounds {
            let until = health.eject(Cause::Failures, now, &rules, jitter);
            let plain = (time.as_secs_f64() * 2f64.powi(round)).min(rules.time_max.as_secs_f64());
            let expected = plain * (1.0 + jitter / 2.0);
            let pause = until.since(now).as_secs_f64();
            prop_assert!((pause - expected).abs() < 1e-6, "{round}: {pause} for {expected}");
            prop_assert_eq!(health.condition(until), Condition::Probation);
            now = until;
        }
        prop_assert!(health.lock().row <= 1 + longest.next_power_of_two().ilog2());
    }

    #[test]
    fn a_condition_survives_its_packing(nanos: u64, kind in 0..5u8, down: bool) {
        let time = Moment::from_nanos(nanos & !15);
        let kind = match kind {
            0 => Kind::Up,
            1 => Kind::Ejected(Cause::Failures),
            2 => Kind::Ejected(Cause::Success),
            3 => Kind::Ejected(Cause::Slow),
            _ => Kind::Dead,
        };
        let word = Word { kind, down, time };
        prop_assert_eq!(Word::unpack(word.pack()), word);
    }

    /// A bucket's middle is within a sixteenth of all that is counted there.
    #[test]
    fn buckets_are_narrow(nanos in 1u64 << 18..1 << 36) {
        let middle = window::middle(window::bucket(Duration::from_nanos(nanos)));
        prop_assert!(nanos.abs_diff(middle) * 16 <= nanos.max(middle), "{nanos} {middle}");
    }

    /// Whatever happens in whatever order: probes go out one at a time and only in probation, and
    /// who is out comes back only by a probe, a check or the end of its time.
    #[test]
    fn laws_hold_in_any_order(steps in vec((0..8u8, 0..3_000u64), 1..200)) {
        let one = One::default();
        let (mut now, mut probe) = (at(1.0), None::<Moment>);
        for (what, pause_ms) in steps {
            now = now + Duration::from_millis(pause_ms);
            let before = one.is(now);
            match what {
                0 | 1 => {
                    let taken = one.health.try_probe(now, what == 0);
                    prop_assert!(!taken || before == Condition::Probation);
                    let lost = probe.is_some_and(|begun| now.since(begun) >= PROBE_LOST);
                    prop_assert!(!taken || probe.is_none() || lost, "two probes at once");
                    if taken {
                        probe = Some(now);
                    }
                }
                2..=5 => {
                    let outcome = [Outcome::Good, FAILED, Outcome::Unconnected, Outcome::Cancelled]
                        [usize::from(what - 2)];
                    let took = probe.map_or(MS, |begun| now.since(begun));
                    one.took(outcome, took, now);
                    probe = None;
                }
                6 => drop(one.health.checked(Checked::Healthy, now)),
                _ => drop(one.health.eject(Cause::Success, now, &rules(), 0.5)),
            }
            let after = one.is(now);
            match before {
                Condition::Ejected { .. } | Condition::Dead { .. } if what != 6 => {
                    prop_assert_eq!(before, after);
                }
                Condition::Probation if what < 2 => prop_assert_eq!(before, after),
                _ => {}
            }
            if before == Condition::Probation && after != before {
                probe = None; // Decided: it belongs to the probation before.
            }
        }
    }
}

#[test]
fn answers_of_requests_from_before_say_nothing() {
    let one = One::default();
    for _ in 0..5 {
        one.ended(FAILED, at(10.0));
    }
    let until = at(11.0);
    assert_eq!(one.is(at(10.5)), Condition::Ejected { until, why: Cause::Failures });
    // Begun before the ejection, while it was out, and after its end but before the probe.
    for begun in [at(9.0), at(10.5), at(11.1)] {
        let probe = at(11.2);
        assert!(begun < until || one.health.try_probe(probe, true));
        let now = at(11.3);
        for outcome in [Outcome::Good, FAILED, Outcome::Unconnected, Outcome::Cancelled] {
            assert_eq!(one.took(outcome, now.since(begun), now), Verdict::None, "{outcome:?}");
        }
        assert!(begun < until || !one.health.try_probe(now, true), "not freed by others");
    }
    assert_eq!(one.took(Outcome::Good, at(11.4).since(at(11.2)), at(11.4)), Verdict::Back);
    // Back: the stragglers of the bad time do not eject it again.
    for _ in 0..20 {
        assert_eq!(one.took(FAILED, SECOND, at(12.3)), Verdict::None);
    }
    // Neither does a verdict from before that comes late.
    assert_eq!(one.health.eject(Cause::Failures, at(10.0), &rules(), 0.0), at(10.0));
    assert_eq!(one.is(at(12.3)), Condition::Up);
    assert_eq!(one.health.ejections().total(), 1);
}

#[test]
fn a_probe_needs_no_slot_when_a_panicking_pool_asks_anybody() {
    let one = One::start(Start::Probation(Cause::Failures));
    assert_eq!(one.ended(Outcome::Good, at(100.0)), Verdict::Back);
    assert_eq!(one.is(at(100.0)), Condition::Up);
}

#[test]
fn a_probe_is_given_to_whom_it_costs_least() {
    // May probe, and whether it got the probe, at which second; out until 96 s.
    for table in [
        &[(false, false, 96.1), (false, false, 96.9), (true, true, 96.95), (true, false, 97.5)][..],
        &[(false, false, 96.1), (false, true, 97.0), (false, false, 98.5), (true, false, 99.0)],
        &[(true, true, 96.0), (false, false, 125.9), (true, false, 125.9), (true, true, 126.0)],
        &[(true, true, 96.0), (false, false, 126.9), (false, true, 127.0)],
        &[(true, false, 95.9), (false, false, 95.9)],
    ] {
        let one = One::start(Start::Probation(Cause::Failures));
        for (may_probe, got, now) in table {
            assert_eq!(one.health.try_probe(at(*now), *may_probe), *got, "{table:?} at {now}");
        }
    }
}

#[test]
fn a_cancelled_probe_leaves_the_slot_to_the_next() {
    let one = One::start(Start::Probation(Cause::Failures));
    assert!(one.health.try_probe(at(100.0), true));
    one.took(Outcome::Cancelled, SECOND, at(101.0));
    assert!(!one.health.try_probe(at(101.0), false), "better ones may come");
    assert!(one.health.try_probe(at(101.0), true));
    assert!(!one.health.try_probe(at(101.0), true));
}

#[test]
fn a_verdict_the_pool_does_not_follow_is_forgotten() {
    let one = One::start(Start::Probation(Cause::Failures));
    assert!(one.health.try_probe(at(100.0), true));
    let ended = |seconds| one.health.ended(FAILED, MS, at(seconds), &rules());
    assert_eq!(ended(100.1), Verdict::Eject(Cause::Failures));
    assert!(!one.health.try_probe(at(101.0), true));
    assert!(one.health.try_probe(at(101.1), true));
    assert_eq!(ended(101.2), Verdict::Eject(Cause::Failures));
}

#[test]
fn backoff_doubles_and_is_forgotten_by_steps() {
    let one = One::default();
    let mut now = at(100.0);
    let mut eject = |one: &One| {
        let until = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
        let pause = until.since(now).as_secs();
        now = until;
        pause
    };
    let pauses: Vec<_> = (0..7).map(|_| eject(&one)).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 10, 10, 10]);
    // Back, and up for so many seconds: one step a ten of them.
    for (up, pause) in [(1, 10), (9, 10), (10, 10), (20, 8), (30, 4), (40, 2), (50, 1), (500, 1)] {
        let one = One::default();
        let mut now = at(100.0);
        for _ in 0..7 {
            now = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
        }
        one.health.back(now);
        now = now + SECOND * up;
        let until = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
        assert_eq!(until.since(now).as_secs(), pause, "up for {up} s");
    }
}

#[test]
fn a_server_that_flaps_for_a_day_is_forgiven_within_a_minute() {
    let one = One::default();
    let mut now = at(1.0);
    while now < at(86_400.0) {
        now = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
        one.health.back(now);
        now = now + SECOND;
    }
    let until = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
    assert_eq!(until.since(now), rules().time_max);
    one.health.back(until);
    now = until + SECOND * 50;
    let until = one.health.eject(Cause::Failures, now, &rules(), NO_JITTER);
    assert_eq!(until.since(now), rules().time);
}

#[test]
fn what_never_answers_is_dead_and_found_again() {
    let one = One::default();
    for _ in 0..4 {
        assert_eq!(one.ended(Outcome::Unconnected, at(10.0)), Verdict::None);
    }
    assert_eq!(one.ended(Outcome::Unconnected, at(10.0)), Verdict::Dead);
    assert_eq!(one.is(at(10.0)), Condition::Dead { until: at(11.0) });
    let mut now = at(11.0);
    for pause in [2, 4, 8, 10] {
        assert!(one.health.try_probe(now, true));
        assert_eq!(one.took(Outcome::Unconnected, Duration::ZERO, now), Verdict::Dead);
        now = now + SECOND * pause;
        assert_eq!(one.is(now), Condition::Probation);
    }
    assert!(one.health.try_probe(now, true));
    assert_eq!(one.took(Outcome::Good, MS, now + MS), Verdict::Back);
    assert_eq!(one.is(now + MS), Condition::Up);
    assert_eq!(one.health.ejections(), Ejections { dead: 5, ..Ejections::default() });
}

#[test]
fn the_only_server_is_probed_within_half_a_second() {
    for jitter in [0.0, 0.3, 1.0] {
        let one = One::default();
        let mut now = at(1.0);
        for _ in 0..20 {
            let until = one.health.died(now, &rules(), jitter, true);
            let pause = until.since(now);
            assert!(pause >= MS * 333 && pause <= MS * 500, "{pause:?}");
            now = until;
            assert!(one.health.try_probe(now, true));
        }
        // One that died earlier, when there were others, is hurried when there are none.
        let until = one.health.died(now, &rules(), jitter, false);
        assert!(until.since(now) >= SECOND);
        one.health.hurry(now, jitter);
        let soon = now + MS * 500;
        assert_eq!(one.is(soon), Condition::Probation);
        one.health.hurry(soon, jitter);
        assert!(one.health.try_probe(soon, true), "hurrying a probation changes nothing");
        // Only the dead are: an ejected one answers, and panic lets it be asked.
        let ejected = One::start(Start::Out(Cause::Failures));
        ejected.health.hurry(at(95.0), jitter);
        assert_eq!(end(ejected.is(at(100.0))), End::Out(Cause::Failures));
    }
}

#[test]
fn checks_bring_back_all_but_the_slow() {
    for (start, after) in [
        (Start::Out(Cause::Failures), End::Up),
        (Start::Out(Cause::Success), End::Up),
        (Start::Dead, End::Up),
        (Start::Out(Cause::Slow), End::Out(Cause::Slow)),
        (Start::Probation(Cause::Slow), End::Probation),
    ] {
        for was_down in [false, true] {
            let one = One::start(start);
            if was_down {
                assert!(one.health.checked(Checked::Unhealthy, at(100.0)));
                assert!(!one.health.checked(Checked::Unhealthy, at(100.0)), "already");
                assert_eq!(one.is(at(100.0)), Condition::Down);
            }
            one.health.checked(Checked::Healthy, at(100.0));
            assert_eq!(end(one.is(at(100.0))), after, "{start:?}, down: {was_down}");
        }
    }
    // A probe that was lost to the checks leaves the slot.
    let one = One::start(Start::Probation(Cause::Slow));
    assert!(one.health.try_probe(at(100.0), true));
    one.health.checked(Checked::Unhealthy, at(100.1));
    assert_eq!(one.took(Outcome::Good, MS, at(100.2)), Verdict::None);
    one.health.checked(Checked::Healthy, at(100.3));
    assert!(one.health.try_probe(at(100.3), true));
}

#[test]
fn one_thread_of_many_ejects() {
    for _ in 0..200 {
        let one = One::default();
        let verdicts = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let verdict = one.ended(FAILED, at(10.0));
                        verdicts.fetch_add(u32::from(verdict != Verdict::None), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!((1..=8).contains(&verdicts.into_inner()));
        assert_eq!(one.health.ejections().total(), 1);
        assert_eq!(one.is(at(10.5)), Condition::Ejected { until: at(11.0), why: Cause::Failures });
    }
}

#[test]
fn a_storm_leaves_nobody_stuck() {
    for seed in 0..100 {
        let one = One { health: Health::new(at(1.0)) };
        let clock = AtomicU64::new(at(1.0).as_nanos());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (one, clock) = (&one, &clock);
                let mut rng = Rng::with_seed(seed * 4 + thread);
                scope.spawn(move || {
                    for _ in 0..500 {
                        let step = rng.u64(0..20_000_000);
                        let now = Moment::from_nanos(clock.fetch_add(step, Ordering::Relaxed));
                        let outcome =
                            [Outcome::Good, FAILED, Outcome::Unconnected][rng.usize(0..3)];
                        match rng.u8(0..40) {
                            0 => drop(one.health.checked(Checked::Healthy, now)),
                            1 => drop(one.health.checked(Checked::Unhealthy, now)),
                            2 => drop(sweep(&[&one.health], now, &rules())),
                            3..=10 if one.health.try_probe(now, true) => {
                                one.took(outcome, Duration::ZERO, now);
                            }
                            _ => drop(one.took(outcome, MS, now)),
                        }
                    }
                });
            }
        });
        // Checks fail no more; whatever was lost in the storm frees itself.
        let later = Moment::from_nanos(clock.into_inner()) + PROBE_LOST;
        if one.is(later) == Condition::Down {
            one.health.checked(Checked::Healthy, later);
        }
        if one.is(later) != Condition::Up {
            assert!(one.health.try_probe(later, true), "seed {seed}: {one:?}");
            assert_eq!(one.took(Outcome::Good, MS, later + MS), Verdict::Back);
        }
        assert_eq!(one.is(later + MS), Condition::Up);
        let ejected: Vec<_> = (0..5).map(|_| one.ended(FAILED, later + SECOND)).collect();
        assert!(ejected.contains(&Verdict::Eject(Cause::Failures)), "seed {seed}: {ejected:?}");
    }
}

#[test]
fn eight_threads_probe_one_at_a_time() {
    for seed in 0..50 {
        let one = One::start(Start::Probation(Cause::Failures));
        let (out, probes) = (AtomicUsize::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (one, out, probes) = (&one, &out, &probes);
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(seed * 8 + thread);
                    // Cancelled ones only: the probation lasts.
                    for _ in 0..500 {
                        let now = at(100.0);
                        if one.health.try_probe(now, rng.bool()) {
                            assert_eq!(out.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                            probes.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                            out.fetch_sub(1, Ordering::SeqCst);
                            one.took(Outcome::Cancelled, Duration::ZERO, now);
                        }
                    }
                });
            }
        });
        assert!(probes.into_inner() > 1);
    }
}

#[test]
fn too_few_good_answers_in_ten_seconds() {
    // How many good, how many bad, how many seconds ago, and what the sweep says.
    for (good, bad, ago, ejected) in [
        (4, 0, 0, false),
        (2, 2, 0, false), // four requests say nothing
        (3, 2, 0, true),
        (4, 1, 0, false), // 80 % are enough
        (79, 21, 0, true),
        (80, 20, 0, false),
        (79, 21, 8, true),
        (79, 21, 11, false), // forgotten
    ] {
        let one = One { health: Health::new(at(100.0)) };
        let mut left = [good, bad];
        let mut now = at(100.1);
        while left != [0, 0] {
            // Never five bad ones in a row.
            let is_good = left[0] * bad > left[1] * good || left[1] == 0;
            let (which, outcome) = if is_good { (0, Outcome::Good) } else { (1, FAILED) };
            left[which] -= 1;
            assert_eq!(one.ended(outcome, now), Verdict::None);
        }
        let mut last = Vec::new();
        for _ in 0..=ago * 10 {
            last = sweep(&[&one.health], now, &rules());
            now = now + MS * 100;
        }
        let expected = if ejected { vec![(0, Cause::Success)] } else { vec![] };
        assert_eq!(last, expected, "{good} good and {bad} bad, {ago} s ago");
        let off = Eject { success: Share(0), ..rules() };
        assert_eq!(sweep(&[&one.health], now, &off), []);
    }
}

/// Servers in simulated time, each so many times slower than the first, asked at random.
struct Race {
    members: Vec<Health>,
    factors: Vec<f64>,
    /// Requests of each, a second.
    rates: Vec<f64>,
    median: Duration,
    /// This share of answers is ten times slower.
    misses: f64,
    rng: Rng,
    now: Moment,
}

impl Race {
    fn new(factors: &[f64], rate: f64, seed: u64) -> Self {
        let now = at(5.0);
        Self {
            members: factors.iter().map(|_| Health::new(now)).collect(),
            factors: factors.to_vec(),
            rates: vec![rate; factors.len()],
            median: MS * 20,
            misses: 0.0,
            rng: Rng::with_seed(seed),
            now,
        }
    }

    /// Log-normal, σ 0.5 (Box and Muller).
    fn latency(&mut self, factor: f64) -> Duration {
        let (u, v) = (1.0 - self.rng.f64(), self.rng.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let miss = if self.rng.f64() < self.misses { 10.0 } else { 1.0 };
        self.median.mul_f64(factor * miss * (0.5 * normal).exp())
    }

    /// A tenth of a second: what the sweep says.
    fn tick(&mut self) -> Vec<(usize, Cause)> {
        self.now = self.now + MS * 100;
        for at in 0..self.members.len() {
            let mean = self.rates[at] / 10.0;
            let mut left = mean + self.rng.f64();
            while left >= 1.0 {
                left -= 1.0;
                let took = self.latency(self.factors[at]);
                self.members[at].ended(Outcome::Good, took, self.now + took, &rules());
            }
        }
        let members: Vec<_> = self.members.iter().collect();
        sweep(&members, self.now, &rules())
    }

    /// When each was first called slow, in seconds. None is ejected.
    fn run(&mut self, seconds: u32) -> HashMap<usize, f64> {
        let mut found = HashMap::new();
        for tick in 1..=seconds * 10 {
            for (at, cause) in self.tick() {
                assert_eq!(cause, Cause::Slow);
                found.entry(at).or_insert(f64::from(tick) / 10.0);
            }
        }
        found
    }
}

#[test]
fn five_times_slower_is_ejected_after_three_windows_and_alone() {
    for pool in [3, 5, 10] {
        for seed in 0..100 {
            let mut factors = vec![1.0; pool];
            factors[1] = 5.0;
            let found = Race::new(&factors, 200.0, seed).run(10);
            let first = found.get(&1).copied().unwrap_or(f64::MAX);
            assert!((3.0..=3.2).contains(&first), "pool {pool} seed {seed}: {first}");
            assert_eq!(found.len(), 1, "pool {pool} seed {seed}: {found:?}");
        }
    }
}

#[test]
fn a_pool_of_two_or_less_than_two_milliseconds_is_not_compared() {
    for seed in 0..20 {
        assert!(Race::new(&[1.0, 5.0], 200.0, seed).run(10).is_empty());
        let mut fast = Race::new(&[1.0, 1.0, 1.0, 5.0], 200.0, seed);
        fast.median = Duration::from_micros(100);
        assert!(fast.run(10).is_empty());
    }
}

#[test]
fn three_slow_windows_must_follow_each_other() {
    // Seconds, good answers in each, and what they took, in milliseconds. The others: 20 ms.
    for (script, ejected) in [
        (&[(3, 20, 100)][..], true),
        (&[(2, 20, 100)], false),
        (&[(2, 20, 100), (1, 20, 20), (2, 20, 100)], false),
        (&[(2, 20, 100), (1, 20, 20), (3, 20, 100)], true),
        // Half as many answers a second: a window lasts two.
        (&[(5, 5, 100)], false),
        (&[(6, 5, 100)], true),
        // Nine answers in ten seconds make no window, and break the row.
        (&[(2, 20, 100), (9, 1, 100), (1, 0, 0), (2, 20, 100)], false),
        (&[(2, 20, 100), (9, 1, 100), (1, 0, 0), (3, 20, 100)], true),
        // Neither are they counted later.
        (&[(2, 20, 100), (9, 1, 100), (1, 0, 0), (2, 20, 100), (1, 20, 20)], false),
        (&[(9, 1, 100), (1, 0, 0), (1, 10, 20), (2, 20, 100)], false),
    ] {
        let members = [(); 3].map(|()| Health::new(at(1.0)));
        let (mut now, mut found) = (at(1.0), false);
        for (seconds, answers, took) in script {
            for _ in 0..*seconds {
                let counts = [(answers, took), (&20, &20), (&20, &20)];
                for (member, (answers, took)) in members.iter().zip(counts) {
                    for _ in 0..*answers {
                        let (took, now) = (MS * *took, now + SECOND / 2);
                        member.ended(Outcome::Good, took, now, &rules());
                    }
                }
                for _ in 0..10 {
                    now = now + MS * 100;
                    let members = members.each_ref();
                    found |= sweep(&members, now, &rules()) == [(0, Cause::Slow)];
                }
            }
        }
        assert_eq!(found, ejected, "{script:?}");
    }
}

#[test]
fn who_is_back_begins_anew() {
    let swept = |one: &One, now| sweep(&[&one.health], now, &rules());
    for collected in [false, true] {
        let one = One { health: Health::new(at(10.0)) };
        for _ in 0..4 {
            one.ended(Outcome::Good, at(10.1));
            one.ended(Outcome::Cancelled, at(10.1));
        }
        for _ in 0..4 {
            assert_eq!(one.ended(FAILED, at(10.1)), Verdict::None);
        }
        if collected {
            assert_eq!(swept(&one, at(10.2)), [(0, Cause::Success)]);
        }
        let until = one.health.eject(Cause::Success, at(10.2), &rules(), NO_JITTER);
        assert_eq!(swept(&one, at(10.3)), []);
        // Not before its time.
        one.health.back(at(10.9));
        assert_eq!(one.is(at(10.9)), Condition::Ejected { until, why: Cause::Success });
        one.health.back(until);
        assert_eq!(one.is(until), Condition::Up);
        assert_eq!(swept(&one, at(11.5)), [], "the failures are forgotten");
        for _ in 0..4 {
            assert_eq!(one.ended(FAILED, at(12.0)), Verdict::None, "and were never in a row");
        }
    }
}

/// A line is 10,000 windows at 200/s, or 40,000 at 10/s, of which three slow ones in a row are one
/// too many. Nor were there any in 15 million more, of 4/s to 200/s and with 8 % to 12 % of misses;
/// with a [`window`] doubt of two deviations in place of two and a half there were 28 in a million
/// (five servers, 10/s, 10 %).
#[test]
fn noise_and_natural_differences_eject_nobody() {
    let natural = &[1.0, 1.2, 1.4, 1.7, 2.0][..];
    for (factors, rate, misses) in [
        (&[1.0; 5][..], 200.0, 0.0),
        (&[1.0; 5], 10.0, 0.0),
        (&[1.0; 3], 10.0, 0.0),
        (natural, 200.0, 0.0),
        (natural, 10.0, 0.0),
        (&[1.0, 1.0, 2.0], 200.0, 0.0),
        (&[1.0, 1.0, 2.0], 10.0, 0.0),
        // One in ten takes ten times as long, so that the p90 is now one, now the other.
        (&[1.0; 5], 200.0, 0.1),
        (&[1.0; 3], 200.0, 0.1),
        (&[1.0; 3], 10.0, 0.1),
    ] {
        for seed in 0..20 {
            let mut race = Race::new(factors, rate, seed);
            race.misses = misses;
            let windows = if rate > 100.0 { 500 } else { 2_000 };
            let found = race.run(windows / factors.len() as u32);
            assert!(found.is_empty(), "{factors:?} {rate}/s {misses} seed {seed}: {found:?}");
        }
    }
}

#[test]
fn a_slow_server_that_is_seldom_asked_is_found_all_the_same() {
    // Peak-EWMA leaves it 2 % of the requests: windows last two and a half seconds then, and ten
    // answers prove little.
    let mut times: Vec<_> = (0..100)
        .map(|seed| {
            let mut race = Race::new(&[5.0, 1.0, 1.0, 1.0, 1.0], 200.0, seed);
            race.rates[0] = 4.0;
            let found = race.run(200);
            assert_eq!(found.len(), 1, "seed {seed}: {found:?}");
            found[&0]
        })
        .collect();
    times.sort_by(f64::total_cmp);
    assert!(times[50] < 20.0 && times[90] < 60.0, "{times:?}");
    // Less than ten answers in ten seconds say nothing.
    let mut race = Race::new(&[5.0, 1.0, 1.0, 1.0, 1.0], 200.0, 0);
    race.rates[0] = 0.5;
    assert!(race.run(60).is_empty());
}

#[test]
fn who_was_slow_is_back_when_it_is_as_fast_as_the_others() {
    // How many times slower now, and how often in a hundred it may be back.
    for (factor, least, most) in [(1.0, 90, 100), (5.0, 0, 8), (20.0, 0, 0)] {
        let mut back = 0;
        for seed in 0..100 {
            let mut race = Race::new(&[1.0; 5], 50.0, seed);
            race.rates[0] = 0.0;
            let until = race.members[0].eject(Cause::Slow, race.now, &rules(), NO_JITTER);
            while race.now < until + SECOND {
                assert!(race.tick().is_empty());
            }
            let mut probes = 0;
            let verdict = loop {
                assert!(race.members[0].try_probe(race.now, true));
                assert!(!race.members[0].try_probe(race.now, true), "one at a time");
                let took = race.latency(factor);
                race.now = race.now + took;
                probes += 1;
                match race.members[0].ended(Outcome::Good, took, race.now, &rules()) {
                    Verdict::None => {}
                    verdict => break verdict,
                }
            };
            match verdict {
                Verdict::Back => assert_eq!(probes, QUICK_PROBES),
                Verdict::Eject(Cause::Slow) => assert!(probes <= QUICK_PROBES),
                other => panic!("{other:?}"),
            }
            back += u32::from(verdict == Verdict::Back);
        }
        assert!((least..=most).contains(&back), "{factor}: {back}");
    }
}

//! Phases sum to the whole, whatever happens in which order.

use super::*;
use proptest::prelude::*;

fn phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(Phase::ALL)
}

/// One thing that happens to a timeline.
#[derive(Clone, Debug)]
enum Step {
    Enter(Phase),
    Resume(Phase),
    LostTry,
    Fold(u64, u64),
    /// Another exchange was waited for, which went through these.
    Absorb(Vec<(Phase, u64)>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        phase().prop_map(Step::Enter),
        phase().prop_map(Step::Resume),
        Just(Step::LostTry),
        (0..10_000_000_u64, 0..10_000_000_u64).prop_map(|(db, cache)| Step::Fold(db, cache)),
        proptest::collection::vec((phase(), 0..2_000_000_u64), 0..6).prop_map(Step::Absorb),
    ]
}

proptest! {
    /// Whatever happens in whatever order, the phases sum to the total, to the nanosecond.
    #[test]
    fn phases_sum_to_the_total(steps in proptest::collection::vec((step(), 0..5_000_000_u64), 0..40)) {
        let mut now = Moment::from_nanos(1_000);
        let mut line = Timeline::begin(now);
        for (step, pause) in steps {
            now = now + Duration::from_nanos(pause);
            match step {
                Step::Enter(phase) => line.enter(phase, now),
                Step::Resume(phase) => line.resume(phase, now),
                Step::LostTry => line.lost_try(now),
                Step::Fold(db, cache) => line.fold(Duration::from_nanos(db), Duration::from_nanos(cache)),
                Step::Absorb(parts) => {
                    let mut other = Timeline::begin(line.since());
                    let mut at = line.since();
                    for (phase, nanos) in parts {
                        at = at + Duration::from_nanos(nanos);
                        other.enter(phase, at);
                    }
                    line.absorb(&other, Phase::Gateway, now);
                }
            }
            let sum: Duration = line.parts().map(|(_, part)| part).sum();
            prop_assert_eq!(sum, line.total());
        }
        line.enter(Phase::Gateway, now);
        prop_assert_eq!(line.total(), now.since(Moment::from_nanos(1_000)));
    }
}

#[test]
fn a_lost_try_is_all_retry() {
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    let mut line = Timeline::begin(at(0));
    line.enter(Phase::Connect, at(1));
    line.enter(Phase::Server, at(3));
    line.lost_try(at(10));
    line.enter(Phase::Server, at(15));
    line.enter(Phase::Write, at(20));
    line.enter(Phase::Gateway, at(21));
    let parts: Vec<_> = line.parts().map(|(phase, part)| (phase, part.as_millis())).collect();
    let expected = [(Phase::Gateway, 1), (Phase::Server, 5), (Phase::Write, 1), (Phase::Retry, 14)];
    assert_eq!(parts, expected);
}

#[test]
fn what_a_server_says_of_itself_is_no_more_than_it_took() {
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    let ms = Duration::from_millis;
    for (told, found) in [((30, 20), (30, 20)), ((150, 50), (75, 25)), ((0, 0), (0, 0))] {
        let mut line = Timeline::begin(at(0));
        line.enter(Phase::Server, at(0));
        line.enter(Phase::Gateway, at(100));
        line.fold(ms(told.0), ms(told.1));
        assert_eq!(line.spent(Phase::Db), ms(found.0));
        assert_eq!(line.spent(Phase::ServerCache), ms(found.1));
        assert_eq!(line.spent(Phase::Server), ms(100 - found.0 - found.1));
    }
}

#[test]
fn our_own_lateness_is_not_the_servers() {
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    std::thread::spawn(move || {
        lag::expect(at(20));
        let mut line = Timeline::begin(at(0));
        line.enter(Phase::Server, at(10));
        // The timer was due at 20; the thread ran again at 70.
        lag::woke(at(70));
        line.resume(Phase::Gateway, at(71));
        assert_eq!(line.spent(Phase::Lag), Duration::from_millis(51));
        assert_eq!(line.spent(Phase::Server), Duration::from_millis(10));
    })
    .join()
    .expect("no panic");
}

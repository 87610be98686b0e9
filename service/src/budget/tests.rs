//! The budget: its law over any ten seconds, the reserve, threads together.

use super::*;
use fastrand::Rng;
use std::sync::atomic::AtomicUsize;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

/// Deposits and withdrawals at random times; where the share paid, the law is checked against plain
/// lists of what happened.
fn check(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let share = Share(rng.u32(0..4_000));
    let reserve = rng.u32(0..4);
    let budget = Budget::new(share, reserve);
    let (mut requests, mut extras) = (Vec::new(), Vec::new());
    let mut ms = rng.u64(0..100_000);
    for _ in 0..400 {
        // Mostly crowds, now and then a pause.
        ms += if rng.u32(0..40) == 0 { rng.u64(0..25_000) } else { rng.u64(0..50) };
        for _ in 0..rng.u32(0..20) {
            budget.deposit(at(ms));
            requests.push(ms);
        }
        let mut shared = false;
        for _ in 0..rng.u32(0..8) {
            let before = budget.drawn().by_share[(ms / 1_000 % SECONDS) as usize];
            let could = budget.balance(at(ms));
            let granted = budget.withdraw(at(ms));
            assert_eq!(granted, could >= 1.0 - 1e-9, "seed {seed}: {could}");
            if granted {
                extras.push(ms);
            }
            shared |= budget.drawn().by_share[(ms / 1_000 % SECONDS) as usize] > before;
        }
        // What the share paid stays paid when its requests have aged; only the reserve pays then.
        if !shared {
            continue;
        }
        // Ten calendar seconds that end now; the reserve may have paid in each.
        let since = (ms / 1_000).saturating_sub(SECONDS - 1) * 1_000;
        let of = |times: &[u64]| times.iter().rev().take_while(|&&t| t >= since).count() as f64;
        let most = of(&requests) * share.factor() + f64::from(reserve) * SECONDS as f64;
        assert!(of(&extras) <= most + 1.0, "seed {seed}: {} of {most}", of(&extras));
        // Any ten seconds, against the requests of the ten before its last extra: one slot more.
        let since = ms.saturating_sub(10_000);
        let early = (since / 1_000).saturating_sub(SECONDS) * 1_000;
        let extras = extras.iter().rev().take_while(|&&t| t > since).count() as f64;
        let reach = requests.iter().rev().take_while(|&&t| t >= early).count() as f64;
        assert!(extras <= reach * share.factor() + f64::from(reserve) * 11.0 + 1.0, "seed {seed}");
    }
}

#[test]
fn extras_never_exceed_their_share_of_ten_seconds() {
    (0..100).for_each(check);
}

#[test]
fn a_pause_empties_it() {
    let budget = Budget::new(Share::percent(10), 0);
    (0..1_000).for_each(|_| budget.deposit(at(500)));
    assert!((budget.balance(at(9_999)) - 100.0).abs() < 1e-9);
    assert!(budget.withdraw(at(9_999)));
    assert!(budget.balance(at(10_000)) < 1e-9, "calendar seconds: 0 is over after 9");
    assert!(!budget.withdraw(at(10_000)));
    assert!(!budget.withdraw(at(1_000_000)));
}

#[test]
fn one_extra_costs_just_its_share() {
    for (share, costs) in [(Share(3_000), 4), (Share::percent(10), 10), (Share::percent(100), 1)] {
        let budget = Budget::new(share, 0);
        (1..costs).for_each(|_| budget.deposit(at(0)));
        assert!(!budget.withdraw(at(0)), "{share}");
        budget.deposit(at(0));
        assert!(budget.withdraw(at(0)), "{share}");
        assert!(!budget.withdraw(at(0)), "{share}");
    }
}

#[test]
fn the_reserve_is_new_each_second_and_never_saved() {
    let budget = Budget::new(Share(0), 3);
    for second in [0, 1, 7, 8, 100] {
        let granted = (0..10).filter(|_| budget.withdraw(at(second * 1_000))).count();
        assert_eq!(granted, 3, "{second}");
    }
}

#[test]
fn what_was_not_sent_is_restored() {
    let budget = Budget::new(Share::percent(100), 1);
    budget.deposit(at(0));
    assert!(budget.withdraw(at(0)) && budget.withdraw(at(0)) && !budget.withdraw(at(0)));
    budget.restore(at(0));
    budget.restore(at(0));
    budget.restore(at(0));
    assert!(budget.withdraw(at(0)) && budget.withdraw(at(0)) && !budget.withdraw(at(0)));
}

#[test]
fn threads_lose_nothing_and_gain_nothing() {
    let budget = Budget::new(Share::percent(10), 0);
    let granted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (budget, granted) = (&budget, &granted);
            scope.spawn(move || {
                for n in 0..5_000_u64 {
                    // Through five seconds, not quite in step.
                    let now = at(n + thread * 3);
                    budget.deposit(now);
                    if budget.withdraw(now) {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(budget.requests.sum(5), 20_000, "a turn of the second loses none");
    let granted = granted.load(Ordering::Relaxed);
    while budget.withdraw(at(5_000)) {
        assert!(granted < 2_000);
    }
    assert_eq!(budget.drawn().by_share.iter().sum::<u64>(), 2_000);
}

#[test]
fn a_slot_is_taken_over_by_one_thread_only() {
    for round in 0..200 {
        let ring = Ring::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| ring.add(round)));
            }
        });
        assert_eq!(ring.sum(round), 80);
    }
}

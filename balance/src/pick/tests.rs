//! Who is asked, by each policy, in each state of the pool.

use super::{Nobody, Why, Wish};
use crate::health::{Checked, Condition};
use crate::load::Outcome;
use crate::member::{Member, MemberId};
use crate::pool::Pool;
use crate::settings::{Hash, HashBy, Policy, Scheme, Server, Settings, Spot};
use base::{Moment, Share};
use fastrand::Rng;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const START: Moment = Moment::from_nanos(1_000_000_000);
const ALL: [fn() -> Policy; 6] = [
    || Policy::PeakEwma,
    || Policy::LeastRequest,
    || Policy::RoundRobin,
    || Policy::Random,
    || hash(125),
    || Policy::HotCold,
];

fn hash(percent: u32) -> Policy {
    Policy::Hash(Hash { by: HashBy::Path, bound: Share::percent(percent) })
}

fn spot(number: usize) -> Spot {
    let host = format!("server-{number}");
    Spot::from(Server { scheme: Scheme::Http, host, port: 80, address: None })
}

fn spots(n: usize) -> Vec<Spot> {
    (0..n).map(spot).collect()
}

/// A pool and what is needed to ask it.
struct World {
    pool: Pool,
    members: Vec<Arc<Member>>,
    rng: Rng,
    now: Moment,
}

impl World {
    fn new(policy: Policy, spots: &[Spot]) -> Self {
        Self::with(Settings { policy, ..Settings::standard() }, spots)
    }

    fn with(settings: Settings, spots: &[Spot]) -> Self {
        let pool = Pool::new(settings, spots, None, START);
        let members = pool.view().members().to_vec();
        Self { pool, members, rng: Rng::with_seed(7), now: START }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.pool.tick(self.now);
    }

    fn pick(&mut self, wish: Wish<'_>) -> Result<(usize, Why), Nobody> {
        self.pool.refresh(self.now);
        let view = self.pool.view();
        let choice = view.pick(wish, self.now, &mut self.rng)?;
        let at = self.members.iter().position(|member| member.id == choice.member.id);
        Ok((at.unwrap(), choice.why))
    }

    fn one(&mut self) -> usize {
        self.pick(Wish::default()).unwrap().0
    }

    /// So many picks, nothing begun, by member.
    fn counts(&mut self, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; self.members.len()];
        for _ in 0..picks {
            counts[self.one()] += 1;
        }
        counts
    }

    fn begin(&self, member: usize, times: usize) {
        (0..times).for_each(|_| self.pool.begin(&self.members[member]));
    }

    fn answer(&self, member: usize, millis: u64, outcome: Outcome) {
        let begun = Moment::from_nanos(self.now.as_nanos() - millis * 1_000_000);
        self.begin(member, 1);
        self.pool.end(&self.members[member], begun, self.now, outcome);
    }

    fn all_answer(&self, millis: u64) {
        (0..self.members.len()).for_each(|m| self.answer(m, millis, Outcome::Good));
        self.pool.tick(self.now);
    }

    fn mark(&self, member: usize, found: Checked) {
        self.pool.checked(self.members[member].id, found, self.now);
    }

    /// Makes the member fail until it is ejected.
    fn eject(&mut self, member: usize) {
        self.pass(100);
        (0..5).for_each(|_| self.answer(member, 1, Outcome::Failed { hold: None }));
        let condition = self.members[member].condition(self.now);
        assert!(matches!(condition, Condition::Ejected { .. }), "{condition:?}");
    }

    fn kill(&mut self, member: usize) {
        self.pass(100);
        (0..5).for_each(|_| self.answer(member, 1, Outcome::Unconnected));
        let condition = self.members[member].condition(self.now);
        assert!(matches!(condition, Condition::Dead { .. }), "{condition:?}");
    }
}

#[test]
fn shares_go_by_weight() {
    for policy in ALL {
        let policy = policy();
        let mut spots = spots(3);
        (spots[1].weight, spots[2].weight) = (2, 5);
        let mut world = World::new(policy.clone(), &spots);
        world.all_answer(20);
        let mut counts = [0; 3];
        for number in 0..8_000_u64 {
            let hash = Some(xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes()));
            counts[world.pick(Wish { hash, ..Wish::default() }).unwrap().0] += 1;
        }
        for (count, ideal) in counts.into_iter().zip([1_000_i32, 2_000, 5_000]) {
            assert!((count - ideal).abs() <= 200, "{policy:?}: {counts:?}");
        }
    }
}

#[test]
fn turns_are_even() {
    let mut world = World::new(Policy::RoundRobin, &spots(3));
    assert_eq!(world.counts(30), [10; 3]);
    let first: Vec<_> = (0..6).map(|_| world.one()).collect();
    assert_eq!(first[..3], first[3..]);
    let mut heavy = spots(2);
    heavy[0].weight = 3;
    let mut world = World::new(Policy::RoundRobin, &heavy);
    let turns: String = (0..400).map(|_| world.one().to_string()).collect();
    assert!(!turns.contains("11") && !turns.contains("00000"), "{turns}");
}

#[test]
fn of_two_the_better_is_always_found() {
    let mut world = World::new(Policy::LeastRequest, &spots(2));
    world.begin(0, 1);
    assert_eq!(world.counts(200), [0, 200]);
    let mut world = World::new(Policy::PeakEwma, &spots(2));
    world.answer(0, 20, Outcome::Good);
    world.answer(1, 30, Outcome::Good);
    assert_eq!(world.counts(200), [200, 0]);
    world.begin(0, 1);
    assert_eq!(world.counts(200), [0, 200]);
}

#[test]
fn an_unknown_server_is_tried_once_and_not_run_down() {
    let mut world = World::new(Policy::PeakEwma, &spots(6));
    (0..5).for_each(|member| world.answer(member, 20, Outcome::Good));
    world.pass(100);
    let mut begun = [0; 6];
    for _ in 0..30 {
        let member = world.one();
        world.begin(member, 1);
        begun[member] += 1;
    }
    assert!((1..=9).contains(&begun[5]), "{begun:?}");
    // Nobody has answered: each is asked once before anybody is twice.
    let mut world = World::new(Policy::PeakEwma, &spots(2));
    let (first, second) = (world.one(), {
        let first = world.one();
        world.begin(first, 1);
        world.one()
    });
    assert!(first < 2 && world.members[second].in_flight() == 0);
}

#[test]
fn whoever_asks_to_be_left_alone_is() {
    let mut world = World::new(Policy::PeakEwma, &spots(2));
    world.all_answer(20);
    world.answer(0, 1, Outcome::Failed { hold: Some(Duration::from_secs(40)) });
    world.answer(1, 500, Outcome::Good);
    for _ in 0..39 {
        assert_eq!(world.counts(20), [0, 20]);
        world.pass(1_000);
        world.answer(1, 500, Outcome::Good);
    }
    world.pass(2_000);
    assert!(world.counts(20)[0] > 0);
}

#[test]
fn the_same_hash_stays_while_its_server_is_fit() {
    let mut world = World::new(hash(200), &spots(10));
    let wish = |hash| Wish { hash: Some(hash), ..Wish::default() };
    let hashes: Vec<u64> = (0..500).map(|_| world.rng.u64(..)).collect();
    let before: Vec<_> = hashes.iter().map(|&h| world.pick(wish(h)).unwrap().0).collect();
    world.mark(3, Checked::Unhealthy);
    for (&hash, &owner) in hashes.iter().zip(&before) {
        let now = world.pick(wish(hash)).unwrap().0;
        assert!(now != 3 && (owner == 3 || owner == now));
    }
    world.mark(3, Checked::Healthy);
    world.pass(11_000);
    let after: Vec<_> = hashes.iter().map(|&h| world.pick(wish(h)).unwrap().0).collect();
    assert_eq!(before, after);
}

#[test]
fn a_hot_hash_is_bounded() {
    let mut world = World::new(hash(125), &spots(10));
    let mut rng = Rng::with_seed(3);
    for begun in 1..=1_000 {
        // Half of all requests have the same hash.
        let hash = Some(if rng.bool() { 42 } else { rng.u64(..) });
        let member = world.pick(Wish { hash, ..Wish::default() }).unwrap().0;
        world.begin(member, 1);
        let bound = (1.25 * f64::from(begun) / 10.0).max(8.0) + 1.0;
        let most = world.members.iter().map(|m| m.in_flight()).max().unwrap();
        assert!(f64::from(most) <= bound, "{most} of {begun}");
    }
}

#[test]
fn what_one_priority_cannot_take_goes_to_the_next() {
    for policy in ALL {
        let mut spots = spots(20);
        spots[10..].iter_mut().for_each(|spot| spot.priority = 1);
        let mut world = World::new(policy(), &spots);
        for (down, share) in [(0, 0.0), (2, 0.0), (3, 0.02), (5, 0.3), (8, 0.72), (10, 1.0)] {
            (0..down).for_each(|member| world.mark(member, Checked::Unhealthy));
            let counts = world.counts(4_000);
            let other = counts[10..].iter().sum::<usize>() as f64 / 4_000.0;
            assert!((other - share).abs() < 0.03, "{down} down: {other}");
            assert_eq!(counts[..down].iter().sum::<usize>(), 0);
        }
    }
}

fn zoned(policy: Policy) -> World {
    let mut spots = spots(6);
    for (number, spot) in spots.iter_mut().enumerate() {
        spot.zone = Some(if number < 2 { "here" } else { "there" }.to_owned());
    }
    World::with(Settings { policy, zone: Some("here".into()), ..Settings::standard() }, &spots)
}

#[test]
fn our_zone_is_asked_until_it_is_dearer() {
    let mut world = zoned(Policy::PeakEwma);
    world.all_answer(10);
    let counts = world.counts(500);
    assert_eq!(counts[2..].iter().sum::<usize>(), 0, "{counts:?}");
    // Two in flight: 30 ms beside 11.
    (0..2).for_each(|member| world.begin(member, 2));
    let counts = world.counts(500);
    assert_eq!(counts[..2].iter().sum::<usize>(), 0, "{counts:?}");
    for policy in [Policy::LeastRequest, Policy::RoundRobin, Policy::Random, Policy::HotCold] {
        let mut world = zoned(policy);
        (0..2).for_each(|member| world.begin(member, 9));
        assert_eq!(world.counts(200)[2..].iter().sum::<usize>(), 0);
        (0..2).for_each(|member| world.mark(member, Checked::Unhealthy));
        assert_eq!(world.counts(200)[2..].iter().sum::<usize>(), 200);
    }
}

#[test]
fn in_panic_the_ejected_are_asked_and_the_dead_are_not() {
    let mut world = World::new(Policy::RoundRobin, &spots(5));
    world.eject(0);
    let counts = world.counts(400);
    assert_eq!((counts[0], counts[1]), (0, 100));
    world.mark(1, Checked::Unhealthy);
    assert_eq!(world.counts(300)[..2], [0, 0]);
    world.kill(2);
    assert_eq!(world.pick(Wish::default()).unwrap().1, Why::Panic);
    assert_eq!(world.counts(300), [100, 0, 0, 100, 100]);
}

#[test]
fn a_single_server_is_asked_even_if_it_fails() {
    let mut world = World::new(Policy::PeakEwma, &spots(1));
    assert_eq!(world.pick(Wish::default()), Ok((0, Why::Only)));
    world.eject(0);
    assert_eq!(world.pick(Wish::default()), Ok((0, Why::Panic)));
}

#[test]
fn where_nobody_is_alive_it_says_until_when() {
    let mut world = World::new(Policy::PeakEwma, &[]);
    assert_eq!(world.pick(Wish::default()), Err(Nobody::Empty));
    let mut world = World::new(Policy::PeakEwma, &spots(2));
    world.kill(0);
    assert_eq!(world.one(), 1);
    world.kill(1);
    let Err(Nobody::NoneAlive(wait)) = world.pick(Wish::default()) else { panic!() };
    assert!((10..=500).contains(&wait.as_millis()), "{wait:?}");
    // Nobody ticks, and still it is noticed.
    world.now = world.now + wait;
    let probe = Wish { may_probe: true, ..Wish::default() };
    let (member, why) = world.pick(probe).unwrap();
    assert_eq!(why, Why::Probation);
    world.begin(member, 1);
    let begun = world.now;
    world.now = begun + Duration::from_millis(5);
    world.pool.end(&world.members[member], begun, world.now, Outcome::Good);
    assert_eq!(world.pick(Wish { tried: &[], ..probe }).unwrap().0, member);
}

#[test]
fn one_request_at_a_time_finds_out_whether_a_server_is_back() {
    let mut world = World::new(Policy::RoundRobin, &spots(4));
    world.eject(1);
    world.now = world.now + Duration::from_secs(2);
    // One that could not be retried leaves it to others for a second.
    assert_eq!(world.counts(30)[1], 0);
    let probe = Wish { may_probe: true, ..Wish::default() };
    let tried = [world.members[1].id];
    assert_ne!(world.pick(Wish { tried: &tried, ..probe }).unwrap().0, 1);
    assert_eq!(world.pick(probe), Ok((1, Why::Probation)));
    world.begin(1, 1);
    let begun = world.now;
    assert!((0..30).all(|_| world.pick(probe).unwrap().0 != 1));
    world.now = world.now + Duration::from_millis(10);
    world.pool.end(&world.members[1], begun, world.now, Outcome::Good);
    assert_eq!(world.members[1].condition(world.now), Condition::Up);
    // It starts slowly.
    let counts = world.counts(4_000);
    assert!((50..=200).contains(&counts[1]), "{counts:?}");
    world.pass(10_000);
    assert_eq!(world.counts(400)[1], 100);
}

#[test]
fn a_probe_comes_by_itself_after_a_second() {
    let mut world = World::new(Policy::RoundRobin, &spots(4));
    world.eject(1);
    world.now = world.now + Duration::from_secs(1);
    assert_eq!(world.counts(30)[1], 0);
    world.now = world.now + Duration::from_secs(2);
    assert_eq!(world.pick(Wish::default()), Ok((1, Why::Probation)));
}

#[test]
fn who_joins_starts_slowly_under_every_policy() {
    for policy in ALL {
        let policy = policy();
        let mut world = World::new(policy.clone(), &spots(4));
        world.all_answer(20);
        world.pass(100);
        world.pool.update(&spots(5), world.now);
        world.members = world.pool.view().members().to_vec();
        world.answer(4, 20, Outcome::Good);
        let mut shares = Vec::new();
        for _ in 0..3 {
            (0..5).for_each(|member| world.answer(member, 20, Outcome::Good));
            let mut counts = [0; 5];
            for _ in 0..4_000 {
                let hash = Some(world.rng.u64(..));
                counts[world.pick(Wish { hash, ..Wish::default() }).unwrap().0] += 1;
            }
            shares.push(f64::from(counts[4]) / 800.0);
            world.pass(5_000);
        }
        assert!(shares[0] < 0.25 && shares[1] < 0.75, "{policy:?}: {shares:?}");
        assert!(shares[0] < shares[1] && shares[1] < shares[2], "{policy:?}: {shares:?}");
        assert!((0.8..1.2).contains(&shares[2]), "{policy:?}: {shares:?}");
    }
}

#[test]
fn the_cold_are_chosen_by_latency_and_the_hot_by_load() {
    let mut world = World::new(Policy::HotCold, &spots(5));
    for member in 0..5 {
        world.answer(member, 10 * (member as u64 + 1), Outcome::Good);
        world.begin(member, 3);
    }
    world.pool.tick(world.now);
    let counts = world.counts(2_000);
    assert!(counts.is_sorted_by(|a, b| a > b) && counts[4] == 0, "{counts:?}");
    world.begin(0, 3);
    assert_eq!(world.counts(2_000)[0], 0);
}

proptest! {
    #[test]
    fn nobody_is_tried_twice_while_another_is_fit(
        policy in 0_usize..6,
        places in prop::collection::vec((1_u32..5, 0_u8..3, 0_u8..3), 1..9),
        down in prop::collection::vec(0_usize..9, 0..4),
        tried in prop::collection::vec(0_usize..9, 0..9),
        hash: Option<u64>,
        seed: u64,
    ) {
        let mut spots = spots(places.len());
        for (spot, (weight, priority, zone)) in spots.iter_mut().zip(&places) {
            (spot.weight, spot.priority) = (*weight, *priority);
            spot.zone = (*zone > 0).then(|| zone.to_string());
        }
        let zone = Some("1".to_owned());
        let settings = Settings { policy: ALL[policy](), zone, ..Settings::standard() };
        let mut world = World::with(settings, &spots);
        world.rng = Rng::with_seed(seed);
        let n = places.len();
        down.iter().filter(|&&m| m < n).for_each(|&m| world.mark(m, Checked::Unhealthy));
        let ids: Vec<MemberId> =
            tried.iter().filter(|&&m| m < n).map(|&m| world.members[m].id).collect();
        let left = (0..n).any(|m| !down.contains(&m) && !tried.contains(&m));
        let alive = (0..n).any(|m| !down.contains(&m));
        for _ in 0..20 {
            match world.pick(Wish { hash, tried: &ids, may_probe: true }) {
                Ok((member, _)) => {
                    prop_assert!(!tried.contains(&member) && !down.contains(&member));
                }
                Err(Nobody::AllTried) => prop_assert!(alive && !left),
                Err(Nobody::NoneAlive(_)) => prop_assert!(!alive),
                Err(Nobody::Empty) => prop_assert!(false),
            }
        }
    }
}

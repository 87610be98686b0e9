//! The door: by hand, by threads, and before a service in simulated time.

use super::*;
use crate::settings::{Discipline, Limit as Told};
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

mod world;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn told(mode: LimitMode, limit: u32, queue_max: usize) -> Told {
    // Permits that are dropped read the clock, which has nothing to do with the times below.
    let queue_time = Duration::from_hours(1);
    let standard = Told::standard();
    Told { mode, start: limit, least: limit, most: limit, queue_max, queue_time, ..standard }
}

fn door(limit: u32, queue_max: usize) -> Arc<Admission> {
    Admission::new(&told(LimitMode::Enforce, limit, queue_max), None)
}

/// A waker that counts.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A request that asks to be let through.
struct Request {
    future: Pin<Box<dyn Future<Output = Result<Permit, Fault>>>>,
    bell: Arc<Bell>,
}

impl Request {
    fn new(door: &Arc<Admission>, ms: u64, class: Class) -> Self {
        let door = Arc::clone(door);
        let future = Box::pin(async move { door.admit(at(ms), class, Deadline::NEVER).await });
        Self { future, bell: Arc::default() }
    }

    fn poll(&mut self) -> Option<Result<Permit, Fault>> {
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn through(&mut self) -> Permit {
        self.poll().expect("no waiting").expect("let through")
    }

    fn rung(&self) -> bool {
        self.bell.0.load(Ordering::SeqCst) > 0
    }
}

fn standing(door: &Admission) -> (u32, u32) {
    let Standing { in_flight, waiting, .. } = door.standing();
    (in_flight, waiting)
}

fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn who_finds_no_room_waits_and_is_woken_by_who_leaves() {
    let door = door(2, 8);
    let first = Request::new(&door, 0, Class::Normal).through();
    let _second = Request::new(&door, 0, Class::Normal).through();
    let mut third = Request::new(&door, 1, Class::Normal);
    assert!(third.poll().is_none());
    assert_eq!(standing(&door), (2, 1));
    assert!(door.try_admit(Deadline::NEVER, at(2)).is_none(), "nobody passes those who wait");
    first.release(at(3));
    assert!(third.rung());
    assert_eq!(standing(&door), (2, 0));
    third.through().release(at(4));
    assert_eq!(standing(&door), (1, 0));
    assert_eq!((counted(&door.counts.admitted), counted(&door.counts.queued)), (3, 1));
}

#[test]
fn a_full_queue_refuses_with_a_time() {
    let door = door(1, 1);
    let _held = Request::new(&door, 0, Class::Normal).through();
    let mut waits = Request::new(&door, 0, Class::Normal);
    assert!(waits.poll().is_none());
    let fault = Request::new(&door, 1, Class::Normal).poll().unwrap().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Overloaded);
    assert_eq!(fault.retry_after, Some(Duration::from_secs(1)));
    let mut critical = Request::new(&door, 2, Class::Critical);
    assert!(critical.poll().is_none());
    assert!(waits.rung());
    assert!(waits.poll().unwrap().is_err());
    assert_eq!(counted(&door.counts.full), 2);
}

#[test]
fn whoever_leaves_the_queue_is_not_let_through() {
    let door = door(1, 8);
    let held = Request::new(&door, 0, Class::Normal).through();
    let mut gone = Request::new(&door, 0, Class::Normal);
    let mut stays = Request::new(&door, 0, Class::Normal);
    assert!(gone.poll().is_none() && stays.poll().is_none());
    drop(gone);
    assert_eq!(standing(&door), (1, 1));
    held.release(at(1));
    let _through = stays.through();
    assert_eq!(counted(&door.counts.left), 1);
}

#[test]
fn a_place_given_to_who_has_just_gone_is_passed_on() {
    let door = door(1, 8);
    let held = Request::new(&door, 0, Class::Normal).through();
    let mut first = Request::new(&door, 0, Class::Normal);
    let mut second = Request::new(&door, 0, Class::Normal);
    assert!(first.poll().is_none() && second.poll().is_none());
    held.release(at(1));
    assert!(first.rung() && !second.rung());
    drop(first);
    assert!(second.rung());
    second.through().release(at(2));
    assert_eq!(standing(&door), (0, 0));
}

#[test]
fn who_has_no_time_left_is_refused_at_once() {
    let door = door(1, 8);
    let _held = Request::new(&door, 0, Class::Normal).through();
    let late = Deadline::after(at(5), Duration::ZERO);
    let mut future = Box::pin(door.admit(at(5), Class::Normal, late));
    let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Err(_))));
    assert_eq!(counted(&door.counts.expired), 1);
}

#[test]
fn observed_everybody_is_let_through_and_counted() {
    let door = Admission::new(&told(LimitMode::Observe, 2, 3), None);
    let permits: Vec<_> = (0..7).map(|_| Request::new(&door, 0, Class::Normal).through()).collect();
    assert_eq!(standing(&door), (7, 0));
    let counts = [&door.counts.admitted, &door.counts.would_queue, &door.counts.would_refuse];
    assert_eq!(counts.map(counted), [7, 5, 2]);
    drop(permits);
    assert_eq!(standing(&door), (0, 0));
    let off = Admission::new(&told(LimitMode::Off, 1, 1), None);
    let _permits: Vec<_> = (0..7).map(|_| Request::new(&off, 0, Class::Normal).through()).collect();
    assert_eq!(standing(&off), (0, 0));
}

#[test]
fn a_reload_keeps_what_was_learned() {
    let settings = Told { mode: LimitMode::Enforce, ..Told::standard() };
    let door = Admission::new(&settings, None);
    world::settle(&door);
    let learned = door.standing().limit;
    assert!(learned < 50, "{learned}");
    assert!(Arc::ptr_eq(&door, &Admission::new(&settings, Some(&door))));
    let other = Told { queue_max: 5, ..settings };
    assert_eq!(Admission::new(&other, Some(&door)).standing().limit, learned);
}

/// Threads that come, go, give up and wait, for ever finding each other: at the end all is given back
/// and nobody was forgotten.
#[test]
fn threads_together_lose_nobody() {
    const ROUNDS: usize = 3_000;
    let door = door(3, 64);
    let served = AtomicUsize::new(0);
    let most = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (door, served, most) = (&door, &served, &most);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..ROUNDS {
                    work(door, &mut rng, served, most);
                }
            });
        }
    });
    assert_eq!(standing(&door), (0, 0));
    assert!(most.into_inner() <= 3);
    let counts = &door.counts;
    let ended = [&counts.left, &counts.full, &counts.expired].map(counted);
    assert_eq!(served.into_inner() + ended.iter().sum::<u64>() as usize, 6 * ROUNDS);
}

/// Wakes a thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn work(door: &Arc<Admission>, rng: &mut fastrand::Rng, served: &AtomicUsize, most: &AtomicU32) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let classes = [Class::Background, Class::Normal, Class::Critical];
    let class = classes[rng.usize(0..3)];
    let future = door.admit(Moment::now(), class, Deadline::NEVER);
    let mut future = Box::pin(future);
    let patience = if rng.u8(0..4) == 0 { rng.usize(1..4) } else { usize::MAX };
    for _ in 0..patience {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(permit)) => {
                most.fetch_max(door.in_flight.load(Ordering::SeqCst), Ordering::SeqCst);
                for _ in 0..rng.u8(0..3) {
                    std::thread::yield_now();
                }
                served.fetch_add(1, Ordering::SeqCst);
                permit.ended(Moment::now(), Duration::from_micros(50), false);
                return;
            }
            Poll::Ready(Err(_)) => return,
            // A lost wake-up ends here: the longest wait in line is a second.
            Poll::Pending if patience == usize::MAX => {
                std::thread::park_timeout(Duration::from_secs(20));
            }
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

#[test]
fn overload_is_shed_and_those_let_in_are_served_in_time() {
    for seed in 0..24 {
        let figures = world::World::new(Discipline::AdaptiveLifo, seed).run(&world::OVERLOAD);
        assert!(figures.in_time >= 0.60, "seed {seed}: {figures:?}");
        assert!(figures.wasted <= 0.02, "seed {seed}: {figures:?}");
        assert!(figures.recovered <= 2.0, "seed {seed}: {figures:?}");
        assert!((9.0..=16.0).contains(&figures.limit), "seed {seed}: {figures:?}");
    }
}

/// The mean limit from one second to another.
fn limit_of(world: &world::World, from: f64, to: f64) -> f64 {
    let seen = world.limits.iter().filter(|(second, _)| (from..to).contains(second));
    let (sum, n) = seen.fold((0.0, 0.0), |(sum, n), (_, l)| (sum + f64::from(*l), n + 1.0));
    sum / n
}

fn script(seconds: u64, phases: &'static [(u64, f64, f64)]) -> world::Script {
    world::Script { seconds, phases, overload: (0, seconds) }
}

#[test]
fn an_overload_from_the_first_moment_does_not_poison_the_baseline() {
    for seed in 0..8 {
        let mut world = world::World::new(Discipline::AdaptiveLifo, seed);
        let figures = world.run(&script(120, &[(0, 1.5, 0.05)]));
        let [early, late] = [(8.0, 20.0), (30.0, 120.0)].map(|(a, b)| limit_of(&world, a, b));
        assert!((9.0..25.0).contains(&early), "seed {seed}: {early} {late} {figures:?}");
        assert!((9.0..17.0).contains(&late), "seed {seed}: {early} {late} {figures:?}");
        assert!(figures.in_time >= 0.6, "seed {seed}: {figures:?}");
    }
}

#[test]
fn an_overload_of_ten_minutes_does_not_wear_the_baseline_out() {
    let mut world = world::World::new(Discipline::AdaptiveLifo, 3);
    let figures = world.run(&script(600, &[(0, 0.7, 0.05), (10, 1.5, 0.05)]));
    let late = limit_of(&world, 300.0, 600.0);
    assert!((9.0..17.0).contains(&late), "{late} {figures:?}");
    assert!(figures.in_time >= 0.62, "{figures:?}");
}

#[test]
fn a_service_that_becomes_slower_for_good_has_a_new_baseline() {
    for seed in 0..8 {
        // From second 20 each request takes three times as long, of a load that it can still bear.
        let mut world = world::World::new(Discipline::AdaptiveLifo, seed);
        world.run(&script(80, &[(0, 0.28, 0.05), (20, 0.28, 0.15)]));
        let base = world.door.limit().baseline().unwrap().as_secs_f64();
        assert!((0.06..0.13).contains(&base), "seed {seed}: {base}"); // e^-γ of the mean is 0.084
        let late = limit_of(&world, 60.0, 80.0);
        assert!(late >= 9.0, "seed {seed}: {late}");
        // And quick again.
        world.run(&script(0, &[(0, 0.28, 0.05)]));
    }
}

#[test]
fn a_door_that_is_not_needed_is_wide_open() {
    for seed in 0..8 {
        let mut world = world::World::new(Discipline::AdaptiveLifo, seed);
        let figures = world.run(&script(120, &[(0, 0.7, 0.05)]));
        let mean = limit_of(&world, 20.0, 120.0);
        assert!(mean >= 13.0, "seed {seed}: {mean} {figures:?}");
        assert!(figures.in_time >= 0.999, "seed {seed}: {figures:?}");
    }
}

#[test]
fn clients_that_always_ask_again_do_not_hold_it_wide_open() {
    // What a load test does: a hundred and more clients at once from the first moment. Many times what
    // the service can do, so that in flight is whatever is let through.
    for seed in 0..4 {
        let mut world = world::World::new(Discipline::AdaptiveLifo, seed);
        world.run(&script(60, &[(0, 4.0, 0.05)]));
        let late = limit_of(&world, 20.0, 60.0);
        assert!((9.0..18.0).contains(&late), "seed {seed}: {late}");
    }
}

#[test]
fn a_mix_that_shifts_costs_a_moment() {
    // Load that is borne throughout, of requests that take a tenth more and more.
    for seed in 0..4 {
        let mut world = world::World::new(Discipline::AdaptiveLifo, seed);
        let phases = &[(0, 0.2, 0.05), (20, 0.2, 0.1), (40, 0.2, 0.2), (60, 0.2, 0.05)];
        let figures = world.run(&script(80, phases));
        assert!(figures.in_time >= 0.985, "seed {seed}: {figures:?}");
    }
}

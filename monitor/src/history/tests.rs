//! Histories of made-up readings.

use super::*;

/// A source of cumulative readings, a second apart.
#[derive(Default)]
struct World {
    totals: BTreeMap<String, Total>,
    history: History,
    second: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        world.read();
        world
    }

    fn read(&mut self) {
        let now = Moment::from_nanos(self.second * 1_000_000_000);
        self.history.read(self.totals.clone(), Duration::from_millis(self.second * 7), now);
        self.second += 1;
    }

    /// A second in which a route took these, in microseconds, from the service.
    fn second(&mut self, route: &str, micros: &[u64]) {
        let total = self.totals.entry(route.to_owned()).or_default();
        for us in micros {
            total.service.add(Duration::from_micros(*us), 1);
        }
        self.read();
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_slice_is_what_came_and_nothing_is_left_out() {
    let mut world = World::default();
    // What came between the start and the first reading is part of the first second.
    world.totals.entry("a".into()).or_default().store.add(secs(1), 2);
    world.read();
    world.second("a", &[100; 3]);
    assert_eq!(world.history.newest().map(|(_, window)| window.count()), Some(5));
    world.second("a", &[200; 3]);
    assert_eq!(world.history.window(NOW).count(), 8);
    assert_eq!(world.history.window(secs(1)).count(), 3);
    assert_eq!(world.history.newest().map(|(_, window)| window.count()), Some(3));
    let window = world.history.window(NOW);
    assert_eq!((window.cpu, window.length), (Duration::from_millis(14), secs(2)));
    assert!((window.rate() - 4.0).abs() < 1e-9);
}

#[test]
fn percentiles_are_of_the_sum_and_never_averages() {
    let mut world = World::new();
    // Nine seconds of fast ones and one that is slow: the mean of ten p99s would be far off.
    (0..9).for_each(|_| world.second("a", &[1_000; 1_000]));
    world.second("a", &[100_000; 80]);
    let all = world.history.window(NOW).all();
    let p99 = percentile(&all, 0.99).expect("9,080 are enough");
    assert!(p99 < Duration::from_micros(1_033), "{p99:?}");
    assert!(percentile(&all, 0.995).expect("enough") > Duration::from_millis(99));
}

#[test]
fn a_percentile_with_fewer_than_twenty_beyond_is_hidden() {
    for (count, p50, p95, p99) in [
        (39, false, false, false),
        (40, true, false, false),
        (399, true, false, false),
        (400, true, true, false),
        (1_999, true, true, false),
        (2_000, true, true, true),
    ] {
        let mut durations = Merged::<5>::default();
        durations.add(secs(1), count);
        let told = |q| percentile(&durations, q).is_some();
        assert_eq!((told(0.5), told(0.95), told(0.99)), (p50, p95, p99), "{count}");
    }
}

#[test]
fn a_route_that_goes_takes_nothing_with_it() {
    let mut world = World::new();
    world.second("a", &[100; 50]);
    world.second("b", &[100; 50]);
    world.totals.remove("a");
    world.second("b", &[100; 5]);
    assert_eq!(world.history.newest().map(|(_, window)| window.count()), Some(5));
    assert_eq!(world.history.window(NOW).count(), 105);
    let routes: Vec<_> = world.history.routes(NOW).map(|(name, w)| (name, w.count())).collect();
    assert_eq!(routes, [("b", 55)]);
    // Back again, its counters begin anew.
    world.second("a", &[100; 7]);
    assert_eq!(world.history.newest().map(|(_, window)| window.count()), Some(7));
}

#[test]
fn columns_lose_nothing() {
    let mut world = World::new();
    (0..2_000).for_each(|second| world.second("a", &[second + 1, 5]));
    let counts = |time, each| {
        let columns = world.history.columns(secs(time), secs(each));
        assert!(columns.is_sorted_by_key(|(ended, _)| *ended));
        columns.iter().map(|(_, window)| window.count()).collect::<Vec<_>>()
    };
    assert_eq!(counts(300, 1), [2; 300]);
    assert_eq!(counts(3_600, 10), [20; 200]);
    assert_eq!(counts(86_400, 240), [480, 480, 480, 480, 480, 480, 480, 480, 160]);
}

#[test]
fn the_bytes_are_bounded() {
    let mut total = Total::default();
    let mut history = History::default();
    let mut now = Moment::from_nanos(0);
    // Every bucket there is, in every second, by the hundred.
    let mut every = Merged::<7>::default();
    for cell in 0..40 << 7 {
        every.add(duration::<7>(cell), 100);
    }
    // Once round the day is 86,400 readings; the shapes repeat, so one of each stands for all.
    for _ in 0..=IN_LONG {
        total.store.merge(&every);
        total.service.merge(&every);
        history.read([("a".to_owned(), total.clone())].into(), Duration::ZERO, now);
        now = now + secs(1);
    }
    let second = history.seconds.back().map_or(0, Slice::bytes);
    let long = history.longs.back().map_or(0, Slice::bytes);
    let most = second * SECONDS + long * LONGS;
    assert!(most < BYTES_MAX, "{second} and {long} bytes: {most}");
    // And in use: hits around a millisecond, misses around thirty.
    let mut usual = World::new();
    for second in 0..20 {
        let micros: Vec<u64> = (0..500).map(|i| 20_000 + (i * 7 + second) % 400 * 50).collect();
        usual.second("a", &micros);
    }
    let each = usual.history.longs.back().map_or(0, Slice::bytes);
    assert!(each * LONGS < BYTES_MAX / 8, "{each}");
}

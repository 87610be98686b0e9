//! When: the only place that reads a clock.
//!
//! A [`Moment`] is nanoseconds since the process first asked, from the monotonic clock; wall time is
//! derived from it by one fixed anchor, so that decisions need a single reading.

use std::cell::Cell;
use std::ops::{Add, Sub};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

struct Anchor {
    monotonic: Instant,
    wall: SystemTime,
}

static ANCHOR: LazyLock<Anchor> = LazyLock::new(Anchor::take);
static ANCHOR_MS: LazyLock<u64> = LazyLock::new(|| {
    let since = ANCHOR.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
});

thread_local! {
    static RECENT: Cell<u64> = const { Cell::new(0) };
}

impl Anchor {
    #[expect(clippy::disallowed_methods, reason = "this is base::moment")]
    fn take() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// A point in time; ordered, copied, read once per decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// Now, by the monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "this is base::moment")]
    pub fn now() -> Self {
        let nanos = Instant::now().saturating_duration_since(ANCHOR.monotonic).as_nanos() as u64;
        RECENT.set(nanos);
        Self(nanos)
    }

    /// When this thread last asked for [`Moment::now`]: for idle times and other ends that need no
    /// precision, right behind work that has read the clock itself. A reading costs as much as
    /// parsing a field.
    pub fn recent() -> Self {
        Self(RECENT.get())
    }

    /// The moment `nanos` after the anchor: for simulated time.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the anchor.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The wall clock at this moment, by the anchor taken at start.
    pub fn wall(self) -> SystemTime {
        ANCHOR.wall + Duration::from_nanos(self.0)
    }

    /// The same in milliseconds since 1970.
    pub fn wall_ms(self) -> Wall {
        Wall(*ANCHOR_MS + self.0 / 1_000_000)
    }
}

/// The wall clock in milliseconds since 1970, for what outlives the process or is compared with dates.
/// Derived from a [`Moment`] by the anchor, so it never goes back while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Wall {
    /// Whole seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Wall {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Wall {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// The last moment at which an answer is of use. `Deadline::NEVER` waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Moment);

impl Deadline {
    /// No deadline.
    pub const NEVER: Self = Self(Moment(u64::MAX));

    /// `after` from `now`.
    pub fn after(now: Moment, after: Duration) -> Self {
        Self(now + after)
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or_before(self, other: Self) -> Self {
        self.min(other)
    }

    /// What is left at `now`; zero when passed.
    pub fn left(self, now: Moment) -> Duration {
        self.0.since(now)
    }

    /// Has it passed at `now`?
    pub fn passed(self, now: Moment) -> bool {
        now >= self.0
    }

    /// The moment itself.
    pub fn moment(self) -> Moment {
        self.0
    }
}

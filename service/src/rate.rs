//! How often requests may come: the generic cell rate algorithm, for each route, client or value of a
//! field.
//!
//! [`Gcra`] is the arithmetic: one number a key, the moment at which all it took will be restored.
//! A [`Rule`] keeps those numbers: one atomic for a route, a [`Table`] of a fixed size otherwise. A
//! key that finds no room takes the place of the one that is restored soonest, that is, of the one
//! that used least: whoever makes up keys cannot make us forget who has used up his own.
//!
//! Whoever wants several rules obeyed uses [`Rates::check`]: what one of them refuses costs nothing at
//! the others, and the most restrictive speaks. Rules that say the same keep their numbers across
//! reloads. `now` is never earlier than zero by the anchor, so a key that was never seen has 0.
//!
//! Fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "name";q=100;w=60`
//! and `RateLimit: "name";r=50;t=30`, the latter with the time until all is restored.

use crate::settings::{Rate, RateBy};
use base::Moment;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Most keys that a rule remembers.
pub const KEYS_MAX: usize = SHARDS * SETS * WAYS;

const SHARDS: usize = 64;
const SETS: usize = 128;
const WAYS: usize = 8;

/// The arithmetic of one rate: virtual scheduling, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// What a request costs.
    each: u64,
    /// How much may be owed.
    most: u64,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// It may go on.
    pub allowed: bool,
    /// So many more may come at once.
    pub remaining: u32,
    /// Until all is restored.
    pub reset: Duration,
    /// After how long one more may come; zero when one may come at once.
    pub retry: Duration,
}

impl Gcra {
    /// `limit` in `per`, `burst` of them at once.
    pub fn new(limit: u32, per: Duration, burst: u32) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let each = (per / u64::from(limit.max(1))).max(1);
        Self { each, most: each.saturating_mul(u64::from(burst.max(1))) }
    }

    /// What a request costs in time.
    pub fn each(self) -> Duration {
        Duration::from_nanos(self.each)
    }

    /// The same rate divided among so many, at least one request at a time each.
    #[must_use]
    pub fn divided(self, among: u32) -> Self {
        let among = u64::from(among.max(1));
        let each = self.each.saturating_mul(among);
        // In whole requests, rounded down, as many as its part of the burst.
        let burst = (self.most / self.each / among).max(1);
        Self { each, most: each.saturating_mul(burst) }
    }

    /// One request at `now` of somebody whose debt is paid at `paid`: how it comes out, and when the
    /// debt is paid then.
    pub fn take(self, paid: u64, now: Moment) -> (Outcome, u64) {
        let now = now.as_nanos();
        let before = paid.max(now);
        let after = before.saturating_add(self.each);
        let allowed = after - now <= self.most;
        let paid = if allowed { after } else { before };
        let owed = paid - now;
        let room = self.most.saturating_sub(owed);
        let outcome = Outcome {
            allowed,
            remaining: u32::try_from(room / self.each).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(owed),
            retry: Duration::from_nanos((owed + self.each).saturating_sub(self.most)),
        };
        (outcome, paid)
    }
}

/// For whom a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who<'a> {
    /// Everybody.
    All,
    /// An address; see [`network`].
    Client(IpAddr),
    /// The value of a field; empty for requests without it.
    Value(&'a [u8]),
}

/// The address that a client is counted by: IPv4 as it is, however it is written, IPv6 by its /64,
/// which is what one subscriber has.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Hashes of keys, 0 for none, and their numbers.
type Set = [(u64, u64); WAYS];

/// Numbers by key, of a fixed size: sets of [`WAYS`] behind locks of their own.
#[derive(Debug)]
struct Table {
    shards: Vec<Mutex<Vec<Set>>>,
    hasher: RandomState,
}

impl Table {
    fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Changes the number of a key.
    fn change<R>(&self, who: Who<'_>, now: Moment, change: impl FnOnce(u64) -> (R, u64)) -> R {
        let hash = self.hasher.hash_one(who).max(1); // 0 is an empty place
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.is_empty() {
            *sets = vec![[(0, 0); WAYS]; SETS];
        }
        let ways = &mut sets[hash as usize % SETS];
        let place = ways.iter().position(|&(known, _)| known == hash).unwrap_or_else(|| {
            let soonest = (0..WAYS).min_by_key(|&way| ways[way].1).unwrap_or(0);
            ways[soonest] = (hash, now.as_nanos());
            soonest
        });
        let (result, number) = change(ways[place].1);
        ways[place].1 = number;
        result
    }
}

/// Where a rule keeps its numbers.
#[derive(Debug)]
enum Numbers {
    One(AtomicU64),
    Each(OnceLock<Table>),
}

/// One rate, and what has been used of it.
#[derive(Debug)]
pub struct Rule {
    /// What it is told.
    pub settings: Rate,
    /// Its arithmetic.
    pub gcra: Gcra,
    /// `RateLimit-Policy` for it.
    pub policy: String,
    /// Its name as structured fields write it, with quotes.
    quoted: String,
    numbers: Numbers,
    allowed: AtomicU64,
    denied: AtomicU64,
}

impl Rule {
    /// A rule that nothing has been used of.
    pub fn new(settings: &Rate) -> Self {
        let numbers = match settings.by {
            RateBy::Route => Numbers::One(AtomicU64::new(0)),
            RateBy::Client | RateBy::Header(_) => Numbers::Each(OnceLock::new()),
        };
        let quoted = quoted(&settings.name);
        Self {
            gcra: Gcra::new(settings.limit, settings.per, settings.burst),
            policy: policy(&quoted, settings),
            quoted,
            numbers,
            allowed: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            settings: settings.clone(),
        }
    }

    /// For whom a request of this client counts; `field` finds the value of a field.
    pub fn who<'a>(&self, client: IpAddr, field: impl FnOnce(&str) -> Option<&'a [u8]>) -> Who<'a> {
        match &self.settings.by {
            RateBy::Route => Who::All,
            RateBy::Client => Who::Client(network(client)),
            RateBy::Header(name) => Who::Value(field(name).unwrap_or_default()),
        }
    }

    /// One request. Not counted in [`Rule::counts`].
    pub fn take(&self, who: Who<'_>, now: Moment) -> Outcome {
        self.take_by(self.gcra, who, now)
    }

    /// One request by a rate that is this one's part (see [`Gcra::divided`]).
    pub fn take_by(&self, gcra: Gcra, who: Who<'_>, now: Moment) -> Outcome {
        self.change(who, now, |paid| gcra.take(paid, now))
    }

    /// Gives back what a request took that was refused elsewhere.
    pub fn give_back(&self, who: Who<'_>, now: Moment) {
        let each = self.gcra.each;
        self.change(who, now, |paid| ((), paid.saturating_sub(each)));
    }

    fn change<R>(&self, who: Who<'_>, now: Moment, change: impl Fn(u64) -> (R, u64)) -> R {
        match &self.numbers {
            Numbers::One(number) => {
                let mut known = number.load(Ordering::Relaxed);
                loop {
                    let (result, new) = change(known);
                    let (good, bad) = (Ordering::Relaxed, Ordering::Relaxed);
                    match number.compare_exchange_weak(known, new, good, bad) {
                        Ok(_) => return result,
                        Err(other) => known = other,
                    }
                }
            }
            Numbers::Each(table) => table.get_or_init(Table::new).change(who, now, change),
        }
    }

    /// Counts how a request came out.
    pub fn count(&self, allowed: bool) {
        let counter = if allowed { &self.allowed } else { &self.denied };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were allowed, and how many denied.
    pub fn counts(&self) -> (u64, u64) {
        (self.allowed.load(Ordering::Relaxed), self.denied.load(Ordering::Relaxed))
    }

    /// The value of `RateLimit` after this outcome.
    pub fn field(&self, outcome: &Outcome) -> String {
        let reset = outcome.reset.as_millis().div_ceil(1_000);
        format!("{};r={};t={reset}", self.quoted, outcome.remaining)
    }
}

/// A name as a string of structured fields (RFC 9651 §3.3.3); what that cannot hold is left out.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// Windows are whole seconds: of a shorter one the quota of a second is told.
fn policy(quoted: &str, settings: &Rate) -> String {
    let seconds = settings.per.as_secs_f64();
    let (quota, window) = if seconds.fract() == 0.0 && seconds >= 1.0 {
        (f64::from(settings.limit), seconds)
    } else {
        let window = seconds.ceil().max(1.0);
        ((f64::from(settings.limit) * window / seconds).floor(), window)
    };
    format!("{quoted};q={quota};w={window}")
}

/// The rules of one route.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// In the order of the settings.
    pub rules: Vec<Arc<Rule>>,
}

/// What the rules of a route say of a request.
#[derive(Clone, Debug)]
pub struct Said {
    /// The rule that speaks: the first that denies, else the one with the least part of its burst left.
    pub rule: Arc<Rule>,
    /// How it came out there.
    pub outcome: Outcome,
}

impl Rates {
    /// Rules as the settings say; those that were among `before` word for word keep their numbers, those
    /// of the same name their counts.
    pub fn new(settings: &[Rate], before: Option<&Self>) -> Self {
        let known = |rate: &Rate| {
            let rule = before?.rules.iter().find(|rule| rule.settings == *rate)?;
            Some(Arc::clone(rule))
        };
        let changed = |rate: &Rate| {
            let rule = Rule::new(rate);
            let named = |known: &&Arc<Rule>| known.settings.name == rate.name;
            if let Some(known) = before.and_then(|before| before.rules.iter().find(named)) {
                let (allowed, denied) = known.counts();
                rule.allowed.store(allowed, Ordering::Relaxed);
                rule.denied.store(denied, Ordering::Relaxed);
            }
            Arc::new(rule)
        };
        let rule = |rate| known(rate).unwrap_or_else(|| changed(rate));
        Self { rules: settings.iter().map(rule).collect() }
    }

    /// One request of this client; `field` finds the value of a field. `None` without rules.
    pub fn check<'a>(
        &self,
        now: Moment,
        client: IpAddr,
        field: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Option<Said> {
        let mut said: Option<Said> = None;
        for (turn, rule) in self.rules.iter().enumerate() {
            let outcome = rule.take(rule.who(client, &field), now);
            rule.count(outcome.allowed);
            let tighter = Said { rule: Arc::clone(rule), outcome };
            if !outcome.allowed {
                for rule in &self.rules[..turn] {
                    rule.give_back(rule.who(client, &field), now);
                }
                return Some(tighter);
            }
            said = Some(said.map_or(tighter.clone(), |said| said.tighter(tighter)));
        }
        said
    }
}

impl Said {
    /// The one of two that leaves less.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let part = |said: &Self| {
            f64::from(said.outcome.remaining) / f64::from(said.rule.settings.burst.max(1))
        };
        if part(&other) < part(&self) { other } else { self }
    }
}

#[cfg(test)]
mod tests;

//! Who may be asked now: made anew when the pool or somebody's health changes, read by every pick.
//!
//! Everything that picks would otherwise work out each time is here: the servers that may be asked by
//! priority, those of our zone first, the share of requests each priority gets, sums of weights,
//! Maglev's tables. What changes from one request to the next (in flight, latency, slow start) is read
//! from the members.

use crate::health::Condition;
use crate::load::Prior;
use crate::maglev::Table;
use crate::member::Member;
use crate::settings::{Policy, Settings};
use crate::slow_start::Curve;
use base::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

pub(crate) mod spill;

/// The servers as a pick sees them. Never changes; a new one takes its place.
#[derive(Debug)]
pub struct View {
    pub(crate) members: Arc<Vec<Arc<Member>>>,
    /// Where each member stands, in the order of the members.
    pub(crate) places: Arc<Vec<Place>>,
    /// The condition of each member that this was made for.
    pub(crate) conditions: Vec<Condition>,
    /// Those with anybody to ask, by priority.
    pub(crate) tiers: Vec<Tier>,
    /// Members that await a request that finds out whether they are back.
    pub(crate) probation: Vec<Arc<Member>>,
    /// When somebody's condition changes without anybody's doing.
    pub(crate) next: Moment,
    /// Until then somebody starts slowly.
    pub(crate) slow_until: Moment,
    pub(crate) rules: Arc<Rules>,
    pub(crate) shared: Arc<Shared>,
}

/// A member's place in the pool, which may change while its state stays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) weight: u32,
    pub(crate) priority: u8,
    pub(crate) zone: Option<Arc<str>>,
}

/// What of the settings a pick goes by, as it needs it.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) curve: Curve,
    /// Nanoseconds.
    pub(crate) penalty: f32,
    /// Nanoseconds.
    pub(crate) zone_cost: f32,
    pub(crate) zone: Option<String>,
    /// Shares of servers, as factors.
    pub(crate) panic: f64,
}

/// What all views of a pool share and what outlives a reload: figures of the whole pool.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whose turn it is.
    pub(crate) turn: AtomicUsize,
    /// Requests in flight, of all members.
    pub(crate) in_flight: AtomicU32,
    /// The mean latency in nanoseconds (f32).
    mean: AtomicU32,
    /// In flight for its weight, a server is hot above this (f32).
    hot: AtomicU32,
}

/// The servers of one priority that may be asked.
#[derive(Debug)]
pub(crate) struct Tier {
    /// Of 10,000 requests, those below this number and not below the one before come here.
    pub(crate) until: u32,
    /// Those of our zone first.
    pub(crate) seats: Vec<Seat>,
    /// How many are of our zone; all of them where zones do not matter.
    pub(crate) local: usize,
    /// All weights are equal.
    pub(crate) even: bool,
    /// The sum of weights up to and with each seat.
    pub(crate) sums: Vec<f32>,
    /// Ejection is ignored.
    pub(crate) panic: bool,
    pub(crate) hashed: Option<Hashed>,
}

impl Tier {
    pub(crate) fn mean_weight(&self) -> f32 {
        self.sums.last().map_or(1.0, |sum| sum / self.sums.len() as f32)
    }
}

/// A server that may be asked.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) member: Arc<Member>,
    pub(crate) weight: f32,
}

/// Which seat a hash belongs to.
#[derive(Debug)]
pub(crate) struct Hashed {
    pub(crate) table: Arc<Table>,
    /// The seat of each server of the table, fit or not.
    pub(crate) seats: Vec<Option<u32>>,
}

/// The tables of one pool: made anew only for other members or weights, never for a condition.
#[derive(Debug, Default)]
pub(crate) struct Tables(Vec<Kept>);

/// A table and the hashes and weights of the servers it is of.
#[derive(Debug)]
struct Kept {
    servers: Vec<(u64, u32)>,
    table: Arc<Table>,
}

impl View {
    /// All servers of the pool, fit or not, in the order of the settings.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The members as they are at `now`.
    pub(crate) fn new(
        (members, places): (Arc<Vec<Arc<Member>>>, Arc<Vec<Place>>),
        tables: &mut Tables,
        (rules, shared): (Arc<Rules>, Arc<Shared>),
        now: Moment,
    ) -> Self {
        let mut next = Moment::from_nanos(u64::MAX);
        let mut slow_until = Moment::from_nanos(0);
        let mut probation = Vec::new();
        let conditions: Vec<_> = members.iter().map(|member| member.condition(now)).collect();
        for (member, &condition) in members.iter().zip(&conditions) {
            if let Condition::Ejected { until, .. } | Condition::Dead { until } = condition {
                next = next.min(until);
            }
            if condition == Condition::Probation {
                probation.push(Arc::clone(member));
            }
            if let Some(joined) = member.joined.when() {
                slow_until = slow_until.max(rules.curve.end(joined));
            }
        }
        let uses: Vec<_> = members.iter().zip(&conditions).map(|(m, &c)| Use::of(m, c)).collect();
        let tiers = tiers(&members, &places, &uses, tables, &rules);
        Self { members, places, conditions, tiers, probation, next, slow_until, rules, shared }
    }

    /// Somebody starts slowly.
    pub(crate) fn slow(&self, now: Moment) -> bool {
        now < self.slow_until
    }

    pub(crate) fn prior(&self) -> Prior {
        Prior { mean: self.shared.mean(), penalty: self.rules.penalty }
    }
}

/// What a member is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Always,
    Panic,
    Never,
}

impl Use {
    fn of(member: &Member, condition: Condition) -> Self {
        match condition {
            Condition::Up => Self::Always,
            Condition::Ejected { .. } => Self::Panic,
            // In panic somebody whose ejection is over is no worse than one whose is not.
            Condition::Probation if !member.silent.load(Relaxed) => Self::Panic,
            Condition::Probation | Condition::Dead { .. } | Condition::Down => Self::Never,
        }
    }
}

fn tiers(
    members: &[Arc<Member>],
    places: &[Place],
    uses: &[Use],
    tables: &mut Tables,
    rules: &Rules,
) -> Vec<Tier> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&index| places[index].priority);
    let groups: Vec<&[usize]> =
        order.chunk_by(|&a, &b| places[a].priority == places[b].priority).collect();
    let count = |group: &&[usize]| {
        let of = |what| group.iter().filter(|&&index| uses[index] == what).count();
        spill::Count { all: group.len(), fit: of(Use::Always), ejected: of(Use::Panic) }
    };
    let counts: Vec<_> = groups.iter().map(count).collect();
    let mut kept = Vec::new();
    let mut until = 0;
    let mut tiers = Vec::new();
    for (group, spilt) in groups.into_iter().zip(spill::spill(&counts, rules.panic)) {
        until += spilt.load;
        let usable =
            |index: usize| uses[index] == Use::Always || spilt.panic && uses[index] == Use::Panic;
        let hashed = matches!(rules.policy, Policy::Hash(_)).then(|| {
            let servers = group.iter().map(|&i| (members[i].hash, places[i].weight)).collect();
            tables.get(servers, &mut kept)
        });
        let mut tier = tier(members, places, group, usable, rules.zone.as_deref(), hashed);
        if !tier.seats.is_empty() {
            (tier.until, tier.panic) = (until, spilt.panic);
            tiers.push(tier);
        }
    }
    tables.0 = kept;
    tiers
}

fn tier(
    members: &[Arc<Member>],
    places: &[Place],
    group: &[usize],
    usable: impl Fn(usize) -> bool,
    zone: Option<&str>,
    table: Option<Arc<Table>>,
) -> Tier {
    let ours = |index: usize| zone.is_some() && places[index].zone.as_deref() == zone;
    // Places in the group of those that may be asked, our zone first.
    let mut usable: Vec<usize> = (0..group.len()).filter(|&at| usable(group[at])).collect();
    usable.sort_by_key(|&at| !ours(group[at]));
    let local = usable.iter().take_while(|&&at| ours(group[at])).count();
    let mut seat_of = vec![None; if table.is_some() { group.len() } else { 0 }];
    let mut seats = Vec::with_capacity(usable.len());
    let mut sums = Vec::with_capacity(usable.len());
    let mut sum = 0.0;
    for at in usable {
        let index = group[at];
        if let Some(seat) = seat_of.get_mut(at) {
            *seat = Some(seats.len() as u32);
        }
        let weight = places[index].weight.max(1) as f32;
        sum += weight;
        sums.push(sum);
        seats.push(Seat { member: Arc::clone(&members[index]), weight });
    }
    Tier {
        until: 0,
        local: if local == 0 { seats.len() } else { local },
        even: seats.windows(2).all(|pair| pair[0].weight.to_bits() == pair[1].weight.to_bits()),
        seats,
        sums,
        panic: false,
        hashed: table.map(|table| Hashed { table, seats: seat_of }),
    }
}

impl Tables {
    /// The table of these servers, kept from before if there was one.
    fn get(&self, servers: Vec<(u64, u32)>, kept: &mut Vec<Kept>) -> Arc<Table> {
        let known = self.0.iter().find(|known| known.servers == servers);
        let table =
            known.map_or_else(|| Arc::new(Table::new(&servers)), |known| Arc::clone(&known.table));
        kept.push(Kept { servers, table: Arc::clone(&table) });
        table
    }
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            policy: settings.policy.clone(),
            curve: Curve::new(settings.slow_start, settings.slow_start_least),
            penalty: settings.penalty.as_nanos() as f32,
            zone_cost: settings.zone_cost.as_nanos() as f32,
            zone: settings.zone.clone(),
            panic: settings.panic.factor(),
        }
    }
}

impl Shared {
    pub(crate) fn mean(&self) -> f32 {
        f32::from_bits(self.mean.load(Relaxed))
    }

    pub(crate) fn set_mean(&self, nanos: f32) {
        self.mean.store(nanos.to_bits(), Relaxed);
    }

    pub(crate) fn hot(&self) -> f32 {
        f32::from_bits(self.hot.load(Relaxed))
    }

    pub(crate) fn set_hot(&self, in_flight: f32) {
        self.hot.store(in_flight.to_bits(), Relaxed);
    }
}

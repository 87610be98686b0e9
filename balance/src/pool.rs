//! All servers of one service, as all threads see them.
//!
//! The path of a request takes no lock of the pool's: it reads the view and counts in atomics of the
//! member. Rare changes (another set of servers, another condition) are made one at a time under the
//! lock of the roster, and end with a new view; a condition changes before the view is made, so that
//! the last view made has seen all changes.

use crate::health::{Cause, Checked, Condition, Health, Verdict, sweep};
use crate::load::{Load, Outcome};
use crate::member::{Member, MemberId, Standing};
use crate::settings::{Server, Settings, Spot, url};
use crate::slow_start::Joined;
use crate::subset;
use crate::view::{Place, Rules, Shared, Tables, View};
use arc_swap::ArcSwap;
use base::Moment;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

#[cfg(test)]
mod tests;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The servers of one service.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    rules: Arc<Rules>,
    shared: Arc<Shared>,
    view: Arc<ArcSwap<View>>,
    /// [`View::next`] of the view, in nanoseconds.
    next: AtomicU64,
    roster: Mutex<Roster>,
}

/// One thread's way to the pool's view: a look costs one load while nothing has changed.
pub type Reader = arc_swap::Cache<Arc<ArcSwap<View>>, Arc<View>>;

/// Who is in the pool; all of its changes.
#[derive(Debug, Default)]
struct Roster {
    known: HashMap<Server, Arc<Member>>,
    members: Arc<Vec<Arc<Member>>>,
    places: Arc<Vec<Place>>,
    tables: Tables,
}

impl Pool {
    /// A pool of these servers. Those that `before` had already keep their state: what was learned
    /// of them, their health, what they have in flight. Without `before` nobody starts slowly.
    pub fn new(settings: Settings, spots: &[Spot], before: Option<&Self>, now: Moment) -> Self {
        let rules = Arc::new(Rules::new(&settings));
        let shared = before.map(|before| Arc::clone(&before.shared)).unwrap_or_default();
        let mut roster = Roster::default();
        if let Some(before) = before {
            roster.known.clone_from(&before.roster().known);
        }
        let view = roster.view(&rules, &shared, now);
        let this = Self {
            settings,
            rules,
            shared,
            view: Arc::new(ArcSwap::from_pointee(view)),
            next: AtomicU64::new(u64::MAX),
            roster: Mutex::new(roster),
        };
        this.update(spots, now);
        this
    }

    /// These are the servers from now on. Who was there before keeps its state; who is new starts
    /// slowly, unless nobody was there before. A server that is named twice stands where it is first.
    pub fn update(&self, spots: &[Spot], now: Moment) {
        let mut roster = self.roster();
        roster.replace(spots, &self.settings, now);
        self.show(&mut roster, now);
    }

    /// How the pool is balanced.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who may be asked now.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// One thread's way to [`Pool::view`].
    pub fn reader(&self) -> Reader {
        arc_swap::Cache::new(Arc::clone(&self.view))
    }

    /// Lets the view notice that somebody's time is over; to be called before picks. Nearly always
    /// it costs one load, and it never waits: if another thread is at work on the view, the next
    /// call will do.
    pub fn refresh(&self, now: Moment) {
        if now.as_nanos() < self.next.load(Relaxed) {
            return;
        }
        let mut roster = match self.roster.try_lock() {
            Ok(roster) => roster,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if now.as_nanos() >= self.next.load(Relaxed) {
            self.show(&mut roster, now);
        }
    }

    /// A server is asked.
    pub fn begin(&self, member: &Member) {
        member.load.begin();
        self.shared.in_flight.fetch_add(1, Relaxed);
    }

    /// What was asked at `begun` has ended. Every [`Pool::begin`] has one. `begun` is no earlier than
    /// the moment of the pick, or a probation would take the answer for one of before.
    pub fn end(&self, member: &Member, begun: Moment, now: Moment, outcome: Outcome) {
        let took = now.since(begun);
        self.shared.in_flight.fetch_sub(1, Relaxed);
        // The first answer is all that is known until the next tick.
        if outcome == Outcome::Good && self.shared.mean() <= 0.0 {
            self.shared.set_mean(took.as_nanos() as f32);
        }
        member.load.end(took, outcome, now, self.shared.mean());
        let verdict = member.health.ended(outcome, took, now, &self.settings.eject);
        if verdict != Verdict::None {
            self.follow(member, verdict, now);
        }
    }

    /// Active checks have made up their mind about a server.
    pub fn checked(&self, member: MemberId, found: Checked, now: Moment) {
        let mut roster = self.roster();
        let Some(member) = roster.members.iter().find(|known| known.id == member).cloned() else {
            return;
        };
        if member.health.checked(found, now) {
            if member.condition(now) == Condition::Up {
                self.welcome(&member, now);
            }
            self.show(&mut roster, now);
        }
    }

    /// Looks after windows and ejections; to be called every [`Pool::TICK`] or so.
    pub fn tick(&self, now: Moment) {
        let mut roster = self.roster();
        roster.members.iter().for_each(|member| member.load.renew(now));
        self.measure(&roster, now);
        let healths: Vec<&Health> = roster.members.iter().map(|member| &member.health).collect();
        for (at, cause) in sweep(&healths, now, &self.settings.eject) {
            self.eject(&roster, &roster.members[at], cause, now);
        }
        // Not only what was done here: another pool may share members while a reload drains it.
        let view = self.view.load();
        let seen = view.members.iter().zip(&view.conditions);
        if seen.into_iter().any(|(member, condition)| member.condition(now) != *condition) {
            self.show(&mut roster, now);
        }
    }

    /// How often [`Pool::tick`] wants to be called.
    pub const TICK: Duration = Duration::from_millis(100);

    /// What is known of each server, in the order of the settings.
    pub fn standings(&self, now: Moment) -> Vec<Standing> {
        let view = self.view();
        let standing = |(member, place): (&Arc<Member>, &Place)| Standing {
            id: member.id,
            url: member.url.clone(),
            condition: member.condition(now),
            in_flight: member.in_flight(),
            latency: member.latency(now),
            ejections: member.health.ejections(),
            weight: f64::from(place.weight)
                * f64::from(member.joined.factor(self.rules.curve, now)),
            priority: place.priority,
            zone: place.zone.as_deref().map(str::to_owned),
        };
        view.members.iter().zip(view.places.iter()).map(standing).collect()
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the view anew.
    fn show(&self, roster: &mut Roster, now: Moment) {
        let view = roster.view(&self.rules, &self.shared, now);
        self.next.store(view.next.as_nanos(), Relaxed);
        self.view.store(Arc::new(view));
    }

    /// Does what a member's health asks for.
    fn follow(&self, member: &Member, verdict: Verdict, now: Moment) {
        let mut roster = self.roster();
        match verdict {
            Verdict::None => return,
            // Where all fail, most ejections are refused: no new view for each.
            Verdict::Eject(cause) if !self.eject(&roster, member, cause, now) => return,
            Verdict::Eject(_) => {}
            Verdict::Dead => self.bury(&roster, member, now),
            Verdict::Back => {
                member.health.back(now);
                self.welcome(member, now);
            }
        }
        self.show(&mut roster, now);
    }

    /// Ejects a member if the pool can spare it; answers whether it could.
    fn eject(&self, roster: &Roster, member: &Member, cause: Cause, now: Moment) -> bool {
        let is_out = |m: &&Arc<Member>| matches!(m.condition(now), Condition::Ejected { .. });
        let out = roster.members.iter().filter(is_out).count();
        // A share of a few servers is none, and then nobody could ever be ejected.
        let most = (roster.members.len() as f64 * self.settings.eject.most.factor()).max(1.0);
        let may = (out + 1) as f64 <= most;
        if may {
            member.health.eject(cause, now, &self.settings.eject, jitter(member, now));
            member.silent.store(false, Relaxed);
        }
        may
    }

    /// A member cannot be connected to.
    fn bury(&self, roster: &Roster, member: &Member, now: Moment) {
        let is_alive = |other: &Arc<Member>| match other.condition(now) {
            Condition::Up | Condition::Ejected { .. } => other.id != member.id,
            Condition::Probation => other.id != member.id && !other.silent.load(Relaxed),
            Condition::Dead { .. } | Condition::Down => false,
        };
        let only = !roster.members.iter().any(is_alive);
        member.silent.store(true, Relaxed);
        member.health.died(now, &self.settings.eject, jitter(member, now), only);
        if only {
            roster.members.iter().for_each(|other| other.health.hurry(now, jitter(other, now)));
        }
    }

    /// A member is back: it starts slowly, and as one like the others.
    fn welcome(&self, member: &Member, now: Moment) {
        member.silent.store(false, Relaxed);
        member.load.reseed(self.shared.mean(), now);
        member.joined.set(now);
    }

    /// Figures of the whole pool.
    fn measure(&self, roster: &Roster, now: Moment) {
        /// Of servers, this share is not hot.
        const COLD: f64 = 0.8;
        let mut sum = 0.0;
        let mut count = 0;
        for settled in roster.members.iter().filter_map(|member| member.load.settled(now)) {
            (sum, count) = (sum + settled, count + 1);
        }
        if count > 0 {
            self.shared.set_mean(sum / count as f32);
        }
        let up = roster.members.iter().zip(roster.places.iter());
        let weights: u32 = roster.places.iter().map(|place| place.weight).sum();
        let mean = weights as f32 / roster.places.len().max(1) as f32;
        let mut loads: Vec<f32> = up
            .filter(|(member, _)| member.condition(now) == Condition::Up)
            .map(|(member, place)| member.in_flight() as f32 / (place.weight as f32 / mean))
            .collect();
        #[expect(clippy::cast_sign_loss, reason = "a share of a length")]
        let at = (loads.len() as f64 * COLD) as usize;
        if at < loads.len() {
            self.shared.set_hot(*loads.select_nth_unstable_by(at, f32::total_cmp).1);
        }
    }
}

impl Roster {
    fn replace(&mut self, spots: &[Spot], settings: &Settings, now: Moment) {
        let running = !self.known.is_empty();
        let mut zones: HashSet<Arc<str>> = HashSet::new();
        let mut zone = |zone: &str| {
            let known = zones.get(zone).cloned();
            known.unwrap_or_else(|| {
                let zone: Arc<str> = zone.into();
                zones.insert(Arc::clone(&zone));
                zone
            })
        };
        let mut known = HashMap::with_capacity(spots.len());
        let mut members = Vec::with_capacity(spots.len());
        let mut places = Vec::with_capacity(spots.len());
        for spot in self.chosen(spots, settings) {
            if known.contains_key(&spot.server) {
                continue;
            }
            let (server, member) = self
                .known
                .remove_entry(&spot.server)
                .unwrap_or_else(|| (spot.server.clone(), member_of(&spot.server, running, now)));
            members.push(Arc::clone(&member));
            known.insert(server, member);
            places.push(Place {
                weight: spot.weight.max(1),
                priority: spot.priority,
                zone: spot.zone.as_deref().map(&mut zone),
            });
        }
        self.known = known;
        (self.members, self.places) = (Arc::new(members), Arc::new(places));
    }

    /// The spots of this gateway's subset.
    fn chosen<'s>(&self, spots: &'s [Spot], settings: &Settings) -> Vec<&'s Spot> {
        let Some(n) = settings.subset else {
            return spots.iter().collect();
        };
        let hash = |spot: &Spot| {
            self.known.get(&spot.server).map_or_else(|| hash_of(&url(&spot.server)), |k| k.hash)
        };
        let servers: Vec<_> = spots.iter().map(|spot| (hash(spot), spot.priority)).collect();
        let chosen = subset::choose(&servers, n, settings.subset_seed);
        chosen.into_iter().map(|index| &spots[index]).collect()
    }

    fn view(&mut self, rules: &Arc<Rules>, shared: &Arc<Shared>, now: Moment) -> View {
        let roster = (Arc::clone(&self.members), Arc::clone(&self.places));
        View::new(roster, &mut self.tables, (Arc::clone(rules), Arc::clone(shared)), now)
    }
}

fn member_of(server: &Server, running: bool, now: Moment) -> Arc<Member> {
    let url = url(server);
    let joined = Joined::default();
    if running {
        joined.set(now);
    }
    Arc::new(Member {
        id: MemberId(NEXT.fetch_add(1, Relaxed)),
        server: server.clone(),
        hash: hash_of(&url),
        url,
        load: Load::default(),
        health: Health::new(now),
        joined,
        silent: AtomicBool::new(false),
    })
}

fn hash_of(url: &str) -> u64 {
    xxh3_64(url.as_bytes())
}

/// 0 to 1, another for each server and each time, and the same when a simulation is run again.
fn jitter(member: &Member, now: Moment) -> f64 {
    let mut rng = fastrand::Rng::with_seed(member.hash ^ now.as_nanos());
    rng.f64()
}

//! What is looked after for one service: who its servers are, what checks find, its pool's upkeep.
//!
//! Everything here is decided in [`Keeper::tick`], which waits for nothing: so the pool changes at
//! most once a tick, however often a source changes its mind. A server that is found joins once its
//! first check has ended, so that nobody is sent to one that is not up yet; while the pool is empty
//! it joins at once.

use super::check::Checker;
use super::found::{Found, Task, Teller};
use super::{file, kubernetes, names};
use arc_swap::ArcSwap;
use balance::{Checked, MemberId};
use base::Moment;
use service::Shared;
use service::discover::join;
use service::settings::{Discover, Server, Source, Spot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How much longer than a check a newcomer waits to join, when checks stand in a queue.
const QUEUE_TIME: Duration = Duration::from_secs(1);

/// Looks after one service.
pub(super) struct Keeper {
    /// The service under the settings in force; checks look here each time.
    shared: Arc<ArcSwap<Shared>>,
    discovery: Option<Discovery>,
    /// What was found last, whoever has joined of it.
    wanted: Arc<[Spot]>,
    /// Is somebody of them waiting for a first check, or is the pool not told yet?
    joining: bool,
    checkers: HashMap<Server, Checker>,
    /// What the pool was told of whom.
    told: HashMap<MemberId, Checked>,
    /// The complaint about the list that was made last.
    complained: (usize, usize),
    seats: Arc<Semaphore>,
}

struct Discovery {
    settings: Discover,
    found: watch::Receiver<Found>,
    _task: Task,
}

impl Discovery {
    fn start(settings: &Discover, service: &str) -> Self {
        let (teller, found) = Teller::new(service);
        let every = settings.every;
        let task = match settings.from.clone() {
            Source::File(path) => Task::start(file::follow(path, every, teller)),
            Source::Name(server) => Task::start(names::follow(server, every, teller)),
            Source::Srv { scheme, name } => {
                Task::start(names::follow_srv((scheme, name), every, settings.servers_max, teller))
            }
            from @ Source::Kubernetes { .. } => {
                Task::start(kubernetes::follow(from, every, teller))
            }
        };
        Self { settings: settings.clone(), found, _task: task }
    }
}

impl Keeper {
    pub(super) fn new(shared: &Arc<Shared>, seats: &Arc<Semaphore>) -> Self {
        let settings = &shared.settings;
        let discover = settings.discover.as_ref();
        Self {
            discovery: discover.map(|discover| Discovery::start(discover, &settings.name)),
            wanted: shared.found(),
            joining: true,
            checkers: HashMap::new(),
            told: HashMap::new(),
            complained: (0, 0),
            seats: Arc::clone(seats),
            shared: Arc::new(ArcSwap::new(Arc::clone(shared))),
        }
    }

    /// The service that it looks after.
    pub(super) fn name(&self) -> String {
        self.shared.load().settings.name.clone()
    }

    /// Has discovery, if there is one, answered yet?
    pub(super) fn has_found(&self) -> bool {
        self.discovery.as_ref().is_none_or(|discovery| discovery.found.borrow().is_some())
    }

    /// Goes on under new settings of the same service.
    pub(super) fn settle(mut self, shared: &Arc<Shared>) -> Self {
        let before = self.shared.swap(Arc::clone(shared));
        let settings = &shared.settings;
        match &settings.discover {
            None => (self.discovery, self.wanted) = (None, Arc::from([])),
            Some(discover) => {
                let same = self.discovery.as_ref().is_some_and(|d| d.settings == *discover);
                if !same {
                    // What was found before stays wanted until the new source has answered.
                    self.discovery = Some(Discovery::start(discover, &settings.name));
                }
            }
        }
        if settings.check.is_none() {
            let down = self.told.iter().filter(|(_, told)| **told == Checked::Unhealthy);
            down.for_each(|(id, _)| shared.pool.checked(*id, Checked::Healthy, Moment::now()));
        }
        if settings.check != before.settings.check {
            for (server, checker) in std::mem::take(&mut self.checkers) {
                let known = checker.verdict();
                let anew = Checker::start(&self.shared, server.clone(), known, &self.seats, false);
                self.checkers.insert(server, anew);
            }
        }
        self.told.clear(); // the new pool may have missed what the former one was told last
        self.joining = true;
        self
    }

    /// Looks after the service at `now`.
    pub(super) fn tick(&mut self, now: Moment) {
        let shared = self.shared.load_full();
        if let Some(discovery) = &mut self.discovery
            && discovery.found.has_changed().unwrap_or(false)
            && let Some(found) = discovery.found.borrow_and_update().clone()
        {
            self.wanted = found;
            self.joining = true;
        }
        if self.joining {
            self.join(&shared, now);
        }
        self.tell(&shared, now);
        shared.pool.tick(now);
    }

    /// Brings those found into the pool, as far as they are ready to join.
    fn join(&mut self, shared: &Shared, now: Moment) {
        let settings = &shared.settings;
        let most = settings.discover.as_ref().map_or(0, |discover| discover.servers_max);
        let all = join(&settings.servers, &self.wanted, most);
        self.complain((all.twice, all.beyond), now);
        let view = shared.pool.view();
        let is_empty = view.members().is_empty();
        self.look_after_checkers(shared, &all.spots, is_empty);
        let there: std::collections::HashSet<&Server> =
            view.members().iter().map(|member| &member.server).collect();
        let found = all.spots.get(settings.servers.len()..).unwrap_or_default();
        let may_join = |spot: &&Spot| {
            is_empty || there.contains(&spot.server) || self.is_ready(shared, &spot.server, now)
        };
        let joined: Vec<Spot> = found.iter().filter(may_join).cloned().collect();
        self.joining = joined.len() < found.len();
        if settings.discover.is_some() {
            shared.discovered(joined.into(), now);
        }
    }

    /// Has a server that is to join been checked, or waited long enough for that?
    fn is_ready(&self, shared: &Shared, server: &Server, now: Moment) -> bool {
        let Some(check) = &shared.settings.check else { return true };
        self.checkers.get(server).is_none_or(|checker| {
            checker.verdict().is_some() || now.since(checker.begun) > check.time + QUEUE_TIME
        })
    }

    /// Checks these servers and no others.
    fn look_after_checkers(&mut self, shared: &Shared, spots: &[Spot], at_once: bool) {
        if shared.settings.check.is_none() {
            self.checkers.clear();
            return;
        }
        let mut before = std::mem::take(&mut self.checkers);
        for spot in spots {
            let checker = before.remove(&spot.server).unwrap_or_else(|| {
                Checker::start(&self.shared, spot.server.clone(), None, &self.seats, at_once)
            });
            self.checkers.insert(spot.server.clone(), checker);
        }
    }

    /// Tells the pool what checks have decided, where that is news to it.
    fn tell(&mut self, shared: &Shared, now: Moment) {
        if shared.settings.check.is_none() {
            return;
        }
        let view = shared.pool.view();
        for member in view.members() {
            let Some(checker) = self.checkers.get(&member.server) else { continue };
            let Some(verdict) = checker.verdict() else { continue };
            if self.told.insert(member.id, verdict) != Some(verdict) {
                shared.pool.checked(member.id, verdict, now);
            }
            if let Some(news) = checker.news() {
                let (service, url) = (&shared.settings.name, &member.url);
                monitor::log::complain(now, format_args!("service {service}: {url} {news}"));
            }
        }
        if self.told.len() > 2 * view.members().len() {
            self.told.retain(|id, _| view.members().iter().any(|member| member.id == *id));
        }
    }

    fn complain(&mut self, what: (usize, usize), now: Moment) {
        if self.complained == what {
            return;
        }
        self.complained = what;
        let (twice, beyond) = what;
        let service = self.name();
        if twice > 0 {
            let text = format_args!("service {service}: {twice} servers were found more than once");
            monitor::log::complain(now, text);
        }
        if beyond > 0 {
            let text = format_args!(
                "service {service}: {beyond} servers were found beyond `servers_max` and are left out"
            );
            monitor::log::complain(now, text);
        }
    }
}

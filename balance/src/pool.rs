//! All servers of one service, as all threads see them.

use crate::health::{Checked, Health};
use crate::load::{Load, Outcome};
use crate::member::{Member, MemberId, Standing};
use crate::settings::{Settings, Spot, url};
use crate::view::View;
use arc_swap::ArcSwap;
use base::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The servers of one service.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    view: Arc<ArcSwap<View>>,
}

/// One thread's way to the pool's view: a look costs one load while nothing has changed.
pub type Reader = arc_swap::Cache<Arc<ArcSwap<View>>, Arc<View>>;

impl Pool {
    /// A pool of these servers. Those that `before` had already keep their state: what was learned
    /// of them, their health, what they have in flight. Without `before` nobody starts slowly.
    pub fn new(settings: Settings, spots: &[Spot], before: Option<&Self>, now: Moment) -> Self {
        let view = Arc::new(ArcSwap::from_pointee(View {
            members: Vec::new(),
            turn: AtomicUsize::new(0),
        }));
        if let Some(before) = before {
            view.store(before.view.load_full());
        }
        let this = Self { settings, view };
        this.update(spots, now);
        this
    }

    /// These are the servers from now on. Who was there before keeps its state; who is new starts
    /// slowly.
    pub fn update(&self, spots: &[Spot], _now: Moment) {
        let known = self.view.load_full();
        let member = |spot: &Spot| {
            let known = known.members.iter().find(|member| member.server == spot.server);
            known.cloned().unwrap_or_else(|| {
                Arc::new(Member {
                    id: MemberId(NEXT.fetch_add(1, Ordering::Relaxed)),
                    url: url(&spot.server),
                    server: spot.server.clone(),
                    load: Load::default(),
                    health: Health::default(),
                })
            })
        };
        let members = spots.iter().map(member).collect();
        self.view.store(Arc::new(View { members, turn: AtomicUsize::new(0) }));
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

    /// A server is asked.
    pub fn begin(&self, member: &Member) {
        member.load.begin();
    }

    /// What was asked at `begun` has ended. Every [`Pool::begin`] has one.
    pub fn end(&self, member: &Member, begun: Moment, now: Moment, outcome: Outcome) {
        let took = now.since(begun);
        member.load.end(took, outcome, now);
        member.health.ended(outcome, took, now, &self.settings.eject);
    }

    /// Active checks have made up their mind about a server.
    pub fn checked(&self, _member: MemberId, _found: Checked, _now: Moment) {}

    /// Looks after windows and ejections; to be called every [`Pool::TICK`] or so.
    pub fn tick(&self, _now: Moment) {}

    /// How often [`Pool::tick`] wants to be called.
    pub const TICK: std::time::Duration = std::time::Duration::from_millis(100);

    /// What is known of each server, in the order of the settings.
    pub fn standings(&self, now: Moment) -> Vec<Standing> {
        let standing = |member: &Arc<Member>| Standing {
            id: member.id,
            url: member.url.clone(),
            condition: member.condition(now),
            in_flight: member.in_flight(),
            latency: member.latency(now),
            ejections: 0,
            weight: 1.0,
            priority: 0,
            zone: None,
        };
        self.view().members.iter().map(standing).collect()
    }
}

//! The settings in force, made ready to be used: once for all threads, and once for each.
//!
//! An exchange holds the [`House`] that it began in until it ends, so that it sees one set of
//! settings from start to end whatever is reloaded meanwhile.

use crate::events::Buses;
use crate::offloading;
use crate::offloading::carry::Carriers;
use crate::rates::Rates;
use crate::route::Router;
use base::Moment;
use base::Version;
use base::field::Prepared;
use cache::Cache;
use monitor::keep::Keeper;
use monitor::log::Log;
use monitor::settings::AccessLog;
use monitor::{Ledger, RouteMeter};
use offload::engine::Engine;
use rustls::ServerConfig;
use service::{Service, Shared};
use settings::Settings;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use wire::settings::Limits;
use wire::tls::TlsError;

/// What the settings say, made ready, shared by all threads.
#[derive(Debug)]
pub struct Snapshot {
    /// The settings.
    pub settings: Settings,
    /// Which route takes a request.
    pub router: Router,
    /// The limits, as connections hold them.
    pub limits: Arc<Limits>,
    /// How TLS is spoken to clients.
    pub tls: Option<Arc<ServerConfig>>,
    /// The services as all threads share them, by their place in the settings.
    pub services: Vec<Arc<Shared>>,
    /// Does any route cache?
    pub caches: bool,
    /// What has been used of the rates of routes.
    pub rates: Rates,
    /// What is stored, whatever settings are in force.
    pub cache: Arc<Cache>,
    /// The jobs that are kept, whatever settings are in force.
    pub offload: Option<Arc<Engine>>,
    /// The brokers that carry some of them, whatever settings are in force.
    pub carriers: Arc<Carriers>,
    /// Events that are heard and said, whatever settings are in force.
    pub buses: Arc<Buses>,
    /// Where the access log goes.
    pub log: Option<Log>,
    /// Its lines that could not be written since the process started.
    pub log_failed: Arc<AtomicU64>,
    /// What Via says of us.
    pub via: Via,
    /// Which settings these are, counted from the start of the process.
    pub generation: u16,
}

/// Our Via field, by the version of the message received.
#[derive(Debug)]
pub struct Via {
    http10: Prepared,
    http11: Prepared,
    http2: Prepared,
}

impl Via {
    fn new(pseudonym: &str) -> Self {
        let via = |version: Version| {
            let member = format!("{} {pseudonym}", version.number());
            Prepared::new(&[("Via", member.as_bytes())])
        };
        Self {
            http10: via(Version::Http10),
            http11: via(Version::Http11),
            http2: via(Version::Http2),
        }
    }

    /// The field for a message received in this version.
    pub fn field(&self, version: Version) -> &Prepared {
        match version {
            Version::Http10 => &self.http10,
            Version::Http11 => &self.http11,
            Version::Http2 => &self.http2,
        }
    }
}

/// Why settings that are legal cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Certificates, keys or trust.
    #[error("TLS")]
    Tls(#[from] TlsError),
    /// The cache's disk.
    #[error("cannot use the disk of [cache]")]
    Disk(#[source] io::Error),
    /// The jobs.
    #[error(transparent)]
    Offload(#[from] offload::engine::StartError),
    /// The broker of a queue.
    #[error("cannot use a broker (`broker` of a queue)")]
    Broker(#[from] broker::BrokerError),
    /// The access log.
    #[error("cannot open the access log {path} (`access_log` of [monitor])")]
    Log {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Snapshot {
    /// Makes settings ready: reads certificates, opens the log. `cache` and `offload` are what was kept
    /// under former settings; services keep what they have learned `before`.
    ///
    /// # Errors
    /// What could not be had.
    pub fn new(
        mut settings: Settings,
        cache: Arc<Cache>,
        (offload, carriers): (Option<Arc<Engine>>, Arc<Carriers>),
        before: Option<&Self>,
    ) -> Result<Self, NotReady> {
        offloading::peer::add(&mut settings);
        let now = Moment::now();
        let known = |name: &str| {
            let mut all = before?.services.iter();
            all.find(|service| service.settings.name == name)
        };
        let services = settings
            .services
            .iter()
            .map(|service| {
                let before = known(&service.name).map(|before| &**before);
                Ok(Arc::new(Shared::new(service, before, now)?))
            })
            .collect::<Result<_, TlsError>>()?;
        let buses = before.map_or_else(Arc::default, |before| Arc::clone(&before.buses));
        let log_failed = before.map_or_else(Arc::default, |before| Arc::clone(&before.log_failed));
        let log_path = match &settings.monitor.access_log {
            AccessLog::File(path) => path.display().to_string(),
            AccessLog::Stdout | AccessLog::Off => "on standard output".to_owned(),
        };
        let log = Log::open(&settings.monitor.access_log, Arc::clone(&log_failed));
        Ok(Self {
            router: Router::new(&settings.routes),
            limits: Arc::new(settings.limits.clone()),
            tls: settings.tls.as_ref().map(wire::tls::server).transpose()?,
            services,
            rates: Rates::new(&settings, before.map(|before| &before.rates)),
            caches: settings.routes.iter().any(|route| route.cache.enabled),
            cache,
            offload,
            carriers,
            buses,
            log: log.map_err(|source| NotReady::Log { path: log_path, source })?,
            log_failed,
            via: Via::new(&settings.forward.via),
            generation: before.map_or(0, |before| before.generation.wrapping_add(1)),
            settings,
        })
    }
}

/// The name under which requests are counted that no route takes.
pub(crate) const UNROUTED: &str = "-";

/// The settings in force as one thread uses them.
#[derive(Debug)]
pub struct House {
    /// What all threads share.
    pub snapshot: Arc<Snapshot>,
    /// The services, by their place in the settings.
    pub services: Vec<Service>,
    /// What is counted of the routes, by their place in the settings.
    pub meters: Vec<Arc<RouteMeter>>,
    /// What is counted of requests that no route takes.
    pub unrouted: Arc<RouteMeter>,
    /// What was kept of the routes lately, by their place in the settings; last, of what has none.
    keepers: Vec<RefCell<Keeper>>,
    /// All that this thread counts.
    pub ledger: Arc<Ledger>,
}

impl House {
    /// Settles `snapshot` into a thread, the `turn`-th. Services keep the connections that they had
    /// `before`.
    pub fn new(
        snapshot: Arc<Snapshot>,
        ledger: &Arc<Ledger>,
        before: Option<&Self>,
        turn: usize,
    ) -> Rc<Self> {
        let head_max = (snapshot.limits.head_bytes.as_usize(), snapshot.limits.fields);
        let services: Vec<Service> = snapshot
            .services
            .iter()
            .map(|shared| {
                let known = before.map(|house| house.services.iter());
                let known =
                    known.and_then(|mut all| all.find(|s| s.settings.name == shared.settings.name));
                Service::new(Arc::clone(shared), head_max, ledger, known, turn as u64)
            })
            .collect();
        for gone in before.into_iter().flat_map(|house| &house.services) {
            if !services.iter().any(|service| service.settings.name == gone.settings.name) {
                gone.retire();
            }
        }
        let house = Rc::new(Self {
            meters: snapshot.settings.routes.iter().map(|r| ledger.route(&r.name)).collect(),
            unrouted: ledger.route(UNROUTED),
            keepers: (0..=snapshot.settings.routes.len()).map(|_| RefCell::default()).collect(),
            ledger: Arc::clone(ledger),
            services,
            snapshot,
        });
        house.forget_the_gone();
        house
    }

    /// Drops the meters of what these settings no longer name and discovery no longer finds, or both
    /// would fill the memory and the metrics page.
    fn forget_the_gone(&self) {
        let settings = &self.snapshot.settings;
        let mut routes: Vec<&str> = settings.routes.iter().map(|r| r.name.as_str()).collect();
        routes.push(UNROUTED);
        let services: Vec<&str> = settings.services.iter().map(|s| s.name.as_str()).collect();
        let views: Vec<_> = self.snapshot.services.iter().map(|s| s.pool.view()).collect();
        let servers: Vec<(&str, &str)> = services
            .iter()
            .zip(&views)
            .flat_map(|(name, view)| view.members().iter().map(|m| (*name, m.url.as_str())))
            .collect();
        self.ledger.keep(&routes, &services, &servers);
    }

    /// What was kept of a route lately, or of requests that have none.
    pub fn keeper(&self, route: Option<u16>) -> &RefCell<Keeper> {
        let last = self.keepers.len() - 1;
        &self.keepers[route.map_or(last, usize::from).min(last)]
    }

    /// The meter of a route, or of having none.
    pub fn meter(&self, route: Option<u16>) -> &RouteMeter {
        route.and_then(|route| self.meters.get(usize::from(route))).unwrap_or(&self.unrouted)
    }
}

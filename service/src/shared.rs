//! One named service as all threads see it: what was learned of it, and what is decided for all.

use crate::service::Tls;
use crate::settings::{Settings, Source};
use balance::Pool;
use balance::settings::Scheme;
use base::Moment;
use std::sync::Arc;
use wire::tls::TlsError;

/// One service, shared by all threads. What it has learned outlives reloads.
#[derive(Debug)]
pub struct Shared {
    /// What it is told.
    pub settings: Arc<Settings>,
    /// Its servers.
    pub pool: Pool,
    pub(crate) tls: Option<Tls>,
}

impl Shared {
    /// A service under these settings; `before` is the same service under former ones.
    ///
    /// # Errors
    /// Which file of its TLS settings cannot be used, and why.
    pub fn new(settings: &Settings, before: Option<&Self>, now: Moment) -> Result<Self, TlsError> {
        let tls = if speaks_tls(settings) { Some(Tls::new(settings)?) } else { None };
        let pool = before.map(|before| &before.pool);
        let pool = Pool::new(settings.balance.clone(), &settings.servers, pool, now);
        Ok(Self { settings: Arc::new(settings.clone()), pool, tls })
    }
}

/// Does any of its servers, named or to be discovered, speak TLS?
fn speaks_tls(settings: &Settings) -> bool {
    let discovered = settings.discover.as_ref().is_some_and(|discover| match &discover.from {
        Source::File(_) => true, // it may name some
        Source::Name(server) => server.scheme == Scheme::Https,
        Source::Srv { scheme, .. } | Source::Kubernetes { scheme, .. } => *scheme == Scheme::Https,
    });
    discovered || settings.servers.iter().any(|spot| spot.server.scheme == Scheme::Https)
}

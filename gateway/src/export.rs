//! Metrics and traces to an OTLP receiver: who starts and ends the exporter, and hands it what is kept.
//!
//! One task of the second runtime. It hears of every exchange that is kept, makes spans of it, and
//! looks once a second whether a reload has changed the receiver. Nothing of it is on anybody's path.

use crate::gateway::{Gateway, chain};
use base::Moment;
use monitor::log::complain;
use monitor::settings::{Otlp, Protocol};
use monitor::{Kept, expose::Told};
use otlp::exporter::Teller;
use otlp::{Exporter, Figures, environment, span};
use rustls::ClientConfig;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use wire::settings::{TlsClient, Trust};

/// How often the settings are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an end waits for what is left to be sent.
const FINISH_TIME: Duration = Duration::from_secs(2);

/// An exporter that follows the settings.
#[derive(Debug)]
pub struct Export {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Export {
    /// Starts it on this runtime. Where settings name no receiver, OpenTelemetry's variables may.
    pub fn start(gateway: &Arc<Gateway>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let variable = |name: &str| std::env::var(name).ok();
        let environment = environment::read(variable, Otlp::SERVICE).unwrap_or_else(|wrong| {
            complain(Moment::now(), format_args!("otlp: {wrong}; nothing is sent"));
            None
        });
        let exporting = Exporting {
            gateway: Arc::downgrade(gateway),
            figures: Arc::clone(&gateway.exported),
            environment,
            current: None,
        };
        let kept = gateway.reporter.listen();
        Self { stop, task: tokio::spawn(exporting.run(kept, stopped)) }
    }

    /// Sends what is left and ends.
    pub async fn finish(self) {
        let _gone = self.stop.send(true);
        let _panicked = self.task.await;
    }
}

struct Exporting {
    gateway: Weak<Gateway>,
    figures: Arc<Figures>,
    environment: Option<Otlp>,
    current: Option<Current>,
}

/// The receiver in force.
struct Current {
    settings: Otlp,
    service: Arc<str>,
    exporter: Exporter,
}

impl Exporting {
    async fn run(
        mut self,
        mut kept: broadcast::Receiver<Arc<Kept>>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! { biased;
                _ = stopped.changed() => break,
                _ = looks.tick() => if !self.look().await { return },
                heard = kept.recv() => match heard {
                    Ok(kept) => self.tell(&kept),
                    Err(RecvError::Lagged(n)) => self.lose(n),
                    Err(RecvError::Closed) => return,
                },
            }
        }
        if let Some(gateway) = self.gateway.upgrade() {
            // What has ended since the reporter's last turn.
            gateway.reporter.turn(&gateway.ledgers(), Moment::now());
        }
        while let Ok(kept) = kept.try_recv() {
            self.tell(&kept);
        }
        if let Some(current) = self.current.take() {
            current.exporter.finish(FINISH_TIME).await;
        }
    }

    fn tell(&self, kept: &Kept) {
        let Some(current) = self.current.as_ref().filter(|current| current.settings.traces) else {
            return;
        };
        for span in span::of_kept(kept, &current.service) {
            current.exporter.spans().tell(span);
        }
    }

    /// Exchanges that came faster than they were heard of: of each a span at least.
    fn lose(&self, n: u64) {
        if let Some(current) = self.current.as_ref().filter(|current| current.settings.traces) {
            current.exporter.spans().lose(n);
        }
    }

    /// Follows the settings; false when the gateway is gone.
    async fn look(&mut self) -> bool {
        let Some(gateway) = self.gateway.upgrade() else { return false };
        let wanted = gateway.snapshot().settings.monitor.otlp.clone();
        let wanted = wanted.or_else(|| self.environment.clone());
        if wanted.as_ref() == self.current.as_ref().map(|current| &current.settings) {
            return true;
        }
        let teller = Teller { version: env!("CARGO_PKG_VERSION"), begun: gateway.begun() };
        drop(gateway);
        if let Some(before) = self.current.take() {
            before.exporter.finish(FINISH_TIME).await;
        }
        if let Some(settings) = wanted {
            let tls = tls(&settings).await;
            let gateway = Weak::clone(&self.gateway);
            let collect = move || -> Vec<Told> {
                gateway.upgrade().map(|gateway| crate::metrics::told(&gateway)).unwrap_or_default()
            };
            let exporter = Exporter::start(&settings, teller, tls.as_ref(), &self.figures, collect);
            let service = settings.service.as_str().into();
            self.current = Some(Current { settings, service, exporter });
        }
        true
    }
}

/// How TLS is spoken to a receiver that wants it. Reading the system's roots may block.
async fn tls(settings: &Otlp) -> Option<Arc<ClientConfig>> {
    if !settings.url.starts_with("https:") {
        return None;
    }
    let alpn: &'static [u8] = match settings.protocol {
        Protocol::Grpc => b"h2",
        Protocol::Http => b"http/1.1",
    };
    let make = move || {
        let client = TlsClient { trust: Trust::System, name: None };
        wire::tls::client(&client, &[alpn])
    };
    match tokio::task::spawn_blocking(make).await.ok()? {
        Ok(config) => Some(config),
        Err(error) => {
            complain(Moment::now(), format_args!("otlp: no TLS: {}", chain(&error)));
            None
        }
    }
}

//! The connection to NATS: made once, kept by the client for ever, and watched.
//!
//! The client buffers what it is given while it is disconnected, and sends it when it is back: then
//! nobody knows. So whoever sends asks [`Link::connected`] first.

use crate::backoff::pause;
use crate::url::{BrokerError, Options, Place};
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use base::Moment;
use offload::queue::QueueError;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, watch};
use tokio::time::{sleep, timeout};

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How often the server is asked whether it lives; after two silences the connection is lost.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Who comes within so much of a loss waits for the next connection; later it is away at once.
const FRESH: Duration = Duration::from_secs(1);
/// How often the client's state is looked at beside its events, of which it may lose some.
const LOOK: Duration = Duration::from_millis(50);
/// The server's bound for a message where it is not changed.
const USUAL_MAX: usize = 1 << 20;
/// Longest round trip before the connection counts as gone.
const ROUND_TIME: Duration = Duration::from_secs(3);

pub(super) struct Link {
    pub(super) name: String,
    addresses: Vec<ServerAddr>,
    user: Option<(String, Option<String>)>,
    tls: bool,
    trust: Option<PathBuf>,
    client_name: String,
    client: OnceCell<Client>,
    heard: Arc<watch::Sender<Heard>>,
    lost_at: Mutex<Option<Moment>>,
    closed: AtomicBool,
}

/// What the client told.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// How often something may have been missed.
    gaps: u64,
    /// Why, the last time.
    why: String,
}

impl Link {
    pub(super) fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let address = |host: &String| {
            let url = format!("nats://{host}");
            ServerAddr::from_str(&url).map_err(|error| place.bad(format!("host {host:?}: {error}")))
        };
        let user = place.credentials.as_deref().map(|credentials| {
            let (user, secret) = match credentials.split_once(':') {
                Some((user, secret)) => (user, Some(secret)),
                None => (credentials, None),
            };
            (crate::text::unescape(user), secret.map(crate::text::unescape))
        });
        Ok(Self {
            name: place.name_of(&options.queue),
            addresses: place.hosts.iter().map(address).collect::<Result<_, _>>()?,
            user,
            tls: place.scheme.starts_with("tls"),
            trust: options.trust.clone(),
            client_name: format!("fleetfoot {}", options.node),
            client: OnceCell::new(),
            heard: Arc::new(watch::Sender::default()),
            lost_at: Mutex::new(None),
            closed: AtomicBool::new(false),
        })
    }

    /// The client, connected or not.
    ///
    /// # Errors
    /// When it is closed, or could not even begin.
    pub(super) async fn client(&self) -> Result<&Client, QueueError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.away("it is closed"));
        }
        self.client.get_or_try_init(|| self.connect()).await
    }

    /// The client, if it is connected now or the connection was lost just now and comes back.
    pub(super) async fn connected(&self, patience: Duration) -> Result<&Client, QueueError> {
        let client = self.client().await?;
        if client.connection_state() == State::Connected {
            *self.lost() = None;
            return Ok(client);
        }
        let now = Moment::now();
        let lost_at = *self.lost().get_or_insert(now);
        let patience = patience.min(FRESH.saturating_sub(now.since(lost_at)));
        if timeout(patience, self.up(client)).await.is_ok() {
            *self.lost() = None;
            return Ok(client);
        }
        let why = self.heard.borrow().why.clone();
        Err(self.away(if why.is_empty() { "no connection".to_owned() } else { why }))
    }

    /// Waits until it is connected, however long that takes.
    pub(super) async fn up(&self, client: &Client) {
        let mut heard = self.heard.subscribe();
        while client.connection_state() != State::Connected {
            let _ = timeout(LOOK, heard.changed()).await;
        }
    }

    /// Waits until the server has answered something: all that was sent before has arrived there.
    pub(super) async fn round(&self, client: &Client) -> Result<(), QueueError> {
        // Nobody listens there, which the server says at once.
        let asked = client.request("fleetfoot.round-trip", bytes::Bytes::new());
        match timeout(ROUND_TIME, asked).await {
            Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => Ok(()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.unknown(error.to_string())),
            Err(_) => Err(self.unknown("it does not answer")),
        }
    }

    /// A number that grows whenever something may have been missed.
    pub(super) fn gaps(&self, client: &Client) -> u64 {
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        self.heard.borrow().gaps + connects
    }

    /// Ends when that number is another than this; says why.
    pub(super) async fn gap(&self, client: &Client, since: u64) -> String {
        let mut heard = self.heard.subscribe();
        while self.gaps(client) == since {
            let _ = timeout(LOOK, heard.changed()).await;
        }
        let why = self.heard.borrow().why.clone();
        if why.is_empty() { "the connection was lost".to_owned() } else { why }
    }

    /// Most bytes of a message, headers included; the usual bound as long as none is told.
    pub(super) fn payload_max(&self) -> usize {
        self.client.get().map_or(USUAL_MAX, Client::max_payload)
    }

    /// Closes the connection for good.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(client) = self.client.get() {
            let _ = timeout(ROUND_TIME, self.round(client)).await;
            let _ = client.drain().await;
        }
    }

    pub(super) fn away(&self, why: impl Into<String>) -> QueueError {
        QueueError::Away { queue: self.name.clone(), why: why.into() }
    }

    pub(super) fn unknown(&self, why: impl Into<String>) -> QueueError {
        QueueError::Unknown { queue: self.name.clone(), why: why.into() }
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, Option<Moment>> {
        self.lost_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Client, QueueError> {
        let heard = Arc::clone(&self.heard);
        let mut options = ConnectOptions::new()
            .name(&self.client_name)
            .connection_timeout(CONNECT_TIME)
            .ping_interval(PING_EVERY)
            .request_timeout(None)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|failures| {
                pause(u32::try_from(failures).unwrap_or(u32::MAX), fastrand::f64())
            })
            .require_tls(self.tls)
            .event_callback(move |event| {
                listen(&heard, &event);
                std::future::ready(())
            });
        if let Some(trust) = &self.trust {
            options = options.add_root_certificates(trust.clone());
        }
        options = match self.user.clone() {
            Some((user, Some(secret))) => options.user_and_password(user, secret),
            Some((token, None)) => options.token(token),
            None => options,
        };
        let connected = options.connect(self.addresses.clone()).await;
        connected.map_err(|error| self.away(error.to_string()))
    }
}

fn listen(heard: &watch::Sender<Heard>, event: &Event) {
    match event {
        Event::Connected => heard.send_modify(|_| {}),
        Event::Disconnected => heard.send_modify(|heard| {
            "the connection was lost".clone_into(&mut heard.why);
        }),
        Event::SlowConsumer(_) => heard.send_modify(|heard| {
            heard.gaps += 1;
            "events came faster than they were taken".clone_into(&mut heard.why);
        }),
        other => heard.send_modify(|heard| heard.why = other.to_string()),
    }
}

/// A pause between attempts at what should work.
pub(super) async fn rest() {
    sleep(LOOK).await;
}

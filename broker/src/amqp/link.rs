//! A connection to `RabbitMQ` that is made again whenever it breaks.
//!
//! A task keeps it, from the first use until the [`Link`] is dropped or closed. lapin's own recovery
//! is not used: after it nobody knows which confirms and which deliveries are of the old connection.

use crate::backoff::Backoff;
use crate::url::{BrokerError, Options, Place};
use base::Moment;
use futures_util::{Stream, StreamExt as _};
use lapin::types::LongString;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionBuilder, ConnectionProperties, Event};
use offload::queue::QueueError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Seconds after which a silent connection is lost, where the URL does not say `?heartbeat=`.
const HEARTBEAT: u16 = 10;
/// Who comes within so much of a loss waits for the next connection; later it is away at once.
const FRESH: Duration = Duration::from_secs(1);
/// How often a connection is looked at beside its events.
const LOOK: Duration = Duration::from_millis(250);
/// How long closing may take.
const CLOSE_TIME: Duration = Duration::from_secs(3);

pub(super) struct Link {
    pub(super) name: String,
    door: Mutex<Option<Door>>,
    state: watch::Receiver<State>,
    stop: watch::Sender<bool>,
    closed: AtomicBool,
}

/// A connection that lives, or did when it was looked at.
pub(super) struct Live {
    pub(super) connection: Connection,
    /// No two connections of a link have the same.
    pub(super) number: u64,
}

#[derive(Clone)]
struct State {
    live: Option<Arc<Live>>,
    /// Why the broker takes nothing more at present: it is short of memory or disk.
    blocked: Option<String>,
    /// Why there is no connection.
    why: String,
    lost_at: Moment,
}

/// What makes connections.
struct Door {
    uris: Vec<AMQPUri>,
    trust: Option<PathBuf>,
    client_name: String,
    state: watch::Sender<State>,
}

impl Link {
    /// A link for this purpose (`puts`, `takes`), which its connection is called by there.
    pub(super) fn new(
        place: &Place,
        options: &Options,
        purpose: &str,
    ) -> Result<Self, BrokerError> {
        let uris = place.hosts.iter().map(|host| uri(place, host)).collect::<Result<_, _>>()?;
        let why = "not connected yet".to_owned();
        let now = Moment::now();
        let (state, watched) =
            watch::channel(State { live: None, blocked: None, why, lost_at: now });
        let client_name = format!("fleetfoot {} {} {purpose}", options.node, options.queue);
        let door = Door { uris, trust: options.trust.clone(), client_name, state };
        Ok(Self {
            name: place.name_of(&options.queue),
            door: Mutex::new(Some(door)),
            state: watched,
            stop: watch::Sender::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Begins to keep a connection, if that has not begun.
    fn begin(&self) {
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(door) = door {
            door.state.send_modify(|state| state.lost_at = Moment::now());
            tokio::spawn(keep(door, self.stop.subscribe()));
        }
    }

    /// The connection, if there is one or it was lost just now and comes back.
    pub(super) async fn connected(&self, patience: Duration) -> Result<Arc<Live>, QueueError> {
        let lost_at = self.state.borrow().lost_at;
        let fresh = FRESH.saturating_sub(Moment::now().since(lost_at));
        self.up(patience.min(fresh)).await
    }

    /// The connection, waiting for it so long.
    pub(super) async fn up(&self, patience: Duration) -> Result<Arc<Live>, QueueError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.away("it is closed"));
        }
        self.begin();
        let mut state = self.state.clone();
        let live = timeout(patience, state.wait_for(|state| state.live.is_some())).await;
        if let Ok(Ok(state)) = live
            && let Some(live) = &state.live
        {
            return Ok(Arc::clone(live));
        }
        let why = self.state.borrow().why.clone();
        Err(self.away(why))
    }

    /// Why the broker takes nothing more, if it does not.
    pub(super) fn blocked(&self) -> Option<String> {
        self.state.borrow().blocked.clone()
    }

    /// Closes the connection for good.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let live = self.state.borrow().live.clone();
        if let Some(live) = live {
            close(&live.connection).await;
        }
        let _ = self.stop.send(true);
    }

    pub(super) fn away(&self, why: impl Into<String>) -> QueueError {
        QueueError::Away { queue: self.name.clone(), why: why.into() }
    }

    pub(super) fn unknown(&self, why: impl Into<String>) -> QueueError {
        QueueError::Unknown { queue: self.name.clone(), why: why.into() }
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> QueueError {
        QueueError::Refused { queue: self.name.clone(), why: why.into() }
    }

    pub(super) fn full(&self, why: impl Into<String>) -> QueueError {
        QueueError::Full { queue: self.name.clone(), why: why.into() }
    }
}

/// The URL of one host, as lapin reads it.
fn uri(place: &Place, host: &str) -> Result<AMQPUri, BrokerError> {
    let credentials = place.credentials.as_deref().unwrap_or("guest:guest");
    // Without a path, or with an empty one, it is the usual virtual host.
    let path = if place.path.is_empty() { "%2f" } else { &place.path };
    let url = format!("{}://{credentials}@{host}/{path}?{}", place.scheme, place.query);
    let parsed: Result<AMQPUri, String> = url.trim_end_matches('?').parse();
    let mut uri = parsed.map_err(|error| {
        // What lapin says may quote the URL, with its secret.
        let _ = error;
        place.bad("not of the form amqp://user:secret@host:5672/vhost?heartbeat=10")
    })?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Ok(uri)
}

/// Makes connections and watches them, until it is told to stop or nobody is left to tell.
async fn keep(door: Door, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::default();
    for number in 1.. {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = once(&door, number, &mut backoff) => {}
        }
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = sleep(backoff.failed()) => {}
        }
    }
}

/// One connection, from its making to its end.
async fn once(door: &Door, number: u64, backoff: &mut Backoff) {
    let uri = &door.uris[usize::try_from(number).unwrap_or_default() % door.uris.len()];
    let connection = match timeout(CONNECT_TIME, door.connect(uri)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(why)) => return door.lost(why),
        Err(_) => return door.lost("connecting took too long".to_owned()),
    };
    let mut events = Box::pin(connection.events_listener());
    let live = Arc::new(Live { connection, number });
    let kept = Kept(Arc::clone(&live));
    door.state.send_modify(|state| {
        state.live = Some(live);
        state.blocked = None;
    });
    backoff.reset();
    let why = door.watch(&kept.0, &mut events).await;
    door.lost(why);
}

/// Closes a connection when its keeper is dropped.
struct Kept(Arc<Live>);

impl Drop for Kept {
    fn drop(&mut self) {
        if self.0.connection.status().connected() {
            let live = Arc::clone(&self.0);
            tokio::spawn(async move { close(&live.connection).await });
        }
    }
}

impl Door {
    async fn connect(&self, uri: &AMQPUri) -> Result<Connection, String> {
        let name = LongString::from(self.client_name.as_str());
        let properties = ConnectionProperties::default().with_connection_name(name);
        let mut builder = ConnectionBuilder::new_with_runtime(
            lapin::runtime::default_runtime().map_err(|error| error.to_string())?,
        )
        .with_uri(uri.clone())
        .with_properties(properties);
        if let Some(trust) = &self.trust {
            let read = tokio::fs::read_to_string(trust).await;
            let pem = read.map_err(|error| format!("reading {}: {error}", trust.display()))?;
            builder = builder.with_tls_config(lapin::tcp::OwnedTLSConfig {
                identity: None,
                cert_chain: Some(pem),
            });
        }
        builder.connect().await.map_err(|error| error.to_string())
    }

    fn lost(&self, why: String) {
        self.state.send_modify(|state| {
            if state.live.take().is_some() {
                state.lost_at = Moment::now();
            }
            state.blocked = None;
            state.why = why;
        });
    }

    /// Follows a connection to its end; says why it ended.
    async fn watch(&self, live: &Live, events: &mut (impl Stream<Item = Event> + Unpin)) -> String {
        let mut why = "the connection was lost".to_owned();
        loop {
            match timeout(LOOK, events.next()).await {
                Ok(Some(Event::ConnectionBlocked(why))) => self.blocked(Some(why)),
                Ok(Some(Event::ConnectionUnblocked)) => self.blocked(None),
                // Of a channel, perhaps: that is no end of the connection.
                Ok(Some(Event::Error(error))) => why = error.to_string(),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return why,
            }
            if !live.connection.status().connected() {
                return why;
            }
        }
    }

    fn blocked(&self, why: Option<String>) {
        self.state.send_modify(|state| state.blocked = why);
    }
}

async fn close(connection: &Connection) {
    let _ = timeout(CLOSE_TIME, connection.close(200, "bye".into())).await;
}

//! What `offload` is told: of itself, of queues, of routes.
//!
//! All values are legal and in bounds, all names resolved: `settings` lowered them.

use base::ByteSize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[offload]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory of the log and of what is kept of jobs that are over.
    pub store: PathBuf,
    /// What has happened when a 202 leaves.
    pub durability: Durability,
    /// This gateway's name among those that share a queue.
    pub node: String,
    /// The others, each with the URL where its clients reach it.
    pub peers: Vec<Peer>,
    /// What all gateways sign status addresses and news with; `None`: made once, kept in the store.
    pub secret: Option<String>,
    /// What fields are encrypted with at rest: 32 bytes.
    pub key: Option<[u8; 32]>,
    /// Where the status of jobs is, on every listener: a path without a slash at its end.
    pub path: String,
    /// Most jobs that wait, in all queues together.
    pub jobs_max: usize,
    /// Most bytes of the log.
    pub bytes_max: ByteSize,
    /// Most bytes of a request's body.
    pub body_max: ByteSize,
    /// Nothing is accepted while the disk has less room than this.
    pub free_min: ByteSize,
    /// How long what came of a job is kept.
    pub keep: Duration,
    /// How long dead jobs are kept for a replay.
    pub keep_dead: Duration,
    /// Most bytes of an answer that are kept.
    pub answer_max: ByteSize,
    /// Longest time a client may wait for a job's end.
    pub wait_max: Duration,
    /// Networks in which callbacks may go although they are not public.
    pub callback_allow: Vec<(IpAddr, u8)>,
    /// May callbacks go to `http` URLs?
    pub callback_http: bool,
    /// Secrets that callbacks are signed with (Standard Webhooks), the newest first.
    pub callback_secrets: Vec<String>,
    /// The queues, in the order of the file; the first is `default` where the file has none.
    pub queues: Vec<Queue>,
}

/// When a job is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the disk says so: it survives a power cut.
    Disk,
    /// When the system has it: it survives the end of the process.
    System,
}

/// Another gateway that shares a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its `node`.
    pub name: String,
    /// Where it is reached: `http://10.0.0.2:8080`.
    pub url: String,
}

/// `[queue.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name, unique in the file.
    pub name: String,
    /// The broker that carries it, as a URL; `None`: it stays in the log.
    pub broker: Option<String>,
    /// Does this gateway take jobs from the broker?
    pub takes: bool,
    /// What becomes of a request when the broker cannot be reached.
    pub away: Away,
    /// Most deliveries at once; less while the service is in distress.
    pub at_once: usize,
    /// Most deliveries in a time.
    pub rate: Option<Pace>,
    /// Most replays in a time, beside the rate.
    pub replay_rate: Option<Pace>,
    /// What is tried again, when, how often.
    pub retry: Retry,
    /// Longest time of one try.
    pub try_time: Duration,
    /// How long a job may wait; `None`: for ever.
    pub expires: Option<Duration>,
    /// Most jobs that wait.
    pub jobs_max: usize,
    /// Nothing is accepted while the oldest job that is due has waited for longer.
    pub age_max: Option<Duration>,
    /// What becomes of later jobs with the same order when one dies.
    pub on_dead: OnDead,
}

/// What becomes of a request when the broker cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It is turned away with 503.
    Refuse,
    /// It is accepted into the log, and handed over later.
    Spill,
}

/// What becomes of later jobs with the same order when one dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDead {
    /// They go on.
    Skip,
    /// They die, too.
    Block,
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many; at least 1.
    pub count: u32,
    /// In what time; not zero.
    pub per: Duration,
}

/// When a job is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Most tries, the first included; at least 1.
    pub tries: u16,
    /// The pause after the first try that failed, before jitter.
    pub pause: Duration,
    /// Each pause is so many hundredths of the one before.
    pub growth_percent: u32,
    /// The longest pause, also of what a Retry-After may ask for.
    pub pause_max: Duration,
    /// Statuses that are tried again.
    pub on: Vec<u16>,
    /// Most tries that may end with the process before the job is poison.
    pub lost_max: u16,
}

impl Retry {
    /// The statuses that are tried again where the settings say nothing.
    pub fn standard_statuses() -> Vec<u16> {
        [408, 425, 429].into_iter().chain(500..=599).collect()
    }
}

/// What a route says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When a request is offloaded.
    pub when: When,
    /// The place of its queue in [`Settings::queues`].
    pub queue: usize,
    /// Template of the key whose jobs go one after another; empty: none.
    pub order: String,
    /// Template of the key of which only the newest waiting job is delivered; empty: none.
    pub debounce: String,
    /// Whether clients name their requests.
    pub idempotency: Idempotency,
    /// How long a name holds.
    pub idempotency_time: Duration,
    /// Jobs wait at least so long.
    pub delay: Duration,
    /// The longest delay that clients may ask for (`Offload-Delay`, `Offload-At`); `None`: they may not.
    pub client_delay: Option<Duration>,
    /// How long a job may wait; over the queue's.
    pub expires: Option<Duration>,
    /// 9 goes first, 0 last.
    pub priority: u8,
    /// Fields, in lower case, that are not kept.
    pub drop: Vec<String>,
    /// Fields, in lower case, that are encrypted at rest.
    pub encrypt: Vec<String>,
    /// Who is told when a job is over.
    pub callback: Callback,
}

/// When a request is offloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each.
    Always,
    /// If the client prefers it (`Prefer: respond-async`, RFC 7240 §4.1).
    Preferred,
}

/// Whether clients name their requests (`Idempotency-Key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// Who is told when a job is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// Nobody.
    None,
    /// This URL.
    Fixed(String),
    /// The URL in this field of the request, where it is.
    Field(String),
}

/// `[events.NAME]`: a topic of a bus, which is heard, spoken to, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Its name, unique in the file.
    pub name: String,
    /// The broker of the bus, as a URL.
    pub bus: String,
    /// The topic there.
    pub topic: String,
    /// What the gateway's own events name as their source: a URI reference.
    pub source: String,
    /// Types that are heard, one that ends in `*` for all that begin so; empty: all.
    pub types: Vec<String>,
    /// Templates ([`crate::event::template`]) of the tags that are purged.
    pub purge: Vec<String>,
    /// What is purged becomes stale, not dead.
    pub soft: bool,
    /// Who is called with each event.
    pub call: Call,
    /// What is done when events may have been missed.
    pub on_gap: OnGap,
}

impl Events {
    /// Does anything come of what is heard?
    pub fn hears(&self) -> bool {
        !self.purge.is_empty() || self.call != Call::None
    }

    /// Is an event of this type meant?
    pub fn wants(&self, kind: &str) -> bool {
        let one = |own: &String| match own.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => kind == own,
        };
        self.types.is_empty() || self.types.iter().any(one)
    }
}

/// Who is called with each event, in a POST of its JSON (`application/cloudevents+json`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Nobody.
    None,
    /// This URL, the way callbacks are.
    Url(String),
    /// The route of this gateway that takes this path.
    Path(String),
}

/// What is done when events may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// All of the cache is purged, where events purge anything: nobody knows what was missed.
    Flush,
    /// Nothing.
    Ignore,
}

/// What a route publishes when its service has answered with 2xx or 3xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The place of its topic among the [`Events`] of the settings.
    pub to: usize,
    /// The type of the event.
    pub kind: String,
    /// Template of its subject, as [`Rule::order`] is one; empty: none.
    pub subject: String,
}

//! What the world is made of: what clients sent, what the store has, what was counted.

use super::super::{Accepted, Cancelled, Ended, New};
use crate::book::{Picked, Tried};
use crate::job::{JobId, Reason, State};
use crate::settings::{Away, Durability, OnDead, Queue, Retry, Settings};
use base::{ByteSize, Wall};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) const QUEUES: [&str; 3] = ["plain", "block", "broker"];
pub(super) const AT_ONCE: usize = 6;
pub(super) const DISK_BYTES: u64 = 4 << 20;
pub(super) const LOST_MAX: u16 = 2;

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A request that a client sent; with a name perhaps several times.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) new: New,
    pub(super) bytes: usize,
    /// How long its name holds, each time; how long the last time.
    pub(super) hold: Duration,
    pub(super) last_until: Wall,
    /// What it became, as far as anybody knows.
    pub(super) id: Option<JobId>,
    /// Asked and not answered.
    pub(super) open: usize,
    /// Once there was no answer.
    pub(super) doubtful: bool,
    pub(super) hurried: bool,
    pub(super) end: Option<(State, Reason)>,
}

impl Sent {
    pub(super) fn request(&self, serial: u64) -> Vec<u8> {
        let mut bytes = serial.to_le_bytes().to_vec();
        let byte = |at: usize| (serial as usize).wrapping_mul(31).wrapping_add(at * 7) as u8;
        bytes.extend((0..self.bytes).map(byte));
        bytes
    }
}

/// A name that a client uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) serial: u64,
    /// How long each of its uses holds, whichever was heard: clocks go back.
    pub(super) until: Wall,
}

/// The store: what `cold` does, as far as promises go.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) over: HashMap<JobId, (State, Reason)>,
    pub(super) claims: HashMap<u128, (u128, JobId, Wall)>,
    pub(super) applied: Option<(u32, u32)>,
}

/// A parcel on its way to whoever delivers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel {
    pub(super) ready: Wall,
    pub(super) picked: Picked,
}

/// A delivery.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ends: Wall,
    pub(super) id: JobId,
    pub(super) attempt: u16,
    pub(super) serial: u64,
    pub(super) tried: Tried,
}

impl Run {
    pub(super) fn is_good(&self) -> bool {
        matches!(self.tried, Tried::Answered { status: 200 | 404, .. })
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) accepts: Vec<(u64, oneshot::Receiver<Accepted>)>,
    pub(super) others: Vec<oneshot::Receiver<Accepted>>,
    pub(super) cancels: Vec<(JobId, oneshot::Receiver<Cancelled>)>,
    pub(super) acks: Vec<(JobId, u16, oneshot::Receiver<()>)>,
}

/// What the store has begun to write.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) store: Store,
    pub(super) jobs: Vec<Ended>,
}

macro_rules! sums {
    ($($name:ident),*) => {
        /// How often it happened.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Sums { $(pub(super) $name: u64),* }
        impl Sums {
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
            /// The least of them.
            pub(super) fn least(&self) -> u64 {
                [$(self.$name),*].into_iter().min().unwrap_or_default()
            }
        }
    };
}

sums! {
    crashes, cuts, broken, accepted, succeeded, dead, cancelled, expired, twice, same, refused,
    mismatched, stuck, carried, freed, moved, doubted, poison
}

/// A broker gives a job out again when its taker dies, and what is given back counts as a try: there
/// are so many that nobody dies of it.
pub(super) fn tries(queue: &str) -> u16 {
    if queue == "broker" { 10_000 } else { 4 }
}

fn queue(name: &str) -> Queue {
    Queue {
        name: name.to_owned(),
        broker: (name == "broker").then(|| "nats://a".to_owned()),
        takes: true,
        away: Away::Spill,
        at_once: AT_ONCE,
        rate: None,
        replay_rate: None,
        retry: Retry {
            tries: tries(name),
            pause: millis(100),
            growth_percent: 200,
            pause_max: millis(5_000),
            on: Retry::standard_statuses(),
            lost_max: LOST_MAX,
        },
        try_time: Duration::from_secs(30),
        expires: None,
        jobs_max: 30,
        age_max: None,
        on_dead: if name == "block" { OnDead::Block } else { OnDead::Skip },
    }
}

pub(super) fn settings(bytes_max: u64) -> Settings {
    Settings {
        store: "/sim".into(),
        durability: Durability::Disk,
        node: "a".to_owned(),
        peers: Vec::new(),
        secret: None,
        key: None,
        path: "/jobs".to_owned(),
        jobs_max: 60,
        bytes_max: ByteSize(bytes_max),
        body_max: ByteSize(bytes_max / 4),
        free_min: ByteSize(0),
        keep: Duration::from_hours(1),
        keep_dead: Duration::from_hours(1),
        answer_max: ByteSize(1 << 20),
        wait_max: Duration::from_secs(1),
        callback_allow: Vec::new(),
        callback_http: false,
        callback_secrets: Vec::new(),
        queues: QUEUES.iter().map(|name| queue(name)).collect(),
    }
}

//! The tier on Memcached: values, and versions of what they can be purged by.
//!
//! Keys are spread over the servers by rendezvous hashing: a server that goes takes its own share
//! of values with it and no other. Values are framed by [`crate::tier::frame`] and cut into chunks
//! below the server's 1 MiB.
//!
//! **Purges.** Memcached has no channel, so what was purged stands beside the values. `count` is the
//! deployment's counter; each URL, host and tag, and everything together, has an item that holds the
//! numbers of its last hard and soft purge. A value carries its stamp and marks; it is compared with
//! the items of its URL, host and everything in the same round trip, and with those of its tags in a
//! second one. Items may be evicted: one that is missing is written anew with the *current* count,
//! which counts values from before it as purged. The counter itself begins with milliseconds since
//! 1970, so that a lost counter comes back higher than it was, as long as clocks of gateways are
//! apart by less than the counter has lived. Purges of a prefix are purges of its host here.
//!
//! **Limits.** Other gateways' memory hears of a purge only by loading a value that it hit. A purge
//! whose servers cannot be reached works here at once, is kept and tried again; until it has worked
//! this gateway does not read the tier, but others do.

pub(crate) mod client;
pub(crate) mod protocol;
pub(crate) mod versions;

use crate::redis::Limits;
use crate::settings;
use crate::shared::trust::Trust;
use crate::shared::{Lookup, Reached};
use crate::stamps::{Aim, Aims, Marks, Purge, Stamps};
use crate::tier::breaker::{Fuse, State};
use crate::tier::frame::{self, Body, Chunked, Name};
use crate::tier::{Meter, READS_MAX, Say, WRITE_BYTES_MAX, WRITE_TIME, WRITES_MAX};
use base::{Deadline, Moment};
use client::{Client, LOOK_AGAIN};
use futures_util::future::join_all;
use protocol::{Reply, When};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use versions::{Carried, Version};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of a chunk.
pub const CHUNK: usize = 512 << 10;
const CHUNKS_LONGER: Duration = Duration::from_secs(5);
/// Longest for a value: Memcached takes more than 30 days for a date.
const KEEP_MAX_SECONDS: u32 = 30 * 86_400;
/// There is one deployment to a prefix: what a lost server loses, versions make good.
const LINEAGE: u64 = 1;
const ORDERS_MAX: usize = 4_096;
const KEPT_MAX: usize = 10_000;
/// Longest time for all questions of a purge.
const PURGE_TIME: Duration = Duration::from_millis(300);
const SWAPS_MAX: usize = 8;
/// Large values read at a time.
const LARGE_READS_MAX: usize = 32;

/// The tier.
pub struct Memcached {
    core: Arc<Core>,
    runtime: Handle,
    orders: mpsc::Sender<Order>,
}

impl fmt::Debug for Memcached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memcached").field("prefix", &self.core.prefix).finish_non_exhaustive()
    }
}

struct Core {
    prefix: String,
    limits: Limits,
    servers: Vec<Server>,
    stamps: Arc<Stamps>,
    trust: Arc<Trust>,
    meter: Arc<Meter>,
    reads: Arc<Semaphore>,
    large_reads: Semaphore,
    writes: Arc<Semaphore>,
}

struct Server {
    seed: u64,
    small: Client,
    large: Client,
    fuse: Fuse,
}

struct Order {
    aims: Aims,
    answer: oneshot::Sender<Reached>,
}

enum Found {
    Hit(Vec<u8>),
    Miss,
    Junk,
    Failed,
    Refused,
}

impl Memcached {
    /// Begins to connect and returns at once.
    pub(crate) fn start(
        settings: &settings::Memcached,
        limits: Limits,
        (stamps, trust): (Arc<Stamps>, Arc<Trust>),
        runtime: &Handle,
        say: &Say,
    ) -> Self {
        let meter: Arc<Meter> = Arc::default();
        let servers = settings.servers.iter().map(|address| {
            let (small, keeper) = Client::new(address, &meter, Some(Arc::clone(say)));
            runtime.spawn(keeper.run());
            let (large, keeper) = Client::new(address, &meter, None);
            runtime.spawn(keeper.run());
            Server { seed: xxh3_64(address.as_bytes()), small, large, fuse: Fuse::default() }
        });
        let core = Arc::new(Core {
            prefix: clean(&settings.prefix),
            limits,
            servers: servers.collect(),
            stamps,
            trust,
            meter,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            large_reads: Semaphore::new(LARGE_READS_MAX),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        });
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        runtime.spawn(serve(Arc::clone(&core), inbox));
        Self { core, runtime: runtime.clone(), orders }
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.core.meter
    }

    pub(crate) fn state(&self) -> State {
        let states = self.core.servers.iter().map(|server| server.fuse.state());
        let worst = states.max_by_key(|state| match state {
            State::Closed => 0,
            State::Probing => 1,
            State::Open => 2,
        });
        worst.unwrap_or(State::Closed)
    }

    pub(crate) fn get(&self, lookup: Lookup) -> oneshot::Receiver<Option<Vec<u8>>> {
        let (answer, receiver) = oneshot::channel();
        let now = Moment::now();
        self.core.meter.gets.add(1);
        let permit = Arc::clone(&self.core.reads).try_acquire_owned();
        let server = self.core.server(&self.core.value_key(lookup.key));
        let (false, Ok(permit)) = (server.fuse.is_shut(now), permit) else {
            self.core.meter.refused.add(1);
            return receiver;
        };
        let core = Arc::clone(&self.core);
        self.runtime.spawn(async move {
            if let Some(value) = core.get(lookup, now).await {
                let _ = answer.send(value);
            }
            drop(permit);
        });
        receiver
    }

    pub(crate) fn put(
        &self,
        key: u128,
        value: Vec<u8>,
        keep: Duration,
        marks: &Marks<'_>,
        stamp: u64,
    ) {
        let meter = &self.core.meter;
        let size = value.len() as u64;
        let permit = Arc::clone(&self.core.writes).try_acquire_owned();
        let carried = Carried::new(marks, stamp);
        let (Ok(permit), Some(carried), true) =
            (permit, carried, value.len() <= self.core.limits.object_max)
        else {
            return meter.dropped.add(1);
        };
        meter.waiting_bytes.add(size);
        if meter.waiting_bytes.get() > WRITE_BYTES_MAX as u64 {
            meter.waiting_bytes.sub(size);
            return meter.dropped.add(1);
        }
        let core = Arc::clone(&self.core);
        self.runtime.spawn(async move {
            let written = timeout(WRITE_TIME, core.write(key, &value, keep, &carried)).await;
            if let Ok(Some(())) = written {
                core.meter.puts.add(1);
                core.meter.bytes_written.add(size);
            } else {
                core.meter.dropped.add(1);
            }
            core.meter.waiting_bytes.sub(size);
            drop(permit);
        });
    }

    pub(crate) fn forget(&self, key: u128) {
        let Ok(permit) = Arc::clone(&self.core.writes).try_acquire_owned() else { return };
        let core = Arc::clone(&self.core);
        self.runtime.spawn(async move {
            let key = core.value_key(key);
            let asked = core.server(&key).small.ask(protocol::delete(&key));
            if let Ok(Some(_)) = timeout(WRITE_TIME, asked).await {
                core.meter.forgets.add(1);
            }
            drop(permit);
        });
    }

    pub(crate) fn purge(&self, purge: &Purge) -> oneshot::Receiver<Reached> {
        let aims = Aims::from(purge);
        self.core.trust.purges.asked.add(1);
        self.core.stamps.strike(&aims);
        let (answer, receiver) = oneshot::channel();
        if self.orders.try_send(Order { aims, answer }).is_err() {
            // The receiver finds no sender.
            self.core.trust.overrun();
        }
        receiver
    }
}

/// Carries out purges and watches the counter, until the tier is dropped.
async fn serve(core: Arc<Core>, mut orders: mpsc::Receiver<Order>) {
    let mut kept: VecDeque<Aims> = VecDeque::new();
    loop {
        let mut some = Vec::new();
        if let Ok(0) = timeout(LOOK_AGAIN, orders.recv_many(&mut some, ORDERS_MAX)).await {
            return;
        }
        for Order { aims, answer } in some {
            // Once one has failed the others do not try: their callers wait.
            let reached = if kept.is_empty() && core.tell(&aims).await.is_some() {
                Reached::Tier
            } else {
                core.trust.owe(true);
                core.trust.purges.late.add(1);
                keep(&mut kept, aims);
                Reached::Here
            };
            let _ = answer.send(reached);
        }
        if core.trust.take_overrun() {
            kept.clear();
            kept.push_back(Aims::all());
        }
        while let Some(aims) = kept.front() {
            if core.tell(aims).await.is_none() {
                break;
            }
            kept.pop_front();
        }
        let waiting = &core.trust.purges.waiting;
        waiting.sub(waiting.get());
        waiting.add(kept.len() as u64);
        core.trust.owe(!kept.is_empty());
        let sent = Moment::now();
        if core.look(sent).await.is_some() {
            core.trust.set_lineage(LINEAGE);
            core.trust.renew(sent);
        }
    }
}

fn keep(kept: &mut VecDeque<Aims>, aims: Aims) {
    if kept.len() >= KEPT_MAX {
        kept.clear();
        kept.push_back(Aims::all());
    }
    kept.push_back(aims);
}

impl Core {
    fn value_key(&self, key: u128) -> String {
        format!("{}:{key:032x}", self.prefix)
    }

    /// The server that a key lives on (rendezvous hashing).
    fn server(&self, key: &str) -> &Server {
        let weight = |server: &&Server| xxh3_64_with_seed(key.as_bytes(), server.seed);
        self.servers.iter().max_by_key(weight).expect("settings name a server at least")
    }

    async fn get(&self, lookup: Lookup, began: Moment) -> Option<Option<Vec<u8>>> {
        let by = Deadline::after(began, self.limits.time);
        let key = self.value_key(lookup.key);
        let server = self.server(&key);
        if !server.fuse.ask(Moment::now()) {
            self.meter.refused.add(1);
            return None;
        }
        let mut answered = false;
        let read = self.read(lookup, &key, &mut answered);
        let found = timeout(by.left(Moment::now()), read).await;
        if !answered {
            self.ended(server, false);
        }
        let now = Moment::now();
        match found {
            Ok(Found::Hit(value)) => {
                self.meter.hits.add(1);
                self.meter.bytes_read.add(value.len() as u64);
                self.meter.took(now.since(began));
                return Some(Some(value));
            }
            Ok(Found::Miss) => {
                self.meter.misses.add(1);
                self.meter.took(now.since(began));
                return Some(None);
            }
            Ok(Found::Junk) => {
                self.meter.junk.add(1);
                return Some(None);
            }
            Ok(Found::Failed) => self.meter.failures.add(1),
            Ok(Found::Refused) => self.meter.refused.add(1),
            Err(_) => self.meter.timeouts.add(1),
        }
        None
    }

    fn ended(&self, server: &Server, good: bool) {
        match server.fuse.ended(good, Moment::now()) {
            Some(State::Open) => {
                self.meter.opened.add(1);
                self.meter.open.add(1);
                server.small.break_off();
                server.large.break_off();
            }
            Some(State::Closed) => self.meter.open.sub(u64::from(self.meter.open.get() > 0)),
            _ => {}
        }
    }

    async fn read(&self, lookup: Lookup, key: &str, answered: &mut bool) -> Found {
        let server = self.server(key);
        // Those of the value's URL, host and everything come with it.
        let scopes = [Aim::All, Aim::Url(lookup.url), Aim::Host(lookup.host)];
        let value = async {
            let reply = server.small.ask(protocol::get(key)).await;
            if reply.is_some() {
                *answered = true;
                self.ended(server, true);
            }
            reply
        };
        let (value, versions) =
            futures_util::future::join(value, join_all(scopes.iter().map(|aim| self.version(aim))))
                .await;
        let frame = match value {
            Some(Reply::Value(frame, _)) => frame,
            Some(Reply::None) => {
                let missing = scopes.iter().zip(&versions).filter(|(_, v)| matches!(v, Some(None)));
                self.seed_missing(missing.map(|(aim, _)| aim)).await;
                return Found::Miss;
            }
            _ => return Found::Failed,
        };
        let name = Name { lineage: LINEAGE, key: lookup.key };
        let room = self.limits.object_max + Carried::SIZE_MAX;
        let body = match frame::open(name, frame, room) {
            None => return Found::Junk,
            Some(Body::Whole(body)) => body,
            Some(Body::Chunked(chunked)) => match self.read_chunks(name, key, &chunked).await {
                Found::Hit(body) => body,
                other => return other,
            },
        };
        let Some((carried, value)) = Carried::split(body) else { return Found::Junk };
        if carried.url != lookup.url || carried.host != lookup.host {
            return Found::Junk;
        }
        let tags: Vec<Aim> = carried.tags.iter().map(|&tag| Aim::Tag(tag)).collect();
        let of_tags = join_all(tags.iter().map(|aim| self.version(aim))).await;
        let all = scopes.iter().zip(versions).chain(tags.iter().zip(of_tags));
        let mut dead = false;
        for (aim, version) in all {
            match version {
                // Memory learns of the purge as well, and whoever asked sees a soft one by its stamp.
                Some(Some(version)) => {
                    version.teach(&self.stamps, aim, carried.stamp);
                    dead |= version.is_hard(carried.stamp);
                }
                Some(None) => dead = true,
                None => return Found::Failed,
            }
        }
        if dead { Found::Miss } else { Found::Hit(value) }
    }

    async fn read_chunks(&self, name: Name, key: &str, chunked: &Chunked) -> Found {
        let Ok(_permit) = self.large_reads.try_acquire() else { return Found::Refused };
        let mut body = Vec::with_capacity(chunked.length as usize);
        for n in 0..chunked.count() {
            let key = chunk_key(key, chunked.id, n);
            match self.server(&key).large.ask(protocol::get(&key)).await {
                Some(Reply::Value(chunk, _))
                    if body.len() + chunk.len() <= chunked.length as usize =>
                {
                    body.extend_from_slice(&chunk);
                }
                Some(Reply::Value(..)) => return Found::Junk,
                Some(_) => return Found::Miss,
                None => return Found::Failed,
            }
        }
        if frame::complete(name, chunked, &body) { Found::Hit(body) } else { Found::Junk }
    }

    /// Writes a value, unless a purge has hit what it carries.
    async fn write(
        &self,
        key: u128,
        value: &[u8],
        keep: Duration,
        carried: &Carried,
    ) -> Option<()> {
        for aim in carried.aims() {
            let version = match self.version(&aim).await? {
                Some(version) => version,
                None => self.seed(&aim).await?,
            };
            if version.is_hard(carried.stamp) || version.is_soft(carried.stamp) {
                return None;
            }
        }
        let (name, key) = (Name { lineage: LINEAGE, key }, self.value_key(key));
        let seconds = u32::try_from(keep.as_secs()).unwrap_or(u32::MAX).clamp(1, KEEP_MAX_SECONDS);
        let body = carried.join(value);
        let frame = if body.len() <= CHUNK {
            frame::whole(name, &body)
        } else {
            let id = fastrand::u64(..);
            let longer = seconds.saturating_add(CHUNKS_LONGER.as_secs() as u32);
            let longer = longer.min(KEEP_MAX_SECONDS);
            for (n, chunk) in body.chunks(CHUNK).enumerate() {
                let key = chunk_key(&key, id, n as u64);
                let command = protocol::set(&key, chunk, longer, When::Always);
                if self.server(&key).large.ask(command).await? != Reply::Done {
                    return None;
                }
            }
            frame::chunked(name, &body, id, CHUNK)
        };
        let command = protocol::set(&key, &frame, seconds, When::Always);
        let stored = self.server(&key).large.ask(command).await?;
        (stored == Reply::Done).then_some(())
    }

    fn version_key(&self, aim: &Aim) -> String {
        match aim {
            Aim::Url(url) => format!("{}:u:{url:032x}", self.prefix),
            Aim::Host(host) => format!("{}:h:{host:016x}", self.prefix),
            Aim::Tag(tag) => format!("{}:t:{tag:016x}", self.prefix),
            Aim::Prefix(_) | Aim::All => format!("{}:all", self.prefix),
        }
    }

    fn count_key(&self) -> String {
        format!("{}:count", self.prefix)
    }

    /// The version of a scope: `None` when there is no telling, `Some(None)` when there is none.
    async fn version(&self, aim: &Aim) -> Option<Option<Version>> {
        let key = self.version_key(aim);
        match self.server(&key).small.ask(protocol::get(&key)).await? {
            // One that cannot be read is as good as none.
            Reply::Value(value, _) => Some(Version::parse(&value)),
            Reply::None => Some(None),
            _ => None,
        }
    }

    /// Writes what versions are missing before the fetch for a value that is missing begins, so that
    /// the fetch is newer than they are whatever else is purged meanwhile.
    async fn seed_missing<'a>(&self, scopes: impl Iterator<Item = &'a Aim>) {
        for aim in scopes {
            if let Some(version) = self.seed(aim).await {
                self.stamps.advance(version.newest());
            }
        }
    }

    /// Writes a version that is missing: all from before now may have been purged.
    async fn seed(&self, aim: &Aim) -> Option<Version> {
        let count = self.counter().await?;
        let key = self.version_key(aim);
        let version = Version::seed(count);
        let command = protocol::set(&key, version.to_string().as_bytes(), 0, When::Absent);
        match self.server(&key).small.ask(command).await? {
            Reply::Done => Some(version),
            // Another was faster.
            Reply::Not => self.version(aim).await?,
            _ => None,
        }
    }

    /// Raises a version to a purge's number and returns it.
    async fn raise(&self, aim: &Aim, number: u64, soft: bool) -> Option<Version> {
        let key = self.version_key(aim);
        let client = &self.server(&key).small;
        for _ in 0..SWAPS_MAX {
            let (version, when) = match client.ask(protocol::get_unique(&key)).await? {
                Reply::Value(value, Some(unique)) => {
                    let version = Version::parse(&value);
                    (version.unwrap_or(Version::seed(number)), When::Still(unique))
                }
                Reply::None => (Version::seed(number), When::Absent),
                _ => return None,
            };
            let version = version.raised(number, soft);
            let command = protocol::set(&key, version.to_string().as_bytes(), 0, when);
            match client.ask(command).await? {
                Reply::Done => return Some(version),
                Reply::Not | Reply::None => {}
                _ => return None,
            }
        }
        None
    }

    /// Where a counter that is not there begins.
    fn start_of_count(&self) -> u64 {
        Moment::now().wall_ms().0.max(self.stamps.ceiling() + 1)
    }

    /// The deployment's counter.
    async fn counter(&self) -> Option<u64> {
        let key = self.count_key();
        let client = &self.server(&key).small;
        for _ in 0..SWAPS_MAX {
            let (found, when) = match client.ask(protocol::get_unique(&key)).await? {
                Reply::Value(value, Some(unique)) => (number(&value), When::Still(unique)),
                Reply::None => (None, When::Absent),
                _ => return None,
            };
            // Stamps in use are never ahead of the counter.
            if let Some(count) = found.filter(|&count| count >= self.stamps.ceiling()) {
                return Some(count);
            }
            let start = self.start_of_count();
            match client.ask(protocol::set(&key, start.to_string().as_bytes(), 0, when)).await? {
                Reply::Done => return Some(start),
                Reply::Not | Reply::None => {}
                _ => return None,
            }
        }
        None
    }

    /// Looks where the counter is.
    async fn look(&self, now: Moment) -> Option<()> {
        let by = Deadline::after(now, PURGE_TIME);
        let count = timeout(by.left(Moment::now()), self.counter()).await.ok()??;
        self.stamps.advance(count);
        Some(())
    }

    /// Carries a purge out in the tier.
    async fn tell(&self, aims: &Aims) -> Option<()> {
        timeout(PURGE_TIME, self.tell_patiently(aims)).await.ok()?
    }

    async fn tell_patiently(&self, aims: &Aims) -> Option<()> {
        self.counter().await?;
        let key = self.count_key();
        let command = protocol::count(&key, self.start_of_count());
        let Reply::Value(value, _) = self.server(&key).small.ask(command).await? else {
            return None;
        };
        let count = number(&value)?;
        let scopes: Vec<Aim> = aims.aims.iter().map(widen).collect();
        let raised = join_all(scopes.iter().map(|aim| self.raise(aim, count, aims.soft))).await;
        raised.into_iter().collect::<Option<Vec<_>>>()?;
        self.stamps.take(count, aims);
        self.trust.purges.heard.add(1);
        Some(())
    }
}

/// A prefix as a scope that has a version: its host, or everything when it may span hosts.
fn widen(aim: &Aim) -> Aim {
    match aim {
        Aim::Prefix(prefix) => match prefix.split(|&byte| byte == b'/').next() {
            Some(host) if host.len() < prefix.len() => {
                Aim::Host(crate::stamps::hash_host(&String::from_utf8_lossy(host)))
            }
            _ => Aim::All,
        },
        other => other.clone(),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn chunk_key(key: &str, id: u64, n: u64) -> String {
    format!("{key}:{id:016x}:{n}")
}

/// A prefix that can stand in a key, or its hash.
fn clean(prefix: &str) -> String {
    if prefix.len() <= 128 && prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        prefix.to_owned()
    } else {
        format!("{:016x}", xxh3_64(prefix.as_bytes()))
    }
}

#[cfg(test)]
mod tests;

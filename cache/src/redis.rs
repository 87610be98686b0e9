//! The tier on Redis or Valkey, alone, as a cluster, or behind sentinels.
//!
//! A value is one string under `prefix:{key}`, framed by [`crate::tier::frame`]; a large one stands
//! in chunks `prefix:{key}:id:n` that are written before the head and vanish by themselves. Redis
//! expires both. Small reads have connections of their own. No command lists keys or grows with
//! their number.
//!
//! [`bus`] is what gateways tell each other through it.

pub(crate) mod bus;
pub(crate) mod link;
pub(crate) mod script;

use crate::settings::Redis;
use crate::tier::breaker::{Fuse, State};
use crate::tier::frame::{self, Body, Chunked, Name};
use crate::tier::{self, Meter, READS_MAX, Say, Tier, WRITE_BYTES_MAX, WRITE_TIME, WRITES_MAX};
use base::{Deadline, Moment};
use link::{Connection, Door, Lane, Lanes, is_broken};
use redis::{RedisResult, Value, cmd, pipe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes of a chunk; larger values are cut.
pub const CHUNK: usize = 256 << 10;
/// Chunks asked for in one go.
const CHUNKS_AT_ONCE: usize = 8;
/// Large values read at a time.
const LARGE_READS_MAX: usize = 32;
/// Chunks outlive their head, so that a head that is there has all of its chunks.
const CHUNKS_LONGER: Duration = Duration::from_secs(5);
/// Connections for small reads, and for everything large.
const SMALL_LANES: usize = 2;
const LARGE_LANES: usize = 2;

/// What a tier is told beside its servers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time for a read.
    pub time: Duration,
    /// Largest value.
    pub object_max: usize,
}

/// The tier.
pub struct RedisTier {
    core: Arc<Core>,
    runtime: Handle,
    keepers: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisTier").field("prefix", &self.core.prefix).finish_non_exhaustive()
    }
}

struct Core {
    prefix: String,
    limits: Limits,
    small: Lanes,
    large: Lanes,
    fuse: Fuse,
    meter: Arc<Meter>,
    say: Say,
    /// The deployment; 0 while unknown, and then nothing is read or written.
    lineage: AtomicU64,
    reads: Arc<Semaphore>,
    large_reads: Semaphore,
    writes: Arc<Semaphore>,
}

/// How a read came out.
enum Found {
    Hit(Vec<u8>),
    Miss,
    Junk,
    Failed,
    Refused,
}

impl RedisTier {
    /// Begins to connect and returns at once: a server that is not there is told through `say`, and
    /// tried again. Reads and writes nothing before [`RedisTier::set_lineage`].
    pub fn start(settings: Redis, limits: Limits, runtime: &Handle, say: Say) -> Arc<Self> {
        let lanes = |count: usize| -> Lanes { (0..count).map(|_| Lane::default()).collect() };
        let core = Arc::new(Core {
            prefix: settings.prefix.clone(),
            limits,
            small: lanes(SMALL_LANES),
            large: lanes(LARGE_LANES),
            fuse: Fuse::default(),
            meter: Arc::default(),
            say,
            lineage: AtomicU64::new(0),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            large_reads: Semaphore::new(LARGE_READS_MAX),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        });
        let door = Arc::new(Door::new(settings));
        let places = (0..SMALL_LANES).map(|n| (true, n));
        let places = places.chain((0..LARGE_LANES).map(|n| (false, n)));
        let keepers = places.map(|(small, n)| {
            let (core, door) = (Arc::clone(&core), Arc::clone(&door));
            runtime.spawn(async move {
                let lane = if small { &core.small[n] } else { &core.large[n] };
                // One of them speaks for all.
                let say = (small && n == 0).then_some(&core.say);
                lane.keep(&door, &core.meter, say).await;
            })
        });
        let keepers = keepers.collect();
        Arc::new(Self { core, runtime: runtime.clone(), keepers })
    }

    /// Names the deployment that values belong to; 0 switches reading and writing off.
    pub fn set_lineage(&self, lineage: u64) {
        self.core.lineage.store(lineage, Ordering::Release);
    }

    /// What it counted.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.core.meter
    }

    /// Where the breaker stands.
    pub fn state(&self) -> State {
        self.core.fuse.state()
    }

    /// Has it a connection?
    pub fn is_connected(&self) -> bool {
        self.core.small[0].connection().is_some()
    }

    /// Stores a value under a deployment's name that was read before the value was judged.
    pub(crate) fn put_under(&self, lineage: u64, key: u128, value: Vec<u8>, keep: Duration) {
        let meter = &self.core.meter;
        let permit = Arc::clone(&self.core.writes).try_acquire_owned();
        let usable = lineage != 0 && !self.core.fuse.is_shut(Moment::now());
        let size = value.len() as u64;
        let (true, Ok(permit), true) = (usable, permit, value.len() <= self.core.limits.object_max)
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
            let name = Name { lineage, key };
            match timeout(WRITE_TIME, core.write(name, &value, keep)).await {
                Ok(true) => {
                    core.meter.puts.add(1);
                    core.meter.bytes_written.add(size);
                }
                _ => core.meter.dropped.add(1),
            }
            core.meter.waiting_bytes.sub(size);
            drop(permit);
        });
    }

    /// The deployment, when the tier may be used at all.
    fn lineage(&self, now: Moment) -> Option<u64> {
        let lineage = self.core.lineage.load(Ordering::Acquire);
        (lineage != 0 && !self.core.fuse.is_shut(now)).then_some(lineage)
    }
}

impl Drop for RedisTier {
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

impl Tier for RedisTier {
    fn get(&self, key: u128) -> oneshot::Receiver<Option<Vec<u8>>> {
        let (answer, receiver) = oneshot::channel();
        let now = Moment::now();
        self.core.meter.gets.add(1);
        let permit = Arc::clone(&self.core.reads).try_acquire_owned();
        let (Some(lineage), Ok(permit)) = (self.lineage(now), permit) else {
            self.core.meter.refused.add(1);
            return receiver;
        };
        let core = Arc::clone(&self.core);
        self.runtime.spawn(async move {
            if let Some(value) = core.get(Name { lineage, key }, now).await {
                // The asker may be gone.
                let _ = answer.send(value);
            }
            drop(permit);
        });
        receiver
    }

    fn put(&self, key: u128, value: Vec<u8>, keep: Duration) {
        let lineage = self.core.lineage.load(Ordering::Acquire);
        self.put_under(lineage, key, value, keep);
    }

    fn forget(&self, key: u128) {
        let permit = Arc::clone(&self.core.writes).try_acquire_owned();
        let (Some(_), Ok(permit)) = (self.lineage(Moment::now()), permit) else { return };
        let core = Arc::clone(&self.core);
        self.runtime.spawn(async move {
            if let Ok(true) = timeout(WRITE_TIME, core.forget(key)).await {
                core.meter.forgets.add(1);
            }
            drop(permit);
        });
    }
}

impl Core {
    /// Reads by the deadline; `None` when there is no telling.
    async fn get(&self, name: Name, began: Moment) -> Option<Option<Vec<u8>>> {
        let by = Deadline::after(began, self.limits.time);
        if !self.fuse.ask(Moment::now()) {
            self.meter.refused.add(1);
            return None;
        }
        let left = by.left(Moment::now());
        let mut answered = false;
        let found = timeout(left, self.read(name, &mut answered)).await;
        if !answered {
            self.ended(false);
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

    /// Tells the breaker; whatever hangs when it opens is given up, for it may hang for ever.
    fn ended(&self, good: bool) {
        match self.fuse.ended(good, Moment::now()) {
            Some(State::Open) => {
                self.meter.opened.add(1);
                self.meter.open.add(u64::from(self.meter.open.get() == 0));
                for lane in self.small.iter().chain(self.large.iter()) {
                    lane.break_off(None);
                }
            }
            Some(State::Closed) => self.meter.open.sub(u64::from(self.meter.open.get() > 0)),
            _ => {}
        }
    }

    /// `answered` is set once the server has said something about the head.
    async fn read(&self, name: Name, answered: &mut bool) -> Found {
        let key = self.key(name.key);
        let small = &self.small[name.key as usize % SMALL_LANES];
        let Some((mut connection, number)) = small.connection() else { return Found::Failed };
        let head = connection.ask(cmd("GET").arg(&key)).await;
        let frame = match head {
            Ok(Value::BulkString(frame)) => frame,
            Ok(Value::Nil) => {
                self.answered(answered);
                return Found::Miss;
            }
            // Something of another kind lies there.
            Ok(_) => {
                self.answered(answered);
                return Found::Junk;
            }
            Err(error) if error.code() == Some("WRONGTYPE") => {
                self.answered(answered);
                return Found::Junk;
            }
            Err(error) => {
                if is_broken(&error) {
                    small.break_off(Some(number));
                }
                return Found::Failed;
            }
        };
        self.answered(answered);
        match frame::open(name, frame, self.limits.object_max) {
            None => Found::Junk,
            Some(Body::Whole(body)) => Found::Hit(body),
            Some(Body::Chunked(chunked)) => self.read_chunks(name, &key, &chunked).await,
        }
    }

    fn answered(&self, answered: &mut bool) {
        *answered = true;
        self.ended(true);
    }

    async fn read_chunks(&self, name: Name, key: &str, chunked: &Chunked) -> Found {
        let Ok(_permit) = self.large_reads.try_acquire() else { return Found::Refused };
        let large = self.large(name.key);
        let Some((mut connection, number)) = large.connection() else { return Found::Failed };
        // `open` has compared the length with our bound.
        let mut body = Vec::with_capacity(chunked.length as usize);
        let numbers: Vec<u64> = (0..chunked.count()).collect();
        for some in numbers.chunks(CHUNKS_AT_ONCE) {
            let mut commands = pipe();
            for n in some {
                commands.cmd("GET").arg(chunk_key(key, chunked.id, *n));
            }
            match connection.ask_all(&commands).await {
                Ok(values) => {
                    for value in values {
                        let Value::BulkString(chunk) = value else { return Found::Junk };
                        if body.len() + chunk.len() > chunked.length as usize {
                            return Found::Junk;
                        }
                        body.extend_from_slice(&chunk);
                    }
                }
                Err(error) => {
                    if is_broken(&error) {
                        large.break_off(Some(number));
                    }
                    return Found::Failed;
                }
            }
        }
        if frame::complete(name, chunked, &body) { Found::Hit(body) } else { Found::Junk }
    }

    async fn write(&self, name: Name, value: &[u8], keep: Duration) -> bool {
        let large = self.large(name.key);
        let Some((mut connection, number)) = large.connection() else { return false };
        let written = self.write_on(&mut connection, name, value, keep).await;
        if written.as_ref().is_err_and(is_broken) {
            large.break_off(Some(number));
        }
        written.is_ok()
    }

    async fn write_on(
        &self,
        connection: &mut Connection,
        name: Name,
        value: &[u8],
        keep: Duration,
    ) -> RedisResult<()> {
        let key = self.key(name.key);
        let frame = if value.len() <= CHUNK {
            frame::whole(name, value)
        } else {
            let id = fastrand::u64(..);
            for (n, chunk) in value.chunks(CHUNK).enumerate() {
                let key = chunk_key(&key, id, n as u64);
                let longer = millis(keep + CHUNKS_LONGER);
                connection.ask(cmd("SET").arg(key).arg(chunk).arg("PX").arg(longer)).await?;
            }
            frame::chunked(name, value, id, CHUNK)
        };
        let mut commands = pipe();
        commands.cmd("GETRANGE").arg(&key).arg(0).arg(127);
        commands.cmd("SET").arg(&key).arg(frame).arg("PX").arg(millis(keep));
        let before = match connection.ask_all(&commands).await {
            // A value of another kind is in the way of the first command only: SET replaces it.
            Err(error) if error.code() == Some("WRONGTYPE") => return Ok(()),
            answer => answer?,
        };
        self.sweep(connection, &key, before.first()).await
    }

    async fn forget(&self, key: u128) -> bool {
        let large = self.large(key);
        let Some((mut connection, number)) = large.connection() else { return false };
        let key = self.key(key);
        let mut commands = pipe();
        commands.cmd("GETRANGE").arg(&key).arg(0).arg(127);
        commands.cmd("UNLINK").arg(&key);
        let done = match connection.ask_all(&commands).await {
            Ok(before) => self.sweep(&mut connection, &key, before.first()).await,
            Err(error) => Err(error),
        };
        if done.as_ref().is_err_and(is_broken) {
            large.break_off(Some(number));
        }
        done.is_ok()
    }

    /// Removes the chunks of what stood in a value's place.
    async fn sweep(
        &self,
        connection: &mut Connection,
        key: &str,
        before: Option<&Value>,
    ) -> RedisResult<()> {
        let Some(Value::BulkString(before)) = before else { return Ok(()) };
        let Some(chunked) = frame::chunks_of(before) else { return Ok(()) };
        // A head that others forged must not keep us busy.
        let count = chunked.count().min(self.limits.object_max.div_ceil(CHUNK) as u64);
        let mut commands = pipe();
        for n in 0..count {
            commands.cmd("UNLINK").arg(chunk_key(key, chunked.id, n));
        }
        if count > 0 {
            connection.ask_all(&commands).await?;
        }
        Ok(())
    }

    fn large(&self, key: u128) -> &Lane {
        &self.large[key as usize % LARGE_LANES]
    }

    /// Braces keep a value and its chunks on one node of a cluster.
    fn key(&self, key: u128) -> String {
        format!("{}:{{{key:032x}}}", self.prefix)
    }
}

fn chunk_key(key: &str, id: u64, n: u64) -> String {
    format!("{key}:{id:016x}:{n}")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 10 * 365 * 86_400_000)
}

/// The pause after the so-and-so-many-th failure in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    tier::backoff(failures)
}

#[cfg(test)]
mod tests;

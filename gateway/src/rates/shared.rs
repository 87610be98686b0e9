//! Rates that gateways count together, through Redis, without asking it for each request.
//!
//! Redis holds, for each key, the moment at which all that was taken is restored (GCRA, as in
//! [`service::rate`], in microseconds of its own clock), and a script that grants up to so many
//! requests at once. A gateway takes a *lot* ahead of need: what its own clients ask for in
//! [`AHEAD`], at most a fiftieth of the burst or [`LOT_TIME`] of the rate, at least one. It asks for
//! the next when half is gone, if it will soon be used, so that under steady load no request waits.
//! What is not used within [`UNUSED`] is given back with the next question. All that is granted is
//! counted, so gateways together never exceed the rate by more than the lots they hold, and what they
//! lose of it is a lot for each gateway that a client has left.
//!
//! The first request of a key waits for Redis, [`WAIT`] at most. A refusal is remembered until more
//! can be granted: whoever hammers is refused here.
//!
//! Redis gone, or too late: each gateway counts alone, by the rate divided by the number of gateways
//! that were heard of last (each is heard of every second; at least one request at a time each).
//! What was allowed here while Redis was only late is charged with the next question. Redis gone,
//! nobody waits: after five failures in a row Redis is left alone and only knocked at. Going
//! over from one to the other gives a client at most one burst more.
//!
//! One Redis server, by URL. Rules are the same for two gateways if route, name, rate and burst are.

use base::{Deadline, Moment};
use cache::tier::breaker::{Fuse, State};
use monitor::expose::Family;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, cmd, pipe};
use service::rate::{Outcome, Rule, Who};
use service::settings::Rate;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use wire::timer::within;
use xxhash_rust::xxh3::xxh3_128;

/// Longest time that a request waits for Redis (plus the grain of deadlines).
pub const WAIT: Duration = Duration::from_millis(5);
/// A lot is what is asked for in this time …
const AHEAD: Duration = Duration::from_millis(50);
/// … at most this part of the burst …
const LOT_PART: u32 = 50;
/// … or, if that is more, what the rate restores in this time.
const LOT_TIME: Duration = Duration::from_millis(20);
/// A lot that was not used up by then is given back.
const UNUSED: Duration = Duration::from_millis(500);
/// What is measured over less tells no pace.
const PACE_LEAST: Duration = Duration::from_millis(10);
/// Redis is not asked again sooner than this after it had nothing to give.
const DENIED_LEAST: Duration = Duration::from_millis(20);
/// A refusal lasts until a whole lot is to be had, but not longer than this after the first of it.
const DENIED_LONGER: Duration = Duration::from_millis(50);
/// Longest time for an answer of Redis, whoever waits for it.
const ASK_TIME: Duration = Duration::from_millis(50);
/// Longest time to make a connection.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// How often gateways let themselves be heard.
const HEARD_EVERY: Duration = Duration::from_secs(1);
/// Most questions under way; what does not fit is decided here.
const ASKS_MAX: usize = 4_096;
/// Most questions in one message.
const ASKS_AT_ONCE: usize = 128;
/// Most requests that wait for one answer.
const WAITERS_MAX: usize = 256;
/// Keys are spread over so many locks …
const SHARDS: usize = 32;
/// … and so many are remembered behind each.
const SHARD_MAX: usize = 4_096;

/// Takes `ARGV[4]` requests back (or charges for so many, below zero) and grants up to `ARGV[3]`: answers how many, how many more there are, and the microseconds
/// until all is restored. Microseconds of today have sixteen digits, which `%.0f` keeps.
const GRANT: &str = "\
local t = redis.call('TIME') \
local now = t[1] * 1000000 + t[2] \
local each, most, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]) \
local paid = tonumber(redis.call('GET', KEYS[1]) or '0') \
if paid < now then paid = now end \
paid = paid - tonumber(ARGV[4]) * each \
if paid < now then paid = now end \
local room = math.floor((most - (paid - now)) / each + 0.000001) \
local given = math.max(0, math.min(want, room)) \
if given > 0 or ARGV[4] ~= '0' then \
paid = paid + given * each \
redis.call('SET', KEYS[1], string.format('%.0f', paid), 'PX', math.ceil((paid - now) / 1000) + 1000) \
end \
return {given, math.max(0, room - given), math.ceil(paid - now)}";

/// Says that a gateway is alive; answers how many were heard of in the last five seconds.
const HEARD: &str = "\
local t = redis.call('TIME') \
local now = t[1] * 1000 + math.floor(t[2] / 1000) \
redis.call('ZADD', KEYS[1], now, ARGV[1]) \
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000) \
redis.call('PEXPIRE', KEYS[1], 60000) \
return redis.call('ZCARD', KEYS[1])";

/// Where gateways are heard of.
const GATEWAYS_KEY: &str = "fleetfoot:rate:gateways";

/// A rule as gateways name it to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope(u128);

impl Scope {
    /// The rule of a route.
    pub fn new(route: &str, rate: &Rate) -> Self {
        let Rate { name, limit, per, burst, by, shared: _ } = rate;
        let text = format!("{route}\n{name}\n{limit}\n{}\n{burst}\n{by:?}", per.as_nanos());
        Self(xxh3_128(text.as_bytes()))
    }

    /// The key of somebody under this rule. Values of fields may be secrets: only a hash leaves us.
    fn key(self, who: Who<'_>) -> u128 {
        let mut bytes = self.0.to_be_bytes().to_vec();
        match who {
            Who::All => {}
            Who::Client(IpAddr::V4(address)) => bytes.extend_from_slice(&address.octets()),
            Who::Client(IpAddr::V6(address)) => bytes.extend_from_slice(&address.octets()),
            Who::Value(value) => bytes.extend_from_slice(value),
        }
        xxh3_128(&bytes)
    }
}

/// What has been granted for one key.
#[derive(Debug)]
struct Grant {
    tokens: u32,
    /// How large the last lot was.
    lot: u32,
    /// When `tokens` are to be given back.
    until: Moment,
    /// How many are to be given back, less those that were allowed here while Redis was late.
    back: i64,
    /// Nothing is to be had before.
    denied_until: Moment,
    /// What Redis had left, and when all would be restored.
    remaining: u32,
    restored: Moment,
    /// Requests since `since`, when Redis was last asked.
    used: u32,
    since: Moment,
    /// Requests a second, as a mean over questions.
    pace: f64,
    asking: bool,
    waiters: Vec<oneshot::Sender<()>>,
}

impl Grant {
    fn new(now: Moment) -> Self {
        Self {
            tokens: 0,
            lot: 0,
            until: now,
            back: 0,
            denied_until: Moment::from_nanos(0),
            remaining: 0,
            restored: now,
            used: 0,
            // Whoever comes for the first time is taken for one who comes once a second.
            since: Moment::from_nanos(now.as_nanos().saturating_sub(1_000_000_000)),
            pace: 0.0,
            asking: false,
            waiters: Vec::new(),
        }
    }

    fn outcome(&self, allowed: bool, now: Moment) -> Outcome {
        Outcome {
            allowed,
            remaining: self.remaining.saturating_add(self.tokens),
            reset: self.restored.since(now),
            retry: if allowed { Duration::ZERO } else { self.denied_until.since(now) },
        }
    }

    /// Takes one if there is one.
    fn take(&mut self, now: Moment) -> bool {
        if now >= self.until {
            self.back += i64::from(std::mem::take(&mut self.tokens));
        }
        let is_there = self.tokens > 0;
        self.tokens -= u32::from(is_there);
        is_there
    }

    /// Is the next lot to be asked for ahead of need? Not if it would lie about.
    fn runs_out(&self, now: Moment) -> bool {
        let soon = self.pace * UNUSED.as_secs_f64() / 2.0;
        self.tokens <= self.lot / 2 && soon >= 1.0 && now >= self.denied_until
    }

    /// How many to ask for now.
    #[expect(clippy::cast_sign_loss, reason = "it is counted, and at least 1")]
    fn want(&self, rule: &Rule, now: Moment) -> u32 {
        let rate = &rule.settings;
        let restored = LOT_TIME.as_nanos() / rule.gcra.each().as_nanos().max(1);
        let restored = u32::try_from(restored).unwrap_or(u32::MAX);
        let most = (rate.burst / LOT_PART).max(restored.min(rate.burst)).max(1);
        let passed = now.since(self.since).max(Duration::from_millis(1));
        let ahead = f64::from(self.used) * AHEAD.as_secs_f64() / passed.as_secs_f64();
        ahead.ceil().clamp(1.0, f64::from(most)) as u32
    }
}

/// A question to Redis.
#[derive(Debug)]
struct Ask {
    key: u128,
    /// What a request costs and how much may be owed, in microseconds.
    each: f64,
    most: f64,
    want: u32,
    /// Granted before and not used, less those that were not granted and used.
    back: i64,
}

/// What follows from what is known of a key.
enum Step {
    Known(Outcome),
    /// Redis was asked, and will be heard of.
    Wait(oneshot::Receiver<()>),
    /// There is no asking.
    Alone,
}

/// The rates that gateways count together.
#[derive(Debug)]
pub struct Shared {
    url: String,
    core: Arc<Core>,
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Core {
    shards: Vec<Mutex<HashMap<u128, Grant>>>,
    connected: AtomicBool,
    fuse: Fuse,
    /// Gateways that were heard of last.
    gateways: AtomicU32,
    asked: AtomicU64,
    failures: AtomicU64,
    alone: AtomicU64,
}

impl Shared {
    /// Starts to keep a connection to the Redis at `url`, on `runtime`; returns at once. Until there is
    /// a connection each gateway counts alone. `None` when it is no URL of a Redis, which is said.
    pub fn start(url: &str, runtime: &Handle) -> Option<Arc<Self>> {
        let client = match Client::open(url) {
            Ok(client) => client,
            Err(error) => {
                say(&format!("{error}; each gateway counts alone"));
                return None;
            }
        };
        let (asks, questions) = mpsc::channel(ASKS_MAX);
        let core = Arc::new(Core {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            connected: AtomicBool::new(false),
            fuse: Fuse::default(),
            gateways: AtomicU32::new(1),
            asked: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            alone: AtomicU64::new(0),
        });
        let task = Task { client, core: Arc::clone(&core), questions, name: fastrand::u64(..) };
        runtime.spawn(task.run());
        Some(Arc::new(Self { url: url.to_owned(), core, asks }))
    }

    /// Which Redis it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Is Redis connected and answering?
    pub fn is_healthy(&self) -> bool {
        self.core.is_healthy(Moment::now())
    }

    /// How many gateways were heard of last, this one included.
    pub fn gateways(&self) -> u32 {
        self.core.gateways.load(Ordering::Relaxed)
    }

    /// One request. Waits for [`WAIT`] at most, and only if nothing is known of this key.
    pub async fn take(&self, rule: &Rule, scope: &Scope, who: Who<'_>, now: Moment) -> Outcome {
        let key = scope.key(who);
        let by = Deadline::after(now, WAIT);
        let mut now = now;
        let mut first = true;
        loop {
            match self.step(key, rule, now, first) {
                Step::Known(outcome) => return outcome,
                Step::Wait(heard) if !by.passed(now) => {
                    if !matches!(within(by, heard).await, Ok(Ok(()))) {
                        break;
                    }
                    now = Moment::now();
                }
                Step::Wait(_) | Step::Alone => break,
            }
            first = false;
        }
        self.core.alone.fetch_add(1, Ordering::Relaxed);
        let outcome = rule.take_by(rule.gcra.divided(self.gateways()), who, now);
        if outcome.allowed && self.core.is_healthy(now) {
            self.charge(key);
        }
        outcome
    }

    /// Redis was late, not gone: it hears of this request with the next question.
    fn charge(&self, key: u128) {
        if let Some(grant) = self.core.shard(key).get_mut(&key) {
            grant.back -= 1;
        }
    }

    /// Gives back what a request took that was refused elsewhere.
    pub fn give_back(&self, scope: &Scope, who: Who<'_>) {
        let key = scope.key(who);
        if let Some(grant) = self.core.shard(key).get_mut(&key) {
            grant.tokens = (grant.tokens + 1).min(grant.lot.max(1));
        }
    }

    fn step(&self, key: u128, rule: &Rule, now: Moment, first: bool) -> Step {
        let is_healthy = self.core.is_healthy(now);
        let mut shard = self.core.shard(key);
        make_room(&mut shard, key, now);
        let grant = shard.entry(key).or_insert_with(|| Grant::new(now));
        grant.used = grant.used.saturating_add(u32::from(first));
        if grant.take(now) {
            if is_healthy && grant.runs_out(now) {
                self.ask(key, grant, rule, now);
            }
            return Step::Known(grant.outcome(true, now));
        }
        if now < grant.denied_until && is_healthy {
            return Step::Known(grant.outcome(false, now));
        }
        if !is_healthy || !self.ask(key, grant, rule, now) || grant.waiters.len() >= WAITERS_MAX {
            return Step::Alone;
        }
        let (told, heard) = oneshot::channel();
        grant.waiters.push(told);
        Step::Wait(heard)
    }

    /// Asks, unless that is under way; answers whether it is.
    fn ask(&self, key: u128, grant: &mut Grant, rule: &Rule, now: Moment) -> bool {
        if grant.asking {
            return true;
        }
        let want = grant.want(rule, now);
        let each = rule.gcra.each().as_nanos() as f64 / 1e3;
        let most = each * f64::from(rule.settings.burst.max(1));
        let back = grant.back;
        grant.asking = self.asks.try_send(Ask { key, each, most, want, back }).is_ok();
        if grant.asking {
            let passed = now.since(grant.since).max(PACE_LEAST);
            grant.pace = f64::midpoint(grant.pace, f64::from(grant.used) / passed.as_secs_f64());
            (grant.used, grant.since, grant.back) = (0, now, 0);
        }
        grant.asking
    }
}

/// What the page of metrics tells of shared rates; families without samples where nothing is shared.
pub(super) fn families(shared: Option<&Shared>) -> [Family; 3] {
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    let totals = shared.map(|shared| {
        let core = &shared.core;
        vec![
            (vec![("did", "ask".into())], get(&core.asked)),
            (vec![("did", "fail".into())], get(&core.failures)),
            (vec![("did", "alone".into())], get(&core.alone)),
        ]
    });
    let gauge = |name, help, value: Option<u32>| Family {
        name,
        kind: "gauge",
        help,
        samples: value.map(|value| (Vec::new(), f64::from(value))).into_iter().collect(),
    };
    [
        Family {
            name: "fleetfoot_rate_shared_total",
            kind: "counter",
            help: "What became of shared rates: questions to Redis, those that failed, and requests \
                   that were decided here alone.",
            samples: totals.unwrap_or_default(),
        },
        gauge(
            "fleetfoot_rate_shared_healthy",
            "1 while the Redis of [rate] answers.",
            shared.map(|shared| u32::from(shared.is_healthy())),
        ),
        gauge(
            "fleetfoot_rate_gateways",
            "Gateways that count rates together, as last heard.",
            shared.map(Shared::gateways),
        ),
    ]
}

/// Keeps a shard within its bound: forgets who has nothing left to lose, or else anybody.
fn make_room(shard: &mut HashMap<u128, Grant>, key: u128, now: Moment) {
    if shard.len() < SHARD_MAX || shard.contains_key(&key) {
        return;
    }
    shard.retain(|_, grant| grant.asking || grant.until > now || grant.denied_until > now);
    if shard.len() >= SHARD_MAX {
        let some: Vec<u128> = shard.keys().copied().take(SHARD_MAX / 8).collect();
        for key in some {
            shard.remove(&key);
        }
    }
}

impl Core {
    fn is_healthy(&self, now: Moment) -> bool {
        self.connected.load(Ordering::Relaxed) && !self.fuse.is_shut(now)
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, HashMap<u128, Grant>> {
        self.shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what Redis said of a key: so many granted, so many left, so many microseconds until all is
    /// restored.
    fn granted(&self, ask: &Ask, (given, left, owed): (u32, u32, u64), now: Moment) {
        let mut shard = self.shard(ask.key);
        let Some(grant) = shard.get_mut(&ask.key) else { return };
        grant.asking = false;
        grant.remaining = left;
        grant.restored = now + Duration::from_micros(owed);
        if given > 0 {
            grant.tokens = grant.tokens.saturating_add(given);
            grant.lot = given;
            grant.until = now + UNUSED;
        } else {
            // One more is to be had when no more than all but one is owed, and a lot some time later.
            let one = (owed as f64 + ask.each - ask.most).max(0.0) / 1e6;
            let lot = f64::from(ask.want - 1) * ask.each / 1e6;
            let wait = Duration::from_secs_f64(one + lot.min(DENIED_LONGER.as_secs_f64()));
            grant.denied_until = now + wait.max(DENIED_LEAST);
        }
        let waiters = std::mem::take(&mut grant.waiters);
        drop(shard);
        for waiter in waiters {
            let _gone = waiter.send(());
        }
    }

    /// Notes that Redis said nothing: whoever waits decides alone.
    fn failed(&self, ask: &Ask) {
        let mut shard = self.shard(ask.key);
        let waiters = shard.get_mut(&ask.key).map(|grant| {
            grant.asking = false;
            std::mem::take(&mut grant.waiters)
        });
        drop(shard);
        drop(waiters);
    }
}

fn say(text: &str) {
    monitor::log::complain(Moment::now(), format_args!("rate: {text}"));
}

/// What speaks to Redis, on the control runtime; ends when nobody can ask any more.
struct Task {
    client: Client,
    core: Arc<Core>,
    questions: mpsc::Receiver<Ask>,
    /// Who we are among the gateways.
    name: u64,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0_u32;
        while !self.questions.is_closed() {
            match self.connect().await {
                Ok(mut connection) => {
                    if failures > 0 {
                        say("connected to Redis again");
                    }
                    self.core.fuse.ended(true, Moment::now());
                    self.core.connected.store(true, Ordering::Relaxed);
                    let why = self.serve(&mut connection).await;
                    self.core.connected.store(false, Ordering::Relaxed);
                    self.refuse_all();
                    let Some(why) = why else { return };
                    say(&format!("Redis: {why}; each gateway counts alone"));
                    failures = 1;
                }
                Err(error) => {
                    if failures == 0 {
                        say(&format!("no connection to Redis: {error}; each gateway counts alone"));
                    }
                    failures = failures.saturating_add(1);
                }
            }
            let pause = Duration::from_millis(50 << failures.min(4));
            sleep(pause.mul_f64(0.75 + 0.25 * fastrand::f64())).await;
        }
    }

    /// A connection that has answered.
    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(CONNECT_TIME));
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.be_heard(&mut connection).await?;
        Ok(connection)
    }

    async fn be_heard(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut heard = cmd("EVAL");
        heard.arg(HEARD).arg(1).arg(GATEWAYS_KEY).arg(format!("{:016x}", self.name));
        let gateways: u32 = heard.query_async(connection).await?;
        self.core.gateways.store(gateways.max(1), Ordering::Relaxed);
        Ok(())
    }

    /// Asks what is asked; answers why it stopped, `None` when nobody can ask any more.
    async fn serve(&mut self, connection: &mut MultiplexedConnection) -> Option<String> {
        let mut ticks = interval(HEARD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Vec::new();
        loop {
            let result = tokio::select! { biased;
                _ = ticks.tick() => {
                    let heard = self.be_heard(connection);
                    timeout(ASK_TIME, heard).await.unwrap_or_else(|_| Err(late()))
                }
                n = self.questions.recv_many(&mut asks, ASKS_AT_ONCE) => {
                    if n == 0 {
                        return None;
                    }
                    self.ask(connection, &mut asks).await
                }
            };
            let now = Moment::now();
            let turned = self.core.fuse.ended(result.is_ok(), now);
            if let Err(error) = result
                && (turned == Some(State::Open) || !error.is_timeout() && error.is_io_error())
            {
                return Some(error.to_string());
            }
        }
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        asks: &mut Vec<Ask>,
    ) -> RedisResult<()> {
        let mut commands = pipe();
        for Ask { key, each, most, want, back } in &*asks {
            let key = format!("fleetfoot:rate:{key:032x}");
            commands.cmd("EVAL").arg(GRANT).arg(1).arg(key).arg(each).arg(most).arg(want).arg(back);
        }
        self.core.asked.fetch_add(asks.len() as u64, Ordering::Relaxed);
        let answers = commands.query_async::<Vec<(u32, u32, u64)>>(connection);
        let answers = timeout(ASK_TIME, answers).await.unwrap_or_else(|_| Err(late()));
        let now = Moment::now();
        let result = match answers {
            Ok(answers) if answers.len() == asks.len() => {
                asks.iter().zip(answers).for_each(|(ask, said)| self.core.granted(ask, said, now));
                Ok(())
            }
            other => {
                self.core.failures.fetch_add(asks.len() as u64, Ordering::Relaxed);
                for ask in &*asks {
                    self.core.failed(ask);
                }
                other.and(Err(late()))
            }
        };
        asks.clear();
        result
    }

    /// Nobody is left waiting for a connection that is gone.
    fn refuse_all(&mut self) {
        while let Ok(ask) = self.questions.try_recv() {
            self.core.failed(&ask);
        }
    }
}

fn late() -> RedisError {
    RedisError::from((redis::ErrorKind::Io, "no answer in time"))
}

#[cfg(test)]
mod tests;

//! A small world with faults, whose answers are checked against what purges promised.

use super::stage::{Gate, Held};
use crate::shared::Reached;
use crate::stamps::{Scope, Standing};
use base::{Deadline, Moment};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

const KEYS: usize = 8;
const ROUNDS: usize = 1;
/// How long each state of affairs lasts.
const SPELL: Duration = Duration::from_millis(400);

/// Where the tier is.
pub(crate) enum Place {
    Redis(scenario::Redis),
    /// Purges do not reach other gateways' memory there: it is left out.
    Memcached(scenario::Memcached),
}

pub(crate) struct World {
    gates: [Gate; 3],
    server: Mutex<Place>,
    has_memory: bool,
    /// The service's version of each key.
    origin: [AtomicU64; KEYS],
    /// Versions below these were purged everywhere, and in each gateway.
    floors: [[AtomicU64; KEYS]; 3],
    over: AtomicBool,
    from_memory: AtomicU64,
    from_tier: AtomicU64,
    reached: [AtomicU64; 3],
}

impl World {
    pub(crate) fn new(gates: [Gate; 3], server: Place) -> Self {
        Self {
            gates,
            has_memory: matches!(server, Place::Redis(_)),
            server: Mutex::new(server),
            origin: Default::default(),
            floors: Default::default(),
            over: AtomicBool::new(false),
            from_memory: AtomicU64::new(0),
            from_tier: AtomicU64::new(0),
            reached: Default::default(),
        }
    }

    pub(crate) fn counts(&self) -> [u64; 5] {
        let [all, some, here] = &self.reached;
        [&self.from_memory, &self.from_tier, all, some, here].map(|count| count.load(SeqCst))
    }

    /// A gateway's clients.
    pub(crate) fn read(&self, place: usize) {
        let gate = &self.gates[place];
        let mut memory: HashMap<usize, (Held, u64)> = HashMap::new();
        while !self.over.load(SeqCst) {
            let key = fastrand::usize(..KEYS);
            let floor = self.floors[place][key].load(SeqCst);
            let known = memory.get(&key).filter(|(held, _)| {
                gate.shared.is_trusted() && gate.standing(held) == Standing::Good
            });
            if let Some(&(_, version)) = known {
                assert!(version >= floor, "gateway {place} served {version} < {floor} from memory");
                self.from_memory.fetch_add(1, SeqCst);
                // Memory must not hide the tier.
                if fastrand::u8(..) < 64 {
                    memory.remove(&key);
                }
                continue;
            }
            let held = gate.fetch(key as u128, "tag");
            if let Some((body, Standing::Good)) = gate.serve(&held) {
                let version = u64::from_le_bytes(body.try_into().unwrap());
                assert!(
                    version >= floor,
                    "gateway {place} served {version} < {floor} from the tier"
                );
                self.from_tier.fetch_add(1, SeqCst);
            } else {
                let held = gate.fetch(key as u128, "tag");
                let version = self.origin[key].load(SeqCst);
                // A slow service: purges come in between.
                std::thread::sleep(Duration::from_micros(fastrand::u64(..2_000)));
                gate.put(&held, &version.to_le_bytes());
                if self.has_memory {
                    memory.insert(key, (held, version));
                }
            }
        }
    }

    /// Changes, each followed by a purge.
    pub(crate) fn write(&self, place: usize) {
        while !self.over.load(SeqCst) {
            let key = fastrand::usize(..KEYS);
            let version = self.origin[key].fetch_add(1, SeqCst) + 1;
            let reached = self.gates[place].purge(Scope::Url(key as u128), false);
            self.floors[place][key].fetch_max(version, SeqCst);
            let kind = match reached {
                Reached::All(_) | Reached::Tier => {
                    self.floors.iter().for_each(|floor| _ = floor[key].fetch_max(version, SeqCst));
                    0
                }
                Reached::Some { .. } => 1,
                Reached::Here => 2,
            };
            self.reached[kind].fetch_add(1, SeqCst);
            std::thread::sleep(Duration::from_millis(fastrand::u64(..10)));
        }
    }

    /// What happens to the server.
    pub(crate) fn trouble(&self) {
        self.spell(9);
        for _ in 0..ROUNDS {
            match &mut *self.server.lock().unwrap() {
                Place::Redis(server) => self.trouble_redis(server),
                Place::Memcached(server) => self.trouble_memcached(server),
            }
        }
        self.over.store(true, SeqCst);
    }

    fn trouble_redis(&self, server: &mut scenario::Redis) {
        server.freeze();
        self.spell(fastrand::u32(1..5));
        server.thaw();
        self.spell(3);
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        self.spell(2);
        server.kill();
        self.spell(fastrand::u32(1..5));
        server.restart();
        self.spell(3);
        server.ask(&["HDEL", "{ff:purges}:state", "id"]);
        self.spell(2);
        server.ask(&["DEL", "{ff:purges}:log"]);
        self.spell(9);
    }

    fn trouble_memcached(&self, server: &mut scenario::Memcached) {
        server.freeze();
        self.spell(fastrand::u32(1..5));
        server.thaw();
        self.spell(3);
        let lost = ["md ff:count\r\n", "md ff:all\r\n"];
        for command in lost {
            server.ask(command);
            self.spell(2);
        }
        for key in 0..KEYS {
            server.ask(&format!("md ff:u:{key:032x}\r\n"));
        }
        self.spell(2);
        server.ask("flush_all\r\n");
        self.spell(2);
        server.kill();
        self.spell(fastrand::u32(1..5));
        server.restart();
        self.spell(4);
    }

    /// Lets things be for a while, unless somebody has failed.
    fn spell(&self, times: u32) {
        let by = Deadline::after(Moment::now(), SPELL * times);
        while !by.passed(Moment::now()) && !self.over.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

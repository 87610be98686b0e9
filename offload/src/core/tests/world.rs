//! One world: a service, a broker, a store, and time. What clients do is in `clients`.

use super::super::*;
use super::model::*;
use crate::book::{Cursor, Filter, JobView, facts_check};
use crate::history::{Event, History, Rules};
use crate::log::Keeper;
use crate::log::sim::{Faults, SimDisk};
use oneshot::error::TryRecvError;

/// A life: the room with its log open.
pub(super) struct Room {
    pub(super) core: Core<SimDisk>,
    pub(super) held: Mutex<Held>,
    pub(super) keeper: Keeper<SimDisk>,
    pub(super) reader: Reader<SimDisk>,
    pub(super) asks: VecDeque<Ask>,
    pub(super) effects: Effects,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) dice: fastrand::Rng,
    pub(super) disk: SimDisk,
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) now: Wall,
    tick: u64,
    /// How often the clock went back.
    pub(super) era: u64,
    history: History,
    pub(super) serial: u64,
    pub(super) sent: HashMap<u64, Sent>,
    pub(super) by_id: HashMap<JobId, u64>,
    pub(super) keys: HashMap<u128, Key>,
    pub(super) waits: Waits,
    parcels: Vec<Parcel>,
    running: Vec<Run>,
    /// Jobs that the broker has, and which try.
    broker: HashMap<JobId, u16>,
    pub(super) store: Store,
    writing: Option<Writing>,
    pub(super) ended: VecDeque<Ended>,
    /// What the core is told that the store has.
    applied: Option<(u32, u32)>,
    is_calm: bool,
    /// Tries that were lost before the last crash, by job, and whether one more was: nobody knows where
    /// a batch was on its way.
    pub(super) lost: HashMap<JobId, (u16, Option<bool>)>,
    pub(super) sums: Sums,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let segment_bytes = [8 << 10, 16 << 10, 32 << 10][dice.usize(..3)];
        let bytes_max = u64::from(segment_bytes) * dice.u64(6..20);
        let (reserve, spares) = (dice.u32(2..5), dice.u32(..3));
        let unhinted = (seed % 3) as u32;
        Self {
            seed,
            disk: SimDisk::new(seed, DISK_BYTES),
            options: Options { segment_bytes, bytes_max, reserve, spares, unhinted },
            settings: settings(bytes_max),
            now: Wall(1_700_000_000_000),
            tick: 0,
            era: 0,
            history: History::default(),
            serial: 0,
            sent: HashMap::new(),
            by_id: HashMap::new(),
            keys: HashMap::new(),
            waits: Waits::default(),
            parcels: Vec::new(),
            running: Vec::new(),
            broker: HashMap::new(),
            store: Store::default(),
            writing: None,
            ended: VecDeque::new(),
            applied: None,
            is_calm: false,
            lost: HashMap::new(),
            sums: Sums::default(),
            dice,
        }
    }

    pub(super) fn note(&mut self, event: Event) {
        self.tick += 1;
        self.history.note(self.tick, event);
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + millis(ms);
    }

    /// From a start to the next crash.
    pub(super) fn live(&mut self) {
        if self.dice.u8(..10) > 0 {
            self.disk.crash_after(self.dice.u64(..150));
        }
        if self.dice.u8(..6) == 0 {
            let syncs = Some(self.dice.u64(..60));
            self.disk.set_faults(Faults { syncs, ..Faults::default() });
        }
        if let Some(mut room) = self.start() {
            for _ in 0..self.dice.usize(1..150) {
                self.act(&mut room);
                if self.step(&mut room).is_err() {
                    self.sums.broken += 1;
                    break;
                }
            }
            self.count_lost(&room);
        }
        self.crash();
    }

    /// Who runs when the process ends loses a try.
    fn count_lost(&mut self, room: &Room) {
        let begun = self.parcels.iter().map(|parcel| (parcel.picked.id, parcel.picked.hand));
        let running = self.running.iter().map(|run| (run.id, false));
        let out: HashSet<JobId> =
            begun.chain(running).filter(|(_, hand)| !hand).map(|(id, _)| id).collect();
        self.lost = self
            .jobs(room)
            .into_iter()
            .map(|job| {
                let runs = match job.state {
                    _ if job.handed => Some(false),
                    State::Running if out.contains(&job.id) => Some(true),
                    State::Running => None,
                    _ => Some(false),
                };
                (job.id, (job.lost, runs))
            })
            .collect();
    }

    /// Opens the room, as the engine does.
    fn start(&mut self) -> Option<Room> {
        let mut book = Book::new(&self.settings.queues, limits(&self.settings));
        let (applied, seed) = (self.store.applied, self.dice.u64(..));
        let (disk, options) = (self.disk.clone(), &self.options);
        let opened = Core::open(disk, options, &self.settings, &mut book, applied, seed);
        let (mut core, found) = match opened {
            Ok(opened) => opened,
            Err(LogError::Unusable { .. } | LogError::Broken { .. } | LogError::Full { .. }) => {
                return None;
            }
            Err(error) => panic!("seed {}: {error}", self.seed),
        };
        core.carry_from = 0;
        for (claim, (print, id, until)) in &self.store.claims {
            if *until > self.now {
                book.claim(*claim, *print, *id, *until);
            }
        }
        book.recovered(self.now);
        facts_check(&book);
        let mut room = Room {
            keeper: core.log().keeper(),
            reader: core.log().reader(),
            core,
            held: Mutex::new(Held { book, recent: HashMap::new() }),
            asks: VecDeque::new(),
            effects: Effects::default(),
        };
        if !self.compare(&room, &found) {
            return None;
        }
        assert_eq!(found.applied, applied, "seed {}", self.seed);
        self.applied = applied;
        self.take_up(&mut room);
        Some(room)
    }

    /// What the broker has goes on; what it should have and has not is handed over again.
    fn take_up(&mut self, room: &mut Room) {
        let jobs = self.jobs(room);
        self.broker.retain(|id, attempt| {
            jobs.iter().any(|job| job.id == *id && job.handed && job.attempts == *attempt)
        });
        for job in jobs.iter().filter(|job| job.handed) {
            let JobView { id, place, queue, attempts: attempt, lost, replay, .. } = *job;
            if self.broker.contains_key(&id) {
                let picked =
                    Picked { id, place, queue, attempt, lost, replay, hand: true, probe: false };
                let ready = self.now + millis(self.dice.u64(..500));
                self.parcels.push(Parcel { ready, picked });
            } else {
                let pause = millis(self.dice.u64(..500));
                room.asks.push_back(Ask::GiveBack { id, pause });
            }
        }
    }

    pub(super) fn jobs(&self, room: &Room) -> Vec<JobView> {
        let held = lock(&room.held);
        held.book.list(Filter::default(), Cursor::default(), usize::MAX, self.now).jobs
    }

    /// All that is not on disk is gone.
    fn crash(&mut self) {
        self.sums.crashes += 1;
        let power_cut = self.dice.u8(..4) > 0;
        self.sums.cuts += u64::from(power_cut);
        self.disk = self.disk.reboot(power_cut);
        self.disk.set_bytes_max(DISK_BYTES);
        let waits = std::mem::take(&mut self.waits);
        for (serial, mut answer) in waits.accepts {
            match answer.try_recv() {
                Ok(answer) => self.answered(serial, &answer),
                Err(_) => self.doubt(serial),
            }
        }
        self.parcels.clear();
        self.running.clear();
        self.ended.clear();
        if let Some(writing) = self.writing.take()
            && self.dice.bool()
        {
            self.store = writing.store;
        }
        self.note(Event::Fault);
        match self.dice.u8(..20) {
            0 => self.pass(3_600_000),
            1 => {
                self.now = self.now - Duration::from_hours(1);
                // Names that had ended hold again, and nobody counts that: others are used from now on.
                self.era += 1;
                self.keys.clear();
            }
            _ => {
                let ms = self.dice.u64(..3_000);
                self.pass(ms);
            }
        }
    }

    /// A turn, and what everybody does in the time until the next one.
    fn step(&mut self, room: &mut Room) -> Result<(), Broken> {
        self.serve(room);
        let deliver = self.is_calm || self.dice.u8(..10) > 0;
        let turned =
            room.core.turn(&room.held, &mut room.asks, (self.now, deliver), &mut room.effects);
        self.follow(room);
        turned?;
        self.sums.stuck += u64::from(room.core.is_stuck());
        if self.is_calm || self.dice.u8(..4) == 0 {
            let oldest = room.core.log().oldest();
            let before = room.effects.written;
            let tidied = room.core.tidy(&room.held, self.applied, &mut room.effects);
            self.sums.freed += u64::from(room.core.log().oldest() > oldest);
            self.sums.carried += (room.effects.written - before) as u64;
            self.follow(room);
            tidied?;
        }
        if self.is_calm || self.dice.u8(..5) == 0 {
            match room.keeper.prepare() {
                Ok(()) | Err(LogError::Full { .. } | LogError::Unusable { .. }) => {}
                Err(error) => return Err(Broken(error.to_string())),
            }
        }
        self.put_away(room);
        self.audit(room);
        if !room.core.is_behind() {
            self.wait(room);
        }
        Ok(())
    }

    fn wait(&mut self, room: &Room) {
        match self.dice.u8(..10) {
            0..5 => {
                let ms = self.dice.u64(..20);
                self.pass(ms);
            }
            5..7 if !self.is_calm => {
                let ms = self.dice.u64(..300);
                self.pass(ms);
            }
            _ => {
                let held = lock(&room.held);
                let wakes = [held.book.next_wake(self.now), held.book.next_ending()];
                let parcels = self.parcels.iter().map(|parcel| parcel.ready);
                let runs = self.running.iter().map(|run| run.ends);
                let next = wakes.into_iter().flatten().chain(parcels).chain(runs).min();
                drop(held);
                self.now = next.map_or(self.now, |next| self.now.max(next));
            }
        }
    }

    /// The readers, the service.
    fn serve(&mut self, room: &mut Room) {
        let now = self.now;
        let ready = self.parcels.extract_if(.., |parcel| parcel.ready <= now).collect::<Vec<_>>();
        for Parcel { picked, .. } in ready {
            self.begin(room, &picked);
        }
        let over = self.running.extract_if(.., |run| run.ends <= now).collect::<Vec<_>>();
        for run in over {
            let good = run.is_good();
            self.note(Event::Over { job: run.serial.into(), good });
            let twice = self.dice.u8(..20) == 0;
            for _ in 0..=usize::from(twice) {
                let (reply, noted) = oneshot::channel();
                let Run { id, attempt, tried, .. } = run;
                let answer = vec![7; self.dice.usize(..200)];
                room.asks.push_back(Ask::Tried { id, attempt, tried, answer, reply: Some(reply) });
                self.waits.acks.push((id, attempt, noted));
            }
        }
    }

    fn begin(&mut self, room: &mut Room, picked: &Picked) {
        let Picked { id, place, attempt, hand, .. } = *picked;
        let there = room.reader.read(position(place), length(place));
        self.sums.moved += u64::from(matches!(there, Err(ReadError::Gone)));
        let whole = match fetch(&room.reader, &room.held, id, place) {
            Ok(whole) => whole,
            Err(_) if self.disk.is_down() => return,
            Err(error) => panic!("seed {}: {id} cannot be read: {error}", self.seed),
        };
        let (serial, whole) = self.recognize(&whole.bulk);
        if hand && self.dice.u8(..5) == 0 {
            let pause = millis(self.dice.u64(..200));
            room.asks.push_back(Ask::GiveBack { id, pause });
            self.broker.remove(&id);
            return;
        }
        if hand {
            self.broker.insert(id, attempt);
        }
        let sent = &self.sent[&serial];
        // Of later tries the clock may think otherwise: it goes back at times.
        let is_time = hand || attempt > 1 || sent.hurried || self.now >= sent.new.due;
        assert!(is_time, "seed {}: {id} goes before its time: {sent:?}", self.seed);
        self.note(Event::Begun { job: serial.into(), whole });
        let (tried, takes) = self.outcome();
        let ends = self.now + millis(takes);
        self.running.push(Run { ends, id, attempt, serial, tried });
    }

    fn outcome(&mut self) -> (Tried, u64) {
        let answered = |status| Tried::Answered { status, retry_after: None };
        match self.dice.u8(..20) {
            _ if self.is_calm => (answered(200), 5),
            0..12 => (answered(200), self.dice.u64(..60)),
            12 => (answered(404), self.dice.u64(..60)),
            13..16 => (answered(503), self.dice.u64(..60)),
            16 => (Tried::Failed(Reason::BadAnswer), 1),
            17 => (Tried::Failed(Reason::Unreachable), 0),
            _ => (Tried::Failed(Reason::Timeout), 30_000),
        }
    }

    /// Which request this is; is it whole?
    pub(super) fn recognize(&self, bulk: &[u8]) -> (u64, bool) {
        let serial = u64::from_le_bytes(bulk[..8].try_into().expect("a request has its number"));
        (serial, self.sent[&serial].request(serial) == bulk)
    }

    /// Everybody hears what came of the turn.
    fn follow(&mut self, room: &mut Room) {
        room.effects.tell();
        let waits = std::mem::take(&mut self.waits);
        for (serial, mut answer) in waits.accepts {
            match answer.try_recv() {
                Ok(answer) => self.answered(serial, &answer),
                Err(TryRecvError::Empty) => self.waits.accepts.push((serial, answer)),
                Err(TryRecvError::Closed) => self.doubt(serial),
            }
        }
        for mut other in waits.others {
            match other.try_recv() {
                Ok(Accepted::Mismatch) => self.sums.mismatched += 1,
                Ok(Accepted::Full(..) | Accepted::DiskFull | Accepted::Broken(_))
                | Err(TryRecvError::Closed) => {}
                Ok(answer) => panic!("seed {}: another's name, and {answer:?}", self.seed),
                Err(TryRecvError::Empty) => self.waits.others.push(other),
            }
        }
        for (id, mut answer) in waits.cancels {
            match answer.try_recv() {
                Ok(Cancelled::Yes) => {
                    let ended = room.effects.ended.iter().any(|ended| ended.id == id);
                    assert!(ended, "seed {}: {id} is cancelled, but not over", self.seed);
                }
                Err(TryRecvError::Empty) => self.waits.cancels.push((id, answer)),
                _ => {}
            }
        }
        for (id, attempt, mut noted) in waits.acks {
            match noted.try_recv() {
                Ok(()) if self.broker.get(&id) == Some(&attempt) => drop(self.broker.remove(&id)),
                Err(TryRecvError::Empty) => self.waits.acks.push((id, attempt, noted)),
                _ => {}
            }
        }
        for picked in std::mem::take(&mut room.effects.begun) {
            let late = if self.is_calm { 0 } else { self.dice.u64(..60) };
            self.parcels.push(Parcel { ready: self.now + millis(late), picked });
        }
        for ended in std::mem::take(&mut room.effects.ended) {
            self.finished(&ended);
            self.ended.push_back(ended);
        }
        room.effects.changed.clear();
    }

    /// It is over, and that is durable.
    pub(super) fn finished(&mut self, ended: &Ended) {
        let seed = self.seed;
        let serial = *self.by_id.get(&ended.id).unwrap_or_else(|| panic!("seed {seed}: {ended:?}"));
        let (state, reason) = (ended.state, ended.reason);
        self.sums.poison += u64::from(reason == Reason::Poison);
        self.sent.get_mut(&serial).unwrap().end = Some((state, reason));
        self.note(Event::Final { job: serial.into(), state, reason });
    }

    /// The store writes, in two steps.
    fn put_away(&mut self, room: &Room) {
        if let Some(writing) = self.writing.take() {
            self.store = writing.store;
            self.applied = self.store.applied;
            let mut held = lock(&room.held);
            for job in &writing.jobs {
                held.recent.remove(&job.id);
            }
            self.ended.drain(..writing.jobs.len());
            return;
        }
        if self.ended.is_empty() || !self.is_calm && self.dice.u8(..4) > 0 {
            return;
        }
        let most = self.dice.usize(1..20);
        let jobs: Vec<Ended> = self.ended.iter().take(most).copied().collect();
        let mut store = self.store.clone();
        for job in &jobs {
            let first = match room.reader.read(position(job.accepted), length(job.accepted)) {
                Ok(first) => first,
                Err(_) if self.disk.is_down() => return,
                Err(error) => panic!("seed {}: {job:?} cannot be put away: {error}", self.seed),
            };
            let (_, is_whole) = self.recognize(&first.bulk);
            assert!(is_whole, "seed {}: {job:?}", self.seed);
            let Ok(Record::Accept(summary)) = record::read(&first.summary) else {
                panic!("seed {}: {job:?} has no first record", self.seed);
            };
            store.over.insert(job.id, (job.state, job.reason));
            if let Some(Claim { claim, print, id, until }) = claim(&summary) {
                let newer = store.claims.get(&claim).is_some_and(|(_, other, _)| *other > id);
                if !newer {
                    store.claims.insert(claim, (print, id, until));
                }
            }
            store.applied = Some((job.ended.segment, job.ended.offset));
        }
        self.writing = Some(Writing { store, jobs });
    }

    /// All comes to its end, and what was seen goes before the checker.
    pub(super) fn end(mut self) -> Sums {
        self.is_calm = true;
        let mut room = self.start().unwrap_or_else(|| panic!("seed {}: no start", self.seed));
        let mut steps = 0;
        while !lock(&room.held).book.is_empty() || !self.ended.is_empty() {
            self.step(&mut room).unwrap_or_else(|e| panic!("seed {}: {e}", self.seed));
            steps += 1;
            if steps == 50_000 {
                let stats = lock(&room.held).book.stats(self.now);
                let jobs = self.jobs(&room);
                let (log, live) = (room.core.log(), room.core.live_bytes);
                let log = (log.oldest(), log.newest(), log.bytes_used(), self.applied);
                let stuck = room.core.is_stuck();
                panic!("seed {}: {stuck} {log:?} {live} {stats:?} {jobs:?}", self.seed);
            }
        }
        for (serial, sent) in &self.sent {
            if let Some(id) = sent.id {
                let stored = self.store.over.get(&id);
                assert_eq!(stored, sent.end.as_ref(), "seed {}: {serial} {id}", self.seed);
            }
        }
        let rules = QUEUES.map(|queue| Rules {
            at_once: if queue == "broker" { usize::MAX } else { AT_ONCE },
            rate: None,
            replay_rate: None,
            late: 0,
            tries: usize::from(tries(queue)),
            lost_max: usize::from(LOST_MAX),
        });
        let counts = self.history.check(&rules, true);
        let counts = counts.unwrap_or_else(|wrong| panic!("seed {}:\n{wrong}", self.seed));
        let sums = &mut self.sums;
        sums.accepted += counts.accepted as u64;
        sums.succeeded += counts.succeeded as u64;
        sums.dead += counts.dead as u64;
        sums.cancelled += counts.cancelled as u64;
        sums.expired += counts.expired as u64;
        sums.twice += counts.twice as u64;
        self.sums
    }
}

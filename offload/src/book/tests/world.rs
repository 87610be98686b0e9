//! A world of clients, services that fail and processes that die, in simulated time: by the thousand
//! seeds, judged by `history`.

use super::*;
use crate::history::{Event, History, Name, Rules};
use crate::pace::Bucket;
use crate::record::read;
use crate::settings::OnDead;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

/// What happens, and when the world looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive,
    Cancel,
    Flush,
    /// Somebody looks; nothing happens.
    Look,
    Mood(usize),
    Carry,
    Crash,
    Answer(u64, JobId, u16),
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Slow,
    Down,
    Busy,
    Moody,
}

#[expect(clippy::struct_excessive_bools, reason = "four things that are so or not")]
struct World {
    rng: fastrand::Rng,
    /// Milliseconds that have passed, whatever clocks say.
    real: u64,
    /// What the clock of the process says beside that.
    skew: i64,
    process: u64,
    book: Book,
    queues: Vec<Queue>,
    moods: Vec<Mood>,
    /// Durable records, by segment.
    log: BTreeMap<u32, Vec<(Place, Vec<u8>)>>,
    end: Place,
    pending: Vec<Vec<u8>>,
    /// So many of them, the first ones, carry jobs.
    carried: usize,
    is_flushing: bool,
    events: BinaryHeap<Reverse<(u64, u64, What)>>,
    number: u64,
    history: History,
    told: HashSet<JobId>,
    /// Jobs that clients sent, with the request that they sent again.
    claims: HashMap<u128, JobId>,
    known: Vec<JobId>,
    /// Tries that services know of.
    started: HashSet<(JobId, u16)>,
    /// When somebody is to look.
    looks: BTreeSet<u64>,
    /// What `next_wake` said; of use while nothing has happened since.
    wake: Option<Wall>,
    is_calm: bool,
    /// Does its process die now and then?
    dies: bool,
    arrivals: usize,
    is_ending: bool,
}

fn rules(rng: &mut fastrand::Rng, at: usize) -> Queue {
    let mut queue = queue(["mail", "report", "image"][at]);
    queue.at_once = rng.usize(1..6);
    if rng.bool() {
        queue.rate = Some(rate(rng.u32(1..50), millis(rng.u64(500..3_000))));
    }
    if rng.bool() {
        queue.replay_rate = Some(rate(rng.u32(1..10), millis(rng.u64(500..3_000))));
    }
    if rng.bool() {
        queue.on_dead = OnDead::Block;
    }
    queue.retry.tries = rng.u16(1..6);
    queue.retry.pause = millis(rng.u64(0..1_000));
    queue.retry.pause_max = millis(rng.u64(0..5_000));
    queue.retry.lost_max = rng.u16(0..3);
    queue.jobs_max = rng.usize(1..100);
    queue
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(1..=3);
        let queues: Vec<Queue> = (0..count).map(|at| rules(&mut rng, at)).collect();
        let arrivals = rng.usize(1..200);
        let mut world = Self {
            real: 0,
            skew: 0,
            process: 1,
            book: Book::new(&queues, limits()),
            moods: vec![Mood::Well; count],
            queues,
            log: BTreeMap::new(),
            end: Place { segment: 1, ..Place::default() },
            pending: Vec::new(),
            carried: 0,
            is_flushing: false,
            events: BinaryHeap::new(),
            number: 0,
            history: History::default(),
            told: HashSet::new(),
            claims: HashMap::new(),
            known: Vec::new(),
            started: HashSet::new(),
            looks: BTreeSet::new(),
            wake: None,
            is_calm: false,
            dies: rng.bool(),
            arrivals,
            is_ending: false,
            rng,
        };
        world.at(0, What::Arrive);
        world.at(50, What::Cancel);
        world.at(10, What::Look);
        world.at(100, What::Carry);
        for queue in 0..count {
            world.at(0, What::Mood(queue));
        }
        if world.dies {
            world.at(500, What::Crash);
        }
        world
    }

    fn at(&mut self, after: u64, what: What) {
        self.number += 1;
        self.events.push(Reverse((self.real + after, self.number, what)));
    }

    fn now(&self) -> Wall {
        Wall((START.0 + self.real).checked_add_signed(self.skew).unwrap())
    }

    fn note(&mut self, event: Event) {
        self.history.note(self.real, event);
    }

    fn run(&mut self) -> crate::history::Counts {
        while let Some(Reverse((at, _, what))) = self.events.pop() {
            assert!(
                at < 100_000_000,
                "it does not come to an end: {:?}",
                self.book.stats(self.now())
            );
            self.real = self.real.max(at);
            self.looks = self.looks.split_off(&(at + 1));
            if what != What::Look {
                self.is_calm = false;
            }
            self.happen(what);
            self.turn();
            if self.arrivals == 0 && !self.is_ending {
                self.is_ending = true;
                self.moods.fill(Mood::Well);
            }
            if self.is_ending && self.book.is_empty() && self.pending.is_empty() {
                break;
            }
        }
        for stats in self.book.stats(self.now()) {
            let left = [stats.ready, stats.scheduled, stats.running, stats.handed];
            assert_eq!(left, [0; 4], "{stats:?}");
        }
        let rules: Vec<Rules> = self.queues.iter().map(judged_by).collect();
        self.history.check(&rules, true).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrive => {
                if self.arrivals > 0 {
                    self.arrivals -= 1;
                    self.arrive();
                    let after = if self.rng.bool() { 0 } else { self.rng.u64(0..200) };
                    self.at(after, What::Arrive);
                }
            }
            What::Cancel => {
                if !self.known.is_empty() && !self.is_ending {
                    let id = self.known[self.rng.usize(..self.known.len())];
                    if self.book.cancel(id) == Cancel::Yes {
                        self.finish(id, State::Cancelled, Reason::Cancelled);
                    }
                    let after = self.rng.u64(0..500);
                    self.at(after, What::Cancel);
                }
            }
            What::Flush => self.flush(),
            What::Look => self.look(),
            What::Mood(queue) => {
                use Mood::{Busy, Down, Moody, Slow, Well};
                if !self.is_ending {
                    self.moods[queue] = [Well, Well, Slow, Down, Busy, Moody][self.rng.usize(..6)];
                    let after = self.rng.u64(1..5_000);
                    self.at(after, What::Mood(queue));
                }
            }
            What::Carry => {
                self.carry();
                let after = self.rng.u64(1..1_000);
                self.at(after, What::Carry);
            }
            What::Crash => {
                if !self.is_ending {
                    self.crash();
                    let after = self.rng.u64(1..5_000);
                    self.at(after, What::Crash);
                }
            }
            What::Answer(process, id, status) => {
                if process == self.process {
                    self.answer(id, status);
                    if self.dies && !self.is_ending && self.rng.u8(..30) == 0 {
                        self.crash();
                    }
                }
            }
        }
    }

    fn arrive(&mut self) {
        let now = self.now();
        let id = self.book.mint(now, &mut self.rng);
        let queue = self.rng.usize(..self.queues.len());
        let (claim, print) = match self.rng.u8(..4) {
            0 => (u128::from(self.rng.u8(1..40)), u128::from(self.rng.u8(1..3))),
            _ => (0, 0),
        };
        let name = self.queues[queue].name.clone();
        let claimed_until = now + seconds(1_000_000);
        let job = NewJob { id, queue: &name, claim, print, claimed_until };
        self.note(Event::Offered(id.0.into_name()));
        match self.book.may_accept(&job, now) {
            Admission::Yes => {}
            Admission::Same(same) => {
                assert_eq!(self.claims.get(&claim), Some(&same));
                return self.note(Event::Refused(id.0.into_name()));
            }
            Admission::Coming(same) => {
                assert!(!self.told.contains(&same));
                return self.note(Event::Refused(id.0.into_name()));
            }
            Admission::Mismatch => return self.note(Event::Refused(id.0.into_name())),
            Admission::Full { retry_after, .. } => {
                assert!((seconds(1)..=seconds(3_600)).contains(&retry_after));
                return self.note(Event::Refused(id.0.into_name()));
            }
        }
        if self.rng.u8(..50) == 0 {
            self.book.not_accepted(&job);
            return self.note(Event::Refused(id.0.into_name()));
        }
        let one_in = |rng: &mut fastrand::Rng, n| rng.u8(..n) == 0;
        let rng = &mut self.rng;
        let mut summary =
            Summary { id, queue: &name, claim, print, claimed_until, ..Summary::default() };
        summary.priority = rng.u8(..10);
        // A replay claims nothing.
        summary.replay = claim == 0 && one_in(rng, 8);
        if one_in(rng, 3) {
            summary.due = now + millis(rng.u64(..3_000));
        }
        if one_in(rng, 3) {
            summary.expires = now + millis(rng.u64(..20_000));
        }
        if one_in(rng, 2) {
            summary.order = rng.u64(1..5);
        }
        if one_in(rng, 6) {
            summary.debounce = rng.u64(1..3);
        }
        self.write(&Record::Accept(summary));
    }

    fn write(&mut self, record: &Record<'_>) {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        self.pending.push(bytes);
        if !self.is_flushing {
            self.is_flushing = true;
            let after = self.rng.u64(..4);
            self.at(after, What::Flush);
        }
    }

    fn place(&mut self) -> Place {
        self.end.offset += 1;
        if self.end.offset == 20 {
            self.end = Place { segment: self.end.segment + 1, ..Place::default() };
        }
        self.end
    }

    /// All that waits is durable.
    fn flush(&mut self) {
        self.is_flushing = false;
        self.carried = 0;
        for bytes in std::mem::take(&mut self.pending) {
            let place = self.place();
            let record = read(&bytes).unwrap();
            assert!(self.book.apply(&record, place, true), "nobody knows {record:?}");
            check::check(&self.book);
            self.follow(&record);
            self.log.entry(place.segment).or_default().push((place, bytes));
        }
        let alive = self.book.oldest_segment().unwrap_or(self.end.segment);
        self.log = self.log.split_off(&alive.min(self.end.segment));
    }

    /// What follows a record that is durable, outside.
    fn follow(&mut self, record: &Record<'_>) {
        match *record {
            Record::Accept(summary) => self.tell(&summary),
            Record::Start { id, .. } => {
                // Of one that is carried, a start is no news.
                let view = self.book.view(id, self.now()).unwrap();
                if view.state == State::Running && self.started.insert((id, view.attempts)) {
                    self.ask(id, view.queue);
                }
            }
            Record::Finish { id, state, reason, .. } => {
                self.note(Event::Final { job: id.0.into_name(), state, reason });
            }
            _ => {}
        }
    }

    fn tell(&mut self, summary: &Summary<'_>) {
        let id = summary.id;
        if self.told.insert(id) {
            self.known.push(id);
            let queue = self.queues.iter().position(|queue| queue.name == summary.queue).unwrap();
            let key = if summary.order == 0 { 0 } else { summary.order + 100 * queue as u64 };
            let (job, replay) = (id.0.into_name(), summary.replay);
            self.note(Event::Accepted { job, queue, order: key, replay });
            if summary.claim != 0 && !summary.replay {
                self.claims.insert(summary.claim, id);
            }
        }
    }

    fn ask(&mut self, id: JobId, queue: usize) {
        self.note(Event::Begun { job: id.0.into_name(), whole: true });
        let (status, after) = match self.moods[queue] {
            Mood::Well => (200, self.rng.u64(1..50)),
            Mood::Slow => (204, self.rng.u64(50..2_000)),
            Mood::Down => (0, self.rng.u64(0..20)),
            Mood::Busy => (429, self.rng.u64(0..20)),
            Mood::Moody => ([200, 404, 500, 503, 1][self.rng.usize(..5)], self.rng.u64(0..300)),
        };
        self.at(after, What::Answer(self.process, id, status));
    }

    fn answer(&mut self, id: JobId, status: u16) {
        let tried = match status {
            0 => Tried::Failed(Reason::Unreachable),
            1 => Tried::Failed(Reason::Timeout),
            429 => Tried::Answered { status, retry_after: Some(millis(self.rng.u64(..2_000))) },
            _ => answered(status),
        };
        let good = matches!(status, 200..=404);
        self.note(Event::Over { job: id.0.into_name(), good });
        let now = self.now();
        match self.book.outcome(id, &tried, now, &mut self.rng).expect("it is out") {
            Verdict::Again { due, reason } => {
                self.write(&Record::Again { id, due, reason, status });
            }
            Verdict::Done { state, reason } => self.finish(id, state, reason),
            Verdict::Dead { reason } => self.finish(id, State::Dead, reason),
        }
    }

    fn finish(&mut self, id: JobId, state: State, reason: Reason) {
        let (at, until) = (self.now(), self.now() + seconds(60));
        self.write(&Record::Finish { id, state, reason, status: 0, at, until });
    }

    /// What the engine does whenever something has happened.
    fn turn(&mut self) {
        let now = self.now();
        let endings = self.book.endings(now, 3);
        let is_calm = endings.is_empty();
        for Ending { id, state, reason } in endings {
            if self.rng.u8(..20) == 0 {
                self.book.put_back(id, now);
            } else {
                self.finish(id, state, reason);
            }
        }
        let mut count = 0;
        while let Some(picked) = self.book.pick(now) {
            count += 1;
            let id = picked.id;
            if self.rng.u8(..20) == 0 {
                self.book.put_back(id, now);
                break;
            }
            self.write(&Record::Start { id, at: now });
        }
        if self.is_calm && is_calm {
            let is_due = self.wake.is_some_and(|wake| wake <= now);
            assert_eq!(count > 0, is_due, "at {now:?}, to wake at {:?}", self.wake);
        }
        let wake = self.book.next_wake(now);
        (self.wake, self.is_calm) = (wake, is_calm);
        for at in [wake, self.book.next_ending()].into_iter().flatten() {
            // One look exactly then, one right before.
            let after = at.0.saturating_sub(now.0).max(1);
            for after in [after, (after - 1).max(1)] {
                if self.looks.insert(self.real + after) {
                    self.at(after, What::Look);
                }
            }
        }
    }

    fn look(&mut self) {
        if !self.known.is_empty() {
            let id = self.known[self.rng.usize(..self.known.len())];
            if let Some(view) = self.book.view(id, self.now()) {
                self.note(Event::Seen { job: id.0.into_name(), state: view.state });
            }
        }
    }

    /// Who lies in the oldest segment is written again, before all else.
    fn carry(&mut self) {
        let Some(oldest) = self.book.oldest_segment().filter(|&s| s < self.end.segment) else {
            return;
        };
        let mut carried = Vec::new();
        for id in self.book.oldest_live(oldest, 5) {
            let place = self.book.place(id).unwrap();
            assert_eq!(place.segment, oldest);
            let (_, bytes) = self.log[&oldest].iter().find(|(at, _)| *at == place).unwrap();
            let Record::Accept(summary) = read(bytes).unwrap() else { panic!("no accept there") };
            let carry = self.book.carried(summary).unwrap();
            for record in std::iter::once(Record::Accept(carry.accept)).chain(carry.then) {
                let mut bytes = Vec::new();
                record.write(&mut bytes);
                carried.push(bytes);
            }
        }
        self.carried += carried.len();
        self.pending.splice(0..0, carried);
        if !self.is_flushing {
            self.is_flushing = true;
            self.at(1, What::Flush);
        }
    }

    /// The process dies; of what was on its way, some is durable all the same.
    fn crash(&mut self) {
        self.note(Event::Fault);
        let mut pending = std::mem::take(&mut self.pending);
        // What carries jobs is one batch, which is there whole or not at all.
        let kept = self.rng.usize(..=pending.len());
        pending.truncate(if kept < std::mem::take(&mut self.carried) { 0 } else { kept });
        for bytes in pending {
            let place = self.place();
            if let Record::Finish { id, state, reason, .. } = read(&bytes).unwrap() {
                self.note(Event::Final { job: id.0.into_name(), state, reason });
            }
            self.log.entry(place.segment).or_default().push((place, bytes));
        }
        self.process += 1;
        self.real += self.rng.u64(..1_000);
        self.skew += [0, 0, 3_600_000, -3_600_000][self.rng.usize(..4)];
        self.book = Book::new(&self.queues, limits());
        let log = std::mem::take(&mut self.log);
        for (place, bytes) in log.values().flatten() {
            let record = read(bytes).unwrap();
            self.book.apply(&record, *place, false);
            if let Record::Accept(summary) = record {
                self.tell(&summary);
            }
        }
        self.log = log;
        for (claim, id) in &self.claims {
            self.book.claim(*claim, 1, *id, Wall(u64::MAX));
        }
        let now = self.now();
        self.book.recovered(now);
        check::check(&self.book);
    }
}

/// A job's name in a history.
trait IntoName {
    fn into_name(self) -> Name;
}

impl IntoName for [u8; 16] {
    fn into_name(self) -> Name {
        u128::from_be_bytes(self)
    }
}

fn judged_by(queue: &Queue) -> Rules {
    let rate = |rate: crate::settings::Pace| {
        let burst = Bucket::new(rate, queue.at_once).burst();
        (f64::from(rate.count) / rate.per.as_secs_f64(), burst as f64)
    };
    Rules {
        at_once: queue.at_once,
        rate: queue.rate.map(rate),
        replay_rate: queue.replay_rate.map(rate),
        late: 4,
        tries: usize::from(queue.retry.tries),
        lost_max: usize::from(queue.retry.lost_max),
    }
}

/// Runs worlds; what came of them together.
fn check_worlds(seeds: std::ops::Range<u64>) {
    let mut sum = [0; 9];
    for seed in seeds {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        let counts = run.unwrap_or_else(|_| panic!("in the world of seed {seed}"));
        let counts = [
            counts.accepted,
            counts.succeeded,
            counts.dead,
            counts.cancelled,
            counts.expired,
            counts.twice,
            counts.tries,
            counts.faults,
            counts.pending,
        ];
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    println!("accepted, succeeded, dead, cancelled, expired, twice, tries, faults: {sum:?}");
    assert!(sum[..8].iter().all(|&count| count > 10), "something never happened: {sum:?}");
}

#[test]
fn the_promise_is_kept_in_a_thousand_worlds() {
    check_worlds(0..1_000);
}

#[test]
#[ignore = "takes minutes: for changes of the book (#6)"]
fn the_promise_is_kept_in_a_hundred_thousand_worlds() {
    check_worlds(1_000..100_000);
}

//! Who leaves next: greedy dual by frequency and size, with second chances and a memory for the gone.
//!
//! An entry is worth `frequency / sqrt(cost)`, halfway between counting objects and counting bytes. It
//! gets a seat until the level (the due of the last that was considered) has risen by its worth. When
//! it is due and was asked for meanwhile, its frequency rises and it gets another turn; else it leaves.
//! So recency needs no write on a hit, scans pass through at the lowest worth, and what was popular
//! stays for a time in proportion, at most [`FREQUENCY_MAX`].
//!
//! Worths are rounded to [`CLASSES`]. Within a class all have the same worth, and the level only rises:
//! each class is a queue in order of due, and the next to leave is the smallest of their heads. All
//! steps are constant in time; nodes are linked by number, in blocks that never move.
//!
//! Two things are learned from [`Ghosts`]. One that comes back has the frequency with which it left,
//! and one more. One never seen starts at [`Policy::fresh`], which rises when entries come back soon
//! after they left unused (they left too early) and falls when those come back that had been in use
//! (they left for the sake of newcomers).
//!
//! Sources: Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms" (1997), for greedy dual; Cherkasova,
//! "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching" (1998); Yang and others,
//! "FIFO queues are all you need for cache eviction" (2023), for lazy promotion; Megiddo and Modha, "ARC"
//! (2003), for learning from ghosts. The constants were chosen on the traces of `docs/performance.md`.

use super::ghosts::{Ghost, Ghosts};

/// Most times in a row that eviction lets an entry stay because it was asked for.
pub(super) const TURNS_MAX: usize = 128;

/// What history may count for.
const FREQUENCY_MAX: f32 = 64.0;
/// Bounds of what an entry never seen counts for, and where it starts.
const FRESH: (f32, f32) = (0.3, 4.0);
const FRESH_FIRST: f32 = 0.5;
/// How far one ghost moves it, up or down.
const FRESH_UP: f32 = 1.01;
const FRESH_DOWN: f32 = 1.10;
/// "Soon" is within the time in which this share of the entries has left.
const SOON: usize = 16;
/// A ghost counts until so many times as many as are here have left after it.
const MEMORY: usize = 10;

/// Classes an octave of worth, and all of them: frequencies of 2^-2 to 2^6, costs of 2^7 to 2^39.
const STEPS: f32 = 4.0;
const CLASSES: usize = 100;
/// log2 of the least worth: 2^-2 / sqrt(2^39).
const LEAST: f32 = -21.5;
/// The level counts in units of the least worth over so many.
const FINE: f32 = 4096.0;

/// Nodes in a block.
const BLOCK: usize = 256;
const NONE: u32 = u32::MAX;

/// An entry, as the policy calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(u32);

/// What an entry is believed to be worth before it is admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth {
    frequency: f32,
    class: u8,
    due: u64,
}

#[derive(Clone, Debug)]
struct Seat {
    key: u128,
    due: u64,
    cost: usize,
    previous: u32,
    next: u32,
    frequency: f32,
    class: u8,
    /// Was it ever asked for while here?
    used: bool,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
}

/// The order of leaving, and the sum of what is here.
#[derive(Debug)]
pub(super) struct Policy {
    limit: usize,
    bytes: usize,
    len: usize,
    blocks: Vec<Box<[Seat]>>,
    free: u32,
    queues: [Queue; CLASSES],
    /// The due of each queue's first.
    heads: [u64; CLASSES],
    /// What each class is worth.
    spans: [u64; CLASSES],
    level: u64,
    fresh: f32,
    ghosts: Ghosts,
}

impl Policy {
    pub(super) fn new(limit: usize) -> Self {
        let empty = Queue { first: NONE, last: NONE };
        Self {
            limit,
            bytes: 0,
            len: 0,
            blocks: Vec::new(),
            free: NONE,
            queues: [empty; CLASSES],
            heads: [u64::MAX; CLASSES],
            spans: std::array::from_fn(span),
            level: 0,
            fresh: FRESH_FIRST,
            ghosts: Ghosts::new(limit),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.ghosts = Ghosts::new(limit);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn cost(&self, node: Node) -> usize {
        self.seat(node.0).cost
    }

    /// What an entry that is not here would be worth; its ghost, if it has one, is laid to rest.
    pub(super) fn estimate(&mut self, key: u128, cost: usize) -> Worth {
        let frequency = match self.ghosts.take(key, MEMORY * self.len + 16) {
            Some(ghost) => {
                self.learn(&ghost);
                (ghost.frequency + 1.0).min(FREQUENCY_MAX)
            }
            None => self.fresh,
        };
        let class = class(frequency, cost);
        Worth { frequency, class, due: self.level + self.spans[usize::from(class)] }
    }

    /// Is it worth more than whoever would leave next?
    pub(super) fn deserves(&self, worth: &Worth) -> bool {
        self.heads.iter().all(|due| *due == u64::MAX) || *self.first_due().1 <= worth.due
    }

    /// Keeps in mind one that was not admitted.
    pub(super) fn remember(&mut self, key: u128, worth: &Worth) {
        self.ghosts.put(key, worth.frequency, false);
    }

    /// A new entry. The caller has made room.
    pub(super) fn admit(&mut self, key: u128, cost: usize, worth: Worth) -> Node {
        let number = self.seat_free();
        let Worth { frequency, class, .. } = worth;
        let seat = self.seat_mut(number);
        (seat.key, seat.cost, seat.frequency, seat.class) = (key, cost, frequency, class);
        seat.used = false;
        self.enqueue(number);
        self.bytes += cost;
        self.len += 1;
        Node(number)
    }

    /// Whoever would leave next.
    pub(super) fn last(&self) -> Option<(Node, u128)> {
        let (class, due) = self.first_due();
        if *due == u64::MAX {
            return None;
        }
        let number = self.queues[class].first;
        Some((Node(number), self.seat(number).key))
    }

    /// Another turn for one that was asked for so many times since its last.
    pub(super) fn renew(&mut self, node: Node, hits: u8) {
        self.dequeue(node.0);
        self.level = self.level.max(self.seat(node.0).due);
        let seat = self.seat_mut(node.0);
        seat.frequency = (seat.frequency + f32::from(hits)).min(FREQUENCY_MAX);
        seat.used |= hits > 0;
        seat.class = class(seat.frequency, seat.cost);
        self.enqueue(node.0);
    }

    /// It leaves, and its ghost stays.
    pub(super) fn evict(&mut self, node: Node) {
        let seat = self.seat(node.0);
        let (key, due, frequency, used) = (seat.key, seat.due, seat.frequency, seat.used);
        self.level = self.level.max(due);
        self.ghosts.put(key, frequency, used);
        self.forget(node);
    }

    /// It leaves without a trace.
    pub(super) fn forget(&mut self, node: Node) {
        self.dequeue(node.0);
        let free = self.free;
        let seat = self.seat_mut(node.0);
        seat.next = free;
        let cost = std::mem::take(&mut seat.cost);
        self.free = node.0;
        self.bytes -= cost;
        self.len -= 1;
    }

    /// It has another cost; its place follows at its next turn.
    pub(super) fn recost(&mut self, node: Node, cost: usize) {
        let seat = self.seat_mut(node.0);
        let before = std::mem::replace(&mut seat.cost, cost);
        self.bytes = self.bytes - before + cost;
    }

    fn learn(&mut self, ghost: &Ghost) {
        if ghost.age > self.len / SOON {
            return;
        }
        let step = if ghost.used { 1.0 / FRESH_DOWN } else { FRESH_UP };
        self.fresh = (self.fresh * step).clamp(FRESH.0, FRESH.1);
    }

    fn first_due(&self) -> (usize, &u64) {
        let mut least = (0, &self.heads[0]);
        for (class, due) in self.heads.iter().enumerate() {
            if due < least.1 {
                least = (class, due);
            }
        }
        least
    }

    /// To the end of its class.
    fn enqueue(&mut self, number: u32) {
        let class = usize::from(self.seat(number).class);
        let due = self.level + self.spans[class];
        let last = std::mem::replace(&mut self.queues[class].last, number);
        let seat = self.seat_mut(number);
        (seat.due, seat.previous, seat.next) = (due, last, NONE);
        if last == NONE {
            self.queues[class].first = number;
            self.heads[class] = due;
        } else {
            self.seat_mut(last).next = number;
        }
    }

    fn dequeue(&mut self, number: u32) {
        let seat = self.seat(number);
        let (class, previous, next) = (usize::from(seat.class), seat.previous, seat.next);
        match next {
            NONE => self.queues[class].last = previous,
            next => self.seat_mut(next).previous = previous,
        }
        match previous {
            NONE => {
                self.queues[class].first = next;
                self.heads[class] = if next == NONE { u64::MAX } else { self.seat(next).due };
            }
            previous => self.seat_mut(previous).next = next,
        }
    }

    fn seat_free(&mut self) -> u32 {
        if self.free == NONE {
            let first = (self.blocks.len() * BLOCK) as u32;
            let block = (1..=BLOCK as u32).map(|i| Seat {
                key: 0,
                due: 0,
                cost: 0,
                previous: NONE,
                next: if i as usize == BLOCK { NONE } else { first + i },
                frequency: 0.0,
                class: 0,
                used: false,
            });
            self.blocks.push(block.collect());
            self.free = first;
        }
        let number = self.free;
        self.free = self.seat(number).next;
        number
    }

    fn seat(&self, number: u32) -> &Seat {
        &self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }

    fn seat_mut(&mut self, number: u32) -> &mut Seat {
        &mut self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }
}

/// The class of a worth, which is a logarithm.
fn class(frequency: f32, cost: usize) -> u8 {
    let worth = frequency.log2() - (cost as f32).log2() / 2.0;
    #[expect(clippy::cast_sign_loss, reason = "clamped")]
    let class = ((worth - LEAST) * STEPS).round().clamp(0.0, (CLASSES - 1) as f32) as u8;
    class
}

/// What a class is worth, in units of the level: 2^64 of them last for 10^8 turns of the whole memory
/// at the dearest class.
fn span(class: usize) -> u64 {
    #[expect(clippy::cast_sign_loss, reason = "a power is positive")]
    let span = ((class as f32 / STEPS).exp2() * FINE) as u64;
    span
}

#[cfg(test)]
impl Policy {
    /// The queues are whole, in order, and hold everybody.
    pub(super) fn check(&self) {
        let mut count = 0;
        for (class, queue) in self.queues.iter().enumerate() {
            let (mut previous, mut number, mut due) = (NONE, queue.first, 0);
            while number != NONE {
                let seat = self.seat(number);
                assert!(seat.previous == previous && usize::from(seat.class) == class);
                assert!(seat.due >= due);
                (previous, number, due) = (number, seat.next, seat.due);
                count += 1;
            }
            assert_eq!(queue.last, previous);
            let head = self.queues[class].first;
            let first = if head == NONE { u64::MAX } else { self.seat(head).due };
            assert_eq!(self.heads[class], first);
        }
        assert_eq!(count, self.len);
    }
}

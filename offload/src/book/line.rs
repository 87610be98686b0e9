//! Jobs in an order: a list for those that come in order, a heap for the rest.
//!
//! Nearly all jobs come in order (each is accepted later than the one before, and expires later): the
//! list costs two links in the slot and a step. What comes out of order (a try that failed, a job of a
//! later time) goes into the heap, which costs twelve bytes and the logarithm of its size. Who comes
//! first is the lesser of the two heads, so the order is exact, and nothing is ever sorted at once.

use super::slots::{Links, NONE, Slots};
use base::Wall;
use std::mem::size_of;

/// The line of those who wait for their turn, by `due`.
pub(super) const TURN: usize = 0;
/// The line of those who expire, by `expires`.
pub(super) const END: usize = 1;
/// The list of those whose `Accept` lies in one segment, in no order.
pub(super) const SEGMENT: usize = 2;

/// `Links::prev` of a slot that is in neither list nor heap.
const OUT: u32 = NONE - 1;
/// `Links::prev` of a slot that is in the heap, at `Links::next`.
const HEAPED: u32 = NONE - 2;

impl Default for Links {
    fn default() -> Self {
        Self { prev: OUT, next: NONE }
    }
}

/// A list through the slots.
#[derive(Debug)]
pub(super) struct List<const ROLE: usize> {
    pub(super) head: u32,
    tail: u32,
    pub(super) len: usize,
}

impl<const ROLE: usize> Default for List<ROLE> {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }
}

impl<const ROLE: usize> List<ROLE> {
    pub(super) fn append(&mut self, slots: &mut Slots, at: u32) {
        slots[at].links[ROLE] = Links { prev: self.tail, next: NONE };
        match self.tail {
            NONE => self.head = at,
            tail => slots[tail].links[ROLE].next = at,
        }
        self.tail = at;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, slots: &mut Slots, at: u32) {
        let Links { prev, next } = std::mem::take(&mut slots[at].links[ROLE]);
        match prev {
            NONE => self.head = next,
            prev => slots[prev].links[ROLE].next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => slots[next].links[ROLE].prev = prev,
        }
        self.len -= 1;
    }
}

/// A heap of four children each; keys lie beside each other, so that a step down reads one cache line.
#[derive(Debug, Default)]
struct Heap<const ROLE: usize> {
    keys: Vec<u64>,
    ats: Vec<u32>,
}

const CHILDREN: usize = 4;

impl<const ROLE: usize> Heap<ROLE> {
    fn push(&mut self, slots: &mut Slots, at: u32) {
        if self.keys.len() == self.keys.capacity() {
            // An eighth more: doubled, a million jobs would own eight bytes of nothing each.
            let more = (self.keys.len() / 8).max(64);
            self.keys.reserve_exact(more);
            self.ats.reserve_exact(more);
        }
        self.keys.push(key::<ROLE>(slots, at));
        self.ats.push(at);
        self.up(slots, self.keys.len() - 1);
    }

    fn remove(&mut self, slots: &mut Slots, at: u32) {
        let place = std::mem::take(&mut slots[at].links[ROLE]).next as usize;
        self.keys.swap_remove(place);
        self.ats.swap_remove(place);
        if place < self.keys.len() {
            let place = self.up(slots, place);
            self.down(slots, place);
        }
        if self.keys.capacity() > 1024 && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2);
            self.ats.shrink_to(self.ats.len() * 2);
        }
    }

    fn is_before(&self, slots: &Slots, a: usize, b: usize) -> bool {
        let (key_a, key_b) = (self.keys[a], self.keys[b]);
        key_a < key_b || key_a == key_b && slots[self.ats[a]].id < slots[self.ats[b]].id
    }

    fn up(&mut self, slots: &mut Slots, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if !self.is_before(slots, place, parent) {
                break;
            }
            self.swap(slots, place, parent);
            place = parent;
        }
        self.seat(slots, place);
        place
    }

    fn down(&mut self, slots: &mut Slots, mut place: usize) {
        loop {
            let first = place * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.keys.len());
            let least = children.reduce(|a, b| if self.is_before(slots, b, a) { b } else { a });
            match least {
                Some(child) if self.is_before(slots, child, place) => {
                    self.swap(slots, place, child);
                    place = child;
                }
                _ => break,
            }
        }
        self.seat(slots, place);
    }

    fn swap(&mut self, slots: &mut Slots, place: usize, other: usize) {
        self.keys.swap(place, other);
        self.ats.swap(place, other);
        self.seat(slots, place);
    }

    fn seat(&self, slots: &mut Slots, place: usize) {
        slots[self.ats[place]].links[ROLE] = Links { prev: HEAPED, next: place as u32 };
    }
}

/// A list and a heap.
#[derive(Debug, Default)]
pub(super) struct Line<const ROLE: usize> {
    list: List<ROLE>,
    heap: Heap<ROLE>,
}

impl<const ROLE: usize> Line<ROLE> {
    /// Takes it in. One that must be `timed` is not ahead of its time: it goes into the heap.
    pub(super) fn push(&mut self, slots: &mut Slots, at: u32, timed: bool) {
        let is_last = self.list.tail == NONE || {
            let tail = self.list.tail;
            let (ours, last) = (key::<ROLE>(slots, at), key::<ROLE>(slots, tail));
            (last, slots[tail].id) < (ours, slots[at].id)
        };
        if is_last && !timed {
            self.list.append(slots, at);
        } else {
            self.heap.push(slots, at);
        }
    }

    /// Lets it go, if it is here.
    pub(super) fn remove(&mut self, slots: &mut Slots, at: u32) {
        match slots[at].links[ROLE].prev {
            OUT => {}
            HEAPED => self.heap.remove(slots, at),
            _ => self.list.remove(slots, at),
        }
    }

    /// Who is first, of the list and of those in the heap whose time is not after `now`.
    pub(super) fn first(&self, slots: &Slots, now: Wall) -> Option<u32> {
        let heaped = self.heap.ats.first().copied().filter(|_| self.heap.keys[0] <= now.0);
        match (self.list.head, heaped) {
            (NONE, heaped) => heaped,
            (listed, None) => Some(listed),
            (listed, Some(heaped)) => {
                let place = |at| (key::<ROLE>(slots, at), slots[at].id);
                Some(if place(listed) < place(heaped) { listed } else { heaped })
            }
        }
    }

    /// When there is a first one: zero, if there is one whatever the time.
    pub(super) fn next(&self) -> Option<Wall> {
        if self.list.head != NONE {
            return Some(Wall(0));
        }
        self.heap.keys.first().map(|&key| Wall(key))
    }

    /// How many are in the heap for a time after `now`. Reads it whole: eight bytes each, in a row.
    pub(super) fn later(&self, now: Wall) -> usize {
        self.heap.keys.iter().filter(|&&key| key > now.0).count()
    }

    pub(super) fn footprint(&self) -> usize {
        self.heap.keys.capacity() * size_of::<u64>() + self.heap.ats.capacity() * size_of::<u32>()
    }
}

/// Is it in a line or list of this role?
pub(super) fn is_in<const ROLE: usize>(slots: &Slots, at: u32) -> bool {
    slots[at].links[ROLE].prev != OUT
}

fn key<const ROLE: usize>(slots: &Slots, at: u32) -> u64 {
    let slot = &slots[at];
    if ROLE == END { slot.expires.0 } else { slot.due.0 }
}

//! What a member of the group has got and holds: pure but for the lock around it.
//!
//! Each assignment of a partition has an *epoch*; a [`Place`] names it. What is said of a place
//! whose epoch is over changes nothing: that is the fence.

use super::prefix::Prefix;
use base::Moment;
use offload::queue::Message;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Messages and bytes on the desk at which partitions are paused; they go on at half of it.
const WAITING_MAX: usize = 1_000;
const WAITING_BYTES_MAX: usize = 32 << 20;
/// Messages of one partition from the first that is not finished, at which it is paused.
const WINDOW_MAX: usize = 10_000;
/// What comes back without a word is handed out again after so long.
const BACK_AFTER: Duration = Duration::from_secs(5);

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: i32,
    epoch: u64,
    pub(super) offset: i64,
}

#[derive(Debug)]
struct Part {
    epoch: u64,
    prefix: Prefix,
    paused: bool,
}

#[derive(Debug)]
struct Parcel {
    place: Place,
    message: Message,
    times: u32,
}

/// All partitions that are assigned, what lies ready, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Desk {
    parts: HashMap<i32, Part>,
    epochs: u64,
    ready: VecDeque<Parcel>,
    bytes: usize,
    back: VecDeque<(Moment, Parcel)>,
    trouble: Option<String>,
    lost: Option<String>,
}

impl Desk {
    /// Partitions are ours from now on.
    pub(super) fn assign(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.epochs += 1;
            let part = Part { epoch: self.epochs, prefix: Prefix::default(), paused: false };
            self.parts.insert(*partition, part);
        }
        self.trouble = None;
        self.sweep();
    }

    /// Partitions are not ours any more: what lies here of them is somebody else's.
    pub(super) fn revoke(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.parts.remove(partition);
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|parcel| self.part(parcel.place).is_some());
        self.bytes = ready.iter().map(|parcel| parcel.message.payload.len()).sum();
        self.ready = ready;
        let mut back = std::mem::take(&mut self.back);
        back.retain(|(_, parcel)| self.part(parcel.place).is_some());
        self.back = back;
    }

    fn part(&self, place: Place) -> Option<&Part> {
        self.parts.get(&place.partition).filter(|part| part.epoch == place.epoch)
    }

    /// A message has come.
    pub(super) fn put(&mut self, partition: i32, offset: i64, message: Message) {
        self.trouble = None;
        let Some(part) = self.parts.get_mut(&partition) else { return };
        if part.prefix.take(offset) {
            let place = Place { partition, epoch: part.epoch, offset };
            self.bytes += message.payload.len();
            self.ready.push_back(Parcel { place, message, times: 1 });
        }
    }

    /// Takes up to `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<(Place, Message, u32)> {
        let most = most.min(self.ready.len());
        let taken = self.ready.drain(..most);
        let taken: Vec<_> = taken.map(|p| (p.place, p.message, p.times)).collect();
        self.bytes -= taken.iter().map(|(_, message, _)| message.payload.len()).sum::<usize>();
        taken
    }

    /// One that was taken comes back.
    pub(super) fn back(&mut self, place: Place, message: Message, times: u32, now: Moment) {
        if self.holds(place) {
            let parcel = Parcel { place, message, times: times.saturating_add(1) };
            self.back.push_back((now + BACK_AFTER, parcel));
        }
    }

    /// Lays out again what came back and is due. True if there was any.
    pub(super) fn give_back(&mut self, now: Moment) -> bool {
        let mut any = false;
        while self.back.front().is_some_and(|(due, _)| now >= *due) {
            if let Some((_, parcel)) = self.back.pop_front() {
                self.bytes += parcel.message.payload.len();
                self.ready.push_front(parcel);
                any = true;
            }
        }
        any
    }

    /// Is the assignment of this place still in force?
    pub(super) fn holds(&self, place: Place) -> bool {
        self.part(place).is_some()
    }

    /// The message there is finished: is there more to commit now? `None`: the assignment is over.
    pub(super) fn finish(&mut self, place: Place) -> Option<bool> {
        let part = self.parts.get_mut(&place.partition).filter(|p| p.epoch == place.epoch)?;
        Some(part.prefix.finish(place.offset))
    }

    /// Does what was committed cover it? `None`: the assignment is over.
    pub(super) fn covered(&self, place: Place) -> Option<bool> {
        self.part(place).map(|part| part.prefix.covers(place.offset))
    }

    /// What to commit: places whose offset is the last finished one, and the offset to commit.
    pub(super) fn due(&self) -> Vec<(Place, i64)> {
        let due = self.parts.iter().filter_map(|(partition, part)| {
            let end = part.prefix.due()?;
            let place = Place { partition: *partition, epoch: part.epoch, offset: end - 1 };
            Some((place, end))
        });
        due.collect()
    }

    /// That was committed.
    pub(super) fn committed(&mut self, due: &[(Place, i64)]) {
        for (place, end) in due {
            let part = self.parts.get_mut(&place.partition).filter(|p| p.epoch == place.epoch);
            if let Some(part) = part {
                part.prefix.committed(*end);
            }
        }
    }

    /// Which partitions to pause, and which to resume.
    pub(super) fn flow(&mut self) -> (Vec<i32>, Vec<i32>) {
        let full = self.ready.len() >= WAITING_MAX || self.bytes >= WAITING_BYTES_MAX;
        let easy = self.ready.len() <= WAITING_MAX / 2 && self.bytes <= WAITING_BYTES_MAX / 2;
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (partition, part) in &mut self.parts {
            let window = part.prefix.window();
            if !part.paused && (full || window >= WINDOW_MAX) {
                part.paused = true;
                pause.push(*partition);
            } else if part.paused && easy && window <= WINDOW_MAX / 2 {
                part.paused = false;
                resume.push(*partition);
            }
        }
        (pause, resume)
    }

    /// Is a partition paused?
    pub(super) fn is_pausing(&self) -> bool {
        self.parts.values().any(|part| part.paused)
    }

    /// Something is wrong, perhaps for a moment.
    pub(super) fn trouble(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// It is fine again.
    pub(super) fn fine(&mut self) {
        self.trouble = None;
    }

    /// What is wrong.
    pub(super) fn is_troubled(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// The member is of no more use: nothing is ours.
    pub(super) fn lose(&mut self, why: String) {
        self.lost.get_or_insert(why);
        self.parts.clear();
        self.sweep();
    }

    /// Why the member is of no more use.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.clone()
    }
}

#[cfg(test)]
mod tests;

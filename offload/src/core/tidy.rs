//! Room in the log: segments that nobody needs are freed, and what lives in the oldest is carried.

use super::{Broken, Core, Effects, Held, Then, broke, length, lock, position};
use crate::job::JobId;
use crate::log::{Disk, Log, LogError};
use crate::record::{self, Record};
use std::sync::Mutex;

/// Most jobs that are carried in a turn from a segment that is to be freed.
const CARRY_MAX: usize = 64;

impl<D: Disk> Core<D> {
    /// Frees what nobody needs any more; of the oldest segment carries what is left, if more than
    /// half of the log is of no use. `applied` is the last record that is in the store. Answers
    /// whether there is more to do.
    ///
    /// # Errors
    /// The disk failed.
    pub fn tidy(
        &mut self,
        held: &Mutex<Held>,
        applied: Option<(u32, u32)>,
        effects: &mut Effects,
    ) -> Result<bool, Broken> {
        let (oldest, newest) = (self.log.oldest(), self.log.newest());
        // Behind the last record in the store there may be ends that are not in it.
        let live = lock(held).book.oldest_segment();
        let stored = applied.map_or(oldest, |(segment, _)| segment);
        let needed = self.unstored.oldest(applied).unwrap_or(newest);
        let free = live.unwrap_or(newest).min(stored).min(needed).min(newest);
        if free > oldest {
            self.log.free_before(free);
            return Ok(true);
        }
        let used = self.log.bytes_used();
        // Where there is no room at all, less must do: nothing else makes any.
        let is_worth_it = if self.is_stuck() {
            self.live_bytes < used - used / 8
        } else {
            used >= self.carry_from && self.live_bytes <= used / 2
        };
        if oldest >= stored || !is_worth_it {
            return Ok(false);
        }
        let mut any = false;
        loop {
            let live = lock(held).book.oldest_live(oldest, CARRY_MAX);
            if live.is_empty() || !self.carry(held, &live, effects)? {
                return Ok(any && live.is_empty());
            }
            any = true;
            // What a segment is begun for when it is the last one, nobody may come between.
            if !self.log.is_tight() {
                return Ok(true);
            }
        }
    }

    /// Writes jobs again, as they stand; has anything been? What is stuck comes after them, as if it
    /// had been decided later.
    fn carry(
        &mut self,
        held: &Mutex<Held>,
        live: &[JobId],
        effects: &mut Effects,
    ) -> Result<bool, Broken> {
        let mut batch = self.batch();
        for id in live {
            let Some(place) = lock(held).book.place(*id) else { continue };
            let read = self.reader.read(position(place), length(place));
            let Ok(read) = read else {
                // Whoever would deliver it finds out, and until then the segment stays.
                continue;
            };
            let Ok(Record::Accept(summary)) = record::read(&read.summary) else { continue };
            let Some(carried) = lock(held).book.carried(summary) else { continue };
            let accept = Record::Accept(carried.accept);
            batch.push(&accept, read.bulk.to_vec(), true, Then::Nothing);
            for record in &carried.then {
                batch.push(record, Vec::new(), true, Then::Nothing);
            }
            if batch.is_full() {
                break;
            }
        }
        match self.append(&batch, Log::carry) {
            Ok(()) => {}
            Err(LogError::Full { .. }) => return Ok(false),
            Err(error) => return Err(broke(batch, effects, &error)),
        }
        let any = !batch.lines.is_empty();
        self.learn(held, batch, effects);
        Ok(any)
    }
}

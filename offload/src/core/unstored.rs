//! What the store needs of the log: segments with first records of jobs that are over.

use super::Ended;
use std::collections::{BTreeMap, VecDeque};

/// Jobs that are over and not in the store yet: the store reads their first records, so these stay,
/// although the jobs live no more.
#[derive(Default)]
pub(super) struct Unstored {
    /// Where their ends are, and in which segments their first records; in the order of the log.
    ends: VecDeque<((u32, u32), u32)>,
    /// How many have their first record in a segment.
    firsts: BTreeMap<u32, usize>,
}

impl Unstored {
    pub(super) fn add(&mut self, job: &Ended) {
        let (first, end) = (job.accepted.segment, (job.ended.segment, job.ended.offset));
        self.ends.push_back((end, first));
        *self.firsts.entry(first).or_default() += 1;
    }

    /// The store has all up to here; the oldest segment that it needs yet.
    pub(super) fn oldest(&mut self, applied: Option<(u32, u32)>) -> Option<u32> {
        while let Some(&(end, first)) = self.ends.front()
            && applied.is_some_and(|applied| end <= applied)
        {
            self.ends.pop_front();
            if let Some(count) = self.firsts.get_mut(&first) {
                *count -= 1;
                if *count == 0 {
                    self.firsts.remove(&first);
                }
            }
        }
        self.firsts.keys().next().copied()
    }
}

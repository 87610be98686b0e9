//! What has been taken of one partition, and how far all of it is finished. Pure.
//!
//! Kafka acknowledges no single message: a group commits an offset, and all before it counts as
//! done. Jobs finish in any order, so the offset to commit is the end of the longest run of finished
//! messages from where the partition began for us; what is finished beyond a hole waits for the
//! hole. Offsets grow but may have gaps of their own (compaction, markers of transactions).

use std::collections::VecDeque;

/// One partition, from when it was assigned to when it is revoked.
///
/// `open` holds offsets in rising order, its first is never finished, and all offsets before it
/// that were taken are.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    open: VecDeque<(i64, bool)>,
    /// The highest offset that was taken.
    last: Option<i64>,
    /// All before it is finished.
    end: Option<i64>,
    /// The last offset whose commit went through.
    committed: Option<i64>,
}

impl Prefix {
    /// A message was taken. False if it was before: it is not handed out twice.
    pub(super) fn take(&mut self, offset: i64) -> bool {
        let is_new = self.last.is_none_or(|last| offset > last);
        if is_new {
            self.last = Some(offset);
            self.open.push_back((offset, false));
        }
        is_new
    }

    /// A message is finished. True if there is now more to commit than before.
    pub(super) fn finish(&mut self, offset: i64) -> bool {
        let Ok(at) = self.open.binary_search_by_key(&offset, |(open, _)| *open) else {
            return false;
        };
        self.open[at].1 = true;
        let before = self.end;
        while let Some((offset, true)) = self.open.front() {
            self.end = Some(offset + 1);
            self.open.pop_front();
        }
        self.end != before
    }

    /// What to commit: the offset of the first message that is not finished; `None` if nothing has
    /// moved since the last commit.
    pub(super) fn due(&self) -> Option<i64> {
        self.end.filter(|end| self.committed.is_none_or(|committed| *end > committed))
    }

    /// A commit of this offset went through.
    pub(super) fn committed(&mut self, offset: i64) {
        self.committed = self.committed.max(Some(offset));
    }

    /// Does what was committed cover this message?
    pub(super) fn covers(&self, offset: i64) -> bool {
        self.committed.is_some_and(|committed| offset < committed)
    }

    /// How many messages are kept in mind: all from the first that is not finished.
    pub(super) fn window(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_hole_holds_back_what_is_finished_beyond_it() {
        let mut prefix = Prefix::default();
        assert_eq!((prefix.due(), prefix.window()), (None, 0));
        assert!([5, 6, 9].into_iter().all(|offset| prefix.take(offset)));
        assert!(!prefix.take(6), "it was taken");
        assert!(!prefix.finish(9) && !prefix.finish(6));
        assert_eq!((prefix.due(), prefix.window()), (None, 3));
        assert!(prefix.finish(5));
        assert_eq!((prefix.due(), prefix.window()), (Some(10), 0));
        assert!(!prefix.covers(9));
        prefix.committed(10);
        assert_eq!((prefix.due(), prefix.covers(9), prefix.covers(10)), (None, true, false));
        assert!(!prefix.finish(9), "it is over");
        assert!(!prefix.finish(77), "it was never taken");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(i64),
        Finish(usize),
        Commit,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..4_i64).prop_map(Step::Take),
            any::<usize>().prop_map(Step::Finish),
            Just(Step::Commit),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// The oracle keeps every message for ever and looks at all of them each time.
        #[test]
        fn no_offset_past_an_unfinished_message_is_ever_committed(steps in steps()) {
            let (mut prefix, mut model) = (Prefix::default(), BTreeMap::<i64, bool>::new());
            let (mut offset, mut committed) = (-1, None);
            for step in steps {
                match step {
                    Step::Take(gap) => {
                        offset += gap;
                        prop_assert!(prefix.take(offset));
                        model.insert(offset, false);
                    }
                    Step::Finish(which) if !model.is_empty() => {
                        let offset = *model.keys().nth(which % model.len()).unwrap();
                        prefix.finish(offset);
                        model.insert(offset, true);
                    }
                    Step::Finish(_) => {}
                    Step::Commit => if let Some(offset) = prefix.due() {
                        prefix.committed(offset);
                        committed = Some(offset);
                    }
                }
                let run = model.iter().take_while(|(_, finished)| **finished).last();
                let end = run.map(|(offset, _)| offset + 1);
                prop_assert_eq!(prefix.due(), end.filter(|end| committed != Some(*end)));
                let first = model.values().take_while(|finished| **finished).count();
                prop_assert_eq!(prefix.window(), model.len() - first);
                for offset in model.keys() {
                    prop_assert_eq!(prefix.covers(*offset), committed.is_some_and(|c| *offset < c));
                }
            }
        }
    }
}

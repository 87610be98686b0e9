//! What must be there: after a start, and after each step.

use super::super::*;
use super::world::{Room, World};
use crate::book::facts_check;

impl World {
    /// After a start: what was promised lives or is over, and what is over stays so. False: the disk
    /// crashed meanwhile.
    pub(super) fn compare(&mut self, room: &Room, found: &Found) -> bool {
        let seed = self.seed;
        let mut promised = Vec::new();
        for job in self.jobs(room) {
            let whole = match room.reader.read(position(job.place), length(job.place)) {
                Ok(whole) => whole,
                Err(_) if self.disk.is_down() => return false,
                Err(error) => panic!("seed {seed}: {job:?} cannot be read: {error}"),
            };
            let (serial, is_whole) = self.recognize(&whole.bulk);
            assert!(is_whole, "seed {seed}: {job:?} is not whole");
            let sent = &self.sent[&serial];
            assert_eq!(sent.end, None, "seed {seed}: {job:?} was over, and lives");
            assert!(sent.id.is_none_or(|id| id == job.id), "seed {seed}: {sent:?}, {job:?}");
            if let Some((lost, more)) = self.lost.get(&job.id) {
                let now = [Some(*lost), lost.checked_add(1)];
                let may = match more {
                    Some(more) => &now[usize::from(*more)..=usize::from(*more)],
                    None => &now,
                };
                assert!(may.contains(&Some(job.lost)), "seed {seed}: {lost}, {more:?}: {job:?}");
            }
            promised.push((serial, job.id));
        }
        promised.sort_unstable_by_key(|(_, id)| *id);
        for (serial, id) in promised {
            self.sums.doubted += u64::from(self.sent[&serial].id.is_none());
            self.accepted(serial, id);
        }
        for ended in &found.ended {
            let Some(serial) = self.by_id.get(&ended.id) else {
                panic!("seed {seed}: {ended:?} is nobody's");
            };
            let how = Some((ended.state, ended.reason));
            let before = self.sent[serial].end;
            assert!(before.is_none() || before == how, "seed {seed}: {before:?}, {ended:?}");
            self.finished(ended);
        }
        self.ended.extend(found.ended.iter().copied());
        self.look_for_lost(room, found);
        self.audit(room);
        true
    }

    fn look_for_lost(&self, room: &Room, found: &Found) {
        let seed = self.seed;
        let found: HashSet<JobId> = found.ended.iter().map(|ended| ended.id).collect();
        for (serial, sent) in &self.sent {
            let Some(id) = sent.id else { continue };
            let lives = lock(&room.held).book.place(id).is_some();
            let is_over = self.store.over.contains_key(&id) || found.contains(&id);
            assert!(lives || is_over, "seed {seed}: {serial} {id} is lost: {sent:?}");
            assert!(!(lives && is_over), "seed {seed}: {id} lives and is over: {sent:?}");
        }
    }

    /// After each step: accounts are right, and nothing that is needed was freed.
    pub(super) fn audit(&self, room: &Room) {
        let seed = self.seed;
        facts_check(&lock(&room.held).book);
        let jobs = self.jobs(room);
        let oldest = room.core.log().oldest();
        let bytes: usize = jobs.iter().map(|job| length(job.place)).sum();
        assert_eq!(room.core.live_bytes, bytes as u64, "seed {seed}");
        for job in &jobs {
            assert!(job.place.segment >= oldest, "seed {seed}: {job:?} was freed");
        }
        for ended in &self.ended {
            let needed = ended.accepted.segment.min(ended.ended.segment);
            assert!(needed >= oldest, "seed {seed}: {ended:?} is not stored, and was freed");
        }
    }
}

//! Writes, on a thread of its own: appends records, seals segments, makes room, and at the start looks
//! at what is there from before.

use super::index::Place;
use super::queue::Job;
use super::reader;
use super::segment::{self, Found, Kind, Open, Row, Survey};
use super::{Meters, Shared};
use base::{ByteSize, Deadline, Moment, Wall};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Largest segment, unless there would be more than [`SEGMENTS`] of them.
const SEGMENT_MAX: ByteSize = ByteSize::mib(64);
/// The size is divided by this, or the segments are [`SEGMENT_MAX`] large.
const SEGMENTS_MIN: u64 = 16;
/// About how many segments there are at most: each is an open file.
const SEGMENTS: u64 = 256;
/// Most bytes that are written at once, unless one record is larger.
const BUFFER: usize = 1 << 20;
/// Most bytes that are carried over from segments that make room.
const RESCUED_MAX: u64 = 32 << 20;
/// How long values are let go after a write has failed, before the next try.
const PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Most bytes of segments.
    limit: u64,
    segment_max: u64,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    sealed_bytes: u64,
    active: Option<Active>,
    next: u32,
    /// Segments from before that were not looked at yet, oldest first.
    unseen: Vec<u32>,
    /// Read since they were written, and to be written again.
    rescued: VecDeque<(u128, Wall, Vec<u8>)>,
    rescued_bytes: u64,
    failing: Option<Deadline>,
}

/// A segment that only changes by being deleted.
struct Sealed {
    id: u32,
    open: Arc<Open>,
    bytes: u64,
}

/// The segment that is appended to.
struct Active {
    id: u32,
    open: Arc<Open>,
    /// Bytes of it.
    end: u64,
    rows: Vec<Row>,
    /// What goes there next, with its rows.
    buffer: Vec<u8>,
    waiting: Vec<Row>,
}

impl Active {
    /// Where the next record goes.
    fn next(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    /// Bytes of it once it is sealed.
    fn size(&self) -> u64 {
        self.next() + segment::size_of_list(self.rows.len() + self.waiting.len())
    }
}

/// A record costs the list so much.
fn size_in_list() -> u64 {
    segment::size_of_list(1) - segment::size_of_list(0)
}

impl Writer {
    /// Over what was found in the folder; all its files together are to stay below `size`, with
    /// `reserve` of it for others than segments.
    pub(super) fn new(shared: Arc<Shared>, size: u64, reserve: u64, found: Vec<Found>) -> Self {
        let segment_max = (size / SEGMENTS_MIN).min(SEGMENT_MAX.0).max(size / SEGMENTS);
        let sealed: VecDeque<Sealed> =
            found.into_iter().map(|Found { id, open, bytes }| Sealed { id, open, bytes }).collect();
        Self {
            shared,
            limit: size - reserve,
            segment_max: segment_max.min(segment::start_of(u32::MAX)),
            next: sealed.back().map_or(0, |last| last.id + 1),
            sealed_bytes: sealed.iter().map(|sealed| sealed.bytes).sum(),
            unseen: sealed.iter().map(|sealed| sealed.id).collect(),
            sealed,
            active: None,
            rescued: VecDeque::new(),
            rescued_bytes: 0,
            failing: None,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while self.used() > self.limit && self.make_room() {}
        self.go_on_with_newest();
        self.levels();
        loop {
            self.see_next();
            let Some(batch) = self.shared.queue.take(self.unseen.is_empty()) else { break };
            for job in batch {
                self.work(job);
            }
            self.flush();
            self.levels();
        }
        self.seal();
        self.levels();
    }

    fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    fn levels(&self) {
        let active = self.active.as_ref();
        let bytes = self.sealed_bytes + active.map_or(0, |active| active.end);
        let segments = self.sealed.len() + usize::from(active.is_some());
        self.meters().bytes.store(bytes, Ordering::Relaxed);
        self.meters().segments.store(segments as u64, Ordering::Relaxed);
    }

    /// Bytes of segments, that which is appended to as large as when it is sealed.
    fn used(&self) -> u64 {
        self.sealed_bytes + self.active.as_ref().map_or(0, Active::size)
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Put { key, value, expiry } => {
                if !self.put(key, expiry, &value) {
                    count(&self.meters().dropped, 1);
                }
                self.rescue(key);
            }
            Job::Forget(key) => {
                let nothing = self.sealed.is_empty() && self.active.is_none();
                if !nothing && !self.append(Kind::Mark, key, Wall(0), &[]) {
                    self.forget_all();
                }
                self.rescue(key);
            }
            Job::ForgetAll => self.forget_all(),
            Job::Settle(done) => {
                while !self.unseen.is_empty() {
                    self.see_next();
                }
                self.flush();
                self.levels();
                let _ = done.send(()); // Who asked may have left.
            }
        }
    }

    fn put(&mut self, key: u128, expiry: Wall, value: &[u8]) -> bool {
        if self.failing.is_some_and(|until| !until.passed(Moment::now())) {
            return false;
        }
        self.failing = None;
        self.append(Kind::Value, key, expiry, value)
    }

    /// Puts a record where it is written with others; says whether there is a place for it.
    fn append(&mut self, kind: Kind, key: u128, expiry: Wall, value: &[u8]) -> bool {
        let size = segment::size_of_record(value.len());
        let room = size + size_in_list();
        if segment::START as u64 + segment::size_of_list(0) + room > self.segment_max {
            return false;
        }
        if self.active.as_ref().is_some_and(|active| active.size() + room > self.segment_max) {
            self.seal();
        }
        let start = segment::START as u64 + segment::size_of_list(0);
        let fresh = if self.active.is_none() { start } else { 0 };
        while self.used() + fresh + room > self.limit {
            if !self.make_room() {
                return false;
            }
        }
        if self.active.is_none() && !self.begin() {
            return false;
        }
        let Some(active) = &mut self.active else { return false };
        let offset = u32::try_from(active.next() / segment::UNIT).expect("segments are so small");
        let length = value.len() as u32;
        active.waiting.push(Row { kind, key, expiry, offset, length });
        segment::append(&mut active.buffer, active.open.seed, kind, key, expiry, value);
        active.buffer.len() < BUFFER || self.flush()
    }

    /// Starts a segment.
    fn begin(&mut self) -> bool {
        let made = segment::create(&self.shared.folder, self.next).or_else(|error| {
            if error.kind() == io::ErrorKind::StorageFull && self.give_up_oldest() {
                return segment::create(&self.shared.folder, self.next);
            }
            Err(error)
        });
        match made {
            Ok(open) => {
                self.activate(self.next, Arc::new(open), segment::START as u64, Vec::new());
                self.next += 1;
                true
            }
            Err(error) => {
                self.failed("a segment cannot be made", &error);
                false
            }
        }
    }

    fn activate(&mut self, id: u32, open: Arc<Open>, end: u64, rows: Vec<Row>) {
        let mut segments = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(id, Arc::clone(&open));
        drop(segments);
        let (buffer, waiting) = (Vec::new(), Vec::new());
        self.active = Some(Active { id, open, end, rows, buffer, waiting });
    }

    /// Writes what waits, and only then lets it be found; says whether it could.
    fn flush(&mut self) -> bool {
        let Some(active) = self.active.as_ref().filter(|active| !active.waiting.is_empty()) else {
            return true;
        };
        let (open, end) = (Arc::clone(&active.open), active.end);
        let mut written = open.file.write_all_at(&active.buffer, end);
        if written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::StorageFull)
            && self.give_up_oldest()
            && let Some(active) = &self.active
        {
            written = open.file.write_all_at(&active.buffer, end);
        }
        let Some(active) = &mut self.active else { return true };
        let length = active.buffer.len() as u64;
        active.buffer.clear();
        active.buffer.shrink_to(2 * BUFFER);
        let waiting = std::mem::take(&mut active.waiting);
        if let Err(error) = written {
            let _ = open.file.set_len(end); // Else the next write goes over it, or a start cuts it.
            self.failed("cannot be written to", &error);
            let (values, marks): (Vec<Row>, Vec<Row>) =
                waiting.into_iter().partition(|row| row.kind == Kind::Value);
            count(&self.meters().dropped, values.len() as u64);
            if !marks.is_empty() {
                self.forget_all();
            }
            return false;
        }
        active.end += length;
        for row in &waiting {
            match row.kind {
                Kind::Value => {
                    let place = Place::new(active.id, row.offset, row.length, row.expiry);
                    self.shared.index.put(row.key, place);
                    count(&self.shared.meters.puts, 1);
                }
                Kind::Mark => self.shared.index.hide(row.key),
            }
        }
        active.rows.extend(waiting);
        true
    }

    fn failed(&mut self, what: &str, error: &io::Error) {
        self.shared.failed(what, error);
        self.failing = Some(Deadline::after(Moment::now(), PAUSE));
    }

    /// Ends the segment that is appended to with a list of its records.
    fn seal(&mut self) {
        self.flush();
        let Some(Active { id, open, end, rows, .. }) = self.active.take() else { return };
        let bytes = self.close_up(&open, end, &rows);
        self.sealed.push_back(Sealed { id, open, bytes });
        self.sealed_bytes += bytes;
    }

    /// Writes a list behind records, for which there is room; the bytes of the file then.
    fn close_up(&self, open: &Open, end: u64, rows: &[Row]) -> u64 {
        let list = segment::list_of(rows, end, open.seed);
        match open.file.write_all_at(&list, end) {
            Ok(()) => end + list.len() as u64,
            Err(error) => {
                let _ = open.file.set_len(end); // Without a list the records are walked.
                self.shared.failed("cannot be written to", &error);
                end
            }
        }
    }

    /// Deletes the oldest segment; what was read in it is kept aside. Is there one?
    fn make_room(&mut self) -> bool {
        self.flush(); // What waits may be newer than what is kept aside: the index has to know.
        // Half of a segment at most: else a log in which all was read would never have room.
        let half = self.sealed.front().map_or(0, |oldest| oldest.bytes / 2);
        self.delete_oldest(half.min(RESCUED_MAX.saturating_sub(self.rescued_bytes)))
    }

    /// Deletes the oldest segment with all that is in it. Is there one?
    fn give_up_oldest(&mut self) -> bool {
        self.delete_oldest(0)
    }

    /// Deletes the oldest segment; up to `keep` bytes that were read are kept aside.
    fn delete_oldest(&mut self, keep: u64) -> bool {
        let Some(oldest) = self.sealed.pop_front() else { return false };
        if self.unseen.first() == Some(&oldest.id) {
            self.unseen.remove(0); // Nothing in it is known, so nothing in it was read.
        } else {
            self.take_out(&oldest, keep);
        }
        self.delete(oldest.id, &oldest.open);
        self.sealed_bytes -= oldest.bytes;
        true
    }

    /// Takes a segment's records out of the index and keeps aside some that were read.
    fn take_out(&mut self, oldest: &Sealed, mut keep: u64) {
        let Survey { rows, .. } = self.survey(&oldest.open, oldest.bytes);
        let now = self.shared.now();
        for row in rows.iter().filter(|row| row.kind == Kind::Value) {
            let Some(read) = self.shared.index.take(row.key, oldest.id, row.offset) else {
                continue;
            };
            let size = segment::size_of_record(row.length as usize);
            if read
                && size <= keep
                && now < row.expiry
                && let Ok((value, expiry)) =
                    reader::read(&oldest.open, row.key, row.offset, row.length)
            {
                keep -= size;
                self.rescued_bytes += size;
                self.rescued.push_back((row.key, expiry, value));
            } else {
                count(&self.meters().evicted, 1);
            }
        }
    }

    /// Writes again what was kept aside during a job; what the job itself was about is newer than that.
    fn rescue(&mut self, but: u128) {
        while let Some((key, expiry, value)) = self.rescued.pop_front() {
            self.rescued_bytes -= segment::size_of_record(value.len());
            if key == but || !self.append(Kind::Value, key, expiry, &value) {
                count(&self.meters().evicted, 1);
            }
        }
    }

    fn delete(&self, id: u32, open: &Open) {
        let mut segments = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.remove(&id);
        drop(segments);
        let gone = fs::remove_file(segment::path(&self.shared.folder, id));
        if let Err(error) = gone.or_else(|_| open.file.set_len(0)) {
            self.shared.failed("a segment cannot be deleted", &error);
        }
    }

    fn forget_all(&mut self) {
        for sealed in std::mem::take(&mut self.sealed) {
            self.delete(sealed.id, &sealed.open);
        }
        if let Some(active) = self.active.take() {
            self.delete(active.id, &active.open);
        }
        self.sealed_bytes = 0;
        self.unseen.clear();
        self.rescued.clear();
        self.rescued_bytes = 0;
        self.shared.index.clear();
        self.all_seen();
    }

    fn all_seen(&self) {
        self.shared.index.unmark();
        self.shared.loading.store(false, Ordering::Release);
    }

    fn survey(&self, open: &Open, bytes: u64) -> Survey {
        segment::survey(&open.file, bytes).unwrap_or_else(|error| {
            self.shared.failed("a segment cannot be read", &error);
            Survey::default()
        })
    }

    /// Goes on with the newest segment where that is far from full: else every start made another.
    fn go_on_with_newest(&mut self) {
        let Some(newest) = self.sealed.back().filter(|last| last.bytes < self.segment_max / 2)
        else {
            return;
        };
        let survey = self.survey(&newest.open, newest.bytes);
        if survey.end < segment::START as u64 || newest.open.file.set_len(survey.end).is_err() {
            return; // It stays as it is.
        }
        let Some(newest) = self.sealed.pop_back() else { return };
        self.unseen.pop();
        self.sealed_bytes -= newest.bytes;
        self.know(newest.id, &survey.rows);
        self.activate(newest.id, newest.open, survey.end, survey.rows);
    }

    /// Looks at the newest segment that was not looked at yet.
    fn see_next(&mut self) {
        if let Some(id) = self.unseen.pop() {
            let place = self.sealed.iter().position(|sealed| sealed.id == id);
            let place = place.expect("what makes room leaves `unseen` too");
            let (open, bytes) = (Arc::clone(&self.sealed[place].open), self.sealed[place].bytes);
            let survey = self.survey(&open, bytes);
            self.know(id, &survey.rows);
            if !survey.listed && survey.end >= segment::START as u64 {
                self.mend(place, &open, &survey);
            }
        }
        if self.unseen.is_empty() && self.shared.loading.load(Ordering::Relaxed) {
            self.all_seen();
        }
    }

    /// Cuts the torn end off a segment, and gives it the list that it lacks where there is room.
    fn mend(&mut self, place: usize, open: &Open, survey: &Survey) {
        let before = self.sealed[place].bytes;
        if open.file.set_len(survey.end).is_err() {
            return; // It stays as it is.
        }
        let list = segment::size_of_list(survey.rows.len());
        let fits = self.used() - before + survey.end + list <= self.limit;
        let bytes = if fits { self.close_up(open, survey.end, &survey.rows) } else { survey.end };
        self.sealed[place].bytes = bytes;
        self.sealed_bytes = self.sealed_bytes - before + bytes;
    }

    /// Lets the records of a segment be found, unless newer ones are known.
    fn know(&self, id: u32, rows: &[Row]) {
        let now = self.shared.now();
        for row in rows.iter().rev() {
            let live = row.kind == Kind::Value && now < row.expiry;
            let place = Place::new(id, row.offset, row.length, row.expiry);
            self.shared.index.find(row.key, live.then_some(place));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.end();
    }
}

fn count(meter: &AtomicU64, more: u64) {
    meter.fetch_add(more, Ordering::Relaxed);
}

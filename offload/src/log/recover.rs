//! From files to a log.
//!
//! The last batch is written and synced once more, and all names are synced: what the kernel shows after
//! the end of a process need not be on the disk, not even if a sync succeeds now, where an earlier one
//! has failed. All batches before the last one were acknowledged after a sync of their own.

use super::disk::Disk;
use super::errors::LogError;
use super::format::{BatchHead, Head, NoHead, SECTOR, SEGMENT_MIN};
use super::pool::{Segment, Shared, Spare, State, hint_name, segment_name, spare_name};
use super::recovered::{Quarantined, Recovered, Visit, Why};
use super::scan::{Found, Survey, next_head, scan};
use super::{Log, Options, Position, hint};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};

/// Names of files, by what they are.
#[derive(Debug, Default)]
struct Names {
    segments: BTreeSet<u32>,
    hints: BTreeSet<u32>,
    spares: BTreeSet<u32>,
    unfinished: Vec<String>,
}

impl Names {
    fn sort(names: Vec<String>) -> Self {
        let mut sorted = Self::default();
        for name in names {
            let Some((number, kind)) = name.split_once('.') else { continue };
            let is_ours = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
            let Some(number) = number.parse().ok().filter(|_| is_ours) else { continue };
            match kind {
                "log" => drop(sorted.segments.insert(number)),
                "hint" => drop(sorted.hints.insert(number)),
                "spare" => drop(sorted.spares.insert(number)),
                "new" => sorted.unfinished.push(name),
                _ => {}
            }
        }
        let lost = sorted.hints.difference(&sorted.segments).copied().collect::<Vec<_>>();
        for number in lost {
            sorted.hints.remove(&number);
            sorted.unfinished.push(hint_name(number));
        }
        sorted
    }
}

/// A segment that was found.
struct Opened<D: Disk> {
    segment: Arc<Segment<D>>,
    /// Does one of its heads check? If none does, what the segment says of itself is made up.
    sound: bool,
    /// Is there a hint, whole or not?
    hint: bool,
    /// Is one to be written?
    wants_hint: bool,
}

struct Opening<D: Disk, F> {
    disk: D,
    options: Options,
    each: F,
    recovered: Recovered,
    /// The sequence number of the last batch that was met, if that can be told.
    after: Option<u64>,
    /// The greatest that was met.
    greatest: u64,
}

/// Opens a log; see [`Log::open`].
pub(super) fn open<D: Disk>(
    disk: D,
    options: &Options,
    each: impl FnMut(Position, Visit<'_>),
) -> Result<(Log<D>, Recovered), LogError> {
    let lock = disk.lock()?;
    let recovered = Recovered::default();
    let mut opening =
        Opening { disk, options: *options, each, recovered, after: None, greatest: 0 };
    let (names, mut found) = opening.list()?;
    let newest = opening.newest(&found).map_err(|e| opening.fail("read the log", e))?;
    opening.disk.sync_dir().map_err(|error| opening.fail("sync the directory", error))?;
    let survey = opening.show_all(&mut found, newest)?;
    let newest_number = newest.map(|newest| found[newest].segment.head.segment);
    let (state, live, ready) = opening.sort_out(found, newest, &names)?;
    let Opening { disk, recovered, greatest, .. } = opening;
    let current = survey.and(newest_number).and_then(|number| live.get(&number).cloned());
    let shared = Shared {
        disk,
        lock,
        options: *options,
        live: RwLock::new(live),
        state: Mutex::new(State { ready, ..state }),
        work: Condvar::new(),
        making: Mutex::new(()),
        keeping: Mutex::new(()),
        broken: OnceLock::new(),
    };
    let current = match current {
        Some(current) => current,
        None => shared.next_segment(0)?,
    };
    let survey = survey.unwrap_or(Survey { end: SECTOR, ..Survey::default() });
    let log = Log::begin(Arc::new(shared), current, survey.end, greatest + 1);
    if survey.torn > 0 {
        log.wipe().map_err(|e| LogError::of(log.path(), "cut the end of the log", e))?;
    }
    Ok((log, recovered))
}

impl<D: Disk, F: FnMut(Position, Visit<'_>)> Opening<D, F> {
    fn fail(&self, doing: &'static str, error: io::Error) -> LogError {
        LogError::of(self.disk.path(), doing, error)
    }

    /// All that is there, without what was never finished.
    fn list(&mut self) -> Result<(Names, Vec<Opened<D>>), LogError> {
        let names = self.disk.list().map_err(|error| self.fail("list the files", error))?;
        let names = Names::sort(names);
        for name in &names.unfinished {
            self.disk.remove(name).map_err(|e| self.fail("remove what was not finished", e))?;
        }
        let mut found = Vec::new();
        for &number in &names.segments {
            found.push(self.open_segment(number, names.hints.contains(&number))?);
        }
        self.recovered.segments = found.len() as u32;
        Ok((names, found))
    }

    fn open_segment(&self, number: u32, hint: bool) -> Result<Opened<D>, LogError> {
        let name = segment_name(number);
        let fail = |error| self.fail("read the log", error);
        let file = self.disk.open(&name).map_err(fail)?;
        let size = self.disk.size(&file).map_err(fail)?;
        let bytes = u32::try_from(size).unwrap_or(u32::MAX);
        let mut head = Head { segment: number, bytes, salt: 0 };
        let mut sound = false;
        for at in [0, u64::from(bytes.saturating_sub(SECTOR))] {
            let mut sector = [0; SECTOR as usize];
            // A head that cannot be read is one that does not check; there is another.
            let read = self.disk.read_at(&file, &mut sector, at);
            match read.map_or(Err(NoHead::Damaged), |()| Head::read(&sector)) {
                Ok(said) if said.segment == number && u64::from(said.bytes) == size => {
                    (head, sound) = (said, bytes >= SEGMENT_MIN);
                    break;
                }
                Err(NoHead::Version(version)) => {
                    let path = self.disk.path().join(&name);
                    let why = format!(
                        "it has format {version}; start the version that wrote it, let it deliver \
                         what waits, and update then"
                    );
                    return Err(LogError::Format { path, why });
                }
                Ok(_) | Err(NoHead::Damaged) => {}
            }
        }
        let segment = Arc::new(Segment { head, file: Arc::new(file) });
        Ok(Opened { segment, sound, hint, wants_hint: false })
    }

    /// The bytes of a segment. Sectors that cannot be read are zeros, unless it is to be `exact`.
    fn load(&self, segment: &Segment<D>, exact: bool) -> io::Result<Vec<u8>> {
        const PIECE: usize = 4_096;
        let mut bytes = vec![0; segment.head.bytes as usize];
        match self.disk.read_at(&segment.file, &mut bytes, 0) {
            Err(error) if exact => return Err(error),
            Err(_) => {}
            Ok(()) => return Ok(bytes),
        }
        for (at, piece) in (0..).step_by(PIECE).zip(bytes.chunks_mut(PIECE)) {
            if self.disk.read_at(&segment.file, piece, at).is_err() {
                piece.fill(0);
            }
        }
        Ok(bytes)
    }

    /// The bytes of a hint, if they check.
    fn load_hint(&self, opened: &Opened<D>) -> Option<Vec<u8>> {
        let head = &opened.segment.head;
        if !opened.hint || !opened.sound {
            return None;
        }
        let file = self.disk.open(&hint_name(head.segment)).ok()?;
        let size = self.disk.size(&file).ok().filter(|size| *size <= hint::bytes_max(head))?;
        let mut bytes = vec![0; size as usize];
        self.disk.read_at(&file, &mut bytes, 0).ok()?;
        hint::read(&bytes, head).is_some().then_some(bytes)
    }

    /// The last segment that has a batch, of which at least the head is whole.
    fn newest(&mut self, found: &[Opened<D>]) -> io::Result<Option<usize>> {
        for (at, opened) in found.iter().enumerate().rev().filter(|(_, opened)| opened.sound) {
            if self.load_hint(opened).is_some() {
                return Ok(Some(at));
            }
            let head = &opened.segment.head;
            let bytes = self.load(&opened.segment, true)?;
            if next_head(&bytes, SECTOR, head).is_some() {
                return Ok(Some(at));
            }
            let torn = scan(&bytes, head, true, (None, None), &mut |_| {}).torn;
            if torn > 0 {
                self.recovered.torn_bytes += u64::from(torn);
                let file = &opened.segment.file;
                self.disk.write_at(file, &[0; SECTOR as usize], u64::from(SECTOR))?;
                self.disk.sync_data(file)?;
            }
        }
        Ok(None)
    }

    /// Shows all records. Answers what the newest segment holds, if there may be more written to it.
    fn show_all(
        &mut self,
        found: &mut [Opened<D>],
        newest: Option<usize>,
    ) -> Result<Option<Survey>, LogError> {
        let mut survey = None;
        let mut before: Option<u32> = None;
        let firsts: Vec<_> = found.iter().map(|opened| self.first(opened)).collect();
        for (at, opened) in found.iter_mut().enumerate() {
            let number = opened.segment.head.segment;
            if before.is_some_and(|before| before + 1 != number) {
                self.damaged(number - 1, 0, 0, Why::Missing);
                self.after = None;
            }
            before = Some(number);
            if !opened.sound {
                self.damaged(number, 0, opened.segment.head.bytes, Why::Segment);
                self.after = None;
                continue;
            }
            let Some(newest) = newest.filter(|newest| at <= *newest) else { continue };
            if let Some(hint) = self.load_hint(opened) {
                self.show_hint(&hint, &opened.segment.head);
                continue;
            }
            let last = at == newest;
            let bytes =
                self.load(&opened.segment, last).map_err(|e| self.fail("read the log", e))?;
            let next = firsts.get(at + 1).copied().flatten().filter(|_| !last);
            let found = self.show_segment(&bytes, &opened.segment.head, last, next);
            opened.wants_hint = !last && !found.damaged;
            if last {
                self.recovered.torn_bytes += u64::from(found.torn);
                self.write_again(opened, &bytes, found)
                    .map_err(|error| self.fail("make the end of the log durable", error))?;
                survey = Some(found);
            }
        }
        Ok(survey)
    }

    /// The log goes on in this segment: the last batch is made durable, and a hint that does not check
    /// now never will.
    fn write_again(&self, opened: &Opened<D>, bytes: &[u8], found: Survey) -> io::Result<()> {
        let (segment, last) = (&opened.segment, &bytes[found.last as usize..found.end as usize]);
        self.disk.write_at(&segment.file, last, u64::from(found.last))?;
        self.disk.sync_data(&segment.file)?;
        if opened.hint {
            self.disk.remove(&hint_name(segment.head.segment))?;
            self.disk.sync_dir()?;
        }
        Ok(())
    }

    fn show_hint(&mut self, bytes: &[u8], head: &Head) {
        let Some(hint) = hint::read(bytes, head) else { return };
        self.recovered.hinted += 1;
        let (first, last) = hint.sequences;
        if self.after.is_some_and(|after| after.checked_add(1) != Some(first)) {
            self.damaged(head.segment, SECTOR, 0, Why::Missing);
        }
        for (offset, summary, bulk_len) in hint.records() {
            self.recovered.records += 1;
            let position = Position { segment: head.segment, offset };
            (self.each)(position, Visit { summary, bulk_len, damaged: false });
        }
        self.after = Some(last);
        self.greatest = self.greatest.max(last);
    }

    /// The sequence number of a segment's first batch, if it can be told.
    fn first(&self, opened: &Opened<D>) -> Option<u64> {
        let head = &opened.segment.head;
        // As long as the segment, for a head must fit; read is its sector alone.
        let mut bytes = vec![0; head.bytes as usize];
        let sector = &mut bytes[SECTOR as usize..2 * SECTOR as usize];
        self.disk.read_at(&opened.segment.file, sector, u64::from(SECTOR)).ok()?;
        BatchHead::read(&bytes, SECTOR, head).filter(|_| opened.sound).map(|batch| batch.sequence)
    }

    fn show_segment(&mut self, bytes: &[u8], head: &Head, last: bool, next: Option<u64>) -> Survey {
        let segment = head.segment;
        let around = (self.after, next);
        let survey = scan(bytes, head, last, around, &mut |found| match found {
            Found::Record(offset, visit) => {
                self.recovered.records += 1;
                (self.each)(Position { segment, offset }, visit);
            }
            Found::Damage(offset, bytes, why) => self.damaged(segment, offset, bytes, why),
        });
        if let Some((_, last)) = survey.sequences {
            self.after = Some(last);
            self.greatest = self.greatest.max(last);
        }
        survey
    }

    fn damaged(&mut self, segment: u32, offset: u32, bytes: u32, why: Why) {
        self.recovered.quarantined_count += 1;
        if self.recovered.quarantined.len() < Recovered::QUARANTINED_MAX {
            let position = Position { segment, offset };
            self.recovered.quarantined.push(Quarantined { position, bytes, why });
        }
    }

    /// What waits, what holds records, what is ready.
    #[expect(clippy::type_complexity, reason = "three parts of one whole, taken apart at once")]
    fn sort_out(
        &mut self,
        found: Vec<Opened<D>>,
        newest: Option<usize>,
        names: &Names,
    ) -> Result<(State<D>, BTreeMap<u32, Arc<Segment<D>>>, Option<Arc<Segment<D>>>), LogError> {
        let mut state = State::new(names.segments.last().copied(), names.spares.last().copied());
        let mut live = BTreeMap::new();
        let mut empty = Vec::new();
        for (at, opened) in found.into_iter().enumerate() {
            let Opened { segment, sound, wants_hint, .. } = opened;
            if sound && newest.is_none_or(|newest| at > newest) {
                empty.push(segment);
                continue;
            }
            if wants_hint {
                state.sealed.push_back(Arc::clone(&segment));
            }
            live.insert(segment.head.segment, segment);
        }
        let above = live.last_key_value().map(|(last, _)| *last);
        let fits = |segment: &Arc<Segment<D>>| {
            segment.head.bytes == self.options.segment_bytes && Some(segment.head.segment) > above
        };
        let ready = empty.first().filter(|first| fits(first)).cloned();
        // The highest first: no number is left out of the row, whenever this is cut short.
        for segment in empty.iter().skip(usize::from(ready.is_some())).rev() {
            let spare = self.set_aside(segment, state.next_spare)?;
            state.next_spare = state.next_spare.wrapping_add(1);
            state.spares.extend(spare);
        }
        let highest = ready.as_ref().map(|ready| ready.head.segment).or(above);
        state.next = highest.map_or(1, |highest| highest.saturating_add(1));
        self.open_spares(names, &mut state)?;
        let files = live.len() + state.spares.len() + usize::from(ready.is_some());
        state.files = files as u64;
        Ok((state, live, ready))
    }

    /// Makes an empty segment a spare, if it has the size.
    fn set_aside(&self, segment: &Segment<D>, number: u32) -> Result<Option<Spare<D>>, LogError> {
        let (name, spare) = (segment_name(segment.head.segment), spare_name(number));
        let keep = segment.head.bytes == self.options.segment_bytes;
        let done = if keep { self.disk.rename(&name, &spare) } else { self.disk.remove(&name) };
        done.and_then(|()| self.disk.sync_dir())
            .map_err(|e| self.fail("set a segment aside", e))?;
        Ok(keep.then(|| Spare { name: spare, file: Arc::clone(&segment.file) }))
    }

    fn open_spares(&self, names: &Names, state: &mut State<D>) -> Result<(), LogError> {
        let wanted = (self.options.reserve + self.options.spares).max(1) as usize;
        for &number in &names.spares {
            let name = spare_name(number);
            let fail = |error| self.fail("open a spare segment", error);
            let file = self.disk.open(&name).map_err(fail)?;
            let size = self.disk.size(&file).map_err(fail)?;
            if size == u64::from(self.options.segment_bytes) && state.spares.len() < wanted {
                state.spares.push(Spare { name, file: Arc::new(file) });
            } else {
                self.disk.remove(&name).map_err(fail)?;
            }
        }
        Ok(())
    }
}

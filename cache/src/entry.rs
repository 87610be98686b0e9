//! What is stored: an answer with all that is known of it, and the answers of one key together.
//!
//! An [`Entry`] never changes but for a few marks; whatever updates it makes a new one. A
//! [`Resource`] is all variants under one key, newest first, replaced as a whole: purging a URL,
//! choosing a variant and evicting one are then each a single step.

use crate::memory::Weigh;
use crate::policy::{self, ContentRange, Life, Query, Range, Reason, Selecting};
use crate::settings::Rules;
use crate::stamps::{Marks, Stamps, Standing};
use base::field::Names;
use base::{ResponseHead, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use wire::content::{Content, Flow};

/// How long nobody else refreshes an entry after a refresh has begun or failed.
pub const HOLD_OFF: Duration = Duration::from_secs(1);

/// Where the body of an entry is.
#[derive(Clone, Debug)]
pub enum Holding {
    /// Here.
    Whole(Content),
    /// On its way, of this length if it was declared.
    Coming(Arc<Flow>, Option<u64>),
}

/// One stored answer.
#[derive(Debug)]
pub struct Entry {
    /// Its head, packed, as it is sent but for Content-Length, Age and Cache-Status.
    pub head: ResponseHead,
    /// Its body.
    pub holding: Holding,
    /// How long it lives.
    pub life: Life,
    /// Which requests it answers.
    pub selecting: Selecting,
    /// Which part of the whole it is, if it is one.
    pub range: Option<ContentRange>,
    /// Its tags, hashed.
    pub tags: Arc<[u64]>,
    /// What the counter of purges said when its fetch began.
    pub stamp: u64,
    marks: Marked,
}

/// What may change about an entry.
#[derive(Debug, Default)]
struct Marked {
    /// The epoch of purges in which it was last found to stand.
    seen: AtomicU64,
    /// A soft purge hit it.
    soft: AtomicBool,
    /// Nobody refreshes it before this.
    held: AtomicU64,
    /// The last refresh failed.
    failing: AtomicBool,
}

impl Entry {
    /// An entry.
    pub fn new(
        (head, holding): (ResponseHead, Holding),
        life: Life,
        (selecting, range): (Selecting, Option<ContentRange>),
        (tags, stamp): (Arc<[u64]>, u64),
    ) -> Self {
        let marks = Marked::default();
        Self { head, holding, life, selecting, range, tags, stamp, marks }
    }

    /// The same with its body all here.
    #[must_use]
    pub fn completed(&self, content: Content) -> Self {
        Self::new(
            (self.head.packed(), Holding::Whole(content)),
            self.life,
            (self.selecting.clone(), self.range),
            (Arc::clone(&self.tags), self.stamp),
        )
    }

    /// The same with a head and a life that were freshened.
    #[must_use]
    pub fn freshened(&self, head: &ResponseHead, life: Life, stamp: u64) -> Self {
        Self::new(
            (head.packed(), self.holding.clone()),
            life,
            (self.selecting.clone(), self.range),
            (Arc::clone(&self.tags), stamp),
        )
    }

    /// A part, or by now the whole, made of this one and another.
    #[must_use]
    pub fn combined(&self, head: &ResponseHead, content: Content, range: ContentRange) -> Self {
        let range = (!range.is_whole()).then_some(range);
        let selecting =
            if range.is_some() { self.selecting.clone() } else { self.selecting.but_range() };
        Self::new(
            (head.packed(), Holding::Whole(content)),
            self.life,
            (selecting, range),
            (Arc::clone(&self.tags), self.stamp),
        )
    }

    /// Is the body of a part as long as the part says that it is?
    pub fn is_as_long_as_it_says(&self) -> bool {
        let said = self.range.map(|part| part.range.length());
        said.zip(self.content().map(Content::len)).is_none_or(|(said, length)| said == length)
    }

    /// Its body, if all of it is here.
    pub fn content(&self) -> Option<&Content> {
        match &self.holding {
            Holding::Whole(content) => Some(content),
            Holding::Coming(..) => None,
        }
    }

    /// How it stands with purges. The usual answer costs one load.
    pub fn standing<'a>(
        &'a self,
        marks: impl FnOnce(&'a [u64]) -> Marks<'a>,
        stamps: &Stamps,
    ) -> Standing {
        let epoch = stamps.epoch();
        let soft = |soft: bool| if soft { Standing::Soft } else { Standing::Good };
        if self.marks.seen.load(Ordering::Relaxed) == epoch.wrapping_add(1) {
            return soft(self.marks.soft.load(Ordering::Relaxed));
        }
        let standing = stamps.standing(&marks(&self.tags), self.stamp);
        if standing != Standing::Hard {
            self.marks.soft.store(standing == Standing::Soft, Ordering::Relaxed);
            self.marks.seen.store(epoch.wrapping_add(1), Ordering::Relaxed);
        }
        standing
    }

    /// Takes the right to refresh it in the background: one in each [`HOLD_OFF`] gets it.
    pub fn claim(&self, now: Wall) -> bool {
        let held = self.marks.held.load(Ordering::Relaxed);
        let until = (now + HOLD_OFF).0;
        held <= now.0
            && self
                .marks
                .held
                .compare_exchange(held, until, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Its refresh failed: nobody tries again for a while.
    pub fn failed(&self, now: Wall) {
        self.marks.failing.store(true, Ordering::Relaxed);
        self.marks.held.store((now + HOLD_OFF).0, Ordering::Relaxed);
    }

    /// Did its last refresh fail?
    pub fn is_failing(&self) -> bool {
        self.marks.failing.load(Ordering::Relaxed)
    }

    fn footprint(&self) -> usize {
        let content = self.content().map_or(0, Content::footprint);
        size_of::<Self>()
            + 2 * size_of::<usize>()
            + self.head.fields.footprint()
            + content
            + self.tags.len() * 8
            + self.selecting.footprint()
    }
}

/// All stored answers under one key.
#[derive(Debug)]
pub struct Resource {
    /// The text of the key.
    pub text: Box<[u8]>,
    /// What a purge of its URL names.
    pub url: u128,
    /// And of its host.
    pub host: u64,
    /// Newest first.
    pub entries: Vec<Arc<Entry>>,
}

impl Resource {
    /// What a purge may name.
    pub fn marks<'a>(&'a self, tags: &'a [u64]) -> Marks<'a> {
        Marks { url: self.url, host: self.host, place: crate::spot(&self.text), tags }
    }

    /// Does one of the answers vary by one of these fields?
    pub fn varies_by_any(&self, names: Names) -> bool {
        self.entries.iter().any(|entry| entry.selecting.has_any(names))
    }

    /// The first entry that answers a request like this, whole or the part it asks for.
    ///
    /// # Errors
    /// Why none does: what came nearest to it.
    pub fn choose(
        &self,
        query: &Query<'_>,
        rules: &Rules,
        stamps: &Stamps,
        now: Wall,
    ) -> Result<Chosen<'_>, Reason> {
        let mut why = Reason::Variant;
        for entry in &self.entries {
            if !(entry.selecting.matches(query, rules) || entry.has_part(query, rules, now)) {
                continue;
            }
            if entry.life.keep_until <= now {
                why = Reason::Absent;
            } else if !policy::may_share(&entry.life, query) {
                why = Reason::Unshared;
            } else {
                match entry.standing(|tags| self.marks(tags), stamps) {
                    Standing::Hard => why = Reason::Purged,
                    standing => return Ok(Chosen { entry, soft: standing == Standing::Soft }),
                }
            }
        }
        Err(why)
    }

    /// The same resource with `entry` instead of those that answer the same requests; at most `max`
    /// variants.
    #[must_use]
    pub fn with(&self, entry: &Arc<Entry>, max: usize) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len() + 1);
        let others = self.entries.iter().filter(|other| !other.is_replaced_by(entry));
        entries.extend(std::iter::once(entry).chain(others).take(max.max(1)).cloned());
        entries.shrink_to_fit();
        Self { text: self.text.clone(), url: self.url, host: self.host, entries }
    }
}

impl Entry {
    /// Is it a part that holds what this request asks for?
    pub fn has_part(&self, query: &Query<'_>, rules: &Rules, now: Wall) -> bool {
        self.range.is_some()
            && self.selecting.matches_but_range(query, rules)
            && self.part(query, now).is_some()
    }

    /// What a request asks for of the part that this is.
    pub fn part(&self, query: &Query<'_>, now: Wall) -> Option<Range> {
        policy::covers(&self.head, self.content()?.len(), query, now)
    }

    fn is_replaced_by(&self, newer: &Self) -> bool {
        self.selecting == newer.selecting
    }
}

/// An entry that was chosen.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The entry.
    pub entry: &'a Arc<Entry>,
    /// A soft purge hit it: it is stale, whatever its life says.
    pub soft: bool,
}

impl Weigh for Arc<Resource> {
    fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| entry.footprint()).sum();
        size_of::<Resource>()
            + 2 * size_of::<usize>()
            + self.text.len()
            + self.entries.capacity() * size_of::<usize>()
            + entries
    }
}

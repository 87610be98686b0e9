//! What a value carries to be judged by, and the versions it is judged against.

use crate::stamps::{Aim, Aims, Marks, Stamps, TICK_BITS};
use std::fmt;

/// Most tags of a value that goes to the tier.
const TAGS_MAX: usize = 128;

/// Marks and stamp of a value, in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) stamp: u64,
    pub(crate) url: u128,
    pub(crate) host: u64,
    pub(crate) tags: Vec<u64>,
}

impl Carried {
    /// Most bytes that it takes.
    pub(crate) const SIZE_MAX: usize = 34 + 8 * TAGS_MAX;

    /// `None` when there are too many tags.
    pub(crate) fn new(marks: &Marks<'_>, stamp: u64) -> Option<Self> {
        let carried = Self { stamp, url: marks.url, host: marks.host, tags: marks.tags.to_vec() };
        (carried.tags.len() <= TAGS_MAX).then_some(carried)
    }

    pub(crate) fn aims(&self) -> Vec<Aim> {
        let mut aims = vec![Aim::All, Aim::Url(self.url), Aim::Host(self.host)];
        aims.extend(self.tags.iter().map(|&tag| Aim::Tag(tag)));
        aims
    }

    /// In front of a value.
    pub(crate) fn join(&self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(34 + 8 * self.tags.len() + value.len());
        out.extend_from_slice(&self.stamp.to_le_bytes());
        out.extend_from_slice(&self.url.to_le_bytes());
        out.extend_from_slice(&self.host.to_le_bytes());
        out.extend_from_slice(&(self.tags.len() as u16).to_le_bytes());
        for tag in &self.tags {
            out.extend_from_slice(&tag.to_le_bytes());
        }
        out.extend_from_slice(value);
        out
    }

    /// Taken off again.
    pub(crate) fn split(mut body: Vec<u8>) -> Option<(Self, Vec<u8>)> {
        let (stamp, rest) = body.split_first_chunk()?;
        let (url, rest) = rest.split_first_chunk()?;
        let (host, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::from(u16::from_le_bytes(*count));
        let (tags, _) = rest.split_at_checked(8 * count)?;
        let (tags, _) = tags.as_chunks();
        let carried = Self {
            stamp: u64::from_le_bytes(*stamp),
            url: u128::from_le_bytes(*url),
            host: u64::from_le_bytes(*host),
            tags: tags.iter().map(|tag| u64::from_le_bytes(*tag)).collect(),
        };
        body.drain(..34 + 8 * count);
        Some((carried, body))
    }
}

/// The numbers of a scope's last purges, by the deployment's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    hard: u64,
    soft: u64,
    /// Where the counter was when this version was written for one that was lost.
    floor: u64,
}

impl Version {
    /// For a version that was lost.
    pub(crate) fn seed(number: u64) -> Self {
        Self { hard: 0, soft: 0, floor: number }
    }

    /// The newest number in it.
    pub(crate) fn newest(self) -> u64 {
        self.hard.max(self.soft).max(self.floor)
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(value).ok()?.split(' ').map(str::parse);
        let (Some(Ok(hard)), Some(Ok(soft)), Some(Ok(floor)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        Some(Self { hard, soft, floor })
    }

    #[must_use]
    pub(crate) fn raised(mut self, number: u64, soft: bool) -> Self {
        let side = if soft { &mut self.soft } else { &mut self.hard };
        *side = (*side).max(number);
        self
    }

    /// Is a value of this stamp dead, or may it be?
    pub(crate) fn is_hard(self, stamp: u64) -> bool {
        self.hard.max(self.floor) << TICK_BITS > stamp
    }

    pub(crate) fn is_soft(self, stamp: u64) -> bool {
        self.soft << TICK_BITS > stamp
    }

    /// Lets this gateway's stamps know of purges that hit an entry of this stamp.
    pub(crate) fn teach(self, stamps: &Stamps, aim: &Aim, stamp: u64) {
        for (number, soft) in [(self.hard, false), (self.soft, true)] {
            if number << TICK_BITS > stamp {
                stamps.learn(&Aims { aims: vec![aim.clone()], soft }, number);
            }
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hard, self.soft, self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_carried_comes_back(stamp: u64, url: u128, host: u64,
                tags in proptest::collection::vec(any::<u64>(), 0..9), value: Vec<u8>) {
            let marks = Marks { url, host, place: b"", tags: &tags };
            let carried = Carried::new(&marks, stamp).unwrap();
            prop_assert_eq!(Carried::split(carried.join(&value)), Some((carried, value)));
        }

        #[test]
        fn versions_survive_the_wire(hard: u64, soft: u64, floor: u64) {
            let version = Version { hard, soft, floor };
            prop_assert_eq!(Version::parse(version.to_string().as_bytes()), Some(version));
        }

        #[test]
        fn junk_never_panics(junk: Vec<u8>) {
            let _ = (Carried::split(junk.clone()), Version::parse(&junk));
        }
    }
}

//! The usual sins of a slow backend, each a switch.
//!
//! A [`Sin`] is a way of writing a service that works and is slow; [`Sins`] is a set of them. What
//! each one does is in the service that commits it; here are only the names.

use std::fmt;
use std::str::FromStr;

/// One way to be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sin {
    /// A page is built from many calls, one after another.
    Chatty,
    /// A list is read by one query for the list and one more for each of its rows.
    NPlusOne,
    /// The columns that are searched have no index: the table is scanned.
    MissingIndex,
    /// A list has no end: all rows are sent where a page shows a few.
    UnboundedList,
    /// The order confirmation is mailed while the customer waits.
    SlowMail,
    /// The sales report is computed anew while the customer waits.
    SlowReport,
    /// Answers are full of nested, verbose fields that nobody reads.
    FatJson,
    /// An instance marked as slow does all its work several times over.
    SlowInstance,
}

impl Sin {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 8] = [
        Self::Chatty,
        Self::NPlusOne,
        Self::MissingIndex,
        Self::UnboundedList,
        Self::SlowMail,
        Self::SlowReport,
        Self::FatJson,
        Self::SlowInstance,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chatty => "chatty",
            Self::NPlusOne => "n-plus-one",
            Self::MissingIndex => "missing-index",
            Self::UnboundedList => "unbounded-list",
            Self::SlowMail => "slow-mail",
            Self::SlowReport => "slow-report",
            Self::FatJson => "fat-json",
            Self::SlowInstance => "slow-instance",
        }
    }

    /// What it does, in a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Chatty => "pages are built from many calls, one after another",
            Self::NPlusOne => "one query for a list, and one more for each of its rows",
            Self::MissingIndex => "no index on the columns searched: full scans",
            Self::UnboundedList => "lists are sent whole where a page shows a few rows",
            Self::SlowMail => {
                "the confirmation is mailed while the customer waits (the mail server is imitated)"
            }
            Self::SlowReport => "the sales report is computed while the customer waits",
            Self::FatJson => "answers carry nested, verbose fields that nobody reads",
            Self::SlowInstance => {
                "an instance started with --ill slow does its work several times over"
            }
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Sin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of sins. Read from text as a list: `chatty,n-plus-one`, or `all`, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sins(u8);

impl Sins {
    /// Every one.
    pub const ALL: Self = Self(u8::MAX);
    /// Not one.
    pub const NONE: Self = Self(0);

    /// These.
    pub fn of(list: &[Sin]) -> Self {
        Self(list.iter().fold(0, |bits, sin| bits | sin.bit()))
    }

    /// Is `sin` among them?
    pub const fn has(self, sin: Sin) -> bool {
        self.0 & sin.bit() != 0
    }

    /// These less `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl fmt::Display for Sins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let mut between = "";
        for sin in Sin::ALL {
            if self.has(sin) {
                write!(f, "{between}{sin}")?;
                between = ",";
            }
        }
        Ok(())
    }
}

/// A name that is no sin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sin of the shop; known are {known}, or `all`, or `none`", known = Sins::ALL)]
pub struct UnknownSin(String);

impl FromStr for Sins {
    type Err = UnknownSin;

    fn from_str(text: &str) -> Result<Self, UnknownSin> {
        let mut set = Self::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            set = match word {
                "all" => Self::ALL,
                "none" => set,
                _ => {
                    let sin = Sin::ALL.into_iter().find(|sin| sin.name() == word);
                    Self(set.0 | sin.ok_or_else(|| UnknownSin(word.to_owned()))?.bit())
                }
            };
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_sins_is_read_and_printed() {
        for text in ["chatty", "n-plus-one,fat-json", "none", "chatty,slow-mail,slow-instance"] {
            assert_eq!(text.parse::<Sins>().map(|sins| sins.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("all".parse(), Ok(Sins::ALL));
        assert_eq!(" fat-json , chatty ".parse(), Ok(Sins::of(&[Sin::Chatty, Sin::FatJson])));
    }

    #[test]
    fn an_unknown_sin_is_named_beside_the_known_ones() {
        let error = "chatty,n+1".parse::<Sins>().unwrap_err().to_string();
        assert!(error.starts_with("`n+1` is no sin of the shop; known are chatty,n-plus-one,"));
    }
}

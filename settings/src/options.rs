//! Every key there is, in [`table`]: its kind, bounds, default and a sentence about it.
//!
//! This table is the one source of the check for unknown keys, of types and bounds ([`crate::reader`]),
//! of the schema for editors and of the reference page. Defaults in force come from the rooms'
//! `standard()`; a test holds the texts here to them.

mod balance;
mod caching;
mod events;
mod monitor;
mod offload;
mod queue;
mod route;
mod service;
mod table;

pub(crate) use balance::*;
pub(crate) use caching::*;
pub(crate) use events::*;
pub(crate) use monitor::*;
pub(crate) use offload::*;
pub(crate) use queue::*;
pub(crate) use route::*;
pub(crate) use service::*;
pub(crate) use table::*;

use base::{ByteSize, Share};
use std::fmt::Write;
use std::time::Duration;

/// A table of the file.
pub(crate) struct Section {
    /// How the file writes its header; empty for the top level.
    pub(crate) header: &'static str,
    pub(crate) doc: &'static str,
    /// What other programs call a key, and what it is called here: for hints.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
    pub(crate) keys: &'static [Key],
}

/// One key of a table.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    pub(crate) doc: &'static str,
    /// In TOML.
    pub(crate) examples: &'static [&'static str],
}

/// What holds when a key is not there.
#[derive(Clone, Copy)]
pub(crate) enum Default {
    /// It is a mistake.
    Required,
    /// This value, in TOML.
    Value(&'static str),
    /// What the sentence says.
    Words(&'static str),
}

/// What may stand at a key.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A string; `false` too where it switches something off.
    Text { form: Form, or_false: bool },
    /// Strings of one form: an array, or one alone where `alone`.
    Texts { form: Form, alone: bool },
    /// One of these words, or where there is a form, a string of it.
    Choice { words: &'static [&'static str], or: Option<Form> },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { least: u64, most: u64, unlimited: bool },
    /// A number of bytes.
    Size { least: ByteSize, most: ByteSize, unlimited: bool },
    /// A length of time; `false` too where it switches something off.
    Time { least: Duration, most: Duration, or_false: bool },
    /// A percentage; `false` too where it switches something off.
    Share { least: Share, most: Share, or_false: bool },
    /// Whole numbers: an array, or one alone.
    Counts { least: u64, most: u64 },
    /// One name of this form, or a table of several with a weight for each.
    Weights { form: Form, most: u64 },
    /// A table of strings under names of one form, each of another; what both are for a sentence.
    Pairs { what: &'static str, name: &'static str, value: &'static str },
    /// A table, or in its place the value of its key `key`, which is a string; `false` too where it
    /// switches something off.
    Short { key: &'static str, section: &'static Section, or_false: bool },
    /// What [`Kind::Short`] allows, or `true` or `false` for the whole of it.
    ShortSwitch { key: &'static str, section: &'static Section },
    /// An array of what [`Kind::Short`] allows, or one alone.
    Shorts { key: &'static str, section: &'static Section },
    /// A table.
    Table(&'static Section),
    /// A table, or `true` or `false` for the whole of it.
    Switch(&'static Section),
    /// An array of tables.
    Tables(&'static Section),
    /// A table of tables under names of the user's choice.
    Named(&'static Section),
}

/// The form of a string.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// In a sentence: "a file's path".
    pub(crate) what: &'static str,
    /// A regular expression (ECMA 262) that legal values match.
    pub(crate) pattern: &'static str,
}

impl Section {
    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Kind {
    /// What may stand here, as a caret's label says it.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Self::Text { form, or_false: false } => form.what.to_owned(),
            Self::Text { form, or_false: true } => format!("{}, or false", form.what),
            Self::Texts { form, .. } => format!("strings: {}", form.what),
            Self::Choice { words, or } => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let words = words.join(", ");
                or.map_or(words.clone(), |form| format!("{words} or {}", form.what))
            }
            Self::Flag => "true or false".to_owned(),
            Self::Count { least, most, unlimited } => {
                format!("a whole number from {least} to {most}{}", or_unlimited(*unlimited))
            }
            Self::Size { least, most, unlimited } => {
                format!("a size from {least} to {most}{}", or_unlimited(*unlimited))
            }
            Self::Time { least, most, or_false } => {
                let or = if *or_false { ", or false" } else { "" };
                format!("a duration from {} to {}{or}", duration(*least), duration(*most))
            }
            Self::Share { least, most, or_false } => {
                let or = if *or_false { ", or false" } else { "" };
                format!("a share from {least} to {most}{or}")
            }
            Self::Counts { least, most } => format!("whole numbers from {least} to {most}"),
            Self::Weights { form, most } => {
                format!("{}, or a table of names and weights up to {most}", form.what)
            }
            Self::Pairs { what, .. } => format!("a table of {what}"),
            Self::Short { key, section, or_false } => {
                let or = if *or_false { ", or false" } else { "" };
                let short = section.key(key).map(|key| key.kind.allowed()).unwrap_or_default();
                format!("{short}, or a table of {}{or}", names(section))
            }
            Self::ShortSwitch { key, section } => {
                let short = section.key(key).map(|key| key.kind.allowed()).unwrap_or_default();
                format!("true, false, {short}, or a table of {}", names(section))
            }
            Self::Shorts { key, section } => {
                let short = section.key(key).map(|key| key.kind.allowed()).unwrap_or_default();
                format!("{short}, or a table of {}, or several", names(section))
            }
            Self::Table(section) => format!("a table of {}", names(section)),
            Self::Switch(section) => format!("true, false or a table of {}", names(section)),
            Self::Tables(section) => format!("tables of {}", names(section)),
            Self::Named(section) => format!("a table for each, headed {}", section.header),
        }
    }
}

fn or_unlimited(unlimited: bool) -> &'static str {
    if unlimited { ", or \"unlimited\"" } else { "" }
}

/// The keys of a section, for a sentence.
pub(crate) fn names(section: &Section) -> String {
    section.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// A duration as the settings read it back, exactly: `1m30s`.
pub(crate) fn duration(value: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut left = value.as_nanos();
    let mut text = String::new();
    for (scale, unit) in UNITS {
        if left >= scale {
            write!(text, "{}{unit}", left / scale).expect("writing to a string does not fail");
            left %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

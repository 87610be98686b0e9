//! Truths, counts, sizes, times and shares, in the bounds of the table of options.

use super::{At, Reader, Table};
use crate::options::{Kind, duration};
use crate::report::Wrong;
use base::{ByteSize, Share, unit};
use std::ops::Range;
use std::time::Duration;
use toml::de::DeValue;

impl<'s> Reader<'s> {
    /// The truth at a key.
    pub(crate) fn flag(&mut self, table: &Table<'s>, key: &str) -> Option<bool> {
        let value = Self::value(table, key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => return Some(*value),
            DeValue::String(text) if text.contains("${") => {
                let text = self.fill(&table.scope.key(key), text, value.span())?;
                if let Ok(value) = text.value.parse() {
                    return Some(value);
                }
                let what = format!("\"{}\" is neither true nor false", text.value);
                let wrong = Wrong::all(&text.value, what, "true or false");
                self.wrong(&table.scope, key, &text, wrong);
            }
            _ => self.mistyped(table, key, value),
        }
        None
    }

    /// The whole number at a key, in bounds; `None` inside is unlimited.
    pub(crate) fn count(&mut self, table: &Table<'s>, key: &str) -> Option<At<Option<u64>>> {
        let value = Self::value(table, key)?;
        let Some(Kind::Count { least, most, unlimited }) =
            table.section.key(key).map(|option| &option.kind)
        else {
            return None;
        };
        let span = value.span();
        let number = match value.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(word) if *unlimited && word == "unlimited" => {
                return Some(At { value: None, span });
            }
            DeValue::String(text) if text.contains("${") => {
                let text = self.fill(&table.scope.key(key), text, span.clone())?;
                if *unlimited && text.value == "unlimited" {
                    return Some(At { value: None, span });
                }
                let Ok(number) = text.value.trim().parse::<i128>() else {
                    let what = format!("\"{}\" is no whole number", text.value);
                    let allowed = Kind::Count { least: *least, most: *most, unlimited: *unlimited };
                    let wrong = Wrong::all(&text.value, what, allowed.allowed());
                    self.wrong(&table.scope, key, &text, wrong);
                    return None;
                };
                Some(number)
            }
            _ => {
                self.mistyped(table, key, value);
                return None;
            }
        };
        let in_bounds = number
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| (*least..=*most).contains(number));
        if in_bounds.is_none() {
            let few = number.is_some_and(|number| number < i128::from(*least));
            let found =
                number.map_or_else(|| self.text[span.clone()].to_owned(), |n| n.to_string());
            self.out_of_bounds(table, key, &span, &found, if few { "few" } else { "many" });
        }
        in_bounds.map(|value| At { value: Some(value), span })
    }

    /// The size at a key, in bounds; `None` inside is unlimited.
    pub(crate) fn size(&mut self, table: &Table<'s>, key: &str) -> Option<At<Option<ByteSize>>> {
        let text = self.text(table, key)?;
        let Some(Kind::Size { least, most, unlimited }) =
            table.section.key(key).map(|option| &option.kind)
        else {
            return None;
        };
        if *unlimited && text.value == "unlimited" {
            return Some(At { value: None, span: text.span });
        }
        let size = self.parse(table, key, &text, |text| {
            let allowed = format!("a size from {least} to {most}");
            unit::parse_size(text).map_err(|sentence| by_unit(text, &sentence, &allowed))
        })?;
        if !(*least..=*most).contains(&size.value) {
            let word = if size.value < *least { "small" } else { "large" };
            self.out_of_bounds(table, key, &size.span, &text.value, word);
            return None;
        }
        Some(At { value: Some(size.value), span: size.span })
    }

    /// The duration at a key, in bounds; `None` where `false` stands, `ground` where nothing does.
    pub(crate) fn time_or_off(
        &mut self,
        table: &Table<'s>,
        key: &str,
        ground: Option<Duration>,
    ) -> Option<Duration> {
        if Self::is_off(table, key) {
            return None;
        }
        self.time(table, key).map_or(ground, |found| Some(found.value))
    }

    /// The duration at a key, in bounds.
    pub(crate) fn time(&mut self, table: &Table<'s>, key: &str) -> Option<At<Duration>> {
        let kind = table.section.key(key).map(|option| &option.kind)?;
        let Kind::Time { least, most, or_false } = kind else { return None };
        let found = self.parsed(table, key, |text| {
            let wrong = |sentence: String| by_unit(text, &sentence, &kind.allowed());
            unit::parse_duration(text).map_err(wrong).map_err(|wrong| match text {
                "none" | "off" | "false" | "no" | "never" if *or_false => {
                    wrong.hint("without quotes: false")
                }
                _ => wrong,
            })
        })?;
        if !(*least..=*most).contains(&found.value) {
            let word = if found.value < *least { "short" } else { "long" };
            self.out_of_bounds(table, key, &found.span, &duration(found.value), word);
            return None;
        }
        Some(found)
    }

    /// The share at a key, in bounds; zero where `false` stands.
    pub(crate) fn share(&mut self, table: &Table<'s>, key: &str) -> Option<At<Share>> {
        let kind = table.section.key(key).map(|option| &option.kind)?;
        let Kind::Share { least, most, or_false } = kind else { return None };
        if *or_false && Self::is_off(table, key) {
            return table.place(key).map(|span| At { value: Share(0), span });
        }
        let found = self.parsed(table, key, |text| {
            unit::parse_share(text).map_err(|sentence| {
                let wrong = by_unit(text, &sentence, &kind.allowed());
                match text.trim() {
                    "none" | "off" | "false" | "no" | "never" if *or_false => {
                        wrong.hint("without quotes: false")
                    }
                    number if number.parse::<u32>().is_ok() => wrong.meant(format!("{number}%")),
                    _ => wrong,
                }
            })
        })?;
        if !(*least..=*most).contains(&found.value) {
            let word = if found.value < *least { "small" } else { "large" };
            self.out_of_bounds(table, key, &found.span, &found.value.to_string(), word);
            return None;
        }
        Some(found)
    }

    fn out_of_bounds(
        &mut self,
        table: &Table<'s>,
        key: &str,
        span: &Range<usize>,
        found: &str,
        word: &str,
    ) {
        let allowed = table.section.key(key).map(|option| option.kind.allowed());
        let what = format!("{}{found} is too {word}", table.scope.key(key));
        self.note(span.clone(), what, allowed.unwrap_or_default(), None);
    }
}

/// The sentence of `base::unit` as a mistake with its place.
fn by_unit(text: &str, sentence: &str, allowed: &str) -> Wrong {
    let (what, hint) = sentence.split_once("; ").map_or((sentence, None), |(w, h)| (w, Some(h)));
    let wrong = Wrong::all(text, what.replace('`', "\""), allowed);
    Wrong { hint: hint.map(str::to_owned), ..wrong }
}

//! Values of more than one shape: a table or a value in its place, lists of those, weights.

use super::{At, Reader, Scope, Table, Text};
use crate::options::{Kind, Section};
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

static EMPTY: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);

impl<'s> Reader<'s> {
    /// The table at a key, opened; or the string in its place as a table of that one key.
    pub(crate) fn short(
        &mut self,
        table: &Table<'s>,
        key: &str,
        scope: Scope,
    ) -> Option<Table<'s>> {
        let value = Self::value(table, key)?;
        let (Kind::Short { key: own, section, .. } | Kind::ShortSwitch { key: own, section }) =
            table.section.key(key).map(|option| option.kind)?
        else {
            return None;
        };
        let alone = Scope::Value(table.scope.key(key));
        let found = self.either(value, (own, section), scope, alone);
        if found.is_none() {
            self.mistyped(table, key, value);
        }
        found
    }

    /// `Ok` is what [`Reader::short`] has, and `Err` the truth that stands there in its place.
    pub(crate) fn short_switch(
        &mut self,
        table: &Table<'s>,
        key: &str,
        scope: Scope,
    ) -> Option<Result<Table<'s>, bool>> {
        match Self::value(table, key)?.get_ref() {
            DeValue::Boolean(truth) => Some(Err(*truth)),
            _ => self.short(table, key, scope).map(Ok),
        }
    }

    /// The tables at a key as [`Reader::short`] has each of them, of an array or of one alone.
    pub(crate) fn shorts(
        &mut self,
        table: &Table<'s>,
        key: &str,
        scope: &Scope,
    ) -> Option<Vec<Table<'s>>> {
        let value = Self::value(table, key)?;
        let Some(Kind::Shorts { key: own, section }) =
            table.section.key(key).map(|option| option.kind)
        else {
            return None;
        };
        let one = std::slice::from_ref(value);
        let (values, array): (&'s [_], _) = match value.get_ref() {
            DeValue::Array(values) => (values, true),
            _ => (one, false),
        };
        let mut found = Vec::new();
        for value in values {
            let alone = Scope::Value(table.scope.key(key));
            match self.either(value, (own, section), scope.clone(), alone) {
                Some(table) => found.push(table),
                None if array => self.mistyped(table, key, value),
                None => {
                    self.mistyped(table, key, value);
                    return None;
                }
            }
        }
        Some(found)
    }

    fn either(
        &mut self,
        value: &'s Spanned<DeValue<'s>>,
        (own, section): (&'static str, &'static Section),
        scope: Scope,
        alone: Scope,
    ) -> Option<Table<'s>> {
        let span = value.span();
        match value.get_ref() {
            DeValue::Table(inner) => Some(self.open(scope, section, inner, span)),
            DeValue::String(_) => {
                let entries: &'s DeTable<'s> = &EMPTY;
                Some(Table { scope: alone, section, entries, alone: Some((own, value)), span })
            }
            _ => None,
        }
    }

    /// The whole numbers at a key, in bounds, one alone too; the same twice is noted.
    pub(crate) fn counts(&mut self, table: &Table<'s>, key: &str) -> Option<Vec<u64>> {
        let value = Self::value(table, key)?;
        let Some(Kind::Counts { least, most }) = table.section.key(key).map(|option| option.kind)
        else {
            return None;
        };
        let values: &[_] = match value.get_ref() {
            DeValue::Array(values) => values,
            _ => std::slice::from_ref(value),
        };
        let mut found: Vec<At<u64>> = Vec::new();
        for value in values {
            let number = match self.whole(table, key, value) {
                Whole::Number(number) => number,
                Whole::Other => {
                    self.mistyped(table, key, value);
                    continue;
                }
                Whole::Lost => continue,
            };
            let Some(number) = number.filter(|number| (least..=most).contains(number)) else {
                let source = &self.text[value.span()];
                let what = format!("{}{source} is out of bounds", table.scope.key(key));
                let allowed = format!("numbers from {least} to {most}");
                self.note(value.span(), what, allowed, None);
                continue;
            };
            if let Some(first) = found.iter().find(|first| first.value == number) {
                let what = format!("{}{number} twice", table.scope.key(key));
                let there = (&first.span.clone(), "first here".to_owned());
                self.note_pair(what, (&value.span(), String::new()), there, None);
                continue;
            }
            found.push(At { value: number, span: value.span() });
        }
        Some(found.into_iter().map(|found| found.value).collect())
    }

    /// The names at a key, each with its weight, in the order of the file; one alone has weight 1.
    pub(crate) fn weights(
        &mut self,
        table: &Table<'s>,
        key: &str,
    ) -> Option<Vec<(At<String>, u64)>> {
        let value = Self::value(table, key)?;
        let Some(Kind::Weights { most, .. }) = table.section.key(key).map(|option| option.kind)
        else {
            return None;
        };
        match value.get_ref() {
            DeValue::String(_) => {
                let text = self.text(table, key)?;
                Some(vec![(At { value: text.value, span: text.span }, 1)])
            }
            DeValue::Table(inner) => {
                let mut found = Vec::new();
                for (name, value) in inner {
                    let weight = match self.whole(table, key, value) {
                        Whole::Number(number) => number,
                        Whole::Other => None,
                        Whole::Lost => continue,
                    };
                    let name = At { value: name.get_ref().to_string(), span: name.span() };
                    if let Some(weight) = weight.filter(|weight| *weight <= most) {
                        found.push((name, weight));
                        continue;
                    }
                    let source = &self.text[value.span()];
                    let what = format!("{}{source} is no weight", table.scope.key(key));
                    let allowed = format!("a whole number from 0 to {most}");
                    let hint = source.trim_matches(['"', '\'']).trim_end_matches('%');
                    let hint =
                        hint.parse::<u64>().is_ok_and(|weight| weight <= most).then_some(hint);
                    let hint = hint.map(|weight| format!("a plain number: {weight}"));
                    self.note(value.span(), what, allowed, hint);
                }
                found.sort_by_key(|(name, _)| name.span.start);
                Some(found)
            }
            _ => {
                self.mistyped(table, key, value);
                None
            }
        }
    }

    /// The strings under names at a key, in the order of the file.
    pub(crate) fn pairs(
        &mut self,
        table: &Table<'s>,
        key: &str,
    ) -> Option<Vec<(At<String>, Text)>> {
        let value = Self::value(table, key)?;
        let DeValue::Table(inner) = value.get_ref() else {
            self.mistyped(table, key, value);
            return None;
        };
        if inner.is_empty() {
            let what = format!("{}an empty table", table.scope.key(key));
            let allowed = table.section.key(key).map(|option| option.kind.allowed());
            let hint = Some("take the key out".to_owned());
            self.note(value.span(), what, allowed.unwrap_or_default(), hint);
        }
        let mut found = Vec::new();
        for (name, value) in inner {
            let name = At { value: name.get_ref().to_string(), span: name.span() };
            if let DeValue::String(text) = value.get_ref() {
                let start = format!("{}{}: ", table.scope.key(key), name.value);
                let text = self.fill(&start, text, value.span());
                found.extend(text.map(|text| (name, text)));
                continue;
            }
            let start = table.scope.key(key);
            let source = &self.text[value.span()];
            let (what, hint) = match value.get_ref() {
                DeValue::Table(inner) => {
                    let dotted = inner.keys().next().map(|key| key.get_ref().to_string());
                    let dotted = format!("{}.{}", name.value, dotted.unwrap_or_default());
                    let hint = format!("a name with a dot stands in quotes: \"{dotted}\"");
                    (format!("{start}{} is a table", name.value), Some(hint))
                }
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    let hint = format!("write it in quotes: \"{source}\"");
                    (format!("{start}{} is {source}", name.value), Some(hint))
                }
                _ => (format!("{start}{} is no string", name.value), None),
            };
            let place = if value.get_ref().is_table() { name.span } else { value.span() };
            self.note(place, what, "a string".to_owned(), hint);
        }
        found.sort_by_key(|(name, _)| name.span.start);
        Some(found)
    }

    /// A whole number, or a variable that holds one.
    fn whole(&mut self, table: &Table<'s>, key: &str, value: &Spanned<DeValue<'s>>) -> Whole {
        match value.get_ref() {
            DeValue::Integer(number) => {
                Whole::Number(u64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::String(text) if text.contains("${") => {
                match self.fill(&table.scope.key(key), text, value.span()) {
                    Some(text) => Whole::Number(text.value.trim().parse().ok()),
                    None => Whole::Lost,
                }
            }
            _ => Whole::Other,
        }
    }
}

/// What stands where a whole number should.
enum Whole {
    /// A number, unless it is negative or too large.
    Number(Option<u64>),
    /// Something else.
    Other,
    /// A variable that is not set: noted already.
    Lost,
}

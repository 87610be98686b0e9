//! Reads keys of a parsed file by the table of [`crate::options`] and collects what is wrong.
//!
//! A getter returns `None` both when a key is absent and when it is wrong: after a mistake no
//! settings leave this crate, so a default in its place is harmless and lets the reading go on.

mod numbers;
mod shapes;
mod variables;

use crate::options::{Default, Kind, Section, names};
use crate::report::{Mistake, Place, Wrong, closest};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What of the world outside the file the settings depend on.
pub(crate) struct World<'w> {
    /// The environment.
    pub(crate) variable: &'w dyn Fn(&str) -> Option<String>,
    /// Why a file cannot be used, if it cannot or is longer than this.
    pub(crate) trouble: &'w dyn Fn(&Path, Option<u64>) -> Option<String>,
}

/// Reads one file.
pub(crate) struct Reader<'s> {
    pub(crate) file: &'s str,
    pub(crate) text: &'s str,
    pub(crate) world: &'s World<'s>,
    /// Each with the byte it starts at.
    pub(crate) mistakes: Vec<(usize, Mistake)>,
    /// Lines that are no TOML: what stands there is lost, so keys may seem to be missing.
    pub(crate) torn: Vec<Range<usize>>,
}

/// A table of the file, and how mistakes speak of it.
#[derive(Clone)]
pub(crate) struct Table<'s> {
    pub(crate) scope: Scope,
    pub(crate) section: &'static Section,
    pub(crate) entries: &'s DeTable<'s>,
    /// The one value that stands in the place of a table, and the key it is of.
    pub(crate) alone: Option<(&'static str, &'s Spanned<DeValue<'s>>)>,
    pub(crate) span: Range<usize>,
}

/// How mistakes speak of a table.
#[derive(Clone)]
pub(crate) enum Scope {
    Root,
    Section(String),
    Route(String),
    /// A table inside a route: its label, and the table's path from there.
    InRoute(String, &'static str),
    /// A value in the place of a table: how mistakes speak of it begins with this.
    Value(String),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A string, its variables put in.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) span: Range<usize>,
    /// Where its first byte stands, when the file spells it out byte by byte.
    pub(crate) exact: Option<usize>,
}

impl Scope {
    /// The start of a sentence about the table.
    pub(crate) fn table(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Section(name) => format!("{name}: "),
            Self::Route(label) => format!("route \"{label}\": "),
            Self::InRoute(label, path) => format!("route \"{label}\": {path}: "),
            Self::Value(start) => start.clone(),
        }
    }

    /// The start of a sentence about one of its keys.
    pub(crate) fn key(&self, key: &str) -> String {
        match self {
            Self::Section(name) => format!("{name}.{key}: "),
            Self::InRoute(label, path) => format!("route \"{label}\": {path}.{key}: "),
            Self::Value(start) => start.clone(),
            Self::Root | Self::Route(_) => format!("{}{key}: ", self.table()),
        }
    }
}

impl<'s> Table<'s> {
    /// What stands at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        match self.alone {
            Some((own, value)) => Some(value).filter(|_| own == key),
            None => self.entries.get(key),
        }
    }

    /// Where the value of a key stands, if there is one.
    pub(crate) fn place(&self, key: &str) -> Option<Range<usize>> {
        self.get(key).map(Spanned::span)
    }
}

impl Text {
    /// Where a part of it stands; all of it where that is unknown.
    pub(crate) fn place(&self, part: &Range<usize>) -> Range<usize> {
        match self.exact {
            Some(start) if *part != (0..self.value.len()) => start + part.start..start + part.end,
            _ => self.span.clone(),
        }
    }
}

impl<'s> Reader<'s> {
    /// A reader of `text`, which stands in `file`.
    pub(crate) fn new(file: &'s str, text: &'s str, world: &'s World<'s>) -> Self {
        Self { file, text, world, mistakes: Vec::new(), torn: Vec::new() }
    }

    /// The mistakes, in the order of the file.
    pub(crate) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(start, _)| *start);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()
    }

    /// Marks a line as lost.
    pub(crate) fn tear(&mut self, line: Range<usize>) {
        self.torn.push(line);
    }

    /// Is this line lost?
    pub(crate) fn torn_at(&self, line: &Range<usize>) -> bool {
        self.torn.contains(line)
    }

    /// Is any line lost?
    pub(crate) fn torn(&self) -> bool {
        !self.torn.is_empty()
    }

    /// Keeps a mistake, unless the line is lost anyway.
    fn keep(&mut self, start: usize, mistake: Mistake) {
        if !self.torn.iter().any(|line| (line.start..=line.end).contains(&start)) {
            self.mistakes.push((start, mistake));
        }
    }

    /// Notes a mistake.
    pub(crate) fn note(
        &mut self,
        span: Range<usize>,
        what: String,
        allowed: String,
        hint: Option<String>,
    ) {
        let places = vec![Place::in_file(self.text, &span, allowed)];
        let mistake = Mistake { source: self.file.to_owned(), what, places, hint };
        self.keep(span.start, mistake);
    }

    /// Notes a mistake that takes two places to see.
    pub(crate) fn note_pair(
        &mut self,
        what: String,
        (here, label): (&Range<usize>, String),
        (there, other): (&Range<usize>, String),
        hint: Option<String>,
    ) {
        let places =
            vec![Place::in_file(self.text, here, label), Place::in_file(self.text, there, other)];
        let mistake = Mistake { source: self.file.to_owned(), what, places, hint };
        self.keep(here.start, mistake);
    }

    /// Notes what is wrong with the text at a key.
    pub(crate) fn wrong(&mut self, scope: &Scope, key: &str, text: &Text, wrong: Wrong) {
        let what = format!("{}{}", scope.key(key), wrong.what);
        self.note(text.place(&wrong.part), what, wrong.allowed, wrong.hint);
    }

    /// Opens a table: unknown and missing keys are noted.
    pub(crate) fn open(
        &mut self,
        scope: Scope,
        section: &'static Section,
        table: &'s DeTable<'s>,
        span: Range<usize>,
    ) -> Table<'s> {
        let table = Table { scope, section, entries: table, alone: None, span };
        for (key, _) in table.entries {
            if section.key(key.get_ref()).is_none() {
                self.unknown(&table, key);
            }
        }
        for key in section.keys {
            let absent = !table.entries.contains_key(key.name);
            if absent && matches!(key.default, Default::Required) && !self.torn() {
                let what = format!("{}{} is missing", table.scope.table(), key.name);
                let hint = key.examples.first().map(|value| match key.kind {
                    Kind::Named(_) => {
                        "[service.shop] servers = [\"http://localhost:3000\"]".to_owned()
                    }
                    _ => format!("{} = {value}", key.name),
                });
                self.note(table.span.clone(), what, key.kind.allowed(), hint);
            }
        }
        table
    }

    fn unknown(&mut self, table: &Table<'s>, key: &Spanned<DeString<'s>>) {
        let name = key.get_ref().as_ref();
        let what = format!("{}unknown key \"{name}\"", table.scope.table());
        let elsewhere = [&crate::options::ROOT, &crate::options::LIMITS, &crate::options::FORWARD]
            .into_iter()
            .chain([&crate::options::MONITOR, &crate::options::SERVICES, &crate::options::ROUTE])
            .chain([&crate::options::CACHE, &crate::options::BALANCE, &crate::options::RETRY])
            .chain([&crate::options::OFFLOAD, &crate::options::QUEUES])
            .chain([&crate::options::ROUTE_OFFLOAD, &crate::options::QUEUE_RETRY])
            .find(|section| section.key(name).is_some());
        let near = closest(name, table.section.keys.iter().map(|key| key.name));
        let meant = table.section.aliases.iter().find(|(alias, _)| *alias == name);
        let hint = match (meant.map(|(_, key)| *key).or(near), elsewhere) {
            (Some(near), _) => Some(match meant.and_then(|_| inner_example(table, near)) {
                Some(example) => format!("did you mean {near} = {example}?"),
                None => format!("did you mean \"{near}\"?"),
            }),
            (None, Some(section)) if section.header.is_empty() => {
                Some(format!("\"{name}\" stands at the top of the file, before the first section"))
            }
            (None, Some(section)) => Some(format!("\"{name}\" belongs in {}", section.header)),
            (None, None) => None,
        };
        self.note(key.span(), what, format!("known keys: {}", names(table.section)), hint);
    }

    fn value(table: &Table<'s>, key: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        debug_assert!(table.section.key(key).is_some(), "{key} is in the table of options");
        table.get(key)
    }

    /// Notes a value of the wrong type.
    fn mistyped(&mut self, table: &Table<'s>, key: &str, value: &Spanned<DeValue<'s>>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let Some(option) = table.section.key(key) else { return };
        let source = &self.text[value.span()];
        let scalar = matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_));
        let hint = match &option.kind {
            Kind::Choice { words, .. } if scalar && words.contains(&source) => {
                Some(format!("write it in quotes: \"{source}\""))
            }
            Kind::Time { .. } if scalar => Some(format!("write a unit: \"{source}s\"")),
            Kind::Size { .. } if scalar => Some(format!("write a unit: \"{source} B\"")),
            Kind::Share { .. } if scalar => Some(format!("write it in quotes: \"{source}%\"")),
            Kind::Count { .. } | Kind::Counts { .. } | Kind::Flag | Kind::Switch(_) => {
                unquoted(value.get_ref(), &option.kind)
            }
            Kind::Tables(section) if matches!(value.get_ref(), DeValue::Table(_)) => {
                let header = section.header;
                header.starts_with("[[").then(|| format!("the header is written {header}"))
            }
            _ => option.examples.first().map(|value| format!("{key} = {value}")),
        };
        let what = format!("{}{found}", table.scope.key(key));
        self.note(value.span(), what, option.kind.allowed(), hint);
    }

    /// The string at a key.
    pub(crate) fn text(&mut self, table: &Table<'s>, key: &str) -> Option<Text> {
        let value = Self::value(table, key)?;
        if let DeValue::String(text) = value.get_ref() {
            self.fill(&table.scope.key(key), text, value.span())
        } else {
            self.mistyped(table, key, value);
            None
        }
    }

    /// Does `false` stand at a key?
    pub(crate) fn is_off(table: &Table<'s>, key: &str) -> bool {
        let value = Self::value(table, key).map(Spanned::get_ref);
        value.is_some_and(|value| value.as_bool() == Some(false))
    }

    /// What `parse` makes of the string at a key.
    pub(crate) fn parsed<T>(
        &mut self,
        table: &Table<'s>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        let text = self.text(table, key)?;
        self.parse(table, key, &text, parse)
    }

    /// What `parse` makes of `text`, which stands at a key.
    pub(crate) fn parse<T>(
        &mut self,
        table: &Table<'s>,
        key: &str,
        text: &Text,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        match parse(&text.value) {
            Ok(value) => Some(At { value, span: text.span.clone() }),
            Err(wrong) => {
                self.wrong(&table.scope, key, text, wrong);
                None
            }
        }
    }

    /// The strings at a key; one alone where the table of options says so.
    pub(crate) fn texts(&mut self, table: &Table<'s>, key: &str) -> Option<Vec<Text>> {
        let value = Self::value(table, key)?;
        let alone = table.section.key(key).map(|option| &option.kind);
        match (value.get_ref(), alone) {
            (DeValue::String(_), Some(Kind::Texts { alone: true, .. })) => {
                self.text(table, key).map(|text| vec![text])
            }
            (DeValue::Array(values), _) => {
                let mut texts = Vec::new();
                for value in values {
                    match value.get_ref() {
                        DeValue::String(text) => {
                            texts.extend(self.fill(&table.scope.key(key), text, value.span()));
                        }
                        _ => self.mistyped(table, key, value),
                    }
                }
                Some(texts)
            }
            _ => {
                self.mistyped(table, key, value);
                None
            }
        }
    }

    /// What `parse` makes of each of the strings at a key; the same twice is noted.
    pub(crate) fn parsed_all<T: PartialEq>(
        &mut self,
        table: &Table<'s>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<At<T>>> {
        let mut all: Vec<At<T>> = Vec::new();
        for text in self.texts(table, key)? {
            let Some(found) = self.parse(table, key, &text, &parse) else { continue };
            if let Some(first) = all.iter().find(|first| first.value == found.value) {
                let what = format!("{}\"{}\" twice", table.scope.key(key), text.value);
                let (here, there) =
                    ((&found.span, String::new()), (&first.span, "first here".to_owned()));
                self.note_pair(what, here, there, None);
                continue;
            }
            all.push(found);
        }
        Some(all)
    }

    /// The word at a key, one of those allowed, or `Err` of another string where that is allowed.
    pub(crate) fn choice(
        &mut self,
        table: &Table<'s>,
        key: &str,
    ) -> Option<Result<&'static str, Text>> {
        let text = self.text(table, key)?;
        let Some(Kind::Choice { words, or }) = table.section.key(key).map(|option| &option.kind)
        else {
            return None;
        };
        if let Some(word) = words.iter().find(|word| **word == text.value) {
            return Some(Ok(word));
        }
        if or.is_some() && !text.value.is_empty() {
            return Some(Err(text));
        }
        let lower = text.value.to_ascii_lowercase();
        // OpenTelemetry's `http/protobuf` is `http`.
        let lower = lower.split('/').next().unwrap_or(&lower);
        let names = words.iter().copied().filter(|word| !word.starts_with(char::is_numeric));
        let hint = closest(lower, names).map(|word| format!("did you mean \"{word}\"?"));
        let what = format!("{}\"{}\" is not known", table.scope.key(key), text.value);
        let allowed = table.section.key(key).map(|option| option.kind.allowed());
        self.note(text.span, what, allowed.unwrap_or_default(), hint);
        None
    }

    /// The table at a key, opened.
    pub(crate) fn table(
        &mut self,
        table: &Table<'s>,
        key: &str,
        scope: Scope,
    ) -> Option<Table<'s>> {
        let value = Self::value(table, key)?;
        if let (DeValue::Table(inner), Some(Kind::Table(section) | Kind::Switch(section))) =
            (value.get_ref(), table.section.key(key).map(|option| &option.kind))
        {
            Some(self.open(scope, section, inner, value.span()))
        } else {
            self.mistyped(table, key, value);
            None
        }
    }

    /// `Ok` is the table at a key, opened, and `Err` the truth that stands there in its place.
    pub(crate) fn switch(
        &mut self,
        table: &Table<'s>,
        key: &str,
        scope: Scope,
    ) -> Option<Result<Table<'s>, bool>> {
        let value = Self::value(table, key)?;
        let variable = value.get_ref().as_str().is_some_and(|text| text.contains("${"));
        if value.get_ref().as_bool().is_some() || variable {
            return self.flag(table, key).map(Err);
        }
        self.table(table, key, scope).map(Ok)
    }

    /// The tables of the array at a key, each with its place, not yet opened.
    pub(crate) fn tables(
        &mut self,
        table: &Table<'s>,
        key: &str,
    ) -> Option<Vec<At<&'s DeTable<'s>>>> {
        let value = Self::value(table, key)?;
        let DeValue::Array(values) = value.get_ref() else {
            self.mistyped(table, key, value);
            return None;
        };
        let mut tables = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::Table(inner) => tables.push(At { value: inner, span: value.span() }),
                _ => self.mistyped(table, key, value),
            }
        }
        Some(tables)
    }

    /// The tables under names at a key, in the order of the file, not yet opened.
    pub(crate) fn named(
        &mut self,
        table: &Table<'s>,
        key: &str,
    ) -> Vec<(At<&'s str>, At<&'s DeTable<'s>>)> {
        let Some(value) = Self::value(table, key) else { return Vec::new() };
        let DeValue::Table(outer) = value.get_ref() else {
            self.mistyped(table, key, value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in outer {
            let name = At { value: name.get_ref().as_ref(), span: name.span() };
            match value.get_ref() {
                DeValue::Table(inner) => {
                    tables.push((name, At { value: inner, span: value.span() }));
                }
                _ => self.misplaced(table, key, &name),
            }
        }
        tables.sort_by_key(|(name, _)| name.span.start);
        tables
    }

    /// Notes a key where only tables under names may stand.
    fn misplaced(&mut self, table: &Table<'s>, key: &str, name: &At<&str>) {
        let Some(Kind::Named(section)) = table.section.key(key).map(|option| &option.kind) else {
            return;
        };
        let what = format!("{}\"{}\" is no table", table.scope.key(key), name.value);
        let hint = section
            .key(name.value)
            .map(|_| format!("\"{}\" belongs under a header such as [{key}.shop]", name.value));
        let allowed = format!("a table for each, headed {}", section.header);
        self.note(name.span.clone(), what, allowed, hint);
    }

    /// The path at a key, made absolute from the folder of the settings file.
    pub(crate) fn path(&self, text: &Text) -> PathBuf {
        let folder = Path::new(self.file).parent().unwrap_or(Path::new(""));
        let path = folder.join(&text.value);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// The path at a key of a file that must be there.
    pub(crate) fn existing(
        &mut self,
        table: &Table<'s>,
        key: &str,
        text: &Text,
    ) -> Option<PathBuf> {
        if text.value.is_empty() {
            let wrong = Wrong::all("", "an empty path", "a file's path");
            self.wrong(&table.scope, key, text, wrong);
            return None;
        }
        let path = self.path(text);
        let bytes_max = (key == "file").then_some(service::discover::file::BYTES_MAX);
        let Some(trouble) = (self.world.trouble)(&path, bytes_max) else { return Some(path) };
        let what = format!("{}{}: {trouble}", table.scope.key(key), path.display());
        let hint = (!Path::new(&text.value).is_absolute())
            .then(|| "relative paths start at the folder of the settings file".to_owned());
        let allowed = match key {
            "file" | "token" => "a file that can be read",
            _ => "a PEM file that can be read",
        };
        self.note(text.span.clone(), what, allowed.to_owned(), hint);
        None
    }
}

/// What a key looks like that another program spreads over several, or writes otherwise.
fn inner_example(table: &Table<'_>, key: &str) -> Option<&'static str> {
    let key = table.section.key(key)?;
    let inner = matches!(key.kind, Kind::Table(_) | Kind::Switch(_) | Kind::Weights { .. });
    key.examples.iter().copied().find(|example| inner && example.starts_with('{'))
}

/// The number or truth that a string was meant to be.
fn unquoted(value: &DeValue<'_>, kind: &Kind) -> Option<String> {
    let text = value.as_str()?.trim();
    let value = match (kind, text.to_ascii_lowercase().as_str()) {
        (Kind::Flag | Kind::Switch(_), "true" | "yes" | "on") => "true",
        (Kind::Flag | Kind::Switch(_), "false" | "no" | "off" | "none") => "false",
        (Kind::Count { .. } | Kind::Counts { .. }, _) if text.parse::<u64>().is_ok() => text,
        _ => return None,
    };
    Some(format!("without quotes: {value}"))
}

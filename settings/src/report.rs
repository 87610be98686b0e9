//! Mistakes as people read them: where, the line itself, what was found, what is allowed, a hint.
//!
//! A [`Wrong`] is a mistake in a piece of text before it is known where the text stands; the file
//! reader and the flags each turn it into a [`Mistake`].

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// Every mistake that was found, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    mistakes: Vec<Mistake>,
}

/// Most mistakes that a report shows; past them it says how many more there are.
pub const SHOWN_MAX: usize = 100;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What the text came from: the file's name, or a flag such as `--to`.
    pub source: String,
    /// What was found, and in which section, service or route.
    pub what: String,
    /// The text itself; the first is the offender, further ones are what it clashes with.
    pub places: Vec<Place>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A line of text with one part of it underlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from one; `None` for text that is not from a file.
    pub line: Option<usize>,
    /// Of the first character underlined, counted in characters from one.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// How many characters are underlined, at least one.
    pub width: usize,
    /// What is allowed here; may be empty.
    pub label: String,
}

/// What is wrong with a piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The offending bytes of it.
    pub part: Range<usize>,
    /// What was found.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Report {
    /// A report of these mistakes.
    ///
    /// # Panics
    /// When there are none.
    pub(crate) fn new(mistakes: Vec<Mistake>) -> Self {
        assert!(!mistakes.is_empty(), "a report without mistakes");
        Self { mistakes }
    }

    /// The mistakes, at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl Error for Report {}

impl fmt::Display for Report {
    /// The mistakes, an empty line between two of them, no line feed at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().take(SHOWN_MAX).enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{mistake}")?;
        }
        match self.mistakes.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(Place { line: Some(line), column, .. }) = self.places.first() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", printable(&self.what))?;
        let numbers = self.places.iter().filter_map(|place| place.line).max();
        let gutter = numbers.map_or(1, |line| line.to_string().len());
        for place in &self.places {
            place.write(f, gutter)?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {}", printable(hint)))
    }
}

impl Place {
    /// The underlined `span` of a file's text.
    pub(crate) fn in_file(text: &str, span: &Range<usize>, label: String) -> Self {
        let start = floor(text, span.start);
        let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let last = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor(text, span.end).clamp(start, last);
        Self {
            line: Some(text[..first].matches('\n').count() + 1),
            column: text[first..start].chars().count() + 1,
            text: text[first..last].trim_end_matches('\r').to_owned(),
            width: text[start..end].trim_end().chars().count().max(1),
            label,
        }
    }

    /// The underlined `part` of a flag's value.
    pub(crate) fn in_flag(text: &str, part: &Range<usize>, label: String) -> Self {
        Self { line: None, ..Self::in_file(text, part, label) }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, gutter: usize) -> fmt::Result {
        let number = self.line.map(|line| line.to_string()).unwrap_or_default();
        let text = printable(&self.text);
        write!(f, "\n{number:>gutter$} | {text}\n{:gutter$} | ", "")?;
        for c in self.text.chars().take(self.column - 1) {
            f.write_str(if c == '\t' { "\t" } else { " " })?;
        }
        f.write_str(&"^".repeat(self.width))?;
        if self.label.is_empty() { Ok(()) } else { write!(f, " {}", self.label) }
    }
}

impl Wrong {
    /// All of `text` is wrong.
    pub(crate) fn all(text: &str, what: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::part(0..text.len(), what, allowed)
    }

    /// This part of the text is wrong.
    pub(crate) fn part(
        part: Range<usize>,
        what: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self { part, what: what.into(), allowed: allowed.into(), hint: None }
    }

    /// With advice.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With `did you mean`.
    #[must_use]
    pub(crate) fn meant(self, guess: impl fmt::Display) -> Self {
        self.hint(format!("did you mean \"{guess}\"?"))
    }
}

/// The one of `known` that is most like `word`, if any is like it at all.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const LIKENESS_MIN: f64 = 0.6;
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(word, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The text without bytes that would move a terminal's cursor; as many characters as before.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

/// The last character boundary of `text` at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

//! What was chosen by keys: order, filter, a request; and the figures of the last minute.

use serde_json::Value;
use std::collections::VecDeque;

/// How many seconds the small graphs hold.
pub const SECONDS: usize = 60;
/// Longest filter.
const FILTER_MAX: usize = 40;

/// What routes can be ordered by: the field, and what it is called.
pub const ORDERS: [(&str, &str); 5] = [
    ("time_share", "time"),
    ("rps", "req/s"),
    ("p99_ms", "p99"),
    ("error_share", "errors"),
    ("max_ms", "max"),
];

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What routes are ordered by, of [`ORDERS`].
    pub order: usize,
    /// What rows must contain.
    pub filter: String,
    /// The filter is being written.
    pub writing: bool,
    /// Which of the kept requests is marked.
    pub chosen: usize,
    /// The request that is open; `Null` if it is not kept any more.
    pub one: Option<Value>,
    /// Requests a second and p99, of the last minute.
    pub past: VecDeque<(f64, Option<f64>)>,
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that the view does not do itself.
    Nothing,
    /// The end.
    End,
    /// All of this request.
    One(String),
}

impl View {
    /// Remembers what was told.
    pub fn learn(&mut self, live: &Value) {
        if self.past.len() == SECONDS {
            self.past.pop_front();
        }
        let total = &live["total"];
        self.past.push_back((total["rps"].as_f64().unwrap_or(0.0), total["p99_ms"].as_f64()));
    }

    /// Opens a request, or says that it is not kept.
    pub fn open(&mut self, one: Option<Value>) {
        self.one = Some(one.unwrap_or_default());
    }

    /// Does a row with this text pass the filter?
    pub fn takes(&self, text: &str) -> bool {
        self.filter.is_empty() || text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// The kept requests that pass it.
    pub fn kept<'v>(&self, live: &'v Value) -> Vec<&'v Value> {
        let all = live["kept"].as_array().into_iter().flatten();
        let text = |one: &Value| format!("{} {} {}", one["why"], one["status"], one["target"]);
        all.filter(|one| self.takes(&text(one))).collect()
    }

    /// Follows keys, as the terminal sends them.
    pub fn press(&mut self, keys: &[u8], live: &Value) -> Asked {
        match keys {
            b"\x03" => return Asked::End,
            b"\x1b" => self.back(),
            b"\x1b[A" | b"\x1bOA" => self.step(live, false),
            b"\x1b[B" | b"\x1bOB" => self.step(live, true),
            _ => {
                for key in keys.iter().filter(|_| keys[0] != b'\x1b') {
                    match self.key(*key, live) {
                        Asked::Nothing => {}
                        asked => return asked,
                    }
                }
            }
        }
        Asked::Nothing
    }

    fn back(&mut self) {
        if self.one.take().is_none() {
            self.filter.clear();
        }
        self.writing = false;
    }

    fn step(&mut self, live: &Value, down: bool) {
        let last = self.kept(live).len().saturating_sub(1);
        self.chosen = if down { self.chosen + 1 } else { self.chosen.saturating_sub(1) }.min(last);
    }

    fn key(&mut self, key: u8, live: &Value) -> Asked {
        if self.writing {
            match key {
                b'\r' | b'\n' => self.writing = false,
                0x7f | 0x08 => drop(self.filter.pop()),
                b' '..=b'~' if self.filter.len() < FILTER_MAX => self.filter.push(key.into()),
                _ => {}
            }
            self.chosen = 0;
            return Asked::Nothing;
        }
        match key {
            b'q' if self.one.is_some() => self.one = None,
            b'q' | 0x03 => return Asked::End,
            b's' => self.order = (self.order + 1) % ORDERS.len(),
            b'/' => self.writing = true,
            b'j' => self.step(live, true),
            b'k' => self.step(live, false),
            b'\r' | b'\n' => {
                let kept = self.kept(live);
                let id = kept.get(self.chosen).and_then(|one| one["id"].as_str());
                return id.map_or(Asked::Nothing, |id| Asked::One(id.to_owned()));
            }
            _ => {}
        }
        Asked::Nothing
    }
}

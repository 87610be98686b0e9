//! What went over one connection, in order, for people who must find out why a scenario failed.

use std::fmt;

/// Bytes shown of one side's turn; the rest is counted.
const SHOWN_BYTES_MAX: usize = 2_000;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The test.
    Us,
    /// The gateway.
    Them,
}

/// The turns of a conversation. Keeps the first bytes of each turn only.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    turns: Vec<(Side, Vec<u8>, usize)>,
    notes: Vec<String>,
}

impl Transcript {
    /// Adds what `side` said; joined to its turn if it is still speaking.
    pub fn add(&mut self, side: Side, bytes: &[u8]) {
        if self.turns.last().is_none_or(|turn| turn.0 != side) {
            self.turns.push((side, Vec::new(), 0));
        }
        let Some((_, kept, total)) = self.turns.last_mut() else { return };
        let room = SHOWN_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        *total += bytes.len();
    }

    /// Adds a remark, shown last.
    pub fn note(&mut self, remark: impl Into<String>) {
        self.notes.push(remark.into());
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (side, kept, total) in &self.turns {
            let mark = if *side == Side::Us { "->" } else { "<-" };
            for line in kept.split_inclusive(|&byte| byte == b'\n') {
                writeln!(f, "  {mark} {}", line.escape_ascii())?;
            }
            if *total > kept.len() {
                writeln!(f, "  {mark} … and {} more bytes", total - kept.len())?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  ## {note}")?;
        }
        Ok(())
    }
}

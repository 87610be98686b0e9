//! Whether a try that failed is followed by another, and when. Pure.
//!
//! Pauses grow exponentially with full jitter: anything from nothing to the pause that the settings
//! name, so that jobs that failed together do not come back together. A service that asks for a longer
//! pause gets it, up to the longest.

use crate::book::{Tried, Verdict};
use crate::job::{Reason, State};
use crate::settings::Retry;
use base::Wall;
use std::time::Duration;

/// What follows try number `attempt`. An answer with a status that is not tried again is what the job
/// came for, whatever it says: its client wants it, and the same request would get the same again.
pub fn verdict(
    rules: &Retry,
    attempt: u16,
    tried: &Tried,
    now: Wall,
    rng: &mut fastrand::Rng,
) -> Verdict {
    let (reason, asked) = match *tried {
        Tried::Answered { status, retry_after } if rules.on.contains(&status) => {
            (Reason::Status, retry_after.unwrap_or_default())
        }
        Tried::Answered { status: 200..=399, .. } => {
            return Verdict::Done { state: State::Succeeded, reason: Reason::Delivered };
        }
        // An interim answer that ends an exchange is none: the grammar has a final one (RFC 9110 §15.2).
        Tried::Answered { status: 0..=199, .. } => (Reason::BadAnswer, Duration::ZERO),
        Tried::Answered { .. } => {
            return Verdict::Done { state: State::Succeeded, reason: Reason::Refused };
        }
        Tried::Failed(reason) => (reason, Duration::ZERO),
    };
    if attempt >= rules.tries {
        return Verdict::Dead { reason };
    }
    let pause = jitter(longest(rules, attempt), rng).max(asked.min(rules.pause_max));
    Verdict::Again { due: now + pause, reason }
}

/// The longest pause after try number `attempt`.
pub fn longest(rules: &Retry, attempt: u16) -> Duration {
    let most = rules.pause_max.as_secs_f64();
    let growth = f64::from(rules.growth_percent) / 100.0;
    let pause = rules.pause.as_secs_f64() * growth.powi(i32::from(attempt.max(1)) - 1);
    Duration::from_secs_f64(if pause.is_finite() { pause.min(most) } else { most })
}

fn jitter(longest: Duration, rng: &mut fastrand::Rng) -> Duration {
    let ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.u64(0..=ms))
}

#[cfg(test)]
mod tests;

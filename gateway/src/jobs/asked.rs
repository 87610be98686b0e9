//! Which jobs: what a query or a body asks for, checked whole.

use super::{No, shortened};
use base::{Wall, unit};
use offload::book::Cursor;
use offload::job::{JobId, Reason, State};
use serde_json::Value;

/// Which jobs, and which part of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this route.
    pub route: Option<String>,
    /// Only those that failed or ended for this reason.
    pub reason: Option<Reason>,
    /// Only those that ended since, or, if they are not over, were accepted since.
    pub since: Option<Wall>,
    /// Only those that ended, or were accepted, before.
    pub before: Option<Wall>,
    /// Only those that were replayed, or were not.
    pub replayed: Option<bool>,
    /// At most so many; 0: as many as is usual.
    pub limit: usize,
    /// Where the list goes on.
    pub from: From,
}

/// Where a list goes on: first what lives, then what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Among those that live.
    Live(Cursor),
    /// Behind this one of those that are over.
    Over(JobId),
}

impl Default for From {
    fn default() -> Self {
        Self::Live(Cursor::default())
    }
}

impl From {
    /// As a client gives it back.
    pub fn text(self) -> String {
        match self {
            Self::Live(Cursor(at)) => format!("live-{at}"),
            Self::Over(id) => format!("over-{id}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        if let Some(at) = text.strip_prefix("live-") {
            return at.parse().ok().map(|at| Self::Live(Cursor(at)));
        }
        text.strip_prefix("over-").and_then(JobId::parse).map(Self::Over)
    }
}

/// Jobs of a page where nobody says how many.
pub const LIMIT: usize = 100;
/// Most jobs of a page.
pub const LIMIT_MAX: usize = 1_000;
/// Most jobs that a replay takes.
const MOST: usize = 1 << 31;
/// The longest name of a queue or a route.
const NAME_BYTES_MAX: usize = 1_024;

impl Asked {
    /// Dead ones alone, and of those the ones that nobody has replayed unless they are asked for.
    ///
    /// # Errors
    /// Another state was asked for.
    pub fn only_dead(&mut self) -> Result<(), No> {
        if let Some(other) = self.state.filter(|state| *state != State::Dead) {
            let error = format!("/jobs/dead has none that are {}", other.name());
            return Err(No::bad(error, "leave `state` out, or ask /jobs"));
        }
        self.state = Some(State::Dead);
        self.replayed = self.replayed.or(Some(false));
        Ok(())
    }

    /// As the store is asked.
    pub fn stored(&self, after: JobId) -> offload::cold::Filter {
        offload::cold::Filter {
            queue: self.queue.clone(),
            route: self.route.clone(),
            state: self.state,
            reason: self.reason,
            since: self.since,
            before: self.before,
            replayed: self.replayed,
            after,
        }
    }

    fn set(&mut self, name: &str, value: &str, now: Wall) -> Result<bool, No> {
        if value.len() > NAME_BYTES_MAX || value.is_empty() {
            let error = format!("`{name}` is {} bytes long", value.len());
            return Err(No::bad(error, format!("give 1 to {NAME_BYTES_MAX}")));
        }
        match name {
            "queue" => self.queue = Some(value.to_owned()),
            "route" => self.route = Some(value.to_owned()),
            "state" => self.state = Some(state(value)?),
            "reason" => self.reason = Some(reason(value)?),
            "since" => self.since = Some(time(name, value, now)?),
            "before" => self.before = Some(time(name, value, now)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What the query of a list asks for.
///
/// # Errors
/// What is wrong with it.
pub fn query(query: &str, now: Wall) -> Result<Asked, No> {
    let mut asked = Asked::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).ok_or_else(|| {
            let error = format!("the value of {} is badly encoded", shortened(name));
            No::bad(error, "send UTF-8, with %XX for what has a meaning in a query")
        })?;
        match name {
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                asked.limit = limit.ok_or_else(|| {
                    let error = format!("`limit` is {}", shortened(&value));
                    No::bad(error, format!("give a number from 1 to {LIMIT_MAX}"))
                })?;
            }
            "replayed" => {
                asked.replayed = Some(match &*value {
                    "yes" => true,
                    "no" => false,
                    _ => {
                        let error = format!("`replayed` is {}", shortened(&value));
                        return Err(No::bad(error, "give yes or no"));
                    }
                });
            }
            "cursor" => {
                asked.from = From::read(&value).ok_or_else(|| {
                    let error = format!("`cursor` is {}", shortened(&value));
                    No::bad(error, "give back what `next` of the page before said")
                })?;
            }
            _ => {
                if !asked.set(name, &value, now)? {
                    let remedy = "known are queue, state, route, reason, since, before, replayed, limit, cursor";
                    let error = format!("{} is nothing that jobs are chosen by", shortened(name));
                    return Err(No::bad(error, remedy));
                }
            }
        }
    }
    Ok(asked)
}

/// Which dead jobs a replay is asked to take, and how many at most.
///
/// # Errors
/// What is wrong with it.
pub fn body(text: &[u8], now: Wall) -> Result<(Asked, usize), No> {
    let remedy = "send a JSON object, as in {\"queue\": \"mail\", \"since\": \"1h\"}";
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| No::bad(format!("the body is no JSON: {error}"), remedy))?;
    let object = value.as_object().ok_or_else(|| No::bad("the body is no JSON object", remedy))?;
    let mut asked = Asked { state: Some(State::Dead), ..Asked::default() };
    let (mut most, mut all, mut chosen) = (MOST, false, false);
    for (name, value) in object {
        match (name.as_str(), value) {
            ("all", Value::Bool(yes)) => all = *yes,
            ("all", _) => return Err(No::bad("`all` is no true or false", "send true")),
            ("most", value) => {
                let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
                let number = number.filter(|n| (1..=MOST).contains(n));
                most = number.ok_or_else(|| {
                    No::bad("`most` is no number of jobs", "send a whole number, 1 or more")
                })?;
            }
            ("queue" | "route" | "reason" | "since" | "before", value) => {
                let number = value.as_u64().map(|n| n.to_string());
                let text = value.as_str().map(str::to_owned).or(number);
                let text = text.ok_or_else(|| No::bad(format!("`{name}` is no text"), remedy))?;
                asked.set(name, &text, now)?;
                chosen = true;
            }
            _ => {
                let remedy = "known are queue, route, reason, since, before, most and all";
                let error = format!("{} is nothing that a replay is told", shortened(name));
                return Err(No::bad(error, remedy));
            }
        }
    }
    if chosen == all {
        let error = if all { "`all` stands beside a choice" } else { "nothing is chosen" };
        let remedy = "choose by queue, route, reason, since or before, or send {\"all\": true}";
        return Err(No::bad(error, remedy));
    }
    Ok((asked, most))
}

fn state(text: &str) -> Result<State, No> {
    State::ALL.iter().copied().find(|state| state.name() == text).ok_or_else(|| {
        let names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
        let error = format!("{} is no state of a job", shortened(text));
        No::bad(error, format!("states are {}", names.join(", ")))
    })
}

fn reason(text: &str) -> Result<Reason, No> {
    Reason::ALL.iter().copied().find(|reason| reason.name() == text).ok_or_else(|| {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        let error = format!("{} is no reason", shortened(text));
        No::bad(error, format!("reasons are {}", names.join(", ")))
    })
}

/// `10m`: so long ago; a number: milliseconds since 1970, as answers have it; or a date.
fn time(name: &str, text: &str, now: Wall) -> Result<Wall, No> {
    if text.bytes().all(|b| b.is_ascii_digit())
        && let Ok(ms) = text.parse()
    {
        return Ok(Wall(ms));
    }
    if let Ok(ago) = unit::parse_duration(text) {
        return Ok(now - ago);
    }
    let date = crate::bench::logs::rfc3339(text);
    date.map(|date| Wall(date.as_millis() as u64)).ok_or_else(|| {
        let error = format!("`{name}` is {}", shortened(text));
        let remedy = "say how long ago (\"10m\", \"2h\", \"7d\"), milliseconds since 1970, or a date \
                      (\"2026-11-24T12:00:00Z\")";
        No::bad(error, remedy)
    })
}

/// The value of a pair of a query.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            b => bytes.push(b),
        }
    }
    String::from_utf8(bytes).ok()
}

/// A value of a pair, as [`query`] reads it.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut query = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~:/".contains(&b) {
            query.push(char::from(b));
        } else {
            let _ = write!(query, "%{b:02X}");
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_800_000_000_000);

    #[test]
    fn a_query_chooses() {
        let all = query("queue=a%20b&state=dead&route=POST+/x&reason=timeout&limit=7", NOW);
        let asked = all.expect("legal");
        assert_eq!(
            (asked.queue.as_deref(), asked.route.as_deref()),
            (Some("a b"), Some("POST /x"))
        );
        assert_eq!((asked.state, asked.reason), (Some(State::Dead), Some(Reason::Timeout)));
        assert_eq!(asked.limit, 7);
        for (text, at) in [
            ("10m", NOW.0 - 600_000),
            ("1800000000123", 1_800_000_000_123),
            ("2026-11-24T12:00:00Z", 1_795_521_600_000),
        ] {
            let query = query(&format!("since={}", encoded(text)), NOW);
            assert_eq!(query.expect("legal").since, Some(Wall(at)), "{text}");
        }
        for from in [From::Live(Cursor(9)), From::Over(JobId([0xab; 16]))] {
            let query = query(&format!("cursor={}", from.text()), NOW).expect("legal");
            assert_eq!(query.from, from);
        }
    }

    #[test]
    fn mistakes_are_named_with_what_helps() {
        for (text, error, remedy) in [
            ("queu=a", "\"queu\"", "known are queue"),
            ("limit=0", "`limit` is \"0\"", "1 to 1000"),
            ("state=gone", "\"gone\" is no state", "queued, scheduled"),
            ("reason=x", "\"x\" is no reason", "delivered, status"),
            ("since=soon", "`since` is \"soon\"", "10m"),
            ("replayed=x", "`replayed` is \"x\"", "yes or no"),
            ("cursor=7", "`cursor` is \"7\"", "next"),
            ("queue=%zz", "badly encoded", "UTF-8"),
            ("queue=", "0 bytes", "1 to"),
        ] {
            let no = query(text, NOW).expect_err(text);
            assert!(no.error.contains(error) && no.remedy.contains(remedy), "{text}: {no:?}");
        }
    }

    #[test]
    fn a_replay_is_told_what_or_all() {
        let asked = |text: &str| body(text.as_bytes(), NOW);
        let (chosen, most) = asked(r#"{"queue": "a", "most": 3}"#).expect("legal");
        assert_eq!((chosen.queue.as_deref(), chosen.state), (Some("a"), Some(State::Dead)));
        assert_eq!(most, 3);
        assert_eq!(asked(r#"{"all": true}"#).expect("legal").1, MOST);
        for (text, error) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "nothing is chosen"),
            (r#"{"all": false}"#, "nothing is chosen"),
            (r#"{"all": true, "queue": "a"}"#, "beside a choice"),
            (r#"{"queue": 1.5}"#, "`queue` is no text"),
            (r#"{"most": 0, "queue": "a"}"#, "`most`"),
            (r#"{"state": "dead"}"#, "\"state\""),
        ] {
            let no = asked(text).expect_err(text);
            assert!(no.error.contains(error), "{text}: {no:?}");
        }
    }
}

//! `fleetfoot jobs`: what the admin listener says of jobs, for people and for scripts.

use crate::command::{Done, Failure, say, speak};
use base::Moment;
use clap::{Args, Subcommand};
use gateway::jobs::asked::encoded;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What to do with jobs.
#[derive(Debug, Args)]
pub(crate) struct JobsFlags {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: ListFlags,
    /// Its admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900", global = true)]
    admin: String,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List jobs: those that wait, then those that are over
    List(ListFlags),
    /// List dead jobs that nobody has replayed
    Dead(ListFlags),
    /// Show all that is known of one
    Show {
        /// Its id, or the token of its status address
        id: String,
    },
    /// Make one due now, or replay it if it is dead
    Retry {
        /// Its id, or the token of its status address
        id: String,
    },
    /// Take one back that has not begun
    Cancel {
        /// Its id, or the token of its status address
        id: String,
    },
    /// Forget one that is over
    Forget {
        /// Its id, or the token of its status address
        id: String,
    },
    /// Make new jobs of dead ones, each once
    Replay(ReplayFlags),
    /// List replays, and how far they are
    Replays,
}

/// Which jobs.
#[derive(Clone, Debug, Default, Args)]
struct ListFlags {
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only in this state: queued, scheduled, running, succeeded, dead, cancelled, expired
    #[arg(long)]
    state: Option<String>,
    /// Only of this route
    #[arg(long)]
    route: Option<String>,
    /// Only those that failed for this reason: status, timeout, unreachable, ...
    #[arg(long)]
    reason: Option<String>,
    /// Only those that ended, or were accepted, since: 10m, 2h, 2026-11-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those that ended, or were accepted, before
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// Which dead jobs.
#[derive(Debug, Args)]
struct ReplayFlags {
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this route
    #[arg(long)]
    route: Option<String>,
    /// Only those that died for this reason
    #[arg(long)]
    reason: Option<String>,
    /// Only those that died since: 10m, 2h, 2026-11-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those that died before
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    most: Option<u64>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Do not wait until it is done
    #[arg(long)]
    detach: bool,
}

/// Jobs that are asked for at once.
const PAGE: usize = 500;
/// How often is looked how far a replay is.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn jobs(flags: &JobsFlags) -> Done {
    let asker = Asker { admin: &flags.admin, json: flags.json };
    match &flags.what {
        None => asker.list("/jobs", &flags.list),
        Some(What::List(list)) => asker.list("/jobs", list),
        Some(What::Dead(list)) => asker.list("/jobs/dead", list),
        Some(What::Show { id }) => {
            let told = asker.ask("GET", &format!("/jobs/{}", encoded(id)), "")?;
            asker.tell(&told, one)
        }
        Some(What::Retry { id }) => {
            let told = asker.ask("POST", &format!("/jobs/{}/retry", encoded(id)), "")?;
            asker.tell(&told, |told| match told["replayed_as"].as_str() {
                Some(new) => format!("replayed as {new}\n"),
                None => "due now\n".to_owned(),
            })
        }
        Some(What::Cancel { id }) => {
            let told = asker.ask("POST", &format!("/jobs/{}/cancel", encoded(id)), "")?;
            asker.tell(&told, |_| "cancelled\n".to_owned())
        }
        Some(What::Forget { id }) => {
            let told = asker.ask("DELETE", &format!("/jobs/{}", encoded(id)), "")?;
            asker.tell(&told, |_| "forgotten\n".to_owned())
        }
        Some(What::Replay(which)) => asker.replay(which),
        Some(What::Replays) => {
            let told = asker.ask("GET", "/jobs/replays", "")?;
            asker.tell(&told, replays)
        }
    }
}

struct Asker<'a> {
    admin: &'a str,
    json: bool,
}

impl Asker<'_> {
    /// One answer, if it is a good one.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let admin = self.admin.strip_prefix("http://").unwrap_or(self.admin);
        let (status, text) = speak(admin.trim_end_matches('/'), (method, path), "", body)?;
        let stranger = || {
            Failure::trouble(format!(
                "{admin} is no admin listener of a gateway that knows of jobs: {path} is {status}"
            ))
        };
        let told: Value = serde_json::from_str(&text).map_err(|_| stranger())?;
        if status.starts_with('2') {
            return Ok(told);
        }
        let error = told["error"].as_str().ok_or_else(stranger)?;
        let remedy = told["remedy"].as_str().unwrap_or_default();
        let text = format!("{error}\nhint: {remedy}");
        // What the user named is not there, or not as he thinks: his mistake. All else is ours.
        let is_mistake = matches!(status.as_str(), "400" | "404" | "409" | "410");
        Err(if is_mistake { Failure::mistake(text) } else { Failure::trouble(text) })
    }

    fn tell(&self, told: &Value, text: impl FnOnce(&Value) -> String) -> Done {
        say(&if self.json { format!("{told:#}\n") } else { text(told) })
    }

    fn list(&self, path: &str, flags: &ListFlags) -> Done {
        let mut jobs = Vec::new();
        let mut cursor: Option<String> = None;
        while jobs.len() < flags.limit {
            let mut query = format!("limit={}", PAGE.min(flags.limit - jobs.len()));
            for (name, value) in [
                ("queue", &flags.queue),
                ("state", &flags.state),
                ("route", &flags.route),
                ("reason", &flags.reason),
                ("since", &flags.since),
                ("before", &flags.before),
                ("cursor", &cursor),
            ] {
                if let Some(value) = value {
                    let _ = write!(query, "&{name}={}", encoded(value));
                }
            }
            let mut told = self.ask("GET", &format!("{path}?{query}"), "")?;
            if let Value::Array(page) = told["jobs"].take() {
                jobs.extend(page);
            }
            cursor = told["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        if self.json {
            return say(&format!("{:#}\n", json!({ "jobs": jobs, "next": cursor })));
        }
        let colour = io::stdout().is_terminal();
        let mut text = table(&jobs, now(), colour);
        if cursor.is_some() {
            let _ = writeln!(text, "There are more: --limit shows them, --queue, --since choose.");
        }
        say(&text)
    }

    fn replay(&self, flags: &ReplayFlags) -> Done {
        let mut which = serde_json::Map::new();
        for (name, value) in [
            ("queue", &flags.queue),
            ("route", &flags.route),
            ("reason", &flags.reason),
            ("since", &flags.since),
            ("before", &flags.before),
        ] {
            if let Some(value) = value {
                which.insert(name.to_owned(), value.as_str().into());
            }
        }
        if flags.all {
            which.insert("all".to_owned(), true.into());
        } else if which.is_empty() {
            let text = "nothing is chosen\nhint: --queue, --route, --reason, --since or --before \
                        choose dead jobs, --all takes all";
            return Err(Failure::mistake(text));
        }
        if let Some(most) = flags.most {
            which.insert("most".to_owned(), most.into());
        }
        let mut told = self.ask("POST", "/jobs/replay", &Value::Object(which).to_string())?;
        let path = format!("/jobs/replays/{}", told["replay"]);
        while !flags.detach && told["state"] == "running" {
            thread::sleep(if told["matched"] == 0 { LOOK / 10 } else { LOOK });
            told = self.ask("GET", &path, "")?;
        }
        self.tell(&told, |told| {
            let mut text = replay(told);
            if told["state"] == "running" {
                let _ = writeln!(text, "It goes on; `fleetfoot jobs replays` says how far it is.");
            }
            text
        })?;
        let failed = told["state"] == "failed";
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn now() -> u64 {
    Moment::now().wall_ms().0
}

/// `3m`: how long ago, or until.
fn age(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 => format!("{ms}ms"),
        1..=119 => format!("{s}s"),
        120..=7_199 => format!("{}m", s / 60),
        7_200..=172_799 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// `3m ago`, `in 3m`.
fn when(at: u64, now: u64) -> String {
    if at > now { format!("in {}", age(at - now)) } else { format!("{} ago", age(now - at)) }
}

/// What an operator must not overlook stands out.
fn coloured(state: &str, colour: bool) -> String {
    let code = match state {
        _ if !colour => return state.to_owned(),
        "dead" => "31",
        "succeeded" => "32",
        "running" => "36",
        "scheduled" | "expired" => "33",
        _ => return state.to_owned(),
    };
    format!("\u{1b}[{code}m{state}\u{1b}[0m")
}

/// As many characters as there is room for.
fn fit(text: &str, columns: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().count() <= columns {
        return text;
    }
    text.chars().take(columns - 1).chain(['~']).collect()
}

/// The list in 80 columns: id 36, state 9, age 5, tries 4, reason 11, queue what is left.
fn table(jobs: &[Value], now: u64, colour: bool) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut text =
        format!("{:36} {:9} {:>5} {:>4} {:11} {}\n", "ID", "STATE", "AGE", "TRY", "WHY", "QUEUE");
    for job in jobs {
        let state = job["state"].as_str().unwrap_or_default();
        let at = job["ended"].as_u64().or(job["accepted"].as_u64()).unwrap_or(now);
        let why = match (job["reason"].as_str(), job["status"].as_u64()) {
            _ if job["replayed_as"].is_string() => "replayed".to_owned(),
            (Some("status" | "refused"), Some(status)) => format!("status {status}"),
            (Some("delivered"), Some(status)) => format!("ok {status}"),
            (Some(reason), _) => reason.to_owned(),
            (None, _) => "-".to_owned(),
        };
        let queue = job["queue"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "{:36} {}{} {:>5} {:>4} {:11} {}",
            job["id"].as_str().unwrap_or_default(),
            coloured(state, colour),
            " ".repeat(9_usize.saturating_sub(state.len())),
            age(now.saturating_sub(at)),
            fit(&job["attempts"].to_string(), 4),
            fit(&why, 11),
            fit(queue, 10),
        );
    }
    text
}

/// One job, a line for each thing that is known of it.
fn one(job: &Value) -> String {
    let now = now();
    let mut text = String::new();
    for (name, value) in job.as_object().into_iter().flatten() {
        let value = match (name.as_str(), value) {
            (_, Value::Null) | ("links" | "request" | "answer", _) => continue,
            ("accepted" | "due" | "expires" | "ended" | "kept_until", at) => {
                let at = at.as_u64().unwrap_or_default();
                format!("{} ({})", when(at, now), gateway::depart::http_date(at / 1_000))
            }
            (_, Value::String(value)) => value.clone(),
            (_, other) => other.to_string(),
        };
        let _ = writeln!(text, "{name:12} {}", fit(&value, 400));
    }
    for part in ["request", "answer"] {
        let Some(told) = job[part].as_object() else { continue };
        let get = |name: &str| match &told.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let head = format!("{} {}{}", get("method"), get("target"), get("status"));
        let _ = writeln!(
            text,
            "\n{part}: {}, body of {} bytes",
            fit(head.trim(), 400),
            get("body_bytes")
        );
        for (name, value) in told.get("fields").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or("(not shown)");
            let _ = writeln!(text, "  {name}: {}", fit(value, 400));
        }
    }
    if let Some(status) = job["links"]["status"].as_str() {
        let _ = writeln!(text, "\nstatus address: {status}");
    }
    text
}

fn replay(told: &Value) -> String {
    let mut text = format!(
        "replay {}: {}, {} of {} replayed",
        told["replay"],
        told["state"].as_str().unwrap_or_default(),
        told["replayed"],
        told["matched"],
    );
    if told["left_out"].as_u64().is_some_and(|n| n > 0) {
        let _ = write!(text, ", {} left out (replayed before, or gone)", told["left_out"]);
    }
    if let Some(error) = told["error"].as_str() {
        let _ = write!(text, ": {error}");
    }
    text.push('\n');
    text
}

fn replays(told: &Value) -> String {
    let all: String = told["replays"].as_array().into_iter().flatten().map(replay).collect();
    if all.is_empty() { "no replays\n".to_owned() } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_in_eighty_columns() {
        let job = json!({
            "id": "01890000-0000-7000-8000-000000000000", "state": "succeeded", "attempts": 65_535,
            "accepted": 0, "reason": "unreachable", "queue": "a-queue-with-a-long-name",
        });
        let text = table(&[job], 400 * 86_400_000, false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("succeeded  400d"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn states_are_coloured_on_a_terminal_alone() {
        assert_eq!(coloured("dead", true), "\u{1b}[31mdead\u{1b}[0m");
        assert_eq!(
            (coloured("dead", false), coloured("queued", true)),
            ("dead".into(), "queued".into())
        );
    }

    #[test]
    fn ages_are_short() {
        for (ms, text) in
            [(5, "5ms"), (59_000, "59s"), (180_000, "3m"), (7_200_000, "2h"), (172_800_000, "2d")]
        {
            assert_eq!(age(ms), text);
        }
        assert_eq!((when(5_000, 1_000), when(1_000, 5_000)), ("in 4s".into(), "4s ago".into()));
    }
}

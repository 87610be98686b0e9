//! `fleetfoot top`: what the live page tells, in a terminal.
//!
//! It asks the admin listener of a running gateway for `/live.json` once a second and draws: [`draw`]
//! makes lines of what was told, [`terminal`] puts them on the screen and reads keys. Without a
//! terminal, or with `--once`, it prints them and ends.

pub mod draw;
pub mod fall;
pub mod terminal;
pub mod view;

use draw::{Told, frame};
use serde_json::Value;
use std::time::Duration;
use terminal::Terminal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use view::{Asked, View};

/// How often the gateway is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Events that wait to be looked at.
const EVENTS_MAX: usize = 64;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// Nobody is there.
    #[error("no gateway answers at {admin}: {why}\nhint: --admin names its admin listener")]
    Nobody {
        /// Where.
        admin: String,
        /// Why not.
        why: String,
    },
    /// Somebody else is.
    #[error("{admin} is no admin listener of a gateway that has a live page: {why}")]
    Stranger {
        /// Where.
        admin: String,
        /// What it said.
        why: String,
    },
    /// The terminal.
    #[error("the terminal does not do as it is told: {0}")]
    Terminal(#[from] std::io::Error),
}

/// One answer of the gateway, as it said it.
///
/// # Errors
/// Nobody answers, or somebody else does.
pub async fn once(admin: &str) -> Result<String, TopError> {
    let (status, body) = ask(admin, "/live.json").await?;
    if status == 200 && body.trim_start().starts_with('{') {
        return Ok(body);
    }
    Err(TopError::Stranger { admin: admin.to_owned(), why: format!("/live.json is {status}") })
}

/// The same as text, for people: `colour` where they have a terminal, so many columns wide.
///
/// # Errors
/// Nobody answers, or somebody else does.
pub async fn text(admin: &str, colour: bool, columns: usize) -> Result<String, TopError> {
    let live = read(admin, &once(admin).await?)?;
    let why = explanation(admin).await;
    let told = Told { admin, live: &live, why: why.as_ref(), lost: None };
    let lines = frame(&told, &View::default(), (columns, usize::MAX));
    Ok(lines.iter().map(|line| line.text(columns, colour) + "\n").collect())
}

fn read(admin: &str, text: &str) -> Result<Value, TopError> {
    let stranger = |why: serde_json::Error| TopError::Stranger {
        admin: admin.to_owned(),
        why: format!("/live.json is no JSON: {why}"),
    };
    serde_json::from_str(text).map_err(stranger)
}

async fn explanation(admin: &str) -> Option<Value> {
    let (status, body) = ask(admin, "/why.json").await.ok()?;
    if status == 200 { serde_json::from_str(&body).ok() } else { None }
}

/// What happens while the screen is shown.
enum Event {
    Keys(Vec<u8>),
    Live(Result<Value, TopError>),
    Why(Option<Value>),
    One(Option<Value>),
}

/// Shows it until somebody has seen enough.
///
/// # Errors
/// Nobody answers at first, or the terminal does not do as it is told.
pub async fn show(admin: &str) -> Result<(), TopError> {
    // Before the screen is taken: an error is better read on the old one.
    let mut live = read(admin, &once(admin).await?)?;
    let (mut why, mut lost) = (explanation(admin).await, None);
    let (events, mut heard) = mpsc::channel(EVENTS_MAX);
    let mut screen = Terminal::take()?;
    terminal::listen(events.clone(), Event::Keys);
    let (mut end, mut resized) =
        (signal(SignalKind::terminate())?, signal(SignalKind::window_change())?);
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut view = View::default();
    view.learn(&live);
    loop {
        let told = Told { admin, live: &live, why: why.as_ref(), lost: lost.as_deref() };
        let size = terminal::size();
        screen.show(&frame(&told, &view, size), size)?;
        tokio::select! { biased;
            _ = end.recv() => return Ok(()),
            _ = resized.recv() => {}
            event = heard.recv() => match event {
                None => return Ok(()),
                Some(Event::Keys(keys)) => match view.press(&keys, &live) {
                    Asked::Nothing => {}
                    Asked::End => return Ok(()),
                    Asked::One(id) => look(admin, format!("/requests/{id}"), &events, Event::One),
                },
                Some(Event::Live(Ok(fresh))) => {
                    view.learn(&fresh);
                    (live, lost) = (fresh, None);
                }
                Some(Event::Live(Err(error))) => lost = Some(error.to_string()),
                Some(Event::Why(fresh)) => why = fresh,
                Some(Event::One(fresh)) => view.open(fresh),
            },
            _ = turns.tick() => {
                follow(admin, &events);
                look(admin, "/why.json".to_owned(), &events, Event::Why);
            }
        }
    }
}

/// Asks for the next look, beside whatever else is done.
fn follow(admin: &str, events: &mpsc::Sender<Event>) {
    let (admin, events) = (admin.to_owned(), events.clone());
    tokio::spawn(async move {
        let fresh = once(&admin).await.and_then(|text| read(&admin, &text));
        let _ended = events.send(Event::Live(fresh)).await;
    });
}

/// Asks for something else.
fn look(
    admin: &str,
    path: String,
    events: &mpsc::Sender<Event>,
    event: fn(Option<Value>) -> Event,
) {
    let (admin, events) = (admin.to_owned(), events.clone());
    tokio::spawn(async move {
        let answer = ask(&admin, &path).await.ok().filter(|(status, _)| *status == 200);
        let fresh = answer.and_then(|(_, body)| serde_json::from_str(&body).ok());
        let _ended = events.send(event(fresh)).await;
    });
}

/// Has all come that an answer's head promises? One that promises nothing ends with its connection.
fn is_whole(answer: &[u8]) -> bool {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= at + 4 + length)
}

/// One GET, spoken by hand: the answer is ours, with a length or ended by its connection's end.
async fn ask(admin: &str, path: &str) -> Result<(u16, String), TopError> {
    let address = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer)
            && answer.len() < ANSWER_BYTES_MAX
            && stream.read_buf(&mut answer).await? > 0
        {}
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let nobody = |why: String| TopError::Nobody { admin: admin.to_owned(), why };
    let answer = match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(nobody(error.to_string())),
        Err(_late) => return Err(nobody(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| TopError::Stranger {
        admin: admin.to_owned(),
        why: "it does not speak HTTP".to_owned(),
    })?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests;

//! Clients that do not wait for each other: requests leave when they are due, whatever became of those
//! before, each on a kept connection or a new one. Who has no answer in time hangs up.
//!
//! Latency is from the moment a request was due. Tokio's timer wakes up to a millisecond late, the
//! same for everybody, and that is part of it.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use base::Moment;
use fastrand::Rng;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::servers::BODY_BYTES;

/// What is sent, when, and how long anybody waits.
#[derive(Clone, Debug)]
pub struct Load {
    /// How long, and requests a second; Poisson arrivals.
    pub phases: Vec<(Duration, f64)>,
    /// The same seed makes the same arrivals.
    pub seed: u64,
    /// After which a client hangs up.
    pub give_up: Duration,
}

/// A request and its end.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// When it was due, since the start.
    pub due: Duration,
    /// How much later it was sent: by the machine's doing, and a part of what it took.
    pub late: Duration,
    /// From when it was due to its end.
    pub took: Duration,
    /// What came of it.
    pub end: End,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// 200 with the right body.
    Good,
    /// Another status.
    Status(u16),
    /// The connection ended or was not made.
    Broken,
    /// Hung up.
    GaveUp,
    /// 200 with something else than the right body.
    Wrong,
}

type Kept = Rc<RefCell<Vec<TcpStream>>>;

impl Load {
    /// When each request is due.
    fn arrivals(&self) -> Vec<Duration> {
        let mut rng = Rng::with_seed(self.seed);
        let (mut all, mut begin) = (Vec::new(), 0.0);
        for &(length, rate) in &self.phases {
            let end = begin + length.as_secs_f64();
            let mut at = begin;
            loop {
                at -= (1.0 - rng.f64()).ln() / rate;
                if at >= end {
                    break;
                }
                all.push(Duration::from_secs_f64(at));
            }
            begin = end;
        }
        all
    }

    /// From the start to the last arrival.
    pub fn length(&self) -> Duration {
        self.phases.iter().map(|phase| phase.0).sum()
    }

    /// Sends all of it from `start` on, and waits for all ends. Needs a `LocalSet`.
    ///
    /// # Panics
    /// By our own bugs only: when a request's task panicked.
    pub async fn send(&self, to: SocketAddr, start: Moment) -> Vec<Sent> {
        let kept = Kept::default();
        let mut tasks = JoinSet::new();
        for (number, due) in (0..).zip(self.arrivals()) {
            let left = (start + due).since(Moment::now());
            if !left.is_zero() {
                tokio::time::sleep(left).await;
            }
            let (kept, by) = (Rc::clone(&kept), due + self.give_up);
            tasks.spawn_local(async move {
                let late = Moment::now().since(start + due);
                let left = (start + by).since(Moment::now());
                let end = tokio::time::timeout(left, ask(to, number, kept)).await;
                let took = Moment::now().since(start + due);
                let end = match end {
                    Ok(Ok(end)) => end,
                    Ok(Err(_)) => End::Broken,
                    Err(_) => End::GaveUp,
                };
                Sent { number, due, late, took, end }
            });
        }
        let mut sent = tasks.join_all().await;
        sent.sort_by_key(|one| one.number);
        sent
    }
}

async fn ask(to: SocketAddr, number: u64, kept: Kept) -> io::Result<End> {
    let mut stream = if let Some(stream) = open(&kept) {
        stream
    } else {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        stream
    };
    let request = format!("GET /w/{number} HTTP/1.1\r\nHost: tail.test\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut inbox = Vec::with_capacity(4096);
    let head = loop {
        if stream.read_buf(&mut inbox).await? == 0 {
            return Ok(End::Broken);
        }
        if let Some(end) = memmem::find(&inbox, b"\r\n\r\n") {
            break end + 4;
        }
    };
    let Some((status, bytes, keep)) = parse(&inbox[..head]) else { return Ok(End::Wrong) };
    while inbox.len() < head + bytes {
        if stream.read_buf(&mut inbox).await? == 0 {
            return Ok(End::Broken);
        }
    }
    let right =
        bytes == BODY_BYTES && inbox[head..].trim_ascii_end() == number.to_string().as_bytes();
    if keep && inbox.len() == head + bytes {
        kept.borrow_mut().push(stream);
    }
    Ok(match status {
        200 if right => End::Good,
        200 => End::Wrong,
        status => End::Status(status),
    })
}

/// A kept connection that is still open.
fn open(kept: &Kept) -> Option<TcpStream> {
    loop {
        let stream = kept.borrow_mut().pop()?;
        let nothing = stream.try_read(&mut [0]);
        if nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return Some(stream);
        }
    }
}

/// Status, length of the body, and whether the connection stays.
fn parse(head: &[u8]) -> Option<(u16, usize, bool)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let field = |name| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let keep = !field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let length = match field("content-length") {
        Some(length) => length.parse().ok()?,
        // HAProxy's own errors end with the connection.
        None if !keep => 0,
        None => return None,
    };
    Some((response.code?, length, keep))
}

//! An origin that counts: connections, requests, and when each key was asked for.
//!
//! It lives on a thread of its own and answers `…/NUMBER`; the number decides size and fields. It can
//! fall ill in three ways ([`Life`]) and notes whoever tries it then.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Moment;
use cache::policy::date;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The largest body.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a hanging origin hangs.
const HANG: Duration = Duration::from_mins(10);

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How long it takes.
    pub delay: Duration,
    /// Bytes of the body of a number.
    pub bytes: fn(u64) -> usize,
    /// Fields of a number, each with its line end.
    pub fields: fn(u64) -> String,
}

/// How the origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Well.
    Alive,
    /// Connections are closed as soon as they come.
    Refuses,
    /// Requests are read, and the connection closed.
    Breaks,
    /// Requests are read, and nothing follows.
    Hangs,
}

/// The origin, its thread and its counts. The thread ends with the process.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    life: AtomicU8,
    connections: AtomicU64,
    fetches: AtomicU64,
    /// Longest from a whole request to a whole answer.
    took_ns_max: AtomicU64,
    tries: Mutex<HashMap<u64, Vec<Moment>>>,
}

impl Origin {
    /// Starts one.
    pub fn start(page: Page) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let theirs = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("origin".to_owned()).spawn(move || {
            runtime.block_on(async {
                let local = tokio::task::LocalSet::new();
                local.run_until(accept(listener, page, theirs)).await
            })
        })?;
        Ok(Self { address, counts })
    }

    /// From now on it is like this; tries are counted from zero.
    pub fn turns(&self, life: Life) {
        self.counts.life.store(life as u8, Relaxed);
        self.counts.tries().clear();
        self.counts.took_ns_max.store(0, Relaxed);
    }

    /// Requests so far.
    pub fn fetches(&self) -> u64 {
        self.counts.fetches.load(Relaxed)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Relaxed)
    }

    /// Longest from a whole request to a whole answer, since it became what it is.
    pub fn took_max(&self) -> Duration {
        Duration::from_nanos(self.counts.took_ns_max.load(Relaxed))
    }

    /// Tries of each key since it became what it is. Connections that are closed before they say
    /// what they want count for key 0.
    pub fn tries(&self) -> HashMap<u64, Vec<Moment>> {
        self.counts.tries().clone()
    }
}

impl Counts {
    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Moment>>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> Life {
        let all = [Life::Alive, Life::Refuses, Life::Breaks, Life::Hangs];
        all[usize::from(self.life.load(Relaxed))]
    }

    fn note(&self, key: u64) {
        if self.life() != Life::Alive {
            self.tries().entry(key).or_default().push(Moment::now());
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    page: Page,
    counts: Arc<Counts>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let body: Arc<[u8]> = (0..BODY_BYTES_MAX).map(|at| b'a' + (at % 23) as u8).collect();
    loop {
        let (stream, _) = listener.accept().await?;
        counts.connections.fetch_add(1, Relaxed);
        if counts.life() == Life::Refuses {
            counts.note(0);
            continue;
        }
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(serve(stream, page, Arc::clone(&counts), Arc::clone(&body)));
    }
}

/// Answers on one connection until it ends, by either side.
async fn serve(
    mut stream: TcpStream,
    page: Page,
    counts: Arc<Counts>,
    body: Arc<[u8]>,
) -> io::Result<()> {
    let well = counts.life() == Life::Alive;
    let mut inbox = Vec::with_capacity(4096);
    let mut outbox = Vec::with_capacity(16 * 1024);
    loop {
        let end = loop {
            if let Some(end) = memmem::find(&inbox, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut inbox).await? == 0 {
                return Ok(());
            }
        };
        let asked = Moment::now();
        let number = number(&inbox[..end]);
        inbox.drain(..end);
        counts.fetches.fetch_add(1, Relaxed);
        match counts.life() {
            Life::Alive => {}
            // A connection from better days that ends unanswered is no try of its own: the request is
            // sent again on a new one at once, and that counts.
            Life::Breaks if well => return Ok(()),
            Life::Refuses => return Ok(()),
            Life::Breaks => {
                counts.note(number);
                return Ok(());
            }
            Life::Hangs => {
                counts.note(number);
                tokio::time::sleep(HANG).await;
                return Ok(());
            }
        }
        if !page.delay.is_zero() {
            tokio::time::sleep(page.delay).await;
        }
        let bytes = (page.bytes)(number).min(body.len());
        answer(&mut outbox, &(page.fields)(number), bytes);
        if bytes <= 16 * 1024 {
            outbox.extend_from_slice(&body[..bytes]);
            stream.write_all(&outbox).await?;
        } else {
            stream.write_all(&outbox).await?;
            stream.write_all(&body[..bytes]).await?;
        }
        counts.took_ns_max.fetch_max(Moment::now().since(asked).as_nanos() as u64, Relaxed);
    }
}

/// Writes the head.
fn answer(out: &mut Vec<u8>, fields: &str, bytes: usize) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    date::write(Moment::now().wall_ms(), out);
    let mut rest = String::new();
    let _ = write!(
        rest,
        "\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n{fields}\r\n"
    );
    out.extend_from_slice(rest.as_bytes());
}

/// The digits at the end of the target.
pub(crate) fn number(head: &[u8]) -> u64 {
    let target = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let digits = target.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = &target[target.len() - digits..];
    digits.iter().fold(0, |number: u64, &digit| number.wrapping_mul(10) + u64::from(digit - b'0'))
}

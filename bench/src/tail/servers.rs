//! Servers with workers: a request waits, first come first served, until one of them is free, and
//! keeps it for a time that is drawn. No CPU is used for it, only timers (to a millisecond, as Tokio's).
//!
//! They are the servers that HTTP/1.1 mostly meets: who hangs up changes nothing, the work is done to
//! its end. Every try is noted, with the moment its work was done.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Moment;
use fastrand::Rng;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::scene::origin::number;

/// Bytes of each body: the number of the request, and spaces.
pub const BODY_BYTES: usize = 1024;
/// How long an error takes.
const ERROR_TIME: Duration = Duration::from_millis(1);
/// How much longer a slow server takes.
const SLOWER: u32 = 5;
/// How late an answer is that stalls.
const STALL: Duration = Duration::from_secs(1);

/// What each server does for a request.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Requests served at once; the others wait.
    pub workers: usize,
    /// Mean time that one takes.
    pub mean: Duration,
    /// How that time is distributed.
    pub spread: Spread,
    /// The share of answers that are a second late, on their way: the worker is free again.
    pub stalls: f64,
    /// Where the draws begin.
    pub seed: u64,
}

/// How times are distributed around their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Lognormal, with σ 0.5.
    LogNormal,
    /// Exponential.
    Exponential,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Well.
    Well,
    /// Five times slower.
    Slow,
    /// Answers 500 within a millisecond.
    Fails,
    /// Answers 503 within a millisecond.
    Unavailable,
    /// Connections, old ones and new ones, are closed at once.
    Refuses,
}

const LIVES: [Life; 5] = [Life::Well, Life::Slow, Life::Fails, Life::Unavailable, Life::Refuses];

/// One request as a server saw it.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// Its number; none of a connection that was refused.
    pub number: Option<u64>,
    /// By which server.
    pub server: usize,
    /// When it came.
    pub at: Moment,
    /// Whether a worker has done its work.
    pub served: bool,
}

/// Servers on a thread of their own, which ends with this.
#[derive(Debug)]
pub struct Servers {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    all: Arc<[Server]>,
    notes: Arc<Mutex<Notes>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Server {
    life: AtomicU8,
    turned: Notify,
    workers: Semaphore,
}

#[derive(Debug, Default)]
struct Notes {
    tries: Vec<Try>,
    /// Tries so far of each number.
    of_number: HashMap<u64, u64>,
}

impl Servers {
    /// Starts `count` of them.
    pub fn start(count: usize, work: Work) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(count);
        for _ in 0..count {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
        let addresses = listeners.iter().map(std::net::TcpListener::local_addr);
        let addresses = addresses.collect::<io::Result<Vec<_>>>()?;
        let server = || Server {
            life: AtomicU8::new(Life::Well as u8),
            turned: Notify::new(),
            workers: Semaphore::new(work.workers),
        };
        let all: Arc<[Server]> = (0..count).map(|_| server()).collect();
        let notes = Arc::new(Mutex::new(Notes::default()));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (servers, theirs) = (Arc::clone(&all), Arc::clone(&notes));
        let listen = async move {
            for (index, listener) in listeners.into_iter().enumerate() {
                let one =
                    One { index, all: Arc::clone(&servers), notes: Arc::clone(&theirs), work };
                tokio::task::spawn_local(one.accept(listener));
            }
            let _ = stopped.await;
        };
        let thread = std::thread::Builder::new().name("servers".to_owned()).spawn(move || {
            tokio::task::LocalSet::new().block_on(&runtime, listen);
        })?;
        Ok(Self { addresses, all, notes, stop: Some(stop), thread: Some(thread) })
    }

    /// From now on these are like this.
    pub fn turn(&self, servers: Range<usize>, life: Life) {
        for server in &self.all[servers] {
            server.life.store(life as u8, Relaxed);
            if life == Life::Refuses {
                server.turned.notify_waiters();
            }
        }
    }

    /// All tries so far, in the order in which they came.
    pub fn tries(&self) -> Vec<Try> {
        lock(&self.notes).tries.clone()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One server as its connections know it.
#[derive(Clone)]
struct One {
    index: usize,
    all: Arc<[Server]>,
    notes: Arc<Mutex<Notes>>,
    work: Work,
}

impl One {
    async fn accept(self, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            if self.life() == Life::Refuses {
                self.note(None);
                continue;
            }
            stream.set_nodelay(true)?;
            let one = self.clone();
            tokio::task::spawn_local(async move {
                let turned = one.all[one.index].turned.notified();
                tokio::select! {
                    biased;
                    _ = one.serve(stream) => {}
                    () = turned => {}
                }
            });
        }
    }

    fn life(&self) -> Life {
        LIVES[usize::from(self.all[self.index].life.load(Relaxed))]
    }

    /// Its place among all tries, and its place among those of its number.
    fn note(&self, number: Option<u64>) -> (usize, u64) {
        let mut notes = lock(&self.notes);
        let place = notes.tries.len();
        notes.tries.push(Try { number, server: self.index, at: Moment::now(), served: false });
        let Some(number) = number else { return (place, 0) };
        let count = notes.of_number.entry(number).or_default();
        *count += 1;
        (place, *count)
    }

    /// Answers on one connection until it ends.
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut inbox = Vec::with_capacity(2048);
        let mut outbox = String::with_capacity(2 * BODY_BYTES);
        loop {
            let end = loop {
                if let Some(end) = memmem::find(&inbox, b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(&mut inbox).await? == 0 {
                    return Ok(());
                }
            };
            let number = number(&inbox[..end]);
            inbox.drain(..end);
            let (place, nth) = self.note(Some(number));
            let status = match self.life() {
                Life::Refuses => return Ok(()),
                Life::Fails => self.fail("500 Internal Server Error").await,
                Life::Unavailable => self.fail("503 Service Unavailable").await,
                life @ (Life::Well | Life::Slow) => {
                    self.work(number, nth, life == Life::Slow, place).await;
                    "200 OK"
                }
            };
            outbox.clear();
            let _ = write!(
                outbox,
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n\
                 Content-Length: {BODY_BYTES}\r\n\r\n{number:<BODY_BYTES$}"
            );
            stream.write_all(outbox.as_bytes()).await?;
        }
    }

    async fn fail(&self, status: &'static str) -> &'static str {
        tokio::time::sleep(ERROR_TIME).await;
        status
    }

    async fn work(&self, number: u64, nth: u64, slow: bool, place: usize) {
        let (time, stalls) = self.work.draw(number, nth);
        // Never closed.
        let worker = self.all[self.index].workers.acquire().await;
        tokio::time::sleep(if slow { time * SLOWER } else { time }).await;
        drop(worker);
        lock(&self.notes).tries[place].served = true;
        if stalls {
            tokio::time::sleep(STALL).await;
        }
    }
}

impl Work {
    /// How long the `nth` try of a number takes, and whether its answer stalls.
    fn draw(&self, number: u64, nth: u64) -> (Duration, bool) {
        let mut rng =
            Rng::with_seed(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ nth << 56);
        // The first draws of neighbouring seeds are alike.
        rng.u64(..);
        // Above zero, so that their logarithms are finite.
        let (a, b) = (1.0 - rng.f64(), rng.f64());
        let factor = match self.spread {
            Spread::Exponential => -a.ln(),
            Spread::LogNormal => {
                const SIGMA: f64 = 0.5;
                let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
                (SIGMA * normal - SIGMA * SIGMA / 2.0).exp()
            }
        };
        (self.mean.mul_f64(factor), rng.f64() < self.stalls)
    }
}

#[cfg(test)]
mod tests;

//! One connection to a Memcached server: questions are written as they come, answers read in order.
//!
//! Questions wait in a bounded queue; one that does not fit is refused. The connection is made anew
//! when it breaks, with pauses that grow.

use super::protocol::{self, Garbled, Reply};
use crate::tier::{CONNECT_TIME, Meter, Say, backoff};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

const QUESTIONS_MAX: usize = 1_024;
const AT_ONCE: usize = 64;
/// Largest answer: items are at most 1 MiB unless the server is told otherwise.
const VALUE_MAX: usize = 8 << 20;

struct Question {
    bytes: Vec<u8>,
    answer: oneshot::Sender<Reply>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    questions: mpsc::Sender<Question>,
    up: Arc<AtomicBool>,
    broken: Arc<Notify>,
}

/// Keeps a connection for as long as its [`Client`] is there.
pub(crate) struct Keeper {
    address: String,
    questions: mpsc::Receiver<Question>,
    up: Arc<AtomicBool>,
    broken: Arc<Notify>,
    meter: Arc<Meter>,
    say: Option<Say>,
}

impl Client {
    /// A connection, and who is to be run to keep it.
    pub(crate) fn new(address: &str, meter: &Arc<Meter>, say: Option<Say>) -> (Self, Keeper) {
        let (questions, inbox) = mpsc::channel(QUESTIONS_MAX);
        let up = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(Notify::new());
        let client = Self { questions, up: Arc::clone(&up), broken: Arc::clone(&broken) };
        let (address, meter) = (address.to_owned(), Arc::clone(meter));
        (client, Keeper { address, questions: inbox, up, broken, meter, say })
    }

    /// Asks; `None` when there is no connection or it breaks.
    pub(crate) async fn ask(&self, bytes: Vec<u8>) -> Option<Reply> {
        if !self.up.load(Ordering::Acquire) {
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        self.questions.try_send(Question { bytes, answer }).ok()?;
        receiver.await.ok()
    }

    /// Gives up the connection: it hangs.
    pub(crate) fn break_off(&self) {
        self.broken.notify_one();
    }
}

impl Keeper {
    pub(crate) async fn run(mut self) {
        let mut failures: u32 = 0;
        while !self.questions.is_closed() {
            match timeout(CONNECT_TIME, connect(&self.address)).await {
                Ok(Ok(stream)) => {
                    self.meter.connects.add(1);
                    if let Some(say) = self.say.as_ref().filter(|_| failures > 0) {
                        say(&format!("memcached: connected to {} again", self.address));
                    }
                    failures = 0;
                    self.serve(stream).await;
                }
                failed => {
                    let why = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => "no answer in time".to_owned(),
                    };
                    if let Some(say) = self.say.as_ref().filter(|_| failures == 0) {
                        say(&format!(
                            "memcached: no connection to {}: {why}; the shared cache is left out \
                             there until there is one",
                            self.address
                        ));
                    }
                    failures = failures.saturating_add(1);
                }
            }
            sleep(backoff(failures)).await;
        }
    }

    async fn serve(&mut self, stream: TcpStream) {
        let (read, write) = stream.into_split();
        let (waiting, answers) = mpsc::channel(QUESTIONS_MAX);
        self.up.store(true, Ordering::Release);
        tokio::select! {
            biased;
            () = self.broken.notified() => {}
            _ = write_questions(write, &mut self.questions, waiting) => {}
            _ = read_answers(read, answers) => {}
        }
        self.up.store(false, Ordering::Release);
        // Their askers learn that there is no connection.
        while self.questions.try_recv().is_ok() {}
    }
}

/// Connects, and sees that the server understands us.
async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&protocol::ping()).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer != *b"MN\r\n" {
        return Err(io::Error::other("it does not know meta commands (Memcached 1.6 is needed)"));
    }
    Ok(stream)
}

async fn write_questions(
    mut write: OwnedWriteHalf,
    questions: &mut mpsc::Receiver<Question>,
    waiting: mpsc::Sender<oneshot::Sender<Reply>>,
) -> io::Result<()> {
    let mut some = Vec::with_capacity(AT_ONCE);
    let mut bytes = Vec::new();
    while questions.recv_many(&mut some, AT_ONCE).await > 0 {
        bytes.clear();
        for question in some.drain(..) {
            bytes.extend_from_slice(&question.bytes);
            waiting.send(question.answer).await.map_err(io::Error::other)?;
        }
        write.write_all(&bytes).await?;
        bytes.shrink_to(256 << 10);
    }
    Ok(())
}

async fn read_answers(
    mut read: OwnedReadHalf,
    mut waiting: mpsc::Receiver<oneshot::Sender<Reply>>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let answer = protocol::reply(&buffer, VALUE_MAX);
        let Some((reply, length)) = answer.map_err(|Garbled| io::Error::other("garbled"))? else {
            // Large values come in many pieces: looked at again only when the buffer has grown well.
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        buffer.drain(..length);
        let Ok(answer) = waiting.try_recv() else {
            return Err(io::Error::other("an answer to nothing"));
        };
        // The asker may have gone.
        let _ = answer.send(reply);
    }
}

/// Longest pause before somebody who needs a server looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);

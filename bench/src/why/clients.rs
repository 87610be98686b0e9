//! Clients that do not wait for each other, some of whom read slowly.

use super::fault::Fault;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Longest time for one exchange.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who reads slowly takes so much every time …
const SIP: usize = 64 << 10;
/// … and then waits so long: about 3 MB a second.
const SIP_EVERY: Duration = Duration::from_millis(20);
const SMALL_BUFFER: u32 = 32 << 10;

/// How an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// At once.
    Quick,
    /// Sip by sip.
    Slow,
}

/// Clients of one gateway.
#[derive(Debug)]
pub struct Crowd {
    gateway: SocketAddr,
    kept: RefCell<Vec<TcpStream>>,
    /// Exchanges that came to an answer below 400, and those that did not.
    pub ended: Cell<(u64, u64)>,
}

impl Crowd {
    /// Nobody has come yet.
    pub fn new(gateway: SocketAddr) -> Rc<Self> {
        Rc::new(Self { gateway, kept: RefCell::default(), ended: Cell::new((0, 0)) })
    }

    /// Sends requests until it is dropped, at the rate for the fault, whatever becomes of them.
    pub async fn come(
        self: Rc<Self>,
        fault: impl Fn() -> Option<Fault>,
        rate: impl Fn(Option<Fault>) -> f64,
    ) {
        let mut due = tokio::time::Instant::now();
        loop {
            let fault = fault();
            due += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / rate(fault));
            tokio::time::sleep_until(due).await;
            let target = Fault::target(fault);
            let crowd = Rc::clone(&self);
            tokio::task::spawn_local(async move { crowd.ask(&target).await });
        }
    }

    async fn ask(&self, target: &str) {
        let reading = if target.ends_with("large") { Reading::Slow } else { Reading::Quick };
        let kept = if reading == Reading::Quick { self.kept.borrow_mut().pop() } else { None };
        let ask = exchange(self.gateway, kept, target, None, reading);
        let done = tokio::time::timeout(PATIENCE, ask).await;
        let (well, ill) = self.ended.get();
        match done {
            Ok(Ok((status, stream))) if status < 400 => {
                self.ended.set((well + 1, ill));
                if reading == Reading::Quick {
                    self.kept.borrow_mut().extend(stream);
                }
            }
            _ => self.ended.set((well, ill + 1)),
        }
    }
}

/// One GET; the status, and the connection if it is kept.
///
/// # Errors
/// A connection that cannot be made or ends too early.
pub async fn exchange(
    gateway: SocketAddr,
    kept: Option<TcpStream>,
    target: &str,
    trace: Option<&str>,
    reading: Reading,
) -> io::Result<(u16, Option<TcpStream>)> {
    let mut stream = if let Some(stream) = kept {
        stream
    } else {
        let socket = TcpSocket::new_v4()?;
        if reading == Reading::Slow {
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        socket.connect(gateway).await?
    };
    stream.set_nodelay(true)?;
    let trace = trace.map(|trace| format!("traceparent: {trace}\r\n")).unwrap_or_default();
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{trace}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(4_096);
    let end = loop {
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut left = length.unwrap_or(0_usize).saturating_sub(answer.len() - end - 4);
    let mut sip = vec![0; if reading == Reading::Slow { SIP } else { 16 << 10 }];
    while left > 0 {
        let read = stream.read(&mut sip).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left = left.saturating_sub(read);
        if reading == Reading::Slow {
            tokio::time::sleep(SIP_EVERY).await;
        }
    }
    let kept = length.is_some() && !head.contains("connection: close");
    Ok((status, kept.then_some(stream)))
}

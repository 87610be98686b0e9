//! Four servers of a shop, and one in front that calls the shop through the gateway.

use super::clients::{Reading, exchange};
use super::fault::Fault;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

const SERVERS: usize = 4;
/// How many a server does at once.
const WORKERS: usize = 8;
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What an ill service calls for one page.
const CALLS: usize = 15;

/// The servers, as they are now.
#[derive(Debug)]
pub struct Town {
    /// Where the shop's servers listen.
    pub servers: Vec<SocketAddr>,
    /// Where the server in front does.
    pub front: SocketAddr,
    /// What is wrong now.
    pub fault: Cell<Option<Fault>>,
    /// For how many seconds answers of a healthy service are fresh, if they are at all.
    pub fresh: Cell<Option<u32>>,
    /// Where the gateway listens, for the calls of the server in front.
    pub gateway: Cell<Option<SocketAddr>>,
    workers: Vec<Semaphore>,
    /// A server that does one thing at a time, and how many wait for it.
    narrow: Vec<(Semaphore, Cell<usize>)>,
    db: Semaphore,
    kept: RefCell<Vec<TcpStream>>,
    begun: tokio::time::Instant,
    stores: bool,
    quick: bool,
    far: bool,
}

impl Town {
    /// Starts them, in tasks of this thread; well, and ready for what is to be wrong.
    ///
    /// # Errors
    /// No port.
    pub fn start(fault: Option<Fault>) -> io::Result<Rc<Self>> {
        let backlog = if fault == Some(Fault::SlowConnect) { 1 } else { 1_024 };
        let listen = || {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(backlog)
        };
        let mut doors = (0..=SERVERS).map(|_| listen()).collect::<io::Result<Vec<_>>>()?;
        let addresses = doors
            .iter()
            .map(tokio::net::TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let town = Rc::new(Self {
            servers: addresses[..SERVERS].to_vec(),
            front: addresses[SERVERS],
            fault: Cell::new(None),
            fresh: Cell::new(None),
            gateway: Cell::new(None),
            workers: (0..SERVERS).map(|_| Semaphore::new(WORKERS)).collect(),
            narrow: (0..SERVERS).map(|_| (Semaphore::new(1), Cell::new(0))).collect(),
            db: Semaphore::new(2),
            kept: RefCell::default(),
            begun: tokio::time::Instant::now(),
            stores: Fault::caches(fault),
            quick: fault == Some(Fault::NoKeepAlive),
            far: fault == Some(Fault::ColdCache),
        });
        for (at, door) in doors.drain(..).enumerate() {
            let town = Rc::clone(&town);
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = door.accept().await {
                    let served = Rc::clone(&town);
                    tokio::task::spawn_local(async move {
                        let _ended = served.serve(at, stream).await;
                    });
                    if town.is(Fault::SlowConnect) {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            });
        }
        Ok(town)
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault.get() == Some(fault)
    }

    async fn serve(&self, at: usize, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut head = Vec::new();
        loop {
            let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
                if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            let text = String::from_utf8_lossy(&head[..end]).into_owned();
            head.drain(..end + 4);
            let target = text.split(' ').nth(1).unwrap_or_default();
            let field = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
            };
            let status = if at == SERVERS {
                self.page(field("traceparent").as_deref()).await
            } else {
                self.work(at, target).await
            };
            let length = if target.ends_with("large") { 4 << 20 } else { 2_000 };
            let closes = self.is(Fault::NoKeepAlive)
                || self.is(Fault::SlowConnect) && fastrand::u32(0..8) == 0;
            let age = match target {
                "/items/hot" => "max-age=3".to_owned(),
                _ if self.stores => "max-age=600".to_owned(),
                _ => self
                    .fresh
                    .get()
                    .map_or_else(|| "no-store".to_owned(), |s| format!("max-age={s}")),
            };
            let close = if closes { "Connection: close\r\n" } else { "" };
            let mut answer = format!(
                "HTTP/1.1 {status} Said\r\nCache-Control: {age}\r\n{close}Content-Length: {length}\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + length, b'.');
            stream.write_all(&answer).await?;
            if closes {
                return stream.shutdown().await;
            }
        }
    }

    /// What a request to the shop takes; the status it is answered with.
    async fn work(&self, at: usize, target: &str) -> u16 {
        if self.is(Fault::RetryStorm) {
            return self.narrow(at).await;
        }
        let Ok(_worker) = self.workers[at].acquire().await else { return 500 };
        if self.is(Fault::Stalls) && at == 0 {
            let into = self.begun.elapsed().as_millis() as u64 % 1_500;
            if into < 200 {
                tokio::time::sleep(Duration::from_millis(200 - into)).await;
            }
        }
        let mut ms = match target.get(..4) {
            Some("/ite") => 4.0,
            Some("/lis") => 7.0,
            _ => 12.0,
        };
        ms *= if self.quick { 0.0 } else { 0.6 + 0.8 * fastrand::f64() };
        if self.far {
            ms += 80.0;
        }
        match self.fault.get() {
            Some(Fault::SlowServer) if at == 0 => ms *= 5.0,
            Some(Fault::SlowRoute) if target.starts_with("/search") => ms += 150.0,
            Some(Fault::Stampede) if target == "/items/hot" => ms += 400.0,
            Some(Fault::HeavyKeys) if target.starts_with("/items/heavy") => ms += 200.0,
            _ => {}
        }
        if ms > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(ms / 1_000.0)).await;
        }
        if self.is(Fault::SharedDb)
            && let Ok(_turn) = self.db.acquire().await
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        200
    }

    /// One thing at a time, 33 ms each; who finds three waiting is refused.
    async fn narrow(&self, at: usize) -> u16 {
        let (one, waiting) = &self.narrow[at];
        if waiting.get() >= 3 {
            return 503;
        }
        waiting.set(waiting.get() + 1);
        let turn = one.acquire().await;
        tokio::time::sleep(Duration::from_millis(33)).await;
        drop(turn);
        waiting.set(waiting.get() - 1);
        200
    }

    /// A page that is made of many calls.
    async fn page(&self, trace: Option<&str>) -> u16 {
        let Some(gateway) = self.gateway.get() else { return 500 };
        for _ in 0..CALLS {
            let kept = self.kept.borrow_mut().pop();
            let target = format!("/items/{}", fastrand::u32(0..200));
            match exchange(gateway, kept, &target, trace, Reading::Quick).await {
                Ok((_, Some(stream))) => self.kept.borrow_mut().push(stream),
                Ok((_, None)) => {}
                Err(_) => return 500,
            }
        }
        200
    }
}

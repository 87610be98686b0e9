//! The kernel floor: what the same system calls cost with nothing in between.
//!
//! Relay: per request one recv and one send on each side, over one upstream connection for each client
//! connection, opened with it. Nothing is parsed. Hit: one recv and one send of a fixed response. Not a
//! bound in principle (batching could go below), and not a proxy: a short write, which one exchange at
//! a time never causes, ends the pair.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::fault::Error;

const BUFFER_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 256;
const LISTENER: Token = Token(usize::MAX - 1);

/// What is done with a request.
#[derive(Debug)]
pub enum Answer {
    /// Relayed to this address, and the response back.
    Relay(SocketAddr),
    /// This, whatever was asked.
    Fixed(Vec<u8>),
}

/// The program.
#[derive(Debug)]
pub struct Floor {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    answer: Answer,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
}

/// Tokens: twice the slot for the client's side, one more for the upstream's.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    upstream: Option<TcpStream>,
}

impl Floor {
    /// Listens.
    pub fn listen(address: SocketAddr, answer: Answer) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let bind = || {
            let mut listener = TcpListener::bind(address)?;
            poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bind().map_err(|source| Error::Listen { address, source })?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Ok(Self { poll, listener, address, answer, pairs: Vec::new(), free: Vec::new(), buffer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Works until `stopped`, which is looked at every `nap` at the latest; for ever without a nap.
    pub fn run(&mut self, stopped: &AtomicBool, nap: Option<Duration>) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !stopped.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, nap) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(token) => self.forward(token),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error.into()),
            };
            client.set_nodelay(true)?;
            let upstream = match self.answer {
                // No origin, no pair: the client sees its connection end.
                Answer::Relay(address) => match connect(address) {
                    Ok(upstream) => Some(upstream),
                    Err(_) => continue,
                },
                Answer::Fixed(_) => None,
            };
            self.adopt(Pair { client, upstream })?;
        }
    }

    fn adopt(&mut self, mut pair: Pair) -> io::Result<()> {
        let slot = self.free.pop().unwrap_or(self.pairs.len());
        let registry = self.poll.registry();
        registry.register(&mut pair.client, Token(2 * slot), Interest::READABLE)?;
        if let Some(upstream) = &mut pair.upstream {
            registry.register(upstream, Token(2 * slot + 1), Interest::READABLE)?;
        }
        match self.pairs.get_mut(slot) {
            Some(vacant) => *vacant = Some(pair),
            None => self.pairs.push(Some(pair)),
        }
        Ok(())
    }

    /// An event of a pair that ended earlier in the same batch finds nobody, or nothing to read.
    fn forward(&mut self, token: usize) {
        let slot = token / 2;
        let Some(Some(pair)) = self.pairs.get_mut(slot) else { return };
        let done = match (token % 2, &mut pair.upstream, &self.answer) {
            (0, Some(upstream), _) => relay(&mut pair.client, upstream, &mut self.buffer),
            (_, Some(upstream), _) => relay(upstream, &mut pair.client, &mut self.buffer),
            (_, None, Answer::Fixed(response)) => hit(&mut pair.client, response, &mut self.buffer),
            (_, None, Answer::Relay(_)) => unreachable!("a relayed pair has both sides"),
        };
        if done.is_err() {
            self.pairs[slot] = None;
            self.free.push(slot);
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Reads once; again only if the buffer was full (epoll(7), question 9). `None`: nothing there.
fn read(from: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(to: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if to.write(bytes)? < bytes.len() {
        return Err(ErrorKind::WriteZero.into());
    }
    Ok(())
}

fn relay(from: &mut TcpStream, to: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    while let Some(read) = read(from, buffer)? {
        write(to, buffer.get(..read).unwrap_or_default())?;
        if read < buffer.len() {
            break;
        }
    }
    Ok(())
}

fn hit(client: &mut TcpStream, response: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    if read(client, buffer)?.is_some() {
        write(client, response)?;
    }
    Ok(())
}

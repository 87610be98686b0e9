//! The origin: answers the pages of [`crate::page`] on kept connections, inside the generator's loop.
//!
//! Requests without bodies only. `/echo` answers with the request head as received, by which
//! `bench/run` sees what a proxy adds; `/count` with how many requests were answered before it, by
//! which it sees what a cache did not ask for. A request is answered with one send; what the kernel does not
//! take at once waits in the connection's outbox.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use memchr::memmem;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::fault::Error;
use crate::page::Page;

/// Longest request head; a longer one ends the connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// The listener and its connections, whose tokens are `base` and up.
#[derive(Debug)]
pub struct Origin {
    listener: TcpListener,
    address: SocketAddr,
    base: usize,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    pages: Vec<(Vec<u8>, Vec<u8>)>,
    answered: u64,
}

#[derive(Debug)]
struct Peer {
    stream: TcpStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Origin {
    /// Listens; connections get tokens from `base` on.
    pub fn listen(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        base: usize,
    ) -> Result<Self, Error> {
        let bind = || {
            let mut listener = TcpListener::bind(address)?;
            registry.register(&mut listener, token, Interest::READABLE)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bind().map_err(|source| Error::Listen { address, source })?;
        let page = |page: Page| (format!("GET {} HTTP", page.path()).into_bytes(), page.response());
        let pages = Page::ALL.into_iter().map(page).collect();
        Ok(Self {
            listener,
            address,
            base,
            peers: Vec::new(),
            free: Vec::new(),
            pages,
            answered: 0,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Takes every connection that waits.
    pub fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or(self.peers.len());
            registry.register(&mut stream, Token(self.base + slot), Interest::READABLE)?;
            let peer = Some(Peer { stream, inbox: Vec::new(), outbox: Vec::new() });
            match self.peers.get_mut(slot) {
                Some(vacant) => *vacant = peer,
                None => self.peers.push(peer),
            }
        }
    }

    /// Reads and answers on the connection of `event`; ends it when the peer does.
    pub fn serve(&mut self, event: &Event, registry: &Registry, scratch: &mut [u8]) {
        let slot = event.token().0 - self.base;
        let Some(Some(peer)) = self.peers.get_mut(slot) else { return };
        let kept = (|| {
            if event.is_writable() && !peer.outbox.is_empty() {
                let rest = std::mem::take(&mut peer.outbox);
                peer.send(&rest, event.token(), registry)?;
            }
            loop {
                let read = match peer.stream.read(scratch) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                };
                let bytes = scratch.get(..read).unwrap_or_default();
                peer.answer(bytes, &self.pages, &mut self.answered, (event.token(), registry))?;
                // epoll(7), question 9: a short read means the socket is empty.
                if read < scratch.len() {
                    return Ok(());
                }
            }
        })();
        if kept.is_err() {
            self.peers[slot] = None;
            self.free.push(slot);
        }
    }
}

impl Peer {
    /// Answers every request complete with `bytes`, and counts it.
    fn answer(
        &mut self,
        bytes: &[u8],
        pages: &[(Vec<u8>, Vec<u8>)],
        answered: &mut u64,
        (token, registry): (Token, &Registry),
    ) -> io::Result<()> {
        let joined;
        let mut rest = if self.inbox.is_empty() {
            bytes
        } else {
            self.inbox.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.inbox);
            &joined
        };
        while let Some(end) = memmem::find(rest, b"\r\n\r\n") {
            let (head, next) = rest.split_at(end + 4);
            match pages.iter().find(|(line, _)| head.starts_with(line)) {
                Some((_, response)) => self.send(response, token, registry)?,
                None if head.starts_with(b"GET /echo ") => {
                    self.send(&plain(head), token, registry)?;
                }
                None if head.starts_with(b"GET /count ") => {
                    self.send(&plain(answered.to_string().as_bytes()), token, registry)?;
                }
                None => self.send(NOT_FOUND, token, registry)?,
            }
            *answered += 1;
            rest = next;
        }
        if rest.len() > HEAD_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        self.inbox.extend_from_slice(rest);
        Ok(())
    }

    fn send(&mut self, bytes: &[u8], token: Token, registry: &Registry) -> io::Result<()> {
        let sent = if self.outbox.is_empty() {
            match self.stream.write(bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            }
        } else {
            0
        };
        if sent < bytes.len() {
            self.outbox.extend_from_slice(bytes.get(sent..).unwrap_or_default());
            let both = Interest::READABLE | Interest::WRITABLE;
            registry.reregister(&mut self.stream, token, both)?;
        }
        Ok(())
    }
}

fn plain(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n\
                 Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    response.extend_from_slice(body);
    response
}

#[cfg(test)]
mod tests;

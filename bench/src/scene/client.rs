//! A client that asks and waits, on one kept connection.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BUFFER_BYTES: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: usize,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Asks for `path`, and reads the answer to its end.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        let request = self.request(path);
        self.send(request.as_bytes()).await?;
        self.receive().await
    }

    /// What asks for `path`; the host is the address, as in the requests of the `load` crate, so
    /// that both mean the same entries.
    pub fn request(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)
    }

    /// Posts JSON.
    pub async fn post(&mut self, path: &str, json: &str) -> io::Result<Answer> {
        let length = json.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{json}",
            self.address
        );
        self.send(request.as_bytes()).await?;
        self.receive().await
    }

    /// Sends the request alone.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads an answer, which must have a length.
    pub async fn receive(&mut self) -> io::Result<Answer> {
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(end) = memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
            if filled == self.buffer.len() {
                return Err(ErrorKind::InvalidData.into());
            }
        };
        let (status, bytes) = parse(&self.buffer[..head]).ok_or(ErrorKind::InvalidData)?;
        let mut left = (head + bytes).checked_sub(filled).ok_or(ErrorKind::InvalidData)?;
        while left > 0 {
            left = left.checked_sub(self.read(0).await?).ok_or(ErrorKind::InvalidData)?;
        }
        Ok(Answer { status, bytes })
    }

    async fn read(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..]).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn parse(head: &[u8]) -> Option<(u16, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let length = response.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"))?;
    Some((response.code?, std::str::from_utf8(length.value).ok()?.parse().ok()?))
}

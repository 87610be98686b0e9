//! A client that sends exactly the bytes it is told to, and reads answers strictly.
//!
//! Methods panic, at the line of the scenario, with the transcript of the connection; those that
//! begin with `try_` return the problem instead, for scenarios that expect one.

use crate::message::{Framing, Head, Response, status};
use crate::reading::{Problem, Reader, Source, is_late};
use crate::transcript::{Side, Transcript};
use crate::{PATIENCE, message};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Something to speak through: TCP itself, or TLS over it.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection to the gateway.
pub struct Client {
    reader: Reader<Ear>,
    tcp: TcpStream,
}

struct Ear {
    stream: Box<dyn Stream>,
    transcript: Transcript,
}

impl Source for Ear {
    fn pull(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let start = buffer.len();
        buffer.resize(start + (64 << 10), 0);
        let read = self.stream.read(&mut buffer[start..]);
        buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        self.transcript.add(Side::Them, &buffer[start..]);
        read
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a clean end of the stream.
    Closed,
    /// By a reset.
    Reset,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        match Self::try_connect(address) {
            Ok(client) => client,
            Err(error) => panic!("connecting to {address}: {error}"),
        }
    }

    /// Connects, or says why not.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
        let stream = Box::new(tcp.try_clone()?);
        Self::over(tcp, stream)
    }

    /// Connects with a small receive buffer, so that a reader who stops is felt at once.
    #[track_caller]
    pub fn connect_small(address: SocketAddr) -> Self {
        let client = Self::connect(address);
        // Not smaller: windows below a loopback segment crawl on the kernel's timers.
        let socket = socket2::SockRef::from(&client.tcp);
        socket.set_recv_buffer_size(64 << 10).expect("Linux takes any size");
        client
    }

    /// Speaks through `stream`, which is `tcp` or lies over it.
    pub fn over(tcp: TcpStream, stream: Box<dyn Stream>) -> io::Result<Self> {
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let ear = Ear { stream, transcript: Transcript::default() };
        Ok(Self { reader: Reader::over(ear), tcp })
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.tcp.local_addr().expect("a connected socket has an address")
    }

    /// Sends these bytes. A peer that has stopped listening is no failure: its answer tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.try_send(bytes.as_ref()) {
            self.reader.source.transcript.note(format!("sending: {error}"));
        }
        self
    }

    /// Sends these bytes, or says why not.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.source.transcript.add(Side::Us, bytes);
        self.reader.source.stream.write_all(bytes)?;
        self.reader.source.stream.flush()
    }

    /// Sends a request without a body.
    pub fn request(&mut self, method: &str, target: &str) -> &mut Self {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
    }

    /// Says that we shall send nothing more.
    pub fn finish(&mut self) {
        if let Err(error) = self.tcp.shutdown(Shutdown::Write) {
            self.reader.source.transcript.note(format!("finishing: {error}"));
        }
    }

    /// Breaks the connection off with a reset.
    pub fn reset(self) {
        let lingering =
            socket2::SockRef::from(&self.tcp).set_linger(Some(std::time::Duration::ZERO));
        lingering.expect("a TCP socket lingers");
    }

    /// Sends a GET and reads its answer.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.request("GET", target);
        self.response("GET")
    }

    /// Reads the answer to a request with this method.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Response {
        match self.try_response(method) {
            Ok(response) => response,
            Err((problem, _)) => self.fail(&format!("reading the answer: {problem}")),
        }
    }

    /// Reads an answer that must break off, and gives what came of it and how it broke.
    #[track_caller]
    pub fn cut_response(&mut self, method: &str) -> (Response, Problem) {
        match self.try_response(method) {
            Err((problem, Some(response))) => (*response, problem),
            Err((problem, None)) => self.fail(&format!("no head came: {problem}")),
            Ok(_) => self.fail("the answer was whole, but it should have been cut"),
        }
    }

    /// Reads an answer, or gives the problem and what came of it.
    pub fn try_response(
        &mut self,
        method: &str,
    ) -> Result<Response, (Problem, Option<Box<Response>>)> {
        let mut interim = Vec::new();
        loop {
            let head = self.try_head().map_err(|problem| (problem, None))?;
            let status = status(&head.line).map_err(|what| (what.into(), None))?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(head);
                continue;
            }
            let framing = framing(&head, status, method).map_err(|what| (what.into(), None))?;
            let (body, trailers) = (Vec::new(), Vec::new());
            let mut response = Response { interim, status, head, framing, body, trailers };
            return match self.reader.body(framing, &mut response.body, true) {
                Ok(trailers) => Ok(Response { trailers, ..response }),
                Err(problem) => Err((problem, Some(Box::new(response)))),
            };
        }
    }

    /// Reads one head, interim or not, and nothing of its body.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        match self.try_head() {
            Ok(head) => head,
            Err(problem) => self.fail(&format!("reading a head: {problem}")),
        }
    }

    fn try_head(&mut self) -> Result<Head, Problem> {
        let text = self.reader.until(b"\r\n\r\n")?;
        Ok(Head::read(&text)?)
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.take(length as u64, &mut bytes, true) {
            Ok(()) => bytes,
            Err(problem) => self.fail(&format!("reading {length} bytes: {problem}")),
        }
    }

    /// Reads exactly so many bytes, or gives the problem.
    pub fn try_bytes(&mut self, length: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        self.reader.take(length as u64, &mut bytes, true)?;
        Ok(bytes)
    }

    /// Reads so many bytes and forgets them.
    #[track_caller]
    pub fn skip(&mut self, length: u64) {
        if let Err(problem) = self.reader.take(length, &mut Vec::new(), false) {
            self.fail(&format!("skipping {length} bytes: {problem}"));
        }
    }

    /// Waits for the end of the connection; gives what came before it.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, Ending) {
        loop {
            match self.reader.more() {
                Ok(true) => {}
                Ok(false) => return (std::mem::take(&mut self.reader.buffer), Ending::Closed),
                Err(Problem::Reset(_)) => {
                    return (std::mem::take(&mut self.reader.buffer), Ending::Reset);
                }
                Err(problem) => self.fail(&format!("waiting for the end: {problem}")),
            }
        }
    }

    /// Waits for the end of the connection; nothing may come before it.
    #[track_caller]
    pub fn ends(&mut self) -> Ending {
        let (rest, ending) = self.rest();
        if !rest.is_empty() {
            self.fail(&format!("before the end came {:?}", message::latin(&rest)));
        }
        ending
    }

    /// Does the peer end the connection within this time? What comes meanwhile is kept.
    pub fn ended_within(&mut self, time: std::time::Duration) -> bool {
        let patience = |time| self.tcp.set_read_timeout(Some(time)).expect("not zero");
        patience(time);
        let seen = self.reader.more();
        self.tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        matches!(seen, Ok(false) | Err(Problem::Reset(_)))
    }

    /// Has nothing come since, without waiting? A check that something has *not yet* happened.
    #[track_caller]
    pub fn is_quiet(&mut self) -> bool {
        let blocking = |on: bool| self.tcp.set_nonblocking(!on).expect("sockets can be polled");
        blocking(false);
        let seen = self.reader.source.pull(&mut self.reader.buffer);
        blocking(true);
        self.reader.buffer.is_empty() && seen.is_err_and(|error| is_late(&error))
    }

    /// Fails with the transcript.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("{why}\ntranscript of {}:\n{}", self.local(), self.transcript());
    }

    /// What was said so far.
    pub fn transcript(&self) -> &Transcript {
        &self.reader.source.transcript
    }
}

/// The framing of a response to a request with this method (RFC 9112 §6.3).
fn framing(head: &Head, status: u16, method: &str) -> Result<Framing, String> {
    let declared = head.framing()?;
    match status {
        101 | 204 if declared.is_some() => Err(format!("{status} with {declared:?}")),
        101 | 204 | 304 => Ok(Framing::None),
        _ if method == "HEAD" => Ok(Framing::None),
        _ => Ok(declared.unwrap_or(Framing::Close)),
    }
}

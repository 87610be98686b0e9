//! An origin that records every byte it gets and answers by a script.
//!
//! One thread a connection. The script sees a request when its head is complete and says what to do
//! then, step by step; the body is read when the script says so, or else before the next request.
//! What reaches the origin is read strictly: a request that no strict server would take is recorded
//! as a problem, and [`Origin::problems`] must stay empty in every scenario.

use crate::gate::{Gate, Watched};
use crate::message::{Framing, Request};
use crate::reading::{Problem, Reader, Source};
use crate::{PATIENCE, patience};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send this many bytes of `x`, without holding them in memory.
    Fill(u64),
    /// Read the request's body to its end.
    Body,
    /// Wait until the gate is open.
    Wait(Gate),
    /// Open the gate.
    Open(Gate),
    /// Read so many bytes and send them back, then so on until the end of the stream, then say
    /// `bye` and close.
    Echo,
    /// Say that nothing more will be sent, and read on.
    Finish,
    /// Close the connection.
    Close,
    /// Reset the connection.
    Reset,
    /// Say nothing and do nothing until the peer goes away.
    Silence,
}

/// What an origin does when a request's head is complete.
pub type Script = Arc<dyn Fn(&Request) -> Vec<Action> + Send + Sync>;

/// Sends these bytes.
pub fn send(bytes: impl AsRef<[u8]>) -> Action {
    Action::Send(bytes.as_ref().to_vec())
}

/// Reads the body, then answers with these bytes.
pub fn answer(bytes: impl AsRef<[u8]>) -> Vec<Action> {
    vec![Action::Body, send(bytes)]
}

/// The answer of a well-behaved origin: 200, and the request line as the body.
pub fn echo_line(request: &Request) -> Vec<Action> {
    let line = &request.head.line;
    let head =
        format!("HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Length: {}\r\n\r\n", line.len());
    let body = if request.method == "HEAD" { "" } else { line.as_str() };
    answer(head + body)
}

struct State {
    script: Script,
    connections: Vec<Connection>,
    requests: Vec<Request>,
    /// How many requests were forgotten: numbers of requests are never used again.
    forgotten: usize,
    problems: Vec<String>,
    stopping: bool,
    listening: bool,
}

impl State {
    /// A request by its number, unless it was forgotten.
    fn numbered(&mut self, number: usize) -> Option<&mut Request> {
        self.requests.get_mut(number.checked_sub(self.forgotten)?)
    }
}

struct Connection {
    bytes: Vec<u8>,
    open: Option<TcpStream>,
}

/// A running origin; stopped when dropped.
pub struct Origin {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    record: bool,
}

impl Origin {
    /// One that behaves well.
    pub fn start() -> Self {
        Self::play(echo_line)
    }

    /// One with a script.
    pub fn play(script: impl Fn(&Request) -> Vec<Action> + Send + Sync + 'static) -> Self {
        Self::begin(Arc::new(script), true)
    }

    /// One with a script that keeps no bodies and no bytes: for big ones.
    pub fn forgetful(script: impl Fn(&Request) -> Vec<Action> + Send + Sync + 'static) -> Self {
        Self::begin(Arc::new(script), false)
    }

    /// The same on this address.
    pub fn forgetful_at(
        address: SocketAddr,
        script: impl Fn(&Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::begin_at(address, Arc::new(script), false)
    }

    /// One that gives the same answer to everything.
    pub fn saying(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::play(move |_| answer(&bytes))
    }

    fn begin(script: Script, record: bool) -> Self {
        Self::begin_at(SocketAddr::from(([127, 0, 0, 1], 0)), script, record)
    }

    fn begin_at(address: SocketAddr, script: Script, record: bool) -> Self {
        let state = State {
            script,
            connections: Vec::new(),
            requests: Vec::new(),
            forgotten: 0,
            problems: Vec::new(),
            stopping: false,
            listening: false,
        };
        let mut origin = Self { address, state: Arc::new(Watched::new(state)), record };
        origin.restart();
        origin
    }

    /// Listens again, on the same port, after a [`Origin::stop`].
    pub fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).expect("the loopback has a free port");
        self.address = listener.local_addr().expect("a bound socket has an address");
        self.state.change(|state| (state.stopping, state.listening) = (false, true));
        let (state, record) = (Arc::clone(&self.state), self.record);
        thread::spawn(move || {
            accept(&listener, &state, record);
            drop(listener);
            state.change(|state| state.listening = false);
        });
    }

    /// Dies as a killed process does: listens no more, resets every connection.
    pub fn stop(&mut self) {
        if !self.state.lock().listening {
            return;
        }
        let open: Vec<_> = self.state.change(|state| {
            state.stopping = true;
            state.connections.iter_mut().filter_map(|c| c.open.take()).collect()
        });
        for stream in open {
            // Already closed is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, which holds the listener.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        let gone = |state: &mut State| (!state.listening).then_some(());
        assert!(self.state.wait(patience(), gone).is_some(), "an origin would not stop");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows another script from the next request on.
    pub fn follow(&self, script: impl Fn(&Request) -> Vec<Action> + Send + Sync + 'static) {
        self.state.change(|state| state.script = Arc::new(script));
    }

    /// Forgets what it has seen so far.
    pub fn forget(&self) {
        self.state.change(|state| {
            state.forgotten += state.requests.len();
            state.requests.clear();
            state.problems.clear();
            for connection in &mut state.connections {
                connection.bytes.clear();
            }
        });
    }

    /// The requests seen so far, in the order of their heads.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// How many connections it has ever had.
    pub fn connections(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// All bytes seen so far on all connections.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().connections.iter().flat_map(|c| c.bytes.clone()).collect()
    }

    /// What a strict server would have refused.
    pub fn problems(&self) -> Vec<String> {
        self.state.lock().problems.clone()
    }

    /// Waits for the `n`th request, counted from 1, to be whole.
    #[track_caller]
    pub fn request(&self, n: usize) -> Request {
        let whole = |state: &mut State| state.requests.get(n - 1).filter(|r| r.whole).cloned();
        let found = self.state.wait(patience(), whole);
        found.unwrap_or_else(|| panic!("the origin saw no {n} whole requests:\n{}", self.report()))
    }

    /// Waits for the head of the `n`th request, counted from 1.
    #[track_caller]
    pub fn head(&self, n: usize) -> Request {
        let found = self.state.wait(patience(), |state| state.requests.get(n - 1).cloned());
        found.unwrap_or_else(|| panic!("the origin saw no {n} requests:\n{}", self.report()))
    }

    /// Waits until `n` connections are open.
    #[track_caller]
    pub fn open_connections(&self, n: usize) {
        let open = |state: &State| state.connections.iter().filter(|c| c.open.is_some()).count();
        let reached = self.state.wait(patience(), |state| (open(state) == n).then_some(()));
        assert!(reached.is_some(), "{} connections are open, not {n}", open(&self.state.lock()));
    }

    /// Waits until the connection of this number, counted from 0, is closed.
    #[track_caller]
    pub fn closed(&self, connection: usize) {
        let closed = |state: &mut State| state.connections[connection].open.is_none().then_some(());
        let reached = self.state.wait(patience(), closed);
        assert!(reached.is_some(), "connection {connection} is still open");
    }

    /// All it has seen, for people.
    pub fn report(&self) -> String {
        let state = self.state.lock();
        let mut text = format!("origin {}:\n", self.address);
        for request in &state.requests {
            text.push_str(&request.to_string());
        }
        for problem in &state.problems {
            text += &["  ## ", problem, "\n"].concat();
        }
        text
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, state: &Arc<Watched<State>>, record: bool) {
    while let Ok((stream, _)) = listener.accept() {
        let open = stream.try_clone().expect("a socket can be shared");
        let number = state.change(|state| {
            if state.stopping {
                return None;
            }
            state.connections.push(Connection { bytes: Vec::new(), open: Some(open) });
            Some(state.connections.len() - 1)
        });
        let Some(number) = number else { return };
        let state = Arc::clone(state);
        thread::spawn(move || {
            Conversation::new(stream, number, &state, record).run();
            state.change(|state| state.connections[number].open = None);
        });
    }
}

struct Ear<'a> {
    stream: TcpStream,
    number: usize,
    state: &'a Watched<State>,
    record: bool,
}

impl Source for Ear<'_> {
    fn pull(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let start = buffer.len();
        buffer.resize(start + (64 << 10), 0);
        let read = self.stream.read(&mut buffer[start..]);
        buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        if self.record {
            let bytes = &buffer[start..];
            self.state.change(|s| s.connections[self.number].bytes.extend_from_slice(bytes));
        }
        read
    }
}

struct Conversation<'a> {
    reader: Reader<Ear<'a>>,
}

/// What to do after a step.
#[derive(PartialEq)]
enum Next {
    Go,
    Stop,
}

impl<'a> Conversation<'a> {
    fn new(stream: TcpStream, number: usize, state: &'a Watched<State>, record: bool) -> Self {
        // Pooled connections may be idle for as long as the scenario lasts.
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { reader: Reader::over(Ear { stream, number, state, record }) }
    }

    fn run(&mut self) {
        while let Ok(text) = self.reader.until(b"\r\n\r\n") {
            let request = match Request::read(self.reader.source.number, &text) {
                Ok(request) => request,
                Err(problem) => return self.problem(problem),
            };
            let state = self.reader.source.state;
            let script = Arc::clone(&state.lock().script);
            let actions = script(&request);
            let framing = request.framing;
            let index = state.change(|state| {
                state.requests.push(request);
                state.forgotten + state.requests.len() - 1
            });
            let mut unread = self.begin_body(index, framing);
            for action in actions {
                if self.act(action, index, &mut unread) == Next::Stop {
                    return;
                }
            }
            if self.read_body(index, &mut unread) == Next::Stop {
                return;
            }
        }
    }

    /// The framing of the body still to be read; a request without one is whole at once.
    fn begin_body(&mut self, index: usize, framing: Framing) -> Option<Framing> {
        if framing != Framing::None {
            return Some(framing);
        }
        self.whole(index, |_| ());
        None
    }

    fn whole(&mut self, index: usize, change: impl FnOnce(&mut Request)) {
        self.reader.source.state.change(|state| {
            // A scenario may have made the origin forget it.
            if let Some(request) = state.numbered(index) {
                change(request);
                request.whole = true;
            }
        });
    }

    fn act(&mut self, action: Action, index: usize, unread: &mut Option<Framing>) -> Next {
        match action {
            Action::Send(bytes) => self.send(&bytes),
            Action::Fill(length) => self.fill(length),
            Action::Body => self.read_body(index, unread),
            Action::Wait(gate) => go(gate.pass()),
            Action::Open(gate) => {
                gate.open();
                Next::Go
            }
            Action::Echo => self.echo(),
            Action::Finish => go(self.stream().shutdown(Shutdown::Write).is_ok()),
            Action::Close => Next::Stop,
            Action::Reset => {
                let socket = socket2::SockRef::from(&self.reader.source.stream);
                socket.set_linger(Some(Duration::ZERO)).expect("a TCP socket lingers");
                Next::Stop
            }
            Action::Silence => {
                while self.reader.more() == Ok(true) {}
                Next::Stop
            }
        }
    }

    fn stream(&mut self) -> &mut TcpStream {
        &mut self.reader.source.stream
    }

    fn send(&mut self, bytes: &[u8]) -> Next {
        go(self.stream().write_all(bytes).is_ok())
    }

    fn fill(&mut self, mut length: u64) -> Next {
        let block = vec![b'x'; 64 << 10];
        while length > 0 {
            let n = length.min(block.len() as u64);
            if self.send(&block[..n as usize]) == Next::Stop {
                return Next::Stop;
            }
            length -= n;
        }
        Next::Go
    }

    fn echo(&mut self) -> Next {
        loop {
            let heard = std::mem::take(&mut self.reader.buffer);
            if self.send(&heard) == Next::Stop {
                return Next::Stop;
            }
            if self.reader.more() != Ok(true) {
                self.send(b"bye");
                return Next::Stop;
            }
        }
    }

    fn read_body(&mut self, index: usize, unread: &mut Option<Framing>) -> Next {
        let Some(framing) = unread.take() else { return Next::Go };
        let mut body = Vec::new();
        let keep = self.reader.source.record;
        match self.reader.body(framing, &mut body, keep) {
            Ok(trailers) => {
                self.whole(index, |request| (request.body, request.trailers) = (body, trailers));
                Next::Go
            }
            Err(problem) => {
                if let Problem::Bad(what) = problem {
                    self.problem(what);
                }
                let state = self.reader.source.state;
                state.change(|state| {
                    if let Some(request) = state.numbered(index) {
                        request.body = body;
                    }
                });
                Next::Stop
            }
        }
    }

    fn problem(&mut self, what: String) {
        self.reader.source.state.change(|state| state.problems.push(what));
    }
}

fn go(well: bool) -> Next {
    if well { Next::Go } else { Next::Stop }
}

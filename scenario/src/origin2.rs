//! An origin that speaks HTTP/2, frame by frame, so that it can refuse, say goodbye and keep count.
//!
//! Heads are not decoded: what matters here is which stream of which connection a request came on,
//! how long its body was, and what became of it.

use crate::gate::{Gate, Watched};
use crate::patience;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 with this body.
    Good(Vec<u8>),
    /// The same, once the gate is open.
    Held(Gate, Vec<u8>),
    /// `RST_STREAM` with this code, as soon as its head is there; 7 is `REFUSED_STREAM`.
    Reset(u32),
    /// GOAWAY, which says that the streams up to this one were dealt with. Those are answered with
    /// 200, and the connection is closed when the last has been.
    Goaway(u32),
}

/// A request as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which connection, from 0.
    pub connection: usize,
    /// Its stream.
    pub stream: u32,
    /// The how-manieth request of all, from 1.
    pub number: usize,
    /// Its body, once it is whole.
    pub body: Option<Vec<u8>>,
    /// The code of the `RST_STREAM` by which the gateway gave it up.
    pub reset: Option<u32>,
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    bodies: Vec<Vec<u8>>,
    connections: usize,
    open: Vec<TcpStream>,
    over: bool,
}

/// A running origin; its connections end when it is dropped.
pub struct Origin2 {
    address: SocketAddr,
    seen: Arc<Watched<Seen>>,
}

impl Origin2 {
    /// One that lets so many streams be open at once on a connection.
    pub fn play(
        streams_max: u32,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let seen: Arc<Watched<Seen>> = Arc::default();
        let (all, script): (_, Script) = (Arc::clone(&seen), Arc::new(script));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let open = stream.try_clone().expect("a socket can be shared");
                let number = all.change(|seen| {
                    seen.open.push(open);
                    seen.connections += 1;
                    seen.connections - 1
                });
                if all.lock().over {
                    return;
                }
                let (all, script) = (Arc::clone(&all), Arc::clone(&script));
                thread::spawn(move || {
                    let _ended = converse(&stream, number, streams_max, &all, &script);
                });
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.seen.lock().connections
    }

    /// The requests so far, in the order of their heads.
    pub fn asked(&self) -> Vec<Asked> {
        self.seen.lock().asked.clone()
    }

    /// Waits until what it has seen is as wished.
    #[track_caller]
    pub fn wait(&self, what: &str, mut wished: impl FnMut(&[Asked], usize) -> bool) {
        let ready = |seen: &mut Seen| wished(&seen.asked, seen.connections).then_some(());
        let found = self.seen.wait(patience(), ready);
        assert!(found.is_some(), "waiting for {what}: {:?}", self.seen.lock().asked);
    }
}

impl Drop for Origin2 {
    fn drop(&mut self) {
        let open = self.seen.change(|seen| {
            seen.over = true;
            std::mem::take(&mut seen.open)
        });
        for stream in open {
            // Already closed is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// One frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn converse(
    stream: &TcpStream,
    connection: usize,
    streams_max: u32,
    all: &Arc<Watched<Seen>>,
    script: &Script,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let out = Arc::new(Mutex::new(stream.try_clone()?));
    let mut reader = stream;
    reader.read_exact(&mut [0; 24])?;
    let settings = [&3_u16.to_be_bytes()[..], &streams_max.to_be_bytes()].concat();
    say(&out, &frame(4, 0, 0, &settings))?;
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        reader.read_exact(&mut payload)?;
        let number = |payload: &[u8]| {
            payload.get(..4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
        };
        match head[3] {
            0 => {
                let room = frame(8, 0, 0, &length.to_be_bytes());
                if length > 0 {
                    say(&out, &room)?;
                }
                all.change(|seen| {
                    if let Some(at) = at(&seen.asked, connection, id) {
                        seen.bodies[at].extend_from_slice(&payload);
                    }
                });
                if head[4] & 1 != 0 {
                    whole(all, connection, id, &out, script);
                }
            }
            1 => {
                let asked = all.change(|seen| {
                    let number = seen.asked.len() + 1;
                    let (body, reset) = (None, None);
                    let asked = Asked { connection, stream: id, number, body, reset };
                    seen.asked.push(asked.clone());
                    seen.bodies.push(Vec::new());
                    asked
                });
                if let Reply::Reset(code) = script(&asked) {
                    say(&out, &frame(3, 0, id, &code.to_be_bytes()))?;
                } else if head[4] & 1 != 0 {
                    whole(all, connection, id, &out, script);
                }
            }
            3 => all.change(|seen| {
                if let Some(at) = at(&seen.asked, connection, id) {
                    seen.asked[at].reset = Some(number(&payload));
                }
            }),
            4 if head[4] & 1 == 0 => say(&out, &frame(4, 1, 0, b""))?,
            6 if head[4] & 1 == 0 => say(&out, &frame(6, 1, 0, &payload))?,
            _ => {}
        }
    }
}

fn at(asked: &[Asked], connection: usize, stream: u32) -> Option<usize> {
    asked.iter().position(|a| a.connection == connection && a.stream == stream)
}

fn say(out: &Mutex<TcpStream>, bytes: &[u8]) -> std::io::Result<()> {
    out.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
}

fn good(stream: u32, body: &[u8]) -> Vec<u8> {
    // Index 8 of the static table is `:status: 200` (RFC 7541, appendix A).
    [frame(1, 4, stream, &[0x88]), frame(0, 1, stream, body)].concat()
}

/// A request is whole: what the script says is done.
fn whole(
    all: &Arc<Watched<Seen>>,
    connection: usize,
    id: u32,
    out: &Arc<Mutex<TcpStream>>,
    script: &Script,
) {
    let asked = all.change(|seen| {
        let at = at(&seen.asked, connection, id)?;
        seen.asked[at].body = Some(seen.bodies[at].clone());
        Some(seen.asked[at].clone())
    });
    let Some(asked) = asked else { return };
    let out = Arc::clone(out);
    match script(&asked) {
        Reply::Good(body) => {
            let _gone = say(&out, &good(id, &body));
        }
        Reply::Held(gate, body) => {
            thread::spawn(move || gate.pass().then(|| say(&out, &good(id, &body))));
        }
        Reply::Reset(_) => {}
        Reply::Goaway(last) => {
            let streams = (1..=last).step_by(2).filter(|s| *s == id).map(|s| good(s, b"last"));
            let answers: Vec<u8> = streams.flatten().collect();
            let bye = frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
            let _gone = say(&out, &[bye, answers].concat());
        }
    }
}

//! HTTP/2: its frames, its messages as HTTP/1 origins get them, its limits (RFC 9113).
//!
//! Malformed input is written frame by frame; well-formed traffic goes through the `h2` client.

mod calls;
pub(crate) use calls::play;
mod frames;
mod messages;

use scenario::reading::Problem;
use scenario::{Client, Gateway};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// One frame.
#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of fields, every one a literal that is not indexed (RFC 7541 §6.2.2).
fn block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let literal = |(name, value)| [vec![0], text(name), text(value)].concat();
    fields.into_iter().flat_map(literal).collect()
}

/// A string literal without Huffman code (RFC 7541 §5.2). Each `char` is one byte.
fn text(text: &str) -> Vec<u8> {
    let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let mut coded = Vec::new();
    if bytes.len() < 127 {
        coded.push(bytes.len() as u8);
    } else {
        coded.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            coded.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        coded.push(rest as u8);
    }
    coded.extend(bytes);
    coded
}

/// The pseudo-header fields of a GET for `path`.
fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "shop.test"), (":path", path)]
}

/// A connection that begins with the preface and empty settings.
fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(SETTINGS, 0, 0, ""));
    client
}

fn next(client: &mut Client) -> Result<Frame, Problem> {
    let head = client.try_bytes(9)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| (sum << 8) | u32::from(byte));
    let payload = client.try_bytes(number(&head[..3]) as usize)?;
    Ok(Frame { kind: head[3], flags: head[4], stream: number(&head[5..9]), payload })
}

/// Reads frames until one is what is looked for. `None` if the connection ended before.
#[track_caller]
fn until(client: &mut Client, mut found: impl FnMut(&Frame) -> bool) -> Option<Frame> {
    loop {
        match next(client) {
            Ok(frame) if found(&frame) => return Some(frame),
            Ok(_) => {}
            Err(Problem::Closed(_) | Problem::Reset(_)) => return None,
            Err(problem) => client.fail(&format!("waiting for a frame: {problem}")),
        }
    }
}

impl Frame {
    /// Is it the head of an answer with status 200 (index 8 of the static table)?
    fn is_ok(&self) -> bool {
        self.kind == HEADERS && self.payload.iter().find(|&&b| b & 0xe0 != 0x20) == Some(&0x88)
    }

    /// The error code of a `RST_STREAM` or GOAWAY.
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        self.payload[at..at + 4].iter().fold(0, |sum, &byte| (sum << 8) | u32::from(byte))
    }
}

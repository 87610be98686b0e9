//! Heads into bytes. The framing fields of the message received are skipped and ours are written
//! where the first of them stood, so that a field's place is kept and its value is our own.

use base::{Fields, Framing, RequestHead, ResponseHead};
use std::io::Write;

/// What a response says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Nothing: HTTP/1.1 keeps it open.
    Silent,
    /// `keep-alive`, for HTTP/1.0.
    KeepAlive,
    /// `close`.
    Close,
}

/// Appends a request head.
pub fn request(out: &mut Vec<u8>, head: &RequestHead, framing: Framing) {
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(head.target());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields(out, &head.fields, framing);
    out.extend_from_slice(b"\r\n");
}

/// Appends a response head.
pub fn response(out: &mut Vec<u8>, head: &ResponseHead, framing: Framing, connection: Connection) {
    status_line(out, head);
    fields(out, &head.fields, framing);
    out.extend_from_slice(match connection {
        Connection::Silent => b"\r\n",
        Connection::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        Connection::Close => b"Connection: close\r\n\r\n",
    });
}

/// Appends the head of an interim response.
pub fn interim(out: &mut Vec<u8>, head: &ResponseHead) {
    status_line(out, head);
    fields(out, &head.fields, Framing::None);
    out.extend_from_slice(b"\r\n");
}

/// Appends trailer fields and the empty line that ends them.
pub fn trailers(out: &mut Vec<u8>, trailers: &Fields) {
    fields(out, trailers, Framing::None);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, head: &ResponseHead) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let status = head.status;
    let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
}

fn fields(out: &mut Vec<u8>, fields: &Fields, framing: Framing) {
    let mut framed = false;
    fields.write_lines(out, |out| {
        if !framed {
            framing_field(out, framing);
            framed = true;
        }
    });
    if !framed {
        framing_field(out, framing);
    }
}

fn framing_field(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::Close => {}
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(n) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, n);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the line that opens a chunk of `n` bytes.
pub fn chunk_line(out: &mut Vec<u8>, n: usize) {
    write!(out, "{n:x}\r\n").expect("a vector takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_written_anew_in_its_place() {
        let mut head = ResponseHead::build(200);
        for (name, value) in [("A", "1"), ("content-length", "007"), ("B", "2")] {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        let mut out = Vec::new();
        response(&mut out, &head, Framing::Length(7), Connection::Close);
        let text =
            "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 7\r\nB: 2\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
    }

    #[test]
    fn numbers_in_decimal() {
        for n in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
    }
}

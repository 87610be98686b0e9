//! Lines in NCSA's formats, common and combined, as nginx writes them.
//!
//! What a client sent is escaped as nginx does by default: quotes, backslashes and all that is no
//! printable ASCII become `\xXX`, so that no client can forge a line. Nobody is ever named as user.

use super::redact::{self, redacted};
use crate::depart;
use crate::path::{Exchange, Peer};
use base::{FieldName, Moment, Version};
use monitor::Facts;
use monitor::log::line::{common_time, digits};
use monitor::settings::LogFormat;

/// The line about an exchange.
pub(super) fn line(exchange: &Exchange<'_>, secret: &[String], format: LogFormat) -> Vec<u8> {
    let mut made = Vec::with_capacity(384);
    let line = &mut made;
    let (facts, head) = (&exchange.facts, &exchange.head);
    begin(line, exchange.peer, facts.begun);
    escape(line, head.method());
    line.push(b' ');
    escape(line, &redacted(head.target_received(), secret));
    line.push(b' ');
    // Readers of these formats want a dot in it.
    let protocol = match head.version {
        Version::Http2 => "HTTP/2.0",
        version => super::protocol(version),
    };
    line.extend_from_slice(protocol.as_bytes());
    line.extend_from_slice(b"\" ");
    status(line, facts);
    line.push(b' ');
    digits(line, facts.sent);
    if format == LogFormat::Combined {
        let referer = head.fields.get(FieldName::Referer);
        let referer = referer.map(|referer| redact::url(referer, secret));
        quoted(line, referer.as_deref());
        quoted(line, head.fields.get(FieldName::UserAgent));
    }
    line.push(b'\n');
    made
}

/// The line about a request that could not be understood.
pub(super) fn refusal(peer: &Peer, status: u16, format: LogFormat, now: Moment) -> Vec<u8> {
    let mut made = Vec::with_capacity(128);
    let line = &mut made;
    begin(line, peer, now);
    line.extend_from_slice(b"-\" ");
    digits(line, status.into());
    line.extend_from_slice(b" 0");
    if format == LogFormat::Combined {
        quoted(line, None);
        quoted(line, None);
    }
    line.push(b'\n');
    made
}

fn begin(line: &mut Vec<u8>, peer: &Peer, begun: Moment) {
    line.extend_from_slice(peer.ip.as_bytes());
    line.extend_from_slice(b" - - [");
    line.extend_from_slice(&common_time(begun));
    line.extend_from_slice(b"] \"");
}

/// Three digits, whatever happened: what was sent, or what would have been (499: the client had
/// gone).
fn status(line: &mut Vec<u8>, facts: &Facts) {
    match (facts.status, facts.fault) {
        (0, Some(fault)) => digits(line, depart::status_of(fault).into()),
        (0, None) => line.extend_from_slice(b"000"),
        (status, _) => digits(line, status.into()),
    }
}

fn quoted(line: &mut Vec<u8>, text: Option<&[u8]>) {
    line.extend_from_slice(b" \"");
    match text {
        None | Some(b"") => line.push(b'-'),
        Some(text) => escape(line, text),
    }
    line.push(b'"');
}

fn escape(line: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let odd = |b: u8| !(0x20..0x7f).contains(&b) || b == b'"' || b == b'\\';
    if !text.iter().any(|b| odd(*b)) {
        line.extend_from_slice(text);
        return;
    }
    for &b in text {
        if odd(b) {
            let (high, low) = (HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]);
            line.extend_from_slice(&[b'\\', b'x', high, low]);
        } else {
            line.push(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        for (text, written) in [
            (&b"Mozilla/5.0 (X11)"[..], r#" "Mozilla/5.0 (X11)""#),
            (b"a\" 200 0 \"\\", r#" "a\x22 200 0 \x22\x5C""#),
            (b"\r\n\x1b\x7f\xe9", r#" "\x0D\x0A\x1B\x7F\xE9""#),
            (b"", r#" "-""#),
        ] {
            let mut line = Vec::new();
            quoted(&mut line, Some(text));
            assert_eq!(String::from_utf8(line).unwrap(), written);
        }
    }
}

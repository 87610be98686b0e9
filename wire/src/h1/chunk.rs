//! The chunked coding, decoded (RFC 9112 §7.1).
//!
//! A pure state machine over a buffer: it says how many of the next bytes are data, or that the body
//! has ended, or that more bytes are needed. Strict: sizes of at most 16 hexadecimal digits, CRLF
//! everywhere, extensions bounded and dropped, nothing between size and `;` or CRLF.

use crate::h1::parse::{self, Extent};
use base::Fields;

/// Longest extensions of one chunk, in bytes.
pub const EXTENSION_BYTES_MAX: usize = 256;
/// Longest extensions of one body, in bytes: more than this is an attack on our time.
pub const EXTENSIONS_BYTES_MAX: usize = 16 << 10;

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The first `n` bytes at hand are data; call [`Decoder::used`] as they are used.
    Data(usize),
    /// More bytes are needed.
    More,
    /// The body has ended, trailers included.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a size: value and digits so far.
    Size(u64, u8),
    /// In the extensions of a chunk of this size, so many bytes of them.
    Extension(u64, usize),
    /// At the LF behind a size.
    SizeLf(u64),
    /// In data, so much of it left.
    Data(u64),
    /// At the CR behind data.
    DataCr,
    /// At the LF behind data.
    DataLf,
    /// In the trailer section; searched so far.
    Trailers(usize),
    Ended,
}

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    extensions: usize,
    trailers: Option<Fields>,
    trailer_bytes_max: usize,
    fields_max: usize,
}

impl Decoder {
    /// At the start of a body, whose trailers are bounded in bytes and number.
    pub fn new(trailer_bytes_max: usize, fields_max: usize) -> Self {
        Self {
            state: State::Size(0, 0),
            extensions: 0,
            trailers: None,
            trailer_bytes_max,
            fields_max,
        }
    }

    /// Looks at `data`, the bytes at hand. Answers what they are and how many bytes of framing
    /// before them are done with.
    ///
    /// # Errors
    /// What is malformed, in words. The decoder must not be used after that.
    pub fn step(&mut self, data: &[u8]) -> Result<(usize, Step), &'static str> {
        let mut at = 0;
        loop {
            if let State::Trailers(searched) = self.state {
                return self.trailer_step(data, at, searched);
            }
            if let State::Data(left) = self.state {
                let here = (data.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                return Ok((at, if here == 0 { Step::More } else { Step::Data(here) }));
            }
            if self.state == State::Ended {
                return Ok((at, Step::End));
            }
            let Some(&byte) = data.get(at) else { return Ok((at, Step::More)) };
            at += 1;
            self.state = self.next(byte)?;
        }
    }

    /// `n` bytes of data have been used.
    pub fn used(&mut self, n: usize) {
        let State::Data(left) = &mut self.state else { panic!("data was used outside a chunk") };
        *left -= n as u64;
        if *left == 0 {
            self.state = State::DataCr;
        }
    }

    /// The trailer fields, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take().filter(|fields| !fields.is_empty())
    }

    fn next(&mut self, byte: u8) -> Result<State, &'static str> {
        match (self.state, byte) {
            (State::Size(size, digits), _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err("a chunk size of more than 16 digits");
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                Ok(State::Size((size << 4) | digit, digits + 1))
            }
            (State::Size(_, 0), _) => Err("a chunk without a size"),
            (State::Size(size, _), b';') => Ok(State::Extension(size, 0)),
            (State::Size(size, _) | State::Extension(size, _), b'\r') => Ok(State::SizeLf(size)),
            (State::Size(..), _) => Err("a malformed chunk size"),
            (State::Extension(size, bytes), b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if bytes == EXTENSION_BYTES_MAX || self.extensions == EXTENSIONS_BYTES_MAX {
                    return Err("a chunk extension that is too long");
                }
                Ok(State::Extension(size, bytes + 1))
            }
            (State::Extension(..), _) => Err("a control byte in a chunk extension"),
            (State::SizeLf(0), b'\n') => Ok(State::Trailers(0)),
            (State::SizeLf(size), b'\n') => Ok(State::Data(size)),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size(0, 0)),
            (State::SizeLf(_) | State::DataLf, _) => Err("a chunk line that does not end in CRLF"),
            (State::DataCr, _) => Err("a chunk that is longer than its size"),
            (State::Data(_) | State::Trailers(_) | State::Ended, _) => {
                unreachable!("step returns before it comes here")
            }
        }
    }

    fn trailer_step(
        &mut self,
        data: &[u8],
        at: usize,
        searched: usize,
    ) -> Result<(usize, Step), &'static str> {
        let section = &data[at..];
        match parse::extent(section, searched) {
            Extent::BareLf => Err("a trailer line that does not end in CRLF"),
            Extent::Whole(end) if end <= self.trailer_bytes_max => {
                self.trailers = Some(parse::trailers(&section[..end], self.fields_max)?);
                self.state = State::Ended;
                Ok((at + end, Step::End))
            }
            Extent::Partial(searched) if searched <= self.trailer_bytes_max => {
                self.state = State::Trailers(searched);
                Ok((at, Step::More))
            }
            _ => Err("a trailer section longer than limits.head_bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `wire` given in pieces of these lengths; answers body and what is left over.
    fn decode(wire: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
        let mut decoder = Decoder::new(1_000, 10);
        let (mut body, mut held, mut given) = (Vec::new(), Vec::new(), 0);
        for piece in pieces.iter().copied().chain(std::iter::repeat(1)) {
            let next = wire.len().min(given + piece);
            held.extend_from_slice(&wire[given..next]);
            given = next;
            loop {
                let (skip, step) = decoder.step(&held)?;
                held.drain(..skip);
                match step {
                    Step::Data(n) => {
                        body.extend(held.drain(..n));
                        decoder.used(n);
                    }
                    Step::More if given == wire.len() => return Err("cut"),
                    Step::More => break,
                    Step::End => {
                        held.extend_from_slice(&wire[given..]);
                        return Ok((body, held));
                    }
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for wire in [
            "\r\n",
            ";x\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello",
            "-1\r\n",
            " 5\r\nhello",
            "5 \r\nhello",
            "5\nhello",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5;a\nb\r\nhello",
            "5;a\0b\r\nhello",
            "10000000000000000\r\n",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx y\r\n\r\n",
            "0\r\n x: y\r\n\r\n",
            "g\r\n",
            "5\r\r\n",
        ] {
            assert!(decode(wire.as_bytes(), &[100]).is_err_and(|e| e != "cut"), "{wire:?}");
        }
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(EXTENSION_BYTES_MAX + 1));
        assert!(decode(long.as_bytes(), &[]).is_err());
        let many = "1;xxxxxxxx\r\na\r\n".repeat(EXTENSIONS_BYTES_MAX);
        assert!(decode(many.as_bytes(), &[many.len()]).is_err_and(|e| e != "cut"));
    }

    #[test]
    fn trailers_are_read() {
        let mut decoder = Decoder::new(1_000, 10);
        let (skip, step) = decoder.step(b"0\r\nA: b\r\n\r\nrest").unwrap();
        assert_eq!((skip, step), (11, Step::End));
        assert_eq!(decoder.take_trailers().unwrap().find(b"a"), Some(&b"b"[..]));
        let long = format!("0\r\na: {}\r\n\r\n", "x".repeat(1_000));
        assert!(decode(long.as_bytes(), &[2_000]).is_err());
    }

    proptest! {
        /// Printing and decoding are inverse, wherever the pieces are cut and whatever follows.
        #[test]
        fn a_body_survives_any_cutting(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            pieces in proptest::collection::vec(1_usize..30, 0..40),
            rest in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X};e=1\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            wire.extend_from_slice(&rest);
            prop_assert_eq!(decode(&wire, &pieces), Ok((chunks.concat(), rest)));
        }

        /// Any bytes in any pieces: no panic, and the cutting never changes the verdict.
        #[test]
        fn the_cutting_never_changes_the_verdict(
            wire in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), Just(b';'), any::<u8>()],
                0..60),
            pieces in proptest::collection::vec(1_usize..9, 0..40),
        ) {
            prop_assert_eq!(decode(&wire, &pieces), decode(&wire, &[wire.len()]));
        }
    }
}

//! Reading an HTTP/1.1 answer as far as its end: its status, the length of its body, and whether the
//! connection can be used again.
//!
//! Pure: bytes in, [`State`] out. The body is counted and thrown away.

use httparse::{ParserConfig, Status};
use std::mem::MaybeUninit;

const FIELDS_MAX: usize = 128;
/// A head longer than this is none.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest line of a chunk's size or of a trailer.
const LINE_BYTES_MAX: u32 = 16 * 1024;

/// No HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// Whether another request may follow on the connection.
    pub keep: bool,
}

/// One answer being read.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Whether the request was a HEAD: then there is no body, whatever the head says.
    bodiless: bool,
    /// A head that has not come whole.
    head: Vec<u8>,
    status: u16,
    keep: bool,
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes to come.
    Length(u64),
    Chunked(Chunk),
    ToEnd,
    Whole,
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In a size line: the size so far, digits seen, whether an extension has begun, its length.
    Size {
        size: u64,
        digits: u32,
        extension: bool,
        line: u32,
    },
    Data(u64),
    /// The end of line behind the data.
    DataEnd,
    /// In a line of the trailer: bytes in it.
    Trailer(u32),
}

const SIZE: Chunk = Chunk::Size { size: 0, digits: 0, extension: false, line: 0 };

impl Answer {
    pub(crate) fn new(bodiless: bool) -> Self {
        let state = State::Head;
        Self { bodiless, head: Vec::new(), status: 0, keep: true, bytes: 0, state }
    }

    /// Takes bytes as they came. Answers the whole answer at its last byte; what follows that is
    /// nonsense, for nothing was asked.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Result<Option<Whole>, Nonsense> {
        while self.state == State::Head {
            if self.head.is_empty() {
                let Some(length) = self.read_head(input)? else {
                    self.head.extend_from_slice(input);
                    return Ok(None);
                };
                input = &input[length..];
            } else {
                let mut head = std::mem::take(&mut self.head);
                let before = head.len();
                head.extend_from_slice(input);
                if let Some(length) = self.read_head(&head)? {
                    // What had come before was no whole head.
                    input = &input[length - before..];
                } else {
                    self.head = head;
                    return if self.head.len() > HEAD_BYTES_MAX { Err(Nonsense) } else { Ok(None) };
                }
            }
        }
        self.read_body(input)
    }

    /// The connection has ended.
    pub(crate) fn end(&self) -> Result<Whole, Nonsense> {
        match self.state {
            State::ToEnd | State::Whole => Ok(self.whole()),
            _ => Err(Nonsense),
        }
    }

    /// Has nothing of it come yet?
    pub(crate) fn is_untouched(&self) -> bool {
        self.state == State::Head && self.head.is_empty() && self.status == 0
    }

    fn whole(&self) -> Whole {
        Whole {
            status: self.status,
            bytes: self.bytes,
            keep: self.keep && self.state == State::Whole,
        }
    }

    /// Its length, once it is whole. Interim answers (1xx) are read over.
    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, Nonsense> {
        let mut space = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, input, &mut space)
            .map_err(|_| Nonsense)?;
        let Status::Complete(length) = parsed else { return Ok(None) };
        self.status = response.code.ok_or(Nonsense)?;
        if (100..200).contains(&self.status) && self.status != 101 {
            return Ok(Some(length));
        }
        self.keep = response.version == Some(1);
        let (mut content_length, mut chunked) = (None, false);
        for field in response.headers.iter() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                content_length = Some(decimal(field.value)?);
            } else if is("transfer-encoding") {
                chunked = ends_with_chunked(field.value);
            } else if is("connection") && has_token(field.value, b"close") {
                self.keep = false;
            }
        }
        self.state = if self.bodiless || matches!(self.status, 204 | 304) {
            State::Whole
        } else if chunked {
            State::Chunked(SIZE)
        } else {
            content_length.map_or(State::ToEnd, State::Length)
        };
        Ok(Some(length))
    }

    fn read_body(&mut self, mut input: &[u8]) -> Result<Option<Whole>, Nonsense> {
        loop {
            match &mut self.state {
                State::Length(0) => self.state = State::Whole,
                State::Length(left) => {
                    let taken = (*left).min(input.len() as u64);
                    *left -= taken;
                    self.bytes += taken;
                    input = &input[taken as usize..];
                    if *left > 0 {
                        return Ok(None);
                    }
                }
                State::Chunked(chunk) => {
                    let mut bytes = 0;
                    let (next, taken) = chunk.feed(input, &mut bytes)?;
                    self.bytes += bytes;
                    input = &input[taken..];
                    match next {
                        Some(next) => {
                            *chunk = next;
                            if input.is_empty() {
                                return Ok(None);
                            }
                        }
                        None => self.state = State::Whole,
                    }
                }
                State::ToEnd => {
                    self.bytes += input.len() as u64;
                    return Ok(None);
                }
                State::Whole if input.is_empty() => return Ok(Some(self.whole())),
                State::Whole | State::Head => return Err(Nonsense),
            }
        }
    }
}

impl Chunk {
    /// Reads on; answers what comes next (`None`: the body has ended) and how much was read.
    fn feed(self, input: &[u8], bytes: &mut u64) -> Result<(Option<Self>, usize), Nonsense> {
        if let Self::Data(left) = self {
            let taken = left.min(input.len() as u64);
            *bytes += taken;
            let next = if taken == left { Self::DataEnd } else { Self::Data(left - taken) };
            return Ok((Some(next), taken as usize));
        }
        let Some(&byte) = input.first() else { return Ok((Some(self), 0)) };
        let next = match self {
            Self::Size { line: LINE_BYTES_MAX, .. } | Self::Trailer(LINE_BYTES_MAX) => {
                return Err(Nonsense);
            }
            Self::Size { digits: 0, .. } if byte == b'\n' => return Err(Nonsense),
            Self::Size { size: 0, .. } if byte == b'\n' => Self::Trailer(0),
            Self::Size { size, .. } if byte == b'\n' => Self::Data(size),
            Self::Size { size, digits, extension, line } => {
                let digit = char::from(byte).to_digit(16).filter(|_| !extension);
                let line = line + 1;
                match digit {
                    Some(_) if digits == 15 => return Err(Nonsense),
                    Some(digit) => Self::Size {
                        size: (size << 4) | u64::from(digit),
                        digits: digits + 1,
                        extension,
                        line,
                    },
                    None => Self::Size { size, digits, extension: true, line },
                }
            }
            Self::DataEnd if byte == b'\r' => Self::DataEnd,
            Self::DataEnd if byte == b'\n' => SIZE,
            Self::DataEnd | Self::Data(_) => return Err(Nonsense),
            Self::Trailer(0) if byte == b'\n' => return Ok((None, 1)),
            Self::Trailer(_) if byte == b'\n' => Self::Trailer(0),
            Self::Trailer(length) if byte == b'\r' => Self::Trailer(length),
            Self::Trailer(length) => Self::Trailer(length + 1),
        };
        Ok((Some(next), 1))
    }
}

fn decimal(value: &[u8]) -> Result<u64, Nonsense> {
    std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or(Nonsense)
}

fn ends_with_chunked(value: &[u8]) -> bool {
    value
        .rsplit(|b| *b == b',')
        .next()
        .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\
        Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";

    fn whole(status: u16, bytes: u64, keep: bool) -> Whole {
        Whole { status, bytes, keep }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<Option<Whole>, Nonsense>) {
        assert_eq!(Answer::new(false).feed(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn an_answer_ends_where_its_framing_says() {
        check(PLAIN, Ok(Some(whole(200, 5, true))));
        check(CHUNKED, Ok(Some(whole(404, 15, true))));
        check("HTTP/1.1 204 No Content\r\n\r\n", Ok(Some(whole(204, 0, true))));
        check(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            Ok(Some(whole(304, 0, true))),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
            Ok(Some(whole(200, 0, false))),
        );
        check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(Some(whole(200, 0, false))));
        check("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", Ok(None));
    }

    #[test]
    fn what_is_no_http_is_refused() {
        check("SSH-2.0-x\r\n\r\n", Err(Nonsense));
        check("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Err(Nonsense));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", Err(Nonsense));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", Err(Nonsense));
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", Err(Nonsense));
    }

    #[test]
    fn a_head_has_no_body() {
        let mut answer = Answer::new(true);
        assert_eq!(
            answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            Ok(Some(whole(200, 0, true)))
        );
    }

    #[test]
    fn a_body_without_a_length_goes_to_the_end() {
        let mut answer = Answer::new(false);
        assert!(answer.is_untouched());
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhel"), Ok(None));
        assert_eq!(answer.feed(b"lo"), Ok(None));
        assert_eq!(answer.end(), Ok(Whole { status: 200, bytes: 5, keep: false }));
        assert_eq!(Answer::new(false).end(), Err(Nonsense));
    }

    proptest! {
        /// However the bytes are cut on their way.
        #[test]
        fn cutting_changes_nothing(cuts in proptest::collection::vec(0_usize..200, 0..8), chunked: bool) {
            let text = if chunked { CHUNKED } else { PLAIN };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % text.len()).collect();
            cuts.push(0);
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut answer = Answer::new(false);
            let mut last = Ok(None);
            for pair in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
                prop_assert_eq!(last, Ok(None));
                last = answer.feed(&text.as_bytes()[pair[0]..pair[1]]);
            }
            let expected = if chunked { whole(404, 15, true) } else { whole(200, 5, true) };
            prop_assert_eq!(last, Ok(Some(expected)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            text.extend_from_slice(&bytes);
            let _either = Answer::new(false).feed(&text);
            let _either = Answer::new(false).feed(&bytes);
        }
    }
}

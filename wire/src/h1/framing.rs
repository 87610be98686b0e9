//! Where a body ends (RFC 9112 §6), decided once from a head; ambiguity is refused.

use base::{Fault, FaultKind, FieldName, Fields, Framing, RequestHead, ResponseHead, Version};

/// How the body of a request is framed.
///
/// # Errors
/// `BadRequest` where two readers could disagree, `BadCoding` for a coding that we do not know.
pub fn of_request(head: &RequestHead) -> Result<Framing, Fault> {
    let bad = |detail: &'static str| Fault::new(FaultKind::BadRequest, detail);
    let length = match length_of(&head.fields) {
        Length::Absent => None,
        Length::Given(n) => Some(n),
        Length::Repeated(_) => return Err(bad("more than one Content-Length")),
        Length::Malformed => return Err(bad("a malformed Content-Length")),
    };
    match coding_of(&head.fields) {
        Coding::Absent => Ok(length.map_or(Framing::None, Framing::Length)),
        _ if head.version == Version::Http10 => Err(bad("Transfer-Encoding in HTTP/1.0")),
        _ if length.is_some() => Err(bad("both Content-Length and Transfer-Encoding")),
        Coding::Chunked => Ok(Framing::Chunked),
        Coding::Unknown => {
            Err(Fault::new(FaultKind::BadCoding, "a transfer coding other than chunked"))
        }
        Coding::Malformed => Err(bad("a malformed Transfer-Encoding")),
    }
}

/// How the body of the response to a `HEAD` (if `to_head`) or other request is framed.
///
/// # Errors
/// `BadResponse` where two readers could disagree.
pub fn of_response(head: &ResponseHead, to_head: bool) -> Result<Framing, Fault> {
    let bad = |detail: &'static str| Fault::new(FaultKind::BadResponse, detail);
    if to_head || head.is_bodiless() {
        return Ok(Framing::None);
    }
    let length = match length_of(&head.fields) {
        Length::Absent => None,
        // RFC 9110 §8.6 lets a recipient take identical repetitions for one.
        Length::Given(n) | Length::Repeated(Some(n)) => Some(n),
        Length::Repeated(None) => return Err(bad("contradicting Content-Length")),
        Length::Malformed => return Err(bad("a malformed Content-Length")),
    };
    match coding_of(&head.fields) {
        Coding::Absent => Ok(length.map_or(Framing::Close, Framing::Length)),
        _ if length.is_some() => Err(bad("both Content-Length and Transfer-Encoding")),
        _ if head.version == Version::Http10 => Err(bad("Transfer-Encoding in HTTP/1.0")),
        Coding::Chunked => Ok(Framing::Chunked),
        // RFC 9112 §6.3: when chunked is not the last coding, the connection's end is the body's.
        Coding::Unknown => Ok(Framing::Close),
        Coding::Malformed => Err(bad("a malformed Transfer-Encoding")),
    }
}

/// What Content-Length says.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Absent,
    Given(u64),
    /// Several members or lines; the value if they all agree.
    Repeated(Option<u64>),
    Malformed,
}

fn length_of(fields: &Fields) -> Length {
    let mut lines = fields.all(FieldName::ContentLength);
    let first = lines.next();
    if let Some(n) = first.and_then(decimal)
        && lines.next().is_none()
    {
        return Length::Given(n); // the rule; what follows are the exceptions
    }
    let mut found = Length::Absent;
    for line in fields.all(FieldName::ContentLength) {
        for member in line.split(|&b| b == b',') {
            let Some(n) = decimal(member.trim_ascii()) else { return Length::Malformed };
            found = match found {
                Length::Absent => Length::Given(n),
                Length::Given(m) | Length::Repeated(Some(m)) => {
                    Length::Repeated((m == n).then_some(n))
                }
                other => other,
            };
        }
    }
    found
}

/// A number as HTTP writes it: digits only, at most 2^63 - 1.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    i64::try_from(value).is_ok().then_some(value)
}

/// What Transfer-Encoding says.
enum Coding {
    Absent,
    /// `chunked` and nothing else, once.
    Chunked,
    /// Some coding that we do not know is the last, and chunked is nowhere.
    Unknown,
    /// Chunked where or as it may not be, or no token at all.
    Malformed,
}

fn coding_of(fields: &Fields) -> Coding {
    let mut lines = fields.all(FieldName::TransferEncoding);
    let Some(line) = lines.next() else { return Coding::Absent };
    if lines.next().is_some() {
        return Coding::Malformed;
    }
    if line.eq_ignore_ascii_case(b"chunked") {
        return Coding::Chunked;
    }
    let mentions_chunked = line.windows(7).any(|part| part.eq_ignore_ascii_case(b"chunked"));
    let one_token = base::field::is_name(line);
    // `xchunked` is an unknown token; `gzip, chunked` and `chunked, gzip` are not for us to undo.
    if one_token || !mentions_chunked { Coding::Unknown } else { Coding::Malformed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Result<Framing, FaultKind> {
        let mut head = RequestHead::build(Version::Http11, b"POST", b"/");
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        of_request(&head).map_err(|fault| fault.kind)
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> Result<Framing, FaultKind> {
        let mut head = ResponseHead::build(status);
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        of_response(&head, false).map_err(|fault| fault.kind)
    }

    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";

    #[test]
    fn a_request_is_framed_in_one_way_or_refused() {
        assert_eq!(request(&[]), Ok(Framing::None));
        assert_eq!(request(&[(CL, "5")]), Ok(Framing::Length(5)));
        assert_eq!(request(&[(TE, "Chunked")]), Ok(Framing::Chunked));
        for length in ["", "+5", "-5", "0x5", "5 5", "5,5", "5,6", "9999999999999999999", "5;", "٥"]
        {
            assert_eq!(request(&[(CL, length)]), Err(FaultKind::BadRequest), "{length}");
        }
        assert_eq!(request(&[(CL, "5"), (CL, "5")]), Err(FaultKind::BadRequest));
        assert_eq!(request(&[(CL, "5"), (TE, "chunked")]), Err(FaultKind::BadRequest));
        assert_eq!(request(&[(TE, "chunked"), (CL, "5")]), Err(FaultKind::BadRequest));
        assert_eq!(request(&[(TE, "chunked"), (TE, "chunked")]), Err(FaultKind::BadRequest));
        for coding in
            ["gzip, chunked", "chunked, chunked", "chunked,", "\"chunked\"", "chunked;q=1"]
        {
            assert_eq!(request(&[(TE, coding)]), Err(FaultKind::BadRequest), "{coding}");
        }
        for coding in ["gzip", "identity", "xchunked", "chunked-x"] {
            assert_eq!(request(&[(TE, coding)]), Err(FaultKind::BadCoding), "{coding}");
        }
    }

    #[test]
    fn a_response_may_end_with_its_connection() {
        assert_eq!(response(200, &[]), Ok(Framing::Close));
        assert_eq!(response(204, &[(CL, "5")]), Ok(Framing::None));
        assert_eq!(response(304, &[(TE, "chunked")]), Ok(Framing::None));
        assert_eq!(response(200, &[(CL, "5"), (CL, "5")]), Ok(Framing::Length(5)));
        assert_eq!(response(200, &[(CL, "5, 5, 5")]), Ok(Framing::Length(5)));
        assert_eq!(response(200, &[(CL, "5, 6, 6")]), Err(FaultKind::BadResponse));
        assert_eq!(response(200, &[(CL, "5"), (TE, "chunked")]), Err(FaultKind::BadResponse));
        assert_eq!(response(200, &[(TE, "magic")]), Ok(Framing::Close));
        assert_eq!(response(200, &[(TE, "gzip, chunked")]), Err(FaultKind::BadResponse));
    }
}

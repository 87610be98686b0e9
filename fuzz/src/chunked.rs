//! Chunked bodies: cutting never changes the verdict, and a plain reader agrees on what is accepted.

use crate::{Field, heads, list, show};
use wire::h1::chunk::{Decoder, Step};
use wire::h1::encode;

const TRAILER_BYTES_MAX: usize = 512;
const FIELDS_MAX: usize = 8;

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The body, its trailers, and how many bytes it took.
    Whole(Vec<u8>, Vec<Field>, usize),
    /// Not yet at its end, with this much of the body.
    Partial(Vec<u8>),
    Refused,
}

fn decode(wire: &[u8], mut piece: impl FnMut() -> usize) -> Verdict {
    let mut decoder = Decoder::new(TRAILER_BYTES_MAX, FIELDS_MAX);
    let (mut body, mut at, mut given) = (Vec::new(), 0, 0);
    loop {
        let Ok((skip, step)) = decoder.step(&wire[at..given]) else { return Verdict::Refused };
        assert!(skip <= given - at, "it skips more than there is");
        at += skip;
        match step {
            Step::Data(n) => {
                assert!(n > 0 && n <= given - at, "more data than there is");
                // Not always all of it: whoever writes the body may take less.
                let n = piece().clamp(1, n);
                body.extend_from_slice(&wire[at..at + n]);
                decoder.used(n);
                at += n;
            }
            Step::More if given == wire.len() => return Verdict::Partial(body),
            Step::More => given = wire.len().min(given + piece().max(1)),
            Step::End => {
                let trailers = decoder.take_trailers().unwrap_or_default();
                return Verdict::Whole(body, list(&trailers), at);
            }
        }
    }
}

/// The first two bytes say how the rest, a chunked body, is cut.
pub fn chunked_body(data: &[u8]) {
    let Some((&[a, b], wire)) = data.split_first_chunk::<2>() else { return };
    let whole = decode(wire, || usize::MAX / 2);
    let mut seed = u32::from(a) | u32::from(b) << 8 | 1 << 16;
    let pieces = decode(wire, || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as usize % (usize::from(a % 32) + 1) + 1
    });
    let single = decode(wire, || 1);
    // Where a trailer section is too long or malformed, it may be noticed later in one cutting than
    // in another, but a whole body is the same in all.
    match &whole {
        Verdict::Whole(..) => {
            assert_eq!(pieces, whole, "{}", show(data));
            assert_eq!(single, whole, "{}", show(data));
        }
        Verdict::Refused => {
            assert_eq!(pieces, Verdict::Refused, "{}", show(data));
            assert_eq!(single, Verdict::Refused, "{}", show(data));
        }
        Verdict::Partial(_) => {
            assert_eq!(pieces, whole, "{}", show(data));
            assert_eq!(single, whole, "{}", show(data));
        }
    }
    if let Verdict::Whole(body, trailers, length) = &whole {
        let plain = plain(&wire[..*length]);
        assert_eq!(plain.as_ref(), Some(body), "a plain reader disagrees: {}", show(data));
        check_sent_on(body, trailers, data);
    }
    heads::trailers_alike(wire);
}

/// What a lenient reader makes of it, with `httparse` for the sizes.
fn plain(wire: &[u8]) -> Option<Vec<u8>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&wire[at..])
        else {
            return None;
        };
        at += line;
        if size == 0 {
            return Some(body);
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(wire.get(at..end)?);
        if wire.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
}

/// Written as `Outgoing` writes it, it is the same body with the same trailers.
fn check_sent_on(body: &[u8], trailers: &[Field], from: &[u8]) {
    let mut out = Vec::new();
    for piece in body.chunks(7) {
        encode::chunk_line(&mut out, piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    let mut fields = base::Fields::new();
    for (name, value) in trailers {
        fields.push(name, value);
    }
    out.extend_from_slice(b"0\r\n");
    encode::trailers(&mut out, &fields);
    // Values are written with a space before them: a section at the very limit may grow past it.
    if trailers.iter().map(|(n, v)| n.len() + v.len() + 4).sum::<usize>() + 2 > TRAILER_BYTES_MAX {
        return;
    }
    let expected = Verdict::Whole(body.to_vec(), trailers.to_vec(), out.len());
    assert_eq!(decode(&out, || usize::MAX / 2), expected, "{}", show(from));
}

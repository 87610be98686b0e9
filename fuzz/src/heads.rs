//! Heads: what is taken for one is taken for the same one by everybody, and survives being sent on.

use crate::{Field, list, show, unframed};
use base::{FieldName, Framing, RequestHead, ResponseHead, Version};
use wire::h1::encode::{self, Connection};
use wire::h1::parse::{self, Extent};
use wire::h1::{chunk, framing};

const FIELDS_MAX: usize = 32;

/// The places where a head is cut: all of a short one, some of a long one.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by((length / 64).max(1))
}

/// A request head.
pub fn request_head(data: &[u8]) {
    let whole = parse::request(data, FIELDS_MAX);
    let Ok(Some((head, length))) = whole else {
        // What is refused in pieces is refused as a whole. (Not the other way round: what comes
        // in pieces is looked at when its end has come.)
        for cut in cuts(data.len()) {
            let piece = parse::request(&data[..cut], FIELDS_MAX);
            assert!(!matches!(piece, Ok(Some(_))), "a piece is whole: {}", show(&data[..cut]));
            assert!(piece.is_ok() || whole.is_err(), "a piece is refused: {}", show(&data[..cut]));
        }
        return;
    };
    let bytes = &data[..length];
    assert!(bytes.ends_with(b"\r\n\r\n"), "it ends in the middle: {}", show(bytes));
    assert_eq!(parse::extent(data, 0), Extent::Whole(length), "{}", show(bytes));
    for cut in cuts(length) {
        let piece = parse::request(&data[..cut], FIELDS_MAX);
        assert!(matches!(piece, Ok(None)), "cut at {cut}: {}", show(bytes));
        assert!(matches!(parse::extent(&data[..cut], 0), Extent::Partial(_)), "{}", show(bytes));
    }
    let theirs = httparse_request(bytes);
    assert_eq!(theirs.0, head.method(), "{}", show(bytes));
    assert_eq!(theirs.1, head.target_received(), "{}", show(bytes));
    // An absolute target in HTTP/1.0 may have added a Host.
    let ours = list(&head.fields);
    assert_eq!(theirs.2, ours[..theirs.2.len()], "{}", show(bytes));
    check_settled(&head, bytes);
    forward_request(head, bytes);
}

/// After parsing there is one host and one way to read the target.
fn check_settled(head: &RequestHead, bytes: &[u8]) {
    let hosts: Vec<_> = head.fields.all(FieldName::Host).collect();
    assert!(hosts.len() <= 1 && hosts.iter().all(|host| parse::is_host(host)), "{}", show(bytes));
    assert!(hosts.len() == 1 || head.version == Version::Http10, "{}", show(bytes));
    let naive = list(&head.fields);
    let naive = naive.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host")).count();
    assert_eq!(naive, hosts.len(), "{}", show(bytes));
    if head.method() != b"CONNECT" {
        let target = head.target();
        let asterisk = target == b"*" && head.method() == b"OPTIONS";
        assert!(target.starts_with(b"/") || asterisk, "{}", show(bytes));
        assert!(parse::is_target(target), "{}", show(bytes));
    }
}

/// Whatever is forwarded is read by the next hop as it was read here.
pub(crate) fn forward_request(mut head: RequestHead, from: &[u8]) {
    if head.method() == b"CONNECT" {
        return; // refused by the path
    }
    let Ok(framed) = framing::of_request(&head) else { return };
    if !head.fields.has(FieldName::Host) {
        head.fields.set(FieldName::Host, b"origin.test:8080"); // as service's attempt does
    }
    let mut out = Vec::new();
    encode::request(&mut out, &head, framed);
    let again = parse::request(&out, FIELDS_MAX + 1);
    let Ok(Some((again, length))) = again else {
        panic!("what we send is no head: {} from {}", show(&out), show(from));
    };
    assert_eq!(length, out.len(), "it ends early: {} from {}", show(&out), show(from));
    assert_eq!(again.method(), head.method(), "{}", show(from));
    assert_eq!(again.target(), head.target(), "{}", show(from));
    assert_eq!(again.version, Version::Http11, "{}", show(from));
    assert_eq!(unframed(&again.fields), unframed(&head.fields), "{}", show(from));
    let reframed = framing::of_request(&again).expect("our own framing");
    assert_eq!(reframed, framed, "{} from {}", show(&out), show(from));
    let theirs = httparse_request(&out);
    assert_eq!(theirs.2, list(&again.fields), "{}", show(from));
    let lengths = theirs.2.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    assert_eq!(
        lengths.count(),
        usize::from(matches!(framed, Framing::Length(_))),
        "{}",
        show(from)
    );
    let mut twice = Vec::new();
    encode::request(&mut twice, &again, reframed);
    assert_eq!(twice, out, "sent on twice, it changes: from {}", show(from));
}

type Request = (Vec<u8>, Vec<u8>, Vec<Field>);

fn httparse_request(bytes: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX + 2];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes);
    assert_eq!(parsed, Ok(httparse::Status::Complete(bytes.len())), "httparse: {}", show(bytes));
    let method = request.method.expect("complete").as_bytes().to_vec();
    let target = request.path.expect("complete").as_bytes().to_vec();
    (method, target, fields_of(request.headers))
}

fn fields_of(headers: &[httparse::Header<'_>]) -> Vec<Field> {
    headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec())).collect()
}

/// A response head; the first byte says whether it answers a HEAD.
pub fn response_head(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let to_head = first & 1 == 1;
    let whole = parse::response(data, FIELDS_MAX);
    let Ok(Some((head, length))) = whole else {
        for cut in cuts(data.len()) {
            let piece = parse::response(&data[..cut], FIELDS_MAX);
            assert!(!matches!(piece, Ok(Some(_))), "a piece is whole: {}", show(&data[..cut]));
            assert!(piece.is_ok() || whole.is_err(), "a piece is refused: {}", show(&data[..cut]));
        }
        return;
    };
    let bytes = &data[..length];
    assert_eq!(parse::extent(data, 0), Extent::Whole(length), "{}", show(bytes));
    for cut in cuts(length) {
        let piece = parse::response(&data[..cut], FIELDS_MAX);
        assert!(matches!(piece, Ok(None)), "cut at {cut}: {}", show(bytes));
    }
    let theirs = httparse_response(bytes);
    assert_eq!(theirs.0, head.status, "{}", show(bytes));
    assert_eq!(theirs.1, list(&head.fields), "{}", show(bytes));
    assert!((100..1000).contains(&head.status), "{}", show(bytes));
    let Ok(framed) = framing::of_response(&head, to_head) else { return };
    // A body that ends with its connection goes on in chunks, as `connection::frame_h1` has it.
    let sent = if framed == Framing::Close { Framing::Chunked } else { framed };
    for says in [Connection::Silent, Connection::KeepAlive, Connection::Close] {
        send_response(&head, sent, says, to_head, bytes);
    }
    if head.is_interim() {
        let mut out = Vec::new();
        encode::interim(&mut out, &head);
        let (again, length) = read_response(&out, bytes);
        assert_eq!((length, again.status), (out.len(), head.status), "{}", show(bytes));
        assert_eq!(list(&again.fields), unframed(&head.fields), "{}", show(bytes));
    }
}

fn send_response(
    head: &ResponseHead,
    framed: Framing,
    says: Connection,
    to_head: bool,
    from: &[u8],
) {
    let mut out = Vec::new();
    encode::response(&mut out, head, framed, says);
    let (again, length) = read_response(&out, from);
    assert_eq!(length, out.len(), "it ends early: {} from {}", show(&out), show(from));
    assert_eq!(again.status, head.status, "{}", show(from));
    assert_eq!(again.reason(), head.reason(), "{}", show(from));
    let mut expected = unframed(&head.fields);
    match says {
        Connection::Silent => {}
        Connection::KeepAlive => expected.push((b"Connection".into(), b"keep-alive".into())),
        Connection::Close => expected.push((b"Connection".into(), b"close".into())),
    }
    assert_eq!(unframed(&again.fields), expected, "{}", show(from));
    let reframed = framing::of_response(&again, to_head).expect("our own framing");
    assert_eq!(reframed, framed, "{} from {}", show(&out), show(from));
    httparse_response(&out);
}

fn read_response(out: &[u8], from: &[u8]) -> (ResponseHead, usize) {
    match parse::response(out, FIELDS_MAX + 2) {
        Ok(Some(whole)) => whole,
        _ => panic!("what we send is no head: {} from {}", show(out), show(from)),
    }
}

fn httparse_response(bytes: &[u8]) -> (u16, Vec<Field>) {
    let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX + 3];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes);
    assert_eq!(parsed, Ok(httparse::Status::Complete(bytes.len())), "httparse: {}", show(bytes));
    (response.code.expect("complete"), fields_of(response.headers))
}

/// Trailers are read alike as a section and within a body.
pub(crate) fn trailers_alike(section: &[u8]) {
    let direct = parse::trailers(section, FIELDS_MAX);
    let mut decoder = chunk::Decoder::new(1 << 20, FIELDS_MAX);
    let wire = [b"0\r\n", section].concat();
    let step = decoder.step(&wire);
    match direct {
        Ok(fields) => {
            assert_eq!(step, Ok((wire.len(), chunk::Step::End)), "{}", show(section));
            let decoded = decoder.take_trailers().unwrap_or_default();
            assert_eq!(list(&decoded), list(&fields), "{}", show(section));
            let mut out = Vec::new();
            encode::trailers(&mut out, &fields);
            let again = parse::trailers(&out, FIELDS_MAX).expect("what we send is a section");
            assert_eq!(list(&again), list(&fields), "{}", show(section));
        }
        Err(_) => {
            let whole = matches!(step, Ok((n, chunk::Step::End)) if n == wire.len());
            assert!(!whole, "{}", show(section));
        }
    }
}

//! Requests as a proxy might cut or join them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::generator::Generator;
use crate::page::Page;

/// What comes back for the pieces, each sent on its own, when `length` bytes are awaited.
fn check(pieces: &[&str], length: usize) -> Vec<u8> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut generator = Generator::listen(any, Page::OneKib).unwrap();
    let address = generator.origin_address();
    let released = Arc::new(AtomicBool::new(false));
    let waker = generator.waker();
    let flag = Arc::clone(&released);
    let origin = thread::spawn(move || generator.serve(&flag).unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut response = vec![0; length];
    stream.read_exact(&mut response).unwrap();
    released.store(true, Ordering::Release);
    waker.wake().unwrap();
    origin.join().unwrap();
    response
}

#[test]
fn a_page_is_answered_however_the_request_is_cut() {
    let page = Page::TenKib.response();
    for pieces in [
        &["GET /p/10k HTTP/1.1\r\nHost: a\r\n\r\n"][..],
        &["GET /p/10", "k HTTP/1.1\r\nHost: a\r\n\r", "\n"],
    ] {
        assert_eq!(check(pieces, page.len()), page);
    }
}

#[test]
fn joined_requests_are_answered_in_order() {
    let joined = "GET /p/1k HTTP/1.1\r\n\r\nGET /p/10k HTTP/1.1\r\n\r\nGET /p/1 HTTP/1.1\r\n\r\n";
    let mut expected = Page::OneKib.response();
    expected.extend(Page::TenKib.response());
    expected.extend(super::NOT_FOUND);
    assert_eq!(check(&[joined], expected.len()), expected);
}

#[test]
fn the_echo_is_the_head_as_received() {
    let head = "GET /echo HTTP/1.1\r\nVia: 1.1 x\r\n\r\n";
    let expected = super::plain(head.as_bytes());
    assert!(expected.ends_with(head.as_bytes()));
    assert_eq!(check(&[head], expected.len()), expected);
}

#[test]
fn what_was_answered_is_counted() {
    let asked = "GET /c/1k HTTP/1.1\r\n\r\nGET /count HTTP/1.1\r\n\r\n";
    let length = Page::CachedOneKib.response().len();
    let expected = super::plain(b"1");
    let answer = check(&[asked], length + expected.len());
    assert_eq!(answer[length..], expected);
}

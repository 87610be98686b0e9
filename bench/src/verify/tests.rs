//! Every way a response can be wrong, and every way a right one can be cut.

use super::{Flaw, Progress, Verifier};

const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: a\r\ncontent-length: 4\r\n\r\n";

fn check(response: &str) -> Result<Progress, Flaw> {
    Verifier::new(200, b"body".to_vec()).check(response.as_bytes())
}

#[test]
fn a_right_response_passes_however_it_is_cut() {
    let response = format!("{HEAD}body");
    for cut in 0..response.len() {
        assert_eq!(check(&response[..cut]), Ok(Progress::Partial), "cut at {cut}");
    }
    assert_eq!(check(&response), Ok(Progress::Whole));
}

#[test]
fn every_flaw_has_its_name() {
    for (response, flaw) in [
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbody", Flaw::Status),
        ("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", Flaw::Head),
        ("SSH-2.0-OpenSSH\r\n\r\n", Flaw::Head),
        ("HTTP/1.1 200 OK\r\n\r\nbody", Flaw::Framing),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody", Flaw::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", Flaw::Framing),
        ("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 4\r\n\r\nbody", Flaw::Closing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", Flaw::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodi", Flaw::Body),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP", Flaw::Surplus),
    ] {
        assert_eq!(check(response), Err(flaw), "{response:?}");
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(super::HEAD_BYTES_MAX));
    assert_eq!(check(&endless), Err(Flaw::Head));
}

#[test]
fn a_remembered_head_forgives_nothing() {
    let mut verifier = Verifier::new(200, b"body".to_vec());
    let mut check = |response: &str| verifier.check(response.as_bytes());
    assert_eq!(check(&format!("{HEAD}body")), Ok(Progress::Whole));
    assert_eq!(check(&format!("{HEAD}bo")), Ok(Progress::Partial));
    assert_eq!(check(&format!("{HEAD}xxxx")), Err(Flaw::Body));
    assert_eq!(check(&HEAD.replace("200", "503")), Err(Flaw::Status));
    let other = HEAD.replace("Server: a", "Server: b");
    assert_eq!(check(&format!("{other}body")), Ok(Progress::Whole));
}

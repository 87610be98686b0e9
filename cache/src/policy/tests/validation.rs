//! Questions to the service, and what its answers mean.

use super::super::{HeadEffect, by_head, freshen, is_about, make_conditional};
use super::{fields, response, text};

#[test]
fn questions_hold_our_validators_only() {
    for (stored, expected) in [
        ("ETag: \"a\"", Some("If-None-Match: \"a\"")),
        ("ETag: W/\"a\"", Some("If-None-Match: W/\"a\"")),
        ("ETag: abc", Some("If-None-Match: abc")),
        ("ETag: \"a\", \"b\"", None),
        ("Last-Modified: {-5}", Some("If-Modified-Since: {-5}")),
        ("Last-Modified: soon", None),
        ("ETag: \"a\"\nLast-Modified: {-5}", Some("If-None-Match: \"a\"\nIf-Modified-Since: {-5}")),
        ("", None),
    ] {
        let mut request = fields(
            "If-Match: x\nIf-None-Match: x\nIf-Modified-Since: x\nIf-Unmodified-Since: x\nIf-Range: x\nRange: x\nAbc: 1",
        );
        let asked = make_conditional(&mut request, &response(200, stored));
        let expected_text = expected.map_or(String::new(), |e| format!("\n{e}"));
        assert_eq!(text(&request), super::dates(&format!("Abc: 1{expected_text}")), "{stored}");
        assert_eq!(asked, expected.is_some(), "{stored}");
    }
}

#[test]
fn a_304_speaks_of_what_has_its_validator() {
    for (new, stored, expected) in [
        ("ETag: \"a\"", "ETag: \"a\"", true),
        ("ETag: \"a\"", "ETag: \"b\"", false),
        ("ETag: \"a\"", "ETag: W/\"a\"", false),
        ("ETag: W/\"a\"", "ETag: \"a\"", true),
        ("ETag: W/\"a\"", "ETag: W/\"a\"", true),
        ("ETag: \"a\"", "Last-Modified: {-5}", false),
        ("Last-Modified: {-5}", "Last-Modified: {-5}", true),
        ("Last-Modified: {-5}", "Last-Modified: {-6}", false),
        ("Last-Modified: {-5}", "ETag: \"a\"", false),
        ("", "ETag: \"a\"", true),
        ("", "Last-Modified: {-5}", true),
    ] {
        assert_eq!(
            is_about(&response(304, new), &response(200, stored)),
            expected,
            "{new} {stored}"
        );
    }
}

#[test]
fn a_304_updates_all_but_what_the_body_depends_on() {
    let stored = response(
        200,
        "Date: {0}\nAge: 9\nA: 1\nA: 2\nB: 1\nETag: \"a\"\nContent-Length: 36\nContent-Encoding: br\nContent-Type: a/b",
    );
    let new = response(
        304,
        "Content-Length: 10\nContent-Encoding: gzip\nContent-Range: x\nA: 3\nC: 1\nConnection: x\nSet-Cookie: a=c\nContent-Type: a/c\nAge: 1",
    );
    let head = freshen(&stored, &new);
    let expected = "B: 1\nETag: \"a\"\nContent-Length: 36\nContent-Encoding: br\n\
                    A: 3\nC: 1\nSet-Cookie: a=c\nContent-Type: a/c\nAge: 1";
    assert_eq!((head.status, text(&head.fields)), (200, expected.to_owned()));
    assert_eq!(head.reason(), b"OK");
}

#[test]
fn a_head_refreshes_or_outdates_a_get() {
    use HeadEffect::{Freshen, Invalid, Nothing};
    let stored = "ETag: \"a\"\nContent-Length: 5";
    for (status, answer, expected) in [
        (200, "", Freshen),
        (200, "ETag: \"a\"\nContent-Length: 5\nA: 2", Freshen),
        (200, "ETag: \"b\"", Invalid),
        (200, "Content-Length: 6", Invalid),
        (200, "Last-Modified: {-5}", Invalid),
        (410, "", Invalid),
        (301, "", Invalid),
        (503, "", Nothing),
        (304, "", Nothing),
        (429, "", Nothing),
    ] {
        assert_eq!(
            by_head(&response(200, stored), &response(status, answer)),
            expected,
            "{status} {answer}"
        );
    }
}

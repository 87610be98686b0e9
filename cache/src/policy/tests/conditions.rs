//! Clients that have something already.

use super::super::{Answer, answer, not_modified};
use super::{NOW, fields, get, response, text};

fn check(status: u16, stored: &str, request: &str, expected: &Answer) {
    let request = fields(request);
    let given = answer(&get(&request), &response(status, stored), 10, NOW);
    assert_eq!(given, *expected, "{stored:?} {:?}", text(&request));
}

#[test]
fn conditions_are_judged_in_their_order() {
    let (whole, has_it) = (&Answer::Whole, &Answer::NotModified);
    let tag = "ETag: \"abcdef\"\nLast-Modified: {-5000}\nDate: {0}";
    for (stored, request, expected) in [
        (tag, "", whole),
        (tag, "If-None-Match: \"abcdef\"", has_it),
        (tag, "If-None-Match: W/\"abcdef\"", has_it),
        (tag, "If-None-Match: \"1234\", \"abcdef\", \"5678\"", has_it),
        (tag, "If-None-Match: \"1234\"\nIf-None-Match: \"abcdef\"", has_it),
        (tag, "If-None-Match: \"1,\\\", \"abcdef\"", has_it),
        (tag, "If-None-Match: \"1234\"", whole),
        (tag, "If-None-Match: abcdef", whole),
        (tag, "If-None-Match: *", has_it),
        (tag, "If-None-Match: \"abcdef\"\nIf-Modified-Since: {-10000}", has_it),
        (tag, "If-None-Match: \"x\"\nIf-Modified-Since: {0}", whole),
        (tag, "If-Modified-Since: {-5000}", has_it),
        (tag, "If-Modified-Since: {-4000}", has_it),
        (tag, "If-Modified-Since: {-5001}", whole),
        (tag, "If-Modified-Since: {0}\nIf-Modified-Since: {0}", whole),
        (tag, "If-Modified-Since: never", whole),
        ("ETag: W/\"a\"", "If-None-Match: W/\"a\"", has_it),
        ("ETag: W/\"a\"", "If-None-Match: \"a\"", has_it),
        ("ETag: abcdef", "If-None-Match: abcdef", has_it),
        ("ETag: abcdef", "If-None-Match: \"abcdef\"", whole),
        ("", "If-None-Match: \"a\"", whole),
        // RFC 9111 §4.3.2: without Last-Modified, Date counts.
        ("Date: {0}", "If-Modified-Since: {-3000}", whole),
        ("Date: {0}", "If-Modified-Since: {0}", has_it),
        ("", "If-Modified-Since: {0}", whole),
    ] {
        check(200, stored, request, expected);
    }
    check(404, tag, "If-None-Match: \"abcdef\"", whole);
    check(206, tag, "If-None-Match: \"abcdef\"", has_it);
}

#[test]
fn an_old_form_of_a_date_is_the_same_date() {
    check(
        200,
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
        &Answer::NotModified,
    );
}

#[test]
fn a_304_says_what_the_client_needs() {
    let stored = "Date: {0}\nETag: \"a\"\nLast-Modified: {-5}\nCache-Control: max-age=5\nVary: X\n\
                  Content-Length: 5\nContent-Type: a/b\nContent-Encoding: br\nContent-Language: de\n\
                  Content-Location: /b\nExpires: {5}\nX-Own: 1";
    let head = not_modified(&response(200, stored));
    let kept = ["date", "etag", "cache-control", "vary", "content-location", "expires", "x-own"];
    let names: Vec<_> =
        head.fields.iter().map(|f| String::from_utf8_lossy(f.name).to_lowercase()).collect();
    assert_eq!((head.status, names), (304, kept.map(str::to_owned).to_vec()));
    let without = not_modified(&response(200, "Last-Modified: {-5}\nContent-Type: a/b"));
    assert_eq!(without.fields.len(), 1);
}

//! Parts of answers.

use super::super::range::{Spec, specs};
use super::super::{
    Answer, ContentRange, Range, answer, combine, content_range, covers, multipart, partial,
    unsatisfiable,
};
use super::{NOW, fields, get, response, text};
use base::ResponseHead;
use proptest::prelude::*;

const WHOLE: &str = "ETag: \"a\"\nLast-Modified: {-60}\nDate: {0}\nContent-Type: a/b";

fn check(request: &str, expected: &Answer) {
    let request = fields(request);
    let given = answer(&get(&request), &response(200, WHOLE), 10, NOW);
    assert_eq!(given, *expected, "{:?}", text(&request));
}

fn one(first: u64, last: u64) -> Answer {
    Answer::Partial(Range { first, last })
}

#[test]
fn ranges_are_of_the_whole() {
    let many = format!("Range: bytes={}", vec!["0-0"; 17].join(","));
    for (request, expected) in [
        ("Range: bytes=0-1", one(0, 1)),
        ("Range: BYTES=1-", one(1, 9)),
        ("Range: bytes=-1", one(9, 9)),
        ("Range: bytes=-99", one(0, 9)),
        ("Range: bytes=5-99", one(5, 9)),
        ("Range: bytes=9-9,20-30", one(9, 9)),
        ("Range: bytes=10-", Answer::Unsatisfiable),
        ("Range: bytes=-0", Answer::Unsatisfiable),
        (
            "Range: bytes=0-1,4-5",
            Answer::Parts(vec![Range { first: 0, last: 1 }, Range { first: 4, last: 5 }]),
        ),
        (
            "Range: bytes=4-5, 0-1",
            Answer::Parts(vec![Range { first: 4, last: 5 }, Range { first: 0, last: 1 }]),
        ),
        ("Range: bytes=0-5,5-6", Answer::Whole),
        (&many, Answer::Whole),
        ("Range: bytes=2-1", Answer::Whole),
        ("Range: bytes=a-1", Answer::Whole),
        ("Range: bytes=", Answer::Whole),
        ("Range: bytes=1", Answer::Whole),
        ("Range: bytes=0-99999999999999999999999", Answer::Whole),
        ("Range: lines=0-1", Answer::Whole),
        ("Range: bytes=0-1\nRange: bytes=0-1", Answer::Whole),
        ("Range: bytes=0-1\nIf-Range: \"a\"", one(0, 1)),
        ("Range: bytes=0-1\nIf-Range: \"b\"", Answer::Whole),
        ("Range: bytes=0-1\nIf-Range: W/\"a\"", Answer::Whole),
        ("Range: bytes=0-1\nIf-Range: {-60}", one(0, 1)),
        ("Range: bytes=0-1\nIf-Range: {-50}", Answer::Whole),
        ("Range: bytes=0-1\nIf-None-Match: \"a\"", Answer::NotModified),
    ] {
        check(request, &expected);
    }
    let head = fields("Range: bytes=0-1");
    let query = super::Query { method: b"HEAD", ..get(&head) };
    assert_eq!(answer(&query, &response(200, WHOLE), 10, NOW), Answer::Whole);
    assert_eq!(answer(&get(&head), &response(404, WHOLE), 10, NOW), Answer::Whole);
}

#[test]
fn content_ranges_make_sense_or_are_none() {
    let content = |value: &str| content_range(&response(206, &format!("Content-Range: {value}")));
    let range = Range { first: 4, last: 9 };
    assert_eq!(content("bytes 4-9/10"), Some(ContentRange { range, complete: Some(10) }));
    assert_eq!(content("bytes 4-9/*"), Some(ContentRange { range, complete: None }));
    for wrong in [
        "bytes 4-9/9",
        "bytes 9-4/10",
        "bytes */10",
        "lines 4-9/10",
        "bytes 4-9",
        "4-9/10",
        "bytes 4-9/10\nContent-Range: bytes 4-9/10",
        "bytes 0-18446744073709551615/*",
        "bytes  4-9/10",
        "ananananananana",
    ] {
        assert_eq!(content(wrong), None, "{wrong}");
    }
}

fn part(tag: &str, range: &str) -> ResponseHead {
    response(
        206,
        &format!(
            "ETag: {tag}\nContent-Range: bytes {range}\nDate: {{0}}\nX: {range}\nContent-Length: 1"
        ),
    )
}

#[test]
fn a_part_answers_for_what_it_holds() {
    let covers = |range: &str, length, request: &str| {
        let request = fields(&format!("Range: bytes={request}"));
        covers(&part("\"a\"", range), length, &get(&request), NOW).map(|r| (r.first, r.last))
    };
    for (range, request, expected) in [
        ("5-9/10", "6-8", Some((6, 8))),
        ("5-9/10", "6-", Some((6, 9))),
        ("5-9/10", "-1", Some((9, 9))),
        ("5-9/10", "-5", Some((5, 9))),
        ("5-9/10", "6-99", Some((6, 9))),
        ("5-9/10", "4-8", None),
        ("5-9/10", "-6", None),
        ("5-9/10", "5-6,8-9", None),
        ("5-9/10", "5-6\nIf-Range: \"b\"", None),
        ("5-9/*", "6-8", Some((6, 8))),
        ("5-9/*", "6-", None),
        ("5-9/*", "6-10", None),
    ] {
        assert_eq!(covers(range, 5, request), expected, "{range} {request}");
    }
    // What is not as long as it says is good for nothing.
    assert_eq!(covers("4-9/10", 5, "6-8"), None);
}

#[test]
fn parts_of_one_representation_are_put_together() {
    let check = |old: &ResponseHead, new: &ResponseHead| {
        combine(old, new).map(|c| {
            let mut range = Vec::new();
            c.content.write(&mut range);
            let length = c.head.fields.get(base::FieldName::ContentLength).expect("a length");
            assert_eq!(String::from_utf8_lossy(length), c.content.range.length().to_string());
            (c.head.status, String::from_utf8(range).expect("text"), c.before, c.behind)
        })
    };
    let text = |s: &str| s.to_owned();
    for (old, new, expected) in [
        ("0-4/10", "5-9/10", Some((200, text("bytes 0-9/10"), 5, 0))),
        ("5-9/10", "0-4/10", Some((200, text("bytes 0-9/10"), 0, 5))),
        ("0-4/20", "3-9/20", Some((206, text("bytes 0-9/20"), 3, 0))),
        ("0-9/20", "3-5/20", Some((206, text("bytes 0-9/20"), 3, 4))),
        ("3-5/20", "0-9/20", Some((206, text("bytes 0-9/20"), 0, 0))),
        ("0-4/*", "5-9/10", Some((200, text("bytes 0-9/10"), 5, 0))),
        ("0-4/10", "6-9/10", None),
        ("0-4/10", "5-9/11", None),
        ("0-9/*", "0-4/8", None),
    ] {
        assert_eq!(check(&part("\"a\"", old), &part("\"a\"", new)), expected, "{old} {new}");
    }
    assert!(check(&part("\"a\"", "0-4/10"), &part("\"b\"", "5-9/10")).is_none());
    assert!(check(&part("W/\"a\"", "0-4/10"), &part("W/\"a\"", "5-9/10")).is_none());
    assert!(check(&part("a", "0-4/10"), &part("a", "5-9/10")).is_none(), "not a tag");
}

#[test]
fn heads_of_parts_say_which() {
    let stored = response(200, &format!("{WHOLE}\nContent-Length: 10"));
    let head = partial(&stored, Range { first: 2, last: 5 }, Some(10));
    assert!(text(&head.fields).ends_with("Content-Range: bytes 2-5/10\nContent-Length: 4"));
    assert_eq!((head.status, head.fields.len()), (206, 6));
    assert_eq!(text(&unsatisfiable(10).fields), "Content-Range: bytes */10\nContent-Length: 0");
    let ranges = [Range { first: 0, last: 1 }, Range { first: 4, last: 5 }];
    let several = multipart(&stored, &ranges, 10, 0xabc);
    let mut body = Vec::new();
    for (lead, range) in &several.parts {
        body.extend_from_slice(lead);
        body.extend_from_slice(&b"0123456789"[range.first as usize..=range.last as usize]);
    }
    body.extend_from_slice(&several.end);
    let boundary = "00000000000000000000000000000abc";
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 4-5/10\r\n\r\n45\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
    let length = format!(
        "Content-Type: multipart/byteranges; boundary={boundary}\nContent-Length: {}",
        expected.len()
    );
    assert!(text(&several.head.fields).ends_with(&length));
}

proptest! {
    #[test]
    fn ranges_lie_in_the_whole(value in "(bytes=)?[0-9,\\- ]{0,20}", length in 0_u64..200) {
        for spec in specs(value.as_bytes()).unwrap_or_default() {
            if let Some(range) = spec.of(length) {
                prop_assert!(range.first <= range.last && range.last < length);
            }
        }
        prop_assert_eq!(Spec::From(0, None).of(length).map(Range::length), (length > 0).then_some(length));
    }

    #[test]
    fn a_content_range_is_read_as_it_was_written(first in any::<u32>(), more in any::<u32>(), rest in prop::option::of(1_u64..1 << 40)) {
        let range = Range { first: first.into(), last: u64::from(first) + u64::from(more) };
        let content = ContentRange { range, complete: rest.map(|rest| range.last + rest) };
        let mut value = Vec::new();
        content.write(&mut value);
        let head = response(206, &format!("Content-Range: {}", String::from_utf8_lossy(&value)));
        prop_assert_eq!(content_range(&head), Some(content));
    }
}

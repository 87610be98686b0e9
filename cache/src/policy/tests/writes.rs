//! Writes, references, tags, and Cache-Status.

use super::super::invalidate::resolve;
use super::super::{
    CacheStatus, Forward, Origin, Reason, group_tag, invalidated, invalidated_groups, invalidates,
    pointed, tags,
};
use super::{response, rules};
use crate::settings::Rules;
use proptest::prelude::*;

const ORIGIN: Origin<'_> = Origin { scheme: b"https", host: b"h.example" };

#[test]
fn writes_that_succeed_invalidate() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "CONNECT"] {
        assert!(!invalidates(method.as_bytes(), 200), "{method}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
        for (status, expected) in [
            (200, true),
            (204, true),
            (303, true),
            (399, true),
            (400, false),
            (500, false),
            (103, false),
        ] {
            assert_eq!(invalidates(method.as_bytes(), status), expected, "{method} {status}");
        }
    }
}

#[test]
fn references_lead_to_targets_of_the_same_origin() {
    for (reference, expected) in [
        ("", Some("/b/c/d?q")),
        ("g", Some("/b/c/g")),
        ("./g", Some("/b/c/g")),
        ("g/", Some("/b/c/g/")),
        ("/g", Some("/g")),
        ("?y", Some("/b/c/d?y")),
        ("g?y", Some("/b/c/g?y")),
        ("#s", Some("/b/c/d?q")),
        ("g#s", Some("/b/c/g")),
        (".", Some("/b/c/")),
        ("..", Some("/b/")),
        ("../g", Some("/b/g")),
        ("../../../g", Some("/g")),
        ("/./g/../x", Some("/x")),
        ("g?y/./x", Some("/b/c/g?y/./x")),
        ("g:h", None),
        ("mailto:a", None),
        ("https://H.example:443/x?y#z", Some("/x?y")),
        ("https://h.example", Some("/")),
        ("https://h.example?a", Some("/?a")),
        ("//h.example/x", Some("/x")),
        ("http://h.example/x", None),
        ("https://h.example:444/x", None),
        ("//other/x", None),
        ("https:x", None),
    ] {
        let found = resolve(ORIGIN, b"/b/c/d?q", reference.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{reference}");
    }
}

#[test]
fn what_a_write_names_becomes_invalid() {
    let answer = "Location: location_target\nContent-Location: /a/content_target?x";
    let found = invalidated(ORIGIN, b"/a/b", &response(201, answer));
    assert_eq!(found, [&b"/a/b"[..], b"/a/location_target", b"/a/content_target?x"]);
    let elsewhere = "Location: http://other/\nContent-Location: /a/b";
    assert_eq!(invalidated(ORIGIN, b"/a/b", &response(201, elsewhere)), [b"/a/b"]);
    let groups = "Cache-Group-Invalidation: \"a\"\nCache-Group-Invalidation: \"b c\"";
    assert_eq!(
        invalidated_groups(ORIGIN, &response(200, groups)),
        ["https://h.example#a", "https://h.example#b c"]
    );
    assert!(invalidated_groups(ORIGIN, &response(200, "Cache-Group-Invalidation: a")).is_empty());
}

#[test]
fn tags_come_from_fields_and_templates() {
    let rules = Rules {
        tags: vec!["product:{id}".into(), "all".into(), "x:{missing}".into()],
        tag_fields: vec!["X-Tags".into()],
        ..rules()
    };
    let answer = "Surrogate-Key: a b\nCache-Tag: c, d e\nxkey: f, g h\nx-tags: i j,k\nCache-Groups: \"l\", \"m n\"\nSurrogate-Key: a";
    let found =
        tags(ORIGIN, &response(200, answer), &rules, |name| (name == "id").then_some(&b"7"[..]));
    let expected = [
        "a",
        "all",
        "b",
        "c",
        "d e",
        "f",
        "g",
        "h",
        "https://h.example#l",
        "https://h.example#m n",
        "i",
        "j",
        "k",
        "l",
        "m n",
        "product:7",
    ];
    assert_eq!(found.expect("few"), expected);
    let groups = (0..32).map(|n| format!("\"{n:032}\"")).collect::<Vec<_>>().join(", ");
    let found = tags(
        ORIGIN,
        &response(200, &format!("Cache-Groups: {groups}")),
        &Rules::standard(),
        |_| None,
    );
    // Each is a tag for an operator besides.
    assert_eq!(found.map(|tags| tags.len()), Ok(2 * 32), "RFC 9875 §2");
    let many = (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    for answer in
        [format!("Surrogate-Key: {many}"), format!("Surrogate-Key: {}", "a".repeat(2_000))]
    {
        assert_eq!(tags(ORIGIN, &response(200, &answer), &rules, |_| None), Err(Reason::Tags));
    }
    assert_eq!(group_tag(Origin { scheme: b"http", host: b"H:80" }, "g"), "http://h#g");
}

#[test]
fn tags_are_pointed_at_in_bodies() {
    let rules = Rules {
        tag_pointers: vec!["/id".into(), "/items/0/tags".into(), "/none".into()],
        ..rules()
    };
    let body = br#"{"id": 7, "items": [{"tags": ["a", 1.5, null, {"b": 1}]}]}"#;
    assert_eq!(pointed(body, &rules).expect("few"), ["1.5", "7", "a"]);
    assert_eq!(pointed(b"not json", &rules), Ok(Vec::new()));
}

#[test]
fn cache_status_is_one_member() {
    let check = |status: CacheStatus, expected: &str| {
        let mut out = Vec::new();
        status.write("fleetfoot", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    };
    check(CacheStatus::hit(376), "fleetfoot; hit; ttl=376");
    check(
        CacheStatus { detail: Some("memory"), ..CacheStatus::hit(-412) },
        "fleetfoot; hit; ttl=-412; detail=memory",
    );
    check(CacheStatus::forwarded(Forward::UriMiss), "fleetfoot; fwd=uri-miss");
    let full = CacheStatus {
        forward_status: Some(304),
        stored: true,
        collapsed: true,
        ttl: Some(0),
        detail: Some(Reason::Stale.name()),
        ..CacheStatus::forwarded(Reason::Stale.forward())
    };
    check(full, "fleetfoot; fwd=stale; fwd-status=304; stored; collapsed; ttl=0; detail=stale");
    check(CacheStatus::hit(i64::MIN), "fleetfoot; hit; ttl=-9223372036854775808");
}

proptest! {
    #[test]
    fn what_is_resolved_is_a_target_and_stays_it(reference in "[a-z./?#:]{0,20}", target in "/[a-z./]{0,10}(\\?[a-z]{0,3})?") {
        if let Some(found) = resolve(ORIGIN, target.as_bytes(), reference.as_bytes()) {
            prop_assert_eq!(found.first(), Some(&b'/'));
            if !found.starts_with(b"//") && reference.starts_with('/') {
                prop_assert_eq!(resolve(ORIGIN, target.as_bytes(), &found), Some(found.clone()));
            }
        }
    }
}

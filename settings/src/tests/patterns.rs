//! What patterns mean; `gateway::route` tests what routers make of them.

use crate::pattern::parse;
use std::cmp::Ordering;

#[test]
fn patterns_are_printed_as_they_are_read() {
    for text in [
        "*",
        "GET *",
        "/",
        "/a",
        "/a/",
        "GET|HEAD /a/{id}/*",
        "a.example/*",
        "*.a.example/{id}/{rest...}",
        "POST [::1]/x",
        "X-Y 10.0.0.1/%7Euser/a:b@c;d=(1)!",
    ] {
        let pattern = parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        assert_eq!(pattern.to_string(), text);
        assert_eq!(parse(&pattern.to_string()), Ok(pattern));
    }
    assert_eq!(parse("/*").map(|pattern| pattern.to_string()), Ok("*".to_owned()));
    assert_eq!(parse("Shop.Example/A").map(|p| p.to_string()), Ok("shop.example/A".to_owned()));
    assert_eq!(parse("[0::1]/").map(|pattern| pattern.to_string()), Ok("[::1]/".to_owned()));
}

#[test]
fn the_more_specific_comes_first() {
    let descending = [
        "GET a.b.example/a",
        "a.b.example/a",
        "a.b.example/{x}",
        "*.b.example/a",
        "*.b.example/*",
        "GET *.example/a",
        "*.example/a",
        "/a/b",
        "/a/{x}",
        "/a/*",
        "/{x}/b",
        "GET /{x}/{y}",
        "/{x}/{y}",
        "*",
    ];
    for (place, first) in descending.iter().enumerate() {
        for (other, second) in descending.iter().enumerate() {
            let (a, b) = (parse(first).expect("legal"), parse(second).expect("legal"));
            assert_eq!(a.rank(&b), place.cmp(&other), "{first} and {second}");
            assert_eq!(a.clashes(&b), place == other, "{first} and {second}");
        }
    }
}

#[test]
fn patterns_clash_when_neither_is_more_specific() {
    for (first, second, clash) in [
        ("/a/{x}", "/a/{y}", true),
        ("/a/{x}", "/b/{x}", false),
        ("/a/*", "/a/{rest...}", true),
        ("/a", "/a/", false),
        ("GET /a", "POST /a", false),
        ("GET|PUT /a", "POST|PUT /a", true),
        ("GET /a", "/a", false),
        ("a.example/*", "b.example/*", false),
        ("*.a.example/*", "*.b.example/*", false),
        ("*.a.example/*", "*.A.example/*", true),
    ] {
        let (a, b) = (parse(first).expect("legal"), parse(second).expect("legal"));
        assert_eq!(a.clashes(&b), clash, "{first} and {second}");
        assert_eq!(b.clashes(&a), clash, "{second} and {first}");
        if clash {
            assert_eq!(a.rank(&b), Ordering::Equal);
        }
    }
}

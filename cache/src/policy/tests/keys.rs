//! Keys.

use super::super::{Origin, key};
use super::{fields, get, rules};
use crate::settings::{KeyRules, Rules};
use proptest::prelude::*;

fn text(origin: (&str, &str), target: &str, request: &str, key_rules: KeyRules) -> String {
    let (fields, rules) = (fields(request), Rules { key: key_rules, ..rules() });
    let origin = Origin { scheme: origin.0.as_bytes(), host: origin.1.as_bytes() };
    let mut out = b"rest of another".to_vec();
    let hash = key(origin, target.as_bytes(), &get(&fields), &rules, 7, &mut out);
    assert_eq!(hash, xxhash_rust::xxh3::xxh3_128_with_seed(&out, 7));
    String::from_utf8(out).expect("text")
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn keys_are_origin_and_target() {
    let plain = |scheme, host, target| text((scheme, host), target, "", KeyRules::default());
    assert_eq!(
        plain("http", "H.Example:80", "/A/../b%2f?Q&&=?"),
        "http://h.example/A/../b%2f?Q&&=?"
    );
    assert_eq!(plain("https", "h:443", "/?"), "https://h/?");
    assert_eq!(plain("https", "h:80", "/"), "https://h:80/");
    assert_eq!(plain("http", "[::1]:80", "/"), "http://[::1]/");
}

#[test]
fn rules_make_less_of_queries() {
    let query = |target, rules| text(("http", "h"), target, "", rules);
    let only = || KeyRules { query: Some(list(&["a", "p*"])), ..KeyRules::default() };
    let ignore = || KeyRules { ignore_query: list(&["utm_*", "gclid"]), ..KeyRules::default() };
    let sort = || KeyRules { sort_query: true, ..KeyRules::default() };
    for (target, rules, expected) in [
        ("/x?b=1&a=2&page=3", only(), "http://h/x?a=2&page=3"),
        ("/x?b=1", only(), "http://h/x"),
        ("/x?aa=1&A=1&a", only(), "http://h/x?a"),
        ("/x?a=1&utm_source=z&gclid=1&gclids=2", ignore(), "http://h/x?a=1&gclids=2"),
        ("/x?utm_source=z", ignore(), "http://h/x"),
        ("/x", ignore(), "http://h/x"),
        ("/x?b=1&a=2&b=0&a=1", sort(), "http://h/x?a=2&a=1&b=1&b=0"),
        ("/x?a=2&b=1&b=0&a=1", sort(), "http://h/x?a=2&a=1&b=1&b=0"),
    ] {
        assert_eq!(query(target, rules), expected, "{target}");
    }
}

#[test]
fn chosen_fields_and_cookies_count() {
    let rules = || KeyRules {
        fields: list(&["X-Device"]),
        cookies: list(&["cur", "no"]),
        ..KeyRules::default()
    };
    let with = |request| text(("http", "h"), "/", request, rules());
    assert_eq!(
        with("x-device: a , b\nCookie: x=1; cur=eur; CUR=usd"),
        "http://h/\nx-device:a,b\n=cur=eur"
    );
    assert_eq!(with("X-Device:"), "http://h/\nx-device:");
    assert_eq!(with(""), "http://h/\nx-device");
}

proptest! {
    #[test]
    fn without_rules_targets_are_kept_apart(a in "/[ -~]{0,12}", b in "/[ -~]{0,12}") {
        let of = |target: &str| text(("http", "h"), target, "", KeyRules::default());
        prop_assert_eq!(of(&a) == of(&b), a == b);
    }

    #[test]
    fn sorting_twice_is_sorting_once(query in "[ab=&]{0,12}") {
        let sort = || KeyRules { sort_query: true, ..KeyRules::default() };
        let once = text(("http", "h"), &format!("/?{query}"), "", sort());
        let target = once.strip_prefix("http://h").expect("the origin").to_owned();
        prop_assert_eq!(text(("http", "h"), &target, "", sort()), once);
    }
}

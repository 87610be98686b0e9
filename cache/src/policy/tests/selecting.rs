//! Vary and normal forms.

use super::super::vary::combine;
use super::super::{Reason, Selecting, accept, variant};
use super::{fields, get, response, rules};
use crate::settings::{Profile, Rules};
use proptest::prelude::*;

fn matches(vary: &str, first: &str, second: &str, rules: &Rules) -> bool {
    let (first, second) = (fields(first), fields(second));
    let selecting = Selecting::of(&get(&first), &response(200, vary), rules).expect("stored");
    let mut bytes = Vec::new();
    selecting.write(&mut bytes);
    assert_eq!(Selecting::read(&bytes).as_ref(), Some(&selecting));
    assert!(selecting.matches(&get(&first), rules), "it matches itself");
    assert_eq!(selecting.variant(), variant(selecting.names(), &get(&first), rules));
    selecting.matches(&get(&second), rules)
}

#[test]
fn answers_are_selected_by_the_fields_that_vary_names() {
    for (vary, first, second, expected) in [
        ("", "Foo: 1", "Foo: 2", true),
        ("Vary: Foo", "Foo: 1", "Foo: 1", true),
        ("Vary: Foo", "Foo: 1", "Foo: 2", false),
        ("Vary: Foo", "", "Foo: 1", false),
        ("Vary: Foo", "Foo: 1", "", false),
        ("Vary: Foo", "Foo:", "", false),
        ("Vary: Foo", "Foo: 1\nOther: 2", "Foo: 1\nOther: 3", true),
        ("Vary: Foo, Bar", "Foo: 1\nBar: abc", "Foo: 1\nBar: abc", true),
        ("Vary: Foo, Bar", "Foo: 1\nBar: abc", "Foo: 2\nBar: abc", false),
        ("Vary: Foo\nVary: bar", "Foo: 1\nBar: abc", "Foo: 1", false),
        ("Vary: Foo, Bar, Baz", "Foo: 1\nBaz: 789", "Foo: 1\nBaz: 789", true),
        ("Vary: Foo", "Foo: 1, 2", "Foo: 1\nFoo: 2", true),
        ("Vary: Foo", "Foo: 1,2", "Foo:  1, 2 ", true),
        ("Vary: Foo", "Foo: \"1,2\"", "Foo: \"1, 2\"", false),
        ("Vary: Foo", "Foo: a b", "Foo: ab", false),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: de, en", true),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: eN, De", true),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language:  en ,   de", true),
        (
            "Vary: Accept-Language",
            "Accept-Language: en, de",
            "Accept-Language: en, de;q=0.9",
            false,
        ),
        (
            "Vary: Accept-Language",
            "Accept-Language: en,de;q=0.5",
            "Accept-Language: de;q=0.1, en;q=0.2",
            true,
        ),
        (
            "Vary: Accept-Language\nContent-Language: de",
            "Accept-Language: en, de",
            "Accept-Language: fr;q=0.5, de;q=1.0",
            true,
        ),
        (
            "Vary: Accept-Language\nContent-Language: de-AT",
            "Accept-Language: en, de",
            "Accept-Language: de",
            true,
        ),
        (
            "Vary: Accept-Language\nContent-Language: de",
            "Accept-Language: en, de",
            "Accept-Language: de-AT",
            false,
        ),
        (
            "Vary: Accept-Language\nContent-Language: de",
            "Accept-Language: en, de",
            "Accept-Language: fr, de",
            false,
        ),
        (
            "Vary: Accept-Language\nContent-Language: de, en",
            "Accept-Language: en, de",
            "Accept-Language: de",
            false,
        ),
        (
            "Vary: Accept-Encoding",
            "Accept-Encoding: gzip, br",
            "Accept-Encoding: br;q=0.9,x-gzip",
            true,
        ),
        ("Vary: Accept-Encoding", "Accept-Encoding: gzip, dcb", "Accept-Encoding: gzip", true),
        ("Vary: Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, br", false),
        ("Vary: Accept-Encoding", "Accept-Encoding: gzip;q=0, br", "Accept-Encoding: br", true),
        (
            "Vary: Accept-Encoding",
            "Accept-Encoding: identity;q=0, br",
            "Accept-Encoding: br",
            false,
        ),
        ("Vary: Accept-Encoding", "Accept-Encoding:", "", false),
    ] {
        assert_eq!(matches(vary, first, second, &rules()), expected, "{vary} {first:?} {second:?}");
    }
}

#[test]
fn languages_of_the_route_decide() {
    let rules = Rules { languages: vec!["en".into(), "de".into(), "pt-BR".into()], ..rules() };
    for (asked, expected) in [
        ("de, en", "en"),
        ("fr, de;q=0.5", "de"),
        ("de-AT, en;q=0.9", "de"),
        ("pt, en;q=0.9", "pt-br"),
        ("fr", ""),
        ("*", "en"),
        ("en;q=0.1, *;q=0.5", "de"),
        ("en;q=0, *", "de"),
        ("x;q=2, de;q=0.1234, en;q=0.3", "en"),
    ] {
        let mut out = Vec::new();
        accept::languages([asked.as_bytes()].into_iter(), &rules.languages, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{asked}");
    }
    assert!(matches(
        "Vary: Accept-Language",
        "Accept-Language: de-CH",
        "Accept-Language: fr, de;q=0.2",
        &rules
    ));
}

#[test]
fn some_answers_vary_too_much_to_be_stored() {
    let safe = Rules { profile: Profile::Safe, ..rules() };
    let listed = Rules { vary: vec!["user-agent".into()], ..safe.clone() };
    let many = (0..17).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    for (answer, rules, expected) in [
        ("Vary: *", &rules(), Reason::VaryAny),
        ("Vary: *, *", &rules(), Reason::VaryAny),
        ("Vary: *\nVary: *", &rules(), Reason::VaryAny),
        ("Vary: , *", &rules(), Reason::VaryAny),
        ("Vary:\nVary: *", &rules(), Reason::VaryAny),
        ("Vary: *, Foo", &rules(), Reason::VaryAny),
        ("Vary: Foo, *", &rules(), Reason::VaryAny),
        ("Vary: User-Agent", &safe, Reason::VaryField),
        ("Vary: Foo, COOKIE", &safe, Reason::VaryField),
        ("Vary: User-Agent, Cookie", &listed, Reason::VaryField),
        ("Vary: a b", &rules(), Reason::VaryIllegal),
        (&format!("Vary: {many}"), &rules(), Reason::VaryIllegal),
        ("Vary: Accept-Encoding\nContent-Encoding: dcb", &rules(), Reason::Coding),
    ] {
        let none = fields("");
        assert_eq!(
            Selecting::of(&get(&none), &response(200, answer), rules),
            Err(expected),
            "{answer}"
        );
    }
    let agent = fields("User-Agent: a\nCookie: b");
    for (answer, rules) in [
        ("Vary: User-Agent, Cookie", &rules()),
        ("Vary: User-Agent", &listed),
        ("Vary: Foo, Origin, Accept", &safe),
        ("Vary: Accept-Encoding\nContent-Encoding: gzip, br", &safe),
        ("Content-Encoding: dcb", &safe),
    ] {
        assert!(Selecting::of(&get(&agent), &response(200, answer), rules).is_ok(), "{answer}");
    }
}

#[test]
fn a_part_is_selected_by_its_range() {
    let asked = fields("Range: bytes=-5");
    let selecting = Selecting::of(&get(&asked), &response(206, ""), &rules()).expect("stored");
    for (request, same, other) in
        [("Range: bytes=-5", true, true), ("", false, true), ("Range: bytes=1-", false, true)]
    {
        let request = fields(request);
        assert_eq!(selecting.matches(&get(&request), &rules()), same);
        assert_eq!(selecting.matches_but_range(&get(&request), &rules()), other);
    }
}

fn form(write: impl Fn(&[u8], &mut Vec<u8>), value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

proptest! {
    #[test]
    fn a_normal_form_is_its_own(value in "[a-z*]{0,3}(;q=[01](\\.[0-9]{0,3})?)?([ ,]{1,2}(gzip|br|en|de|identity|\\*)(;q=[01](\\.[0-9]{0,3})?)?){0,4}", noise in "[ -~]{0,20}", languages in any::<bool>()) {
        let known = if languages { vec!["en".to_owned(), "de-AT".to_owned()] } else { Vec::new() };
        for value in [value.as_bytes(), noise.trim().as_bytes()] {
            let language = |v: &[u8], out: &mut Vec<u8>| accept::languages([v].into_iter(), &known, out);
            let coding = |v: &[u8], out: &mut Vec<u8>| accept::codings([v].into_iter(), out);
            let other = |v: &[u8], out: &mut Vec<u8>| combine([v].into_iter(), out);
            for once in [form(language, value), form(coding, value), form(other, value)] {
                prop_assert!(base::field::is_value(&once));
            }
            prop_assert_eq!(form(language, &form(language, value)), form(language, value));
            prop_assert_eq!(form(coding, &form(coding, value)), form(coding, value));
            prop_assert_eq!(form(other, &form(other, value)), form(other, value));
        }
    }

    #[test]
    fn lines_and_their_normal_form_are_one(lines in prop::collection::vec("[a-b\",\\\\ ]{0,6}", 0..4)) {
        let lines: Vec<_> = lines.iter().map(|l| l.trim().as_bytes()).collect();
        let mut once = Vec::new();
        combine(lines.iter().copied(), &mut once);
        prop_assert_eq!(form(|v, out: &mut Vec<u8>| combine([v].into_iter(), out), once.trim_ascii()), once.trim_ascii());
    }

    #[test]
    fn no_bytes_are_a_selecting_by_accident(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(read) = Selecting::read(&bytes) {
            let mut again = Vec::new();
            read.write(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

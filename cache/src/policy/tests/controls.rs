//! Directives, dates, targeted fields.

use super::super::control::{Directives, Flag, SECONDS_MAX};
use super::super::{date, targeted};
use super::{NOW, fields};
use base::Wall;
use proptest::prelude::*;

fn check(lines: &[&str], expected: &str) {
    let mut said = Directives::default();
    for line in lines {
        said.read(line.as_bytes());
    }
    assert_eq!(show(&said), expected, "{lines:?}");
}

fn show(said: &Directives<'_>) -> String {
    let flags = [
        (Flag::NoStore, "no-store"),
        (Flag::NoCache, "no-cache"),
        (Flag::Private, "private"),
        (Flag::Public, "public"),
        (Flag::MustRevalidate, "must-revalidate"),
        (Flag::ProxyRevalidate, "proxy-revalidate"),
        (Flag::MustUnderstand, "must-understand"),
        (Flag::Immutable, "immutable"),
        (Flag::OnlyIfCached, "only-if-cached"),
    ];
    let numbers = [
        (said.max_age, "max-age"),
        (said.s_maxage, "s-maxage"),
        (said.stale_while_revalidate, "swr"),
        (said.stale_if_error, "sie"),
        (said.min_fresh, "min-fresh"),
        (said.max_stale, "max-stale"),
    ];
    let flags = flags.iter().filter(|(flag, _)| said.has(*flag)).map(|(_, name)| name.to_string());
    let numbers = numbers.iter().filter_map(|(n, name)| n.map(|n| format!("{name}={n}")));
    let withheld = said.withheld.iter().map(|list| format!("[{}]", list.escape_ascii()));
    flags.chain(numbers).chain(withheld).collect::<Vec<_>>().join(" ")
}

#[test]
fn directives_are_read_strictly() {
    let max = SECONDS_MAX.to_string();
    for (line, expected) in [
        ("", ""),
        (",, ,", ""),
        ("max-age=3600", "max-age=3600"),
        ("MaX-aGe=3600, No-StOrE", "no-store max-age=3600"),
        ("foobar, max-age=3600", "max-age=3600"),
        ("foo=bar;max-age=3600", ""),
        ("max-age=003600", "max-age=3600"),
        ("max-age=\"3600\"", "max-age=3600"),
        ("max-age='3600'", "max-age=0"),
        ("max-age=-3600", "max-age=0"),
        ("max-age=3600.0", "max-age=0"),
        ("max-age=3600a", "max-age=0"),
        ("max-age=a3600", "max-age=0"),
        ("max-age=", "max-age=0"),
        ("max-age", "max-age=0"),
        ("max-age =3600", "max-age=0"),
        ("max-age= 3600", "max-age=0"),
        ("max-age=3600 1", "max-age=0"),
        ("max-age=1800, max-age=1", "max-age=1800"),
        ("max-age=1, max-age=1800", "max-age=1"),
        ("max-age=2147483647", "max-age=2147483647"),
        ("max-age=2147483648", &format!("max-age={max}")),
        ("max-age=99999999999999999999999", &format!("max-age={max}")),
        ("extension=\"max-age=3600\", max-age=1", "max-age=1"),
        ("max-age=1, extension=\"max-age=3600, no-store\"", "max-age=1"),
        ("extension=\"a\\\", no-store\", public", "public"),
        // A quote that never ends: only restrictions are read behind it.
        ("extension=\"a, no-store, public, max-age=9", "no-store"),
        ("max-age=5, extension=\"a, private=\"b", "max-age=5"),
        ("max-age=5, extension=\"a, private=\"b\"", "max-age=5"),
        ("no-cache=\"a, b\", private=c", "[a, b] [c]"),
        ("no-cache=\"a\", no-cache", "no-cache [a]"),
        ("no-cache=\"\"", "no-cache"),
        ("private=\"a b\"", "private"),
        ("private=1\"", "private"),
        ("no-store=nonsense", "no-store"),
        (
            "max-stale, min-fresh=5, only-if-cached",
            &format!("only-if-cached min-fresh=5 max-stale={max}"),
        ),
        ("s-maxage=1,stale-while-revalidate=2 , stale-if-error=3", "s-maxage=1 swr=2 sie=3"),
        ("must-revalidate proxy-revalidate", "must-revalidate"),
    ] {
        check(&[line], expected);
    }
    check(&["max-age=5", "public", "max-age=9"], "public max-age=5");
    check(&["a=\"x", "max-age=5"], "max-age=5");
}

#[test]
fn targeted_fields_are_structured_and_ignored_when_they_are_not() {
    for (value, expected) in [
        ("max-age=3600", Some("max-age=3600")),
        ("max-age=99999999999", Some("max-age=2147483648")),
        ("max-age=-1", Some("max-age=0")),
        ("foobar, max-age=3600;a=b", Some("max-age=3600")),
        ("max-age=1, max-age=2", Some("max-age=2")),
        ("no-store, private, must-revalidate", Some("no-store private must-revalidate")),
        ("no-store=?0", Some("")),
        ("no-cache=\"a\", public=1", Some("no-cache")),
        ("private=(a b)", Some("private")),
        ("stale-while-revalidate=5, stale-if-error=6", Some("swr=5 sie=6")),
        ("foo", Some("")),
        ("", None),
        (" ", None),
        ("max-age=10000, &&&&&", None),
        ("max-age=\"10000\"", None),
        ("max-age=1.5", None),
        ("max-age", None),
        ("max-age =100", None),
        ("max-age= 100", None),
        ("MaX-aGe=3600", None),
        ("max-age=9999999999999999", None),
    ] {
        let parsed = targeted::parse(value.as_bytes());
        assert_eq!(parsed.as_ref().map(show).as_deref(), expected, "{value:?}");
    }
    let both = fields("A: max-age=x&\nB: max-age=5\nB: public\nCache-Control: max-age=9");
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(
        targeted::targeted(&both, &names).map(|said| show(&said)).as_deref(),
        Some("public max-age=5")
    );
    assert_eq!(targeted::targeted(&both, &[]), None);
}

#[test]
fn lists_of_strings_hold_nothing_else() {
    assert_eq!(
        targeted::strings(b"\"a\", \"b c\";x"),
        Some(vec!["a".to_owned(), "b c".to_owned()])
    );
    for illegal in [&b"a"[..], b"\"a\", 1", b"(\"a\")", b"\"a"] {
        assert_eq!(targeted::strings(illegal), None);
    }
}

#[test]
fn dates_have_three_formats_and_no_other() {
    let then = Some(784_111_777);
    for (text, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", then),
        ("Sunday, 06-Nov-94 08:49:37 GMT", then),
        ("Sun Nov  6 08:49:37 1994", then),
        ("SUN, 06 nOV 1994 08:49:37 gmt", then),
        ("Mon, 06 Nov 1994 08:49:37 GMT", then),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", Some(-1)),
        ("Tue, 29 Feb 2028 00:00:00 GMT", Some(1_835_395_200)),
        ("Tue, 29 Feb 2027 00:00:00 GMT", None),
        ("Tue, 29 Feb 2100 00:00:00 GMT", None),
        ("Thu, 18 Aug 2050 02:01:18 GMT", Some(2_544_400_878)),
        ("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878)),
        ("Thursday, 18-Aug-78 02:01:18 GMT", Some(272_253_678)),
        ("Thu Aug 18 02:01:18 2050", Some(2_544_400_878)),
        ("Thu Aug  8 02:01:18 2050", Some(2_543_536_878)),
        ("Sun, 21 Nov 2286 04:46:39 GMT", Some(10_000_039_599)),
        ("Thu, 18 Aug 2050 02:01:60 GMT", Some(2_544_400_920)),
        ("Thu, 18 Aug 2050 02:01:61 GMT", None),
        ("Thu, 18 Aug 2050 24:01:18 GMT", None),
        ("Thu, 18 Aug 2050 02:01:18 UTC", None),
        ("Thu, 18 Aug 2050 02:01:18 AEST", None),
        ("Thu, 18 Aug 50 02:01:18 GMT", None),
        ("Thu 18 Aug 2050 02:01:18 GMT", None),
        ("Thu, 18  Aug  2050 02:01:18 GMT", None),
        ("Thu, 18-Aug-2050 02:01:18 GMT", None),
        ("Thu, 18 Aug 2050 02.01.18 GMT", None),
        ("Thu, 18 Aug 2050 2:01:18 GMT", None),
        ("Thu, 00 Aug 2050 02:01:18 GMT", None),
        ("Thu, 18 Aug 2050 02:01:18 GMT ", None),
        ("Thx, 18 Aug 2050 02:01:18 GMT", None),
        ("Thu, +8 Aug 2050 02:01:18 GMT", None),
        ("0", None),
        ("", None),
    ] {
        assert_eq!(date::parse(text.as_bytes(), NOW), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_date_is_read_as_it_was_written(seconds in 0_u64..253_402_300_800) {
        let mut text = Vec::new();
        date::write(Wall(seconds * 1_000), &mut text);
        prop_assert_eq!(date::parse(&text, NOW), Some(seconds.cast_signed()));
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut said = Directives::default();
        said.read(&bytes);
        let _parsed = (date::parse(&bytes, NOW), targeted::parse(&bytes), targeted::strings(&bytes));
    }

    #[test]
    fn whatever_stands_before_it_no_store_is_seen(text in "[a-z=\", ]{0,20}") {
        // Unless it stands in a quoted string that ends.
        let line = format!("{text}, no-store");
        let mut said = Directives::default();
        said.read(line.as_bytes());
        prop_assert!(said.has(Flag::NoStore), "{}", line);
    }
}

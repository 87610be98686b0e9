//! What is stored, for how long, and what may be done with it.

use super::super::life::{Life, Marks};
use super::super::{
    Admission, Query, Reason, Verdict, admit, age, judge, may_serve_on_error, may_share, posted,
    store, strip,
};
use super::super::{Origin, only_if_cached};
use super::{NOW, after, fields, get, response, rules, targeted, text};
use crate::settings::{Profile, Rules};
use base::Wall;
use proptest::prelude::*;
use std::time::Duration;

fn life(request: &str, status: u16, answer: &str, rules: &Rules) -> Result<Life, Reason> {
    let request = fields(request);
    store(&get(&request), &response(status, answer), NOW, NOW, rules, &targeted())
}

/// `fresh/while/error` in seconds from now, and marks; or why not.
fn show(life: Result<Life, Reason>) -> String {
    let life = match life {
        Ok(life) => life,
        Err(reason) => return reason.name().to_owned(),
    };
    let left = |until: Wall| (until.0.cast_signed() - NOW.0.cast_signed()).div_euclid(1_000);
    let marks = [
        (Marks::NO_CACHE, " no-cache"),
        (Marks::MUST_REVALIDATE, " must"),
        (Marks::HEURISTIC, " guess"),
        (Marks::IMMUTABLE, " immutable"),
        (Marks::AUTHORIZED, " auth"),
    ];
    let marks: String = marks.iter().filter(|m| life.marks.has(m.0)).map(|m| m.1).collect();
    let [fresh, stale, error] =
        [life.fresh_until, life.stale_while_until, life.stale_error_until].map(left);
    format!("{fresh}/{stale}/{error}{marks}")
}

fn check(status: u16, answer: &str, expected: &str) {
    let rules = Rules { stale_error: Duration::from_secs(100), ..rules() };
    assert_eq!(show(life("", status, answer, &rules)), expected, "{status} {answer:?}");
}

#[test]
fn freshness_is_what_the_answer_says() {
    for (answer, expected) in [
        ("", "no-freshness"),
        ("Cache-Control: max-age=3600", "3600/3600/3700"),
        ("Cache-Control: max-age=0", "expired"),
        ("Cache-Control: max-age=0\nETag: \"a\"", "0/0/0"),
        ("Cache-Control: max-age=x\nExpires: {300}\nDate: {0}", "expired"),
        ("Cache-Control: s-maxage=9, max-age=1", "9/9/9 must auth"),
        ("Cache-Control: s-maxage=9, max-age=1, stale-while-revalidate=5", "9/14/9 must auth"),
        ("Cache-Control: s-maxage=9, stale-if-error=5, must-revalidate", "9/9/9 must auth"),
        ("Cache-Control: max-age=9, stale-while-revalidate=5, stale-if-error=7", "9/14/16"),
        ("Cache-Control: max-age=9, stale-while-revalidate=5, proxy-revalidate", "9/9/9 must"),
        ("Cache-Control: max-age=9, must-revalidate", "9/9/9 must auth"),
        ("Cache-Control: max-age=9, immutable, public", "9/9/109 immutable auth"),
        ("Cache-Control: max-age=9, no-cache", "no-cache"),
        ("Cache-Control: max-age=9, no-cache\nETag: \"a\"", "9/9/9 no-cache must"),
        ("Cache-Control: no-cache\nETag: \"a\"", "0/0/0 no-cache must"),
        ("Cache-Control: no-cache=\"a\"\nCache-Control: max-age=5", "5/5/105"),
        ("Cache-Control: private=\"a\", max-age=5", "5/5/105"),
        ("Cache-Control: private, max-age=5", "private"),
        ("Cache-Control: no-store, max-age=5", "no-store"),
        ("Cache-Control: no-store, max-age=5, must-understand", "5/5/105"),
        ("Cache-Control: max-age=0, stale-while-revalidate=5", "0/5/0"),
        ("Cache-Control: max-age=5\nPragma: no-cache", "5/5/105"),
        ("Cache-Control: max-age=5\nVary: *", "5/5/105"),
    ] {
        check(200, answer, expected);
    }
}

#[test]
fn expires_counts_from_date() {
    for (answer, expected) in [
        ("Expires: {300}\nDate: {0}", "300/300/400"),
        ("Expires: {300}", "299/299/399"),
        ("Expires: {-300}\nDate: {0}", "expired"),
        ("Expires: {0}\nDate: {0}", "expired"),
        ("Expires: {300}\nDate: {400}", "expired"),
        ("Expires: 0\nDate: {0}", "expired"),
        ("Expires: {300}\nExpires: {300}\nDate: {0}", "expired"),
        ("Expires: {10}\nDate: foo", "9/9/109"),
        ("Expires: {10}\nDate: {-10}\nAge: 25", "expired"),
        ("Expires: {20}\nDate: {10}\nAge: 15", "expired"),
        ("Expires: {20}\nDate: {10}\nAge: 5", "5/5/105"),
        ("Expires: {300}\nDate: {0}\nCache-Control: max-age=5", "5/5/105"),
        ("Expires: {9999999999}\nDate: {0}", "2147483648/2147483648/2147483748"),
    ] {
        check(200, answer, expected);
    }
}

#[test]
fn ages_are_numbers_of_the_first_member() {
    for (age, expected) in [
        ("abc", "3600/3600/3700"),
        ("-7200", "3600/3600/3700"),
        ("7200.0", "3600/3600/3700"),
        ("7200", "expired"),
        ("7200, 0", "expired"),
        ("0, 7200", "3600/3600/3700"),
        ("7200\nAge: 0", "expired"),
        ("0\nAge: 7200", "3600/3600/3700"),
        ("2147483647", "expired"),
        ("2147483648", "expired"),
        ("99999999999999", "expired"),
        ("7200;foo=bar", "3600/3600/3700"),
        ("600", "3000/3000/3100"),
    ] {
        check(200, &format!("Date: {{0}}\nCache-Control: max-age=3600\nAge: {age}"), expected);
    }
    // An old Date is an age, a new one is none; the second it was made in counts to its end.
    check(200, "Date: {-7200}\nCache-Control: max-age=3600", "expired");
    check(200, "Date: {-11}\nCache-Control: max-age=3600", "3589/3589/3689");
    check(200, "Date: {-1}\nCache-Control: max-age=1", "0/0/100");
    check(200, "Date: {7200}\nCache-Control: max-age=3600", "3600/3600/3700");
}

#[test]
fn guesses_are_a_tenth_and_capped() {
    for (status, answer, expected) in [
        (200, "Last-Modified: {-86400}\nDate: {0}", "3600/3600/3700 guess"),
        (200, "Last-Modified: {-600}\nDate: {0}", "60/60/160 guess"),
        (200, "Last-Modified: {-5}\nDate: {0}", "0/0/100 guess"),
        (200, "Last-Modified: {0}\nDate: {0}", "no-freshness"),
        (200, "Last-Modified: {10}\nDate: {0}", "no-freshness"),
        (200, "Last-Modified: x\nDate: {0}", "no-freshness"),
        (200, "Last-Modified: {-600}\nDate: {0}\nCache-Control: no-cache", "0/0/0 no-cache must"),
        (599, "Last-Modified: {-600}\nDate: {0}\nCache-Control: public", "10/10/110 guess auth"),
    ] {
        check(status, answer, expected);
    }
    let old = "Last-Modified: {-86400}\nDate: {0}";
    for status in [203, 204, 300, 301, 308] {
        check(status, old, "3600/3600/3700 guess");
    }
    for status in [404, 405, 410, 414, 501] {
        check(status, old, "10/10/110 guess");
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 413, 500, 502, 503, 504, 599] {
        check(status, old, "no-freshness");
    }
    let off = Rules { heuristic_max: Duration::ZERO, ..rules() };
    assert_eq!(life("", 200, old, &off), Err(Reason::NoFreshness));
}

#[test]
fn every_final_status_is_stored_when_it_says_so() {
    let never = [206, 304, 407, 412, 416, 417, 421, 425, 428, 429, 431, 511];
    for status in 100..1_000 {
        let stored = life("", status, "Cache-Control: max-age=5", &rules()).is_ok();
        assert_eq!(stored, status >= 200 && !never.contains(&status), "{status}");
    }
    assert_eq!(life("", 206, "Cache-Control: max-age=5", &rules()), Err(Reason::ContentRange));
    let part = "Cache-Control: max-age=5\nContent-Range: bytes 0-4/10";
    assert_eq!(life("", 206, part, &rules()), Err(Reason::ContentRange));
    assert!(life("Range: bytes=0-4", 206, part, &rules()).is_ok());
    let vague = "Cache-Control: max-age=5\nContent-Type: multipart/byteranges; boundary=a";
    assert_eq!(life("Range: bytes=0-1,3-4", 206, vague, &rules()), Err(Reason::ContentRange));
    check(599, "Cache-Control: max-age=5, no-store, must-understand", "not-understood");
    check(599, "Cache-Control: max-age=5, must-understand", "not-understood");
}

#[test]
fn targeted_control_stands_in_for_the_rest() {
    for (answer, expected) in [
        ("CDN-Cache-Control: max-age=5", "5/5/105"),
        ("CDN-Cache-Control: max-age=5\nCache-Control: no-store", "5/5/105"),
        ("CDN-Cache-Control: max-age=5\nCache-Control: max-age=1\nExpires: 0", "5/5/105"),
        ("CDN-Cache-Control: max-age=1\nCache-Control: max-age=9", "1/1/101"),
        ("CDN-Cache-Control: max-age=0\nExpires: {300}", "expired"),
        ("CDN-Cache-Control: max-age=5\nAge: 9", "expired"),
        ("CDN-Cache-Control: private\nCache-Control: max-age=9", "private"),
        ("CDN-Cache-Control: no-cache\nCache-Control: max-age=9", "no-cache"),
        ("CDN-Cache-Control: no-store\nCache-Control: max-age=9", "no-store"),
        ("CDN-Cache-Control: max-age=5, &&&\nCache-Control: no-store", "no-store"),
        ("CDN-Cache-Control: max-age=\"5\"\nCache-Control: no-store", "no-store"),
        ("CDN-Cache-Control: foo\nCache-Control: max-age=9\nExpires: {300}", "no-freshness"),
        ("CDN-Cache-Control: \nCache-Control: max-age=9", "9/9/109"),
    ] {
        check(200, answer, expected);
    }
}

#[test]
fn routes_give_freshness_where_answers_do_not() {
    let second = |n| Some(Duration::from_secs(n));
    let base =
        Rules { ttl: second(30), ttl_error: second(3), stale_error: Duration::ZERO, ..rules() };
    let stale = Rules { stale: Duration::from_secs(7), ..base.clone() };
    let insist = Rules { insist: true, ..base.clone() };
    let half = Rules { ttl_error: None, ..insist.clone() };
    for (rules, status, answer, expected) in [
        (&base, 200, "", "30/30/30"),
        (&base, 302, "", "30/30/30"),
        (&base, 503, "", "3/3/3"),
        (&base, 400, "", "3/3/3"),
        (&base, 431, "", "status"),
        (&base, 200, "Last-Modified: {-86400}\nDate: {0}", "30/30/30"),
        (&base, 200, "Cache-Control: max-age=5", "5/5/5"),
        (&base, 200, "Cache-Control: no-store", "no-store"),
        (&base, 200, "Cache-Control: private", "private"),
        (&stale, 200, "", "30/37/30"),
        (&stale, 200, "Cache-Control: max-age=5, stale-while-revalidate=0", "5/5/5"),
        (&stale, 200, "Cache-Control: s-maxage=5", "5/5/5 must auth"),
        (&stale, 200, "Cache-Control: max-age=0\nETag: \"a\"", "0/0/0"),
        (&insist, 200, "Cache-Control: no-store, max-age=5", "30/30/30"),
        (&insist, 200, "CDN-Cache-Control: private", "30/30/30"),
        (&insist, 500, "Expires: 0", "3/3/3"),
        (&half, 500, "Cache-Control: max-age=5", "5/5/5"),
        (&half, 500, "", "no-freshness"),
    ] {
        assert_eq!(show(life("", status, answer, rules)), expected, "{status} {answer:?}");
    }
    let off = Rules { enabled: false, ..base };
    assert_eq!(life("", 200, "", &off), Err(Reason::Disabled));
}

/// Every combination of directives, requests and profiles against the sentences of the RFCs.
#[test]
fn every_combination_of_directives_keeps_the_laws() {
    let words = [
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "s-maxage=9",
        "max-age=5",
        "stale-while-revalidate=3",
        "stale-if-error=4",
    ];
    let mut stored = 0;
    for set in 0_u32..1 << words.len() {
        let has = |word: &str| {
            let at = words.iter().position(|w| w.starts_with(word)).expect("a word");
            set & (1 << at) != 0
        };
        let list: Vec<_> =
            (0..words.len()).filter(|at| set & (1 << at) != 0).map(|at| words[at]).collect();
        let control = format!("Cache-Control: {}\nETag: \"a\"", list.join(", "));
        for case in 0..16_u32 {
            let bit = |at: u32| case & (1 << at) != 0;
            let (request, cookie) = (if bit(0) { "Authorization: a" } else { "" }, bit(1));
            let status = if bit(3) { 599 } else { 200 };
            let rules =
                Rules { profile: if bit(2) { Profile::Safe } else { Profile::Rfc }, ..rules() };
            let answer =
                if cookie { format!("{control}\nSet-Cookie: a=b") } else { control.clone() };
            let result = life(request, status, &answer, &rules);
            let unknown = has("must-understand") && status == 599;
            let allowed = (!has("no-store") || has("must-understand"))
                && !unknown
                && !has("private")
                && (!bit(0) || has("public") || has("must-revalidate") || has("s-maxage"))
                && (!cookie || !bit(2) || has("public"))
                && (has("max-age") || has("s-maxage") || has("no-cache"));
            assert_eq!(result.is_ok(), allowed, "{answer} {case:b}: {result:?}");
            let Ok(life) = result else { continue };
            stored += 1;
            let none = fields("");
            let judged = |now| judge(&life, &get(&none), &rules, now, 1.0);
            let fresh = if has("s-maxage") { 9 } else { 5 };
            if has("no-cache") {
                assert_eq!(judged(NOW), Verdict::Revalidate(Reason::NoCache));
                assert!(!may_serve_on_error(&life, &get(&none), &rules, NOW));
                continue;
            }
            assert_eq!(judged(after(fresh - 1)), Verdict::Fresh, "{answer}");
            let never = has("must-revalidate") || has("proxy-revalidate");
            let meanwhile = judged(after(fresh)) == Verdict::StaleWhileRevalidate;
            assert_eq!(meanwhile, has("stale-while-revalidate") && !never, "{answer}");
            assert_eq!(judged(after(fresh + 3)), Verdict::Revalidate(Reason::Stale), "{answer}");
            let on_error = may_serve_on_error(&life, &get(&none), &rules, after(fresh + 3));
            let said = has("stale-if-error") || !has("s-maxage");
            assert_eq!(on_error, said && !never, "{answer}");
        }
    }
    assert!(stored > 1_000, "{stored}");
}

#[test]
fn cookies_are_not_shared_where_routes_are_safe() {
    let safe = Rules { profile: Profile::Safe, ..rules() };
    let dropping = Rules { drop_cookies: vec!["_ga*".into(), "id".into()], ..safe.clone() };
    for (rules, answer, stored) in [
        (&safe, "Cache-Control: max-age=5\nSet-Cookie: a=b", false),
        (&safe, "Cache-Control: max-age=5, public\nSet-Cookie: a=b", true),
        (&safe, "CDN-Cache-Control: max-age=5\nSet-Cookie: a=b", true),
        (&safe, "Cache-Control: max-age=5, no-cache=\"Set-Cookie\"\nSet-Cookie: a=b", true),
        (
            &dropping,
            "Cache-Control: max-age=5\nSet-Cookie: _ga_1=b; Path=/\nSet-Cookie: id=1",
            true,
        ),
        (&dropping, "Cache-Control: max-age=5\nSet-Cookie: id=1\nSet-Cookie: idx=1", false),
    ] {
        assert_eq!(life("", 200, answer, rules).is_ok(), stored, "{answer}");
    }
}

#[test]
fn stored_heads_are_stripped() {
    let rules = Rules { drop_cookies: vec!["x*".into()], ..rules() };
    let mut head = response(
        200,
        "Date: d\nAge: 5\nConnection: a, b\nA: 1\nB: 2\nC: 3\nKeep-Alive: x\nTE: x\nUpgrade: x
         Transfer-Encoding: chunked\nProxy-Authentication-Info: x\nProxy-Authenticate: x
         Set-Cookie: x1=2\nSet-Cookie: y=2\nCache-Control: no-cache=\"d, E\", private=f
         D: 4\nE: 5\nF: 6\nContent-Length: 5\nCDN-Cache-Control: max-age=5, &",
    );
    strip(&mut head, &rules, &targeted());
    let expected = "Date: d\nC: 3\nSet-Cookie: y=2\nCache-Control: no-cache=\"d, E\", private=f\n\
                    Content-Length: 5\nCDN-Cache-Control: max-age=5, &";
    assert_eq!(text(&head.fields), expected);
}

#[test]
fn requests_are_admitted_or_told_why_not() {
    let rules = Rules { bypass_cookies: vec!["session*".into()], ..rules() };
    let check = |method: &[u8], request: &str, has_body, upgrade| {
        let fields = fields(request);
        match admit(&Query { method, fields: &fields, has_body, upgrade }, &rules) {
            Admission::Lookup => "lookup",
            Admission::Bypass(reason) => reason.name(),
        }
    };
    for (method, request, expected) in [
        ("GET", "", "lookup"),
        ("HEAD", "", "lookup"),
        ("get", "", "method"),
        ("POST", "", "method"),
        ("M-SEARCH", "", "method"),
        ("GET", "Cookie: a=b; sessionid=1", "cookie"),
        ("GET", "Cookie: a=session", "lookup"),
        ("GET", "Cache-Control: no-store", "request-no-store"),
        ("GET", "Cache-Control: no-cache", "lookup"),
        ("GET", "If-Match: \"a\"", "condition"),
        ("GET", "If-Unmodified-Since: {0}", "condition"),
        ("GET", "If-None-Match: \"a\"\nRange: bytes=0-1\nAuthorization: a", "lookup"),
    ] {
        assert_eq!(check(method.as_bytes(), request, false, false), expected, "{method} {request}");
    }
    assert_eq!(check(b"GET", "", true, false), "body");
    assert_eq!(check(b"GET", "", false, true), "upgrade");
    let only = fields("Cache-Control: only-if-cached");
    assert!(only_if_cached(&get(&only)));
}

#[test]
fn authorisation_is_shared_only_with_permission() {
    let authorised = fields("Authorization: a");
    for (answer, permits) in [
        ("max-age=5", false),
        ("max-age=5, proxy-revalidate", false),
        ("max-age=5, public", true),
        ("max-age=5, must-revalidate", true),
        ("s-maxage=5", true),
    ] {
        let answer = format!("Cache-Control: {answer}");
        assert_eq!(life("Authorization: a", 200, &answer, &rules()).is_ok(), permits, "{answer}");
        let anonymous = life("", 200, &answer, &rules()).expect("stored");
        assert_eq!(may_share(&anonymous, &get(&authorised)), permits, "{answer}");
    }
}

#[test]
fn clients_are_obeyed_where_the_route_says_so() {
    let obeying = Rules { reload: true, ..rules() };
    let plain = "Cache-Control: max-age=100\nAge: 40";
    let reload = Verdict::Revalidate(Reason::Reload);
    for (answer, request, later, expected) in [
        (plain, "Cache-Control: no-cache", 0, reload),
        (plain, "Pragma: no-cache", 0, reload),
        (plain, "Pragma: no-cache\nCache-Control: x", 0, Verdict::Fresh),
        (plain, "Cache-Control: max-age=0", 0, reload),
        (plain, "Cache-Control: max-age=39", 0, reload),
        (plain, "Cache-Control: max-age=40", 0, Verdict::Fresh),
        (plain, "Cache-Control: max-age=40", 1, reload),
        (plain, "Cache-Control: min-fresh=60", 0, Verdict::Fresh),
        (plain, "Cache-Control: min-fresh=61", 0, reload),
        (plain, "Cache-Control: max-stale=10", 65, Verdict::StaleWhileRevalidate),
        (plain, "Cache-Control: max-stale", 90_000, Verdict::StaleWhileRevalidate),
        (plain, "Cache-Control: max-stale=10", 71, Verdict::Revalidate(Reason::Stale)),
        (
            "Cache-Control: max-age=9, must-revalidate",
            "Cache-Control: max-stale",
            10,
            Verdict::Revalidate(Reason::Stale),
        ),
        ("Cache-Control: max-age=9, immutable", "Cache-Control: max-age=0", 0, Verdict::Fresh),
        ("Cache-Control: max-age=9, immutable", "Cache-Control: no-cache", 0, Verdict::Fresh),
        ("Cache-Control: max-age=9, immutable", "Cache-Control: no-cache", 10, reload),
    ] {
        let life = life("", 200, answer, &rules()).expect("stored");
        let request = fields(request);
        let verdict = judge(&life, &get(&request), &obeying, after(later), 1.0);
        assert_eq!(verdict, expected, "{answer} {}", text(&request));
        // By default strangers cannot make the service work.
        let ignoring = judge(&life, &get(&request), &rules(), NOW, 1.0);
        assert_eq!(ignoring, Verdict::Fresh, "{answer}");
    }
}

#[test]
fn a_second_is_a_thousand_milliseconds() {
    let life = life("", 200, "Cache-Control: max-age=1", &rules()).expect("stored");
    let none = fields("");
    let at = |ms| judge(&life, &get(&none), &rules(), Wall(NOW.0 + ms), 1.0);
    assert_eq!(at(999), Verdict::Fresh);
    assert_eq!(at(1_000), Verdict::Revalidate(Reason::Stale));
    assert_eq!((age(&life, Wall(NOW.0 + 999)), age(&life, after(1))), (0, 1));
    assert_eq!((life.ttl(NOW), life.ttl(after(1)), life.ttl(after(4))), (1, 0, -3));
    assert_eq!(age(&life, Wall(u64::MAX)), 1 << 31);
}

#[test]
fn a_slow_answer_is_as_old_as_it_was_slow() {
    let none = fields("");
    let answer = response(200, "Cache-Control: max-age=10\nAge: 3");
    let life = store(&get(&none), &answer, NOW, after(5), &rules(), &[]).expect("stored");
    assert_eq!((age(&life, after(5)), life.fetch_time()), (8, Duration::from_secs(5)));
    assert_eq!((life.fresh_until, life.born()), (after(7), Wall(NOW.0 - 3_000)));
}

#[test]
fn early_refresh_never_comes_in_the_first_half() {
    let none = fields("");
    let answer = response(200, "Cache-Control: max-age=100");
    let life = store(&get(&none), &answer, NOW, after(2), &rules(), &[]).expect("stored");
    let at = |now, chance| judge(&life, &get(&none), &rules(), after(now), chance);
    assert_eq!(at(99, 1.0), Verdict::Fresh);
    assert_eq!(at(99, 0.1), Verdict::FreshEarly);
    assert_eq!(at(90, 0.1), Verdict::Fresh);
    assert_eq!(at(50, 0.0), Verdict::Fresh);
    assert_eq!(at(52, 0.0), Verdict::FreshEarly);
    let calm = Rules { early: false, ..rules() };
    assert_eq!(judge(&life, &get(&none), &calm, after(99), 0.0), Verdict::Fresh);
}

#[test]
fn a_post_answers_a_get_when_it_says_so() {
    let none = fields("");
    let query = Query { method: b"POST", has_body: true, ..get(&none) };
    let origin = Origin { scheme: b"http", host: b"h" };
    for (answer, expected) in [
        ("Content-Location: /a?b\nCache-Control: max-age=5", true),
        ("Content-Location: ?b\nCache-Control: max-age=5", true),
        ("Content-Location: http://H:80/a?b\nExpires: {9}", true),
        ("Content-Location: /a?b\nCDN-Cache-Control: max-age=5", true),
        ("Content-Location: /a\nCache-Control: max-age=5", false),
        ("Content-Location: https://h/a?b\nCache-Control: max-age=5", false),
        ("Content-Location: /a?b\nLast-Modified: {-600}", false),
        ("Cache-Control: max-age=5", false),
    ] {
        let found = posted(&query, origin, b"/a?b", &response(200, answer), &targeted());
        assert_eq!(found.is_some(), expected, "{answer}");
        let life =
            found.map(|get| store(&get, &response(200, answer), NOW, NOW, &rules(), &targeted()));
        assert!(life.is_none_or(|life| life.is_ok()), "{answer}");
    }
}

#[test]
fn names_of_reasons_are_tokens_and_differ() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}

proptest! {
    #[test]
    fn once_stale_always_stale(max_age in 0_u32..100, age in 0_u32..100, while_ in 0_u32..50, now in 0_u64..300, more in 0_u64..300) {
        let answer = format!("Cache-Control: max-age={max_age}, stale-while-revalidate={while_}\nAge: {age}\nETag: \"a\"");
        let life = life("", 200, &answer, &rules()).expect("stored");
        let none = fields("");
        let rank = |now| match judge(&life, &get(&none), &rules(), after(now), 1.0) {
            Verdict::Fresh | Verdict::FreshEarly => 0,
            Verdict::StaleWhileRevalidate => 1,
            Verdict::Revalidate(_) => 2,
        };
        prop_assert!(rank(now) <= rank(now + more));
        prop_assert_eq!(rank(now) == 0, u64::from(age) + now < u64::from(max_age));
        prop_assert!(life.fresh_until <= life.stale_while_until && life.stale_while_until <= life.keep_until);
    }

    #[test]
    fn a_life_is_read_as_it_was_written(words in prop::array::uniform7(any::<u32>()), expire in any::<bool>()) {
        let at = |n: usize| Wall(words[n].into());
        let life = Life {
            asked: at(0), answered: at(1), age: Duration::from_millis(words[2].into()), fresh_until: at(3),
            stale_while_until: at(4), stale_error_until: at(5), keep_until: at(6),
            marks: Marks::NO_CACHE.and_if(Marks::IMMUTABLE, expire),
        };
        let mut bytes = Vec::new();
        life.write(&mut bytes);
        prop_assert_eq!(bytes.len(), Life::BYTES);
        prop_assert_eq!(Life::read(&bytes), Some(life));
        prop_assert_eq!(Life::read(&bytes[1..]), None);
    }

    #[test]
    fn no_head_is_too_much(lines in prop::collection::vec(("(Cache-Control|CDN-Cache-Control|Expires|Date|Age|Vary|ETag|Last-Modified|Set-Cookie|Content-Range)", "[ -~]{0,30}"), 0..6), status in 100_u16..1_000) {
        let mut head = base::ResponseHead::build(status);
        for (name, value) in &lines {
            head.fields.push(name.as_bytes(), value.trim().as_bytes());
        }
        let request = fields("Range: bytes=0-1");
        if let Ok(life) = store(&get(&request), &head, NOW, NOW, &rules(), &targeted()) {
            prop_assert!(life.keep_until > NOW);
        }
        strip(&mut head, &rules(), &targeted());
    }
}

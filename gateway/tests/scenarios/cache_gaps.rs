//! What the public suite announces but does not test yet (its issues 178 to 194; RFC 9110, 9111, 9213).

use crate::cache_stage::{Cached, FRESH, not_modified, ok, outlive_a_second, page};
use scenario::origin::answer;
use scenario::{Request, Response};

const ETAG: &str = "ETag: \"one\"\r\n";

/// A page of ten bytes with a validator, fresh for long.
fn ten(_: usize, request: &Request) -> Vec<scenario::Action> {
    ok(request, &format!("{FRESH}{ETAG}"), "0123456789")
}

#[track_caller]
fn is(response: &Response, status: u16, body: &str) {
    assert_eq!((response.status, response.text().as_str()), (status, body), "{:?}", response.head);
}

// 178: only what may change something invalidates.

#[test]
fn safe_methods_do_not_invalidate() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    for method in ["HEAD", "OPTIONS", "HEAD", "OPTIONS"] {
        assert_eq!(cached.ask(method, "/a", "").status, 200, "{method}");
    }
    let before = cached.fetches();
    is(&cached.get("/a"), 200, "0123456789");
    assert_eq!(cached.fetches(), before, "a safe method invalidated it");
}

#[test]
fn a_refused_unsafe_request_does_not_invalidate() {
    let cached = Cached::rfc(|number, request| match request.method.as_str() {
        "DELETE" => answer(page("403 Forbidden", "", "no")),
        _ => ten(number, request),
    });
    cached.get("/a");
    assert_eq!(cached.ask("DELETE", "/a", "").status, 403);
    is(&cached.get("/a"), 200, "0123456789");
    assert_eq!(cached.fetches(), 2);
}

// 179: only-if-cached.

#[test]
fn only_if_cached_is_answered_from_store_or_504() {
    let cached = Cached::rfc(ten);
    let only = "Cache-Control: only-if-cached\r\n";
    assert_eq!(cached.ask("GET", "/a", only).status, 504);
    assert_eq!(cached.fetches(), 0, "it was fetched");
    cached.get("/a");
    is(&cached.ask("GET", "/a", only), 200, "0123456789");
    assert_eq!(cached.fetches(), 1);
}

// 180: preconditions that are the origin's, and the star.

#[test]
fn preconditions_of_the_origin_are_never_decided_by_the_cache() {
    for fields in
        ["If-Match: \"other\"\r\n", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"]
    {
        let cached = Cached::rfc(|number, request| {
            let asks = request.head.has("if-match") || request.head.has("if-unmodified-since");
            if asks { answer(page("412 No", "", "origin")) } else { ten(number, request) }
        });
        cached.get("/a");
        let response = cached.ask("GET", "/a", fields);
        // Forwarded whole, or answered as if the field were not there.
        match response.status {
            412 => is(&response, 412, "origin"),
            _ => is(&response, 200, "0123456789"),
        }
        is(&cached.get("/a"), 200, "0123456789");
    }
}

#[test]
fn any_etag_is_matched_by_what_is_stored() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    is(&cached.ask("GET", "/a", "If-None-Match: *\r\n"), 304, "");
    assert_eq!(cached.fetches(), 1);
}

#[test]
fn a_condition_goes_on_when_nothing_is_stored() {
    let cached = Cached::rfc(|number, request| match request.head.one("if-none-match") {
        Some("\"one\"") => not_modified(ETAG),
        _ => ten(number, request),
    });
    is(&cached.ask("GET", "/a", "If-None-Match: \"one\"\r\n"), 304, "");
    // The 304 was for that client: the next one gets a whole page.
    is(&cached.get("/a"), 200, "0123456789");
}

// 181: If-Range.

#[test]
fn a_range_of_the_same_page_is_cut_from_the_store() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    let response = cached.ask("GET", "/a", "Range: bytes=2-4\r\nIf-Range: \"one\"\r\n");
    is(&response, 206, "234");
    assert_eq!(response.field("content-range"), Some("bytes 2-4/10"));
    assert_eq!(cached.fetches(), 1);
}

#[test]
fn a_range_of_another_page_is_the_whole_page() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    for condition in ["\"two\"", "W/\"one\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let fields = format!("Range: bytes=2-4\r\nIf-Range: {condition}\r\n");
        is(&cached.ask("GET", "/a", &fields), 200, "0123456789");
    }
}

#[test]
fn if_range_takes_a_date_that_is_the_same() {
    let modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let cached =
        Cached::rfc(move |_, request| ok(request, &format!("{FRESH}{modified}"), "0123456789"));
    cached.get("/a");
    let asks = |date| format!("Range: bytes=2-4\r\nIf-Range: {date}\r\n");
    is(&cached.ask("GET", "/a", &asks("Sun, 06 Nov 1994 08:49:37 GMT")), 206, "234");
    is(&cached.ask("GET", "/a", &asks("Sun, 06 Nov 1994 08:49:38 GMT")), 200, "0123456789");
}

// 182: fields for one client only.

#[test]
fn named_fields_stay_with_the_first_client() {
    for directive in ["private", "no-cache"] {
        let fields = format!("Cache-Control: max-age=1000, {directive}=\"X-Secret, X-Other\"\r\n");
        let cached = Cached::rfc(move |number, request| {
            let secret = format!("X-Secret: {number}\r\nX-Other: {number}\r\nX-Open: {number}\r\n");
            ok(request, &format!("{fields}{secret}"), "hello")
        });
        let first = cached.get("/a");
        assert_eq!((first.field("x-secret"), first.field("x-open")), (Some("1"), Some("1")));
        let second = cached.get("/a");
        assert_eq!(cached.fetches(), 1, "{directive}: it was not stored");
        assert_eq!(second.field("x-open"), Some("1"));
        assert!(!second.head.has("x-secret") && !second.head.has("x-other"), "{:?}", second.head);
    }
}

// 183: max-stale.

#[test]
fn max_stale_never_beats_must_revalidate() {
    for (directives, asks) in [
        ("max-age=1, must-revalidate", "max-stale"),
        ("max-age=1, proxy-revalidate", "max-stale=1000"),
        ("no-cache", "max-stale"),
    ] {
        let fields = format!("Cache-Control: {directives}\r\n{ETAG}");
        let cached = Cached::route("{ reload = true }", move |number, request| {
            ok(request, &fields, &number.to_string())
        });
        cached.get("/a");
        outlive_a_second();
        is(&cached.ask("GET", "/a", &format!("Cache-Control: {asks}\r\n")), 200, "2");
    }
}

#[test]
fn an_exceeded_max_stale_is_no_permission() {
    // Stale since a hundred seconds.
    let cached = Cached::route("{ reload = true }", |number, request| {
        ok(request, &format!("Cache-Control: max-age=1\r\nAge: 100\r\n{ETAG}"), &number.to_string())
    });
    cached.get("/a");
    is(&cached.ask("GET", "/a", "Cache-Control: max-stale=50\r\n"), 200, "2");
}

#[test]
fn a_bare_max_stale_is_answered_well_either_way() {
    let cached = Cached::route("{ reload = true }", |number, request| {
        ok(request, &format!("Cache-Control: max-age=1\r\n{ETAG}"), &number.to_string())
    });
    cached.get("/a");
    outlive_a_second();
    let response = cached.ask("GET", "/a", "Cache-Control: max-stale\r\n");
    // Stale, and refreshed behind the client's back, or fetched.
    assert!(matches!(response.text().as_str(), "1" | "2"), "{}", response.text());
}

// 184, 185: what a validation brings.

#[test]
fn a_full_answer_to_a_validation_replaces() {
    let cached = Cached::rfc(|number, request| match number {
        1 => ok(request, "Cache-Control: max-age=1\r\nETag: \"one\"\r\nX-Old: 1\r\n", "old"),
        _ => ok(request, &format!("{FRESH}ETag: \"two\"\r\n"), "new"),
    });
    cached.get("/a");
    outlive_a_second();
    for _ in 0..3 {
        let response = cached.get("/a");
        is(&response, 200, "new");
        assert!(!response.head.has("x-old"), "{:?}", response.head);
    }
    assert_eq!(cached.fetches(), 2);
    assert_eq!(cached.origin.request(2).head.one("if-none-match"), Some("\"one\""));
    is(&cached.ask("GET", "/a", "If-None-Match: \"one\"\r\n"), 200, "new");
}

#[test]
fn a_304_extends_freshness_and_renews_fields() {
    let cached = Cached::rfc(|number, request| match number {
        1 => ok(request, "Cache-Control: max-age=1\r\nETag: \"one\"\r\nX-Of: 1\r\n", "hello"),
        _ => not_modified(&format!("{FRESH}{ETAG}X-Of: 2\r\n")),
    });
    cached.get("/a");
    outlive_a_second();
    for _ in 0..3 {
        let response = cached.get("/a");
        is(&response, 200, "hello");
        assert_eq!(response.field("x-of"), Some("2"));
    }
    assert_eq!(cached.fetches(), 2);
}

#[test]
fn a_clients_own_condition_is_answered_after_ours() {
    // We validate with ours, and answer theirs from what comes of it.
    let cached = Cached::rfc(|number, request| match number {
        1 => ok(request, &format!("Cache-Control: max-age=1\r\n{ETAG}"), "hello"),
        _ => not_modified(&format!("{FRESH}{ETAG}")),
    });
    cached.get("/a");
    outlive_a_second();
    is(&cached.ask("GET", "/a", "If-None-Match: \"older\"\r\n"), 200, "hello");
    is(&cached.ask("GET", "/a", "If-None-Match: \"older\", \"one\"\r\n"), 304, "");
}

// 186: a HEAD that shows another page.

#[test]
fn a_head_with_another_validator_invalidates() {
    let cached = Cached::route("{ reload = true }", |_, request| match request.method.as_str() {
        "HEAD" => ok(request, &format!("{FRESH}ETag: \"two\"\r\n"), "new page"),
        _ if request.head.one("x-late") == Some("1") => {
            ok(request, &format!("{FRESH}ETag: \"two\"\r\n"), "new page")
        }
        _ => ok(request, &format!("{FRESH}{ETAG}"), "old page"),
    });
    cached.get("/a");
    assert_eq!(cached.ask("HEAD", "/a", "Cache-Control: no-cache\r\n").status, 200);
    is(&cached.ask("GET", "/a", "X-Late: 1\r\n"), 200, "new page");
}

// 189: parts.

/// Answers ranges of ten bytes; the validator is the version's.
fn parts(version: &str, request: &Request) -> Vec<scenario::Action> {
    let page_of = |digits: &str| if version == "one" { digits.to_owned() } else { "x".repeat(10) };
    let whole = page_of("0123456789");
    let fields = format!("{FRESH}ETag: \"{version}\"\r\n");
    let range = request.head.one("range").and_then(|range| range.strip_prefix("bytes="));
    let bounds = range.and_then(|range| {
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().unwrap_or(9).min(9)))
    });
    match bounds {
        None => ok(request, &fields, &whole),
        Some((first, last)) => {
            let fields = format!("{fields}Content-Range: bytes {first}-{last}/10\r\n");
            answer(page("206 Partial Content", &fields, &whole[first..=last]))
        }
    }
}

#[test]
fn two_parts_of_one_page_make_it_whole() {
    let cached = Cached::rfc(|_, request| parts("one", request));
    is(&cached.ask("GET", "/a", "Range: bytes=0-4\r\n"), 206, "01234");
    is(&cached.ask("GET", "/a", "Range: bytes=5-9\r\n"), 206, "56789");
    is(&cached.get("/a"), 200, "0123456789");
    is(&cached.ask("GET", "/a", "Range: bytes=3-6\r\n"), 206, "3456");
    is(&cached.get("/a"), 200, "0123456789");
}

#[test]
fn parts_of_two_pages_never_mix() {
    let cached =
        Cached::rfc(|number, request| parts(if number == 1 { "one" } else { "two" }, request));
    is(&cached.ask("GET", "/a", "Range: bytes=0-4\r\n"), 206, "01234");
    let second = cached.ask("GET", "/a", "Range: bytes=5-9\r\n");
    assert!(matches!(second.status, 200 | 206), "{}", second.status);
    let whole = cached.get("/a").text();
    assert!(whole == "0123456789" || whole == "x".repeat(10), "{whole:?}");
}

#[test]
fn a_part_is_never_the_whole() {
    let cached = Cached::rfc(|_, request| parts("one", request));
    is(&cached.ask("GET", "/a", "Range: bytes=0-4\r\n"), 206, "01234");
    is(&cached.get("/a"), 200, "0123456789");
    is(&cached.ask("GET", "/a", "Range: bytes=5-9\r\n"), 206, "56789");
}

// 190, 191: statuses.

#[test]
fn statuses_are_kept_by_explicit_freshness() {
    for status in ["203 A", "300 B", "301 C", "308 D", "405 E", "410 F", "414 G", "451 H", "501 I"]
    {
        let cached = Cached::rfc(move |number, _| {
            answer(page(status, &format!("{FRESH}Location: /b\r\n"), &number.to_string()))
        });
        cached.get("/a");
        assert_eq!(cached.get("/a").text(), "1", "{status}");
    }
}

#[test]
fn statuses_are_kept_by_heuristic_freshness() {
    const OLD: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (status, kept) in [
        ("200 A", true),
        ("203 B", true),
        ("300 C", true),
        ("301 D", true),
        ("308 E", true),
        ("404 F", true),
        ("410 G", true),
        ("302 H", false),
        ("400 I", false),
        ("403 J", false),
        ("500 K", false),
        ("503 L", false),
    ] {
        let cached = Cached::rfc(move |number, _| {
            answer(page(status, &format!("{OLD}Location: /b\r\n"), &number.to_string()))
        });
        cached.get("/a");
        assert_eq!(cached.get("/a").text(), if kept { "1" } else { "2" }, "{status}");
    }
}

// 192: a range that cannot be.

#[test]
fn a_range_past_the_end_is_416_from_the_store() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    let response = cached.ask("GET", "/a", "Range: bytes=10-12\r\n");
    assert_eq!(response.status, 416);
    assert_eq!(response.field("content-range"), Some("bytes */10"));
    assert_eq!(cached.fetches(), 1);
    is(&cached.get("/a"), 200, "0123456789");
}

#[test]
fn a_416_of_the_origin_is_not_the_page() {
    let cached = Cached::rfc(|number, request| match request.head.one("range") {
        Some(_) => answer(page("416 No", &format!("{FRESH}Content-Range: bytes */10\r\n"), "no")),
        None => ten(number, request),
    });
    assert_eq!(cached.ask("GET", "/a", "Range: bytes=10-12\r\n").status, 416);
    is(&cached.get("/a"), 200, "0123456789");
}

#[test]
fn a_range_in_another_unit_is_ignored_and_one_without_sense_may_be() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    is(&cached.ask("GET", "/a", "Range: lines=1-2\r\n"), 200, "0123456789");
    for range in ["bytes=5-2", "bytes=a-b", "bytes=", "bytes", "bytes=--1"] {
        // Ignored or rejected, both are right (RFC 9110 §14.2).
        let response = cached.ask("GET", "/a", &format!("Range: {range}\r\n"));
        match response.status {
            416 => {}
            _ => is(&response, 200, "0123456789"),
        }
    }
}

#[test]
fn ranges_are_of_get_only() {
    let cached = Cached::rfc(ten);
    cached.get("/a");
    let response = cached.ask("HEAD", "/a", "Range: bytes=2-4\r\n");
    assert_eq!((response.status, response.field("content-length")), (200, Some("10")));
}

// 193: several ranges.

#[test]
fn several_ranges_are_parts_of_one_answer() {
    let cached = Cached::rfc(|_, request| {
        ok(request, &format!("{FRESH}{ETAG}Content-Type: text/x-ten\r\n"), "0123456789")
    });
    cached.get("/a");
    let response = cached.ask("GET", "/a", "Range: bytes=0-1,4-5, -1\r\n");
    assert_eq!((response.status, cached.fetches()), (206, 1));
    assert!(!response.head.has("content-range"), "{:?}", response.head);
    let kind = response.field("content-type").unwrap_or_default().to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let text = response.text();
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let pieces: Vec<_> = text.split(&delimiter).collect();
    assert_eq!(pieces.len(), 5, "{text}");
    assert_eq!(pieces[4].trim_end(), "--");
    for (piece, (range, bytes)) in
        pieces[1..4].iter().zip([("0-1", "01"), ("4-5", "45"), ("9-9", "9")])
    {
        let (fields, body) = piece.split_once("\r\n\r\n").expect("fields and a body");
        let fields = fields.to_ascii_lowercase();
        assert!(fields.contains(&format!("content-range: bytes {range}/10")), "{fields}");
        assert!(fields.contains("content-type: text/x-ten"), "{fields}");
        assert_eq!(body.strip_suffix("\r\n"), Some(bytes), "{text}");
    }
}

#[test]
fn many_ranges_do_not_multiply_the_page() {
    let body = "x".repeat(10_000);
    let cached = Cached::rfc(move |_, request| ok(request, &format!("{FRESH}{ETAG}"), &body));
    cached.get("/a");
    let ranges = vec!["0-"; 500].join(",");
    let response = cached.ask("GET", "/a", &format!("Range: bytes={ranges}\r\n"));
    assert!(matches!(response.status, 200 | 206 | 416), "{}", response.status);
    assert!(response.body.len() <= 40_000, "{} bytes", response.body.len());
}

// 194: who is targeted.

#[test]
fn fields_for_other_caches_are_passed_on_and_not_obeyed() {
    let cached = Cached::with(
        |text| text.rest("[cache]\nprofile = \"rfc\"\ntargeted = [\"Fleetfoot-Cache-Control\"]\n"),
        |number, request| {
            let fields = "CDN-Cache-Control: max-age=1000\r\nCache-Control: no-store\r\n";
            ok(request, fields, &number.to_string())
        },
    );
    for number in ["1", "2"] {
        let response = cached.get("/a");
        is(&response, 200, number);
        assert_eq!(response.field("cdn-cache-control"), Some("max-age=1000"));
        assert_eq!(response.field("cache-control"), Some("no-store"));
    }
}

#[test]
fn an_empty_list_of_targets_is_nobody() {
    let cached = Cached::with(
        |text| text.rest("[cache]\nprofile = \"rfc\"\ntargeted = []\n"),
        |number, request| {
            let fields = "Fleetfoot-Cache-Control: max-age=1000\r\nCache-Control: no-store\r\n";
            ok(request, fields, &number.to_string())
        },
    );
    for number in ["1", "2"] {
        is(&cached.get("/a"), 200, number);
    }
}

#[test]
fn the_first_target_of_the_list_wins() {
    for (fields, second) in [
        ("Fleetfoot-Cache-Control: no-store\r\nCDN-Cache-Control: max-age=1000\r\n", "2"),
        ("CDN-Cache-Control: no-store\r\nFleetfoot-Cache-Control: max-age=1000\r\n", "1"),
        ("Fleetfoot-Cache-Control: max-age=?\r\nCDN-Cache-Control: max-age=1000\r\n", "1"),
        ("CDN-Cache-Control: max-age=1000\r\nCache-Control: no-store, private\r\n", "1"),
    ] {
        let cached = Cached::rfc(move |number, request| ok(request, fields, &number.to_string()));
        is(&cached.get("/a"), 200, "1");
        assert_eq!(cached.get("/a").text(), second, "{fields}");
    }
}

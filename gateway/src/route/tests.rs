//! The router against examples, and against a linear scan that applies the written rule.

use super::*;
use proptest::prelude::*;
use settings::pattern;

fn routes(patterns: &[&str]) -> Vec<Route> {
    patterns
        .iter()
        .map(|text| {
            let found = pattern::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            Route::plain((*text).to_owned(), found, 0, cache::settings::Rules::standard())
        })
        .collect()
}

/// Looks up `METHOD host/path` and says what was found, in the words of the patterns.
fn check(patterns: &[&str], request: &str, expected: &str) {
    let (method, host, path) = request_of(request);
    let router = Router::new(&routes(patterns));
    let found = match router.find(method, host, path) {
        Found::Route(index) => patterns[index].to_owned(),
        Found::NoRoute => "none".to_owned(),
        Found::MethodNotAllowed(allow) => format!("allow {allow}"),
    };
    assert_eq!(found, expected, "{request} among {patterns:?}");
}

fn request_of(text: &str) -> (&[u8], &[u8], &[u8]) {
    let (method, target) = text.split_once(' ').expect("a method");
    let (host, path) = target.split_at(target.find('/').unwrap_or(target.len()));
    (method.as_bytes(), host.as_bytes(), path.as_bytes())
}

#[test]
fn a_route_for_everything_takes_everything() {
    for request in ["GET a/", "BREW a/b/c//d", "OPTIONS a", "GET /", "GET "] {
        check(&["*"], request, "*");
        check(&["/x/y", "*"], request, "*");
    }
    let router = Router::new(&routes(&["*"]));
    assert_eq!(router.find(b"OPTIONS", b"a", b"*"), Found::Route(0));
    let router = Router::new(&routes(&["/a", "*"]));
    assert_eq!(router.find(b"OPTIONS", b"a", b"*"), Found::Route(1));
    let router = Router::new(&routes(&["/a", "/{x}"]));
    assert_eq!(router.find(b"OPTIONS", b"a", b"*"), Found::NoRoute);
    assert_eq!(Router::new(&[]).find(b"GET", b"a", b"/"), Found::NoRoute);
}

#[test]
fn the_slash_at_the_end_counts() {
    let patterns = ["/a", "/a/", "/b/*", "/c/{x}", "/"];
    for (request, expected) in [
        ("GET h/a", "/a"),
        ("GET h/a/", "/a/"),
        ("GET h/b", "none"),
        ("GET h/b/", "/b/*"),
        ("GET h/b/c/d", "/b/*"),
        ("GET h/b//", "/b/*"),
        ("GET h/c/", "none"),
        ("GET h/c/1", "/c/{x}"),
        ("GET h/c/1/", "none"),
        ("GET h/", "/"),
        ("GET h//", "none"),
    ] {
        check(&patterns, request, expected);
    }
}

#[test]
fn a_literal_beats_a_parameter_beats_the_rest() {
    let patterns = ["/a/b/c", "/a/{x}/d", "/{x}/b/e", "/a/*", "/{x...}"];
    for (request, expected) in [
        ("GET h/a/b/c", "/a/b/c"),
        ("GET h/a/b/d", "/a/{x}/d"),
        ("GET h/a/b/e", "/a/*"),
        ("GET h/z/b/e", "/{x}/b/e"),
        ("GET h/a/%62/c", "/a/*"),
        ("GET h/z", "/{x...}"),
    ] {
        check(&patterns, request, expected);
    }
}

#[test]
fn hosts_come_before_paths() {
    let patterns =
        ["a.example/*", "*.example/{x}", "*.b.example/*", "/x/y", "[::1]/*", "10.0.0.1/*"];
    for (request, expected) in [
        ("GET a.example/x", "a.example/*"),
        ("GET c.example/x", "*.example/{x}"),
        ("GET c.b.example/x", "*.b.example/*"),
        ("GET d.c.b.example/x/y", "*.b.example/*"),
        ("GET b.example/x", "*.example/{x}"),
        ("GET c.example/x/y", "/x/y"),
        ("GET example/x", "none"),
        ("GET .example/x", "none"),
        ("GET xexample/x", "none"),
        ("GET [::1]/q", "[::1]/*"),
        ("GET 10.0.0.1/q", "10.0.0.1/*"),
        ("GET /x/y", "/x/y"),
    ] {
        check(&patterns, request, expected);
    }
}

#[test]
fn a_method_that_does_not_fit_falls_through() {
    let patterns = ["GET /a/b", "POST /a/{x}", "/{x}/c", "DELETE|PUT h.example/a/b", "PUT /z"];
    for (request, expected) in [
        ("GET h/a/b", "GET /a/b"),
        ("POST h/a/b", "POST /a/{x}"),
        ("PUT h/a/b", "allow GET, HEAD, POST"),
        ("PUT h.example/a/b", "DELETE|PUT h.example/a/b"),
        ("POST h.example/a/b", "POST /a/{x}"),
        ("get h.example/a/b", "allow DELETE, GET, HEAD, POST, PUT"),
        ("BREW h/a/c", "/{x}/c"),
        ("BREW h/z", "allow PUT"),
        ("BREW h/y", "none"),
    ] {
        check(&patterns, request, expected);
    }
    check(&["GET /a", "/a"], "GET h/a", "GET /a");
    check(&["/a", "GET /a"], "HEAD h/a", "GET /a");
    check(&["GET /a", "HEAD /a"], "HEAD h/a", "HEAD /a");
}

#[test]
fn parameters_are_the_raw_bytes_of_the_path() {
    let patterns = ["/a/{id}/{rest...}", "/b/{x}/*", "/c", "/{all...}"];
    let router = Router::new(&routes(&patterns));
    let of = |index: usize, path: &str| -> Vec<String> {
        router
            .parameters(index, path.as_bytes())
            .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
            .collect()
    };
    assert_eq!(of(0, "/a/%201/x/y"), ["id=%201", "rest=x/y"]);
    assert_eq!(of(0, "/a/1/"), ["id=1", "rest="]);
    assert_eq!(of(1, "/b/1/2/3"), ["x=1"]);
    assert!(of(2, "/c").is_empty());
    assert_eq!(of(3, "/"), ["all="]);
    assert_eq!(of(3, "*"), ["all=*"]);
}

#[test]
fn an_explanation_names_every_route_once() {
    let patterns = ["/a/{x}", "POST /a/b", "*", "h.example/a/b", "/a/b/c"];
    let router = Router::new(&routes(&patterns));
    let told: Vec<_> = router
        .explain(b"GET", b"h", b"/a/b")
        .into_iter()
        .map(|candidate| format!("{}: {:?}", patterns[candidate.route], candidate.verdict))
        .collect();
    assert_eq!(
        told,
        [
            "h.example/a/b: Host",
            "POST /a/b: Method",
            "/a/b/c: Path",
            "/a/{x}: Wins",
            "*: LessSpecific",
        ]
    );
}

#[test]
fn past_the_bound_allow_lists_every_method() {
    let patterns: Vec<String> =
        (10..50).map(|n| format!("M{n} {}/*", "/a".repeat(n - 10))).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let router = Router::new(&routes(&patterns));
    let path = "/a".repeat(41);
    let Found::MethodNotAllowed(allow) = router.find(b"GET", b"h", path.as_bytes()) else {
        panic!("no route takes GET");
    };
    assert_eq!(allow.split(", ").count(), 40);
    assert!(router.allow.len() <= ALLOW_MAX);
}

/// The written rule, applied to one route after the other.
fn scan(routes: &[Route], method: &[u8], host: &[u8], path: &[u8]) -> (Option<usize>, Vec<String>) {
    let takes = |pattern: &Pattern| takes(pattern, host, path);
    let here: Vec<usize> = (0..routes.len()).filter(|&i| takes(&routes[i].pattern)).collect();
    let accepts = |pattern: &Pattern| {
        let names = |wanted: &[u8]| pattern.methods.iter().any(|m| m.as_bytes() == wanted);
        pattern.methods.is_empty() || names(method) || (method == b"HEAD" && names(b"GET"))
    };
    // Between equals that both take HEAD, the one that names it.
    let names_it =
        |index: usize| routes[index].pattern.methods.iter().any(|m| m.as_bytes() == method);
    let mut best: Option<usize> = None;
    for &index in here.iter().filter(|&&index| accepts(&routes[index].pattern)) {
        let goes_before = |best: usize| {
            let (own, other) = (&routes[index].pattern, &routes[best].pattern);
            beats(own, other) || (!beats(other, own) && names_it(index) && !names_it(best))
        };
        if best.is_none_or(goes_before) {
            best = Some(index);
        }
    }
    let mut allow: Vec<String> =
        here.iter().flat_map(|&index| routes[index].pattern.methods.clone()).collect();
    if allow.iter().any(|method| method == "GET") {
        allow.push("HEAD".to_owned());
    }
    allow.sort();
    allow.dedup();
    (best, allow)
}

fn takes(pattern: &Pattern, host: &[u8], path: &[u8]) -> bool {
    let host = std::str::from_utf8(host).expect("hosts of this test are text");
    let host_fits = match pattern.host.as_deref() {
        None => true,
        Some(own) => match own.strip_prefix("*.") {
            Some(name) => {
                let labels: Vec<_> = host.split('.').collect();
                let below: Vec<_> = name.split('.').collect();
                labels.len() > below.len() && labels.ends_with(&below)
            }
            None => own == host,
        },
    };
    let path = std::str::from_utf8(path).expect("paths of this test are text");
    let found: Vec<_> = path.split('/').skip(1).collect();
    let Some((last, front)) = pattern.path.split_last() else { return false };
    let one = |(own, found): (&Segment, &&str)| match own {
        Segment::Literal(text) => text == found,
        Segment::Parameter(_) => !found.is_empty(),
        Segment::Rest(_) => false,
    };
    host_fits
        && if matches!(last, Segment::Rest(_)) {
            found.len() > front.len() && front.iter().zip(&found).all(one)
        } else {
            found.len() == pattern.path.len() && pattern.path.iter().zip(&found).all(one)
        }
}

/// Is `a` more specific than `b`, both taking the same request?
fn beats(a: &Pattern, b: &Pattern) -> bool {
    let host = |pattern: &Pattern| match pattern.host.as_deref() {
        None => 0,
        Some(host) if host.starts_with("*.") => host.len(),
        Some(_) => 1000,
    };
    if host(a) != host(b) {
        return host(a) > host(b);
    }
    for (own, other) in a.path.iter().zip(&b.path) {
        match (own, other) {
            (Segment::Literal(_), Segment::Parameter(_) | Segment::Rest(_))
            | (Segment::Parameter(_), Segment::Rest(_)) => return true,
            (Segment::Rest(_), Segment::Literal(_) | Segment::Parameter(_))
            | (Segment::Parameter(_), Segment::Literal(_)) => return false,
            _ => {}
        }
    }
    !a.methods.is_empty() && b.methods.is_empty()
}

fn any_pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => "[ab]", 2 => Just("{}".to_owned())];
    let end = prop_oneof![
        3 => Just(String::new()),
        1 => Just("/".to_owned()),
        1 => Just("/*".to_owned()),
        1 => Just("/{rest...}".to_owned()),
    ];
    let methods = prop_oneof!["", "GET ", "POST ", "GET\\|POST ", "PUT ", "HEAD "];
    let host = prop_oneof!["", "", "a\\.x", "\\*\\.x", "\\*\\.a\\.x", "\\*\\.b\\.x"];
    (methods, host, prop::collection::vec(segment, 0..4), end).prop_map(
        |(methods, host, segments, end)| {
            let mut path = String::new();
            for (index, segment) in segments.iter().enumerate() {
                path.push('/');
                path.push_str(&segment.replace("{}", &format!("{{p{index}}}")));
            }
            let end = if path.is_empty() && end.is_empty() { "/" } else { &end };
            format!("{methods}{host}{path}{end}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_router_finds_what_a_scan_finds(
        texts in prop::collection::vec(any_pattern(), 1..14),
        requests in prop::collection::vec(
            ("(GET|HEAD|POST|PUT|BREW)", "(a\\.x|b\\.x|c\\.b\\.x|a\\.a\\.x|y|x)", "(/[abc]?){1,5}"),
            1..16,
        ),
    ) {
        let mut kept: Vec<Route> = Vec::new();
        for route in texts.iter().flat_map(|text| routes(&[text.as_str()])) {
            if !kept.iter().any(|other| other.pattern.clashes(&route.pattern)) {
                kept.push(route);
            }
        }
        let router = Router::new(&kept);
        for (method, host, path) in &requests {
            let (method, host, path) = (method.as_bytes(), host.as_bytes(), path.as_bytes());
            let (best, allow) = scan(&kept, method, host, path);
            let allow = allow.join(", ");
            let expected = match best {
                Some(index) => Found::Route(index),
                None if allow.is_empty() => Found::NoRoute,
                None => Found::MethodNotAllowed(&allow),
            };
            prop_assert_eq!(router.find(method, host, path), expected);
            let told = router.explain(method, host, path);
            let wins = told.iter().find(|c| c.verdict == Verdict::Wins).map(|c| c.route);
            prop_assert_eq!(wins, best);
        }
    }
}

//! A second opinion: random exchanges, judged by `http-cache-semantics` as well.
//!
//! Wherever the two differ a named rule says why, and each rule must be true of the exchange; a
//! difference that no rule explains fails. Their reading is of RFC 7234, with truncated seconds and
//! commas split blindly; ours is of RFC 9111 and after.

use super::super::{Verdict, judge, store};
use super::{NOW, after, dates, fields, get, rules, targeted};
use base::{Fields, ResponseHead};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

const DIRECTIVES: &[&str] = &[
    "max-age=0",
    "max-age=5",
    "max-age=60",
    "max-age=3600",
    "s-maxage=0",
    "s-maxage=30",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "immutable",
    "must-understand",
    "stale-while-revalidate=20",
    "stale-if-error=20",
    "max-age=x",
    "max-age=\"60\"",
    "Max-Age=60",
    "NO-STORE",
    "no-cache=\"set-cookie\"",
    "private=\"x-own\"",
    "ext=\"a, no-store\"",
    "max-age=99999999999",
    "foo",
];
const FIELDS: &[&str] = &[
    "Expires: {60}",
    "Expires: {-60}",
    "Expires: 0",
    "Expires: {5}",
    "Date: {0}",
    "Date: {-30}",
    "Date: {30}",
    "Date: x",
    "Age: 3",
    "Age: 100",
    "Age: x",
    "Age: 3, 100",
    "Last-Modified: {-600}",
    "Last-Modified: {-86400}",
    "ETag: \"a\"",
    "Set-Cookie: a=b",
    "Vary: *",
    "Vary: X",
    "Pragma: no-cache",
    "CDN-Cache-Control: max-age=60",
    "CDN-Cache-Control: no-store",
    "CDN-Cache-Control: x=",
];
const STATUSES: &[u16] =
    &[200, 200, 200, 203, 204, 206, 301, 302, 307, 404, 410, 414, 501, 500, 503, 429, 299];
const REQUESTS: &[&str] = &["", "", "", "Authorization: a", "Cache-Control: no-store", "X: 1"];

struct Exchange {
    request: &'static str,
    status: u16,
    answer: String,
    /// Seconds between the answer and the second request.
    later: u64,
}

impl Exchange {
    fn random(dice: &mut fastrand::Rng) -> Self {
        let mut pick = |list: &'static [&'static str], most: usize| {
            (0..dice.usize(..=most)).map(|_| list[dice.usize(..list.len())]).collect::<Vec<_>>()
        };
        let (directives, lines) = (pick(DIRECTIVES, 4), pick(FIELDS, 4));
        let control = match &directives[..] {
            [] => String::new(),
            list => format!("Cache-Control: {}\n", list.join(", ")),
        };
        Self {
            request: REQUESTS[dice.usize(..REQUESTS.len())],
            status: STATUSES[dice.usize(..STATUSES.len())],
            answer: control + &lines.join("\n"),
            later: [0, 1, 4, 20, 59, 61, 4_000][dice.usize(..7)],
        }
    }

    fn says(&self, text: &str) -> bool {
        self.answer.to_ascii_lowercase().contains(text)
    }

    fn count(&self, text: &str) -> usize {
        self.answer.to_ascii_lowercase().matches(text).count()
    }

    /// May it be used without asking, for us?
    fn ours(&self) -> bool {
        let request = fields(self.request);
        let head = head(self.status, &self.answer);
        let Ok(life) = store(&get(&request), &head, NOW, NOW, &rules(), &targeted()) else {
            return false;
        };
        let Ok(selecting) = super::super::Selecting::of(&get(&request), &head, &rules()) else {
            return false;
        };
        assert!(selecting.matches(&get(&request), &rules()));
        let verdict = judge(&life, &get(&request), &rules(), after(self.later), 1.0);
        matches!(verdict, Verdict::Fresh | Verdict::FreshEarly)
    }

    /// And for them?
    fn theirs(&self) -> bool {
        let request = map(http::Request::get("http://h/"), &fields(self.request))
            .body(())
            .expect("a request");
        let mut response =
            http::Response::builder().status(self.status).body(()).expect("a response");
        for field in fields(&self.answer).iter() {
            let (name, value) = parts(field);
            response.headers_mut().append(name, value);
        }
        // Ours are read at half a second past; theirs only know whole seconds.
        let now = UNIX_EPOCH + Duration::from_millis(NOW.0 - 500);
        let policy = CachePolicy::new_options(&request, &response, now, CacheOptions::default());
        let later = now + Duration::from_secs(self.later);
        policy.is_storable()
            && matches!(policy.before_request(&request, later), BeforeRequest::Fresh(_))
    }

    /// The rule that explains why we use it and they do not, or the other way round.
    fn explain(&self, ours: bool) -> Option<&'static str> {
        let rules: &[(&str, bool)] = if ours { &self.only_ours() } else { &self.only_theirs() };
        rules.iter().find(|(_, holds)| *holds).map(|(name, _)| *name)
    }

    fn lines(&self, name: &str) -> usize {
        self.answer.to_ascii_lowercase().lines().filter(|line| line.starts_with(name)).count()
    }

    /// Is a directive there twice with values that differ, to those who split at every comma?
    fn has_duplicates(&self) -> bool {
        let says = |list: &[&str]| list.iter().filter(|text| self.says(text)).count() > 1;
        let max_age = [
            "max-age=0",
            "max-age=5",
            "max-age=60",
            "max-age=3600",
            "max-age=x",
            "max-age=\"60\"",
            "max-age=9",
        ];
        let exact = self.answer.to_ascii_lowercase();
        let plain = |word: &str| exact.split([',', '\n', ':']).any(|part| part.trim() == word);
        says(&max_age)
            || says(&["s-maxage=0", "s-maxage=30"])
            || ["ext=\"", "no-cache=\"", "private=\"", "max-age=\""]
                .iter()
                .any(|word| self.count(word) > 1)
            || (plain("no-cache") && self.says("no-cache=\""))
            || (plain("private") && self.says("private=\""))
    }

    /// Why we may use what they do not.
    fn only_ours(&self) -> [(&'static str, bool); 11] {
        let understood = [200, 203, 204, 301, 302, 307, 404, 410, 414, 501];
        [
            ("they do not know targeted control", self.says("cdn-cache-control: max-age")),
            ("they know few statuses", !understood.contains(&self.status)),
            (
                "they do not know must-understand",
                self.says("must-understand") && self.says("no-store"),
            ),
            ("they share no Set-Cookie without public", self.says("set-cookie: a")),
            ("they never use what says proxy-revalidate", self.says("proxy-revalidate")),
            ("they do not know qualified no-cache", self.says("no-cache=\"")),
            ("they do not know qualified private", self.says("private=\"")),
            ("they know names of directives in lower case only", self.answer.contains("Max-Age")),
            ("they distrust duplicates that differ", self.has_duplicates()),
            ("they obey Pragma in answers", self.says("pragma: no-cache")),
            ("they take the first of several Dates", self.lines("date:") > 1),
        ]
    }

    /// Why they use what we may not.
    fn only_theirs(&self) -> [(&'static str, bool); 8] {
        let is_authorised = self.request.starts_with("Authorization");
        [
            (
                "they do not know targeted control",
                self.says("cdn-cache-control: max-age") || self.says("cdn-cache-control: no-store"),
            ),
            (
                "they know names of directives in lower case only",
                self.answer.contains("NO-STORE") || self.answer.contains("Max-Age"),
            ),
            ("they ignore the age that Date tells", self.says("date: {-30}")),
            ("they take no list for an Age", self.says("age: 3, 100")),
            ("they let immutable live for a day", self.says("immutable")),
            ("they do not cap guesses", self.says("last-modified")),
            (
                "they take the first of several Expires or Dates",
                self.lines("expires:") > 1 || self.lines("date:") > 1,
            ),
            (
                "they hold duplicates for must-revalidate, which permits Authorization",
                is_authorised && self.has_duplicates(),
            ),
        ]
    }
}

fn head(status: u16, text: &str) -> ResponseHead {
    super::response(status, text)
}

fn parts(field: base::field::FieldRef<'_>) -> (http::HeaderName, http::HeaderValue) {
    (
        http::HeaderName::from_bytes(field.name).expect("a name"),
        http::HeaderValue::from_bytes(field.value).expect("a value"),
    )
}

fn map(mut builder: http::request::Builder, fields: &Fields) -> http::request::Builder {
    for field in fields.iter() {
        let (name, value) = parts(field);
        builder = builder.header(name, value);
    }
    builder
}

fn compare(cases: u64) {
    let mut dice = fastrand::Rng::with_seed(0x5eed);
    let (mut agreed, mut explained) = (0_u64, BTreeMap::new());
    for _ in 0..cases {
        let exchange = Exchange::random(&mut dice);
        let (ours, theirs) = (exchange.ours(), exchange.theirs());
        if ours == theirs {
            agreed += 1;
            continue;
        }
        let rule = exchange.explain(ours).unwrap_or_else(|| {
            let Exchange { request, status, answer, later } = &exchange;
            panic!(
                "ours {ours}, theirs {theirs}: {request:?} {status} after {later} s\n{}",
                dates(answer)
            )
        });
        *explained.entry((ours, rule)).or_insert(0_u64) += 1;
    }
    for ((ours, rule), count) in &explained {
        println!("{count:>8} {} {rule}", if *ours { "only ours:  " } else { "only theirs:" });
    }
    println!("{agreed:>8} of {cases} agreed");
    assert!(agreed * 2 > cases, "too much is explained away");
}

#[test]
fn a_second_opinion_differs_only_where_it_must() {
    compare(20_000);
}

#[test]
#[ignore = "a million cases: cargo test -p cache --release -- --ignored differential"]
fn a_second_opinion_differs_only_where_it_must_in_a_million() {
    compare(1_000_000);
}

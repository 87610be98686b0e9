//! What the cache's scenarios share: a gateway with a cache before an origin that counts.

use crate::stage::start;
use scenario::origin::{Action, answer, send};
use scenario::{Client, Gateway, Origin, Request, Response, Text};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Fresh for longer than any scenario lasts.
pub(crate) const FRESH: &str = "Cache-Control: max-age=1000\r\n";

/// A cache to the letter of RFC 9111. Refreshing early is off, so that fetches can be counted.
pub(crate) const RFC: &str = "[cache]\nprofile = \"rfc\"\nearly = false\n";

/// The same as it comes.
pub(crate) const SAFE: &str = "[cache]\nearly = false\n";

/// A gateway with a cache and the origin behind it.
pub(crate) struct Cached {
    pub(crate) gateway: Gateway,
    pub(crate) origin: Origin,
}

impl Cached {
    /// Before an origin that follows this script: how many requests the target has had, this one
    /// included, and the request.
    #[track_caller]
    pub(crate) fn rfc(
        script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::with(|text| text.rest(RFC), script)
    }

    /// The same as it comes.
    #[track_caller]
    pub(crate) fn safe(
        script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::with(|text| text.rest(SAFE), script)
    }

    /// The same, with a line `cache = { ... }` of its route.
    #[track_caller]
    pub(crate) fn route(
        rules: &str,
        script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::with(|text| text.route(&format!("cache = {rules}")).rest(RFC), script)
    }

    /// The same with settings of one's own.
    #[track_caller]
    pub(crate) fn with(
        settings: impl FnOnce(Text) -> Text,
        script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::play(counted(script));
        let gateway = start(&settings(Text::to(&[origin.address()])));
        Self { gateway, origin }
    }

    /// The answer to a GET.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask("GET", target, "")
    }

    /// The answer to a request with these field lines, on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &str) -> Response {
        self.asking(method, target, fields).response(method)
    }

    /// A client that has sent this request and not yet read the answer.
    #[track_caller]
    pub(crate) fn asking(&self, method: &str, target: &str, fields: &str) -> Client {
        let mut client = self.gateway.client();
        client.send(head(method, target, fields));
        client
    }

    /// How many requests have reached the origin.
    pub(crate) fn fetches(&self) -> usize {
        self.origin.requests().len()
    }

    /// Purges what this JSON names.
    #[track_caller]
    pub(crate) fn purge(&self, what: &str) -> Response {
        let mut client = Client::connect(self.gateway.admin());
        let (admin, length) = (self.gateway.admin(), what.len());
        client.send(format!(
            "POST /purge HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{what}"
        ));
        let response = client.response("POST");
        assert_eq!(response.status, 200, "purging {what}: {}", response.text());
        response
    }

    /// Asks for `target` until the answer is `text`; how many answers were others.
    #[track_caller]
    pub(crate) fn until(&self, target: &str, text: &str) -> usize {
        let by = scenario::patience();
        let mut others = 0;
        while self.get(target).text() != text {
            assert!(!by.passed(base::Moment::now()), "{target} never became {text:?}");
            others += 1;
        }
        others
    }
}

/// A request without a body.
pub(crate) fn head(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n")
}

/// A script that is told how many requests a target has had. The cache's own look for the origin.
pub(crate) fn counted(
    script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Vec<Action> + Send + Sync + 'static {
    let counts = Mutex::new(HashMap::<String, usize>::new());
    move |request| {
        let number = {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(request.target.clone()).or_default();
            *count += 1;
            *count
        };
        script(number, request)
    }
}

/// An answer with this status line's rest, these field lines and this body.
pub(crate) fn page(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// 200 with these field lines and this body, without it to a HEAD.
pub(crate) fn ok(request: &Request, fields: &str, body: &str) -> Vec<Action> {
    let mut bytes = page("200 OK", fields, body);
    if request.method == "HEAD" {
        bytes.truncate(bytes.len() - body.len());
    }
    answer(bytes)
}

/// 304 with these field lines.
pub(crate) fn not_modified(fields: &str) -> Vec<Action> {
    vec![Action::Body, send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"))]
}

/// Lets `max-age=1` pass. Lifetimes are whole seconds, so that here time itself must pass; to wait
/// longer than asked does no harm.
pub(crate) fn outlive_a_second() {
    std::thread::sleep(Duration::from_millis(1_100));
}

/// What our member of Cache-Status says, without the name.
#[track_caller]
pub(crate) fn cache_status(response: &Response) -> String {
    let lists = response.head.all("cache-status").join(", ");
    let ours = lists.rsplit(',').map(str::trim).find(|member| member.starts_with("fleetfoot"));
    let ours = ours.unwrap_or_else(|| panic!("no member of ours in Cache-Status {lists:?}"));
    ours["fleetfoot".len()..].to_owned()
}

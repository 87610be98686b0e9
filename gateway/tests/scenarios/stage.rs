//! The stage that rows of cases play on: one gateway, one origin, one case at a time.

use scenario::message::{Framing, Head};
use scenario::origin::echo_line;
use scenario::{Client, Gateway, Origin, Request, Response, Text};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

/// The binary under test: the one cargo has built, or the one that `FLEETFOOT` names.
pub(crate) static FLEETFOOT: LazyLock<String> = LazyLock::new(|| {
    std::env::var("FLEETFOOT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_fleetfoot").to_owned())
});

/// Starts a gateway with these settings.
#[track_caller]
pub(crate) fn start(settings: &Text) -> Gateway {
    Gateway::start(&FLEETFOOT, settings)
}

/// Starts a gateway of one thread before this origin. One thread, so that pools are predictable.
#[track_caller]
pub(crate) fn before(origin: &Origin) -> Gateway {
    start(&one_thread(origin))
}

/// The settings of [`before`], to add to.
pub(crate) fn one_thread(origin: &Origin) -> Text {
    Text::to(&[origin.address()]).top("threads = 1")
}

/// The gateway and the origin that rows share. The gateway dies with the process.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) origin: Origin,
}

/// Takes the stage for one case.
pub(crate) fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let begin = || {
        let origin = Origin::start();
        Mutex::new(Stage { gateway: before(&origin), origin })
    };
    // A case that failed says nothing about the next one.
    let stage = STAGE.get_or_init(begin).lock().unwrap_or_else(PoisonError::into_inner);
    stage.origin.forget();
    stage.origin.follow(echo_line);
    stage
}

/// What becomes of a request.
pub(crate) enum Fate {
    /// Answered with one of these, closed; the origin saw nothing of it.
    Refused(&'static [u16]),
    /// The same, but found in the body, when the head may be on its way: the origin saw no whole
    /// request, nor a byte of what followed.
    Cut(&'static [u16]),
    /// Passed on in this form, and the connection lives on.
    Forwarded(Form),
    /// Passed on in this form, then the connection is closed.
    Last(Form),
    /// Both are right: passed on in this form, or cut with one of these.
    Either(&'static [u16], Form),
}

/// A request as the origin should see it: what the gateway adds of its own is left out.
pub(crate) struct Form {
    /// Request line and fields, each ended by CR LF, without framing fields.
    pub(crate) head: String,
    /// The framing.
    pub(crate) framing: Framing,
    /// The body.
    pub(crate) body: &'static str,
    /// The trailer section, each field ended by CR LF.
    pub(crate) trailers: &'static str,
}

/// A form without a body.
pub(crate) fn bare(head: &str) -> Form {
    Form { head: head.to_owned(), framing: Framing::None, body: "", trailers: "" }
}

/// A form with a body of declared length.
pub(crate) fn sized(head: &str, body: &'static str) -> Form {
    Form { framing: Framing::Length(body.len() as u64), body, ..bare(head) }
}

/// A form with a chunked body.
pub(crate) fn chunked(head: &str, body: &'static str) -> Form {
    Form { framing: Framing::Chunked, body, ..bare(head) }
}

/// What follows every case in the same bytes.
const FOLLOWER: &str = "GET /followed HTTP/1.1\r\nHost: shop.test\r\n\r\n";

/// Fields that the gateway writes itself; the modules `forwarding` and `said` look at them.
const ADDED: [&str; 8] = [
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "connection",
    "content-length",
    "transfer-encoding",
    "traceparent",
];

/// Plays one case: these bytes, then a second request, in one write.
#[track_caller]
pub(crate) fn play(request: &[u8], fate: &Fate) {
    let stage = stage();
    let mut client = stage.gateway.client();
    client.send([request, FOLLOWER.as_bytes()].concat());
    let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let response = client.response(method);
    let scene = Scene { stage: &stage, client, response };
    match fate {
        Fate::Refused(statuses) => scene.refused(statuses, false),
        Fate::Forwarded(form) => scene.forwarded(form, true),
        Fate::Last(form) => scene.forwarded(form, false),
        Fate::Either(_, form) if scene.response.status == 200 => {
            let lives_on = !scene.response.closes();
            scene.forwarded(form, lives_on);
        }
        Fate::Cut(statuses) | Fate::Either(statuses, _) => scene.refused(statuses, true),
    }
}

struct Scene<'a> {
    stage: &'a Stage,
    client: Client,
    response: Response,
}

impl Scene<'_> {
    #[track_caller]
    fn refused(mut self, statuses: &[u16], head_may_go: bool) {
        let Response { status, .. } = self.response;
        self.check(statuses.contains(&status), &format!("got {status}, not one of {statuses:?}"));
        self.check(self.response.closes(), "it does not say Connection: close");
        self.client.ends();
        // Whatever was on its way to the origin is there before the answer to this.
        let fence = self.stage.gateway.get("/fence");
        self.check(fence.status == 200, "the gateway is unwell afterwards");
        let seen = self.stage.origin.requests();
        let strangers = || seen.iter().filter(|request| request.target != "/fence");
        self.check(!strangers().any(|r| r.whole), "the origin saw a whole request");
        self.check(head_may_go || strangers().count() == 0, "the origin saw a head");
        self.check_origin();
        let leaked = contains(&self.stage.origin.bytes(), b"/followed");
        self.check(!leaked, "the origin saw bytes of what followed");
    }

    #[track_caller]
    fn forwarded(mut self, form: &Form, lives_on: bool) {
        self.check(self.response.status == 200, "it was not passed on");
        let expected = if lives_on { 2 } else { 1 };
        if lives_on {
            let second = self.client.response("GET");
            self.check(second.status == 200, "the second request was not passed on");
            self.check(
                second.text() == "GET /followed HTTP/1.1",
                "the second request was answered with another's answer",
            );
        } else {
            self.check(self.response.closes(), "it does not say Connection: close");
            self.client.ends();
        }
        self.check_origin();
        let seen = self.stage.origin.requests();
        self.check(seen.len() == expected, "the origin saw a wrong number of requests");
        let request = self.stage.origin.request(1);
        self.same("head", &plain(&request.head), &form.head);
        self.same("body", &request.text(), form.body);
        self.same("trailers", &lines(&request.trailers), form.trailers);
        // No body and a body of length 0 are the same to every server.
        let framing = |framing| if framing == Framing::Length(0) { Framing::None } else { framing };
        let right = framing(request.framing) == framing(form.framing);
        self.check(right, "the origin saw a wrong framing");
        self.check_framing_fields(&request);
    }

    /// Framing is declared in our own words, never in those received.
    #[track_caller]
    fn check_framing_fields(&self, request: &Request) {
        let expected = match request.framing {
            Framing::Length(length) => [Some(length.to_string()), None],
            Framing::Chunked => [None, Some("chunked".to_owned())],
            Framing::None | Framing::Close => return,
        };
        let names = ["content-length", "transfer-encoding"];
        let found = names.map(|name| request.head.one(name).map(str::to_owned));
        self.check(found == expected, "the framing fields are not in our own words");
    }

    #[track_caller]
    fn same(&self, what: &str, found: &str, expected: &str) {
        self.check(found == expected, &format!("{what}: found {found:?}, expected {expected:?}"));
    }

    #[track_caller]
    fn check_origin(&self) {
        let problems = self.stage.origin.problems();
        self.check(problems.is_empty(), "the origin saw what no strict server accepts");
    }

    #[track_caller]
    fn check(&self, holds: bool, why: &str) {
        if !holds {
            self.client.fail(&format!("{why}\n{}", self.stage.origin.report()));
        }
    }
}

/// A head without the fields that the gateway writes itself.
pub(crate) fn plain(head: &Head) -> String {
    let added = |name: &str| ADDED.iter().any(|known| name.eq_ignore_ascii_case(known));
    let kept = head.fields.iter().filter(|(name, _)| !added(name));
    format!("{}\r\n{}", head.line, lines(kept))
}

fn lines<'a>(fields: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let parts = fields.into_iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat());
    parts.collect()
}

/// Does `needle` occur in `hay`?
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// Makes a test of each row: `name: request => fate;`.
macro_rules! rows {
    ($($(#[$meta:meta])* $name:ident: $request:expr => $fate:expr;)*) => {
        $($(#[$meta])* #[test]
        fn $name() {
            let request = $request;
            crate::stage::play(AsRef::<[u8]>::as_ref(&request), &$fate);
        })*
    };
}
pub(crate) use rows;

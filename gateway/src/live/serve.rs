//! The page's addresses on the admin listener: itself, one look, the stream, the past, single
//! requests.

use super::kept::{self, Wanted};
use super::shown;
use crate::admin::{Page, text, typed};
use crate::gateway::Gateway;
use base::Moment;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Either;
use hyper::body::{Body, Bytes, Frame, Incoming};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Most who may listen to the stream at once.
const LISTENERS_MAX: usize = 32;
/// How often an event is sent.
const EVERY: Duration = Duration::from_secs(1);

/// Nothing but our own files, no script or style in the text, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Does whoever asks read HTML? Browsers say so; curl and scripts do not.
pub fn reads_html(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get_all(header::ACCEPT);
    accept.iter().any(|value| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/html"))
    })
}

/// The page itself.
pub fn index() -> Page {
    asset("text/html; charset=utf-8", INDEX)
}

/// Is something told here, to GET alone?
pub fn is_ours(path: &str) -> bool {
    const PATHS: [&str; 6] =
        ["/page.css", "/page.js", "/live.json", "/live", "/history.json", "/requests"];
    PATHS.contains(&path) || path.starts_with("/requests/")
}

/// Answers a GET, if this is one of ours.
pub fn answer(gateway: &Arc<Gateway>, request: &Request<Incoming>) -> Option<Page> {
    let query = request.uri().query().unwrap_or_default();
    let live = &gateway.live;
    if is_from_elsewhere(request) {
        return Some(text(StatusCode::FORBIDDEN, "not for pages of other sites\n"));
    }
    Some(match request.uri().path() {
        "/page.css" => asset("text/css; charset=utf-8", STYLE),
        "/page.js" => asset("text/javascript; charset=utf-8", SCRIPT),
        "/live.json" => json(live.shown(gateway, Moment::now()).whole),
        "/live" => listen(gateway),
        "/history.json" => history(gateway, query),
        "/requests" => requests(gateway, query),
        path => one(gateway, path.strip_prefix("/requests/")?),
    })
}

/// Does a page of another site ask, by itself and not because somebody followed a link? It could not
/// read the answer, but take the seats of those who can.
fn is_from_elsewhere(request: &Request<Incoming>) -> bool {
    let says = |name: &str, text: &str| request.headers().get(name).is_some_and(|v| v == text);
    says("sec-fetch-site", "cross-site") && !says("sec-fetch-mode", "navigate")
}

fn asset(content_type: &'static str, content: &'static str) -> Page {
    secured(typed(StatusCode::OK, content_type, content))
}

fn json(content: impl Into<Bytes>) -> Page {
    secured(typed(StatusCode::OK, "application/json", content))
}

fn secured(mut page: Page) -> Page {
    let fields = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        page.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page
}

fn history(gateway: &Gateway, query: &str) -> Page {
    let span = match query {
        "" => "5m",
        query => query.strip_prefix("span=").unwrap_or(query),
    };
    match shown::columns(&gateway.live, span) {
        Some(columns) => json(format!("{columns}\n")),
        None => text(StatusCode::BAD_REQUEST, "span is one of 5m, 1h, 24h\n"),
    }
}

fn requests(gateway: &Gateway, query: &str) -> Page {
    match Wanted::read(query) {
        Ok(wanted) => {
            let state = gateway.reporter.state();
            let list = kept::list(state.kept.iter(), state.kept_gone, wanted);
            drop(state);
            json(format!("{list}\n"))
        }
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

fn one(gateway: &Gateway, id: &str) -> Page {
    let state = gateway.reporter.state();
    let found: Option<Value> = kept::find(state.kept.iter(), state.kept_gone, id);
    drop(state);
    match found {
        Some(found) => json(format!("{found:#}\n")),
        None => text(
            StatusCode::NOT_FOUND,
            "not kept, or no longer: the last 1,024 are, of those that failed, were slow, the \
             first of their kind, or a sample\n",
        ),
    }
}

/// A seat among those who listen; given back when dropped.
struct Seat(Arc<Gateway>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.live.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

fn listen(gateway: &Arc<Gateway>) -> Page {
    let before = gateway.live.listeners.fetch_add(1, Ordering::Relaxed);
    let seat = Seat(Arc::clone(gateway));
    if before >= LISTENERS_MAX {
        let why = format!("{LISTENERS_MAX} listen already; GET /live.json tells the same once\n");
        return text(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let (events, heard) = mpsc::channel(1);
    tokio::spawn(tell(seat, events));
    let mut page = secured(typed(StatusCode::OK, "text/event-stream", Bytes::new()));
    *page.body_mut() = Either::Right(Events(heard));
    page
}

/// Sends an event a second until nobody listens. Who takes them too slowly misses some.
async fn tell(seat: Seat, events: mpsc::Sender<Bytes>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! { biased;
            () = events.closed() => return,
            _ = turns.tick() => {}
        }
        let Ok(room) = events.try_reserve() else { continue };
        room.send(seat.0.live.shown(&seat.0, Moment::now()).event);
    }
}

/// The body of the stream.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

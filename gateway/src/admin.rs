//! The admin listener: health, readiness, metrics, the settings in force, reload.
//!
//! It lives on the second runtime, not on the data plane, and speaks through `hyper`: nothing here is
//! on anybody's request path. It listens on loopback unless told otherwise and does no
//! authentication of its own.

use crate::gateway::{Gateway, chain};
use crate::live::serve::{self, Events};
use crate::metrics::Format;
use base::Moment;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longest time for a request's head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
            continue;
        };
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(Arc::clone(&gateway), request));
            // A client that breaks off has nobody to be told.
            let _ended = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// An answer: whole, or the stream of the live page.
pub(crate) type Page = Response<Either<Full<Bytes>, Events>>;

async fn answer(gateway: Arc<Gateway>, request: Request<Incoming>) -> Result<Page, Infallible> {
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    if !get && request.headers().contains_key(http::header::ORIGIN) {
        // A page that an operator has open could reach loopback through the browser.
        return Ok(text(StatusCode::FORBIDDEN, "not from a page of a browser\n"));
    }
    if crate::jobs::is_ours(request.uri().path()) {
        return Ok(crate::jobs::answer(&gateway, request).await);
    }
    let page = match (request.uri().path(), get) {
        ("/", true) if serve::reads_html(&request) => serve::index(),
        ("/", true) => text(StatusCode::OK, INDEX),
        ("/health", true) => text(StatusCode::OK, "alive\n"),
        ("/ready", true) if gateway.is_draining() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
        ("/ready", true) => text(StatusCode::OK, ready(&gateway)),
        ("/metrics", true) => metrics(&gateway, &request),
        ("/settings", true) => toml(&gateway),
        ("/servers", true) => servers(&gateway),
        ("/why", true) => {
            text(StatusCode::OK, crate::why::text(&*gateway.why.explain(&gateway).await))
        }
        ("/why.json", true) => why(&gateway).await,
        ("/reload", false) if *request.method() == Method::POST => reload(&gateway).await,
        ("/purge", false) if *request.method() == Method::POST => purge(&gateway, request).await,
        (
            "/" | "/health" | "/ready" | "/metrics" | "/settings" | "/servers" | "/why"
            | "/why.json",
            false,
        ) => not_allowed("GET, HEAD"),
        ("/reload" | "/purge", _) => not_allowed("POST"),
        (path, false) if serve::is_ours(path) => not_allowed("GET, HEAD"),
        (_, true) => {
            serve::answer(&gateway, &request).unwrap_or_else(|| text(StatusCode::NOT_FOUND, INDEX))
        }
        _ => text(StatusCode::NOT_FOUND, INDEX),
    };
    Ok(page)
}

const INDEX: &str = "fleetfoot admin\n\
    GET  /              for browsers: where the time goes, live\n\
    GET  /live.json     the same once, as JSON; /live is a stream of it\n\
    GET  /history.json  latency over time: ?span=5m, 1h or 24h\n\
    GET  /why           why the slow requests of the last minute were slow; /why.json for programs\n\
    GET  /requests      the last requests that were kept whole; /requests/ID all of one\n\
    GET  /health        200 while the process lives\n\
    GET  /ready         200 while traffic is welcome, 503 while draining\n\
    GET  /metrics       for Prometheus: text, OpenMetrics or Protocol Buffers\n\
    GET  /settings      the settings in force, as TOML\n\
    GET  /servers       every service: its servers and how they stand, as JSON\n\
    GET  /jobs          jobs that wait and jobs that are over: ?queue=, state, route, reason, since, before, limit, cursor\n\
    GET  /jobs/dead     dead jobs alone\n\
    GET  /jobs/ID       all that is known of one; DELETE forgets it\n\
    POST /jobs/ID/retry, /jobs/ID/cancel  try it now, take it back\n\
    POST /jobs/replay   dead jobs become new ones: {\"queue\": \"\", \"route\": \"\", \"reason\": \"\", \"since\": \"1h\", \"before\": \"\", \"most\": 100, \"all\": false}\n\
    GET  /jobs/replays  how far that is; POST /jobs/replays/N/cancel ends one\n\
    POST /reload        read the settings file again\n\
    POST /purge         forget what is cached: {\"tags\": [], \"urls\": [], \"prefixes\": [], \"hosts\": [], \"all\": false, \"soft\": false}\n";

pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Page {
    typed(status, "text/plain; charset=utf-8", text)
}

/// An answer of this type.
pub(crate) fn typed(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Page {
    let mut page = Response::new(Either::Left(Full::new(content.into())));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    page
}

fn not_allowed(allow: &'static str) -> Page {
    let mut page = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    page.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static(allow));
    page
}

/// It proxies as ever while the log of jobs is closed: it stays in rotation, and says so.
fn ready(gateway: &Gateway) -> String {
    let snapshot = gateway.snapshot();
    match snapshot.offload.as_ref().and_then(|engine| engine.closed()) {
        None => "ready\n".to_owned(),
        Some(why) => format!(
            "ready\ndegraded: routes that offload answer 503, for the log of jobs is closed: {why}\n"
        ),
    }
}

fn metrics(gateway: &Gateway, request: &Request<Incoming>) -> Page {
    let accept = request.headers().get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::of(accept.unwrap_or_default());
    typed(StatusCode::OK, format.content_type(), format.page(&crate::metrics::told(gateway)))
}

fn toml(gateway: &Gateway) -> Page {
    let shown = settings::show(&gateway.snapshot().settings);
    typed(StatusCode::OK, "application/toml; charset=utf-8", shown)
}

fn servers(gateway: &Gateway) -> Page {
    let standing = crate::standing::json(&gateway.snapshot().services, Moment::now());
    typed(StatusCode::OK, "application/json", format!("{standing:#}\n"))
}

async fn why(gateway: &Arc<Gateway>) -> Page {
    let explanation = crate::why::json(&*gateway.why.explain(gateway).await);
    typed(StatusCode::OK, "application/json", format!("{explanation:#}\n"))
}

/// The longest purge that is read.
const PURGE_BYTES_MAX: usize = 1 << 20;

async fn purge(gateway: &Gateway, request: Request<Incoming>) -> Page {
    let snapshot = gateway.snapshot();
    if let Some(token) = &snapshot.settings.cache.purge_token
        && !is_authorised(&request, token)
    {
        let mut page = text(StatusCode::UNAUTHORIZED, "the token of cache.purge_token is needed\n");
        let bearer = http::HeaderValue::from_static("Bearer");
        page.headers_mut().insert(http::header::WWW_AUTHENTICATE, bearer);
        return page;
    }
    let body = Limited::new(request.into_body(), PURGE_BYTES_MAX).collect().await;
    let Ok(body) = body else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "a purge of more than 1 MiB\n");
    };
    match crate::purge::parse(&body.to_bytes(), &snapshot) {
        Ok(purge) => {
            gateway.why.note_purge(Moment::now());
            let reached = snapshot.cache.purge_everywhere(&purge).await;
            if snapshot.settings.cache.fence && !matches!(reached, cache::shared::Reached::All(_)) {
                // Whoever could not be told asks the service from then on.
                tokio::time::sleep(cache::cache::FENCE_TIME).await;
            }
            let answer = serde_json::json!({
                "purged": purge.scopes.len(),
                "soft": purge.soft,
                "reached": reached.name(),
            });
            typed(StatusCode::OK, "application/json", format!("{answer}\n"))
        }
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

/// Does the request bring this token? Every byte is compared, wherever the first difference is.
fn is_authorised(request: &Request<Incoming>, token: &str) -> bool {
    let given = request.headers().get(http::header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer ")).unwrap_or(b"");
    let differ = given.iter().zip(token.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    given.len() == token.len() && differ == 0
}

async fn reload(gateway: &Gateway) -> Page {
    match gateway.reload().await {
        Ok(()) => text(StatusCode::OK, "reloaded\n"),
        Err(error) => {
            let why = format!("not reloaded, the old settings stay in force:\n{}\n", chain(&error));
            text(StatusCode::UNPROCESSABLE_ENTITY, why)
        }
    }
}

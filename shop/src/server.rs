//! The shop on the network: opening, routing, closing.
//!
//! One acceptor task owns the connections' tasks. Closing stops accepting, lets requests in flight
//! and the clerk's chores finish within `GRACE`, then ends what is left.

use crate::answer::{Answer, Keep, Refusal, Sent, put};
use crate::call::{Caller, INSIDE};
use crate::count::Counts;
use crate::database::{Database, postgres::Postgres, sqlite::Sqlite};
use crate::ill::{Blow, Course, Ill};
use crate::mail::{self, Clerk};
use crate::seed::Catalogue;
use crate::sin::{Sin, Sins};
use crate::trace::Here;
use crate::visit::{Asked, Shop, Visit};
use crate::{Options, ShopError, Storage};
use crate::{cart, catalogue, order, page, recommend, review, search};
use base::Moment;
use bytes::Bytes;
use http::{HeaderName, Method, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use monitor::settings::Otlp;
use otlp::Exporter;
use otlp::exporter::Teller;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

const BODY_BYTES_MAX: usize = 64 * 1024;
const CONNECTIONS_MAX: usize = 4_096;
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);
const LAST_SPANS_TIME_MAX: Duration = Duration::from_secs(2);

/// An open shop. Dropped, it closes at once.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    acceptor: Option<JoinHandle<()>>,
    exporter: Option<Exporter>,
}

impl Running {
    /// Closes: requests in flight and mail that waits are finished, within ten seconds.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(acceptor) = self.acceptor.take() {
            // An error is a panic of the acceptor: it has closed.
            let _ = acceptor.await;
        }
        if let Some(exporter) = self.exporter.take() {
            exporter.finish(LAST_SPANS_TIME_MAX).await;
        }
    }

    /// Stays open until SIGTERM or ctrl-c, then closes.
    pub async fn until_signal(self) {
        let interrupt = tokio::signal::ctrl_c();
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt => {}
            },
            Err(_) => drop(interrupt.await),
        }
        self.stop().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.abort();
        }
    }
}

/// Opens a shop: database, catalogue, listener.
pub async fn serve(options: Options) -> Result<Running, ShopError> {
    let bound = |name, allowed| Err(ShopError::Bound { name, allowed });
    if !(1..=1_000_000).contains(&options.products) {
        return bound("--products", "from 1 to 1000000");
    }
    if !(1..=64).contains(&options.connections) {
        return bound("connections", "from 1 to 64");
    }
    let listen = |source| ShopError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let sins = Sins::ALL.without(options.without);
    let database = open(&options, !sins.has(Sin::MissingIndex)).await?;
    let (clerk, chores) = Clerk::new();
    let mended = options.ill == Ill::Slow && !sins.has(Sin::SlowInstance);
    let ill = if mended { Ill::None } else { options.ill };
    let exporter = options.otlp.as_ref().map(export);
    let shop = Arc::new(Shop {
        database,
        sins,
        // The port, so that instances of one catalogue do not stall in step.
        course: Course::new(ill, options.seed ^ u64::from(address.port())),
        counts: Counts::default(),
        caller: Caller::new(reachable(address)),
        clerk,
        mail_time: options.mail_time,
        spans: exporter.as_ref().map(|exporter| exporter.spans().clone()),
    });
    let (stop, stopped) = watch::channel(false);
    let acceptor = tokio::spawn(async move {
        let mut work = JoinSet::new();
        work.spawn(mail::work(shop.clone(), chores, stopped.clone()));
        accept(listener, shop, stopped, work).await;
    });
    Ok(Running { address, stop, acceptor: Some(acceptor), exporter })
}

/// Sends spans; the shop has no metrics to tell.
fn export(settings: &Otlp) -> Exporter {
    let settings = Otlp { metrics: false, traces: true, ..settings.clone() };
    let teller = Teller { version: env!("CARGO_PKG_VERSION"), begun: Moment::now() };
    Exporter::start(&settings, teller, None, &Arc::default(), Vec::new)
}

async fn open(options: &Options, indexed: bool) -> Result<Database, ShopError> {
    let catalogue = Catalogue { products: options.products, seed: options.seed };
    let connections = options.connections;
    let directory = match &options.database {
        Storage::Postgres(url) => {
            let opened = Postgres::open(url, catalogue, indexed, connections).await;
            return opened.map(|engine| Database::Postgres(Box::new(engine)));
        }
        Storage::Directory(path) => Some(path.clone()),
        Storage::Temporary => None,
    };
    tokio::task::spawn_blocking(move || {
        Sqlite::open(directory.as_deref(), catalogue, indexed, connections).map(Database::Sqlite)
    })
    .await
    .map_err(|_| ShopError::Stopped)?
}

/// The address by which this process reaches itself.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        _ => address,
    }
}

async fn accept(
    listener: TcpListener,
    shop: Arc<Shop>,
    mut stopped: watch::Receiver<bool>,
    mut work: JoinSet<()>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        while work.try_join_next().is_some() {}
        let next = async {
            let permit = permits.clone().acquire_owned().await.expect("never closed");
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            (permit, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, shop.clone(), stopped.clone());
                    work.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                // Out of files, most likely: give the others time to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while work.join_next().await.is_some() {} }).await;
}

async fn connection(stream: TcpStream, shop: Arc<Shop>, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shop = shop.clone();
        async move { Ok::<_, Infallible>(serve_one(shop, request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    // An error is a client that went away or spoke no HTTP: nothing to tell it.
    tokio::select! {
        biased;
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
        _ = serving.as_mut() => {}
    }
}

async fn serve_one(shop: Arc<Shop>, request: Request<Incoming>) -> Sent {
    let start = Moment::now();
    let head = request.method() == Method::HEAD;
    let inside = request.headers().contains_key(INSIDE);
    let asked = match take_apart(request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.render(),
    };
    let own =
        matches!(asked.path.first().map(String::as_str), Some("health" | "sins" | "counters"));
    let here = Here::of(&asked.fields, shop.spans.as_ref());
    let open = if own { None } else { here.serve(&asked.method, &asked.path) };
    let visit = Visit { shop, asked, here, counts: Counts::default() };
    if !own {
        // At its start: one that is given up, as the loser of a hedge is, has been asked too.
        let counts = &visit.shop.counts;
        Counts::add(if inside { &counts.calls } else { &counts.requests }, 1);
    }
    let served = if own || inside { route(&visit).await } else { suffer(&visit).await };
    let mut sent = match served {
        Ok(answer) => answer.render(&visit.asked.fields),
        Err(refusal) => refusal.render(),
    };
    let bytes = hyper::body::Body::size_hint(sent.body()).exact().unwrap_or(0);
    if !own {
        Counts::add(&visit.shop.counts.bytes, bytes);
    }
    if let Some(open) = open {
        open.end(sent.status(), Some(&visit.counts));
    }
    let timing = server_timing(&visit.counts, Moment::now().since(start));
    put(sent.headers_mut(), HeaderName::from_static("server-timing"), &timing);
    if head {
        put(sent.headers_mut(), header::CONTENT_LENGTH, &bytes.to_string());
        *sent.body_mut() = Full::default();
    }
    sent
}

fn server_timing(counts: &Counts, total: Duration) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let queries = counts.queries.load(std::sync::atomic::Ordering::Relaxed);
    let calls = counts.calls.load(std::sync::atomic::Ordering::Relaxed);
    format!(
        "db;dur={:.2};desc=\"{queries} queries\", calls;desc=\"{calls} calls\", total;dur={:.2}",
        millis(counts.database_time()),
        millis(total)
    )
}

async fn take_apart(request: Request<Incoming>) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().split('/').filter(|part| !part.is_empty()).map(decode);
    let path = path.collect::<Result<_, _>>()?;
    let mut query = Vec::new();
    for pair in head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        query.push((decode(name)?, decode(&value.replace('+', " "))?));
    }
    let body: Bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Refusal::TooLarge(BODY_BYTES_MAX));
        }
        Err(error) => return Err(Refusal::Bad(format!("the body broke off: {error}"))),
    };
    Ok(Asked { method: head.method, path, query, fields: head.headers, body })
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, Refusal> {
    let bad = || Refusal::Bad(format!("`{text}` is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok()).ok_or_else(bad)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Serves a request from outside as an instance does that may be ill.
async fn suffer(visit: &Visit) -> Result<Answer, Refusal> {
    match visit.shop.course.next() {
        Blow::None => {}
        Blow::Refused => return Err(Refusal::Ill),
        Blow::Held(time) => tokio::time::sleep(time).await,
        Blow::Repeated(times) => {
            // What changes something is done once, or it would be another order.
            let safe = matches!(visit.asked.method, Method::GET | Method::HEAD);
            for _ in 1..if safe { times } else { 1 } {
                route(visit).await?;
            }
        }
    }
    route(visit).await
}

/// Which service answers.
async fn route(visit: &Visit) -> Result<Answer, Refusal> {
    let method = match visit.asked.method {
        Method::HEAD => "GET",
        ref method => method.as_str(),
    };
    let path: Vec<&str> = visit.asked.path.iter().map(String::as_str).collect();
    match (method, path.as_slice()) {
        ("GET", ["health"]) => Ok(Answer::new(Keep::Never, json!({ "status": "open" }))),
        ("GET", ["sins"]) => Ok(Answer::new(Keep::Never, sins(&visit.shop))),
        ("GET", ["counters"]) => Ok(Answer::new(Keep::Never, visit.shop.counts.to_json())),
        ("GET", ["home"]) => page::home(visit).await,
        ("GET", ["products", id]) => page::product(visit, id).await,
        ("GET", ["catalogue", "categories"]) => catalogue::categories(visit).await,
        ("GET", ["catalogue", "products"]) => catalogue::products(visit).await,
        ("GET", ["catalogue", "products", id]) => catalogue::product(visit, id).await,
        ("PUT", ["catalogue", "products", id]) => catalogue::change(visit, id).await,
        ("GET", ["search"]) => search::search(visit).await,
        ("GET", ["reviews", "summaries"]) => review::summaries(visit).await,
        ("GET", ["reviews", product]) => review::reviews(visit, product).await,
        ("GET", ["reviews", product, "summary"]) => review::summary(visit, product).await,
        ("GET", ["recommendations", product]) => recommend::recommendations(visit, product).await,
        ("GET", ["cart", customer]) => cart::cart(visit, customer).await,
        ("PUT", ["cart", customer]) => cart::put(visit, customer).await,
        ("DELETE", ["cart", customer]) => cart::clear(visit, customer).await,
        ("POST", ["orders"]) => order::place(visit).await,
        ("GET", ["orders", "report"]) => mail::report(visit).await,
        ("GET", ["orders", id]) => order::order(visit, id).await,
        ("POST", ["mail"]) => mail::mail(visit).await,
        _ => Err(nowhere(&path)),
    }
}

/// A known path by another method, or no path of ours.
fn nowhere(path: &[&str]) -> Refusal {
    match path {
        ["orders" | "mail"] => Refusal::Method("POST"),
        ["cart", _] => Refusal::Method("GET, HEAD, PUT, DELETE"),
        ["catalogue", "products", _] => Refusal::Method("GET, HEAD, PUT"),
        ["health" | "sins" | "counters" | "home" | "search"]
        | ["products" | "reviews" | "recommendations" | "orders", _]
        | ["catalogue", "categories" | "products"]
        | ["reviews", _, "summary"] => Refusal::Method("GET, HEAD"),
        _ => Refusal::NotFound(format!("page /{}", path.join("/"))),
    }
}

/// `GET /sins`: each switch and how it stands.
fn sins(shop: &Shop) -> Value {
    let list: Vec<Value> = Sin::ALL
        .iter()
        .map(|sin| json!({ "name": sin.name(), "on": shop.commits(*sin), "what": sin.describe() }))
        .collect();
    json!({ "sins": list, "ill": shop.course.ill().name(), "database": shop.database.name() })
}

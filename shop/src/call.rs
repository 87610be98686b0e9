//! Calls from one service of the shop to another: HTTP/1.1 over loopback, connections kept.

use crate::answer::Refusal;
use crate::trace::{Open, TRACEPARENT, TRACESTATE};
use base::Moment;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Marks a call of our own, so that it is not counted as a request from outside.
pub(crate) const INSIDE: &str = "shop-inside";

const IDLE_MAX: usize = 64;
/// Less than any server's idle time, so that a kept connection is still open.
const IDLE_TIME_MAX: Duration = Duration::from_secs(5);
const CALL_TIME_MAX: Duration = Duration::from_mins(1);

type Connection = SendRequest<Full<Bytes>>;

/// The span of a call, where there is one, and what the call says of its trace.
type Traced = (Option<Open>, [Option<HeaderValue>; 2]);

/// The way to the shop's own services.
pub(crate) struct Caller {
    address: SocketAddr,
    idle: Mutex<Vec<(Connection, Moment)>>,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::new(Vec::new()) }
    }

    /// Calls `path` and reads the answer as JSON; answers with it what the database took there.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        (open, trace): Traced,
    ) -> Result<(Value, Duration), Refusal> {
        let exchange = self.exchange(method, path, body, trace);
        let exchange = tokio::time::timeout(CALL_TIME_MAX, exchange);
        let failed = |why: String| Refusal::Call(format!("{path} did not answer: {why}"));
        let (status, body, database) = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("not within {CALL_TIME_MAX:?}"))),
        };
        if let Some(open) = open {
            open.end(status, None);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Refusal::NotFound(path.trim_start_matches('/').replace('/', " ")));
        }
        if !status.is_success() {
            return Err(Refusal::Call(format!("{path} answered {status}")));
        }
        let value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        Ok((value, database))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        trace: [Option<HeaderValue>; 2],
    ) -> Result<(StatusCode, Bytes, Duration), Box<dyn std::error::Error + Send + Sync>> {
        let body = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(INSIDE, "1")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        for (name, value) in [TRACEPARENT, TRACESTATE].into_iter().zip(trace) {
            if let Some(value) = value {
                request.headers_mut().insert(name, value);
            }
        }
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = connection.send_request(request).await?;
        let (status, database) = (answer.status(), database_time(answer.headers()));
        let body = answer.into_body().collect().await?.to_bytes();
        self.put_back(connection);
        Ok((status, body, database))
    }

    fn take(&self) -> Option<Connection> {
        let now = Moment::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = idle.pop() {
            if connection.is_ready() && now.since(since) < IDLE_TIME_MAX {
                return Some(connection);
            }
        }
        None
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((connection, Moment::now()));
        }
    }

    async fn connect(&self) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its errors reach the call that waits.
        tokio::spawn(async move {
            let _ = driver.await;
        });
        Ok(connection)
    }
}

/// What a service of ours says its database took: the first part of its `Server-Timing`.
fn database_time(fields: &HeaderMap) -> Duration {
    let told = fields.get("server-timing").and_then(|value| value.to_str().ok());
    let millis =
        told.and_then(|told| told.strip_prefix("db;dur=")?.split(';').next()?.parse().ok());
    Duration::try_from_secs_f64(millis.unwrap_or(0.0) / 1e3).unwrap_or_default()
}

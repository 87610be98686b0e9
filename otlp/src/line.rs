//! One connection to a receiver, and what it says to a message: a POST over HTTP/1.1, or a unary
//! call of gRPC over HTTP/2, which is a POST whose body has five bytes before the message and whose
//! status comes in the trailers (gRPC over HTTP2).

use crate::address::Receiver;
use crate::figures::Signal;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use monitor::settings::Protocol;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest time for a whole export, a connection included.
const SEND_TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes before a message of gRPC: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;
/// The longest reason that is repeated to people.
const WHY_BYTES_MAX: usize = 200;

/// What a receiver made of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It took it, but for so many, for this reason.
    Taken { rejected: u64, why: String },
    /// It could not at the moment; perhaps it says when it can.
    Later { why: String, after: Duration },
    /// It does not want it, however often it is asked.
    Refused { why: String },
}

type Body = Full<Bytes>;

enum Speaker {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// A connection to a receiver, made when it is needed.
pub(crate) struct Line {
    pub(crate) receiver: Receiver,
    tls: Option<Arc<ClientConfig>>,
    speaker: Option<Speaker>,
}

type Failed = Box<dyn Error + Send + Sync>;

impl Line {
    pub(crate) const fn new(receiver: Receiver, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { receiver, tls, speaker: None }
    }

    /// Sends a message and waits for what becomes of it, for [`SEND_TIME`] at most.
    pub(crate) async fn send(&mut self, signal: Signal, message: &Bytes) -> Verdict {
        let sent = tokio::time::timeout(SEND_TIME, self.exchange_again(signal, message)).await;
        let later = |why| Verdict::Later { why, after: Duration::ZERO };
        let verdict = match sent {
            Ok(Ok(verdict)) => return verdict,
            Ok(Err(error)) => later(chain(&*error)),
            Err(_) => later(format!("no answer within {SEND_TIME:?}")),
        };
        self.speaker = None;
        verdict
    }

    /// An exchange, and one more on a fresh connection if one that was used before has failed: who
    /// closes idle connections does so just when they are wanted.
    async fn exchange_again(&mut self, signal: Signal, message: &Bytes) -> Result<Verdict, Failed> {
        let was_used = self.speaker.is_some();
        match self.exchange(signal, message).await {
            Err(_) if was_used => self.exchange(signal, message).await,
            ended => ended,
        }
    }

    async fn exchange(&mut self, signal: Signal, message: &Bytes) -> Result<Verdict, Failed> {
        let mut speaker = match self.speaker.take().filter(Speaker::is_open) {
            Some(speaker) => speaker,
            None => self.connect().await?,
        };
        let answer = match &mut speaker {
            Speaker::One(sender) => {
                let request = self.receiver.request(signal, Full::new(message.clone()))?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Speaker::Two(sender) => {
                let mut framed = BytesMut::with_capacity(GRPC_PREFIX + message.len());
                framed.put_u8(0);
                framed.put_u32(u32::try_from(message.len())?);
                framed.extend_from_slice(message);
                let request = self.receiver.request(signal, Full::new(framed.freeze()))?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let verdict = match speaker {
            Speaker::One(_) => of_http(signal, answer).await?,
            Speaker::Two(_) => of_grpc(signal, answer).await?,
        };
        self.speaker = Some(speaker);
        Ok(verdict)
    }

    async fn connect(&self) -> Result<Speaker, Failed> {
        let Receiver { host, port, secure, protocol, .. } = &self.receiver;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        if !secure {
            return speak(stream, *protocol).await;
        }
        let config = self.tls.clone().ok_or("no TLS is to be had")?;
        let name = ServerName::try_from(host.clone())?;
        speak(TlsConnector::from(config).connect(name, stream).await?, *protocol).await
    }
}

impl Speaker {
    fn is_open(&self) -> bool {
        match self {
            Self::One(sender) => !sender.is_closed(),
            Self::Two(sender) => !sender.is_closed(),
        }
    }
}

/// Begins to speak. The task that drives a connection ends with it, and it with its sender.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    protocol: Protocol,
) -> Result<Speaker, Failed> {
    let stream = TokioIo::new(stream);
    Ok(match protocol {
        Protocol::Http => {
            let (sender, driver) = http1::handshake(stream).await?;
            tokio::spawn(driver);
            Speaker::One(sender)
        }
        Protocol::Grpc => {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(driver);
            Speaker::Two(sender)
        }
    })
}

/// What an answer over HTTP means (OTLP/HTTP Response).
async fn of_http(signal: Signal, answer: Response<Incoming>) -> Result<Verdict, Failed> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(by_status(signal, head.status, &head.headers, &body))
}

fn by_status(signal: Signal, status: StatusCode, fields: &HeaderMap, body: &[u8]) -> Verdict {
    if status.is_success() {
        return taken(signal, body);
    }
    let why = format!("status {status}");
    match status.as_u16() {
        429 | 502 | 503 | 504 => {
            let after =
                fields.get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
            Verdict::Later { why, after: Duration::from_secs(after.unwrap_or_default()) }
        }
        _ => Verdict::Refused { why },
    }
}

/// What an answer of gRPC means (OTLP/gRPC Response).
async fn of_grpc(signal: Signal, answer: Response<Incoming>) -> Result<Verdict, Failed> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        // Something else than gRPC answers: a proxy, say.
        let _unread = body;
        return Ok(by_status(signal, head.status, &head.headers, &[]));
    }
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let body = body.to_bytes();
    // An answer that is nothing but its end has the status in its head.
    let fields = if trailers.contains_key("grpc-status") { &trailers } else { &head.headers };
    Ok(by_grpc_status(signal, fields, body.get(GRPC_PREFIX..).unwrap_or_default()))
}

fn by_grpc_status(signal: Signal, fields: &HeaderMap, message: &[u8]) -> Verdict {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let why = || format!("gRPC status {} {}", text("grpc-status"), short(text("grpc-message")));
    match text("grpc-status").parse() {
        Ok(0) => taken(signal, message),
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS; and
        // RESOURCE_EXHAUSTED, although only a receiver that says so recovers from that.
        Ok(1 | 4 | 8 | 10 | 11 | 14 | 15) => Verdict::Later { why: why(), after: Duration::ZERO },
        Ok(_) => Verdict::Refused { why: why() },
        Err(_) => Verdict::Refused { why: "an answer that is no gRPC".to_owned() },
    }
}

/// A success may be one in part. What cannot be read is taken for a whole one.
fn taken(signal: Signal, message: &[u8]) -> Verdict {
    let partly = match signal {
        Signal::Metrics => ExportMetricsServiceResponse::decode(message).ok().and_then(|answer| {
            answer.partial_success.map(|part| (part.rejected_data_points, part.error_message))
        }),
        Signal::Traces => ExportTraceServiceResponse::decode(message).ok().and_then(|answer| {
            answer.partial_success.map(|part| (part.rejected_spans, part.error_message))
        }),
    };
    let (rejected, why) = partly.unwrap_or_default();
    Verdict::Taken { rejected: u64::try_from(rejected).unwrap_or_default(), why: short(&why) }
}

/// What others say, bounded and on one line.
fn short(text: &str) -> String {
    let end = text.floor_char_boundary(WHY_BYTES_MAX);
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An error with all its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    fn later(verdict: &Verdict) -> Option<u64> {
        match verdict {
            Verdict::Later { after, .. } => Some(after.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn statuses_say_whether_to_ask_again() {
        let check = |status: u16, fields: &[(&'static str, &str)]| {
            let fields = fields.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), value.parse().expect("a value"))
            });
            let status = StatusCode::from_u16(status).expect("a status");
            by_status(Signal::Traces, status, &fields.collect(), b"")
        };
        assert_eq!(later(&check(503, &[("retry-after", "7")])), Some(7));
        assert_eq!(later(&check(429, &[("retry-after", "soon")])), Some(0));
        assert!([502, 504].iter().all(|status| later(&check(*status, &[])).is_some()));
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(check(status, &[]), Verdict::Refused { .. }), "{status}");
        }
        assert_eq!(check(200, &[]), Verdict::Taken { rejected: 0, why: String::new() });
    }

    #[test]
    fn the_same_of_grpc() {
        let check = |status: &str| {
            let fields = [("grpc-status", status), ("grpc-message", "no\nroom")];
            let fields = fields.iter().filter_map(|(name, value)| {
                Some((http::HeaderName::from_static(name), value.parse().ok()?))
            });
            by_grpc_status(Signal::Traces, &fields.collect(), b"")
        };
        assert!(["1", "4", "8", "14"].iter().all(|status| later(&check(status)).is_some()));
        for status in ["2", "3", "7", "12", "13", "16", "", "x"] {
            assert!(matches!(check(status), Verdict::Refused { .. }), "{status}");
        }
        assert!(matches!(check("0"), Verdict::Taken { rejected: 0, .. }));
    }

    #[test]
    fn a_success_may_be_one_in_part() {
        let part =
            ExportTracePartialSuccess { rejected_spans: 3, error_message: "a\nb".to_owned() };
        let answer = ExportTraceServiceResponse { partial_success: Some(part) };
        let verdict = taken(Signal::Traces, &answer.encode_to_vec());
        assert_eq!(verdict, Verdict::Taken { rejected: 3, why: "a b".to_owned() });
        assert!(matches!(taken(Signal::Traces, b"\xff\xff"), Verdict::Taken { rejected: 0, .. }));
    }
}

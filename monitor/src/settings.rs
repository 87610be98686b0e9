//! What `monitor` is told.

use base::Share;
use std::path::PathBuf;
use std::time::Duration;

/// Telling what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// How that line is written.
    pub log_format: LogFormat,
    /// How many of the requests that went well and were not slow have a line.
    pub log_sample: Share,
    /// Parameters of a query whose values are told to nobody, lower case; a `*` at the end stands
    /// for any rest.
    pub redact: Vec<String>,
    /// Who is told in `Server-Timing` where the time went.
    pub server_timing: ServerTiming,
    /// Whether requests have an id (`X-Request-Id`), told to service and client.
    pub request_id: bool,
    /// Whether requests belong to a trace (W3C Trace Context) that services are told of.
    pub trace: bool,
    /// Of the traces that begin here, how many are recorded whatever comes of them.
    pub trace_sample: Share,
    /// Where metrics and traces are sent.
    pub otlp: Option<Otlp>,
}

/// Where the access log goes. Off by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// This file, appended to.
    File(PathBuf),
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// NCSA common.
    Common,
    /// The same with Referer and User-Agent.
    Combined,
}

/// Who is told in `Server-Timing` where the time went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTiming {
    /// Nobody.
    Off,
    /// Everybody.
    On,
    /// Whoever sends this token in `Server-Timing-Token`.
    Token(String),
}

/// Where metrics and traces are sent: an OTLP receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Its URL: `http://host:4317`; over HTTP the paths `/v1/metrics` and `/v1/traces` are below it.
    pub url: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Fields that are sent with every export, for authentication.
    pub fields: Vec<(String, String)>,
    /// How often metrics are sent.
    pub every: Duration,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// Whether traces are.
    pub traces: bool,
    /// What `service.name` says.
    pub service: String,
}

/// How an OTLP receiver is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with Protocol Buffers.
    Http,
}

/// What a route promises its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// This share of requests is answered within this time, the lowest share first.
    pub latency: Vec<(Share, Duration)>,
    /// This share of requests does not fail.
    pub success: Option<Share>,
}

impl Otlp {
    /// How often metrics are sent where the settings say nothing.
    pub const EVERY: Duration = Duration::from_secs(10);
    /// And what `service.name` says.
    pub const SERVICE: &str = "fleetfoot";
}

/// Parameters whose values are secrets as a rule: those of OAuth and of signed URLs (as
/// OpenTelemetry's conventions for `url.query` have them), and what APIs call their keys.
const REDACT: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

impl Settings {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            access_log: AccessLog::Off,
            log_format: LogFormat::Json,
            log_sample: Share(10_000),
            redact: REDACT.iter().map(|name| (*name).to_owned()).collect(),
            server_timing: ServerTiming::Off,
            request_id: false,
            trace: true,
            trace_sample: Share(0),
            otlp: None,
        }
    }
}

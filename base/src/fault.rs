//! What can go wrong on the path of a request, as data.
//!
//! Rooms return a [`Fault`]; only the gateway's `depart` turns one into a status and a body.

use std::error::Error;
use std::fmt;
use std::time::Duration;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal, $side:ident;)*) => {
        /// What went wrong. The text is the reason's name in log, metric and problem document.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultKind { $($(#[doc = $doc])* $variant),* }

        impl FaultKind {
            /// Every kind, for metrics and reference pages.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name that reaches log and metric.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Whose fault it is.
            pub const fn side(self) -> Side {
                match self { $(Self::$variant => Side::$side),* }
            }
        }
    };
}

kinds! {
    /// The request breaks the grammar or could be read in two ways.
    BadRequest = "bad_request", Client;
    /// The head is longer than `limits.head_bytes`.
    HeadTooLarge = "head_too_large", Client;
    /// The head has more than `limits.fields` fields.
    TooManyFields = "too_many_fields", Client;
    /// The request target alone is longer than `limits.head_bytes`.
    TargetTooLong = "target_too_long", Client;
    /// The head took longer than `limits.head_time`.
    HeadTimeout = "head_timeout", Client;
    /// The body is larger than `limits.body_bytes`.
    BodyTooLarge = "body_too_large", Client;
    /// No byte of the body came or went for `limits.body_pause`.
    BodyTimeout = "body_timeout", Client;
    /// The body breaks its framing.
    BadBody = "bad_body", Client;
    /// The client went away before the answer was out.
    ClientGone = "client_gone", Client;
    /// A version of HTTP that we do not speak.
    BadVersion = "bad_version", Client;
    /// A transfer coding that we do not know.
    BadCoding = "bad_coding", Client;
    /// An expectation other than 100-continue.
    BadExpectation = "bad_expectation", Client;
    /// No route takes this host and path.
    NoRoute = "no_route", Client;
    /// A route takes this host and path, but not with this method.
    MethodNotAllowed = "method_not_allowed", Client;
    /// CONNECT: this gateway is no forward proxy.
    ConnectRefused = "connect_refused", Client;
    /// Nothing stored answers a request that takes nothing else.
    NotCached = "not_cached", Gateway;
    /// More client connections than `limits.connections`.
    TooManyConnections = "too_many_connections", Gateway;
    /// More connections to a server than `connections_max` would be needed.
    ServiceFull = "service_full", Gateway;
    /// No server of the service is alive, or none is known.
    NoServer = "no_server", Gateway;
    /// More requests than the service can take: this one was not let through.
    Overloaded = "overloaded", Gateway;
    /// More requests than a rate of the route allows.
    RateLimited = "rate_limited", Client;
    /// A malformed `Idempotency-Key`, or none where one is needed.
    BadIdempotencyKey = "bad_idempotency_key", Client;
    /// The `Idempotency-Key` belongs to another request.
    IdempotencyMismatch = "idempotency_mismatch", Client;
    /// No callback can go to the URL that a request names.
    BadCallback = "bad_callback", Client;
    /// No job has this address.
    NoJob = "no_job", Client;
    /// What became of the job is forgotten.
    JobGone = "job_gone", Client;
    /// The job cannot be taken back, or is not over yet.
    JobBusy = "job_busy", Client;
    /// The job is over without an answer, or with one that was too large to be kept.
    NoResult = "no_result", Client;
    /// No room for another job in its queue.
    QueueFull = "queue_full", Gateway;
    /// No room for another job on the disk.
    StoreFull = "store_full", Gateway;
    /// The log of jobs takes nothing: its disk failed.
    StoreClosed = "store_closed", Gateway;
    /// The broker of the job's queue cannot be reached.
    BrokerAway = "broker_away", Gateway;
    /// The gateway that accepted the job cannot be asked.
    PeerAway = "peer_away", Gateway;
    /// What was left of the deadline could not suffice.
    DeadlineShort = "deadline_short", Gateway;
    /// Our own bug.
    Internal = "internal", Gateway;
    /// A server's name could not be resolved.
    Unresolved = "unresolved", Upstream;
    /// A server could not be connected to.
    Unreachable = "unreachable", Upstream;
    /// TLS with a server failed.
    BadTls = "bad_tls", Upstream;
    /// Connecting took longer than `connect_time`.
    ConnectTimeout = "connect_timeout", Upstream;
    /// The first byte of the answer took longer than `first_byte_time`.
    FirstByteTimeout = "first_byte_timeout", Upstream;
    /// The exchange took longer than `total_time`.
    TotalTimeout = "total_timeout", Upstream;
    /// The server closed the connection before an answer.
    ServerClosed = "server_closed", Upstream;
    /// The server's answer breaks the grammar.
    BadResponse = "bad_response", Upstream;
    /// The server's answer ended before its end.
    ResponseCut = "response_cut", Upstream;
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// Ours.
    Gateway,
    /// The service's.
    Upstream,
}

/// May the request be sent again after this fault (RFC 9110 §9.2.2)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// No: an answer has begun, or the fault would only repeat itself.
    Never,
    /// If it is idempotent: the peer may have acted on it.
    IfIdempotent,
    /// Yes: the peer cannot have seen it.
    Always,
}

/// One failure on the path of a request.
#[derive(Debug)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whether another try is allowed.
    pub replay: Replay,
    /// What was tried and with what, for the log; never sent to a client whole.
    pub detail: String,
    /// After how long it may be worth trying again (Retry-After).
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault that allows no replay.
    #[cold]
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, replay: Replay::Never, detail: detail.into(), retry_after: None, source: None }
    }

    /// With its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With leave to try again.
    #[must_use]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = replay;
        self
    }

    /// With a time after which it may be worth trying again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The whole chain in one line, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

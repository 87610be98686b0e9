//! Whom to tell: a receiver's URL taken apart, and what is sent with every export.

use crate::figures::Signal;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use http::{Method, Request, Uri};
use monitor::settings::{Otlp, Protocol};
use std::fmt;

/// A receiver.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Is TLS spoken?
    pub secure: bool,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
    authority: String,
    base: String,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Why nothing can be sent there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL.
    #[error("{url:?} is no URL of an OTLP receiver: write http://host:4317 or https://host:4317")]
    Url {
        /// What was given.
        url: String,
    },
    /// A password in the URL.
    #[error("credentials do not belong into the URL of an OTLP receiver: put them into `fields`")]
    Credentials,
    /// A field that cannot be sent.
    #[error(
        "{name:?} of the fields for the OTLP receiver cannot be sent: no name or value of HTTP"
    )]
    Field {
        /// Its name.
        name: String,
    },
}

impl Receiver {
    /// The one that settings name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(settings: &Otlp) -> Result<Self, AddressError> {
        let wrong = || AddressError::Url { url: settings.url.clone() };
        let uri: Uri = settings.url.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Credentials);
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let field = |(name, value): &(String, String)| {
            let wrong = || AddressError::Field { name: name.clone() };
            let mut told = HeaderValue::from_str(value).map_err(|_| wrong())?;
            told.set_sensitive(true);
            Ok((name.parse::<HeaderName>().map_err(|_| wrong())?, told))
        };
        Ok(Self {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            protocol: settings.protocol,
            authority: authority.as_str().to_owned(),
            base: uri.path().trim_end_matches('/').to_owned(),
            fields: settings.fields.iter().map(field).collect::<Result<_, _>>()?,
        })
    }

    /// Where a signal goes.
    fn path(&self, signal: Signal) -> String {
        match (self.protocol, signal) {
            (Protocol::Http, signal) => format!("{}/v1/{}", self.base, signal.name()),
            // gRPC's paths are the service's and the method's names; a proxy may want one before.
            (Protocol::Grpc, Signal::Metrics) => {
                format!(
                    "{}/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                    self.base
                )
            }
            (Protocol::Grpc, Signal::Traces) => {
                format!("{}/opentelemetry.proto.collector.trace.v1.TraceService/Export", self.base)
            }
        }
    }

    /// A request that brings it a signal.
    pub(crate) fn request<B>(&self, signal: Signal, body: B) -> Result<Request<B>, http::Error> {
        let grpc = self.protocol == Protocol::Grpc;
        let path = self.path(signal);
        let scheme = if self.secure { "https" } else { "http" };
        let authority = &self.authority;
        // HTTP/2 takes scheme and authority from the target, HTTP/1.1 from the Host.
        let uri = if grpc { format!("{scheme}://{authority}{path}") } else { path };
        let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
        let mut request = Request::builder().method(Method::POST).uri(uri);
        request = request.header(CONTENT_TYPE, kind);
        request =
            if grpc { request.header(TE, "trailers") } else { request.header("host", authority) };
        request = request.header("user-agent", concat!("fleetfoot/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        request.body(body)
    }
}

/// For complaints: without fields, which may be secret.
impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(url: &str, protocol: Protocol) -> Otlp {
        Otlp {
            url: url.to_owned(),
            protocol,
            fields: Vec::new(),
            every: Duration::from_secs(10),
            metrics: true,
            traces: true,
            service: "fleetfoot".to_owned(),
        }
    }

    #[test]
    fn urls_say_where() {
        let check = |url: &str, protocol| {
            let receiver = Receiver::of(&settings(url, protocol)).map_err(|e| e.to_string())?;
            let uri =
                receiver.request(Signal::Traces, ()).map_err(|e| e.to_string())?.uri().to_string();
            Ok::<_, String>((receiver.host, receiver.port, uri))
        };
        let ok = |host: &str, port, uri: &str| Ok((host.to_owned(), port, uri.to_owned()));
        assert_eq!(check("http://a:4318", Protocol::Http), ok("a", 4318, "/v1/traces"));
        assert_eq!(check("https://a/otlp/", Protocol::Http), ok("a", 443, "/otlp/v1/traces"));
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let uri = format!("http://[::1]:4317{path}");
        assert_eq!(check("http://[::1]:4317", Protocol::Grpc), ok("::1", 4317, &uri));
        for wrong in ["", "a:4317", "ftp://a", "http://", "http://user:word@a:1", "http://a b"] {
            assert!(check(wrong, Protocol::Http).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_must_be_fields_and_are_not_shown() {
        let mut settings = settings("http://a:1", Protocol::Http);
        settings.fields = vec![("authorization".to_owned(), "Bearer secret".to_owned())];
        let receiver = Receiver::of(&settings).unwrap();
        assert!(!format!("{receiver} {receiver:?}").contains("secret"));
        let request = receiver.request(Signal::Metrics, ()).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        settings.fields = vec![("a b".to_owned(), String::new())];
        assert!(matches!(Receiver::of(&settings), Err(AddressError::Field { .. })));
        settings.fields = vec![("a".to_owned(), "b\r\nc: d".to_owned())];
        assert!(matches!(Receiver::of(&settings), Err(AddressError::Field { .. })));
    }
}

//! What the Cache-Status field says of one request (RFC 9211).

use super::write_number;

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method.
    Method,
    /// Nothing under its URI.
    UriMiss,
    /// Nothing for its selecting fields.
    VaryMiss,
    /// Nothing that could be used.
    Miss,
    /// Its own directives.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored lacks bytes.
    Partial,
}

impl Forward {
    /// Its token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// One member of Cache-Status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the request went forward; `None` is a hit.
    pub forward: Option<Forward>,
    /// The status that came back, where it is not the one that is sent on.
    pub forward_status: Option<u16>,
    /// Was the answer stored?
    pub stored: bool,
    /// Did the request wait for another's?
    pub collapsed: bool,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// More, as a token: a [`super::Reason`], a tier.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Answered from the store, with so many seconds of freshness left.
    pub const fn hit(ttl: i64) -> Self {
        let mut status = Self::forwarded(Forward::Miss);
        status.forward = None;
        status.ttl = Some(ttl);
        status
    }

    /// Went forward.
    pub const fn forwarded(forward: Forward) -> Self {
        Self {
            forward: Some(forward),
            forward_status: None,
            stored: false,
            collapsed: false,
            ttl: None,
            detail: None,
        }
    }

    /// Appends the member as `name; hit; …`: the whole value of a field line of its own.
    pub fn write(&self, name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        match self.forward {
            None => out.extend_from_slice(b"; hit"),
            Some(forward) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(forward.name().as_bytes());
            }
        }
        if let Some(status) = self.forward_status {
            out.extend_from_slice(b"; fwd-status=");
            write_number(out, status.into());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(if ttl < 0 { b"; ttl=-" } else { b"; ttl=" });
            write_number(out, ttl.unsigned_abs());
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }
}

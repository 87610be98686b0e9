//! The pages of the origin: what is asked for, and the bytes that answer it.
//!
//! A page's body is the letters `a` to `w` over and over, so that 23 divides no power of two and a
//! shifted or repeated buffer shows. `bench/run` builds the same bytes by the same rule. What lies at
//! `/p/` may not be cached; what lies at `/c/` may, for an hour from when the origin started.

use std::str::FromStr;

use base::Moment;
use cache::policy::date;

/// A page of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/p/1k`: 1,024 bytes.
    OneKib,
    /// `/p/10k`: 10,240 bytes.
    TenKib,
    /// `/c/1k`: 1,024 bytes that may be cached.
    CachedOneKib,
    /// `/c/10k`: 10,240 bytes that may be cached.
    CachedTenKib,
}

impl Page {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OneKib, Self::TenKib, Self::CachedOneKib, Self::CachedTenKib];

    /// The path it lives at.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OneKib => "/p/1k",
            Self::TenKib => "/p/10k",
            Self::CachedOneKib => "/c/1k",
            Self::CachedTenKib => "/c/10k",
        }
    }

    /// Length of the body in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::OneKib | Self::CachedOneKib => 1024,
            Self::TenKib | Self::CachedTenKib => 10 * 1024,
        }
    }

    /// The body.
    pub fn body(self) -> Vec<u8> {
        (b'a'..=b'w').cycle().take(self.size()).collect()
    }

    /// Whether a cache may keep it.
    pub const fn is_cached(self) -> bool {
        matches!(self, Self::CachedOneKib | Self::CachedTenKib)
    }

    /// The whole response, seven fields and the body; an eighth holds the tags of what may be cached.
    ///
    /// The date of the others is fixed: a date of its own is work for the proxies that make one, not
    /// for the origin.
    pub fn response(self) -> Vec<u8> {
        let size = self.size();
        let mut response = b"HTTP/1.1 200 OK\r\nDate: ".to_vec();
        if self.is_cached() {
            date::write(Moment::now().wall_ms(), &mut response);
        } else {
            response.extend(b"Tue, 24 Nov 2026 05:00:00 GMT");
        }
        let rules = if self.is_cached() {
            "max-age=3600\r\nSurrogate-Key: pages page-1"
        } else {
            "no-store"
        };
        response.extend(
            format!(
                "\r\nServer: origin\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {size}\r\n\
                 Last-Modified: Mon, 23 Nov 2026 05:00:00 GMT\r\n\
                 ETag: \"page-{size}\"\r\n\
                 Cache-Control: {rules}\r\n\r\n"
            )
            .into_bytes(),
        );
        response.extend(self.body());
        response
    }

    /// What a client sends for it.
    pub fn request(self, host: &str) -> Vec<u8> {
        let path = self.path();
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lg\r\nAccept: */*\r\n\
             Accept-Encoding: gzip\r\n\r\n"
        )
        .into_bytes()
    }
}

impl FromStr for Page {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|page| page.path() == path)
            .ok_or_else(|| format!("the origin has {}", Self::ALL.map(Self::path).join(", ")))
    }
}

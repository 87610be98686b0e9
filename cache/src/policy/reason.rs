//! Why an answer came from the service, or was not kept: one named reason each.

use super::status::Forward;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident = $text:literal => $forward:ident),* $(,)?) => {
        /// Why something was forwarded, revalidated or not stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])+ $variant),* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its text for the log, the metric's label and the detail of Cache-Status: a token.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Is there something stored that could have answered in its time?
            pub const fn is_stale(self) -> bool {
                matches!(self.forward(), Forward::Stale | Forward::Request)
            }

            /// What Cache-Status calls a request that was forwarded for it (RFC 9211 §2.2).
            pub const fn forward(self) -> Forward {
                match self { $(Self::$variant => Forward::$forward),* }
            }
        }
    };
}

reasons! {
    /// The route does not cache.
    Disabled = "disabled" => Bypass,
    /// Only GET and HEAD are looked up.
    Method = "method" => Method,
    /// The request brings a body: nothing in the key tells one body from another.
    Body = "body" => Bypass,
    /// The request asks for another protocol.
    Upgrade = "upgrade" => Bypass,
    /// The request has a cookie that goes past the cache.
    Cookie = "cookie" => Bypass,
    /// The request says `no-store`.
    RequestNoStore = "request-no-store" => Request,
    /// If-Match and If-Unmodified-Since are for the origin alone (RFC 9111 §4.3.2).
    Condition = "condition" => Bypass,
    /// Nothing is stored under the key.
    Absent = "absent" => UriMiss,
    /// What is stored was selected by other request fields.
    Variant = "variant" => VaryMiss,
    /// What is stored may not be used for a request like this one.
    Unshared = "unshared" => Miss,
    /// What is stored is stale.
    Stale = "stale" => Stale,
    /// What is stored must be validated before each use.
    NoCache = "no-cache" => Stale,
    /// Others may have purged what is stored: they cannot be heard.
    Doubt = "doubt" => Stale,
    /// The client asks for validation, and the route obeys.
    Reload = "reload" => Request,
    /// What is stored was purged.
    Purged = "purged" => Miss,
    /// Answers with this status are never stored.
    Status = "status" => Miss,
    /// The answer says `must-understand` and we do not know its status.
    NotUnderstood = "not-understood" => Miss,
    /// The answer says `no-store`.
    NoStore = "no-store" => Miss,
    /// The answer is for one client.
    Private = "private" => Miss,
    /// The request was authorised, and the answer does not permit sharing (RFC 9111 §3.5).
    Authorization = "authorization" => Miss,
    /// The answer sets a cookie.
    SetCookie = "set-cookie" => Miss,
    /// The answer varies by more than a request says: `Vary: *`.
    VaryAny = "vary-any" => Miss,
    /// The answer varies by a field that differs from client to client.
    VaryField = "vary-field" => Miss,
    /// Vary has too many names, or illegal ones.
    VaryIllegal = "vary-illegal" => Miss,
    /// The answer varies by Accept-Encoding and has a coding that we do not know.
    Coding = "coding" => Miss,
    /// Nothing says how long the answer is fresh.
    NoFreshness = "no-freshness" => Miss,
    /// The answer is stale on arrival and cannot be validated.
    Expired = "expired" => Miss,
    /// A part that does not say which part it is, or that nobody asked for.
    ContentRange = "content-range" => Miss,
    /// Too many tags, or one too long: a purge would miss the entry.
    Tags = "tags" => Miss,
    /// Larger than what is stored.
    TooLarge = "too-large" => Miss,
    /// A HEAD is answered from what is stored for GET, and from nothing else.
    Head = "head" => Miss,
    /// The service was asked for other fields than the key counts: they do not cross the hop.
    Tainted = "tainted" => Miss,
}

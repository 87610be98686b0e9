//! What can make requests slow, each by its name, and what to do about it.

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $weight:literal, $title:literal, $next:literal;)*) => {
        /// Why requests are slow, or fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[doc = $doc])* $variant),* }

        impl Cause {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in JSON, documents and tests.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// A few words for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What to do about it.
            pub const fn next(self) -> &'static str {
                match self { $(Self::$variant => $next),* }
            }

            /// How much more specific its evidence is than that of others who claim the same time.
            pub(super) const fn weight(self) -> f64 {
                match self { $(Self::$variant => $weight),* }
            }
        }
    };
}

causes! {
    /// One server takes longer than its peers for the same.
    SlowServer = "slow-server", 1.2, "One server is slower than its peers",
        "Look at that server: its CPU, its disk, who else runs there. Until it is well, \
         `balance.eject` and `hedge` of the service keep requests off it; its `weight` gives it less.";
    /// One server stands still from time to time.
    StallingServer = "stalling-server", 1.3, "One server stands still from time to time",
        "Look for garbage collection, compaction, backups or a lock on that server, by the times named \
         here. `hedge` of the service asks another server meanwhile.";
    /// One route takes much longer than the others.
    SlowRoute = "slow-route", 1.0, "One route is slow at its service",
        "Look at what this route asks of its database: most often a query without an index. \
         If its answers can be shared, `cache` on the route.";
    /// Some things asked for take longer than others of the same route.
    HeavyKeys = "heavy-keys", 1.1, "A few things asked for are heavy",
        "Look at what these have in common (size, number of rows); answer them in pages, compute them \
         ahead, or keep them longer: a longer `ttl` in the `cache` of a route of their own.";
    /// Many wait for one thing that has just expired.
    KeyStampede = "key-stampede", 1.5, "A crowd waits for one thing that has expired",
        "Serve it stale while it is fetched anew: `stale` of the route's `cache` (or \
         stale-while-revalidate in the service's Cache-Control), `early`, and a longer `ttl`.";
    /// The cache does not have what is asked for yet.
    ColdCache = "cold-cache", 1.0, "The cache is cold",
        "It warms by itself. `cache.disk` and `cache.redis` keep it over restarts; soft purges keep \
         serving what they purge until it has been fetched anew.";
    /// Requests wait for a connection to the service, or get none.
    SmallPool = "small-pool", 1.3, "Too few connections to the service are allowed",
        "Raise `connections_max` of the service, or speak HTTP/2 to it (`http`): many requests share \
         one connection.";
    /// Requests wait to be let in, though the service is well.
    SmallLimit = "small-limit", 1.0, "Requests wait to be let in to the service",
        "Raise `limit.least` or `limit.most` of the service; if its servers are busy, add some.";
    /// Connections to the service are made anew for most requests.
    NoKeepAlive = "no-keep-alive", 1.2, "Connections to the service are not kept",
        "Let the server keep connections alive, for longer than `idle_time` of the service: look for \
         `Connection: close` and short keep-alive limits there.";
    /// Making a connection takes long.
    SlowConnect = "slow-connect", 1.3, "Making a connection to the service takes long",
        "Look at the part named: a resolver that is far or overloaded (name addresses instead), a server \
         whose backlog is full, a distant region. `idle_time` keeps connections for longer.";
    /// Clients take large answers slowly.
    SlowClients = "slow-clients", 1.0, "Clients take large answers slowly",
        "Make answers smaller: let the service compress text, send images in the size shown, in pages. \
         A nearer cache helps clients far away.";
    /// Clients send their requests slowly.
    SlowUploads = "slow-uploads", 1.0, "Clients send their requests slowly",
        "Nothing here can hasten a client; smaller uploads or a nearer entrance do. `limits.body_pause` \
         bounds how long one may take.";
    /// One request makes many calls, one after another.
    SerialCalls = "serial-calls", 1.5, "One request makes many calls, one after another",
        "Ask for all of them in one call, or at the same time: it is N+1 over the network. Caching the \
         route that is called takes the sting out meanwhile.";
    /// Failed requests are sent again, to a service that has too many already.
    RetryStorm = "retry-storm", 2.0, "Retries load a service that is overloaded",
        "Lower `retry.attempts` and `retry.budget` of the service, and set `limit` to `enforce`, so \
         that what is too much is refused at once; then add servers.";
    /// More is asked than the service can do.
    Overload = "overload", 1.2, "The service is asked for more than it can do",
        "Add servers, cache what can be shared, and set `limit` to `enforce`: it refuses what would only wait.";
    /// One server fails more than its peers.
    FailingServer = "failing-server", 1.5, "One server fails more than its peers",
        "Look at that server's log. `balance.eject` and `health` of the service take it out while it fails.";
    /// The service fails.
    FailingService = "failing-service", 1.2, "The service fails",
        "Look at the service's log. `stale_error` of the route's `cache` serves what is stored meanwhile.";
    /// Something that all servers share is saturated.
    SharedBackend = "shared-backend", 0.9, "What all servers share is saturated",
        "Adding servers will not help: relieve the database (or whatever they share) by an index, a larger \
         pool, a replica, or by caching what is asked of it most.";
    /// All servers are at the end of what they can do.
    BusyServers = "busy-servers", 0.9, "Every server is busy",
        "Add servers, or cache what can be shared; `limit = \"enforce\"` keeps the wait short meanwhile.";
    /// The gateway itself has not enough CPU.
    BusyGateway = "busy-gateway", 1.6, "The gateway is short of CPU",
        "Give it more cores (`threads`) or fewer neighbours; look whether TLS handshakes or a CPU limit of \
         its container are behind it.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_apart() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}

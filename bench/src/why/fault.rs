//! The fourteen faults: what is wrong, what the gateway is set to, what clients ask for.

use std::net::SocketAddr;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $variant:ident = $cause:literal, $text:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[doc = $doc])* $variant),* }

        impl Fault {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The cause that has to be named.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause),* }
            }

            /// It in a few words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

faults! {
    /// One of four servers takes five times as long.
    SlowServer = "slow-server", "one slow instance";
    /// `/search` takes 150 ms more.
    SlowRoute = "slow-route", "one route without index";
    /// A quarter asks for one thing that takes 400 ms and expires every 3 s.
    Stampede = "key-stampede", "hot key at expiry";
    /// All is purged; each thing takes 80 ms.
    ColdCache = "cold-cache", "cold cache";
    /// One connection to each server.
    SmallPool = "small-pool", "pool too small";
    /// Servers close every connection; answers are quick.
    NoKeepAlive = "no-keep-alive", "no keep-alive";
    /// One client in ten reads 4 MB slowly.
    SlowClients = "slow-clients", "large bodies, slow clients";
    /// One request in fifteen makes 15 calls one after another.
    Serial = "serial-calls", "N+1 serial calls";
    /// One server stands still for 200 ms every 1.5 s.
    Stalls = "stalling-server", "stalls of one instance";
    /// Servers do 30 requests a second each and refuse the rest, and the gateway tries again.
    RetryStorm = "retry-storm", "retry storm under overload";
    /// Servers accept slowly, with no backlog to speak of, and close one connection in eight.
    SlowConnect = "slow-connect", "slow connect";
    /// Five of two hundred things take 200 ms more.
    HeavyKeys = "heavy-keys", "heavy keys";
    /// All servers ask one database, which does two things at once, 10 ms each.
    SharedDb = "shared-backend", "shared database saturated";
    /// Others want the gateway's core.
    BusyGateway = "busy-gateway", "gateway short of CPU";
}

impl Fault {
    /// The settings of the gateway with this fault, or without one.
    pub fn settings(
        fault: Option<Self>,
        caches: bool,
        servers: &[SocketAddr],
        front: SocketAddr,
    ) -> String {
        let urls: Vec<String> = servers.iter().map(|at| format!("\"http://{at}\"")).collect();
        let service = match fault {
            Some(Self::SmallPool) => "connections_max = 1\nretry = { attempts = 1 }",
            Some(Self::RetryStorm) => {
                "balance = { eject = false }\nretry = { attempts = 2, budget = \"100%\" }"
            }
            Some(Self::SlowConnect) => "connect_time = \"8s\"",
            // Else the slow and the still are left out before they matter: `bench/tail` is about that.
            _ => "balance = { policy = \"least-request\", eject = false }",
        };
        let caches = caches || Self::caches(fault);
        let cache = if caches { "[cache]\nearly = false" } else { "[cache]\nenabled = false" };
        format!(
            "threads = 1\ngrace = \"0s\"\n{cache}\n\
             [service.shop]\nservers = [{}]\n{service}\n\
             [service.front]\nservers = [\"http://{front}\"]\n\
             [[route]]\nmatch = \"/items/*\"\nname = \"items\"\nto = \"shop\"\n\
             [[route]]\nmatch = \"/list/*\"\nname = \"list\"\nto = \"shop\"\n\
             [[route]]\nmatch = \"/search/*\"\nname = \"search\"\nto = \"shop\"\n\
             [[route]]\nmatch = \"/page/*\"\nname = \"page\"\nto = \"front\"\n",
            urls.join(", ")
        )
    }

    /// Whether what servers say can be stored.
    pub fn caches(fault: Option<Self>) -> bool {
        matches!(fault, Some(Self::Stampede | Self::ColdCache))
    }

    /// Requests a second.
    pub fn rate(fault: Option<Self>) -> f64 {
        match fault {
            Some(Self::SharedDb) => 185.0,
            Some(Self::RetryStorm) => 150.0,
            Some(Self::SmallPool) => 300.0,
            Some(Self::Serial) => 80.0,
            _ => 160.0,
        }
    }

    /// What the next request is for.
    pub fn target(fault: Option<Self>) -> String {
        let key = || {
            // The first ones more often.
            let rank = 200_f64.powf(fastrand::f64());
            format!("{rank:.0}")
        };
        match fault {
            Some(Self::Stampede) if fastrand::f64() < 0.25 => "/items/hot".to_owned(),
            Some(Self::Serial) if fastrand::f64() < 0.07 => format!("/page/{}", key()),
            Some(Self::SlowClients) if fastrand::f64() < 0.1 => "/items/large".to_owned(),
            Some(Self::HeavyKeys) if fastrand::f64() < 0.04 => {
                format!("/items/heavy{}", fastrand::u32(0..5))
            }
            _ => match fastrand::f64() {
                x if x < 0.55 => format!("/items/{}", key()),
                x if x < 0.85 => format!("/list/{}", key()),
                _ => format!("/search/{}", key()),
            },
        }
    }
}

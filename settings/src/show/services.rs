//! A service, and what a route says beside caching.

use super::File;
use crate::lower::rates::{period, standard_name};
use balance::settings::{Eject, HashBy, Policy, Spot};
use base::Share;
use service::settings::{
    Check, CheckKind, Class, Discipline, Discover, HostRule, Http, Limit, LimitMode, Rate, RateBy,
    Retry, Scheme, Settings, Source, url,
};
use std::path::Path;
use wire::settings::Trust;

impl File {
    pub(super) fn service(&mut self, service: &Settings) {
        let header = |file: &mut Self, name: &str| {
            file.header(&format!("[service.{}{name}]", service.name));
        };
        header(self, "");
        self.servers(&service.servers);
        self.connections(service);
        if service.check.is_none() {
            self.plain("health", &false);
        }
        match &service.hedge {
            Some(hedge) => self.text("hedge", &hedge.extra),
            None => self.plain("hedge", &false),
        }
        if let Some(discover) = &service.discover {
            header(self, ".discover");
            self.discover(discover);
        }
        header(self, ".balance");
        self.balance(&service.balance);
        header(self, ".balance.eject");
        self.eject(&service.balance.eject);
        if let Some(check) = &service.check {
            header(self, ".health");
            self.check(check);
        }
        header(self, ".retry");
        self.retry(&service.retry);
        header(self, ".limit");
        self.limit(&service.limit);
        header(self, ".tls");
        match &service.tls.trust {
            Trust::System => self.text("trust", &"system"),
            Trust::File(path) => self.path("trust", path),
        }
        if let Some(name) = &service.tls.name {
            self.text("name", &super::bracketed(name));
        }
    }

    fn servers(&mut self, spots: &[Spot]) {
        if spots.is_empty() {
            return; // They are discovered.
        }
        let spots: Vec<_> = spots.iter().map(spot).collect();
        self.line(format_args!("servers = [{}]", spots.join(", ")));
    }

    fn connections(&mut self, service: &Settings) {
        match &service.host {
            HostRule::Client => self.text("host", &"client"),
            HostRule::Server => self.text("host", &"server"),
            HostRule::Fixed(name) => self.text("host", name),
        }
        let http = match service.http {
            Http::Auto => "auto",
            Http::One => "1",
            Http::Two => "2",
        };
        self.text("http", &http);
        self.time("connect_time", service.connect_time);
        self.time("first_byte_time", service.first_byte_time);
        self.time("total_time", service.total_time);
        self.time("idle_time", service.idle_time);
        self.plain("idle_max", &service.idle_max);
        self.plain("connections_max", &service.connections_max);
        self.plain("prewarm", &service.prewarm);
    }

    fn discover(&mut self, discover: &Discover) {
        let mut path = |key: &str, path: Option<&Path>| {
            if let Some(path) = path {
                self.path(key, path);
            }
        };
        match &discover.from {
            Source::File(file) => path("file", Some(file)),
            Source::Name(server) => self.text("name", &url(server)),
            Source::Srv { scheme, name } => {
                self.text("srv", name);
                self.text("scheme", &scheme_word(*scheme));
            }
            Source::Kubernetes { api, namespace, service, port, scheme, token, trust } => {
                path("token", token.as_deref());
                path("trust", trust.as_deref());
                self.text("kubernetes", service);
                self.text("scheme", &scheme_word(*scheme));
                for (key, value) in [("api", api), ("namespace", namespace), ("port", port)] {
                    if let Some(value) = value {
                        self.text(key, value);
                    }
                }
            }
        }
        self.time("every", discover.every);
        self.plain("servers_max", &discover.servers_max);
    }

    fn balance(&mut self, balance: &balance::settings::Settings) {
        let policy = match &balance.policy {
            Policy::PeakEwma => "peak-ewma",
            Policy::LeastRequest => "least-request",
            Policy::RoundRobin => "round-robin",
            Policy::Random => "random",
            Policy::Hash(_) => "hash",
            Policy::HotCold => "hot-cold",
        };
        self.text("policy", &policy);
        if let Policy::Hash(hash) = &balance.policy {
            let by = match &hash.by {
                HashBy::Header(name) => format!("header:{name}"),
                HashBy::Cookie(name) => format!("cookie:{name}"),
                HashBy::Parameter(name) => format!("parameter:{name}"),
                HashBy::Path => "path".to_owned(),
                HashBy::Client => "client".to_owned(),
            };
            self.text("by", &by);
            self.text("bound", &hash.bound);
        }
        self.time("slow_start", balance.slow_start);
        self.text("slow_start_least", &balance.slow_start_least);
        self.time("penalty", balance.penalty);
        self.text("panic", &balance.panic);
        self.time("zone_cost", balance.zone_cost);
        if let Some(subset) = balance.subset {
            self.plain("subset", &subset);
        }
    }

    fn eject(&mut self, eject: &Eject) {
        self.plain("failures", &eject.failures);
        for (key, share) in [("success", eject.success), ("slow", eject.slow)] {
            if share == Share(0) {
                self.plain(key, &false);
            } else {
                self.text(key, &share);
            }
        }
        self.time("time", eject.time);
        self.time("time_max", eject.time_max);
        self.text("most", &eject.most);
    }

    fn check(&mut self, check: &Check) {
        match &check.kind {
            CheckKind::Http { path, statuses: (from, to) } => {
                self.text("path", path);
                self.text("statuses", &format!("{from}-{to}"));
            }
            CheckKind::Grpc(service) => self.text("grpc", service),
            CheckKind::Tcp => self.plain("tcp", &true),
        }
        self.time("every", check.every);
        self.time("time", check.time);
        self.plain("healthy", &check.healthy);
        self.plain("unhealthy", &check.unhealthy);
    }

    fn retry(&mut self, retry: &Retry) {
        self.plain("attempts", &retry.attempts);
        let statuses: Vec<_> = retry.statuses.iter().map(u16::to_string).collect();
        self.line(format_args!("statuses = [{}]", statuses.join(", ")));
        self.text("budget", &retry.budget);
        self.plain("reserve", &retry.reserve);
        if let Some(try_time) = retry.try_time {
            self.time("try_time", try_time);
        }
        self.text("body_max", &retry.body_max);
        self.time("backoff", retry.backoff);
    }

    fn limit(&mut self, limit: &Limit) {
        let mode = match limit.mode {
            LimitMode::Off => "off",
            LimitMode::Observe => "observe",
            LimitMode::Enforce => "enforce",
        };
        self.text("mode", &mode);
        self.plain("start", &limit.start);
        self.plain("least", &limit.least);
        self.plain("most", &limit.most);
        let queue = match limit.queue {
            Discipline::AdaptiveLifo => "adaptive-lifo",
            Discipline::CoDel => "codel",
            Discipline::Fifo => "fifo",
        };
        self.text("queue", &queue);
        self.plain("queue_max", &limit.queue_max);
        self.time("queue_time", limit.queue_time);
    }

    /// `class` of a route.
    pub(super) fn class(&mut self, class: Class, field: Option<&str>) {
        let class = match class {
            Class::Critical => "critical",
            Class::Normal => "normal",
            Class::Background => "background",
        };
        match field {
            Some(field) => {
                let field = super::quoted(field);
                self.line(format_args!("class = {{ default = \"{class}\", field = {field} }}"));
            }
            None => self.text("class", &class),
        }
    }

    /// `rate` of a route.
    pub(super) fn rates(&mut self, rates: &[Rate]) {
        if rates.is_empty() {
            return;
        }
        let rates: Vec<_> = rates.iter().map(rate).collect();
        self.line(format_args!("rate = [{}]", rates.join(", ")));
    }
}

fn spot(spot: &Spot) -> String {
    let url = super::quoted(&url(&spot.server));
    if *spot == Spot::from(spot.server.clone()) {
        return url;
    }
    let zone = spot.zone.as_ref().map(|zone| format!(", zone = {}", super::quoted(zone)));
    let (weight, priority) = (spot.weight, spot.priority);
    let zone = zone.unwrap_or_default();
    format!("{{ url = {url}, weight = {weight}, priority = {priority}{zone} }}")
}

fn scheme_word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn rate(rate: &Rate) -> String {
    let by = match &rate.by {
        RateBy::Client => "client".to_owned(),
        RateBy::Route => "route".to_owned(),
        RateBy::Header(name) => format!("header:{name}"),
    };
    let name = (rate.name != standard_name(&rate.by, rate.per))
        .then(|| format!(", name = {}", super::quoted(&rate.name)));
    format!(
        "{{ limit = \"{}/{}\", burst = {}, by = {}, shared = {}{} }}",
        rate.limit,
        period(rate.per),
        rate.burst,
        super::quoted(&by),
        rate.shared,
        name.unwrap_or_default()
    )
}

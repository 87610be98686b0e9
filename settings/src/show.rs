//! Settings as a file that says all of it: every key, defaults too, in the order of the reference.
//!
//! What [`show`] writes, [`crate::parse`] reads back to equal settings, wherever the file is put:
//! paths are absolute by then, and variables have been put in. Of the cache's rules a route shows
//! those that are not as in `[cache]`. Secrets are not shown: `********` stands in their place, and what
//! would be signed or encrypted with asterisks is not read back before it is put in again.

mod caching;
mod events;
mod monitor;
mod offload;
mod services;

use crate::model::{Pattern, Route, Settings};
use crate::options::duration;
use service::settings::Deadlines;
use std::fmt::{self, Display, Write};
use std::path::Path;
use std::time::Duration;
use wire::settings::{Limits, TlsServer, TlsVersion};

/// The settings in force, as TOML.
pub fn show(settings: &Settings) -> String {
    let mut file = File(String::new());
    let listen: Vec<_> = settings
        .listen
        .iter()
        .map(|one| format!("{}{}", if one.tls { "https://" } else { "" }, one.address))
        .collect();
    file.texts("listen", &listen);
    match settings.admin {
        Some(admin) => file.text("admin", &admin),
        None => file.plain("admin", &false),
    }
    if let Some(threads) = settings.threads {
        file.plain("threads", &threads);
    }
    file.time("grace", settings.grace);
    // All services have that of the gateway.
    let zone = settings.services.iter().find_map(|service| service.balance.zone.as_ref());
    if let Some(zone) = zone {
        file.text("zone", zone);
    }
    file.limits(&settings.limits);
    if let Some(tls) = &settings.tls {
        file.tls(tls);
    }
    file.header("[forward]");
    file.text("via", &settings.forward.via);
    let trusted = settings.forward.trusted.iter();
    let trusted: Vec<_> = trusted.map(|net| format!("{}/{}", net.address, net.prefix)).collect();
    file.texts("trusted_proxies", &trusted);
    file.plain("x_forwarded", &settings.forward.x_forwarded);
    file.plain("forwarded", &settings.forward.forwarded);
    file.monitor(&settings.monitor);
    file.deadlines(&settings.deadlines);
    if let Some(redis) = &settings.rate_redis {
        file.header("[rate]");
        file.text("redis", &caching::without_password(redis));
    }
    file.cache(&settings.cache);
    if let Some(offload) = &settings.offload {
        file.offload(offload);
    }
    for events in &settings.events {
        file.events(events);
    }
    for service in &settings.services {
        file.service(service);
    }
    for route in &settings.routes {
        file.route(route, &|index| &settings.services[index].name);
        if let Some(publish) = &route.publish {
            file.publish(publish, &settings.events);
        }
        file.changed_rules(&route.cache, &settings.cache.rules);
        if let Some((rule, offload)) = route.offload.as_ref().zip(settings.offload.as_ref()) {
            file.rule(rule, &offload.queues);
        }
    }
    file.0
}

/// How the settings write a percentile: `p99.9`.
pub fn percentile(share: base::Share) -> String {
    crate::lower::monitor::percentile_name(share)
}

/// How the settings write a length of time: `1m30s`.
pub fn time(time: Duration) -> String {
    duration(time)
}

/// The text so far.
struct File(String);

impl File {
    fn header(&mut self, header: &str) {
        self.line(format_args!("\n{header}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to a string does not fail");
    }

    /// A number or a truth.
    fn plain(&mut self, key: &str, value: &dyn Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn text(&mut self, key: &str, value: &dyn Display) {
        self.line(format_args!("{key} = {}", quoted(&value.to_string())));
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        self.line(format_args!("{key} = [{}]", values.join(", ")));
    }

    fn time(&mut self, key: &str, value: Duration) {
        self.text(key, &duration(value));
    }

    fn path(&mut self, key: &str, path: &Path) {
        self.text(key, &path.display());
    }

    fn limits(&mut self, limits: &Limits) {
        self.header("[limits]");
        self.text("head_bytes", &limits.head_bytes);
        self.plain("fields", &limits.fields);
        self.time("head_time", limits.head_time);
        match limits.body_bytes {
            Some(size) => self.text("body_bytes", &size),
            None => self.text("body_bytes", &"unlimited"),
        }
        self.time("body_pause", limits.body_pause);
        self.time("idle_time", limits.idle_time);
        match limits.requests {
            Some(count) => self.plain("requests", &count),
            None => self.text("requests", &"unlimited"),
        }
        self.plain("connections", &limits.connections);
        self.plain("streams", &limits.streams);
        self.plain("resets", &limits.resets);
    }

    fn tls(&mut self, tls: &TlsServer) {
        self.header("[tls]");
        let minimum = match tls.minimum {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        };
        self.text("minimum", &minimum);
        for files in &tls.certificates {
            self.header("[[tls.certificates]]");
            self.path("chain", &files.chain);
            self.path("key", &files.key);
        }
    }

    fn deadlines(&mut self, deadlines: &Deadlines) {
        self.header("[deadline]");
        match &deadlines.field {
            Some(field) => self.text("field", field),
            None => self.plain("field", &false),
        }
        self.text("shrink", &deadlines.shrink);
        self.time("least", deadlines.least);
    }

    /// A route; `name` is that of a service.
    fn route<'n>(&mut self, route: &Route, name: &dyn Fn(usize) -> &'n String) {
        self.header("[[route]]");
        self.text("match", &route.pattern);
        if route.split.is_empty() {
            self.text("to", name(route.service));
        } else {
            let weight = |(index, weight): &(usize, u32)| format!("{} = {weight}", name(*index));
            let weights: Vec<_> = route.split.iter().map(weight).collect();
            self.line(format_args!("to = {{ {} }}", weights.join(", ")));
        }
        if let Some((index, share)) = route.shadow {
            let to = name(index);
            self.line(format_args!("shadow = {{ to = \"{to}\", share = \"{share}\" }}"));
        }
        self.class(route.class, route.class_field.as_deref());
        self.rates(&route.rates);
        if route.name != Pattern::to_string(&route.pattern) {
            self.text("name", &route.name);
        }
        if let Some(strip) = &route.strip {
            self.text("strip", strip);
        }
        if let Some(prepend) = &route.prepend {
            self.text("prepend", prepend);
        }
        if let Some(timeout) = route.timeout {
            self.time("timeout", timeout);
        }
        if let Some(told) = route.server_timing {
            self.plain("server_timing", &told);
        }
        if let Some(objective) = &route.objective {
            self.objective(objective);
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A TOML string that names no variables.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c))
                    .expect("writing to a string does not fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

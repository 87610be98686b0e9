//! The text of a settings file, put together from the lines a scenario cares about.

use std::fmt;
use std::net::SocketAddr;

/// A settings file: one listener and one admin listener on free ports of the loopback, one service
/// `shop`, one route that sends everything to it. Lines are added section by section.
#[derive(Clone, Debug)]
pub struct Text {
    listen: String,
    top: String,
    limits: String,
    forward: String,
    service: String,
    pattern: String,
    route: String,
    rest: String,
}

impl Text {
    /// For these origins.
    pub fn to(origins: &[SocketAddr]) -> Self {
        let servers: Vec<_> = origins.iter().map(|o| format!("http://{o}")).collect();
        Self::to_servers(&servers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// For these servers, written as URLs.
    pub fn to_servers(servers: &[&str]) -> Self {
        Self {
            listen: "[\"127.0.0.1:0\"]".to_owned(),
            top: String::new(),
            limits: String::new(),
            forward: String::new(),
            service: format!("servers = {servers:?}\n"),
            pattern: "*".to_owned(),
            route: String::new(),
            rest: String::new(),
        }
    }

    /// Listens here instead; `value` is TOML.
    #[must_use]
    pub fn listen(mut self, value: &str) -> Self {
        value.clone_into(&mut self.listen);
        self
    }

    /// A line before all sections.
    #[must_use]
    pub fn top(mut self, line: &str) -> Self {
        add(&mut self.top, line);
        self
    }

    /// A line of `[limits]`.
    #[must_use]
    pub fn limits(mut self, line: &str) -> Self {
        add(&mut self.limits, line);
        self
    }

    /// A line of `[forward]`.
    #[must_use]
    pub fn forward(mut self, line: &str) -> Self {
        add(&mut self.forward, line);
        self
    }

    /// A line of `[service.shop]`.
    #[must_use]
    pub fn service(mut self, line: &str) -> Self {
        add(&mut self.service, line);
        self
    }

    /// What the first route takes instead of everything.
    #[must_use]
    pub fn takes(mut self, pattern: &str) -> Self {
        pattern.clone_into(&mut self.pattern);
        self
    }

    /// A line of the first route.
    #[must_use]
    pub fn route(mut self, line: &str) -> Self {
        add(&mut self.route, line);
        self
    }

    /// Whole sections, put last.
    #[must_use]
    pub fn rest(mut self, text: &str) -> Self {
        add(&mut self.rest, text);
        self
    }
}

fn add(section: &mut String, line: &str) {
    section.push_str(line);
    section.push('\n');
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listen = {}\nadmin = \"127.0.0.1:0\"\n{}", self.listen, self.top)?;
        for (name, lines) in [("limits", &self.limits), ("forward", &self.forward)] {
            if !lines.is_empty() {
                writeln!(f, "[{name}]\n{lines}")?;
            }
        }
        writeln!(f, "[service.shop]\n{}", self.service)?;
        writeln!(f, "[[route]]\nmatch = {:?}\nto = \"shop\"\n{}", self.pattern, self.route)?;
        f.write_str(&self.rest)
    }
}

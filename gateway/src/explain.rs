//! What would happen to a request, and why: `fleetfoot explain METHOD URL`.

use crate::route::{Found, Router, Verdict};
use settings::Settings;
use std::fmt::Write;

/// Explains a request to `url` (absolute, or a path) by these settings.
///
/// # Errors
/// What is wrong with method or URL, and the remedy.
pub fn explain(settings: &Settings, method: &str, url: &str) -> Result<String, String> {
    if !base::field::is_name(method.as_bytes()) {
        return Err(format!("`{method}` is no method; use a token such as GET"));
    }
    let uri: http::Uri = url.parse().map_err(|_| {
        format!("`{url}` is no URL; use a path such as /products/7 or http://host/products/7")
    })?;
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let router = Router::new(&settings.routes);
    let mut out = String::new();
    let (m, h, p) = (method.as_bytes(), host.as_bytes(), path.as_bytes());
    let shown_host = if host.is_empty() { "(any host)" } else { &host };
    let _ = writeln!(out, "{method} {path} at {shown_host}\n");
    let _ = writeln!(out, "routes, the most specific first:");
    for candidate in router.explain(m, h, p) {
        let route = &settings.routes[candidate.route];
        let why = match candidate.verdict {
            Verdict::Wins => "takes it",
            Verdict::LessSpecific => "would take it, but a more specific route does",
            Verdict::Host => "another host",
            Verdict::Path => "another path",
            Verdict::Method => "another method",
        };
        let mark = if candidate.verdict == Verdict::Wins { '>' } else { ' ' };
        let _ = writeln!(out, "{mark} {:<40} {why}", route.pattern.to_string());
    }
    match router.find(m, h, p) {
        Found::Route(index) => explain_route(&mut out, settings, &router, index, path),
        Found::NoRoute => out.push_str("\nanswer: 404, reason no_route\n"),
        Found::MethodNotAllowed(allow) => {
            let _ = writeln!(out, "\nanswer: 405, reason method_not_allowed, Allow: {allow}");
        }
    }
    Ok(out)
}

fn explain_route(out: &mut String, settings: &Settings, router: &Router, index: usize, path: &str) {
    let route = &settings.routes[index];
    let service = &settings.services[route.service];
    let _ = writeln!(out, "\nroute:    {}", route.name);
    for (name, value) in router.parameters(index, path.as_bytes()) {
        let _ = writeln!(out, "          {{{name}}} = {}", value.escape_ascii());
    }
    if let Some(strip) = &route.strip {
        let _ = writeln!(out, "          {strip} is taken off the path");
    }
    if let Some(prepend) = &route.prepend {
        let _ = writeln!(out, "          {prepend} is put before the path");
    }
    let _ = writeln!(out, "service:  {}, servers in turn:", service.name);
    for server in &service.servers {
        let _ = writeln!(out, "          {}", service::settings::url(server));
    }
    let total = route.timeout.unwrap_or(service.total_time);
    let _ = writeln!(
        out,
        "patience: {:?} to connect, {:?} to the first byte, {total:?} in all",
        service.connect_time, service.first_byte_time
    );
}

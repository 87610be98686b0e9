//! What would happen to a request, and why: `fleetfoot explain METHOD URL`.

use crate::route::{Found, Router, Verdict};
use balance::settings::Policy;
use base::{Fields, ResponseHead};
use cache::policy::{self, Admission, Origin, Query};
use cache::settings::{Profile, Rules};
use service::settings::Settings as ServiceSettings;
use settings::{Route, Settings};
use std::fmt::Write;
use std::time::Duration;

/// The request that is explained.
struct Asked<'a> {
    method: &'a [u8],
    origin: Origin<'a>,
    path: &'a [u8],
    /// Path and query.
    target: &'a [u8],
}

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
        Found::Route(index) => {
            let authority = uri.authority().map_or("HOST", http::uri::Authority::as_str);
            let scheme = uri.scheme_str().unwrap_or("http");
            let target = uri.path_and_query().map_or(path, http::uri::PathAndQuery::as_str);
            let origin = Origin { scheme: scheme.as_bytes(), host: authority.as_bytes() };
            let asked = Asked { method: m, origin, path: p, target: target.as_bytes() };
            explain_route(&mut out, settings, &router, index, &asked);
        }
        Found::NoRoute => out.push_str("\nanswer: 404, reason no_route\n"),
        Found::MethodNotAllowed(allow) => {
            let _ = writeln!(out, "\nanswer: 405, reason method_not_allowed, Allow: {allow}");
        }
    }
    Ok(out)
}

fn explain_route(
    out: &mut String,
    settings: &Settings,
    router: &Router,
    index: usize,
    asked: &Asked<'_>,
) {
    let route = &settings.routes[index];
    let service = &settings.services[route.service];
    let _ = writeln!(out, "\nroute:    {}", route.name);
    for (name, value) in router.parameters(index, asked.path) {
        let _ = writeln!(out, "          {{{name}}} = {}", value.escape_ascii());
    }
    if let Some(strip) = &route.strip {
        let _ = writeln!(out, "          {strip} is taken off the path");
    }
    if let Some(prepend) = &route.prepend {
        let _ = writeln!(out, "          {prepend} is put before the path");
    }
    explain_service(out, settings, route, service);
    let total = route.timeout.unwrap_or(service.total_time);
    let _ = writeln!(
        out,
        "patience: {:?} to connect, {:?} to the first byte, {total:?} in all",
        service.connect_time, service.first_byte_time
    );
    let parameters: Vec<_> = router.parameters(index, asked.path).collect();
    explain_cache(out, &route.cache, asked, &parameters);
}

/// What the cache does for this route. What the request's fields and cookies would change is not
/// known here, and only named.
fn explain_cache(out: &mut String, rules: &Rules, asked: &Asked<'_>, parameters: &[(&str, &[u8])]) {
    let fields = Fields::new();
    let query = Query { method: asked.method, fields: &fields, has_body: false, upgrade: false };
    if let Admission::Bypass(reason) = policy::admit(&query, rules) {
        let _ = writeln!(out, "cache:    goes past the store, reason {}", reason.name());
        return;
    }
    let mut text = Vec::new();
    policy::key(asked.origin, asked.target, &query, rules, 0, &mut text);
    // What fields and cookies add stands on lines of its own.
    let spot = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let _ = writeln!(out, "cache:    key {}", spot.escape_ascii());
    for (what, names) in [
        ("and the field", &rules.key.fields),
        ("and the cookie", &rules.key.cookies),
        ("goes past the store with a cookie", &rules.bypass_cookies),
        ("is stored without the cookie", &rules.drop_cookies),
        ("may vary by the field", &rules.vary),
    ] {
        for name in names {
            let _ = writeln!(out, "          {what} {name}");
        }
    }
    let profile = match rules.profile {
        Profile::Safe => "safe",
        Profile::Rfc => "rfc",
    };
    let _ = writeln!(out, "          profile {profile}");
    let _ = writeln!(out, "          fresh {}", freshness(rules.ttl, rules));
    let _ = writeln!(out, "          errors fresh {}", freshness(rules.ttl_error, rules));
    let (stale, error) = (rules.stale, rules.stale_error);
    let _ = writeln!(
        out,
        "          stale for {stale:?} while refreshed, for {error:?} while the service fails, \
         where the answer does not say"
    );
    let parameter = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    match policy::tags(asked.origin, &ResponseHead::build(200), rules, parameter) {
        Ok(tags) => tags.iter().for_each(|tag| {
            let _ = writeln!(out, "          tag {}", tag.escape_debug());
        }),
        Err(_) => out.push_str("          never stored: too many tags, or one too long\n"),
    }
}

/// The service or services that are asked, and how.
fn explain_service(
    out: &mut String,
    settings: &Settings,
    route: &Route,
    service: &ServiceSettings,
) {
    let name = |index: usize| &settings.services[index].name;
    for (index, weight) in &route.split {
        let _ = writeln!(out, "split:    {} gets {weight} parts", name(*index));
    }
    let policy = match &service.balance.policy {
        Policy::PeakEwma => "by latency and load",
        Policy::LeastRequest => "by load",
        Policy::RoundRobin => "in turn",
        Policy::Random => "at random",
        Policy::Hash(_) => "by hash",
        Policy::HotCold => "hot-cold",
    };
    let _ = writeln!(out, "service:  {}, servers {policy}:", service.name);
    for spot in &service.servers {
        let url = service::settings::url(&spot.server);
        let _ = write!(out, "          {url}");
        if (spot.weight, spot.priority) != (1, 0) {
            let _ = write!(out, " weight {} priority {}", spot.weight, spot.priority);
        }
        out.push('\n');
    }
    if service.discover.is_some() {
        out.push_str("          and those that are discovered\n");
    }
    let retry = &service.retry;
    let _ = match retry.attempts {
        0 => writeln!(out, "tries:    one"),
        more => writeln!(
            out,
            "tries:    {} where that is safe, {} more requests at most in all",
            more + 1,
            retry.budget
        ),
    };
    if let Some(hedge) = &service.hedge {
        let _ = writeln!(out, "hedge:    {} of requests are asked twice at most", hedge.extra);
    }
    if let Some((shadow, share)) = route.shadow {
        let _ = writeln!(out, "shadow:   {share} are copied to {}", name(shadow));
    }
    for rate in &route.rates {
        let _ = writeln!(out, "rate:     {} in {:?} ({})", rate.limit, rate.per, rate.name);
    }
}

/// Where the freshness of answers comes from, of which the route gives `ttl`.
fn freshness(ttl: Option<Duration>, rules: &Rules) -> String {
    match ttl {
        Some(ttl) if rules.insist => format!("for {ttl:?}, whatever the answer says"),
        Some(ttl) => format!("as the answer says, else for {ttl:?}"),
        None if rules.heuristic_max.is_zero() => "as the answer says, else not stored".to_owned(),
        None => "as the answer says, else as Last-Modified suggests, else not stored".to_owned(),
    }
}

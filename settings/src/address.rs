//! Hosts, addresses, networks and URLs as the settings write them.

use crate::model::{Listener, Network};
use crate::report::Wrong;
use service::settings::{Scheme, Server};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads `host:port`, `http://host:port` or `https://host:port`; the host is an IP address.
pub(crate) fn listener(text: &str) -> Result<Listener, Wrong> {
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, rest)) => {
            let wrong =
                Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), "http or https");
            return Err(wrong.meant(format_args!("http://{rest}")));
        }
        None => (false, text),
    };
    let offset = text.len() - rest.len();
    let trimmed = rest.strip_suffix('/').filter(|_| offset > 0).unwrap_or(rest);
    let address = socket(trimmed).map_err(|wrong| Wrong {
        part: wrong.part.start + offset..wrong.part.end + offset,
        hint: wrong.hint.map(|hint| hint.replacen('"', &format!("\"{}", &text[..offset]), 1)),
        ..wrong
    })?;
    Ok(Listener { address, tls })
}

/// Reads `address:port`; `localhost` is 127.0.0.1.
pub(crate) fn socket(text: &str) -> Result<SocketAddr, Wrong> {
    const ALLOWED: &str = "an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80";
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        let wrong = |what: &str| Wrong::all(text, format!("\"{text}\" {what}"), ALLOWED);
        if text.parse::<u16>().is_ok() {
            return wrong("has no address").meant(format_args!("127.0.0.1:{text}"));
        }
        if let Some((host, port)) = text.rsplit_once(':')
            && host.parse::<Ipv6Addr>().is_ok()
            && port.parse::<u16>().is_ok()
        {
            return wrong("lacks brackets").meant(format_args!("[{host}]:{port}"));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return wrong("has no port").meant(SocketAddr::from((address, 8080)));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let wrong = wrong("has no port");
            return if text == "localhost" { wrong.meant("localhost:8080") } else { wrong };
        };
        if port.parse::<u16>().is_err() {
            let start = host.len() + 1;
            let what = format!("\"{port}\" is no port");
            return Wrong::part(start..text.len(), what, "a port from 0 to 65535");
        }
        if host.is_empty() || host == "*" {
            return wrong("has no address").meant(format_args!("0.0.0.0:{port}"));
        }
        wrong("is no address").hint("names are not looked up here: give the IP address")
    })
}

/// Reads `http://host:port` or `https://host:port`; the port may be left out.
pub(crate) fn server(text: &str) -> Result<Server, Wrong> {
    const ALLOWED: &str = "http or https, a host and perhaps a port, such as http://10.0.0.1:3000";
    let (scheme, rest) = match text.split_once("://") {
        Some((name, rest)) if name.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        Some((name, rest)) if name.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        Some((name, _)) => {
            return Err(Wrong::part(0..name.len(), format!("scheme \"{name}\""), ALLOWED));
        }
        None => {
            let what = format!("\"{text}\" has no scheme");
            return Err(Wrong::all(text, what, ALLOWED).meant(format_args!("http://{text}")));
        }
    };
    let start = text.len() - rest.len();
    let authority = authority(rest, start, text.len())?;
    if let Some(at) = authority.rfind('@') {
        let what = "a user or password in a URL";
        return Err(Wrong::part(start..start + at + 1, what, ALLOWED));
    }
    check_brackets(authority, start)?;
    let (name, port) = split_port(authority);
    let shift =
        |wrong: Wrong| Wrong { part: wrong.part.start + start..wrong.part.end + start, ..wrong };
    let host = host(name).map_err(shift)?;
    let port = match port {
        None if scheme == Scheme::Http => 80,
        None => 443,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => {
                let from = start + name.len() + 1;
                let what = format!("\"{port}\" is no port");
                return Err(Wrong::part(from..from + port.len(), what, "a port from 1 to 65535"));
            }
        },
    };
    Ok(Server { scheme, host, port, address: None })
}

/// What of `rest` stands before the path; a path other than `/`, a query and a fragment are wrong.
fn authority(rest: &str, start: usize, end: usize) -> Result<&str, Wrong> {
    let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(cut);
    if tail.is_empty() || tail == "/" {
        return Ok(authority);
    }
    let what = if tail.starts_with('/') { "a path" } else { "a query or fragment" };
    let wrong = Wrong::part(
        start + cut..end,
        format!("{what} in a server's URL"),
        "scheme, host and port only",
    );
    Err(if tail.starts_with('/') {
        let path = tail.split(['?', '#']).next().unwrap_or(tail).trim_end_matches('/');
        wrong.hint(format!("to put it before every path, give the route prepend = \"{path}\""))
    } else {
        wrong
    })
}

/// Reads a name with perhaps a port, as a Host field has it.
pub(crate) fn host_and_port(text: &str) -> Result<String, Wrong> {
    if let Some((_, rest)) = text.split_once("://") {
        let wrong = Wrong::all(text, "a URL", "a name or an address, perhaps with a port");
        return Err(wrong.meant(rest.trim_end_matches('/')));
    }
    check_brackets(text, 0)?;
    let (name, port) = split_port(text);
    let found = host(name)?;
    let found = if found.contains(':') { format!("[{found}]") } else { found };
    match port {
        None => Ok(found),
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(format!("{found}:{port}")),
            _ => {
                let part = name.len() + 1..text.len();
                let what = format!("\"{port}\" is no port");
                Err(Wrong::part(part, what, "a port from 1 to 65535"))
            }
        },
    }
}

/// An IPv6 address before a port stands in brackets.
fn check_brackets(text: &str, start: usize) -> Result<(), Wrong> {
    if text.starts_with('[') || text.matches(':').count() < 2 {
        return Ok(());
    }
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let meant = if name.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok() {
        format!("[{name}]:{port}")
    } else {
        format!("[{text}]")
    };
    let wrong = Wrong::part(
        start..start + text.len(),
        format!("\"{text}\" lacks brackets"),
        "an IPv6 address stands in brackets",
    );
    Err(wrong.hint(meant))
}

/// Splits a port off, if there is one.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let from = text.rfind(']').unwrap_or(0);
    match text[from..].find(':') {
        Some(at) => (&text[..from + at], Some(&text[from + at + 1..])),
        None => (text, None),
    }
}

/// Reads a name or an address and makes it lower case; an IPv6 address loses its brackets.
pub(crate) fn host(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a name or an address, such as shop.example, 10.0.0.1 or [::1]";
    let wrong = |what: String| Wrong::all(text, what, ALLOWED);
    if text.is_empty() {
        return Err(wrong("there is no host".to_owned()));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|tail| tail.strip_suffix(']')) {
        let address = inner.parse::<Ipv6Addr>();
        return address
            .map(|address| address.to_string())
            .map_err(|_| wrong(format!("\"{text}\" is no IPv6 address")));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong(format!("\"{text}\" lacks brackets")).meant(format_args!("[{text}]")));
    }
    if let Some((name, port)) = text.split_once(':') {
        let part = name.len()..text.len();
        return Err(
            Wrong::part(part, format!("port \"{port}\""), "a host without port").meant(name)
        );
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(legal);
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(wrong(format!("\"{text}\" is no host")));
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numeric && text.parse::<Ipv4Addr>().is_err() {
        return Err(wrong(format!("\"{text}\" is no IPv4 address")));
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads a network in CIDR notation; an address alone is a network of one.
pub(crate) fn network(text: &str) -> Result<Network, Wrong> {
    const ALLOWED: &str = "a network such as 10.0.0.0/8 or 2001:db8::/32, or an address";
    let (name, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = name.parse::<IpAddr>() else {
        return Err(Wrong::part(0..name.len(), format!("\"{name}\" is no address"), ALLOWED));
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix.map(str::parse::<u8>) {
        None => bits,
        Some(Ok(prefix)) if prefix <= bits => prefix,
        Some(_) => {
            let part = name.len() + 1..text.len();
            let what = format!("prefix \"{}\"", &text[part.clone()]);
            return Err(Wrong::part(part, what, format!("a prefix from 0 to {bits}")));
        }
    };
    if address.to_canonical().is_ipv4() != address.is_ipv4() {
        let what = format!("\"{text}\" is an IPv4 network in IPv6 clothes");
        let plain = format!("{}/{}", address.to_canonical(), prefix.saturating_sub(96));
        return Err(Wrong::all(text, what, ALLOWED).meant(plain));
    }
    let base = masked(address, prefix);
    if base != address {
        let what = format!("\"{text}\" has bits beyond its prefix");
        return Err(Wrong::all(text, what, ALLOWED).meant(format_args!("{base}/{prefix}")));
    }
    Ok(Network { address, prefix })
}

/// `address` with the bits past `prefix` zero.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

/// Is it a token (RFC 9110 §5.6.2)?
pub(crate) fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

/// Reads the name of a field, a cookie or the like: a token of at most 256 bytes.
pub(crate) fn token_name(text: &str, of: &str) -> Result<String, Wrong> {
    const NAME_MAX: usize = 256;
    if is_token(text) && text.len() <= NAME_MAX {
        return Ok(text.to_owned());
    }
    let wrong =
        Wrong::all(text, format!("\"{text}\" is no name of {of}"), format!("the name of {of}"));
    let guess = text.split(':').next().unwrap_or(text).trim().replace(' ', "-");
    Err(if is_token(&guess) && guess != text { wrong.meant(guess) } else { wrong })
}

/// Fields that HTTP and the gateway give a meaning to, or that end at the next hop.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Fields that may be read, but say something else than a setting could want of them.
const READABLE: &[&str] = &["authorization", "content-encoding", "content-type", "cookie", "host"];

/// Reads the name of a field that tells clients apart, in lower case; `example` is one.
pub(crate) fn read_field(text: &str, example: &str) -> Result<String, Wrong> {
    let name = token_name(text, "a field")?.to_ascii_lowercase();
    if RESERVED.contains(&name.as_str()) { Err(reserved(text, example)) } else { Ok(name) }
}

/// Reads the name of a field that is given a meaning here, in lower case; `example` is one.
pub(crate) fn own_field(text: &str, example: &str) -> Result<String, Wrong> {
    let name = read_field(text, example)?;
    if READABLE.contains(&name.as_str()) { Err(reserved(text, example)) } else { Ok(name) }
}

fn reserved(text: &str, example: &str) -> Wrong {
    let what = format!("\"{text}\" has a meaning in HTTP already");
    let wrong = Wrong::all(text, what, "a field that HTTP gives no meaning to");
    wrong.hint(format!("take one of your own, such as {example}"))
}

//! A list of servers as a file.
//!
//! One server a line: a URL, then perhaps `weight=2`, `priority=1` and `zone=eu-1` in any order. `#`
//! begins a comment; empty lines count for nothing. A list without servers is a mistake, since that
//! is what a file looks like while it is written; who means it writes the single word `none`.
//! Nothing is taken of a list with a mistake.

use super::shown;
use crate::settings::{Scheme, Server, Spot};
use std::net::IpAddr;

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In which line, counted from 1.
    pub line: usize,
    /// What stands there, and what may.
    pub why: String,
}

/// The longest list that is read.
pub const BYTES_MAX: u64 = 16 << 20;

/// How many characters of an offending text are shown.
const SHOWN_MAX: usize = 80;

const ALLOWED: &str = "a line is a URL such as http://10.0.0.1:3000, then perhaps weight=2 \
                       priority=1 zone=eu-1";

/// Reads a list.
///
/// # Errors
/// The first line that is wrong.
pub fn parse(text: &str) -> Result<Vec<Spot>, Wrong> {
    let mut spots = Vec::new();
    let mut none = None;
    for (index, line) in text.lines().enumerate() {
        let wrong = |why: String| Wrong { line: index + 1, why };
        let line = line.split('#').next().unwrap_or_default().trim();
        match line {
            "" => {}
            "none" => none = Some(index + 1),
            _ => spots.push(spot(line).map_err(wrong)?),
        }
    }
    match none {
        Some(line) if !spots.is_empty() => {
            let why = "\"none\" beside servers: it may only stand alone".to_owned();
            Err(Wrong { line, why })
        }
        None if spots.is_empty() => {
            let why = "no server: a list that is meant to be empty is the word none".to_owned();
            Err(Wrong { line: text.lines().count().max(1), why })
        }
        _ => Ok(spots),
    }
}

fn spot(line: &str) -> Result<Spot, String> {
    let mut words = line.split_whitespace();
    let mut spot = Spot::from(server(words.next().unwrap_or_default())?);
    let mut seen = Vec::new();
    for word in words {
        let unknown = || format!("\"{}\" is unknown: {ALLOWED}", shown(word, SHOWN_MAX));
        let (name, value) = word.split_once('=').ok_or_else(unknown)?;
        if seen.contains(&name) {
            return Err(format!("{} is there twice", shown(name, SHOWN_MAX)));
        }
        seen.push(name);
        let text = shown(value, SHOWN_MAX);
        match name {
            "weight" => {
                let weight = value.parse().ok().filter(|weight| (1..=1000).contains(weight));
                let wrong = || format!("weight \"{text}\": a number from 1 to 1000");
                spot.weight = weight.ok_or_else(wrong)?;
            }
            "priority" => {
                let wrong = |_| format!("priority \"{text}\": a number from 0 to 255");
                spot.priority = value.parse().map_err(wrong)?;
            }
            "zone" if !value.is_empty() => spot.zone = Some(value.to_owned()),
            "zone" => return Err("zone without a name".to_owned()),
            _ => return Err(unknown()),
        }
    }
    Ok(spot)
}

/// Reads the URL of a server.
///
/// # Errors
/// What is wrong with it.
pub fn server(text: &str) -> Result<Server, String> {
    let wrong = |what: &str| format!("\"{}\" {what}: {ALLOWED}", shown(text, SHOWN_MAX));
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
        _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => return Err(wrong("is neither http nor https")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '@']) {
        return Err(wrong("has more than scheme, host and port"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']').ok_or_else(|| wrong("has no closing ]"))?;
            let address = host.parse::<std::net::Ipv6Addr>();
            let host = address.map_err(|_| wrong("has no IPv6 address in its brackets"))?;
            let port = match tail {
                "" => None,
                _ => Some(tail.strip_prefix(':').ok_or_else(|| wrong("has no port after ]"))?),
            };
            (host.to_string(), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
            None => (authority.to_ascii_lowercase(), None),
        },
    };
    if !is_host(&host) {
        return Err(wrong("has no legal host"));
    }
    let port = match (port, scheme) {
        (None, Scheme::Http) => 80,
        (None, Scheme::Https) => 443,
        (Some(port), _) => {
            let number = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| number && *port > 0);
            port.ok_or_else(|| wrong("has no port from 1 to 65535"))?
        }
    };
    Ok(Server { scheme, host, port, address: None })
}

/// An address, or a name of labels of letters, digits, hyphens and underscores.
fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(legal)
    };
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let name = host.strip_suffix('.').unwrap_or(host);
    // What ends in a number would be an address, and is none.
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_none_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use balance::settings::url;

    fn check(text: &str) -> String {
        match parse(text) {
            Err(wrong) => format!("{}: {}", wrong.line, wrong.why),
            Ok(spots) => {
                let line = |spot: &Spot| {
                    let zone = spot.zone.as_deref().unwrap_or("-");
                    format!("{} {} {} {zone}", url(&spot.server), spot.weight, spot.priority)
                };
                spots.iter().map(line).collect::<Vec<_>>().join("\n")
            }
        }
    }

    #[test]
    fn a_list_is_read() {
        let text = "# shop\n\nhttp://10.0.0.1:3000 weight=2 priority=1 zone=eu-1\r\n  \
                    https://B.example # the other\nhttp://[::1]:80/\n";
        let expected = "http://10.0.0.1:3000 2 1 eu-1\nhttps://b.example:443 1 0 -\n\
                        http://[::1]:80 1 0 -";
        assert_eq!(check(text), expected);
    }

    #[test]
    fn an_empty_list_must_say_so() {
        assert!(check("").starts_with("1: no server"), "{}", check(""));
        assert!(check("# nobody\n\n").starts_with("2: no server"));
        assert_eq!(check("none\n"), "");
        assert!(check("http://a\nnone\n").starts_with("2: \"none\" beside servers"));
    }

    #[test]
    fn a_complaint_is_short_and_prints_whatever_stands_in_the_file() {
        let long = "x".repeat(8 << 20);
        let rows = [
            long.clone(),
            format!("http://{long}"),
            format!("http://a {long}"),
            format!("http://a weight={long}"),
            format!("http://a priority={long}"),
            format!("http://a zone=b {long}=c"),
            "http://127.0.0.1:1\0".to_owned(),
            "\u{1b}[2J\u{202e}".to_owned(),
        ];
        for line in rows {
            let found = check(&line);
            assert!(found.starts_with("1: ") && found.len() < 300, "{found}");
            assert!(!found.contains(|c: char| c.is_control() || c == '\u{202e}'), "{found}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_what_is_allowed() {
        let rows = [
            ("10.0.0.1:3000", "has no scheme"),
            ("ftp://a", "neither http nor https"),
            ("http://a/path", "more than scheme, host and port"),
            ("http://a:0", "no port from 1"),
            ("http://a:70000", "no port from 1"),
            ("http://a:+1", "no port from 1"),
            ("http://", "no legal host"),
            ("http://1.2.3", "no legal host"),
            ("http://a b", "\"b\" is unknown"),
            ("http://[::1", "no closing ]"),
            ("http://[1.2.3.4]", "no IPv6"),
            ("http://a weight=0", "from 1 to 1000"),
            ("http://a weight=1001", "from 1 to 1000"),
            ("http://a priority=-1", "from 0 to 255"),
            ("http://a zone=", "zone without a name"),
            ("http://a zone=a zone=b", "zone is there twice"),
        ];
        for (line, why) in rows {
            let found = check(&format!("http://good:1\n{line}\n"));
            assert!(found.starts_with("2: ") && found.contains(why), "{line}: {found}");
        }
    }
}

//! A purge as the admin listener is told it: JSON into scopes.
//!
//! ```json
//! { "tags": ["product:7"], "urls": ["http://shop.example/p/7"], "prefixes": ["shop.example/p/"],
//!   "hosts": ["shop.example"], "all": false, "soft": true }
//! ```

use crate::caching;
use crate::house::Snapshot;
use cache::policy::Origin;
use cache::stamps::{Purge, Scope};
use serde_json::Value;

/// Most things that one purge names.
const SCOPES_MAX: usize = 1_000;
/// The longest name of one.
const NAME_BYTES_MAX: usize = 4 << 10;

/// Reads a purge.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn parse(text: &[u8], snapshot: &Snapshot) -> Result<Purge, String> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| format!("not JSON ({error}); send {{\"tags\": [\"...\"]}}"))?;
    let Value::Object(object) = value else {
        return Err("send a JSON object, as in {\"tags\": [\"...\"]}".to_owned());
    };
    let mut purge = Purge { scopes: Vec::new(), soft: false };
    for (key, value) in &object {
        match key.as_str() {
            "soft" => purge.soft = flag(key, value)?,
            "all" => purge.scopes.extend(flag(key, value)?.then_some(Scope::All)),
            "tags" => purge.scopes.extend(names(key, value)?.into_iter().map(Scope::Tag)),
            "hosts" => {
                for host in names(key, value)? {
                    let bare = without_scheme(&host);
                    let bare = bare.strip_suffix('/').unwrap_or(&bare);
                    if !is_host(bare) {
                        return Err(format!("\"{host}\" is no host, as shop.example"));
                    }
                    purge.scopes.push(Scope::Host(bare.to_owned()));
                }
            }
            "prefixes" => {
                for prefix in names(key, value)? {
                    let bare = without_scheme(&prefix);
                    let slash = bare.find('/').unwrap_or(bare.len());
                    if !is_host(&bare[..slash]) {
                        return Err(format!(
                            "\"{prefix}\" does not begin with a host, as shop.example/products/"
                        ));
                    }
                    purge.scopes.push(Scope::Prefix(bare.into_bytes()));
                }
            }
            "urls" => {
                for url in names(key, value)? {
                    purge.scopes.push(Scope::Url(url_scope(&url, snapshot)?));
                }
            }
            other => {
                return Err(format!(
                    "unknown key \"{other}\"; known are tags, urls, prefixes, hosts, all, soft"
                ));
            }
        }
    }
    if purge.scopes.is_empty() {
        return Err("names nothing; give tags, urls, prefixes, hosts, or \"all\": true".to_owned());
    }
    if purge.scopes.len() > SCOPES_MAX {
        return Err(format!("names more than {SCOPES_MAX} things; send several purges"));
    }
    Ok(purge)
}

fn flag(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("\"{key}\" is true or false"))
}

fn names(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let wrong = || format!("\"{key}\" is a list of strings of 1 to {NAME_BYTES_MAX} bytes");
    let list = value.as_array().ok_or_else(wrong)?;
    let name = |value: &Value| {
        let name = value.as_str().filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()));
        name.map(str::to_owned).ok_or_else(wrong)
    };
    list.iter().map(name).collect()
}

/// May this stand for a host in a key? Anything else would purge nothing and say that it did.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@\\*".contains(&b))
}

/// `http://Shop.example/p/` as what keys hold: `shop.example/p/`.
fn without_scheme(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(&host);
    format!("{host}{path}")
}

/// What an entry of this URL is marked with, whatever it varies by.
fn url_scope(url: &str, snapshot: &Snapshot) -> Result<u128, String> {
    let bare = without_scheme(url);
    let slash = bare.find('/').ok_or_else(|| {
        format!("\"{url}\" is no URL with a path, as http://shop.example/products/7")
    })?;
    let (host, target) = bare.split_at(slash);
    if !is_host(host) {
        return Err(format!("\"{url}\" has no host, as http://shop.example/products/7"));
    }
    // What nobody can ask for is a slip of whoever purges, who would believe it purged.
    if let Some(bad) = target.chars().find(|c| *c == '#' || *c == ' ' || c.is_ascii_control()) {
        return Err(format!(
            "\"{url}\" has {bad:?}, which no target has; encode it or leave it out"
        ));
    }
    // Entries are marked without the scheme: one purge is for both.
    let origin = Origin { scheme: b"http", host: host.as_bytes() };
    Ok(caching::invalidate::url(snapshot, origin, target.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_named_as_keys_are() {
        for (url, bare) in [
            ("http://Shop.Example/P/7?a=1", "shop.example/P/7?a=1"),
            ("https://shop.example:443/", "shop.example/"),
            ("shop.example:8080/x", "shop.example:8080/x"),
            ("shop.example", "shop.example"),
        ] {
            assert_eq!(without_scheme(url), bare);
        }
    }
}

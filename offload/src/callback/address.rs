//! Where a callback may go: its URL, read strictly, and each address that its host has.
//!
//! A URL may come from a client, who would like to reach what only the gateway reaches (server-side
//! request forgery). So nothing is guessed: what is not plainly a host is refused, and the addresses
//! are looked at after they are resolved, by whoever connects to the very one that was looked at.
//!
//! What is public is what IANA's registries of special-purpose addresses leave, and less: of IPv6
//! only `2000::/3` can be. An address that carries one of IPv4 is as public as that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL.
pub const URL_BYTES_MAX: usize = 2_048;
/// Longest name of a host (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of it.
const LABEL_BYTES_MAX: usize = 63;
/// Ports below this belong to services of old, which answer to more than HTTP.
const PORT_MIN: u16 = 1_024;

/// What is allowed beside the public addresses.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// These networks.
    pub networks: &'a [(IpAddr, u8)],
    /// `http` URLs.
    pub http: bool,
}

/// Why a callback goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCallback {
    /// It is too long.
    #[error("the URL has more than {URL_BYTES_MAX} bytes")]
    Long,
    /// It cannot be read.
    #[error("not a URL as https://hooks.example/jobs: {0}")]
    Malformed(&'static str),
    /// It is another scheme.
    #[error("the scheme is not https")]
    Scheme,
    /// A user or a password.
    #[error("the URL has a user or a password: callbacks are signed instead")]
    User,
    /// A host that looks like an address and is not written like one.
    #[error("the host is a number, but not an address as 192.0.2.1 or [2001:db8::1]")]
    Number,
    /// A port of something else than HTTP.
    #[error("port {0} is not called: 80, 443 and those from 1024 on are")]
    Port(u16),
    /// An address that nobody outside can have.
    #[error("{0} is not a public address ({1})")]
    Address(IpAddr, Kind),
    /// The name of this machine.
    #[error("the host is this machine's own name")]
    Local,
}

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Over TLS?
    pub tls: bool,
    /// Who is asked.
    pub host: Host,
    /// On which port.
    pub port: u16,
    /// What `Host` says.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Whoever has this name: lower case, without a dot at its end.
    Name(String),
    /// Whoever has this address.
    Address(IpAddr),
}

impl Host {
    /// As certificates and resolvers know it.
    pub fn name(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

impl Url {
    /// Reads a URL, and checks what can be told without asking anybody.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, allowed: &Allowed<'_>) -> Result<Self, NoCallback> {
        if text.len() > URL_BYTES_MAX {
            return Err(NoCallback::Long);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(NoCallback::Malformed("a character that no URL has"));
        }
        if text.contains(['\\', '#', '"', '<', '>', '^', '`', '{', '|', '}']) {
            return Err(NoCallback::Malformed("a character that has to be encoded"));
        }
        let (scheme, rest) =
            text.split_once("://").ok_or(NoCallback::Malformed("it has no scheme"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" if allowed.http => false,
            _ => return Err(NoCallback::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(NoCallback::User);
        }
        let (host, port) = host_and_port(authority, tls)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        let url = Self {
            tls,
            authority: written(&host, port, tls),
            host,
            port,
            target: format!("{slash}{target}"),
        };
        url.check(allowed)?;
        Ok(url)
    }

    fn check(&self, allowed: &Allowed<'_>) -> Result<(), NoCallback> {
        match &self.host {
            Host::Address(address) => may_call(*address, self.port, allowed),
            Host::Name(name) => {
                let is_local = name == "localhost" || name.ends_with(".localhost");
                let home = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                if is_local && !home.iter().any(|home| is_within(*home, allowed.networks)) {
                    return Err(NoCallback::Local);
                }
                // Ports of names in allowed networks are known when they are resolved.
                if allowed.networks.is_empty() && !is_port_of_http(self.port) {
                    return Err(NoCallback::Port(self.port));
                }
                Ok(())
            }
        }
    }
}

/// May a callback go to this address and port?
///
/// # Errors
/// Why not.
pub fn may_call(address: IpAddr, port: u16, allowed: &Allowed<'_>) -> Result<(), NoCallback> {
    let kind = Kind::of(address);
    let plain = address.to_canonical();
    let is_named = |network: &(IpAddr, u8)| {
        let whole = if network.0.is_ipv4() { 32 } else { 128 };
        network.1 == whole && network.0 == plain
    };
    let is_allowed = match kind {
        Kind::Public => {
            if is_port_of_http(port) || is_within(plain, allowed.networks) {
                return Ok(());
            }
            return Err(NoCallback::Port(port));
        }
        Kind::Unspecified | Kind::Multicast | Kind::Broadcast => false,
        // What hands out credentials is allowed by name only, never as part of a network.
        Kind::Metadata => allowed.networks.iter().any(is_named),
        _ => is_within(plain, allowed.networks),
    };
    if is_allowed { Ok(()) } else { Err(NoCallback::Address(address, kind)) }
}

const fn is_port_of_http(port: u16) -> bool {
    port == 80 || port == 443 || port >= PORT_MIN
}

fn is_within(address: IpAddr, networks: &[(IpAddr, u8)]) -> bool {
    networks.iter().any(|&(network, prefix)| match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let shift = 32_u32.saturating_sub(prefix.into());
            u64::from(u32::from(address)) >> shift == u64::from(u32::from(network)) >> shift
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let shift = 128_u32.saturating_sub(prefix.into());
            let cut = |address| u128::from(address).checked_shr(shift).unwrap_or_default();
            cut(address) == cut(network)
        }
        _ => false,
    })
}

fn host_and_port(authority: &str, tls: bool) -> Result<(Host, u16), NoCallback> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']').ok_or(NoCallback::Number)?;
            let address = inner.parse::<Ipv6Addr>().map_err(|_| NoCallback::Number)?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err(NoCallback::Number),
            };
            (Host::Address(IpAddr::V6(address)), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (name(host)?, Some(port)),
            None => (name(authority)?, None),
        },
    };
    let port = match port {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(digits) => {
            let digits = Some(digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0);
            port.ok_or(NoCallback::Malformed("its port is none"))?
        }
    };
    Ok((host, port))
}

/// A name, or an IPv4 address in its one plain form. Whatever else ends in a number some libraries
/// take for an address (WHATWG URL, "ends in a number"), and so must not be taken for a name.
fn name(text: &str) -> Result<Host, NoCallback> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv4Addr>() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    if bare.is_empty() {
        return Err(NoCallback::Malformed("it has no host"));
    }
    let last = bare.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_hex =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())) {
        return Err(NoCallback::Number);
    }
    let is_label = |label: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(legal)
    };
    if bare.len() > NAME_BYTES_MAX || !bare.split('.').all(is_label) {
        return Err(NoCallback::Malformed("its host is no name"));
    }
    Ok(Host::Name(bare.to_ascii_lowercase()))
}

fn written(host: &Host, port: u16, tls: bool) -> String {
    let host = match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        other => other.name(),
    };
    if port == if tls { 443 } else { 80 } { host } else { format!("{host}:{port}") }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The world.
    Public,
    /// No address.
    Unspecified,
    /// This machine.
    Loopback,
    /// A network of one's own: RFC 1918, unique local, site local.
    Private,
    /// The same cable.
    LinkLocal,
    /// Behind a provider's translation.
    Shared,
    /// What tells machines of a cloud their credentials.
    Metadata,
    /// Groups.
    Multicast,
    /// Everybody.
    Broadcast,
    /// Documents.
    Documentation,
    /// Measurements.
    Benchmark,
    /// A way to another address that cannot be looked through.
    Tunnel,
    /// Protocols, or nothing yet.
    Reserved,
}

impl Kind {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Shared => "shared by a provider's customers",
            Self::Metadata => "the metadata of a cloud",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "for documentation",
            Self::Benchmark => "for benchmarks",
            Self::Tunnel => "a tunnel",
            Self::Reserved => "reserved",
        }
    }

    /// Of this address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_four(address),
            IpAddr::V6(address) => Self::of_six(address),
        }
    }

    fn of_four(address: Ipv4Addr) -> Self {
        match address.octets() {
            [169, 254, 169, 254]
            | [169, 254, 170, 2 | 23]
            | [100, 100, 100, 200]
            | [168, 63, 129, 16]
            | [192, 0, 0, 192] => Self::Metadata,
            [0, 0, 0, 0] => Self::Unspecified,
            [255, 255, 255, 255] => Self::Broadcast,
            [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            [169, 254, ..] => Self::LinkLocal,
            [100, 64..=127, ..] => Self::Shared,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Documentation,
            [198, 18 | 19, ..] => Self::Benchmark,
            [192, 88, 99, _] | [192, 52, 193, _] => Self::Tunnel,
            [224..=239, ..] => Self::Multicast,
            [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 31, 196, _] | [192, 175, 48, _] => {
                Self::Reserved
            }
            _ => Self::Public,
        }
    }

    fn of_six(address: Ipv6Addr) -> Self {
        let four = |high: u16, low: u16| {
            Self::of_four(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // RFC 4291 §2.5.5.1 and §2.5.5.2; SIIT (RFC 7915).
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
                four(high, low)
            }
            // NAT64 (RFC 6052 §2.1); of a network's own (RFC 8215) nobody knows where it leads.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
            // So of 6to4 (RFC 3056), of Teredo (RFC 4380), and of ISATAP (RFC 5214 §6.1).
            [0x64, 0xff9b, ..]
            | [0x2002, ..]
            | [0x2001, 0, ..]
            | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Self::Tunnel,
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
                Self::Metadata
            }
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Documentation,
            [0x2001, 2, 0, ..] => Self::Benchmark,
            [0x2001, 0..=0x1ff, ..] => Self::Reserved,
            [0x2000..=0x3fff, ..] => Self::Public,
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            _ => Self::Reserved,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;

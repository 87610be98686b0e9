//! What active checks decide: how many answers in a row make up our mind, and what is an answer.
//!
//! Pure: `gateway::watch` makes the connections and keeps the time. The first check of a server
//! decides at once, since nothing is known before it; from then on a streak is needed. gRPC's health
//! protocol (`grpc.health.v1.Health/Check`) is a message of one field each way, written and read here
//! by hand.

use crate::settings::{Check, HostRule, Scheme, Server};
use balance::Checked;

/// What the checks of one server have found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// What was decided last; `None` before the first check.
    decided: Option<Checked>,
    /// How many in a row have contradicted that.
    against: u32,
}

impl Streak {
    /// One that begins with what is known from before.
    pub fn after(decided: Option<Checked>) -> Self {
        Self { decided, against: 0 }
    }

    /// Counts one more check; answers what is decided, if that is news.
    pub fn note(&mut self, good: bool, rules: &Check) -> Option<Checked> {
        let found = if good { Checked::Healthy } else { Checked::Unhealthy };
        if self.decided == Some(found) {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let enough = if good { rules.healthy } else { rules.unhealthy };
        if self.decided.is_some() && self.against < enough {
            return None;
        }
        *self = Self::after(Some(found));
        Some(found)
    }
}

/// What the Host field of a check says: the service's own name where it has one, else the server's.
pub fn host(rule: &HostRule, server: &Server) -> String {
    match rule {
        HostRule::Fixed(name) => name.clone(),
        HostRule::Client | HostRule::Server => {
            let host = &server.host;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            match (server.scheme, server.port) {
                (Scheme::Http, 80) | (Scheme::Https, 443) => host,
                (_, port) => format!("{host}:{port}"),
            }
        }
    }
}

/// The path of gRPC's health check.
pub const GRPC_PATH: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckRequest { service }` as a gRPC message: five bytes of prefix, then protobuf.
pub fn grpc_request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a); // field 1, length-delimited
        varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0]; // not compressed
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.append(&mut message);
    framed
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `HealthCheckResponse.status` of a gRPC message: 1 is SERVING; `None` if it is no such message.
pub fn grpc_status(framed: &[u8]) -> Option<u64> {
    let (prefix, message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    if prefix.first() != Some(&0) || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut rest = message;
    let mut status = 0; // what a message says that leaves it out: UNKNOWN
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = read_varint(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The status that means that requests are served.
pub const GRPC_SERVING: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::CheckKind;

    fn check(answers: &str) -> String {
        let rules = Check::standard(CheckKind::Tcp); // 2 good, 3 bad
        let mut streak = Streak::default();
        let told = answers.chars().map(|answer| match streak.note(answer == '+', &rules) {
            None => '.',
            Some(Checked::Healthy) => 'H',
            Some(Checked::Unhealthy) => 'U',
        });
        told.collect()
    }

    #[test]
    fn the_first_check_decides_at_once() {
        assert_eq!(check("+"), "H");
        assert_eq!(check("-"), "U");
    }

    #[test]
    fn then_a_streak_is_needed() {
        assert_eq!(check("+--+---"), "H.....U");
        assert_eq!(check("-+-++-+---"), "U...H....U");
        assert_eq!(check("---++++"), "U...H..");
    }

    #[test]
    fn what_is_known_from_before_is_no_news() {
        let rules = Check::standard(CheckKind::Tcp);
        let mut streak = Streak::after(Some(Checked::Healthy));
        assert_eq!(streak.note(true, &rules), None);
        assert_eq!(streak.note(false, &rules), None);
    }

    #[test]
    fn grpc_messages_are_what_the_protocol_says() {
        assert_eq!(grpc_request(""), [0, 0, 0, 0, 0]);
        assert_eq!(grpc_request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = "x".repeat(300);
        assert_eq!(grpc_request(&long)[5..8], [0x0a, 0xac, 0x02]);
        assert_eq!(grpc_status(&[0, 0, 0, 0, 2, 8, 1]), Some(GRPC_SERVING));
        assert_eq!(grpc_status(&[0, 0, 0, 0, 2, 8, 2]), Some(2));
        assert_eq!(grpc_status(&[0, 0, 0, 0, 0]), Some(0));
        // A field that is unknown is skipped, a message that is cut is none.
        assert_eq!(grpc_status(&[0, 0, 0, 0, 5, 0x12, 1, 7, 8, 1]), Some(1));
        for cut in [&[0, 0, 0, 0][..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 2, 8, 1]] {
            assert_eq!(grpc_status(cut), None);
        }
        assert_eq!(grpc_status(&[0, 0, 0, 0, 2, 8, 0x81]), None);
    }

    #[test]
    fn a_check_is_addressed_to_the_server() {
        let server = |scheme, host: &str, port| Server {
            scheme,
            host: host.to_owned(),
            port,
            address: None,
        };
        let fixed = HostRule::Fixed("shop.test".to_owned());
        assert_eq!(host(&fixed, &server(Scheme::Http, "a", 3000)), "shop.test");
        assert_eq!(host(&HostRule::Client, &server(Scheme::Http, "a", 3000)), "a:3000");
        assert_eq!(host(&HostRule::Server, &server(Scheme::Https, "::1", 443)), "[::1]");
    }
}

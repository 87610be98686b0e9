//! Request ids: `X-Request-Id`, told to the service and the client, and found in log and traces.
//!
//! The word of a trusted proxy is taken where it is an id at all; everybody else's is overwritten, so
//! that no stranger chooses what others will search for.

use crate::forward;
use crate::house::House;
use crate::path::Exchange;
use base::{FieldName, Wall};

/// Longest id that is believed.
const LENGTH_MAX: usize = 128;

/// Gives a request its id.
pub fn begin(house: &House, exchange: &mut Exchange<'_>) {
    if !house.snapshot.settings.monitor.request_id {
        return;
    }
    let fields = &mut exchange.head.fields;
    let mut said = fields.all(FieldName::XRequestId);
    let (first, more) = (said.next(), said.next());
    let legal = more.is_none() && first.is_some_and(is_legal);
    drop(said);
    if !legal || !forward::is_trusted(exchange.peer, &house.snapshot) {
        if fields.has(FieldName::XRequestId) {
            fields.remove(FieldName::XRequestId);
        }
        let made = made(exchange.facts.begun.wall_ms(), fastrand::u128(..));
        fields.push_as(FieldName::XRequestId, b"X-Request-Id", &made);
    }
    exchange.id = Some(fields.span(FieldName::XRequestId));
}

/// Is it an id: a token (RFC 9110 §5.6.2) of bounded length, or what UUIDs and the like are written
/// with?
fn is_legal(id: &[u8]) -> bool {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/:=@".contains(b);
    (1..=LENGTH_MAX).contains(&id.len()) && id.iter().all(legal)
}

/// A new id: a UUID of version 7 (RFC 9562 §5.7), so that ids sort by time.
fn made(now: Wall, random: u128) -> [u8; 36] {
    let bits = u128::from(now.0) << 80 | random >> 48;
    let bits = bits & !(0xf << 76 | 0b11 << 62) | 7 << 76 | 0b10 << 62;
    let mut digits = [0; 32];
    monitor::trace::hex(&mut digits, bits);
    let mut text = [b'-'; 36];
    for (from, to) in [(0..8, 0..8), (8..12, 9..13), (12..16, 14..18), (16..20, 19..23)] {
        text[to].copy_from_slice(&digits[from]);
    }
    text[24..].copy_from_slice(&digits[20..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_that_sort_by_time() {
        let made = |now, random| String::from_utf8(made(Wall(now), random).to_vec()).unwrap();
        assert_eq!(made(0x0192_3456_789a, 0), "01923456-789a-7000-8000-000000000000");
        assert_eq!(made(0x0192_3456_789a, u128::MAX), "01923456-789a-7fff-bfff-ffffffffffff");
        assert!(made(1, u128::MAX) < made(2, 0));
    }

    #[test]
    fn what_is_no_id_is_not_believed() {
        for (id, legal) in [
            ("01923456-789a-7000-8000-000000000000", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a,b", false),
            ("gr\u{fc}n", false),
        ] {
            assert_eq!(is_legal(id.as_bytes()), legal, "{id}");
        }
        assert!(is_legal(&[b'a'; 128]) && !is_legal(&[b'a'; 129]));
    }
}

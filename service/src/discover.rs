//! What discovery decides: which servers a service has, out of those named and those found.
//!
//! Pure: `gateway::watch` reads files, asks name servers and watches Kubernetes.

pub mod file;

use crate::settings::{Server, Spot};
use std::collections::HashSet;

/// The servers of a service, named and found together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Each once; those named first, then those found, in the order of their source.
    pub spots: Vec<Spot>,
    /// How many were found that are there already. The first that tells of a server counts.
    pub twice: usize,
    /// How many were found beyond the most that are taken.
    pub beyond: usize,
}

/// Joins the servers that the settings name with those found, of which at most `found_max` are taken.
pub fn join(named: &[Spot], found: &[Spot], found_max: usize) -> Joined {
    let mut joined = Joined { spots: named.to_vec(), twice: 0, beyond: 0 };
    let mut seen: HashSet<&Server> = named.iter().map(|spot| &spot.server).collect();
    let mut taken = 0;
    for spot in found {
        if !seen.insert(&spot.server) {
            joined.twice += 1;
        } else if taken == found_max {
            joined.beyond += 1;
        } else {
            taken += 1;
            joined.spots.push(spot.clone());
        }
    }
    joined
}

/// Text from outside as a complaint shows it: what does not print is escaped, and what is longer than
/// `chars_max` characters ends in an ellipsis.
pub fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut room = chars_max;
    for c in text.chars() {
        let escaped: String = match c {
            '\'' | '"' | '\\' => c.to_string(),
            _ => c.escape_debug().collect(),
        };
        let Some(left) = room.checked_sub(escaped.chars().count()) else {
            out.push('…');
            return out;
        };
        room = left;
        out.push_str(&escaped);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Scheme;

    fn spots(ports: &[u16]) -> Vec<Spot> {
        let server = |&port: &u16| Server {
            scheme: Scheme::Http,
            host: "a".to_owned(),
            port,
            address: None,
        };
        ports.iter().map(|port| Spot::from(server(port))).collect()
    }

    #[track_caller]
    fn check(named: &[u16], found: &[u16], most: usize, spots_are: &[u16], left: (usize, usize)) {
        let joined = join(&spots(named), &spots(found), most);
        assert_eq!(joined.spots, spots(spots_are));
        assert_eq!((joined.twice, joined.beyond), left);
    }

    #[test]
    fn named_and_found_are_joined() {
        check(&[1], &[2, 3], 10, &[1, 2, 3], (0, 0));
        check(&[], &[], 10, &[], (0, 0));
    }

    #[test]
    fn what_is_shown_is_short_and_prints() {
        assert_eq!(shown("a \"é\" 'b' \\", 80), "a \"é\" 'b' \\");
        assert_eq!(shown("a\0b\u{1b}[2J\u{202e}c\n", 80), "a\\0b\\u{1b}[2J\\u{202e}c\\n");
        assert_eq!(shown(&"x".repeat(8 << 20), 80), "x".repeat(80) + "…");
        assert!(shown(&"\u{1b}".repeat(100), 80).chars().count() <= 81);
    }

    #[test]
    fn nobody_is_there_twice() {
        check(&[1], &[2, 1, 2], 10, &[1, 2], (2, 0));
    }

    #[test]
    fn no_more_are_taken_than_allowed() {
        check(&[1], &[2, 3, 4, 2], 2, &[1, 2, 3], (1, 1));
    }
}

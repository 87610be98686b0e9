//! What a job is: a request that was promised to be delivered, and what became of it.
//!
//! Ids are UUIDs of version 7 (RFC 9562 §5.7) whose first 12 random bits name the gateway that
//! accepted the job (its [`Node`]). What clients are given is a [`token`](Minter::token): the id with a
//! code that only holders of the secret can make. So a status address can not be guessed, and an
//! address that we have made and forgotten (410) is told from one that we never made (404) without
//! keeping anything.

use base::Wall;
use ring::hmac;
use std::fmt;

/// Which job: a UUID of version 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub [u8; 16]);

/// A gateway among those that share a queue: 12 bits of its name's hash, as ids carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node(u16);

impl Node {
    /// The node with this name.
    pub fn named(name: &str) -> Self {
        Self((crc32c::crc32c(name.as_bytes()) & 0xfff) as u16)
    }
}

impl JobId {
    /// No job.
    pub const NONE: Self = Self([0; 16]);

    /// A new id, made at `now` by `node`.
    pub fn mint(now: Wall, node: Node, random: u64) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        id[6..8].copy_from_slice(&(0x7000 | node.0).to_be_bytes());
        id[8..].copy_from_slice(&(random >> 2 | 1 << 63).to_be_bytes());
        Self(id)
    }

    /// When it was made.
    pub fn made(&self) -> Wall {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        Wall(u64::from_be_bytes(ms))
    }

    /// Who made it.
    pub fn node(&self) -> Node {
        Node(u16::from_be_bytes([self.0[6], self.0[7]]) & 0xfff)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|&c| c != '-').collect();
        if plain.len() != 32 || text.len() != 36 {
            return None;
        }
        u128::from_str_radix(&plain, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Makes and reads the tokens of one secret.
pub struct Minter {
    key: hmac::Key,
}

/// Bytes of a token before they are text: an id and its code, 128 bits each.
const TOKEN_BYTES: usize = 32;
/// Characters of a token.
pub const TOKEN_CHARS: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minter")
    }
}

impl Minter {
    /// For this secret.
    pub fn new(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// The token of a job: 43 characters that need no escaping in a path.
    pub fn token(&self, id: JobId) -> String {
        let mut bytes = [0; TOKEN_BYTES + 1];
        bytes[..16].copy_from_slice(&id.0);
        bytes[16..32].copy_from_slice(&hmac::sign(&self.key, &id.0).as_ref()[..16]);
        let mut text = String::with_capacity(TOKEN_CHARS + 1);
        for three in bytes.chunks(3) {
            let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            for shift in [18, 12, 6, 0] {
                text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
            }
        }
        text.truncate(TOKEN_CHARS);
        text
    }

    /// The job that a token names, if it is one of ours.
    pub fn read(&self, token: &[u8]) -> Option<JobId> {
        if token.len() != TOKEN_CHARS {
            return None;
        }
        let mut bytes = Vec::with_capacity(TOKEN_BYTES + 1);
        for four in token.chunks(4) {
            let mut bits = 0;
            for at in 0..4 {
                let digit = match four.get(at) {
                    Some(c) => ALPHABET.iter().position(|a| a == c)?,
                    None => 0,
                };
                bits = bits << 6 | digit as u32;
            }
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        let id = JobId(bytes[..16].try_into().ok()?);
        let code = hmac::sign(&self.key, &id.0);
        // Each byte is looked at, whatever the first ones say: time tells nothing.
        let differ = code.as_ref()[..16].iter().zip(&bytes[16..32]);
        let differ = differ.fold(0, |all, (a, b)| all | (a ^ b)) | bytes[32];
        (differ == 0).then_some(id)
    }
}

macro_rules! states {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $text:literal, $is_final:literal;)*) => {
        /// Where a job stands. Final states are never left.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum State { $($(#[doc = $doc])* $variant = $number),* }
        impl State {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// Its name on every surface.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $text),* } }
            /// Is it over?
            pub const fn is_final(self) -> bool { match self { $(Self::$variant => $is_final),* } }
            /// By its number on disk.
            pub const fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

states! {
    /// Waits for its turn.
    Queued = 1, "queued", false;
    /// Waits for its time: a delay, or the pause before the next try.
    Scheduled = 2, "scheduled", false;
    /// Is being delivered.
    Running = 3, "running", false;
    /// The service took it: 2xx or 3xx, or an answer that is final all the same.
    Succeeded = 4, "succeeded", true;
    /// Given up; kept for a replay.
    Dead = 5, "dead", true;
    /// Taken back before it was delivered.
    Cancelled = 6, "cancelled", true;
    /// Its time was over before it could be delivered.
    Expired = 7, "expired", true;
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $text:literal;)*) => {
        /// Why a try failed or a job ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])* $variant = $number),* }
        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// Its name on every surface.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $text),* } }
            /// By its number on disk.
            pub const fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// None: it was delivered.
    Delivered = 0, "delivered";
    /// The service answered with a status that is tried again.
    Status = 1, "status";
    /// The service answered with a status that is final.
    Refused = 2, "refused";
    /// No server could be reached.
    Unreachable = 3, "unreachable";
    /// No answer in time.
    Timeout = 4, "timeout";
    /// The answer broke off or broke the grammar.
    BadAnswer = 5, "bad_answer";
    /// The settings have no such service any more.
    NoService = 6, "no_service";
    /// The process ended while it was being delivered.
    Lost = 7, "lost";
    /// The process ended each time while it was being delivered: it is not tried again.
    Poison = 8, "poison";
    /// Its time was over.
    Expired = 9, "expired";
    /// Somebody took it back.
    Cancelled = 10, "cancelled";
    /// A newer job with the same debounce key took its place.
    Replaced = 11, "replaced";
    /// The broker did not take it, and its client was told so.
    NotTaken = 12, "not_taken";
    /// Its record on disk was damaged.
    Damaged = 13, "damaged";
    /// The job before it, with the same key, is dead.
    Blocked = 14, "blocked";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_job_and_no_other_is_taken() {
        let minter = Minter::new(b"a secret");
        for random in 0..200 {
            let now = Wall(1_700_000_000_000 + random);
            let id = JobId::mint(now, Node::named("a"), random.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let token = minter.token(id);
            assert_eq!((token.len(), minter.read(token.as_bytes())), (TOKEN_CHARS, Some(id)));
            assert_eq!((id.made(), id.node()), (now, Node::named("a")));
            assert_eq!(JobId::parse(&id.to_string()), Some(id));
            for at in 0..TOKEN_CHARS {
                let mut other = token.clone().into_bytes();
                other[at] = if other[at] == b'x' { b'y' } else { b'x' };
                assert_eq!(minter.read(&other), None, "character {at} of {token}");
            }
            assert_eq!(Minter::new(b"another").read(token.as_bytes()), None);
        }
        for bad in ["", "a", "é", &"a".repeat(42), &"a".repeat(43), &"a".repeat(44)] {
            assert_eq!(minter.read(bad.as_bytes()), None);
        }
    }
}

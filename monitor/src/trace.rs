//! Who else an exchange belongs to: W3C Trace Context (Recommendation of 23 November 2021).
//!
//! A request brings the trace that it is part of, or begins one; each try at a server is a span of
//! its own below ours. The ids of tries follow from ours, so that nothing has to be remembered of
//! them. What is malformed begins a new trace (§3.2.2.3), and what its `tracestate` said is dropped.

/// Flag: whoever called us records this trace (§3.2.2.5).
pub const SAMPLED: u8 = 1;
/// Flag: the trace's id is random (Trace Context Level 2).
const RANDOM: u8 = 2;
/// Characters of a `traceparent` of version 00.
pub const TEXT_LENGTH: usize = 55;

/// One exchange's place in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id; 0 while tracing is off.
    pub id: u128,
    /// Our own span's id.
    pub span: u64,
    /// The caller's span; 0 when we begin the trace.
    pub parent: u64,
    /// The flags that are handed on.
    pub flags: u8,
}

impl Trace {
    /// No trace.
    pub const OFF: Self = Self { id: 0, span: 0, parent: 0, flags: 0 };

    /// Goes on with the trace of a caller, or begins one, with random ids.
    pub fn begin(caller: Option<Parent>, random: (u128, u64), sampled: bool) -> Self {
        let span = random.1.max(1);
        if let Some(Parent { trace, span: parent, flags }) = caller {
            return Self { id: trace, span, parent, flags: flags & (SAMPLED | RANDOM) };
        }
        let flags = RANDOM | if sampled { SAMPLED } else { 0 };
        Self { id: random.0.max(1), span, parent: 0, flags }
    }

    /// Is there a trace at all?
    pub const fn is_on(&self) -> bool {
        self.id != 0
    }

    /// Is it recorded by whoever called us, or by our own choice before anything was known?
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The span of the `number`-th try at a server (from 1).
    pub const fn try_span(&self, number: u8) -> u64 {
        // An odd multiplier keeps the ids of one exchange apart; the mix keeps exchanges apart.
        let mixed = (self.span ^ (number as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = mixed ^ (mixed >> 29) ^ ((number as u64) << 56);
        if mixed == 0 { 1 } else { mixed }
    }

    /// What the server of the `number`-th try is told.
    pub fn text(&self, number: u8) -> [u8; TEXT_LENGTH] {
        self.text_of(self.try_span(number))
    }

    /// What the client is told (`traceresponse`, Level 2): our own span.
    pub fn own_text(&self) -> [u8; TEXT_LENGTH] {
        self.text_of(self.span)
    }

    fn text_of(&self, span: u64) -> [u8; TEXT_LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&mut text[3..35], self.id);
        hex(&mut text[36..52], u128::from(span));
        hex(&mut text[53..55], u128::from(self.flags));
        text
    }
}

/// What a caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: u128,
    /// Its span.
    pub span: u64,
    /// Its flags.
    pub flags: u8,
}

/// Writes a number's last lower-case hexadecimal digits, as many as there is room for.
pub fn hex(into: &mut [u8], mut value: u128) {
    for eight in into.rchunks_mut(8) {
        let digits = digits_of(value as u32);
        eight.copy_from_slice(&digits[digits.len() - eight.len()..]);
        value >>= 32;
    }
}

/// Eight digits at once: each half of a byte moves into a byte of its own; those above nine are moved
/// on to the letters.
fn digits_of(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut halves = u64::from(value);
    halves = (halves << 16 | halves) & 0x0000_ffff_0000_ffff;
    halves = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    halves = (halves << 4 | halves) & (ONES * 0x0f);
    let letters = (halves + ONES * 6) >> 4 & ONES;
    (halves + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

/// Reads a `traceparent` (§3.2.2): `None` if it is malformed, and a new trace must begin.
pub fn parse(value: &[u8]) -> Option<Parent> {
    let version = digits(value.get(..2)?)?;
    // Later versions may have more behind ours, after a hyphen; ours has not; 255 is forbidden.
    let ends = match (version, value.len()) {
        (255, _) => false,
        (0, length) => length == TEXT_LENGTH,
        (_, length) => length == TEXT_LENGTH || value.get(TEXT_LENGTH) == Some(&b'-'),
    };
    let hyphens = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    if !ends || !hyphens {
        return None;
    }
    let trace = digits(value.get(3..35)?)?;
    let span = digits(value.get(36..52)?)? as u64;
    let flags = digits(value.get(53..55)?)? as u8;
    (trace != 0 && span != 0).then_some(Parent { trace, span, flags })
}

/// Lower-case hexadecimal digits and nothing else.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |sum, b| {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_malformed_is_no_trace() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_ours() {
        let parent = parse(GOOD.as_bytes());
        let later = format!("01{}-more", &GOOD[2..]);
        assert!(parent.is_some());
        assert_eq!(parse(later.as_bytes()), parent);
    }

    proptest! {
        /// Whoever is told of a try reads the same trace, and never another try's span.
        #[test]
        fn what_is_written_is_read(id in 1_u128.., span in 1_u64.., sampled: bool) {
            let trace = Trace::begin(None, (id, span), sampled);
            let mut spans = vec![span];
            for number in 1..=40 {
                let told = parse(&trace.text(number)).expect("what we write is well formed");
                prop_assert_eq!((told.trace, told.span), (id, trace.try_span(number)));
                prop_assert_eq!(told.flags & SAMPLED != 0, sampled);
                spans.push(told.span);
            }
            spans.sort_unstable();
            spans.dedup();
            prop_assert_eq!(spans.len(), 41);
            let below = Trace::begin(parse(&trace.text(1)), (id, 7), false);
            prop_assert_eq!((below.id, below.parent), (id, trace.try_span(1)));
            prop_assert_eq!(below.is_sampled(), sampled);
        }

        #[test]
        fn digits_are_those_of_the_standard_library(value: u128, length in 0_usize..=32) {
            let mut digits = vec![0; length];
            hex(&mut digits, value);
            let all = format!("{value:032x}");
            prop_assert_eq!(&all.as_bytes()[32 - length..], &digits[..]);
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}

//! Bytes as text (RFC 4648 §4, §5), for transports that carry text alone.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = digits(STANDARD, bytes);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// For URLs and tokens, without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    digits(URL, bytes)
}

/// How long so many bytes are as text.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn digits(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut text = String::with_capacity(encoded_len(bytes.len()));
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for shift in [18, 12, 6, 0].iter().take(three.len() + 1) {
            text.push(char::from(alphabet[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// Reads either alphabet, with padding or without; line ends are passed over. `None`: it is neither.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut digits, mut padding) = (0_u32, 0, 0);
    for c in text.bytes().filter(|c| !matches!(c, b'\r' | b'\n')) {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(digit);
        digits += 1;
        if digits % 4 != 1 {
            bytes.push((bits >> (6 - 2 * ((digits - 1) % 4))) as u8);
        }
    }
    (digits % 4 != 1 && padding <= 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rfcs_own_examples() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!((encode(b"\xff\xfe"), encode_url(b"\xff\xfe")), ("//4=".into(), "__4".into()));
        for wrong in ["a", "ab*d", "====", "Zg==Zg==", "é"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: Vec<u8>) {
            prop_assert_eq!(encode(&bytes).len(), encoded_len(bytes.len()));
            let (standard, url) = (decode(&encode(&bytes)), decode(&encode_url(&bytes)));
            prop_assert_eq!((standard.as_ref(), url.as_ref()), (Some(&bytes), Some(&bytes)));
        }
    }
}

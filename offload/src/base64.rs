//! Base64 (RFC 4648 §4), which also reads the alphabet for URLs (§5), and text without `=` at its end.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const EITHER: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, EITHER);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, EITHER.with_encode_padding(false));

/// The bytes as text, padded.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    PLAIN.encode(bytes)
}

/// For URLs and tokens, without padding.
pub fn encode_url(bytes: impl AsRef<[u8]>) -> String {
    URL.encode(bytes)
}

/// How long so many bytes are as padded text.
pub const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// The bytes that a text stands for; `None` if it stands for none, or is not the only text for them
/// but for its padding and alphabet.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let text = text.as_ref();
    // The crate would take half of a padding for none.
    if text.ends_with(b"=") && !text.len().is_multiple_of(4) {
        return None;
    }
    let is_url = text.iter().any(|c| matches!(c, b'-' | b'_'));
    if is_url { URL.decode(text).ok() } else { PLAIN.decode(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfc() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in pairs {
            assert_eq!(encode(bytes.as_bytes()), text);
            for same in [text, text.trim_end_matches('=')] {
                assert_eq!(decode(same.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{same}");
            }
        }
        assert_eq!(decode(b"-_8"), decode(b"+/8="));
        assert_eq!((encode(b"\xff\xfe"), encode_url(b"\xff\xfe")), ("//4=".into(), "__4".into()));
        for wrong in ["Z", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Z g=", "Zm8=\n", "é"]
        {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: Vec<u8>) {
            prop_assert_eq!(encode(&bytes).len(), encoded_len(bytes.len()));
            let both = (decode(encode(&bytes)), decode(encode_url(&bytes)));
            prop_assert_eq!(both, (Some(bytes.clone()), Some(bytes)));
        }
    }
}

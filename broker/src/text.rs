//! Text that survives every broker's headers: visible ASCII, whatever it was.

use std::fmt::Write as _;

/// Escapes what is not visible ASCII, and `%`, as `%XX` of its UTF-8 bytes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// What was escaped. What never was, by other programs, stays as it is.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3);
        let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let hex = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

/// Text for other programs, which read it as it is: what would end a header becomes a space.
pub fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::{escape, one_line, unescape};

    #[test]
    fn what_is_escaped_comes_back() {
        for (plain, escaped) in [
            ("", ""),
            ("job-1", "job-1"),
            ("a b", "a%20b"),
            ("50%", "50%25"),
            ("\u{e4}\n", "%C3%A4%0A"),
        ] {
            assert_eq!((escape(plain).as_str(), unescape(escaped).as_str()), (escaped, plain));
        }
    }

    #[test]
    fn what_others_wrote_stays() {
        for text in ["100%", "%zz", "%", "%+1", "\u{e4}%\u{e4}", "%FF"] {
            assert_eq!(unescape(text), text);
        }
        assert_eq!(one_line("a\r\nb: c"), "a  b: c");
    }
}

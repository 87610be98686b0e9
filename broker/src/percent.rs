//! Percent signs in credentials of URLs (RFC 3986 §2.1).

/// A name or a password as it was before it was written into a URL.
pub(crate) fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%');
        let code =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_is_no_code_stays() {
        let found = ["a%40b", "%2F%2f", "100%", "%zz%4", ""].map(plain);
        assert_eq!(found, ["a@b", "//", "100%", "%zz%4", ""]);
    }
}

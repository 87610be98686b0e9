//! What signs and encrypts. What is wrong with a secret is said without it: reports end up in logs.

use crate::report::Wrong;
use offload::base64::decode;

/// What settings are shown with in the place of a secret.
const HIDDEN: &str = "********";

/// Reads what status addresses are signed with.
pub(super) fn secret(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "16 to 256 printable ASCII characters, no space";
    check_hidden(text)?;
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a secret"), ALLOWED));
    }
    if !(16..=256).contains(&text.len()) {
        let word = if text.len() < 16 { "few" } else { "many" };
        let wrong = Wrong::all(text, format!("{} characters are too {word}", text.len()), ALLOWED);
        return Err(wrong.hint("openssl rand -base64 32 makes a good one"));
    }
    Ok(text.to_owned())
}

/// Reads 32 bytes.
pub(super) fn key(text: &str) -> Result<[u8; 32], Wrong> {
    const ALLOWED: &str = "32 bytes, as 64 hexadecimal digits or as Base64";
    check_hidden(text)?;
    let wrong = |what: String| {
        Wrong::all(text, what, ALLOWED).hint("openssl rand -base64 32 makes a good one")
    };
    let bytes = match hexadecimal(text) {
        Some(bytes) if text.len() == 64 => bytes,
        _ => decode(text.as_bytes())
            .ok_or_else(|| wrong("neither Base64 nor hexadecimal".to_owned()))?,
    };
    let count = bytes.len();
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| wrong(format!("{count} bytes")))?;
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err(wrong("the same byte 32 times".to_owned()));
    }
    Ok(bytes)
}

/// Reads a secret of Standard Webhooks.
pub(super) fn hook(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "whsec_ and 24 to 64 bytes as Base64";
    check_hidden(text)?;
    let hint = "echo whsec_$(openssl rand -base64 32) makes a good one";
    let wrong = |what: &str| Wrong::all(text, what, ALLOWED).hint(hint);
    let Some(rest) = text.strip_prefix("whsec_") else {
        return Err(wrong("it does not start with whsec_"));
    };
    let bytes = decode(rest.as_bytes()).ok_or_else(|| wrong("no Base64 after whsec_"))?;
    if !(24..=64).contains(&bytes.len()) {
        return Err(wrong(&format!("{} bytes", bytes.len())));
    }
    Ok(text.to_owned())
}

/// Settings as they are shown have lost their secrets; asterisks must not become one.
fn check_hidden(text: &str) -> Result<(), Wrong> {
    if text.contains(HIDDEN) {
        let wrong = Wrong::all(text, "asterisks in the place of a secret", "the secret itself");
        return Err(wrong.hint("settings are shown without it: put it in again"));
    }
    Ok(())
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

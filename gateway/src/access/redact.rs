//! What of a target or a URL is told to nobody: values of some parameters of its query, and users.
//!
//! Names are compared without case, percent-decoded, and of `user[token]` each part by itself. The
//! path is left as it is.

use std::borrow::Cow;

/// What stands in the place of a value.
const INSTEAD: &[u8] = b"REDACTED";

/// A target without the values of these parameters of its query (names in lower case; a `*` at the
/// end stands for any rest).
pub fn redacted<'a>(target: &'a [u8], parameters: &[String]) -> Cow<'a, [u8]> {
    let Some(start) = target.iter().position(|&b| b == b'?').map(|at| at + 1) else {
        return Cow::Borrowed(target);
    };
    let end = target[start..].iter().position(|&b| b == b'#').map_or(target.len(), |n| start + n);
    let mut made: Option<Vec<u8>> = None;
    let mut at = start;
    // A fragment is no target's, but a Referer's may be one by mistake, and tokens are put there.
    let pieces = target[start..end].split(|&b| b == b'&').chain(fragment(&target[end..]));
    for piece in pieces {
        let shown = shown(piece, parameters);
        if shown < piece.len() {
            let made = made.get_or_insert_with(|| {
                let mut made = Vec::with_capacity(target.len() + INSTEAD.len());
                made.extend_from_slice(&target[..at]);
                made
            });
            made.extend_from_slice(&piece[..shown]);
            made.extend_from_slice(INSTEAD);
        } else if let Some(made) = &mut made {
            made.extend_from_slice(piece);
        }
        at += piece.len();
        // What parts it from the next: a `&`, or the `#` before a fragment.
        if let (Some(made), Some(between)) = (&mut made, target.get(at)) {
            made.push(*between);
        }
        at += 1;
    }
    made.map_or(Cow::Borrowed(target), Cow::Owned)
}

fn fragment(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = text.strip_prefix(b"#");
    inner.into_iter().flat_map(|inner| inner.split(|&b| b == b'&'))
}

/// The same of a URL, and without the user that it may name.
pub fn url<'a>(url: &'a [u8], parameters: &[String]) -> Cow<'a, [u8]> {
    let bare = without_user(url);
    match redacted(&bare, parameters) {
        Cow::Borrowed(_) => bare,
        Cow::Owned(made) => Cow::Owned(made),
    }
}

fn without_user(url: &[u8]) -> Cow<'_, [u8]> {
    let scheme = url.windows(2).position(|pair| pair == b"//").map(|at| at + 2);
    let Some(start) = scheme.filter(|at| *at == 2 || url[*at - 3] == b':') else {
        return Cow::Borrowed(url);
    };
    let ends = |&b: &u8| matches!(b, b'/' | b'?' | b'#');
    let end = url[start..].iter().position(ends).map_or(url.len(), |n| start + n);
    match url[start..end].iter().rposition(|&b| b == b'@') {
        None => Cow::Borrowed(url),
        Some(at) => Cow::Owned([&url[..start], &url[start + at + 1..]].concat()),
    }
}

/// How much of a piece of a query may be shown: all of it, or up to the value that may not. Where
/// services take `;` for what parts parameters, a name may follow it; the value goes on to the end.
fn shown(piece: &[u8], parameters: &[String]) -> usize {
    let mut start = 0;
    for part in piece.split(|&b| b == b';') {
        if let Some(equals) = part.iter().position(|&b| b == b'=')
            && is_secret(&part[..equals], parameters)
            && equals + 1 < part.len()
        {
            return start + equals + 1;
        }
        start += part.len() + 1;
    }
    piece.len()
}

/// Is this the name of a parameter whose value is not told?
fn is_secret(name: &[u8], parameters: &[String]) -> bool {
    // A second `?` begins no query, but whoever builds URLs by hand writes one there.
    let behind = name.iter().rposition(|&b| b == b'?').map_or(0, |at| at + 1);
    let name = decoded(&name[behind..]);
    if is_named(&name, parameters) {
        return true;
    }
    // `user[token]`, `token[]`, `user.token`.
    let mut parts = name.split(|&b| matches!(b, b'[' | b']' | b'.')).filter(|p| !p.is_empty());
    name.iter().any(|&b| matches!(b, b'[' | b'.')) && parts.any(|part| is_named(part, parameters))
}

fn is_named(name: &[u8], parameters: &[String]) -> bool {
    parameters.iter().map(String::as_bytes).any(|secret| match secret.strip_suffix(b"*") {
        Some(start) => name.get(..start.len()).is_some_and(|n| n.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(secret),
    })
}

/// A name as a form has it: percent-decoded, `+` for a space; other alphabets in lower case.
fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().all(|b| b.is_ascii() && !matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(name.trim_ascii());
    }
    let digit = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8);
    let mut made = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&b, behind)) = rest.split_first() {
        rest = behind;
        match (b, behind) {
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    made.push(high << 4 | low);
                    rest = behind;
                }
                _ => made.push(b),
            },
            (b'+', _) => made.push(b' '),
            _ => made.push(b),
        }
    }
    let text = String::from_utf8_lossy(&made).trim().to_lowercase();
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Vec<String> {
        ["token", "x-amz-*", "schl\u{fc}ssel", "api key"].map(str::to_owned).into()
    }

    #[test]
    fn values_of_secrets_are_not_told() {
        for (target, told) in [
            ("/a?token=abc", "/a?token=REDACTED"),
            ("/a?b=1&TOKEN=abc&c=2", "/a?b=1&TOKEN=REDACTED&c=2"),
            ("/a?%74oken=abc", "/a?%74oken=REDACTED"),
            ("/a?%74%4fKEN=abc&token=def", "/a?%74%4fKEN=REDACTED&token=REDACTED"),
            ("/a?token=a=b=c&x", "/a?token=REDACTED&x"),
            ("/a?x=1;token=abc;y=2&z", "/a?x=1;token=REDACTED&z"),
            ("/a?X-Amz-Signature=q&x-amz=1", "/a?X-Amz-Signature=REDACTED&x-amz=1"),
            ("/a?Schl%C3%9Cssel=1", "/a?Schl%C3%9Cssel=REDACTED"),
            ("/a?api+key=1&api%20key=2", "/a?api+key=REDACTED&api%20key=REDACTED"),
            (
                "/a?user[token]=1&token[]=2&u.token=3",
                "/a?user[token]=REDACTED&token[]=REDACTED&u.token=REDACTED",
            ),
            ("/a?x#token=1&y", "/a?x#token=REDACTED&y"),
            ("/a??token=1&x", "/a??token=REDACTED&x"),
            ("/a?b?token=1", "/a?b?token=REDACTED"),
        ] {
            let found = redacted(target.as_bytes(), &names()).into_owned();
            assert_eq!(String::from_utf8(found).unwrap(), told, "{target}");
        }
    }

    #[test]
    fn all_else_is_told_as_it_came() {
        for target in [
            "/token=abc/token;token=1",
            "/a",
            "*",
            "/a?",
            "/a?&&=&",
            "/a?token",
            "/a?token=",
            "/a?tokens=1&atoken=2&to%6en=3",
            "/a?x=token&%zz=1&%7",
            "/a#b",
        ] {
            let found = redacted(target.as_bytes(), &names());
            assert!(matches!(found, Cow::Borrowed(_)), "{target}");
            assert_eq!(&*found, target.as_bytes());
        }
    }

    #[test]
    fn a_url_names_nobody() {
        for (from, told) in [
            ("https://me:pass@shop.example/a?token=1", "https://shop.example/a?token=REDACTED"),
            ("https://me@pass@shop.example", "https://shop.example"),
            ("//me@shop.example/", "//shop.example/"),
            ("https://shop.example/@me?a=b@c", "https://shop.example/@me?a=b@c"),
            ("/a//me@b", "/a//me@b"),
            ("about:blank", "about:blank"),
        ] {
            let found = url(from.as_bytes(), &names()).into_owned();
            assert_eq!(String::from_utf8(found).unwrap(), told, "{from}");
        }
    }

    proptest! {
        /// However it is spelled and whatever stands around it.
        #[test]
        fn no_secret_is_ever_told(
            before in "[a-z=&;%?]{0,12}",
            spelled in proptest::collection::vec(0..3_u8, 5),
            behind in "[a-z=;%]{0,6}",
            more in "(&[a-z=&;%]{0,8})?",
        ) {
            let name: String = "token".chars().zip(spelled).map(|(c, how)| match how {
                0 => c.to_string(),
                1 => c.to_ascii_uppercase().to_string(),
                _ => format!("%{:02x}", c as u32),
            }).collect();
            let target = format!("/p?{before}&{name}=SECRET{behind}{more}");
            let found = redacted(target.as_bytes(), &names()).into_owned();
            let found = String::from_utf8(found).unwrap();
            prop_assert!(!found.contains("SECRET"), "{target} -> {found}");
        }
    }
}

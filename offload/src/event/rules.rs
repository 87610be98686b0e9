//! What attributes may be called and hold.

use super::{NAME_BYTES_MAX, NoEvent, VALUE_BYTES_MAX};

/// The attributes that the specification names.
pub const NAMED: [&str; 8] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// Is it the name of an attribute (`spec.md`, Naming Conventions)?
///
/// # Errors
/// Why not.
pub fn name(name: &str) -> Result<(), NoEvent> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        return Err(NoEvent::attribute(name, "not a name of lower-case letters and digits"));
    }
    if name == "data" {
        return Err(NoEvent::attribute(name, "not a name of an attribute"));
    }
    Ok(())
}

/// May the attribute hold this?
///
/// # Errors
/// Why not.
pub fn attribute(name: &str, value: &str) -> Result<(), NoEvent> {
    let wrong = |why| Err(NoEvent::attribute(name, why));
    if value.len() > VALUE_BYTES_MAX {
        return wrong("too long");
    }
    if value.is_empty() && NAMED.contains(&name) {
        return wrong("empty");
    }
    if !value.chars().all(is_allowed) {
        return wrong("a character that no attribute may have");
    }
    match name {
        "specversion" if value != "1.0" => Err(NoEvent::Version(value.to_owned())),
        "source" if !is_reference(value) => wrong("not a URI reference"),
        "dataschema" if scheme(value).is_none() || !is_reference(value) => wrong("not a URI"),
        "datacontenttype" if !is_media_type(value) => wrong("not a media type"),
        "time" if !is_time(value) => wrong("not a time as RFC 3339 writes it"),
        _ => Ok(()),
    }
}

/// No control characters, and none that Unicode has said are none.
pub(crate) fn is_allowed(c: char) -> bool {
    let number = u32::from(c);
    !c.is_control() && number & 0xfffe != 0xfffe && !(0xfdd0..=0xfdef).contains(&number)
}

/// The scheme of a URI, if it has one.
fn scheme(text: &str) -> Option<&str> {
    let end = text.find([':', '/', '?', '#'])?;
    text[end..].starts_with(':').then_some(&text[..end])
}

/// Is it a URI reference (RFC 3986 §4.1), as far as its characters tell?
pub fn is_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let legal = |at: usize| match bytes[at] {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        b => b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b),
    };
    let legal_scheme = scheme(text).is_none_or(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    (0..bytes.len()).all(legal) && legal_scheme && text.matches('#').count() <= 1
}

/// Is it a media type (RFC 2046), perhaps with parameters?
fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').map_or((text, None), |(a, b)| (a, Some(b)));
    let token = |text: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(legal)
    };
    let pair = essence.trim_end().split_once('/');
    let printable = |c: char| c.is_ascii_graphic() || c == ' ';
    pair.is_some_and(|(kind, subtype)| token(kind) && token(subtype))
        && text.trim() == text
        && parameters.is_none_or(|text| text.chars().all(printable))
}

/// Is it a date and time (RFC 3339 §5.6)?
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() {
        return false;
    }
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(want, found): (&u8, &u8)| match want {
        b'd' => found.is_ascii_digit(),
        b'T' => matches!(found, b'T' | b't'),
        other => other == found,
    };
    if !shape.iter().zip(bytes).all(fits) {
        return false;
    }
    let number = |at: usize| text[at..at + 2].parse::<u32>().unwrap_or(u32::MAX);
    let year = number(0) * 100 + number(2);
    let legal = (1..=12).contains(&number(5))
        && (1..=days(year, number(5))).contains(&number(8))
        && number(11) <= 23
        && number(14) <= 59
        && number(17) <= 60;
    legal && is_end_of_time(&text[19..])
}

/// A fraction, perhaps, and where on earth.
fn is_end_of_time(text: &str) -> bool {
    let zone = match text.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == rest.len() {
                return false;
            }
            zone
        }
        None => text,
    };
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return matches!(zone, "Z" | "z") };
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    offset.split_once(':').is_some_and(|(hours, minutes)| {
        number(hours).is_some_and(|hours| hours <= 23)
            && number(minutes).is_some_and(|minutes| minutes <= 59)
    })
}

fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Does a media type say that the data is JSON: `*/json` or `*/*+json`?
pub fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.ends_with("/json") || (essence.contains('/') && essence.ends_with("+json"))
}

/// Does a media type say that the data is text, in a charset whose text JSON can hold?
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type);
    let lower = content_type.to_ascii_lowercase();
    let charset = lower.split_once("charset=").map(|(_, rest)| {
        rest.split(';').next().unwrap_or_default().trim_matches([' ', '"']).to_owned()
    });
    let own = charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "us-ascii"));
    own && (essence.starts_with("text/") || essence.ends_with("/xml") || essence.ends_with("+xml"))
}

/// A media type without its parameters, in lower case.
pub(crate) fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

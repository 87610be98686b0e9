//! Decision tables, laws, and a second opinion.
//!
//! Heads are written as text, `Name: value` a line; `{n}` is the date `n` seconds from [`NOW`].

mod conditions;
mod controls;
mod differential;
mod keys;
mod lives;
mod ranges;
mod selecting;
mod suite;
mod validation;
mod writes;

use super::{Query, date};
use crate::settings::{Profile, Rules};
use base::{Fields, ResponseHead, Wall};
use std::time::Duration;

/// 2027-01-15 08:00:00, and half a second: answers of that second have its Date.
const NOW: Wall = Wall(1_800_000_000_500);
const TARGETED: &str = "CDN-Cache-Control";

fn dates(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (offset, after) = behind.split_once('}').expect("a brace is closed");
        let offset: i64 = offset.parse().expect("a number");
        let mut date = Vec::new();
        date::write(Wall(NOW.0.saturating_add_signed(offset * 1_000)), &mut date);
        out.push_str(before);
        out.push_str(&String::from_utf8(date).expect("a date is text"));
        rest = after;
    }
    out + rest
}

fn fields(text: &str) -> Fields {
    let mut fields = Fields::new();
    for line in dates(text).lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a colon");
        fields.push(name.as_bytes(), value.trim().as_bytes());
    }
    fields
}

fn response(status: u16, text: &str) -> ResponseHead {
    let mut head = ResponseHead::build(status);
    for field in fields(text).iter() {
        head.fields.push(field.name, field.value);
    }
    head
}

fn get(fields: &Fields) -> Query<'_> {
    Query { method: b"GET", fields, has_body: false, upgrade: false }
}

fn rules() -> Rules {
    Rules { profile: Profile::Rfc, ..Rules::standard() }
}

fn targeted() -> Vec<String> {
    vec![TARGETED.to_owned()]
}

fn after(seconds: u64) -> Wall {
    NOW + Duration::from_secs(seconds)
}

fn text(fields: &Fields) -> String {
    let line = |f: base::field::FieldRef<'_>| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}: {}", text(f.name), text(f.value))
    };
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

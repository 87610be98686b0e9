//! What the cache reads: directives, dates, selecting fields, ranges, structured fields.

use crate::show;
use base::field::is_value;
use base::{Fields, ResponseHead, Wall};
use cache::policy::control::{Directives, Flag, SECONDS_MAX};
use cache::policy::range::specs;
use cache::policy::vary::combine;
use cache::policy::{
    self, Answer, Life, Query, Selecting, accept, content_range, date, entity, targeted, variant,
};
use cache::settings::{Profile, Rules};

const NOW: Wall = Wall(1_800_000_000_500);
const LENGTH: u64 = 1_000;

fn rules() -> Rules {
    Rules { profile: Profile::Rfc, reload: true, ..Rules::standard() }
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| is_value(line)).take(16)
}

fn get(fields: &Fields) -> Query<'_> {
    Query { method: b"GET", fields, has_body: false, upgrade: false }
}

/// Lines of Cache-Control: within bounds, the first of several, and no restriction lost behind them.
pub fn cache_control(data: &[u8]) {
    let mut said = Directives::default();
    lines(data).for_each(|line| said.read(line));
    let mut again = said.clone();
    again.withheld.clear();
    lines(data).for_each(|line| again.read(line));
    assert_eq!(again, said, "{}", show(data));
    for seconds in [said.max_age, said.s_maxage, said.min_fresh, said.max_stale] {
        assert!(seconds.is_none_or(|seconds| seconds <= SECONDS_MAX), "{}", show(data));
    }
    for line in lines(data) {
        let longer = [line, b", no-store"].concat();
        let mut said = Directives::default();
        said.read(&longer);
        // A quoted string that ends takes in what stands in it, and nothing stands behind it here.
        assert!(said.has(Flag::NoStore), "{}", show(&longer));
    }
    let mut head = ResponseHead::build(200);
    lines(data).for_each(|line| head.fields.push(b"Cache-Control", line));
    head.fields.push(b"ETag", b"\"a\"");
    let request = Fields::new();
    if let Ok(life) = policy::store(&get(&request), &head, NOW, NOW, &rules(), &[]) {
        let mut bytes = Vec::new();
        life.write(&mut bytes);
        assert_eq!(Life::read(&bytes), Some(life), "{}", show(data));
        let _verdict = policy::judge(&life, &get(&head.fields), &rules(), NOW, 0.5);
    }
    let count = head.fields.len();
    policy::strip(&mut head, &rules(), &[]);
    assert!(head.fields.len() <= count);
}

/// Lines of dates: what is read is written so that it is read again.
pub fn dates(data: &[u8]) {
    for line in data.split(|&byte| byte == b'\n') {
        let Some(seconds) = date::parse(line, NOW) else { continue };
        let Ok(since) = u64::try_from(seconds) else { continue };
        let mut text = Vec::new();
        date::write(Wall(since * 1_000), &mut text);
        assert_eq!(date::parse(&text, NOW), Some(seconds), "{} {}", show(line), show(&text));
    }
}

/// Vary in the first line, the request's fields in the rest: a request selects what it selected.
pub fn vary(data: &[u8]) {
    let mut lines = lines(data);
    let mut head = ResponseHead::build(200);
    head.fields.push(b"Vary", lines.next().unwrap_or_default());
    let names: Vec<_> = head.fields.iter().next().map_or(Vec::new(), |field| {
        base::field::members(field.value).map(<[u8]>::to_vec).collect()
    });
    let mut request = Fields::new();
    for (index, value) in lines.enumerate() {
        let name = names.get(index % names.len().max(1)).filter(|name| base::field::is_name(name));
        request.push(name.map_or(&b"Accept-Language"[..], |name| name), value);
        for write in [
            |value: &[u8], out: &mut Vec<u8>| combine([value].into_iter(), out),
            |value: &[u8], out: &mut Vec<u8>| accept::codings([value].into_iter(), out),
            |value: &[u8], out: &mut Vec<u8>| accept::languages([value].into_iter(), &[], out),
        ] {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            write(value, &mut once);
            write(&once, &mut twice);
            assert_eq!(once, twice, "{}", show(value));
        }
    }
    if let Ok(selecting) = Selecting::of(&get(&request), &head, &rules()) {
        assert!(selecting.matches(&get(&request), &rules()), "{}", show(data));
        let same = variant(selecting.names(), &get(&request), &rules());
        assert_eq!(selecting.variant(), same, "{}", show(data));
        let mut bytes = Vec::new();
        selecting.write(&mut bytes);
        assert_eq!(Selecting::read(&bytes), Some(selecting), "{}", show(data));
    }
    if let Some(read) = Selecting::read(data) {
        let mut bytes = Vec::new();
        read.write(&mut bytes);
        assert_eq!(bytes, data, "{}", show(data));
    }
}

/// Range, Content-Range, If-Range and a tag, a line each: parts lie in the whole.
pub fn ranges(data: &[u8]) {
    let mut lines = lines(data);
    let (mut request, mut head) = (Fields::new(), ResponseHead::build(206));
    let range = lines.next().unwrap_or_default();
    request.push(b"Range", range);
    head.fields.push(b"Content-Range", lines.next().unwrap_or_default());
    if let Some(line) = lines.next() {
        request.push(b"If-Range", line);
        head.fields.push(b"ETag", lines.next().unwrap_or_default());
        assert!(entity::tags(line).count() <= line.len());
    }
    for spec in specs(range).unwrap_or_default() {
        let found = spec.of(LENGTH);
        assert!(found.is_none_or(|r| r.first <= r.last && r.last < LENGTH), "{}", show(data));
    }
    if let Some(content) = content_range(&head) {
        let length = content.range.length();
        if let Some(range) = policy::covers(&head, length, &get(&request), NOW) {
            let part = content.range;
            assert!(part.first <= range.first && range.last <= part.last, "{}", show(data));
        }
        let mut value = Vec::new();
        content.write(&mut value);
        let mut again = ResponseHead::build(206);
        again.fields.push(b"Content-Range", &value);
        assert_eq!(content_range(&again), Some(content), "{}", show(data));
        let _combined = policy::combine(&head, &head);
    }
    head.status = 200;
    match policy::answer(&get(&request), &head, LENGTH, NOW) {
        Answer::Partial(range) => assert!(range.last < LENGTH, "{}", show(data)),
        Answer::Parts(parts) => {
            let sum: u64 = parts.iter().map(|range| range.length()).sum();
            assert!(parts.len() > 1 && sum <= LENGTH, "{}", show(data));
            let whole = policy::multipart(&head, &parts, LENGTH, 1);
            assert_eq!(whole.parts.len(), parts.len());
        }
        _ => {}
    }
}

/// A targeted field: bounds hold, and what does not parse as a dictionary says nothing.
pub fn targeted_control(data: &[u8]) {
    if let Some(said) = targeted::parse(data) {
        assert!(data.iter().all(|b| b.is_ascii()), "{}", show(data));
        for seconds in [said.max_age, said.s_maxage, said.stale_if_error] {
            assert!(seconds.is_none_or(|seconds| seconds <= SECONDS_MAX), "{}", show(data));
        }
        let longer = [data, b", no-store"].concat();
        let said = targeted::parse(&longer).expect("one more member");
        assert!(said.has(Flag::NoStore), "{}", show(&longer));
    }
    if let Some(list) = targeted::strings(data) {
        assert!(list.iter().all(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b))));
    }
}

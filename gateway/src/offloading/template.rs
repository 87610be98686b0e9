//! Keys made of a request: `{id}` is a parameter of the route, `{header.NAME}` a field.

use crate::house::House;
use crate::path::Exchange;
use base::{Fault, FaultKind, RequestHead};
use xxhash_rust::xxh3::Xxh3;

/// What stands for a template filled with what a request says; 0 for an empty one.
///
/// # Errors
/// `BadRequest`: a field that the template names is not there.
pub fn hash(house: &House, exchange: &Exchange<'_>, template: &str) -> Result<u64, Fault> {
    if template.is_empty() {
        return Ok(0);
    }
    let mut hasher = Xxh3::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else { break };
        hasher.update(before.as_bytes());
        let value = value(house, exchange, name).ok_or_else(|| {
            let detail = format!("the request has no {name}, by which its jobs are told apart");
            Fault::new(FaultKind::BadRequest, detail)
        })?;
        hasher.update(&(value.len() as u64).to_le_bytes());
        hasher.update(value);
        rest = after;
    }
    hasher.update(rest.as_bytes());
    Ok(hasher.digest().max(1))
}

/// A template filled with what a request of the route at `index` says; `None`: it names something that
/// is not there.
pub fn fill(house: &House, (head, index): (&RequestHead, usize), template: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        text.push_str(before);
        text.push_str(&String::from_utf8_lossy(of_head(house, head, index, name)?));
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn value<'a>(house: &'a House, exchange: &'a Exchange<'_>, name: &str) -> Option<&'a [u8]> {
    of_head(house, &exchange.head, usize::from(exchange.facts.route?), name)
}

fn of_head<'a>(
    house: &'a House,
    head: &'a RequestHead,
    index: usize,
    name: &str,
) -> Option<&'a [u8]> {
    if let Some(field) = name.strip_prefix("header.") {
        return head.fields.find(field.as_bytes());
    }
    let target = head.target_received();
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    let mut all = house.snapshot.router.parameters(index, path);
    all.find(|(parameter, _)| *parameter == name).map(|(_, value)| value)
}

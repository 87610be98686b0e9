//! What is told to a callback's URL: the request of a job that is over.
//!
//! The body is JSON; signatures (Standard Webhooks) and the check of where the URL leads are made at
//! each try, by whoever sends it.

use crate::cold::Over;
use serde_json::{Map, Value};

/// The request that tells a URL of a job that is over: a head with the whole URL as its target, and a
/// body, as HTTP/1.1 writes them.
pub fn request(over: &Over, url: &str) -> Vec<u8> {
    let mut told = Map::new();
    told.insert("type".into(), format!("fleetfoot.job.{}.v1", over.state.name()).into());
    told.insert("timestamp".into(), over.ended.seconds().into());
    let mut data = Map::new();
    data.insert("job".into(), over.id.to_string().into());
    data.insert("state".into(), over.state.name().into());
    data.insert("reason".into(), over.reason.name().into());
    data.insert("queue".into(), over.queue.as_str().into());
    data.insert("route".into(), over.route.as_str().into());
    data.insert("attempts".into(), over.attempts.into());
    if over.status != 0 {
        data.insert("status".into(), over.status.into());
    }
    told.insert("data".into(), Value::Object(data));
    let body = Value::Object(told).to_string();
    let head = format!(
        "POST {url} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

//! One job: all that is known of it, and what an operator does about it.
//!
//! Of its request are told the method, the target without what `redact` of `[monitor]` names, the names
//! of all fields, and the values of those alone that tell nobody's secret ([`TOLD`]).

use super::list::{live_row, over_row};
use super::{No, Told, blocking, replay, unknown};
use crate::access::redacted;
use base::{Fields, Wall};
use http::StatusCode;
use offload::cold::Over;
use offload::core::Cancelled;
use offload::engine::{Engine, Look};
use offload::job::{JobId, State};
use offload::record::{self, Record};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use wire::h1;

/// Fields whose values are told.
const TOLD: [&str; 12] = [
    "accept",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "host",
    "idempotency-key",
    "retry-after",
    "traceparent",
    "user-agent",
];
/// Most fields of a request that was kept; it had a place in a request once.
const FIELDS_MAX: usize = 10_000;

/// All that is known of a job; waits for the disk.
///
/// # Errors
/// Nobody knows it, or the store's.
pub fn show(engine: &Engine, id: JobId, redact: &[String]) -> Told {
    if let Some(Look::Live(view)) = engine.look(id) {
        let queue = engine.with_book(|book| book.name(view.queue).to_owned());
        let first = engine.request(view.place);
        let mut row = live_row(engine, &view, &queue, None);
        row["lost"] = view.lost.into();
        if let Some((first, request)) = first {
            summary(&mut row, &first);
            row["request"] = of_request(&request, redact);
        }
        row["links"] = json!({ "status": status_path(engine, id) });
        return Ok((StatusCode::OK, row));
    }
    let over = over(engine, id)?;
    let mut row = over_row(engine, &over);
    if let Some((first, request)) = &over.request {
        summary(&mut row, first);
        row["request"] = of_request(request, redact);
    }
    if !over.answer.is_empty() {
        row["answer"] = of_answer(&over.answer);
    }
    row["links"] = json!({ "status": status_path(engine, id) });
    Ok((StatusCode::OK, row))
}

/// What is known of a job that is over.
fn over(engine: &Engine, id: JobId) -> Result<Over, No> {
    if let Some(Look::Over(over)) = engine.look(id) {
        return Ok((*over).clone());
    }
    engine.stored(id)?.ok_or_else(|| unknown(engine, id))
}

fn status_path(engine: &Engine, id: JobId) -> String {
    format!("{}/{}", engine.settings().path, engine.minter().token(id))
}

/// What the first record of a job says beside what a list does.
fn summary(row: &mut Value, first: &[u8]) {
    let Ok(Record::Accept(summary)) = record::read(first) else { return };
    row["route"] = summary.route.into();
    row["service"] = (!summary.service.is_empty()).then_some(summary.service).into();
    row["priority"] = summary.priority.into();
    row["ordered"] = (summary.order != 0).into();
    row["debounced"] = (summary.debounce != 0).into();
    row["named"] = (summary.claim != 0).into();
    if !summary.callback.is_empty() {
        let bare = summary.callback.split(['?', '#']).next().unwrap_or_default();
        row["callback"] = bare.into();
    }
    if summary.expires > Wall(0) {
        row["expires"] = summary.expires.0.into();
    }
    if summary.replay {
        row["replay"] = true.into();
    }
}

fn of_request(bytes: &[u8], redact: &[String]) -> Value {
    let parsed = h1::parse::request(bytes, FIELDS_MAX).ok().flatten();
    let Some((head, length)) = parsed else {
        return json!({ "bytes": bytes.len(), "problem": "it cannot be read" });
    };
    let target = redacted(head.target(), redact);
    json!({
        "method": String::from_utf8_lossy(head.method()),
        "target": String::from_utf8_lossy(&target),
        "fields": fields(&head.fields),
        "body_bytes": bytes.len() - length,
    })
}

fn of_answer(bytes: &[u8]) -> Value {
    let parsed = h1::parse::response(bytes, FIELDS_MAX).ok().flatten();
    let Some((head, length)) = parsed else {
        return json!({ "bytes": bytes.len(), "problem": "it cannot be read" });
    };
    json!({
        "status": head.status,
        "fields": fields(&head.fields),
        "body_bytes": bytes.len() - length,
    })
}

/// Names, each with its value, or with nothing.
fn fields(fields: &Fields) -> Value {
    let mut told = Map::new();
    for field in fields.iter() {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        let value = TOLD
            .contains(&name.as_str())
            .then(|| String::from_utf8_lossy(field.value).into_owned())
            .filter(|value| !value.starts_with("{sealed}"));
        told.insert(name, value.into());
    }
    Value::Object(told)
}

/// Makes a job due now, or replays it if it is dead.
///
/// # Errors
/// It is neither, or nobody knows it.
pub async fn retry(engine: &Arc<Engine>, id: JobId) -> Told {
    if let Some(Look::Live(view)) = engine.look(id) {
        return match view.state {
            State::Scheduled => match engine.hurry(id).await {
                Ok(true) => {
                    Ok((StatusCode::OK, json!({ "id": id.to_string(), "state": "queued" })))
                }
                Ok(false) if engine.closed().is_none() => {
                    Err(No::conflict("its state has just changed", "look at it again"))
                }
                Ok(false) | Err(_) => Err(closed(engine)),
            },
            State::Running => {
                let error = if view.handed { "the broker has it" } else { "it is being delivered" };
                Err(No::conflict(error, "wait for what comes of it"))
            }
            _ => {
                let remedy = "it goes as soon as `at_once`, `rate` and its service let it";
                Err(No::conflict("it is due already", remedy))
            }
        };
    }
    let store = Arc::clone(engine);
    let dead = blocking(move || over(&store, id)).await?;
    let made = replay::one(engine, &dead).await?;
    let token = engine.minter().token(made);
    let told = json!({ "id": id.to_string(), "replayed_as": made.to_string(), "token": token });
    Ok((StatusCode::ACCEPTED, told))
}

/// Why the room takes nothing.
pub fn closed(engine: &Engine) -> No {
    let why = engine.closed().unwrap_or("it is closing");
    No::closed(format!("the log of jobs takes nothing: {why}"))
}

/// Takes a job back.
///
/// # Errors
/// It is too late, or nobody knows it.
pub async fn cancel(engine: &Arc<Engine>, id: JobId) -> Told {
    let too_late = |state: State| {
        let error = format!("it is {} and cannot be taken back", state.name());
        let remedy = if state.is_final() { "nothing is left to do" } else { "wait for its end" };
        Err(No::conflict(error, remedy))
    };
    match engine.cancel(id).await {
        Ok(Cancelled::Yes) => {
            Ok((StatusCode::OK, json!({ "id": id.to_string(), "state": "cancelled" })))
        }
        Ok(Cancelled::TooLate(state)) => too_late(state),
        Ok(Cancelled::Unknown) => {
            let store = Arc::clone(engine);
            too_late(blocking(move || over(&store, id)).await?.state)
        }
        Ok(Cancelled::Broken) | Err(_) => Err(closed(engine)),
    }
}

/// Forgets a job that is over.
///
/// # Errors
/// It is not over, or nobody knows it.
pub async fn forget(engine: &Arc<Engine>, id: JobId) -> Told {
    match engine.look(id) {
        Some(Look::Live(view)) => {
            let error = format!("it is {}, not over", view.state.name());
            Err(No::conflict(error, "cancel it: POST /jobs/ID/cancel"))
        }
        Some(Look::Over(_)) => {
            Err(No::conflict("it has ended this moment and is being put away", "ask once more"))
        }
        None => {
            let store = Arc::clone(engine);
            blocking(move || {
                if store.store().forget(id)? {
                    return Ok((
                        StatusCode::OK,
                        json!({ "id": id.to_string(), "forgotten": true }),
                    ));
                }
                Err(unknown(&store, id))
            })
            .await
        }
    }
}

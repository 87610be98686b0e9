//! The cases, as the suite declares them.

use super::date;
use crate::message::Field;
use serde_json::Value as Json;
use std::path::Path;

/// What a case proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A claim of conformance.
    Required,
    /// Legal not to, but a good cache does.
    Optimal,
    /// Neither answer is wrong.
    Check,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name for machines.
    pub id: String,
    /// Its sentence.
    pub name: String,
    /// The suite it stands in.
    pub suite: String,
    /// What it proves.
    pub kind: Kind,
    /// Cases that must pass for this one to mean something.
    pub depends_on: Vec<String>,
    /// Its requests, in order.
    pub steps: Vec<Step>,
}

/// What a field is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This.
    Text(String),
    /// A date so many seconds from the origin's now.
    Seconds(i64),
}

/// A field of a step.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Whether the client is to find it in the answer. `false` only where the data say so.
    pub checked: bool,
}

/// What is expected of a field.
#[derive(Clone, Debug)]
pub enum Expected {
    /// It is there.
    Present(String),
    /// It is this.
    Is(String, Value),
    /// It is the same as another field.
    Same(String, String),
    /// It is a number above this.
    Above(String, i64),
}

/// Where an answer is expected to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// The cache, without the origin.
    Cached,
    /// The origin.
    NotCached,
    /// The cache, after the origin confirmed it by entity tag.
    EtagValidated,
    /// The cache, after the origin confirmed it by date.
    DateValidated,
}

/// One request, its answer, and what must be seen.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "as the suite declares it")]
pub struct Step {
    /// The method.
    pub method: String,
    /// The client's fields.
    pub request_fields: Vec<Said>,
    /// The client's body.
    pub request_body: Option<String>,
    /// What follows the `?`.
    pub query: Option<String>,
    /// What follows the token in the path.
    pub filename: Option<String>,
    /// Date fields, in lower case, that are written in the form of RFC 850.
    pub rfc850: Vec<String>,
    /// Are locations relative to the case's own URL?
    pub magic_locations: bool,
    /// Is there a pause behind it?
    pub pause_after: bool,
    /// Is failure here not the case's own?
    pub setup: bool,
    /// Expectations whose failure is not the case's own.
    pub setup_tests: Vec<String>,
    /// Status and reason of the answer.
    pub response_status: Option<(u16, String)>,
    /// Fields of the answer.
    pub response_fields: Vec<Said>,
    /// Body of the answer, unless it is the token.
    pub response_body: Option<String>,
    /// Interim responses before the answer.
    pub interim: Vec<(u16, Vec<Field>)>,
    /// Seconds before the answer.
    pub response_pause: u64,
    /// Does the origin hang up instead of answering?
    pub disconnect: bool,
    /// Where the answer is expected to come from.
    pub expected_type: Option<Type>,
    /// The status expected; `Some(None)` is any.
    pub expected_status: Option<Option<u16>>,
    /// The method that the origin is expected to see.
    pub expected_method: Option<String>,
    /// Fields expected in the request that the origin sees.
    pub expected_request: Vec<Expected>,
    /// Fields not expected there: by name, or with a value that they must not have.
    pub missing_request: Vec<(String, Option<String>)>,
    /// Fields expected in the answer.
    pub expected_response: Vec<Expected>,
    /// Fields not expected there.
    pub missing_response: Vec<String>,
    /// The body expected; `Some(None)` is any.
    pub expected_text: Option<Option<String>>,
    /// Interim responses expected.
    pub expected_interim: Option<Vec<(u16, Vec<Field>)>>,
    /// Is the body looked at?
    pub check_body: bool,
}

impl Step {
    /// Is failing this expectation not the case's own failure?
    pub fn is_setup(&self, expectation: &str) -> bool {
        self.setup || self.setup_tests.iter().any(|name| name == expectation)
    }
}

impl Value {
    /// The text of a field `name` in `step`, when the origin's clock shows `now_ms` and it was asked
    /// for `url`.
    pub fn told(&self, name: &str, step: &Step, now_ms: i64, url: &str) -> String {
        let name = name.to_ascii_lowercase();
        let location = name == "location" || name == "content-location";
        match self {
            Self::Text(text) if location && step.magic_locations && text.is_empty() => {
                url.to_owned()
            }
            Self::Text(text) if location && step.magic_locations => format!("{url}/{text}"),
            Self::Text(text) => text.clone(),
            Self::Seconds(seconds) if is_date(&name) => {
                let second = (now_ms + seconds * 1_000).div_euclid(1_000);
                if step.rfc850.contains(&name) {
                    date::rfc850(second)
                } else {
                    date::fixdate(second)
                }
            }
            Self::Seconds(number) => number.to_string(),
        }
    }
}

fn is_date(name: &str) -> bool {
    ["date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"].contains(&name)
}

/// The cases of a data file that are for gateways, which leaves out those for browsers only.
/// `None`, after saying so, when there is no such file.
pub fn load(file: &Path) -> Option<Vec<Case>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("LEFT OUT: the public cache suite: {}: {error}", file.display());
            return None;
        }
    };
    Some(read(&text))
}

/// The cases in this JSON text.
pub fn read(text: &str) -> Vec<Case> {
    let data: Json = serde_json::from_str(text).expect("the data file is JSON");
    let mut cases = Vec::new();
    for suite in list(&data) {
        for case in list(&suite["tests"]) {
            if case["browser_only"] != Json::Bool(true) {
                cases.push(read_case(&string(&suite["id"]), case));
            }
        }
    }
    cases
}

fn read_case(suite: &str, case: &Json) -> Case {
    let kind = match case["kind"].as_str() {
        None | Some("required") => Kind::Required,
        Some("optimal") => Kind::Optimal,
        Some("check") => Kind::Check,
        Some(kind) => panic!("a kind unknown to us: {kind}"),
    };
    Case {
        id: string(&case["id"]),
        name: string(&case["name"]),
        suite: suite.to_owned(),
        kind,
        depends_on: strings(&case["depends_on"]),
        steps: list(&case["requests"]).iter().map(read_step).collect(),
    }
}

fn read_step(step: &Json) -> Step {
    let text = |key: &str| step[key].as_str().map(str::to_owned);
    let truth = |key: &str| step[key].as_bool() == Some(true);
    let magic_dates = truth("magic_ims");
    Step {
        method: text("request_method").unwrap_or_else(|| "GET".to_owned()),
        request_fields: list(&step["request_headers"])
            .iter()
            .map(|field| said(field, magic_dates))
            .collect(),
        request_body: text("request_body"),
        query: text("query_arg"),
        filename: text("filename"),
        rfc850: strings(&step["rfc850date"]),
        magic_locations: truth("magic_locations"),
        pause_after: step.get("pause_after").is_some(),
        setup: truth("setup"),
        setup_tests: strings(&step["setup_tests"]),
        response_status: step.get("response_status").map(|s| (number(&s[0]), string(&s[1]))),
        response_fields: list(&step["response_headers"]).iter().map(|f| said(f, true)).collect(),
        response_body: text("response_body").filter(|body| !body.is_empty()),
        interim: interim(&step["interim_responses"]),
        response_pause: step["response_pause"].as_u64().unwrap_or(0),
        disconnect: truth("disconnect"),
        expected_type: step["expected_type"].as_str().map(expected_type),
        expected_status: step
            .get("expected_status")
            .map(|status| (!status.is_null()).then(|| number(status))),
        expected_method: text("expected_method"),
        expected_request: list(&step["expected_request_headers"]).iter().map(expected).collect(),
        missing_request: list(&step["expected_request_headers_missing"])
            .iter()
            .map(|field| match field {
                Json::Array(pair) => (string(&pair[0]), Some(string(&pair[1]))),
                name => (string(name), None),
            })
            .collect(),
        expected_response: list(&step["expected_response_headers"]).iter().map(expected).collect(),
        // Where the data pair a name with a value, the suite's own engine looks at neither.
        missing_response: list(&step["expected_response_headers_missing"])
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect(),
        expected_text: step.get("expected_response_text").map(|t| t.as_str().map(str::to_owned)),
        expected_interim: step.get("expected_interim_responses").map(interim),
        check_body: step["check_body"].as_bool() != Some(false),
    }
}

fn expected_type(name: &str) -> Type {
    match name {
        "cached" => Type::Cached,
        "not_cached" => Type::NotCached,
        "etag_validated" => Type::EtagValidated,
        "lm_validated" => Type::DateValidated,
        _ => panic!("a type unknown to us: {name}"),
    }
}

/// A field; numbers are dates only where `dates` says so.
fn said(field: &Json, dates: bool) -> Said {
    let value = match value(&field[1]) {
        Value::Seconds(number) if !dates => Value::Text(number.to_string()),
        value => value,
    };
    Said { name: string(&field[0]), value, checked: field[2].as_bool() != Some(false) }
}

fn expected(field: &Json) -> Expected {
    let Json::Array(parts) = field else { return Expected::Present(string(field)) };
    let name = string(&parts[0]);
    match &parts[1..] {
        [is] => Expected::Is(name, value(is)),
        [op, other] if op == "=" => Expected::Same(name, string(other)),
        [op, bound] if op == ">" => Expected::Above(name, bound.as_i64().expect("a number")),
        _ => panic!("an expectation unknown to us: {field}"),
    }
}

fn interim(heads: &Json) -> Vec<(u16, Vec<Field>)> {
    let field = |field: &Json| (string(&field[0]), string(&field[1]));
    let head = |head: &Json| (number(&head[0]), list(&head[1]).iter().map(field).collect());
    list(heads).iter().map(head).collect()
}

fn value(json: &Json) -> Value {
    json.as_i64().map_or_else(|| Value::Text(string(json)), Value::Seconds)
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn strings(json: &Json) -> Vec<String> {
    list(json).iter().map(string).collect()
}

fn string(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn number(json: &Json) -> u16 {
    json.as_u64().and_then(|n| u16::try_from(n).ok()).expect("a status")
}

//! The settings file as a JSON Schema (draft 2020-12), for editors that complete and check.
//!
//! Made from the table of options, so it knows every key. A schema cannot say all that
//! [`crate::parse`] checks: what it accepts may still be refused, but what is legal it accepts.

use crate::options::{Default, Form, Key, Kind, ROOT, SERVICE_NAME, Section, duration};
use serde_json::{Map, Value, json};
use toml::de::DeValue;

const DURATION: &str = r"^(\s*[0-9]+(\.[0-9]*)?\s*(ns|us|µs|ms|s|min|m|h|d))+\s*$";
const SHARE: &str = r"^\s*[0-9]{1,6}(\.[0-9]{0,2})?\s*%\s*$";
const SIZE: &str = r"^\s*[0-9]+(\.[0-9]*)?\s*([KkMmGgTt]([Ii]?[Bb])?|[Bb])\s*$";
/// A string that names a variable may hold anything.
const VARIABLE: &str = r"\$\{";

/// The schema.
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("Fleetfoot settings"));
    schema.append(&mut section(&ROOT));
    Value::Object(schema)
}

fn section(section: &Section) -> Map<String, Value> {
    let properties: Map<_, _> = section
        .keys
        .iter()
        .map(|option| (option.name.to_owned(), Value::Object(key(option))))
        .collect();
    let required = section.keys.iter().filter(|key| matches!(key.default, Default::Required));
    let required: Vec<_> = required.map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("description".into(), json!(section.doc));
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn key(key: &Key) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("description".into(), json!(sentence(key)));
    schema.append(&mut kind(&key.kind));
    // The sentence about the key says more than the one about its section.
    schema.insert("description".into(), json!(sentence(key)));
    if let Default::Value(text) = key.default {
        schema.insert("default".into(), value(text));
    }
    if !key.examples.is_empty() {
        let examples: Vec<_> = key.examples.iter().map(|text| value(text)).collect();
        schema.insert("examples".into(), json!(examples));
    }
    schema
}

fn sentence(key: &Key) -> String {
    let bounds = match &key.kind {
        Kind::Size { .. } | Kind::Time { .. } | Kind::Share { .. } => {
            format!(" Allowed: {}.", key.kind.allowed())
        }
        _ => String::new(),
    };
    match key.default {
        Default::Words(words) => format!("{}{bounds} Default: {words}.", key.doc),
        Default::Required | Default::Value(_) => format!("{}{bounds}", key.doc),
    }
}

fn kind(kind: &Kind) -> Map<String, Value> {
    let schema = match kind {
        Kind::Text { form, or_false: false } => text(form.pattern),
        Kind::Text { form, or_false: true } => {
            json!({ "anyOf": [text(form.pattern), { "const": false }] })
        }
        Kind::Texts { form, alone } => texts(form, *alone),
        Kind::Choice { words, or } => {
            let pattern = or.map_or(VARIABLE, |form| form.pattern);
            json!({ "anyOf": [{ "enum": words }, text(pattern)] })
        }
        Kind::Flag => json!({ "anyOf": [{ "type": "boolean" }, text(VARIABLE)] }),
        Kind::Count { least, most, unlimited } => {
            let number = json!({ "type": "integer", "minimum": least, "maximum": most });
            json!({ "anyOf": with_unlimited(number, text(VARIABLE), *unlimited) })
        }
        Kind::Size { unlimited: false, .. } => text(SIZE),
        Kind::Size { unlimited: true, .. } => {
            json!({ "anyOf": [{ "const": "unlimited" }, text(SIZE)] })
        }
        Kind::Time { least, or_false, .. } => {
            debug_assert!(duration(*least).len() < DURATION.len(), "bounds are in the sentence");
            if *or_false {
                json!({ "anyOf": [text(DURATION), { "const": false }] })
            } else {
                text(DURATION)
            }
        }
        Kind::Share { or_false: false, .. } => text(SHARE),
        Kind::Share { or_false: true, .. } => {
            json!({ "anyOf": [text(SHARE), { "const": false }] })
        }
        Kind::Counts { least, most } => {
            let number = json!({ "type": "integer", "minimum": least, "maximum": most });
            let number = json!({ "anyOf": [number, text(VARIABLE)] });
            let array = json!({ "type": "array", "items": number, "uniqueItems": true });
            json!({ "anyOf": [array, number] })
        }
        Kind::Weights { form, most } => {
            let weight = json!({ "type": "integer", "minimum": 0, "maximum": most });
            let weights = json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": form.pattern },
                "additionalProperties": { "anyOf": [weight, text(VARIABLE)] },
            });
            json!({ "anyOf": [text(form.pattern), weights] })
        }
        Kind::Pairs { name, value, .. } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": name },
            "additionalProperties": text(value),
        }),
        Kind::Short { key, section, or_false } => {
            let mut any = either(key, section);
            if *or_false {
                any.push(json!({ "const": false }));
            }
            json!({ "anyOf": any })
        }
        Kind::ShortSwitch { key, section } => {
            let mut any = either(key, section);
            any.push(json!({ "type": "boolean" }));
            json!({ "anyOf": any })
        }
        Kind::Shorts { key, section } => {
            let mut any = either(key, section);
            any.push(json!({ "type": "array", "items": { "anyOf": any } }));
            json!({ "anyOf": any })
        }
        Kind::Table(inner) => Value::Object(section(inner)),
        Kind::Switch(inner) => json!({ "anyOf": [{ "type": "boolean" }, section(inner)] }),
        Kind::Tables(inner) => json!({ "type": "array", "items": section(inner) }),
        Kind::Named(inner) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": SERVICE_NAME },
            "additionalProperties": section(inner),
        }),
    };
    match schema {
        Value::Object(schema) => schema,
        other => unreachable!("a schema is an object, not {other}"),
    }
}

/// The value of a section's key, or the section.
fn either(name: &str, inner: &Section) -> Vec<Value> {
    let short = inner.key(name).expect("a short form is of a key of its section");
    vec![Value::Object(kind(&short.kind)), Value::Object(section(inner))]
}

fn with_unlimited(number: Value, variable: Value, unlimited: bool) -> Vec<Value> {
    let mut any = vec![number];
    if unlimited {
        any.push(json!({ "const": "unlimited" }));
    }
    any.push(variable);
    any
}

/// A string of this pattern, or with a variable in it.
fn text(pattern: &str) -> Value {
    let pattern =
        if pattern == VARIABLE { pattern.to_owned() } else { format!("(?:{pattern})|{VARIABLE}") };
    json!({ "type": "string", "pattern": pattern })
}

fn texts(form: &Form, alone: bool) -> Value {
    let array = json!({ "type": "array", "items": text(form.pattern), "uniqueItems": true });
    if alone { json!({ "anyOf": [array, text(form.pattern)] }) } else { array }
}

/// A value written in TOML, in JSON.
pub(crate) fn value(text: &str) -> Value {
    let value = DeValue::parse(text).expect("the table of options holds TOML");
    convert(value.get_ref())
}

fn convert(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().unwrap_or_default()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().unwrap_or_default()),
        DeValue::Boolean(truth) => json!(truth),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(values) => values.iter().map(|value| convert(value.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), convert(value.get_ref())))
                .collect(),
        ),
    }
}

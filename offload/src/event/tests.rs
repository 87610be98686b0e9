//! The rules of the specification, each as a case, and that what is written is read.

use super::http::{Mode, mode, read, read_binary, write_binary};
use super::template::{Filler, is_part};
use super::{BATCH_EVENTS_MAX, EVENT_BYTES_MAX, EXTENSIONS_MAX, Event, NoEvent, Value, id, json};
use base::Wall;
use bytes::Bytes;
use proptest::prelude::*;

/// An event's JSON with these members beside those that each has.
fn json_with(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"t"{comma}{more}}}"#)
}

fn ok(more: &str) -> Event {
    json::read(json_with(more).as_bytes()).unwrap_or_else(|error| panic!("{more}: {error}"))
}

fn wrong(more: &str) -> String {
    match json::read(json_with(more).as_bytes()) {
        Ok(event) => panic!("{more}: {event:?}"),
        Err(error) => error.to_string(),
    }
}

fn binary(fields: &[(&str, &str)], content: &'static [u8]) -> Result<Event, NoEvent> {
    let all = [("ce-specversion", "1.0"), ("CE-Id", "1"), ("ce-source", "/a"), ("Ce-Type", "t")];
    let own = |name: &str| fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let all: Vec<_> =
        all.into_iter().filter(|(name, _)| !own(name)).chain(fields.iter().copied()).collect();
    let all = all.iter().filter(|(_, value)| *value != "-");
    let bytes = all.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    read_binary(bytes, Bytes::from_static(content))
}

#[test]
fn four_attributes_are_needed_and_not_empty() {
    let event = ok("");
    assert_eq!(event, Event::new("1".to_owned(), "/a".to_owned(), "t".to_owned()));
    assert_eq!(binary(&[], b"").expect("all are there"), event);
    let whole = json_with("");
    for (name, member) in [
        ("specversion", r#""specversion":"1.0","#),
        ("id", r#""id":"1","#),
        ("source", r#""source":"/a","#),
        ("type", r#","type":"t""#),
    ] {
        let without = whole.replacen(member, "", 1);
        assert_ne!(without, whole);
        let error = json::read(without.as_bytes()).expect_err(name);
        assert_eq!(error, NoEvent::Missing(name));
        let field = format!("ce-{name}");
        assert_eq!(binary(&[(&field, "-")], b""), Err(NoEvent::Missing(name)));
        let null = whole.replacen(member, &member.replacen(":\"", ":null,\"x\":\"", 1), 1);
        assert_eq!(json::read(null.as_bytes()), Err(NoEvent::Missing(name)), "{null}");
        if name != "specversion" {
            let error = binary(&[(&field, "")], b"").expect_err("empty");
            assert_eq!(error, NoEvent::attribute(name, "empty"));
        }
    }
    for version in ["0.3", "1.1", "2.0", "1"] {
        let other = whole.replace("1.0", version);
        let error = Err(NoEvent::Version(version.to_owned()));
        assert_eq!(json::read(other.as_bytes()), error);
        assert_eq!(binary(&[("ce-specversion", version)], b""), error);
    }
}

#[test]
fn attributes_that_are_there_are_not_empty_and_null_is_not_there() {
    for name in ["subject", "time", "dataschema", "datacontenttype"] {
        assert_eq!(wrong(&format!("\"{name}\":\"\"")), format!("{name}: empty"));
        assert_eq!(ok(&format!("\"{name}\":null")), ok(""));
    }
    assert_eq!(ok("\"other\":null"), ok(""));
    assert_eq!(ok("\"other\":\"\"").extensions, [("other".to_owned(), Value::Text(String::new()))]);
}

#[test]
fn names_are_lower_case_letters_and_digits() {
    assert_eq!(ok("\"a1\":\"b\"").attribute("a1").as_deref(), Some("b"));
    for name in ["", "A", "a_b", "a-b", "ä", "data_base65", &"a".repeat(65)] {
        let error = wrong(&format!("\"{name}\":\"b\""));
        assert!(error.ends_with("not a name of lower-case letters and digits"), "{error}");
    }
    // A field's name has no case.
    let event = binary(&[("CE-Other", "b")], b"").expect("legal");
    assert_eq!(event.attribute("other").as_deref(), Some("b"));
    assert!(binary(&[("ce-a_b", "b")], b"").is_err());
    assert!(binary(&[("ce-data", "b")], b"").is_err());
    assert!(binary(&[("ce-", "b")], b"").is_err());
    assert!(binary(&[("ce-datacontenttype", "text/plain")], b"").is_err());
    assert!(binary(&[("ce-other", "a"), ("CE-OTHER", "a")], b"").is_err());
}

#[test]
fn types_of_further_attributes() {
    let event = ok(r#""n":-2147483648,"f":false,"t":"2","m":2147483647"#);
    let found = |name: &str| event.extensions.iter().find(|(own, _)| own == name).map(|(_, v)| v);
    assert_eq!(found("n"), Some(&Value::Number(i32::MIN)));
    assert_eq!(found("m"), Some(&Value::Number(i32::MAX)));
    assert_eq!(found("f"), Some(&Value::Flag(false)));
    assert_eq!(found("t"), Some(&Value::Text("2".to_owned())));
    for bad in ["2147483648", "1.5", "1e2", "[]", "{}", "[1]"] {
        assert!(wrong(&format!("\"n\":{bad}")).starts_with("n: "), "{bad}");
    }
    let fields = write_binary(&event);
    let text = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, v)| v.as_str());
    assert_eq!((text("ce-n"), text("ce-f")), (Some("-2147483648"), Some("false")));
}

#[test]
fn characters_that_no_attribute_may_have() {
    for bad in ["\\u0000", "\\n", "\\u007f", "\\u0085", "\\ufffe", "\\ufdd0", "\\ud83f\\udfff"] {
        let error = wrong(&format!("\"subject\":\"a{bad}\""));
        assert_eq!(error, "subject: a character that no attribute may have", "{bad}");
    }
    assert_eq!(wrong("\"subject\":\"\\udead\""), "subject: not a string");
    assert_eq!(wrong("\"other\":\"\\udead\""), "other: not text of Unicode");
    assert_eq!(ok("\"subject\":\"\\ud800\\udead\"").subject.as_deref(), Some("\u{102ad}"));
    assert_eq!(wrong(&format!("\"subject\":\"{}\"", "a".repeat(4097))), "subject: too long");
}

#[test]
fn uris_times_and_media_types() {
    let good = [
        ("source", "mailto:cncf-wg-serverless@lists.cncf.io"),
        ("source", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        ("source", "1-555-123-4567"),
        ("source", "/a%20b?c#d"),
        ("source", "//[::1]/a:b"),
        ("dataschema", "https://a/b"),
        ("time", "2018-04-05T17:31:00Z"),
        ("time", "2016-02-29t23:59:60.123456789z"),
        ("time", "1937-01-01T12:00:27.87+00:20"),
        ("datacontenttype", "text/plain; charset=\"utf-8\""),
        ("datacontenttype", "application/vnd.a+json"),
    ];
    let bad = [
        ("source", "a b"),
        ("source", "ä"),
        ("source", "%2"),
        ("source", "%zz"),
        ("source", "1a:b"),
        ("source", ":a"),
        ("source", "#a#b"),
        ("source", "<a>"),
        ("dataschema", "/a"),
        ("dataschema", "a/b:c"),
        ("time", "2018-04-05"),
        ("time", "2018-04-05T17:31:00"),
        ("time", "2018-04-05 17:31:00Z"),
        ("time", "2018-02-29T17:31:00Z"),
        ("time", "1900-02-29T17:31:00Z"),
        ("time", "2018-13-01T17:31:00Z"),
        ("time", "2018-04-31T17:31:00Z"),
        ("time", "2018-04-00T17:31:00Z"),
        ("time", "2018-04-05T24:31:00Z"),
        ("time", "2018-04-05T17:31:61Z"),
        ("time", "2018-04-05T17:31:00.Z"),
        ("time", "2018-04-05T17:31:00+0100"),
        ("time", "2018-04-05T17:31:00+24:00"),
        ("time", "2018-04-05T17:31:00Zä"),
        ("time", "yesterday, at a quarter past"),
        ("datacontenttype", "json"),
        ("datacontenttype", "text/"),
        ("datacontenttype", "a b/c"),
        ("datacontenttype", "a/b; c=d "),
    ];
    let one = |name: &str, value: &str| {
        let mut event = Event::new("1".to_owned(), "/a".to_owned(), "t".to_owned());
        match name {
            "source" => value.clone_into(&mut event.source),
            "dataschema" => event.schema = Some(value.to_owned()),
            "time" => event.time = Some(value.to_owned()),
            _ => event.content_type = Some(value.to_owned()),
        }
        event.check()
    };
    for (name, value) in good {
        assert_eq!(one(name, value), Ok(()), "{name} {value}");
    }
    for (name, value) in bad {
        let error = one(name, value).expect_err(value).to_string();
        assert!(error.starts_with(&format!("{name}: not a")), "{error}");
    }
}

#[test]
fn data_in_json() {
    let data = |more: &str| ok(more).data.map(|data| data.to_vec());
    let is = |text: &str| Some(text.as_bytes().to_vec());
    // Without a type it is JSON, and kept as it is written.
    assert_eq!(
        data(r#""data": {"b":1, "a":12345678901234567890123}"#),
        is(r#"{"b":1, "a":12345678901234567890123}"#)
    );
    assert_eq!(ok(r#""data":1"#).content_type.as_deref(), Some("application/json"));
    assert_eq!(data(r#""data":"I'm just a string""#), is("\"I'm just a string\""));
    assert_eq!(data(r#""datacontenttype":"a/b+JSON;c=d","data":"x""#), is("\"x\""));
    // A payload that is null is one.
    assert_eq!(data(r#""data":null"#), is("null"));
    // Any other is text.
    assert_eq!(
        data(r#""datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#),
        is("<much wow=\"xml\"/>")
    );
    assert!(wrong(r#""datacontenttype":"text/xml","data":{}"#).starts_with("data: not a string"));
    assert_eq!(data(r#""datacontenttype":"text/xml","data":"""#), None);
    // Or bytes.
    assert_eq!(data(r#""data_base64":"AAEC","datacontenttype":"image/png""#), Some(vec![0, 1, 2]));
    assert_eq!(data(r#""data_base64":null"#), None);
    assert_eq!(wrong(r#""data_base64":"A""#), "data_base64: not Base64");
    assert_eq!(wrong(r#""data_base64":7"#), "data_base64: not Base64");
    assert_eq!(wrong(r#""data":1,"data_base64":"AAEC""#), "data_base64: there is data, too");
}

#[test]
fn data_is_written_as_what_it_is() {
    let written = |content_type: Option<&str>, data: &'static [u8]| {
        let mut event = ok("");
        event.content_type = content_type.map(str::to_owned);
        event.data = Some(Bytes::from_static(data));
        let text = String::from_utf8(json::write(&event)).expect("JSON is text");
        text[text.find("\"datacontent").expect("it says what it is")..].to_owned()
    };
    let json = "\"datacontenttype\":\"application/json\",";
    assert_eq!(
        written(Some("application/json"), b" {\"a\":1} "),
        format!("{json}\"data\":{{\"a\":1}}}}")
    );
    assert_eq!(
        written(Some("application/json"), b"{"),
        format!("{json}\"data_base64\":\"ew==\"}}")
    );
    assert!(written(Some("text/plain"), "é\n".as_bytes()).ends_with("\"data\":\"é\\n\"}"));
    assert!(
        written(Some("text/plain; charset=latin1"), b"a").ends_with("\"data_base64\":\"YQ==\"}")
    );
    assert!(written(Some("text/plain"), b"\xff").ends_with("\"data_base64\":\"/w==\"}"));
    assert!(written(Some("image/png"), b"a").ends_with("\"data_base64\":\"YQ==\"}"));
    // Bytes of which nothing is known are not said to be JSON.
    assert!(written(None, b"1").starts_with("\"datacontenttype\":\"application/octet-stream\""));
}

#[test]
fn fields_are_percent_encoded() {
    let mut event = ok("");
    event.subject = Some("Euro \u{20ac} \u{1f600}".to_owned());
    event.extensions.push(("other".to_owned(), Value::Text("a\"%25\\".to_owned())));
    let fields = write_binary(&event);
    let text = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, v)| v.as_str());
    assert_eq!(text("ce-subject"), Some("Euro%20%E2%82%AC%20%F0%9F%98%80"));
    assert_eq!(text("ce-other"), Some("a%22%2525\\"));
    let subject = |value: &str| binary(&[("ce-subject", value)], b"").map(|event| event.subject);
    for (field, value) in [
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%61b", "ab"),
        ("%2541", "%41"),
        (" a b ", "a b"),
        ("\"a \\\"b\\\" \\\\ c%41\"", "a \"b\" \\ cA"),
        ("\"", "\""),
        ("€", "€"),
    ] {
        assert_eq!(subject(field), Ok(Some(value.to_owned())), "{field}");
    }
    for field in ["%C0%A0", "%", "%4", "%+1", "%zz", "a%ff", "\"a\"b\"", "\"a\\\"", "%00", "%0A"] {
        assert!(subject(field).is_err(), "{field}");
    }
}

#[test]
fn the_content_type_tells_the_mode() {
    let mode = |text: &str| mode(Some(text.as_bytes()));
    assert_eq!(super::http::mode(None), Ok(Mode::Binary));
    assert_eq!(mode("application/json"), Ok(Mode::Binary));
    assert_eq!(mode("Application/CloudEvents+JSON; charset=UTF-8"), Ok(Mode::Structured));
    assert_eq!(mode("application/cloudevents-batch+json"), Ok(Mode::Batch));
    for other in [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents-batch+protobuf",
    ] {
        assert_eq!(mode(other), Err(NoEvent::Format(other.to_owned())));
    }
    let event = json_with("\"data\":1");
    let holds = |content_type: &str, content: String| {
        let fields = [(&b"Content-Type"[..], content_type.as_bytes())];
        read(fields.into_iter(), content.into()).map(|events| events.len())
    };
    assert_eq!(holds("application/cloudevents+json", event.clone()), Ok(1));
    assert_eq!(holds("application/cloudevents-batch+json", format!("[{event}, {event}]")), Ok(2));
    assert_eq!(holds("application/cloudevents-batch+json", "[]".to_owned()), Ok(0));
    assert_eq!(holds("application/json", event), Err(NoEvent::Missing("specversion")));
}

#[test]
fn what_is_too_large_is_not_read() {
    let long = |bytes: usize| json_with(&format!("\"data\":\"{}\"", "a".repeat(bytes)));
    let most = EVENT_BYTES_MAX - long(0).len();
    assert!(json::read(long(most).as_bytes()).is_ok());
    assert_eq!(
        json::read(long(most + 1).as_bytes()),
        Err(NoEvent::TooLarge { bytes: EVENT_BYTES_MAX + 1, max: EVENT_BYTES_MAX })
    );
    let many = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("\"x{n}\":1")).collect();
        json::read(json_with(&all.join(",")).as_bytes()).map(|event| event.extensions.len())
    };
    assert_eq!(many(EXTENSIONS_MAX), Ok(EXTENSIONS_MAX));
    assert!(matches!(many(EXTENSIONS_MAX + 1), Err(NoEvent::TooMany { .. })));
    let batch =
        |count: usize| json::read_batch(format!("[{}1]", "1,".repeat(count - 1)).as_bytes());
    assert!(matches!(batch(BATCH_EVENTS_MAX + 1), Err(NoEvent::TooMany { .. })));
    assert!(matches!(batch(BATCH_EVENTS_MAX), Err(NoEvent::NotJson(_))));
    // Nesting is not followed, so no depth is too much.
    let deep = format!("\"data\":{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(json::read(json_with(&deep).as_bytes()).is_ok());
}

#[test]
fn what_is_no_json_is_no_event() {
    for text in ["", "{", "[]", "1", "null", "\"a\"", "{}x", "\u{feff}{}"] {
        let error = json::read(text.as_bytes()).expect_err(text);
        assert!(matches!(error, NoEvent::NotJson(_)), "{text}: {error}");
    }
    assert!(matches!(json::read_batch(b"{}"), Err(NoEvent::NotJson(_))));
    assert!(matches!(json::read(b"\xff"), Err(NoEvent::NotJson(_))));
}

#[test]
fn ids_are_the_same_for_the_same_cause() {
    let first = id("/a", "t", "7", "request-1");
    assert_eq!(first, id("/a", "t", "7", "request-1"));
    assert_eq!((first.len(), &first[14..15]), (36, "8"), "a UUID of version 8");
    assert!(matches!(&first[19..20], "8" | "9" | "a" | "b"), "of the RFC's variant");
    let others = [
        id("/b", "t", "7", "request-1"),
        id("/a", "u", "7", "request-1"),
        id("/a", "t", "", "7request-1"),
        id("/at", "", "7", "request-1"),
        id("/a", "t", "7", "request-2"),
    ];
    for other in others {
        assert_ne!(first, other);
    }
}

#[test]
fn times_are_written_as_they_are_read() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_795_498_547_123, "2026-11-24T05:35:47.123Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (u64::MAX, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(super::rfc3339(Wall(ms)), text);
    }
}

#[test]
fn templates() {
    let event =
        ok(r#""subject":"7","n":5,"data":{"product":{"id":9,"tags":["a","b"],"x":null,"e":""}}"#);
    let filler = Filler::new(&event);
    for (template, text) in [
        ("shop", Some("shop")),
        ("product:{subject}", Some("product:7")),
        ("{type}{source}{id}{n}", Some("t/a15")),
        ("p:{data.product.id}:{data.product.tags.1}", Some("p:9:b")),
        ("{time}", None),
        ("{other}", None),
        ("{data.product}", None),
        ("{data.product.x}", None),
        ("{data.product.e}", None),
        ("{data.product.tags.2}", None),
        ("{data.product.tags.a}", None),
        ("{data.}", None),
        ("{lone", None),
    ] {
        assert_eq!(filler.fill(template).as_deref(), text, "{template}");
    }
    let long = "a".repeat(1024);
    assert_eq!(filler.fill(&long).as_deref(), Some(long.as_str()));
    assert_eq!(filler.fill(&format!("{long}a")), None);
    assert_eq!(filler.fill(&"{subject}".repeat(1025)), None);
    let text = ok(r#""datacontenttype":"text/plain","data":"{\"a\":1}""#);
    assert_eq!(Filler::new(&text).fill("{data.a}"), None);
    for good in ["subject", "type", "data.a", "data.a-b.0", "partitionkey"] {
        assert!(is_part(good), "{good}");
    }
    for bad in ["", "data", "data.", "data.a..b", "Subject", "header.x"] {
        assert!(!is_part(bad), "{bad}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 \"%\\\\,;é\u{20ac}\u{1f600}{}:/-]{1,12}"
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("not empty", |text| !text.is_empty())
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop_oneof![
        text().prop_map(Value::Text),
        any::<bool>().prop_map(Value::Flag),
        any::<i32>().prop_map(Value::Number),
    ];
    let extensions = proptest::collection::btree_map("x[a-z0-9]{0,5}", value, 0..5);
    let data = prop_oneof![
        Just((None, None)),
        Just((Some("a/b"), None)),
        "[a-z\"{}\\[\\]0-9,: é\\\\\n]{1,20}"
            .prop_map(|text| (Some("text/plain"), Some(text.into_bytes()))),
        "[a-z]{1,9}".prop_map(|text| (
            Some("application/json"),
            Some(format!("{{\"{text}\": [1.50]}}").into_bytes())
        )),
        "[{}\"a]{1,4}".prop_map(|text| (Some("a/b+json"), Some(text.into_bytes()))),
        proptest::collection::vec(any::<u8>(), 1..20)
            .prop_map(|bytes| (Some("text/xml"), Some(bytes))),
        proptest::collection::vec(any::<u8>(), 1..20)
            .prop_map(|bytes| (Some("image/png"), Some(bytes))),
    ];
    let names = (text(), "(/[a-z%4f]{0,3}){1,2}|a:b", text(), proptest::option::of(text()));
    let rest = (
        proptest::option::of(any::<u32>()),
        proptest::option::of("https://[a-z]{1,4}".prop_map(String::from)),
    );
    (names, rest, extensions, data).prop_map(
        |((id, source, kind, subject), (time, schema), extensions, (content_type, data))| Event {
            id,
            source: source.replace('%', "%4f"),
            kind,
            subject,
            time: time.map(|time| super::rfc3339(Wall(u64::from(time) * 1000))),
            content_type: content_type.map(str::to_owned),
            schema,
            extensions: extensions.into_iter().collect(),
            data: data.map(Bytes::from),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_as_json_is_read(events in proptest::collection::vec(event(), 0..4)) {
        for event in &events {
            prop_assert_eq!(event.check(), Ok(()));
            prop_assert_eq!(&json::read(&json::write(event)), &Ok(event.clone()));
        }
        prop_assert_eq!(json::read_batch(&json::write_batch(&events)), Ok(events));
    }

    #[test]
    fn what_is_written_as_fields_is_read(mut event in event()) {
        let fields = write_binary(&event);
        prop_assert!(fields.iter().all(|(_, value)| value.bytes().all(|b| (b' '..=b'~').contains(&b))));
        let bytes = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let read = read_binary(bytes, event.data.clone().unwrap_or_default());
        for (_, value) in &mut event.extensions {
            *value = Value::Text(value.text().into_owned());
        }
        prop_assert_eq!(read, Ok(event));
    }
}

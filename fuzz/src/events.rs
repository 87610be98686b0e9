//! Events from a bus or a webhook, as `CloudEvents`.

use bytes::Bytes;
use offload::event::template::Filler;
use offload::event::{Event, http, json};

/// What is read keeps the rules; what is written of it is read, and written the same again.
pub fn cloudevents(data: &[u8]) {
    json::read(data).iter().for_each(check);
    if let Ok(events) = json::read_batch(data) {
        events.iter().for_each(check);
        let written = json::write_batch(&events);
        let read = json::read_batch(&written).expect("a batch that we wrote");
        assert_eq!(json::write_batch(&read), written);
    }
    let (head, content) = match data.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &b""[..]),
    };
    let fields = head.split(|b| *b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        Some((&line[..colon], &line[colon + 1..]))
    });
    let _either = http::read(fields.clone(), Bytes::copy_from_slice(content));
    if let Ok(event) = http::read_binary(fields, Bytes::copy_from_slice(content)) {
        check(&event);
    }
}

fn check(event: &Event) {
    assert_eq!(event.check(), Ok(()));
    let written = json::write(event);
    // In Base64 an event can become larger than one may be.
    if let Ok(read) = json::read(&written) {
        assert_eq!(json::write(&read), written);
    } else {
        assert!(written.len() > offload::event::EVENT_BYTES_MAX, "{event:?}");
    }
    let fields = http::write_binary(event);
    let bytes = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let read = http::read_binary(bytes, event.data.clone().unwrap_or_default());
    let read = read.expect("fields that we wrote");
    assert_eq!(http::write_binary(&read), fields);
    assert_eq!((&read.subject, &read.data), (&event.subject, &event.data));
    let filled = Filler::new(event).fill("{id}:{subject}:{data.a}:{data.a.0}");
    assert!(filled.is_none_or(|text| text.len() >= 4));
}

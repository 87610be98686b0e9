//! What strangers say of time: the trace a request belongs to, and what a server says of itself.

use monitor::trace::{SAMPLED, TEXT_LENGTH, Trace, parse};
use service::told;
use std::time::Duration;

/// A `traceparent` that is taken is told on as it came; what a server says of itself is never more
/// than an hour for each of the parts that are read.
pub fn timing(data: &[u8]) {
    if let Some(parent) = parse(data) {
        assert!(parent.trace != 0 && parent.span != 0);
        let trace = Trace::begin(Some(parent), (1, 1), false);
        assert_eq!(trace.is_sampled(), parent.flags & SAMPLED != 0);
        let text = trace.own_text();
        assert_eq!(text[3..35], data[3..35]);
        assert!(data.len() == TEXT_LENGTH || data[..2] != *b"00");
        let told = parse(&trace.text(1)).expect("what we write is well formed");
        assert_eq!(told.trace, parent.trace);
    }
    let said = told::read(data.split(|b| *b == b'\n'));
    assert!(said.db.saturating_add(said.cache) <= Duration::from_secs(3_600 * 32));
}

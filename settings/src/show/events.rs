//! `[events.NAME]`, and what a route publishes.

use super::offload::{without_query, without_secrets};
use super::{File, quoted};
use offload::settings::{Call, Events, OnGap, Publish};

impl File {
    pub(super) fn events(&mut self, events: &Events) {
        self.header(&format!("[events.{}]", events.name));
        self.text("bus", &without_secrets(&events.bus));
        self.text("topic", &events.topic);
        self.text("source", &events.source);
        if !events.types.is_empty() {
            self.texts("types", &events.types);
        }
        self.texts("purge", &events.purge);
        self.plain("soft", &events.soft);
        match &events.call {
            Call::None => {}
            Call::Url(url) => self.text("call", &without_query(url)),
            Call::Path(path) => self.text("call", path),
        }
        let on_gap = match events.on_gap {
            OnGap::Flush => "flush",
            OnGap::Ignore => "ignore",
        };
        self.text("on_gap", &on_gap);
    }

    /// `publish` of a route.
    pub(super) fn publish(&mut self, publish: &Publish, events: &[Events]) {
        let Some(to) = events.get(publish.to) else { return };
        let kind = quoted(&publish.kind);
        let subject = match publish.subject.as_str() {
            "" => String::new(),
            subject => format!(", subject = {}", quoted(subject)),
        };
        self.line(format_args!("publish = {{ to = \"{}\", type = {kind}{subject} }}", to.name));
    }
}

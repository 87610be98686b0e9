//! What comes of what is heard on a bus, and what is said there. Pure.
//!
//! A [`Listener`] is told all that its topic's [`Heard`] says, in its order, and answers what to do.
//! Three things hold:
//!
//! - What may have been missed is treated as if it had been about everything: the cache is flushed
//!   when a gap is told, and again when it is sure that nothing is missed any more, for an answer that
//!   was fetched in between could have needed a purge that nobody heard.
//! - A cache that outlives the process has missed what was said while there was none.
//! - An event that comes twice purges twice, which is once, and calls once.

use super::template::Filler;
use super::{Event, NoEvent, id, json, rfc3339};
use crate::queue::{Heard, Message};
use crate::settings::{Call, Events, OnGap, Publish};
use base::Wall;
use bytes::Bytes;
use hashbrown::HashSet;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

/// So many events are remembered, so that one which comes again calls nobody again.
pub const SEEN_MAX: usize = 8192;

/// What is to be done about something that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Purge what carries any of these tags.
    Purge {
        /// The tags, none twice.
        tags: Vec<String>,
        /// It becomes stale, not dead.
        soft: bool,
    },
    /// Purge everything.
    Flush {
        /// It becomes stale, not dead.
        soft: bool,
        /// Why, for the log.
        why: String,
    },
    /// Send an event to whom [`Events::call`] names.
    Call {
        /// The event's id, for a log.
        id: String,
        /// The content: JSON, [`json::CONTENT_TYPE`].
        content: Bytes,
    },
    /// Nothing, and it is counted.
    Nothing(Nothing),
}

/// Why nothing comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It is none.
    NoEvent(NoEvent),
    /// Its type is not among those that are heard.
    OtherType,
    /// It has not the parts that any of the tags needs.
    NoTag,
    /// Whoever is called was called with it already.
    Twin,
}

impl Nothing {
    /// Its name on every surface.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoEvent(_) => "no_event",
            Self::OtherType => "other_type",
            Self::NoTag => "no_tag",
            Self::Twin => "twin",
        }
    }
}

/// One topic that is heard.
#[derive(Debug)]
pub struct Listener {
    rules: Events,
    /// Events may have been missed since all was well.
    missed: Option<String>,
    seen: Seen,
}

impl Listener {
    /// For these rules. `outlives`: there may be entries in the cache, or in a tier behind it, that are
    /// older than the process.
    pub fn new(rules: Events, outlives: bool) -> Self {
        let missed = outlives.then(|| "the gateway was not running".to_owned());
        Self { rules, missed, seen: Seen::default() }
    }

    /// Other rules from now on, as after a reload; what was seen is remembered.
    pub fn follow(&mut self, rules: Events) {
        self.rules = rules;
    }

    /// What is to be done about this, in this order.
    pub fn hear(&mut self, heard: Heard) -> Vec<Reaction> {
        match heard {
            Heard::Listening => match self.missed.take() {
                Some(why) => self.flush(why),
                None => Vec::new(),
            },
            Heard::Gap(why) => {
                self.missed = Some(why.clone());
                self.flush(why)
            }
            Heard::Event(message) => self.message(&message.payload),
        }
    }

    fn flush(&self, why: String) -> Vec<Reaction> {
        let flushes = self.rules.on_gap == OnGap::Flush && !self.rules.purge.is_empty();
        flushes.then_some(Reaction::Flush { soft: self.rules.soft, why }).into_iter().collect()
    }

    fn message(&mut self, payload: &[u8]) -> Vec<Reaction> {
        let events = match payload.trim_ascii_start().first() {
            Some(b'[') => json::read_batch(payload),
            _ => json::read(payload).map(|event| vec![event]),
        };
        match events {
            Ok(events) => events.iter().flat_map(|event| self.event(event)).collect(),
            Err(error) => vec![Reaction::Nothing(Nothing::NoEvent(error))],
        }
    }

    fn event(&mut self, event: &Event) -> Vec<Reaction> {
        if !self.rules.wants(&event.kind) {
            return vec![Reaction::Nothing(Nothing::OtherType)];
        }
        let mut reactions = Vec::new();
        if !self.rules.purge.is_empty() {
            reactions.push(self.purge(event));
        }
        if self.rules.call != Call::None {
            reactions.push(if self.seen.is_new(event) {
                Reaction::Call { id: event.id.clone(), content: json::write(event).into() }
            } else {
                Reaction::Nothing(Nothing::Twin)
            });
        }
        reactions
    }

    fn purge(&self, event: &Event) -> Reaction {
        let filler = Filler::new(event);
        let mut tags: Vec<String> = Vec::new();
        for tag in self.rules.purge.iter().filter_map(|template| filler.fill(template)) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        if tags.is_empty() {
            return Reaction::Nothing(Nothing::NoTag);
        }
        Reaction::Purge { tags, soft: self.rules.soft }
    }
}

/// The events that were seen last, by a hash of source and id that nobody outside can foresee.
#[derive(Debug, Default)]
struct Seen {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    /// Remembers an event; was it unknown?
    fn is_new(&mut self, event: &Event) -> bool {
        let hash = self.hasher.hash_one((&event.source, &event.id));
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What a route publishes: `subject` is its template filled, or nothing; `cause` the name of what made
/// it happen (a request's id, a job's), by which the same said twice has the same id.
pub fn said(publish: &Publish, to: &Events, subject: &str, cause: &str, now: Wall) -> Message {
    let event_id = id(&to.source, &publish.kind, subject, cause);
    let mut event = Event::new(event_id.clone(), to.source.clone(), publish.kind.clone());
    // A subject comes from a path or a field: what no attribute may hold is left out of it.
    let subject: String = subject.chars().filter(|c| super::rules::is_allowed(*c)).collect();
    event.subject = Some(subject.clone())
        .filter(|subject| !subject.is_empty() && subject.len() <= super::VALUE_BYTES_MAX);
    event.time = Some(rfc3339(now));
    Message {
        id: event_id,
        key: event.subject.clone().unwrap_or_default(),
        fields: vec![("content-type", json::CONTENT_TYPE.to_owned())],
        payload: json::write(&event).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Events {
        Events {
            name: "products".to_owned(),
            bus: "nats://a".to_owned(),
            topic: "products".to_owned(),
            source: "/shop".to_owned(),
            types: vec!["shop.product.*".to_owned()],
            purge: vec!["product:{subject}".to_owned(), "shelf:{data.shelf}".to_owned()],
            soft: false,
            call: Call::None,
            on_gap: OnGap::Flush,
        }
    }

    fn event(id: u32, kind: &str, more: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{kind}"{more}}}"#)
    }

    fn heard(payload: String) -> Heard {
        let (id, key) = (String::new(), String::new());
        Heard::Event(Message { id, key, fields: Vec::new(), payload: payload.into() })
    }

    fn purge(tags: &[&str]) -> Reaction {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Reaction::Purge { tags, soft: false }
    }

    fn flush(why: &str) -> Vec<Reaction> {
        vec![Reaction::Flush { soft: false, why: why.to_owned() }]
    }

    #[test]
    fn an_event_purges_the_tags_that_it_has_the_parts_of() {
        let mut listener = Listener::new(rules(), false);
        let changed = "shop.product.changed";
        for (more, reaction) in [
            (r#","subject":"7","data":{"shelf":3}"#, purge(&["product:7", "shelf:3"])),
            (r#","subject":"7""#, purge(&["product:7"])),
            (r#","data":{"shelf":"a"}"#, purge(&["shelf:a"])),
            ("", Reaction::Nothing(Nothing::NoTag)),
        ] {
            let found = listener.hear(heard(event(1, changed, more)));
            assert_eq!(found, std::slice::from_ref(&reaction), "{more}");
            assert_eq!(listener.hear(heard(event(1, changed, more))), [reaction], "again");
        }
        let other = listener.hear(heard(event(1, "shop.order.created", r#","subject":"7""#)));
        assert_eq!(other, [Reaction::Nothing(Nothing::OtherType)]);
        let nothing = listener.hear(heard("{\"product\": 7}".to_owned()));
        assert_eq!(nothing, [Reaction::Nothing(Nothing::NoEvent(NoEvent::Missing("specversion")))]);
        let more = r#","subject":"7""#;
        let batch = format!(" [{}, {}]", event(1, changed, more), event(2, "x", more));
        assert_eq!(
            listener.hear(heard(batch)),
            [purge(&["product:7"]), Reaction::Nothing(Nothing::OtherType)]
        );
        listener.follow(Events { purge: vec!["a".to_owned(); 2], types: Vec::new(), ..rules() });
        assert_eq!(listener.hear(heard(event(3, "x", ""))), [purge(&["a"])]);
    }

    #[test]
    fn a_gap_flushes_when_it_is_told_and_when_it_is_over() {
        let mut listener = Listener::new(rules(), false);
        assert_eq!(listener.hear(Heard::Listening), []);
        assert_eq!(listener.hear(Heard::Gap("lost".to_owned())), flush("lost"));
        assert_eq!(listener.hear(Heard::Listening), flush("lost"));
        assert_eq!(listener.hear(Heard::Listening), []);
        let ignoring = Events { on_gap: OnGap::Ignore, ..rules() };
        let calling = Events { purge: Vec::new(), call: Call::Path("/a".to_owned()), ..rules() };
        for rules in [ignoring, calling] {
            let mut listener = Listener::new(rules, true);
            assert_eq!(listener.hear(Heard::Gap("lost".to_owned())), []);
            assert_eq!(listener.hear(Heard::Listening), []);
        }
    }

    #[test]
    fn a_cache_that_outlives_the_process_has_missed_something() {
        let mut listener = Listener::new(rules(), true);
        assert_eq!(listener.hear(Heard::Listening), flush("the gateway was not running"));
        assert_eq!(listener.hear(Heard::Listening), []);
    }

    #[test]
    fn an_event_that_comes_twice_calls_once() {
        let call = Call::Path("/hooks".to_owned());
        let mut listener = Listener::new(Events { call, types: Vec::new(), ..rules() }, false);
        let mut calls = |id: u32| {
            let found = listener.hear(heard(event(id, "t", r#","subject":"7""#)));
            assert_eq!(found[0], purge(&["product:7"]), "each purges");
            match &found[1] {
                Reaction::Call { id: called, content } => {
                    assert_eq!(
                        (called, &json::read(content).unwrap().id),
                        (&id.to_string(), called)
                    );
                    true
                }
                other => {
                    assert_eq!(*other, Reaction::Nothing(Nothing::Twin));
                    false
                }
            }
        };
        assert!(calls(0) && !calls(0));
        let last = u32::try_from(SEEN_MAX).unwrap();
        assert!((1..last).all(&mut calls));
        assert!(!calls(0), "it is remembered for so long");
        assert!(calls(last));
        assert!(calls(0), "and no longer");
        assert!(!calls(last));
        assert!(listener.seen.known.len() == SEEN_MAX && listener.seen.order.len() == SEEN_MAX);
    }

    #[test]
    fn what_a_route_says_is_an_event_that_all_can_read() {
        let publish =
            Publish { to: 0, kind: "shop.product.changed".to_owned(), subject: String::new() };
        let say = |subject: &str, cause: &str| said(&publish, &rules(), subject, cause, Wall(0));
        let message = say("7", "request-1");
        let event = json::read(&message.payload).unwrap();
        assert_eq!((event.id.as_str(), event.source.as_str()), (message.id.as_str(), "/shop"));
        assert_eq!(
            (event.kind.as_str(), event.subject.as_deref()),
            ("shop.product.changed", Some("7"))
        );
        assert_eq!(
            (event.time.as_deref(), message.key.as_str()),
            (Some("1970-01-01T00:00:00.000Z"), "7")
        );
        assert_eq!(say("7", "request-1"), message);
        assert_ne!(say("7", "request-2").id, message.id);
        let mut listener = Listener::new(rules(), false);
        assert_eq!(listener.hear(Heard::Event(message)), [purge(&["product:7"])]);
        for (odd, subject) in
            [("", None), ("\u{0}", None), ("a\nb", Some("ab")), (&"a".repeat(4097), None)]
        {
            let event = json::read(&say(odd, "x").payload).expect("it keeps the rules");
            assert_eq!(event.subject.as_deref(), subject);
        }
    }
}

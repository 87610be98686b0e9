//! One topic that is heard: what `offload` makes of what is heard, done.
//!
//! Reactions are done in the order of the events, so that a purge is never overtaken by a call that
//! tells somebody to fetch what it purges. A call is waited for: who calls slowly hears slowly, and
//! what the broker does not keep meanwhile is a gap, which it tells.

use super::figures::{Figures, count};
use super::{Needs, call};
use base::Moment;
use cache::stamps::{Purge, Scope};
use offload::event::bus::{Listener, Nothing, Reaction};
use offload::queue::{Bus, Heard};
use offload::settings::Events;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// The listener of one topic.
pub(super) struct Ear {
    bus: Arc<dyn Bus>,
    rules: watch::Receiver<Events>,
    listener: Listener,
    needs: Needs,
    figures: Arc<Figures>,
}

impl Ear {
    /// For this topic. `outlives`: its cache may be older than the process.
    pub(super) fn new(
        bus: Arc<dyn Bus>,
        rules: watch::Receiver<Events>,
        outlives: bool,
        needs: &Needs,
        figures: &Arc<Figures>,
    ) -> Self {
        let listener = Listener::new(rules.borrow().clone(), outlives);
        Self { bus, rules, listener, needs: needs.clone(), figures: Arc::clone(figures) }
    }

    /// Listens until the topic is given up.
    pub(super) async fn listen(mut self) {
        let topic = self.rules.borrow().topic.clone();
        let bus = Arc::clone(&self.bus);
        loop {
            let heard = tokio::select! { biased;
                changed = self.rules.changed() => match changed {
                    Ok(()) => {
                        self.listener.follow(self.rules.borrow_and_update().clone());
                        continue;
                    }
                    Err(_) => return,
                },
                heard = bus.hear(&topic) => heard,
            };
            self.note(&heard);
            for reaction in self.listener.hear(heard) {
                self.react(reaction).await;
            }
        }
    }

    fn note(&self, heard: &Heard) {
        match heard {
            Heard::Listening => self.figures.listening.store(1, Ordering::Relaxed),
            Heard::Gap(why) => {
                self.figures.listening.store(0, Ordering::Relaxed);
                count(&self.figures.gaps);
                self.say(format_args!("some may have been missed: {why}"));
            }
            Heard::Event(_) => count(&self.figures.heard),
        }
    }

    async fn react(&self, reaction: Reaction) {
        match reaction {
            Reaction::Purge { tags, soft } => {
                count(&self.figures.purges);
                let scopes = tags.into_iter().map(Scope::Tag).collect();
                self.needs.cache.purge(&Purge { scopes, soft });
            }
            Reaction::Flush { soft, why } => {
                count(&self.figures.flushes);
                self.say(format_args!("the cache is emptied: {why}"));
                self.needs.cache.purge(&Purge { scopes: vec![Scope::All], soft });
            }
            Reaction::Call { id, content } => self.call(&id, content).await,
            Reaction::Nothing(nothing) => count(match nothing {
                Nothing::NoEvent(_) => &self.figures.no_event,
                Nothing::OtherType => &self.figures.other_type,
                Nothing::NoTag => &self.figures.no_tag,
                Nothing::Twin => &self.figures.twins,
            }),
        }
    }

    async fn call(&self, id: &str, content: bytes::Bytes) {
        let whom = self.rules.borrow().call.clone();
        match self.needs.caller.call(&whom, id, content).await {
            Ok(status) if (200..300).contains(&status) => count(&self.figures.called),
            Ok(status) => self.call_failed(id, format_args!("status {status}")),
            Err(call::NotCalled(why)) => self.call_failed(id, format_args!("{why}")),
        }
    }

    fn call_failed(&self, id: &str, why: std::fmt::Arguments<'_>) {
        count(&self.figures.call_failed);
        // An id is a stranger's word.
        let id: String = id.chars().take(64).filter(|c| !c.is_control()).collect();
        self.say(format_args!("event {id} was not taken by whom it calls: {why}"));
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        let name = &self.rules.borrow().name;
        monitor::log::complain(Moment::now(), format_args!("events {name}: {text}"));
    }
}

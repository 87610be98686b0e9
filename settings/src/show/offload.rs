//! `[offload]`, the queues, and what a route says of jobs.

use super::caching::{SECRET, without_password};
use super::{File, quoted};
use base::Share;
use offload::settings::{
    Away, Callback, Durability, Idempotency, OnDead, Pace, Queue, Retry, Rule, Settings, When,
};

impl File {
    pub(super) fn offload(&mut self, offload: &Settings) {
        self.header("[offload]");
        self.path("store", &offload.store);
        let durability = match offload.durability {
            Durability::Disk => "disk",
            Durability::System => "system",
        };
        self.text("durability", &durability);
        self.text("node", &offload.node);
        if !offload.peers.is_empty() {
            let peer = |peer: &offload::settings::Peer| {
                format!("{} = {}", quoted(&peer.name), quoted(&peer.url))
            };
            let peers: Vec<_> = offload.peers.iter().map(peer).collect();
            self.line(format_args!("peers = {{ {} }}", peers.join(", ")));
        }
        if offload.secret.is_some() {
            self.text("secret", &SECRET);
        }
        if offload.key.is_some() {
            self.text("key", &SECRET);
        }
        self.text("path", &offload.path);
        self.plain("jobs_max", &offload.jobs_max);
        self.text("bytes_max", &offload.bytes_max);
        self.text("body_max", &offload.body_max);
        self.text("free_min", &offload.free_min);
        self.time("keep", offload.keep);
        self.time("keep_dead", offload.keep_dead);
        self.text("answer_max", &offload.answer_max);
        self.time("wait_max", offload.wait_max);
        self.header("[offload.callback]");
        let networks = offload.callback_allow.iter();
        let networks: Vec<_> = networks.map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
        self.texts("allow", &networks);
        self.plain("http", &offload.callback_http);
        if !offload.callback_secrets.is_empty() {
            let hidden = offload.callback_secrets.iter().map(|_| format!("whsec_{SECRET}"));
            self.texts("secrets", &hidden.collect::<Vec<_>>());
        }
        for queue in &offload.queues {
            self.queue(queue);
        }
    }

    fn queue(&mut self, queue: &Queue) {
        self.header(&format!("[queue.{}]", queue.name));
        if let Some(broker) = &queue.broker {
            self.text("broker", &without_secrets(broker));
            self.plain("takes", &queue.takes);
            let away = match queue.away {
                Away::Refuse => "refuse",
                Away::Spill => "spill",
            };
            self.text("away", &away);
        }
        self.plain("at_once", &queue.at_once);
        for (key, pace) in [("rate", queue.rate), ("replay_rate", queue.replay_rate)] {
            if let Some(Pace { count, per }) = pace {
                self.text(key, &format!("{count}/{}", crate::lower::rates::period(per)));
            }
        }
        self.time("try_time", queue.try_time);
        if let Some(expires) = queue.expires {
            self.time("expires", expires);
        }
        self.plain("jobs_max", &queue.jobs_max);
        if let Some(age_max) = queue.age_max {
            self.time("age_max", age_max);
        }
        let on_dead = match queue.on_dead {
            OnDead::Skip => "skip",
            OnDead::Block => "block",
        };
        self.text("on_dead", &on_dead);
        self.header(&format!("[queue.{}.retry]", queue.name));
        self.tries(&queue.retry);
    }

    fn tries(&mut self, retry: &Retry) {
        self.plain("tries", &retry.tries);
        self.time("backoff", retry.pause);
        self.text("growth", &Share::percent(retry.growth_percent));
        self.time("backoff_max", retry.pause_max);
        if retry.on != Retry::standard_statuses() {
            let statuses: Vec<_> = retry.on.iter().map(u16::to_string).collect();
            self.line(format_args!("statuses = [{}]", statuses.join(", ")));
        }
        self.plain("lost_max", &retry.lost_max);
    }

    /// `offload` of a route.
    pub(super) fn rule(&mut self, rule: &Rule, queues: &[Queue]) {
        self.header("[route.offload]");
        if let Some(queue) = queues.get(rule.queue) {
            self.text("queue", &queue.name);
        }
        let when = match rule.when {
            When::Always => "always",
            When::Preferred => "prefer",
        };
        self.text("when", &when);
        for (key, template) in [("order", &rule.order), ("debounce", &rule.debounce)] {
            if !template.is_empty() {
                self.text(key, template);
            }
        }
        let idempotency = match rule.idempotency {
            Idempotency::Optional => "optional",
            Idempotency::Required => "required",
        };
        self.text("idempotency", &idempotency);
        self.time("idempotency_time", rule.idempotency_time);
        self.time("delay", rule.delay);
        match rule.client_delay {
            Some(most) => self.time("client_delay", most),
            None => self.plain("client_delay", &false),
        }
        if let Some(expires) = rule.expires {
            self.time("expires", expires);
        }
        self.plain("priority", &rule.priority);
        self.texts("drop", &rule.drop);
        self.texts("encrypt", &rule.encrypt);
        match &rule.callback {
            Callback::None => {}
            Callback::Fixed(url) => self.text("callback", &without_query(url)),
            Callback::Field(field) => {
                self.line(format_args!("callback = {{ field = {} }}", quoted(field)));
            }
        }
    }
}

/// A broker's URL without its password, or the token that stands in the place of a user, and without
/// the values of its query that may be secrets.
pub(super) fn without_secrets(url: &str) -> String {
    let url = without_password(url);
    let (start, query) = url.split_once('?').map_or((url.as_str(), None), |(a, b)| (a, Some(b)));
    let start = without_token(start);
    let Some(query) = query else { return start };
    let pairs: Vec<_> = query.split('&').map(without_value).collect();
    format!("{start}?{}", pairs.join("&"))
}

/// NATS takes a token where others take a user.
fn without_token(url: &str) -> String {
    let token = url.split_once("://").and_then(|(scheme, rest)| {
        let (user, hosts) = rest.rsplit_once('@')?;
        let bare = matches!(scheme, "nats" | "tls+nats") && !user.contains(':');
        bare.then(|| format!("{scheme}://{SECRET}@{hosts}"))
    });
    token.unwrap_or_else(|| url.to_owned())
}

fn without_value(pair: &str) -> String {
    const SECRETS: [&str; 6] = ["secret", "password", "token", "key", "credential", "pass"];
    match pair.split_once('=') {
        Some((name, _)) if SECRETS.iter().any(|word| name.to_ascii_lowercase().contains(word)) => {
            format!("{name}={SECRET}")
        }
        _ => pair.to_owned(),
    }
}

/// A callback's URL; its query may be what lets it in.
pub(super) fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(start, _)| format!("{start}?{SECRET}"))
}

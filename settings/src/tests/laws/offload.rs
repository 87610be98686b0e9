//! Any settings of jobs that the file can hold, and be shown without losing a secret.

use super::{DAY, MILLISECOND, file, time, words};
use base::ByteSize;
use offload::job::Node;
use offload::settings::{
    Away, Call, Callback, Durability, Events, Idempotency, OnDead, OnGap, Pace, Peer, Publish,
    Queue, Retry, Rule, Settings, When,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::IpAddr;

const SECOND: u64 = 1000 * MILLISECOND;

fn pace() -> impl Strategy<Value = Pace> {
    (1..=1_000_000_000_u32, time(SECOND, DAY)).prop_map(|(count, per)| Pace { count, per })
}

fn retry() -> impl Strategy<Value = Retry> {
    let on = prop_oneof![
        Just(Retry::standard_statuses()),
        Just(Vec::new()),
        vec(400..=599_u16, 1..4).prop_map(|mut on| {
            on.sort_unstable();
            on.dedup();
            on
        }),
    ];
    (1..=1000_u16, 1..=1000_u16, vec(MILLISECOND..=DAY, 2), 100..=1000_u32, on).prop_map(
        |(tries, lost, mut pauses, growth_percent, on)| {
            pauses.sort_unstable();
            Retry {
                tries,
                pause: std::time::Duration::from_nanos(pauses[0]),
                growth_percent,
                pause_max: std::time::Duration::from_nanos(pauses[1]),
                on,
                lost_max: lost.min(tries),
            }
        },
    )
}

fn queue() -> impl Strategy<Value = Queue> {
    let paces = (option::of(pace()), option::of(pace()));
    let times = (time(MILLISECOND, DAY), option::of(time(MILLISECOND, 365 * DAY)));
    let age = option::of(time(MILLISECOND, 365 * DAY));
    (1..=10_000_usize, paces, retry(), times, (1..=100_000_000_usize, age), any::<bool>()).prop_map(
        |(at_once, (rate, replay_rate), retry, (try_time, expires), (jobs_max, age_max), block)| {
            Queue {
                name: String::new(),
                broker: None, // It needs a secret, and no secret is shown.
                takes: true,
                away: Away::Refuse,
                at_once,
                rate,
                replay_rate,
                retry,
                try_time,
                expires,
                jobs_max,
                age_max,
                on_dead: if block { OnDead::Block } else { OnDead::Skip },
            }
        },
    )
}

/// Settings without secrets, which are not shown, and without peers, who need one.
pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let sizes = (1_u64 << 20..=1 << 42, 0..=8_u64 << 20, 0..=1_u64 << 40, 0..=8_u64 << 20);
    let times = (
        time(SECOND, 365 * DAY),
        time(SECOND, 365 * DAY),
        time(0, 600_000 * MILLISECOND),
        any::<[bool; 2]>(),
    );
    let network = (any::<[u8; 4]>()).prop_map(|ip| (IpAddr::from(ip), 32_u8));
    let networks = vec(network, 0..3)
        .prop_filter("no network twice", |all| (1..all.len()).all(|i| !all[..i].contains(&all[i])));
    let names = ("[a-zA-Z0-9_-]{1,6}", "(/[a-z.~]{1,3}){1,2}-");
    let queues = (any::<bool>(), vec(queue(), 1..4));
    (file(), names, 1..=100_000_000_usize, sizes, times, networks, queues).prop_map(
        |(
            store,
            (node, path),
            jobs_max,
            (bytes, body, free, answer),
            times,
            callback_allow,
            (last, queues),
        )| {
            let count = queues.len();
            let named = |(index, queue): (usize, Queue)| {
                let own = if last { index + 1 == count } else { index == 0 };
                let name = if own { "default".to_owned() } else { format!("q-{index}_Z") };
                Queue { name, jobs_max: queue.jobs_max.min(jobs_max), ..queue }
            };
            let (keep, keep_dead, wait_max, [system, http]) = times;
            Settings {
                store,
                durability: if system { Durability::System } else { Durability::Disk },
                node,
                peers: Vec::<Peer>::new(),
                secret: None,
                key: None,
                path,
                jobs_max,
                bytes_max: ByteSize(bytes),
                body_max: ByteSize(body.min(bytes / 4)),
                free_min: ByteSize(free),
                keep,
                keep_dead,
                answer_max: ByteSize(answer),
                wait_max,
                callback_allow,
                callback_http: http,
                callback_secrets: Vec::new(),
                queues: queues.into_iter().enumerate().map(named).collect(),
            }
        },
    )
}

/// A rule whose queue is still to be found: see [`fit`].
pub(super) fn rule() -> impl Strategy<Value = Rule> {
    let template = || {
        let text = prop_oneof![Just(String::new()), "[a-zé\"\\\\$ ,:]{1,4}".prop_map(String::from)];
        (text, any::<bool>()).prop_map(
            |(text, field)| {
                if field { format!("{text}{{header.x-y}}") } else { text }
            },
        )
    };
    let callback = prop_oneof![
        Just(Callback::None),
        "https://[a-z]{1,3}(:[1-9]{2})?(/[a-z$]{0,3})?".prop_map(Callback::Fixed),
        "x-[a-z]{1,3}".prop_map(Callback::Field),
    ];
    let times = (
        time(SECOND, 365 * DAY),
        time(0, DAY),
        option::of(time(SECOND, 365 * DAY)),
        option::of(time(DAY + MILLISECOND, 365 * DAY)),
    );
    let words = (0..=9_u8, words("x-[a-z]"), any::<[bool; 2]>());
    (any::<usize>(), template(), template(), times, words, callback).prop_map(
        |(queue, order, debounce, times, (priority, drop, [prefer, required]), callback)| Rule {
            when: if prefer { When::Preferred } else { When::Always },
            queue,
            order,
            debounce,
            idempotency: if required { Idempotency::Required } else { Idempotency::Optional },
            idempotency_time: times.0,
            delay: times.1,
            client_delay: times.2,
            expires: times.3,
            priority,
            drop,
            encrypt: Vec::new(),
            callback,
        },
    )
}

/// Takes away what contradicts the rest.
pub(super) fn fit(all: &mut crate::Settings) {
    let (ground, offload) = (&all.cache.rules, all.offload.as_ref());
    for route in &mut all.routes {
        let (Some(rule), Some(offload)) = (&mut route.offload, offload) else { continue };
        rule.queue %= offload.queues.len();
        if rule.expires.is_none()
            && offload.queues[rule.queue].expires.is_some_and(|time| time <= rule.delay)
        {
            rule.delay = std::time::Duration::ZERO;
        }
        if rule.when == When::Always {
            route.shadow = None;
            route.cache = ground.clone();
        }
    }
    assert_ne!(Node::named("a"), Node::named("b"), "tags tell names apart");
}

/// Topics, and what routes publish there.
pub(super) fn buses() -> impl Strategy<Value = (Vec<Events>, Vec<Option<Publish>>)> {
    let call =
        prop_oneof![Just(Call::None), "https://[a-z]{1,3}(/[a-z$]{0,3})?".prop_map(Call::Url),];
    let names = ("(tls\\+nats|kafkas)://(me:\\*{8}@)?h(,i:1)?(/a)?", "[a-z.]{1,4}", "/[a-z]{1,3}");
    let lists = (words("[a-zé.$]{1,4}\\*?"), words("[a-zé$:]{1,3}(\\{subject\\})?"));
    let one = (names, lists, call, any::<[bool; 2]>()).prop_map(
        |((bus, topic, source), (types, mut purge), call, [soft, flush])| {
            if purge.is_empty() && call == Call::None {
                purge.push("a".to_owned()); // Else nothing comes of it.
            }
            let on_gap = if flush { OnGap::Flush } else { OnGap::Ignore };
            let name = String::new();
            Events { name, bus, topic, source, types, purge, soft, call, on_gap }
        },
    );
    let subject = prop_oneof![Just(String::new()), "[a-zé\"\\\\$ ,:]{1,4}".prop_map(String::from)];
    let said = (0..3_usize, "[a-zé.\"$]{1,4}", subject).prop_map(|(to, kind, subject)| Publish {
        to,
        kind,
        subject,
    });
    (vec(one, 0..3), vec(option::of(said), 6)).prop_map(|(events, said)| {
        let events = events.into_iter().enumerate();
        let named =
            |(index, events): (usize, Events)| Events { name: format!("e{index}"), ..events };
        (events.map(named).collect(), said)
    })
}

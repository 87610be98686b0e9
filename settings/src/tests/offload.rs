//! What files say of jobs.

use super::{SHOP, settings};
use base::ByteSize;
use offload::settings::{
    Away, Callback, Durability, Idempotency, OnDead, Pace, Peer, Retry, Rule, When,
};
use std::path::PathBuf;
use std::time::Duration;

const ROUTE: &str = "[[route]]\nmatch = \"POST /mail/{id}\"\nto = \"shop\"\n";

fn rule(text: &str) -> Rule {
    let found = settings(&format!("{SHOP}{ROUTE}{text}\n"));
    found.routes[0].offload.clone().expect("it offloads")
}

#[test]
fn without_a_word_about_jobs_there_are_none() {
    assert_eq!(settings(SHOP).offload, None);
    let found = settings(&format!("{SHOP}{ROUTE}offload = false\n"));
    assert_eq!((found.offload, found.routes[0].offload.as_ref()), (None, None));
}

#[test]
fn a_word_is_all_it_takes() {
    let found = settings(&format!("{SHOP}{ROUTE}offload = true\n"));
    let offload = found.offload.as_ref().expect("a route needs it");
    assert_eq!(offload.store, PathBuf::from("/etc/fleetfoot/fleetfoot-jobs"));
    assert_eq!((offload.durability, offload.node.as_str()), (Durability::Disk, "fleetfoot"));
    assert_eq!((offload.jobs_max, offload.bytes_max), (1_000_000, ByteSize(8 << 30)));
    assert_eq!((offload.queues.len(), offload.queues[0].name.as_str()), (1, "default"));
    assert_eq!(offload.queues[0].retry.on, Retry::standard_statuses());
    let rule = found.routes[0].offload.as_ref().expect("it offloads");
    assert_eq!((rule.queue, rule.when, rule.priority), (0, When::Always, 5));
    assert_eq!((&rule.order, &rule.callback), (&String::new(), &Callback::None));
    assert_eq!(rule.encrypt, [""; 0]);
    for same in ["{}", "\"default\"", "{ queue = \"default\", when = \"always\" }"] {
        assert_eq!(settings(&format!("{SHOP}{ROUTE}offload = {same}\n")), found, "{same}");
    }
    let same = settings(&format!("{SHOP}[offload]\n[queue.default]\n{ROUTE}offload = true\n"));
    assert_eq!(same, found);
}

#[test]
fn everything_can_be_said_of_jobs() {
    let found = settings(&format!(
        r#"{SHOP}
[offload]
store = "jobs"
durability = "system"
node = "a"
peers = {{ "b-c" = "HTTP://10.0.0.2:8080/", d = "https://d" }}
secret = "sixteen-or-more-of-them"
key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
path = "/jobs"
bytes_max = "2 MiB"
callback = {{ allow = "10.0.0.0/8", http = true, secrets = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3" }}
[queue.mail]
broker = "AMQP://me:pass@10.0.0.5/jobs"
takes = false
away = "spill"
at_once = 4
rate = "5/10s"
retry = {{ tries = 2, backoff = "1h", growth = "150%", statuses = 503 }}
expires = "1h"
on_dead = "block"
[queue.plain]
retry = false
{ROUTE}
offload = {{ queue = "mail", when = "prefer", order = "{{id}}/{{header.X-Account}}", debounce = "{{id}}", idempotency = "required", delay = "10s", client_delay = "1d", priority = 0, drop = "Cookie", callback = "http://hooks" }}
"#
    ));
    let offload = found.offload.expect("it is there");
    assert_eq!(offload.store, PathBuf::from("/etc/fleetfoot/jobs"));
    assert_eq!((offload.durability, offload.path.as_str()), (Durability::System, "/jobs"));
    let peer = |name: &str, url: &str| Peer { name: name.to_owned(), url: url.to_owned() };
    assert_eq!(offload.peers, [peer("b-c", "http://10.0.0.2:8080"), peer("d", "https://d:443")]);
    assert_eq!(
        offload.key.as_ref().map(<[u8; 32]>::as_slice),
        Some(&b"0123456789abcdef0123456789abcdef"[..])
    );
    assert_eq!((offload.bytes_max, offload.body_max), (ByteSize::mib(2), ByteSize::kib(512)));
    assert_eq!((offload.callback_allow[0].1, offload.callback_http), (8, true));
    let names: Vec<_> = offload.queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["default", "mail", "plain"]);
    let mail = &offload.queues[1];
    assert_eq!(mail.broker.as_deref(), Some("amqp://me:pass@10.0.0.5/jobs"));
    assert_eq!((mail.takes, mail.away, mail.at_once), (false, Away::Spill, 4));
    assert_eq!(mail.rate, Some(Pace { count: 5, per: Duration::from_secs(10) }));
    assert_eq!((mail.retry.tries, mail.retry.lost_max, mail.retry.growth_percent), (2, 2, 150));
    // What is not set gives way to what is.
    assert_eq!(
        (mail.retry.pause, mail.retry.pause_max),
        (Duration::from_hours(1), Duration::from_hours(1))
    );
    assert_eq!((&mail.retry.on, mail.on_dead), (&vec![503], OnDead::Block));
    assert_eq!((offload.queues[2].retry.tries, offload.queues[2].retry.lost_max), (1, 1));
    let rule = found.routes[0].offload.as_ref().expect("it offloads");
    assert_eq!((rule.queue, rule.when, rule.priority), (1, When::Preferred, 0));
    assert_eq!(rule.order, "{id}/{header.X-Account}");
    assert_eq!(rule.idempotency, Idempotency::Required);
    assert_eq!(rule.client_delay, Some(Duration::from_hours(24)));
    // With a key, what clients are known by is encrypted, unless it is dropped.
    assert_eq!(
        (&rule.drop[..], &rule.encrypt[..]),
        (&["cookie".to_owned()][..], &["authorization".to_owned()][..])
    );
    assert_eq!(rule.callback, Callback::Fixed("http://hooks".to_owned()));
    assert_eq!(
        self::rule("offload = { callback = { field = \"Callback-URL\" } }").callback,
        Callback::Field("callback-url".to_owned())
    );
}

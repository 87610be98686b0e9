//! The reference page of all keys, made from the table of options.

use crate::options::{
    BALANCE, CACHE, CACHE_DISK, CACHE_KEY, CERTIFICATE, CLASS, DEADLINE, DISCOVER, Default, EJECT,
    EVENTS, FORWARD, HEALTH, HEDGE, Key, Kind, LIMIT, LIMITS, MONITOR, OFFLOAD, OFFLOAD_CALLBACK,
    OTLP, PUBLISH, QUEUE_RETRY, QUEUES, RATE, RETRY, ROOT, ROUTE, ROUTE_CACHE, ROUTE_CALLBACK,
    ROUTE_KEY, ROUTE_OFFLOAD, ROUTE_RATE, SERVER, SERVER_TIMING, SERVICE_TLS, SERVICES, SHADOW,
    Section, TLS, duration,
};
use std::fmt::Write;

const HEAD: &str = "\
# Settings

One TOML file. Unknown keys, values out of bounds and names that lead nowhere are mistakes, and
`fleetfoot check FILE` tells all of them at once. This page is made from the program itself.

- A **duration** is a number with a unit, or several: `250ms`, `5s`, `1m30s`, `2h`, `1d` (`ns`, `us`,
  `ms`, `s`, `m`, `h`, `d`).
- A **size** is a number with a unit: `900 B`, `16 KiB`, `512 MiB`, `1 GiB`, `10 MB` (`B`; `KiB` to
  `TiB` count by 1024; `KB` to `TB` by 1000).
- A **share** is a percentage: `5%`, `0.25%`, `300%`.
- A **path** of a file starts at the folder of the settings file, unless it starts with `/`.
- In any string `${NAME}` is the environment variable `NAME`, and `${NAME:-default}` has a default for
  when it is unset or empty. A variable without either is a mistake. `$${` is a plain `${`. A whole
  number or a truth may be such a string too: `threads = \"${THREADS:-4}\"`.

## The smallest file

```toml
[service.shop]
servers = [\"http://localhost:3000\"]
```
";

const SHORT: &str = "
### A service with all of it

```toml
zone = \"eu-1\"

[service.catalog]
servers = [
  \"http://10.0.0.1:3000\",
  { url = \"http://10.0.0.2:3000\", weight = 2, zone = \"eu-1\" },
  { url = \"http://10.1.0.1:3000\", priority = 1, zone = \"eu-2\" },
]
balance = { policy = \"least-request\", slow_start = \"30s\", eject = { failures = 3 } }
health = { path = \"/health\", every = \"2s\", time = \"1s\" }
retry = { attempts = 2, try_time = \"500ms\", budget = \"20%\" }
hedge = \"5%\"
limit = \"enforce\"
total_time = \"5s\"

[service.next]
discover = { name = \"http://next.internal:3000\" }

[[route]]
match = \"GET /products/{id}\"
to = { catalog = 95, next = 5 }
class = \"critical\"
rate = [\"100/s\", { limit = \"20000/h\", by = \"header:X-Api-Key\", burst = 500 }]

[[route]]
match = \"*\"
to = \"catalog\"
shadow = { to = \"next\", share = \"10%\" }
```

- All tries must fit: `try_time` for the first and for each of `attempts`, and `backoff` between them, is
  never more than `total_time`, nor than the `timeout` of a route to the service.
- The first retry waits for nothing, the second for `backoff`, each one after that twice as long.
- Hedges and retries come out of one `budget`, so a service that is slow or down is not asked more often
  than that.
";

const MATCHES: &str = "
### What `match` says

`[METHOD[|METHOD...] ][host]/path`, for example `GET|HEAD shop.example/products/{id}`.

- `*` alone takes every request, `GET *` every GET.
- The path is compared byte by byte with the path as it was received, still percent-encoded and
  without the query. The slash at the end counts: `/a` and `/a/` are two paths.
- `{id}` takes one segment that is not empty. A `*` or `{rest...}` at the end takes all that is left,
  possibly nothing: `/a/*` takes `/a/` and all below it, but not `/a`.
- A host is compared without case and port. `*.shop.example` takes every name below `shop.example`,
  however deep, and not `shop.example` itself.
- `GET` takes HEAD too, unless another route of the same host and path names HEAD itself.

Where several routes take a request, the most specific wins, in whatever order they stand:

1. an exact host beats a wildcard, a longer wildcard a shorter one, any wildcard no host;
2. then, segment by segment from the left, a literal beats a parameter beats the rest;
3. then a list of methods beats any method.

Two routes that could both win a request are a mistake. Where a route takes host and path but not the
method, the next one in that order is asked; when none is left the answer is 405 with an Allow field.
";

const RULES: &str = "
### How a route's rules come about

A route starts from the rules in `[cache]` and changes the keys that it names, one by one; a list takes
the place of the other list. `cache = false` keeps a route out of the cache, `cache = true` keeps it in
where `[cache]` says `enabled = false`.

```toml
[cache]
memory = \"1 GiB\"
stale = \"30s\"

[service.shop]
servers = [\"http://localhost:3000\"]

[[route]]
match = \"GET /products/{id}\"
to = \"shop\"
cache = { ttl = \"1m\", tags = [\"product:{id}\"], key = { ignore_query = [\"utm_*\"] } }

[[route]]
match = \"/account/*\"
to = \"shop\"
cache = false
```

- A `*` at the end of the name of a cookie or query parameter stands for any rest.
- Secrets (`purge_token`, passwords in `redis`, the `token` of `server_timing`, the `fields` of `otlp`)
  are shown as `********` wherever settings are shown.
";

const JOBS: &str = "
### Routes, queues and jobs

```toml
[offload]
store = \"/var/lib/fleetfoot/jobs\"

[queue.mail]
at_once = 4
rate = \"50/s\"
retry = { tries = 20, backoff = \"5s\" }

[service.mailer]
servers = [\"http://localhost:3000\"]

[[route]]
match = \"POST /mail/{account}\"
to = \"mailer\"
offload = { queue = \"mail\", order = \"{account}\", drop = [\"authorization\"] }

[[route]]
match = \"*\"
to = \"mailer\"
```

- The queue `default` is there without being set; `[queue.default]` says how it is.
- `order` and `debounce` may hold `{parameters}` of the route's `match` and `{header.NAME}`, as
  `tags` of the cache do; text between them stands as it is. Each route counts by itself.
- A route that offloads always is not cached and has no `shadow`.
- Secrets (`secret`, `key`, `secrets`, passwords in `broker`) are shown as `********`. Of these the first
  three have to be put in again before such a file is read: nothing is signed with asterisks.
";

const FACTS: &str = "
### Events

```toml
[events.products]
bus = \"nats://10.0.0.5:4222\"
topic = \"shop.products\"
types = \"shop.product.*\"
purge = [\"product:{subject}\", \"shelf:{data.shelf}\"]

[service.shop]
servers = [\"http://localhost:3000\"]

[[route]]
match = \"GET /products/{id}\"
to = \"shop\"
cache = { ttl = \"1h\", tags = [\"product:{id}\"] }

[[route]]
match = \"PUT /products/{id}\"
to = \"shop\"
publish = { to = \"products\", type = \"shop.product.changed\", subject = \"{id}\" }
```

A product is changed through any gateway, and all of them forget the old one.
";

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let front = [&ROOT, &LIMITS, &TLS, &CERTIFICATE, &FORWARD];
    let told = [&MONITOR, &SERVER_TIMING, &OTLP, &DEADLINE, &RATE];
    let service = [
        &SERVICES,
        &SERVER,
        &DISCOVER,
        &BALANCE,
        &EJECT,
        &HEALTH,
        &RETRY,
        &HEDGE,
        &LIMIT,
        &SERVICE_TLS,
    ];
    for section in front.into_iter().chain(told).chain(service) {
        table(&mut page, section);
    }
    page.push_str(SHORT);
    for section in [&ROUTE, &SHADOW, &CLASS, &ROUTE_RATE] {
        table(&mut page, section);
    }
    page.push_str(MATCHES);
    for section in [&CACHE, &CACHE_DISK, &CACHE_KEY, &ROUTE_CACHE, &ROUTE_KEY] {
        table(&mut page, section);
    }
    page.push_str(RULES);
    for section in
        [&OFFLOAD, &OFFLOAD_CALLBACK, &QUEUES, &QUEUE_RETRY, &ROUTE_OFFLOAD, &ROUTE_CALLBACK]
    {
        table(&mut page, section);
    }
    page.push_str(JOBS);
    for section in [&EVENTS, &PUBLISH] {
        table(&mut page, section);
    }
    page.push_str(FACTS);
    page
}

fn table(page: &mut String, section: &Section) {
    let title = match section.header {
        "" => "The top level".to_owned(),
        header => format!("`{header}`"),
    };
    let rows: String = section.keys.iter().map(row).collect();
    write!(
        page,
        "\n## {title}\n\n{}\n\n| key | type | default | allowed | what it is |\n| --- | --- | --- | --- | --- |\n{rows}",
        section.doc
    )
    .expect("writing to a string does not fail");
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Default::Required => "required".to_owned(),
        Default::Value(text) => format!("`{text}`"),
        Default::Words(words) => words.to_owned(),
    };
    let (kind, bounds) = kind(&key.kind);
    let cells = [format!("`{}`", key.name), kind, default, bounds, key.doc.to_owned()];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// Type and bounds, in words.
fn kind(kind: &Kind) -> (String, String) {
    let or = |unlimited: bool| if unlimited { ", or `\"unlimited\"`" } else { "" };
    match kind {
        Kind::Text { form, or_false: false } => ("string".to_owned(), plain(form.what)),
        Kind::Text { form, or_false: true } => ("string or `false`".to_owned(), plain(form.what)),
        Kind::Texts { form, alone: true } => {
            ("array of strings, or one".to_owned(), plain(form.what))
        }
        Kind::Texts { form, alone: false } => ("array of strings".to_owned(), plain(form.what)),
        Kind::Choice { words, or } => {
            let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            let or = or.map(|form| format!(", or {}", plain(form.what))).unwrap_or_default();
            ("string".to_owned(), format!("{}{or}", words.join(", ")))
        }
        Kind::Flag => ("boolean".to_owned(), String::new()),
        Kind::Count { least, most, unlimited } => {
            ("whole number".to_owned(), format!("{least} to {most}{}", or(*unlimited)))
        }
        Kind::Size { least, most, unlimited } => {
            ("size".to_owned(), format!("{least} to {most}{}", or(*unlimited)))
        }
        Kind::Time { least, most, or_false } => {
            let name = if *or_false { "duration or `false`" } else { "duration" };
            (name.to_owned(), format!("{} to {}", duration(*least), duration(*most)))
        }
        Kind::Share { least, most, or_false } => {
            let name = if *or_false { "share or `false`" } else { "share" };
            (name.to_owned(), format!("{least} to {most}"))
        }
        Kind::Counts { least, most } => {
            ("array of whole numbers, or one".to_owned(), format!("{least} to {most}"))
        }
        Kind::Weights { form, most } => {
            let bounds = format!("{}; weights from 0 to {most}", plain(form.what));
            ("string or table of weights".to_owned(), bounds)
        }
        Kind::Pairs { what, .. } => ("table of strings".to_owned(), plain(what)),
        Kind::Short { key, section, or_false } => {
            let or = if *or_false { ", or `false`" } else { "" };
            let (name, bounds) = short(key, section);
            (format!("{name} or table{or}"), bounds)
        }
        Kind::ShortSwitch { key, section } => {
            let (name, bounds) = short(key, section);
            (format!("{name}, table or boolean"), bounds)
        }
        Kind::Shorts { key, section } => {
            let (name, bounds) = short(key, section);
            (format!("{name} or table, or an array of those"), bounds)
        }
        Kind::Table(section) => ("table".to_owned(), format!("see `{}`", section.header)),
        Kind::Switch(section) => {
            ("table or boolean".to_owned(), format!("see `{}`", section.header))
        }
        Kind::Tables(section) => {
            ("array of tables".to_owned(), format!("see `{}`", section.header))
        }
        Kind::Named(section) => ("tables by name".to_owned(), format!("see `{}`", section.header)),
    }
}

/// Type and bounds of the value that may stand in the place of a section.
fn short(name: &str, section: &Section) -> (String, String) {
    let key = section.key(name).expect("a short form is of a key of its section");
    let (kind, bounds) = kind(&key.kind);
    (kind, format!("{bounds}; see `{}`", section.header))
}

/// Text that Markdown takes as it stands.
fn plain(text: &str) -> String {
    text.replace('[', "\\[").replace('*', "\\*")
}

//! Laws that hold for all settings and all text.

mod offload;
mod service;

use super::{read, settings};
use crate::model::{Forward, Listener, Network, Pattern, Route, Segment, Settings};
use balance::settings::{HashBy, Policy};
use base::ByteSize;
use base::Share;
use cache::settings::{
    Disk, KeyRules, Memcached, Profile, Redis, RedisMode, Rules, Settings as Cache, Shared,
};
use monitor::settings::{
    AccessLog, LogFormat, Objective, Otlp, Protocol, ServerTiming, Settings as Monitor,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use wire::settings::{CertificateFiles, Limits, TlsServer, TlsVersion};

const MILLISECOND: u64 = 1_000_000;
const DAY: u64 = 86_400_000 * MILLISECOND;

fn time(least: u64, most: u64) -> impl Strategy<Value = Duration> {
    (least..=most).prop_map(Duration::from_nanos)
}

fn file() -> impl Strategy<Value = PathBuf> {
    "/[a-z \"\\\\${}\u{e9}\u{7f}]{1,9}".prop_map(PathBuf::from)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9_-]{0,5}(\\.[a-z]{1,3})?", Just("10.0.0.1".to_owned())]
}

fn limits() -> impl Strategy<Value = Limits> {
    let sizes = (1024..=1_u64 << 20, option::of(0..=1_u64 << 50));
    let times = [
        time(100 * MILLISECOND, 600_000 * MILLISECOND).boxed(),
        time(100 * MILLISECOND, DAY).boxed(),
        time(100 * MILLISECOND, DAY).boxed(),
    ];
    let counts = (8..=4096_usize, option::of(1..=1_000_000_000_000_u64), 1..=10_000_000_usize);
    let rest = (1..=65_535_u32, 1..=10_000_usize);
    (sizes, times, counts, rest).prop_map(|((head, body), times, counts, rest)| Limits {
        head_bytes: ByteSize(head),
        fields: counts.0,
        head_time: times[0],
        body_bytes: body.map(ByteSize),
        body_pause: times[1],
        idle_time: times[2],
        requests: counts.1,
        connections: counts.2,
        streams: rest.0,
        resets: rest.1,
    })
}

fn pattern(index: usize) -> impl Strategy<Value = Pattern> {
    let methods = prop_oneof![
        Just(Vec::new()),
        Just(vec!["GET".to_owned()]),
        Just(vec!["POST".to_owned(), "X-Y".to_owned()]),
    ];
    let host = option::of(prop_oneof![host(), host().prop_map(|host| format!("*.{host}"))])
        .prop_filter("no wildcard before an address", |host| host.as_deref() != Some("*.10.0.0.1"));
    let segment = prop_oneof![
        "[a-z.~$%41]{0,3}x".prop_map(|text| Segment::Literal(text.replace('%', "%41"))),
        Just(Segment::Parameter("id".to_owned())),
    ];
    let rest = option::of(prop_oneof!["", "rest"].prop_map(Segment::Rest));
    (methods, host, option::of(segment), rest).prop_map(move |(methods, host, segment, rest)| {
        // The first segment tells the patterns of a file apart.
        let mut path = vec![Segment::Literal(format!("r{index}"))];
        path.extend(segment);
        path.extend(rest);
        Pattern { methods, host, path }
    })
}

fn words(form: &'static str) -> impl Strategy<Value = Vec<String>> {
    vec(form, 0..3).prop_map(|mut words| {
        words.sort();
        words.dedup();
        words
    })
}

/// Rules that `[cache]` can hold.
fn rules() -> impl Strategy<Value = Rules> {
    let year = 365 * DAY;
    let times = (option::of(time(0, year)), option::of(time(0, year)));
    let stale = [time(0, year).boxed(), time(0, year).boxed(), time(0, year).boxed()];
    let query = option::of(words("[a-z.%é]{1,3}\\*?"));
    let key = (query, words("[a-z]{1,3}\\*?"), words("X-[A-Z]{1,2}"), words("[a-z_]{1,3}"));
    let cookies = (words("[a-z]{1,3}\\*?"), words("[a-z]{1,3}\\*?"));
    let names = (words("[a-z:é\"\\\\$]{1,6}"), words("(/[a-zé. ]{0,2}(~0|~1)?){1,2}"));
    let lists = (words("x-[a-z]"), words("x-[a-z]"), words("[a-z]{2}(-[A-Z]{2})?"));
    let rest = (any::<[bool; 6]>(), 1..=4096_usize);
    (times, stale, key, cookies, names, lists, rest).prop_map(
        |(times, stale, key, cookies, names, lists, (flags, variants_max))| Rules {
            enabled: flags[0],
            profile: if flags[1] { Profile::Safe } else { Profile::Rfc },
            ttl: times.0,
            ttl_error: times.1,
            insist: flags[2],
            stale: stale[0],
            stale_error: stale[1],
            heuristic_max: stale[2],
            key: KeyRules {
                query: key.0,
                ignore_query: key.1,
                sort_query: flags[3],
                fields: key.2,
                cookies: key.3,
            },
            bypass_cookies: cookies.0,
            drop_cookies: cookies.1,
            reload: flags[4],
            tags: names.0,
            tag_pointers: names.1,
            tag_fields: lists.0,
            vary: lists.1,
            languages: lists.2,
            variants_max,
            early: flags[5],
        },
    )
}

fn shared() -> impl Strategy<Value = Shared> {
    let mode = prop_oneof![
        Just(RedisMode::Cluster),
        "[a-z.:]{1,4}".prop_map(RedisMode::Sentinel),
        Just(RedisMode::Single)
    ];
    let urls = vec((any::<bool>(), 1..=9_u16), 1..3);
    let prefix = "[a-z:$\\{\\}]{0,3}";
    let redis = (mode, urls, option::of(file()), prefix).prop_map(|(mode, urls, trust, prefix)| {
        let tls = trust.is_some();
        let one = mode == RedisMode::Single;
        let url = |(index, (user, port)): (usize, (bool, u16))| {
            let user = if user { "me:********@" } else { "" };
            let scheme = if tls { "rediss" } else { "redis" };
            format!("{scheme}://{user}h{index}:{port}")
        };
        let urls = urls.into_iter().take(if one { 1 } else { 2 }).enumerate().map(url).collect();
        Shared::Redis(Redis { urls, mode, trust, prefix })
    });
    let memcached = (1..9_u16, prefix).prop_map(|(port, prefix)| {
        let servers = vec![format!("a:{port}"), format!("[::1]:{port}")];
        Shared::Memcached(Memcached { servers, prefix })
    });
    prop_oneof![redis, memcached]
}

fn cache() -> impl Strategy<Value = Cache> {
    let memory = prop_oneof![Just(0), (1_u64 << 20)..=1 << 50];
    let disk = (file(), (16_u64 << 20)..=1 << 42);
    let disk = disk.prop_map(|(path, size)| Disk { path, size: ByteSize(size) });
    let sizes = (memory, 1024..=1_u64 << 18, 1024..=512_u64 << 20);
    let times = (time(MILLISECOND, 10_000 * MILLISECOND), time(0, 600_000 * MILLISECOND));
    let parts = (option::of(disk), option::of(shared()), words("[A-Z][a-z-]{0,4}"), any::<bool>());
    (sizes, times, parts, rules(), any::<bool>()).prop_map(
        |(
            (memory, object, shared_object),
            times,
            (disk, shared, targeted, token),
            rules,
            fence,
        )| {
            let fence = fence && matches!(shared, Some(Shared::Redis(_)));
            Cache {
                memory: ByteSize(memory),
                object_max: ByteSize(object),
                disk,
                shared,
                shared_time: times.0,
                shared_object_max: ByteSize(shared_object),
                fence,
                targeted,
                wait_time: times.1,
                purge_token: token.then(|| "********".to_owned()),
                rules,
            }
        },
    )
}

/// Where the requests of a route go: the first service, the weights of several, a shadow.
type Targets = (usize, Vec<(usize, u32)>, Option<(usize, Share)>);

fn targets(services: usize) -> impl Strategy<Value = Targets> {
    let weights = vec(0..=1000_u32, services);
    let shadow = option::of((0..services, 1..=10_000_u32));
    (0..services, any::<bool>(), weights, shadow).prop_map(|(first, alone, weights, shadow)| {
        let weights = weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0);
        let mut split: Vec<(usize, u32)> = weights.collect();
        if alone || split.len() < 2 {
            split.clear();
        }
        let service = split.first().map_or(first, |(service, _)| *service);
        let own = |index| index == service || split.iter().any(|(service, _)| *service == index);
        let shadow = shadow.filter(|(index, _)| !own(*index));
        (service, split.clone(), shadow.map(|(index, share)| (index, Share(share))))
    })
}

fn route(index: usize, services: usize) -> impl Strategy<Value = Route> {
    let name = option::of("[a-z \"\\\\${}\u{e9}]{1,9}");
    let cache = rules();
    let timeout = option::of(time(MILLISECOND, 7 * DAY));
    let prefix = option::of("(/[a-z]{1,3}){1,2}");
    let asked = (service::class(), service::rates());
    let path = (any::<bool>(), prefix);
    let told = (option::of(any::<bool>()), option::of(objective()));
    (pattern(index), name, targets(services), path, timeout, asked, cache, told).prop_map(
        move |(
            pattern,
            name,
            targets,
            (strip, prepend),
            timeout,
            (class, rates),
            cache,
            (server_timing, objective),
        )| Route {
            name: name.map_or_else(|| pattern.to_string(), |name| format!("{name}{index}")),
            strip: strip.then(|| format!("/r{index}")),
            pattern,
            service: targets.0,
            split: targets.1,
            shadow: targets.2,
            class: class.0,
            class_field: class.1,
            rates,
            prepend,
            timeout,
            cache,
            server_timing,
            objective,
            offload: None,
            publish: None,
        },
    )
}

/// The settings without what contradicts the rest of them.
fn fitted(mut all: Settings, zone: Option<&String>) -> Settings {
    offload::fit(&mut all);
    for service in &mut all.services {
        service.balance.zone = zone.cloned();
    }
    for route in &mut all.routes {
        let targets = route.split.iter().map(|(service, _)| *service).chain([route.service]);
        for index in targets {
            let service = &mut all.services[index];
            let longest = service::longest(&service.retry);
            route.timeout = route.timeout.filter(|timeout| *timeout >= longest);
            let has = route.pattern.path.contains(&Segment::Parameter("id".to_owned()));
            if let Policy::Hash(hash) = &mut service.balance.policy
                && matches!(hash.by, HashBy::Parameter(_))
                && !has
            {
                hash.by = HashBy::Path;
            }
        }
    }
    if all.rate_redis.is_none() {
        let mut rates = all.routes.iter_mut().flat_map(|route| &mut route.rates);
        rates.by_ref().for_each(|rate| rate.shared = false);
    }
    all
}

fn tls() -> impl Strategy<Value = TlsServer> {
    let files = (file(), file()).prop_map(|(chain, key)| CertificateFiles { chain, key });
    let minimum = prop_oneof![Just(TlsVersion::V1_2), Just(TlsVersion::V1_3)];
    (vec(files, 1..3), minimum)
        .prop_map(|(certificates, minimum)| TlsServer { certificates, minimum })
}

fn forward() -> impl Strategy<Value = Forward> {
    let network = prop_oneof![
        (any::<u32>(), 0..=32_u8).prop_map(|(bits, prefix)| Network {
            address: IpAddr::from(
                (bits & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).to_be_bytes()
            ),
            prefix,
        }),
        (1..=64_u8).prop_map(|prefix| Network {
            address: IpAddr::from((1_u128 << (128 - u32::from(prefix))).to_be_bytes()),
            prefix,
        }),
    ];
    let trusted = vec(network, 0..4)
        .prop_filter("no network twice", |all| (1..all.len()).all(|i| !all[..i].contains(&all[i])));
    ("[a-z0-9!~.-]{1,8}(:[0-9]{1,4})?", trusted, any::<[bool; 2]>()).prop_map(
        |(via, trusted, [x_forwarded, forwarded])| Forward { via, trusted, x_forwarded, forwarded },
    )
}

fn otlp() -> impl Strategy<Value = Otlp> {
    let url = "https?://[a-z]{1,3}(:[1-9][0-9]{3})?(/[a-z]{1,3})?";
    let parts = (url, words("[a-z]{1,3}-x"), "[a-zé \"$\\{}]{1,9}");
    (parts, time(1_000 * MILLISECOND, 3_600_000 * MILLISECOND), any::<[bool; 3]>()).prop_map(
        |((url, fields, service), every, [http, metrics, traces])| Otlp {
            url,
            protocol: if http { Protocol::Http } else { Protocol::Grpc },
            fields: fields.into_iter().map(|name| (name, "********".to_owned())).collect(),
            every,
            metrics,
            traces,
            service,
        },
    )
}

fn monitor(log: impl Strategy<Value = AccessLog>) -> impl Strategy<Value = Monitor> {
    let format =
        prop_oneof![Just(LogFormat::Json), Just(LogFormat::Common), Just(LogFormat::Combined)];
    let timing = prop_oneof![
        Just(ServerTiming::Off),
        Just(ServerTiming::On),
        Just(ServerTiming::Token("********".to_owned()))
    ];
    let log = (log, format, 0..=10_000_u32, words("[a-zé_\"$]{1,5}\\*?"));
    (log, timing, any::<[bool; 2]>(), 0..=10_000_u32, option::of(otlp())).prop_map(
        |(
            (access_log, log_format, log_sample, redact),
            timing,
            [request_id, trace],
            sample,
            otlp,
        )| {
            Monitor {
                access_log,
                log_format,
                log_sample: Share(log_sample),
                redact,
                server_timing: timing,
                request_id,
                trace,
                trace_sample: Share(sample),
                otlp,
            }
        },
    )
}

fn objective() -> impl Strategy<Value = Objective> {
    let success = option::of((100..=9_999_u32).prop_map(Share));
    (vec(100..=9_999_u32, 0..4), vec(1_000..3_600_000 * MILLISECOND, 4), success).prop_map(
        |(mut shares, mut times, success)| {
            shares.sort_unstable();
            shares.dedup();
            times.sort_unstable();
            let times = times.into_iter().map(Duration::from_nanos);
            let latency: Vec<_> = shares.into_iter().map(Share).zip(times).collect();
            let success = if latency.is_empty() { success.or(Some(Share(9_990))) } else { success };
            Objective { latency, success }
        },
    )
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let listen = (vec((any::<bool>(), any::<[u8; 4]>()), 1..3), any::<bool>()).prop_map(
        |(all, six)| -> Vec<Listener> {
            let address = |index: usize, ip: [u8; 4]| {
                if six && index == 0 {
                    SocketAddr::from(([0_u16, 0, 0, 0, 0, 0, 0, 1], 8000))
                } else {
                    SocketAddr::from((ip, 8000 + index as u16))
                }
            };
            let all = all.into_iter().enumerate();
            all.map(|(i, (tls, ip))| Listener { address: address(i, ip), tls }).collect()
        },
    );
    let admin = option::of(any::<[u8; 4]>().prop_map(|ip| SocketAddr::from((ip, 9900))));
    let log = prop_oneof![
        Just(AccessLog::Off),
        Just(AccessLog::Stdout),
        file().prop_map(AccessLog::File)
    ];
    let monitor = monitor(log);
    let top = (listen, admin, option::of(1..=1024_usize), time(0, DAY), monitor);
    let services = vec(any::<()>(), 1..4).prop_flat_map(|all| {
        let all = all.iter().enumerate();
        all.map(|(index, ())| service::service(format!("s_{index}-Z"))).collect::<Vec<_>>()
    });
    let routes = (1..4_usize, 1..6_usize);
    let redis = option::of((1..9_u16).prop_map(|port| format!("redis://me:********@h:{port}/1")));
    let gateway = (option::of("[a-zA-Z0-9._-]{1,5}"), service::deadlines(), redis);
    let sections = (limits(), tls(), any::<bool>(), forward(), cache(), services, routes);
    let bus = offload::buses();
    let jobs = option::of((offload::settings(), vec(option::of(offload::rule()), 6)));
    (top, sections, gateway, jobs, bus).prop_flat_map(
        |(top, (limits, tls, keep, forward, cache, services, (_, count)), gateway, jobs, bus)| {
            let routes: Vec<_> = (0..count).map(|index| route(index, services.len())).collect();
            routes.prop_map(move |mut routes| {
                let (offload, rules) = jobs.clone().unzip();
                for (route, rule) in routes.iter_mut().zip(rules.unwrap_or_default()) {
                    route.offload = rule;
                }
                let (events, said) = bus.clone();
                for (route, publish) in routes.iter_mut().zip(said) {
                    route.publish = publish.filter(|publish| publish.to < events.len());
                }
                let keep = keep || top.0.iter().any(|listener| listener.tls);
                let (zone, deadlines, rate_redis) = gateway.clone();
                let all = Settings {
                    listen: top.0.clone(),
                    admin: top.1,
                    threads: top.2,
                    grace: top.3,
                    limits: limits.clone(),
                    tls: keep.then(|| tls.clone()),
                    forward: forward.clone(),
                    monitor: top.4.clone(),
                    cache: cache.clone(),
                    deadlines,
                    rate_redis,
                    offload,
                    events,
                    services: services.clone(),
                    routes,
                };
                fitted(all, zone.as_ref())
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_shown_is_read_back(all in any_settings()) {
        let shown = crate::show(&all);
        let read = settings(&shown);
        prop_assert_eq!(&read.cache, &all.cache);
        prop_assert_eq!(read, all);
    }

    #[test]
    fn no_text_makes_the_reader_fall_over(
        lines in vec(
            prop_oneof![
                "[\\PC\n]{0,20}",
                "(listen|admin|grace|zone|servers|match|to|strip|host|tls|discover|balance|health|retry|hedge|limit|shadow|class|rate|url|by|statuses|srv|redact|otlp|objective|fields|server_timing|offload|queue|broker|peers|node|key|secret|order|callback|encrypt|events|publish|bus|topic|purge|call|types) ?= ?[\"'\\[{]?[a-z0-9:/*.{}%${\u{e9} -]{0,12}[\"'\\]}]?",
                "\\[{1,2}(limits|tls|route|service|service\\.a|monitor|monitor\\.otlp|route\\.objective|deadline|rate|service\\.a\\.(balance|retry|discover|health)|route\\.(rate|shadow|offload|publish)|events\\.a|offload|queue\\.a|queue\\.a\\.retry)\\]{1,2}",
            ],
            0..12,
        ),
    ) {
        if let Err(report) = read(&lines.join("\n")) {
            prop_assert!(!report.to_string().is_empty());
        }
    }

    #[test]
    fn no_pattern_makes_the_parser_fall_over(text in "[A-Z|]{0,5} ?[a-z.*:\\[\\]]{0,8}[/a-z{}.*%\u{e9} ?]{0,12}") {
        match crate::pattern::parse(&text) {
            Ok(pattern) => prop_assert_eq!(crate::pattern::parse(&pattern.to_string()), Ok(pattern)),
            Err(wrong) => prop_assert!(text.get(wrong.part.clone()).is_some(), "{:?}", wrong),
        }
    }
}

//! Any service that the settings can hold, and what routes say of services.

use super::{DAY, MILLISECOND, file, host, time};
use balance::settings::{Eject, Hash, HashBy, Policy, Settings as Balance, Spot};
use base::{ByteSize, Share};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use service::settings::{
    Check, CheckKind, Class, Deadlines, Discipline, Discover, Hedge, HostRule, Http, Limit,
    LimitMode, Rate, RateBy, Retry, Scheme, Server, Settings, Source,
};
use std::time::Duration;
use wire::settings::{TlsClient, Trust};

fn share(least: u32, most: u32) -> impl Strategy<Value = Share> {
    (least * 100..=most * 100).prop_map(Share)
}

fn server() -> impl Strategy<Value = Server> {
    (any::<bool>(), prop_oneof![host(), Just("2001:db8::1".to_owned())], 1..=u16::MAX)
        .prop_map(|(tls, host, port)| Server { scheme: scheme(tls), host, port, address: None })
}

fn scheme(tls: bool) -> Scheme {
    if tls { Scheme::Https } else { Scheme::Http }
}

fn spots() -> impl Strategy<Value = Vec<Spot>> {
    let place = (prop_oneof![Just(1), 1..=1000_u32], prop_oneof![Just(0), any::<u8>()]);
    let spot = (server(), place, option::of("[a-zA-Z0-9._-]{1,4}"))
        .prop_map(|(server, (weight, priority), zone)| Spot { server, weight, priority, zone });
    vec(spot, 1..4).prop_filter("no server twice", |spots| {
        (1..spots.len()).all(|i| spots[..i].iter().all(|spot| spot.server != spots[i].server))
    })
}

fn discover() -> impl Strategy<Value = Discover> {
    let label = || "[a-z0-9]([a-z0-9-]{0,3}[a-z0-9])?";
    let named =
        server().prop_filter("a name", |server| server.host.parse::<std::net::IpAddr>().is_err());
    let kubernetes = (
        option::of(host()),
        option::of(label()),
        label(),
        option::of("[a-z]{1,3}"),
        any::<bool>(),
        (option::of(file()), option::of(file())),
    );
    let source = prop_oneof![
        file().prop_map(Source::File),
        named.prop_map(Source::Name),
        (any::<bool>(), "_[a-z]{1,4}\\._(tcp|udp)\\.[a-z]{1,3}(\\.[a-z]{1,3})?")
            .prop_map(|(tls, name)| Source::Srv { scheme: scheme(tls), name }),
        kubernetes.prop_map(|(api, namespace, service, port, tls, (token, trust))| {
            let api = api.map(|host| format!("https://{host}:6443"));
            Source::Kubernetes { api, namespace, service, port, scheme: scheme(tls), token, trust }
        }),
    ];
    (source, time(100 * MILLISECOND, 3_600_000 * MILLISECOND), 1..=100_000_usize)
        .prop_map(|(from, every, servers_max)| Discover { from, every, servers_max })
}

fn policy() -> impl Strategy<Value = Policy> {
    let by = prop_oneof![
        "x[a-z0-9!#|~-]{1,5}".prop_map(HashBy::Header),
        "[a-zA-Z0-9_]{1,5}".prop_map(HashBy::Cookie),
        Just(HashBy::Parameter("id".to_owned())),
        Just(HashBy::Path),
        Just(HashBy::Client),
    ];
    let hash = (by, share(100, 1000)).prop_map(|(by, bound)| Policy::Hash(Hash { by, bound }));
    let plain = select(vec![
        Policy::PeakEwma,
        Policy::LeastRequest,
        Policy::RoundRobin,
        Policy::Random,
        Policy::HotCold,
    ]);
    prop_oneof![plain, hash]
}

fn eject() -> impl Strategy<Value = Eject> {
    let shares = (
        prop_oneof![Just(Share(0)), share(1, 100)],
        prop_oneof![Just(Share(0)), share(110, 10_000)],
        share(1, 100),
    );
    let times = (time(MILLISECOND, DAY), time(MILLISECOND, DAY));
    (0..=10_000_u32, shares, times).prop_map(|(failures, (success, slow, most), (one, other))| {
        Eject { failures, success, slow, time: one.min(other), time_max: one.max(other), most }
    })
}

/// Of a gateway whose zone is not known yet.
fn balance() -> impl Strategy<Value = Balance> {
    let times = (
        time(0, 3_600_000 * MILLISECOND),
        time(0, 600_000 * MILLISECOND),
        time(0, 10_000 * MILLISECOND),
    );
    let shares = (share(1, 100), share(0, 100));
    (policy(), times, shares, eject(), option::of(1..=100_000_usize)).prop_map(
        |(policy, (slow_start, penalty, zone_cost), (slow_start_least, panic), eject, subset)| {
            Balance {
                subset_seed: 0,
                policy,
                slow_start,
                slow_start_least,
                penalty,
                panic,
                eject,
                zone: None,
                zone_cost,
                subset,
            }
        },
    )
}

fn check() -> impl Strategy<Value = Check> {
    let kind = prop_oneof![
        ("/[!\"$-~]{0,6}", 100..=599_u16, 100..=599_u16).prop_map(|(path, one, other)| {
            CheckKind::Http { path, statuses: (one.min(other), one.max(other)) }
        }),
        "[a-zA-Z._]{0,5}".prop_map(CheckKind::Grpc),
        Just(CheckKind::Tcp),
    ];
    let every = time(100 * MILLISECOND, 3_600_000 * MILLISECOND);
    let time = time(MILLISECOND, 600_000 * MILLISECOND);
    (kind, every, time, 1..=1000_u32, 1..=1000_u32).prop_map(
        |(kind, every, time, healthy, unhealthy)| Check {
            kind,
            every,
            time: time.min(every),
            healthy,
            unhealthy,
        },
    )
}

fn retry() -> impl Strategy<Value = Retry> {
    let statuses = vec(400..=599_u16, 0..4).prop_map(|mut statuses| {
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    });
    let times = (option::of(time(MILLISECOND, DAY)), time(0, 60_000 * MILLISECOND));
    (0..=10_u32, statuses, share(0, 100), 0..=10_000_u32, times, 0..=64_u64 << 20).prop_map(
        |(attempts, statuses, budget, reserve, (try_time, backoff), body)| Retry {
            attempts,
            statuses,
            budget,
            reserve,
            try_time,
            body_max: ByteSize(body),
            backoff,
        },
    )
}

fn limit() -> impl Strategy<Value = Limit> {
    let mode = select(vec![LimitMode::Off, LimitMode::Observe, LimitMode::Enforce]);
    let queue = select(vec![Discipline::AdaptiveLifo, Discipline::CoDel, Discipline::Fifo]);
    let steps = vec(1..=1_000_000_u32, 3);
    let wait = (0..=1_000_000_usize, time(MILLISECOND, 600_000 * MILLISECOND));
    (mode, steps, queue, wait).prop_map(|(mode, mut steps, queue, (queue_max, queue_time))| {
        steps.sort_unstable();
        let (least, start, most) = (steps[0], steps[1], steps[2]);
        Limit { mode, start, least, most, queue, queue_max, queue_time }
    })
}

/// The longest that all tries take.
pub(super) fn longest(retry: &Retry) -> Duration {
    let backoff = (1..retry.attempts).map(|retry_before| 2_u32.pow(retry_before - 1)).sum::<u32>();
    retry
        .try_time
        .map_or(Duration::ZERO, |time| time * (retry.attempts + 1) + retry.backoff * backoff)
}

/// How a service is asked, before its times and servers are known.
fn asked() -> impl Strategy<Value = (Option<Check>, Retry, Option<Hedge>, Limit)> {
    let hedge = option::of((1..=5_000_u32).prop_map(|extra| Hedge { extra: Share(extra) }));
    (option::of(check()), retry(), hedge, limit())
}

pub(super) fn service(name: String) -> impl Strategy<Value = Settings> {
    let rule = prop_oneof![
        Just(HostRule::Client),
        Just(HostRule::Server),
        "[a-z]{1,3}\\.x(:8[1-9])?".prop_map(HostRule::Fixed),
    ];
    let http = prop_oneof![Just(Http::Auto), Just(Http::One), Just(Http::Two)];
    let times = (time(MILLISECOND, 7 * DAY), time(MILLISECOND, DAY), any::<[u32; 2]>());
    let counts = (1..=1_000_000_usize, 0..=65_536_usize, 0..=1024_usize);
    let trust = prop_oneof![Just(Trust::System), file().prop_map(Trust::File)];
    let spoken = (rule, http, trust, option::of(host()));
    let pool = (spots(), option::of(discover()), any::<bool>(), balance());
    (pool, asked(), times, counts, spoken).prop_map(
        move |(
            (spots, discover, named, balance),
            (check, retry, hedge, limit),
            (total_time, idle_time, parts),
            (most, idle, prewarm),
            (host, http, trust, asked),
        )| {
            let within = |part: u32, most: u64| {
                let most = most.min(u64::try_from(total_time.as_nanos()).unwrap_or(most));
                Duration::from_nanos(MILLISECOND + u64::from(part) * 999 % (most - MILLISECOND + 1))
            };
            let queue_time = limit.queue_time.min(total_time);
            let idle = idle.min(most);
            fitted(Settings {
                name: name.clone(),
                servers: if discover.is_some() && !named { Vec::new() } else { spots },
                discover,
                balance,
                check,
                retry,
                hedge,
                limit: Limit { queue_time, ..limit },
                host,
                http,
                connect_time: within(parts[0], 600_000 * MILLISECOND),
                first_byte_time: within(parts[1], DAY),
                total_time,
                idle_time,
                idle_max: idle,
                connections_max: most,
                prewarm: prewarm.min(idle),
                tls: TlsClient { trust, name: asked },
            })
        },
    )
}

/// The service without what contradicts the rest of it.
fn fitted(mut all: Settings) -> Settings {
    let connect = all.connect_time;
    all.retry.try_time = all.retry.try_time.map(|time| connect + time / 1000);
    if longest(&all.retry) > all.total_time {
        all.retry.try_time = None;
    }
    all.retry.try_time = all.retry.try_time.filter(|time| *time <= Duration::from_nanos(DAY));
    let alone = all.servers.len() == 1 && all.discover.is_none();
    let budget = all.retry.budget;
    all.hedge = all.hedge.filter(|hedge| !alone && hedge.extra <= budget);
    all
}

pub(super) fn deadlines() -> impl Strategy<Value = Deadlines> {
    // Two letters could be TE.
    let field = option::of("x[a-z0-9!#|~-]{1,5}(-ms)?");
    (field, share(0, 50), time(0, 10_000 * MILLISECOND))
        .prop_map(|(field, shrink, least)| Deadlines { field, shrink, least })
}

pub(super) fn class() -> impl Strategy<Value = (Class, Option<String>)> {
    let class = select(vec![Class::Critical, Class::Normal, Class::Background]);
    (class, option::of("x[a-z0-9!#|~-]{1,5}"))
}

pub(super) fn rates() -> impl Strategy<Value = Vec<Rate>> {
    let by = prop_oneof![
        Just(RateBy::Route),
        Just(RateBy::Client),
        "x[a-z0-9-]{1,5}".prop_map(RateBy::Header)
    ];
    let per = prop_oneof![
        select(vec![1, 10, 60, 3_600, 86_400]).prop_map(Duration::from_secs),
        time(1_000 * MILLISECOND, DAY)
    ];
    let counts = (1..=1_000_000_000_u32, 1..=1_000_000_000_u32);
    let name = option::of("[ !#-\\[\\]-~]{1,8}");
    let rate = (by, per, counts, any::<bool>(), name).prop_map(
        |(by, per, (limit, burst), shared, name)| {
            let name = name.unwrap_or_else(|| crate::lower::rates::standard_name(&by, per));
            // Whatever the rest, so many fit.
            let burst = burst.min(limit.saturating_mul(100_000));
            Rate { name, limit, per, burst, by, shared }
        },
    );
    vec(rate, 0..3).prop_filter("no name twice", |rates| {
        (1..rates.len()).all(|i| rates[..i].iter().all(|rate| rate.name != rates[i].name))
    })
}

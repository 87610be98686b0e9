//! Servers by name: addresses (A, AAAA) and SRV records (RFC 2782), asked again when their TTL ends.
//!
//! A TTL counts from [`TTL_LEAST`] to `every`. What was found last stays while name servers fail or
//! say nothing, for ever; when they say that there is nothing (NXDOMAIN, or no such records), it
//! stays [`NONE_ROUNDS`] times `every`, since that is also what a broken zone looks like. One family
//! that is answered positively is believed at once about the other that is not. A name that stands for
//! another (CNAME) and leads to no address, as in a loop, is a failure; addresses that are nobody's are
//! left out. The name stays what
//! Host and SNI say; the address becomes [`Server::address`].
//!
//! Name servers are those of `/etc/resolv.conf`, or of the file that `FLEETFOOT_RESOLV_CONF` names,
//! where `nameserver [127.0.0.1]:5353` may name a port as well; names in `/etc/hosts` go first.

use super::found::Teller;
use base::{Deadline, Moment};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use service::settings::{Scheme, Server, Spot};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinSet;
use wire::timer;

/// The shortest TTL that counts.
const TTL_LEAST: Duration = Duration::from_secs(1);
/// So often must it be said, over so many times `every`, that a name has no servers any more.
const NONE_ROUNDS: u32 = 3;
/// Longest time for one question, retries of the resolver included.
const ASK_TIME: Duration = Duration::from_secs(5);

/// What came of a question.
enum Heard<T> {
    /// These, for so long.
    These(Vec<T>, Duration),
    /// There are none; `named` says whether the name is there, with other records.
    None { named: bool },
    /// No answer, or none that says anything.
    Silence(String),
}

/// The last answer to a question.
#[derive(Clone, Debug)]
struct Kept<T> {
    list: Vec<T>,
    none_since: Option<Moment>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { list: Vec::new(), none_since: None }
    }
}

impl<T> Kept<T> {
    /// Hears an answer; `patience` is how long there may be none before that is believed.
    fn hear(&mut self, heard: Heard<T>, patience: Duration, now: Moment) {
        match heard {
            Heard::These(list, _) => *self = Self { list, none_since: None },
            Heard::Silence(_) => self.none_since = None,
            Heard::None { .. } => {
                let since = *self.none_since.get_or_insert(now);
                if now.since(since) >= patience {
                    self.list.clear();
                }
            }
        }
    }
}

/// Both families of a name's addresses.
#[derive(Clone, Debug, Default)]
struct Addresses {
    v4: Kept<IpAddr>,
    v6: Kept<IpAddr>,
}

/// How a round of questions went.
#[derive(Debug, Default)]
struct Round {
    /// When the first of the answers ends.
    ttl: Option<Duration>,
    /// What was not answered, or answered with none.
    trouble: Option<String>,
    /// An address that is nobody's.
    nobodys: Option<String>,
}

impl Round {
    fn note<T>(&mut self, name: &str, heard: &Heard<T>) {
        match heard {
            Heard::These(_, ttl) => self.ttl = Some(self.ttl.map_or(*ttl, |least| least.min(*ttl))),
            Heard::None { .. } => {}
            Heard::Silence(why) => self.trouble = Some(format!("no answer about {name}: {why}")),
        }
    }

    /// When to ask again, where `failures` rounds in a row were not answered well.
    fn next(&self, every: Duration, failures: u32) -> Duration {
        let back_off = TTL_LEAST.saturating_mul(1 << failures.min(16));
        let next = if self.trouble.is_some() { back_off } else { self.ttl.unwrap_or(TTL_LEAST) };
        next.max(TTL_LEAST).min(every.max(TTL_LEAST))
    }
}

impl Addresses {
    async fn ask(&mut self, resolver: &TokioResolver, name: &str, every: Duration) -> Round {
        let (mut v4, mut v6) = tokio::join!(
            ask(resolver, name, RecordType::A, address),
            ask(resolver, name, RecordType::AAAA, address)
        );
        let mut round = Round::default();
        for heard in [&mut v4, &mut v6] {
            round.nobodys = round.nobodys.take().or(leave_out(name, heard));
        }
        let named = [&v4, &v6].map(|heard| matches!(heard, Heard::None { named: true }));
        let positive = [&v4, &v6].iter().any(|heard| matches!(heard, Heard::These(..)));
        if !positive && named.contains(&true) && is_alias(resolver, name).await {
            let lost =
                || Heard::Silence("it is an alias (CNAME) that leads to no address".to_owned());
            (v4, v6) = (lost(), lost());
        }
        round.note(name, &v4);
        round.note(name, &v6);
        if !positive && round.trouble.is_none() {
            round.trouble = Some(format!("{name} has no address"));
        }
        let patience = if positive { Duration::ZERO } else { every * NONE_ROUNDS };
        let now = Moment::now();
        self.v4.hear(v4, patience, now);
        self.v6.hear(v6, patience, now);
        round
    }

    fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.list.iter().chain(&self.v6.list).copied()
    }
}

/// Takes addresses out that no server has, and answers the first; where no other is left, that is no
/// answer.
fn leave_out(name: &str, heard: &mut Heard<IpAddr>) -> Option<String> {
    let Heard::These(list, _) = heard else { return None };
    let first = *list.iter().find(|address| is_nobodys(**address))?;
    list.retain(|address| !is_nobodys(*address));
    let what = format!("{first} is no server's address");
    if list.is_empty() {
        *heard = Heard::Silence(what.clone());
    }
    Some(format!("{name}: {what}"))
}

/// Unspecified, multicast or broadcast, also where it is an IPv4 address within IPv6.
fn is_nobodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    address.is_unspecified() || address.is_multicast() || broadcast
}

/// Does the name stand for another?
async fn is_alias(resolver: &TokioResolver, name: &str) -> bool {
    let alias = |data: &RData| matches!(data, RData::CNAME(_)).then_some(());
    matches!(ask(resolver, name, RecordType::CNAME, alias).await, Heard::These(..))
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

async fn ask<T: Ord>(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
    read: impl Fn(&RData) -> Option<T>,
) -> Heard<T> {
    let by = Deadline::after(Moment::now(), ASK_TIME);
    let found = match timer::within(by, resolver.lookup(name, kind)).await {
        Err(_late) => return Heard::Silence(format!("none within {ASK_TIME:?}")),
        Ok(Err(error)) => {
            return match negative(&error) {
                Some(named) => Heard::None { named },
                None => Heard::Silence(error.to_string()),
            };
        }
        Ok(Ok(found)) => found,
    };
    // A name that stands for another holds as long as the shortest of the chain.
    let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    let records = found.answers().iter().filter_map(|record| read(&record.data));
    let mut list: Vec<T> = records.collect();
    if list.is_empty() {
        return Heard::None { named: true };
    }
    // Name servers turn their answers round; the pool should not.
    list.sort();
    Heard::These(list, Duration::from_secs(u64::from(ttl)))
}

/// Where this is a name server's word that there is nothing, and not that it failed: is the name there
/// all the same?
fn negative(error: &NetError) -> Option<bool> {
    use hickory_resolver::net::DnsError;
    use hickory_resolver::proto::op::ResponseCode;
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return None };
    match none.response_code {
        ResponseCode::NXDomain => Some(false),
        ResponseCode::NoError => Some(true),
        _ => None,
    }
}

/// Tells of the addresses of `server`'s name, for ever.
pub(super) async fn follow(server: Server, every: Duration, mut teller: Teller) {
    let mut resolvers = Resolvers::default();
    let (mut known, mut failures) = (Addresses::default(), 0);
    loop {
        let round = match resolvers.get().await {
            Ok(resolver) => known.ask(&resolver, &server.host, every).await,
            Err(why) => Round { trouble: Some(why), ..Round::default() },
        };
        let spot = |address| Spot::from(Server { address: Some(address), ..server.clone() });
        failures = tell(known.all().map(spot).collect(), &round, &mut teller, failures);
        tokio::time::sleep(round.next(every, failures)).await;
    }
}

/// Tells of servers, and of trouble if there is any; answers how many rounds in a row have had some.
fn tell(spots: Vec<Spot>, round: &Round, teller: &mut Teller, failures: u32) -> u32 {
    // With nothing found ever, there is nothing to tell but the trouble.
    let nothing_yet = spots.is_empty() && !teller.has_found();
    if !nothing_yet {
        teller.found(spots);
    }
    if let Some(why) = &round.trouble {
        teller.trouble(why.clone());
        return failures.saturating_add(1);
    }
    match &round.nobodys {
        Some(what) => teller.left_out(what.clone()),
        None => teller.fine(),
    }
    0
}

/// A target of SRV records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    priority: u16,
    name: String,
    port: u16,
    weight: u16,
}

fn target(data: &RData) -> Option<Target> {
    let RData::SRV(found) = data else { return None };
    let name = found.target.to_utf8();
    let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
    // A target that is the root means: there is no such service here (RFC 2782).
    let target = Target { priority: found.priority, name, port: found.port, weight: found.weight };
    (!target.name.is_empty() && target.port > 0).then_some(target)
}

/// Tells of the addresses of all targets of the SRV records of a name, for ever.
pub(super) async fn follow_srv(
    (scheme, name): (Scheme, String),
    every: Duration,
    targets_max: usize,
    mut teller: Teller,
) {
    let mut resolvers = Resolvers::default();
    let (mut targets, mut failures) = (Kept::<Target>::default(), 0);
    let mut known: BTreeMap<String, Addresses> = BTreeMap::new();
    loop {
        let mut round = Round::default();
        match resolvers.get().await {
            Ok(resolver) => {
                let heard = ask(&resolver, &name, RecordType::SRV, target).await;
                round.note(&name, &heard);
                if matches!(heard, Heard::None { .. }) {
                    round.trouble = Some(format!("{name} has no SRV record"));
                }
                targets.hear(heard, every * NONE_ROUNDS, Moment::now());
                targets.list.truncate(targets_max);
                resolve(&resolver, &targets.list, every, &mut known, &mut round).await;
            }
            Err(why) => round.trouble = Some(why),
        }
        let spots = spots(scheme, &targets.list, &known);
        failures = tell(spots, &round, &mut teller, failures);
        tokio::time::sleep(round.next(every, failures)).await;
    }
}

/// Asks for the addresses of all targets at once.
async fn resolve(
    resolver: &TokioResolver,
    targets: &[Target],
    every: Duration,
    known: &mut BTreeMap<String, Addresses>,
    round: &mut Round,
) {
    let names: BTreeSet<&String> = targets.iter().map(|target| &target.name).collect();
    known.retain(|name, _| names.contains(name));
    let mut asking = JoinSet::new();
    for name in names {
        let (resolver, name) = (resolver.clone(), name.clone());
        let mut addresses = known.get(&name).cloned().unwrap_or_default();
        asking.spawn(async move {
            let round = addresses.ask(&resolver, &name, every).await;
            (name, addresses, round)
        });
    }
    while let Some(Ok((name, addresses, asked))) = asking.join_next().await {
        known.insert(name, addresses);
        round.ttl = [round.ttl, asked.ttl].into_iter().flatten().min();
        round.trouble = round.trouble.take().or(asked.trouble);
        round.nobodys = round.nobodys.take().or(asked.nobodys);
    }
}

/// The servers that targets stand for. Weights beyond what a pool knows are scaled down together;
/// 0, which RFC 2782 calls a very small chance, is the smallest there is.
fn spots(scheme: Scheme, targets: &[Target], known: &BTreeMap<String, Addresses>) -> Vec<Spot> {
    const WEIGHT_MAX: u32 = 1_000;
    let most = targets.iter().map(|target| u32::from(target.weight)).max().unwrap_or(0);
    let weight = |weight: u16| {
        let weight = u32::from(weight);
        if most > WEIGHT_MAX { weight * WEIGHT_MAX / most } else { weight }.max(1)
    };
    let spot = |target: &Target, address| Spot {
        server: Server {
            scheme,
            host: target.name.clone(),
            port: target.port,
            address: Some(address),
        },
        weight: weight(target.weight),
        priority: u8::try_from(target.priority).unwrap_or(u8::MAX),
        zone: None,
    };
    let of = |target: &Target| {
        let addresses = known.get(&target.name).into_iter().flat_map(Addresses::all);
        addresses.map(|address| spot(target, address)).collect::<Vec<_>>()
    };
    targets.iter().flat_map(of).collect()
}

/// The resolver, made anew when the system's settings for it have changed.
#[derive(Default)]
struct Resolvers {
    text: Vec<u8>,
    resolver: Option<TokioResolver>,
}

/// Where the system keeps its names of hosts.
const HOSTS: &str = "/etc/hosts";

impl Resolvers {
    async fn get(&mut self) -> Result<TokioResolver, String> {
        let path = std::env::var_os("FLEETFOOT_RESOLV_CONF");
        let path = path.map_or_else(|| PathBuf::from("/etc/resolv.conf"), PathBuf::from);
        let conf = tokio::fs::read(&path).await;
        let conf = conf.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut text = conf.clone();
        text.extend(tokio::fs::read(HOSTS).await.unwrap_or_default());
        if let Some(resolver) = &self.resolver
            && self.text == text
        {
            return Ok(resolver.clone());
        }
        let resolver = resolver(&conf).map_err(|error| format!("{}: {error}", path.display()))?;
        (self.text, self.resolver) = (text, Some(resolver.clone()));
        Ok(resolver)
    }
}

fn resolver(conf: &[u8]) -> Result<TokioResolver, NetError> {
    let (config, mut options) = configuration(&String::from_utf8_lossy(conf))?;
    options.cache_size = 0; // we ask when a TTL has ended, and not before
    let provider = TokioRuntimeProvider::default();
    TokioResolver::builder_with_config(config, provider).with_options(options).build()
}

/// Reads a `resolv.conf`, in which `nameserver [ADDRESS]:PORT` may name a port.
fn configuration(conf: &str) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    let (mut plain, mut ports) = (String::new(), Vec::new());
    for line in conf.lines() {
        let port = line.strip_prefix("nameserver").and_then(|rest| {
            let (address, port) = rest.trim().strip_prefix('[')?.split_once("]:")?;
            Some((address.parse::<IpAddr>().ok()?, port.trim().parse::<u16>().ok()?))
        });
        match port {
            Some((address, port)) => {
                ports.push((address, port));
                let _infallible = writeln!(plain, "nameserver {address}");
            }
            None => {
                let _infallible = writeln!(plain, "{line}");
            }
        }
    }
    let (config, options) = parse_resolv_conf(plain)?;
    let (domain, search, mut servers) = config.into_parts();
    for server in &mut servers {
        if let Some((_, port)) = ports.iter().find(|(address, _)| *address == server.ip) {
            server.connections.iter_mut().for_each(|connection| connection.port = *port);
        }
    }
    Ok((ResolverConfig::from_parts(domain, search, servers), options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn silence_empties_nothing_and_none_must_last() {
        let patience = Duration::from_secs(30);
        let mut kept = Kept::default();
        kept.hear(Heard::These(vec![1, 2], TTL_LEAST), patience, at(0));
        for second in 1..100 {
            kept.hear(Heard::Silence(String::new()), patience, at(second));
        }
        assert_eq!(kept.list, [1, 2]);
        let none = || Heard::None { named: true };
        kept.hear(none(), patience, at(100));
        kept.hear(none(), patience, at(129));
        assert_eq!(kept.list, [1, 2]);
        // What is said in between begins the count anew.
        kept.hear(Heard::These(vec![3], TTL_LEAST), patience, at(129));
        kept.hear(none(), patience, at(131));
        kept.hear(none(), patience, at(160));
        assert_eq!(kept.list, [3]);
        kept.hear(none(), patience, at(161));
        assert_eq!(kept.list, [0; 0]);
    }

    #[test]
    fn a_ttl_counts_from_a_second_to_every() {
        let round = |ttl| Round { ttl: Some(Duration::from_secs(ttl)), ..Round::default() };
        let every = Duration::from_secs(10);
        for (ttl, next) in [(0, 1), (1, 1), (7, 7), (300, 10)] {
            assert_eq!(round(ttl).next(every, 0), Duration::from_secs(next));
        }
        let failed = Round { trouble: Some(String::new()), ..Round::default() };
        for (failures, next) in [(0, 1), (2, 4), (3, 8), (4, 10), (99, 10)] {
            assert_eq!(failed.next(every, failures), Duration::from_secs(next));
        }
        assert_eq!(round(9).next(Duration::from_millis(100), 0), TTL_LEAST);
    }

    #[test]
    fn addresses_that_are_nobodys_are_left_out() {
        let nobodys =
            ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "::ffff:0.0.0.0"];
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(nobodys.map(address).into_iter().all(is_nobodys));
        assert!(
            !["127.0.0.1", "10.0.0.255", "::1", "fe80::1"].map(address).into_iter().any(is_nobodys)
        );
        let mut heard = Heard::These(["0.0.0.0", "10.0.0.1"].map(address).into(), TTL_LEAST);
        let told = leave_out("shop", &mut heard);
        assert_eq!(told.as_deref(), Some("shop: 0.0.0.0 is no server's address"));
        assert!(matches!(&heard, Heard::These(list, _) if *list == [address("10.0.0.1")]));
        let mut heard = Heard::These(vec![address("::")], TTL_LEAST);
        leave_out("shop", &mut heard);
        assert!(matches!(heard, Heard::Silence(_)));
    }

    #[test]
    fn weights_and_priorities_of_srv_become_those_of_a_pool() {
        let address: IpAddr = [10, 0, 0, 1].into();
        let known =
            Addresses { v4: Kept { list: vec![address], none_since: None }, v6: Kept::default() };
        let known = BTreeMap::from([("a".to_owned(), known)]);
        let check = |found: &[(u16, u16)]| {
            let target = |&(priority, weight): &(u16, u16)| Target {
                priority,
                name: "a".to_owned(),
                port: 1,
                weight,
            };
            let targets: Vec<Target> = found.iter().map(target).collect();
            let spots = spots(Scheme::Http, &targets, &known);
            assert!(spots.iter().all(|spot| spot.server.address == Some(address)));
            spots.iter().map(|spot| (spot.priority, spot.weight)).collect::<Vec<_>>()
        };
        assert_eq!(check(&[(0, 0), (10, 5), (300, 1000)]), [(0, 1), (10, 5), (255, 1000)]);
        assert_eq!(check(&[(0, 65_535), (0, 32_768), (0, 1)]), [(0, 1000), (0, 500), (0, 1)]);
    }

    #[test]
    fn a_name_server_may_have_a_port() {
        let conf = "search a.test\nnameserver [127.0.0.1]:5353\nnameserver 10.0.0.1\n";
        let (config, _) = configuration(conf).expect("legal");
        let ports = config.name_servers().iter().map(|s| (s.ip, s.connections[0].port));
        let expected: [(IpAddr, u16); 2] =
            [([127, 0, 0, 1].into(), 5353), ([10, 0, 0, 1].into(), 53)];
        assert_eq!(ports.collect::<Vec<_>>(), expected);
    }
}

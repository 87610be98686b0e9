//! `rate` of a route, and the Redis that rates which are shared are counted in.

use super::bound::count;
use super::caching::shared::redis_url;
use crate::address::read_field;
use crate::options::duration;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::Wrong;
use base::unit;
use cache::settings::{RedisMode, Settings as Cache, Shared};
use service::settings::{Rate, RateBy};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
const LIMIT_MAX: u64 = 1_000_000_000;
const NAME_MAX: usize = 128;
/// The longest time that a burst may take to be restored. Debts are kept as nanoseconds of 64 bits, 584
/// years, on top of the time by the gateway's clock, which gets the other half.
const BURST_TIME_MAX: u128 = u64::MAX as u128 / 2;

/// The Redis for shared rates: of `[rate]`, else of `[cache]`.
pub(super) struct Counting {
    /// What `[rate]` names.
    own: Option<String>,
    /// What `[cache]` has, or why it will not do; `None` after a mistake.
    cache: Option<Result<String, &'static str>>,
}

impl Counting {
    /// What `[rate]` says, and what `[cache]` has to offer.
    pub(super) fn new<'s>(reader: &mut Reader<'s>, root: &Table<'s>, cache: &Cache) -> Self {
        let table = reader.table(root, "rate", Scope::Section("rate".to_owned()));
        let own = table.as_ref().and_then(|table| reader.parsed(table, "redis", redis_url));
        let wrong = own.is_none()
            && root.get("rate").is_some_and(|value| {
                value.get_ref().as_table().is_none_or(|table| table.contains_key("redis"))
            });
        let lost = cache.shared.is_none()
            && root.get("cache").is_some_and(|value| {
                ["redis", "memcached"].iter().any(|key| value.get_ref().get(*key).is_some())
            });
        let cache = match &cache.shared {
            _ if wrong || lost || reader.torn() => None,
            Some(Shared::Redis(redis)) => match (&redis.mode, redis.urls.first()) {
                (_, None) => None,
                (RedisMode::Single, Some(url)) => Some(Ok(url.clone())),
                (RedisMode::Cluster, _) => Some(Err("redis of [cache] is a cluster")),
                (RedisMode::Sentinel(_), _) => Some(Err("redis of [cache] is behind sentinels")),
            },
            Some(Shared::Memcached(_)) => Some(Err("[cache] shares through memcached")),
            None => Some(Err("there is no redis to count in")),
        };
        Self { own: own.map(|found| found.value), cache }
    }

    /// Notes a shared rate that there is no Redis for.
    fn check<'s>(&self, reader: &mut Reader<'s>, table: &Table<'s>) {
        let (None, Some(Err(why))) = (&self.own, &self.cache) else { return };
        let what = format!("{}{why}", table.scope.key("shared"));
        let hint = Some("[rate] redis = \"redis://127.0.0.1:6379\"".to_owned());
        let place = table.place("shared").unwrap_or(table.span.clone());
        reader.note(place, what, "needs redis in [rate], one server".to_owned(), hint);
    }

    /// The Redis, if one was named for rates or any rate needs one.
    pub(super) fn redis(self, shared: bool) -> Option<String> {
        self.own.or_else(|| self.cache.filter(|_| shared)?.ok())
    }
}

/// `rate` of a route.
pub(super) fn rates<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    label: &str,
    counting: &Counting,
) -> Vec<Rate> {
    let scope = Scope::InRoute(label.to_owned(), "rate");
    let found = reader.shorts(route, "rate", &scope).unwrap_or_default();
    let mut rates: Vec<At<Rate>> = Vec::new();
    for table in &found {
        let Some(rate) = rate(reader, table, counting) else { continue };
        if let Some(first) = rates.iter().find(|first| first.value.name == rate.value.name) {
            let what = format!("{}\"{}\" twice", route.scope.key("rate"), rate.value.name);
            let here = (&rate.span, "a name of its own".to_owned());
            let hint = Some(
                "the lower of two such rates is the one that holds; to keep both, give one a name"
                    .to_owned(),
            );
            reader.note_pair(what, here, (&first.span, "first here".to_owned()), hint);
            continue;
        }
        rates.push(rate);
    }
    rates.into_iter().map(|rate| rate.value).collect()
}

fn rate<'s>(reader: &mut Reader<'s>, table: &Table<'s>, counting: &Counting) -> Option<At<Rate>> {
    let limit = reader.parsed(table, "limit", limit);
    let burst = count(reader, table, "burst").map(|found| found.value as u32);
    let by = match reader.choice(table, "by") {
        Some(Ok("route")) => Some(RateBy::Route),
        Some(Err(text)) => reader.parse(table, "by", &text, rate_by).map(|found| found.value),
        _ => Some(RateBy::Client),
    };
    let shared = reader.flag(table, "shared") == Some(true);
    let name = reader.parsed(table, "name", name);
    if shared {
        counting.check(reader, table);
    }
    let (At { value: (limit, per), span }, by) = limit.zip(by)?;
    if let Some(burst) = burst {
        check_burst(reader, table, burst, (limit, per));
    }
    let span = name.as_ref().map_or(span, |name| name.span.clone());
    let name = name.map_or_else(|| standard_name(&by, per), |name| name.value);
    Some(At { value: Rate { name, limit, per, burst: burst.unwrap_or(limit), by, shared }, span })
}

/// Notes a burst that takes longer to be restored than can be counted.
fn check_burst<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    burst: u32,
    (limit, per): (u32, Duration),
) {
    const YEAR: u128 = 365 * DAY.as_nanos();
    let each = per.as_nanos() / u128::from(limit);
    let time = each * u128::from(burst);
    if time <= BURST_TIME_MAX {
        return;
    }
    let (key, shown) = (table.scope.key("burst"), duration(per));
    let what = format!(
        "{key}{burst} requests at {limit} in {shown} are {burst} × {shown} / {limit} = {} years",
        time / YEAR
    );
    let allowed = format!(
        "at most {} requests, {} years, at this rate",
        BURST_TIME_MAX / each,
        BURST_TIME_MAX / YEAR
    );
    let hint = format!("burst is how many may come at once; it is {limit} where it is left out");
    let place = table.place("burst").unwrap_or(table.span.clone());
    reader.note(place, what, allowed, Some(hint));
}

/// What a rate is called that is given no name.
pub(crate) fn standard_name(by: &RateBy, per: Duration) -> String {
    let by = match by {
        RateBy::Route => "route",
        RateBy::Client => "client",
        RateBy::Header(name) => name,
    };
    format!("{by}/{}", period(per))
}

/// The time of a rate as the settings write it behind the slash.
pub(crate) fn period(per: Duration) -> String {
    let text = duration(per);
    match text.strip_prefix('1') {
        Some(unit) if unit.bytes().all(|b| b.is_ascii_alphabetic()) => unit.to_owned(),
        _ => text,
    }
}

/// Reads `100/s` or `5/10s`.
pub(super) fn limit(text: &str) -> Result<(u32, Duration), Wrong> {
    const ALLOWED: &str = "a number, a slash and a time, such as 100/s, 5/10s or 1000/h";
    let Some((number, time)) = text.split_once('/') else {
        let wrong = Wrong::all(text, format!("\"{text}\" has no time"), ALLOWED);
        let digits = text.trim().trim_end_matches("rps").trim_end();
        return Err(match digits.parse::<u32>() {
            Ok(number) => wrong.meant(format_args!("{number}/s")),
            Err(_) => wrong,
        });
    };
    let limit = number.trim().parse::<u64>();
    let Ok(limit) = limit else {
        let what = format!("\"{number}\" is no number of requests");
        let wrong = Wrong::part(0..number.len(), what, ALLOWED);
        let bare = number.trim().trim_end_matches(['r', 'q', 'e', 's', 't', 'u']).trim_end();
        let guess = bare.parse::<u32>().is_ok() && limit_time(time).is_ok();
        return Err(if guess {
            wrong.meant(format_args!("{bare}/{}", time.trim()))
        } else {
            wrong
        });
    };
    let part = number.len() + 1..text.len();
    let per = limit_time(time).map_err(|guess| {
        let wrong = Wrong::part(part.clone(), format!("\"{time}\" is no time"), ALLOWED);
        match guess {
            Some(unit) => wrong.meant(format_args!("{limit}/{unit}")),
            None => wrong,
        }
    })?;
    if !(SECOND..=DAY).contains(&per) {
        let what =
            format!("{} is too {}", duration(per), if per < SECOND { "short" } else { "long" });
        return Err(Wrong::part(part, what, "a time from 1s to 1d"));
    }
    match u32::try_from(limit) {
        Ok(0) => {
            let wrong = Wrong::part(0..number.len(), "a rate of 0 lets nothing through", ALLOWED);
            Err(wrong.hint("take the route out, and its requests are answered with 404"))
        }
        Ok(limit) if u64::from(limit) <= LIMIT_MAX => Ok((limit, per)),
        _ => {
            let allowed = format!("at most {LIMIT_MAX} requests");
            Err(Wrong::part(0..number.len(), format!("{limit} is too many"), allowed))
        }
    }
}

/// Reads the time of a rate: a unit, or a duration. `Err` is the unit that was meant, if any.
fn limit_time(text: &str) -> Result<Duration, Option<&'static str>> {
    let text = text.trim();
    let counted = text.starts_with(|c: char| c.is_ascii_digit());
    let found = if counted {
        unit::parse_duration(text)
    } else {
        unit::parse_duration(&format!("1{text}"))
    };
    found.map_err(|_| match text.to_ascii_lowercase().as_str() {
        "sec" | "second" | "seconds" => Some("s"),
        "minute" | "minutes" => Some("m"),
        "hour" | "hours" => Some("h"),
        "day" | "days" => Some("d"),
        _ => None,
    })
}

/// Reads `header:NAME`.
fn rate_by(text: &str) -> Result<RateBy, Wrong> {
    const ALLOWED: &str = "client, route or header:NAME";
    if let Some(name) = text.strip_prefix("header:") {
        let start = text.len() - name.len();
        return read_field(name, "X-Api-Key")
            .map(RateBy::Header)
            .map_err(|wrong| Wrong { part: start..text.len(), ..wrong });
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is not known"), ALLOWED);
    Err(match text.to_ascii_lowercase().as_str() {
        "ip" | "address" | "source" | "remote_addr" | "client_ip" | "user" | "clients" => {
            wrong.meant("client")
        }
        "header" | "key" | "api_key" => wrong.meant("header:X-Api-Key"),
        "global" | "all" | "none" | "routes" => wrong.meant("route"),
        _ => match text.split_once(':') {
            Some(("field" | "Header", name)) => wrong.meant(format_args!("header:{name}")),
            _ => wrong,
        },
    })
}

/// Reads a name that fits into a structured field (RFC 9651 §3.3.3).
fn name(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "1 to 128 printable ASCII characters, without quotes and backslashes";
    let odd = |c: &char| !(c.is_ascii_graphic() || *c == ' ') || matches!(c, '"' | '\\');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| odd(c)) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a name"), ALLOWED));
    }
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(Wrong::all(text, "this name cannot be used", ALLOWED));
    }
    Ok(text.to_owned())
}

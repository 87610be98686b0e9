//! The phases of the demo: two lists, a table each. A room that lands adds its line here, with its
//! settings.

use ::shop::{Ill, Sin};
use std::time::Duration;

/// Instances of the shop.
pub(super) const SHOPS: usize = 3;
pub(super) const THIRD_SLOW: [Ill; SHOPS] = [Ill::None, Ill::None, Ill::Slow];
const THIRD_FAILS: [Ill; SHOPS] = [Ill::None, Ill::None, Ill::Fails];
/// Were it the third alone, two answers in three hundred would stall at most, which no p99 shows.
/// Besides, a pause befalls whichever instance is asked: no choice of another avoids it.
const ALL_STALL: [Ill; SHOPS] = [Ill::Stalls; SHOPS];

const WARM_UP: Duration = Duration::from_secs(1);
/// What a hedge asks for before it begins (`service::hedge`, its judge): two seconds, and 400 answers
/// at 5 % extra, so that its delay is the 20th slowest. It looks twice a second, from its first
/// request on; one more second is for that, and a quarter more answers for arrivals by chance.
const LEARN_TIME: Duration = Duration::from_secs(3);
pub(super) const LEARN_ANSWERS: f64 = 400.0;
const LEARN_MARGIN: f64 = 1.25;
/// Nobody waits longer for a hedge that learns; at a rate below, it learns while it is measured.
const LEARN_TIME_MAX: Duration = Duration::from_secs(8);

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What the table calls it; at most 32 letters.
    pub name: &'static str,
    /// Which way the load takes.
    pub through: Through,
    /// Sins that are switched off in the shop.
    pub without: &'static [Sin],
    /// What is wrong with each instance.
    pub ills: [Ill; SHOPS],
    /// Whether requests must fail here, because nothing is done about it: then they do not count for
    /// the exit code.
    pub fails_by_design: bool,
}

/// Which way the load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// Straight at the shop, instances in turn.
    Straight(Servers),
    /// Through the gateway, under these settings: TOML, in which `{servers}` is the list of shops and
    /// `{redis}` the Redis and `{queue}` the broker that were given. The listeners are put before it.
    Gateway(Servers, &'static str),
}

/// How many of the three instances are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// The first; it is well.
    One,
    /// All; the third is ill.
    Three,
}

/// Settings that forward everything, with these lines for the service.
macro_rules! forward {
    ($lines:literal) => {
        concat!(
            "[cache]\nenabled = false\n",
            "\n[service.shop]\nservers = {servers}\n",
            $lines,
            "\n[[route]]\nmatch = \"/*\"\nto = \"shop\"\n"
        )
    };
}

/// Whatever is the default.
pub(super) const FORWARD: &str = forward!("");
/// The plainest a proxy does: one server after another, whatever they answer.
const IN_TURN: &str =
    forward!("balance = { policy = \"round-robin\", eject = false }\nretry = false\n");
const HEDGED: &str = forward!("hedge = \"5%\"\n");

/// Settings that cache what the shop says may be shared. What varies by cookie is stored for those
/// who have none; whoever is somebody's customer goes past the store.
macro_rules! cached {
    ($tier:literal) => {
        concat!(
            "[cache]\n",
            $tier,
            "stale = \"30s\"\n",
            "bypass_cookies = [\"customer\"]\n",
            "vary = [\"Cookie\"]\n",
            "\n[service.shop]\nservers = {servers}\n\n[[route]]\nmatch = \"/*\"\nto = \"shop\"\n"
        )
    };
}

/// In memory.
pub(super) const CACHED: &str = cached!("");
/// In Redis alone, as a gateway does that has just been started.
const CACHED_IN_REDIS: &str = cached!("memory = \"0 B\"\nredis = \"{redis}\"\n");

/// Settings that forward everything but orders: those are kept, answered 202, and delivered a few at a
/// time, so that nobody waits for the mail and the report that come with them.
macro_rules! offloaded {
    ($offload:literal, $queue:literal) => {
        concat!(
            "[cache]\nenabled = false\n\n[offload]\n",
            $offload,
            "\n[queue.demo]\nat_once = 8\n",
            $queue,
            "\n[service.shop]\nservers = {servers}\n",
            "\n[[route]]\nmatch = \"POST /orders\"\nto = \"shop\"\noffload = \"demo\"\n",
            "\n[[route]]\nmatch = \"/*\"\nto = \"shop\"\n"
        )
    };
}

const OFFLOADED: &str = offloaded!("", "");
/// The same through a broker.
const HANDED_OVER: &str = offloaded!(
    "store = \"handed-over\"\nnode = \"demo\"\nsecret = \"the-demo-s-own-secret\"\n",
    "broker = \"{queue}\"\naway = \"spill\"\n"
);

const fn with_all_sins(name: &'static str, through: Through) -> Phase {
    Phase { name, through, without: &[], ills: THIRD_SLOW, fails_by_design: false }
}

const fn straight(name: &'static str, servers: Servers) -> Phase {
    with_all_sins(name, Through::Straight(servers))
}

const fn forward(name: &'static str, servers: Servers, without: &'static [Sin]) -> Phase {
    Phase { without, ..with_all_sins(name, Through::Gateway(servers, FORWARD)) }
}

impl Phase {
    /// Does it want a Redis?
    pub fn wants_redis(&self) -> bool {
        self.says("{redis}")
    }

    /// Does it want a broker?
    pub fn wants_queue(&self) -> bool {
        self.says("{queue}")
    }

    /// Does it hedge?
    pub(super) fn hedges(&self) -> bool {
        self.says("hedge = ")
    }

    /// Does the load before it is measured suffice for what hedging must learn?
    pub(super) fn learns(rate: f64) -> bool {
        LEARN_ANSWERS * LEARN_MARGIN / rate <= LEARN_TIME_MAX.as_secs_f64()
    }

    /// How long the load runs before it is measured.
    pub(super) fn warm_up(&self, rate: f64) -> Duration {
        if !self.hedges() {
            return WARM_UP;
        }
        let answers = Duration::from_secs_f64(LEARN_ANSWERS * LEARN_MARGIN / rate);
        answers.clamp(LEARN_TIME, LEARN_TIME_MAX)
    }

    fn says(&self, words: &str) -> bool {
        matches!(self.through, Through::Gateway(_, settings) if settings.contains(words))
    }
}

const fn under(name: &'static str, settings: &'static str) -> Phase {
    with_all_sins(name, Through::Gateway(Servers::Three, settings))
}

const fn tail(name: &'static str, ills: [Ill; SHOPS], settings: &'static str) -> Phase {
    let through = Through::Gateway(Servers::Three, settings);
    Phase { name, through, without: MENDED, ills, fails_by_design: false }
}

/// All sins but the one that makes an instance slow, if it is.
pub(super) const MENDED: &[Sin] = &[
    Sin::Chatty,
    Sin::NPlusOne,
    Sin::MissingIndex,
    Sin::UnboundedList,
    Sin::SlowMail,
    Sin::SlowReport,
    Sin::FatJson,
];

/// The tail, cut: what may be wrong with the instances of a shop that is mended otherwise, each before
/// and after.
pub const TAIL: &[Phase] = &[
    tail("one slow, in turn", THIRD_SLOW, IN_TURN),
    tail("one slow, default", THIRD_SLOW, FORWARD),
    Phase { fails_by_design: true, ..tail("one fails fast, in turn", THIRD_FAILS, IN_TURN) },
    tail("one fails fast, default", THIRD_FAILS, FORWARD),
    tail("all stall, default", ALL_STALL, FORWARD),
    tail("all stall, hedge of 5 %", ALL_STALL, HEDGED),
];

/// The practices, in the order in which they are run.
///
/// The last ones mend the shop itself, one sin after another; each keeps what the ones before it
/// have mended.
pub const PHASES: &[Phase] = &[
    straight("straight at one shop", Servers::One),
    straight("straight at three, one slow", Servers::Three),
    forward("gateway, one shop", Servers::One, &[]),
    forward("gateway, three shops", Servers::Three, &[]),
    under("gateway, with its cache", CACHED),
    under("gateway, with Redis for a cache", CACHED_IN_REDIS),
    under("gateway, orders offloaded", OFFLOADED),
    under("gateway, orders through a broker", HANDED_OVER),
    forward("+ shop: slow instance mended", Servers::Three, &[Sin::SlowInstance]),
    forward("+ shop: indexes added", Servers::Three, &[Sin::SlowInstance, Sin::MissingIndex]),
    forward(
        "+ shop: lists have an end",
        Servers::Three,
        &[Sin::SlowInstance, Sin::MissingIndex, Sin::UnboundedList],
    ),
    forward(
        "+ shop: joins for N+1, slim JSON",
        Servers::Three,
        &[Sin::SlowInstance, Sin::MissingIndex, Sin::UnboundedList, Sin::NPlusOne, Sin::FatJson],
    ),
    forward(
        "+ shop: pages ask all at once",
        Servers::Three,
        &[
            Sin::SlowInstance,
            Sin::MissingIndex,
            Sin::UnboundedList,
            Sin::NPlusOne,
            Sin::FatJson,
            Sin::Chatty,
        ],
    ),
    forward("+ shop: mail and report later", Servers::Three, &Sin::ALL),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::town::settings_text;
    use ::shop::Sins;

    #[test]
    fn phases_have_short_names_and_legal_settings() {
        for phase in PHASES.iter().chain(TAIL) {
            assert!(phase.name.len() <= 32, "{}", phase.name);
            if let Through::Gateway(_, settings) = phase.through {
                let shops = [([127, 0, 0, 1], 81).into(), ([127, 0, 0, 1], 82).into()];
                let parsed = settings::parse(
                    "demo",
                    &settings_text(
                        &shops,
                        settings,
                        (Some("redis://127.0.0.1"), Some("nats://127.0.0.1")),
                    ),
                    &|_| None,
                );
                let parsed = parsed.unwrap_or_else(|report| panic!("{}: {report}", phase.name));
                assert_eq!(parsed.services[0].servers.len(), 2, "{}", phase.name);
            }
        }
    }

    #[test]
    fn a_hedge_is_given_time_to_learn() {
        for phase in TAIL {
            let seconds = |rate| phase.warm_up(rate).as_secs();
            let expected = if phase.hedges() { [8, 5, 3, 3] } else { [1; 4] };
            let found = [seconds(5.0), seconds(100.0), seconds(200.0), seconds(5_000.0)];
            assert_eq!(found, expected, "{}", phase.name);
        }
    }

    #[test]
    fn the_mended_shop_has_one_sin_left() {
        let left = Sins::ALL.without(Sins::of(MENDED));
        assert_eq!(left, Sins::of(&[Sin::SlowInstance]));
    }
}

//! The phases of the demo: a list. A room that lands adds its line here, with its settings.

use ::shop::Sin;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What the table calls it; at most 32 letters.
    pub name: &'static str,
    /// Which way the load takes.
    pub through: Through,
    /// Sins that are switched off in the shop.
    pub without: &'static [Sin],
}

/// Which way the load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// Straight at the shop, instances in turn.
    Straight(Servers),
    /// Through the gateway, under these settings: TOML, in which `{servers}` is the list of shops and
    /// `{redis}` the Redis that was given. The listeners are put before it.
    Gateway(Servers, &'static str),
}

/// How many of the three instances are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// The first; it is not the slow one.
    One,
    /// All; the third is the slow one.
    Three,
}

/// Settings that forward everything, and nothing else.
pub(super) const FORWARD: &str = r#"
[cache]
enabled = false

[service.shop]
servers = {servers}

[[route]]
match = "/*"
to = "shop"
"#;

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

const fn straight(name: &'static str, servers: Servers) -> Phase {
    Phase { name, through: Through::Straight(servers), without: &[] }
}

const fn forward(name: &'static str, servers: Servers, without: &'static [Sin]) -> Phase {
    Phase { name, through: Through::Gateway(servers, FORWARD), without }
}

impl Phase {
    /// Does it want a Redis?
    pub fn wants_redis(&self) -> bool {
        matches!(self.through, Through::Gateway(_, settings) if settings.contains("{redis}"))
    }
}

const fn cached(name: &'static str, settings: &'static str) -> Phase {
    Phase { name, through: Through::Gateway(Servers::Three, settings), without: &[] }
}

/// All phases, in the order in which they are run.
///
/// The last ones mend the shop itself, one sin after another; each keeps what the ones before it
/// have mended.
pub const PHASES: &[Phase] = &[
    straight("straight at one shop", Servers::One),
    straight("straight at three, one slow", Servers::Three),
    forward("gateway, one shop", Servers::One, &[]),
    forward("gateway, three shops", Servers::Three, &[]),
    cached("gateway, with its cache", CACHED),
    cached("gateway, with Redis for a cache", CACHED_IN_REDIS),
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

    #[test]
    fn phases_have_short_names_and_legal_settings() {
        for phase in PHASES {
            assert!(phase.name.len() <= 32, "{}", phase.name);
            if let Through::Gateway(_, settings) = phase.through {
                let shops = [([127, 0, 0, 1], 81).into(), ([127, 0, 0, 1], 82).into()];
                let parsed = settings::parse(
                    "demo",
                    &settings_text(&shops, settings, Some("redis://127.0.0.1")),
                    &|_| None,
                );
                let parsed = parsed.unwrap_or_else(|report| panic!("{}: {report}", phase.name));
                assert_eq!(parsed.services[0].servers.len(), 2, "{}", phase.name);
            }
        }
    }
}

//! What runs inside Redis: the deployment's counter, its log of purges, and who has heard of them.
//!
//! Two keys in one slot of a cluster: a hash `{prefix:purges}:state` (`id`, `count`, `born`, and for
//! each member `m:…` its number and time) and a stream `…:log` whose entry `n-0` is purge `n` (`p` the
//! number before it, `c` a random check, `v` the purge). No key expires. If Redis evicts one
//! nevertheless, numbers are missing and gateways purge too much, never too little.
//!
//! Members of an old deployment may hold a lease when a new one begins, and nobody knows of them:
//! until it has ended no purge counts as having reached all.
//!
//! Numbers stay below 2^44, so that Lua's doubles hold them exactly.

use crate::stamps::{Aim, Aims};
use redis::{Cmd, Value, cmd};

/// Purges that the log holds: who missed more purges everything.
pub(crate) const LOG_MAX: usize = 50_000;
/// Entries of the log read at a time.
pub(crate) const PAGE: usize = 1_000;
/// A gateway that was not heard of for so long does not count any more.
pub(crate) const MEMBER_MS: u64 = 10_000;

/// Names of keys and of the channel.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) state: String,
    pub(crate) log: String,
    pub(crate) news: String,
    log_max: usize,
}

/// Purge `number`, as the log and the channel tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) lineage: u64,
    pub(crate) number: u64,
    pub(crate) before: u64,
    pub(crate) check: String,
    pub(crate) aims: Aims,
}

/// Raises the counter to at least what a gateway knows and answers `{id, count}`. A counter that a
/// gateway's last purge is not part of has lost some (a restore, a failover): a new deployment.
const JOIN: &str = r"
local function text(n) return string.format('%.0f', n) end
local id = redis.call('HGET', KEYS[1], 'id')
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0')
local known, check, ceiling = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local lost = not id
if id and id == ARGV[2] then
  if known > count then
    lost = true
  elseif known > 0 and check ~= '' then
    local mine = redis.call('XRANGE', KEYS[2], text(known)..'-0', text(known)..'-0')[1]
    if mine then
      lost = mine[2][4] ~= check
    else
      local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
      lost = first ~= nil and tonumber(string.match(first[1], '^%d+')) <= known
    end
  end
end
if lost then
  id, count = ARGV[1], math.max(count, known, ceiling) + 1
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'id', id, 'count', text(count), 'born', redis.call('TIME')[1])
elseif ceiling > count then
  redis.call('XADD', KEYS[2], text(ceiling)..'-0', 'p', text(count), 'c', ARGV[1], 'v', ARGV[6])
  count = ceiling
  redis.call('HSET', KEYS[1], 'count', text(count))
end
return {id, text(count)}
";

/// Numbers a purge, logs and tells it. Answers `{number, before}`, or nothing in another deployment.
const PURGE: &str = r"
local function text(n) return string.format('%.0f', n) end
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {} end
local before = tonumber(redis.call('HGET', KEYS[1], 'count'))
local number = math.max(before, tonumber(ARGV[2])) + 1
redis.call('HSET', KEYS[1], 'count', text(number))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], text(number)..'-0',
  'p', text(before), 'c', ARGV[3], 'v', ARGV[4])
redis.call('PUBLISH', ARGV[6],
  ARGV[1]..' '..text(number)..' '..text(before)..' '..ARGV[3]..' '..ARGV[4])
return {text(number), text(before)}
";

/// Notes how far a gateway has come. Answers `{id, count}`.
const BEAT: &str = r"
local id = redis.call('HGET', KEYS[1], 'id')
if id ~= ARGV[1] then return {id or '', '0'} end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]..' '..time[1]..string.sub('00000'..time[2], -6, -4))
return {id, redis.call('HGET', KEYS[1], 'count')}
";

/// Counts gateways that live and those among them that have come to a number.
const REACH: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]..string.sub('00000'..time[2], -6, -4))
local seen, reached, all = redis.call('HGETALL', KEYS[1]), 0, 0
for i = 1, #seen, 2 do
  local number, at = string.match(seen[i + 1], '^(%d+) (%d+)$')
  if string.sub(seen[i], 1, 2) ~= 'm:' then
    if seen[i] == 'born' and tonumber(time[1]) - tonumber(seen[i + 1]) < 3 then all = all + 1 end
  elseif at and now - tonumber(at) < tonumber(ARGV[2]) then
    all = all + 1
    if tonumber(number) >= tonumber(ARGV[1]) then reached = reached + 1 end
  else
    redis.call('HDEL', KEYS[1], seen[i])
  end
end
return {tostring(reached), tostring(all)}
";

impl Keys {
    pub(crate) fn new(prefix: &str, log_max: usize) -> Self {
        let name = |what: &str| format!("{{{prefix}:purges}}:{what}");
        Self { state: name("state"), log: name("log"), news: name("news"), log_max }
    }

    fn eval(&self, script: &str) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(2).arg(&self.state).arg(&self.log);
        command
    }

    /// `fresh` becomes the id of a new deployment if there has to be one.
    pub(crate) fn join(&self, fresh: u64, known: (u64, u64, &str), ceiling: u64) -> Cmd {
        let (lineage, number, check) = known;
        let mut command = self.eval(JOIN);
        command.arg(spell(fresh)).arg(spell(lineage)).arg(number).arg(check).arg(ceiling);
        command.arg(encode(&Aims { aims: Vec::new(), soft: false }));
        command
    }

    pub(crate) fn purge(&self, lineage: u64, ceiling: u64, check: &str, aims: &Aims) -> Cmd {
        let mut command = self.eval(PURGE);
        command.arg(spell(lineage)).arg(ceiling).arg(check).arg(encode(aims));
        command.arg(self.log_max).arg(&self.news);
        command
    }

    pub(crate) fn beat(&self, lineage: u64, member: &str, known: u64) -> Cmd {
        let mut command = self.eval(BEAT);
        command.arg(spell(lineage)).arg(member).arg(known);
        command
    }

    pub(crate) fn reach(&self, number: u64) -> Cmd {
        let mut command = self.eval(REACH);
        command.arg(number).arg(MEMBER_MS);
        command
    }

    pub(crate) fn leave(&self, member: &str) -> Cmd {
        let mut command = cmd("HDEL");
        command.arg(&self.state).arg(member);
        command
    }

    /// A page of the log behind `known`.
    pub(crate) fn page(&self, known: u64) -> Cmd {
        let mut command = cmd("XRANGE");
        command.arg(&self.log).arg(format!("{}-0", known + 1)).arg("+").arg("COUNT").arg(PAGE);
        command
    }
}

/// How a deployment's id is written.
pub(crate) fn spell(id: u64) -> String {
    format!("{id:016x}")
}

/// Two texts of an answer as an id and a number.
pub(crate) fn id_and_number(answer: &Value) -> Option<(u64, u64)> {
    let (id, number) = pair(answer)?;
    Some((u64::from_str_radix(&id, 16).unwrap_or(0), number.parse().ok()?))
}

/// Two texts of an answer as numbers.
pub(crate) fn numbers(answer: &Value) -> Option<(u64, u64)> {
    let (first, second) = pair(answer)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn pair(answer: &Value) -> Option<(String, String)> {
    let Value::Array(parts) = answer else { return None };
    let [first, second] = &parts[..] else { return None };
    Some((text(first)?, text(second)?))
}

fn text(value: &Value) -> Option<String> {
    String::from_utf8(bytes(value)?.to_vec()).ok()
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// A message of the channel; `None` when it is none of ours.
pub(crate) fn hear(message: &[u8]) -> Option<News> {
    let mut parts = message.splitn(5, |&byte| byte == b' ');
    let mut next = || parts.next();
    let as_text = |part: &[u8]| String::from_utf8(part.to_vec()).ok();
    Some(News {
        lineage: u64::from_str_radix(&as_text(next()?)?, 16).ok()?,
        number: as_text(next()?)?.parse().ok()?,
        before: as_text(next()?)?.parse().ok()?,
        check: as_text(next()?)?,
        aims: decode(next()?),
    })
}

/// The entries of a page of the log; `None` when there is one that is none of ours.
pub(crate) fn entries(lineage: u64, page: &Value) -> Option<Vec<News>> {
    let Value::Array(entries) = page else { return None };
    entries.iter().map(|entry| log_entry(lineage, entry)).collect()
}

fn log_entry(lineage: u64, entry: &Value) -> Option<News> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(fields)] = &parts[..] else { return None };
    let [_, before, _, check, _, aims] = &fields[..] else { return None };
    Some(News {
        lineage,
        number: text(id)?.split('-').next()?.parse().ok()?,
        before: text(before)?.parse().ok()?,
        check: text(check)?,
        aims: decode(bytes(aims)?),
    })
}

const VERSION: u8 = 1;

/// A purge as bytes.
pub(crate) fn encode(Aims { aims, soft }: &Aims) -> Vec<u8> {
    let mut out = vec![VERSION, u8::from(*soft)];
    for aim in aims {
        match aim {
            Aim::Url(url) => {
                out.push(b'u');
                out.extend_from_slice(&url.to_le_bytes());
            }
            Aim::Tag(hash) | Aim::Host(hash) => {
                out.push(if matches!(aim, Aim::Tag(_)) { b't' } else { b'h' });
                out.extend_from_slice(&hash.to_le_bytes());
            }
            Aim::Prefix(prefix) => match u16::try_from(prefix.len()) {
                Ok(length) => {
                    out.push(b'p');
                    out.extend_from_slice(&length.to_le_bytes());
                    out.extend_from_slice(prefix);
                }
                Err(_) => out.push(b'a'),
            },
            Aim::All => out.push(b'a'),
        }
    }
    out
}

/// What cannot be read (from a newer gateway, say) is a purge of everything.
pub(crate) fn decode(bytes: &[u8]) -> Aims {
    aims(bytes).unwrap_or_else(Aims::all)
}

fn aims(bytes: &[u8]) -> Option<Aims> {
    let (&[VERSION, soft @ (0 | 1)], mut rest) = bytes.split_first_chunk()? else { return None };
    let mut aims = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let after = match kind {
            b'u' => {
                let (url, after) = after.split_first_chunk()?;
                aims.push(Aim::Url(u128::from_le_bytes(*url)));
                after
            }
            b't' | b'h' => {
                let (hash, after) = after.split_first_chunk()?;
                let hash = u64::from_le_bytes(*hash);
                aims.push(if *kind == b't' { Aim::Tag(hash) } else { Aim::Host(hash) });
                after
            }
            b'p' => {
                let (length, after) = after.split_first_chunk()?;
                let length = usize::from(u16::from_le_bytes(*length));
                let (prefix, after) = after.split_at_checked(length)?;
                aims.push(Aim::Prefix(prefix.to_vec()));
                after
            }
            b'a' => {
                aims.push(Aim::All);
                after
            }
            _ => return None,
        };
        rest = after;
    }
    Some(Aims { aims, soft: soft == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn aim() -> impl Strategy<Value = Aim> {
        prop_oneof![
            any::<u128>().prop_map(Aim::Url),
            any::<u64>().prop_map(Aim::Tag),
            any::<u64>().prop_map(Aim::Host),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Aim::Prefix),
            Just(Aim::All),
        ]
    }

    proptest! {
        #[test]
        fn a_purge_survives_the_wire(aims in proptest::collection::vec(aim(), 0..9), soft: bool) {
            let aims = Aims { aims, soft };
            prop_assert_eq!(decode(&encode(&aims)), aims.clone());
            let mut message = b"00000000000000ff 12 11 ab ".to_vec();
            message.extend(encode(&aims));
            let news = News { lineage: 255, number: 12, before: 11, check: "ab".into(), aims };
            prop_assert_eq!(hear(&message), Some(news));
        }

        #[test]
        fn what_cannot_be_read_purges_everything(junk in proptest::collection::vec(any::<u8>(), 0..40)) {
            if aims(&junk).is_none() { prop_assert_eq!(decode(&junk), Aims::all()); }
            let _ = hear(&junk);
        }
    }
}

//! `[cache]`, and what a route changes of it.

use super::File;
use cache::settings::{KeyRules, Profile, RedisMode, Rules, Settings, Shared};
use std::time::Duration;

/// What stands in the place of a secret; long enough to be a token itself.
pub(super) const SECRET: &str = "********";

impl File {
    pub(super) fn cache(&mut self, cache: &Settings) {
        self.header("[cache]");
        self.text("memory", &cache.memory);
        self.text("object_max", &cache.object_max);
        match &cache.shared {
            None => {}
            Some(Shared::Redis(redis)) => {
                let urls: Vec<_> = redis.urls.iter().map(|url| without_password(url)).collect();
                self.texts("redis", &urls);
                match &redis.mode {
                    RedisMode::Single => self.text("redis_mode", &"single"),
                    RedisMode::Cluster => self.text("redis_mode", &"cluster"),
                    RedisMode::Sentinel(master) => {
                        self.text("redis_mode", &"sentinel");
                        self.text("redis_master", master);
                    }
                }
                match &redis.trust {
                    Some(path) => self.path("redis_trust", path),
                    None => self.text("redis_trust", &"system"),
                }
                self.line(format_args!("fence = {}", cache.fence));
                self.text("prefix", &redis.prefix);
            }
            Some(Shared::Memcached(memcached)) => {
                self.texts("memcached", &memcached.servers);
                self.text("prefix", &memcached.prefix);
            }
        }
        self.time("shared_time", cache.shared_time);
        self.text("shared_object_max", &cache.shared_object_max);
        self.texts("targeted", &cache.targeted);
        self.time("wait_time", cache.wait_time);
        if cache.purge_token.is_some() {
            self.text("purge_token", &SECRET);
        }
        self.rules(&cache.rules, None);
        self.header("[cache.key]");
        self.key(&cache.rules.key, None);
        if let Some(disk) = &cache.disk {
            self.header("[cache.disk]");
            self.path("path", &disk.path);
            self.text("size", &disk.size);
        }
    }

    /// What a route has otherwise than `[cache]`.
    pub(super) fn changed_rules(&mut self, rules: &Rules, ground: &Rules) {
        if rules == ground {
            return;
        }
        self.header("[route.cache]");
        self.rules(rules, Some(ground));
        if rules.key != ground.key {
            self.header("[route.cache.key]");
            self.key(&rules.key, Some(&ground.key));
        }
    }

    /// The rules, or those of them that are not as on the ground.
    fn rules(&mut self, rules: &Rules, ground: Option<&Rules>) {
        self.flags(rules, ground);
        let mut time = |key: &str, get: fn(&Rules) -> Option<Duration>| {
            if ground.is_none_or(|ground| get(ground) != get(rules)) {
                match get(rules) {
                    Some(value) => self.time(key, value),
                    None => self.plain(key, &false),
                }
            }
        };
        time("ttl", |rules| rules.ttl);
        time("ttl_error", |rules| rules.ttl_error);
        time("stale", |rules| Some(rules.stale));
        time("stale_error", |rules| Some(rules.stale_error));
        time("heuristic_max", |rules| Some(rules.heuristic_max));
        let mut list = |key: &str, get: fn(&Rules) -> &[String]| {
            if ground.is_none_or(|ground| get(ground) != get(rules)) {
                self.texts(key, get(rules));
            }
        };
        list("bypass_cookies", |rules| &rules.bypass_cookies);
        list("drop_cookies", |rules| &rules.drop_cookies);
        list("tags", |rules| &rules.tags);
        list("tag_pointers", |rules| &rules.tag_pointers);
        list("tag_fields", |rules| &rules.tag_fields);
        list("vary", |rules| &rules.vary);
        list("languages", |rules| &rules.languages);
        if ground.is_none_or(|ground| ground.variants_max != rules.variants_max) {
            self.plain("variants_max", &rules.variants_max);
        }
    }

    fn flags(&mut self, rules: &Rules, ground: Option<&Rules>) {
        if ground.is_none_or(|ground| ground.profile != rules.profile) {
            let word = match rules.profile {
                Profile::Safe => "safe",
                Profile::Rfc => "rfc",
            };
            self.text("profile", &word);
        }
        let mut flag = |key: &str, get: fn(&Rules) -> bool| {
            if ground.is_none_or(|ground| get(ground) != get(rules)) {
                self.plain(key, &get(rules));
            }
        };
        flag("enabled", |rules| rules.enabled);
        flag("insist", |rules| rules.insist);
        flag("reload", |rules| rules.reload);
        flag("early", |rules| rules.early);
    }

    fn key(&mut self, key: &KeyRules, ground: Option<&KeyRules>) {
        if ground.is_none_or(|ground| ground.query != key.query) {
            let all = ["*".to_owned()];
            self.texts("query", key.query.as_deref().unwrap_or(&all));
        }
        if ground.is_none_or(|ground| ground.sort_query != key.sort_query) {
            self.plain("sort_query", &key.sort_query);
        }
        let mut list = |name: &str, get: fn(&KeyRules) -> &[String]| {
            if ground.is_none_or(|ground| get(ground) != get(key)) {
                self.texts(name, get(key));
            }
        };
        list("ignore_query", |key| &key.ignore_query);
        list("fields", |key| &key.fields);
        list("cookies", |key| &key.cookies);
    }
}

/// A URL whose password, if it has one, is not told.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..authority].rfind('@') else { return url.to_owned() };
    let Some((user, _)) = rest[..at].split_once(':') else { return url.to_owned() };
    format!("{scheme}://{user}:{SECRET}{}", &rest[at..])
}

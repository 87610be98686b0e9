//! What is said about mistakes in `[cache]` and in a route's `cache`.

use super::{before, behind};

#[test]
fn the_cache_is_switched_off_without_quotes() {
    insta::assert_snapshot!(before(r#"cache = "off""#), @r#"
    gateway.toml:1:9: cache: a string
    1 | cache = "off"
      |         ^^^^^ true, false or a table of memory, object_max, disk, redis, redis_mode, redis_master, redis_trust, memcached, prefix, shared_time, shared_object_max, fence, targeted, wait_time, purge_token, enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: without quotes: false
    "#);
}

#[test]
fn the_size_of_memory() {
    insta::assert_snapshot!(behind(r"[cache]
memory = 256"), @r#"
    gateway.toml:4:10: cache.memory: a whole number
    4 | memory = 256
      |          ^^^ a size from 0 B to 1024 TiB
    hint: write a unit: "256 B"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memory = "lots""#), @r#"
    gateway.toml:4:10: cache.memory: "lots" is no unit of size
    4 | memory = "lots"
      |          ^^^^^^ a size from 0 B to 1024 TiB
    hint: use a number with a unit: B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), such as "512 MiB"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memory = "64 KiB""#), @r#"
    gateway.toml:4:10: cache.memory: 64 KiB is too small
    4 | memory = "64 KiB"
      |          ^^^^^^^^ at least 1 MiB, or 0 B
    hint: "0 B" switches memory off
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memory = "64 MiB"
object_max = "32 MiB""#), @r#"
    gateway.toml:5:14: cache.object_max: 32 MiB is more than a quarter of memory
    5 | object_max = "32 MiB"
      |              ^^^^^^^^ at most 16 MiB, a quarter of memory
    4 | memory = "64 MiB"
      |          ^^^^^^^^ memory is set here
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
object_max = "1 GiB""#), @r#"
    gateway.toml:4:14: cache.object_max: 1 GiB is more than a quarter of memory
    4 | object_max = "1 GiB"
      |              ^^^^^^^ at most 64 MiB, a quarter of memory
    hint: memory is 256 MiB unless it is set
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
object_max = "10 B""#), @r#"
    gateway.toml:4:14: cache.object_max: 10 B is too small
    4 | object_max = "10 B"
      |              ^^^^^^ a size from 1 KiB to 1 TiB
    "#);
}

#[test]
fn the_disk() {
    insta::assert_snapshot!(behind(r#"[cache]
disk = "/var/cache""#), @r#"
    gateway.toml:4:8: cache.disk: a string
    4 | disk = "/var/cache"
      |        ^^^^^^^^^^^^ a table of path, size
    hint: disk = { path = "/var/cache/fleetfoot", size = "10 GiB" }
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
disk = { path = "" , size = "1 GiB" }"#), @r#"
    gateway.toml:4:17: cache.disk.path: an empty path
    4 | disk = { path = "" , size = "1 GiB" }
      |                 ^^ a folder's path
    hint: path = "/var/cache/fleetfoot"
    "#);
    insta::assert_snapshot!(behind(r#"[cache.disk]
directory = "/var/cache"
size = "1 MiB""#), @r#"
    gateway.toml:3:1: cache.disk: path is missing
    3 | [cache.disk]
      | ^^^^^^^^^^^^ a file's path, relative to the settings file
    hint: path = "/var/cache/fleetfoot"

    gateway.toml:4:1: cache.disk: unknown key "directory"
    4 | directory = "/var/cache"
      | ^^^^^^^^^ known keys: path, size
    hint: did you mean "path"?

    gateway.toml:5:8: cache.disk.size: 1 MiB is too small
    5 | size = "1 MiB"
      |        ^^^^^^^ a size from 16 MiB to 4 TiB
    "#);
}

#[test]
fn redis() {
    insta::assert_snapshot!(behind(r#"[cache]
redis = "10.0.0.5:6379""#), @r#"
    gateway.toml:4:9: cache.redis: "10.0.0.5:6379" has no scheme
    4 | redis = "10.0.0.5:6379"
      |         ^^^^^^^^^^^^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: did you mean "redis://10.0.0.5:6379"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "http://10.0.0.5:6379""#), @r#"
    gateway.toml:4:10: cache.redis: scheme "http"
    4 | redis = "http://10.0.0.5:6379"
      |          ^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: did you mean "redis://"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "valkeys://10.0.0.5:6379""#), @r#"
    gateway.toml:4:10: cache.redis: scheme "valkeys"
    4 | redis = "valkeys://10.0.0.5:6379"
      |          ^^^^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: did you mean "rediss://"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "unix:///run/redis.sock""#), @r#"
    gateway.toml:4:10: cache.redis: scheme "unix"
    4 | redis = "unix:///run/redis.sock"
      |          ^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: sockets of the file system are not spoken to
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://me:secret@ho st""#), @r#"
    gateway.toml:4:30: cache.redis: a character that no URL has
    4 | redis = "redis://me:secret@ho st"
      |                              ^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: in a password, write % and two hexadecimal digits for it
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://host:99999""#), @r#"
    gateway.toml:4:23: cache.redis: "99999" is no port
    4 | redis = "redis://host:99999"
      |                       ^^^^^ a port from 1 to 65535
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://host/zero""#), @r#"
    gateway.toml:4:23: cache.redis: "zero" is no database
    4 | redis = "redis://host/zero"
      |                       ^^^^ the number of a database, such as 0
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://host?db=1""#), @r#"
    gateway.toml:4:22: cache.redis: a query or fragment in the URL of a server
    4 | redis = "redis://host?db=1"
      |                      ^^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    "#);
    insta::assert_snapshot!(behind(r"[cache]
redis = []"), @r#"
    gateway.toml:4:9: cache.redis: an empty list
    4 | redis = []
      |         ^^ at least one server
    hint: take the key out to share with nobody
    "#);
}

#[test]
fn modes_of_redis() {
    insta::assert_snapshot!(behind(r#"[cache]
redis = ["redis://a", "redis://b"]"#), @r#"
    gateway.toml:4:23: cache.redis: several URLs, but one server
    4 | redis = ["redis://a", "redis://b"]
      |                       ^^^^^^^^^^^ one URL while redis_mode is "single"
    hint: set redis_mode to "cluster" or "sentinel"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a/3"
redis_mode = "cluster""#), @r#"
    gateway.toml:4:9: cache.redis: a cluster has no numbered databases
    4 | redis = "redis://a/3"
      |         ^^^^^^^^^^^^^ a URL without a database
    hint: gateways that should not share get another prefix
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
redis_mode = "sentinal""#), @r#"
    gateway.toml:5:14: cache.redis_mode: "sentinal" is not known
    5 | redis_mode = "sentinal"
      |              ^^^^^^^^^^ "single", "cluster", "sentinel"
    hint: did you mean "sentinel"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
redis_mode = "sentinel""#), @r#"
    gateway.toml:5:14: cache.redis_mode: there is no redis_master
    5 | redis_mode = "sentinel"
      |              ^^^^^^^^^^ sentinels are asked for a master by name
    hint: redis_master = "mymaster"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
redis_master = "mymaster""#), @r#"
    gateway.toml:5:16: cache.redis_master: redis_mode is "single"
    5 | redis_master = "mymaster"
      |                ^^^^^^^^^^ goes with redis_mode = "sentinel"
    hint: set redis_mode = "sentinel", or take redis_master out
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
redis_mode = "sentinel"
redis_master = "my master""#), @r#"
    gateway.toml:6:16: cache.redis_master: "my master" is no name of a master
    6 | redis_master = "my master"
      |                ^^^^^^^^^^^ 1 to 128 letters, digits, -, _, . and :
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis_mode = "cluster""#), @r#"
    gateway.toml:4:14: cache.redis_mode: there is no redis
    4 | redis_mode = "cluster"
      |              ^^^^^^^^^ goes with the key redis
    hint: redis = "redis://10.0.0.5:6379"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
redis_trust = "ca.pem""#), @r#"
    gateway.toml:5:15: cache.redis_trust: no URL of redis speaks TLS
    5 | redis_trust = "ca.pem"
      |               ^^^^^^^^ goes with rediss://
    4 | redis = "redis://a"
      |         ^^^^^^^^^^^ plain redis://
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "rediss://a"
redis_trust = "missing.pem""#), @r#"
    gateway.toml:5:15: cache.redis_trust: /etc/fleetfoot/missing.pem: no such file
    5 | redis_trust = "missing.pem"
      |               ^^^^^^^^^^^^^ a PEM file that can be read
    hint: relative paths start at the folder of the settings file
    "#);
}

#[test]
fn memcached() {
    insta::assert_snapshot!(behind(r#"[cache]
redis = "redis://a"
memcached = ["b:11211"]"#), @r#"
    gateway.toml:5:13: cache.memcached: there is redis already
    5 | memcached = ["b:11211"]
      |             ^^^^^^^^^^^ one of the two
    4 | redis = "redis://a"
      |         ^^^^^^^^^^^ redis is set here
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = ["memcached://b:11211"]"#), @r#"
    gateway.toml:4:14: cache.memcached: a URL
    4 | memcached = ["memcached://b:11211"]
      |              ^^^^^^^^^^^^^^^^^^^^^ a host and perhaps a port, such as 10.0.0.6:11211
    hint: did you mean "b:11211"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = ["redis://b:6379"]"#), @r#"
    gateway.toml:4:14: cache.memcached: a URL
    4 | memcached = ["redis://b:6379"]
      |              ^^^^^^^^^^^^^^^^ a host and perhaps a port, such as 10.0.0.6:11211
    hint: did you mean redis = "redis://b:6379"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = ["b:0"]"#), @r#"
    gateway.toml:4:17: cache.memcached: "0" is no port
    4 | memcached = ["b:0"]
      |                 ^ a port from 1 to 65535
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = ["b", "b:11211"]"#), @r#"
    gateway.toml:4:19: cache.memcached: "b:11211" twice
    4 | memcached = ["b", "b:11211"]
      |                   ^^^^^^^^^
    4 | memcached = ["b", "b:11211"]
      |              ^^^ first here
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = ["b"]
prefix = "the shop""#), @r#"
    gateway.toml:5:14: cache.prefix: ' ' in a prefix
    5 | prefix = "the shop"
      |              ^ up to 64 printable ASCII characters, no space
    "#);
}

#[test]
fn who_may_purge() {
    insta::assert_snapshot!(behind(r#"[cache]
purge_token = """#), @r#"
    gateway.toml:4:15: cache.purge_token: an empty token
    4 | purge_token = ""
      |               ^^ 8 to 256 printable ASCII characters, no space
    hint: take the key out
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
purge_token = "short""#), @r#"
    gateway.toml:4:15: cache.purge_token: 5 characters are too short
    4 | purge_token = "short"
      |               ^^^^^^^ 8 to 256 printable ASCII characters, no space
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
purge_token = "with a space""#), @r#"
    gateway.toml:4:20: cache.purge_token: ' ' in a token
    4 | purge_token = "with a space"
      |                    ^ 8 to 256 printable ASCII characters, no space
    "#);
}

#[test]
fn keys_of_the_cache_as_other_programs_call_them() {
    insta::assert_snapshot!(behind(r#"[cache]
max_size = "1 GiB""#), @r#"
    gateway.toml:4:1: cache: unknown key "max_size"
    4 | max_size = "1 GiB"
      | ^^^^^^^^ known keys: memory, object_max, disk, redis, redis_mode, redis_master, redis_trust, memcached, prefix, shared_time, shared_object_max, fence, targeted, wait_time, purge_token, enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: did you mean "memory"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
grace = "1m""#), @r#"
    gateway.toml:4:1: cache: unknown key "grace"
    4 | grace = "1m"
      | ^^^^^ known keys: memory, object_max, disk, redis, redis_mode, redis_master, redis_trust, memcached, prefix, shared_time, shared_object_max, fence, targeted, wait_time, purge_token, enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: did you mean "stale"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
stale_while_revalidate = "1m"
stale_if_error = "1h""#), @r#"
    gateway.toml:4:1: cache: unknown key "stale_while_revalidate"
    4 | stale_while_revalidate = "1m"
      | ^^^^^^^^^^^^^^^^^^^^^^ known keys: memory, object_max, disk, redis, redis_mode, redis_master, redis_trust, memcached, prefix, shared_time, shared_object_max, fence, targeted, wait_time, purge_token, enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: did you mean "stale"?

    gateway.toml:5:1: cache: unknown key "stale_if_error"
    5 | stale_if_error = "1h"
      | ^^^^^^^^^^^^^^ known keys: memory, object_max, disk, redis, redis_mode, redis_master, redis_trust, memcached, prefix, shared_time, shared_object_max, fence, targeted, wait_time, purge_token, enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: did you mean "stale_error"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
cache = { vary_by_query = ["page"] }"#), @r#"
    gateway.toml:6:11: route "*": cache: unknown key "vary_by_query"
    6 | cache = { vary_by_query = ["page"] }
      |           ^^^^^^^^^^^^^ known keys: enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: did you mean key = { ignore_query = ["utm_*"], sort_query = true }?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
ttl = "1m""#), @r#"
    gateway.toml:6:1: route "*": unknown key "ttl"
    6 | ttl = "1m"
      | ^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean cache = { ttl = "1m", stale = "10m" }?
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
memory = "1 GiB""#), @r#"
    gateway.toml:4:1: limits: unknown key "memory"
    4 | memory = "1 GiB"
      | ^^^^^^ known keys: head_bytes, fields, head_time, body_bytes, body_pause, idle_time, requests, connections, streams, resets
    hint: "memory" belongs in [cache]
    "#);
}

#[test]
fn a_routes_cache() {
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
cache = "off""#), @r#"
    gateway.toml:6:9: route "*": cache: a string
    6 | cache = "off"
      |         ^^^^^ true, false or a table of enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: without quotes: false
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
cache = 60"#), @r#"
    gateway.toml:6:9: route "*": cache: a whole number
    6 | cache = 60
      |         ^^ true, false or a table of enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
cache = { ttl = 60, stale = "1 fortnight", memory = "1 GiB" }"#), @r#"
    gateway.toml:6:17: route "*": cache.ttl: a whole number
    6 | cache = { ttl = 60, stale = "1 fortnight", memory = "1 GiB" }
      |                 ^^ a duration from 0s to 365d, or false
    hint: write a unit: "60s"

    gateway.toml:6:29: route "*": cache.stale: "fortnight" is no unit of time
    6 | cache = { ttl = 60, stale = "1 fortnight", memory = "1 GiB" }
      |                             ^^^^^^^^^^^^^ a duration from 0s to 365d
    hint: use a number with a unit: ns, us, ms, s, m, h or d, such as "250ms" or "1m30s"

    gateway.toml:6:44: route "*": cache: unknown key "memory"
    6 | cache = { ttl = 60, stale = "1 fortnight", memory = "1 GiB" }
      |                                            ^^^^^^ known keys: enabled, profile, ttl, ttl_error, insist, stale, stale_error, heuristic_max, key, bypass_cookies, drop_cookies, reload, tags, tag_pointers, tag_fields, vary, languages, variants_max, early
    hint: "memory" belongs in [cache]
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
name = "all"
cache = { ttl = "none", profile = "strict", variants_max = 0, key = { sort_query = "yes" } }"#), @r#"
    gateway.toml:7:17: route "all": cache.ttl: "none" is no unit of time
    7 | cache = { ttl = "none", profile = "strict", variants_max = 0, key = { sort_query = "yes" } }
      |                 ^^^^^^ a duration from 0s to 365d, or false
    hint: without quotes: false

    gateway.toml:7:35: route "all": cache.profile: "strict" is not known
    7 | cache = { ttl = "none", profile = "strict", variants_max = 0, key = { sort_query = "yes" } }
      |                                   ^^^^^^^^ "safe", "rfc"

    gateway.toml:7:60: route "all": cache.variants_max: 0 is too few
    7 | cache = { ttl = "none", profile = "strict", variants_max = 0, key = { sort_query = "yes" } }
      |                                                            ^ a whole number from 1 to 4096

    gateway.toml:7:84: route "all": cache.key.sort_query: a string
    7 | cache = { ttl = "none", profile = "strict", variants_max = 0, key = { sort_query = "yes" } }
      |                                                                                    ^^^^^ true or false
    hint: without quotes: true
    "#);
}

#[test]
fn tags() {
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/products/{id}"
to = "shop"
cache = { tags = ["product:{idd}"] }"#), @r#"
    gateway.toml:6:28: route "/products/{id}": cache.tags: no parameter "idd" in match
    6 | cache = { tags = ["product:{idd}"] }
      |                            ^^^^^ parameters: id
    hint: did you mean "{id}"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/products/{id}"
to = "shop"
cache = { tags = ["product:{sku}"] }"#), @r#"
    gateway.toml:6:28: route "/products/{id}": cache.tags: no parameter "sku" in match
    6 | cache = { tags = ["product:{sku}"] }
      |                            ^^^^^ parameters: id
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/products"
to = "shop"
cache = { tags = ["product:{id}"] }"#), @r#"
    gateway.toml:6:28: route "/products": cache.tags: no parameter "id" in match
    6 | cache = { tags = ["product:{id}"] }
      |                            ^^^^ a parameter of match; it has none
    hint: match is "/products"; a parameter is written {id} there
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/{id}"
to = "shop"
cache = { tags = ["product:{id", "a b", "", "x}"] }"#), @r#"
    gateway.toml:6:28: route "/{id}": cache.tags: a lone {
    6 | cache = { tags = ["product:{id", "a b", "", "x}"] }
      |                            ^ parameters in braces: {id}

    gateway.toml:6:36: route "/{id}": cache.tags: ' ' in a tag
    6 | cache = { tags = ["product:{id", "a b", "", "x}"] }
      |                                    ^ a tag such as shop or product:{id}
    hint: one string for each tag

    gateway.toml:6:41: route "/{id}": cache.tags: an empty tag
    6 | cache = { tags = ["product:{id", "a b", "", "x}"] }
      |                                         ^^ a tag such as shop or product:{id}

    gateway.toml:6:47: route "/{id}": cache.tags: a lone }
    6 | cache = { tags = ["product:{id", "a b", "", "x}"] }
      |                                               ^ parameters in braces: {id}
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
tags = ["product:{id}"]"#), @r#"
    gateway.toml:4:18: cache.tags: {id} outside of a route
    4 | tags = ["product:{id}"]
      |                  ^^^^ a tag without parameters
    hint: give the tag to the routes: cache = { tags = [...] }
    "#);
}

#[test]
fn json_pointers() {
    insta::assert_snapshot!(behind(r#"[cache]
tag_pointers = ["product.id"]"#), @r#"
    gateway.toml:4:17: cache.tag_pointers: "product.id" does not start with /
    4 | tag_pointers = ["product.id"]
      |                 ^^^^^^^^^^^^ a JSON pointer (RFC 6901), such as /product/id
    hint: did you mean "/product/id"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
tag_pointers = ["$.items[0].id"]"#), @r#"
    gateway.toml:4:17: cache.tag_pointers: "$.items[0].id" does not start with /
    4 | tag_pointers = ["$.items[0].id"]
      |                 ^^^^^^^^^^^^^^^ a JSON pointer (RFC 6901), such as /product/id
    hint: did you mean "/items/0/id"?
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
tag_pointers = ["/a~b", ""]"#), @r#"
    gateway.toml:4:20: cache.tag_pointers: a lone ~
    4 | tag_pointers = ["/a~b", ""]
      |                    ^ a JSON pointer (RFC 6901), such as /product/id
    hint: ~ is written ~0, and / within a name ~1

    gateway.toml:4:25: cache.tag_pointers: "" does not start with /
    4 | tag_pointers = ["/a~b", ""]
      |                         ^^ a JSON pointer (RFC 6901), such as /product/id
    "#);
}

#[test]
fn names_of_fields_cookies_and_parameters() {
    insta::assert_snapshot!(behind(r#"[cache]
vary = ["User Agent", "X-Device:", "*"]"#), @r#"
    gateway.toml:4:9: cache.vary: "User Agent" is no name of a field
    4 | vary = ["User Agent", "X-Device:", "*"]
      |         ^^^^^^^^^^^^ the name of a field, such as X-Device
    hint: did you mean "User-Agent"?

    gateway.toml:4:23: cache.vary: "X-Device:" is no name of a field
    4 | vary = ["User Agent", "X-Device:", "*"]
      |                       ^^^^^^^^^^^ the name of a field, such as X-Device
    hint: did you mean "X-Device"?

    gateway.toml:4:36: cache.vary: "*" is no name of a field
    4 | vary = ["User Agent", "X-Device:", "*"]
      |                                    ^^^ the name of a field, such as X-Device
    hint: an answer with Vary: * fits no other request and is never stored
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
targeted = ["CDN-Cache-Control", "CDN-Cache-Control"]"#), @r#"
    gateway.toml:4:34: cache.targeted: "CDN-Cache-Control" twice
    4 | targeted = ["CDN-Cache-Control", "CDN-Cache-Control"]
      |                                  ^^^^^^^^^^^^^^^^^^^
    4 | targeted = ["CDN-Cache-Control", "CDN-Cache-Control"]
      |             ^^^^^^^^^^^^^^^^^^^ first here
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
bypass_cookies = ["session=1", "a*b", ""]"#), @r#"
    gateway.toml:4:19: cache.bypass_cookies: "session=1" is no name of a cookie
    4 | bypass_cookies = ["session=1", "a*b", ""]
      |                   ^^^^^^^^^^^ the name of a cookie, such as session
    hint: did you mean "session"?

    gateway.toml:4:32: cache.bypass_cookies: "a*b" is no name of a cookie
    4 | bypass_cookies = ["session=1", "a*b", ""]
      |                                ^^^^^ the name of a cookie, such as session
    hint: a * stands at the end alone

    gateway.toml:4:39: cache.bypass_cookies: "" is no name of a cookie
    4 | bypass_cookies = ["session=1", "a*b", ""]
      |                                       ^^ the name of a cookie, such as session
    "#);
    insta::assert_snapshot!(behind(r#"[cache.key]
query = ["?page", "a=b", "a*b"]"#), @r#"
    gateway.toml:4:10: cache.key.query: "?page" is no name of a query parameter
    4 | query = ["?page", "a=b", "a*b"]
      |          ^^^^^^^ the name of a query parameter, such as page
    hint: did you mean "page"?

    gateway.toml:4:19: cache.key.query: "a=b" is no name of a query parameter
    4 | query = ["?page", "a=b", "a*b"]
      |                   ^^^^^ the name of a query parameter, such as page
    hint: did you mean "a"?

    gateway.toml:4:26: cache.key.query: "a*b" is no name of a query parameter
    4 | query = ["?page", "a=b", "a*b"]
      |                          ^^^^^ the name of a query parameter, such as page
    hint: a * stands at the end alone
    "#);
    insta::assert_snapshot!(behind(r#"[cache.key]
headers = ["X"]"#), @r#"
    gateway.toml:4:1: cache.key: unknown key "headers"
    4 | headers = ["X"]
      | ^^^^^^^ known keys: query, ignore_query, sort_query, fields, cookies
    hint: did you mean "fields"?
    "#);
}

#[test]
fn languages() {
    insta::assert_snapshot!(behind(r#"[cache]
languages = ["de_DE", "english language", ""]"#), @r#"
    gateway.toml:4:14: cache.languages: "de_DE" is no language tag
    4 | languages = ["de_DE", "english language", ""]
      |              ^^^^^^^ a language tag such as de or pt-BR
    hint: did you mean "de-DE"?

    gateway.toml:4:23: cache.languages: "english language" is no language tag
    4 | languages = ["de_DE", "english language", ""]
      |                       ^^^^^^^^^^^^^^^^^^ a language tag such as de or pt-BR

    gateway.toml:4:43: cache.languages: "" is no language tag
    4 | languages = ["de_DE", "english language", ""]
      |                                           ^^ a language tag such as de or pt-BR
    "#);
}

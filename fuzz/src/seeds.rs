//! Where to begin: the examples of RFC 9110, 9112, 9113 and 7239, and what smugglers send.

/// Words of heads.
pub const HTTP_WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "Host: a\r\n",
    "Host",
    "Content-Length: 5\r\n",
    "Content-Length",
    "content-length:5",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding",
    "chunked",
    "identity",
    "gzip, chunked",
    "Connection: close\r\n",
    "Connection",
    "keep-alive",
    "Upgrade: websocket\r\n",
    "close, TE",
    "http://a.example/",
    "https://",
    "*",
    "OPTIONS",
    "CONNECT a:443",
    "HEAD",
    "/",
    "//",
    "/..",
    "%2f",
    "?",
    "#",
    "\\",
    "[::1]",
    "a:80",
    "@",
    "\0",
    "\x7f",
    "\u{b5}",
    "+5",
    "0x5",
    "5, 5",
    "18446744073709551616",
    "9223372036854775807",
    "Expect: 100-continue\r\n",
    "X: \t y \t\r\n",
    "Cookie: a=b\r\n",
    "Via: 1.1 x\r\n",
    "Forwarded: for=\"[::1]\"\r\n",
    "200",
    "204",
    "304",
    "103",
];

/// Words of chunked bodies.
pub const CHUNK_WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "0\r\n",
    "5\r\nhello\r\n",
    "5;a=b\r\n",
    ";",
    "ffffffffffffffff",
    "10000000000000000",
    "00000000000000005",
    "0x5",
    "+5",
    "-1",
    " ",
    "\t",
    "A: b\r\n",
    "Content-Length: 5\r\n",
    "Host: x\r\n",
    "X-Sum: 1\r\n",
    "\0",
    "a\r\n0123456789\r\n",
];

/// Words of settings files.
pub const SETTINGS_WORDS: &[&str] = &[
    "listen = [\"127.0.0.1:8080\"]\n",
    "admin = \"off\"\n",
    "threads = 1\n",
    "grace = \"3s\"\n",
    "[limits]\n",
    "head_bytes = \"32 KiB\"\n",
    "body_bytes = \"none\"\n",
    "[forward]\n",
    "trusted = [\"10.0.0.0/8\"]\n",
    "[offload]\n",
    "[queue.q]\n",
    "[events.e]\n",
    "offload = true\n",
    "broker = \"amqp://u:p@h\"\n",
    "purge = \"a:{subject}\"\n",
    "[service.a]\n",
    "servers = [\"http://127.0.0.1:1\"]\n",
    "[[route]]\n",
    "match = \"GET /a/{id}/*\"\n",
    "to = \"a\"\n",
    "strip = \"/a\"\n",
    "prepend = \"/b\"\n",
    "timeout = \"1s\"\n",
    "[monitor]\n",
    "access_log = \"stdout\"\n",
    "redact = [\"token\", \"x-*\"]\n",
    "otlp = \"http://127.0.0.1:4317\"\n",
    "objective = { p99 = \"200ms\", success = \"99.9%\" }\n",
    "${PORT}",
    "${HOST}",
    "${ODD}",
    "${",
    "}",
    "$${",
    "\"\"\"",
    "'",
    "\"",
    "=",
    "[",
    "]",
    "{",
    "\n",
    "#",
    ".",
    "h2",
    "http = \"h2\"\n",
    "host = \"server\"\n",
    "[tls]\n",
    "\u{e9}",
    "\u{202e}",
    "1e400",
    "-0",
    "99999999999999999999",
    "0s",
    "1 year",
    "[service]\n",
    "connections_max = 3\n",
    "[cache]\n",
    "[cache.key]\n",
    "[route.cache]\n",
    "cache = false\n",
    "ttl = \"1m\"\n",
    "ttl = false\n",
    "memory = \"64 MiB\"\n",
    "redis = [\"rediss://me:pa55@a:1/2\"]\n",
    "redis_mode = \"sentinel\"\n",
    "redis_master = \"m\"\n",
    "memcached = \"a\"\n",
    "purge_token = \"12345678\"\n",
    "tags = [\"x:{id}\"]\n",
    "query = [\"*\"]\n",
    "tag_pointers = [\"/a~1b\"]\n",
    "vary = [\"x\"]\n",
];

/// Words of segments.
pub const SEGMENT_WORDS: &[&str] =
    &["FFS1\0\0\0\0", "FFR1\0\0\0\0", "FFR1\x01\0\0\0", "FFL1", "\0\0\0\0\0\0\0\0", "\n", "-\n"];

fn all(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Request heads.
pub fn request_heads() -> Vec<Vec<u8>> {
    all(&[
        "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n",
        "GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        "GET http://a.example?q HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\nMax-Forwards: 3\r\n\r\n",
        "CONNECT server.example.com:80 HTTP/1.1\r\nHost: server.example.com\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nA:1\r\nTransfer-Encoding: chunked\r\nB: \t2 \t\r\nC:\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Y\r\nX-Y: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "M-SEARCH /\u{b5} HTTP/1.1\r\nHost: a\r\nX: \u{b5}\r\n\r\n",
    ])
}

/// A byte that says whether it answers a HEAD, then a response head.
pub fn response_heads() -> Vec<Vec<u8>> {
    all(&[
        "0HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nContent-Length: 51\r\n\r\n",
        "0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Expires\r\n\r\n",
        "0HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 3\r\n\r\n",
        "0HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "1HTTP/1.1 200 \r\nContent-Length: 5, 5\r\n\r\n",
        "0HTTP/1.0 404\r\nA:b\r\n\r\n",
        "0HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "1HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"x\"\r\n\r\n",
        "0HTTP/1.1 999 \u{b5}\r\nTransfer-Encoding: gzip\r\n\r\n",
        "0HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "0HTTP/1.1 2000 OK\r\n\r\n",
        "0HTTP/1.1  200 OK\r\n\r\n",
    ])
}

/// Two bytes that say how to cut, then a chunked body and what follows it.
pub fn chunked_bodies() -> Vec<Vec<u8>> {
    all(&[
        "\x01\x024\r\nWiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
        "\x05\x020\r\nExpires: Wed, 21 Oct 2015 07:28:00 GMT\r\nX-Sum:1\r\nHost: a\r\n\r\n",
        "\x03\x035;name=\"a b\";c\r\nhello\r\n0;last\r\n\r\n",
        "\x07\x07000000000000000a\r\n0123456789\r\n00\r\n\r\n",
        "\x02\x015\r\nhello0\r\n\r\n",
        "\x02\x010x5\r\nhello\r\n0\r\n\r\n",
        "\x02\x015\nhello\n0\n\n",
        "\x02\x01ffffffffffffffff\r\nx",
    ])
}

/// A method, path and authority; then fields, one a line.
pub fn field_lists() -> Vec<Vec<u8>> {
    all(&[
        "GET / a.example\naccept: */*\ncookie: a=b\ncookie: c=d\nte: trailers",
        "POST /a?b [::1]:80\ncontent-length: 5\nexpect: 100-continue",
        "OPTIONS * a\nhost: a\nmax-forwards: 0",
        "CONNECT /x a:443\nconnection: close, x-y\nx-y: 1",
        "GET / a\nhost: b",
        "PUT /x\nhost: shop.test\nTransfer-Encoding: chunked\nforwarded: for=\"[::1]\";proto=http",
        "GET / a\nContent-Length: 5\nContent-Length: 5",
        "GET /\nhost: a\nX-Forwarded-For: 1.2.3.4, , 5.6.7.8\nvia: 1.1 a\nX-Sum: \u{b5}",
        "GET / u@a\nTransfer-Encoding: xchunked",
    ])
}

/// A byte that says what is made of the rest; then a segment, or a place and values, one a line.
pub fn segments() -> Vec<Vec<u8>> {
    use cache::disk::segment::{Kind, Row, append, list_of, start_with};
    let mut walked = start_with(0).to_vec();
    append(&mut walked, 0, Kind::Value, 1, base::Wall(9), b"hello");
    append(&mut walked, 0, Kind::Mark, 1, base::Wall(0), b"");
    let row = |kind, offset, length| Row { kind, key: 1, expiry: base::Wall(9), offset, length };
    let rows = [row(Kind::Value, 2, 5), row(Kind::Mark, 9, 0)];
    let list = list_of(&rows, walked.len() as u64, 0);
    let listed = [walked.clone(), list].concat();
    let mut all: Vec<Vec<u8>> =
        [walked, listed].iter().map(|bytes| [&b"\0"[..], bytes].concat()).collect();
    for first in [1, 3, 5, 7] {
        all.push([&[first, 99, 0, 0, 0], &b"one\n-\n\nanother value"[..]].concat());
    }
    all
}

/// Words of the log.
pub const LOG_WORDS: &[&str] = &[
    "FFB1",
    "FFLOGSEG",
    "FFLOGHN1",
    "\0\0\0\0",
    "\0\0\0\0\0\0\0\0",
    "\x01\0\0\0",
    "\x10\0\0\0",
    "\0\x02\0\0",
    "\x7f\x7f\x7f\x7f",
];

/// A byte that says what is made of the rest; then batches, or a hint.
pub fn logs() -> Vec<Vec<u8>> {
    use offload::log::format::{Head, write_batch};
    use offload::log::{Entry, hint};
    let head = Head { segment: 1, bytes: 8 << 10, salt: 7 };
    let mut batches = head.sector().to_vec();
    for sequence in 1..4 {
        let bulk = vec![b'b'; 300 * sequence];
        let entry = |summary| Entry { summary, bulk: &bulk, settles: false };
        let mut batch = Vec::new();
        let place = (&head, batches.len() as u32);
        let entries = [entry(b"one"), entry(b""), entry(b"three")];
        write_batch(&mut batch, place, sequence as u64, &entries, &mut Vec::new());
        batches.extend(batch);
    }
    let mut whole = batches.clone();
    whole.resize(8 << 10, 0);
    let hint = hint::write(&whole, &head).expect("it is whole");
    let behind = &batches[512..];
    let mut all = vec![[&b"\0"[..], &batches].concat(), [&b"\x01"[..], &hint].concat()];
    for first in [2, 3, 6, 7] {
        all.push([&[first], behind].concat());
        all.push([&[first], &behind[..700]].concat());
    }
    all
}

/// Settings files.
pub fn files() -> Vec<Vec<u8>> {
    all(&[
        "listen = [\"0.0.0.0:${PORT}\"]\nadmin = \"127.0.0.1:9900\"\nthreads = 2\ngrace = \"10s\"\n\n[limits]\nhead_bytes = \"16 KiB\"\nfields = 64\nhead_time = \"5s\"\nbody_bytes = \"1 GiB\"\nstreams = 10\n\n[forward]\nvia = \"x\"\ntrusted = [\"10.0.0.0/8\", \"::1\"]\nforwarded = true\n\n[service.catalog]\nservers = [\"http://10.0.0.1:3000\", \"https://[::1]:3000\"]\nhttp = \"auto\"\nhost = \"${HOST}\"\nconnect_time = \"1s\"\n\n[[route]]\nmatch = \"GET shop.test/products/{id}\"\nto = \"catalog\"\nstrip = \"/products\"\nprepend = \"/v1\"\ntimeout = \"3s\"\n\n[[route]]\nmatch = \"*\"\nto = \"catalog\"\n",
        "[service.a]\nservers = [\"http://127.0.0.1:1\"]\n[[route]]\nmatch = \"/a/*\"\nto = \"b\"\n",
        "[cache]\nmemory = \"64 MiB\"\nredis = \"redis://me:pa55@a/2\"\nprefix = \"x:\"\npurge_token = \"12345678\"\nttl = \"1m\"\ndisk = { path = \"/d\", size = \"1 GiB\" }\nkey = { query = [\"p\"] }\n[service.a]\nservers = \"http://a\"\n[[route]]\nmatch = \"/a/{id}\"\nto = \"a\"\ncache = { ttl = false, tags = [\"x:{id}\"], key = { query = \"*\", cookies = [\"c\"] } }\n",
        "[offload]\nnode = \"a\"\nsecret = \"sixteen-or-more-of-them\"\nkey = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\npeers = { b = \"http://b\" }\ncallback = { allow = \"10.0.0.0/8\", secrets = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\" }\n[queue.q]\nbroker = \"nats://t0ken@h:1,i/x?password=y\"\nrate = \"5/10s\"\nretry = { growth = \"150%\", statuses = [503] }\n[service.a]\nservers = \"http://a\"\n[[route]]\nmatch = \"/a/{id}\"\nto = \"a\"\noffload = { queue = \"q\", order = \"{id}{header.X}\", drop = \"cookie\", callback = \"https://h?x\" }\n",
        "[queue.default]\non_dead = \"block\"\n[events.e]\nbus = \"kafka://me:pa55@h\"\ntypes = \"a.*\"\npurge = [\"p:{subject}\", \"{data.a.0}\"]\ncall = \"/a\"\n[service.a]\nservers = \"http://a\"\n[[route]]\nmatch = \"/{id}\"\nto = \"a\"\noffload = { when = \"prefer\", delay = \"1s\", callback = { field = \"X-Call\" } }\npublish = { to = \"e\", type = \"t\", subject = \"{id}\" }\n",
        "[service.a]\nserver = [\"ftp://x\"]\nconnect_time = \"5 parsec\"\n",
        "listen = 5\n[limits\nfoo = \"${NOPE}\"\n",
        "[service]\na = { servers = [\"http://${ODD}\"] }\nroute = [{ match = \"GET,POST *.x/{a}/{a}\", to = \"a\" }]\n",
        "x = '''\n\u{e9}\n'''\n[a.b.\"c d\"]\n1 = 1e400\n",
    ])
}

/// Words of what the cache reads.
pub const CACHE_WORDS: &[&str] = &[
    "\n",
    ",",
    ", ",
    ";",
    "=",
    "\"",
    "\\",
    "\\\"",
    "max-age=",
    "max-age=5",
    "s-maxage=2147483648",
    "no-store",
    "no-cache=\"a, b\"",
    "private=a",
    "stale-while-revalidate=5",
    "must-understand",
    "99999999999999999999",
    "-1",
    "1.5",
    "?0",
    "(a \"b\")",
    ":YQ==:",
    "%\"a\"",
    "@5",
    "*",
    "q=0.5",
    ";q=0",
    "gzip",
    "x-gzip",
    "identity",
    "de-AT",
    "en",
    "Accept-Encoding",
    "Accept-Language",
    "Cookie",
    "bytes=",
    "bytes 4-9/10",
    "-5",
    "0-",
    "18446744073709551615",
    "/*",
    "W/",
    "\"a\"",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Feb",
    "29",
    "gmt",
];

fn bytes(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Cache-Control, plain and targeted.
pub fn cache_controls() -> Vec<Vec<u8>> {
    bytes(&[
        "max-age=3600, s-maxage=10\nno-store",
        "no-cache=\"a, b\", private=c, public, must-revalidate",
        "max-age=1, extension=\"max-age=3600, \\\"no-store\"",
        "extension=\"a, no-store, public",
        "max-age=600, stale-while-revalidate=30, stale-if-error=60;a=b",
        "a=(\"x\" y);q=1, b=:YQ==:, c=?0, d=1.5, max-age=99999999999",
        "\"a\", \"b c\";x=1",
    ])
}

/// Dates in three formats.
pub fn dates() -> Vec<Vec<u8>> {
    bytes(&[
        "Sun, 06 Nov 1994 08:49:37 GMT\nSunday, 06-Nov-94 08:49:37 GMT\nSun Nov  6 08:49:37 1994",
        "Tue, 29 Feb 2028 23:59:60 GMT\n0",
        "Sat, 01 Jan 0000 00:00:00 GMT\nFri, 31 Dec 9999 23:59:59 gmt",
    ])
}

/// Vary, then values of what it names.
pub fn varies() -> Vec<Vec<u8>> {
    bytes(&[
        "Accept-Encoding\ngzip, br;q=0.5, *;q=0",
        "Accept-Language\nen, de;q=0.8, fr;q=0, *;q=0.1",
        "Foo, Accept, Bar\na , \"b , c\"\nx;q=1\n d",
        "*, Cookie\na=b",
    ])
}

/// Range, Content-Range, If-Range, a tag.
pub fn ranges() -> Vec<Vec<u8>> {
    bytes(&[
        "bytes=0-499\nbytes 0-499/1000\n\"a\"\n\"a\"",
        "bytes=-500, 0-0\nbytes 4-9/*\nW/\"a\", \"b,\"\nW/\"a\"",
        "bytes=500-600,601-999\nbytes 500-999/1000",
        "bytes=9-18446744073709551615\nbytes 0-18446744073709551615/*",
    ])
}

/// Words of deadlines, lists of servers and gRPC frames.
pub const SERVICE_WORDS: &[&str] = &[
    "100m",
    "99999999H",
    "1n",
    "0S",
    "250ms",
    "1.5s",
    "http://",
    "https://",
    "10.0.0.1",
    "[::1]",
    ":3000",
    "weight=",
    "priority=",
    "zone=",
    "eu-1",
    "#",
    "none",
    "\n",
    " ",
    "/",
    "\0",
    "\u{8}",
];

/// Where `timing` begins.
pub fn timing() -> Vec<Vec<u8>> {
    [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
        "db;dur=53.2;desc=\"a, b\", app;dur=47\nredis;dur=\"1.5\"",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Words of `timing`.
pub const TIMING_WORDS: &[&str] = &["00-", "-01", ";dur=", "db", "cache", "\"", "\\", "1e9", "NaN"];

/// Where `services` begins.
pub fn services() -> Vec<Vec<u8>> {
    let texts = [
        "100m",
        "1H",
        "1.5s",
        "http://10.0.0.1:3000 weight=2 priority=1 zone=eu-1 # why\nhttps://[::1]\n",
        "none",
        "\0\0\0\0\u{2}\u{8}\u{1}",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Where `cloudevents` begins: one, several, and one in fields.
pub fn cloudevents() -> Vec<Vec<u8>> {
    [
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\",\"subject\":\"7\",\"x\":-5,\"data\":{\"a\":[1.50]}}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"urn:a\",\"type\":\"t\",\"time\":\"2018-04-05T17:31:00Z\",\"datacontenttype\":\"text/xml\",\"data\":\"<a/>\"}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\",\"data_base64\":\"AAEC\"}",
        "[{\"specversion\":\"1.0\",\"id\":\"\\ud83d\\ude00\",\"source\":\"/a\",\"type\":\"t\",\"a\":null,\"b\":true}]",
        "ce-specversion: 1.0\nCe-Id: %e2%82%ac\nce-source: /a\nce-type: \"t \\\"a\"\ncontent-type: text/plain\n\nx",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Words of `cloudevents`.
pub const EVENT_WORDS: &[&str] = &[
    "\"data\":", "\"data_base64\":", "\"datacontenttype\":", "\"subject\":", "\"dataschema\":", "\"time\":", "null",
    "application/json", "text/plain", "ce-x: ", "ce-id: ", "content-type: ", "%25", "\\u0000", "\\ud800", "=\"", "+json",
];

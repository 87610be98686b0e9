//! Where callbacks may go: addresses by what they are for, URLs in all the ways that some library reads.

use super::*;

const PUBLIC_ONLY: Allowed<'_> = Allowed { networks: &[], http: true };

fn net(text: &str) -> (IpAddr, u8) {
    let (address, prefix) = text.split_once('/').unwrap();
    (address.parse().unwrap(), prefix.parse().unwrap())
}

/// What becomes of a URL with a literal address, `ok` or why not.
fn read(url: &str, allowed: &Allowed<'_>) -> String {
    match Url::read(url, allowed) {
        Ok(_) => "ok".to_owned(),
        Err(NoCallback::Address(_, kind)) => kind.name().to_owned(),
        Err(NoCallback::Malformed(_)) => "malformed".to_owned(),
        Err(NoCallback::Port(_)) => "port".to_owned(),
        Err(NoCallback::Long) => "long".to_owned(),
        Err(NoCallback::Scheme) => "scheme".to_owned(),
        Err(NoCallback::User) => "user".to_owned(),
        Err(NoCallback::Number) => "number".to_owned(),
        Err(NoCallback::Local) => "local".to_owned(),
    }
}

#[test]
fn each_address_is_what_it_is_for() {
    use Kind as K;
    for (address, kind) in [
        ("8.8.8.8", K::Public),
        ("1.1.1.1", K::Public),
        ("9.255.255.255", K::Public),
        ("11.0.0.0", K::Public),
        ("172.15.255.255", K::Public),
        ("172.32.0.0", K::Public),
        ("192.167.255.255", K::Public),
        ("192.169.0.0", K::Public),
        ("100.63.255.255", K::Public),
        ("100.128.0.0", K::Public),
        ("169.253.0.1", K::Public),
        ("223.255.255.255", K::Public),
        ("0.0.0.0", K::Unspecified),
        ("0.1.2.3", K::Reserved),
        ("10.0.0.0", K::Private),
        ("10.255.255.255", K::Private),
        ("127.0.0.1", K::Loopback),
        ("127.255.255.254", K::Loopback),
        ("172.16.0.1", K::Private),
        ("172.31.255.255", K::Private),
        ("192.168.0.1", K::Private),
        ("100.64.0.1", K::Shared),
        ("100.127.255.255", K::Shared),
        ("100.100.100.200", K::Metadata),
        ("169.254.169.254", K::Metadata),
        ("169.254.170.2", K::Metadata),
        ("168.63.129.16", K::Metadata),
        ("192.0.0.192", K::Metadata),
        ("169.254.0.1", K::LinkLocal),
        ("192.0.0.8", K::Reserved),
        ("192.0.2.1", K::Documentation),
        ("198.51.100.7", K::Documentation),
        ("203.0.113.9", K::Documentation),
        ("192.88.99.1", K::Tunnel),
        ("198.18.0.1", K::Benchmark),
        ("198.19.255.255", K::Benchmark),
        ("224.0.0.1", K::Multicast),
        ("239.255.255.255", K::Multicast),
        ("240.0.0.1", K::Reserved),
        ("255.255.255.254", K::Reserved),
        ("255.255.255.255", K::Broadcast),
        ("2606:4700:4700::1111", K::Public),
        ("2a00:1450:4001::1", K::Public),
        ("::", K::Unspecified),
        ("::1", K::Loopback),
        ("::7f00:1", K::Loopback),
        ("::ffff:127.0.0.1", K::Loopback),
        ("::ffff:10.0.0.1", K::Private),
        ("::ffff:169.254.169.254", K::Metadata),
        ("::ffff:8.8.8.8", K::Public),
        ("::ffff:0:10.0.0.1", K::Private),
        ("64:ff9b::a00:1", K::Private),
        ("64:ff9b::7f00:1", K::Loopback),
        ("64:ff9b::808:808", K::Public),
        ("64:ff9b:1::808:808", K::Tunnel),
        ("2002:7f00:1::", K::Tunnel),
        ("2002:808:808::1", K::Tunnel),
        ("2001::1", K::Tunnel),
        ("2001:2::1", K::Benchmark),
        ("2001:10::1", K::Reserved),
        ("2001:db8::1", K::Documentation),
        ("3fff:1::1", K::Documentation),
        ("2a00:1450::5efe:a00:1", K::Tunnel),
        ("fc00::1", K::Private),
        ("fd12:3456::1", K::Private),
        ("fd00:ec2::254", K::Metadata),
        ("fec0::1", K::Private),
        ("fe80::1", K::LinkLocal),
        ("febf::1", K::LinkLocal),
        ("ff02::1", K::Multicast),
        ("100::1", K::Reserved),
        ("4000::1", K::Reserved),
        ("5f00::1", K::Reserved),
        ("e000::1", K::Reserved),
    ] {
        assert_eq!(Kind::of(address.parse().unwrap()), kind, "{address}");
    }
}

#[test]
fn urls_are_read_in_one_way_or_refused() {
    for (url, what) in [
        ("https://hooks.example/jobs", "ok"),
        ("https://hooks.example", "ok"),
        ("https://hooks.example?a=1", "ok"),
        ("https://hooks.example.:8443/x", "ok"),
        ("HTTPS://Hooks.Example/", "ok"),
        ("https://8.8.8.8/", "ok"),
        ("https://[2606:4700::1]:9000/", "ok"),
        ("https://xn--bcher-kva.example/", "ok"),
        ("https://127.0.0.1.nip.example/", "ok"), // its addresses are looked at when it is resolved
        // This machine, in all the ways that some library or other reads.
        ("http://127.0.0.1/", "loopback"),
        ("http://127.0.0.1./", "loopback"),
        ("http://127.0.0.1:6379/", "loopback"),
        ("http://127.1/", "number"),
        ("http://127.0.1/", "number"),
        ("http://2130706433/", "number"),
        ("http://0177.0.0.1/", "number"),
        ("http://017700000001/", "number"),
        ("http://0x7f.0.0.1/", "number"),
        ("http://0x7f.1/", "number"),
        ("http://0x7f000001/", "number"),
        ("http://0X7F000001/", "number"),
        ("http://127.0.0.0x1/", "number"),
        ("http://0/", "number"),
        ("http://0x/", "number"),
        ("http://127.0.0.1../", "malformed"),
        ("http://127.0.0.01/", "number"),
        ("http://00000177.0.0.1/", "number"),
        ("http://256.256.256.256/", "number"),
        ("http://1.2.3.4.5/", "number"),
        ("http://a.1/", "number"),
        ("http://a.1./", "number"),
        ("http://[::1]/", "loopback"),
        ("http://[::]/", "unspecified"),
        ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "loopback"),
        ("http://[::ffff:7f00:1]/", "loopback"),
        ("http://[::127.0.0.1]/", "loopback"),
        ("http://[64:ff9b::127.0.0.1]/", "loopback"),
        ("http://[fe80::1%25eth0]/", "number"),
        ("http://[fe80::1%eth0]/", "number"),
        ("http://[::1/", "number"),
        ("http://[::1]x/", "number"),
        ("http://[127.0.0.1]/", "number"),
        ("http://::1/", "malformed"),
        ("http://localhost/", "local"),
        ("http://LOCALHOST:8080/", "local"),
        ("http://localhost./", "local"),
        ("http://db.localhost/", "local"),
        ("http://169.254.169.254/latest/meta-data/", "the metadata of a cloud"),
        ("http://[fd00:ec2::254]/", "the metadata of a cloud"),
        ("http://10.1.2.3/", "private"),
        // Who is asked, and who seems to be.
        ("https://hooks.example@10.0.0.1/", "user"),
        ("https://user:secret@hooks.example/", "user"),
        ("https://@hooks.example/", "user"),
        ("https://hooks.example\\@10.0.0.1/", "malformed"),
        ("https://hooks.example#@10.0.0.1/", "malformed"),
        ("https://hooks.example/@10.0.0.1", "ok"),
        ("https://hooks.example%2f.evil.example/", "malformed"),
        ("https://hooks.example%00/", "malformed"),
        ("https://12７.0.0.1/", "malformed"),
        ("https://①②⑦.0.0.1/", "malformed"),
        ("https://hooks。example/", "malformed"),
        ("https://hooks.example\t/", "malformed"),
        ("https://hooks.example/a b", "malformed"),
        ("https://hooks.example/\r\nX: y", "malformed"),
        ("https://", "malformed"),
        ("https:///jobs", "malformed"),
        ("https://.", "malformed"),
        ("https://.example/", "malformed"),
        ("https://a..example/", "malformed"),
        ("https:hooks.example/", "malformed"),
        ("//hooks.example/", "malformed"),
        ("hooks.example", "malformed"),
        ("", "malformed"),
        ("ftp://hooks.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://hooks.example/", "scheme"),
        ("javascript://hooks.example/", "scheme"),
        // Ports of other things.
        ("https://hooks.example:0/", "malformed"),
        ("https://hooks.example:/", "malformed"),
        ("https://hooks.example:65536/", "malformed"),
        ("https://hooks.example:+443/", "malformed"),
        ("https://hooks.example:4 43/", "malformed"),
        ("https://hooks.example:443:80/", "malformed"),
        ("https://hooks.example:22/", "port"),
        ("http://hooks.example:25/", "port"),
        ("http://8.8.8.8:53/", "port"),
        ("http://hooks.example:443/", "ok"),
        ("http://hooks.example:80/", "ok"),
    ] {
        assert_eq!(read(url, &PUBLIC_ONLY), what, "{url}");
    }
    let long = format!("https://hooks.example/{}", "a".repeat(URL_BYTES_MAX));
    assert_eq!(read(&long, &PUBLIC_ONLY), "long");
    let name = format!("https://{}.example/", "a".repeat(64));
    assert_eq!(read(&name, &PUBLIC_ONLY), "malformed");
    let secure = Allowed { networks: &[], http: false };
    assert_eq!(read("http://hooks.example/", &secure), "scheme");
    assert_eq!(read("https://hooks.example/", &secure), "ok");
}

#[test]
fn a_url_is_taken_apart() {
    let url = Url::read("HTTPS://Hooks.Example.:8443/Jobs?a=B", &PUBLIC_ONLY).unwrap();
    let host = Host::Name("hooks.example".to_owned());
    let (authority, target) = ("hooks.example:8443".to_owned(), "/Jobs?a=B".to_owned());
    assert_eq!(url, Url { tls: true, host, port: 8443, authority, target });
    let url = Url::read("http://[2606:4700:0::1]:80?q", &PUBLIC_ONLY).unwrap();
    assert_eq!((url.authority.as_str(), url.target.as_str()), ("[2606:4700::1]", "/?q"));
    assert_eq!((url.port, url.tls), (80, false));
}

#[test]
fn networks_that_are_allowed_are_called() {
    let networks = [net("10.0.0.0/8"), net("127.0.0.0/8"), net("fd00::/8"), net("169.254.0.0/16")];
    let allowed = Allowed { networks: &networks, http: true };
    for (url, what) in [
        ("http://10.9.8.7/", "ok"),
        ("http://10.9.8.7:22/", "ok"),
        ("http://127.0.0.1:9/", "ok"),
        ("http://localhost/", "ok"),
        ("http://[::ffff:10.0.0.1]/", "ok"),
        ("http://[fd12::1]/", "ok"),
        ("http://[::1]/", "loopback"),
        ("http://192.168.0.1/", "private"),
        ("http://169.254.0.1/", "ok"),
        ("http://169.254.169.254/", "the metadata of a cloud"),
        ("http://0.0.0.0/", "unspecified"),
        ("http://8.8.8.8:53/", "port"),
    ] {
        assert_eq!(read(url, &allowed), what, "{url}");
    }
    let all = [net("0.0.0.0/0"), net("::/0"), net("169.254.169.254/32")];
    let allowed = Allowed { networks: &all, http: true };
    for (url, what) in [
        ("http://192.168.0.1/", "ok"),
        ("http://[::1]/", "ok"),
        ("http://169.254.169.254/", "ok"),
        ("http://100.100.100.200/", "the metadata of a cloud"),
        ("http://224.0.0.1/", "multicast"),
        ("http://[::]/", "unspecified"),
    ] {
        assert_eq!(read(url, &allowed), what, "{url}");
    }
}

//! Whose request it is.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn behind_trusted_proxies_the_first_stranger_from_the_end_is_the_client() {
    let check = |peer: &str, lines: &[&str], client: &str| {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let trusted = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        assert_eq!(first_stranger(ip(peer), &lines, trusted), ip(client), "{lines:?}");
    };
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["192.0.2.7"], "192.0.2.7");
    check("10.0.0.1", &["203.0.113.9, 192.0.2.7, 10.0.0.2"], "192.0.2.7");
    check("10.0.0.1", &["203.0.113.9", "192.0.2.7", "10.0.0.2"], "192.0.2.7");
    check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7");
    check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
    check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
    check("10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1");
    check("10.0.0.1", &["192.0.2.7, _hidden, 10.0.0.2"], "10.0.0.2");
}

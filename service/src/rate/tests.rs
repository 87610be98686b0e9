//! Rates at given moments.

use super::*;
use std::net::Ipv4Addr;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn rate(limit: u32, per: u64, burst: u32, by: RateBy) -> Rate {
    let per = Duration::from_secs(per);
    Rate { name: "r".to_owned(), limit, per, burst, by, shared: false }
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(n))
}

fn none(_: &str) -> Option<&'static [u8]> {
    None
}

/// Requests of one client at milliseconds, and how many of each come through.
fn check(limit: u32, per: u64, burst: u32, steps: &[(u64, u32, u32)]) {
    for by in [RateBy::Route, RateBy::Client, RateBy::Header("x".to_owned())] {
        let rule = Rule::new(&rate(limit, per, burst, by));
        for &(ms, asked, through) in steps {
            let who = rule.who(client(1), none);
            let allowed = (0..asked).filter(|_| rule.take(who, at(ms)).allowed).count();
            assert_eq!(allowed, through as usize, "at {ms} of {steps:?}");
        }
    }
}

#[test]
fn a_burst_and_then_the_rate() {
    check(10, 1, 5, &[(0, 9, 5), (99, 1, 0), (100, 2, 1), (1_000, 9, 5)]);
    check(1, 60, 1, &[(0, 2, 1), (59_999, 1, 0), (60_000, 2, 1)]);
    check(100, 1, 100, &[(0, 300, 100), (500, 300, 50), (10_000, 300, 100)]);
}

#[test]
fn what_is_left_is_told() {
    let rule = Rule::new(&rate(60, 60, 3, RateBy::Route));
    let outcomes: Vec<_> = (0..4)
        .map(|_| rule.take(Who::All, at(500)))
        .map(|o| (o.allowed, o.remaining, o.reset.as_millis(), o.retry.as_millis()))
        .collect();
    let expected = [
        (true, 2, 1_000, 0),
        (true, 1, 2_000, 0),
        (true, 0, 3_000, 1_000),
        (false, 0, 3_000, 1_000),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn fields_as_the_draft_writes_them() {
    let mut settings = rate(100, 60, 100, RateBy::Route);
    settings.name = "per \"ip\" – all".to_owned();
    let rule = Rule::new(&settings);
    assert_eq!(rule.policy, r#""per \"ip\"  all";q=100;w=60"#);
    let outcome = rule.take(Who::All, at(0));
    assert_eq!(rule.field(&outcome), r#""per \"ip\"  all";r=99;t=1"#);
    settings.per = Duration::from_millis(100);
    assert_eq!(Rule::new(&settings).policy, r#""per \"ip\"  all";q=1000;w=1"#);
}

#[test]
fn everybody_has_his_own() {
    let rule = Rule::new(&rate(1, 60, 1, RateBy::Client));
    let take = |text: &str| {
        let who = rule.who(text.parse().unwrap(), none);
        rule.take(who, at(0)).allowed
    };
    assert!(take("192.0.2.1"));
    assert!(!take("192.0.2.1"));
    assert!(!take("::ffff:192.0.2.1"), "the same, written otherwise");
    assert!(take("192.0.2.2"));
    assert!(take("2001:db8:1:2::1"));
    assert!(!take("2001:db8:1:2:ffff::9"), "the same /64");
    assert!(take("2001:db8:1:3::1"));
    let rule = Rule::new(&rate(1, 60, 1, RateBy::Header("x-key".to_owned())));
    let take = |value: Option<&'static [u8]>| {
        rule.take(rule.who(client(1), |name| value.filter(|_| name == "x-key")), at(0)).allowed
    };
    assert!(take(Some(b"a")) && take(Some(b"b")) && !take(Some(b"a")));
    assert!(take(None) && !take(None), "requests without it, together");
}

#[test]
fn the_most_restrictive_rule_speaks_and_a_refusal_costs_nothing_elsewhere() {
    let mut wide = rate(100, 1, 100, RateBy::Route);
    wide.name = "wide".to_owned();
    let mut narrow = rate(2, 1, 2, RateBy::Client);
    narrow.name = "narrow".to_owned();
    let rates = Rates::new(&[wide, narrow], None);
    let check = |ip| rates.check(at(0), client(ip), none).unwrap();
    assert_eq!(check(1).rule.settings.name, "narrow");
    assert_eq!(check(1).outcome.remaining, 0);
    for _ in 0..1_000 {
        let said = check(1);
        assert!(!said.outcome.allowed && said.rule.settings.name == "narrow");
    }
    let wide = &rates.rules[0];
    assert_eq!(wide.take(Who::All, at(0)).remaining, 97, "two took, and this one");
    assert_eq!(rates.rules[1].counts(), (2, 1_000));
    assert!(Rates::default().check(at(0), client(1), none).is_none());
}

#[test]
fn rules_that_say_the_same_go_on_across_reloads() {
    let mut settings = [rate(1, 60, 1, RateBy::Client), rate(5, 60, 5, RateBy::Route)];
    settings[1].name = "all".to_owned();
    let before = Rates::new(&settings, None);
    assert!(before.check(at(0), client(1), none).unwrap().outcome.allowed);
    let mut changed = settings.clone();
    changed[1].limit = 6;
    changed[1].name = "other".to_owned();
    let after = Rates::new(&changed, Some(&before));
    assert!(!after.check(at(0), client(1), none).unwrap().outcome.allowed);
    assert_eq!(after.rules[1].counts(), (0, 0), "another name is another rule");
    changed[0].burst = 2;
    let again = Rates::new(&changed, Some(&after));
    assert!(again.check(at(0), client(1), none).unwrap().outcome.allowed);
    assert_eq!(again.rules[0].counts(), (2, 1), "no counter goes back");
}

#[test]
fn made_up_keys_do_not_make_us_forget_who_used_up_his_own() {
    let rule = Rule::new(&rate(100, 60, 100, RateBy::Client));
    let heavy = Who::Client(client(0));
    assert_eq!((0..200).filter(|_| rule.take(heavy, at(0)).allowed).count(), 100);
    for n in 1..=4 * KEYS_MAX as u32 {
        rule.take(Who::Client(client(n)), at(1));
    }
    assert!(!rule.take(heavy, at(2)).allowed);
    let Numbers::Each(table) = &rule.numbers else { panic!() };
    let sets = table.get().unwrap().shards.iter().map(|shard| shard.lock().unwrap().len());
    assert_eq!(sets.sum::<usize>() * WAYS, KEYS_MAX);
}

#[test]
fn a_part_of_a_rate_allows_a_part() {
    let gcra = Gcra::new(90, Duration::from_secs(1), 30).divided(3);
    let (mut paid, mut allowed) = (0, 0);
    for ms in 0..1_000 {
        let (outcome, after) = gcra.take(paid, at(ms));
        paid = after;
        allowed += u32::from(outcome.allowed);
    }
    assert!((39..=40).contains(&allowed), "a burst of ten and thirty a second: {allowed}");
    let tiny = Gcra::new(1, Duration::from_secs(1), 1).divided(3);
    assert!(tiny.take(0, at(0)).0.allowed);
}

#[test]
fn threads_together_get_what_one_would() {
    let settings = [rate(1, 3_600, 1_000, RateBy::Route), rate(1, 3_600, 500, RateBy::Client)];
    let rates = Rates::new(&settings, None);
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let check = |_: &u32| rates.check(at(0), client(1), none).unwrap();
                    (0..1_000).filter(|n| check(n).outcome.allowed).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 500);
}

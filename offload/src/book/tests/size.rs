//! What a million jobs cost, in bytes and in time.

use super::*;

const MILLION: u64 = 1_000_000;

fn id(desk: &mut Desk) -> JobId {
    desk.book.mint(desk.now, &mut desk.rng)
}

fn place(n: u64) -> Place {
    Place { segment: n as u32 / 16_000, offset: n as u32 % 16_000, summary_len: 150, bulk_len: 900 }
}

/// Jobs that wait, made by `change`; bytes of each.
fn bytes_each(count: u64, change: impl Fn(u64, Wall, &mut Summary<'_>)) -> usize {
    let mut desk = Desk::new(vec![queue("mail")]);
    for n in 0..count {
        let id = id(&mut desk);
        let mut summary = Summary { id, queue: "mail", priority: 5, ..Summary::default() };
        change(n, desk.now, &mut summary);
        desk.book.apply(&Record::Accept(summary), place(n), true);
        if n % 10 == 0 {
            desk.pass(millis(1));
        }
    }
    assert_eq!(desk.book.len(), count as usize);
    desk.book.footprint() / count as usize
}

#[test]
fn a_job_that_waits_costs_at_most_128_bytes() {
    let plain = bytes_each(MILLION, |_, _, _| ());
    let expires = bytes_each(MILLION, |_, now, job| job.expires = now + seconds(86_400));
    // The worst: each for its own time, each with its own end, in no order.
    let mut rng = fastrand::Rng::with_seed(1);
    let times: Vec<u64> = (0..MILLION).map(|_| rng.u64(..86_400_000)).collect();
    let scheduled = bytes_each(MILLION, |n, now, job| job.due = now + millis(times[n as usize]));
    let worst = bytes_each(MILLION, |n, now, job| {
        job.due = now + millis(times[n as usize]);
        job.expires = job.due + millis(times[n as usize] * 7 % 86_400_000);
    });
    println!("plain {plain}, expires {expires}, scheduled {scheduled}, both at random {worst}");
    assert!(plain <= 104 && expires <= 104, "plain {plain}, expires {expires}");
    assert!(scheduled <= 120 && worst <= 128, "scheduled {scheduled}, worst {worst}");
    // Those who have more pay for it.
    let ordered = bytes_each(MILLION / 4, |n, _, job| job.order = n / 4 + 1);
    let debounced = bytes_each(MILLION / 4, |n, _, job| job.debounce = n + 1);
    let claimed = bytes_each(MILLION / 4, |n, now, job| {
        (job.claim, job.print) = (u128::from(n + 1), 1);
        job.claimed_until = now + seconds(86_400);
    });
    println!("with an order {ordered}, a debounce {debounced}, a claim {claimed}");
    assert!(ordered.max(debounced) <= 220 && claimed <= 280);
}

/// Nanoseconds that this thread has had a processor: others want one, too.
fn nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Nanoseconds that each of a million steps took.
fn nanos_each(what: &str, step: &mut dyn FnMut(u64)) -> u64 {
    let begun = nanos();
    (0..MILLION).for_each(step);
    let each = (nanos() - begun) / MILLION;
    println!("{what}: {each} ns");
    each
}

#[test]
#[ignore = "measures: cargo nextest run -p offload --run-ignored all --no-capture a_record_takes (#6)"]
fn a_record_takes_less_than_a_microsecond() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..MILLION).map(|_| id(&mut desk)).collect();
    let (at, until, reason) = (desk.now, desk.now, Reason::Status);
    let book = &mut desk.book;
    let expires = at + seconds(86_400);
    let rss = rss();
    let accept = nanos_each("accept", &mut |n| {
        let id = ids[n as usize];
        let summary = Summary { id, queue: "mail", expires, ..Summary::default() };
        book.apply(&Record::Accept(summary), place(n), true);
    });
    let each = (self::rss() - rss) * 1_024 / MILLION;
    println!("resident memory of each job: {each} bytes");
    let pick = nanos_each("pick", &mut |_| assert!(book.pick(at).is_some()));
    let start = nanos_each("start", &mut |n| {
        book.apply(&Record::Start { id: ids[n as usize], at }, Place::default(), true);
    });
    let mut rng = fastrand::Rng::with_seed(1);
    let again = nanos_each("again, at random", &mut |n| {
        let due = at + millis(rng.u64(..1_000_000));
        let id = ids[n as usize];
        book.apply(&Record::Again { id, due, reason, status: 503 }, Place::default(), true);
    });
    let late = at + seconds(1_000);
    let pick_again = nanos_each("pick, by time", &mut |_| assert!(book.pick(late).is_some()));
    let view = nanos_each("view", &mut |n| {
        assert!(book.view(ids[(n * 7_919 % MILLION) as usize], at).is_some());
    });
    let finish = nanos_each("finish", &mut |n| {
        let (id, state) = (ids[n as usize], State::Succeeded);
        let record = Record::Finish { id, state, reason, status: 200, at, until };
        book.apply(&record, Place::default(), true);
    });
    let all = [accept, pick, start, again, pick_again, view, finish];
    assert!(all.iter().max() < Some(&2_000) && all.iter().sum::<u64>() < 7_000, "{all:?}");
    assert!(each <= 128, "{each} bytes");
}

/// Kilobytes of this process that are in memory.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "measures: cargo nextest run -p offload --run-ignored all --no-capture the_log_of (#6)"]
fn the_log_of_a_million_jobs_is_read_in_a_second() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..MILLION).map(|_| id(&mut desk)).collect();
    let at = desk.now;
    let reads = nanos_each("accept, read", &mut |n| {
        let id = ids[n as usize];
        let summary = Summary { id, queue: "mail", ..Summary::default() };
        desk.book.apply(&Record::Accept(summary), place(n), false);
    });
    let begun = nanos();
    desk.book.recovered(at);
    let recovered = (nanos() - begun) / 1_000_000;
    println!("recovered: {recovered} ms");
    assert!(reads < 1_000 && recovered < 500);
}

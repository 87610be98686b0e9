//! Laws without faults: what is put is taken, once, whole, and by one.

use super::{
    LEASE, QUIET, SOON, Stage, done, ids, make_ready, message, messages, nothing_more, patience,
    pause, put, put_one, take,
};
use base::Moment;
use bytes::Bytes;
use offload::queue::{Channel, Message, QueueError, Token};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

const JOBS: Channel = Channel::Jobs;

/// What is put is taken exactly once when it is acknowledged, and never comes again.
pub(crate) async fn what_is_acknowledged_never_comes_again(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("m", 20)).await;
    let taken = take(&*queue, &JOBS, 20).await;
    assert_eq!(ids(&taken).len(), 20, "{taken:?}");
    assert!(taken.iter().all(|one| one.times == 1), "given out for the first time: {taken:?}");
    done(taken).await;
    nothing_more(&*queue, &JOBS).await;
    queue.close().await;
    let queue = stage.queue(name, "a").await;
    nothing_more(&*queue, &JOBS).await;
    let lease = queue.capabilities().lease.unwrap_or_default();
    tokio::time::sleep(lease).await;
    nothing_more(&*queue, &JOBS).await;
}

/// A message is what was put, byte by byte, whatever is in it.
pub(crate) async fn a_message_stays_as_it_is(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    let every_byte: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let cases = [
        ("plain", "", Bytes::from_static(b"hello"), vec![]),
        ("empty", "key", Bytes::new(), vec![("offload-route", "mail".to_owned())]),
        (
            "bytes",
            "a b/\u{e4}%.*>",
            Bytes::from(every_byte),
            vec![("offload-state", "a=b; c".to_owned())],
        ),
    ];
    for (id, key, payload, fields) in cases {
        let message = Message { id: id.to_owned(), key: key.to_owned(), fields, payload };
        put(&*queue, &JOBS, vec![message.clone()]).await;
        let taken = take(&*queue, &JOBS, 1).await;
        let told = &taken[0].message;
        assert_eq!((&told.id, &told.key), (&message.id, &message.key));
        assert!(told.payload == message.payload, "{id}: another payload: {told:?}");
        done(taken).await;
    }
}

/// A message whose taker is gone without a word comes to another.
pub(crate) async fn what_a_lost_taker_held_comes_again(stage: &mut impl Stage, name: &str) {
    let lost = stage.queue(name, "lost").await;
    put(&*lost, &JOBS, messages("m", 5)).await;
    let mut taken = take(&*lost, &JOBS, 5).await;
    let acknowledged: Vec<_> = taken.drain(..2).collect();
    let gone = ids(&acknowledged);
    done(acknowledged).await;
    // What is acknowledged just before the end of a process may not have arrived: that is allowed,
    // and no subject here.
    tokio::time::sleep(QUIET).await;
    drop(taken);
    drop(lost);
    let other = stage.queue(name, "other").await;
    let again = take(&*other, &JOBS, 3).await;
    assert!(ids(&again).is_disjoint(&gone) && ids(&again).len() == 3, "{again:?}");
    if other.capabilities().counts {
        assert!(again.iter().all(|one| one.times == 2), "the second time: {again:?}");
    }
    done(again).await;
    nothing_more(&*other, &JOBS).await;
}

/// What is given back by closing comes to another at once.
pub(crate) async fn closing_gives_back(stage: &mut impl Stage, name: &str) {
    let closing = stage.queue(name, "closing").await;
    let other = stage.queue(name, "other").await;
    put(&*closing, &JOBS, messages("m", 5)).await;
    let held = take(&*closing, &JOBS, 3).await;
    closing.close().await;
    let begun = Moment::now();
    let all = take(&*other, &JOBS, 5).await;
    assert_eq!(ids(&all).len(), 5);
    let lasted = Moment::now().since(begun);
    assert!(lasted < LEASE, "given back by the end of the lease, not by closing: {lasted:?}");
    drop(held);
    done(all).await;
}

/// After closing, calls fail and do not hang.
pub(crate) async fn after_closing_calls_fail(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    queue.close().await;
    let short = Duration::from_millis(300);
    let begun = Moment::now();
    assert!(put_one(&*queue, message("m", 0), short).await.is_err());
    let taken = queue.take(&JOBS, 1, short).await;
    assert!(taken.as_ref().map_or(true, Vec::is_empty), "{taken:?}");
    assert!(Moment::now().since(begun) < SOON / 2);
    queue.close().await;
}

/// What is to come again comes again, and is counted.
pub(crate) async fn again_comes_again(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("m", 3)).await;
    for round in 1..=3 {
        let taken = take(&*queue, &JOBS, 3).await;
        assert_eq!(ids(&taken).len(), 3, "round {round}: {taken:?}");
        for one in taken {
            if queue.capabilities().counts {
                assert_eq!(one.times, round, "{one:?}");
            }
            one.token.again().await.unwrap_or_else(|error| panic!("again: {error}"));
        }
    }
    done(take(&*queue, &JOBS, 3).await).await;
    nothing_more(&*queue, &JOBS).await;
}

/// A thousand are in flight at once: put together, taken together, acknowledged in any order.
pub(crate) async fn a_thousand_are_in_flight(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    let mut putting = tokio::task::JoinSet::new();
    for batch in 0..10 {
        let queue = Arc::clone(&queue);
        putting.spawn(async move {
            put(&*queue, &JOBS, messages(&format!("b{batch}"), 100)).await;
        });
    }
    while let Some(ended) = putting.join_next().await {
        ended.unwrap();
    }
    let mut taken = take(&*queue, &JOBS, 1000).await;
    assert_eq!(ids(&taken).len(), 1000, "all different");
    nothing_more(&*queue, &JOBS).await;
    fastrand::shuffle(&mut taken);
    let mut ending = tokio::task::JoinSet::new();
    for one in taken {
        ending.spawn(one.token.done());
    }
    while let Some(ended) = ending.join_next().await {
        ended.unwrap().unwrap_or_else(|error| panic!("done: {error}"));
    }
    nothing_more(&*queue, &JOBS).await;
}

/// The largest payload is carried; one byte more is refused here, and costs the others nothing.
pub(crate) async fn payloads_have_a_bound(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    let max = queue.capabilities().payload_max;
    let sized =
        |number, bytes| Message { payload: Bytes::from(vec![b'x'; bytes]), ..message("m", number) };
    let batch = vec![message("m", 0), sized(1, max + 1), sized(2, max)];
    let answers = queue.put(&JOBS, batch, SOON).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    match &answers[1] {
        Err(QueueError::TooLarge { bytes, max: told, .. }) => {
            assert_eq!((*bytes, *told), (max + 1, max));
        }
        other => panic!("too large by a byte: {other:?}"),
    }
    let taken = take(&*queue, &JOBS, 2).await;
    let found: HashSet<(String, usize)> =
        taken.iter().map(|one| (one.message.id.clone(), one.message.payload.len())).collect();
    let of_zero = message("m", 0).payload.len();
    assert_eq!(found, HashSet::from([("m-0".to_owned(), of_zero), ("m-2".to_owned(), max)]));
    done(taken).await;
    nothing_more(&*queue, &JOBS).await;
}

/// Two takers share a queue: each message goes to one of them.
pub(crate) async fn takers_share(stage: &mut impl Stage, name: &str) {
    let one = stage.queue(name, "one").await;
    let two = stage.queue(name, "two").await;
    let mut taking = tokio::task::JoinSet::new();
    for queue in [&one, &two] {
        let queue = Arc::clone(queue);
        taking.spawn(async move {
            let mut ids = Vec::new();
            let by = patience();
            let mut quiet = 0;
            // Both begin before anything is put; each ends when nothing has come for a while.
            while quiet < 5 || ids.is_empty() {
                let taken = queue.take(&JOBS, 5, QUIET).await.unwrap();
                quiet = if taken.is_empty() { quiet + 1 } else { 0 };
                for one in taken {
                    ids.push(one.message.id.clone());
                    one.token.done().await.unwrap();
                }
                assert!(!by.passed(Moment::now()), "one taker got {}", ids.len());
            }
            ids
        });
    }
    // Larger numbers in small steps, so that both have a chance.
    for batch in 0..20 {
        put(&*one, &JOBS, messages(&format!("b{batch}"), 10)).await;
    }
    let mut all = Vec::new();
    while let Some(ended) = taking.join_next().await {
        all.extend(ended.unwrap());
    }
    let different: HashSet<&String> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (200, 200), "each to one, all of them");
}

/// The news of two owners are apart, from each other and from jobs.
pub(crate) async fn news_are_apart(stage: &mut impl Stage, name: &str) {
    let one = stage.queue(name, "one").await;
    let two = stage.queue(name, "two").await;
    let news = |node: &str| Channel::News(node.to_owned());
    put(&*one, &news("two"), messages("for-two", 3)).await;
    put(&*two, &news("one"), messages("for-one", 2)).await;
    put(&*two, &JOBS, messages("job", 1)).await;
    // What one owner does not take must not keep the other waiting.
    let for_two = take(&*two, &news("two"), 3).await;
    assert!(for_two.iter().all(|one| one.message.id.starts_with("for-two")), "{for_two:?}");
    done(for_two).await;
    nothing_more(&*two, &news("two")).await;
    let for_one = take(&*one, &news("one"), 2).await;
    assert!(for_one.iter().all(|one| one.message.id.starts_with("for-one")), "{for_one:?}");
    done(for_one).await;
    let job = take(&*one, &JOBS, 1).await;
    assert_eq!(job[0].message.id, "job-0");
    done(job).await;
    for queue in [&one, &two] {
        nothing_more(&**queue, &JOBS).await;
    }
}

/// Two gateways make a queue ready at once, and again, and nothing is lost by it.
pub(crate) async fn ready_can_be_said_again(stage: &mut impl Stage, name: &str) {
    let one = stage.open(&stage.options(name, "one"));
    let two = stage.open(&stage.options(name, "two"));
    tokio::join!(make_ready(&*one), make_ready(&*two));
    put(&*one, &JOBS, messages("m", 3)).await;
    tokio::join!(make_ready(&*one), make_ready(&*two));
    let third = stage.queue(name, "three").await;
    done(take(&*third, &JOBS, 3).await).await;
}

/// Taking waits for the first, as long as it was told and no longer, and does not wait for more.
pub(crate) async fn taking_waits_as_long_as_told(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    // Whatever the first call has to set up is no subject here.
    nothing_more(&*queue, &JOBS).await;
    let begun = Moment::now();
    assert!(queue.take(&JOBS, 10, Duration::from_millis(500)).await.unwrap().is_empty());
    let lasted = Moment::now().since(begun);
    let expected = Duration::from_millis(450)..Duration::from_secs(3);
    assert!(expected.contains(&lasted), "waited for {lasted:?}");

    let waiting = Arc::clone(&queue);
    let taken = tokio::spawn(async move { waiting.take(&JOBS, 10, SOON).await.unwrap() });
    tokio::time::sleep(QUIET).await;
    let begun = Moment::now();
    put(&*queue, &JOBS, messages("m", 1)).await;
    let taken = taken.await.unwrap();
    let lasted = Moment::now().since(begun);
    assert!(lasted < SOON / 2, "one message was to be enough, at once: {lasted:?}");
    assert_eq!(taken.len(), 1);
    done(taken).await;
}

/// A call that is dropped while it waits loses nothing.
pub(crate) async fn a_dropped_call_loses_nothing(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    let all = messages("m", 60);
    let mut found = HashSet::new();
    let by = patience();
    for batch in all.chunks(3) {
        put(&*queue, &JOBS, batch.to_vec()).await;
        let chance = Duration::from_micros(fastrand::u64(0..4000));
        let taken = tokio::time::timeout(chance, queue.take(&JOBS, 2, SOON)).await;
        let taken = taken.map_or_else(|_| Vec::new(), |taken| taken.unwrap());
        found.extend(ids(&taken));
        done(taken).await;
    }
    while found.len() < all.len() {
        let taken = queue.take(&JOBS, 10, QUIET).await.unwrap();
        found.extend(ids(&taken));
        done(taken).await;
        assert!(!by.passed(Moment::now()), "{} of {} came", found.len(), all.len());
    }
}

/// A queue that is full says so, takes nothing more, and takes again when there is room.
pub(crate) async fn a_full_queue_says_so(stage: &mut impl Stage, name: &str) {
    let options = broker::Options { waiting_max: Some(10), ..stage.options(name, "a") };
    let queue = stage.open(&options);
    make_ready(&*queue).await;
    let mut stored = HashSet::new();
    let mut full = HashSet::new();
    // Brokers may let a few more in than they were told.
    for number in 0..60 {
        let message = message("m", number);
        let id = message.id.clone();
        match put_one(&*queue, message, SOON).await {
            Ok(()) => stored.insert(id),
            Err(QueueError::Full { .. }) => full.insert(id),
            Err(other) => panic!("neither stored nor full: {other}"),
        };
    }
    assert!(stored.len() >= 10 && full.len() >= 20, "{} stored, {} not", stored.len(), full.len());
    let taken = take(&*queue, &JOBS, stored.len()).await;
    assert_eq!(ids(&taken), stored, "what was refused is not there");
    done(taken).await;
    let by = patience();
    while let Err(error) = put_one(&*queue, message("later", 0), SOON).await {
        assert!(!by.passed(Moment::now()), "it stays full: {error}");
        pause().await;
    }
    done(take(&*queue, &JOBS, 1).await).await;
    nothing_more(&*queue, &JOBS).await;
}

/// A broker that can tell how many wait tells it.
pub(crate) async fn waiting_is_told(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    assert_eq!(queue.waiting(&JOBS).await, Some(0));
    put(&*queue, &JOBS, messages("m", 7)).await;
    let by = patience();
    while queue.waiting(&JOBS).await != Some(7) {
        assert!(!by.passed(Moment::now()), "{:?}", queue.waiting(&JOBS).await);
        pause().await;
    }
    done(take(&*queue, &JOBS, 7).await).await;
    let by = patience();
    while queue.waiting(&JOBS).await != Some(0) {
        assert!(!by.passed(Moment::now()), "{:?}", queue.waiting(&JOBS).await);
        pause().await;
    }
}

/// Where a broker counts the time that a message is taken: signs of life prolong it, silence ends it.
pub(crate) async fn signs_of_life_keep_a_message(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    let lease = queue.capabilities().lease.expect("a broker that counts the time");
    put(&*queue, &JOBS, messages("m", 1)).await;
    let taken = take(&*queue, &JOBS, 1).await;
    let other = stage.queue(name, "other").await;
    let token: &Token = &taken[0].token;
    for _ in 0..6 {
        let wait = lease / 3;
        let stolen = other.take(&JOBS, 1, wait).await.unwrap();
        assert!(stolen.is_empty(), "in spite of signs of life: {stolen:?}");
        token.still().await.unwrap_or_else(|error| panic!("still: {error}"));
    }
    let begun = Moment::now();
    let again = take(&*other, &JOBS, 1).await;
    let lasted = Moment::now().since(begun);
    assert!(lasted > lease / 2, "silence of {lasted:?} was enough");
    done(again).await;
    nothing_more(&*other, &JOBS).await;
}

/// A broker that forgets twins forgets them.
pub(crate) async fn twins_are_forgotten(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    assert!(queue.capabilities().forgets_twins.is_some(), "a broker that forgets twins");
    for _ in 0..3 {
        put(&*queue, &JOBS, messages("m", 2)).await;
    }
    let taken = take(&*queue, &JOBS, 2).await;
    assert_eq!(ids(&taken).len(), 2);
    done(taken).await;
    put(&*queue, &JOBS, messages("m", 2)).await;
    nothing_more(&*queue, &JOBS).await;
}

//! Laws under faults: a broker that is away, killed, frozen or cut off loses nothing it has taken in.

use super::{
    How, PATIENCE, SOON, Stage, ids, message, messages, patience, pause, put, put_one, take,
};
use base::Moment;
use offload::queue::{Channel, Queue, QueueError};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const JOBS: Channel = Channel::Jobs;
/// What a put is given in these laws.
const BY: Duration = Duration::from_millis(800);
/// What it may take beyond that, on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// Puts one message and sees that it fails in time, with doubt or with the word that it is away.
async fn put_fails_in_time(queue: &dyn Queue, number: usize) {
    let begun = Moment::now();
    let answer = tokio::time::timeout(PATIENCE, put_one(queue, message("lost", number), BY)).await;
    let lasted = Moment::now().since(begun);
    match answer.expect("put() hangs") {
        Err(QueueError::Away { .. } | QueueError::Unknown { .. }) => {}
        other => panic!("away or unknown: {other:?}"),
    }
    assert!(lasted < BY + GRACE, "{lasted:?} for {BY:?}");
}

/// Puts one message as soon as that works again.
async fn put_recovers(queue: &dyn Queue, number: usize) {
    let by = patience();
    while let Err(error) = put_one(queue, message("after", number), BY).await {
        assert!(!by.passed(Moment::now()), "it does not recover: {error}");
        pause().await;
    }
}

/// Takes until all of these have come, acknowledging what comes; others may come as well.
async fn take_until(queue: &dyn Queue, wanted: &HashSet<String>) -> HashSet<String> {
    let by = patience();
    let mut found = HashSet::new();
    while !wanted.is_subset(&found) {
        match queue.take(&JOBS, 100, Duration::from_millis(500)).await {
            Ok(taken) => {
                found.extend(ids(&taken));
                for one in taken {
                    let _ = one.token.done().await;
                }
            }
            Err(_) => pause().await,
        }
        let missing = wanted.difference(&found).count();
        assert!(!by.passed(Moment::now()), "{missing} of {} are lost", wanted.len());
    }
    found
}

/// While the broker is gone puts fail in time, and takes do; once it is back both work by
/// themselves, and what it had taken in is there.
pub(crate) async fn a_broker_that_is_gone_comes_back(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("before", 5)).await;
    stage.stop(How::Kill);
    for number in 0..3 {
        put_fails_in_time(&*queue, number).await;
    }
    let begun = Moment::now();
    let taken = tokio::time::timeout(PATIENCE, queue.take(&JOBS, 1, BY)).await;
    let lasted = Moment::now().since(begun);
    assert!(taken.expect("take() hangs").map_or(true, |taken| taken.is_empty()));
    assert!(lasted < BY + GRACE, "{lasted:?}");
    stage.start();
    put_recovers(&*queue, 0).await;
    let mut wanted: HashSet<String> = messages("before", 5).into_iter().map(|m| m.id).collect();
    wanted.insert("after-0".to_owned());
    take_until(&*queue, &wanted).await;
}

/// A queue is opened while its broker is away, says so in time, and gets ready when it is there.
pub(crate) async fn a_broker_may_come_late(stage: &mut impl Stage, name: &str) {
    stage.stop(How::Term);
    let queue = stage.open(&stage.options(name, "a"));
    let not_ready = tokio::time::timeout(PATIENCE, queue.ready()).await.expect("ready() hangs");
    assert!(not_ready.is_err(), "{not_ready:?}");
    put_fails_in_time(&*queue, 0).await;
    stage.start();
    super::make_ready(&*queue).await;
    put_recovers(&*queue, 0).await;
    take_until(&*queue, &HashSet::from(["after-0".to_owned()])).await;
}

/// A broker that answers nothing (it is frozen) costs a put its time and not more.
pub(crate) async fn a_frozen_broker_costs_no_more_than_told(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("before", 1)).await;
    stage.freeze(false);
    for number in 0..2 {
        put_fails_in_time(&*queue, number).await;
    }
    stage.freeze(true);
    put_recovers(&*queue, 0).await;
    take_until(&*queue, &HashSet::from(["before-0".to_owned(), "after-0".to_owned()])).await;
}

/// When the broker's answer is lost nobody knows: `Unknown`. Put again under its id, the message
/// comes, and nothing else does.
pub(crate) async fn a_lost_answer_is_doubt(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("before", 1)).await;
    stage.cable().mute();
    match put_one(&*queue, message("doubt", 0), BY).await {
        Err(QueueError::Unknown { .. }) => {}
        other => panic!("unknown: {other:?}"),
    }
    stage.cable().mend();
    let by = patience();
    while let Err(error) = put_one(&*queue, message("doubt", 0), BY).await {
        assert!(!by.passed(Moment::now()), "it does not recover: {error}");
        pause().await;
    }
    let wanted = HashSet::from(["before-0".to_owned(), "doubt-0".to_owned()]);
    let found = take_until(&*queue, &wanted).await;
    assert_eq!(found, wanted);
}

/// A gateway that puts for as long as it is let: what it tried, and what was taken in.
struct Putter {
    task: JoinHandle<(HashSet<String>, HashSet<String>)>,
    stop: Arc<AtomicBool>,
    stored: Arc<std::sync::atomic::AtomicUsize>,
}

impl Putter {
    fn start(queue: Arc<dyn Queue>, number: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stored = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&stored));
        let task = tokio::spawn(async move {
            let (mut tried, mut taken_in) = (HashSet::new(), HashSet::new());
            let mut batch = 0;
            while !stopped.load(Ordering::SeqCst) {
                let all = messages(&format!("p{number}-{batch}"), 10);
                batch += 1;
                let names: Vec<String> = all.iter().map(|one| one.id.clone()).collect();
                tried.extend(names.iter().cloned());
                let answers = queue.put(&JOBS, all, BY).await;
                assert_eq!(answers.len(), names.len());
                for (name, answer) in names.into_iter().zip(answers) {
                    match answer {
                        Ok(()) => {
                            taken_in.insert(name);
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                        // Brokers that are coming up may say that they are full.
                        Err(
                            QueueError::Away { .. }
                            | QueueError::Unknown { .. }
                            | QueueError::Full { .. },
                        ) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (tried, taken_in)
        });
        Self { task, stop, stored }
    }

    /// Waits until so many more were taken in.
    async fn reaches(&self, more: usize) {
        let goal = self.stored.load(Ordering::SeqCst) + more;
        let by = patience();
        while self.stored.load(Ordering::SeqCst) < goal {
            assert!(!by.passed(Moment::now()), "nothing is taken in any more");
            assert!(!self.task.is_finished(), "a putter has failed");
            pause().await;
        }
    }
}

/// Two gateways put while faults happen, each after some were taken in; then everything that was
/// taken in must come, and nothing that was never put.
async fn nothing_is_lost<S: Stage>(stage: &mut S, name: &str, faults: &[fn(&mut S)]) {
    let mut putters = Vec::new();
    for number in 0..2 {
        let queue = stage.queue(name, &format!("putter-{number}")).await;
        putters.push(Putter::start(queue, number));
    }
    for fault in faults {
        for putter in &putters {
            putter.reaches(50).await;
        }
        fault(stage);
    }
    let (mut tried, mut taken_in) = (HashSet::new(), HashSet::new());
    for putter in putters {
        putter.reaches(50).await;
        putter.stop.store(true, Ordering::SeqCst);
        let (more_tried, more_taken_in) = putter.task.await.unwrap();
        tried.extend(more_tried);
        taken_in.extend(more_taken_in);
    }
    let taker = stage.queue(name, "taker").await;
    let found = take_until(&*taker, &taken_in).await;
    assert!(found.is_subset(&tried), "what was never put came");
}

/// A broker that is killed (SIGKILL) again and again under load loses nothing that it took in.
pub(crate) async fn a_killed_broker_loses_nothing<S: Stage>(stage: &mut S, name: &str) {
    let kill = |stage: &mut S| {
        stage.stop(How::Kill);
        stage.start();
    };
    nothing_is_lost(stage, name, &[kill, kill]).await;
}

/// A broker that is restarted (SIGTERM) under load loses nothing that it took in.
pub(crate) async fn a_restarted_broker_loses_nothing<S: Stage>(stage: &mut S, name: &str) {
    let restart = |stage: &mut S| {
        stage.stop(How::Term);
        stage.start();
    };
    nothing_is_lost(stage, name, &[restart]).await;
}

/// Connections that break again and again under load lose nothing that was taken in.
pub(crate) async fn a_cut_connection_loses_nothing<S: Stage>(stage: &mut S, name: &str) {
    let cut = |stage: &mut S| stage.cable().cut();
    nothing_is_lost(stage, name, &[cut, cut, cut, cut]).await;
}

/// A taker goes on by itself after each fault, while messages come all the time, and everything that
/// was taken in reaches it.
pub(crate) async fn a_taker_goes_on_by_itself<S: Stage>(stage: &mut S, name: &str) {
    let queue = stage.queue(name, "a").await;
    let taker = stage.queue(name, "taker").await;
    for round in 0..3 {
        put(&*queue, &JOBS, messages(&format!("r{round}"), 20)).await;
        let wanted: HashSet<String> =
            messages(&format!("r{round}"), 20).into_iter().map(|one| one.id).collect();
        take_until(&*taker, &wanted).await;
        if round == 0 {
            stage.cable().cut();
        } else {
            stage.stop(How::Kill);
            stage.start();
        }
        put_recovers(&*queue, round).await;
    }
    take_until(&*taker, &HashSet::from(["after-2".to_owned()])).await;
}

/// What was taken before the connection broke is given out again; acknowledging the old one is an
/// error or nothing, and never ends another's message.
pub(crate) async fn a_token_ends_with_its_connection(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    put(&*queue, &JOBS, messages("m", 2)).await;
    let old = take(&*queue, &JOBS, 2).await;
    stage.cable().cut();
    let ended = tokio::time::timeout(SOON, async {
        for one in old {
            let _ = one.token.done().await;
        }
    });
    ended.await.expect("done() hangs");
    put_recovers(&*queue, 0).await;
    let wanted = HashSet::from(["after-0".to_owned()]);
    let found = take_until(&*queue, &wanted).await;
    let legal: HashSet<String> = ["after-0", "m-0", "m-1"].into_iter().map(str::to_owned).collect();
    assert!(found.is_subset(&legal), "{found:?}");
}

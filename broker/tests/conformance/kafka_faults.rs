//! What goes wrong in Kafka alone: members that die, rebalances, commits and brokers that say no.

use crate::kafka_mock::{OnStage, stage};
use crate::suite::{
    PATIENCE, SOON, Stage, ids, make_ready, message, messages, nothing_more, patience, pause, play,
    put, put_one, take,
};
use base::Moment;
use broker::Options;
use offload::queue::{Channel, Message, Queue, QueueError, Taken};
use rdkafka::types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

const JOBS: Channel = Channel::Jobs;
/// Tells a process of this test binary that it is a member to be killed, and of which queue.
const MEMBER: &str = "FLEETFOOT_TEST_KAFKA_MEMBER";

/// Takes and acknowledges until nothing is left to come.
async fn take_all(queue: &dyn Queue, wanted: usize) -> HashSet<String> {
    let mut found = HashSet::new();
    let by = patience();
    while found.len() < wanted {
        for one in queue.take(&JOBS, 100, Duration::from_millis(300)).await.unwrap_or_default() {
            found.insert(one.message.id.clone());
            let _may_come_again = one.token.done().await;
        }
        assert!(!by.passed(Moment::now()), "{} of {wanted} came", found.len());
    }
    found
}

async fn nothing_waits(queue: &dyn Queue) {
    let by = patience();
    while queue.waiting(&JOBS).await != Some(0) {
        assert!(!by.passed(Moment::now()), "{:?} wait", queue.waiting(&JOBS).await);
        pause().await;
    }
}

fn inject(stage: &OnStage, request: Request, answers: Vec<Answer>) {
    stage.order(move |cluster| cluster.request_errors(request, &answers));
}

/// No test: what a process does that is about to be killed. It acknowledges half of what it takes,
/// and says which.
#[test]
fn a_member_in_a_process_of_its_own() {
    let Ok(url) = std::env::var(MEMBER) else { return };
    play(async {
        let queue = broker::open(&url, &Options::new("member", "killed")).unwrap();
        make_ready(&*queue).await;
        let held = take(&*queue, &JOBS, 60).await;
        let mut kept = Vec::new();
        for (number, one) in held.into_iter().enumerate() {
            if number % 2 == 0 {
                let id = one.message.id.clone();
                one.token.done().await.unwrap();
                println!("acknowledged {id}");
            } else {
                kept.push(one);
            }
        }
        println!("holds {}", kept.len());
        std::future::pending::<()>().await;
    });
}

/// K6: what a killed member held comes to another when its session is over.
#[test]
fn a_killed_member_is_replaced() {
    play(async {
        let stage = stage();
        let queue = stage.queue("killed", "parent").await;
        let _topics = stage.options("killed", "member");
        put(&*queue, &JOBS, messages("m", 120)).await;
        let mut member = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kafka_faults::a_member_in_a_process_of_its_own", "--nocapture"])
            .env(MEMBER, stage.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(member.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap).take_while(|line| !line.starts_with("holds"));
        let acknowledged =
            lines.filter_map(|line| line.split("acknowledged ").nth(1).map(str::to_owned));
        let acknowledged: HashSet<String> = acknowledged.collect();
        member.kill().unwrap();
        member.wait().unwrap();
        assert_eq!(acknowledged.len(), 30);
        let all: HashSet<String> = messages("m", 120).into_iter().map(|one| one.id).collect();
        let left = all.difference(&acknowledged).count();
        let begun = Moment::now();
        let mut found = HashSet::new();
        while !all.difference(&acknowledged).all(|id| found.contains(id)) {
            found.extend(take_all(&*queue, 1).await);
            assert!(Moment::now().since(begun) < PATIENCE, "{} of {left} came", found.len());
        }
        // Beyond a hole what was acknowledged may come again; before it nothing does.
        assert!(found.len() < all.len(), "all came again: nothing was committed");
        nothing_waits(&*queue).await;
    });
}

/// K7: what a rebalance takes away is fenced, and what it leaves goes on.
#[test]
fn a_rebalance_fences_what_it_takes_away() {
    play(async {
        let stage = stage();
        let one = stage.queue("shared", "one").await;
        put(&*one, &JOBS, messages("m", 160)).await;
        let held = take(&*one, &JOBS, 160).await;
        let two = stage.queue("shared", "two").await;
        let came = take(&*two, &JOBS, 1).await;
        let (mut kept, mut fenced) = (HashSet::new(), HashSet::new());
        for taken in held {
            let id = taken.message.id.clone();
            let still = taken.token.still().await;
            match taken.token.done().await {
                Ok(()) => {
                    assert!(still.is_ok(), "{id} was fenced, and acknowledged all the same");
                    kept.insert(id);
                }
                Err(QueueError::Unknown { why, .. }) => {
                    assert!(why.contains("another taker"), "{why}");
                    fenced.insert(id);
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(!kept.is_empty() && !fenced.is_empty(), "{} {}", kept.len(), fenced.len());
        let mut moved = ids(&came);
        crate::suite::done(came).await;
        moved.extend(take_all(&*two, fenced.len() - moved.len()).await);
        assert_eq!(moved, fenced, "what is fenced comes to the other, and nothing else does");
        nothing_waits(&*one).await;
    });
}

/// A hundred messages of one key, thus of one partition.
async fn of_one_partition(queue: &dyn Queue, count: usize) -> Vec<Taken> {
    let keyed = |one| Message { key: "k".to_owned(), ..one };
    put(queue, &JOBS, messages("m", count).into_iter().map(keyed).collect()).await;
    take(queue, &JOBS, count).await
}

/// K9: nothing beyond an unfinished message is committed, whatever is finished beyond it.
#[test]
fn an_unfinished_message_holds_back_the_commit() {
    play(async {
        let stage = stage();
        let one = stage.queue("hole", "one").await;
        let mut held: Vec<Option<Taken>> =
            of_one_partition(&*one, 10).await.into_iter().map(Some).collect();
        for at in [9, 3, 0, 1, 8, 2, 4] {
            held[at].take().unwrap().token.done().await.unwrap();
        }
        assert_eq!(one.waiting(&JOBS).await, Some(5), "0 to 4 are committed");
        one.close().await;
        drop(held);
        let two = stage.queue("hole", "two").await;
        let again = take(&*two, &JOBS, 5).await;
        let found: Vec<_> = again.iter().map(|one| &*one.message.id).collect();
        assert_eq!(found, ["m-5", "m-6", "m-7", "m-8", "m-9"]);
        crate::suite::done(again).await;
        nothing_more(&*two, &JOBS).await;
        nothing_waits(&*two).await;
    });
}

/// K8: a commit that fails is told, tried again by itself, and nothing is lost by it.
#[test]
fn a_commit_that_fails_is_told_and_made_up_for() {
    for answer in [
        Answer::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        Answer::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
    ] {
        play(async {
            let stage = stage();
            let queue = stage.queue("commit", "a").await;
            let mut held = of_one_partition(&*queue, 3).await;
            inject(&stage, Request::OffsetCommit, vec![answer]);
            let refused = held.remove(0).token.done().await;
            assert!(matches!(refused, Err(QueueError::Unknown { .. })), "{answer:?} {refused:?}");
            for one in held {
                let _may_come_again = one.token.done().await;
            }
            let by = patience();
            while queue.waiting(&JOBS).await != Some(0) {
                assert!(!by.passed(Moment::now()), "{answer:?}: it is never made up for");
                // Where it lost its membership it gets them again.
                for one in queue.take(&JOBS, 9, Duration::from_millis(100)).await.unwrap() {
                    let _may_come_again = one.token.done().await;
                }
            }
        });
    }
}

/// K4: what the broker says no to is refused; what it says of itself is tried again.
#[test]
fn a_no_is_a_no_and_not_now_is_tried_again() {
    play(async {
        let stage = stage();
        let queue = stage.queue("no", "a").await;
        for answer in [
            Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
        ] {
            inject(&stage, Request::Produce, vec![answer; 2]);
            put_one(&*queue, message("again", answer as usize & 0xff), SOON).await.unwrap();
        }
        // The last one is remembered for a while, without being asked again.
        for answer in [
            Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            Answer::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
            Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        ] {
            inject(&stage, Request::Produce, vec![answer]);
            let told = put_one(&*queue, message("no", 0), SOON).await;
            assert!(matches!(told, Err(QueueError::Refused { .. })), "{answer:?}: {told:?}");
        }
        let found = take_all(&*queue, 3).await;
        assert!(found.iter().all(|id| id.starts_with("again")), "{found:?}");
        nothing_more(&*queue, &JOBS).await;
    });
}

/// K2: an acknowledgement that is lost is repeated by the producer, and stored once.
#[test]
fn an_idempotent_producer_repeats_without_doubling() {
    play(async {
        let stage = stage();
        let queue = stage.queue("twice", "a").await;
        for number in 0..20 {
            if number % 3 == 0 {
                inject(&stage, Request::Produce, vec![Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT]);
            }
            put_one(&*queue, message("m", number), SOON).await.unwrap();
        }
        assert_eq!(queue.waiting(&JOBS).await, Some(20));
    });
}

/// A token that is dropped without a word is handed out again by the member itself.
#[test]
fn what_is_dropped_without_a_word_comes_again() {
    play(async {
        let stage = stage();
        let queue = stage.queue("dropped", "a").await;
        put(&*queue, &JOBS, messages("m", 3)).await;
        drop(take(&*queue, &JOBS, 3).await);
        nothing_more(&*queue, &JOBS).await;
        let again = take(&*queue, &JOBS, 3).await;
        assert!(again.iter().all(|one| one.times == 2), "{again:?}");
        crate::suite::done(again).await;
        nothing_waits(&*queue).await;
    });
}

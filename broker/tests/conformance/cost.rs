//! What a put costs: `cargo nextest run -p broker --run-ignored only -E 'test(cost)' --no-capture`.
//!
//! One waiting producer, then 256 in flight, against a broker on this machine; nothing is asserted but
//! that all is stored.

use crate::suite::{self, SOON, Stage};
use base::Moment;
use offload::queue::{Channel, Message};
use std::sync::Arc;
use std::time::Duration;

const ALONE: usize = 2000;
const TOGETHER: usize = 256;
const EACH: usize = 100;

fn sized(prefix: &str, number: usize) -> Message {
    Message { payload: vec![b'x'; 1024].into(), ..suite::message(prefix, number) }
}

async fn measure(stage: &mut impl Stage, what: &str) {
    let queue = stage.queue("cost", "a").await;
    suite::put(&*queue, &Channel::Jobs, suite::messages("warm", 500)).await;
    let mut times = Vec::with_capacity(ALONE);
    for number in 0..ALONE {
        let message = sized("alone", number);
        let begun = Moment::now();
        suite::put_one(&*queue, message, SOON).await.unwrap();
        times.push(Moment::now().since(begun));
    }
    let mean = times.iter().sum::<Duration>() / u32::try_from(ALONE).unwrap();
    times.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| times[ALONE * percent / 100]);
    let begun = Moment::now();
    let mut putting = tokio::task::JoinSet::new();
    for producer in 0..TOGETHER {
        let queue = Arc::clone(&queue);
        putting.spawn(async move {
            for number in 0..EACH {
                let message = sized(&format!("p{producer}"), number);
                suite::put_one(&*queue, message, SOON * 6).await.unwrap();
            }
        });
    }
    while let Some(ended) = putting.join_next().await {
        ended.unwrap();
    }
    let rate = rate(TOGETHER * EACH, begun);
    let all = 500 + ALONE + TOGETHER * EACH;
    let begun = Moment::now();
    let mut left = all;
    while left > 0 {
        let taken = queue.take(&Channel::Jobs, 256, SOON).await.unwrap();
        left -= taken.len();
        let mut ending = tokio::task::JoinSet::new();
        for one in taken {
            ending.spawn(one.token.done());
        }
        while let Some(ended) = ending.join_next().await {
            ended.unwrap().unwrap();
        }
    }
    let taking = self::rate(all, begun);
    eprintln!(
        "{what}: one put p50 {p50:?} mean {mean:?} p99 {p99:?}; {TOGETHER} in flight {rate:.0} puts/s; taken and \
         acknowledged {taking:.0}/s"
    );
}

fn rate(count: usize, begun: Moment) -> f64 {
    count as f64 / Moment::now().since(begun).max(Duration::from_millis(1)).as_secs_f64()
}

#[test]
#[ignore = "a measurement (#6)"]
fn cost_of_nats() {
    suite::play(async { measure(&mut crate::nats::stage(), "NATS, sync always").await });
}

#[test]
#[ignore = "a measurement (#6)"]
fn cost_of_rabbitmq() {
    suite::play(async { measure(&mut crate::rabbitmq::stage(), "RabbitMQ, quorum queue").await });
}

//! NATS `JetStream` under the laws.

use crate::suite::{self, How, Stage};
use offload::queue::{Channel, QueueError};
use scenario::{Cable, Nats};
use std::time::Duration;

pub(crate) struct OnStage {
    server: Nats,
    cable: Cable,
}

pub(crate) fn stage() -> OnStage {
    let server = Nats::start();
    let cable = Cable::to(server.address());
    OnStage { server, cable }
}

impl Stage for OnStage {
    fn url(&self) -> String {
        format!("nats://{}", self.cable.address())
    }
    fn cable(&self) -> &Cable {
        &self.cable
    }
    fn stop(&mut self, how: How) {
        match how {
            How::Term => self.server.terminate(),
            How::Kill => self.server.kill(),
        }
    }
    fn start(&mut self) {
        self.server.restart();
    }
    fn freeze(&mut self, thaw: bool) {
        if thaw { self.server.thaw() } else { self.server.freeze() }
    }
}

laws!(stage:
    taking::what_is_acknowledged_never_comes_again,
    taking::a_message_stays_as_it_is,
    taking::what_a_lost_taker_held_comes_again,
    taking::closing_gives_back,
    taking::after_closing_calls_fail,
    taking::again_comes_again,
    taking::a_thousand_are_in_flight,
    taking::payloads_have_a_bound,
    taking::takers_share,
    taking::news_are_apart,
    taking::ready_can_be_said_again,
    taking::taking_waits_as_long_as_told,
    taking::a_dropped_call_loses_nothing,
    taking::a_full_queue_says_so,
    taking::waiting_is_told,
    taking::signs_of_life_keep_a_message,
    taking::twins_are_forgotten,
    faults::a_broker_that_is_gone_comes_back,
    faults::a_broker_may_come_late,
    faults::a_frozen_broker_costs_no_more_than_told,
    faults::a_lost_answer_is_doubt,
    faults::a_killed_broker_loses_nothing,
    faults::a_restarted_broker_loses_nothing,
    faults::a_cut_connection_loses_nothing,
    faults::a_taker_goes_on_by_itself,
    faults::a_token_ends_with_its_connection,
    bus::every_listener_hears_each,
    bus::nothing_old_is_heard,
    bus::a_restart_is_told_as_a_gap,
    bus::a_cut_is_told_as_a_gap,
);

const JOBS: Channel = Channel::Jobs;

/// A client of NATS beside ours, to see and change what is there.
async fn beside(stage: &OnStage) -> async_nats::jetstream::Context {
    let client = async_nats::connect(stage.server.url()).await.unwrap();
    async_nats::jetstream::new(client)
}

/// K5: without its stream a message is not stored, and that is told; whoever comes next makes it.
#[test]
fn a_deleted_stream_is_told_and_made_again() {
    suite::play(async {
        let stage = stage();
        let queue = stage.queue("gone", "a").await;
        beside(&stage).await.delete_stream("fleetfoot-gone").await.unwrap();
        let answers = queue.put(&JOBS, suite::messages("m", 20), suite::SOON).await;
        let away = |answer: &Result<(), QueueError>| matches!(answer, Err(QueueError::Away { .. }));
        assert!(answers.iter().all(away), "{answers:?}");
        suite::put(&*queue, &JOBS, suite::messages("again", 10)).await;
        suite::done(suite::take(&*queue, &JOBS, 10).await).await;
    });
}

/// A consumer that is deleted under a taker is made again.
#[test]
fn a_deleted_consumer_is_made_again() {
    suite::play(async {
        let stage = stage();
        let queue = stage.queue("consumer", "a").await;
        suite::nothing_more(&*queue, &JOBS).await;
        let stream = beside(&stage).await.get_stream("fleetfoot-consumer").await.unwrap();
        stream.delete_consumer("jobs").await.unwrap();
        suite::put(&*queue, &JOBS, suite::messages("m", 10)).await;
        suite::done(suite::take(&*queue, &JOBS, 10).await).await;
    });
}

/// A stream that was there before and breaks the promise is told as a warning.
#[test]
fn a_stream_that_breaks_the_promise_is_a_warning() {
    suite::play(async {
        let stage = stage();
        let config = async_nats::jetstream::stream::Config {
            name: "fleetfoot-weak".to_owned(),
            subjects: vec!["fleetfoot.weak.>".to_owned()],
            storage: async_nats::jetstream::stream::StorageType::Memory,
            max_age: Duration::from_mins(1),
            ..Default::default()
        };
        beside(&stage).await.create_stream(config).await.unwrap();
        let queue = stage.open(&stage.options("weak", "a"));
        let warnings = suite::make_ready(&*queue).await.join("\n");
        for expected in ["in memory", "workqueue", "discard", "max_age"] {
            assert!(warnings.contains(expected), "{expected}: {warnings}");
        }
    });
}

/// Words of the server reach whoever reads the log, and the secret does not.
#[test]
fn a_wrong_secret_is_told_without_it() {
    suite::play(async {
        let server = Nats::start_with("authorization { user: gate, password: right }");
        let url = |secret| format!("nats://gate:{secret}@{}", server.address());
        let options = broker::Options::new("a", "secret");
        let queue = broker::open(&url("hunter2"), &options).unwrap();
        let error = queue.ready().await.unwrap_err().to_string().to_lowercase();
        assert!(error.contains("authorization") && !error.contains("hunter2"), "{error}");
        suite::make_ready(&*broker::open(&url("right"), &options).unwrap()).await;
    });
}

/// TLS, by the scheme, with an authority of our own.
#[test]
fn tls_is_spoken_where_the_url_says_so() {
    suite::play(async {
        let folder = scenario::gateway::Folder::new();
        let [certificate, key] = suite::certificate(&folder);
        let (cert, key) = (certificate.display(), key.display());
        let server =
            Nats::start_with(&format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}"));
        let options = broker::Options {
            trust: Some(certificate.clone()),
            ..broker::Options::new("a", "tls")
        };
        let url = format!("tls+nats://{}", server.address());
        let queue = broker::open(&url, &options).unwrap();
        suite::make_ready(&*queue).await;
        suite::put(&*queue, &JOBS, suite::messages("m", 3)).await;
        suite::done(suite::take(&*queue, &JOBS, 3).await).await;
        let stranger = broker::open(&url, &broker::Options::new("a", "tls")).unwrap();
        assert!(stranger.ready().await.is_err(), "a certificate that nobody vouches for");
    });
}

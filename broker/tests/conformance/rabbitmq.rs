//! `RabbitMQ` under the laws.

use crate::suite::{self, How, Stage};
use base::Moment;
use offload::queue::{Channel, QueueError};
use scenario::{Cable, Rabbitmq};
use std::time::Duration;

pub(crate) struct OnStage {
    server: Rabbitmq,
    cable: Cable,
}

pub(crate) fn stage() -> OnStage {
    let server = Rabbitmq::start();
    let cable = Cable::to(server.address());
    OnStage { server, cable }
}

impl Stage for OnStage {
    fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.cable.address())
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

together!(laws_without_faults, stage:
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
    bus::every_listener_hears_each,
    bus::nothing_old_is_heard,
    bus::a_cut_is_told_as_a_gap,
    faults::a_cut_connection_loses_nothing,
    faults::a_token_ends_with_its_connection,
    faults::a_lost_answer_is_doubt,
);

laws!(stage:
    faults::a_broker_that_is_gone_comes_back,
    faults::a_broker_may_come_late,
    faults::a_frozen_broker_costs_no_more_than_told,
    faults::a_killed_broker_loses_nothing,
    faults::a_restarted_broker_loses_nothing,
    faults::a_taker_goes_on_by_itself,
    bus::a_restart_is_told_as_a_gap,
);

const JOBS: Channel = Channel::Jobs;

/// K5: what goes to no queue is confirmed like any other, and returned. It is refused here, also
/// among many that are in flight; the queue is made again for whoever comes next.
#[test]
fn what_no_queue_takes_is_refused() {
    suite::play(async {
        let stage = stage();
        let queue = stage.queue("gone", "a").await;
        stage.server.ask(&["delete_queue", "fleetfoot.gone"]);
        let answers = queue.put(&JOBS, suite::messages("m", 100), suite::SOON).await;
        let refused = |answer: &Result<(), QueueError>| matches!(answer, Err(QueueError::Refused { why, .. }) if why.contains("NO_ROUTE"));
        assert!(answers.iter().all(refused), "{answers:?}");
        suite::put(&*queue, &JOBS, suite::messages("again", 10)).await;
        suite::done(suite::take(&*queue, &JOBS, 10).await).await;
    });
}

/// What is returned is told to whom it belongs, however confirms and returns mix on the channel.
#[test]
fn news_of_an_unknown_owner_are_refused_among_others() {
    suite::play(async {
        let stage = stage();
        let queue = stage.queue("mixed", "a").await;
        let nobody = Channel::News("nobody".to_owned());
        for round in 0..20 {
            // Both are on one channel at the broker, so confirms and returns come mixed.
            let (good, bad) = (format!("good{round}"), format!("bad{round}"));
            let (stored, refused) = tokio::join!(
                queue.put(&JOBS, suite::messages(&good, 50), suite::SOON),
                queue.put(&nobody, suite::messages(&bad, 50), suite::SOON),
            );
            assert!(stored.iter().all(Result::is_ok), "round {round}: {stored:?}");
            let all_refused =
                refused.iter().all(|one| matches!(one, Err(QueueError::Refused { .. })));
            assert!(all_refused, "round {round}: {refused:?}");
        }
        assert_eq!(suite::ids(&suite::take(&*queue, &JOBS, 1000).await).len(), 1000);
    });
}

/// K4: a broker that is short of memory says so to whoever publishes, and takers go on.
#[test]
fn a_broker_in_distress_is_full_and_takers_go_on() {
    suite::play(async {
        let stage = stage();
        let queue = stage.queue("alarm", "a").await;
        suite::put(&*queue, &JOBS, suite::messages("before", 3)).await;
        stage.server.ask(&["set_vm_memory_high_watermark", "absolute", "1"]);
        let by = suite::patience();
        // The first that is sent tells the broker who publishes: what becomes of it nobody knows.
        let full = loop {
            let short = Duration::from_millis(300);
            match suite::put_one(&*queue, suite::message("doubt", 0), short).await {
                Err(QueueError::Full { why, .. }) => break why,
                other => assert!(!by.passed(Moment::now()), "not full: {other:?}"),
            }
        };
        assert!(full.contains("memory"), "{full}");
        let taken = suite::take(&*queue, &JOBS, 3).await;
        assert!(taken.iter().all(|one| one.message.id.starts_with("before")), "{taken:?}");
        suite::done(taken).await;
        stage.server.ask(&["set_vm_memory_high_watermark", "absolute", "1GB"]);
        while let Err(error) =
            suite::put_one(&*queue, suite::message("after", 0), suite::SOON).await
        {
            assert!(!by.passed(Moment::now()), "it does not recover: {error}");
            suite::pause().await;
        }
    });
}

/// A queue that was there before and is not as safe as it must be is told as a warning, and used.
#[test]
fn a_queue_that_is_not_as_it_should_be_is_a_warning() {
    suite::play(async {
        let stage = stage();
        let narrow = broker::Options { waiting_max: Some(5), ..stage.options("other", "a") };
        suite::make_ready(&*stage.open(&narrow)).await;
        let queue = stage.open(&stage.options("other", "b"));
        let warnings = suite::make_ready(&*queue).await;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("fleetfoot.other") && warnings[0].contains("x-max-length"));
        suite::put(&*queue, &JOBS, suite::messages("m", 2)).await;
        suite::done(suite::take(&*queue, &JOBS, 2).await).await;
    });
}

/// Words of the broker reach whoever reads the log, and the secret does not.
#[test]
fn a_wrong_secret_is_told_without_it() {
    suite::play(async {
        let stage = stage();
        let url = stage.url().replace("guest:guest", "guest:hunter2");
        let queue = broker::open(&url, &stage.options("secret", "a")).unwrap();
        let error = queue.ready().await.unwrap_err().to_string();
        assert!(error.contains("ACCESS_REFUSED") && !error.contains("hunter2"), "{error}");
    });
}

/// TLS, by the scheme, with an authority of our own.
#[test]
fn tls_is_spoken_where_the_url_says_so() {
    suite::play(async {
        let folder = scenario::gateway::Folder::new();
        let [certificate, key] = suite::certificate(&folder);
        let server = Rabbitmq::start_tls(&certificate, &key);
        let options =
            broker::Options { trust: Some(certificate), ..broker::Options::new("a", "tls") };
        let url = format!("amqps://guest:guest@{}", server.address());
        let queue = broker::open(&url, &options).unwrap();
        suite::make_ready(&*queue).await;
        suite::put(&*queue, &JOBS, suite::messages("m", 3)).await;
        suite::done(suite::take(&*queue, &JOBS, 3).await).await;
        let stranger = broker::open(&url, &broker::Options::new("a", "tls")).unwrap();
        assert!(stranger.ready().await.is_err(), "a certificate that nobody vouches for");
    });
}

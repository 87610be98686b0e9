//! Kafka under the laws, by librdkafka's cluster of its own, and Kafka's own rows of the failures.

use crate::suite::{How, LEASE, Stage};
use broker::Options;
use rdkafka::mocking::MockCluster;
use scenario::Cable;
use std::sync::mpsc;
use std::time::Duration;

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;
type Order = Box<dyn FnOnce(&Cluster) + Send>;

/// A cluster on a thread of its own, which it cannot leave.
pub(crate) struct OnStage {
    orders: mpsc::Sender<Order>,
    servers: String,
    cable: Cable,
}

pub(crate) fn stage() -> OnStage {
    let (orders, waiting) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        let cluster = MockCluster::new(1).expect("a cluster");
        for order in waiting {
            order(&cluster);
        }
    });
    let (told, servers) = mpsc::channel();
    let tell = move |cluster: &Cluster| told.send(cluster.bootstrap_servers()).expect("it waits");
    orders.send(Box::new(tell)).expect("a cluster");
    let servers: String = servers.recv().expect("a cluster");
    let cable = Cable::to(servers.parse().expect("an address"));
    OnStage { orders, servers, cable }
}

impl OnStage {
    pub(crate) fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&Cluster) -> T + Send + 'static,
    ) -> T {
        let (told, done) = mpsc::channel();
        let order = move |cluster: &Cluster| told.send(order(cluster)).expect("it waits");
        self.orders.send(Box::new(order)).expect("a cluster");
        done.recv().expect("a cluster")
    }
}

impl OnStage {
    /// Makes a topic, unless it is there.
    fn topic(&self, topic: String, partitions: i32) {
        let _there = self.order(move |cluster| cluster.create_topic(&topic, partitions, 1));
    }
}

impl Stage for OnStage {
    fn url(&self) -> String {
        format!("kafka://{}?session=6", self.servers)
    }
    fn cable(&self) -> &Cable {
        &self.cable
    }
    fn stop(&mut self, _: How) {
        self.order(|cluster| cluster.broker_down(-1)).expect("it goes down");
    }
    fn start(&mut self) {
        self.order(|cluster| cluster.broker_up(-1)).expect("it comes up");
    }
    /// Clients cannot make topics there.
    fn options(&self, queue: &str, node: &str) -> Options {
        for (topic, partitions) in [("jobs", 8), (&*format!("news.{node}"), 8)]
            .map(|(t, p)| (format!("fleetfoot.{queue}.{t}"), p))
        {
            self.topic(topic, partitions);
        }
        for topic in ["product", "price"] {
            self.topic(topic.to_owned(), 1);
        }
        Options { lease: LEASE, ..Options::new(node, queue) }
    }
    fn freeze(&mut self, thaw: bool) {
        let late = Duration::from_secs(if thaw { 0 } else { 60 });
        self.order(move |cluster| cluster.broker_round_trip_time(-1, late)).expect("it freezes");
    }
}

// Left to the other broker of Kafka's protocol, or to nobody:
// - taking::closing_gives_back: this cluster lets a group wait for 3 s before it gives partitions out.
// - whatever pulls the cable: this cluster's brokers are reached where they say, and no cable is there.
// - bus::a_restart_is_told_as_a_gap: see `kafka`.
// - taking::a_full_queue_says_so: Kafka has no bound of messages that wait, but time and bytes.
// - taking::signs_of_life_keep_a_message: nobody counts how long a message is taken.
// - taking::twins_are_forgotten: only a producer's own repetitions are.
laws!(stage:
    taking::what_is_acknowledged_never_comes_again,
    taking::a_message_stays_as_it_is,
    taking::what_a_lost_taker_held_comes_again,
    taking::after_closing_calls_fail,
    taking::again_comes_again,
    taking::a_thousand_are_in_flight,
    taking::payloads_have_a_bound,
    taking::takers_share,
    taking::news_are_apart,
    taking::ready_can_be_said_again,
    taking::taking_waits_as_long_as_told,
    taking::a_dropped_call_loses_nothing,
    taking::waiting_is_told,
    faults::a_broker_that_is_gone_comes_back,
    faults::a_broker_may_come_late,
    faults::a_frozen_broker_costs_no_more_than_told,
    faults::a_killed_broker_loses_nothing,
    faults::a_restarted_broker_loses_nothing,
    faults::a_taker_goes_on_by_itself,
    faults::a_token_ends_with_its_connection,
    order::messages_of_a_key_keep_their_order,
    bus::every_listener_hears_each,
    bus::nothing_old_is_heard,
);

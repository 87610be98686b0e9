//! `RabbitMQ` under the laws.

use crate::suite::{How, Stage};
use scenario::{Cable, Rabbitmq};

struct OnStage {
    server: Rabbitmq,
    cable: Cable,
}

fn stage() -> OnStage {
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

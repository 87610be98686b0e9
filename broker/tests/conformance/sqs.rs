//! SQS under the laws, as moto plays it.

use crate::suite::{How, Stage};
use scenario::{Cable, Moto};

struct OnStage {
    server: Moto,
    cable: Cable,
}

fn stage() -> Option<OnStage> {
    let server = Moto::start()?;
    let cable = Cable::to(server.address());
    Some(OnStage { server, cable })
}

impl Stage for OnStage {
    fn url(&self) -> String {
        format!("sqs://key:secret@us-east-1/?endpoint=http://{}", self.cable.address())
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

// Left out, and why:
// - faults::a_broker_that_is_gone_comes_back, a_killed_broker_loses_nothing,
//   a_restarted_broker_loses_nothing, a_taker_goes_on_by_itself: moto forgets everything at its end.
// - taking::a_full_queue_says_so: SQS has no bound of messages that wait.
// - taking::twins_are_forgotten, order::*: standard queues keep no order and forget no twins.
// - faults::a_token_ends_with_its_connection: a loan outlives connections; `still` and its time end it.
// - taking::a_thousand_are_in_flight, faults::a_cut_connection_loses_nothing: a call takes moto 100 ms
//   and more on a busy machine, and these give it 100 calls in 10 s and 0.8 s for one. The client is
//   the one of Pub/Sub, where both hold.
// - bus::*: there is none.
laws_where_there!(stage:
    taking::what_is_acknowledged_never_comes_again,
    taking::a_message_stays_as_it_is,
    taking::what_a_lost_taker_held_comes_again,
    taking::closing_gives_back,
    taking::after_closing_calls_fail,
    taking::again_comes_again,
    taking::payloads_have_a_bound,
    taking::takers_share,
    taking::news_are_apart,
    taking::ready_can_be_said_again,
    taking::taking_waits_as_long_as_told,
    taking::a_dropped_call_loses_nothing,
    taking::waiting_is_told,
    taking::signs_of_life_keep_a_message,
    faults::a_frozen_broker_costs_no_more_than_told,
    faults::a_lost_answer_is_doubt,
    faults::a_broker_may_come_late,
);

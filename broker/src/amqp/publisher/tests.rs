//! Confirms and returns, mixed as the client may mix them.

use super::{Confirmed, Outcome, Returned};
use lapin::BasicProperties;
use lapin::Confirmation;
use lapin::message::{BasicReturnMessage, Delivery};
use tokio::sync::oneshot;

fn returned(id: &str) -> BasicReturnMessage {
    let properties = BasicProperties::default().with_message_id(id.into());
    let delivery = Delivery::mock(0, "".into(), "".into(), false, Vec::new());
    let delivery = Delivery { properties, ..delivery };
    BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() }
}

#[track_caller]
fn check(batches: Vec<Vec<(&str, Confirmation)>>, expected: &[(&str, Outcome)]) {
    let mut all = Returned::default();
    let mut found = Vec::new();
    for batch in batches {
        let (mut confirmed, mut answers) = (Vec::new(), Vec::new());
        for (id, confirmation) in batch {
            let (answer, told) = oneshot::channel();
            confirmed.push(Confirmed {
                id: Some(id.into()),
                answer,
                confirmation: Ok(confirmation),
            });
            answers.push((id, told));
        }
        all.answer(&mut confirmed);
        found.extend(answers.into_iter().map(|(id, mut told)| (id, told.try_recv().unwrap())));
    }
    assert_eq!(found, expected);
    assert!(all.0.is_empty(), "nothing is left: {:?}", all.0);
}

#[test]
fn only_a_plain_confirm_is_a_success() {
    let returned = returned("b");
    check(
        vec![vec![
            ("a", Confirmation::Ack(None)),
            ("b", Confirmation::Ack(Some(returned))),
            ("c", Confirmation::Nack(None)),
            ("d", Confirmation::NotRequested),
        ]],
        &[
            ("a", Outcome::Stored),
            ("b", Outcome::Returned("NO_ROUTE".to_owned())),
            ("c", Outcome::Rejected),
            ("d", Outcome::Lost("no confirms are on".to_owned())),
        ],
    );
}

#[test]
fn a_returned_message_is_its_own_whoever_hears_of_it() {
    let lost = Outcome::Returned("NO_ROUTE".to_owned());
    // With another's confirm in the same batch, before or after its own, or in an earlier one.
    check(
        vec![vec![("a", Confirmation::Ack(Some(returned("b")))), ("b", Confirmation::Ack(None))]],
        &[("a", Outcome::Stored), ("b", lost.clone())],
    );
    check(
        vec![vec![("b", Confirmation::Ack(None)), ("a", Confirmation::Ack(Some(returned("b"))))]],
        &[("b", lost.clone()), ("a", Outcome::Stored)],
    );
    check(
        vec![
            vec![("a", Confirmation::Ack(Some(returned("b"))))],
            vec![("b", Confirmation::Ack(None)), ("b", Confirmation::Ack(None))],
        ],
        &[("a", Outcome::Stored), ("b", lost), ("b", Outcome::Stored)],
    );
}

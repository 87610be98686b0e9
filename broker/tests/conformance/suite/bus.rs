//! Laws of a bus: every listener hears every event from when it begins, and is told of gaps.

use super::{How, PATIENCE, SOON, Stage, message, patience, pause};
use base::Moment;
use offload::queue::{Bus, Heard, Message};
use std::sync::Arc;

async fn hear(bus: &dyn Bus, topic: &str) -> Heard {
    let heard = tokio::time::timeout(PATIENCE, bus.hear(topic)).await;
    heard.unwrap_or_else(|_| panic!("nothing is heard of {topic}"))
}

async fn publish(bus: &dyn Bus, topic: &str, event: Message) {
    let by = patience();
    while let Err(error) = bus.publish(topic, event.clone(), SOON).await {
        assert!(!by.passed(Moment::now()), "publish: {error}");
        pause().await;
    }
}

/// A bus whose listener listens to a topic.
async fn listening(stage: &mut impl Stage, name: &str, node: &str, topic: &str) -> Arc<dyn Bus> {
    let bus = stage.open_bus(&stage.options(name, node));
    assert_eq!(hear(&*bus, topic).await, Heard::Listening, "told first");
    bus
}

/// What is heard is this event; its `fields` are not told.
async fn hears(bus: &dyn Bus, topic: &str, event: &Message) {
    match hear(bus, topic).await {
        Heard::Event(heard) => assert_eq!(
            (&heard.id, &heard.key, &heard.payload),
            (&event.id, &event.key, &event.payload)
        ),
        other => panic!("{} was to be heard: {other:?}", event.id),
    }
}

/// Every listener hears each event once and in order, its own included, and of its topic alone.
pub(crate) async fn every_listener_hears_each(stage: &mut impl Stage, name: &str) {
    let one = listening(stage, name, "one", "product").await;
    let two = listening(stage, name, "two", "product").await;
    assert_eq!(hear(&*two, "price").await, Heard::Listening);
    for number in 0..20 {
        publish(&*one, "price", message("price", number)).await;
        publish(&*one, "product", message("product", number)).await;
    }
    for number in 0..20 {
        hears(&*one, "product", &message("product", number)).await;
        hears(&*two, "product", &message("product", number)).await;
        hears(&*two, "price", &message("price", number)).await;
    }
}

/// Who begins to listen hears nothing of before.
pub(crate) async fn nothing_old_is_heard(stage: &mut impl Stage, name: &str) {
    let one = listening(stage, name, "one", "product").await;
    publish(&*one, "product", message("old", 0)).await;
    hears(&*one, "product", &message("old", 0)).await;
    let late = listening(stage, name, "late", "product").await;
    publish(&*one, "product", message("new", 0)).await;
    hears(&*late, "product", &message("new", 0)).await;
}

/// After the broker was away listeners are told of a gap, listen again, and hear what follows.
pub(crate) async fn a_restart_is_told_as_a_gap(stage: &mut impl Stage, name: &str) {
    let one = listening(stage, name, "one", "product").await;
    publish(&*one, "product", message("before", 0)).await;
    hears(&*one, "product", &message("before", 0)).await;
    stage.stop(How::Kill);
    let away = one.publish("product", message("lost", 0), std::time::Duration::from_millis(500));
    assert!(away.await.is_err(), "nobody was there to take it");
    stage.start();
    gap_and_on(&*one).await;
}

/// A broken connection is a gap.
pub(crate) async fn a_cut_is_told_as_a_gap(stage: &mut impl Stage, name: &str) {
    let one = listening(stage, name, "one", "product").await;
    stage.cable().cut();
    gap_and_on(&*one).await;
}

/// A listener hears of a gap, listens again, and hears what is published from then on.
async fn gap_and_on(bus: &dyn Bus) {
    // It may take more than one attempt to listen again, each a gap.
    let mut gaps = 0;
    loop {
        match hear(bus, "product").await {
            Heard::Gap(why) => {
                assert!(!why.is_empty(), "a reason");
                gaps += 1;
            }
            Heard::Listening => break,
            Heard::Event(event) => panic!("not before it listens: {event:?}"),
        }
    }
    assert!(gaps > 0, "a gap is told before it listens again");
    publish(bus, "product", message("after", 0)).await;
    loop {
        match hear(bus, "product").await {
            // Nobody knew whether it was taken.
            Heard::Event(event) if event.id == "lost-0" => {}
            Heard::Event(event) if event.id == "after-0" => break,
            other => panic!("after-0 was to be heard: {other:?}"),
        }
    }
}

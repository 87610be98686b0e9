//! Laws of order, for brokers that keep it.

use super::{Stage, done, message, nothing_more, put, take};
use offload::queue::{Channel, Message};
use std::collections::HashMap;

/// Messages with the same key come in the order in which they were put.
pub(crate) async fn messages_of_a_key_keep_their_order(stage: &mut impl Stage, name: &str) {
    let queue = stage.queue(name, "a").await;
    assert!(queue.capabilities().keeps_order, "a broker that keeps order");
    let keys = ["red", "green", "blue"];
    let all: Vec<Message> = (0..150)
        .map(|number| Message { key: keys[number % 3].to_owned(), ..message("m", number) })
        .collect();
    for batch in all.chunks(30) {
        put(&*queue, &Channel::Jobs, batch.to_vec()).await;
    }
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut left = all.len();
    while left > 0 {
        // Of some brokers at most one of a key is out at a time, so each is acknowledged at once.
        let taken = take(&*queue, &Channel::Jobs, 1).await;
        left -= taken.len();
        for one in &taken {
            let number: usize = one.message.id[2..].parse().unwrap();
            let before = last.insert(one.message.key.clone(), number);
            assert!(before < Some(number), "{number} after {before:?} of {}", one.message.key);
        }
        done(taken).await;
    }
    nothing_more(&*queue, &Channel::Jobs).await;
}

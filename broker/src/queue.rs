//! What all queues here share.

use offload::queue::QueueError;

/// Longest topic.
const TOPIC_MAX: usize = 128;

/// Can it be a topic of every bus: words of letters, digits, `-` and `_`, with dots between them?
/// Wildcards of brokers are none.
pub fn is_topic(topic: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    topic.len() <= TOPIC_MAX
        && topic.split('.').all(|word| !word.is_empty() && word.bytes().all(legal))
}

/// An error that befell a whole batch, for another of its messages: none of them was sent.
pub fn again(error: &QueueError) -> QueueError {
    let told = |queue: &String, why: &String| (queue.clone(), why.clone());
    match error {
        QueueError::Refused { queue, why } => {
            let (queue, why) = told(queue, why);
            QueueError::Refused { queue, why }
        }
        QueueError::Full { queue, why } => {
            let (queue, why) = told(queue, why);
            QueueError::Full { queue, why }
        }
        QueueError::Away { queue, why } | QueueError::Unknown { queue, why } => {
            let (queue, why) = told(queue, why);
            QueueError::Away { queue, why }
        }
        QueueError::TooLarge { queue, bytes, max } => {
            QueueError::TooLarge { queue: queue.clone(), bytes: *bytes, max: *max }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_topic;

    #[test]
    fn a_topic_is_words_with_dots_between() {
        for (topic, expected) in [
            ("product", true),
            ("product.changed-2", true),
            ("", false),
            (".a", false),
            ("a..b", false),
            ("a.*", false),
            ("a b", false),
        ] {
            assert_eq!(is_topic(topic), expected, "{topic:?}");
        }
    }
}

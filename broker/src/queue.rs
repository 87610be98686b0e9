//! What all queues here share.

use offload::queue::QueueError;

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

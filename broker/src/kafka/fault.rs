//! What errors of librdkafka mean to whoever puts or takes a message.

use offload::queue::QueueError;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// What became of a message that was to be stored.
///
/// Only what a broker says before it stores anything is a refusal. Whatever is said after it may
/// have been stored, or by nobody at all, leaves it open.
pub(super) fn put(queue: &str, error: &KafkaError) -> QueueError {
    let (queue, why) = (queue.to_owned(), text(error));
    match error.rdkafka_error_code() {
        // Of the second the broker says that it was not appended; after it was, the code is another.
        Some(Code::QueueFull | Code::NotEnoughReplicas) => QueueError::Full { queue, why },
        Some(
            Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::PolicyViolation
            | Code::InvalidArgument,
        ) => QueueError::Refused { queue, why },
        _ => QueueError::Unknown { queue, why },
    }
}

/// Is the producer's sequence spoilt, so that only a new one goes on? A broker that was restarted
/// may not know the sequence any more; some say no more than that something is wrong.
pub(super) fn spoils(error: &KafkaError) -> bool {
    let codes = [
        Code::Unknown,
        Code::OutOfOrderSequenceNumber,
        Code::UnknownProducerId,
        Code::InvalidProducerEpoch,
        Code::DuplicateSequenceNumber,
        Code::Fatal,
    ];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

/// Nothing was sent.
pub(super) fn away(queue: &str, why: impl Into<String>) -> QueueError {
    QueueError::Away { queue: queue.to_owned(), why: why.into() }
}

/// Nobody knows.
pub(super) fn unknown(queue: &str, why: impl Into<String>) -> QueueError {
    QueueError::Unknown { queue: queue.to_owned(), why: why.into() }
}

/// What went wrong, for people, without the wrapper's words around it.
pub(super) fn text(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(Code::MessageTimedOut) => "no acknowledgement of all replicas in time".to_owned(),
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

/// Does it say that brokers cannot be reached?
pub(super) fn is_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::TimedOutQueue
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_that_says_so_has_not_stored_it() {
        let check = |code| match put("q", &KafkaError::MessageProduction(code)) {
            QueueError::Refused { .. } => "refused",
            QueueError::Full { .. } => "full",
            QueueError::Unknown { .. } => "unknown",
            other => panic!("{other}"),
        };
        for code in [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed, Code::UnknownTopic]
        {
            assert_eq!(check(code), "refused", "{code}");
        }
        assert_eq!(check(Code::QueueFull), "full");
        assert_eq!(check(Code::NotEnoughReplicas), "full");
        for code in [
            Code::NotEnoughReplicasAfterAppend,
            Code::MessageTimedOut,
            Code::BrokerTransportFailure,
            Code::RequestTimedOut,
            Code::Fatal,
        ] {
            assert_eq!(check(code), "unknown", "{code}");
        }
    }
}

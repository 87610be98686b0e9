//! The topics: made where they are missing, looked at where they are there. All of it blocks.

use super::address::Address;
use super::fault;
use super::post::{Ear, Sender};
use offload::queue::QueueError;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::Duration;

/// How long the cluster may take to tell of itself, and to make topics.
const ASK: Duration = Duration::from_secs(5);
/// Kafka must keep what waits for at least so long: a weekend with nobody who takes.
const RETENTION_MS_MIN: i64 = 3 * 24 * 3600 * 1000;

/// Makes sure that these topics exist, and tells what of them breaks the promise.
pub(super) async fn ensure(
    name: &str,
    address: &Address,
    sender: &Sender,
    topics: &[String],
) -> Result<Vec<String>, QueueError> {
    let away = |error: KafkaError| fault::away(name, fault::text(&error));
    let cluster = metadata(sender, None).await.map_err(away)?;
    let missing: Vec<&str> = topics
        .iter()
        .map(String::as_str)
        .filter(|topic| partitions(&cluster, topic) == 0)
        .collect();
    let admin = AdminClient::from_config_and_context(&address.config(), Ear);
    let admin = admin.map_err(away)?;
    let mut made_by_asking = false;
    if !missing.is_empty() {
        made_by_asking = !make(name, address, &admin, &missing).await?;
    }
    let mut warnings = Vec::new();
    for topic in topics {
        // Asking for one topic also makes it, in clusters that make topics so; and it warms what
        // the first message needs.
        let told = metadata(sender, Some(topic.clone())).await.map_err(away)?;
        if partitions(&told, topic) == 0 {
            let why = format!("topic {topic:?} is missing and could not be made");
            return Err(QueueError::Refused { queue: name.to_owned(), why });
        }
        warnings.extend(replicas(&told, topic));
        if !made_by_asking {
            warnings.extend(settings(&admin, topic).await);
        }
    }
    drop_elsewhere(admin).await;
    Ok(warnings)
}

async fn drop_elsewhere<T: Send + 'static>(client: T) {
    let _ended = tokio::task::spawn_blocking(move || drop(client)).await;
}

async fn metadata(sender: &Sender, topic: Option<String>) -> Result<Metadata, KafkaError> {
    let sender = sender.clone();
    let ask = move || sender.client().fetch_metadata(topic.as_deref(), ASK);
    tokio::task::spawn_blocking(ask).await.unwrap_or(Err(KafkaError::Canceled))
}

/// How many partitions a topic has; 0: it is not there.
pub(super) fn partitions(metadata: &Metadata, topic: &str) -> usize {
    let topic =
        metadata.topics().iter().find(|told| told.name() == topic && told.error().is_none());
    topic.map_or(0, |topic| topic.partitions().len())
}

/// Makes topics. False if the cluster has no such request: then asking for one may make it.
async fn make(
    name: &str,
    address: &Address,
    admin: &AdminClient<Ear>,
    topics: &[&str],
) -> Result<bool, QueueError> {
    let replicas = address.replication.unwrap_or(-1);
    let topic = |topic| NewTopic::new(topic, address.partitions, TopicReplication::Fixed(replicas));
    let topics: Vec<_> = topics.iter().copied().map(topic).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
    match admin.create_topics(&topics, &options).await {
        Ok(made) => {
            for topic in made {
                match topic {
                    Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                    Err((topic, code)) => {
                        let why = format!("topic {topic:?} could not be made: {code}");
                        return Err(QueueError::Refused { queue: name.to_owned(), why });
                    }
                }
            }
            Ok(true)
        }
        Err(KafkaError::AdminOp(Code::UnsupportedFeature | Code::UnsupportedVersion)) => Ok(false),
        Err(error) => Err(fault::away(name, fault::text(&error))),
    }
}

/// A topic on one broker of several is lost with it.
fn replicas(metadata: &Metadata, topic: &str) -> Option<String> {
    let told = metadata.topics().iter().find(|told| told.name() == topic)?;
    let least = told.partitions().iter().map(|partition| partition.replicas().len()).min()?;
    (least < 2 && metadata.brokers().len() > 1).then(|| {
        format!(
            "topic {topic} has one replica: what waits there is lost with its broker; give it three \
             and min.insync.replicas=2"
        )
    })
}

/// What its settings mean for the promise. A cluster that does not tell them is believed.
async fn settings(admin: &AdminClient<Ear>, topic: &str) -> Vec<String> {
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let asked = [ResourceSpecifier::Topic(topic)];
    let Ok(told) = admin.describe_configs(asked.iter(), &options).await else { return Vec::new() };
    told.iter().flatten().flat_map(|told| broken(topic, told)).collect()
}

fn broken(topic: &str, told: &ConfigResource) -> Vec<String> {
    let value = |name: &str| told.get(name).and_then(|entry| entry.value.clone());
    verdicts(
        topic,
        value("cleanup.policy").as_deref(),
        value("retention.ms").and_then(|ms| ms.parse().ok()),
        value("unclean.leader.election.enable").as_deref(),
    )
}

fn verdicts(
    topic: &str,
    cleanup: Option<&str>,
    retention_ms: Option<i64>,
    unclean: Option<&str>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if cleanup.is_some_and(|policy| policy.contains("compact")) {
        warnings.push(format!(
            "topic {topic} is compacted: of messages with the same key all but the last may vanish; \
             set cleanup.policy=delete"
        ));
    }
    if let Some(ms) = retention_ms.filter(|ms| (0..RETENTION_MS_MIN).contains(ms)) {
        warnings.push(format!(
            "topic {topic} keeps messages for {} s: what waits for longer vanishes; set retention.ms \
             to three days or more",
            ms / 1000
        ));
    }
    if unclean == Some("true") {
        warnings.push(format!(
            "topic {topic} may choose a leader that lacks what was acknowledged; set \
             unclean.leader.election.enable=false"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::verdicts;

    #[test]
    fn settings_that_break_the_promise_are_told() {
        let good = verdicts("t", Some("delete"), Some(-1), Some("false"));
        assert_eq!((good.len(), verdicts("t", None, None, None).len()), (0, 0));
        let bad = verdicts("t", Some("compact,delete"), Some(60_000), Some("true"));
        assert_eq!(bad.len(), 3, "{bad:?}");
        assert!(bad[1].contains("60 s"), "{bad:?}");
    }
}

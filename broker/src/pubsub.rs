//! Google Pub/Sub: a topic and a subscription for jobs and one for each gateway's news, over its REST
//! interface (v1).
//!
//! - [`access`]: who we are to Google.
//!
//! A message is lent for the acknowledgement deadline; `still` sets it anew, `again` ends it. A pull
//! waits at the service. Order holds for messages with the same key, while none of them comes again.

mod access;

use crate::pull::{Lender, Lent, Pull, Word, again};
use crate::url::{BrokerError, Options, Place};
use crate::web::{Answer, Endpoint, Lost, Web};
use access::Access;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use offload::base64;
use offload::queue::{Capabilities, Channel, Message, Queue, QueueError, Taken, Waiting};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "https://pubsub.googleapis.com";
/// Most messages of a call.
const BATCH: usize = 100;
/// Bytes of a message that are not payload, and most of all of a call.
const FRAME_BYTES: usize = 64 << 10;
const BYTES_MAX: usize = 10_000_000;
/// The loans that there are.
const LEASE_MIN: Duration = Duration::from_secs(10);
const LEASE_MAX: Duration = Duration::from_mins(10);
/// How long making and asking may take.
const ASK: Duration = Duration::from_secs(5);

/// A queue of Pub/Sub.
pub struct PubSub {
    service: Arc<Service>,
    pull: Pull<Service>,
    node: String,
}

struct Service {
    name: String,
    project: String,
    web: Web,
    access: Access,
    /// `fleetfoot.QUEUE`.
    base: String,
    lease: Duration,
}

impl PubSub {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// What is wrong with the URL, or with the file of a service account that the environment names.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let [project] = &place.hosts[..] else {
            return Err(place.bad("one project: pubsub://my-project/"));
        };
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if !project.chars().all(is_legal) || !place.path.is_empty() || place.credentials.is_some() {
            return Err(place.bad(
                "a Pub/Sub URL is pubsub://PROJECT/[?endpoint=URL]; who we are comes from \
                 GOOGLE_APPLICATION_CREDENTIALS or the machine",
            ));
        }
        let mut endpoint = None;
        for option in place.query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("endpoint", url)) => endpoint = Some(url.to_owned()),
                _ => {
                    return Err(place.bad(format!(
                        "no option is called {option:?}: there is endpoint=http://HOST:PORT"
                    )));
                }
            }
        }
        let emulator = || Some(format!("http://{}", std::env::var("PUBSUB_EMULATOR_HOST").ok()?));
        let endpoint = endpoint.or_else(emulator);
        // Who plays Pub/Sub asks for nobody's name; and it must not learn a token that is for Google.
        let access = match &endpoint {
            Some(_) => Access::Nobody,
            None => Access::found().map_err(|why| place.bad(why))?,
        };
        let endpoint = endpoint.as_deref().unwrap_or(SERVICE);
        let wrong = || place.bad(format!("{endpoint:?} is no endpoint: write http://HOST:PORT"));
        let parsed = Endpoint::parse(endpoint).ok_or_else(wrong)?;
        let service = Arc::new(Service {
            name: place.name_of(&options.queue),
            project: project.clone(),
            web: Web::new(parsed, options.trust.as_deref())?,
            access,
            base: format!("fleetfoot.{}", options.queue),
            lease: options.lease.clamp(LEASE_MIN, LEASE_MAX),
        });
        let pull = Pull::new(Arc::clone(&service));
        Ok(Self { service, pull, node: options.node.clone() })
    }
}

impl Queue for PubSub {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: (BYTES_MAX - 2 * FRAME_BYTES) / 4 * 3,
            lease: Some(self.service.lease),
            keeps_order: true,
            counts: false,
            forgets_twins: None,
        }
    }

    fn name(&self) -> &str {
        &self.service.name
    }

    fn ready(&self) -> Waiting<'_, Result<Vec<String>, QueueError>> {
        Box::pin(async move {
            let mut warnings = Vec::new();
            for channel in [Channel::Jobs, Channel::News(self.node.clone())] {
                warnings.extend(self.service.made(&channel).await?);
            }
            Ok(warnings)
        })
    }

    fn put<'a>(
        &'a self,
        channel: &'a Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Waiting<'a, Vec<Result<(), QueueError>>> {
        Box::pin(async move {
            if self.pull.is_closed() {
                let closed = || self.service.away("closed".to_owned());
                return messages.iter().map(|_| Err(closed())).collect();
            }
            self.service.put(channel, &messages, self.capabilities().payload_max, by).await
        })
    }

    fn take<'a>(
        &'a self,
        channel: &'a Channel,
        most: usize,
        wait: Duration,
    ) -> Waiting<'a, Result<Vec<Taken>, QueueError>> {
        Box::pin(self.pull.take(channel, most, wait))
    }

    /// Only Cloud Monitoring tells, a minute later.
    fn waiting<'a>(&'a self, _: &'a Channel) -> Waiting<'a, Option<u64>> {
        Box::pin(async { None })
    }

    fn close(&self) -> Waiting<'_, ()> {
        Box::pin(self.pull.close())
    }
}

impl Service {
    fn away(&self, why: String) -> QueueError {
        QueueError::Away { queue: self.name.clone(), why }
    }

    /// What a channel's topic and subscription are called.
    fn channel_name(&self, channel: &Channel) -> String {
        match channel {
            Channel::Jobs => format!("{}.jobs", self.base),
            Channel::News(node) => format!("{}.news.{node}", self.base),
        }
    }

    fn topic(&self, channel: &Channel) -> String {
        format!("projects/{}/topics/{}", self.project, self.channel_name(channel))
    }

    fn subscription(&self, channel: &Channel) -> String {
        format!("projects/{}/subscriptions/{}", self.project, self.channel_name(channel))
    }

    /// One call: whatever is answered.
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        by: Duration,
    ) -> Result<Answer, QueueError> {
        let token = self.access.token().await.map_err(|why| self.away(why))?;
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
        request = request.header("host", &self.web.endpoint.authority);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| self.away(error.to_string()))?;
        self.web.call(request, by).await.map_err(|lost| match lost {
            Lost::Unsent(why) => self.away(why),
            Lost::Unknown(why) => QueueError::Unknown { queue: self.name.clone(), why },
        })
    }

    /// A call that must succeed: its JSON.
    async fn done(&self, path: &str, body: &Value, by: Duration) -> Result<Value, QueueError> {
        let answer = self.call("POST", path, Some(body), by).await?;
        if answer.status.is_success() { Ok(answer.json()) } else { Err(self.refused(&answer)) }
    }

    fn refused(&self, answer: &Answer) -> QueueError {
        let told = &answer.json()["error"];
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let why = format!("{} {} {}", answer.status, text("status"), text("message"));
        let (queue, why) = (self.name.clone(), why.trim().to_owned());
        match answer.status.as_u16() {
            429 => QueueError::Full { queue, why },
            400..=499 => QueueError::Refused { queue, why },
            _ => QueueError::Unknown { queue, why },
        }
    }

    /// Makes a channel's topic and subscription, or looks at those that are there.
    async fn made(&self, channel: &Channel) -> Result<Vec<String>, QueueError> {
        let (topic, subscription) = (self.topic(channel), self.subscription(channel));
        self.make(&topic, &json!({})).await?;
        let wanted = json!({
            "topic": topic,
            "ackDeadlineSeconds": self.lease.as_secs(),
            "enableMessageOrdering": true,
            "messageRetentionDuration": "604800s",
            // A subscription that nobody used for 31 days would be removed, with what waits.
            "expirationPolicy": {},
        });
        if self.make(&subscription, &wanted).await? {
            return Ok(Vec::new());
        }
        let answer = self.call("GET", &subscription, None, ASK).await?;
        Ok(verdicts(&subscription, &answer.json()))
    }

    /// True: it was made; false: it was there.
    async fn make(&self, path: &str, body: &Value) -> Result<bool, QueueError> {
        let answer = self.call("PUT", path, Some(body), ASK).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            409 => Ok(false),
            // Who may not make any may still use what is there.
            403 => {
                let there = self.call("GET", path, None, ASK).await?;
                if there.status.is_success() { Ok(false) } else { Err(self.refused(&answer)) }
            }
            _ => Err(self.refused(&answer)),
        }
    }

    async fn put(
        &self,
        channel: &Channel,
        messages: &[Message],
        max: usize,
        by: Duration,
    ) -> Vec<Result<(), QueueError>> {
        let topic = self.topic(channel);
        let began = base::Moment::now();
        let (mut answers, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (at, message) in messages.iter().enumerate() {
            let length = message.payload.len();
            if length > max {
                let queue = self.name.clone();
                answers.push((at, Err(QueueError::TooLarge { queue, bytes: length, max })));
                continue;
            }
            let weight = base64::encoded_len(length) + FRAME_BYTES;
            if batch.len() == BATCH || bytes + weight > BYTES_MAX {
                let left = by.saturating_sub(base::Moment::now().since(began));
                answers.extend(self.publish(&topic, &batch, left).await);
                (batch, bytes) = (Vec::new(), 0);
            }
            batch.push((at, message));
            bytes += weight;
        }
        if !batch.is_empty() {
            let left = by.saturating_sub(base::Moment::now().since(began));
            answers.extend(self.publish(&topic, &batch, left).await);
        }
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// All of them or none.
    async fn publish(
        &self,
        topic: &str,
        batch: &[(usize, &Message)],
        by: Duration,
    ) -> Vec<(usize, Result<(), QueueError>)> {
        let all: Vec<_> = batch.iter().map(|(_, message)| written(message)).collect();
        let body = json!({ "messages": all });
        let told = self.done(&format!("{topic}:publish"), &body, by).await;
        let answer = || told.as_ref().map(drop).map_err(again);
        batch.iter().map(|(at, _)| (*at, answer())).collect()
    }
}

/// What of a subscription that was there breaks the promise.
fn verdicts(path: &str, told: &Value) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut warnings = Vec::new();
    let mut warn = |what: &str| warnings.push(format!("subscription {name} {what}"));
    if told["deadLetterPolicy"].is_object() {
        warn("moves what was given out often to another topic: remove its deadLetterPolicy");
    }
    if told["enableMessageOrdering"] != true {
        warn("keeps no order: make it anew with enableMessageOrdering");
    }
    if told["expirationPolicy"]["ttl"].is_string() {
        warn("is removed when nobody uses it for a while: set its expirationPolicy to never");
    }
    if told["filter"].as_str().is_some_and(|filter| !filter.is_empty()) {
        warn("has a filter, and what does not pass it is lost: make it anew without one");
    }
    if told["pushConfig"]["pushEndpoint"].is_string() {
        warn("pushes to somebody else: set it to pull");
    }
    warnings
}

fn written(message: &Message) -> Value {
    let fields = message.fields.iter().map(|(name, value)| (*name, value));
    let attributes: serde_json::Map<String, Value> = std::iter::once(("fleetfoot-id", &message.id))
        .chain(fields)
        .map(|(name, value)| (name.to_owned(), value.as_str().into()))
        .collect();
    let mut told = json!({ "data": base64::encode(&message.payload), "attributes": attributes });
    if !message.key.is_empty() {
        told["orderingKey"] = message.key.as_str().into();
    }
    told
}

impl Lender for Service {
    const BATCH: usize = BATCH;

    fn name(&self) -> &str {
        &self.name
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn receive(
        &self,
        channel: &Channel,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Lent>, QueueError> {
        // The service waits for the first as it likes; without a wait it is told not to, in its old
        // words, which it still understands.
        let body = json!({ "maxMessages": most, "returnImmediately": wait.is_zero() });
        let path = format!("{}:pull", self.subscription(channel));
        let mut told = match self.done(&path, &body, wait.max(ASK)).await {
            // It waits for longer than we do: there is nothing.
            Err(QueueError::Unknown { .. }) if !wait.is_zero() => return Ok(Vec::new()),
            told => told?,
        };
        let came = told["receivedMessages"].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok(came.iter().filter_map(lent).collect())
    }

    async fn say(
        &self,
        channel: &Channel,
        word: Word,
        handles: &[String],
    ) -> Vec<Result<(), QueueError>> {
        let subscription = self.subscription(channel);
        let (verb, seconds) = match word {
            Word::Done => ("acknowledge", None),
            Word::Again => ("modifyAckDeadline", Some(0)),
            Word::Still => ("modifyAckDeadline", Some(self.lease.as_secs())),
        };
        let mut body = json!({ "ackIds": handles });
        if let Some(seconds) = seconds {
            body["ackDeadlineSeconds"] = seconds.into();
        }
        let told = self.done(&format!("{subscription}:{verb}"), &body, ASK).await;
        handles.iter().map(|_| told.as_ref().map(drop).map_err(again)).collect()
    }
}

/// A message as it was pulled. One without a handle is none.
fn lent(told: &Value) -> Option<Lent> {
    let message = &told["message"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = match &message["attributes"]["fleetfoot-id"] {
        Value::String(id) => id.clone(),
        _ => text(&message["messageId"]),
    };
    let payload = base64::decode(message["data"].as_str().unwrap_or_default())?;
    let key = text(&message["orderingKey"]);
    Some(Lent {
        message: Message { id, key, fields: Vec::new(), payload: payload.into() },
        times: 1,
        handle: told["ackId"].as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_break_the_promise_are_told() {
        let good = json!({ "enableMessageOrdering": true, "expirationPolicy": {} });
        assert_eq!(verdicts("a/b", &good), [""; 0]);
        let bad = json!({
            "deadLetterPolicy": {}, "expirationPolicy": { "ttl": "2678400s" }, "filter": "x",
            "pushConfig": { "pushEndpoint": "https://a" },
        });
        assert_eq!(verdicts("a/b", &bad).len(), 5);
    }
}

//! AWS SQS: a queue for jobs and one for each gateway's news, over its JSON protocol.
//!
//! - [`sign`]: Signature Version 4.
//! - [`credentials`]: whose keys.
//!
//! Bodies are text there, so payloads go as base64. A message is lent for the lease; `still` lends it
//! anew, `again` ends the loan at once. Standard queues: no order, and twins now and then.

mod credentials;
mod sign;

use crate::pull::{Lender, Lent, Pull, Word, again};
use crate::text::{escape, one_line, unescape};
use crate::url::{BrokerError, Options, Place};
use crate::web::{Answer, Endpoint, Lost, Web};
use base::Moment;
use bytes::Bytes;
use credentials::{Credentials, Keys};
use http::Request;
use http_body_util::Full;
use offload::base64;
use offload::queue::{Capabilities, Channel, Message, Queue, QueueError, Taken, Waiting};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most messages of a call, and most attributes of a message, which also carry id and key.
const BATCH: usize = 10;
const FIELDS_MAX: usize = 8;
/// Bytes of a message that are not payload.
const FRAME_BYTES: usize = 4 << 10;
/// Bytes of a message, and of all of a call, as every queue takes them.
const BYTES_MAX: usize = 256 << 10;
/// Longest name of a queue there.
const NAME_MAX: usize = 80;
/// Longest lease that a queue can give.
const LEASE_MAX: Duration = Duration::from_hours(12);
/// How long making and asking may take.
const ASK: Duration = Duration::from_secs(5);
/// What waits is kept for so long: the most that there is.
const RETENTION_S: u64 = 14 * 24 * 3600;
const RETENTION_S_MIN: u64 = 3 * 24 * 3600;

/// A queue of SQS.
pub struct Sqs {
    service: Arc<Service>,
    pull: Pull<Service>,
    node: String,
}

struct Service {
    name: String,
    region: String,
    web: Web,
    credentials: Credentials,
    /// `fleetfoot-QUEUE`.
    base: String,
    bytes_max: usize,
    lease: Duration,
    urls: Mutex<HashMap<Channel, String>>,
}

impl Sqs {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let [region] = &place.hosts[..] else {
            return Err(place.bad("one region: sqs://eu-central-1/"));
        };
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let told = place.credentials.as_deref().map(|told| told.split_once(':'));
        if !region.chars().all(is_legal) || !place.path.is_empty() || told == Some(None) {
            return Err(place.bad(
                "an SQS URL is sqs://[KEY_ID:SECRET@]REGION/[?endpoint=URL]; without keys they come \
                 from the environment, ~/.aws/credentials or the role",
            ));
        }
        let keys =
            |(id, secret)| Keys { id: unescape(id), secret: unescape(secret), session: None };
        let credentials = Credentials::new(told.flatten().map(keys));
        let (mut endpoint, mut bytes_max) =
            (format!("https://sqs.{region}.amazonaws.com"), BYTES_MAX);
        for option in place.query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("endpoint", url)) => url.clone_into(&mut endpoint),
                Some(("bytes", "1048576")) => bytes_max = 1 << 20,
                Some(("bytes", "262144")) => {}
                _ => {
                    return Err(place.bad(format!(
                        "no option is called {option:?}: there are endpoint=http://HOST:PORT, \
                         bytes=262144 or 1048576"
                    )));
                }
            }
        }
        let wrong = || place.bad(format!("{endpoint:?} is no endpoint: write http://HOST:PORT"));
        let endpoint = Endpoint::parse(&endpoint).ok_or_else(wrong)?;
        let base = format!("fleetfoot-{}", options.queue);
        if base.len() + "-news-".len() + options.node.len() > NAME_MAX {
            return Err(place.bad(format!(
                "SQS names have {NAME_MAX} characters, and {base}-news-{} has more: shorten the \
                 queue's or the node's",
                options.node
            )));
        }
        let service = Arc::new(Service {
            name: place.name_of(&options.queue),
            region: region.clone(),
            web: Web::new(endpoint, options.trust.as_deref())?,
            credentials,
            base,
            bytes_max,
            lease: options.lease.clamp(Duration::from_secs(1), LEASE_MAX),
            urls: Mutex::default(),
        });
        let pull = Pull::new(Arc::clone(&service));
        Ok(Self { service, pull, node: options.node.clone() })
    }
}

impl Queue for Sqs {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: (self.service.bytes_max - FRAME_BYTES) / 4 * 3,
            lease: Some(self.service.lease),
            keeps_order: false,
            counts: true,
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
                let url = self.service.made(&channel).await?;
                warnings.extend(self.service.looked_at(&channel, &url).await?);
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

    fn waiting<'a>(&'a self, channel: &'a Channel) -> Waiting<'a, Option<u64>> {
        Box::pin(async move {
            let url = self.service.url(channel, ASK).await.ok()?;
            let told = self.service.attributes(&url).await.ok()?;
            told["ApproximateNumberOfMessages"].as_str()?.parse().ok()
        })
    }

    fn close(&self) -> Waiting<'_, ()> {
        Box::pin(self.pull.close())
    }
}

impl Service {
    fn away(&self, why: String) -> QueueError {
        QueueError::Away { queue: self.name.clone(), why }
    }

    fn queue_name(&self, channel: &Channel) -> String {
        match channel {
            Channel::Jobs => format!("{}-jobs", self.base),
            Channel::News(node) => format!("{}-news-{node}", self.base),
        }
    }

    /// One call: its answer's JSON, or what its failure means.
    async fn call(&self, action: &str, body: &Value, by: Duration) -> Result<Value, QueueError> {
        let keys = self.credentials.keys().await.map_err(|why| self.away(why))?;
        let body = body.to_string();
        let (stamp, target) = (sign::stamp(Moment::now().wall()), format!("AmazonSQS.{action}"));
        let host = self.web.endpoint.authority.clone();
        let mut fields = vec![
            ("content-type", "application/x-amz-json-1.0"),
            ("host", &*host),
            ("x-amz-date", &*stamp),
        ];
        if let Some(session) = &keys.session {
            fields.push(("x-amz-security-token", session));
        }
        fields.push(("x-amz-target", &*target));
        let call = sign::Call {
            method: "POST",
            service: "sqs",
            region: &self.region,
            fields: &fields,
            body: body.as_bytes(),
            stamp: &stamp,
        };
        let authorization = sign::authorization(&call, &keys);
        let mut request = Request::builder().method("POST").uri("/");
        for (name, value) in fields.into_iter().chain([("authorization", &*authorization)]) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| self.away(error.to_string()))?;
        match self.web.call(request, by).await {
            Ok(answer) if answer.status.is_success() => Ok(answer.json()),
            Ok(answer) => Err(self.refused(&answer)),
            Err(Lost::Unsent(why)) => Err(self.away(why)),
            Err(Lost::Unknown(why)) => Err(QueueError::Unknown { queue: self.name.clone(), why }),
        }
    }

    fn refused(&self, answer: &Answer) -> QueueError {
        let told = answer.json();
        let code = told["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let words = told["message"].as_str().or_else(|| told["Message"].as_str());
        let why = format!("{} {code} {}", answer.status, words.unwrap_or_default());
        let (queue, why) = (self.name.clone(), why.trim().to_owned());
        let throttled = code.contains("Throttl") || code.contains("OverLimit");
        if throttled || answer.status.as_u16() == 429 {
            QueueError::Full { queue, why }
        } else if answer.status.is_client_error() {
            QueueError::Refused { queue, why }
        } else {
            QueueError::Unknown { queue, why }
        }
    }

    /// Makes a channel's queue, or finds it.
    async fn made(&self, channel: &Channel) -> Result<String, QueueError> {
        let body = json!({
            "QueueName": self.queue_name(channel),
            "Attributes": {
                "VisibilityTimeout": self.lease.as_secs().to_string(),
                "MessageRetentionPeriod": RETENTION_S.to_string(),
            },
        });
        match self.call("CreateQueue", &body, ASK).await {
            Ok(told) => self.learned(channel, &told),
            // It is there with other attributes, or we may not make any.
            Err(QueueError::Refused { .. }) => self.url(channel, ASK).await,
            Err(error) => Err(error),
        }
    }

    fn learned(&self, channel: &Channel, told: &Value) -> Result<String, QueueError> {
        let url = told["QueueUrl"].as_str().ok_or_else(|| QueueError::Unknown {
            queue: self.name.clone(),
            why: "an answer without the queue's URL".to_owned(),
        })?;
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        urls.insert(channel.clone(), url.to_owned());
        Ok(url.to_owned())
    }

    /// The URL of a channel's queue.
    async fn url(&self, channel: &Channel, by: Duration) -> Result<String, QueueError> {
        let known = self.urls.lock().unwrap_or_else(PoisonError::into_inner).get(channel).cloned();
        if let Some(url) = known {
            return Ok(url);
        }
        let body = json!({ "QueueName": self.queue_name(channel) });
        self.learned(channel, &self.call("GetQueueUrl", &body, by).await?)
    }

    async fn attributes(&self, url: &str) -> Result<Value, QueueError> {
        let body = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        Ok(self.call("GetQueueAttributes", &body, ASK).await?["Attributes"].take())
    }

    /// What of a queue breaks the promise.
    async fn looked_at(&self, channel: &Channel, url: &str) -> Result<Vec<String>, QueueError> {
        let told = self.attributes(url).await?;
        let name = self.queue_name(channel);
        let mut warnings = Vec::new();
        let retention = told["MessageRetentionPeriod"].as_str().and_then(|s| s.parse::<u64>().ok());
        if let Some(seconds) = retention.filter(|seconds| *seconds < RETENTION_S_MIN) {
            warnings.push(format!(
                "queue {name} keeps messages for {seconds} s: what waits for longer vanishes; set \
                 MessageRetentionPeriod to {RETENTION_S}"
            ));
        }
        if told["RedrivePolicy"].is_string() {
            warnings.push(format!(
                "queue {name} moves what was given out often to another queue (RedrivePolicy), where \
                 nobody looks: remove it, dead jobs are kept by their gateway"
            ));
        }
        Ok(warnings)
    }

    async fn put(
        &self,
        channel: &Channel,
        messages: &[Message],
        max: usize,
        by: Duration,
    ) -> Vec<Result<(), QueueError>> {
        let began = Moment::now();
        let url = match self.url(channel, by).await {
            Ok(url) => url,
            Err(error) => return messages.iter().map(|_| Err(again(&error))).collect(),
        };
        let (mut answers, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (at, message) in messages.iter().enumerate() {
            let length = message.payload.len();
            if length > max {
                let queue = self.name.clone();
                answers.push((at, Err(QueueError::TooLarge { queue, bytes: length, max })));
                continue;
            }
            let weight = base64::encoded_len(length) + FRAME_BYTES;
            if batch.len() == BATCH || bytes + weight > self.bytes_max {
                let left = by.saturating_sub(Moment::now().since(began));
                answers.extend(self.put_batch(&url, &batch, left).await);
                (batch, bytes) = (Vec::new(), 0);
            }
            batch.push((at, message));
            bytes += weight;
        }
        if !batch.is_empty() {
            let left = by.saturating_sub(Moment::now().since(began));
            answers.extend(self.put_batch(&url, &batch, left).await);
        }
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn put_batch(
        &self,
        url: &str,
        batch: &[(usize, &Message)],
        by: Duration,
    ) -> Vec<(usize, Result<(), QueueError>)> {
        let entries: Vec<_> = batch.iter().map(|(at, message)| entry(*at, message)).collect();
        let body = json!({ "QueueUrl": url, "Entries": entries });
        let told = self.call("SendMessageBatch", &body, by).await;
        let answer = |at: usize| match &told {
            Ok(told) => self.of_entry(told, &at.to_string()),
            Err(error) => Err(again(error)),
        };
        batch.iter().map(|(at, _)| (*at, answer(*at))).collect()
    }

    /// What an answer to a batch says of one of its entries.
    fn of_entry(&self, told: &Value, id: &str) -> Result<(), QueueError> {
        let named = |list: &str| {
            told[list].as_array().and_then(|all| all.iter().find(|one| one["Id"] == *id)).cloned()
        };
        let queue = self.name.clone();
        match (named("Successful"), named("Failed")) {
            (Some(_), _) => Ok(()),
            (None, Some(failed)) => {
                let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
                let why = format!("{} {}", text("Code"), text("Message"));
                if failed["SenderFault"] == true {
                    return Err(QueueError::Refused { queue, why });
                }
                Err(QueueError::Unknown { queue, why })
            }
            (None, None) => {
                Err(QueueError::Unknown { queue, why: "an answer without this message".to_owned() })
            }
        }
    }
}

/// A message as an entry of a batch. Attributes must not be empty there.
fn entry(at: usize, message: &Message) -> Value {
    let own = [("fleetfoot-id", escape(&message.id)), ("fleetfoot-key", escape(&message.key))];
    let fields = message.fields.iter().take(FIELDS_MAX);
    let fields = fields.map(|(name, value)| (*name, one_line(value)));
    let attributes = own.into_iter().chain(fields).filter(|(_, value)| !value.is_empty());
    let attributes: serde_json::Map<String, Value> = attributes
        .map(|(name, value)| (name.to_owned(), json!({"DataType": "String", "StringValue": value})))
        .collect();
    let body = base64::encode(&message.payload);
    // An empty body is none to SQS; a space is skipped when it is read.
    let body = if body.is_empty() { " ".to_owned() } else { body };
    json!({ "Id": at.to_string(), "MessageBody": body, "MessageAttributes": attributes })
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
        let body = json!({
            "QueueUrl": self.url(channel, ASK).await?,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait.as_secs(),
            "VisibilityTimeout": self.lease.as_secs(),
            "MessageAttributeNames": ["All"],
            "AttributeNames": ["ApproximateReceiveCount"],
        });
        let mut told = self.call("ReceiveMessage", &body, wait + ASK).await?;
        let came = told["Messages"].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok(came.iter().filter_map(lent).collect())
    }

    async fn say(
        &self,
        channel: &Channel,
        word: Word,
        handles: &[String],
    ) -> Vec<Result<(), QueueError>> {
        let url = match self.url(channel, ASK).await {
            Ok(url) => url,
            Err(error) => return handles.iter().map(|_| Err(again(&error))).collect(),
        };
        let (action, seconds) = match word {
            Word::Done => ("DeleteMessageBatch", None),
            Word::Again => ("ChangeMessageVisibilityBatch", Some(0)),
            Word::Still => ("ChangeMessageVisibilityBatch", Some(self.lease.as_secs())),
        };
        let entries = handles.iter().enumerate().map(|(at, handle)| {
            let mut entry = json!({ "Id": at.to_string(), "ReceiptHandle": handle });
            if let Some(seconds) = seconds {
                entry["VisibilityTimeout"] = seconds.into();
            }
            entry
        });
        let body = json!({ "QueueUrl": url, "Entries": entries.collect::<Vec<_>>() });
        let told = self.call(action, &body, ASK).await;
        let answer = |at: usize| match &told {
            Ok(told) => self.of_entry(told, &at.to_string()),
            Err(error) => Err(again(error)),
        };
        (0..handles.len()).map(answer).collect()
    }
}

/// A message as it was received. One without a handle is none.
fn lent(told: &Value) -> Option<Lent> {
    let attribute = |name: &str| {
        let value = told["MessageAttributes"][name]["StringValue"].as_str();
        value.unwrap_or_default().to_owned()
    };
    let mut id = unescape(&attribute("fleetfoot-id"));
    if id.is_empty() {
        told["MessageId"].as_str().unwrap_or_default().clone_into(&mut id);
    }
    let body = told["Body"].as_str().unwrap_or_default();
    // What others have put there may be plain text.
    let payload = base64::decode(body.trim()).unwrap_or_else(|| body.as_bytes().to_vec());
    let times = told["Attributes"]["ApproximateReceiveCount"].as_str();
    let key = unescape(&attribute("fleetfoot-key"));
    Some(Lent {
        message: Message { id, key, fields: Vec::new(), payload: payload.into() },
        times: times.and_then(|times| times.parse().ok()).unwrap_or(1),
        handle: told["ReceiptHandle"].as_str()?.to_owned(),
    })
}

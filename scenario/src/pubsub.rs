//! Google Pub/Sub as we play it: its REST interface, as far as a queue needs it.
//!
//! Topics and subscriptions, publish, pull that waits, acknowledge, deadlines that end and are moved,
//! ordering keys (one of a key is out at a time, and what comes again comes before the rest). Written
//! after the reference of v1, and not compared with the real one.

use base::Moment;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a pull waits for the first message.
const PULL: Duration = Duration::from_secs(3);

/// A service; it forgets everything with its end.
pub struct PubSub {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    topics: Vec<String>,
    subscriptions: HashMap<String, Subscription>,
    /// What is answered to the next calls, instead of doing them.
    answers: VecDeque<u16>,
    count: u64,
}

struct Subscription {
    settings: Value,
    waiting: VecDeque<Value>,
    out: HashMap<String, (Moment, Value)>,
}

impl PubSub {
    /// One that listens.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let own = Arc::clone(&own);
                thread::spawn(move || own.serve(client));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next calls are answered with these statuses.
    pub fn answer(&self, statuses: &[u16]) {
        self.shared.state().answers.extend(statuses);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(client.try_clone().ok()?);
        let mut writer = client;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let mut words = line.split(' ');
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let mut length = 0;
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).ok()?;
                if field.trim().is_empty() {
                    break;
                }
                let (name, value) = field.split_once(':')?;
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (status, told) = self.answer(&method, path.strip_prefix("/v1/")?, &body);
            let told = told.to_string();
            let length = told.len();
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n");
            writer.write_all((head + &told).as_bytes()).ok()?;
        }
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        if let Some(status) = self.state().answers.pop_front() {
            return (status, json!({ "error": { "status": "TOLD", "message": "so" } }));
        }
        let (name, verb) = path.rsplit_once(':').unwrap_or((path, ""));
        let told = match (method, verb) {
            ("PUT", "") => self.make(name, body),
            ("GET", "") => self.tell(name),
            ("POST", "publish") => self.publish(name, body),
            ("POST", "pull") => self.pull(name, body),
            ("POST", "acknowledge") => self.settle(name, body, None),
            ("POST", "modifyAckDeadline") => {
                self.settle(name, body, body["ackDeadlineSeconds"].as_u64())
            }
            _ => Err(404),
        };
        self.changed.notify_all();
        match told {
            Ok(told) => (200, told),
            Err(status) => (status, json!({ "error": { "status": "NO", "message": path } })),
        }
    }

    fn make(&self, name: &str, body: &Value) -> Result<Value, u16> {
        let mut state = self.state();
        if name.contains("/topics/") {
            if state.topics.iter().any(|topic| topic == name) {
                return Err(409);
            }
            state.topics.push(name.to_owned());
            return Ok(json!({ "name": name }));
        }
        if state.subscriptions.contains_key(name) {
            return Err(409);
        }
        let topic = body["topic"].as_str().ok_or(400_u16)?;
        let legal = body["ackDeadlineSeconds"].as_u64().is_none_or(|s| (10..=600).contains(&s));
        if !state.topics.iter().any(|known| known == topic) || !legal {
            return Err(if legal { 404 } else { 400 });
        }
        let (waiting, out) = (VecDeque::new(), HashMap::new());
        let subscription = Subscription { settings: body.clone(), waiting, out };
        state.subscriptions.insert(name.to_owned(), subscription);
        Ok(body.clone())
    }

    fn tell(&self, name: &str) -> Result<Value, u16> {
        let state = self.state();
        if state.topics.iter().any(|topic| topic == name) {
            return Ok(json!({ "name": name }));
        }
        state.subscriptions.get(name).map(|found| found.settings.clone()).ok_or(404)
    }

    fn publish(&self, topic: &str, body: &Value) -> Result<Value, u16> {
        let mut state = self.state();
        if !state.topics.iter().any(|known| known == topic) {
            return Err(404);
        }
        let messages = body["messages"].as_array().ok_or(400_u16)?;
        let mut ids = Vec::new();
        for message in messages {
            state.count += 1;
            let mut message = message.clone();
            message["messageId"] = state.count.to_string().into();
            ids.push(message["messageId"].clone());
            let all = state.subscriptions.values_mut();
            for subscription in all.filter(|one| one.settings["topic"] == topic) {
                subscription.waiting.push_back(message.clone());
            }
        }
        Ok(json!({ "messageIds": ids }))
    }

    fn pull(&self, name: &str, body: &Value) -> Result<Value, u16> {
        let most = body["maxMessages"].as_u64().unwrap_or(1) as usize;
        let at_once = body["returnImmediately"] == true;
        let until = Moment::now() + PULL;
        let mut state = self.state();
        loop {
            let mut count = state.count;
            let subscription = state.subscriptions.get_mut(name).ok_or(404_u16)?;
            subscription.take_back(Moment::now());
            let pulled = subscription.give(most, &mut count);
            state.count = count;
            if !pulled.is_empty() || at_once || Moment::now() >= until {
                return Ok(json!({ "receivedMessages": pulled }));
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Messages are done with, or their deadline is moved.
    fn settle(&self, name: &str, body: &Value, seconds: Option<u64>) -> Result<Value, u16> {
        let mut state = self.state();
        let subscription = state.subscriptions.get_mut(name).ok_or(404_u16)?;
        let now = Moment::now();
        subscription.take_back(now);
        for handle in body["ackIds"].as_array().ok_or(400_u16)?.iter().filter_map(Value::as_str) {
            match (seconds, subscription.out.get_mut(handle)) {
                (None, _) => drop(subscription.out.remove(handle)),
                (Some(seconds), Some((due, _))) => *due = now + Duration::from_secs(seconds),
                (Some(_), None) => {}
            }
        }
        subscription.take_back(now);
        Ok(json!({}))
    }
}

impl Subscription {
    /// What is out for too long waits again, before the rest.
    fn take_back(&mut self, now: Moment) {
        let late = self.out.iter().filter(|(_, (due, _))| *due <= now);
        let mut late: Vec<String> = late.map(|(handle, _)| handle.clone()).collect();
        late.sort_unstable();
        for handle in late.iter().rev() {
            if let Some((_, message)) = self.out.remove(handle) {
                self.waiting.push_front(message);
            }
        }
    }

    fn give(&mut self, most: usize, count: &mut u64) -> Vec<Value> {
        let lease = Duration::from_secs(self.settings["ackDeadlineSeconds"].as_u64().unwrap_or(10));
        let ordered = self.settings["enableMessageOrdering"] == true;
        let out = self.out.values().map(|(_, message)| message["orderingKey"].clone());
        let busy: Vec<Value> = out.filter(|key| ordered && key.is_string()).collect();
        let (mut given, mut left) = (Vec::new(), VecDeque::new());
        for message in self.waiting.drain(..) {
            if given.len() == most || busy.contains(&message["orderingKey"]) {
                left.push_back(message);
                continue;
            }
            *count += 1;
            let handle = format!("ack-{count:012}");
            given.push(json!({ "ackId": handle, "message": message }));
            self.out.insert(handle, (Moment::now() + lease, message));
        }
        self.waiting = left;
        given
    }
}

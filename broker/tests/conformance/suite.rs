//! What every queue and every bus elsewhere must hold, whatever the broker.
//!
//! A law takes a [`Stage`] (a broker that can be stopped, killed, frozen and cut off) and a name that
//! no other law uses there, so that several can share one broker. [`laws!`](crate::laws) makes a test
//! of each law that a broker lists; [`together`] runs many on one broker that is slow to start.

pub(crate) mod bus;
pub(crate) mod faults;
#[allow(dead_code, reason = "not every broker keeps order")]
pub(crate) mod order;
pub(crate) mod taking;

use base::{Deadline, Moment};
use broker::Options;
use bytes::Bytes;
use offload::queue::{Bus, Channel, Message, Queue, QueueError, Taken};
use scenario::Cable;
use scenario::gateway::Folder;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long any one step may take before the law counts as broken; brokers start slowly.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a message may stay taken without a sign of life, where the broker counts that.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long nothing must come before we believe that nothing comes.
pub(crate) const QUIET: Duration = Duration::from_millis(400);
/// What a call is given where it is not the subject.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Asked to (SIGTERM).
    Term,
    /// As by a crash (SIGKILL).
    Kill,
}

/// A real broker, with a cable between it and its clients.
pub(crate) trait Stage: Send {
    /// Its URL, through the cable.
    fn url(&self) -> String;
    /// The cable.
    fn cable(&self) -> &Cable;
    /// Ends it; it stays away until [`Stage::start`].
    fn stop(&mut self, how: How);
    /// Starts it again on the same port with the same data.
    fn start(&mut self);
    /// Stops it in its tracks: connections stay open and nothing is answered. `true`: lets it go on.
    fn freeze(&mut self, thaw: bool);

    /// What its queues are told.
    fn options(&self, queue: &str, node: &str) -> Options {
        Options { lease: LEASE, ..Options::new(node, queue) }
    }
    /// Opens a queue; another link each time.
    fn open(&self, options: &Options) -> Arc<dyn Queue> {
        broker::open(&self.url(), options).unwrap_or_else(|error| panic!("{error}"))
    }
    /// Opens a bus; another link each time.
    fn open_bus(&self, options: &Options) -> Arc<dyn Bus> {
        broker::open_bus(&self.url(), options).unwrap_or_else(|error| panic!("{error}"))
    }
    /// A queue that is ready.
    fn queue(&self, queue: &str, node: &str) -> impl Future<Output = Arc<dyn Queue>> + Send {
        let opened = self.open(&self.options(queue, node));
        async move {
            make_ready(&*opened).await;
            opened
        }
    }
}

/// Makes a test of each law, each with a broker of its own: `laws!(stage_maker: taking::a, …)`.
#[macro_export]
macro_rules! laws {
    ($stage:path: $($room:ident :: $law:ident),+ $(,)?) => {
        $(
            #[test]
            fn $law() {
                $crate::suite::play(async {
                    let mut stage = $stage();
                    $crate::suite::$room::$law(&mut stage, stringify!($law)).await;
                });
            }
        )+
    };
}

/// As [`laws!`](crate::laws), for brokers that may be missing: `stage_maker` answers an `Option`.
#[macro_export]
macro_rules! laws_where_there {
    ($stage:path: $($room:ident :: $law:ident),+ $(,)?) => {
        $(
            #[test]
            fn $law() {
                let Some(mut stage) = $stage() else { return };
                $crate::suite::play(async {
                    $crate::suite::$room::$law(&mut stage, stringify!($law)).await;
                });
            }
        )+
    };
}

/// Makes one test of many laws on one broker, which must all be kept: `together!(name, stage: …)`.
#[macro_export]
macro_rules! together {
    ($name:ident, $stage:path: $($room:ident :: $law:ident),+ $(,)?) => {
        #[test]
        fn $name() {
            let mut broken = Vec::new();
            let mut stage = $stage();
            $(
                eprintln!("law: {}", stringify!($law));
                let law = std::panic::AssertUnwindSafe(|| {
                    $crate::suite::play(async {
                        $crate::suite::$room::$law(&mut stage, stringify!($law)).await;
                    });
                });
                if std::panic::catch_unwind(law).is_err() {
                    broken.push(stringify!($law));
                }
            )+
            assert!(broken.is_empty(), "laws broken: {broken:?}");
        }
    };
}

/// Runs one law, on a runtime that ends with it.
pub(crate) fn play(law: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(law);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// A deadline that many steps share.
pub(crate) fn patience() -> Deadline {
    Deadline::after(Moment::now(), PATIENCE)
}

/// Calls `ready` until it is.
pub(crate) async fn make_ready(queue: &dyn Queue) -> Vec<String> {
    let by = patience();
    loop {
        match tokio::time::timeout(PATIENCE, queue.ready()).await.expect("ready() hangs") {
            Ok(warnings) => return warnings,
            Err(error) => assert!(!by.passed(Moment::now()), "it never gets ready: {error}"),
        }
        pause().await;
    }
}

/// Between two tries.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A message with a number.
pub(crate) fn message(prefix: &str, number: usize) -> Message {
    Message {
        id: format!("{prefix}-{number}"),
        key: String::new(),
        fields: vec![("offload-number", number.to_string())],
        payload: Bytes::from(format!("payload {number}")),
    }
}

/// Messages with numbers from 0.
pub(crate) fn messages(prefix: &str, count: usize) -> Vec<Message> {
    (0..count).map(|number| message(prefix, number)).collect()
}

/// Puts messages, all of which must be taken in.
pub(crate) async fn put(queue: &dyn Queue, channel: &Channel, messages: Vec<Message>) {
    let count = messages.len();
    let answers = queue.put(channel, messages, SOON).await;
    assert_eq!(answers.len(), count, "an answer for each");
    for answer in answers {
        answer.unwrap_or_else(|error| panic!("put: {error}"));
    }
}

/// Puts one message within `by`.
pub(crate) async fn put_one(
    queue: &dyn Queue,
    message: Message,
    by: Duration,
) -> Result<(), QueueError> {
    let mut answers = queue.put(&Channel::Jobs, vec![message], by).await;
    assert_eq!(answers.len(), 1, "one answer for one message");
    answers.remove(0)
}

/// Takes so many messages, within the patience; errors on the way are what reconnecting looks like.
pub(crate) async fn take(queue: &dyn Queue, channel: &Channel, count: usize) -> Vec<Taken> {
    let by = patience();
    let mut taken = Vec::new();
    while taken.len() < count {
        let left = count - taken.len();
        match queue.take(channel, left, Duration::from_millis(500)).await {
            Ok(more) => {
                assert!(more.len() <= left, "{} taken, {left} asked for", more.len());
                taken.extend(more);
            }
            Err(_) => pause().await,
        }
        assert!(!by.passed(Moment::now()), "{} of {count} came: {taken:?}", taken.len());
    }
    taken
}

/// Nothing comes any more.
pub(crate) async fn nothing_more(queue: &dyn Queue, channel: &Channel) {
    let more = queue.take(channel, 10, QUIET).await.unwrap_or_else(|error| panic!("take: {error}"));
    assert!(more.is_empty(), "nothing was to come any more: {more:?}");
}

/// What they are known by.
pub(crate) fn ids(taken: &[Taken]) -> HashSet<String> {
    taken.iter().map(|taken| taken.message.id.clone()).collect()
}

/// Acknowledges all.
pub(crate) async fn done(taken: Vec<Taken>) {
    for one in taken {
        one.token.done().await.unwrap_or_else(|error| panic!("done: {error}"));
    }
}

/// A certificate for this machine, and its key: files in a folder.
pub(crate) fn certificate(folder: &Folder) -> [PathBuf; 2] {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    [
        folder.write("certificate.pem", &made.cert.pem()),
        folder.write("key.pem", &made.signing_key.serialize_pem()),
    ]
}

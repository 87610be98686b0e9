//! Two tasks that tell: one metrics, so often; one traces, in batches.
//!
//! Each has a connection of its own, asks again after pauses that grow, and gives up what has waited
//! too long: memory is bounded by the queue, one batch, and the cut text of attributes
//! ([`crate::value`]). Metrics are never sent late: what is counted since is in the next ones.

use crate::address::Receiver;
use crate::backoff::Backoff;
use crate::figures::{Figures, Signal};
use crate::line::{Line, Verdict};
use crate::span::Span;
use crate::{metric, span};
use base::{Deadline, Moment};
use bytes::Bytes;
use monitor::expose::Told;
use monitor::log::complain;
use monitor::settings::Otlp;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Spans that wait for their batch.
pub const QUEUE_SPANS_MAX: usize = 2_048;
/// Most spans of a batch …
const BATCH_SPANS_MAX: usize = 512;
/// … and how long it waits for more.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// How long spans are offered again and again before they are given up.
const OFFER_TIME: Duration = Duration::from_mins(1);
/// Longest pause between two tries …
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// … and between two complaints.
const COMPLAINT_MOST: Duration = Duration::from_mins(5);
/// Metrics are not sent more often.
const EVERY_LEAST: Duration = Duration::from_millis(100);

/// Where spans are handed over.
#[derive(Clone, Debug)]
pub struct Spans {
    queue: mpsc::Sender<Span>,
    figures: Arc<Figures>,
}

impl Spans {
    /// Hands a span over; one that does not fit is lost and counted. Waits for nothing.
    pub fn tell(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.figures.lose(Signal::Traces, 1);
        }
    }

    /// So many could not even be handed over.
    pub fn lose(&self, n: u64) {
        self.figures.lose(Signal::Traces, n);
    }
}

/// Who we say we are.
#[derive(Clone, Copy, Debug)]
pub struct Teller {
    /// `service.version`.
    pub version: &'static str,
    /// Since when counters count.
    pub begun: Moment,
}

/// Tasks that tell a receiver, until it is dropped or [`Exporter::finish`]ed.
#[derive(Debug)]
pub struct Exporter {
    spans: Spans,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Exporter {
    /// Starts the tasks on this runtime. An address that is wrong is complained of by them: it stands
    /// in nobody's way.
    pub fn start(
        settings: &Otlp,
        teller: Teller,
        tls: Option<&Arc<ClientConfig>>,
        figures: &Arc<Figures>,
        collect: impl Fn() -> Vec<Told> + Send + 'static,
    ) -> Self {
        let (queue, spans) = mpsc::channel(QUEUE_SPANS_MAX);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let tls = || tls.cloned();
        let post = |signal| Post::new(settings, signal, tls(), figures, stopped.clone());
        let resource = metric::resource(&settings.service, teller.version);
        if settings.traces {
            tasks.spawn(traces(post(Signal::Traces), spans, teller.version));
        }
        if settings.metrics {
            let make = move || metric::request(&collect(), &resource, teller.begun, Moment::now());
            tasks.spawn(metrics(post(Signal::Metrics), settings.every.max(EVERY_LEAST), make));
        }
        Self { spans: Spans { queue, figures: Arc::clone(figures) }, stop, tasks }
    }

    /// Where spans are handed over.
    pub const fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Sends what is left, once, and ends; waits for so long at most.
    pub async fn finish(mut self, patience: Duration) {
        let _nobody_waits = self.stop.send(true);
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(patience, ending).await;
    }
}

/// Waits until told to stop, or nobody is left who could tell.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _told = stopped.wait_for(|stopped| *stopped).await;
}

/// Batches spans until told to stop, then what is left.
async fn traces(mut post: Post, mut queue: mpsc::Receiver<Span>, version: &'static str) {
    let mut batch: Vec<Span> = Vec::with_capacity(BATCH_SPANS_MAX);
    let mut stopped = post.stopped.clone();
    loop {
        tokio::select! { biased;
            () = stop(&mut stopped), if !queue.is_closed() => queue.close(),
            more = queue.recv_many(&mut batch, BATCH_SPANS_MAX) => if more == 0 { return },
        }
        let by = Deadline::after(Moment::now(), BATCH_TIME);
        while !batch.is_empty() && batch.len() < BATCH_SPANS_MAX && !queue.is_closed() {
            let room = BATCH_SPANS_MAX - batch.len();
            tokio::select! { biased;
                () = stop(&mut stopped) => break,
                () = tokio::time::sleep(by.left(Moment::now())) => break,
                more = queue.recv_many(&mut batch, room) => if more == 0 { break },
            }
        }
        if !batch.is_empty() {
            let spans = batch.len() as u64;
            let message = span::message(batch.drain(..), version);
            post.offer(message, spans).await;
        }
    }
}

/// Sends metrics every so often until told to stop, then once more.
async fn metrics(
    mut post: Post,
    every: Duration,
    make: impl Fn() -> (Bytes, u64) + Send + 'static,
) {
    let mut stopped = post.stopped.clone();
    loop {
        let pause = every.max(post.tries.left(Moment::now()));
        let last = tokio::select! { biased;
            () = stop(&mut stopped) => true,
            () = tokio::time::sleep(pause) => false,
        };
        let (message, points) = make();
        if let Offered::Later = post.once(&message, points).await {
            // The next ones say more than these would.
            post.figures.lose(Signal::Metrics, points);
        }
        if last {
            return;
        }
    }
}

/// What became of an offer.
enum Offered {
    /// It was taken, or is not wanted: it has been counted.
    Settled,
    /// It may be offered again.
    Later,
}

/// One signal's way to the receiver.
struct Post {
    signal: Signal,
    line: Result<Line, String>,
    tries: Backoff,
    complaints: Backoff,
    figures: Arc<Figures>,
    stopped: watch::Receiver<bool>,
}

impl Post {
    fn new(
        settings: &Otlp,
        signal: Signal,
        tls: Option<Arc<ClientConfig>>,
        figures: &Arc<Figures>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let line = Receiver::of(settings).map(|receiver| Line::new(receiver, tls));
        Self {
            signal,
            line: line.map_err(|error| error.to_string()),
            tries: Backoff::new(PAUSE_MOST),
            complaints: Backoff::new(COMPLAINT_MOST),
            figures: Arc::clone(figures),
            stopped,
        }
    }

    /// Offers `n` things until they are settled or have waited too long.
    async fn offer(&mut self, message: Bytes, n: u64) {
        let by = Deadline::after(Moment::now(), OFFER_TIME);
        loop {
            let is_last = self.pause().await;
            match self.once(&message, n).await {
                Offered::Settled => return,
                Offered::Later
                    if is_last || by.passed(Moment::now() + self.tries.left(Moment::now())) =>
                {
                    return self.figures.lose(self.signal, n);
                }
                Offered::Later => {}
            }
        }
    }

    /// Waits until it is time to try; answers whether this is the last try of all.
    async fn pause(&mut self) -> bool {
        let pause = self.tries.left(Moment::now());
        if !pause.is_zero() {
            tokio::select! { biased;
                () = stop(&mut self.stopped) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        *self.stopped.borrow()
    }

    /// Offers them once.
    async fn once(&mut self, message: &Bytes, n: u64) -> Offered {
        let verdict = match &mut self.line {
            Ok(line) => line.send(self.signal, message).await,
            Err(why) => Verdict::Later { why: why.clone(), after: Duration::ZERO },
        };
        match verdict {
            Verdict::Taken { rejected, why } => {
                let rejected = rejected.min(n);
                self.figures.exported(self.signal, n - rejected);
                self.figures.lose(self.signal, rejected);
                self.tries.fine();
                if rejected > 0 {
                    self.complain(&format!("{rejected} of {n} were rejected: {why}"));
                } else if self.complaints.has_failed() {
                    self.complaints.fine();
                    complain(Moment::now(), format_args!("{} are taken again", self.subject()));
                }
                Offered::Settled
            }
            Verdict::Refused { why } => {
                self.figures.failed(self.signal);
                self.figures.lose(self.signal, n);
                self.tries.failed(Moment::now(), Duration::ZERO);
                self.complain(&why);
                Offered::Settled
            }
            Verdict::Later { why, after } => {
                self.figures.failed(self.signal);
                self.tries.failed(Moment::now(), after);
                self.complain(&why);
                Offered::Later
            }
        }
    }

    fn subject(&self) -> String {
        let signal = self.signal.name();
        match &self.line {
            Ok(line) => format!("otlp: {signal} for {}", line.receiver),
            Err(_) => format!("otlp: {signal}"),
        }
    }

    /// Says what went wrong, unless that was said a while ago.
    fn complain(&mut self, why: &str) {
        let now = Moment::now();
        if !self.complaints.is_due(now) {
            return;
        }
        self.complaints.failed(now, Duration::ZERO);
        let (unit, lost) = (self.signal.unit(), self.figures.lost(self.signal));
        let subject = self.subject();
        complain(now, format_args!("{subject} are not taken: {why}; {lost} {unit} lost so far"));
    }
}

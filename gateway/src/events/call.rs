//! Somebody who is called with an event: a URL, the way callbacks are, or a path of this gateway.
//!
//! A path is a request like any other, made on a thread that serves: routes, rates, the cache and jobs
//! see it as if a client on this machine had sent it, and it is counted and logged like one. A call is
//! made once; what must not be lost is sent to a route that offloads.

use crate::path::{self, Departure, Exchange, Peer};
use crate::poster::{Letter, Poster};
use crate::steering::Steering;
use crate::telling;
use crate::worker::Worker;
use base::{Deadline, Framing, Moment, ResponseHead};
use bytes::Bytes;
use monitor::Facts;
use offload::callback::TRY_TIME;
use offload::event::json;
use offload::settings::Call;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};
use wire::{Body, h1};

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Fields of a call, and room for more.
const FIELDS_MAX: usize = 16;

/// What makes the calls.
pub struct Caller {
    poster: Poster,
    threads: Vec<mpsc::Sender<Errand>>,
    next: AtomicUsize,
}

/// A call that a thread of the data plane is to make.
#[derive(Debug)]
pub struct Errand {
    path: String,
    content: Bytes,
    reply: oneshot::Sender<u16>,
}

/// Why nobody was called.
#[derive(Debug)]
pub struct NotCalled(pub String);

impl Caller {
    /// On these threads, under these rules.
    pub fn new(
        threads: Vec<mpsc::Sender<Errand>>,
        settings: Option<&offload::settings::Settings>,
    ) -> Self {
        Self { poster: Poster::new(settings), threads, next: AtomicUsize::new(0) }
    }

    /// Calls; answers the status.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn call(&self, whom: &Call, id: &str, content: Bytes) -> Result<u16, NotCalled> {
        let calling = async {
            match whom {
                Call::None => Err(NotCalled("nobody is called".to_owned())),
                Call::Url(url) => {
                    let fields = &[("content-type", json::CONTENT_TYPE)];
                    let letter = Letter { url, id, attempt: 1, fields, body: content };
                    let answer = self.poster.post(letter).await;
                    answer.map(|a| a.status).map_err(|why| NotCalled(why.to_string()))
                }
                Call::Path(path) => self.ask(path, content).await,
            }
        };
        let late = |_| Err(NotCalled(format!("no answer within {TRY_TIME:?}")));
        tokio::time::timeout(TRY_TIME, calling).await.unwrap_or_else(late)
    }

    async fn ask(&self, path: &str, content: Bytes) -> Result<u16, NotCalled> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        let (reply, answer) = oneshot::channel();
        let errand = Errand { path: path.to_owned(), content, reply };
        let ended = |()| NotCalled("the gateway is ending".to_owned());
        self.threads[turn].send(errand).await.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))
    }
}

/// Makes a call as if a client had sent it, and tells its status.
pub async fn make(worker: Rc<Worker>, errand: Errand) {
    let house = worker.house();
    let Errand { path, content, reply } = errand;
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        json::CONTENT_TYPE,
        content.len()
    );
    // The settings have read the path; what they let through and the grammar does not is not sent.
    let Ok(Some((head, _))) = h1::parse::request(text.as_bytes(), FIELDS_MAX) else { return };
    let peer = Peer::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false);
    let framing = Framing::Length(content.len() as u64);
    let mut exchange = Exchange {
        head,
        body: Body::Shared(content),
        framing,
        peer: &peer,
        expects: false,
        interim: &mut |_: &ResponseHead| {},
        by: Deadline::NEVER,
        steering: Steering::NONE,
        rated: None,
        facts: Facts::begin(Moment::now()),
        id: None,
        knows_token: false,
    };
    let _counted = worker.count_request();
    if let Departure::Response(response) = path::serve(&house, &mut exchange).await {
        let status = response.head.status;
        let by = Deadline::after(Moment::now(), TRY_TIME);
        service::discard(response.body, ANSWER_BYTES_MAX, by).await;
        let _nobody_waits = reply.send(status);
    }
    telling::finish(&worker, &house, &mut exchange);
}

//! HTTP/2: a few connections that many requests share, each request a task.

use crate::dial::dial;
use crate::lane::{Job, Lane};
use crate::plan::Protocol;
use crate::report::Failure;
use base::Moment;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// All connections of a thread.
pub(crate) struct Connections {
    lane: Rc<Lane>,
    /// By target; opened when first used, and again when it broke.
    seats: Vec<Vec<Seat>>,
    turn: Cell<usize>,
}

#[derive(Default)]
struct Seat {
    connection: RefCell<Option<SendRequest<Bytes>>>,
    /// Held while it is opened: whoever comes meanwhile waits for the same one.
    opening: tokio::sync::Mutex<()>,
}

impl Connections {
    pub(crate) fn new(lane: Rc<Lane>) -> Rc<Self> {
        let count = lane.share(lane.plan.connections_max);
        let seats = |_| (0..count).map(|_| Seat::default()).collect();
        let seats = (0..lane.plan.targets.len()).map(seats).collect();
        Rc::new(Self { lane, seats, turn: Cell::new(0) })
    }

    /// Sends a request on the next connection in turn.
    pub(crate) fn offer(self: &Rc<Self>, job: Job) {
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let result = this.exchange(&job).await;
            this.lane.note(&job, result, Moment::now());
        });
    }

    /// A client that waits for its answers.
    pub(crate) async fn client(self: Rc<Self>) {
        while let Some(job) = self.lane.next_closed(Moment::now()) {
            let result = self.exchange(&job).await;
            self.lane.note(&job, result, Moment::now());
            if result.is_err() {
                self.lane.catch_breath().await;
            }
        }
    }

    async fn exchange(&self, job: &Job) -> Result<(u16, u64), Failure> {
        let left = self.lane.deadline(job).left(Moment::now());
        if left.is_zero() {
            return Err(Failure::Timeout);
        }
        tokio::time::timeout(left, self.ask(job)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn ask(&self, job: &Job) -> Result<(u16, u64), Failure> {
        let (pick, number) = (job.arrival.pick, job.arrival.number);
        let seats = &self.seats[pick.target];
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let seat = &seats[turn % seats.len()];
        let (head, body) = self.lane.messages.head(pick, number).map_err(|_| Failure::Broken)?;
        let mut connection = self.open(seat, pick.target).await?;
        let (answer, mut sending) =
            connection.send_request(head, body.is_empty()).map_err(|_| Failure::Broken)?;
        if !body.is_empty() {
            sending.send_data(body, true).map_err(|_| Failure::Broken)?;
        }
        let answer = answer.await.map_err(|_| Failure::Broken)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(part) = body.data().await {
            let part = part.map_err(|_| Failure::Broken)?;
            bytes += part.len() as u64;
            let _gone = body.flow_control().release_capacity(part.len());
        }
        Ok((status, bytes))
    }

    /// The seat's connection, ready for one more request.
    async fn open(&self, seat: &Seat, target: usize) -> Result<SendRequest<Bytes>, Failure> {
        let kept = seat.connection.borrow().clone();
        if let Some(kept) = kept
            && let Ok(ready) = kept.ready().await
        {
            return Ok(ready);
        }
        let _alone = seat.opening.lock().await;
        let kept = seat.connection.borrow().clone();
        if let Some(kept) = kept
            && let Ok(ready) = kept.ready().await
        {
            return Ok(ready);
        }
        let stream = dial(&self.lane.plan.targets[target], Protocol::Http2).await?;
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        builder.enable_push(false);
        let shaken = builder.handshake(stream).await.map_err(|_| Failure::Connect)?;
        let (connection, driver) = shaken;
        // Ends with the connection; its errors reach the requests that wait.
        tokio::task::spawn_local(async move {
            let _told_to_requests = driver.await;
        });
        self.lane.report.borrow_mut().connections += 1;
        *seat.connection.borrow_mut() = Some(connection.clone());
        connection.ready().await.map_err(|_| Failure::Broken)
    }
}

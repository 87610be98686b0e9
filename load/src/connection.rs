//! Connections to the targets: as many as are needed at once, up to a bound, kept for the next.

use crate::plan::Plan;
use crate::report::Failure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

type Connection = SendRequest<Full<Bytes>>;

/// All connections of a run.
pub(crate) struct Pool {
    targets: Vec<SocketAddr>,
    reuse: bool,
    /// Idle connections of each target.
    idle: Vec<Mutex<Vec<Connection>>>,
    permits: Semaphore,
}

impl Pool {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            targets: plan.targets.clone(),
            reuse: plan.reuse,
            idle: plan.targets.iter().map(|_| Mutex::new(Vec::new())).collect(),
            permits: Semaphore::new(plan.connections_max),
        }
    }

    /// Sends `request` and reads the whole answer: its status and the length of its body.
    ///
    /// # Cancel safety
    /// Dropping closes the connection in use.
    pub(crate) async fn exchange(
        &self,
        target: usize,
        request: Request<Full<Bytes>>,
    ) -> Result<(u16, u64), Failure> {
        let _permit = self.permits.acquire().await.map_err(|_| Failure::Connect)?;
        let (mut connection, answer) = self.send(target, request).await?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Failure::Broken)?;
            bytes += frame.data_ref().map_or(0, |part| part.len() as u64);
        }
        if self.reuse && connection.ready().await.is_ok() {
            self.idle(target).push(connection);
        }
        Ok((status, bytes))
    }

    /// On a kept connection if one is open, else on a new one.
    async fn send(
        &self,
        target: usize,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        loop {
            let kept = self.idle(target).pop();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => connect(self.targets[target]).await.ok_or(Failure::Connect)?,
            };
            match connection.try_send_request(request).await {
                Ok(answer) => return Ok((connection, answer)),
                // A kept connection that was closed meanwhile gives the request back unsent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(Failure::Broken),
                },
            }
        }
    }

    fn idle(&self, target: usize) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle[target].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(target: SocketAddr) -> Option<Connection> {
    let stream = TcpStream::connect(target).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (connection, driver) = handshake(TokioIo::new(stream)).await.ok()?;
    // Ends with the connection; its errors reach the request that waits.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    Some(connection)
}

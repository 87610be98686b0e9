//! The server side of one HTTP/2 connection: streams in, each an exchange of its own.

use crate::body::Body;
use crate::h2::gather::Gather;
use crate::h2::{CONNECTION_WINDOW, Incoming, STREAM_WINDOW, Sending, convert};
use crate::settings::Limits;
use crate::transport::Io;
use base::{Fault, Framing, RequestHead, ResponseHead};
use bytes::Bytes;
use h2::server::SendResponse;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

/// The server side of one connection.
pub struct Server {
    connection: h2::server::Connection<Gather, Bytes>,
    gather: Gather,
    body_bytes_max: Option<u64>,
    fields_max: usize,
}

/// One request, and the way to answer it.
#[derive(Debug)]
pub struct Stream {
    /// Its head, or what is wrong with it.
    pub head: Result<RequestHead, Fault>,
    /// Its body.
    pub body: Body,
    /// How its body is framed.
    pub framing: Framing,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Where the answer to one request goes.
pub struct Reply(SendResponse<Bytes>);

impl Server {
    /// Shakes hands over `io`, from which `unread` has already been read.
    ///
    /// # Errors
    /// What `h2` says.
    pub async fn accept(io: Io, unread: Vec<u8>, limits: &Limits) -> io::Result<Self> {
        let gather = Gather::new(io, unread);
        let handshake = h2::server::Builder::new()
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes.0).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(limits.resets)
            .max_concurrent_reset_streams(limits.resets)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(STREAM_WINDOW as usize)
            .handshake(gather.clone());
        let mut handshake = std::pin::pin!(handshake);
        let connection = std::future::poll_fn(|cx| {
            let done = std::future::Future::poll(handshake.as_mut(), cx);
            match gather.poll_send(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => done.map_err(io::Error::other),
            }
        })
        .await?;
        let body_bytes_max = limits.body_bytes.map(|size| size.0);
        Ok(Self { connection, gather, body_bytes_max, fields_max: limits.fields })
    }

    /// Waits for the next request; `None` when the connection has ended. Everything that streams
    /// have written is sent from here: keep polling.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Stream>>> {
        let next = self.connection.poll_accept(cx);
        if let Poll::Ready(Err(error)) = self.gather.poll_send(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        next.map(|next| {
            let (request, reply) = match next? {
                Ok(accepted) => accepted,
                Err(error) => return Some(Err(io::Error::other(error))),
            };
            Some(Ok(self.stream(request, reply)))
        })
    }

    fn stream(
        &self,
        request: http::Request<h2::RecvStream>,
        mut reply: SendResponse<Bytes>,
    ) -> Stream {
        let (parts, stream) = request.into_parts();
        let head = convert::request(&parts, self.fields_max);
        let framing = framing_of(&parts, &stream);
        let body = if framing == Framing::None {
            Body::Empty
        } else {
            if parts.headers.get(http::header::EXPECT).is_some_and(|e| e == "100-continue") {
                let leave = http::Response::builder().status(100).body(()).expect("a legal head");
                let _sent = reply.send_informational(leave); // a broken stream shows on the next read
            }
            Body::Frames(Box::new(Incoming::of_request(stream, self.body_bytes_max)))
        };
        Stream { head, body, framing, reply: Reply(reply) }
    }

    /// Accepts no new streams; the connection ends when those at work have ended.
    pub fn drain(&mut self) {
        self.connection.graceful_shutdown();
    }

    /// Gives memory back while nothing is at work.
    pub fn rest(&self) {
        self.gather.shrink();
    }
}

fn framing_of(parts: &http::request::Parts, stream: &h2::RecvStream) -> Framing {
    if stream.is_end_stream() {
        return Framing::None;
    }
    // `h2` has checked that the length is a number and holds the frames to it.
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|n| n.to_str().ok()).and_then(|n| n.parse().ok());
    length.map_or(Framing::Chunked, Framing::Length)
}

impl Reply {
    /// Sends an interim response.
    pub fn interim(&mut self, head: &ResponseHead) {
        let _sent = self.0.send_informational(convert::response_out(head, None));
    }

    /// Sends the head of the answer; its body, if it has one, is then to be polled out.
    ///
    /// # Errors
    /// What `h2` says: the stream is gone.
    pub fn answer(
        mut self,
        head: &ResponseHead,
        body: Body,
        framing: Framing,
    ) -> Result<Option<Sending>, h2::Error> {
        let length = match framing {
            Framing::Length(n) => Some(n),
            Framing::None | Framing::Chunked | Framing::Close => None,
        };
        let ends = matches!(body, Body::Empty);
        let response = convert::response_out(head, length);
        let stream = self.0.send_response(response, ends)?;
        Ok((!ends).then(|| Sending::new(stream, body, length)))
    }

    /// Is the client gone from this stream?
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_reset(cx).map(|_reason| ())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("h2::Server")
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("h2::Reply")
    }
}

//! Bytes both ways between a client and a service that have switched protocols, until both are done.
//!
//! Each direction ends by itself: when one side says that it will write no more, so is the other
//! told, and what the other still has to say is carried on. A tunnel that nothing passes through for
//! an hour is closed.

use base::{Deadline, Moment};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use wire::buffer::Buffer;
use wire::timer::within;
use wire::transport::Transport;

/// Longest silence in both directions.
const SILENCE_MAX: Duration = Duration::from_hours(1);

/// One direction.
struct Flow {
    buffer: Option<Buffer>,
    moved: u64,
    /// The source has ended.
    ended: bool,
    /// The sink has been told so, or has broken.
    closed: bool,
}

impl Flow {
    fn new(first: &[u8]) -> Self {
        let mut flow = Self { buffer: None, moved: 0, ended: false, closed: false };
        if !first.is_empty() {
            let buffer = flow.buffer.insert(Buffer::take());
            while buffer.space().len() < first.len() {
                buffer.make_space();
            }
            buffer.space()[..first.len()].copy_from_slice(first);
            buffer.filled(first.len());
        }
        flow
    }

    /// Moves what can be moved; ready when this direction is over.
    fn poll(&mut self, cx: &mut Context<'_>, from: &Transport, to: &Transport) -> Poll<()> {
        while !self.closed {
            let buffer = self.buffer.get_or_insert_with(Buffer::take);
            if !buffer.is_empty() {
                match to.poll_write(cx, buffer.data()) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        buffer.consume(n);
                        self.moved += n as u64;
                    }
                    Poll::Ready(_) => self.closed = true,
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            if to.poll_flush(cx).is_pending() {
                return Poll::Pending;
            }
            if self.ended {
                match to.poll_shutdown(cx) {
                    Poll::Ready(_) => self.closed = true,
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            match from.poll_read(cx, buffer.space()) {
                Poll::Ready(Ok(n)) if n > 0 => buffer.filled(n),
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    self.buffer = None; // a silent tunnel holds no memory
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }
}

/// Runs until both directions are over; `unread` has been read from the client already. Answers how
/// many bytes the client was sent.
pub async fn run(client: &Transport, unread: Vec<u8>, service: &Transport) -> u64 {
    let mut up = Flow::new(&unread);
    let mut down = Flow::new(&[]);
    loop {
        let moved = up.moved + down.moved;
        let by = Deadline::after(Moment::now(), SILENCE_MAX);
        let step = poll_fn(|cx| {
            let up_over = up.poll(cx, client, service).is_ready();
            let down_over = down.poll(cx, service, client).is_ready();
            if up_over && down_over {
                Poll::Ready(true)
            } else if up.moved + down.moved > moved {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        });
        match within(by, step).await {
            Ok(false) => {}
            Ok(true) | Err(_) => return down.moved,
        }
    }
}

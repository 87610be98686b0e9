//! The HTTP/2 connections that a thread has to one server.
//!
//! The one with the fewest streams is used; another is made when all are as full as the server lets
//! them be. A connection that the server is closing (GOAWAY) takes nothing new and ends with its last
//! stream.

use base::Moment;
use std::cell::{Cell, RefCell};
use tokio::sync::Mutex;
use wire::h2::client::Connection;

/// Connections to one server that are shared.
#[derive(Debug)]
pub(crate) struct Streams {
    open: RefCell<Vec<(u64, Connection)>>,
    made: Cell<u64>,
    used: Cell<Moment>,
    /// Held while a connection is made, so that a crowd makes one.
    pub(crate) making: Mutex<()>,
}

/// A connection to send a request on.
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    /// Which, among those of this server.
    pub(crate) number: u64,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            open: RefCell::default(),
            made: Cell::new(0),
            used: Cell::new(Moment::recent()),
            making: Mutex::new(()),
        }
    }

    /// The connection with the fewest streams that has room for one more; never the one that has
    /// just `failed`.
    pub(crate) fn with_room(&self, failed: Option<u64>) -> Option<Shared> {
        let mut open = self.open.borrow_mut();
        open.retain_mut(|(_, connection)| connection.is_open());
        let others = open.iter().filter(|(number, _)| Some(*number) != failed);
        let least = others.min_by_key(|(_, connection)| connection.streams());
        let least = least.filter(|(_, connection)| connection.has_room());
        self.lend(least)
    }

    /// The connection with the fewest streams, even if the next one has to wait for room.
    pub(crate) fn any(&self) -> Option<Shared> {
        let open = self.open.borrow();
        self.lend(open.iter().min_by_key(|(_, connection)| connection.streams()))
    }

    fn lend(&self, found: Option<&(u64, Connection)>) -> Option<Shared> {
        found.map(|(number, connection)| {
            self.used.set(Moment::recent());
            Shared { connection: connection.clone(), number: *number }
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// A connection was made, to be shared from now on; answers its number.
    pub(crate) fn made(&self, connection: Connection) -> u64 {
        let number = self.made.get() + 1;
        self.made.set(number);
        self.used.set(Moment::recent());
        self.open.borrow_mut().push((number, connection));
        number
    }

    /// Lets go of all connections: each ends when the last of its streams does.
    pub(crate) fn leave(&self) {
        self.open.borrow_mut().clear();
    }

    /// Lets go of one connection.
    pub(crate) fn leave_one(&self, number: u64) {
        self.open.borrow_mut().retain(|(other, _)| *other != number);
    }

    /// Lets go of connections that nobody has asked for since before `oldest`, and of all but `spare`
    /// that carry nothing.
    pub(crate) fn sweep(&self, oldest: Moment, spare: usize) {
        if self.used.get() < oldest && spare == 0 {
            self.leave();
            return;
        }
        let mut open = self.open.borrow_mut();
        let mut idle = 0;
        open.retain(|(_, connection)| {
            idle += usize::from(connection.streams() == 0);
            connection.streams() > 0 || idle <= spare.max(1)
        });
    }
}

//! The slow backend of the demo: an online shop of several HTTP services in one process.
//!
//! [`serve`] opens the database, builds the catalogue if need be, listens and returns a [`Running`].
//! The shop is slow because of the work it does, by the [`Sins`] left on; nothing sleeps but the
//! imitated mail server (`mail`) and an instance that is ill on purpose ([`Ill`]). `docs/shop.md`
//! tells users what is served.
//!
//! Each service is a module and answers under its own path; a page calls services over HTTP, never
//! by function. What is asked of the database is counted, by request and for the whole shop.

mod answer;
mod call;
mod cart;
mod catalogue;
mod count;
mod database;
mod ill;
mod mail;
mod order;
mod page;
mod recommend;
mod review;
mod search;
mod seed;
mod server;
mod sin;
mod trace;
mod visit;

pub use database::DatabaseError;
pub use ill::{Ill, UnknownIll};
pub use server::{Running, serve};
pub use sin::{Sin, Sins, UnknownSin};

use monitor::settings::Otlp;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a shop is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where its data is.
    pub database: Storage,
    /// Products in the catalogue, at least one; reviews and orders are in proportion.
    pub products: u32,
    /// Which catalogue: the same seed makes the same one.
    pub seed: u64,
    /// Sins that are switched off; all others are on.
    pub without: Sins,
    /// What is wrong with this instance.
    pub ill: Ill,
    /// Most statements at once.
    pub connections: usize,
    /// How long the imitated mail server takes for one letter.
    pub mail_time: Duration,
    /// Where its spans are sent.
    pub otlp: Option<Otlp>,
}

/// Where a shop's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// SQLite, in a directory of this process that goes with it.
    Temporary,
    /// SQLite, in this directory; other instances may share it, and it stays.
    Directory(PathBuf),
    /// PostgreSQL, `postgres://user:password@host:port/database`.
    Postgres(String),
}

impl Options {
    /// What is in force where nothing is said.
    pub const fn standard(listen: SocketAddr) -> Self {
        Self {
            listen,
            database: Storage::Temporary,
            products: 20_000,
            seed: 1,
            without: Sins::NONE,
            ill: Ill::None,
            connections: 4,
            mail_time: Duration::from_millis(150),
            otlp: None,
        }
    }
}

/// Why a shop did not open.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}{}", remedy(source))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory for the data cannot be used.
    #[error("cannot keep the shop's data in {}; name a directory that can be written with --data",
        path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be built or opened.
    #[error("cannot open the catalogue {}; if it is damaged, delete it and it is built anew",
        path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database's address makes no sense.
    #[error(
        "--database is no address of a PostgreSQL database; \
        write it as postgres://user:password@host:port/database"
    )]
    DatabaseUrl(#[source] tokio_postgres::Error),
    /// PostgreSQL cannot be reached, or does not let us build the catalogue.
    #[error(
        "cannot use the PostgreSQL database; see that the server runs, that --database names \
        it, and that the user may create the schema fleetfoot_shop"
    )]
    Postgres(#[source] tokio_postgres::Error),
    /// The database has another catalogue than the one asked for.
    #[error(
        "the database has a catalogue of {products} products, seed {seed}; ask for that one \
        with --products and --seed, or remove it: DROP SCHEMA fleetfoot_shop CASCADE"
    )]
    OtherCatalogue {
        /// Products it has.
        products: i64,
        /// The seed it was made from.
        seed: String,
    },
    /// A number out of bounds.
    #[error("{name} must be {allowed}")]
    Bound {
        /// Of which option.
        name: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// The runtime is shutting down.
    #[error("the shop was stopped while it opened")]
    Stopped,
}

impl ShopError {
    pub(crate) fn database(file: &Path, source: rusqlite::Error) -> Self {
        Self::File { path: file.to_path_buf(), source }
    }

    pub(crate) fn postgres(source: tokio_postgres::Error) -> Self {
        Self::Postgres(source)
    }
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another process listens there; stop it or choose another port with --listen"
        }
        std::io::ErrorKind::PermissionDenied => ": not allowed; choose a port above 1023",
        std::io::ErrorKind::AddrNotAvailable => ": no such address on this machine",
        _ => "",
    }
}

//! One way to ask two engines: SQLite in this process, or PostgreSQL over the network.
//!
//! The services speak SQL that both read and get plain rows back. Reads are single statements;
//! writes are lists of statements that happen together or not at all. Both are bounded: as many
//! statements run at once as there are connections.

pub(crate) mod postgres;
pub(crate) mod schema;
pub(crate) mod sqlite;

use postgres::Postgres;
use sqlite::Sqlite;

/// One value in or out of the database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Cell {
    fn from(words: &str) -> Self {
        Self::Text(words.to_owned())
    }
}

impl From<String> for Cell {
    fn from(words: String) -> Self {
        Self::Text(words)
    }
}

/// One row of an answer. Columns are read by place; what is not there reads as zero or empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub Vec<Cell>);

impl Row {
    /// The whole number in `column`.
    pub(crate) fn integer(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Cell::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// The number in `column`.
    pub(crate) fn real(&self, column: usize) -> f64 {
        match self.0.get(column) {
            Some(Cell::Real(number)) => *number,
            Some(Cell::Integer(number)) => *number as f64,
            _ => 0.0,
        }
    }

    /// The words in `column`.
    pub(crate) fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(Cell::Text(words)) => words,
            _ => "",
        }
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub sql: String,
    pub cells: Vec<Cell>,
    /// When this changes no row, all statements of its list are undone.
    pub required: bool,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>, cells: Vec<Cell>) -> Self {
        Self { sql: sql.into(), cells, required: false }
    }

    pub(crate) fn required(sql: impl Into<String>, cells: Vec<Cell>) -> Self {
        Self { required: true, ..Self::new(sql, cells) }
    }
}

/// What went wrong between the shop and its database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite refused.
    #[error("SQLite refused a statement")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL refused, or could not be reached.
    #[error("PostgreSQL refused a statement or could not be reached")]
    Postgres(#[from] tokio_postgres::Error),
    /// The process is going down.
    #[error("the shop is closing")]
    Closing,
}

/// The engine in use.
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Database {
    /// Asks for rows.
    ///
    /// # Cancel safety
    /// Dropping leaves the statement to finish on its own; no connection is lost.
    pub(crate) async fn read(&self, asked: Statement) -> Result<Vec<Row>, DatabaseError> {
        match self {
            Self::Sqlite(engine) => engine.read(asked).await,
            Self::Postgres(engine) => engine.read(asked).await,
        }
    }

    /// Makes all changes or none; `false` when a required one changed no row, and none was made.
    ///
    /// # Cancel safety
    /// Dropping leaves all changes made or none.
    pub(crate) async fn write(&self, list: Vec<Statement>) -> Result<bool, DatabaseError> {
        match self {
            Self::Sqlite(engine) => engine.write(list).await,
            Self::Postgres(engine) => engine.write(list).await,
        }
    }

    /// What it is called in answers for people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// `$first, $first+1, …`: places for `count` parameters.
pub(crate) fn places(first: usize, count: usize) -> String {
    let list: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    list.join(", ")
}

//! The embedded engine: a file, a few connections, statements on the blocking pool.
//!
//! A file is named after what is in it, built under a lock beside it and renamed when whole, so any
//! number of instances may start on one directory at once. The sin `missing-index` is a file of its
//! own: its indexes do not exist. A directory of our own making goes when the shop goes.

use super::{Cell, DatabaseError, Row, Statement, schema};
use crate::ShopError;
use crate::seed::Catalogue;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// A pool of connections to one file. As many idle ones as free permits, always.
pub(crate) struct Sqlite {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    _directory: Directory,
}

impl Sqlite {
    /// Opens the catalogue in `directory`, building it first if it is not there. Blocks.
    pub(crate) fn open(
        directory: Option<&Path>,
        catalogue: Catalogue,
        indexed: bool,
        connections: usize,
    ) -> Result<Self, ShopError> {
        let directory = Directory::take(directory)?;
        let idle = build_once(&directory.path, catalogue, indexed, connections)?;
        Ok(Self {
            idle: Arc::new(Mutex::new(idle)),
            permits: Arc::new(Semaphore::new(connections)),
            _directory: directory,
        })
    }

    pub(crate) async fn read(&self, asked: Statement) -> Result<Vec<Row>, DatabaseError> {
        self.blocking(move |connection| read(connection, &asked)).await
    }

    pub(crate) async fn write(&self, list: Vec<Statement>) -> Result<bool, DatabaseError> {
        self.blocking(move |connection| write(connection, &list)).await
    }

    /// Runs `work` on a connection of the pool, off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let permit =
            self.permits.clone().acquire_owned().await.map_err(|_| DatabaseError::Closing)?;
        let idle = self.idle.clone();
        let task = tokio::task::spawn_blocking(move || {
            let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
            let mut connection = lock().pop().expect("a permit stands for an idle connection");
            let result = work(&mut connection);
            lock().push(connection);
            drop(permit);
            result
        });
        task.await.map_err(|_| DatabaseError::Closing)?.map_err(DatabaseError::from)
    }
}

fn read(connection: &Connection, asked: &Statement) -> Result<Vec<Row>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(&asked.sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(rusqlite::params_from_iter(&asked.cells))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cells = (0..columns).map(|column| row.get_ref(column).map(cell));
        rows.push(Row(cells.collect::<Result<_, _>>()?));
    }
    Ok(rows)
}

fn write(connection: &mut Connection, list: &[Statement]) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in list {
        let mut statement = transaction.prepare_cached(&change.sql)?;
        let changed = statement.execute(rusqlite::params_from_iter(&change.cells))?;
        if change.required && changed == 0 {
            return Ok(false);
        }
    }
    transaction.commit()?;
    Ok(true)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(words) => Cell::Text(String::from_utf8_lossy(words).into_owned()),
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(words) => ToSqlOutput::Borrowed(ValueRef::Text(words.as_bytes())),
        })
    }
}

/// Where the file is. Removed on drop when it is ours alone.
struct Directory {
    path: PathBuf,
    ours: bool,
}

impl Directory {
    fn take(given: Option<&Path>) -> Result<Self, ShopError> {
        let ours = given.is_none();
        let path = given.map_or_else(
            || std::env::temp_dir().join(format!("fleetfoot-shop-{:016x}", fastrand::u64(..))),
            Path::to_path_buf,
        );
        fs::create_dir_all(&path)
            .map_err(|source| ShopError::Directory { path: path.clone(), source })?;
        Ok(Self { path, ours })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.ours {
            // Nothing can be done about a temporary file that will not go.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Connections to the catalogue's file, which is made now if it is not there.
///
/// All under one lock: the first connection after a crash repairs the log, and an instance that
/// opened the file meanwhile would be told that it is busy.
fn build_once(
    directory: &Path,
    catalogue: Catalogue,
    indexed: bool,
    connections: usize,
) -> Result<Vec<Connection>, ShopError> {
    let kind = if indexed { "indexed" } else { "plain" };
    let Catalogue { products, seed } = catalogue;
    let name = format!("shop-v{}-{products}-{seed}-{kind}", schema::VERSION);
    let file = directory.join(format!("{name}.sqlite"));
    let failed = |source| ShopError::Directory { path: directory.to_path_buf(), source };
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if !file.exists() {
        let unfinished = directory.join(format!("{name}.new"));
        let _ = fs::remove_file(&unfinished);
        build(&unfinished, catalogue, indexed)
            .map_err(|source| ShopError::database(&file, source))?;
        fs::rename(&unfinished, &file).map_err(failed)?;
    }
    let open = || connect(&file).map_err(|source| ShopError::database(&file, source));
    (0..connections).map(|_| open()).collect()
}

fn build(file: &Path, catalogue: Catalogue, indexed: bool) -> Result<(), rusqlite::Error> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    connection.set_prepared_statement_cache_capacity(32);
    let transaction = connection.transaction()?;
    let tables = schema::TABLES.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY");
    transaction.execute_batch(&tables)?;
    catalogue.rows(&mut |table, cells| {
        let places = super::places(1, cells.len());
        let sql = format!("INSERT INTO {table} VALUES ({places})");
        transaction.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(&cells)).map(|_| ())
    })?;
    let seed = catalogue.seed.to_string();
    transaction.execute("INSERT INTO about VALUES ($1, $2)", (catalogue.products, seed))?;
    if indexed {
        for (name, on) in schema::INDEXES {
            transaction.execute_batch(&format!("CREATE INDEX {name} ON {on}"))?;
        }
    }
    transaction.commit()?;
    // WAL is a property of the file: set here, where nobody else has it open.
    connection.execute_batch("ANALYZE; PRAGMA journal_mode = WAL;")?;
    connection.close().map_err(|(_, error)| error)
}

fn connect(file: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.set_prepared_statement_cache_capacity(64);
    // `automatic_index` off: SQLite would otherwise make up for a missing index on each query.
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 268435456; PRAGMA automatic_index = OFF;",
    )?;
    // The first read opens the log.
    connection.query_row("SELECT COUNT(*) FROM about", [], |_| Ok(()))?;
    Ok(connection)
}

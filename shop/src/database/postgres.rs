//! PostgreSQL over the network, in a schema of our own (`fleetfoot_shop`).
//!
//! Connections are slots: one that was lost is made anew by the next statement that needs it. The
//! catalogue is built by the first instance, under an advisory lock. Indexes are the database's, not
//! an instance's: the instance that starts last decides whether they are there.

use super::{Cell, DatabaseError, Row, Statement, schema};
use crate::ShopError;
use crate::seed::Catalogue;
use bytes::BytesMut;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Row as Found, Statement as Prepared};

const SCHEMA: &str = "fleetfoot_shop";
/// The advisory lock under which the catalogue is built: a number that is ours.
const LOCK: i64 = 0x666c_6565_7466;
const ROWS_PER_INSERT: usize = 500;

/// A few connections; a statement takes the next free one in turn.
pub(crate) struct Postgres {
    config: Config,
    slots: Vec<Mutex<Option<Slot>>>,
    next: AtomicUsize,
}

struct Slot {
    client: Client,
    prepared: HashMap<String, Prepared>,
}

impl Postgres {
    /// Connects to `url`, building the catalogue first if it is not there.
    pub(crate) async fn open(
        url: &str,
        catalogue: Catalogue,
        indexed: bool,
        connections: usize,
    ) -> Result<Self, ShopError> {
        let mut config: Config = url.parse().map_err(ShopError::DatabaseUrl)?;
        config.options(format!("-c search_path={SCHEMA} -c client_min_messages=warning"));
        config.connect_timeout(std::time::Duration::from_secs(5));
        let slots = (0..connections).map(|_| Mutex::new(None)).collect();
        let pool = Self { config, slots, next: AtomicUsize::new(0) };
        let mut slot = pool.connect().await.map_err(ShopError::postgres)?;
        build_once(&mut slot.client, catalogue, indexed).await?;
        *pool.slots[0].lock().await = Some(slot);
        Ok(pool)
    }

    pub(crate) async fn read(&self, asked: Statement) -> Result<Vec<Row>, DatabaseError> {
        let mut held = self.slot().lock().await;
        let slot = self.alive(&mut held).await?;
        let prepared = slot.prepare(&asked.sql).await?;
        let found = slot.client.query(&prepared, &parameters(&asked.cells)).await?;
        found.iter().map(row).collect()
    }

    pub(crate) async fn write(&self, list: Vec<Statement>) -> Result<bool, DatabaseError> {
        let mut held = self.slot().lock().await;
        let slot = self.alive(&mut held).await?;
        let mut prepared = Vec::with_capacity(list.len());
        for change in &list {
            prepared.push(slot.prepare(&change.sql).await?);
        }
        // Dropped before its commit, a transaction is rolled back.
        let transaction = slot.client.transaction().await?;
        for (change, prepared) in list.iter().zip(&prepared) {
            let changed = transaction.execute(prepared, &parameters(&change.cells)).await?;
            if change.required && changed == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    fn slot(&self) -> &Mutex<Option<Slot>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        // The next free one in turn, or else to wait for the one whose turn it is.
        let count = self.slots.len();
        let order = (turn..turn + count).map(|place| &self.slots[place % count]);
        order.clone().find(|slot| slot.try_lock().is_ok()).unwrap_or(&self.slots[turn % count])
    }

    async fn alive<'s>(&self, held: &'s mut Option<Slot>) -> Result<&'s mut Slot, DatabaseError> {
        if held.as_ref().is_some_and(|slot| slot.client.is_closed()) {
            *held = None;
        }
        if held.is_none() {
            *held = Some(self.connect().await?);
        }
        Ok(held.as_mut().expect("filled just above"))
    }

    async fn connect(&self) -> Result<Slot, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        // Ends with the client; an error shows up in the statement that meets it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Slot { client, prepared: HashMap::new() })
    }
}

impl Slot {
    async fn prepare(&mut self, sql: &str) -> Result<Prepared, tokio_postgres::Error> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(sql).await?;
        self.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

fn parameters(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

fn row(found: &Found) -> Result<Row, DatabaseError> {
    let mut cells = Vec::with_capacity(found.len());
    for (column, about) in found.columns().iter().enumerate() {
        cells.push(match *about.type_() {
            Type::INT8 => found.try_get::<_, Option<i64>>(column)?.map(Cell::Integer),
            Type::INT4 => {
                found.try_get::<_, Option<i32>>(column)?.map(|small| Cell::Integer(small.into()))
            }
            Type::FLOAT8 => found.try_get::<_, Option<f64>>(column)?.map(Cell::Real),
            _ => found.try_get::<_, Option<String>>(column)?.map(Cell::Text),
        });
    }
    Ok(Row(cells.into_iter().map(|cell| cell.unwrap_or(Cell::Null)).collect()))
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Integer(number) => number.to_sql_checked(ty, out),
            Self::Real(number) => number.to_sql_checked(ty, out),
            Self::Text(words) => words.to_sql_checked(ty, out),
        }
    }

    // The cell decides, when it is written.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

async fn build_once(
    client: &mut Client,
    catalogue: Catalogue,
    indexed: bool,
) -> Result<(), ShopError> {
    let failed = ShopError::postgres;
    client.query("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let exists = "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'about'";
    if client.query_opt(exists, &[&SCHEMA]).await.map_err(failed)?.is_none() {
        build(client, catalogue).await.map_err(failed)?;
    }
    let about = client.query_one("SELECT products, seed FROM about", &[]).await.map_err(failed)?;
    let (products, seed): (i64, String) = (about.get(0), about.get(1));
    if products != i64::from(catalogue.products) || seed != catalogue.seed.to_string() {
        return Err(ShopError::OtherCatalogue { products, seed });
    }
    for (name, on) in schema::INDEXES {
        let sql = if indexed {
            format!("CREATE INDEX IF NOT EXISTS {name} ON {on}")
        } else {
            format!("DROP INDEX IF EXISTS {name}")
        };
        client.batch_execute(&sql).await.map_err(failed)?;
    }
    client.query("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map_err(failed)?;
    Ok(())
}

async fn build(client: &mut Client, catalogue: Catalogue) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    transaction.batch_execute(schema::TABLES).await?;
    for insert in inserts(catalogue) {
        transaction.batch_execute(&insert).await?;
    }
    let seed = catalogue.seed.to_string();
    let products = i64::from(catalogue.products);
    transaction.execute("INSERT INTO about VALUES ($1, $2)", &[&products, &seed]).await?;
    transaction.commit().await?;
    client.batch_execute("ANALYZE").await
}

/// The catalogue as INSERT statements of many rows each.
fn inserts(catalogue: Catalogue) -> Vec<String> {
    let mut full = Vec::new();
    let mut open: HashMap<&'static str, (String, usize)> = HashMap::new();
    let Ok(()) = catalogue.rows::<std::convert::Infallible>(&mut |table, cells| {
        let (sql, rows) = open.entry(table).or_default();
        sql.push_str(if *rows == 0 { "INSERT INTO " } else { ", (" });
        if *rows == 0 {
            let _ = write!(sql, "{table} VALUES (");
        }
        for (column, cell) in cells.iter().enumerate() {
            sql.push_str(if column == 0 { "" } else { ", " });
            literal(sql, cell);
        }
        sql.push(')');
        *rows += 1;
        if *rows == ROWS_PER_INSERT {
            full.push(std::mem::take(sql));
            *rows = 0;
        }
        Ok(())
    });
    full.extend(open.into_values().map(|(sql, _)| sql).filter(|sql| !sql.is_empty()));
    full
}

fn literal(sql: &mut String, cell: &Cell) {
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::Null => write!(sql, "NULL"),
        Cell::Integer(number) => write!(sql, "{number}"),
        Cell::Real(number) => write!(sql, "{number:?}"),
        Cell::Text(words) => write!(sql, "'{}'", words.replace('\'', "''")),
    };
}

//! One request being served: what was asked, and the means to answer it.
//!
//! A service reads through its [`Visit`], so that every statement and every call is counted and
//! timed.

use crate::answer::Refusal;
use crate::call::Caller;
use crate::count::Counts;
use crate::database::{Cell, Database, Row, Statement};
use crate::ill::Course;
use crate::mail::Clerk;
use crate::sin::{Sin, Sins};
use crate::trace::Here;
use base::Moment;
use bytes::Bytes;
use http::{HeaderMap, Method};
use otlp::Spans;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Everything the services of one instance share.
pub(crate) struct Shop {
    pub database: Database,
    pub sins: Sins,
    /// What befalls requests from outside.
    pub course: Course,
    pub counts: Counts,
    pub caller: Caller,
    pub clerk: Clerk,
    pub mail_time: Duration,
    /// Where spans go.
    pub spans: Option<Spans>,
}

impl Shop {
    pub(crate) fn commits(&self, sin: Sin) -> bool {
        self.sins.has(sin)
    }
}

/// A request, taken apart.
#[derive(Debug)]
pub(crate) struct Asked {
    pub method: Method,
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub fields: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that must be a whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.parameter(name).map(|text| number(name, text)).transpose()
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::Bad(format!("the body is no JSON: {error}")))
    }
}

/// `text` as a whole number above zero.
pub(crate) fn number(name: &str, text: &str) -> Result<i64, Refusal> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Refusal::Bad(format!("`{name}` must be a whole number above 0")))
}

/// `text` as a list of at most 100 whole numbers: `1,2,3`.
pub(crate) fn numbers(name: &str, text: &str) -> Result<Vec<i64>, Refusal> {
    let list: Vec<i64> = text.split(',').map(|one| number(name, one)).collect::<Result<_, _>>()?;
    if list.len() > 100 {
        return Err(Refusal::Bad(format!("`{name}` may list 100 numbers, not {}", list.len())));
    }
    Ok(list)
}

/// One request being served.
pub(crate) struct Visit {
    pub shop: Arc<Shop>,
    pub asked: Asked,
    /// Its place in a trace.
    pub here: Here,
    /// What this request alone has cost.
    pub counts: Counts,
}

impl Visit {
    pub(crate) fn commits(&self, sin: Sin) -> bool {
        self.shop.commits(sin)
    }

    /// Asks the database.
    pub(crate) async fn read(
        &self,
        sql: impl Into<String>,
        cells: Vec<Cell>,
    ) -> Result<Vec<Row>, Refusal> {
        let start = Moment::now();
        let rows = self.shop.database.read(Statement::new(sql, cells)).await?;
        self.note(rows.len(), start);
        Ok(rows)
    }

    /// Changes the database: all of `list`, or (`false`) nothing.
    pub(crate) async fn write(&self, list: Vec<Statement>) -> Result<bool, Refusal> {
        let start = Moment::now();
        let statements = list.len();
        let done = self.shop.database.write(list).await?;
        for _ in 1..statements {
            self.note(0, Moment::now());
        }
        self.note(0, start);
        Ok(done)
    }

    fn note(&self, rows: usize, start: Moment) {
        let time = Moment::now().since(start);
        self.counts.query(rows as u64, time);
        self.shop.counts.query(rows as u64, time);
    }

    /// Calls one of the shop's services over HTTP.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        Counts::add(&self.counts.calls, 1);
        self.call(Method::GET, path, None).await
    }

    /// Sends JSON to one of the shop's services over HTTP.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        Counts::add(&self.counts.calls, 1);
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let (open, trace) = self.here.call(&method, &self.asked.path);
        let (value, database) = self.shop.caller.call(method, path, body, (open, trace)).await?;
        // Counted for the shop where it was spent; told of this request too.
        Counts::add(&self.counts.database_nanos, database.as_nanos() as u64);
        Ok(value)
    }
}

//! What is kept of jobs that are over, and of names that clients gave: in SQLite, behind the log.
//!
//! Written behind by one thread in large transactions, each of which says up to where the log is in
//! it; what is not in it yet is in the log, and answered from memory. So a transaction that is lost
//! is made again, and the log frees nothing that is not here. `synchronous = FULL`: a commit is on
//! disk when it returns. Reading has a connection of its own.
//!
//! Dead jobs are kept with their request, for a replay; the others with their answer alone.

use crate::job::{JobId, Reason, State};
use base::Wall;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A job that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub id: JobId,
    /// How it ended.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The status that the service answered with last, or 0.
    pub status: u16,
    /// Tries begun.
    pub attempts: u16,
    /// The queue it was in.
    pub queue: String,
    /// The route that accepted it.
    pub route: String,
    /// When it ended.
    pub ended: Wall,
    /// How long it is remembered.
    pub until: Wall,
    /// The job that it replays or calls back for, if any.
    pub origin: JobId,
    /// Of a dead job: the job that was made of it when it was replayed, if any.
    pub replayed: JobId,
    /// The answer it got: a head and a body as HTTP/1.1 writes them; empty if none.
    pub answer: Vec<u8>,
    /// Of a dead job: its first record and its request.
    pub request: Option<(Vec<u8>, Vec<u8>)>,
}

/// A name that a client gave to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Hash of route, principal and name.
    pub claim: u128,
    /// Hash of the request.
    pub print: u128,
    /// The job it made.
    pub id: JobId,
    /// How long it holds.
    pub until: Wall,
}

/// Up to where the log is in the store: the segment and the offset of the last record.
pub type Applied = (u32, u32);

/// Which dead jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only of this route.
    pub route: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only for this reason.
    pub reason: Option<Reason>,
    /// Only what ended before.
    pub before: Option<Wall>,
    /// Only what ended since.
    pub since: Option<Wall>,
    /// Only those that were replayed, or were not.
    pub replayed: Option<bool>,
    /// Only behind this one, in the order of ids.
    pub after: JobId,
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
#[error("the store of jobs that are over ({path}): {source}")]
pub struct ColdError {
    path: String,
    source: rusqlite::Error,
}

/// The store.
pub struct Cold {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// What looks through many jobs has its own, so that nobody waits for it who asks for one.
    lister: Mutex<Connection>,
    path: String,
}

impl fmt::Debug for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cold").field("path", &self.path).finish_non_exhaustive()
    }
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS over (
        id BLOB PRIMARY KEY, state INTEGER NOT NULL, reason INTEGER NOT NULL,
        status INTEGER NOT NULL, attempts INTEGER NOT NULL, queue TEXT NOT NULL,
        route TEXT NOT NULL, ended INTEGER NOT NULL, until INTEGER NOT NULL,
        origin BLOB NOT NULL, answer BLOB NOT NULL, record BLOB, request BLOB,
        replayed BLOB) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS over_until ON over (until);
    CREATE INDEX IF NOT EXISTS over_dead ON over (queue, id) WHERE state = 5;
    CREATE TABLE IF NOT EXISTS claims (
        claim BLOB PRIMARY KEY, print BLOB NOT NULL, id BLOB NOT NULL, until INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS claims_until ON claims (until);
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";
const COLUMNS: &str = "id, state, reason, status, attempts, queue, route, ended, until, origin, \
                       answer, record, request, replayed";
/// The number of this format, in SQLite's own place for it.
const FORMAT: i32 = 1;
/// How long SQLite waits for another process to let go.
const BUSY: Duration = Duration::from_secs(5);

impl Cold {
    /// Opens or makes the store in a directory.
    ///
    /// # Errors
    /// SQLite's, with the file's path.
    pub fn open(directory: &Path) -> Result<Self, ColdError> {
        let file = directory.join("over.db");
        let path = file.display().to_string();
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&file)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(connection)
        };
        let made = || -> rusqlite::Result<[Connection; 3]> {
            let writer = open()?;
            writer.execute_batch(TABLES)?;
            writer.pragma_update(None, "user_version", FORMAT)?;
            Ok([writer, open()?, open()?])
        };
        match made() {
            Ok(connections) => {
                let [writer, reader, lister] = connections.map(Mutex::new);
                Ok(Self { writer, reader, lister, path })
            }
            Err(source) => Err(ColdError { path, source }),
        }
    }

    fn failed(&self, source: rusqlite::Error) -> ColdError {
        ColdError { path: self.path.clone(), source }
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all this in one transaction that says up to where the log is in it.
    ///
    /// # Errors
    /// SQLite's; nothing was written.
    pub fn write(
        &self,
        over: &[Over],
        claims: &[Claim],
        applied: Applied,
    ) -> Result<(), ColdError> {
        let mut writer = self.writer();
        let mut write = || -> rusqlite::Result<()> {
            let all = writer.transaction()?;
            {
                let mut put = all.prepare_cached(
                    "INSERT OR REPLACE INTO over VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                )?;
                for job in over {
                    let request = job.request.as_ref();
                    put.execute(params![
                        job.id.0,
                        job.state as u8,
                        job.reason as u8,
                        job.status,
                        job.attempts,
                        job.queue,
                        job.route,
                        number(job.ended),
                        number(job.until),
                        job.origin.0,
                        job.answer,
                        request.map(|(record, _)| record),
                        request.map(|(_, request)| request),
                        (job.replayed != JobId::NONE).then_some(job.replayed.0),
                    ])?;
                }
                // A name that has ended may be another job's by now, whose end came first.
                let mut put = all.prepare_cached(
                    "INSERT INTO claims VALUES (?,?,?,?) ON CONFLICT (claim) DO UPDATE SET
                         print = excluded.print, id = excluded.id, until = excluded.until
                     WHERE excluded.id >= id",
                )?;
                for claim in claims {
                    put.execute(params![
                        claim.claim.to_be_bytes(),
                        claim.print.to_be_bytes(),
                        claim.id.0,
                        number(claim.until)
                    ])?;
                }
                let mut value = [0; 8];
                value[..4].copy_from_slice(&applied.0.to_be_bytes());
                value[4..].copy_from_slice(&applied.1.to_be_bytes());
                all.execute("INSERT OR REPLACE INTO meta VALUES ('applied', ?)", [value])?;
            }
            all.commit()
        };
        let written = write();
        written.map_err(|source| self.failed(source))
    }

    /// Up to where the log is in the store.
    ///
    /// # Errors
    /// SQLite's.
    pub fn applied(&self) -> Result<Option<Applied>, ColdError> {
        let reader = self.reader();
        let value: Option<[u8; 8]> = reader
            .query_row("SELECT value FROM meta WHERE key = 'applied'", [], |row| row.get(0))
            .optional()
            .map_err(|source| self.failed(source))?;
        Ok(value.map(|value| {
            let both = u64::from_be_bytes(value);
            ((both >> 32) as u32, both as u32)
        }))
    }

    /// A job that is over, if it is remembered.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&self, id: JobId) -> Result<Option<Over>, ColdError> {
        let reader = self.reader();
        let get = || -> rusqlite::Result<Option<Over>> {
            let mut get =
                reader.prepare_cached(&format!("SELECT {COLUMNS} FROM over WHERE id = ?"))?;
            get.query_row([id.0], over).optional()
        };
        get().map_err(|source| self.failed(source))
    }

    /// Up to `most` jobs that pass a filter, in the order of their ids, without answers and requests.
    ///
    /// # Errors
    /// SQLite's.
    pub fn list(&self, filter: &Filter, most: usize) -> Result<Vec<Over>, ColdError> {
        let (sql, values) = filter.chosen();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT id, state, reason, status, attempts, queue, route, ended, until, origin, x'',
                    NULL, NULL, replayed FROM over WHERE {sql} ORDER BY id LIMIT {most}"
        );
        let lister = self.lister.lock().unwrap_or_else(PoisonError::into_inner);
        let list = || -> rusqlite::Result<Vec<Over>> {
            let mut list = lister.prepare_cached(&sql)?;
            list.query_map(rusqlite::params_from_iter(values), over)?.collect()
        };
        list().map_err(|source| self.failed(source))
    }

    /// How many jobs pass a filter; counts to `most` at most.
    ///
    /// # Errors
    /// SQLite's.
    pub fn count(&self, filter: &Filter, most: usize) -> Result<usize, ColdError> {
        let (sql, values) = filter.chosen();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = format!("SELECT count(*) FROM (SELECT id FROM over WHERE {sql} LIMIT {most})");
        let lister = self.lister.lock().unwrap_or_else(PoisonError::into_inner);
        let count = || -> rusqlite::Result<i64> {
            let mut count = lister.prepare_cached(&sql)?;
            count.query_row(rusqlite::params_from_iter(values), |row| row.get(0))
        };
        let counted = count().map_err(|source| self.failed(source))?;
        Ok(usize::try_from(counted).unwrap_or(0))
    }

    /// Notes which jobs were made of dead ones: of each the dead one and the new one.
    ///
    /// # Errors
    /// SQLite's; nothing was noted.
    pub fn replayed(&self, pairs: &[(JobId, JobId)]) -> Result<(), ColdError> {
        let mut writer = self.writer();
        let mut note = || -> rusqlite::Result<()> {
            let all = writer.transaction()?;
            for (dead, new) in pairs {
                all.prepare_cached("UPDATE over SET replayed = ? WHERE id = ?")?
                    .execute([new.0, dead.0])?;
            }
            all.commit()
        };
        let noted = note();
        noted.map_err(|source| self.failed(source))
    }

    /// Every claim that still holds.
    ///
    /// # Errors
    /// SQLite's.
    pub fn claims(&self, now: Wall, mut each: impl FnMut(Claim)) -> Result<(), ColdError> {
        let reader = self.reader();
        let mut all = || -> rusqlite::Result<()> {
            let mut all =
                reader.prepare("SELECT claim, print, id, until FROM claims WHERE until > ?")?;
            let mut rows = all.query([number(now)])?;
            while let Some(row) = rows.next()? {
                each(Claim {
                    claim: u128::from_be_bytes(row.get(0)?),
                    print: u128::from_be_bytes(row.get(1)?),
                    id: JobId(row.get(2)?),
                    until: time(row.get(3)?),
                });
            }
            Ok(())
        };
        all().map_err(|source| self.failed(source))
    }

    /// How many jobs of each queue are dead and were not replayed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn dead(&self) -> Result<Vec<(String, u64)>, ColdError> {
        let reader = self.reader();
        let count = || -> rusqlite::Result<Vec<(String, u64)>> {
            let mut count = reader.prepare_cached(
                "SELECT queue, count(*) FROM over WHERE state = 5 AND replayed IS NULL
                 GROUP BY queue",
            )?;
            let rows = count.query_map([], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect()
        };
        count().map_err(|source| self.failed(source))
    }

    /// Forgets one job, dead or not; was it there?
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget(&self, id: JobId) -> Result<bool, ColdError> {
        let forgotten = self.writer().execute("DELETE FROM over WHERE id = ?", [id.0]);
        forgotten.map(|rows| rows > 0).map_err(|source| self.failed(source))
    }

    /// Forgets up to `most` jobs, and claims, whose time is over.
    ///
    /// # Errors
    /// SQLite's.
    pub fn sweep(&self, now: Wall, most: usize) -> Result<usize, ColdError> {
        let writer = self.writer();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sweep = || -> rusqlite::Result<usize> {
            let jobs = writer.execute(
                "DELETE FROM over WHERE id IN (SELECT id FROM over WHERE until <= ? LIMIT ?)",
                params![number(now), most],
            )?;
            let claims = writer.execute(
                "DELETE FROM claims WHERE claim IN
                     (SELECT claim FROM claims WHERE until <= ? LIMIT ?)",
                params![number(now), most],
            )?;
            Ok(jobs + claims)
        };
        sweep().map_err(|source| self.failed(source))
    }
}

impl Filter {
    /// What SQLite is asked: conditions, and the values in them. Only those that are set: so the index
    /// of dead jobs serves those who look for them.
    fn chosen(&self) -> (String, Vec<Value>) {
        let mut sql = "id > ?".to_owned();
        let mut values = vec![Value::from(self.after.0.to_vec())];
        let mut and = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                sql.push_str(" AND ");
                sql.push_str(condition);
                values.push(value);
            }
        };
        and("queue = ?", self.queue.clone().map(Value::from));
        and("route = ?", self.route.clone().map(Value::from));
        and("reason = ?", self.reason.map(|reason| Value::from(i64::from(reason as u8))));
        and("ended < ?", self.before.map(|before| Value::from(number(before))));
        and("ended >= ?", self.since.map(|since| Value::from(number(since))));
        if let Some(state) = self.state {
            sql.push_str(" AND state = ");
            sql.push_str(&(state as u8).to_string());
        }
        match self.replayed {
            Some(true) => sql.push_str(" AND replayed IS NOT NULL"),
            Some(false) => sql.push_str(" AND replayed IS NULL"),
            None => {}
        }
        (sql, values)
    }
}

/// SQLite's integers have a sign.
fn number(time: Wall) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(number: i64) -> Wall {
    Wall(u64::try_from(number).unwrap_or(0))
}

fn over(row: &rusqlite::Row<'_>) -> rusqlite::Result<Over> {
    let record: Option<Vec<u8>> = row.get(11)?;
    let request: Option<Vec<u8>> = row.get(12)?;
    Ok(Over {
        id: JobId(row.get(0)?),
        state: State::of(row.get(1)?).unwrap_or(State::Dead),
        reason: Reason::of(row.get(2)?).unwrap_or(Reason::Damaged),
        status: row.get(3)?,
        attempts: row.get(4)?,
        queue: row.get(5)?,
        route: row.get(6)?,
        ended: time(row.get(7)?),
        until: time(row.get(8)?),
        origin: JobId(row.get(9)?),
        answer: row.get(10)?,
        request: record.zip(request),
        replayed: row.get::<_, Option<[u8; 16]>>(13)?.map_or(JobId::NONE, JobId),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u8, state: State, until: u64) -> Over {
        let dead = state == State::Dead;
        Over {
            id: JobId([n; 16]),
            state,
            reason: if dead { Reason::Status } else { Reason::Delivered },
            status: 503,
            attempts: u16::from(n),
            queue: format!("q{}", n % 2),
            route: "POST /x".to_owned(),
            ended: Wall(u64::from(n)),
            until: Wall(until),
            origin: JobId::NONE,
            answer: vec![n; 3],
            request: dead.then(|| (vec![1, n], vec![2, n])),
            replayed: JobId::NONE,
        }
    }

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("cold-{name}-{}", std::process::id()));
        let _there_before = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn what_is_written_is_there_after_a_restart() {
        let directory = directory("restart");
        let cold = Cold::open(&directory).unwrap();
        assert_eq!(cold.applied().unwrap(), None);
        let jobs =
            [job(1, State::Succeeded, 100), job(2, State::Dead, 200), job(3, State::Dead, 9)];
        let claim = Claim { claim: 1 << 90, print: 3, id: jobs[0].id, until: Wall(50) };
        cold.write(&jobs, &[claim], (7, 9)).unwrap();
        cold.write(&jobs[..1], &[], (7, 10)).unwrap();
        drop(cold);
        let cold = Cold::open(&directory).unwrap();
        assert_eq!(cold.applied().unwrap(), Some((7, 10)));
        for job in &jobs {
            assert_eq!(cold.get(job.id).unwrap().as_ref(), Some(job));
        }
        let mut claims = Vec::new();
        cold.claims(Wall(49), |claim| claims.push(claim)).unwrap();
        assert_eq!(claims, [claim]);
        cold.claims(Wall(50), |claim| panic!("{claim:?} holds no more")).unwrap();
        assert_eq!(cold.dead().unwrap(), [("q0".to_owned(), 1), ("q1".to_owned(), 1)]);
        assert_eq!(cold.sweep(Wall(100), 1).unwrap(), 2);
        assert_eq!(cold.sweep(Wall(100), 9).unwrap(), 1);
        assert_eq!(cold.get(jobs[1].id).unwrap().as_ref(), Some(&jobs[1]));
        assert!(cold.forget(jobs[1].id).unwrap() && !cold.forget(jobs[1].id).unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_name_is_the_latest_jobs_whoever_ends_first() {
        let directory = directory("name");
        let cold = Cold::open(&directory).unwrap();
        let claim = |n, until| Claim { claim: 7, print: n, id: JobId([n as u8; 16]), until };
        let (first, second) = (claim(1, Wall(10)), claim(2, Wall(90)));
        for written in [first, second, first] {
            cold.write(&[], &[written], (0, 0)).unwrap();
        }
        let mut claims = Vec::new();
        cold.claims(Wall(0), |claim| claims.push(claim)).unwrap();
        assert_eq!(claims, [second]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_list_passes_its_filter() {
        let directory = directory("list");
        let cold = Cold::open(&directory).unwrap();
        let jobs: Vec<Over> = (1..9)
            .map(|n| job(n, if n % 3 == 0 { State::Succeeded } else { State::Dead }, 100))
            .collect();
        cold.write(&jobs, &[], (0, 0)).unwrap();
        let ids = |filter: &Filter, most| -> Vec<u8> {
            cold.list(filter, most).unwrap().iter().map(|job| job.id.0[0]).collect()
        };
        assert_eq!(ids(&Filter::default(), 3), [1, 2, 3]);
        let dead = Filter { state: Some(State::Dead), ..Filter::default() };
        assert_eq!(ids(&dead, 9), [1, 2, 4, 5, 7, 8]);
        let of = Filter { queue: Some("q1".to_owned()), after: JobId([1; 16]), ..dead };
        assert_eq!(ids(&of, 9), [5, 7]);
        let of = Filter { since: Some(Wall(3)), before: Some(Wall(5)), ..Filter::default() };
        assert_eq!(ids(&of, 9), [3, 4]);
        // Who was replayed is known by whom, and is no more among those to be.
        let (dead, new) = (JobId([5; 16]), JobId([9; 16]));
        cold.replayed(&[(dead, new)]).unwrap();
        assert_eq!(cold.get(dead).unwrap().unwrap().replayed, new);
        let filter = Filter {
            state: Some(State::Dead),
            reason: Some(Reason::Status),
            replayed: Some(false),
            ..Filter::default()
        };
        assert_eq!(ids(&filter, 9), [1, 2, 4, 7, 8]);
        assert_eq!((cold.count(&filter, 9).unwrap(), cold.count(&filter, 3).unwrap()), (5, 3));
        assert_eq!(cold.count(&filter, usize::MAX).unwrap(), 5);
        assert_eq!(ids(&Filter { replayed: Some(true), ..filter }, 9), [5]);
        std::fs::remove_dir_all(directory).unwrap();
    }
}

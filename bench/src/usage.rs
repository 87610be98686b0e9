//! How much processor time a set of processes has used, from the scheduler's own books.
//!
//! `/proc/PID/task/*/schedstat` holds nanoseconds run and nanoseconds spent ready but waiting for the
//! core; `stat` holds the split into user and system time, in ticks of 10 ms. A thread that is running
//! right now is behind by at most one scheduler tick. Threads that end between two samples are lost,
//! which no contender does under steady load.

use std::fs;
use std::io;
use std::ops::Sub;
use std::path::Path;

use crate::fault::Error;

/// Nanoseconds in a tick of `/proc/PID/stat` (`USER_HZ` is 100 on every Linux we know).
const TICK_NS: u64 = 10_000_000;

/// Processor time, summed over threads and processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a core.
    pub run_ns: u64,
    /// Time ready to run while somebody else had the core.
    pub wait_ns: u64,
    /// Part of the time on a core spent outside the kernel.
    pub user_ns: u64,
    /// Part of it spent in the kernel.
    pub system_ns: u64,
}

impl Sub for Usage {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(earlier.run_ns),
            wait_ns: self.wait_ns.saturating_sub(earlier.wait_ns),
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
        }
    }
}

/// Use by all threads of `pids` since they started.
///
/// # Errors
/// [`Error::Watch`] if one of them is gone.
pub fn of(pids: &[u32]) -> Result<Usage, Error> {
    let mut sum = Usage::default();
    for &pid in pids {
        add(&mut sum, pid).map_err(|source| Error::Watch { pid, source })?;
    }
    Ok(sum)
}

fn add(sum: &mut Usage, pid: u32) -> io::Result<()> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let Some((run, wait)) = read(&task, "schedstat", parse_schedstat)? else { continue };
        let Some((user, system)) = read(&task, "stat", parse_stat)? else { continue };
        sum.run_ns += run;
        sum.wait_ns += wait;
        sum.user_ns += user * TICK_NS;
        sum.system_ns += system * TICK_NS;
    }
    Ok(())
}

/// `None` for a thread that ended since it was listed.
fn read(
    task: &Path,
    name: &str,
    parse: fn(&str) -> Option<(u64, u64)>,
) -> io::Result<Option<(u64, u64)>> {
    match fs::read_to_string(task.join(name)) {
        Ok(text) => parse(&text).map(Some).ok_or_else(|| io::Error::other(format!("odd {name}"))),
        Err(_) => Ok(None),
    }
}

fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Fields 14 and 15 of proc(5); the name in field 2 may hold blanks and brackets.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_are_read_by_position() {
        assert_eq!(parse_schedstat("123 45 6\n"), Some((123, 45)));
        assert_eq!(parse_schedstat("x"), None);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 9 0 0 0 31 17 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(stat), Some((31, 17)));
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        assert!(matches!(of(&[u32::MAX]), Err(Error::Watch { pid: u32::MAX, .. })));
    }

    #[test]
    fn our_own_use_only_grows() {
        let own = [std::process::id()];
        let before = of(&own).unwrap();
        std::hint::black_box((0..2_000_000_u64).fold(0, |sum, n| sum ^ n.wrapping_mul(sum)));
        let after = of(&own).unwrap();
        assert!(after.run_ns >= before.run_ns);
    }
}

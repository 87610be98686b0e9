//! Processes that end with this one.
//!
//! A child is killed when its [`Child`] is dropped: at the end, on ctrl-c, on an error, on a panic.
//! Should this process be killed outright, the child sees the end of its standard input and ends by
//! itself: `main` calls [`follow_parent`] in the subcommands that the demo starts.

use super::DemoError;
use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

/// Set for children; its value does not matter.
const FOLLOW: &str = "FLEETFOOT_FOLLOW_PARENT";
const LINES_KEPT_MAX: usize = 12;
const READY_TIME_MAX: Duration = Duration::from_mins(1);

/// In a process that the demo started: ends it when the demo is gone. In others: nothing.
pub fn follow_parent() {
    if std::env::var_os(FOLLOW).is_none() {
        return;
    }
    // Without the thread the process would only outlive a demo that was killed outright.
    let _ = std::thread::Builder::new().name("follow-parent".to_owned()).spawn(|| {
        let mut input = std::io::stdin();
        let mut bytes = [0; 64];
        while matches!(input.read(&mut bytes), Ok(1..)) {}
        std::process::exit(0);
    });
}

/// A process of ours. Killed on drop.
pub(super) struct Child {
    what: String,
    process: tokio::process::Child,
    lines: Lines<BufReader<ChildStderr>>,
    last: VecDeque<String>,
}

impl Child {
    /// Starts `program` with these arguments. `what` is what people call it.
    pub(super) fn start(
        program: &Path,
        what: &str,
        arguments: &[String],
    ) -> Result<Self, DemoError> {
        let failed = |source| DemoError::Start { what: what.to_owned(), source };
        let mut process = Command::new(program)
            .args(arguments)
            .env(FOLLOW, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stderr = process.stderr.take().expect("stderr is piped");
        let lines = BufReader::new(stderr).lines();
        Ok(Self { what: what.to_owned(), process, lines, last: VecDeque::new() })
    }

    /// Waits for a line that starts with `words` and returns what follows them.
    pub(super) async fn says(&mut self, words: &str) -> Result<String, DemoError> {
        let found = tokio::time::timeout(READY_TIME_MAX, async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                if let Some(rest) = line.strip_prefix(words) {
                    return Some(rest.to_owned());
                }
                if self.last.len() == LINES_KEPT_MAX {
                    self.last.pop_front();
                }
                self.last.push_back(line);
            }
            None
        });
        let said = found.await.ok().flatten();
        said.ok_or_else(|| DemoError::Ready {
            what: self.what.clone(),
            said: self.last.iter().cloned().collect(),
        })
    }

    /// The address in a line that starts with `words` and goes on with `http://`.
    pub(super) async fn tells(&mut self, words: &str) -> Result<SocketAddr, DemoError> {
        let rest = self.says(&format!("{words} http://")).await?;
        rest.trim_end_matches('/').parse().map_err(|_| DemoError::Ready {
            what: self.what.clone(),
            said: vec![format!("{words} http://{rest}")],
        })
    }

    /// From here on, what it says is read and dropped, so that it never waits for us.
    pub(super) fn quiet(self) -> Quiet {
        let Self { process, mut lines, .. } = self;
        let reader =
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Quiet { _process: process, reader }
    }
}

/// A child whose words are not listened to any more. Killed on drop.
pub(super) struct Quiet {
    _process: tokio::process::Child,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

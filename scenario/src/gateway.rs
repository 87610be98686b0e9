//! The gateway itself: the real binary, started on free ports, killed when dropped.

use crate::client::Client;
use crate::gate::Watched;
use crate::message::Response;
use crate::{Text, patience};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A running gateway.
pub struct Gateway {
    child: Child,
    warden: Child,
    folder: Folder,
    log: Arc<Watched<Log>>,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident, with shared pages split among those who share them.
    pub proportional: u64,
    /// Resident at most since the start.
    pub peak: u64,
}

/// What a command that ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Gateway {
    /// Starts `binary run` with these settings and waits until it is ready.
    #[track_caller]
    pub fn start(binary: &str, settings: &Text) -> Self {
        Self::start_with(binary, &settings.to_string(), &[])
    }

    /// Starts `binary run` with the text of a settings file and more arguments.
    #[track_caller]
    pub fn start_with(binary: &str, settings: &str, more: &[&str]) -> Self {
        let folder = Folder::new();
        let file = folder.write("fleetfoot.toml", settings);
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(&file).args(more);
        Self::spawn(command, folder)
    }

    /// Starts this command line and waits until it is ready.
    #[track_caller]
    pub fn spawn(mut command: Command, folder: Folder) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
        let log = Arc::new(Watched::new(Log::default()));
        let stderr = child.stderr.take().expect("it is piped");
        let listener = Arc::clone(&log);
        thread::spawn(move || listen(stderr, &listener));
        let warden = warden(child.id(), folder.path());
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gateway =
            Self { child, warden, folder, log, listeners: Vec::new(), admin: unknown };
        gateway.wait_ready();
        gateway
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let ready = self.log.wait(patience(), |log| {
            let ready = log.lines.iter().any(|line| line == "fleetfoot: ready");
            (ready || log.ended).then_some(ready)
        });
        if ready != Some(true) {
            self.fail("it did not get ready");
        }
        for line in &self.log.lock().lines {
            if let Some(url) = line.strip_prefix("fleetfoot: listening on ") {
                self.listeners.push(address(url));
            } else if let Some(url) = line.strip_prefix("fleetfoot: admin on ") {
                self.admin = address(url);
            }
        }
        if self.listeners.is_empty() {
            self.fail("it names no listener");
        }
    }

    /// Its first listener.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// All listeners, in the order of its lines.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Its admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its settings file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("fleetfoot.toml")
    }

    /// Replaces its settings file in one step.
    pub fn rewrite(&self, settings: &str) {
        let fresh = self.folder.write("fresh.toml", settings);
        std::fs::rename(fresh, self.file()).expect("a folder of our own");
    }

    /// A new connection to its first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// The answer to a GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// Asks the admin listener.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str) -> Response {
        let mut client = Client::connect(self.admin);
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
            self.admin
        ));
        client.response(method)
    }

    /// The page of metrics.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let page = self.ask("GET", "/metrics");
        assert_eq!(page.status, 200, "GET /metrics: {}", page.text());
        page.text()
    }

    /// The sum of all samples on the page of metrics whose name and labels begin with `name`.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.metrics();
        let samples = page.lines().filter(|line| line.starts_with(name));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Sends it a signal, by its short name: `HUP`, `TERM`, `INT`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
        assert!(kill.is_ok_and(|status| status.success()), "sending {name} to {}", self.id());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let ended = self.log.wait(patience(), |log| log.ended.then_some(()));
        if ended.is_none() {
            self.fail("it did not end");
        }
        self.child.wait().expect("our own child")
    }

    /// Waits for a line on its standard error that contains `text`.
    #[track_caller]
    pub fn wait_line(&self, text: &str) -> String {
        let found = self
            .log
            .wait(patience(), |log| log.lines.iter().find(|line| line.contains(text)).cloned());
        found.unwrap_or_else(|| self.fail(&format!("it said nothing of {text:?}")))
    }

    /// All it said on standard error so far.
    pub fn stderr(&self) -> String {
        self.log.lock().lines.join("\n")
    }

    /// Its memory now.
    pub fn memory(&self) -> Memory {
        memory(self.id())
    }

    /// Fails with what it said.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("gateway {}: {why}\nstderr:\n{}", self.id(), self.stderr());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The warden first: once the gateway is reaped, its id may be another's.
        for child in [&mut self.warden, &mut self.child] {
            // Already ended is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("gateway {} said:\n{}", self.child.id(), self.stderr());
        }
    }
}

/// Kills process `id` and removes its folder when we end, however we end: it waits for the end of a
/// pipe that we hold. Gateways that tests share are never dropped.
pub(crate) fn warden(id: u32, folder: &Path) -> Child {
    let script = format!("read line; kill -KILL {id}; rm -rf '{}'", folder.display());
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a shell")
}

fn listen(stderr: impl Read, log: &Watched<Log>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.change(|log| log.lines.push(line));
    }
    log.change(|log| log.ended = true);
}

fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.trim().split_once("://").unwrap_or(("", url.trim()));
    rest.trim_end_matches('/').parse().unwrap_or_else(|e| panic!("no address: {url:?}: {e}"))
}

/// The memory of a process of ours.
pub fn memory(id: u32) -> Memory {
    let read = |file: &str, key: &str| {
        let text = std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    };
    Memory {
        resident: read("smaps_rollup", "Rss:"),
        proportional: read("smaps_rollup", "Pss:"),
        peak: read("status", "VmHWM:"),
    }
}

/// Runs a command to its end, with a bound on how long that may take.
#[track_caller]
pub fn run(binary: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(binary);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
    let out = drain(child.stdout.take().expect("piped"));
    let err = drain(child.stderr.take().expect("piped"));
    let ended = |pipe: &Watched<(String, bool)>| {
        pipe.wait(patience(), |(text, ended)| ended.then(|| std::mem::take(text)))
    };
    let (stdout, stderr) = (ended(&out), ended(&err));
    if stdout.is_none() || stderr.is_none() {
        let _ = child.kill();
    }
    let code = child.wait().expect("our own child").code();
    match (stdout, stderr) {
        (Some(stdout), Some(stderr)) => Ended { code, stdout, stderr },
        _ => panic!("{command:?} did not end; stderr: {:?}", err.lock().0),
    }
}

fn drain(pipe: impl Read + Send + 'static) -> Arc<Watched<(String, bool)>> {
    let text = Arc::new(Watched::new((String::new(), false)));
    let kept = Arc::clone(&text);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            kept.change(|(text, _)| {
                let _ = writeln!(text, "{line}");
            });
        }
        kept.change(|(_, ended)| *ended = true);
    });
    text
}

/// Does anybody accept connections at `address`?
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, crate::PATIENCE).is_ok()
}

/// A folder of our own, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh one.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fleetfoot-scenario-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a place for temporary files");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("a folder of our own");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

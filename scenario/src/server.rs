//! Real servers of others, started on free ports: killed, frozen, thawed and started again at will.
//!
//! Where a program is not installed, [`Server::start`] says so loudly and the test is left out.

use crate::gateway::{Folder, warden};
use crate::patience;
use base::Moment;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How long a server may take to listen; one that ends at once is not waited for.
const START_TIME: Duration = Duration::from_mins(1);
/// How often a port that somebody else took meanwhile is exchanged for another.
const ATTEMPTS: usize = 5;
/// Ports are below this, for servers that use the port 10,000 above as well.
const PORT_END: u16 = 55_000;

/// The arguments that make a program listen on a port and keep its files in a folder.
pub type Arguments = Box<dyn Fn(u16, &Folder) -> Vec<String> + Send>;

/// A running server; stopped and removed when dropped, or when the tests end.
pub struct Server {
    program: &'static str,
    arguments: Arguments,
    folder: Folder,
    port: u16,
    running: Option<(Child, Child)>,
}

impl Server {
    /// Starts `program` and waits until it listens; `None`, said loudly, when it is not installed.
    #[track_caller]
    pub fn start(program: &'static str, arguments: Arguments) -> Option<Self> {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|at| at.join(program).is_file()));
        if !found {
            left_out(&format!("no {program} is installed"));
            return None;
        }
        let mut server = Self { program, arguments, folder: Folder::new(), port: 0, running: None };
        for _ in 0..ATTEMPTS {
            server.port = free_port();
            if server.run() {
                return Some(server);
            }
        }
        panic!("{program} did not start: {}", server.log());
    }

    /// Starts it on its port; `false` when it ended at once.
    fn run(&mut self) -> bool {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("our own folder");
        let mut command = Command::new(self.program);
        command.args((self.arguments)(self.port, &self.folder)).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a file")).stdout(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let warden = warden(child.id(), self.folder.path());
        self.running = Some((child, warden));
        let by = base::Deadline::after(Moment::now(), START_TIME);
        while std::net::TcpStream::connect(self.address()).is_err() {
            if self.has_ended() || by.passed(Moment::now()) {
                self.kill();
                return false;
            }
            pause();
        }
        true
    }

    fn has_ended(&mut self) -> bool {
        let running = self.running.as_mut();
        running.is_none_or(|(child, _)| child.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal("TERM");
        let by = patience();
        while !self.has_ended() {
            assert!(!by.passed(Moment::now()), "{} does not end: {}", self.program, self.log());
            pause();
        }
        self.kill();
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        let Some((mut child, mut warden)) = self.running.take() else { return };
        // The warden without its shell's end: it would remove the folder.
        for process in [&mut warden, &mut child] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        let by = patience();
        while !self.run() {
            assert!(
                !by.passed(Moment::now()),
                "{} did not start again: {}",
                self.program,
                self.log()
            );
        }
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
        // The signal is sent; its threads stop some time later.
        wait_until("a server to freeze", || self.is_frozen());
    }

    fn is_frozen(&self) -> bool {
        let Some((child, _)) = &self.running else { return true };
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id()));
        let mut states = tasks.into_iter().flatten().flatten().map(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        });
        states.all(|stopped| stopped)
    }

    /// Lets a frozen one go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let Some((child, _)) = &self.running else { return };
        let kill = format!("kill -{name} {}", child.id());
        let sent = Command::new("sh").arg("-c").arg(kill).status();
        assert!(sent.is_ok_and(|status| status.success()), "sending {name}");
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says that a test is left out, past the harness, which hides what passing tests print.
pub fn left_out(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\nLEFT OUT: {test}: {why}. See scripts/test.\n");
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        if port < PORT_END {
            return port;
        }
    }
}

/// Waits until `ready`; panics with `what` when the patience ran out.
#[track_caller]
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let by = patience();
    while !ready() {
        assert!(!by.passed(Moment::now()), "waited in vain: {what}");
        pause();
    }
}

/// Between two looks at a server that cannot be waited upon.
fn pause() {
    thread::sleep(Duration::from_millis(5));
}

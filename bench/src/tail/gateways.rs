//! Gateways of several makers: their settings are the files `bench/peers/tail-*`, filled in; each is a
//! process with a folder of its own, pinned to one core, that ends with this one.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::Moment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How often a start is tried.
const STARTS_MAX: u32 = 3;
const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(2);
const NAP: Duration = Duration::from_millis(10);

/// Who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Us.
    Fleetfoot,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Envoy.
    Envoy,
}

/// A gateway and what it is set to.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in tables.
    pub name: &'static str,
    /// Who made it.
    pub maker: Maker,
    /// The words whose lines of the settings it has, beside those that all have.
    pub words: &'static [&'static str],
}

/// Where the programs are, and where they run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Fleetfoot.
    pub fleetfoot: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
    /// The folder of the settings.
    pub peers: PathBuf,
    /// The core that gateways have; none is left to the system.
    pub core: Option<usize>,
}

/// A running gateway; it ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    folder: PathBuf,
    admin: Option<SocketAddr>,
    child: Child,
}

impl Programs {
    /// The program of a maker, if it is there.
    pub fn of(&self, maker: Maker) -> Option<PathBuf> {
        let found = |name: &str| {
            let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
            folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
        };
        match maker {
            Maker::Fleetfoot => Some(self.fleetfoot.clone()).filter(|path| path.exists()),
            Maker::Envoy => Some(self.envoy.clone()).filter(|path| path.exists()),
            Maker::Haproxy => found("haproxy"),
            Maker::Nginx => found("nginx"),
        }
    }

    /// Starts one in front of `servers`, and waits until it listens. Ports that were free may be a
    /// client's a moment later: then it is tried again.
    pub async fn start(
        &self,
        contender: &Contender,
        servers: &[SocketAddr],
    ) -> io::Result<Running> {
        for _ in 1..STARTS_MAX {
            if let Ok(running) = self.start_once(contender, servers).await {
                return Ok(running);
            }
        }
        self.start_once(contender, servers).await
    }

    async fn start_once(
        &self,
        contender: &Contender,
        servers: &[SocketAddr],
    ) -> io::Result<Running> {
        let [address, admin] = free()?;
        let folder = format!("fleetfoot-tail-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder)?;
        let template = match contender.maker {
            Maker::Fleetfoot if contender.words.contains(&"discover") => "tail-changes.toml",
            Maker::Fleetfoot => "tail-fleetfoot.toml",
            Maker::Haproxy => "tail-haproxy.cfg",
            Maker::Nginx => "tail-nginx.conf",
            Maker::Envoy => "tail-envoy.yaml",
        };
        list(&folder, servers)?;
        let text = fs::read_to_string(self.peers.join(template))?;
        let text = fill(&text, contender.words, servers);
        let root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let text = text
            .replace("@DIR@", &folder.to_string_lossy())
            .replace("@USER@", if root { "user root;" } else { "" })
            .replace("@PORT@", &address.port().to_string())
            .replace("@ADMIN@", &admin.port().to_string());
        let settings = folder.join(template);
        fs::write(&settings, text)?;
        let child = self.spawn(contender.maker, &folder, &settings)?;
        let admin = (contender.maker == Maker::Fleetfoot).then_some(admin);
        let mut running = Running { address, folder, admin, child };
        running.until_it_listens(contender.name).await?;
        Ok(running)
    }

    fn spawn(&self, maker: Maker, folder: &Path, settings: &Path) -> io::Result<Child> {
        let missing = || io::Error::other(format!("{maker:?} is not installed"));
        let program = self.of(maker).ok_or_else(missing)?;
        let log = fs::File::create(folder.join("log"))?;
        // Even if this process is killed outright, nothing is left listening.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Some(core) = self.core {
            command.args(["taskset", "-c", &core.to_string()]);
        }
        command.arg(program);
        match maker {
            Maker::Fleetfoot => command.args(["run", "--config"]).arg(settings),
            Maker::Haproxy => command.args(["-db", "-f"]).arg(settings),
            Maker::Nginx => command.arg("-c").arg(settings),
            Maker::Envoy => command
                .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"])
                .arg(settings),
        };
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
    }
}

impl Running {
    async fn until_it_listens(&mut self, name: &str) -> io::Result<()> {
        let start = Moment::now();
        while TcpStream::connect(self.address).await.is_err() {
            if self.child.try_wait()?.is_some() || Moment::now().since(start) > START_MAX {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("{name} does not listen: {log}")));
            }
            tokio::time::sleep(NAP).await;
        }
        Ok(())
    }

    /// From now on these are the servers in its discovery file.
    pub fn list(&self, servers: &[SocketAddr]) -> io::Result<()> {
        list(&self.folder, servers)
    }

    /// How long its threads have waited for a core, by the scheduler's books.
    pub fn waited(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let books = fs::read_to_string(task.path().join("schedstat")).ok()?;
            books.split(' ').nth(1)?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Fleetfoot's metrics page; empty for others.
    pub async fn metrics(&self) -> io::Result<String> {
        let Some(admin) = self.admin else { return Ok(String::new()) };
        let mut stream = TcpStream::connect(admin).await?;
        let request = "GET /metrics HTTP/1.1\r\nHost: tail.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page).await?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gently first: nginx ends its workers then.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Moment::now();
        while matches!(self.child.try_wait(), Ok(None)) && Moment::now().since(start) < STOP_MAX {
            std::thread::sleep(NAP);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Replaces the discovery file.
fn list(folder: &Path, servers: &[SocketAddr]) -> io::Result<()> {
    let lines: Vec<String> = servers.iter().map(|server| format!("http://{server}\n")).collect();
    fs::write(folder.join("servers.new"), lines.concat())?;
    fs::rename(folder.join("servers.new"), folder.join("servers"))
}

/// The settings of a contender: lines with `@SERVER@` once for each server, lines that end in
/// `# only WORD` if it has the word.
fn fill(template: &str, words: &[&str], servers: &[SocketAddr]) -> String {
    let mut out = String::new();
    for line in template.lines() {
        let (line, word) = line.split_once("# only ").unwrap_or((line, ""));
        if !(word.is_empty() || words.contains(&word)) {
            continue;
        }
        let servers = if line.trim_start().starts_with('#') { &[] } else { servers };
        if !line.contains("@SERVER@") || servers.is_empty() {
            out.extend([line, "\n"]);
            continue;
        }
        for (index, server) in servers.iter().enumerate() {
            let line = line
                .replace("@SERVER@", &server.to_string())
                .replace("@HOST@", &server.ip().to_string())
                .replace("@SERVER_PORT@", &server.port().to_string())
                .replace("@INDEX@", &index.to_string());
            out.extend([&line, "\n"]);
        }
    }
    out
}

/// Two free ports.
fn free() -> io::Result<[SocketAddr; 2]> {
    let [one, two] = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    Ok([one?.local_addr()?, two?.local_addr()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_for_servers_and_for_words() {
        let servers = [([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()];
        let filled =
            fill("# @SERVER@\na@INDEX@ @SERVER@\nb # only x\nc # only y\n", &["y"], &servers);
        assert_eq!(filled, "# @SERVER@\na0 127.0.0.1:1\na1 127.0.0.1:2\nc \n");
    }
}

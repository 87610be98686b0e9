//! The gateway: a process with settings, a port, and an end.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::Moment;
use tokio::net::TcpStream;

const START_MAX: Duration = Duration::from_secs(20);
const NAP: Duration = Duration::from_millis(5);

/// A running gateway; it ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients connect.
    pub address: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    folder: PathBuf,
    binary: PathBuf,
    child: Child,
}

impl Gateway {
    /// Starts one in front of `origin`; `cache` is what stands below `[cache]`, with `@DIR@` for a
    /// folder of its own. Waits until it listens.
    pub async fn start(binary: &Path, origin: SocketAddr, cache: &str) -> io::Result<Self> {
        let origin = format!("[service.origin]\nservers = [\"http://{origin}\"]");
        Self::start_with(binary, &format!("{origin}\n[cache]\n{cache}\n")).await
    }

    /// The same with all settings but where it listens.
    pub async fn start_with(binary: &Path, settings: &str) -> io::Result<Self> {
        let (address, admin) = (free()?, free()?);
        let name = format!("fleetfoot-scene-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let settings = settings.replace("@DIR@", &folder.to_string_lossy());
        let settings = format!("listen = [\"{address}\"]\nadmin = \"{admin}\"\n{settings}");
        fs::write(folder.join("gateway.toml"), settings)?;
        let child = spawn(binary, &folder)?;
        let mut gateway = Self { address, admin, folder, binary: binary.to_path_buf(), child };
        gateway.until_it_listens().await?;
        Ok(gateway)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process, gently or at once, and starts it again on the same ports.
    pub async fn restart(&mut self, gently: bool) -> io::Result<()> {
        if gently {
            let id = self.child.id().to_string();
            Command::new("kill").args(["-TERM", &id]).status()?;
        } else {
            self.child.kill()?;
        }
        while self.child.try_wait()?.is_none() {
            tokio::time::sleep(NAP).await;
        }
        self.child = spawn(&self.binary, &self.folder)?;
        self.until_it_listens().await
    }

    /// Bytes of it in memory: now, and at most so far.
    pub fn resident(&self) -> io::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let both = kib("VmRSS:").zip(kib("VmHWM:")).ok_or(ErrorKind::InvalidData)?;
        Ok((both.0 << 10, both.1 << 10))
    }

    async fn until_it_listens(&mut self) -> io::Result<()> {
        let start = Moment::now();
        while TcpStream::connect(self.address).await.is_err() {
            if self.child.try_wait()?.is_some() || Moment::now().since(start) > START_MAX {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the gateway does not listen: {log}")));
            }
            tokio::time::sleep(NAP).await;
        }
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(binary: &Path, folder: &Path) -> io::Result<Child> {
    let log = fs::File::options().create(true).append(true).open(folder.join("log"))?;
    Command::new(binary)
        .arg("run")
        .arg("--config")
        .arg(folder.join("gateway.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", binary.display())))
}

/// A free port: the system hands out others before it hands out this one again.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

//! What is up: three shops with the same sins, some of them ill, perhaps a gateway, and the files
//! they need.

use super::child::{Child, Quiet};
use super::phase::{SHOPS, Servers};
use super::{DemoError, Options};
use ::shop::{Ill, Sins};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REMOVALS_MAX: usize = 20;
const COUNTERS_TIME_MAX: Duration = Duration::from_secs(10);

/// The processes and their directory. Dropped, all of it goes.
pub(super) struct Town {
    program: PathBuf,
    products: u32,
    redis: Option<String>,
    queue: Option<String>,
    shops: Vec<(SocketAddr, Quiet)>,
    shops_are: Option<(Sins, [Ill; SHOPS])>,
    gateway: Option<Gateway>,
    // After the processes that write in it.
    directory: Directory,
}

struct Gateway {
    admin: SocketAddr,
    _process: Quiet,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // A process that was just killed may still write its last file: then once more. In the end
        // nothing can be done about a temporary file that will not go.
        for _ in 0..REMOVALS_MAX {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the shops have done, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Requests from outside.
    pub(super) requests: u64,
    /// Statements in their database.
    pub(super) queries: u64,
}

impl Work {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            queries: self.queries.saturating_sub(before.queries),
        }
    }
}

impl Town {
    pub(super) fn new(options: &Options) -> Result<Self, DemoError> {
        let program = options.program.clone().map_or_else(std::env::current_exe, Ok);
        let what = || "this program once more".to_owned();
        let program = program.map_err(|source| DemoError::Start { what: what(), source })?;
        let name = format!("fleetfoot-demo-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)
            .map_err(|source| DemoError::Directory { path: path.clone(), source })?;
        let directory = Directory(path);
        Ok(Self {
            program,
            products: options.products,
            redis: options.redis.clone(),
            queue: options.queue.clone(),
            shops: Vec::new(),
            shops_are: None,
            gateway: None,
            directory,
        })
    }

    /// Sees that the shops run without these sins, no others missing, and that each is ill as said.
    pub(super) async fn shops(
        &mut self,
        without: Sins,
        ills: [Ill; SHOPS],
    ) -> Result<(), DemoError> {
        if self.shops_are == Some((without, ills)) {
            return Ok(());
        }
        self.gateway = None;
        self.shops.clear();
        self.shops_are = None;
        let mut started = Vec::with_capacity(SHOPS);
        for (index, ill) in ills.into_iter().enumerate() {
            started.push(Child::start(
                &self.program,
                &format!("shop {}", index + 1),
                &self.arguments(without, ill),
            )?);
        }
        for mut shop in started {
            let address = shop.tells("fleetfoot: shop on").await?;
            self.shops.push((address, shop.quiet()));
        }
        self.shops_are = Some((without, ills));
        Ok(())
    }

    fn arguments(&self, without: Sins, ill: Ill) -> Vec<String> {
        let directory = self.directory.0.display().to_string();
        let (products, without) = (self.products.to_string(), without.to_string());
        let list = [
            "shop",
            "--listen",
            "127.0.0.1:0",
            "--data",
            &directory,
            "--products",
            &products,
            "--without",
            &without,
            "--ill",
            ill.name(),
        ];
        list.into_iter().map(str::to_owned).collect()
    }

    /// Where the shops are.
    pub(super) fn straight(&self, servers: Servers) -> Vec<SocketAddr> {
        let count = match servers {
            Servers::One => 1,
            Servers::Three => SHOPS,
        };
        self.shops.iter().take(count).map(|(address, _)| *address).collect()
    }

    pub(super) fn without_gateway(&mut self) {
        self.gateway = None;
    }

    /// Starts a gateway before the shops, in place of the one before, and says where it listens.
    pub(super) async fn gateway(
        &mut self,
        servers: Servers,
        settings: &str,
    ) -> Result<SocketAddr, DemoError> {
        self.gateway = None;
        let path = self.directory.0.join("fleetfoot.toml");
        let text = settings_text(
            &self.straight(servers),
            settings,
            (self.redis.as_deref(), self.queue.as_deref()),
        );
        fs::write(&path, text)
            .map_err(|source| DemoError::Directory { path: path.clone(), source })?;
        let arguments = ["run".to_owned(), "--config".to_owned(), path.display().to_string()];
        let mut process = Child::start(&self.program, "the gateway", &arguments)?;
        let listens = process.tells("fleetfoot: listening on").await?;
        let admin = process.tells("fleetfoot: admin on").await?;
        process.says("fleetfoot: ready").await?;
        self.gateway = Some(Gateway { admin, _process: process.quiet() });
        Ok(listens)
    }

    /// Where the gateway's admin listener is, if there is a gateway.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(|gateway| gateway.admin)
    }

    /// What all shops have done since they opened.
    pub(super) async fn counters(&self) -> Result<Work, DemoError> {
        let mut sum = Work::default();
        for (address, _) in &self.shops {
            let failed = |source| DemoError::Counters { address: *address, source };
            let counters = tokio::time::timeout(COUNTERS_TIME_MAX, counters(*address)).await;
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            let work = counters.map_err(late).and_then(|work| work).map_err(failed)?;
            sum.requests += work.requests;
            sum.queries += work.queries;
        }
        Ok(sum)
    }
}

pub(super) fn settings_text(
    shops: &[SocketAddr],
    settings: &str,
    (redis, queue): (Option<&str>, Option<&str>),
) -> String {
    let servers: Vec<String> = shops.iter().map(|shop| format!("\"http://{shop}\"")).collect();
    let listeners = "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n";
    let settings = settings.replace("{servers}", &format!("[{}]", servers.join(", ")));
    let settings = settings.replace("{redis}", redis.unwrap_or_default());
    let settings = settings.replace("{queue}", queue.unwrap_or_default());
    format!("{listeners}{settings}")
}

/// One shop's counters, by one request on a connection of its own.
async fn counters(shop: SocketAddr) -> std::io::Result<Work> {
    let mut stream = TcpStream::connect(shop).await?;
    let request = format!("GET /counters HTTP/1.1\r\nHost: {shop}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let start = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |end| end + 4);
    let counters: serde_json::Value = serde_json::from_slice(&answer[start..])?;
    let read = |name: &str| counters[name].as_u64().unwrap_or(0);
    Ok(Work { requests: read("requests"), queries: read("queries") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_listeners_and_the_shops() {
        let shops = [([127, 0, 0, 1], 81).into(), ([127, 0, 0, 1], 82).into()];
        assert_eq!(
            settings_text(&shops, "servers = {servers}", (None, None)),
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
             servers = [\"http://127.0.0.1:81\", \"http://127.0.0.1:82\"]"
        );
    }
}

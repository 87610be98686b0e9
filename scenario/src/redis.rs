//! Real Redis servers: one, one with TLS, a cluster of three, a master with replica and sentinel.

use crate::server::{Server, wait_until};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "redis-server";

/// A Redis server; dereferences to the [`Server`], for killing and freezing it.
pub struct Redis(Server);

impl Deref for Redis {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Redis {
    /// A server that keeps nothing on disk; `None` when none is installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more options (`--requirepass`, `secret`, …).
    #[track_caller]
    pub fn start_with(more: &[&str]) -> Option<Self> {
        let more: Vec<String> = more.iter().map(|&option| option.to_owned()).collect();
        let arguments = move |port: u16, _: &_| {
            let port = port.to_string();
            let own = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
            own.iter().map(|&option| option.to_owned()).chain(more.clone()).collect()
        };
        Some(Self(Server::start(PROGRAM, Box::new(arguments))?))
    }

    /// A server that speaks TLS alone, with a certificate and its key (PEM files).
    #[track_caller]
    pub fn start_tls(certificate: &Path, key: &Path) -> Option<Self> {
        let [certificate, key] = [certificate, key].map(|file| file.display().to_string());
        let arguments = move |port: u16, _: &_| {
            let own = ["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1"];
            let tls = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
            let more =
                ["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no", "--save", ""];
            own.iter().chain(&tls).chain(&more).map(|&option| option.to_owned()).collect()
        };
        Some(Self(Server::start(PROGRAM, Box::new(arguments))?))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// What `redis-cli` answers to a command.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> String {
        cli(self.port(), command)
    }
}

#[track_caller]
fn cli(port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string()]).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// Three masters that share the slots.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts one; `None` when Redis is not installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let nodes: Option<Vec<_>> = (0..3).map(|_| Redis::start_with(&options)).collect();
        let nodes = nodes?;
        let addresses: Vec<String> = nodes.iter().map(|node| node.address().to_string()).collect();
        let mut command = vec!["--cluster", "create"];
        command.extend(addresses.iter().map(String::as_str));
        command.push("--cluster-yes");
        cli(nodes[0].port(), &command);
        let up = |node: &Redis| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        wait_until("the cluster to be one", || nodes.iter().all(up));
        Some(Self { nodes })
    }

    /// URLs of its nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}

/// A master, its replica, and the sentinel that watches them.
pub struct Watched {
    /// The master at first.
    pub master: Redis,
    /// The replica at first.
    pub replica: Redis,
    /// The sentinel.
    pub sentinel: Server,
}

impl Watched {
    /// The master's name.
    pub const NAME: &str = "shelf";

    /// Starts them; `None` when Redis is not installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let master = Redis::start()?;
        let port = master.port().to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port])?;
        wait_until("the replica to follow", || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let arguments = move |own: u16, folder: &crate::gateway::Folder| {
            let name = Self::NAME;
            let text = format!(
                "port {own}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds {name} 500\n\
                 sentinel failover-timeout {name} 2000\n"
            );
            let file = folder.write("sentinel.conf", &text);
            vec![file.display().to_string(), "--sentinel".to_owned()]
        };
        let sentinel = Server::start(PROGRAM, Box::new(arguments))?;
        let watched = Self { master, replica, sentinel };
        wait_until("the sentinel to know the replica", || {
            let name = Self::NAME;
            cli(watched.sentinel.port(), &["SENTINEL", "REPLICAS", name]).contains("127.0.0.1")
        });
        Some(watched)
    }

    /// The sentinel's URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.sentinel.address())
    }
}

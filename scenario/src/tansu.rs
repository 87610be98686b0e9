//! A broker that speaks Kafka's protocol and keeps its records in a file: tansu, built with cargo.

use crate::Cable;
use crate::gateway::Folder;
use crate::server::{Server, left_out};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A tansu broker behind a cable, since clients go where a broker says that it is; dereferences to
/// the [`Server`], for killing and freezing it.
pub struct Tansu {
    server: Server,
    cable: Arc<Cable>,
}

impl Deref for Tansu {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Tansu {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Tansu {
    /// A broker with its records in a folder of its own; `None`, said loudly, where it was not built.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            left_out("no tansu in target/tools/bin nor at $TANSU; docs/brokers-kafka.md builds it");
            return None;
        };
        let cable = Arc::new(Mutex::new(None::<(u16, Arc<Cable>)>));
        let laid = Arc::clone(&cable);
        let arguments = move |port: u16, _: &Folder| {
            let mut laid = laid.lock().unwrap_or_else(PoisonError::into_inner);
            if laid.as_ref().is_none_or(|(to, _)| *to != port) {
                let target = SocketAddr::from(([127, 0, 0, 1], port));
                *laid = Some((port, Arc::new(Cable::to(target))));
            }
            let told = laid.as_ref().map(|(_, cable)| cable.address()).expect("just laid");
            let own = format!("tcp://127.0.0.1:{port}");
            let words = ["broker", "--listener-url", &own, "--advertised-listener-url"];
            let mut words = words.map(str::to_owned).to_vec();
            words.push(format!("tcp://{told}"));
            words.extend(["--storage-engine", "sqlite://kafka.db"].map(str::to_owned));
            words
        };
        let server = Server::start(program, Box::new(arguments))?;
        let cable = cable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (_, cable) = cable.expect("laid when it was started");
        Some(Self { server, cable })
    }

    /// What is between it and its clients.
    pub fn cable(&self) -> &Cable {
        &self.cable
    }

    /// Where clients reach it.
    pub fn reached_at(&self) -> SocketAddr {
        self.cable.address()
    }
}

fn program() -> Option<&'static str> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let told = std::env::var_os("TANSU").map(Into::into);
    let program = told.unwrap_or_else(|| workspace.join("target/tools/bin/tansu"));
    program.is_file().then(|| &*program.display().to_string().leak())
}

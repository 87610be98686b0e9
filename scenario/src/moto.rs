//! Amazon's SQS as moto plays it: real calls, everything in memory and gone at its end.

use crate::server::{Server, left_out};
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// A moto server; dereferences to the [`Server`].
pub struct Moto(Server);

impl Deref for Moto {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Moto {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Moto {
    /// A server without queues; `None`, said loudly, where it is not installed.
    pub fn start() -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let program = workspace.join("target/venv-moto/bin/moto_server");
        if !program.is_file() {
            left_out("no moto in target/venv-moto");
            return None;
        }
        let arguments = |port: u16, _: &crate::gateway::Folder| {
            ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).to_vec()
        };
        let program = program.display().to_string().leak();
        Server::start(program, Box::new(arguments)).map(Self)
    }
}

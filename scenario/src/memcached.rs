//! Real Memcached servers.

use crate::server::Server;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};

/// A Memcached server; dereferences to the [`Server`], for killing and freezing it.
pub struct Memcached(Server);

impl Deref for Memcached {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Memcached {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Memcached {
    /// A server; `None` when none is installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let arguments = |port: u16, _: &_| {
            let mut own: Vec<String> =
                ["-l", "127.0.0.1", "-m", "64", "-t", "1", "-U", "0"].map(String::from).into();
            own.extend(["-p".to_owned(), port.to_string()]);
            // It refuses to run as root unless told whom to be.
            own.extend(["-u".to_owned(), std::env::var("USER").unwrap_or("root".to_owned())]);
            own
        };
        Some(Self(Server::start("memcached", Box::new(arguments))?))
    }

    /// The first line that it answers to a command, which ends its own line.
    #[track_caller]
    pub fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it runs");
        stream.set_read_timeout(Some(crate::PATIENCE)).expect("a time");
        stream.write_all(command.as_bytes()).expect("it reads");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }

    /// The whole of a list that ends with `END`.
    #[track_caller]
    pub fn list(&self, command: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(self.address()).expect("it runs");
        stream.set_read_timeout(Some(crate::PATIENCE)).expect("a time");
        stream.write_all(command.as_bytes()).expect("it reads");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.take_while(|line| line != "END").collect()
    }
}

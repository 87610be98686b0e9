//! A cable between a client and a server, for tests that pull it: TCP, passed on byte by byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Listens on a port of its own and passes everything on to a server.
pub struct Cable {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    ends: Mutex<Vec<TcpStream>>,
    /// What the server answers is lost.
    mute: AtomicBool,
    /// Nobody gets through: connections are closed at once.
    unplugged: AtomicBool,
}

impl Cable {
    /// A cable to this address, where something listens now or later.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            target,
            ends: Mutex::default(),
            mute: AtomicBool::new(false),
            unplugged: AtomicBool::new(false),
        });
        let passing = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                passing.connect(client);
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections; new ones get through.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Breaks all connections and lets none through until it is mended.
    pub fn unplug(&self) {
        self.shared.unplugged.store(true, Ordering::SeqCst);
        self.shared.cut();
    }

    /// What the server says is lost from now on; what the client says arrives.
    pub fn mute(&self) {
        self.shared.mute.store(true, Ordering::SeqCst);
    }

    /// Breaks what was muted, and lets new connections through whole.
    pub fn mend(&self) {
        self.shared.cut();
        self.shared.mute.store(false, Ordering::SeqCst);
        self.shared.unplugged.store(false, Ordering::SeqCst);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.unplug();
    }
}

impl Shared {
    fn cut(&self) {
        for end in self.ends.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) {
        if self.unplugged.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(self.target) else { return };
        let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
        for end in [&client, &server] {
            let _ = end.set_nodelay(true);
            let end = end.try_clone();
            self.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(end);
        }
        thread::spawn(move || pass_on(client, server, || true));
        let shared = Arc::clone(self);
        let heard = move || !shared.mute.load(Ordering::SeqCst);
        thread::spawn(move || pass_on(server2, client2, heard));
    }
}

/// Passes bytes on while there are any, or drops them when nobody hears.
fn pass_on(mut from: TcpStream, mut to: TcpStream, heard: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if heard() && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

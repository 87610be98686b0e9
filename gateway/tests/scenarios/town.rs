//! A few servers that say who they are, and gateways whose settings are about them.

use crate::stage::FLEETFOOT;
use rustls::pki_types::PrivatePkcs8KeyDer;
use scenario::gateway::Folder;
use scenario::origin::answer;
use scenario::server::wait_until;
use scenario::{Gateway, Origin, Request};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A server that answers with its name, and at `/health` with a status that can be changed.
pub(crate) struct House {
    pub(crate) origin: Origin,
    health: Arc<AtomicU16>,
}

impl House {
    /// One on a free port of the loopback.
    pub(crate) fn start(name: &str) -> Self {
        Self::at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn at(name: &str, address: SocketAddr) -> Self {
        let health = Arc::new(AtomicU16::new(200));
        let (says, status) = (name.to_owned(), Arc::clone(&health));
        let script = move |request: &Request| {
            let (status, body) = match request.target.as_str() {
                "/health" => (status.load(Ordering::Relaxed), "health"),
                _ => (200, says.as_str()),
            };
            let length = body.len();
            answer(format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n{body}"))
        };
        let origin = Origin::forgetful_at(address, script);
        Self { origin, health }
    }

    /// From now on its checks are answered with this status.
    pub(crate) fn health(&self, status: u16) {
        self.health.store(status, Ordering::Relaxed);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.origin.address())
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.origin.address().ip()
    }

    pub(crate) fn port(&self) -> u16 {
        self.origin.address().port()
    }

    /// How often it was checked.
    pub(crate) fn checks(&self) -> usize {
        self.origin.requests().iter().filter(|request| request.target == "/health").count()
    }
}

/// Servers of these names on one port of as many addresses: 127.0.0.2 and so on.
pub(crate) fn street(names: &[&str]) -> Vec<House> {
    let ip = |at: usize| Ipv4Addr::new(127, 0, 0, u8::try_from(at + 2).expect("a few"));
    let free =
        |port: u16| (1..names.len()).all(|at| std::net::TcpListener::bind((ip(at), port)).is_ok());
    loop {
        let first = House::at(names[0], SocketAddr::from((ip(0), 0)));
        let port = first.port();
        if !free(port) {
            continue;
        }
        let others = names.iter().enumerate().skip(1);
        let others = others.map(|(at, name)| House::at(name, SocketAddr::from((ip(at), port))));
        return std::iter::once(first).chain(others).collect();
    }
}

/// TLS before a server that speaks none, with a certificate for 127.0.0.1 that vouches for itself.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// The certificate, as a PEM file.
    pub(crate) trust: String,
    _folder: Folder,
}

impl Front {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        let folder = Folder::new();
        let trust = folder.write("trust.pem", &made.cert.pem()).display().to_string();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("both versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a pair");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        let Ok(mut front) = acceptor.accept(stream).await else { return };
                        let Ok(mut back) = tokio::net::TcpStream::connect(to).await else { return };
                        let _ended = tokio::io::copy_bidirectional(&mut front, &mut back).await;
                    });
                }
            });
        });
        Self { address, trust, _folder: folder }
    }
}

/// A settings file whose one service has these lines. Servers take turns, so that a handful of
/// requests meets all of them.
pub(crate) fn settings(service: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\ncache = false\nthreads = 1\n\
         [service.shop]\nbalance = {{ policy = \"round-robin\", slow_start = \"0s\" }}\n{service}\n\
         [[route]]\nmatch = \"*\"\nto = \"shop\"\n"
    )
}

/// Starts a gateway with such a file, and perhaps a `resolv.conf` of its own.
#[track_caller]
pub(crate) fn start(service: &str, resolv_conf: Option<PathBuf>) -> Gateway {
    let folder = Folder::new();
    let file = folder.write("fleetfoot.toml", &settings(service));
    let mut command = Command::new(FLEETFOOT.as_str());
    command.arg("run").arg("--config").arg(&file);
    if let Some(path) = resolv_conf {
        command.env("FLEETFOOT_RESOLV_CONF", path);
    }
    Gateway::spawn(command, folder)
}

/// Who answers the next 24 requests, all of which must be answered well.
#[track_caller]
pub(crate) fn who(gateway: &Gateway) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut client = gateway.client();
    for _ in 0..24 {
        let response = client.get("/");
        assert_eq!(response.status, 200, "{}", response.text());
        *seen.entry(response.text()).or_insert(0) += 1;
    }
    seen
}

/// Waits until these and no others answer. Whoever answers meanwhile must answer well.
#[track_caller]
pub(crate) fn wait_for(gateway: &Gateway, names: &[&str]) {
    let mut last = BTreeMap::new();
    let caller = std::panic::Location::caller();
    wait_until(&format!("{names:?} at {caller}"), || {
        last = who(gateway);
        last.keys().map(String::as_str).eq(names.iter().copied())
    });
}

//! One client connection of the generator: at most one request on its way, in the clear or in TLS 1.3.
//!
//! Connecting and the TLS handshake block; the exchange does not. A response that comes in one piece
//! is judged where it was read and never copied.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Moment;
use mio::net::TcpStream;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::fault::Error;
use crate::verify::{Flaw, Progress, Verifier};

/// How long a connection may take to come up, handshake included.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The proxy; of several, each connection in turn takes the next.
    pub addresses: Vec<SocketAddr>,
    /// With it, TLS 1.3 to the name `localhost`.
    pub tls: Option<Arc<ClientConfig>>,
}

/// TLS 1.3, HTTP/1.1, AES-128-GCM for everybody, trusting only the certificates in the file.
///
/// One cipher, because the contenders prefer different ones and that would be measured.
pub fn trust(path: &Path) -> Result<Arc<ClientConfig>, Error> {
    let wrong = |why: String| Error::Trust { path: path.to_path_buf(), why };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every connection makes a full handshake, before the window opens.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Its socket, to be registered by the owner of the poll.
    pub stream: TcpStream,
    /// When the request on its way was meant to start; `None` while idle.
    pub intended: Option<Moment>,
    tls: Option<Box<ClientConnection>>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Client {
    /// Connects as the connection `index`, and shakes hands if the target wants TLS. Blocks up to 5 s.
    pub fn connect(target: &Target, index: usize) -> Result<Self, Error> {
        let address = target.addresses[index % target.addresses.len()];
        let lost = |source| Error::Connect { address, source };
        let mut stream =
            std::net::TcpStream::connect_timeout(&address, CONNECT_MAX).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let tls = match &target.tls {
            Some(config) => Some(Box::new(shake_hands(&mut stream, address, config)?)),
            None => None,
        };
        stream.set_nonblocking(true).map_err(lost)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, intended: None, tls, inbox: Vec::new(), outbox: Vec::new() })
    }

    /// Sends `request`, which was due at `intended`.
    ///
    /// A request is a few hundred bytes on a connection with nothing else under way: the kernel takes
    /// it whole or the connection is broken.
    pub fn send(&mut self, request: &[u8], intended: Moment) -> Result<(), Flaw> {
        debug_assert!(self.intended.is_none(), "one request at a time");
        self.intended = Some(intended);
        let Some(tls) = &mut self.tls else { return write_whole(&mut self.stream, request) };
        self.outbox.clear();
        tls.writer().write_all(request).map_err(|_| Flaw::Tls)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.outbox).map_err(|_| Flaw::Tls)?;
        }
        write_whole(&mut self.stream, &self.outbox)
    }

    /// Reads what has come; `Some` when that decides the request on its way.
    pub fn receive(
        &mut self,
        scratch: &mut [u8],
        verifier: &mut Verifier,
    ) -> Option<Result<(), Flaw>> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Some(Err(Flaw::Closed)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Err(Flaw::Closed)),
            };
            let bytes = scratch.get(..read).unwrap_or_default();
            if let Some(outcome) = self.judge(bytes, verifier).transpose() {
                return Some(outcome);
            }
            // epoll(7), question 9: a short read means the socket is empty.
            if read < scratch.len() {
                return None;
            }
        }
    }

    fn judge(&mut self, bytes: &[u8], verifier: &mut Verifier) -> Result<Option<()>, Flaw> {
        let progress = match &mut self.tls {
            None if self.inbox.is_empty() => match verifier.check(bytes)? {
                Progress::Partial => {
                    self.inbox.extend_from_slice(bytes);
                    Progress::Partial
                }
                Progress::Whole => Progress::Whole,
            },
            None => {
                self.inbox.extend_from_slice(bytes);
                verifier.check(&self.inbox)?
            }
            Some(tls) => {
                let had = self.inbox.len();
                decrypt(tls, bytes, &mut self.inbox)?;
                // Session tickets come unasked and carry no data.
                if self.inbox.len() == had {
                    return Ok(None);
                }
                verifier.check(&self.inbox)?
            }
        };
        if progress == Progress::Partial {
            return Ok(None);
        }
        self.inbox.clear();
        // A response to nothing is as wrong as no response.
        if self.intended.is_some() { Ok(Some(())) } else { Err(Flaw::Surplus) }
    }
}

fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Flaw> {
    match stream.write(bytes) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        _ => Err(Flaw::Closed),
    }
}

fn decrypt(tls: &mut ClientConnection, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), Flaw> {
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes).map_err(|_| Flaw::Tls)?;
        let state = tls.process_new_packets().map_err(|_| Flaw::Tls)?;
        let had = plain.len();
        plain.resize(had + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut plain[had..]).map_err(|_| Flaw::Tls)?;
    }
    Ok(())
}

fn shake_hands(
    stream: &mut std::net::TcpStream,
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<ClientConnection, Error> {
    let lost = |source| Error::Connect { address, source };
    let name = "localhost".try_into().expect("localhost is a name");
    let mut tls = ClientConnection::new(Arc::clone(config), name)
        .map_err(|source| Error::Tls { address, source })?;
    stream.set_read_timeout(Some(CONNECT_MAX)).map_err(lost)?;
    while tls.is_handshaking() {
        tls.complete_io(stream).map_err(lost)?;
    }
    while tls.wants_write() {
        tls.write_tls(stream).map_err(lost)?;
    }
    Ok(tls)
}

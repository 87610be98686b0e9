//! TLS, both sides, through `rustls` with ring.
//!
//! Certificates are chosen by the names that they themselves carry, so that a settings file lists
//! files and nothing else. A reload reads the files again and makes a new configuration; connections
//! keep the one that they began with, and tickets survive because the key that seals them does.

use crate::settings::{CertificateFiles, TlsClient, TlsServer, TlsVersion, Trust};
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What can be wrong with certificates, keys and trust.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read, or holds nothing of the kind expected.
    #[error("cannot read {what} from {}", file.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        file: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// A key that does not fit its certificate, or is of no kind that we know.
    #[error("the key {} and the certificate {} do not make a pair", key.display(), chain.display())]
    Pair {
        /// The certificate chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Not a certificate.
    #[error("{} holds no certificate that can be used", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Nobody to trust.
    #[error("{} holds no certificate authority", file.display())]
    NoTrust {
        /// The file, or a name for the system's.
        file: PathBuf,
    },
    /// The versions asked for cannot be had.
    #[error("this TLS configuration is impossible")]
    Versions(#[source] rustls::Error),
}

/// The versions from `minimum` on.
fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] =
        [&rustls::version::TLS13, &rustls::version::TLS12];
    match minimum {
        TlsVersion::V1_2 => &BOTH,
        TlsVersion::V1_3 => &BOTH[..1],
    }
}

/// A server's configuration, read from its files.
///
/// # Errors
/// Which file, and why.
pub fn server(settings: &TlsServer) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = settings.certificates.iter().map(read_pair).collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions(settings.minimum))
        .map_err(TlsError::Versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(BySni(certificates)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if let Some(ticketer) = ticketer() {
        config.ticketer = ticketer;
        config.send_tls13_tickets = 1;
    }
    Ok(Arc::new(config))
}

/// The sealer of session tickets: one for the process, so that tickets survive a reload.
fn ticketer() -> Option<Arc<dyn rustls::server::ProducesTickets>> {
    static TICKETER: OnceLock<Option<Arc<dyn rustls::server::ProducesTickets>>> = OnceLock::new();
    TICKETER.get_or_init(|| ring::Ticketer::new().ok()).clone()
}

/// A client's configuration, for connections that offer these protocols.
///
/// # Errors
/// Which file, and why.
pub fn client(settings: &TlsClient, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let origin = match &settings.trust {
        Trust::System => {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            PathBuf::from("the system's store")
        }
        Trust::File(file) => {
            roots.add_parsable_certificates(read_certificates(file)?);
            file.clone()
        }
    };
    if roots.is_empty() && matches!(settings.trust, Trust::File(_)) {
        return Err(TlsError::NoTrust { file: origin });
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions(TlsVersion::V1_2))
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File { what: "certificates", file: file.to_owned(), source };
    CertificateDer::pem_file_iter(file).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)
}

/// A certificate with its key, and the parsed leaf that tells which names it is for.
struct Named {
    key: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
}

fn read_pair(files: &CertificateFiles) -> Result<Named, TlsError> {
    let chain = read_certificates(&files.chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::File {
        what: "a private key",
        file: files.key.clone(),
        source,
    })?;
    let pair =
        |source| TlsError::Pair { chain: files.chain.clone(), key: files.key.clone(), source };
    let Some(leaf) = chain.first().cloned() else {
        return Err(pair(rustls::Error::NoCertificatesPresented));
    };
    ParsedCertificate::try_from(&leaf)
        .map_err(|source| TlsError::Certificate { file: files.chain.clone(), source })?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(pair)?;
    Ok(Named { key: Arc::new(key), leaf })
}

/// Chooses the first certificate whose names fit the one asked for, else the first of all.
struct BySni(Vec<Named>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |named: &&Named| {
            let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
            let leaf = ParsedCertificate::try_from(&named.leaf).ok();
            name.zip(leaf).is_some_and(|(name, leaf)| verify_server_name(&leaf, &name).is_ok())
        };
        let chosen = if self.0.len() == 1 { self.0.first() } else { self.0.iter().find(fits) };
        chosen.or(self.0.first()).map(|named| Arc::clone(&named.key))
    }
}

impl fmt::Debug for BySni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BySni({} certificates)", self.0.len())
    }
}

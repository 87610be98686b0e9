//! Where the targets are, how to speak with them, and whether anybody answers there: asked once before
//! anything is measured, so that a wrong address is a sentence and not ten seconds of errors.

use super::BenchError;
use super::flags::Flags;
use super::source::Origin;
use load::{Protocol, Target, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::settings::{TlsClient, Trust};

/// How long a first connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resolves and tries each of `origins`.
///
/// # Errors
/// A name that means nothing, an address where nobody answers, TLS that is not agreed upon.
pub(super) async fn targets(flags: &Flags, origins: &[Origin]) -> Result<Vec<Target>, BenchError> {
    let any = origins.iter().any(|origin| origin.tls);
    let config = if any { Some(config(flags)?) } else { None };
    let mut targets = Vec::with_capacity(origins.len());
    for origin in origins {
        let tls = match &config {
            Some(config) if origin.tls => {
                let name = ServerName::try_from(origin.host.clone()).map_err(|_| {
                    let why = "its host is no name that a certificate could be for".to_owned();
                    BenchError::Url { url: origin.to_string(), why }
                })?;
                Some(Tls { config: Arc::clone(config), name })
            }
            _ => None,
        };
        targets.push(reach(origin, tls, protocol(flags)).await?);
    }
    Ok(targets)
}

pub(super) fn protocol(flags: &Flags) -> Protocol {
    if flags.http2 { Protocol::Http2 } else { Protocol::Http1 }
}

async fn reach(
    origin: &Origin,
    tls: Option<Tls>,
    protocol: Protocol,
) -> Result<Target, BenchError> {
    let failed = |why: String| BenchError::Unreachable { origin: origin.to_string(), why };
    let found = tokio::net::lookup_host((origin.host.as_str(), origin.port)).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|error| failed(format!("{error}\nhint: is the name spelled right?")))?
        .collect();
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if let Some(tls) = &tls {
                    shake(stream, tls, protocol).await.map_err(failed)?;
                }
                return Ok(Target { address, authority: origin.authority.clone(), tls });
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer within {} s", PATIENCE.as_secs()),
        }
    }
    Err(failed(format!("{last}\nhint: is the server started, and is that its port?")))
}

async fn shake(stream: TcpStream, tls: &Tls, protocol: Protocol) -> Result<(), String> {
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let shaken = connector.connect(tls.name.clone(), stream);
    let shaken = tokio::time::timeout(PATIENCE, shaken).await;
    let late = |_| {
        let seconds = PATIENCE.as_secs();
        format!("no TLS handshake within {seconds} s\nhint: does that port speak TLS?")
    };
    let stream = shaken.map_err(late)?.map_err(|error| {
        format!(
            "{error}\nhint: --cacert FILE names whom to believe, --insecure believes anybody; does \
             that port speak TLS?"
        )
    })?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if protocol == Protocol::Http2 && !is_h2 {
        return Err("it does not offer HTTP/2\nhint: leave --http2 out".to_owned());
    }
    Ok(())
}

fn config(flags: &Flags) -> Result<Arc<ClientConfig>, BenchError> {
    let alpn: &[u8] = if flags.http2 { b"h2" } else { b"http/1.1" };
    if flags.insecure {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| BenchError::Mistake(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        return Ok(Arc::new(config));
    }
    let trust = flags.cacert.clone().map_or(Trust::System, Trust::File);
    wire::tls::client(&TlsClient { trust, name: None }, &[alpn])
        .map_err(|error| BenchError::Mistake(crate::gateway::chain(&error)))
}

/// Believes any certificate, for a target whose owner said so with `--insecure`; that it has the
/// certificate's key is seen to all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! TLS connections that tell what was served: chain, version, and whether it can be trusted.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};

use super::socket;

/// Whom to believe.
#[derive(Debug, Clone)]
pub enum Trust {
    /// These roots (PEM).
    Roots(Vec<u8>),
    /// Whom this system believes.
    System,
    /// Anyone: only what is served is of interest.
    Anyone,
}

/// A TLS session.
pub struct Session {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Session {
    /// Connects and shakes hands under `name`.
    pub fn open(
        target: SocketAddr,
        source: Option<IpAddr>,
        name: &str,
        trust: &Trust,
        versions: &[&'static rustls::SupportedProtocolVersion],
        limit: Duration,
    ) -> Result<Self> {
        let config = config(trust, versions)?;
        let server = ServerName::try_from(name.to_string()).map_err(|_| anyhow!("`{name}` is no host name"))?;
        let connection = ClientConnection::new(Arc::new(config), server).context("starting TLS")?;
        let tcp = socket::open(target, source, limit)?;
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).with_context(|| format!("shaking hands with {name} at {target}"))?;
        }
        Ok(Session { stream })
    }

    /// The certificate that was served, in DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.stream.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    /// The TLS version that was agreed on.
    pub fn version(&self) -> String {
        self.stream.conn.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default()
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.stream.read(buffer) {
            // Servers that close without a farewell are common, and nothing here depends on it.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

impl Write for Session {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn config(trust: &Trust, versions: &[&'static rustls::SupportedProtocolVersion]) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .context("choosing TLS versions")?;
    Ok(match trust {
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believer(provider)))
            .with_no_client_auth(),
        Trust::System => builder.with_platform_verifier().context("reading this system's certificates")?.with_no_client_auth(),
        Trust::Roots(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.context("reading a root certificate")?).context("taking a root certificate")?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    })
}

/// Accepts every certificate; signatures are still checked.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

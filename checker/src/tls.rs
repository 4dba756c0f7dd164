//! TLS, and whom to trust.

use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use lvs_crds::CheckTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a check speaks TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// `host`: what the server is called where `tls` does not say. `protocol`: by ALPN (RFC 7301), if any.
    pub(crate) fn new(
        tls: Option<&CheckTls>,
        host: Option<&str>,
        protocol: Option<&[u8]>,
        fields: (&'static str, &'static str),
    ) -> Result<Self, BadCheck> {
        let (name_field, ca_field) = fields;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| BadCheck::new(ca_field, error))?;
        let mut config = match tls.and_then(|tls| tls.ca.as_deref()) {
            Some(pem) => builder.with_root_certificates(roots(pem, ca_field)?),
            None => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
        }
        .with_no_client_auth();
        // A check asks whether the server works as it does for a new client.
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
        let wanted = tls.and_then(|tls| tls.server_name.as_deref());
        let name = match wanted {
            Some(name) => Some(
                ServerName::try_from(name.to_owned())
                    .map_err(|error| BadCheck::new(name_field, error))?,
            ),
            None => host.and_then(|host| {
                let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
                ServerName::try_from(host.to_owned()).ok()
            }),
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Shakes hands over a connection to a server at `address`.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        address: IpAddr,
        until: Deadline,
    ) -> Result<TlsStream<S>, Failure> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let name = self.name.clone().unwrap_or_else(|| ServerName::IpAddress(address.into()));
        let shaken = async { connector.connect(name, stream).await.map_err(Failure::Tls) };
        until.answer(shaken).await
    }
}

fn roots(pem: &str, field: &'static str) -> Result<RootCertStore, BadCheck> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| BadCheck::new(field, error))?;
        roots.add(certificate).map_err(|error| BadCheck::new(field, error))?;
    }
    if roots.is_empty() {
        return Err(BadCheck::new(field, "no certificate; give at least one in PEM"));
    }
    Ok(roots)
}

/// Takes any certificate, whose key the server then has to own.
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

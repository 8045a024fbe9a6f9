//! TLS towards forwarders: `forward_ca`, read again at each connection, so that a renewed file needs no restart.

use super::upstream::Failure;
use config::Forwarder;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use values::Name;

/// Whose certificate is expected, and who may have signed it (RFC 8310 §8.1: strict).
pub struct Tls {
    name: ServerName<'static>,
    ca: PathBuf,
}

impl Tls {
    /// For the name, or else the address.
    pub fn new(forwarder: &Forwarder, name: Option<&Name>, ca: &Path) -> Tls {
        let address = ServerName::from(forwarder.address.ip());
        // Names with an underscore are none of certificates: then it is not verified, but refused.
        let name =
            name.and_then(|name| ServerName::try_from(name.as_str().to_owned()).ok()).unwrap_or(address);
        Tls { name, ca: ca.to_owned() }
    }

    /// The handshake.
    pub async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let config = self.config().await.map_err(Failure::Tls)?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(self.name.clone(), stream).await.map_err(|error| Failure::Tls(error.to_string()))
    }

    async fn config(&self) -> Result<ClientConfig, String> {
        let named = |why: String| format!("dnsd.forward_ca: {}: {why}", self.ca.display());
        let pem = tokio::fs::read(&self.ca).await.map_err(|error| named(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate =
                certificate.map_err(|error| named(format!("no certificate in PEM: {error}")))?;
            // Bundles of distributions hold some that are of no use to rustls.
            _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(named("there is no certificate in PEM in it".into()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

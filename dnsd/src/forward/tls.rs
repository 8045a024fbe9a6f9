//! TLS towards forwarders: `forward_ca`, read again at each connection, so that a renewed file needs no restart.

use super::upstream::Failure;
use anyhow::{Context, ensure};
use certificates::pem;
use config::Forwarder;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{net::TcpStream, task::spawn_blocking};
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
        let ca = self.ca.clone();
        let config =
            spawn_blocking(move || config(&ca)).await.map_err(|error| Failure::Tls(error.to_string()))?;
        let config = config.map_err(|error| Failure::Tls(format!("{error:#}")))?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(self.name.clone(), stream).await.map_err(|error| Failure::Tls(error.to_string()))
    }
}

/// Trusts what is in the file. Blocks.
fn config(ca: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca).context("dnsd.forward_ca")? {
        // Bundles of distributions hold some that are of no use to rustls.
        _ = roots.add(certificate);
    }
    ensure!(!roots.is_empty(), "dnsd.forward_ca: {} holds no certificate that can sign others", ca.display());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

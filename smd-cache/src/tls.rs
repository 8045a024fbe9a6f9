//! TLS of gRPC on TCP: certificate, key and the clients' authority from files that are read again when they change
//! ([`certificates`]).
//!
//! A connection keeps what it was greeted with. Sessions are not resumed: connections live for days, and a session that
//! goes on would not have its certificate looked at again.

mod names;

pub use certificates::{HANDSHAKE_DEADLINE, Refusal};
pub use names::names;

use crate::caller::{Caller, Lists};
use anyhow::Context;
use certificates::{Followed, Validity, pem};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A refusal is written to the log at most this often, so that nobody can fill the disk with them.
const TELL: Duration = Duration::from_secs(60);

/// gRPC is HTTP/2.
const ALPN: &[u8] = b"h2";

/// Which files, and what their names may do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our chain, PEM.
    pub cert: PathBuf,
    /// Our key, PEM.
    pub key: PathBuf,
    /// Clients need a certificate that one of these signed.
    pub client_ca: Option<PathBuf>,
    /// Who may do what.
    pub lists: Lists,
}

/// TLS as the files say it now. Shared by the listeners.
#[derive(Debug)]
pub struct Tls {
    lists: Lists,
    files: Arc<Followed<ServerConfig>>,
    told: Mutex<Option<Instant>>,
}

impl Tls {
    /// Reads the files, or says which of them cannot be used and why.
    pub fn load(settings: Settings) -> anyhow::Result<Tls> {
        let files = [&settings.cert, &settings.key].into_iter().chain(&settings.client_ca).cloned().collect();
        let lists = settings.lists.clone();
        let files = Followed::load("smd_cache.tls", files, move || current(&settings))?;
        Ok(Tls { lists, files: Arc::new(files), told: Mutex::default() })
    }

    /// Follows the files. Never ends.
    pub async fn follow(self: Arc<Tls>) {
        self.files.clone().follow().await;
    }

    /// A sentence when the files cannot be used as they are now, or the certificate that is in use ends.
    pub fn problem(&self) -> Option<String> {
        self.files.problem()
    }

    /// Writes a refusal to the log, unless there was one a moment ago: all of them are counted.
    pub fn tell(&self, host: IpAddr, refusal: Refusal) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            *told = Some(Instant::now());
            let reason = refusal.label();
            tracing::warn!(%host, reason, "a client is refused by TLS; more of them within a minute are only counted");
        }
    }

    /// The handshake, within its deadline.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Refusal> {
        let handshake = TlsAcceptor::from(self.files.current()).accept(stream);
        match timeout(HANDSHAKE_DEADLINE, handshake).await {
            Ok(done) => done.map_err(|error| {
                tracing::debug!(%error, "a TLS handshake failed");
                Refusal::of(&error)
            }),
            Err(_) => Err(Refusal::TimedOut),
        }
    }

    /// Who is at the other end.
    pub fn caller(&self, stream: &TlsStream<TcpStream>, host: IpAddr) -> Caller {
        match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            None => Caller::Tcp { host },
            Some(certificate) => {
                let names = names(certificate);
                let rights = self.lists.rights(&names);
                Caller::Certificate { host, names: names.into(), rights }
            }
        }
    }
}

fn current(settings: &Settings) -> anyhow::Result<(ServerConfig, Option<Validity>)> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3")?;
    let builder = match &settings.client_ca {
        Some(file) => builder.with_client_cert_verifier(client_verifier(file, provider)?),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = (pem::certificates(&settings.cert)?, pem::private_key(&settings.key)?);
    let validity = chain.first().and_then(Validity::of);
    let mut config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} are no pair", settings.cert.display(), settings.key.display()))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, validity))
}

fn client_verifier(
    file: &Path,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut authorities = RootCertStore::empty();
    for certificate in pem::certificates(file)? {
        let added = authorities.add(certificate);
        added.with_context(|| format!("{} holds something that is no authority", file.display()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .with_context(|| format!("{} cannot be used to know clients by", file.display()))
}

#[cfg(test)]
mod tests;

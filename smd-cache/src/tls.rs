//! TLS of gRPC on TCP: certificate, key and the clients' authority from files that are read again when they change.
//!
//! ```text
//!   files ──every CHECK──▶ changed? ──▶ good: new handshakes use them
//!                                  └──▶ bad:  the old ones stay; a warning in the log, GetStatus and /ready
//! ```
//! A connection keeps what it was greeted with. Sessions are not resumed: connections live for days, and a session that
//! goes on would not have its certificate looked at again.

mod der;
mod names;
mod validity;

pub use names::names;

use crate::{
    caller::{Caller, Lists},
    files::{self, Stamp},
};
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use rustls::{
    CertificateError, Error as TlsError, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use validity::Validity;

/// How soon files that were replaced count: three calls of stat(2) each time.
const CHECK: Duration = Duration::from_secs(1);

/// From accept to the end of the handshake: two round trips and a signature. A guess that allows for two lost packets.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

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

/// Why a connection did not become one; also a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate is over, or not valid yet.
    Expired,
    /// An authority signed its certificate that is not ours.
    UnknownAuthority,
    /// Its certificate cannot be used for another reason: its kind, its signature, its purpose.
    BadCertificate,
    /// It does not believe *our* certificate.
    DistrustsUs,
    /// It speaks something else: plain HTTP, HTTP/1.1 over TLS, nonsense.
    NotTls,
    /// It took too long.
    TimedOut,
    /// It went in the middle of it.
    Gone,
}

impl Refusal {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Refusal; 8] = [
        Refusal::NoCertificate,
        Refusal::Expired,
        Refusal::UnknownAuthority,
        Refusal::BadCertificate,
        Refusal::DistrustsUs,
        Refusal::NotTls,
        Refusal::TimedOut,
        Refusal::Gone,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::NoCertificate => "no_certificate",
            Refusal::Expired => "expired",
            Refusal::UnknownAuthority => "unknown_authority",
            Refusal::BadCertificate => "bad_certificate",
            Refusal::DistrustsUs => "distrusts_us",
            Refusal::NotTls => "not_tls",
            Refusal::TimedOut => "handshake_timed_out",
            Refusal::Gone => "gone",
        }
    }

    fn of(error: &io::Error) -> Refusal {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
        match tls {
            None => Refusal::Gone,
            Some(TlsError::NoCertificatesPresented) => Refusal::NoCertificate,
            Some(TlsError::InvalidCertificate(certificate)) => Refusal::of_certificate(certificate),
            Some(TlsError::AlertReceived(_)) => Refusal::DistrustsUs,
            Some(_) => Refusal::NotTls,
        }
    }

    fn of_certificate(error: &CertificateError) -> Refusal {
        use CertificateError::{
            BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
        };
        match error {
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => Refusal::Expired,
            // The name of the authority is right and the key is not.
            UnknownIssuer | BadSignature => Refusal::UnknownAuthority,
            _ => Refusal::BadCertificate,
        }
    }
}

/// TLS as the files say it now. Shared by the listeners.
#[derive(Debug)]
pub struct Tls {
    settings: Settings,
    current: ArcSwap<Current>,
    looked_at: Mutex<LookedAt>,
    told: Mutex<Option<Instant>>,
}

/// What new connections are greeted with.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
}

#[derive(Debug)]
struct LookedAt {
    stamp: Stamp,
    problem: Option<String>,
}

impl Tls {
    /// Reads the files, or says which of them cannot be used and why.
    pub fn load(settings: Settings) -> anyhow::Result<Tls> {
        let stamp = stamp(&settings);
        let current = current(&settings).context("smd_cache.tls")?;
        let looked_at = Mutex::new(LookedAt { stamp, problem: None });
        Ok(Tls { settings, current: ArcSwap::from_pointee(current), looked_at, told: Mutex::default() })
    }

    /// Follows the files. Never ends.
    pub async fn follow(self: Arc<Tls>) {
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let tls = self.clone();
            // Files may be on a file system that hangs. A panic in it is reported by the runtime, and tried again.
            let _ = tokio::task::spawn_blocking(move || tls.check()).await;
        }
    }

    /// Uses new files when there are any and they are good.
    fn check(&self) {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: what is written in between is seen the next time.
        let stamp = stamp(&self.settings);
        if stamp == looked_at.stamp {
            return;
        }
        looked_at.stamp = stamp;
        match current(&self.settings) {
            Ok(current) => {
                self.current.store(Arc::new(current));
                looked_at.problem = None;
                tracing::info!(cert = %self.settings.cert.display(), "new TLS files are in use for new connections");
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if looked_at.problem.as_ref() != Some(&problem) {
                    tracing::warn!(problem, "new TLS files cannot be used; the old ones stay in use");
                }
                looked_at.problem = Some(problem);
            }
        }
    }

    /// A sentence when the files cannot be used as they are now, or the certificate that is in use ends.
    pub fn problem(&self) -> Option<String> {
        let looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = looked_at.problem.as_ref().map(|problem| {
            format!("The files of smd_cache.tls changed and cannot be used, the old ones are: {problem}.")
        });
        let validity = self.current.load().validity;
        changed.or_else(|| validity?.warning(jiff::Timestamp::now()))
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
        let handshake = TlsAcceptor::from(self.current.load().config.clone()).accept(stream);
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
                let rights = self.settings.lists.rights(&names);
                Caller::Certificate { host, names: names.into(), rights }
            }
        }
    }
}

fn stamp(settings: &Settings) -> Stamp {
    let files = [&settings.cert, &settings.key].into_iter().chain(&settings.client_ca);
    Stamp::of(files.map(PathBuf::as_path))
}

fn current(settings: &Settings) -> anyhow::Result<Current> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3")?;
    let builder = match &settings.client_ca {
        Some(file) => builder.with_client_cert_verifier(client_verifier(file, provider)?),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = (certificates(&settings.cert)?, private_key(&settings.key)?);
    let validity = chain.first().and_then(Validity::of);
    let mut config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} are no pair", settings.cert.display(), settings.key.display()))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Current { config: Arc::new(config), validity })
}

fn client_verifier(
    file: &Path,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = authorities.add(certificate);
        added.with_context(|| format!("{} holds something that is no authority", file.display()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .with_context(|| format!("{} cannot be used to know clients by", file.display()))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.with_context(|| format!("{} is no PEM file", file.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate (PEM)", file.display());
    }
    Ok(certificates)
}

/// The error of the PEM reader is left out: it may quote a line of the key.
fn private_key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| anyhow::anyhow!("{} holds no private key (PEM, not encrypted)", file.display()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    files::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests;

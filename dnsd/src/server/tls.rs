//! TLS of DoT and DoH: one certificate, followed in its files, for both; which of them is spoken is told apart by ports.

use crate::{
    metrics::{Count, Dropped, Metrics},
    server::places::{Leave, Place},
};
use anyhow::Context;
use certificates::{Followed, HANDSHAKE_DEADLINE, Refusal, Validity, pem};
use config::DnsTls;
use rustls::{
    ServerConfig,
    crypto::ring::{self, Ticketer},
};
use std::{path::Path, sync::Arc};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// DNS over TLS (RFC 7858 §3.1, IANA's list); a client that names no protocol is taken at its port's word.
const DOT: &[&[u8]] = &[b"dot"];

/// RFC 8484 §5.2 wants HTTP/2; HTTP/1.1 is for clients that have nothing else.
const DOH: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What is used for new connections.
#[derive(Debug)]
pub struct Greetings {
    /// DNS over TLS.
    pub dot: Arc<ServerConfig>,
    /// DNS over HTTPS.
    pub doh: Arc<ServerConfig>,
}

/// The files of `dnsd.tls`, or which of them cannot be used and why.
pub fn load(tls: &DnsTls) -> anyhow::Result<Arc<Followed<Greetings>>> {
    let (cert, key) = (tls.cert.clone(), tls.key.clone());
    let files = vec![cert.clone(), key.clone()];
    Followed::load("dnsd.tls", files, move || read(&cert, &key)).map(Arc::new)
}

fn read(cert: &Path, key: &Path) -> anyhow::Result<(Greetings, Option<Validity>)> {
    let (chain, key_of) = (pem::certificates(cert)?, pem::private_key(key)?);
    let validity = chain.first().and_then(Validity::of);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3")?
        .with_no_client_auth()
        .with_single_cert(chain, key_of)
        .with_context(|| format!("{} and {} are no pair", cert.display(), key.display()))?;
    // Sessions are resumed from tickets, which clients keep: nothing is held for who is gone. No early data: it can be replayed.
    config.ticketer = Ticketer::new().context("no random numbers for tickets")?;
    let speaking = |protocols: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    Ok((Greetings { dot: speaking(DOT), doh: speaking(DOH) }, validity))
}

/// The handshake, within its deadline, and unless the place is needed.
pub(super) async fn greet(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    place: &Place,
    metrics: &Metrics,
) -> Option<TlsStream<TcpStream>> {
    let handshake = timeout(HANDSHAKE_DEADLINE, TlsAcceptor::from(config).accept(stream));
    let refusal = tokio::select! {
        biased;
        leave = place.leaves() => {
            if leave == Leave::Now {
                metrics.dropped(Dropped::Evicted);
            }
            return None;
        }
        done = handshake => match done {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                Refusal::of(&error)
            }
            Err(_) => Refusal::TimedOut,
        },
    };
    metrics.refused(refusal);
    None
}

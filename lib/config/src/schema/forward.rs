//! `dnsd.forward`: who is asked about names outside our zones.

use crate::{
    reader::{Field, Section, shorten},
    scalars,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use values::Name;

/// Forwarders one may list: each is tried in turn, so more only make a failure slower. A guess.
const MAX_FORWARDERS: usize = 8;

/// Longest that an answer may be served past its time (RFC 8767 §5 suggests one to three days).
const LONGEST_STALE: Duration = Duration::from_secs(7 * 86_400);

/// A server that is asked about names outside our zones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Forwarder {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub carriage: Carriage,
}

/// How a forwarder is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// UDP, and TCP for what does not fit.
    Plain,
    /// DNS over TLS (RFC 7858). Its certificate is for this name; `None`: for its address.
    Tls(Option<Name>),
}

/// As it can be written in the file, with its port.
impl fmt::Display for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carriage {
            Carriage::Plain => write!(f, "{}", self.address),
            Carriage::Tls(None) => write!(f, "tls://{}", self.address),
            Carriage::Tls(Some(name)) => write!(f, "tls://{name}@{}", self.address),
        }
    }
}

/// What stands under `forward`, `forward_ca` and `serve_stale`.
pub(super) struct Forwarding {
    pub(super) forward: Vec<Forwarder>,
    pub(super) forward_ca: Option<PathBuf>,
    pub(super) serve_stale: Option<Duration>,
}

pub(super) fn read(section: &Section) -> Forwarding {
    let forward = section.list("forward", forwarder).unwrap_or_default();
    let forward_ca = section.get("forward_ca", scalars::path);
    if forward.len() > MAX_FORWARDERS {
        section.mistake("forward", format!("at most {MAX_FORWARDERS}: more only make a failure slower"));
    }
    if let Some(twice) = (1..forward.len()).find(|at| forward[..*at].contains(&forward[*at])) {
        section.mistake("forward", format!("{} is listed twice", forward[twice]));
    }
    if forward_ca.is_none() && forward.iter().any(|one| one.carriage != Carriage::Plain) {
        section.mistake("forward", "tls:// needs `forward_ca`, the certificates to trust");
    }
    let stale = scalars::duration_in(Duration::from_secs(1)..=LONGEST_STALE);
    Forwarding { forward, forward_ca, serve_stale: section.get("serve_stale", stale) }
}

fn forwarder(field: &Field) -> Option<Forwarder> {
    field.parse("an address such as 1.1.1.1 or tls://dns.quad9.net@9.9.9.9", |text| {
        let Some(rest) = text.strip_prefix("tls://") else {
            return Ok(Forwarder { address: address(text, text, 53)?, carriage: Carriage::Plain });
        };
        let (name, server) = match rest.split_once('@') {
            Some((name, server)) => (Some(scalars::parse_name(name)?), server),
            None => (None, rest),
        };
        Ok(Forwarder { address: address(text, server, 853)?, carriage: Carriage::Tls(name) })
    })
}

/// Addresses, not names: we are who would be asked for these.
fn address(whole: &str, server: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = server.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(server);
    let address = server
        .parse::<SocketAddr>()
        .or_else(|_| bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, port)))
        .map_err(|_| {
            format!("'{}' is no address such as 1.1.1.1, 10.0.0.2:5353 or tls://NAME@9.9.9.9", shorten(whole))
        })?;
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    match ip.is_unspecified() || ip.is_multicast() || broadcast || address.port() == 0 {
        true => Err(format!("{address} is nobody who could answer")),
        false => Ok(address),
    }
}

//! `inventory`: how the daemons reach smd-cache.

use crate::{
    reader::{Field, Section, shorten},
    scalars, url,
};
use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

/// How the daemons reach smd-cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// `http://HOST:PORT` or `unix:/path`; several: one is asked, the others are for when it fails.
    pub endpoints: Vec<Endpoint>,
    /// TLS towards smd-cache over TCP.
    pub tls: Option<ClientTls>,
    /// Keep a replica (default) or only a cache.
    pub replica: bool,
    /// Where it is kept on disk; `{program}` stands for the daemon's name.
    pub replica_file: Option<PathBuf>,
    /// Serve nothing that was read longer ago.
    pub max_stale: Option<Duration>,
}

/// Where smd-cache listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://HOST:PORT`, kept as text so that the name is resolved at each connection.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// Certificates of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTls {
    /// Who may have signed the server's certificate.
    pub ca_cert: Option<PathBuf>,
    /// Ours.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
}

/// Ages that make sense as a limit. What is read at the moment is a second old; ten years are no limit.
const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 366 * 86_400);

/// Where smd-cache serves gRPC unless told otherwise.
pub(super) const PORT: u16 = 27780;

pub(super) fn read(section: &Section) -> Inventory {
    let inventory = Inventory {
        endpoints: section.list("endpoints", endpoint).unwrap_or_else(|| vec![default_endpoint()]),
        tls: section.optional("tls", client_tls),
        replica: section.get("replica", scalars::switch).unwrap_or(true),
        replica_file: section
            .get("replica_file", replica_file)
            .unwrap_or_else(|| Some("/var/lib/coresmd/replica-{program}".into())),
        max_stale: section.get("max_stale", scalars::duration_in(AGES)),
    };
    let given = section.field("endpoints").and_then(Field::items).unwrap_or_default();
    if section.field("endpoints").is_some() && given.is_empty() {
        section.mistake("endpoints", "at least one endpoint is needed");
    }
    inventory
}

fn default_endpoint() -> Endpoint {
    Endpoint::Tcp(format!("http://127.0.0.1:{PORT}"))
}

fn endpoint(field: &Field) -> Option<Endpoint> {
    field.parse("an endpoint", |text| match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Endpoint::Unix(path.into())),
        Some(path) => {
            Err(format!("'{}' is no absolute path: unix:/run/coresmd/smd-cache.sock", shorten(path)))
        }
        None if text.starts_with("https://") => {
            Err("http:// here; TLS is switched on by `inventory.tls`".into())
        }
        None => {
            let url = url::split(text, &["http"]).map_err(|message| format!("{message}, nor unix:/PATH"))?;
            match url.rest {
                "" | "/" => Ok(Endpoint::Tcp(format!("http://{}:{}", url.host, url.port.unwrap_or(PORT)))),
                rest => Err(format!("nothing follows the port of an endpoint, as '{}' does", shorten(rest))),
            }
        }
    })
}

fn replica_file(field: &Field) -> Option<Option<PathBuf>> {
    let file = scalars::path_or_off(field)?;
    let text = field.text("a path")?;
    url::placeholders(field, text, &["program"]).then_some(file)
}

pub(super) fn client_tls(section: &Section) -> ClientTls {
    let tls = ClientTls {
        ca_cert: section.get("ca_cert", scalars::path),
        client_cert: section.get("client_cert", scalars::path),
        client_key: section.get("client_key", scalars::path),
    };
    both_or_none(section, "client_cert", "client_key");
    tls
}

/// A certificate is of no use without its key, and the other way round.
pub(super) fn both_or_none(section: &Section, one: &'static str, other: &'static str) {
    for (given, missing) in [(one, other), (other, one)] {
        if section.field(given).is_some() && section.field(missing).is_none() {
            section.mistake(given, format!("`{missing}` is missing beside it"));
        }
    }
}

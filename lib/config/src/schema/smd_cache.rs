//! `smd_cache`: the service that reads SMD.

use super::inventory::{PORT, both_or_none};
use crate::{
    reader::{Field, Section},
    scalars, url,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// smd-cache.
#[derive(Debug, Clone, PartialEq)]
pub struct SmdCache {
    /// gRPC.
    pub listen: Vec<SocketAddr>,
    /// gRPC on a Unix socket; `None`: RUNTIME_DIR/smd-cache.sock when that directory can be written.
    pub socket: Option<PathBuf>,
    /// The Unix socket's group, by name or number; `None`: the one the program runs with.
    pub socket_group: Option<String>,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// TLS of gRPC on TCP.
    pub tls: Option<ServerTls>,
    /// SMD itself.
    pub smd: Smd,
    /// Whole reads.
    pub refresh: Duration,
    /// Delta reads; zero: off.
    pub poll_changes: Duration,
    /// Ask SMD for one MAC on demand.
    pub pull_through: bool,
    /// After this a whole read is old.
    pub stale_after: Duration,
    /// Largest body believed, in bytes.
    pub max_body: u64,
    /// Wipe guard, percent.
    pub max_shrink: u8,
    /// Wipe guard, whole reads in a row.
    pub shrink_confirmations: u32,
    /// Snapshot on disk.
    pub snapshot_file: Option<PathBuf>,
}

/// How SMD is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Smd {
    /// Base URL, without `/hsm/v2` (accepted and cut off when given) and without a final slash.
    pub url: String,
    /// Extra certificate authority.
    pub ca_cert: Option<PathBuf>,
    /// mTLS towards SMD.
    pub client_cert: Option<PathBuf>,
    /// mTLS towards SMD.
    pub client_key: Option<PathBuf>,
    /// Bearer token, re-read when it changes.
    pub token_file: Option<PathBuf>,
}

/// TLS of the gRPC service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTls {
    /// Ours.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Clients need a certificate signed by this one.
    pub client_ca: Option<PathBuf>,
    /// Certificate names of those who may ask; empty: whoever has a certificate.
    pub clients: Vec<String>,
    /// Certificate names of those who may force a refresh.
    pub force: Vec<String>,
}

const SECOND: Duration = Duration::from_secs(1);
/// SMD of the reference deployment answers a whole read of 10,000 nodes in some 100 ms: more often is no use.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 3600);
/// 100,000 interfaces are 22.5 MB: this is two million of them, and small enough for the machines this runs on.
const MAX_BODY: u64 = 512 << 20;
/// Unless so long is less than three periods: one read that fails must not make everything old.
const STALE_AFTER: Duration = Duration::from_secs(30);
const STALE_PERIODS: u32 = 3;

pub(super) fn read(section: &Section) -> SmdCache {
    let period = scalars::duration_in(SHORTEST_PERIOD..=LONGEST_PERIOD);
    let refresh = section.get("refresh", period).unwrap_or(10 * SECOND);
    let tls = section.optional("tls", server_tls).flatten();
    SmdCache {
        listen: section
            .list("listen", scalars::socket(PORT))
            .unwrap_or_else(|| vec![(Ipv4Addr::LOCALHOST, PORT).into()]),
        socket: section.get("socket", scalars::path),
        socket_group: section.get("socket_group", scalars::text),
        admin: section.get("admin", scalars::socket(27781)).unwrap_or((Ipv4Addr::LOCALHOST, 27781).into()),
        tls,
        smd: section.part("smd", smd),
        refresh,
        poll_changes: section.get("poll_changes", poll_changes).unwrap_or(SECOND),
        pull_through: section.get("pull_through", scalars::switch).unwrap_or(true),
        stale_after: section
            .get("stale_after", scalars::duration_in(SHORTEST_PERIOD..=LONGEST_PERIOD))
            .unwrap_or(STALE_AFTER.max(refresh * STALE_PERIODS)),
        max_body: section.get("max_body", scalars::size).unwrap_or(MAX_BODY),
        max_shrink: section.get("max_shrink", scalars::percent).unwrap_or(50),
        shrink_confirmations: section
            .get("shrink_confirmations", scalars::number(1..=1_000_000))
            .unwrap_or(30),
        snapshot_file: section
            .get("snapshot_file", scalars::path_or_off)
            .unwrap_or_else(|| Some("/var/lib/coresmd/snapshot".into())),
    }
}

fn poll_changes(field: &Field) -> Option<Duration> {
    match scalars::duration(field)? {
        Duration::ZERO => Some(Duration::ZERO),
        _ => scalars::duration_in(SHORTEST_PERIOD..=LONGEST_PERIOD)(field),
    }
}

fn smd(section: &Section) -> Smd {
    let smd = Smd {
        url: section.get("url", smd_url).unwrap_or_else(|| "http://127.0.0.1:27779".into()),
        ca_cert: section.get("ca_cert", scalars::path),
        client_cert: section.get("client_cert", scalars::path),
        client_key: section.get("client_key", scalars::path),
        token_file: section.get("token_file", scalars::path),
    };
    both_or_none(section, "client_cert", "client_key");
    smd
}

fn smd_url(field: &Field) -> Option<String> {
    field.parse("SMD's URL", |text| {
        let url = url::split(text, &["http", "https"])?;
        if url.rest.contains(['?', '#', '{', '}']) {
            return Err("SMD's base URL has neither a query nor placeholders".into());
        }
        let base = text.trim_end_matches('/');
        Ok(base.strip_suffix("/hsm/v2").unwrap_or(base).trim_end_matches('/').to_owned())
    })
}

fn server_tls(section: &Section) -> Option<ServerTls> {
    let (cert, key) = (section.required("cert", scalars::path), section.required("key", scalars::path));
    let client_ca = section.get("client_ca", scalars::path);
    let names = |key| section.list(key, scalars::text).unwrap_or_default();
    let (clients, force) = (names("clients"), names("force"));
    if client_ca.is_none() && !(clients.is_empty() && force.is_empty()) {
        section.mistake("clients", "certificate names mean nothing without `client_ca`");
    }
    Some(ServerTls { cert: cert?, key: key?, client_ca, clients, force })
}

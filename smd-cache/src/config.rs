//! smd-cache's view of the configuration file.

use crate::{caller::Lists, naming::Naming, smd, tls};
use config::Config;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Name of the Unix socket in RUNTIME_DIR.
const SOCKET: &str = "smd-cache.sock";

/// What smd-cache does and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// gRPC over TCP.
    pub listen: Vec<SocketAddr>,
    /// gRPC over a Unix socket.
    pub socket: Socket,
    /// Whose group may open it, by name or number.
    pub socket_group: Option<String>,
    /// TLS of gRPC over TCP.
    pub tls: Option<tls::Settings>,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// Where SMD is.
    pub smd: smd::Settings,
    /// From the start of one whole read to the start of the next.
    pub refresh: Duration,
    /// From the start of one read of what changed to the start of the next; zero: there is none.
    pub poll_changes: Duration,
    /// Ask SMD about a MAC that is not held.
    pub pull_through: bool,
    /// Percent of the servable interfaces that may go at once.
    pub max_shrink: u8,
    /// Whole reads in a row after which more than that may go.
    pub shrink_confirmations: u32,
    /// Where the last good picture is kept.
    pub snapshot_file: Option<PathBuf>,
    /// After this a whole read is old.
    pub stale_after: Duration,
    /// A rule matches on groups, so they are read.
    pub groups: bool,
    /// Rules, domain, zones.
    pub naming: Arc<Naming>,
}

/// A path for the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// Nobody asked for it: where it cannot be made, smd-cache goes on without.
    Default(PathBuf),
    /// From the file: where it cannot be made, smd-cache does not start.
    Given(PathBuf),
}

impl Settings {
    /// What the file says.
    pub fn of(config: &Config) -> Settings {
        let own = &config.smd_cache;
        Settings {
            listen: own.listen.clone(),
            socket: match &own.socket {
                Some(path) => Socket::Given(path.clone()),
                None => Socket::Default(daemon::runtime::directory().join(SOCKET)),
            },
            socket_group: own.socket_group.clone(),
            tls: own.tls.as_ref().map(|tls| tls::Settings {
                cert: tls.cert.clone(),
                key: tls.key.clone(),
                client_ca: tls.client_ca.clone(),
                lists: Lists { clients: tls.clients.clone(), force: tls.force.clone() },
            }),
            admin: own.admin,
            smd: smd::Settings {
                url: own.smd.url.clone(),
                ca_cert: own.smd.ca_cert.clone(),
                client: own.smd.client_cert.clone().zip(own.smd.client_key.clone()),
                token_file: own.smd.token_file.clone(),
                max_body: own.max_body,
            },
            refresh: own.refresh,
            poll_changes: own.poll_changes,
            pull_through: own.pull_through,
            max_shrink: own.max_shrink,
            shrink_confirmations: own.shrink_confirmations,
            snapshot_file: own.snapshot_file.clone(),
            stale_after: own.stale_after,
            groups: config.rules.iter().any(|rule| !rule.matches.groups.is_empty()),
            naming: Arc::new(Naming::from_config(config)),
        }
    }

    /// A MAC that is not held is unknown where a read that began in this time succeeded, even when SMD cannot be asked about
    /// it (DESIGN, smd-cache).
    pub fn unknown_within(&self) -> Duration {
        match self.poll_changes.is_zero() {
            true => self.refresh * 3 / 2,
            false => self.poll_changes * 3,
        }
    }
}

//! smd-cache's view of the configuration file.

use crate::{naming::Naming, smd};
use config::Config;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Name of the Unix socket in RUNTIME_DIR.
const SOCKET: &str = "smd-cache.sock";

/// What smd-cache does and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// gRPC over TCP.
    pub listen: Vec<SocketAddr>,
    /// gRPC over a Unix socket.
    pub socket: Socket,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// Where SMD is.
    pub smd: smd::Settings,
    /// From the start of one whole read to the start of the next.
    pub refresh: Duration,
    /// After this a whole read is old.
    pub stale_after: Duration,
    /// A rule matches on groups, so they are read.
    pub groups: bool,
    /// Rules, domain, zones.
    pub naming: Naming,
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
            admin: own.admin,
            smd: smd::Settings {
                url: own.smd.url.clone(),
                ca_cert: own.smd.ca_cert.clone(),
                client: own.smd.client_cert.clone().zip(own.smd.client_key.clone()),
                token_file: own.smd.token_file.clone(),
                max_body: own.max_body,
            },
            refresh: own.refresh,
            stale_after: own.stale_after,
            groups: config.rules.iter().any(|rule| !rule.matches.groups.is_empty()),
            naming: Naming::from_config(config),
        }
    }
}

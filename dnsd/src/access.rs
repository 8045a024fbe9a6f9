//! Who may ask for what: networks of the configuration against the address a query came from.

use crate::wire::Transport;
use config::Config;
use ipnet::IpNet;
use std::net::IpAddr;

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Where the query came from; an answer to a spoofed one goes there, too.
    pub address: IpAddr,
    /// What carried it.
    pub transport: Transport,
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// Names outside our zones.
    pub recursion: bool,
    /// Whole zones.
    pub transfer: bool,
}

/// The networks that have rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    transfer: Vec<IpNet>,
}

impl Access {
    /// From `dnsd.transfer.allow`.
    pub fn new(config: &Config) -> Access {
        let transfer = config.dnsd.transfer.as_ref();
        Access { transfer: transfer.map(|transfer| transfer.allow.clone()).unwrap_or_default() }
    }

    /// What this client may.
    pub fn rights(&self, client: Client) -> Rights {
        let listed = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client.address));
        Rights { recursion: false, transfer: listed(&self.transfer) }
    }
}

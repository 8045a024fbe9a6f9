//! What `decide` must know of the configuration file, in the form it needs it.

use std::net::Ipv4Addr;

/// The DHCPv4 part.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Option 54 and default siaddr; `None`: the receiving interface's address.
    pub server_id: Option<Ipv4Addr>,
}

impl Config {
    /// From the file; `None` where it has no `dhcpd.v4`.
    pub fn new(_file: &config::Config) -> Option<Config> {
        todo!()
    }
}

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
    /// Nothing: it is in no network of `dnsd.query_from`. The answer is REFUSED, not silence: a client that is configured wrongly learns
    /// at once, and asks its next server; and to a spoofed address it is no longer than the query, so nobody gains by it.
    pub denied: bool,
    /// Names outside our zones.
    pub recursion: bool,
    /// Whole zones.
    pub transfer: bool,
}

/// The networks that have rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// `None`: everybody.
    query: Option<Vec<IpNet>>,
    transfer: Vec<IpNet>,
}

impl Access {
    /// From `dnsd.query_from` and `dnsd.transfer.allow`.
    pub fn new(config: &Config) -> Access {
        let transfer = config.dnsd.transfer.as_ref();
        Access {
            query: config.dnsd.query_from.clone(),
            transfer: transfer.map(|transfer| transfer.allow.clone()).unwrap_or_default(),
        }
    }

    /// Whether nobody is kept from asking for our names.
    pub fn is_for_everybody(&self) -> bool {
        self.query.is_none()
    }

    /// What this client may.
    pub fn rights(&self, client: Client) -> Rights {
        let listed = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client.address));
        let denied = self.query.as_deref().is_some_and(|networks| !listed(networks));
        Rights { denied, recursion: false, transfer: listed(&self.transfer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(config: &str, client: &str) -> bool {
        let client = Client { address: client.parse().unwrap(), transport: Transport::Udp };
        Access::new(&config::parse(config).unwrap()).rights(client).denied
    }

    #[test]
    fn only_networks_that_are_listed_may_ask_where_any_are() {
        let some = "dnsd: {query_from: [10.0.0.0/8, 'fd00::1']}";
        for (config, client, wanted) in [
            ("", "8.8.8.8", false),
            (some, "10.1.2.3", false),
            (some, "fd00::1", false),
            (some, "11.0.0.1", true),
            (some, "fd00::2", true),
            ("dnsd: {query_from: []}", "127.0.0.1", true),
        ] {
            assert_eq!(denied(config, client), wanted, "{config} {client}");
        }
    }
}

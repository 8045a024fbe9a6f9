//! Who may ask for what: networks of the configuration against the address a query came from.

use crate::{networks, wire::Transport};
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
    /// Nobody where there is no forwarder.
    recursion: Vec<IpNet>,
    transfer: Vec<IpNet>,
    /// Whole zones are only for those who sign, too.
    pub signed: bool,
}

impl Access {
    /// From `dnsd.query_from`, `dnsd.recursion_from` and `dnsd.transfer.allow`, and the addresses that this host has now.
    pub fn new(config: &Config) -> Access {
        Access::of(config, networks::own)
    }

    /// Without a list nobody from outside may recurse (RFC 5358): then `own` says what else is inside.
    fn of(config: &Config, own: impl FnOnce() -> Vec<IpNet>) -> Access {
        let transfer = config.dnsd.transfer.as_ref();
        let recursion = match &config.dnsd.recursion_from {
            _ if config.dnsd.forward.is_empty() => Vec::new(),
            Some(listed) => listed.clone(),
            None => [networks::private(), own()].concat(),
        };
        Access {
            query: config.dnsd.query_from.clone(),
            recursion,
            transfer: transfer.map(|transfer| transfer.allow.clone()).unwrap_or_default(),
            signed: transfer.is_some_and(|transfer| transfer.tsig.is_some()),
        }
    }

    /// Names are forwarded for the whole world.
    pub fn is_open_resolver(&self) -> bool {
        self.recursion.iter().any(|network| network.prefix_len() == 0)
    }

    /// For people: who may copy zones.
    pub fn who_may_copy(&self) -> String {
        let networks: Vec<String> = self.transfer.iter().map(ToString::to_string).collect();
        match (networks.is_empty(), self.signed) {
            (true, _) => "zones are copied by nobody: dnsd.transfer.allow lists no network".into(),
            (false, false) => format!("zones are copied by {}", networks.join(", ")),
            (false, true) => format!("zones are copied by {}, signed with our key", networks.join(", ")),
        }
    }

    /// Whether this client may ask for our names.
    pub fn may_ask(&self, client: Client) -> bool {
        self.query.as_deref().is_none_or(|networks| holds(networks, client.address))
    }

    /// What this client may; where it must sign for it ([`Access::signed`]), if it does.
    pub fn rights(&self, client: Client) -> Rights {
        let listed = |networks: &[IpNet]| holds(networks, client.address);
        Rights {
            denied: !self.may_ask(client),
            recursion: listed(&self.recursion),
            transfer: listed(&self.transfer),
        }
    }

    /// The one right that shows in every answer.
    pub fn recursion(&self, client: Client) -> bool {
        holds(&self.recursion, client.address)
    }
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::config;

    fn denied(config: &str, client: &str) -> bool {
        let client = Client { address: client.parse().unwrap(), transport: Transport::Udp };
        Access::new(&config::parse(config).unwrap()).rights(client).denied
    }

    #[test]
    fn people_are_told_who_may_copy() {
        let sentence = |config: &str| Access::new(&config::parse(config).unwrap()).who_may_copy();
        let tsig = "tsig: {name: k, secret_file: /s}";
        assert!(sentence("").starts_with("zones are copied by nobody"));
        assert_eq!(
            sentence("dnsd: {transfer: {allow: [10.0.0.9, 'fd00::/64']}}"),
            "zones are copied by 10.0.0.9/32, fd00::/64"
        );
        assert_eq!(
            sentence(&format!("dnsd: {{transfer: {{allow: [10.0.0.9], {tsig}}}}}")),
            "zones are copied by 10.0.0.9/32, signed with our key"
        );
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

    fn recursive(configuration: &str, addresses: &[&str]) -> Vec<bool> {
        let own = || vec!["198.51.100.7/24".parse().unwrap(), "2001:db8::7/64".parse().unwrap()];
        let access = Access::of(&config(configuration), own);
        let client = |text: &str| Client { address: text.parse().unwrap(), transport: Transport::Udp };
        addresses.iter().map(|text| access.rights(client(text)).recursion).collect()
    }

    const INSIDE: [&str; 11] = [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.0.9",
        "fd00::1",
        "fe80::1",
        "198.51.100.200",
        "2001:db8::99",
    ];
    const OUTSIDE: [&str; 7] = [
        "8.8.8.8",
        "172.32.0.1",
        "100.64.0.1",
        "198.51.101.1",
        "2001:db8:0:1::1",
        "2606:4700::1",
        "::ffff:8.8.8.8",
    ];

    #[test]
    fn by_default_nobody_outside_may_recurse() {
        let configured = "dnsd: {forward: [192.0.2.1]}";
        assert_eq!(recursive(configured, &INSIDE), [true; 11]);
        assert_eq!(recursive(configured, &OUTSIDE), [false; 7]);
        assert_eq!(recursive(configured, &["::ffff:10.0.0.1"]), [true], "IPv4 in IPv6's clothes");
    }

    #[test]
    fn who_lists_everybody_is_an_open_resolver() {
        for (list, wanted) in [("0.0.0.0/0", true), ("'::/0'", true), ("10.0.0.0/8", false)] {
            let access =
                |forward: &str| Access::new(&config(&format!("dnsd: {{{forward}recursion_from: [{list}]}}")));
            assert_eq!(access("forward: [192.0.2.1], ").is_open_resolver(), wanted, "{list}");
            assert!(!access("").is_open_resolver(), "there is nobody to ask");
        }
    }

    #[test]
    fn a_list_is_all_that_counts_and_without_forwarders_it_counts_for_nothing() {
        let listed = "dnsd: {forward: [192.0.2.1], recursion_from: [10.1.0.0/16, 8.8.8.8]}";
        assert_eq!(
            recursive(listed, &["10.1.2.3", "8.8.8.8", "10.2.0.1", "127.0.0.1"]),
            [true, true, false, false]
        );
        assert_eq!(recursive("dnsd: {recursion_from: [10.0.0.0/8]}", &["10.1.2.3"]), [false]);
        assert_eq!(recursive("dnsd: {forward: [192.0.2.1], recursion_from: []}", &INSIDE), [false; 11]);
    }
}

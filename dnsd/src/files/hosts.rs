//! The hosts file: addresses and their names, as `/etc/hosts` has them (hosts(5)) and CoreDNS's `hosts` plugin reads it.
//!
//! A line is `ADDRESS NAME [ALIAS ...]`; `#` begins a comment. Every name leads to the address, the address back to the first
//! name of its first line. What each machine says of itself (loopback, link-local, multicast) is skipped. The inventory knows
//! its machines better than a copy of it: what it says of a name or an address counts more.

use super::{BadLine, shorten};
use crate::{
    reverse,
    wire::{HostText, kind, to_wire},
};
use inventory::Replica;
use std::{collections::HashSet, net::IpAddr};
use values::Name;

/// The names and addresses of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// Name (wire form) and address, each pair once, in the order of the file.
    pub forward: Vec<(Box<[u8]>, IpAddr)>,
    /// Each address once, and its name.
    pub back: Vec<(IpAddr, Box<[u8]>)>,
}

impl Hosts {
    /// Every good line, and every bad one. A name without a dot is below the domain.
    pub fn parse(text: &str, domain: Option<&Name>) -> (Hosts, Vec<BadLine>) {
        let mut reader =
            Reader { domain, hosts: Hosts::default(), pairs: HashSet::new(), seen: HashSet::new() };
        let mut bad = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if let Err(message) = reader.add(entry) {
                bad.push(BadLine { line: index + 1, message });
            }
        }
        (reader.hosts, bad)
    }

    /// What the inventory says nothing about: addresses of names that have none of the family there, and names of addresses
    /// that have none there.
    pub fn beside(&self, inventory: &Replica) -> Hosts {
        let is_known = |name: &[u8], address: &IpAddr| {
            let bearers = HostText::of(name).and_then(|text| inventory.name(text.as_str()));
            bearers.is_some_and(|it| it.addresses.iter().any(|held| held.is_ipv4() == address.is_ipv4()))
        };
        let has_name = |address: &IpAddr| {
            let holders = inventory.address(address);
            let interfaces = holders.iter().flat_map(|holders| &holders.interfaces);
            let mut entries = interfaces.filter_map(|interface| interface.address(*address));
            entries.any(|entry| !entry.names.is_empty())
        };
        let forward = self.forward.iter().filter(|(name, address)| !is_known(name, address));
        let back = self.back.iter().filter(|(address, _)| !has_name(address));
        Hosts { forward: forward.cloned().collect(), back: back.cloned().collect() }
    }

    /// As records: owner, type, RDATA.
    pub fn records(&self) -> impl Iterator<Item = (Box<[u8]>, u16, Box<[u8]>)> + '_ {
        let forward = self.forward.iter().map(|(name, address)| match address {
            IpAddr::V4(address) => (name.clone(), kind::A, Box::from(address.octets())),
            IpAddr::V6(address) => (name.clone(), kind::AAAA, Box::from(address.octets())),
        });
        let back =
            self.back.iter().map(|(address, name)| (reverse::name_of(*address), kind::PTR, name.clone()));
        forward.chain(back)
    }
}

struct Reader<'a> {
    domain: Option<&'a Name>,
    hosts: Hosts,
    pairs: HashSet<(Box<[u8]>, IpAddr)>,
    seen: HashSet<IpAddr>,
}

impl Reader<'_> {
    fn add(&mut self, entry: &str) -> Result<(), String> {
        let mut words = entry.split_whitespace();
        let Some(address) = words.next() else { return Ok(()) };
        // fe80::1%eth0: whose address that is differs from machine to machine.
        let bare = address.split('%').next().unwrap_or_default();
        let address: IpAddr = bare.parse().map_err(|_| format!("'{}' is no address", shorten(address)))?;
        if !is_of_a_machine(&address) {
            return Ok(());
        }
        let names: Result<Vec<Box<[u8]>>, String> = words.map(|word| self.name(word)).collect();
        let names = names?;
        let first = names.first().ok_or_else(|| format!("{address} has no name"))?;
        if self.seen.insert(address) {
            self.hosts.back.push((address, first.clone()));
        }
        for name in names {
            if self.pairs.insert((name.clone(), address)) {
                self.hosts.forward.push((name, address));
            }
        }
        Ok(())
    }

    fn name(&self, word: &str) -> Result<Box<[u8]>, String> {
        let name = match (word.contains('.'), self.domain) {
            (true, _) => word.parse(),
            (false, Some(domain)) => domain.below(word),
            (false, None) => {
                return Err(format!("'{}' has no dot, and there is no `domain` for it", shorten(word)));
            }
        };
        name.map(|name| to_wire(&name)).map_err(|bad| bad.to_string())
    }
}

/// Not what a hosts file says of the machine that it lies on.
fn is_of_a_machine(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let is_own = address.is_loopback() || address.is_link_local();
            !(is_own || address.is_unspecified() || address.is_multicast() || address.is_broadcast())
        }
        // From fe00:: on: reserved, link-local, site-local and multicast.
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unspecified() || address.segments()[0] >= 0xfe00)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{explain::name_text, fixture::replica};

    fn shown(hosts: &Hosts) -> Vec<String> {
        let forward = hosts.forward.iter().map(|(name, address)| format!("{} {address}", name_text(name)));
        let back = hosts.back.iter().map(|(address, name)| format!("{address} is {}", name_text(name)));
        forward.chain(back).collect()
    }

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let (hosts, bad) = Hosts::parse(text, Some(&"c.local".parse().unwrap()));
        (shown(&hosts), bad.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_names_lead_to_the_address_and_it_back_to_the_first() {
        let (all, bad) = read(
            "\u{feff}# services\r\n10.0.0.1\tlogin login1.C.Local www.example.com # and a comment\r\n\n\
             fd00::1 login\n10.0.0.2 login\n10.0.0.1 other login\n",
        );
        assert_eq!(
            all,
            [
                "login.c.local. 10.0.0.1",
                "login1.c.local. 10.0.0.1",
                "www.example.com. 10.0.0.1",
                "login.c.local. fd00::1",
                "login.c.local. 10.0.0.2",
                "other.c.local. 10.0.0.1",
                "10.0.0.1 is login.c.local.",
                "fd00::1 is login.c.local.",
                "10.0.0.2 is login.c.local.",
            ]
        );
        assert_eq!(bad, [""; 0]);
    }

    #[test]
    fn what_a_machine_says_of_itself_is_skipped() {
        for line in [
            "127.0.0.1 localhost",
            "127.0.1.1 head.c.local head",
            "::1 localhost ip6-localhost",
            "fe00::0 ip6-localnet",
            "ff02::1 ip6-allnodes",
            "fe80::1%lo0 localhost",
            "255.255.255.255 broadcasthost",
            "0.0.0.0 blocked.example.com",
            "169.254.1.1 usb",
            "# 10.0.0.1 a",
            "",
        ] {
            assert_eq!(read(line), (vec![], vec![]), "{line}");
        }
    }

    #[test]
    fn a_bad_line_is_told_of_and_takes_down_nothing_else() {
        for (line, message) in [
            ("10.0.0 a", "'10.0.0' is no address"),
            ("10.0.0.1", "10.0.0.1 has no name"),
            ("login 10.0.0.1", "'login' is no address"),
        ] {
            let (all, bad) = read(&format!("10.0.0.8 a\n{line}\n10.0.0.9 b\n"));
            assert_eq!((all.len(), bad), (4, vec![format!("line 2: {message}")]), "{line}");
        }
        let (all, bad) = read("10.0.0.8 a\n10.0.0.1 good b/d\n");
        assert_eq!((all.len(), bad.len()), (2, 1), "{bad:?}");
        let (hosts, bad) = Hosts::parse("10.0.0.1 a\n10.0.0.2 a.b\n", None);
        assert_eq!(shown(&hosts), ["a.b. 10.0.0.2", "10.0.0.2 is a.b."]);
        assert_eq!(bad[0].to_string(), "line 1: 'a' has no dot, and there is no `domain` for it");
    }

    #[test]
    fn what_the_inventory_says_counts_more() {
        // nid0001 has 172.16.0.1, nid0002 both families, nid0003 no address; 172.16.3.1 has no name.
        let text = "172.16.0.99 nid0001.cluster.local\nfd00::99 nid0001.cluster.local\n10.9.9.9 nid0003.cluster.local\n\
                    172.16.0.1 other.cluster.local\n172.16.3.1 nameless.cluster.local\n";
        let (hosts, _) = Hosts::parse(text, None);
        assert_eq!(
            shown(&hosts.beside(&replica())),
            [
                "nid0001.cluster.local. fd00::99",
                "nid0003.cluster.local. 10.9.9.9",
                "other.cluster.local. 172.16.0.1",
                "nameless.cluster.local. 172.16.3.1",
                "172.16.0.99 is nid0001.cluster.local.",
                "fd00::99 is nid0001.cluster.local.",
                "10.9.9.9 is nid0003.cluster.local.",
                "172.16.3.1 is nameless.cluster.local.",
            ]
        );
        assert_eq!(hosts.beside(&Replica::default()), hosts);
    }
}

//! The records that all servers hold: what smd-cache made of the inventory, as zone files and as a hosts file.

use crate::bench::cable::SERVER;
use anyhow::Context;
use hickory_proto::rr::Name;
use proto::v1::{ListInterfacesRequest, smd_cache_client::SmdCacheClient};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// The zone of `Lab::configure`.
pub const ZONE: &str = "bench.cluster";
/// The networks of `smd::generate`, turned round; dnsd derives its reverse zones itself.
const REVERSE: [&str; 3] = ["172.in-addr.arpa", "10.in-addr.arpa", "d.f.ip6.arpa"];

/// Names and addresses.
#[derive(Default)]
pub struct Data {
    names: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The canonical name of each, in the order of the addresses.
    canonical: BTreeMap<IpAddr, String>,
}

/// A zone and its file.
pub struct ZoneFile {
    pub zone: &'static str,
    pub file: PathBuf,
}

impl Data {
    /// All that this smd-cache holds.
    pub async fn read(smd_cache: SocketAddr) -> anyhow::Result<Data> {
        let mut client = SmdCacheClient::connect(format!("http://{smd_cache}")).await?;
        let mut interfaces = client.list_interfaces(ListInterfacesRequest {}).await?.into_inner();
        let mut data = Data::default();
        while let Some(interface) = interfaces.message().await? {
            for address in interface.addresses {
                let Ok(number) = address.address.parse::<IpAddr>() else { continue };
                if let Some(first) = address.names.first() {
                    data.canonical.insert(number, first.clone());
                }
                for name in address.names {
                    data.names.entry(name).or_default().insert(number);
                }
            }
        }
        Ok(data)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Those that have such an address.
    pub fn names_with(&self, is_such: fn(&IpAddr) -> bool) -> Vec<&String> {
        self.names.iter().filter(|(_, all)| all.iter().any(is_such)).map(|(name, _)| name).collect()
    }

    /// Those that have none such.
    pub fn names_without(&self, is_such: fn(&IpAddr) -> bool) -> Vec<&String> {
        self.names.iter().filter(|(_, all)| !all.iter().any(is_such)).map(|(name, _)| name).collect()
    }

    /// The names of all IPv4 addresses' PTR records, without a final dot.
    pub fn pointers(&self) -> Vec<String> {
        let v4 = self.canonical.keys().filter(|address| address.is_ipv4());
        v4.map(|address| pointer(*address).trim_end_matches('.').to_owned()).collect()
    }

    /// Zone files for those who read them.
    pub fn write_zones(&self, room: &Path) -> anyhow::Result<Vec<ZoneFile>> {
        let mut zones = Vec::new();
        for zone in std::iter::once(ZONE).chain(REVERSE) {
            let file = room.join(format!("{zone}.zone"));
            fs::write(&file, self.zone(zone)).with_context(|| file.display().to_string())?;
            zones.push(ZoneFile { zone, file });
        }
        Ok(zones)
    }

    /// For dnsmasq: an address, then its names, the canonical one first.
    pub fn write_hosts(&self, file: &Path) -> anyhow::Result<()> {
        let mut names: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for (address, first) in &self.canonical {
            names.insert(*address, vec![first]);
        }
        for (name, addresses) in &self.names {
            for address in addresses.iter().filter(|address| self.canonical.get(address) != Some(name)) {
                names.entry(*address).or_default().push(name);
            }
        }
        let lines = names.iter().map(|(address, names)| format!("{address} {}\n", names.join(" ")));
        fs::write(file, lines.collect::<String>()).with_context(|| file.display().to_string())
    }

    fn zone(&self, zone: &str) -> String {
        let mut text = format!(
            "$TTL 60\n{zone}. SOA ns.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 5\n{zone}. NS ns.{ZONE}.\n"
        );
        let mut line = |owner: &str, kind: &str, data: String| {
            writeln!(text, "{owner} {kind} {data}").expect("into a string");
        };
        if zone == ZONE {
            line(&format!("ns.{ZONE}."), "A", SERVER.to_string());
        }
        for (name, address) in
            self.names.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)))
        {
            if zone == ZONE {
                let kind = if address.is_ipv4() { "A" } else { "AAAA" };
                line(&format!("{name}."), kind, address.to_string());
            }
        }
        for (address, name) in &self.canonical {
            let owner = pointer(*address);
            if owner.ends_with(&format!(".{zone}.")) {
                line(&owner, "PTR", format!("{name}."));
            }
        }
        text
    }
}

fn pointer(address: IpAddr) -> String {
    Name::from(address).to_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        let (v4, v6): (IpAddr, IpAddr) =
            ("172.16.0.10".parse().expect("v4"), "fd00:ac::10:0:a".parse().expect("v6"));
        let mut data = Data::default();
        for name in ["nid0001.bench.cluster", "x1000c0s0b0n0.bench.cluster"] {
            data.names.insert(name.to_owned(), [v4, v6].into());
        }
        for address in [v4, v6] {
            data.canonical.insert(address, "nid0001.bench.cluster".to_owned());
        }
        data.names.insert("x1000c0s0b0.bench.cluster".to_owned(), ["10.4.0.10".parse().expect("v4")].into());
        data
    }

    #[test]
    fn peers_hold_what_dnsd_holds() {
        let data = data();
        let zone = data.zone(ZONE);
        assert!(zone.contains("\nnid0001.bench.cluster. A 172.16.0.10\n"), "{zone}");
        assert!(zone.contains("\nx1000c0s0b0n0.bench.cluster. AAAA fd00:ac::10:0:a\n"), "{zone}");
        assert!(!zone.contains("PTR"), "{zone}");
        let reverse = data.zone("172.in-addr.arpa");
        assert!(reverse.contains("\n10.0.16.172.in-addr.arpa. PTR nid0001.bench.cluster.\n"), "{reverse}");
        assert!(!reverse.contains("ip6.arpa"), "{reverse}");
        assert!(data.zone("d.f.ip6.arpa").contains(".d.f.ip6.arpa. PTR nid0001.bench.cluster.\n"));
    }

    #[test]
    fn names_are_told_apart_by_their_addresses() {
        let data = data();
        assert_eq!(data.names_with(IpAddr::is_ipv4).len(), 3);
        assert_eq!(data.names_with(IpAddr::is_ipv6).len(), 2);
        assert_eq!(data.names_without(IpAddr::is_ipv6), ["x1000c0s0b0.bench.cluster"]);
        assert_eq!(data.pointers(), ["10.0.16.172.in-addr.arpa"]);
    }
}

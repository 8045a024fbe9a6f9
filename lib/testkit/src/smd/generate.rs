//! A made-up cluster of any size, the same for the same seed: cabinets of 8 chassis, 8 slots, 2 BMCs, 2 nodes; every node
//! with a NIC in the management network, every second or so with one in the high-speed network; its BMCs; a switch a cabinet.

use super::types::{Address, Component, EthernetInterface, Group, Inventory};
use fastrand::Rng;
use jiff::Timestamp;
use std::net::Ipv4Addr;

/// Nodes in a cabinet: chassis x slots x BMCs x nodes.
const PER_CABINET: usize = 8 * 8 * 2 * 2;
/// First host of each network: node management, hardware management (BMCs), high-speed, switches.
const NMN: u32 = u32::from_be_bytes([172, 16, 0, 0]);
const HMN: u32 = u32::from_be_bytes([10, 4, 0, 0]);
const HSN: u32 = u32::from_be_bytes([10, 100, 0, 0]);
const SWITCHES: u32 = u32::from_be_bytes([10, 20, 0, 0]);
/// Hosts used of each /24.
const PER_BLOCK: u32 = 240;
/// Hosts used of 172.16.0.0/12; more nodes do not fit.
pub const MAX_NODES: usize = 4096 * PER_BLOCK as usize;
/// When everything was discovered; one microsecond apart.
const DISCOVERED: i64 = 1_767_225_600_000_000;

/// A cluster of so many nodes (at most [`MAX_NODES`]).
pub fn generate(nodes: usize, seed: u64) -> Inventory {
    let mut maker =
        Maker { rng: Rng::with_seed(seed), inventory: Inventory::default(), bmcs: 0, switches: 0 };
    for index in 0..nodes.min(MAX_NODES) {
        maker.node(index);
    }
    maker.inventory
}

/// The xname of the node with this index.
fn xname(index: usize) -> String {
    let (cabinet, rest) = (index / PER_CABINET, index % PER_CABINET);
    format!("x{}c{}s{}b{}n{}", 1000 + cabinet, rest / 32, rest / 4 % 8, rest / 2 % 2, rest % 2)
}

/// The n-th host of a network, with .0, .255 and the first ten of each /24 left out (routers, servers).
fn host(network: u32, n: usize) -> String {
    let n = n as u32;
    Ipv4Addr::from(network + (n / PER_BLOCK) * 256 + 10 + n % PER_BLOCK).to_string()
}

/// Locally administered; the second byte tells the network.
fn mac(network: u8, n: usize) -> String {
    let [_, a, b, c] = (n as u32).to_be_bytes();
    format!("02:{network:02x}:00:{a:02x}:{b:02x}:{c:02x}")
}

struct Maker {
    rng: Rng,
    inventory: Inventory,
    bmcs: usize,
    switches: usize,
}

impl Maker {
    fn node(&mut self, index: usize) {
        let id = xname(index);
        if index.is_multiple_of(PER_CABINET) {
            self.cabinet(index / PER_CABINET);
        }
        if index.is_multiple_of(2) {
            self.bmc(id.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('n'));
        }
        let service = self.rng.u8(..100) < 2;
        let node = Component {
            role: if service { "Service" } else { "Compute" }.to_owned(),
            sub_role: if service { "Worker" } else { "" }.to_owned(),
            arch: if self.rng.u8(..10) == 0 { "ARM" } else { "X86" }.to_owned(),
            state: if self.rng.u8(..10) == 0 { "Off" } else { "Ready" }.to_owned(),
            enabled: Some(self.rng.u8(..200) != 0),
            ..Component::new(&id, index as i64 + 1)
        };
        self.component(node);
        self.interface(&id, mac(0x10, index), host(NMN, index), "NMN", "Ethernet NIC 1");
        if self.rng.bool() {
            self.interface(&id, mac(0x48, index), host(HSN, index), "HSN", "HPE Slingshot NIC");
        }
        self.join(&id, service);
    }

    fn cabinet(&mut self, number: usize) {
        let id = format!("x{}c0w{}", 3000 + number / 40, 1 + number % 40);
        self.component(Component::new(&id, 0));
        self.interface(
            &id,
            mac(0x5c, self.switches),
            host(SWITCHES, self.switches),
            "HMN",
            "Management switch",
        );
        self.switches += 1;
        self.inventory.groups.push(Group {
            label: format!("cabinet-x{}", 1000 + number),
            description: "nodes of a cabinet".to_owned(),
            ..Group::default()
        });
    }

    fn bmc(&mut self, id: &str) {
        self.component(Component { state: "Ready".to_owned(), ..Component::new(id, 0) });
        self.interface(id, mac(0xbc, self.bmcs), host(HMN, self.bmcs), "HMN", "BMC NIC");
        self.bmcs += 1;
    }

    fn component(&mut self, component: Component) {
        let net_type = "Sling".to_owned();
        self.inventory.components.push(Component { net_type, class: "Mountain".to_owned(), ..component });
    }

    fn interface(&mut self, id: &str, mac: String, address: String, network: &str, description: &str) {
        let micros = DISCOVERED + self.inventory.interfaces.len() as i64;
        self.inventory.interfaces.push(EthernetInterface {
            description: description.to_owned(),
            last_update: Timestamp::from_microsecond(micros).expect("in 2026"),
            addresses: vec![Address { address, network: network.to_owned() }],
            ..EthernetInterface::new(&mac, id, &[])
        });
    }

    fn join(&mut self, id: &str, service: bool) {
        let Some(cabinet) = self.inventory.groups.last_mut() else { return };
        cabinet.members.ids.push(id.to_owned());
        if service {
            let groups = &mut self.inventory.groups;
            if groups[0].label != "service" {
                groups.insert(0, Group { label: "service".to_owned(), ..Group::default() });
            }
            groups[0].members.ids.push(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_cluster() {
        assert_eq!(generate(600, 7), generate(600, 7));
        assert_ne!(generate(600, 7), generate(600, 8));
    }

    #[test]
    fn nothing_is_given_out_twice() {
        let inventory = generate(10_000, 1);
        let rows = inventory.interfaces.len();
        assert!(
            (19_500..20_500).contains(&rows),
            "10,000 nodes, half of them twice, 5,000 BMCs, 40 switches: {rows}"
        );
        let macs: HashSet<_> = inventory.interfaces.iter().map(|row| &row.mac).collect();
        let addresses: HashSet<_> =
            inventory.interfaces.iter().map(|row| &row.addresses[0].address).collect();
        let ids: HashSet<_> = inventory.components.iter().map(|row| &row.id).collect();
        assert_eq!((macs.len(), addresses.len(), ids.len()), (rows, rows, inventory.components.len()));
        assert!(
            inventory.interfaces.iter().all(|row| ids.contains(&row.component_id) && !row.kind.is_empty())
        );
    }

    #[test]
    fn even_the_largest_stays_in_its_networks() {
        assert!(host(NMN, MAX_NODES - 1).parse::<Ipv4Addr>().unwrap() < Ipv4Addr::new(172, 32, 0, 0));
        assert_eq!(host(NMN, 0), "172.16.0.10");
        assert_eq!(xname(10_000 - 1), "x1039c0s3b1n1");
    }
}

//! A cluster of the size this is made for.

use crate::scene::{self, Dhcp, Dns};
use std::{net::Ipv4Addr, time::Instant};
use testkit::{
    cluster::Cluster,
    smd::{EthernetInterface, Inventory, generate},
};

const NODES: usize = 10_000;
/// Every so manieth node is asked about: enough to meet each cabinet.
const STEP: usize = 250;

/// The NICs in the management network of nodes with these numbers.
fn booting(inventory: &Inventory) -> impl Iterator<Item = (i64, &EthernetInterface)> {
    let nodes = inventory.components.iter().filter(|row| row.kind == "Node").step_by(STEP);
    nodes.filter_map(|node| {
        let mine =
            |row: &&EthernetInterface| row.component_id == node.id && row.addresses[0].network == "NMN";
        Some((node.nid, inventory.interfaces.iter().find(mine)?))
    })
}

#[test]
fn ten_thousand_nodes_are_served_like_four() {
    let inventory = generate(NODES, 1);
    let began = Instant::now();
    let cluster = Cluster::start(inventory.clone());
    println!("all ready after {:?}", began.elapsed());
    let mut asked = 0;
    for (nid, interface) in booting(&inventory) {
        let address = &interface.addresses[0].address;
        let name = format!("nid{nid:04}.openchami.cluster");
        let named = scene::address_of(&cluster, &name); // with those of its other NICs
        assert!(matches!(&named, Dns::Data(all) if all.contains(address)), "{name}: {named:?}");
        assert_eq!(scene::name_of(&cluster, address), scene::pointer(&name));
        let address: Ipv4Addr = address.parse().unwrap();
        let [a, b, c, _] = address.octets();
        let link = Ipv4Addr::new(a, b, c, 1);
        assert_eq!(scene::discover_on(&cluster, &interface.mac, link), Dhcp::Offer(address), "{name}");
        asked += 1;
    }
    assert_eq!(asked, NODES / STEP);
    for name in ["smd-cache", "dhcpd", "dnsd", "tftpd"] {
        println!("{name}: {} MB resident", cluster.resident(name) / 1024);
    }
}

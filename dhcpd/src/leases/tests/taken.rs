//! Which addresses no pool gives, whoever says so.

use crate::{
    config::Config,
    decide::OwnAddress,
    hosts::Hosts,
    leases::{Pool, Taker, ranges, taken},
};
use inventory::Replica;
use proto::v1;
use std::{collections::BTreeMap, net::Ipv4Addr};
use values::Mac;

const FILE: &str = r#"
boot: {tftp_server: 10.0.0.21}
rules:
  - {match: {type: Node}, routers: [10.0.0.22], next_server: 10.0.0.23}
dhcpd:
  v4:
    server_id: 10.0.0.24
    router: [10.0.0.25]
    dns: [10.0.0.26, 192.168.0.1]
    subnets: [{cidr: 10.0.0.0/24, router: [10.0.0.27], dns: [10.0.0.28]}]
    unknown: {pools: [{subnet: 10.0.0.0/24, start: 10.0.0.10, end: 10.0.0.99}]}
"#;

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

/// One machine with these addresses.
fn interface(number: u8, addresses: &[&str]) -> v1::Interface {
    let address = |text: &&str| v1::Address { address: (*text).into(), ..Default::default() };
    v1::Interface {
        mac: mac(number).to_string(),
        addresses: addresses.iter().map(address).collect(),
        ..Default::default()
    }
}

#[test]
fn what_the_inventory_the_hosts_file_a_server_or_a_router_has_is_taken() {
    let file = config::parse(FILE).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let pools = Pool::of(&file.dhcpd.v4.as_ref().unwrap().unknown.as_ref().unwrap().pools);
    let config = Config::new(&file).unwrap();
    let machines = vec![
        interface(1, &["10.0.0.11", "10.0.0.12", "10.0.0.9", "fd00::1"]), // of a record nobody can serve from, too
        interface(2, &["10.0.0.12", "10.0.0.13"]),
        interface(3, &["10.0.0.100"]),
    ];
    let replica = Replica::from_messages("", Vec::new(), machines, Vec::new(), v1::Freshness::default());
    let (hosts, bad) = Hosts::parse(
        "02:00:00:00:00:02 10.0.0.13\n02:00:00:00:00:04 10.0.0.14\n02:00:00:00:00:05 10.0.0.11\n",
    );
    assert_eq!(bad, []);
    let ours = [OwnAddress { interface: 1, address: Ipv4Addr::new(10, 0, 0, 15), prefix_length: 24 }];
    let taken = taken(&ranges(&pools), &replica, &hosts, &ours, &config);
    let taken: BTreeMap<u8, Taker> =
        taken.into_iter().map(|(address, taker)| (address.octets()[3], taker)).collect();
    let others = [21, 22, 23, 24, 25, 26, 27, 28].map(|last| (last, Taker::Others));
    let wanted = [
        (11, Taker::Others), // the inventory and the file disagree
        (12, Taker::Others), // two machines
        (13, Taker::One(mac(2))),
        (14, Taker::One(mac(4))),
        (15, Taker::Others), // ours
    ];
    assert_eq!(taken, wanted.into_iter().chain(others).collect());
}

//! Which addresses of the pools belong to somebody, by everything that says so.

use super::{Pool, Taker};
use crate::{config::Config, decide::OwnAddress, hosts::Hosts};
use inventory::Replica;
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

/// Whose addresses of these ranges are: machines' of the inventory and of the hosts file, ours, routers', name servers'.
pub fn taken(
    ranges: &[RangeInclusive<Ipv4Addr>],
    replica: &Replica,
    hosts: &Hosts,
    ours: &[OwnAddress],
    config: &Config,
) -> HashMap<Ipv4Addr, Taker> {
    let covered = |address: &Ipv4Addr| ranges.iter().any(|range| range.contains(address));
    let mut taken: HashMap<Ipv4Addr, Taker> = HashMap::new();
    let mut claim = |address: Ipv4Addr, taker: Taker| match taken.entry(address) {
        Entry::Occupied(mut held) if *held.get() != taker => _ = held.insert(Taker::Others),
        Entry::Occupied(_) => {}
        Entry::Vacant(free) => _ = free.insert(taker),
    };
    for range in ranges {
        let range = IpAddr::V4(*range.start())..=IpAddr::V4(*range.end());
        for (address, holders) in replica.addresses_in(range) {
            let IpAddr::V4(address) = address else { continue };
            holders.iter().for_each(|holder| claim(address, Taker::One(holder.mac)));
        }
    }
    for (address, mac) in hosts.addresses().filter(|(address, _)| covered(address)) {
        claim(address, Taker::One(mac));
    }
    let own = ours.iter().map(|own| own.address).chain(config.reserved.iter().copied());
    own.filter(covered).for_each(|address| claim(address, Taker::Others));
    taken
}

/// The ranges of all pools.
pub fn ranges(pools: &[Pool]) -> Vec<RangeInclusive<Ipv4Addr>> {
    pools.iter().flat_map(Pool::ranges).collect()
}

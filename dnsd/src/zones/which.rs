//! Which zones there are.

use super::Zone;
use crate::{
    files::Hosts,
    reverse,
    wire::{suffixes, to_wire},
};
use config::{Config, Missing};
use inventory::Replica;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};
use values::Name;

/// Zones the file speaks of: the domain, each domain a rule names, those listed.
pub(super) fn configured(config: &Config) -> Vec<Name> {
    let global = config.domain.as_ref();
    let ruled = config.rules.iter().filter_map(|rule| rule.effective_domain(global));
    global
        .cloned()
        .into_iter()
        .chain(ruled)
        .chain(config.zones.iter().map(|zone| zone.name.clone()))
        .collect()
}

/// Zones whose misses are others' to answer: those that say so, and those nobody listed.
pub(super) fn mark_forwarding(
    zones: &mut HashMap<Box<[u8]>, Zone>,
    config: &Config,
    automatic: &BTreeSet<Box<[u8]>>,
) {
    let said = config.zones.iter().filter(|zone| zone.missing == Missing::Forward);
    for apex in said.map(|zone| to_wire(&zone.name)).chain(automatic.iter().cloned()) {
        if let Some(zone) = zones.get_mut(&apex) {
            zone.missing = Missing::Forward;
        }
    }
}

/// The /24s and /64s of known addresses that no other zone covers: of the inventory, and of hosts with a name of ours. Goes from
/// network to network, not from address to address.
pub(super) fn automatic(
    replica: &Replica,
    hosts: &Hosts,
    names: &BTreeSet<Box<[u8]>>,
) -> BTreeSet<Box<[u8]>> {
    let is_covered = |name: &[u8]| suffixes(name).any(|rest| names.contains(rest));
    let of_hosts = hosts.back.iter().filter(|(_, name)| is_covered(name));
    let of_hosts = of_hosts.map(|(address, _)| reverse::zone_of(*address));
    let mut zones: BTreeSet<Box<[u8]>> = of_hosts.filter(|zone| !is_covered(zone)).collect();
    let mut next = Some(IpAddr::from([0, 0, 0, 0]));
    while let Some(first) = next {
        let found = replica.addresses_in(first..=LAST).next();
        let Some((address, _)) = found else { break };
        let zone = reverse::zone_of(address);
        if !is_covered(&zone) {
            zones.insert(zone);
        }
        next = after_network(address);
    }
    zones
}

/// No address comes after it.
const LAST: IpAddr = IpAddr::V6(std::net::Ipv6Addr::from_bits(u128::MAX));

/// The first address after the /24 or /64 of this one; IPv6 comes after IPv4.
fn after_network(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let next = (address.to_bits() | 0xff).checked_add(1);
            Some(next.map_or(IpAddr::from([0u16; 8]), |next| IpAddr::V4(next.into())))
        }
        IpAddr::V6(address) => {
            let next = (address.to_bits() | u128::from(u64::MAX)).checked_add(1)?;
            Some(IpAddr::V6(next.into()))
        }
    }
}

pub(super) fn first_forward(names: &BTreeSet<Box<[u8]>>) -> Option<Box<[u8]>> {
    names.iter().find(|name| reverse::parse(name).is_none()).cloned()
}

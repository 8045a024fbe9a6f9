//! Everything our zones hold, by name: what queries are answered from in place, and what transfers copy.
//!
//! Made of what `decide` would say name by name, for the static records and the inventory together. A name that only exists
//! because of others (an empty non-terminal) has no sets. The SOA is not here: it belongs to the zone.

use crate::{
    decide::POSITIVE_TTL,
    reverse,
    wire::{RrSet, kind, push_name, suffixes, to_wire},
    zones::{Zone, Zones},
};
use inventory::Replica;
use std::{collections::HashMap, net::IpAddr};

/// Every name of every zone.
#[derive(Debug, Default)]
pub struct Ready {
    nodes: HashMap<Box<[u8]>, Vec<RrSet>>,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy)]
pub struct Node<'r> {
    sets: &'r [RrSet],
}

impl<'r> Node<'r> {
    /// Its records, by type; none: the name only exists because of names below it.
    pub fn sets(&self) -> impl Iterator<Item = Set<'r>> + use<'r> {
        self.sets.iter().map(|set| Set { set })
    }
}

/// Records of one type.
#[derive(Debug, Clone, Copy)]
pub struct Set<'r> {
    set: &'r RrSet,
}

impl<'r> Set<'r> {
    /// Type number.
    pub fn kind(&self) -> u16 {
        self.set.kind
    }

    /// Seconds.
    pub fn ttl(&self) -> u32 {
        self.set.ttl
    }

    /// RDATA of each record, uncompressed.
    pub fn data(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        self.set.data.iter().map(|data| &**data)
    }
}

impl Ready {
    /// All of it.
    pub fn build(zones: &Zones, replica: &Replica) -> Ready {
        let mut ready = Ready::default();
        for name in replica.names() {
            let owner = to_wire(name);
            if zones.find(&owner).is_some_and(|zone| !zone.reverse) {
                let bearers = replica.name(name.as_str());
                let addresses = bearers.map(|bearers| bearers.addresses.clone()).unwrap_or_default();
                ready.nodes.insert(owner, address_sets(&addresses));
            }
        }
        for (address, holders) in replica.addresses() {
            let owner = reverse::name_of(address);
            let Some(zone) = zones.find(&owner) else { continue };
            let entries = holders.iter().filter_map(|interface| interface.address(address));
            let name = entries.filter_map(|entry| entry.names.first()).next();
            let pointer = name.map(|name| {
                let mut data = Vec::new();
                push_name(name, &mut data);
                RrSet { kind: kind::PTR, ttl: POSITIVE_TTL, data: vec![data.into()] }
            });
            for parent in suffixes(&owner).skip(1).take_while(|rest| rest.len() > zone.apex.len()) {
                ready.nodes.entry(parent.into()).or_default();
            }
            ready.nodes.insert(owner, pointer.into_iter().collect());
        }
        ready.add_static(zones);
        ready
    }

    /// A type that stands in the configuration replaces the inventory's; an alias replaces all.
    fn add_static(&mut self, zones: &Zones) {
        for owner in zones.records.owners() {
            let Some(node) = zones.records.node(&owner).filter(|_| zones.find(&owner).is_some()) else {
                continue;
            };
            let sets = self.nodes.entry(owner).or_default();
            sets.retain(|set| node.alias.is_none() && node.set(set.kind).is_none());
            sets.extend(node.sets.iter().cloned());
        }
        for zone in zones.iter() {
            let sets = self.nodes.entry(zone.apex.clone()).or_default();
            sets.retain(|set| set.kind != kind::NS);
            sets.push(zone.ns.clone());
        }
    }

    /// What stands at this name (wire form, lower case); `None`: there is no such name in our zones.
    pub fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        self.nodes.get(name).map(|sets| Node { sets })
    }

    /// Every name of this zone, also those at and below a delegation, in no order.
    pub fn nodes_of<'r>(
        &'r self,
        zones: &'r Zones,
        zone: &'r Zone,
    ) -> impl Iterator<Item = (&'r [u8], Node<'r>)> {
        let in_zone = move |owner: &[u8]| zones.find(owner).is_some_and(|found| found.apex == zone.apex);
        let nodes = self.nodes.iter().filter(move |(owner, _)| in_zone(owner));
        nodes.map(|(owner, sets)| (&**owner, Node { sets }))
    }
}

fn address_sets(addresses: &[IpAddr]) -> Vec<RrSet> {
    let of = |v4: bool, kind: u16| {
        let data: Vec<Box<[u8]>> = addresses
            .iter()
            .filter(|address| address.is_ipv4() == v4)
            .map(|address| match address {
                IpAddr::V4(address) => address.octets().into(),
                IpAddr::V6(address) => address.octets().into(),
            })
            .collect();
        (!data.is_empty()).then_some(RrSet { kind, ttl: POSITIVE_TTL, data })
    };
    of(true, kind::A).into_iter().chain(of(false, kind::AAAA)).collect()
}

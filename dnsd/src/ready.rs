//! Everything our zones hold, by name: what queries are answered from in place, and what transfers copy.
//!
//! Made of what `decide` would say name by name, for the static records and the inventory together. A name that only exists
//! because of others (an empty non-terminal) has no sets. The SOA is not here: it belongs to the zone.

use crate::{
    contents, reverse,
    wire::{RrSet, kind, suffixes, to_wire},
    zones::{Zone, Zones},
};
use inventory::{Holders, Replica};
use std::collections::HashMap;

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
                let sets = bearers.map(|bearers| contents::of_name(&bearers)).unwrap_or_default();
                ready.nodes.insert(owner, sets);
            }
        }
        for (address, holders) in replica.addresses() {
            let owner = reverse::name_of(address);
            let Some(zone) = zones.find(&owner) else { continue };
            let holders = Holders { interfaces: holders.to_vec() };
            let pointer = contents::of_address(&holders, address);
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

//! Everything our zones hold, by name: what queries are answered from in place, and what transfers copy.
//!
//! Made of what `decide` would say name by name, from the static records and the inventory together. A name that only exists
//! because of others (an empty non-terminal) has no sets. The SOA is not here: it belongs to the zone, and changes with it.
//!
//! A new generation of the inventory brings a new one, which shares with the one before all that did not change.

mod answer;
mod entry;
mod table;

pub use answer::{Burst, Placed, answer};
pub use entry::Set;

use crate::{
    contents, reverse,
    wire::{HostText, RrSet, kind, suffixes, to_wire},
    zones::{Zone, Zones},
};
use entry::Builder;
use inventory::{Changed, Replica};
use std::{collections::HashSet, fmt};
use table::Table;

/// Every name of every zone.
#[derive(Clone, Default)]
pub struct Ready {
    table: Table,
    /// Digest of what each zone holds, by its number.
    digests: Vec<u64>,
}

/// What stands at a name.
#[derive(Clone, Copy)]
pub struct Node<'r> {
    entry: &'r [u8],
}

impl<'r> Node<'r> {
    /// Its records, by type; none: the name only exists because of names below it.
    pub fn sets(&self) -> impl Iterator<Item = Set<'r>> + use<'r> {
        entry::sets(self.entry)
    }
}

impl Ready {
    /// All of it. What `before` holds is kept where it is the same.
    pub fn build(zones: &Zones, replica: &Replica, before: Option<&Zones>) -> Ready {
        let before = before.filter(|before| zones.differ_by_addresses_only(before));
        let changed = before.and_then(|before| Some((before, replica.changed_since(before.replica())?)));
        let mut buffer = Vec::new();
        let Some((before, changed)) = changed else {
            let mut ready = Ready { table: all(zones, replica), digests: vec![0; zones.numbers()] };
            for entry in ready.table.iter() {
                let digest = &mut ready.digests[usize::from(entry::zone(entry))];
                *digest = digest.wrapping_add(digest_of(entry, &mut buffer));
            }
            return ready;
        };
        let Ready { mut table, mut digests } = before.ready.clone();
        digests.resize(digests.len().max(zones.numbers()), 0);
        let mut names = touched(&changed, &[zones, before]);
        names.sort_unstable();
        names.dedup();
        // A sum: order does not matter, and what comes or goes is added or taken away.
        table.change(names.into_iter().map(|name| {
            if let Some(gone) = before.ready.entry(&name) {
                let digest = &mut digests[usize::from(entry::zone(gone))];
                *digest = digest.wrapping_sub(digest_of(gone, &mut buffer));
            }
            let mut entry = Vec::new();
            let exists = put(zones, replica, &name, &mut entry);
            if exists {
                let digest = &mut digests[usize::from(entry::zone(&entry))];
                *digest = digest.wrapping_add(digest_of(&entry, &mut buffer));
            }
            (name, exists.then(|| entry.into()))
        }));
        Ready { table, digests }
    }

    /// Digest of all records of a zone, SOA excepted: the same content has the same, on any machine.
    pub fn digest(&self, zone: &Zone) -> u64 {
        self.digests.get(usize::from(zone.number)).copied().unwrap_or_default()
    }

    /// What stands at this name (wire form, lower case); `None`: there is no such name in our zones.
    pub fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        self.entry(name).map(|entry| Node { entry })
    }

    fn entry(&self, name: &[u8]) -> Option<&[u8]> {
        self.table.get(self.table.hash(name), name)
    }

    /// Every name of this zone, also those at and below a delegation, in no order.
    pub fn nodes_of<'r>(&'r self, zone: &'r Zone) -> impl Iterator<Item = (&'r [u8], Node<'r>)> {
        let entries = self.table.iter().filter(|entry| entry::zone(entry) == zone.number);
        entries.map(|entry| (entry::name(entry), Node { entry }))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("names", &self.len()).finish_non_exhaustive()
    }
}

/// Digest of the records of a name: the sum of those of owner, type, TTL and data of each.
fn digest_of(entry: &[u8], buffer: &mut Vec<u8>) -> u64 {
    let records = entry::sets(entry).flat_map(|set| set.data().map(move |data| (set, data)));
    records.fold(0, |sum: u64, (set, data)| {
        sum.wrapping_add(record_digest(entry::name(entry), set.kind(), set.ttl(), data, buffer))
    })
}

/// Of one record.
pub(crate) fn record_digest(owner: &[u8], kind: u16, ttl: u32, data: &[u8], buffer: &mut Vec<u8>) -> u64 {
    buffer.clear();
    buffer.extend_from_slice(owner);
    buffer.extend_from_slice(&kind.to_be_bytes());
    buffer.extend_from_slice(&ttl.to_be_bytes());
    buffer.extend_from_slice(data);
    xxhash_rust::xxh3::xxh3_64(buffer)
}

/// Every name that there is, written into one piece of memory that is given back whole.
fn all(zones: &Zones, replica: &Replica) -> Table {
    let mut entries = Vec::new();
    for name in replica.names() {
        put(zones, replica, &to_wire(name), &mut entries);
    }
    let mut names = Vec::new();
    for (address, _) in replica.addresses() {
        with_parents(reverse::name_of(address), &[zones], &mut names);
        // The last one is kept for its parents.
        for name in names.drain(..names.len().saturating_sub(1)) {
            put(zones, replica, &name, &mut entries);
        }
    }
    names.extend(zones.records.owners());
    names.extend(zones.iter().map(|zone| zone.apex.clone()));
    for name in names {
        put(zones, replica, &name, &mut entries);
    }
    Table::of(&entries)
}

/// Names that may have changed between two generations.
fn touched(changed: &Changed, zones: &[&Zones; 2]) -> Vec<Box<[u8]>> {
    let mut names: Vec<Box<[u8]>> = changed.names.iter().map(to_wire).collect();
    for address in &changed.addresses {
        with_parents(reverse::name_of(*address), zones, &mut names);
    }
    let [after, before] = zones;
    let apexes: HashSet<&[u8]> = other_zones(after, before).chain(other_zones(before, after)).collect();
    if !apexes.is_empty() {
        // Static records are the same in both, but served only while there is a zone around them.
        let is_in = |owner: &[u8]| suffixes(owner).any(|rest| apexes.contains(rest));
        names.extend(after.records.owners().into_iter().filter(|owner| is_in(owner)));
        names.extend(apexes.into_iter().map(Box::from));
    }
    names
}

/// Apexes of zones that are not in `others`, or there with other name servers: those of known addresses come and go with them.
fn other_zones<'z>(zones: &'z Zones, others: &'z Zones) -> impl Iterator<Item = &'z [u8]> {
    let is_same = |zone: &Zone| others.zone(&zone.apex).is_some_and(|other| other.ns == zone.ns);
    zones.iter().filter(move |zone| !is_same(zone)).map(|zone| &*zone.apex)
}

/// A reverse name and those above it that may exist because of it. Neighbours share their parents, which come once, then.
fn with_parents(name: Box<[u8]>, zones: &[&Zones], names: &mut Vec<Box<[u8]>>) {
    let apex = zones.iter().filter_map(|zones| zones.find(&name)).map(|zone| zone.apex.len()).min();
    let Some(apex) = apex else { return };
    let last = names.last().cloned().unwrap_or_default();
    for parent in suffixes(&name).skip(1).take_while(|rest| rest.len() > apex) {
        if !suffixes(&last).any(|shared| shared == parent) {
            names.push(parent.into());
        }
    }
    names.push(name);
}

/// Writes what stands at a name, as `decide` would say it; false: nothing, and nothing below it.
fn put(zones: &Zones, replica: &Replica, name: &[u8], entries: &mut Vec<u8>) -> bool {
    let Some(zone) = zones.find(name) else { return false };
    let own = zones.records.node(name);
    let at_apex = *name == *zone.apex;
    let held = held(zones, zone, replica, name);
    if own.is_none() && held.is_none() && !at_apex {
        return false;
    }
    let is_cut = zones.records.cut(&zone.apex, name).is_some();
    let alias = own.is_some_and(|own| own.alias.is_some()) && !at_apex;
    let mut flags = if is_cut || alias { entry::NOT_IN_PLACE } else { 0 };
    flags |= if at_apex { entry::APEX } else { 0 };
    let mut entry = Builder::new(entries, name, flags, zone.number);
    let mut put = |set: &RrSet| entry.set(set.kind, set.ttl, &set.data);
    let replaced = |kind| own.is_some_and(|own| own.set(kind).is_some());
    // Below a delegation the inventory has no say; what stands there is glue.
    let held = held.filter(|_| flags & entry::NOT_IN_PLACE == 0);
    held.iter().flatten().filter(|set| !replaced(set.kind)).for_each(&mut put);
    if at_apex {
        put(&zone.ns);
    }
    let own = own.iter().flat_map(|own| &own.sets);
    own.filter(|set| !(at_apex && matches!(set.kind, kind::NS | kind::CNAME))).for_each(put);
    entry.finish();
    true
}

/// What the inventory has there; `None`: it does not know the name.
fn held(zones: &Zones, zone: &Zone, replica: &Replica, name: &[u8]) -> Option<Vec<RrSet>> {
    if !zone.reverse {
        let bearers = replica.name(HostText::of(name)?.as_str())?;
        return Some(contents::of_name(&bearers, zones.node_txt));
    }
    match reverse::parse(name)? {
        reverse::Reverse::Address(address) => {
            let holders = replica.address(&address)?;
            Some(contents::of_address(&holders, address, zones.pointer).into_iter().collect())
        }
        reverse::Reverse::Prefix(range) => replica.has_address_in(range).then(Vec::new),
        reverse::Reverse::Nothing => None,
    }
}

#[cfg(test)]
mod tests;

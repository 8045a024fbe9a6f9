//! Where in a snapshot a key is found.

use super::{
    Component, Entry, Interface,
    keys::{TextMap, TextSet},
};
use crate::naming::Zone;
use std::net::IpAddr;
use values::Name;

/// Position of the component that bears a name; `None`: nobody does, it is an empty non-terminal.
pub type NameMap = TextMap<Name, Option<u32>>;

/// Positions in a snapshot's two lists.
#[derive(Debug, Default)]
pub struct Index {
    /// In order, with the position of the interface.
    addresses: Vec<(IpAddr, u32)>,
    pub names: NameMap,
    /// Positions of interfaces, ordered by component.
    by_component: Vec<u32>,
    /// Where in `by_component` each component's begin; one more than there are components.
    starts: Vec<u32>,
    pub counts: Counts,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// By MAC.
    pub interfaces: usize,
    /// By xname.
    pub components: usize,
    /// Addresses, of all interfaces.
    pub addresses: usize,
    /// Names that somebody bears.
    pub names: usize,
    /// Interfaces with a component and a usable address: what DHCP can serve.
    pub servable_interfaces: usize,
}

impl Index {
    /// `owners`: for each interface the position of its component. `names`: those that somebody bears.
    pub fn new(
        interfaces: &[Entry<Interface>],
        components: &[Entry<Component>],
        owners: &[Option<u32>],
        names: NameMap,
        zones: &[Zone],
    ) -> Index {
        let mut index = Index { names, ..Index::default() };
        index.index_owners(owners, components.len());
        index.index_addresses(interfaces);
        index.counts = Counts {
            interfaces: interfaces.len(),
            components: components.len(),
            addresses: index.addresses.len(),
            names: index.names.len(),
            servable_interfaces: interfaces
                .iter()
                .zip(owners)
                .filter(|(entry, owner)| owner.is_some() && !entry.item.addresses.is_empty())
                .count(),
        };
        index.index_parents(zones);
        index
    }

    /// Positions of the interfaces with this address.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        let first = self.addresses.partition_point(|(held, _)| *held < address);
        let same = self.addresses[first..].iter().take_while(move |(held, _)| *held == address);
        same.map(|(_, position)| *position as usize)
    }

    /// Positions of the interfaces of the component at this position.
    pub fn interfaces_of(&self, component: usize) -> &[u32] {
        &self.by_component[self.starts[component] as usize..self.starts[component + 1] as usize]
    }

    fn index_owners(&mut self, owners: &[Option<u32>], components: usize) {
        let mut pairs: Vec<(u32, u32)> =
            owners.iter().zip(0..).filter_map(|(owner, position)| Some(((*owner)?, position))).collect();
        pairs.sort_unstable();
        self.starts = (0..=components as u32)
            .map(|id| pairs.partition_point(|(owner, _)| *owner < id) as u32)
            .collect();
        self.by_component = pairs.into_iter().map(|(_, interface)| interface).collect();
    }

    fn index_addresses(&mut self, interfaces: &[Entry<Interface>]) {
        for (entry, position) in interfaces.iter().zip(0..) {
            self.addresses.extend(entry.item.addresses.iter().map(|address| (address.address, position)));
        }
        self.addresses.sort_unstable();
    }

    /// Names that nobody bears but that stand between a name and its zone.
    fn index_parents(&mut self, zones: &[Zone]) {
        let apexes: Apexes = zones.iter().map(|zone| zone.name.as_str()).collect();
        let mut parents: TextSet<&str> = TextSet::default();
        for name in self.names.keys().map(Name::as_str) {
            parents.extend(parents_within(name, &apexes));
        }
        let missing: Vec<Name> = parents
            .into_iter()
            .filter(|parent| !self.names.contains_key(*parent))
            .filter_map(|parent| parent.parse().ok())
            .collect();
        self.names.extend(missing.into_iter().map(|name| (name, None)));
    }
}

type Apexes<'a> = TextSet<&'a str>;

/// From the name's parent up to, and without, the apex of its zone; none where it is in no zone.
fn parents_within<'a>(name: &'a str, apexes: &Apexes<'_>) -> impl Iterator<Item = &'a str> {
    let parent = |name: &&'a str| name.split_once('.').map(|(_, parent)| parent);
    let ancestors = move || std::iter::successors(parent(&name), parent);
    let distance = ancestors().position(|ancestor| apexes.contains(ancestor)).unwrap_or(0);
    ancestors().take(distance)
}

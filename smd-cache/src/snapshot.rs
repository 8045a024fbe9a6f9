//! One indexed, named, immutable picture of SMD.
//!
//! `build(records, naming, previous, now)` is pure and total: whatever SMD holds, there is a snapshot, and a list of what is
//! wrong. Unchanged items are shared with the previous snapshot.

mod build;
mod change;
mod claims;
pub mod contract;
mod digest;
mod index;
mod items;
mod judged;
mod keys;
mod legacy;
mod names;
mod nics;
mod patch;
mod sorted;
mod zones;

pub use build::build;
pub use change::Change;
pub use digest::Digest;
pub use index::Counts;
pub use items::{Address, Component, Interface, Traits};
pub use legacy::{Legacy, LegacyZone};
pub use patch::{Touched, patch};
pub use zones::ZoneSerial;

use index::Index;
use judged::Known;
use legacy::Holders;
use sorted::{Keyed, Sorted};
use std::{cmp::Ordering, net::IpAddr, sync::Arc};
use values::{Mac, Name, Xname};

/// Everything that can be looked up, at one generation.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    generation: u64,
    digest: Digest,
    domain: Option<Name>,
    zones: Vec<ZoneSerial>,
    /// Whether `enabled` is part of the components' digests.
    with_enabled: bool,
    /// By MAC.
    interfaces: Sorted<Entry<Interface>>,
    /// By xname.
    components: Sorted<Entry<Component>>,
    index: Index,
    /// What items share.
    known: Known,
    /// Where it is what is left of one before a restart.
    holders: Option<Arc<Holders>>,
}

/// Who bears a name. A name belongs to at most one component.
#[derive(Debug, Clone, PartialEq)]
pub enum Bearer<'a> {
    /// Nobody, and nobody bears a name below it.
    Nobody,
    /// Nobody, but somebody bears a name below it (an empty non-terminal).
    Parent,
    /// This component; with the interfaces that have an address of this name (none: NODATA).
    Component(&'a Arc<Component>, Vec<&'a Arc<Interface>>),
}

/// An item with the hash of what counts as its content.
#[derive(Debug)]
struct Entry<T> {
    item: Arc<T>,
    digest: Digest,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Entry<T> {
        Entry { item: self.item.clone(), digest: self.digest }
    }
}

impl<T: Keyed> Keyed for Entry<T> {
    fn order(&self, other: &Self) -> Ordering {
        self.item.order(&other.item)
    }
}

impl Snapshot {
    /// Grows by one with each change of content; 1 for the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Of the content: all but `state`, `flag`, `last_update` and, where no rule matches on it, `enabled`.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        self.domain.as_ref()
    }

    /// All zones with their serials.
    pub fn zones(&self) -> &[ZoneSerial] {
        &self.zones
    }

    /// The interface with this MAC.
    pub fn interface(&self, mac: Mac) -> Option<&Arc<Interface>> {
        Some(&self.interface_entry(mac)?.item)
    }

    /// The component with this xname.
    pub fn component(&self, id: &Xname) -> Option<&Arc<Component>> {
        Some(&self.component_entry(id)?.item)
    }

    /// The interfaces of a component that exists, by MAC.
    pub fn interfaces_of(&self, id: &Xname) -> impl Iterator<Item = &Arc<Interface>> {
        let rows = self.component(id).into_iter().flat_map(|component| self.index.rows_of(&component.id));
        let owned = |interface: &&Arc<Interface>| interface.component_id.as_ref() == Some(id);
        rows.filter_map(|mac| self.interface(mac)).filter(owned)
    }

    /// The interfaces that hold this address, by MAC (several only within one component).
    pub fn by_address(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Interface>> {
        let claimants = self.index.claimants(address).filter_map(|mac| self.interface(mac));
        claimants.filter(move |interface| interface.holds(address))
    }

    /// Who bears this name.
    pub fn by_name(&self, name: &Name) -> Bearer<'_> {
        let borne = self.index.borne(name.as_str());
        match borne.and_then(|borne| self.component(&borne.id)) {
            Some(component) => {
                let with_name = |interface: &&Arc<Interface>| {
                    interface.addresses.iter().any(|address| address.bears(name))
                };
                Bearer::Component(component, self.interfaces_of(&component.id).filter(with_name).collect())
            }
            None if self.index.is_parent(name) => Bearer::Parent,
            None => Bearer::Nobody,
        }
    }

    /// All interfaces, by MAC.
    pub fn interfaces(&self) -> impl ExactSizeIterator<Item = &Arc<Interface>> {
        self.interfaces.iter().map(|entry| &entry.item)
    }

    /// All components, by xname.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &Arc<Component>> {
        self.components.iter().map(|entry| &entry.item)
    }

    /// The interfaces after this one, by MAC; none: all. For whoever goes through them in pieces: holding the snapshot and a
    /// key costs less than a list of them all.
    pub fn interfaces_after(&self, after: Option<Mac>) -> impl Iterator<Item = &Arc<Interface>> {
        let later = self.interfaces.from(move |entry| match after {
            Some(after) => entry.item.mac.cmp(&after).then(Ordering::Less),
            None => Ordering::Greater,
        });
        later.map(|entry| &entry.item)
    }

    /// Likewise the components, by xname.
    pub fn components_after(&self, after: Option<&Xname>) -> impl Iterator<Item = &Arc<Component>> {
        let later = self.components.from(move |entry| match after {
            Some(after) => entry.item.id.cmp(after).then(Ordering::Less),
            None => Ordering::Greater,
        });
        later.map(|entry| &entry.item)
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            interfaces: self.interfaces.len(),
            components: self.components.len(),
            addresses: self.index.claims.len() - self.index.lost.len(),
            names: self.index.names.len(),
            servable_interfaces: self.index.servable,
        }
    }

    fn interface_entry(&self, mac: Mac) -> Option<&Entry<Interface>> {
        self.interfaces.find(|entry| entry.item.mac.cmp(&mac))
    }

    fn component_entry(&self, id: &Xname) -> Option<&Entry<Component>> {
        self.components.find(|entry| entry.item.id.cmp(id))
    }
}

#[cfg(test)]
mod tests;

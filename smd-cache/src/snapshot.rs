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
mod keys;
mod legacy;
mod names;
mod zones;

pub use build::build;
pub use change::Change;
pub use digest::Digest;
pub use index::Counts;
pub use items::{Address, Component, Interface};
pub use legacy::{Legacy, LegacyZone};
pub use zones::ZoneSerial;

use index::Index;
use std::{net::IpAddr, sync::Arc};
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
    interfaces: Vec<Entry<Interface>>,
    /// By xname.
    components: Vec<Entry<Component>>,
    /// Positions in the two; shared as long as the content is the same.
    index: Arc<Index>,
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
        let position = self.interfaces.binary_search_by_key(&mac, |entry| entry.item.mac).ok()?;
        Some(&self.interfaces[position].item)
    }

    /// The component with this xname.
    pub fn component(&self, id: &Xname) -> Option<&Arc<Component>> {
        Some(&self.components[self.position(id)?].item)
    }

    /// The interfaces of a component that exists, by MAC.
    pub fn interfaces_of(&self, id: &Xname) -> impl Iterator<Item = &Arc<Interface>> {
        self.interfaces_at(self.position(id))
    }

    /// The interfaces that hold this address, by MAC (several only within one component).
    pub fn by_address(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Interface>> {
        self.index.holders(address).map(|position| &self.interfaces[position].item)
    }

    /// Who bears this name.
    pub fn by_name(&self, name: &Name) -> Bearer<'_> {
        match self.index.names.get(name) {
            None => Bearer::Nobody,
            Some(None) => Bearer::Parent,
            Some(&Some(position)) => {
                let with_name = |interface: &&Arc<Interface>| {
                    interface.addresses.iter().any(|address| address.bears(name))
                };
                let interfaces = self.interfaces_at(Some(position as usize)).filter(with_name).collect();
                Bearer::Component(&self.components[position as usize].item, interfaces)
            }
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

    /// How much there is.
    pub fn counts(&self) -> Counts {
        self.index.counts
    }

    /// Who holds a name.
    fn bearer_id(&self, name: &Name) -> Option<&Xname> {
        let position = (*self.index.names.get(name)?)?;
        Some(&self.components[position as usize].item.id)
    }

    fn position(&self, id: &Xname) -> Option<usize> {
        self.components.binary_search_by(|entry| entry.item.id.cmp(id)).ok()
    }

    fn interfaces_at(&self, component: Option<usize>) -> impl Iterator<Item = &Arc<Interface>> {
        let positions = component.map(|position| self.index.interfaces_of(position)).unwrap_or_default();
        positions.iter().map(|&position| &self.interfaces[position as usize].item)
    }
}

#[cfg(test)]
mod tests;

//! One indexed, named, immutable picture of SMD.
//!
//! `build(records, naming, previous, now)` is pure and total: whatever SMD holds, there is a snapshot, and a list of what is
//! wrong. Unchanged items are shared with the previous snapshot.

pub mod contract;
mod items;

pub use items::{Address, Component, Interface};

use crate::{
    naming::Naming,
    records::{Problem, Records},
};
use jiff::Timestamp;
use std::{fmt, net::IpAddr, sync::Arc};
use values::{Mac, Name, Xname};

/// Sum of the hashes of all items; independent of their order. Prints as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A zone and its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSerial {
    /// Its apex.
    pub name: Name,
    /// Grows when a record of the zone changes.
    pub serial: u32,
    /// Hash of its records.
    digest: Digest,
}

/// Everything that can be looked up, at one generation.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {}

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

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// By MAC.
    pub interfaces: usize,
    /// By xname.
    pub components: usize,
    /// Addresses, of all interfaces.
    pub addresses: usize,
    /// DNS names.
    pub names: usize,
    /// Interfaces with a component and a usable address: what DHCP can serve.
    pub servable_interfaces: usize,
}

/// What leads from one snapshot to another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// New or different, by MAC.
    pub put_interfaces: Vec<Arc<Interface>>,
    /// Gone.
    pub removed_macs: Vec<Mac>,
    /// New or different, by xname.
    pub put_components: Vec<Arc<Component>>,
    /// Gone.
    pub removed_ids: Vec<Xname>,
}

/// Builds the snapshot. `previous` says who holds contested keys, gives the generation and serials, and shares its items.
/// `now` is only looked at for the serial of a zone that changed. Problems come in a fixed order and include those of the
/// records.
pub fn build(
    _records: &Records,
    _naming: &Naming,
    _previous: Option<&Snapshot>,
    _now: Timestamp,
) -> (Snapshot, Vec<Problem>) {
    todo!()
}

impl Snapshot {
    /// Grows by one with each change of content; 1 for the first.
    pub fn generation(&self) -> u64 {
        todo!()
    }

    /// Of the content: all but `state`, `flag`, `last_update` and, where no rule matches on it, `enabled`.
    pub fn digest(&self) -> Digest {
        todo!()
    }

    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        todo!()
    }

    /// All zones with their serials.
    pub fn zones(&self) -> &[ZoneSerial] {
        todo!()
    }

    /// The interface with this MAC.
    pub fn interface(&self, _mac: Mac) -> Option<&Arc<Interface>> {
        todo!()
    }

    /// The component with this xname.
    pub fn component(&self, _id: &Xname) -> Option<&Arc<Component>> {
        todo!()
    }

    /// The interfaces of a component that exists, by MAC.
    pub fn interfaces_of(&self, _id: &Xname) -> impl Iterator<Item = &Arc<Interface>> {
        std::iter::empty()
    }

    /// The interfaces that hold this address, by MAC (several only within one component).
    pub fn by_address(&self, _address: IpAddr) -> impl Iterator<Item = &Arc<Interface>> {
        std::iter::empty()
    }

    /// Who bears this name.
    pub fn by_name(&self, _name: &Name) -> Bearer<'_> {
        todo!()
    }

    /// All interfaces, by MAC.
    pub fn interfaces(&self) -> impl ExactSizeIterator<Item = &Arc<Interface>> {
        std::iter::empty()
    }

    /// All components, by xname.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &Arc<Component>> {
        std::iter::empty()
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        todo!()
    }

    /// What leads from `older` to this one. Both may be of any age. Empty where the digests are equal.
    pub fn change_from(&self, _older: &Snapshot) -> Change {
        todo!()
    }
}

//! The index by name, with empty non-terminals: parents of names that exist must be NODATA, not NXDOMAIN (RFC 8020).
//!
//! An entry lives as long as something bears its name or a name directly below it exists; `below` counts those, so that
//! the removal of the last child undoes the parents that only existed because of it.

use crate::{
    few::{Few, Keyed},
    shards::Shards,
    types::{Component, Interface},
};
use std::{net::IpAddr, sync::Arc};
use values::{Mac, Name, Xname};

use crate::Bearers;

impl Keyed for Interface {
    type Key = Mac;
    fn key(&self) -> &Mac {
        &self.mac
    }
}
impl Keyed for Component {
    type Key = Xname;
    fn key(&self) -> &Xname {
        &self.id
    }
}

/// Names and what bears them; a clone shares everything until it is changed.
#[derive(Clone, Default)]
pub(crate) struct Names {
    entries: Shards<Name, Entry>,
}

#[derive(Clone, Default)]
struct Entry {
    interfaces: Few<Interface>,
    components: Few<Component>,
    below: u32,
}

impl Entry {
    fn is_gone(&self) -> bool {
        self.interfaces.is_empty() && self.components.is_empty() && self.below == 0
    }
}

impl Names {
    pub(crate) fn add_interface(&mut self, name: &Name, interface: &Arc<Interface>) {
        self.entry(name).interfaces.insert(interface.clone());
    }

    pub(crate) fn remove_interface(&mut self, name: &Name, mac: &Mac) {
        self.change(name, |entry| entry.interfaces.remove(mac));
    }

    pub(crate) fn add_component(&mut self, name: &Name, component: &Arc<Component>) {
        self.entry(name).components.insert(component.clone());
    }

    pub(crate) fn remove_component(&mut self, name: &Name, id: &Xname) {
        self.change(name, |entry| entry.components.remove(id));
    }

    /// The name as it is held already, so that equal names share their text.
    pub(crate) fn held(&self, text: &str) -> Option<Name> {
        self.entries.get_key_value(text).map(|(name, _)| name.clone())
    }

    /// What bears this name (lower case, no final dot).
    pub(crate) fn bearers(&self, name: &str) -> Option<Bearers> {
        let entry = self.entries.get(name)?;
        Some(bearers(name, entry.interfaces.as_slice(), entry.components.as_slice()))
    }

    /// Every name, empty non-terminals too, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Name> {
        self.entries.iter().map(|(name, _)| name)
    }

    /// Names that came, went, or are borne by something else than in `other`; as [`Shards::differences`].
    pub(crate) fn differences<'n>(&'n self, other: &'n Names) -> Option<Vec<&'n Name>> {
        let same =
            |one: &Entry, two: &Entry| one.interfaces == two.interfaces && one.components == two.components;
        self.entries.differences(&other.entries, same)
    }

    fn entry(&mut self, name: &Name) -> &mut Entry {
        if self.entries.get(name).is_none() {
            self.raise_parents(name);
        }
        self.entries.get_or_insert(name.clone(), Entry::default)
    }

    /// A name comes into being: its parents do, too, up to one that is there already.
    fn raise_parents(&mut self, name: &Name) {
        let mut ancestor = name.parent();
        while let Some(name) = ancestor {
            // Mostly the zone, for each of its names.
            if let Some(held) = self.entries.get_mut(&name) {
                held.below += 1;
                return;
            }
            ancestor = name.parent();
            self.entries.get_or_insert(name, Entry::default).below += 1;
        }
    }

    fn change(&mut self, name: &Name, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        change(entry);
        if !entry.is_gone() {
            return;
        }
        self.entries.remove(name);
        let mut ancestor = name.parent();
        while let Some(name) = ancestor {
            let Some(entry) = self.entries.get_mut(&name) else { return };
            entry.below = entry.below.saturating_sub(1);
            if !entry.is_gone() {
                return;
            }
            self.entries.remove(&name);
            ancestor = name.parent();
        }
    }
}

/// The answer for a name borne by addresses of these interfaces and by these components; the owners of the interfaces
/// belong to it. Nothing bears it: an empty non-terminal.
pub(crate) fn bearers(name: &str, interfaces: &[Arc<Interface>], components: &[Arc<Component>]) -> Bearers {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut bearing = components.to_vec();
    for interface in interfaces {
        for address in &interface.addresses {
            let borne = address.names.iter().any(|held| held.as_str() == name);
            if borne && !addresses.contains(&address.address) {
                addresses.push(address.address);
            }
        }
        if let Some(owner) = &interface.component
            && !bearing.iter().any(|held| held.id == owner.id)
        {
            bearing.push(owner.clone());
        }
    }
    bearing.sort_by(|a, b| a.id.cmp(&b.id));
    let empty_non_terminal = interfaces.is_empty() && components.is_empty();
    Bearers { addresses, components: bearing, empty_non_terminal }
}

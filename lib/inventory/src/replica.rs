//! The whole inventory in memory, immutable: a change makes the next one, which shares all that it does not touch.
//!
//! Persistent maps hold it (shards by name and id, trees by MAC and address, whose order is asked for), so that a clone
//! costs nothing, a change copies a few nodes, and readers of the old one are never disturbed. What thousands of records
//! have in common (roles, domains, policies) is held once.

use crate::{
    Bearers, Freshness, Holders,
    few::Few,
    names::Names,
    parse::{self, Parser},
    shards::Shards,
    text::Common,
    types::{Address, Component, Interface, Machine},
};
use imbl::ordmap::DiffItem;
use proto::v1;
use std::{fmt, net::IpAddr, ops::RangeInclusive, sync::Arc};
use values::{Mac, Name, Xname};

/// A whole snapshot, immutable.
#[derive(Clone, Default)]
pub struct Replica {
    complete: bool,
    freshness: Freshness,
    /// `freshness` as it was received, with instance and digest: what the next Watch sends.
    origin: Arc<v1::Freshness>,
    domain: Option<Name>,
    zones: Arc<[(Name, u32)]>,
    macs: imbl::OrdMap<Mac, Arc<Interface>>,
    addresses: imbl::OrdMap<IpAddr, Few<Interface>>,
    ids: Shards<Xname, Owner>,
    names: Names,
    common: Common,
    skipped: u64,
}

/// What changed from one replica to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Names that came, went, or lead elsewhere.
    pub names: Vec<Name>,
    /// Addresses that came, went, or are called otherwise.
    pub addresses: Vec<IpAddr>,
}

/// A component and what belongs to it; the interfaces may be known before it, or without it.
#[derive(Clone, Default)]
struct Owner {
    component: Option<Arc<Component>>,
    interfaces: Few<Interface>,
}

/// What a change or a part of a snapshot brings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    pub(crate) interfaces: Vec<v1::Interface>,
    pub(crate) removed_macs: Vec<String>,
    pub(crate) components: Vec<v1::Component>,
    pub(crate) removed_ids: Vec<String>,
}

impl Replica {
    /// Builds one from the messages of the contract. Interfaces need not carry their component when it is among
    /// `components`; what cannot be read is left out and counted in [`Replica::skipped`].
    pub fn from_messages(
        domain: &str,
        zones: Vec<v1::Zone>,
        interfaces: Vec<v1::Interface>,
        components: Vec<v1::Component>,
        freshness: v1::Freshness,
    ) -> Replica {
        let mut replica = Replica::default();
        replica.set_domain(domain);
        replica.set_zones(zones);
        replica.apply(Patch { interfaces, components, ..Patch::default() });
        replica.set_complete();
        replica.set_freshness(freshness);
        replica
    }

    /// Makes it the next generation; without `records` only what is said of zones and freshness.
    pub fn change(&mut self, change: v1::Change, records: bool) {
        if let Some(domain) = &change.domain {
            self.set_domain(domain);
        }
        if records {
            self.apply(Patch {
                interfaces: change.put_interfaces,
                removed_macs: change.removed_macs,
                components: change.put_components,
                removed_ids: change.removed_ids,
            });
        }
        self.set_zones(change.zones);
        self.set_freshness(change.freshness.unwrap_or_default());
    }

    /// A whole snapshot was received: what is not here is Unknown.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
    /// How fresh.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }
    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        self.domain.as_ref()
    }
    /// Zones smd-cache names, with their serials.
    pub fn zones(&self) -> &[(Name, u32)] {
        &self.zones
    }
    /// By MAC.
    pub fn mac(&self, mac: &Mac) -> Option<&Arc<Interface>> {
        self.macs.get(mac)
    }
    /// By address.
    pub fn address(&self, address: &IpAddr) -> Option<Arc<Holders>> {
        let holders = self.addresses.get(address)?;
        Some(Arc::new(Holders { interfaces: holders.as_slice().to_vec() }))
    }
    /// By name, in lower case without final dot; also empty non-terminals of forward names.
    pub fn name(&self, name: &str) -> Option<Arc<Bearers>> {
        self.names.bearers(name).map(Arc::new)
    }
    /// By xname.
    pub fn machine(&self, id: &str) -> Option<Arc<Machine>> {
        let owner = self.ids.get(id)?;
        let component = owner.component.clone()?;
        Some(Arc::new(Machine { component, interfaces: owner.interfaces.as_slice().to_vec() }))
    }
    /// Every name of a machine, and every parent of one, in no order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.all()
    }
    /// Every address and who holds it, in order.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &[Arc<Interface>])> {
        self.addresses.iter().map(|(address, holders)| (*address, holders.as_slice()))
    }
    /// What is not as it was in `before`, perhaps a little more. `None`: one does not come from the other by changes, or by too many,
    /// and everything may be different.
    pub fn changed_since(&self, before: &Replica) -> Option<Changed> {
        let names = self.names.differences(&before.names)?;
        let addresses = before.addresses.diff(&self.addresses).map(|difference| match difference {
            DiffItem::Add(address, _) | DiffItem::Remove(address, _) => *address,
            DiffItem::Update { new: (address, _), .. } => *address,
        });
        Some(Changed { names: names.into_iter().cloned().collect(), addresses: addresses.collect() })
    }
    /// Whether some known address lies in this prefix (empty non-terminals of reverse zones; automatic reverse zones).
    pub fn has_address_in(&self, prefix: RangeInclusive<IpAddr>) -> bool {
        prefix.start() <= prefix.end() && self.addresses.range(prefix).next().is_some()
    }
    /// The known addresses in a range, and who holds each.
    pub fn addresses_in(
        &self,
        range: RangeInclusive<IpAddr>,
    ) -> impl Iterator<Item = (IpAddr, &[Arc<Interface>])> {
        let is_range = range.start() <= range.end();
        let held = is_range.then(|| self.addresses.range(range)).into_iter().flatten();
        held.map(|(address, holders)| (*address, holders.as_slice()))
    }
    /// Every interface, by MAC.
    pub fn interfaces(&self) -> Box<dyn Iterator<Item = &Arc<Interface>> + '_> {
        Box::new(self.macs.values())
    }
    /// How many interfaces there are.
    pub fn interface_count(&self) -> usize {
        self.macs.len()
    }
    /// Every component, in no order.
    pub fn components(&self) -> impl Iterator<Item = &Arc<Component>> + '_ {
        self.ids.iter().filter_map(|(_, owner)| owner.component.as_ref())
    }
    /// How many parts of messages were left out because they could not be read.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What a Watch that continues this one sends.
    pub(crate) fn origin(&self) -> &v1::Freshness {
        &self.origin
    }

    pub(crate) fn set_freshness(&mut self, freshness: v1::Freshness) {
        self.freshness = parse::freshness(&freshness);
        self.origin = Arc::new(freshness);
    }

    /// Whatever smd-cache said of it: it may be out of reach, or about to send something newer.
    pub(crate) fn mark_stale(&mut self, stale: bool) {
        self.freshness.stale = stale;
    }

    pub(crate) fn set_complete(&mut self) {
        self.complete = true;
    }

    pub(crate) fn set_domain(&mut self, domain: &str) {
        self.domain = domain.parse().ok();
        self.skipped += u64::from(self.domain.is_none() && !domain.is_empty());
    }

    pub(crate) fn set_zones(&mut self, zones: Vec<v1::Zone>) {
        if let Some(zones) = self.read(|parser| Some(parser.zones(zones))) {
            self.zones = zones;
        }
    }

    /// Removals first, then components, then interfaces: a patch that moves a name or an address between records ends
    /// with the new holder alone.
    pub(crate) fn apply(&mut self, patch: Patch) {
        for mac in patch.removed_macs {
            if let Some(mac) = self.read(|parser| parser.text::<Mac>(&mac)) {
                self.replace(self.macs.get(&mac).cloned(), None);
            }
        }
        for id in patch.removed_ids {
            if let Some(id) = self.read(|parser| parser.text::<Xname>(&id)) {
                self.set_component(id, None);
            }
        }
        for message in patch.components {
            if let Some(component) = self.read(|parser| parser.component(message)) {
                self.set_component(component.id.clone(), Some(component));
            }
        }
        for message in patch.interfaces {
            if let Some(interface) = self.read(|parser| parser.interface(message)) {
                self.put_interface(interface);
            }
        }
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Parser<'_>) -> Option<T>) -> Option<T> {
        let held = |text: &str| self.names.held(text);
        let mut parser = Parser::new(&held, &mut self.common);
        let value = read(&mut parser);
        self.skipped += parser.skipped;
        value
    }

    fn put_interface(&mut self, mut interface: Interface) {
        if let Some(id) = &interface.component_id {
            // One that the message carried itself counts where the snapshot has none.
            match (self.ids.get_key_value(id), interface.component.take()) {
                (Some((id, Owner { component: Some(component), .. })), _) => {
                    let same = |address: &&mut Address| address.names == component.names;
                    for address in interface.addresses.iter_mut().filter(same) {
                        address.names = component.names.clone();
                    }
                    interface.component = Some(component.clone());
                    interface.component_id = Some(id.clone());
                }
                (_, Some(carried)) if carried.id == *id => {
                    self.set_component(id.clone(), Some((*carried).clone()));
                    interface.component = self.ids.get(id).and_then(|owner| owner.component.clone());
                }
                _ => {}
            }
        }
        let old = self.macs.get(&interface.mac).cloned();
        self.replace(old, Some(Arc::new(interface)));
    }

    /// The one place where an interface enters or leaves the indexes. The new one is in before what only the old one
    /// had is taken out, so that shared parents of names are not taken down and put up again.
    fn replace(&mut self, old: Option<Arc<Interface>>, new: Option<Arc<Interface>>) {
        if let Some(new) = &new {
            self.macs.insert(new.mac, new.clone());
            for address in &new.addresses {
                self.addresses.entry(address.address).or_default().insert(new.clone());
                address.names.iter().for_each(|name| self.names.add_interface(name, new));
            }
            if let Some(id) = &new.component_id {
                self.ids.get_or_insert(id.clone(), Owner::default).interfaces.insert(new.clone());
            }
        }
        let Some(old) = old else { return };
        if new.is_none() {
            self.macs.remove(&old.mac);
        }
        let kept = new.as_deref();
        for address in &old.addresses {
            if kept.is_none_or(|kept| kept.address(address.address).is_none()) {
                self.release_address(address.address, &old.mac);
            }
            for name in address.names.iter() {
                if kept.is_none_or(|kept| !kept.bears(name)) {
                    self.names.remove_interface(name, &old.mac);
                }
            }
        }
        if let Some(id) = &old.component_id
            && kept.is_none_or(|kept| kept.component_id.as_ref() != Some(id))
        {
            self.change_owner(id, |owner| owner.interfaces.remove(&old.mac));
        }
    }

    fn release_address(&mut self, address: IpAddr, mac: &Mac) {
        let Some(holders) = self.addresses.get_mut(&address) else { return };
        holders.remove(mac);
        if holders.is_empty() {
            self.addresses.remove(&address);
        }
    }

    fn change_owner(&mut self, id: &Xname, change: impl FnOnce(&mut Owner)) {
        let Some(owner) = self.ids.get_mut(id) else { return };
        change(owner);
        if owner.component.is_none() && owner.interfaces.is_empty() {
            self.ids.remove(id);
        }
    }

    /// Puts or removes a component; its interfaces follow.
    fn set_component(&mut self, id: Xname, component: Option<Component>) {
        let old = self.ids.get(&id).and_then(|owner| owner.component.clone());
        if old.as_deref() == component.as_ref() {
            return;
        }
        let new = component.map(Arc::new);
        if let Some(new) = &new {
            new.names.iter().for_each(|name| self.names.add_component(name, new));
            self.ids.get_or_insert(id.clone(), Owner::default);
        }
        for name in old.iter().flat_map(|old| old.names.iter()) {
            if new.as_ref().is_none_or(|new| !new.names.contains(name)) {
                self.names.remove_component(name, &id);
            }
        }
        let mut interfaces = Few::None;
        self.change_owner(&id, |owner| {
            owner.component = new.clone();
            interfaces = owner.interfaces.clone();
        });
        for interface in interfaces.as_slice() {
            let follows =
                Interface { component_id: Some(id.clone()), component: new.clone(), ..(**interface).clone() };
            self.replace(Some(interface.clone()), Some(Arc::new(follows)));
        }
    }
}

impl Interface {
    fn bears(&self, name: &Name) -> bool {
        self.addresses.iter().any(|address| address.names.contains(name))
    }
}

impl fmt::Debug for Replica {
    /// Its size; the content would fill screens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("complete", &self.complete)
            .field("freshness", &self.freshness)
            .field("interfaces", &self.macs.len())
            .field("components", &self.ids.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

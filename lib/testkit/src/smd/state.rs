//! The tables of the stand-in, and the writes that SMD allows on them.

use super::{
    rows::Rows,
    types::{Component, EthernetInterface, Group, Inventory, Partition},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// Everything stored. Times come from [`State::now`]: one writer at a time, never twice the same microsecond.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) interfaces: Rows<EthernetInterface>,
    pub(crate) components: Rows<Component>,
    pub(crate) groups: Vec<Group>,
    pub(crate) partitions: Vec<Partition>,
    /// Times the database's clock shows, one a write; the last one stays. Empty: the clock runs.
    pub(crate) clock: VecDeque<Timestamp>,
    /// How far the running clock is from ours; moved back, it shows times that were there before.
    pub(crate) clock_offset: SignedDuration,
    last: Timestamp,
}

impl State {
    /// What the database would write as `LastUpdate`.
    pub(crate) fn now(&mut self) -> Timestamp {
        if let Some(&told) = self.clock.front() {
            if self.clock.len() > 1 {
                self.clock.pop_front();
            }
            return told;
        }
        let shown = Timestamp::now().checked_add(self.clock_offset).unwrap_or_default();
        let micros = shown.as_microsecond().max(self.last.as_microsecond() + 1);
        self.last = Timestamp::from_microsecond(micros).expect("a clock this side of the year 9999");
        self.last
    }

    /// Sets the running clock so far from ours; also back.
    pub(crate) fn set_clock_offset(&mut self, offset: SignedDuration) {
        self.clock.clear();
        self.clock_offset = offset;
        self.last = Timestamp::default();
    }

    /// Loads rows as they are, without SMD's checks (as SQL would); rows of the same key are replaced.
    pub(crate) fn load(&mut self, inventory: Inventory) {
        for mut interface in inventory.interfaces {
            if interface.last_update == Timestamp::default() {
                interface.last_update = self.now();
            }
            if interface.id.is_empty() {
                interface.id = interface.mac.to_lowercase().replace([':', '-', '.'], "");
            }
            if interface.kind.is_empty() {
                interface.kind = super::xname::kind(&interface.component_id).unwrap_or_default().to_owned();
            }
            self.put_interface(interface);
        }
        for mut component in inventory.components {
            if component.kind.is_empty() {
                component.kind = super::xname::kind(&component.id).unwrap_or_default().to_owned();
            }
            component.enabled = component.enabled.or(Some(true));
            self.put_component(component);
        }
        for group in inventory.groups {
            self.groups.retain(|known| known.label != group.label);
            self.groups.push(group);
        }
    }

    /// Everything, in the form it can be loaded from.
    pub(crate) fn dump(&self) -> Inventory {
        Inventory {
            interfaces: self.interfaces.iter().cloned().collect(),
            components: self.components.iter().cloned().collect(),
            groups: self.groups.clone(),
        }
    }

    pub(crate) fn put_interface(&mut self, interface: EthernetInterface) {
        let key = interface.id.clone();
        self.interfaces.put(&key, interface);
    }

    pub(crate) fn put_component(&mut self, component: Component) {
        let key = component.id.clone();
        self.components.put(&key, component);
    }

    /// Changes an interface in place (so it moves to the end), with a new `LastUpdate` where `touch` says so.
    pub(crate) fn change_interface(
        &mut self,
        id: &str,
        touch: bool,
        change: impl FnOnce(&mut EthernetInterface),
    ) -> Option<EthernetInterface> {
        let mut interface = self.interfaces.find(id)?.clone();
        change(&mut interface);
        if touch {
            interface.last_update = self.now();
        }
        self.put_interface(interface.clone());
        Some(interface)
    }

    /// A deleted component leaves its groups, and its interfaces behind.
    pub(crate) fn remove_component(&mut self, id: &str) -> bool {
        for members in self
            .groups
            .iter_mut()
            .map(|g| &mut g.members)
            .chain(self.partitions.iter_mut().map(|p| &mut p.members))
        {
            members.ids.retain(|member| member != id);
        }
        self.components.remove(id).is_some()
    }

    /// The interface whose MAC is the same, however either is spelt.
    pub(crate) fn interface_id(&self, mac: &str) -> Option<String> {
        let digits = |text: &str| text.to_lowercase().replace([':', '-', '.'], "");
        let wanted = digits(mac);
        if self.interfaces.find(&wanted).is_some() {
            return Some(wanted);
        }
        self.interfaces.iter().find(|row| digits(&row.mac) == wanted).map(|row| row.id.clone())
    }
}

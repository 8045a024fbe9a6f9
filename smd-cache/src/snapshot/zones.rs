//! Serials: which zone's records changed.

use super::{
    Component, Entry, Interface, Snapshot,
    change::differences,
    digest::{Canonical, Digest},
    keys::TextMap,
    sorted::Sorted,
};
use crate::naming::Zone;
use jiff::Timestamp;
use std::{
    collections::HashMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr},
};
use values::Name;

/// A zone and its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSerial {
    /// Its apex.
    pub name: Name,
    /// Grows when a record of the zone changes.
    pub serial: u32,
    /// Hash of its records.
    pub records: Digest,
}

/// All zones; a serial that moves becomes max(previous + 1, Unix seconds), as does a new one. `records`: by zone.
pub fn serials(
    zones: &[Zone],
    previous: &[ZoneSerial],
    records: Vec<Digest>,
    now: Timestamp,
) -> Vec<ZoneSerial> {
    let seconds = u32::try_from(now.as_second()).unwrap_or(0);
    let known: HashMap<&Name, &ZoneSerial> = previous.iter().map(|zone| (&zone.name, zone)).collect();
    let serial = |(zone, records): (&Zone, Digest)| match known.get(&zone.name) {
        Some(before) if before.records == records => (*before).clone(),
        before => {
            let next = before.map_or(0, |before| before.serial.saturating_add(1));
            ZoneSerial { name: zone.name.clone(), serial: next.max(seconds), records }
        }
    };
    zones.iter().zip(records).map(serial).collect()
}

/// The hash of each zone's records. Only items that differ from the previous snapshot's are looked at.
pub fn digests(
    zones: &[Zone],
    previous: &Snapshot,
    interfaces: &Sorted<Entry<Interface>>,
    components: &Sorted<Entry<Component>>,
) -> Vec<Digest> {
    // What is left of a snapshot before a restart has zones and no items.
    let going_on = previous.holders.is_none().then(|| Sums::after(zones, &previous.zones)).flatten();
    let nothing = Snapshot::default();
    let before = if going_on.is_some() { previous } else { &nothing };
    let mut sums = going_on.unwrap_or_else(|| Sums::new(zones));
    differences(&before.interfaces, interfaces, |before, after| {
        before.into_iter().for_each(|entry| sums.without_interface(&entry.item));
        after.into_iter().for_each(|entry| sums.interface(&entry.item));
    });
    differences(&before.components, components, |before, after| {
        before.into_iter().for_each(|entry| sums.without_component(&entry.item));
        after.into_iter().for_each(|entry| sums.component(&entry.item));
    });
    sums.digests
}

/// Hashes of zones' records that items are added to and taken from.
pub struct Sums<'a> {
    zones: TextMap<&'a str, usize>,
    has_reverse: bool,
    pub digests: Vec<Digest>,
    negative: bool,
    canonical: Canonical,
    reverse: String,
}

impl<'a> Sums<'a> {
    pub fn new(zones: &'a [Zone]) -> Sums<'a> {
        Sums {
            zones: zones.iter().map(|zone| zone.name.as_str()).zip(0..).collect(),
            has_reverse: zones.iter().any(|zone| crate::naming::is_reverse(&zone.name)),
            digests: vec![Digest::default(); zones.len()],
            negative: false,
            canonical: Canonical::default(),
            reverse: String::new(),
        }
    }

    /// Beginning with what these zones had, where they are the same.
    pub fn after(zones: &'a [Zone], previous: &[ZoneSerial]) -> Option<Sums<'a>> {
        let same = previous.iter().map(|zone| &zone.name).eq(zones.iter().map(|zone| &zone.name));
        let digests = previous.iter().map(|zone| zone.records).collect();
        same.then(|| Sums { digests, ..Sums::new(zones) })
    }

    pub fn interface(&mut self, interface: &Interface) {
        for address in &interface.addresses {
            let mut data = [0; 17];
            match address.address {
                IpAddr::V4(v4) => data[..4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => data[..16].copy_from_slice(&v6.octets()),
            }
            data[16] = if address.address.is_ipv4() { 4 } else { 6 };
            for name in address.names.iter() {
                self.add(name.as_str(), &data);
            }
            if let Some(canonical) = address.names.first() {
                self.add_reverse(address.address, canonical);
            }
        }
    }

    pub fn without_interface(&mut self, interface: &Interface) {
        self.negated(|sums| sums.interface(interface));
    }

    /// That its names exist, with or without addresses.
    pub fn component(&mut self, component: &Component) {
        for name in component.names.iter() {
            self.add(name.as_str(), &[]);
        }
    }

    pub fn without_component(&mut self, component: &Component) {
        self.negated(|sums| sums.component(component));
    }

    fn negated(&mut self, add: impl FnOnce(&mut Self)) {
        self.negative = !self.negative;
        add(self);
        self.negative = !self.negative;
    }

    fn add(&mut self, name: &str, data: &[u8]) {
        if let Some(zone) = self.zone_of(name) {
            let (sum, record) = (self.digests[zone], self.canonical.record(name, data));
            self.digests[zone] = if self.negative { sum - record } else { sum + record };
        }
    }

    fn add_reverse(&mut self, address: IpAddr, canonical: &Name) {
        if self.has_reverse {
            let mut reverse = std::mem::take(&mut self.reverse);
            write_reverse(&mut reverse, address);
            self.add(&reverse, canonical.as_str().as_bytes());
            self.reverse = reverse;
        }
    }

    /// The one with the longest apex.
    fn zone_of(&self, name: &str) -> Option<usize> {
        let mut candidate = Some(name);
        while let Some(apex) = candidate {
            if let Some(&zone) = self.zones.get(apex) {
                return Some(zone);
            }
            candidate = apex.split_once('.').map(|(_, parent)| parent);
        }
        None
    }
}

/// RFC 1035 §3.5, RFC 3596 §2.5.
fn write_reverse(text: &mut String, address: IpAddr) {
    text.clear();
    let written = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            write!(text, "{}.in-addr.arpa", Ipv4Addr::new(d, c, b, a))
        }
        IpAddr::V6(v6) => {
            for byte in v6.octets().iter().rev() {
                let digits = [byte & 15, byte >> 4].map(|nibble| char::from_digit(nibble.into(), 16));
                for digit in digits.into_iter().flatten() {
                    text.extend([digit, '.']);
                }
            }
            text.write_str("ip6.arpa")
        }
    };
    debug_assert!(written.is_ok(), "writing to a String never fails");
}

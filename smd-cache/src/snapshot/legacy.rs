//! What outlives a restart beside the records: serials, and who holds what several claim.
//!
//! Everything else follows from the records. Without this a restart would give contested keys to whoever is older, and
//! serials could go back when the clock did.

use super::{Digest, Snapshot, ZoneSerial, claims::Claimant};
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use values::{Mac, Name, Xname};

/// Plain data, to be written to a file and read again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legacy {
    /// All zones, in their order.
    pub zones: Vec<LegacyZone>,
    /// Contested MACs and who has them.
    pub macs: Vec<(Mac, Xname)>,
    /// Contested addresses and who has them: a component, or an interface that is tied to none.
    pub addresses: Vec<(IpAddr, Option<Xname>, Mac)>,
    /// Contested names that somebody bears.
    pub names: Vec<(Name, Xname)>,
}

/// A zone as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyZone {
    /// Its apex.
    pub name: Name,
    /// The last one.
    pub serial: u32,
    /// Hash of its records: as long as it is the same, the serial stays.
    pub records: u128,
}

/// Who held contested keys.
#[derive(Debug, Default)]
pub struct Holders {
    macs: HashMap<Mac, Xname>,
    addresses: HashMap<IpAddr, (Option<Xname>, Mac)>,
    names: HashMap<Name, Xname>,
}

impl Snapshot {
    /// What must outlive a restart.
    pub fn legacy(&self) -> Legacy {
        let zone = |zone: &ZoneSerial| LegacyZone {
            name: zone.name.clone(),
            serial: zone.serial,
            records: zone.records.0,
        };
        let mut macs: Vec<Mac> = self.index.others.iter().map(|(mac, _)| *mac).collect();
        macs.dedup();
        let mut addresses: Vec<IpAddr> = self.index.lost.iter().map(|(_, address)| *address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut names: Vec<&Name> = self.index.rivals.iter().map(|(name, _)| name).collect();
        names.dedup();
        let held = |address: &IpAddr| {
            let holder = self.by_address(*address).next()?;
            Some((*address, holder.component_id.clone(), holder.mac))
        };
        Legacy {
            zones: self.zones.iter().map(zone).collect(),
            macs: macs.into_iter().filter_map(|mac| Some((mac, self.holder_of_mac(mac)?.clone()))).collect(),
            addresses: addresses.iter().filter_map(held).collect(),
            names: names
                .into_iter()
                .filter_map(|name| Some((name.clone(), self.holder_of_name(name)?.clone())))
                .collect(),
        }
    }

    /// Holds no items; as the previous one of the first build after a restart it gives contested keys to those who had
    /// them, and zones that are still the same their serials.
    pub fn from_legacy(legacy: Legacy) -> Snapshot {
        let zone = |zone: LegacyZone| ZoneSerial {
            name: zone.name,
            serial: zone.serial,
            records: Digest(zone.records),
        };
        let address = |(address, id, mac)| (address, (id, mac));
        let holders = Holders {
            macs: legacy.macs.into_iter().collect(),
            addresses: legacy.addresses.into_iter().map(address).collect(),
            names: legacy.names.into_iter().collect(),
        };
        let zones = legacy.zones.into_iter().map(zone).collect();
        Snapshot { zones, holders: Some(Arc::new(holders)), ..Snapshot::default() }
    }

    /// Whose this MAC is.
    pub(super) fn holder_of_mac(&self, mac: Mac) -> Option<&Xname> {
        match &self.holders {
            Some(holders) => holders.macs.get(&mac),
            None => self.interface(mac)?.component_id.as_ref(),
        }
    }

    /// Whose this address is.
    pub(super) fn holder_of_address(&self, address: IpAddr) -> Option<Claimant<'_>> {
        match &self.holders {
            Some(holders) => {
                let (id, mac) = holders.addresses.get(&address)?;
                Some(Claimant::new(id.as_ref(), *mac))
            }
            None => {
                let holder = self.by_address(address).next()?;
                Some(Claimant::new(holder.component_id.as_ref(), holder.mac))
            }
        }
    }

    /// Who bears this name.
    pub(super) fn holder_of_name(&self, name: &Name) -> Option<&Xname> {
        match &self.holders {
            Some(holders) => holders.names.get(name),
            None => Some(&self.index.borne(name.as_str())?.id),
        }
    }
}

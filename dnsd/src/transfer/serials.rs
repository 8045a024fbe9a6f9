//! Which serial each zone is served under: kept on disk, so that it never goes back.
//!
//! ```text
//!   the greatest of  smd-cache's (max(previous + 1, Unix seconds) there)
//!                    the last one served, and one more if the zone holds other records than it did then
//!                    if it does: when static records were last changed
//! ```
//! What a zone holds is known by a digest. Serials are compared as RFC 1982 says. A restart begins with what the replica's file
//! has, which may be older than what was served last: for a moment a zone that differs so keeps its serial and is not copied
//! ([`Zone::settled`]), until smd-cache was heard or that takes too long.

mod file;

pub use file::{Held, SerialsFile};

use crate::{
    ready::record_digest,
    wire::RrSet,
    zones::{Zone, Zones},
};
use std::collections::HashMap;

/// Zones that are gone and whose serials are remembered, for when they come back: the /24s and /64s of addresses come and go. A
/// guess; those with the lowest serials, which are mostly the oldest, are forgotten first.
const MAX_GONE: usize = 4096;

/// What zones were served under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serials {
    held: HashMap<Box<[u8]>, Served>,
}

/// What a zone was served under last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// In its SOA.
    pub serial: u32,
    /// Of its records.
    pub digest: u64,
}

/// What is known of a zone now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// By smd-cache, if it knows the zone.
    pub told: Option<u32>,
    /// What it would be served under if it never was before.
    pub first: u32,
    /// Of its records; `None`: not all of them are known yet.
    pub digest: Option<u64>,
}

impl Serials {
    /// Gives every zone its serial. True: something is to be kept. `settling`: what differs may be old, and newer come at once.
    pub fn number(&mut self, zones: &mut Zones, settling: bool) -> bool {
        let before = self.clone();
        let complete = zones.complete;
        let digests = complete.then(|| digests(zones));
        for zone in zones.iter_mut() {
            let Some(soa) = &zone.soa else { continue };
            let digest = digests.as_ref().map(|digests| digests[usize::from(zone.number)]);
            let (before, first) = (self.held.get(&zone.apex).copied(), serial_of(soa));
            zone.settled = !settling || before.is_none_or(|before| Some(before.digest) == digest);
            let digest = digest.filter(|_| zone.settled);
            let serial = next(before, Offered { told: zone.told, first, digest });
            zone.set_serial(serial);
            if let Some(digest) = digest {
                self.held.insert(zone.apex.clone(), Served { serial, digest });
            }
        }
        self.forget(zones);
        *self != before
    }

    /// Takes over what another process that shares the file served.
    pub fn merge(&mut self, other: Serials) {
        for (apex, theirs) in other.held {
            let ours = self.held.entry(apex).or_insert(theirs);
            if is_greater(theirs.serial, ours.serial) {
                *ours = theirs;
            }
        }
    }

    fn forget(&mut self, zones: &Zones) {
        let gone = self.held.keys().filter(|apex| zones.zone(apex).is_none());
        let mut gone: Vec<(u32, Box<[u8]>)> =
            gone.map(|apex| (self.held[apex].serial, apex.clone())).collect();
        gone.sort_unstable();
        for (_, apex) in &gone[..gone.len().saturating_sub(MAX_GONE)] {
            self.held.remove(apex);
        }
    }
}

/// The serial a zone is served under from now on.
pub fn next(before: Option<Served>, offered: Offered) -> u32 {
    let Some(before) = before else { return offered.first };
    match offered.digest {
        Some(digest) if digest != before.digest => greater(before.serial.wrapping_add(1), offered.first),
        _ => offered.told.map_or(before.serial, |told| greater(before.serial, told)),
    }
}

/// RFC 1982 §3.2; where neither is greater, half the numbers lie between them and the first stays.
fn greater(one: u32, other: u32) -> u32 {
    if is_greater(other, one) { other } else { one }
}

/// Whether a serial comes after another (RFC 1982 §3.2).
pub fn is_greater(serial: u32, than: u32) -> bool {
    serial.wrapping_sub(than).cast_signed() > 0
}

/// The serial of a SOA record.
pub fn serial_of(soa: &RrSet) -> u32 {
    let numbers = soa.data[0].len() - SOA_NUMBERS;
    soa.data[0][numbers..].first_chunk().map_or(0, |serial| u32::from_be_bytes(*serial))
}

/// Serial, refresh, retry, expire, minimum.
pub(crate) const SOA_NUMBERS: usize = 20;

/// Digest of each zone as it is copied, by its number: what stands in it, its SOA but for the serial, and delegations to zones
/// of ours that are cut out of it.
fn digests(zones: &Zones) -> Vec<u64> {
    let (mut digests, mut buffer) = (vec![0; zones.numbers()], Vec::new());
    let mut add = |zone: &Zone, sum: u64| {
        let digest: &mut u64 = &mut digests[usize::from(zone.number)];
        *digest = digest.wrapping_add(sum);
    };
    for zone in zones.iter() {
        add(zone, zones.ready.digest(zone));
        if let Some(soa) = &zone.soa {
            let mut data = soa.data[0].to_vec();
            let serial = data.len() - SOA_NUMBERS;
            data[serial..serial + 4].fill(0);
            add(zone, record_digest(&zone.apex, soa.kind, soa.ttl, &data, &mut buffer));
        }
        if let Some(parent) = zones.parent(zone) {
            let of = |data| record_digest(&zone.apex, zone.ns.kind, zone.ns.ttl, data, &mut buffer);
            add(parent, zone.ns.data.iter().map(|data| &**data).map(of).fold(0, u64::wrapping_add));
        }
    }
    digests
}

impl Zone {
    /// The serial in its SOA; `None`: there is none yet.
    pub fn serial(&self) -> Option<u32> {
        self.soa.as_ref().map(serial_of)
    }

    fn set_serial(&mut self, serial: u32) {
        if let Some(data) = self.soa.as_mut().and_then(|soa| soa.data.first_mut()) {
            let at = data.len() - SOA_NUMBERS;
            data[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;

//! Where the answers of each zone are counted.

use crate::wire::text;
use std::sync::{Mutex, PoisonError};

/// Zones with series of their own; what comes after them is counted together. A guess, far above what sites have: each costs
/// 56 bytes a worker, and seven lines on `/metrics`.
const MAX_ZONES: usize = 64;

/// A zone, or a group of zones, among the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot(u8);

impl Slot {
    /// Outside our zones.
    pub const NONE: Slot = Slot(0);
    /// Any of the reverse zones that come by themselves with known addresses.
    pub const AUTOMATIC: Slot = Slot(1);
    /// Zones for which there was no slot left.
    pub const OTHER: Slot = Slot(2);
    /// How many there can be.
    pub(super) const COUNT: usize = FIXED.len() + MAX_ZONES;

    pub(super) fn index(self) -> usize {
        self.0.into()
    }
}

/// Labels of the slots that are no zone; a zone of one label that is called so is counted there, too.
const FIXED: [&str; 3] = ["none", "automatic", "other"];

/// Which zone has which slot. A zone that goes keeps its own: a counter that vanished and came again would look like a restart.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Vec<String>>);

impl Slots {
    pub(super) fn of(&self, apex: &[u8]) -> Slot {
        let label = text(apex);
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = FIXED.iter().position(|fixed| *fixed == label);
        let place = place.or_else(|| Some(FIXED.len() + zones.iter().position(|zone| *zone == label)?));
        match place {
            Some(place) => Slot(place as u8),
            None if zones.len() == MAX_ZONES => Slot::OTHER,
            None => {
                zones.push(label);
                Slot((FIXED.len() + zones.len() - 1) as u8)
            }
        }
    }

    /// By index of their slots.
    pub(super) fn labels(&self) -> Vec<String> {
        let zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        FIXED.iter().map(|label| (*label).to_owned()).chain(zones.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_wire;

    fn apex(name: &str) -> Box<[u8]> {
        to_wire(&name.parse().unwrap())
    }

    #[test]
    fn a_zone_keeps_its_slot() {
        let slots = Slots::default();
        let first = slots.of(&apex("cluster.local"));
        assert_ne!(slots.of(&apex("lab.test")), first);
        assert_eq!(slots.of(&apex("cluster.local")), first);
        assert_eq!(slots.labels()[first.index()], "cluster.local");
        assert_eq!(slots.of(&apex("none")), Slot::NONE, "no second series of the same label");
    }

    #[test]
    fn too_many_zones_are_counted_together() {
        let slots = Slots::default();
        let all: Vec<_> = (0..MAX_ZONES + 9).map(|number| slots.of(&apex(&format!("z{number}.x")))).collect();
        assert_eq!(all.iter().filter(|slot| **slot == Slot::OTHER).count(), 9);
        assert_eq!(slots.labels().len(), Slot::COUNT);
        assert_eq!(slots.of(&apex("z0.x")), all[0]);
    }
}

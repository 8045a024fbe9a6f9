//! Which interfaces may differ, and who gets the addresses that they claim or claimed.

use super::{super::Snapshot, MAX_PATCHED, Touched};
use crate::{
    records::{Problem, Records},
    snapshot::{
        build::without_component,
        claims::{Claimant, Draft, Settled, contest, settle_macs},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use values::{Mac, Xname};

/// Interfaces that may differ from the previous snapshot's.
pub struct Interfaces<'a> {
    /// Whose rows changed, or the existence of a component that they name; gone ones as well.
    pub touched: BTreeSet<Mac>,
    /// Those, and who got or lost an address by it; without the gone ones.
    pub drafts: BTreeMap<Mac, Draft<'a>>,
    /// The components that touched MACs' rows name beside the one that has it.
    pub others: Vec<(Mac, &'a Xname)>,
    /// What drafts claim and do not get.
    pub lost: BTreeSet<(Mac, IpAddr)>,
    /// Addresses that were settled anew; `None`: not contested.
    pub awarded: BTreeMap<IpAddr, Option<Claimant<'a>>>,
}

impl<'a> Interfaces<'a> {
    pub fn settle(
        records: &'a Records,
        previous: &Snapshot,
        touched: &Touched,
        problems: &mut Vec<Problem>,
    ) -> Option<Interfaces<'a>> {
        let touched = whose_rows_changed(records, previous, touched)?;
        let Settled { drafts, others } = drafts_of(&touched, records, previous, problems);
        problems.extend(drafts.iter().filter_map(without_component));
        let drafts = drafts.into_iter().map(|draft| (draft.mac, draft)).collect();
        let (lost, awarded) = (BTreeSet::new(), BTreeMap::new());
        let mut interfaces = Interfaces { touched, drafts, others, lost, awarded };
        interfaces.award(records, previous, problems)?;
        interfaces.give(previous);
        Some(interfaces)
    }

    /// Settles the addresses that touched interfaces claim or claimed. Who gets or loses one by it becomes a draft, too.
    fn award(
        &mut self,
        records: &'a Records,
        previous: &Snapshot,
        problems: &mut Vec<Problem>,
    ) -> Option<()> {
        let mut claims: BTreeMap<IpAddr, Vec<Mac>> = BTreeMap::new();
        for address in self.touched.iter().flat_map(|mac| claimed(previous, *mac)) {
            claims.entry(address).or_default();
        }
        for draft in self.drafts.values() {
            draft.addresses.iter().for_each(|held| claims.entry(held.address).or_default().push(draft.mac));
        }
        for (address, inside) in claims {
            let others = previous.index.claimants(address).filter(|mac| !self.touched.contains(mac));
            let outside: BTreeSet<Mac> = others.take(MAX_PATCHED + 1).collect();
            if outside.len() > MAX_PATCHED {
                return None;
            }
            let around = drafts_of(&outside, records, previous, &mut Vec::new()).drafts;
            let claimants: Vec<&Draft> =
                inside.iter().filter_map(|mac| self.drafts.get(mac)).chain(&around).collect();
            let winner = contest(address, &claimants, Some(previous)).map(|(winner, problem)| {
                problems.push(problem);
                winner
            });
            let contest_changed = is_contested(previous, address) != winner.is_some();
            for draft in around {
                let held = previous.interface(draft.mac).is_some_and(|interface| interface.holds(address));
                if contest_changed || held != winner.is_none_or(|winner| winner == draft.claimant()) {
                    self.drafts.entry(draft.mac).or_insert(draft);
                }
            }
            self.awarded.insert(address, winner);
        }
        (self.drafts.len() <= MAX_PATCHED).then_some(())
    }

    /// Takes from drafts what others got.
    fn give(&mut self, previous: &Snapshot) {
        for draft in self.drafts.values_mut() {
            let (mac, claimant) = (draft.mac, draft.claimant());
            let before = previous.interface(mac);
            let mut contested = draft.contested;
            draft.addresses.retain(|held| {
                let (gets, wanted) = match self.awarded.get(&held.address) {
                    Some(winner) => (winner.is_none_or(|winner| winner == claimant), winner.is_some()),
                    None => (
                        before.is_some_and(|before| before.holds(held.address)),
                        is_contested(previous, held.address),
                    ),
                };
                contested |= wanted;
                if !gets {
                    self.lost.insert((mac, held.address));
                }
                gets
            });
            draft.contested = contested;
        }
    }

    /// The MACs of drafts, and those that are gone.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        let gone = self.touched.iter().filter(|mac| !self.drafts.contains_key(mac));
        self.drafts.keys().chain(gone).copied()
    }

    /// The components whose names, or those of their interfaces, may change by all this.
    pub fn owners(&self, records: &Records, previous: &Snapshot, touched: &Touched) -> BTreeSet<Xname> {
        let mut ids = touched.ids.clone();
        for id in &touched.ids {
            let before = previous.component(id).map(|component| (&component.kind, component.nid));
            let now = records.component(id).map(|record| (&record.kind, record.nid));
            if before != now {
                // It may have its number from here.
                ids.extend(id.parent());
            }
        }
        let before = self.macs().filter_map(|mac| previous.interface(mac)?.component_id.clone());
        ids.extend(before);
        ids.extend(self.drafts.values().filter_map(|draft| draft.component_id.cloned()));
        ids
    }
}

fn whose_rows_changed(records: &Records, previous: &Snapshot, touched: &Touched) -> Option<BTreeSet<Mac>> {
    let mut macs = touched.macs.clone();
    for id in &touched.ids {
        if previous.component(id).is_some() != records.component(id).is_some() {
            macs.extend(previous.index.rows_of(id).take(MAX_PATCHED + 1));
        }
        if macs.len() > MAX_PATCHED {
            return None;
        }
    }
    Some(macs)
}

/// As claimed: nothing is taken from them yet.
fn drafts_of<'a>(
    macs: &BTreeSet<Mac>,
    records: &'a Records,
    previous: &Snapshot,
    problems: &mut Vec<Problem>,
) -> Settled<'a> {
    let rows = macs.iter().flat_map(|mac| records.interfaces_with(*mac)).collect();
    // Where it stands among the components of a patch is not known yet; that it exists is.
    let position = |id: &Xname| records.component(id).map(|_| u32::MAX);
    settle_macs(rows, position, Some(previous), problems)
}

/// All that an interface claimed, what it did not get included.
pub fn claimed(previous: &Snapshot, mac: Mac) -> impl Iterator<Item = IpAddr> {
    let held = previous.interface(mac).into_iter().flat_map(|interface| &interface.addresses);
    held.map(|held| held.address).chain(previous.index.lost_by(mac))
}

fn is_contested(previous: &Snapshot, address: IpAddr) -> bool {
    let claimants = previous.index.claimants(address).filter_map(|mac| previous.interface(mac));
    let mut claimants =
        claimants.map(|interface| Claimant::new(interface.component_id.as_ref(), interface.mac));
    let first = claimants.next();
    claimants.any(|claimant| Some(claimant) != first)
}

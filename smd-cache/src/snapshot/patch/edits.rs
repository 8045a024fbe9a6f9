//! What changes in the lists and indices of a snapshot.

use super::{
    super::{Component, Digest, Entry, Interface, Snapshot, judged::Known},
    addresses::{Interfaces, claimed},
    names::{Components, Outcome},
};
use crate::{
    naming::Naming,
    snapshot::{
        digest::Canonical,
        index::{Borne, Index, Parent, apexes, parents_within},
        sorted::{Edit, Keyed},
        zones::{self, Sums},
    },
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use values::{Mac, Name, Xname};

/// Edits of every list, and what they do to sums over it.
pub struct Edits<'a> {
    interfaces: Vec<Edit<Entry<Interface>>>,
    components: Vec<Edit<Entry<Component>>>,
    digest: Digest,
    sums: Sums<'a>,
    index: Index,
    known: Known,
}

impl<'a> Edits<'a> {
    pub fn new(
        naming: &'a Naming,
        previous: &Snapshot,
        settled: &Interfaces<'_>,
        named: Components,
    ) -> Option<Edits<'a>> {
        let Components { ids, interfaces, components, outcomes, known } = named;
        let mut edits = Edits {
            interfaces: Vec::new(),
            components: Vec::new(),
            digest: previous.digest,
            sums: Sums::after(naming.zones(), &previous.zones)?,
            index: indexed(naming, previous, settled, &outcomes),
            known,
        };
        let gone = settled.touched.iter().filter(|mac| !settled.drafts.contains_key(mac));
        gone.for_each(|mac| edits.interface(previous.interface_entry(*mac), None));
        let mut canonical = Canonical::default();
        for interface in interfaces {
            let before = previous.interface_entry(interface.mac);
            if before.is_none_or(|before| *before.item != interface) {
                edits.interface(before, Some(canonical.interface(interface)));
            }
        }
        let kept: BTreeSet<&Xname> = components.iter().map(|component| &component.id).collect();
        let gone = ids.iter().filter(|id| !kept.contains(id));
        gone.for_each(|id| edits.component(previous.component_entry(id), None));
        drop(kept);
        for component in components {
            let before = previous.component_entry(&component.id);
            if before.is_none_or(|before| *before.item != component) {
                let after = canonical.component(component, previous.with_enabled);
                edits.component(before, Some(after));
            }
        }
        Some(edits)
    }

    fn interface(&mut self, before: Option<&Entry<Interface>>, after: Option<Entry<Interface>>) {
        if differ(before, after.as_ref()) {
            before.inspect(|entry| self.sums.without_interface(&entry.item));
            after.as_ref().inspect(|entry| self.sums.interface(&entry.item));
        }
        self.digest = summed(self.digest, before, after.as_ref());
        self.interfaces.extend(edit(before, after));
    }

    fn component(&mut self, before: Option<&Entry<Component>>, after: Option<Entry<Component>>) {
        if differ(before, after.as_ref()) {
            before.inspect(|entry| self.sums.without_component(&entry.item));
            after.as_ref().inspect(|entry| self.sums.component(&entry.item));
        }
        self.digest = summed(self.digest, before, after.as_ref());
        self.components.extend(edit(before, after));
    }

    pub fn applied(self, naming: &Naming, previous: &Snapshot, now: Timestamp) -> Snapshot {
        let (generation, zones) = match self.digest == previous.digest {
            true => (previous.generation, previous.zones.clone()),
            false => (
                previous.generation + 1,
                zones::serials(naming.zones(), &previous.zones, self.sums.digests, now),
            ),
        };
        Snapshot {
            generation,
            digest: self.digest,
            domain: previous.domain.clone(),
            zones,
            with_enabled: previous.with_enabled,
            interfaces: previous.interfaces.edited(self.interfaces),
            components: previous.components.edited(self.components),
            index: self.index,
            known: self.known,
            holders: None,
        }
    }
}

fn differ<T>(before: Option<&Entry<T>>, after: Option<&Entry<T>>) -> bool {
    before.map(|entry| entry.digest) != after.map(|entry| entry.digest)
}

fn summed<T>(sum: Digest, before: Option<&Entry<T>>, after: Option<&Entry<T>>) -> Digest {
    let of = |entry: Option<&Entry<T>>| entry.map_or(Digest::default(), |entry| entry.digest);
    sum + of(after) - of(before)
}

fn edit<T: Keyed>(before: Option<&Entry<T>>, after: Option<Entry<T>>) -> Option<Edit<Entry<T>>> {
    after.map(Edit::Put).or_else(|| before.map(|before| Edit::Remove(before.clone())))
}

/// Edits that lead from these entries to those.
fn replace<T: Ord>(
    edits: &mut Vec<Edit<T>>,
    before: impl Iterator<Item = T>,
    after: impl Iterator<Item = T>,
) {
    let mut after: BTreeSet<T> = after.collect();
    edits.extend(before.filter(|entry| !after.remove(entry)).map(Edit::Remove));
    edits.extend(after.into_iter().map(Edit::Put));
}

fn indexed(
    naming: &Naming,
    previous: &Snapshot,
    settled: &Interfaces<'_>,
    outcomes: &BTreeMap<Name, Outcome>,
) -> Index {
    let index = &previous.index;
    let (rows, others) = row_edits(previous, settled);
    let (claims, lost) = claim_edits(previous, settled);
    let (names, rivals) = name_edits(previous, outcomes);
    let is_servable = |mac: Mac| {
        let Some(interface) = previous.interface(mac) else { return false };
        let owner = interface.component_id.as_ref().and_then(|id| previous.component(id));
        owner.is_some() && !interface.addresses.is_empty()
    };
    let before = settled.macs().filter(|mac| is_servable(*mac)).count();
    let servable =
        settled.drafts.values().filter(|draft| draft.owner.is_some() && !draft.addresses.is_empty());
    Index {
        claims: index.claims.edited(claims),
        lost: index.lost.edited(lost),
        rows: index.rows.edited(rows),
        others: index.others.edited(others),
        names: index.names.edited(names),
        rivals: index.rivals.edited(rivals),
        parents: index.parents.edited(parent_edits(naming, previous, outcomes)),
        servable: index.servable + servable.count() - before,
    }
}

type RowEdits = (Vec<Edit<(Xname, Mac)>>, Vec<Edit<(Mac, Xname)>>);

fn row_edits(previous: &Snapshot, settled: &Interfaces<'_>) -> RowEdits {
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    for &mac in &settled.touched {
        let owner = previous.interface(mac).and_then(|interface| interface.component_id.as_ref());
        let before = || previous.index.others_of(mac).cloned();
        let of_this = settled.others.partition_point(|(other, _)| *other < mac);
        let now = settled.others[of_this..].iter().take_while(move |(other, _)| *other == mac);
        let now = || now.clone().map(|(_, id)| (*id).clone());
        let new_owner = settled.drafts.get(&mac).and_then(|draft| draft.component_id);
        replace(
            &mut rows,
            owner.cloned().into_iter().chain(before()).map(|id| (id, mac)),
            new_owner.cloned().into_iter().chain(now()).map(|id| (id, mac)),
        );
        replace(&mut others, before().map(|id| (mac, id)), now().map(|id| (mac, id)));
    }
    (rows, others)
}

type ClaimEdits = (Vec<Edit<(IpAddr, Mac)>>, Vec<Edit<(Mac, IpAddr)>>);

fn claim_edits(previous: &Snapshot, settled: &Interfaces<'_>) -> ClaimEdits {
    let (mut claims, mut lost) = (Vec::new(), Vec::new());
    for mac in settled.macs() {
        let held = settled.drafts.get(&mac).into_iter().flat_map(|draft| &draft.addresses);
        let loses = || settled.lost.range((mac, LEAST)..).take_while(move |(loser, _)| *loser == mac);
        let now = held.map(|held| held.address).chain(loses().map(|(_, address)| *address));
        replace(
            &mut claims,
            claimed(previous, mac).map(|address| (address, mac)),
            now.map(|address| (address, mac)),
        );
        replace(&mut lost, previous.index.lost_by(mac).map(|address| (mac, address)), loses().copied());
    }
    (claims, lost)
}

/// In the order of addresses.
const LEAST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

type NameEdits = (Vec<Edit<Borne>>, Vec<Edit<(Name, Xname)>>);

fn name_edits(previous: &Snapshot, outcomes: &BTreeMap<Name, Outcome>) -> NameEdits {
    let (mut names, mut rivals) = (Vec::new(), Vec::new());
    for (name, Outcome { before, now }) in outcomes {
        match (&before.owner, &now.owner) {
            (before, now) if before == now => {}
            (_, Some(owner)) => names.push(Edit::Put(Borne::new(name.clone(), owner.clone()))),
            (Some(owner), None) => names.push(Edit::Remove(Borne::new(name.clone(), owner.clone()))),
            (None, None) => {}
        }
        // Only those of a contested name are listed. Whoever else asks, did so before, and is one at most where that changes.
        let (was, is) = (before.count > 1, now.count > 1);
        let mut outside: Vec<Xname> = Vec::new();
        if was != is {
            let all = previous.index.rivals_for(name).chain(before.owner.as_ref().filter(|_| !was));
            outside.extend(all.filter(|id| !before.inside.contains(*id)).cloned());
        }
        let listed = |asked: &BTreeSet<Xname>, is_listed: bool| {
            let all = asked.iter().chain(&outside).filter(move |_| is_listed).cloned().collect::<Vec<_>>();
            all.into_iter().map(|id| (name.clone(), id))
        };
        replace(&mut rivals, listed(&before.inside, was), listed(&now.inside, is));
    }
    (names, rivals)
}

fn parent_edits(
    naming: &Naming,
    previous: &Snapshot,
    outcomes: &BTreeMap<Name, Outcome>,
) -> Vec<Edit<Parent>> {
    let apexes = apexes(naming.zones());
    let mut deltas: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, Outcome { before, now }) in outcomes {
        let delta = i64::from(now.owner.is_some()) - i64::from(before.owner.is_some());
        if delta != 0 {
            parents_within(name.as_str(), &apexes).for_each(|name| *deltas.entry(name).or_default() += delta);
        }
    }
    let edit = |(name, delta): (&str, i64)| {
        let name: Name = name.parse().ok()?;
        let below = u32::try_from(i64::from(previous.index.below(&name)) + delta).unwrap_or(0);
        let parent = Parent { name, below };
        Some(if below == 0 { Edit::Remove(parent) } else { Edit::Put(parent) })
    };
    deltas.into_iter().filter_map(edit).collect()
}

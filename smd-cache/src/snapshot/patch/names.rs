//! Which components may differ, and who gets the names that they ask or asked for.

use super::{super::Snapshot, MAX_PATCHED, addresses::Interfaces};
use crate::{
    naming::Naming,
    records::{ComponentRecord, Problem, Records},
    snapshot::{
        Component, Interface, Traits,
        build::{lies_below, node_number},
        claims::{Draft, MAX_NAMED},
        judged::{Judged, Known},
        names::{Names, contested_name, owner_of_contested},
    },
};
use std::collections::{BTreeMap, BTreeSet};
use values::{Name, Xname};

/// Components that may differ from the previous snapshot's, and everything of theirs.
pub struct Components {
    /// Gone ones as well.
    pub ids: BTreeSet<Xname>,
    /// All of them that there are, and theirs; and interfaces that may differ and have no component.
    pub interfaces: Vec<Interface>,
    pub components: Vec<Component>,
    /// By each name that they ask or asked for.
    pub outcomes: BTreeMap<Name, Outcome>,
    pub known: Known,
}

/// Who has a name, and who asks for it.
pub struct Outcome {
    pub before: Asked,
    pub now: Asked,
}

/// Who asks for a name.
pub struct Asked {
    /// How many in all.
    pub count: usize,
    /// Those of them that may differ.
    pub inside: BTreeSet<Xname>,
    pub owner: Option<Xname>,
}

impl Components {
    pub fn settle(
        records: &Records,
        naming: &Naming,
        previous: &Snapshot,
        interfaces: &Interfaces<'_>,
        mut ids: BTreeSet<Xname>,
        problems: &mut Vec<Problem>,
    ) -> Option<Components> {
        let mut known = previous.known.clone();
        loop {
            if ids.len() > MAX_PATCHED {
                return None;
            }
            let before = asked_before(naming, previous, &ids, &mut known);
            let (done, outside) = {
                let now = Side::now(records, previous, interfaces, &ids)?;
                now.named(naming, previous, &ids, before, &mut known, problems)
            };
            if outside.is_empty() {
                let (interfaces, components, outcomes) = done;
                return Some(Components { ids, interfaces, components, outcomes, known });
            }
            ids.extend(outside);
        }
    }
}

/// Components, in order, with what they have.
struct Side<'a> {
    components: Vec<&'a ComponentRecord>,
    nids: Vec<Option<i64>>,
    drafts: Vec<Draft<'a>>,
}

type Named = (Vec<Interface>, Vec<Component>, BTreeMap<Name, Outcome>);

impl<'a> Side<'a> {
    fn now(
        records: &'a Records,
        previous: &'a Snapshot,
        interfaces: &Interfaces<'a>,
        ids: &BTreeSet<Xname>,
    ) -> Option<Side<'a>> {
        let components: Vec<&ComponentRecord> = ids.iter().filter_map(|id| records.component(id)).collect();
        let nids = components.iter().map(|record| {
            let below = records.components_matching(|other| lies_below(&record.id, other));
            node_number(record, below.map(|below| (&below.id, &*below.kind, below.nid)))
        });
        let nids = nids.collect();
        let mut drafts = interfaces.drafts.clone();
        for interface in components.iter().flat_map(|record| previous.interfaces_of(&record.id)) {
            if !interfaces.touched.contains(&interface.mac) {
                drafts.entry(interface.mac).or_insert_with(|| Draft::as_it_was(interface));
            }
        }
        let drafts = placed(drafts.into_values(), &components);
        (drafts.len() <= MAX_PATCHED).then_some(Side { components, nids, drafts })
    }

    /// The items, and the components that get or lose a name although they are not among these.
    fn named(
        self,
        naming: &Naming,
        previous: &Snapshot,
        ids: &BTreeSet<Xname>,
        before: BTreeMap<Name, BTreeSet<Xname>>,
        known: &mut Known,
        problems: &mut Vec<Problem>,
    ) -> (Named, BTreeSet<Xname>) {
        let Side { components, nids, drafts } = self;
        let held = components.iter().map(|record| previous.component(&record.id).map(|held| &**held));
        let mut names = Names::new(naming, &components, &nids, Some(previous), held.collect());
        let judged = Judged::new(naming, &components, &drafts, &mut names, known);
        let mut asked: BTreeMap<Name, (BTreeSet<Xname>, BTreeSet<Xname>)> =
            before.into_iter().map(|(name, inside)| (name, (inside, BTreeSet::new()))).collect();
        for (name, inside) in names.asked() {
            asked.entry(name).or_default().1.extend(inside.into_iter().cloned());
        }
        let mut outside = BTreeSet::new();
        let mut contested = Vec::new();
        let mut outcomes = BTreeMap::new();
        for (name, (before, now)) in asked {
            let contest = Contest { previous, name: &name, ids, now: &now };
            let before =
                Asked { count: contest.count_before(), inside: before, owner: contest.holder().cloned() };
            let count = before.count - before.inside.len() + now.len();
            let owner = contest.owner(count).cloned();
            if count > 1 {
                contested.push(contest.problem(owner.as_ref(), count));
            }
            if owner != before.owner {
                let both = [&owner, &before.owner].into_iter().flatten();
                outside.extend(both.filter(|id| !ids.contains(*id)).cloned());
            }
            names.award(&name, owner.as_ref().and_then(|owner| position(&components, owner)));
            outcomes.insert(name, Outcome { before, now: Asked { count, inside: now, owner } });
        }
        let mut interfaces = Vec::new();
        let together = judged.interfaces(&drafts, &names, components.len(), |item| interfaces.push(item));
        let components = judged.components(&components, &names, together, known).collect();
        if outside.is_empty() {
            problems.append(&mut names.problems);
            problems.append(&mut contested);
        }
        ((interfaces, components, outcomes), outside)
    }
}

/// What these asked for when the previous snapshot was built: the same question, put to its items.
fn asked_before(
    naming: &Naming,
    previous: &Snapshot,
    ids: &BTreeSet<Xname>,
    known: &mut Known,
) -> BTreeMap<Name, BTreeSet<Xname>> {
    let held = ids.iter().filter_map(|id| Some(&**previous.component(id)?));
    let held: Vec<&Component> = held.collect();
    let components: Vec<ComponentRecord> = held.iter().map(|component| as_record(component)).collect();
    let components: Vec<&ComponentRecord> = components.iter().collect();
    let nids = components.iter().map(|record| {
        let below = previous.components.from(|entry| lies_below(&record.id, &entry.item.id));
        let below = below.map(|entry| &entry.item);
        let below = below.take_while(|below| lies_below(&record.id, &below.id).is_eq());
        node_number(record, below.map(|below| (&below.id, &*below.kind, below.nid)))
    });
    let nids: Vec<Option<i64>> = nids.collect();
    let drafts = components.iter().flat_map(|record| previous.interfaces_of(&record.id));
    let drafts = placed(drafts.map(|interface| Draft::as_it_was(interface)), &components);
    let held = held.into_iter().map(Some).collect();
    let mut names = Names::new(naming, &components, &nids, Some(previous), held);
    Judged::new(naming, &components, &drafts, &mut names, known);
    let owned = |ids: BTreeSet<&Xname>| ids.into_iter().cloned().collect();
    names.asked().into_iter().map(|(name, ids)| (name, owned(ids))).collect()
}

fn as_record(component: &Component) -> ComponentRecord {
    let Component { id, nid, enabled, traits, .. } = component.clone();
    let Traits { kind, role, sub_role, arch, class, state, flag, groups } = (*traits).clone();
    let problems = Vec::new();
    ComponentRecord { id, kind, nid, role, sub_role, arch, class, state, flag, enabled, groups, problems }
}

fn position(components: &[&ComponentRecord], id: &Xname) -> Option<u32> {
    components.binary_search_by(|record| record.id.cmp(id)).ok().and_then(|place| u32::try_from(place).ok())
}

/// With their places in this list of components.
fn placed<'a>(drafts: impl Iterator<Item = Draft<'a>>, components: &[&ComponentRecord]) -> Vec<Draft<'a>> {
    drafts
        .map(|draft| Draft { owner: draft.component_id.and_then(|id| position(components, id)), ..draft })
        .collect()
}

/// Everybody who asks for one name: those of the previous snapshot, without those that may differ, and those of them that
/// ask now.
struct Contest<'a> {
    previous: &'a Snapshot,
    name: &'a Name,
    /// Those that may differ.
    ids: &'a BTreeSet<Xname>,
    /// Those of them that ask now.
    now: &'a BTreeSet<Xname>,
}

impl<'a> Contest<'a> {
    fn holder(&self) -> Option<&'a Xname> {
        Some(&self.previous.index.borne(self.name.as_str())?.id)
    }

    fn count_before(&self) -> usize {
        match self.previous.index.rivals.count(|(name, _)| name.cmp(self.name)) {
            0 => usize::from(self.holder().is_some()),
            rivals => rivals,
        }
    }

    /// In order.
    fn outside(&self) -> impl Iterator<Item = &'a Xname> {
        let mut rivals = self.previous.index.rivals_for(self.name).peekable();
        let alone = if rivals.peek().is_none() { self.holder() } else { None };
        alone.into_iter().chain(rivals).filter(|id| !self.ids.contains(*id))
    }

    fn asks(&self, id: &str) -> Option<&'a Xname> {
        if self.ids.contains(id) {
            return self.now.get(id);
        }
        let rivals = &self.previous.index.rivals;
        let rival = rivals.find(|(name, rival)| name.cmp(self.name).then_with(|| rival.as_str().cmp(id)));
        rival.map(|(_, id)| id).or_else(|| self.holder().filter(|holder| holder.as_str() == id))
    }

    fn owner(&self, count: usize) -> Option<&'a Xname> {
        match count {
            0 => None,
            1 => self.now.first().or_else(|| self.outside().next()),
            _ => owner_of_contested(self.name, Some(self.previous), |id| self.asks(id)),
        }
    }

    fn problem(&self, owner: Option<&Xname>, count: usize) -> Problem {
        let mut first: Vec<&Xname> =
            self.outside().take(MAX_NAMED).chain(self.now.iter().take(MAX_NAMED)).collect();
        first.sort_unstable();
        contested_name(self.name, owner, &first, count)
    }
}

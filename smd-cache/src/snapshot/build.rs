//! Records in, snapshot out: settle whose MAC and address it is, put the rules to every address, settle whose name it is,
//! and compare with what was before.

use super::{
    Component, Digest, Entry, Interface, Snapshot,
    claims::{Draft, Settled, settle_addresses, settle_macs},
    digest::Canonical,
    index::{Index, parents},
    judged::{Judged, Known},
    keys::TextMap,
    names::{Names, as_they_were},
    sorted::{Iter, Keyed, Sorted},
    zones,
};
use crate::{
    naming::Naming,
    records::{ComponentRecord, Problem, Reason, Records},
};
use jiff::Timestamp;
use std::{cmp::Ordering, net::IpAddr};
use values::{Mac, Name, Xname};

/// Builds the snapshot. `previous` says who holds contested keys, gives the generation and serials, and shares its items.
/// `now` is only looked at for the serial of a zone that changed. Problems come in a fixed order and include those of the
/// records.
pub fn build(
    records: &Records,
    naming: &Naming,
    previous: Option<&Snapshot>,
    now: Timestamp,
) -> (Snapshot, Vec<Problem>) {
    let mut components: Vec<&ComponentRecord> = records.components().collect();
    components.dedup_by(|a, b| a.id == b.id);
    let mut problems: Vec<Problem> = records.problems().cloned().collect();
    let positions: Positions = components.iter().map(|record| &record.id).zip(0..).collect();
    let position = |id: &Xname| positions.get(id).copied();
    let Settled { mut drafts, others } =
        settle_macs(records.interfaces().collect(), position, previous, &mut problems);
    let lost = settle_addresses(&mut drafts, previous, &mut problems);
    problems.extend(drafts.iter().filter_map(without_component));

    let nids = node_numbers(&components);
    let before = as_they_were(&components, previous);
    let mut names = Names::new(naming, &components, &nids, previous, before);
    let mut known = Known::default();
    let judged = Judged::new(naming, &components, &drafts, &mut names, &mut known);
    names.settle();
    problems.append(&mut names.problems);
    problems.sort();
    problems.dedup();

    let nothing = Snapshot::default();
    let before = previous.unwrap_or(&nothing);
    let with_enabled = naming.looks_at_enabled();
    let mut snapshot = Snapshot { with_enabled, ..Snapshot::default() };
    let asked = Asked { records: &components, drafts: &drafts, names: &names, judged: &judged };
    (snapshot.interfaces, snapshot.components) = items(&asked, before, with_enabled, &mut known);
    snapshot.known = known;
    drop(judged);
    let (borne, rivals) = names.into_borne();
    snapshot.index = Index {
        parents: parents(&borne, naming.zones()),
        names: Sorted::new(borne),
        rivals: Sorted::new(rivals),
        claims: claims(&drafts, &lost),
        lost: sorted(lost),
        rows: rows(&drafts, &components, &others),
        others: sorted(others.into_iter().map(|(mac, id)| (mac, id.clone())).collect()),
        servable: drafts.iter().filter(|draft| draft.owner.is_some() && !draft.addresses.is_empty()).count(),
    };
    number(&mut snapshot, naming, previous, now);
    (snapshot, problems)
}

/// Digest, generation and zones.
fn number(snapshot: &mut Snapshot, naming: &Naming, previous: Option<&Snapshot>, now: Timestamp) {
    let nothing = Snapshot::default();
    let before = previous.unwrap_or(&nothing);
    snapshot.domain = naming.domain().cloned();
    snapshot.digest = digest(naming, &snapshot.interfaces, &snapshot.components);
    if previous.is_some_and(|previous| previous.digest == snapshot.digest) {
        snapshot.generation = before.generation;
        snapshot.zones = before.zones.clone();
        return;
    }
    let records = zones::digests(naming.zones(), before, &snapshot.interfaces, &snapshot.components);
    snapshot.generation = before.generation + 1;
    snapshot.zones = zones::serials(naming.zones(), &before.zones, records, now);
}

/// Everything settled, and what it wants to be called.
struct Asked<'a> {
    records: &'a [&'a ComponentRecord],
    drafts: &'a [Draft<'a>],
    names: &'a Names<'a>,
    judged: &'a Judged,
}

type Lists = (Sorted<Entry<Interface>>, Sorted<Entry<Component>>);

fn items(asked: &Asked<'_>, before: &Snapshot, with_enabled: bool, known: &mut Known) -> Lists {
    let Asked { records, drafts, names, judged } = asked;
    let mut canonical = Canonical::default();
    let mut interfaces = Entries::new(drafts.len(), &before.interfaces, |item| canonical.interface(item));
    let together = judged.interfaces(drafts, names, records.len(), |item| interfaces.push(item));
    let interfaces = interfaces.done();
    // `enabled` counts only for some rules, which may be others than before.
    let nothing = Sorted::default();
    let comparable = if before.with_enabled == with_enabled { &before.components } else { &nothing };
    let mut components =
        Entries::new(records.len(), comparable, |item| canonical.component(item, with_enabled));
    judged.components(records, names, together, known).for_each(|item| components.push(item));
    (interfaces, components.done())
}

/// Where a component stands in the list of all.
type Positions<'a> = TextMap<&'a Xname, u32>;

fn digest(
    naming: &Naming,
    interfaces: &Sorted<Entry<Interface>>,
    components: &Sorted<Entry<Component>>,
) -> Digest {
    let mut canonical = Canonical::default();
    let domain = naming.domain().map_or("", Name::as_str);
    let domain = canonical.name(b'd', domain);
    let zones: Digest = naming.zones().iter().map(|zone| canonical.name(b'z', zone.name.as_str())).sum();
    let interfaces: Digest = interfaces.iter().map(|entry| entry.digest).sum();
    let components: Digest = components.iter().map(|entry| entry.digest).sum();
    domain + zones + interfaces + components
}

/// A list that takes over the items of the previous snapshot that are the same in everything. Items come one by one, so that
/// those that nobody needs do not pile up.
struct Entries<'a, T, F> {
    old: Iter<'a, Entry<T>>,
    new: Vec<Entry<T>>,
    hashed: F,
}

impl<'a, T: PartialEq + Keyed, F: FnMut(T) -> Entry<T>> Entries<'a, T, F> {
    fn new(count: usize, old: &'a Sorted<Entry<T>>, hashed: F) -> Entries<'a, T, F> {
        Entries { old: old.iter(), new: Vec::with_capacity(count), hashed }
    }

    /// In order.
    fn push(&mut self, item: T) {
        while self.old.peek().is_some_and(|before| before.item.order(&item).is_lt()) {
            self.old.next();
        }
        let entry = match self.old.peek().filter(|before| *before.item == item) {
            Some(before) => before.clone(),
            None => (self.hashed)(item),
        };
        self.new.push(entry);
    }

    fn done(self) -> Sorted<Entry<T>> {
        Sorted::new(self.new)
    }
}

fn sorted<T: Keyed + Ord>(mut entries: Vec<T>) -> Sorted<T> {
    entries.sort_unstable();
    entries.dedup();
    Sorted::new(entries)
}

/// What was claimed is what is held and what was lost.
fn claims(drafts: &[Draft<'_>], lost: &[(Mac, IpAddr)]) -> Sorted<(IpAddr, Mac)> {
    let held = drafts.iter().flat_map(|draft| draft.addresses.iter().map(|held| (held.address, draft.mac)));
    sorted(held.chain(lost.iter().map(|(mac, address)| (*address, *mac))).collect())
}

/// Sorting by position, where there is one, spares comparing xnames, of which thousands begin alike.
fn rows(
    drafts: &[Draft<'_>],
    components: &[&ComponentRecord],
    others: &[(Mac, &Xname)],
) -> Sorted<(Xname, Mac)> {
    let mut existing: Vec<(u32, Mac)> =
        drafts.iter().filter_map(|draft| Some((draft.owner?, draft.mac))).collect();
    existing.sort_unstable();
    let missing = drafts.iter().filter(|draft| draft.owner.is_none());
    let mut further: Vec<(Xname, Mac)> =
        missing.filter_map(|draft| Some((draft.component_id?.clone(), draft.mac))).collect();
    further.extend(others.iter().map(|(mac, id)| ((*id).clone(), *mac)));
    further.sort_unstable();
    let existing = existing.into_iter().map(|(owner, mac)| (components[owner as usize].id.clone(), mac));
    if further.is_empty() {
        return Sorted::new(existing.collect());
    }
    let mut rows: Vec<(Xname, Mac)> = existing.chain(further).collect();
    // Two runs that are in order: merging them is cheap.
    rows.sort();
    rows.dedup();
    Sorted::new(rows)
}

pub fn without_component(draft: &Draft<'_>) -> Option<Problem> {
    if draft.owner.is_some() {
        return None;
    }
    let mac = draft.mac;
    let message = match draft.component_id {
        Some(id) => {
            format!("interface {mac} belongs to {id}, which SMD does not have: DHCP treats it as unknown")
        }
        None => format!("SMD ties interface {mac} to no component: DHCP treats it as unknown"),
    };
    Some(Problem::new(Reason::NoComponent, message).of_mac(mac).of_component(draft.component_id))
}

/// NIDs by position. A NodeBMC has the lowest among the Nodes right below it, so that `bmc{04d}` pairs with `nid{04d}`.
fn node_numbers(components: &[&ComponentRecord]) -> Vec<Option<i64>> {
    let is = |record: &ComponentRecord, kind: &str| record.kind.eq_ignore_ascii_case(kind);
    let mut lowest: TextMap<Xname, i64> = TextMap::default();
    for record in components.iter().filter(|record| is(record, "Node")) {
        if let (Some(nid), Some(bmc)) = (record.nid, record.id.parent()) {
            lowest.entry(bmc).and_modify(|least| *least = nid.min(*least)).or_insert(nid);
        }
    }
    let below = |record: &ComponentRecord| lowest.get(&record.id).copied().filter(|_| is(record, "NodeBMC"));
    components.iter().map(|record| below(record).or(record.nid)).collect()
}

/// Where a component's xname lies seen from those below `id`: `Equal` is one of them, at any depth.
pub fn lies_below(id: &Xname, other: &Xname) -> Ordering {
    match other.as_str().strip_prefix(id.as_str()) {
        None => other.cmp(id),
        // x0c0s0b1 itself, and x0c0s0b10, which is another one: digits come before letters.
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_lowercase()) => Ordering::Less,
        Some(_) => Ordering::Equal,
    }
}

/// The same for one component, of which these are the ones below.
pub fn node_number<'a>(
    record: &ComponentRecord,
    below: impl Iterator<Item = (&'a Xname, &'a str, Option<i64>)>,
) -> Option<i64> {
    if !record.kind.eq_ignore_ascii_case("NodeBMC") {
        return record.nid;
    }
    let nodes = below.filter(|(id, kind, _)| {
        kind.eq_ignore_ascii_case("Node") && id.parent().as_ref() == Some(&record.id)
    });
    nodes.filter_map(|(_, _, nid)| nid).min().or(record.nid)
}

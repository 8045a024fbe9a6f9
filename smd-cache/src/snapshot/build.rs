//! Records in, snapshot out: settle whose MAC and address it is, put the rules to every address, settle whose name it is,
//! and compare with what was before.

use super::{
    Address, Component, Digest, Entry, Index, Interface, Snapshot,
    claims::{Draft, Held, settle_addresses, settle_macs},
    digest::Canonical,
    index::NameMap,
    keys::TextMap,
    names::{Called, Names, Wish},
    zones,
};
use crate::{
    naming::{Naming, Place, Policy, Subject, Verdict},
    records::{ComponentRecord, Problem, Reason, Records},
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use values::{Name, Xname};

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
    let mut drafts = settle_macs(records.interfaces().collect(), position, previous, &mut problems);
    settle_addresses(&mut drafts, previous, &mut problems);
    problems.extend(drafts.iter().filter_map(without_component));

    let nids = node_numbers(&components);
    let mut names = Names::new(naming, &components, &nids, previous);
    let judged = Judged::new(naming, &components, &drafts, &mut names);
    names.settle();
    problems.append(&mut names.problems);
    problems.sort();
    problems.dedup();

    let owners: Vec<Option<u32>> = drafts.iter().map(|draft| draft.owner).collect();
    let (interfaces, borne) = judged.interfaces(&drafts, &names, components.len());
    let components = judged.components(&components, &names, borne);
    let items = Items { interfaces, components, owners, names: names.into_claims() };
    (items.assemble(naming, previous, now), problems)
}

/// Where a component stands in the list of all.
type Positions<'a> = TextMap<&'a Xname, u32>;

/// Everything settled and named, before it is compared with what was there.
struct Items {
    interfaces: Vec<Interface>,
    components: Vec<Component>,
    /// By interface.
    owners: Vec<Option<u32>>,
    names: NameMap,
}

impl Items {
    fn assemble(self, naming: &Naming, previous: Option<&Snapshot>, now: Timestamp) -> Snapshot {
        let nothing = Snapshot::default();
        let before = previous.unwrap_or(&nothing);
        let mut canonical = Canonical::default();
        let interfaces =
            entries(self.interfaces, &before.interfaces, |item| &item.mac, |item| canonical.interface(item));
        // `enabled` counts only for some rules, which may be others than before.
        let with_enabled = naming.looks_at_enabled();
        let comparable = if before.with_enabled == with_enabled { &*before.components } else { &[] };
        let components = entries(
            self.components,
            comparable,
            |item| &item.id,
            |item| canonical.component(item, with_enabled),
        );
        let digest = digest(&mut canonical, naming, &interfaces, &components);
        let domain = naming.domain().cloned();
        let (generation, zones, index) = match previous.is_some_and(|previous| previous.digest == digest) {
            true => (before.generation, before.zones.clone(), before.index.clone()),
            false => {
                let old = zones::Items { interfaces: &before.interfaces, components: &before.components };
                let new = zones::Items { interfaces: &interfaces, components: &components };
                let zones = zones::serials(naming.zones(), (&before.zones, old), new, now);
                let index = Index::new(&interfaces, &components, &self.owners, self.names, naming.zones());
                (before.generation + 1, zones, Arc::new(index))
            }
        };
        Snapshot { generation, digest, domain, zones, with_enabled, interfaces, components, index }
    }
}

fn digest(
    canonical: &mut Canonical,
    naming: &Naming,
    interfaces: &[Entry<Interface>],
    components: &[Entry<Component>],
) -> Digest {
    let domain = naming.domain().map_or("", Name::as_str);
    let domain = canonical.name(b'd', domain);
    let zones: Digest = naming.zones().iter().map(|zone| canonical.name(b'z', zone.name.as_str())).sum();
    let interfaces: Digest = interfaces.iter().map(|entry| entry.digest).sum();
    let components: Digest = components.iter().map(|entry| entry.digest).sum();
    domain + zones + interfaces + components
}

/// Takes over the items of the previous snapshot that are the same in everything. Both lists are in order of their keys.
fn entries<T: PartialEq, K: Ord>(
    new: Vec<T>,
    old: &[Entry<T>],
    key: impl Fn(&T) -> &K,
    mut hashed: impl FnMut(T) -> Entry<T>,
) -> Vec<Entry<T>> {
    let mut old = old.iter().peekable();
    let entry = |item: T| {
        while old.next_if(|before| key(&before.item) < key(&item)).is_some() {}
        match old.next_if(|before| *before.item == item) {
            Some(before) => before.clone(),
            None => hashed(item),
        }
    };
    new.into_iter().map(entry).collect()
}

fn without_component(draft: &Draft<'_>) -> Option<Problem> {
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

/// What the rules say about everything, before it is settled who gets contested names.
struct Judged {
    /// By draft: without an address, then each address.
    interfaces: Vec<(Arc<Policy>, Vec<Judgement>)>,
    /// By component, where it has no address.
    nameless: Vec<Option<Wish>>,
}

struct Judgement {
    policy: Arc<Policy>,
    /// Where there is a component.
    wish: Option<Wish>,
}

impl Judged {
    fn new(
        naming: &Naming,
        components: &[&ComponentRecord],
        drafts: &[Draft<'_>],
        names: &mut Names<'_>,
    ) -> Judged {
        let mut policies = Policies { naming, known: HashMap::new() };
        let mut has_address = vec![false; components.len()];
        let mut interfaces = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let subject = subject_of(draft, components);
            let apart = policies.of(naming.evaluate(&subject, None));
            let mut judgements = Vec::with_capacity(draft.addresses.len());
            for held in &draft.addresses {
                let place = Place { address: held.address, network: held.network };
                let verdict = naming.evaluate(&subject, Some(place));
                let wish = draft.owner.map(|owner| names.wish(owner, &verdict));
                judgements.push(Judgement { policy: policies.of(verdict), wish });
            }
            if let Some(owner) = draft.owner {
                has_address[owner as usize] |= !judgements.is_empty();
            }
            interfaces.push((apart, judgements));
        }
        let nameless = |(position, record): (u32, &&ComponentRecord)| {
            let verdict = || naming.evaluate(&subject(record), None);
            (!has_address[position as usize]).then(|| names.wish(position, &verdict()))
        };
        let nameless = (0..).zip(components).map(nameless).collect();
        Judged { interfaces, nameless }
    }

    /// The interfaces, and by component the names of its addresses.
    fn interfaces(
        &self,
        drafts: &[Draft<'_>],
        names: &Names<'_>,
        components: usize,
    ) -> (Vec<Interface>, Vec<Borne>) {
        let mut borne: Vec<Borne> = Vec::new();
        borne.resize_with(components, Borne::default);
        let mut interfaces = Vec::with_capacity(drafts.len());
        for (draft, (policy, judgements)) in drafts.iter().zip(&self.interfaces) {
            let mut addresses = Vec::with_capacity(judgements.len());
            for (held, judgement) in draft.addresses.iter().zip(judgements) {
                let called = draft.owner.zip(judgement.wish.as_ref()).map(|(owner, wish)| {
                    let called = names.called(owner, wish);
                    borne[owner as usize].add(&called.names);
                    called
                });
                addresses.push(address(held, called, &judgement.policy));
            }
            interfaces.push(Interface {
                mac: draft.mac,
                description: draft.description.clone(),
                component_id: draft.component_id.cloned(),
                kind: if draft.owner.is_none() { draft.kind.into() } else { Arc::default() },
                addresses,
                last_update: draft.last_update,
                policy: policy.clone(),
                contested: draft.contested,
            });
        }
        (interfaces, borne)
    }

    fn components(
        &self,
        records: &[&ComponentRecord],
        names: &Names<'_>,
        borne: Vec<Borne>,
    ) -> Vec<Component> {
        let nameless = (0..).zip(&self.nameless);
        let all = records.iter().zip(borne).zip(nameless);
        all.map(|((record, borne), (position, wish))| {
            let names =
                wish.as_ref().map_or_else(|| borne.into_names(), |wish| names.called(position, wish).names);
            component(record, names)
        })
        .collect()
    }
}

/// The names of a component's addresses, each once, in order.
#[derive(Default)]
struct Borne {
    /// Of the first address; mostly that is all.
    first: Option<Arc<[Name]>>,
    further: Vec<Name>,
    known: HashSet<Name>,
}

impl Borne {
    fn add(&mut self, names: &Arc<[Name]>) {
        let first = self.first.get_or_insert_with(|| names.clone());
        if first == names {
            return;
        }
        if self.known.is_empty() {
            self.known.extend(first.iter().cloned());
        }
        let fresh = names.iter().filter(|name| self.known.insert((*name).clone()));
        self.further.extend(fresh.cloned());
    }

    fn into_names(self) -> Arc<[Name]> {
        let first = self.first.unwrap_or_default();
        if self.further.is_empty() { first } else { first.iter().cloned().chain(self.further).collect() }
    }
}

/// Each policy once, however many addresses it is for.
struct Policies<'a> {
    naming: &'a Naming,
    known: HashMap<Vec<usize>, Arc<Policy>>,
}

impl Policies<'_> {
    fn of(&mut self, verdict: Verdict) -> Arc<Policy> {
        if let Some(policy) = self.known.get(&verdict.matched) {
            return policy.clone();
        }
        let policy = Arc::new(self.naming.policy(&verdict));
        self.known.insert(verdict.matched, policy.clone());
        policy
    }
}

fn subject<'a>(record: &'a ComponentRecord) -> Subject<'a> {
    Subject {
        id: Some(&record.id),
        kind: &record.kind,
        role: &record.role,
        sub_role: &record.sub_role,
        arch: &record.arch,
        class: &record.class,
        enabled: record.enabled,
        groups: &record.groups,
    }
}

/// Without a component, what the interface itself says: `ignore` holds for it all the same.
fn subject_of<'a>(draft: &Draft<'a>, components: &[&'a ComponentRecord]) -> Subject<'a> {
    match draft.owner {
        Some(owner) => subject(components[owner as usize]),
        None => Subject {
            id: draft.component_id,
            kind: draft.kind,
            role: "",
            sub_role: "",
            arch: "",
            class: "",
            enabled: None,
            groups: &[],
        },
    }
}

fn address(held: &Held<'_>, called: Option<Called>, policy: &Arc<Policy>) -> Address {
    let (address, network, policy) = (held.address, held.network.clone(), policy.clone());
    match called {
        Some(Called { domain, fqdn, names }) => {
            Address { address, network, domain, fqdn: Some(fqdn), names, policy }
        }
        None => Address { address, network, domain: None, fqdn: None, names: Arc::default(), policy },
    }
}

fn component(record: &ComponentRecord, names: Arc<[Name]>) -> Component {
    Component {
        id: record.id.clone(),
        kind: record.kind.clone(),
        nid: record.nid,
        role: record.role.clone(),
        sub_role: record.sub_role.clone(),
        arch: record.arch.clone(),
        class: record.class.clone(),
        state: record.state.clone(),
        flag: record.flag.clone(),
        enabled: record.enabled,
        groups: record.groups.clone(),
        names,
    }
}

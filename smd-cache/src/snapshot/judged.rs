//! The rules put to every address and component, and the items that come of it once it is settled who has which name.

use super::{
    Address, Component, Interface,
    claims::{Draft, Held},
    names::{Called, Names, Wish},
};
use crate::{
    naming::{Naming, Place, Policy, Subject, Verdict},
    records::ComponentRecord,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use values::Name;

/// What the rules say about everything, before it is settled who gets contested names.
pub struct Judged {
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
    /// Asks for a name for each address of each draft, and for each component without an address.
    pub fn new(
        naming: &Naming,
        components: &[&ComponentRecord],
        drafts: &[Draft<'_>],
        names: &mut Names<'_>,
        known: &mut KnownPolicies,
    ) -> Judged {
        let mut policies = Policies { naming, known };
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
    pub fn interfaces(
        &self,
        drafts: &[Draft<'_>],
        names: &Names<'_>,
        components: usize,
    ) -> (Vec<Interface>, Vec<Together>) {
        let mut borne: Vec<Together> = Vec::new();
        borne.resize_with(components, Together::default);
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

    pub fn components(
        &self,
        records: &[&ComponentRecord],
        names: &Names<'_>,
        borne: Vec<Together>,
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
pub struct Together {
    /// Of the first address; mostly that is all.
    first: Option<Arc<[Name]>>,
    further: Vec<Name>,
    known: HashSet<Name>,
}

impl Together {
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

/// Each policy once, however many addresses it is for: by the positions of the rules that it comes from.
pub type KnownPolicies = Arc<HashMap<Vec<usize>, Arc<Policy>>>;

struct Policies<'a> {
    naming: &'a Naming,
    known: &'a mut KnownPolicies,
}

impl Policies<'_> {
    fn of(&mut self, verdict: Verdict) -> Arc<Policy> {
        if let Some(policy) = self.known.get(&verdict.matched) {
            return policy.clone();
        }
        let policy = Arc::new(self.naming.policy(&verdict));
        Arc::make_mut(self.known).insert(verdict.matched, policy.clone());
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

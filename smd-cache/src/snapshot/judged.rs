//! The rules put to every address and component, and the items that come of it once it is settled who has which name.

use super::{
    Address, Component, Interface, Traits,
    claims::{Draft, Held},
    names::{Called, Names, Spot, Wish},
    nics::Nics,
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
        known: &mut Known,
    ) -> Judged {
        let mut policies = Policies { naming, known: &mut known.policies };
        let mut has_address = vec![false; components.len()];
        let mut interfaces = Vec::with_capacity(drafts.len());
        let nics = if naming.looks_at_networks() { Nics::of(drafts) } else { Nics::default() };
        for (position, draft) in drafts.iter().enumerate() {
            let subject = subject_of(draft, components);
            let apart = policies.of(naming.evaluate(&subject, None));
            let mut judgements = Vec::with_capacity(draft.addresses.len());
            for held in &draft.addresses {
                let place = Place { address: held.address, network: held.network };
                let verdict = naming.evaluate(&subject, Some(place));
                let spot = Spot { network: held.network, nic: nics.nic(position, held.network) };
                let wish = draft.owner.map(|owner| names.wish(owner, &verdict, Some(spot)));
                judgements.push(Judgement { policy: policies.of(verdict), wish });
            }
            if let Some(owner) = draft.owner {
                has_address[owner as usize] |= !judgements.is_empty();
            }
            interfaces.push((apart, judgements));
        }
        let nameless = |(position, record): (u32, &&ComponentRecord)| {
            let verdict = || naming.evaluate(&subject(record), None);
            (!has_address[position as usize]).then(|| names.wish(position, &verdict(), None))
        };
        let nameless = (0..).zip(components).map(nameless).collect();
        Judged { interfaces, nameless }
    }

    /// Hands over each interface, in order. By component the names of its addresses.
    pub fn interfaces(
        &self,
        drafts: &[Draft<'_>],
        names: &Names<'_>,
        components: usize,
        mut each: impl FnMut(Interface),
    ) -> Vec<Together> {
        let mut together: Vec<Together> = Vec::new();
        together.resize_with(components, Together::default);
        for (draft, (policy, judgements)) in drafts.iter().zip(&self.interfaces) {
            let mut addresses = Vec::with_capacity(judgements.len());
            for (held, judgement) in draft.addresses.iter().zip(judgements) {
                let called = draft.owner.zip(judgement.wish.as_ref()).map(|(owner, wish)| {
                    let called = names.called(owner, wish);
                    together[owner as usize].add(&called.names);
                    called
                });
                addresses.push(address(held, called, &judgement.policy));
            }
            each(Interface {
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
        together
    }

    /// In order.
    pub fn components(
        &self,
        records: &[&ComponentRecord],
        names: &Names<'_>,
        together: Vec<Together>,
        known: &mut Known,
    ) -> impl Iterator<Item = Component> {
        let nameless = (0..).zip(&self.nameless);
        let all = records.iter().zip(together).zip(nameless);
        all.map(|((record, together), (position, wish))| Component {
            id: record.id.clone(),
            nid: record.nid,
            enabled: record.enabled,
            names: match wish {
                Some(wish) => names.called(position, wish).names,
                None => together.into_names(),
            },
            traits: known.traits_of(record),
        })
    }
}

/// The names of a component's addresses, each once, in order.
#[derive(Default)]
pub struct Together {
    /// Of the first address; mostly that is all.
    first: Option<Arc<[Name]>>,
    /// With what is known by then.
    further: Option<Box<(Vec<Name>, HashSet<Name>)>>,
}

impl Together {
    fn add(&mut self, names: &Arc<[Name]>) {
        let first = self.first.get_or_insert_with(|| names.clone());
        if first == names {
            return;
        }
        let start = || Box::new((Vec::new(), first.iter().cloned().collect()));
        let (further, known) = &mut **self.further.get_or_insert_with(start);
        further.extend(names.iter().filter(|name| known.insert((*name).clone())).cloned());
    }

    fn into_names(self) -> Arc<[Name]> {
        let first = self.first.unwrap_or_default();
        match self.further {
            None => first,
            Some(further) => first.iter().cloned().chain(further.0).collect(),
        }
    }
}

/// What many items have alike, each once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By the positions of the rules that a policy comes from.
    policies: Arc<HashMap<Vec<usize>, Arc<Policy>>>,
    traits: Arc<HashSet<Arc<Traits>>>,
}

impl Known {
    fn traits_of(&mut self, record: &ComponentRecord) -> Arc<Traits> {
        let traits = Traits {
            kind: record.kind.clone(),
            role: record.role.clone(),
            sub_role: record.sub_role.clone(),
            arch: record.arch.clone(),
            class: record.class.clone(),
            state: record.state.clone(),
            flag: record.flag.clone(),
            groups: record.groups.clone(),
        };
        if let Some(known) = self.traits.get(&traits) {
            return known.clone();
        }
        let traits = Arc::new(traits);
        Arc::make_mut(&mut self.traits).insert(traits.clone());
        traits
    }
}

struct Policies<'a> {
    naming: &'a Naming,
    known: &'a mut Arc<HashMap<Vec<usize>, Arc<Policy>>>,
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

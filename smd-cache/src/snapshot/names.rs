//! Whose name it is, and what everything is called in the end.
//!
//! A name that two components claim stays with the one that holds it; without a holder nobody gets it: freshly discovered
//! clusters have thousands of nodes with NID 1. Every component has its xname, which nobody can take from it.

use super::{Snapshot, claims::listed, index::NameMap, keys::TextMap};
use crate::{
    naming::{self, Hostname, Naming, Verdict},
    records::{ComponentRecord, Problem, Reason},
};
use std::sync::Arc;
use values::{BadName, Name, Xname};

/// What an address, or a component without one, asks to be called.
#[derive(Debug, Clone)]
pub struct Wish {
    domain: Option<Name>,
    fqdn: Name,
    /// `xname.domain`, or the bare xname: it has it besides and falls back to it.
    by_xname: Name,
}

/// What it is called.
#[derive(Debug, Clone)]
pub struct Called {
    pub domain: Option<Name>,
    pub fqdn: Name,
    pub names: Arc<[Name]>,
}

/// All names that are asked for.
pub struct Names<'a> {
    naming: &'a Naming,
    components: &'a [&'a ComponentRecord],
    /// Own NIDs, and those that BMCs take from their nodes.
    nids: &'a [Option<i64>],
    previous: Option<&'a Snapshot>,
    /// Who asked first, or whose xname it is; once settled, who has it.
    claims: NameMap,
    /// The other components that asked, perhaps repeated.
    rivals: TextMap<Name, Vec<u32>>,
    /// Who has what several asked for.
    settled: NameMap,
    /// By component: its names in the zones that have patterns.
    in_zones: Vec<Vec<Name>>,
    /// Where names are put together.
    text: String,
    pub problems: Vec<Problem>,
}

impl<'a> Names<'a> {
    pub fn new(
        naming: &'a Naming,
        components: &'a [&'a ComponentRecord],
        nids: &'a [Option<i64>],
        previous: Option<&'a Snapshot>,
    ) -> Names<'a> {
        let expected = components.len() * 2 * (1 + naming.patterned_zones().count());
        let mut names = Names {
            naming,
            components,
            nids,
            previous,
            claims: NameMap::with_capacity_and_hasher(expected, Default::default()),
            rivals: TextMap::default(),
            settled: NameMap::default(),
            in_zones: Vec::new(),
            text: String::new(),
            problems: Vec::new(),
        };
        if naming.patterned_zones().next().is_some() {
            names.in_zones =
                (0..components.len() as u32).map(|component| names.claim_in_zones(component)).collect();
        }
        names
    }

    /// Asks for what the rules give, for the component at this position.
    pub fn wish(&mut self, component: u32, verdict: &Verdict) -> Wish {
        let id = &self.components[component as usize].id;
        let domain = self.naming.domain_of(verdict);
        let (domain, by_xname) = match self.claim(component, id.as_str(), domain) {
            Ok(name) => (domain, name),
            Err(bad) => {
                self.bad_name(component, &bad);
                (None, self.claim(component, id.as_str(), None).expect("an xname is a DNS label"))
            }
        };
        let hostname = self.naming.hostname(verdict, id, self.nids[component as usize]);
        let fqdn = self.given(component, hostname, domain).unwrap_or_else(|| by_xname.clone());
        Wish { domain: domain.cloned(), fqdn, by_xname }
    }

    /// Decides every name that several asked for.
    pub fn settle(&mut self) {
        let mut contested: Vec<(Name, Vec<u32>)> = std::mem::take(&mut self.rivals).into_iter().collect();
        contested.sort();
        for (name, mut claimants) in contested {
            let first = self.claims.get(&name).copied().flatten();
            claimants.extend(first);
            claimants.sort_unstable();
            claimants.dedup();
            let by_xname = first.filter(|component| self.is_xname_of(*component, name.as_str()));
            let owner = by_xname.or_else(|| {
                let holder = self.previous?.bearer_id(&name)?;
                claimants.iter().copied().find(|component| self.components[*component as usize].id == *holder)
            });
            match owner {
                Some(owner) => self.claims.insert(name.clone(), Some(owner)),
                None => self.claims.remove(&name),
            };
            self.problems.push(self.contested_name(&name, owner, &claimants));
            self.settled.insert(name, owner);
        }
    }

    /// What came of a wish.
    pub fn called(&self, component: u32, wish: &Wish) -> Called {
        let fqdn = if self.owns(component, &wish.fqdn) { &wish.fqdn } else { &wish.by_xname };
        let in_domain = [fqdn, &wish.by_xname].into_iter().filter(|_| wish.domain.is_some());
        let in_zones = self.in_zones.get(component as usize).into_iter().flatten();
        let mut names: Vec<Name> = Vec::with_capacity(2 + in_zones.size_hint().0);
        for name in in_domain.chain(in_zones) {
            if !names.contains(name) && self.owns(component, name) {
                names.push(name.clone());
            }
        }
        Called { domain: wish.domain.clone(), fqdn: fqdn.clone(), names: names.into() }
    }

    /// All names that somebody has.
    pub fn into_claims(self) -> NameMap {
        self.claims
    }

    fn owns(&self, component: u32, name: &Name) -> bool {
        self.settled.is_empty() || self.settled.get(name).is_none_or(|owner| *owner == Some(component))
    }

    /// The name by pattern where it is a Node, and the xname, in each zone that has a pattern.
    fn claim_in_zones(&mut self, component: u32) -> Vec<Name> {
        let record = self.components[component as usize];
        let is_node = record.kind.eq_ignore_ascii_case("Node");
        let naming = self.naming;
        let mut names = Vec::new();
        for (zone, pattern) in naming.patterned_zones() {
            if is_node {
                let filled = naming::fill(pattern, &record.id, self.nids[component as usize]);
                names.extend(self.given(component, filled, Some(zone)));
            }
            names.extend(self.claim(component, record.id.as_str(), Some(zone)));
        }
        names
    }

    /// The name below the domain, where there is one to give and it is a DNS name.
    fn given(&mut self, component: u32, hostname: Hostname, domain: Option<&Name>) -> Option<Name> {
        match hostname {
            Hostname::Given(text) => {
                self.claim(component, &text, domain).map_err(|bad| self.bad_name(component, &bad)).ok()
            }
            Hostname::Unnamed => None,
            Hostname::NoNid => {
                let id = &self.components[component as usize].id;
                let message = format!(
                    "{id} has no NID, which the pattern of its name needs: it is called by its xname"
                );
                self.problems.push(Problem::new(Reason::NoNid, message).of_component(Some(id)));
                None
            }
        }
    }

    fn bad_name(&mut self, component: u32, bad: &BadName) {
        let id = &self.components[component as usize].id;
        let message = format!("{bad}: {id} is called by its xname");
        self.problems.push(Problem::new(Reason::BadName, message).of_component(Some(id)));
    }

    /// Asks for `host.domain`. Its text is held once, here and in the previous snapshot.
    fn claim(&mut self, component: u32, host: &str, domain: Option<&Name>) -> Result<Name, BadName> {
        self.text.clear();
        self.text.push_str(host);
        self.text.make_ascii_lowercase();
        for part in domain.into_iter().flat_map(|domain| [".", domain.as_str()]) {
            self.text.push_str(part);
        }
        if let Some((name, first)) = self.claims.get_key_value(self.text.as_str()) {
            let (name, first) = (name.clone(), *first);
            if let Some(first) = first.filter(|first| *first != component) {
                self.also(first, component, &name);
            }
            return Ok(name);
        }
        let known = self.previous.and_then(|previous| previous.index.names.get_key_value(self.text.as_str()));
        let name = known.map_or_else(|| self.text.parse(), |(name, _)| Ok(name.clone()))?;
        self.claims.insert(name.clone(), Some(component));
        Ok(name)
    }

    /// Two ask for one name. Whose xname it is goes first.
    fn also(&mut self, first: u32, component: u32, name: &Name) {
        let rivals = self.rivals.entry(name.clone()).or_default();
        let rival = if is_xname_of(&self.components[component as usize].id, name.as_str()) {
            self.claims.insert(name.clone(), Some(component));
            first
        } else {
            component
        };
        if rivals.last() != Some(&rival) {
            rivals.push(rival);
        }
    }

    fn is_xname_of(&self, component: u32, name: &str) -> bool {
        is_xname_of(&self.components[component as usize].id, name)
    }

    fn contested_name(&self, name: &Name, owner: Option<u32>, claimants: &[u32]) -> Problem {
        let id = |position: u32| &self.components[position as usize].id;
        let ids: Vec<&Xname> = claimants.iter().map(|&position| id(position)).collect();
        let outcome = match owner.map(id) {
            Some(id) => format!("it stays with {id}"),
            None => "nobody gets it, all are called by their xnames".to_owned(),
        };
        let message = format!("name {name} is claimed by {}: {outcome}; are their NIDs right?", listed(&ids));
        Problem::new(Reason::DuplicateName, message).of_name(name).of_component(owner.map(id))
    }
}

/// Whether the first label is the xname, which is a label: letters and digits, at most 63.
fn is_xname_of(id: &Xname, name: &str) -> bool {
    name.split_once('.').map_or(name, |(label, _)| label) == id.as_str()
}

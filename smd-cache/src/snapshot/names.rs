//! Whose name it is, and what everything is called in the end.
//!
//! A name that two components claim stays with the one that holds it; without a holder nobody gets it: freshly discovered
//! clusters have thousands of nodes with NID 1. Every component has its xname, which nobody can take from it.

use super::{Snapshot, claims::listed};
use crate::{
    naming::{self, Hostname, Naming, Verdict},
    records::{ComponentRecord, Problem, Reason},
};
use std::collections::{HashMap, hash_map::Entry};
use values::{Name, Xname};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// What an address, or a component without one, asks to be called.
#[derive(Debug, Clone)]
pub struct Wish {
    hostname: Name,
    domain: Option<Name>,
    fqdn: Name,
    /// `xname.domain`, which it has besides and falls back to.
    by_xname: Name,
    /// The xname alone.
    bare: Name,
}

/// What it is called.
#[derive(Debug, Clone)]
pub struct Called {
    pub hostname: Name,
    pub domain: Option<Name>,
    pub fqdn: Name,
    pub names: Vec<Name>,
}

/// All names that are asked for.
pub struct Names<'a> {
    naming: &'a Naming,
    components: &'a [&'a ComponentRecord],
    /// Own NIDs, and those that BMCs take from their nodes.
    nids: &'a [Option<i64>],
    claims: HashMap<Name, Claim, Xxh3DefaultBuilder>,
    /// By component: its names in the zones that have patterns.
    in_zones: Vec<Vec<Name>>,
    pub problems: Vec<Problem>,
}

struct Claim {
    component: u32,
    by_xname: bool,
    /// Other components, in any order, perhaps repeated.
    rivals: Vec<u32>,
    /// Decided in `settle`; before, it is whoever came first.
    owner: Option<u32>,
}

impl<'a> Names<'a> {
    pub fn new(
        naming: &'a Naming,
        components: &'a [&'a ComponentRecord],
        nids: &'a [Option<i64>],
    ) -> Names<'a> {
        let claims = HashMap::with_capacity_and_hasher(2 * components.len(), Xxh3DefaultBuilder::new());
        let mut names =
            Names { naming, components, nids, claims, in_zones: Vec::new(), problems: Vec::new() };
        if naming.patterned_zones().next().is_some() {
            names.in_zones =
                (0..components.len() as u32).map(|component| names.claim_in_zones(component)).collect();
        }
        names
    }

    /// Asks for what the rules give, for the component at this position.
    pub fn wish(&mut self, component: u32, verdict: &Verdict) -> Wish {
        let id = &self.components[component as usize].id;
        let bare = xname(id);
        let (domain, by_xname) = below(&bare, self.naming.domain_of(verdict));
        if domain.is_none() && self.naming.domain_of(verdict).is_some() {
            self.bad_name(component, &format!("{id} with its domain is longer than a DNS name may be"));
        }
        let hostname = self.hostname(component, verdict);
        let fqdn = hostname.as_ref().and_then(|hostname| match &domain {
            Some(domain) => domain.below(hostname.as_str()).ok(),
            None => Some(hostname.clone()),
        });
        let by_xname = self.claim(component, by_xname, true);
        match (hostname, fqdn) {
            (Some(hostname), Some(fqdn)) => {
                let fqdn = self.claim(component, fqdn, false);
                Wish { hostname, domain, fqdn, by_xname, bare }
            }
            (hostname, _) => {
                if let Some(hostname) = hostname {
                    let message = format!("'{hostname}' with its domain is longer than a DNS name may be");
                    self.bad_name(component, &message);
                }
                Wish { hostname: bare.clone(), domain, fqdn: by_xname.clone(), by_xname, bare }
            }
        }
    }

    /// Decides every name that several asked for.
    pub fn settle(&mut self, previous: Option<&Snapshot>) {
        let components = self.components;
        let mut contested: Vec<(&Name, &mut Claim)> =
            self.claims.iter_mut().filter(|(_, claim)| !claim.rivals.is_empty()).collect();
        contested.sort_by(|a, b| a.0.cmp(b.0));
        for (name, claim) in contested {
            let mut claimants = std::mem::take(&mut claim.rivals);
            claimants.push(claim.component);
            claimants.sort_unstable();
            claimants.dedup();
            if !claim.by_xname {
                let holder = previous.and_then(|previous| previous.bearer_id(name));
                let holds = |position: &&u32| Some(&components[**position as usize].id) == holder;
                claim.owner = claimants.iter().find(holds).copied();
            }
            self.problems.push(contested_name(name, components, claim.owner, &claimants));
        }
    }

    /// What came of a wish.
    pub fn called(&self, component: u32, wish: &Wish) -> Called {
        let in_zones = self.in_zones.get(component as usize).into_iter().flatten();
        let granted = self.owns(component, &wish.fqdn);
        let (hostname, fqdn) =
            if granted { (&wish.hostname, &wish.fqdn) } else { (&wish.bare, &wish.by_xname) };
        let in_domain = [fqdn, &wish.by_xname].into_iter().filter(|_| wish.domain.is_some());
        let mut names: Vec<Name> = Vec::with_capacity(2);
        for name in in_domain.chain(in_zones) {
            if !names.contains(name) && self.owns(component, name) {
                names.push(name.clone());
            }
        }
        Called { hostname: hostname.clone(), domain: wish.domain.clone(), fqdn: fqdn.clone(), names }
    }

    fn owns(&self, component: u32, name: &Name) -> bool {
        self.claims.get(name).is_some_and(|claim| claim.owner == Some(component))
    }

    /// The name by pattern where it is a Node, and the xname, in each zone that has a pattern.
    fn claim_in_zones(&mut self, component: u32) -> Vec<Name> {
        let record = self.components[component as usize];
        let is_node = record.kind.eq_ignore_ascii_case("Node");
        let bare = xname(&record.id);
        let naming = self.naming;
        let mut names = Vec::new();
        for (zone, pattern) in naming.patterned_zones() {
            let filled = is_node.then(|| naming::fill(pattern, &record.id, self.nids[component as usize]));
            let given = filled.and_then(|filled| self.given(component, filled));
            if let Some(name) = given.and_then(|name| zone.below(name.as_str()).ok()) {
                names.push(self.claim(component, name, false));
            }
            if let Ok(name) = zone.below(bare.as_str()) {
                names.push(self.claim(component, name, true));
            }
        }
        names
    }

    fn hostname(&mut self, component: u32, verdict: &Verdict) -> Option<Name> {
        let id = &self.components[component as usize].id;
        let filled = self.naming.hostname(verdict, id, self.nids[component as usize]);
        self.given(component, filled)
    }

    fn given(&mut self, component: u32, filled: Hostname) -> Option<Name> {
        match filled {
            Hostname::Given(name) => return Some(name),
            Hostname::Unnamed => {}
            Hostname::NoNid => {
                let id = &self.components[component as usize].id;
                let message = format!(
                    "{id} has no NID, which the pattern of its name needs: it is called by its xname"
                );
                self.problems.push(Problem::new(Reason::NoNid, message).of_component(Some(id)));
            }
            Hostname::Bad(text) => {
                let start: String = text.chars().take(64).collect();
                self.bad_name(component, &format!("'{start}' is no DNS name"));
            }
        }
        None
    }

    fn bad_name(&mut self, component: u32, what: &str) {
        let id = &self.components[component as usize].id;
        let message = format!("{what}: {id} is called by its xname");
        self.problems.push(Problem::new(Reason::BadName, message).of_component(Some(id)));
    }

    /// The same name as it is already known, so that its text is held once.
    fn claim(&mut self, component: u32, name: Name, by_xname: bool) -> Name {
        match self.claims.entry(name) {
            Entry::Vacant(entry) => {
                let name = entry.key().clone();
                entry.insert(Claim { component, by_xname, rivals: Vec::new(), owner: Some(component) });
                name
            }
            Entry::Occupied(mut entry) => {
                let name = entry.key().clone();
                entry.get_mut().also(component, by_xname);
                name
            }
        }
    }
}

impl Claim {
    fn also(&mut self, component: u32, by_xname: bool) {
        if component == self.component {
            self.by_xname |= by_xname;
            return;
        }
        let other = if by_xname { std::mem::replace(&mut self.component, component) } else { component };
        if self.rivals.last() != Some(&other) {
            self.rivals.push(other);
        }
        self.by_xname |= by_xname;
        self.owner = Some(self.component);
    }
}

fn contested_name(
    name: &Name,
    components: &[&ComponentRecord],
    owner: Option<u32>,
    claimants: &[u32],
) -> Problem {
    let ids: Vec<&Xname> = claimants.iter().map(|&position| &components[position as usize].id).collect();
    let owner = owner.map(|position| &components[position as usize].id);
    let outcome = match owner {
        Some(id) => format!("it stays with {id}"),
        None => "nobody gets it, all are called by their xnames".to_owned(),
    };
    let message = format!("name {name} is claimed by {}: {outcome}; are their NIDs right?", listed(&ids));
    Problem::new(Reason::DuplicateName, message).of_name(name).of_component(owner)
}

/// Letters and digits, at most 63: always a label.
fn xname(id: &Xname) -> Name {
    id.as_str().parse().expect("an xname is a DNS label")
}

/// The name below the domain, or alone where there is no domain or no room.
fn below(bare: &Name, domain: Option<&Name>) -> (Option<Name>, Name) {
    match domain.map(|domain| (domain, domain.below(bare.as_str()))) {
        Some((domain, Ok(name))) => (Some(domain.clone()), name),
        _ => (None, bare.clone()),
    }
}

//! Whose name it is, and what everything is called in the end.
//!
//! A name that two components claim stays with the one that holds it; without a holder nobody gets it: freshly discovered
//! clusters have thousands of nodes with NID 1. Every component has its xname, which nobody can take from it.

use super::{
    Component, Snapshot,
    claims::{MAX_NAMED, listed},
    index::Borne,
    keys::TextMap,
    sorted::Keyed,
};
use crate::{
    naming::{self, Hostname, Naming, Verdict},
    records::{ComponentRecord, Problem, Reason},
};
use config::{Filling, Lacking, Nic};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use values::{BadName, Name, Xname};

/// What an address, or a component without one, asks to be called.
#[derive(Debug, Clone)]
pub struct Wish {
    domain: Option<Name>,
    fqdn: Name,
    /// `xname.domain`, or the bare xname: it has it besides and falls back to it.
    by_xname: Name,
    /// In the zones where that depends on the network.
    in_zones: Vec<Name>,
}

/// Where an address is, as far as names tell.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// SMD's.
    pub network: &'a str,
    /// The same as names have it; `None`: it is no label, or no pattern asks for it.
    pub nic: Option<Nic<'a>>,
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
    /// By component: what it was, to share its names with it.
    before: Vec<Option<&'a Component>>,
    /// Who asked first.
    claims: TextMap<Name, u32>,
    /// The other components that asked, perhaps repeated.
    rivals: TextMap<Name, Vec<u32>>,
    /// Who of these has what several asked for.
    settled: TextMap<Name, Option<u32>>,
    /// Everybody who asked for that.
    contested: Vec<(Name, Vec<u32>)>,
    /// By component: its names in the zones where all its addresses have the same.
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
        before: Vec<Option<&'a Component>>,
    ) -> Names<'a> {
        let expected = components.len() * 2 * (1 + naming.zones_by_component().count());
        let mut names = Names {
            naming,
            components,
            nids,
            previous,
            before,
            claims: TextMap::with_capacity_and_hasher(expected, Default::default()),
            rivals: TextMap::default(),
            settled: TextMap::default(),
            contested: Vec::new(),
            in_zones: Vec::new(),
            text: String::new(),
            problems: Vec::new(),
        };
        if naming.zones_by_component().next().is_some() {
            names.in_zones =
                (0..components.len() as u32).map(|component| names.claim_in_zones(component)).collect();
        }
        names
    }

    /// Asks for what the rules and zones give, for the component at this position and an address of it, where it has one.
    pub fn wish(&mut self, component: u32, verdict: &Verdict, spot: Option<Spot<'_>>) -> Wish {
        let id = &self.components[component as usize].id;
        let domain = self.naming.domain_of(verdict, spot.map(|spot| spot.network));
        let (domain, by_xname) = match self.claim(component, id.as_str(), domain) {
            Ok(name) => (domain, name),
            Err(bad) => {
                self.bad_name(component, &bad);
                (None, self.claim(component, id.as_str(), None).expect("an xname is a DNS label"))
            }
        };
        let filling = self.filling(component, spot);
        let hostname = self.naming.hostname(verdict, &filling);
        let in_zones = spot.map(|spot| self.claim_by_address(component, spot, &hostname)).unwrap_or_default();
        let fqdn = self.given(component, hostname, domain, spot).unwrap_or_else(|| by_xname.clone());
        Wish { domain: domain.cloned(), fqdn, by_xname, in_zones }
    }

    /// Decides every name that several asked for.
    pub fn settle(&mut self) {
        let mut contested: Vec<(Name, Vec<u32>)> = std::mem::take(&mut self.rivals).into_iter().collect();
        contested.sort();
        for (name, claimants) in &mut contested {
            claimants.extend(self.claims.get(name));
            claimants.sort_unstable();
            claimants.dedup();
            let place = |id: &str| claimants.binary_search_by(|claimant| self.id(*claimant).as_str().cmp(id));
            let asked = |id: &str| place(id).ok().map(|place| claimants[place]);
            let owner = owner_of_contested(name, self.previous, asked);
            let first: Vec<&Xname> =
                claimants.iter().take(MAX_NAMED).map(|claimant| self.id(*claimant)).collect();
            let problem = contested_name(name, owner.map(|owner| self.id(owner)), &first, claimants.len());
            self.problems.push(problem);
            self.award(name, owner);
        }
        self.contested = contested;
    }

    /// Says who of these, if any, has a name that not only one asked for.
    pub fn award(&mut self, name: &Name, owner: Option<u32>) {
        self.settled.insert(name.clone(), owner);
    }

    /// Every name, and who of these asked for it.
    pub fn asked(&self) -> BTreeMap<Name, BTreeSet<&'a Xname>> {
        let mut asked: BTreeMap<Name, BTreeSet<&Xname>> = BTreeMap::new();
        for (name, first) in &self.claims {
            asked.entry(name.clone()).or_default().insert(self.id(*first));
        }
        for (name, further) in &self.rivals {
            asked.entry(name.clone()).or_default().extend(further.iter().map(|position| self.id(*position)));
        }
        asked
    }

    /// What came of a wish.
    pub fn called(&self, component: u32, wish: &Wish) -> Called {
        let fqdn = if self.owns(component, &wish.fqdn) { &wish.fqdn } else { &wish.by_xname };
        let in_domain = [fqdn, &wish.by_xname].into_iter().filter(|_| wish.domain.is_some());
        let in_zones = self.in_zones.get(component as usize).into_iter().flatten();
        let mut names: Vec<Name> = Vec::with_capacity(2 + in_zones.size_hint().0 + wish.in_zones.len());
        for name in in_domain.chain(in_zones).chain(&wish.in_zones) {
            if !names.contains(name) && self.owns(component, name) {
                names.push(name.clone());
            }
        }
        Called { domain: wish.domain.clone(), fqdn: fqdn.clone(), names: names.into() }
    }

    /// Who bears what, and everybody who asked for what several asked for; both in order.
    pub fn into_borne(self) -> (Vec<Borne>, Vec<(Name, Xname)>) {
        let components = self.components;
        let id = |position: u32| components[position as usize].id.clone();
        let owner = |name: &Name, first: u32| match self.settled.get(name) {
            Some(owner) => *owner,
            None => Some(first),
        };
        let borne = self.claims.into_iter().filter_map(|(name, first)| {
            let owner = owner(&name, first)?;
            Some(Borne::new(name, id(owner)))
        });
        let mut borne: Vec<Borne> = borne.collect();
        borne.sort_unstable_by(Keyed::order);
        let all = self.contested.into_iter().flat_map(|(name, claimants)| {
            claimants.into_iter().map(move |claimant| (name.clone(), id(claimant)))
        });
        (borne, all.collect())
    }

    fn id(&self, position: u32) -> &'a Xname {
        &self.components[position as usize].id
    }

    fn owns(&self, component: u32, name: &Name) -> bool {
        self.settled.is_empty() || self.settled.get(name).is_none_or(|owner| *owner == Some(component))
    }

    fn filling<'f>(&self, component: u32, spot: Option<Spot<'f>>) -> Filling<'f>
    where
        'a: 'f,
    {
        let (id, nid) = (self.id(component), self.nids[component as usize]);
        Filling { id, nid, nic: spot.and_then(|spot| spot.nic) }
    }

    /// The name by pattern where it is a Node, and the xname, in each zone that looks at no network.
    fn claim_in_zones(&mut self, component: u32) -> Vec<Name> {
        let record = self.components[component as usize];
        let is_node = record.kind.eq_ignore_ascii_case("Node");
        let (naming, filling) = (self.naming, self.filling(component, None));
        let mut names = Vec::new();
        for zone in naming.zones_by_component() {
            let pattern = zone.nodes.as_ref().filter(|pattern| is_node && !pattern.needs_network());
            if let Some(pattern) = pattern {
                let filled = naming::fill(pattern, &filling);
                names.extend(self.given(component, filled, Some(&zone.name), None));
            }
            names.extend(self.claim(component, record.id.as_str(), Some(&zone.name)));
        }
        names
    }

    /// The names of one address in the zones that look at its network: by pattern where it is a Node, else by the host name
    /// of its rule; where the zone is for some networks only, also by xname.
    fn claim_by_address(&mut self, component: u32, spot: Spot<'_>, hostname: &Hostname) -> Vec<Name> {
        let record = self.components[component as usize];
        let is_node = record.kind.eq_ignore_ascii_case("Node");
        let (naming, filling) = (self.naming, self.filling(component, Some(spot)));
        let mut names = Vec::new();
        for zone in naming.zones_by_address().filter(|zone| zone.takes(Some(spot.network))) {
            let for_all = zone.networks.is_empty();
            let hostname = match zone.nodes.as_ref().filter(|_| is_node) {
                Some(pattern) => naming::fill(pattern, &filling),
                None if for_all => continue,
                // What it lacks is said where the rule names it.
                None if matches!(hostname, Hostname::Lacks(_)) => Hostname::Unnamed,
                None => hostname.clone(),
            };
            names.extend(self.given(component, hostname, Some(&zone.name), Some(spot)));
            if !for_all {
                names.extend(self.claim(component, record.id.as_str(), Some(&zone.name)));
            }
        }
        names
    }

    /// The name below the domain, where there is one to give and it is a DNS name.
    fn given(
        &mut self,
        component: u32,
        hostname: Hostname,
        domain: Option<&Name>,
        spot: Option<Spot<'_>>,
    ) -> Option<Name> {
        match hostname {
            Hostname::Given(text) => {
                self.claim(component, &text, domain).map_err(|bad| self.bad_name(component, &bad)).ok()
            }
            Hostname::Unnamed => None,
            Hostname::Lacks(lacking) => {
                self.lacks(component, lacking, spot);
                None
            }
        }
    }

    /// What has no address has no network either: that is no problem.
    fn lacks(&mut self, component: u32, lacking: Lacking, spot: Option<Spot<'_>>) {
        let id = self.id(component);
        let (reason, message) = match (lacking, spot) {
            (Lacking::Nid, _) => (
                Reason::NoNid,
                format!("{id} has no NID, which the pattern of its name needs: it is called by its xname"),
            ),
            (Lacking::Network, Some(Spot { network: "", .. })) => (
                Reason::NoNetwork,
                format!(
                    "SMD names no network for an address of {id}, which the pattern of its name needs: it is called by its xname there"
                ),
            ),
            (Lacking::Network, Some(Spot { network, .. })) => (
                Reason::NoNetwork,
                format!(
                    "network '{network}' of {id} cannot be part of a name, which its pattern asks for: it is called by its xname there"
                ),
            ),
            (Lacking::Network, None) => return,
        };
        self.problems.push(Problem::new(reason, message).of_component(Some(id)));
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
            if *first != component {
                let rivals = self.rivals.entry(name.clone()).or_default();
                if rivals.last() != Some(&component) {
                    rivals.push(component);
                }
            }
            return Ok(name.clone());
        }
        let before = self.before.get(component as usize).copied().flatten();
        let known = before.and_then(|before| before.names.iter().find(|name| name.as_str() == self.text));
        let name = known.map_or_else(|| self.text.parse(), |name| Ok(name.clone()))?;
        self.claims.insert(name.clone(), component);
        Ok(name)
    }
}

/// By component: what it was. Both lists are in order.
pub fn as_they_were<'a>(
    components: &[&ComponentRecord],
    previous: Option<&'a Snapshot>,
) -> Vec<Option<&'a Component>> {
    let mut before = previous.into_iter().flat_map(Snapshot::components).peekable();
    let was = |record: &&ComponentRecord| {
        while before.next_if(|held| held.id < record.id).is_some() {}
        before.next_if(|held| held.id == record.id).map(|held| &**held)
    };
    components.iter().map(was).collect()
}

/// Who gets a name that several asked for: the one whose xname it is, else the one that holds it, if it asked.
pub fn owner_of_contested<T>(
    name: &Name,
    previous: Option<&Snapshot>,
    asked: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let label = name.as_str().split_once('.').map_or(name.as_str(), |(label, _)| label);
    asked(label).or_else(|| asked(previous?.holder_of_name(name)?.as_str()))
}

/// `first`: of so many that asked.
pub fn contested_name(name: &Name, owner: Option<&Xname>, first: &[&Xname], count: usize) -> Problem {
    let outcome = match owner {
        Some(id) => format!("it stays with {id}"),
        None => "nobody gets it, all are called by their xnames".to_owned(),
    };
    let message =
        format!("name {name} is claimed by {}: {outcome}; are their NIDs right?", listed(first, count));
    Problem::new(Reason::DuplicateName, message).of_name(name).of_component(owner)
}

//! Rules put to machines: one evaluation gives the host name for DHCP, the names for DNS, and the policy.
//!
//! The language is CoreSMD's: rules in order, the first match ends unless it says `continue`, and what a later match says
//! replaces what an earlier one said, piece by piece; a host name comes with its domain, so both are replaced together.
//! What no rule names has its xname and the global domain.

mod matching;
pub mod nics;

pub use matching::{Mismatch, Place, Subject, why};

use config::{Config, Filling, Lacking, Pattern, Rule};
use std::{collections::BTreeMap, net::Ipv4Addr};
use values::Name;

/// The configuration that names machines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Naming {
    rules: Vec<Rule>,
    domain: Option<Name>,
    zones: Vec<Zone>,
    /// What each rule's host names end in.
    domains: Vec<Option<Name>>,
}

/// A zone as naming sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its apex.
    pub name: Name,
    /// Names every Node in it.
    pub nodes: Option<Pattern>,
    /// Only addresses on these are named in it; empty: all.
    pub networks: Vec<String>,
}

impl Zone {
    /// Whether what is on this network of SMD (`None`: has no address) is named in it.
    pub fn takes(&self, network: Option<&str>) -> bool {
        let is_listed = |network: &str| self.networks.iter().any(|one| one.eq_ignore_ascii_case(network));
        self.networks.is_empty() || network.is_some_and(is_listed)
    }

    /// Whether addresses of one component may have other names in it than the component's others.
    fn by_address(&self) -> bool {
        !self.networks.is_empty() || self.nodes.as_ref().is_some_and(Pattern::needs_network)
    }
}

/// What the rules say; an absent value means: the subnet's or the global one applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Policy {
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 1.
    pub prefix_length: Option<u8>,
    /// No reply of any kind.
    pub ignore: bool,
    /// Instead of the loader.
    pub boot_file: Option<String>,
    /// Instead of the TFTP server.
    pub next_server: Option<Ipv4Addr>,
    /// Instead of the global script.
    pub script_url: Option<String>,
    /// Further options by code, as they go on the wire; an empty one is not sent.
    pub options: BTreeMap<u8, Vec<u8>>,
    /// Names of the rules that matched, in order.
    pub rules: Vec<String>,
}

/// What came of putting all rules to one machine in one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Positions of the rules that matched, in order; the policy follows from them.
    pub matched: Vec<usize>,
    /// Position of the rule that names it; `None`: no rule does.
    pub named_by: Option<usize>,
}

/// What became of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It matched.
    Matched,
    /// This condition does not hold.
    Mismatched(Mismatch),
    /// The rule at this position matched before and ended the evaluation.
    NotReached {
        /// Its position.
        after: usize,
    },
}

impl Naming {
    /// From the configuration file.
    pub fn from_config(config: &Config) -> Naming {
        Naming::new(config.rules.clone(), config.domain.clone(), config.zones.clone())
    }

    /// Zones are those listed, then the domain, then each domain that a rule names.
    pub fn new(rules: Vec<Rule>, domain: Option<Name>, listed: Vec<config::Zone>) -> Naming {
        let named = domain.iter().chain(rules.iter().filter_map(|rule| rule.domain.as_ref()));
        let zone = |zone: config::Zone| Zone { name: zone.name, nodes: zone.nodes, networks: zone.networks };
        let mut zones: Vec<Zone> = listed.into_iter().map(zone).collect();
        for name in named {
            if zones.iter().all(|zone| zone.name != *name) {
                zones.push(Zone { name: name.clone(), nodes: None, networks: Vec::new() });
            }
        }
        let domains = rules.iter().map(|rule| rule.effective_domain(domain.as_ref())).collect();
        Naming { rules, domain, zones, domains }
    }

    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        self.domain.as_ref()
    }

    /// All zones, reverse ones included.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Zones in which all addresses of a component have the same further names, by the pattern and by xname.
    pub fn zones_by_component(&self) -> impl Iterator<Item = &Zone> {
        self.further_zones().filter(|zone| zone.networks.is_empty())
    }

    /// Zones in which what an address is called depends on its network.
    pub fn zones_by_address(&self) -> impl Iterator<Item = &Zone> {
        self.further_zones().filter(|zone| zone.by_address())
    }

    /// Those that name machines besides the rules. Reverse zones hold no host names.
    fn further_zones(&self) -> impl Iterator<Item = &Zone> {
        let forward = self.zones.iter().filter(|zone| !is_reverse(&zone.name));
        forward.filter(|zone| zone.nodes.is_some() || !zone.networks.is_empty())
    }

    /// Whether any pattern needs the network of an address.
    pub fn looks_at_networks(&self) -> bool {
        let ruled = self.rules.iter().filter_map(|rule| rule.hostname.as_ref());
        let zoned = self.zones.iter().filter_map(|zone| zone.nodes.as_ref());
        ruled.chain(zoned).any(Pattern::needs_network)
    }

    /// Whether any rule matches on `enabled`: only then is a change of it a change of content.
    pub fn looks_at_enabled(&self) -> bool {
        self.rules.iter().any(|rule| rule.matches.enabled.is_some())
    }

    /// Puts every rule to `subject` in `place`.
    pub fn evaluate(&self, subject: &Subject<'_>, place: Option<Place<'_>>) -> Verdict {
        let mut verdict = Verdict::default();
        for (position, rule, mismatch) in self.walk(subject, place) {
            if mismatch.is_some() {
                continue;
            }
            verdict.matched.push(position);
            if rule.hostname.is_some() && !rule.ignore {
                verdict.named_by = Some(position);
            }
        }
        verdict
    }

    /// The same for people: how each rule fared, in order.
    pub fn trace(&self, subject: &Subject<'_>, place: Option<Place<'_>>) -> Vec<Fate> {
        let fate = |(_, _, mismatch): (usize, &Rule, Option<Mismatch>)| match mismatch {
            None => Fate::Matched,
            Some(mismatch) => Fate::Mismatched(mismatch),
        };
        let mut fates: Vec<Fate> = self.walk(subject, place).map(fate).collect();
        let last = fates.len().saturating_sub(1);
        fates.resize(self.rules.len(), Fate::NotReached { after: last });
        fates
    }

    /// Every rule that is looked at, with its position and the condition that does not hold. The walk ends with the first
    /// match that does not say `continue`.
    fn walk(
        &self,
        subject: &Subject<'_>,
        place: Option<Place<'_>>,
    ) -> impl Iterator<Item = (usize, &Rule, Option<Mismatch>)> {
        let mut ended = false;
        self.rules.iter().enumerate().map_while(move |(position, rule)| {
            if ended {
                return None;
            }
            let mismatch = matching::mismatch(&rule.matches, subject, place);
            ended = mismatch.is_none() && (rule.ignore || !rule.goes_on);
            Some((position, rule, mismatch))
        })
    }

    /// What the rules that matched say, the later ones over the earlier ones.
    pub fn policy(&self, verdict: &Verdict) -> Policy {
        let mut policy = Policy::default();
        for rule in verdict.matched.iter().map(|&position| &self.rules[position]) {
            policy.rules.push(rule.name.clone());
            if rule.ignore {
                policy.ignore = true;
                break;
            }
            if !rule.routers.is_empty() {
                policy.routers.clone_from(&rule.routers);
            }
            policy.prefix_length = rule.prefix_length.or(policy.prefix_length);
            policy.next_server = rule.next_server.or(policy.next_server);
            policy.boot_file = rule.boot_file.clone().or(policy.boot_file);
            policy.script_url = rule.script_url.clone().or(policy.script_url);
            policy.options.extend(rule.options.iter().cloned());
        }
        policy
    }

    /// The domain of what `verdict` names on this network of SMD (`None`: there is no address). A zone that does not take
    /// the network names nothing on it: then the global domain's does, else none.
    pub fn domain_of(&self, verdict: &Verdict, network: Option<&str>) -> Option<&Name> {
        let ruled = match verdict.named_by {
            Some(position) => self.domains[position].as_ref(),
            None => self.domain.as_ref(),
        };
        let takes = |domain: &&Name| {
            self.zones.iter().find(|zone| zone.name == **domain).is_none_or(|zone| zone.takes(network))
        };
        ruled.filter(takes).or_else(|| ruled.and(self.domain.as_ref()).filter(takes))
    }

    /// The host name that the rules give.
    pub fn hostname(&self, verdict: &Verdict, filling: &Filling<'_>) -> Hostname {
        let rule = verdict.named_by.map(|position| &self.rules[position]);
        match rule.and_then(|rule| rule.hostname.as_ref()) {
            Some(pattern) => fill(pattern, filling),
            None => Hostname::Unnamed,
        }
    }
}

/// What a pattern gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hostname {
    /// This text; whether it is a DNS name shows together with its domain.
    Given(String),
    /// No rule names it.
    Unnamed,
    /// The pattern needs what is not there.
    Lacks(Lacking),
}

/// Fills a pattern for one component, or one address of it.
pub fn fill(pattern: &Pattern, filling: &Filling<'_>) -> Hostname {
    pattern.fill(filling).map_or_else(Hostname::Lacks, Hostname::Given)
}

/// Reverse zones hold addresses, not host names.
pub fn is_reverse(zone: &Name) -> bool {
    let zone = zone.as_str();
    [".in-addr.arpa", ".ip6.arpa"].iter().any(|suffix| zone.ends_with(suffix) || zone == &suffix[1..])
}

#[cfg(test)]
mod tests;

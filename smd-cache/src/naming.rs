//! Rules put to machines: one evaluation gives the host name for DHCP, the names for DNS, and the policy.
//!
//! The language is CoreSMD's: rules in order, the first match ends unless it says `continue`, and what a later match says
//! replaces what an earlier one said, piece by piece; a host name comes with its domain, so both are replaced together.
//! What no rule names has its xname and the global domain.

mod matching;

pub use matching::{Mismatch, Place, Subject, why};

use config::{Config, Pattern, Rule};
use std::{collections::BTreeMap, net::Ipv4Addr};
use values::{Name, Xname};

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
        let mut zones: Vec<Zone> =
            listed.into_iter().map(|zone| Zone { name: zone.name, nodes: zone.nodes }).collect();
        for name in named {
            if zones.iter().all(|zone| zone.name != *name) {
                zones.push(Zone { name: name.clone(), nodes: None });
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

    /// Zones with a pattern of their own for Nodes. Reverse zones hold no host names.
    pub fn patterned_zones(&self) -> impl Iterator<Item = (&Name, &Pattern)> {
        let forward = self.zones.iter().filter(|zone| !is_reverse(&zone.name));
        forward.filter_map(|zone| Some((&zone.name, zone.nodes.as_ref()?)))
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

    /// The domain of what `verdict` names.
    pub fn domain_of(&self, verdict: &Verdict) -> Option<&Name> {
        match verdict.named_by {
            Some(position) => self.domains[position].as_ref(),
            None => self.domain.as_ref(),
        }
    }

    /// The host name that the rules give.
    pub fn hostname(&self, verdict: &Verdict, id: &Xname, nid: Option<i64>) -> Hostname {
        let rule = verdict.named_by.map(|position| &self.rules[position]);
        match rule.and_then(|rule| rule.hostname.as_ref()) {
            Some(pattern) => fill(pattern, id, nid),
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
    /// The pattern needs a NID.
    NoNid,
}

/// Fills a pattern for one component.
pub fn fill(pattern: &Pattern, id: &Xname, nid: Option<i64>) -> Hostname {
    pattern.fill(id, nid).map_or(Hostname::NoNid, Hostname::Given)
}

/// Reverse zones hold addresses, not host names.
pub fn is_reverse(zone: &Name) -> bool {
    let zone = zone.as_str();
    [".in-addr.arpa", ".ip6.arpa"].iter().any(|suffix| zone.ends_with(suffix) || zone == &suffix[1..])
}

#[cfg(test)]
mod tests;

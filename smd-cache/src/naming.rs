//! Rules put to machines: one evaluation gives the host name for DHCP, the names for DNS, and the policy.

use config::{Config, Rule, Zone};
use std::net::Ipv4Addr;
use values::Name;

/// The configuration that names machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Naming {
    rules: Vec<Rule>,
    domain: Option<Name>,
    zones: Vec<Zone>,
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
    /// Names of the rules that matched, in order.
    pub rules: Vec<String>,
}

impl Naming {
    /// From the configuration file.
    pub fn from_config(config: &Config) -> Naming {
        Naming::new(config.rules.clone(), config.domain.clone(), config.zones.clone())
    }

    /// Zones are those listed, then the domain, then each domain that a rule names.
    pub fn new(rules: Vec<Rule>, domain: Option<Name>, zones: Vec<Zone>) -> Naming {
        Naming { rules, domain, zones }
    }

    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        self.domain.as_ref()
    }

    /// All zones, reverse ones included.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }
}

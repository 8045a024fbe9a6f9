//! What a snapshot holds.

use super::sorted::Keyed;
use crate::naming::Policy;
use jiff::Timestamp;
use std::{cmp::Ordering, net::IpAddr, ops::Deref, sync::Arc};
use values::{Mac, Name, Xname};

/// A network interface with its named addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// The key.
    pub mac: Mac,
    /// SMD's.
    pub description: Arc<str>,
    /// xname of the owner as SMD has it, whether or not it exists.
    pub component_id: Option<Xname>,
    /// Where the owner does not exist: SMD's type by the form of its xname, which rules look at instead; else empty. Not part
    /// of generation and digest; what rules make of it is.
    pub kind: Arc<str>,
    /// In SMD's order.
    pub addresses: Vec<Address>,
    /// Not part of generation and digest.
    pub last_update: Option<Timestamp>,
    /// What the rules say apart from any address.
    pub policy: Arc<Policy>,
    /// Another component claims its MAC or one of its addresses.
    pub contested: bool,
}

/// An address and what the rules made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// SMD's `Network`.
    pub network: Arc<str>,
    /// `None`: the host name is bare.
    pub domain: Option<Name>,
    /// `hostname.domain`, or the bare host name; `None` where the interface has no component that exists.
    pub fqdn: Option<Name>,
    /// In all zones, the canonical one first.
    pub names: Arc<[Name]>,
    /// What the rules say for this address.
    pub policy: Arc<Policy>,
}

impl Keyed for Interface {
    fn order(&self, other: &Self) -> Ordering {
        self.mac.cmp(&other.mac)
    }
}

impl Keyed for Component {
    fn order(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Interface {
    /// Whether it has this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|held| held.address == address)
    }
}

impl Address {
    /// The FQDN without the domain; empty where there is none.
    pub fn hostname(&self) -> &str {
        let fqdn = self.fqdn.as_ref().map_or("", Name::as_str);
        let Some(domain) = &self.domain else { return fqdn };
        fqdn.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.')).unwrap_or(fqdn)
    }

    /// Whether it has this name, in DNS or for DHCP alone.
    pub fn bears(&self, name: &Name) -> bool {
        self.fqdn.as_ref() == Some(name) || self.names.contains(name)
    }
}

/// A node, BMC, switch ...
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The key.
    pub id: Xname,
    /// SMD's own.
    pub nid: Option<i64>,
    /// Part of generation and digest where a rule matches on it.
    pub enabled: Option<bool>,
    /// Every name it bears.
    pub names: Arc<[Name]>,
    /// All else: few components differ in it.
    pub traits: Arc<Traits>,
}

/// What SMD says of thousands of components alike; held once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Node, NodeBMC ...
    pub kind: Arc<str>,
    /// Role.
    pub role: Arc<str>,
    /// Sub-role.
    pub sub_role: Arc<str>,
    /// Architecture.
    pub arch: Arc<str>,
    /// Class.
    pub class: Arc<str>,
    /// Not part of generation and digest.
    pub state: Arc<str>,
    /// Not part of generation and digest.
    pub flag: Arc<str>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Deref for Component {
    type Target = Traits;

    fn deref(&self) -> &Traits {
        &self.traits
    }
}

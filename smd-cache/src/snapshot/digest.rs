//! Hashes of content that are the same in every instance, whatever the order in which SMD was read.

use super::{Address, Component, Entry, Interface, Traits};
use crate::naming::Policy;
use std::{
    fmt,
    iter::Sum,
    net::IpAddr,
    ops::{Add, Sub},
    sync::Arc,
};
use xxhash_rust::xxh3::xxh3_128;

/// A hash of one item, or the sum of the hashes of many: independent of their order. Prints as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Add for Digest {
    type Output = Digest;
    fn add(self, other: Digest) -> Digest {
        Digest(self.0.wrapping_add(other.0))
    }
}

impl Sub for Digest {
    type Output = Digest;
    fn sub(self, other: Digest) -> Digest {
        Digest(self.0.wrapping_sub(other.0))
    }
}

impl Sum for Digest {
    fn sum<I: Iterator<Item = Digest>>(digests: I) -> Digest {
        digests.fold(Digest::default(), Add::add)
    }
}

/// Writes items in a form that no two different ones share: every text is preceded by its length, every list by its
/// count, every kind by a byte.
#[derive(Default)]
pub struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    /// An interface without `last_update`.
    pub fn interface(&mut self, interface: Interface) -> Entry<Interface> {
        self.start(b'i');
        self.bytes.extend(interface.mac.0);
        self.text(&interface.description);
        self.maybe(interface.component_id.as_ref().map(|id| id.as_str()));
        self.policy(&interface.policy);
        self.bytes.push(interface.contested.into());
        self.count(interface.addresses.len());
        for address in &interface.addresses {
            self.named_address(address);
        }
        Entry { item: Arc::new(interface), digest: self.digest() }
    }

    /// A component without `state` and `flag`, and without `enabled` unless a rule looks at it.
    pub fn component(&mut self, component: Component, with_enabled: bool) -> Entry<Component> {
        self.start(b'c');
        let Traits { kind, role, sub_role, arch, class, .. } = &*component.traits;
        for text in [component.id.as_str(), kind, role, sub_role, arch, class] {
            self.text(text);
        }
        self.maybe(component.nid.map(|nid| nid.to_string()).as_deref());
        let enabled = component.enabled.filter(|_| with_enabled);
        self.maybe(enabled.map(|enabled| if enabled { "y" } else { "n" }));
        self.count(component.groups.len());
        for group in &component.groups {
            self.text(group);
        }
        self.names(&component.names);
        Entry { item: Arc::new(component), digest: self.digest() }
    }

    /// That there is a zone; or, with `kind` `d`, a domain.
    pub fn name(&mut self, kind: u8, name: &str) -> Digest {
        self.start(kind);
        self.text(name);
        self.digest()
    }

    /// A record of a zone: a name, and what it says.
    pub fn record(&mut self, name: &str, data: &[u8]) -> Digest {
        self.start(b'r');
        self.text(name);
        self.bytes.extend_from_slice(data);
        self.digest()
    }

    fn named_address(&mut self, address: &Address) {
        match address.address {
            IpAddr::V4(v4) => self.bytes.extend(v4.octets()),
            IpAddr::V6(v6) => self.bytes.extend(v6.octets()),
        }
        // Tells the two families apart.
        self.bytes.push(if address.address.is_ipv4() { 4 } else { 6 });
        self.text(&address.network);
        for name in [&address.domain, &address.fqdn] {
            self.maybe(name.as_ref().map(|name| name.as_str()));
        }
        self.names(&address.names);
        self.policy(&address.policy);
    }

    fn policy(&mut self, policy: &Policy) {
        self.count(policy.routers.len());
        for router in &policy.routers {
            self.bytes.extend(router.octets());
        }
        self.bytes.push(policy.prefix_length.map_or(255, |length| length));
        self.bytes.push(policy.ignore.into());
        for text in [&policy.boot_file, &policy.script_url] {
            self.maybe(text.as_deref());
        }
        self.maybe(policy.next_server.map(|server| server.to_string()).as_deref());
        self.count(policy.options.len());
        for (code, value) in &policy.options {
            self.bytes.push(*code);
            self.count(value.len());
            self.bytes.extend_from_slice(value);
        }
        self.count(policy.rules.len());
        for rule in &policy.rules {
            self.text(rule);
        }
    }

    fn names(&mut self, names: &[values::Name]) {
        self.count(names.len());
        for name in names {
            self.text(name.as_str());
        }
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.bytes.push(text.is_some().into());
        self.text(text.unwrap_or(""));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.bytes.extend((count as u64).to_le_bytes());
    }

    fn start(&mut self, kind: u8) {
        self.bytes.clear();
        self.bytes.push(kind);
    }

    fn digest(&self) -> Digest {
        Digest(xxh3_128(&self.bytes))
    }
}

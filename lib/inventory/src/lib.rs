//! ASKING: what every daemon asks for every packet. The only crate that knows there is gRPC.
//!
//! Three layers: the replica kept by Watch, a moka cache, a call to smd-cache.

mod types;

pub use types::{Address, Component, DhcpOption, Interface, Machine, Policy};
pub use values::{Mac, Name, Xname};

use std::{net::IpAddr, sync::Arc, time::SystemTime};
use tokio::sync::watch;

/// What is known about a key. The last two never look alike: DHCP policy or silence, NXDOMAIN or SERVFAIL.
#[derive(Debug, Clone)]
pub enum Lookup<T> {
    /// SMD has it.
    Found(Arc<T>, Freshness),
    /// SMD was read and does not have it.
    Unknown,
    /// It cannot be told.
    Unavailable,
}

/// How good an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// smd-cache's count of changes.
    pub generation: u64,
    /// Start of the last good read of any kind.
    pub read_at: Option<SystemTime>,
    /// Start of the last good whole read.
    pub whole_read_at: Option<SystemTime>,
    /// Older than smd-cache's `stale_after`, or smd-cache is out of reach.
    pub stale: bool,
}

/// What can be asked for: `Mac`, `IpAddr`, `Name`, `Xname`.
pub trait Key: Clone + Send + Sync + 'static {
    /// What answers it.
    type Answer: Send + Sync + 'static;
}
impl Key for Mac {
    type Answer = Interface;
}
impl Key for IpAddr {
    type Answer = Holders;
}
impl Key for Name {
    type Answer = Bearers;
}
impl Key for Xname {
    type Answer = Machine;
}

/// The interfaces that hold an address. More than one only where it is contested.
#[derive(Debug, Clone, PartialEq)]
pub struct Holders {
    /// Never empty. The names of the address: `interface.address(ip).names`.
    pub interfaces: Vec<Arc<Interface>>,
}

/// What bears a name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bearers {
    /// Addresses under this name, without duplicates, in the order of MACs and of SMD's lists; empty: NODATA.
    pub addresses: Vec<IpAddr>,
    /// The components that bear it.
    pub components: Vec<Arc<Component>>,
    /// Only a parent of names that exist.
    pub empty_non_terminal: bool,
}

/// The handle every daemon holds; cheap to clone.
#[derive(Clone)]
pub struct Inventory;

impl Inventory {
    /// Starts the Watch and returns at once. `program` is told to smd-cache; metrics go to `registry` under `inventory_`.
    pub fn start(
        _config: &config::Inventory,
        _who: Who,
        _registry: &mut prometheus_client::registry::Registry,
        _shutdown: tokio_util::sync::CancellationToken,
    ) -> Inventory {
        todo!()
    }

    /// An inventory that holds just this replica, for tests and explanations: nothing is ever called.
    pub fn fixed(_replica: Replica) -> Inventory {
        todo!()
    }

    /// The answer that needs no waiting.
    pub fn peek<K: Key>(&self, _key: &K) -> Option<Lookup<K::Answer>> {
        todo!()
    }

    /// Waits for an answer, at most the look-up deadline (300 ms).
    pub async fn lookup<K: Key>(&self, _key: K) -> Lookup<K::Answer> {
        todo!()
    }

    /// The replica as it is now.
    pub fn snapshot(&self) -> Arc<Replica> {
        todo!()
    }

    /// Wakes at each new generation.
    pub fn changes(&self) -> watch::Receiver<u64> {
        todo!()
    }

    /// For `/ready`: complete, stale ...
    pub fn health(&self) -> Health {
        todo!()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Who {
    /// dhcpd, dnsd, tftpd.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its admin port, 0: none.
    pub admin_port: u16,
}

/// How well the inventory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// A complete snapshot is held.
    pub complete: bool,
    /// smd-cache is connected (a heartbeat within 6 s).
    pub connected: bool,
    /// As in [`Freshness`].
    pub stale: bool,
    /// The generation held.
    pub generation: u64,
    /// Why not connected, or since when stale: a sentence, empty when all is well.
    pub reason: String,
}

/// A whole snapshot, immutable.
#[derive(Debug, Clone, Default)]
pub struct Replica;

impl Replica {
    /// Builds one from the messages of the contract.
    pub fn from_messages(
        _domain: &str,
        _zones: Vec<proto::v1::Zone>,
        _interfaces: Vec<proto::v1::Interface>,
        _components: Vec<proto::v1::Component>,
        _freshness: proto::v1::Freshness,
    ) -> Replica {
        todo!()
    }
    /// A whole snapshot was received: what is not here is Unknown.
    pub fn is_complete(&self) -> bool {
        todo!()
    }
    /// How fresh.
    pub fn freshness(&self) -> Freshness {
        todo!()
    }
    /// The global domain.
    pub fn domain(&self) -> Option<&Name> {
        todo!()
    }
    /// Zones smd-cache names, with their serials.
    pub fn zones(&self) -> &[(Name, u32)] {
        todo!()
    }
    /// By MAC.
    pub fn mac(&self, _mac: &Mac) -> Option<&Arc<Interface>> {
        todo!()
    }
    /// By address.
    pub fn address(&self, _address: &IpAddr) -> Option<Arc<Holders>> {
        todo!()
    }
    /// By name, in lower case without final dot; also empty non-terminals of forward names.
    pub fn name(&self, _name: &str) -> Option<Arc<Bearers>> {
        todo!()
    }
    /// By xname.
    pub fn machine(&self, _id: &str) -> Option<Arc<Machine>> {
        todo!()
    }
    /// Whether some known address lies in this prefix (empty non-terminals of reverse zones; automatic reverse zones).
    pub fn has_address_in(&self, _prefix: std::ops::RangeInclusive<IpAddr>) -> bool {
        todo!()
    }
    /// Every interface, by MAC.
    pub fn interfaces(&self) -> Box<dyn Iterator<Item = &Arc<Interface>> + '_> {
        todo!()
    }
}

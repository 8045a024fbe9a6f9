//! ASKING: what every daemon asks for every packet. The only crate that knows there is gRPC.
//!
//! Three layers: the replica kept by Watch, a moka cache, a call to smd-cache.

mod few;
#[cfg(test)]
mod fixtures;
mod keys;
mod names;
mod parse;
mod replica;
mod types;

pub use keys::Key;
pub use replica::Replica;
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
pub struct Inventory {
    replica: Arc<Replica>,
    generation: watch::Receiver<u64>,
}

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
    pub fn fixed(replica: Replica) -> Inventory {
        let (_, generation) = watch::channel(replica.freshness().generation);
        Inventory { replica: Arc::new(replica), generation }
    }

    /// The answer that needs no waiting.
    pub fn peek<K: Key>(&self, key: &K) -> Option<Lookup<<K as Key>::Answer>> {
        let replica = &self.replica;
        match key.held(replica) {
            Some(found) => Some(Lookup::Found(found, replica.freshness())),
            None if replica.is_complete() => Some(Lookup::Unknown),
            None => None,
        }
    }

    /// Waits for an answer, at most the look-up deadline (300 ms).
    pub async fn lookup<K: Key>(&self, key: K) -> Lookup<<K as Key>::Answer> {
        self.peek(&key).unwrap_or(Lookup::Unavailable)
    }

    /// The replica as it is now.
    pub fn snapshot(&self) -> Arc<Replica> {
        self.replica.clone()
    }

    /// Wakes at each new generation.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.clone()
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

//! ASKING: what every daemon asks for every packet. The only crate that knows there is gRPC.
//!
//! Three layers: the replica kept by Watch, a moka cache, a call to smd-cache.

mod cache;
mod calls;
mod clock;
mod connection;
mod dial;
mod doubt;
mod endpoints;
mod explain;
mod few;
mod file;
#[cfg(test)]
mod fixtures;
mod keeper;
mod keys;
mod layers;
mod messages;
mod metrics;
mod names;
mod others;
mod parse;
mod replica;
mod shards;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod types;
mod watch;
mod yielding;

pub use explain::Explanation;
pub use keys::Key;
pub use metrics::METRICS;
pub use replica::{Changed, Replica};
pub use text::Text;
pub use types::{Address, Component, DhcpOption, Interface, Machine, Policy, Terms, Traits};
pub use values::{Mac, Name, Xname};
pub use yielding::yielding;

use connection::Watcher;
use endpoints::Endpoints;
use file::ReplicaFile;
use layers::Layers;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use watch::Session;

/// What the end may take: 100k interfaces are written in a second or two, and a disk that hangs must not keep a daemon from
/// ending.
const LAST_WRITE: Duration = Duration::from_secs(5);

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
    layers: Arc<Layers>,
    /// Nothing is ever called.
    fixed: bool,
    tasks: TaskTracker,
}

impl Inventory {
    /// Starts reading the replica file and then the Watch, and returns at once. `who` is told to smd-cache; metrics go to `registry` under `inventory_`.
    pub fn start(
        config: &config::Inventory,
        who: Who,
        registry: &mut Registry,
        shutdown: CancellationToken,
    ) -> Inventory {
        let tasks = TaskTracker::new();
        let metrics = Arc::new(Metrics::register(registry));
        let layers = Layers::new(Replica::default(), config.max_stale, metrics.clone(), tasks.clone());
        let layers = Arc::new(layers);
        let file = config.replica_file.as_deref().filter(|_| config.replica);
        let file = file.map(|path| ReplicaFile::new(path, who.name));
        let watcher = Watcher {
            endpoints: Endpoints::new(config.endpoints.clone()),
            tls: config.tls.clone(),
            who,
            session: Session::new(Replica::default(), config.replica),
            layers: layers.clone(),
            metrics,
            shutdown,
        };
        match file {
            Some(file) => tasks.spawn(watcher.run_with_file(file, config.max_stale)),
            None => tasks.spawn(watcher.run()),
        };
        Inventory { layers, fixed: false, tasks }
    }

    /// An inventory that holds just this replica, for tests and explanations: nothing is ever called, so `peek` always
    /// answers. What is not held is Unknown if the replica is complete and, for MACs, not stale; else Unavailable.
    pub fn fixed(replica: Replica) -> Inventory {
        Inventory::expiring(replica, None)
    }

    /// The same, of which nothing is served once it is so old.
    pub fn expiring(replica: Replica, max_stale: Option<Duration>) -> Inventory {
        let tasks = TaskTracker::new();
        let layers = Arc::new(Layers::new(replica, max_stale, Arc::default(), tasks.clone()));
        layers.fix();
        Inventory { layers, fixed: true, tasks }
    }

    /// The answer that needs no waiting. `None`: `lookup` has to call smd-cache.
    pub fn peek<K: Key>(&self, key: &K) -> Option<Lookup<K::Answer>> {
        self.layers.peek(key).or_else(|| self.fixed.then(|| self.layers.without_calls()))
    }

    /// [`Inventory::peek`] for a name as text, in lower case without final dot: makes no key of it where the replica answers.
    pub fn peek_name(&self, name: &str) -> Option<Lookup<Bearers>> {
        self.layers.peek_name(name).or_else(|| self.fixed.then(|| self.layers.without_calls()))
    }

    /// Waits for an answer, at most the look-up deadline (300 ms).
    pub async fn lookup<K: Key>(&self, key: K) -> Lookup<K::Answer> {
        match self.peek(&key) {
            Some(answer) => answer,
            None => self.layers.lookup(key).await,
        }
    }

    /// The replica as it is now.
    pub fn snapshot(&self) -> Arc<Replica> {
        self.layers.snapshot()
    }

    /// Wakes at each new generation.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.layers.changes()
    }

    /// For `/ready`: complete, stale ...
    pub fn health(&self) -> Health {
        self.layers.health()
    }

    /// What is held may be behind SMD: smd-cache is out of reach, or says so itself. Costs a few loads.
    pub fn is_stale(&self) -> bool {
        self.layers.is_stale()
    }

    /// What is held is older than `inventory.max_stale`: nothing of it is served, and `snapshot` should not be read.
    pub fn is_expired(&self) -> bool {
        self.layers.is_expired()
    }

    /// Returns when everything that was started has ended, after `shutdown`: the replica file is written
    /// then. Bounded.
    pub async fn stopped(&self) {
        self.tasks.close();
        if tokio::time::timeout(LAST_WRITE, self.tasks.wait()).await.is_err() {
            tracing::warn!("the replica file was not written in time");
        }
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
    /// What is held is older than `inventory.max_stale` and is not served.
    pub expired: bool,
    /// The smd-cache that is asked, as the configuration writes it.
    pub endpoint: String,
    /// Why not connected, or since when stale: a sentence, empty when all is well.
    pub reason: String,
}

//! How the store of leases is: for `/ready`, for the metrics, for people.

use jiff::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Change, Row, StoreError};

/// Shared between the writer, who tells it, and whoever asks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    known: Arc<Mutex<Known>>,
    open: Gauge,
    rows: Gauge,
    last_commit: Gauge,
    commits: Counter,
    changes: Counter,
    failures: Counter,
}

/// At one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether leases can be written.
    pub state: State,
    /// Since when it is so.
    pub since: Timestamp,
    /// Addresses that have a row, as far as is known.
    pub rows: usize,
    /// When something was last written.
    pub last_commit: Option<Timestamp>,
}

/// Whether leases can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The store is being opened for the first time.
    Opening,
    /// Yes.
    Open,
    /// No, and why; tried again all the time.
    Failing(StoreError),
}

#[derive(Debug)]
struct Known {
    state: State,
    since: Timestamp,
    last_commit: Option<Timestamp>,
    held: HashSet<Ipv4Addr>,
}

impl Default for Known {
    fn default() -> Known {
        Known { state: State::Opening, since: Timestamp::now(), last_commit: None, held: HashSet::new() }
    }
}

impl Health {
    /// Under the registry's prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("lease_store_open", "Whether leases can be written", self.open.clone());
        registry.register("lease_store_rows", "Addresses that have a row on disk", self.rows.clone());
        registry.register(
            "lease_store_last_commit_timestamp_seconds",
            "When leases were last written, in Unix seconds",
            self.last_commit.clone(),
        );
        registry.register("lease_store_commits", "Groups of changes written", self.commits.clone());
        registry.register("lease_store_changes", "Changes written", self.changes.clone());
        registry.register(
            "lease_store_failures",
            "Times the store could not be opened or written",
            self.failures.clone(),
        );
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        let known = self.lock();
        let (state, rows) = (known.state.clone(), known.held.len());
        Status { state, since: known.since, rows, last_commit: known.last_commit }
    }

    /// Opened, with these rows. Returns what stood in the way until now.
    pub(super) fn opened(&self, rows: &[Row]) -> Option<StoreError> {
        let mut known = self.lock();
        known.held = rows.iter().map(|row| row.address).collect();
        self.rows.set(known.held.len() as i64);
        self.open.set(1);
        known.since = Timestamp::now();
        match std::mem::replace(&mut known.state, State::Open) {
            State::Failing(why) => Some(why),
            State::Opening | State::Open => None,
        }
    }

    /// These are on disk.
    pub(super) fn committed(&self, changes: &[Change]) {
        let mut known = self.lock();
        for change in changes {
            match change {
                Change::Put(row) => known.held.insert(row.address),
                Change::Remove(address) => known.held.remove(address),
            };
        }
        let now = Timestamp::now();
        known.last_commit = Some(now);
        self.rows.set(known.held.len() as i64);
        self.last_commit.set(now.as_second());
        self.commits.inc();
        self.changes.inc_by(changes.len() as u64);
    }

    /// It could not be opened or written. Says whether that is news: it worked before, or failed for another reason.
    pub(super) fn failed(&self, why: &StoreError) -> bool {
        self.failures.inc();
        self.open.set(0);
        let mut known = self.lock();
        match &known.state {
            State::Failing(before) if before == why => return false,
            State::Failing(_) => {}
            State::Opening | State::Open => known.since = Timestamp::now(),
        }
        known.state = State::Failing(why.clone());
        true
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Keeps what `dhcpd.v4.hosts_file` says: reads it at start, on SIGHUP and whenever it changed. A file that vanished, cannot
//! be read or is too large leaves what was read before in force, and says so in `/ready`, in the log and as a metric. So does
//! a line whose address SMD gives to another machine; it is left out.

use crate::{
    hosts::{Hosts, MAX_SIZE, told},
    metrics::Metrics,
};
use arc_swap::ArcSwap;
use daemon::{
    State,
    watched::{Found, Stamp, look},
};
use inventory::{Inventory, Replica};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::{JoinError, JoinSet};

/// The file, and the reading of it, of which there is one at a time.
pub struct Keeper {
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
    /// All good lines.
    read: Hosts,
    /// Those in force.
    hosts: Arc<ArcSwap<Hosts>>,
    inventory: Inventory,
    /// Whose addresses were left out.
    beside: Option<Arc<Replica>>,
    metrics: Metrics,
    standing: Arc<Mutex<Standing>>,
    reading: JoinSet<Seen>,
}

/// How well the file is, for `/ready`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Standing {
    path: PathBuf,
    /// Why it could not be read.
    unread: Option<String>,
    /// Lines, and why each is left out.
    bad: Vec<String>,
    /// Addresses that are another machine's in SMD.
    taken: Vec<String>,
}

/// What came of looking at a file.
pub struct Seen {
    path: PathBuf,
    found: io::Result<Found>,
}

impl Keeper {
    /// With nothing read yet.
    pub fn new(
        path: Option<PathBuf>,
        hosts: Arc<ArcSwap<Hosts>>,
        inventory: Inventory,
        metrics: Metrics,
    ) -> Keeper {
        let (standing, reading, read) = (Arc::default(), JoinSet::new(), Hosts::default());
        Keeper { path, stamp: None, read, hosts, inventory, beside: None, metrics, standing, reading }
    }

    /// Reads the file now: at start, before anybody is served.
    pub fn read(&mut self) {
        if let Some(path) = self.path.clone() {
            let found = look(&path, None, MAX_SIZE);
            self.take(Seen { path, found });
        }
    }

    /// Another file, or the same once more; `None`: none from now on.
    pub fn change(&mut self, path: Option<PathBuf>) {
        if path.is_none() && self.path.is_some() {
            self.read = Hosts::default();
            self.put(Standing::default());
        }
        self.path = path;
        self.stamp = None;
        self.look();
    }

    /// Leaves out, from now on, what SMD has given to others since, and begins to look whether the file changed; a file
    /// system that hangs holds up nothing but this.
    pub fn look(&mut self) {
        let is_same = |held: &Arc<Replica>| Arc::ptr_eq(held, &self.inventory.snapshot());
        if !self.read.is_empty() && !self.beside.as_ref().is_some_and(is_same) {
            let standing = self.standing().clone();
            self.put(standing);
        }
        if let (Some(path), true) = (self.path.clone(), self.reading.is_empty()) {
            let stamp = self.stamp;
            self.reading.spawn_blocking(move || Seen { found: look(&path, stamp, MAX_SIZE), path });
        }
    }

    /// What was seen; `None` where nobody looks.
    pub async fn seen(&mut self) -> Option<Result<Seen, JoinError>> {
        self.reading.join_next().await
    }

    /// Puts into force what was seen.
    pub fn take(&mut self, seen: Seen) {
        if self.path.as_ref() != Some(&seen.path) {
            return self.look(); // another file by now
        }
        let path = seen.path;
        match seen.found {
            Ok(Found::Same) => {}
            Ok(Found::Text(stamp, text)) => {
                let (read, bad) = Hosts::parse(&text);
                (self.stamp, self.read) = (stamp, read);
                let bad = bad.iter().map(ToString::to_string).collect();
                self.put(Standing { path, unread: None, bad, taken: Vec::new() });
            }
            Err(error) => {
                self.stamp = None;
                let bad = self.standing().bad.clone();
                self.put(Standing { path, unread: Some(error.to_string()), bad, taken: Vec::new() });
            }
        }
    }

    /// Puts into force what was read, but for what the inventory has given to others.
    fn put(&mut self, standing: Standing) {
        let inventory = self.inventory.snapshot();
        let (hosts, taken) = self.read.beside(&inventory);
        self.beside = Some(inventory);
        let standing = Standing { taken, ..standing };
        self.metrics.hosts.set(hosts.len() as i64);
        self.metrics.hosts_problems.set(standing.problems() as i64);
        if **self.hosts.load() != hosts {
            tracing::info!(machines = hosts.len(), "the hosts file is in force");
            self.hosts.store(Arc::new(hosts));
        }
        let mut held = self.standing();
        if *held != standing {
            standing.tell();
            *held = standing;
        }
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The check behind `/ready`. Another file than ours, of a configuration before, is no news.
    pub fn readiness(&self) -> impl Fn() -> State + Send + Sync + 'static {
        let standing = self.standing.clone();
        move || standing.lock().unwrap_or_else(PoisonError::into_inner).state()
    }
}

impl Standing {
    fn problems(&self) -> usize {
        self.bad.len() + self.taken.len() + usize::from(self.unread.is_some())
    }

    fn left_out(&self) -> Vec<&String> {
        self.bad.iter().chain(&self.taken).collect()
    }

    fn tell(&self) {
        let (path, left_out) = (self.path.display(), self.left_out());
        if let Some(why) = &self.unread {
            tracing::error!(%path, error = why, "the hosts file cannot be read: what was read before stays in force");
        } else if !left_out.is_empty() {
            let lines = left_out.len();
            tracing::warn!(%path, lines, "lines of the hosts file are left out: {}", told(&left_out));
        }
    }

    fn state(&self) -> State {
        let path = self.path.display();
        match (&self.unread, &self.left_out()[..]) {
            (Some(why), _) => State::Degraded(format!("{path}: {why}: what was read before stays in force")),
            (None, []) => State::Ready,
            (None, left_out) => State::Degraded(format!("{path}: {}", told(left_out))),
        }
    }
}

#[cfg(test)]
mod tests;

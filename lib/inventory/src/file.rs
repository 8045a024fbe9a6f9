//! The replica on disk: a Watch written down, so that a daemon that is started while no smd-cache can be reached serves what
//! it knew.
//!
//! ```text
//!  WatchRequest: whose it is, how fresh │ Hello │ Put ... Put │ Complete
//! ```
//! Messages are those of the contract, kept as `kept` keeps them. They are written and read one after the other, so neither
//! takes more memory than the replica itself. Several processes may share the file.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Loaded, load};
pub(crate) use write::save;

use kept::{Kept, Kind};
use std::path::Path;

/// The one before the last is not kept: a daemon gets all of it from smd-cache.
const KIND: Kind = Kind { name: "coresmd-replica", version: 1, previous: false };

/// Interfaces or components of one Put, as smd-cache sends them: about 50 kB.
const PUT_ITEMS: usize = 100;

/// A file and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicaFile {
    kept: Kept,
    program: &'static str,
}

impl ReplicaFile {
    /// `{program}` in the path stands for the program.
    pub(crate) fn new(path: &Path, program: &'static str) -> ReplicaFile {
        let path = path.to_string_lossy().replace("{program}", program);
        ReplicaFile { kept: Kept::new(path.into(), KIND), program }
    }

    pub(crate) fn path(&self) -> &Path {
        self.kept.path()
    }
}

//! The replica on disk: a Watch written down, so that a daemon that is started while no smd-cache can be reached serves what
//! it knew.
//!
//! ```text
//!  "coresmd-replica" version │ WatchRequest: whose it is, how fresh │ Hello │ Put ... Put │ Complete │ checksum
//! ```
//! Messages are those of the contract, each with its length before it. They are written and read one after the other, so
//! neither takes more memory than the replica itself. A new file replaces the old one when it is on disk to its last byte;
//! several processes may share it.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Loaded, load};
pub(crate) use write::save;

use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// At the start of the file, before a byte with the version.
const MAGIC: &[u8; 15] = b"coresmd-replica";

/// Grows when an older program could not read the file any more. New fields in the messages are no reason.
const VERSION: u8 = 1;

/// Interfaces or components of one Put, as smd-cache sends them: about 50 kB.
const PUT_ITEMS: usize = 100;

/// A file and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicaFile {
    path: PathBuf,
    program: &'static str,
}

impl ReplicaFile {
    /// `{program}` in the path stands for the program.
    pub(crate) fn new(path: &Path, program: &'static str) -> ReplicaFile {
        ReplicaFile { path: path.to_string_lossy().replace("{program}", program).into(), program }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Beside the file; there is one of each at most.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }
}

/// Passes bytes on and counts them into a checksum.
struct Summed<T> {
    inner: T,
    sum: Xxh3,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Summed<T> {
        Summed { inner, sum: Xxh3::new() }
    }
}

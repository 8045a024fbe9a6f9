//! Remembering: what is believed is kept in a file, so that a restart while SMD is down serves what it served before. How
//! it is kept, and what becomes of a file that cannot be used: `kept`.

mod format;
#[cfg(test)]
mod tests;

pub use format::Contents;
pub use kept::Written;

use crate::{records::Records, refresh::Peak, snapshot::Legacy};
use format::Writer;
use jiff::Timestamp;
use kept::{Aside, Kept};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// From one write to the next, so that a cluster that changes all the time does not wear out a disk: some 25 MB at 100,000
/// interfaces. What changes in between is read from SMD again. A guess.
pub const WRITE_GAP: Duration = Duration::from_secs(10);

/// A file whose content is still right is written again after this, so that it says how old it is within this.
pub const REWRITE_AFTER: Duration = Duration::from_secs(600);

/// Where it is kept.
#[derive(Debug, Clone)]
pub struct Store {
    kept: Kept,
}

/// Everything that is to be kept.
pub struct Keeping<'a> {
    /// Start of the last good read of any kind.
    pub read_at: Option<Timestamp>,
    /// Start of the last good whole read.
    pub whole_read_at: Option<Timestamp>,
    /// What is believed.
    pub records: &'a Records,
    /// Serials and holders.
    pub legacy: Legacy,
    /// What the wipe guard remembers.
    pub peaks: Vec<Peak>,
}

impl Store {
    /// Kept in this file.
    pub fn new(file: PathBuf) -> Store {
        Store { kept: Kept::new(file, format::KIND) }
    }

    /// Its path.
    pub fn file(&self) -> &Path {
        self.kept.path()
    }

    /// What was kept, if anything can be used. What cannot is set aside, with a warning.
    pub fn load(&self) -> Option<Contents> {
        let loaded = self.kept.load(format::read);
        loaded.aside.iter().for_each(warn);
        loaded.content
    }

    /// Writes to a new file. Slow only as far as the page cache is; [`Written::place`] waits for the disk and gives it its
    /// name.
    pub fn write(&self, keeping: &Keeping<'_>) -> io::Result<Written> {
        let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it");
        let mut writer = Writer(self.kept.write()?.ok_or_else(busy)?);
        let Keeping { read_at, whole_read_at, records, legacy, peaks } = keeping;
        writer.header((*read_at, *whole_read_at, Timestamp::now()), legacy, peaks)?;
        for record in records.interfaces() {
            writer.interface(record)?;
        }
        for record in records.components() {
            writer.component(record)?;
        }
        let (interfaces, components) = records.rejected();
        for (key, problem) in interfaces {
            writer.rejected(false, key, problem)?;
        }
        for (key, problem) in components {
            writer.rejected(true, key, problem)?;
        }
        writer.0.end()
    }
}

fn warn(Aside { file, why, now }: &Aside) {
    let file = file.display();
    match now {
        Ok(aside) => {
            let aside = aside.display();
            tracing::warn!(%file, %aside, "the snapshot file cannot be used: {why}; it is set aside");
        }
        Err(error) => {
            tracing::warn!(%file, %error, "the snapshot file cannot be used: {why}; nor can it be set aside");
        }
    }
}

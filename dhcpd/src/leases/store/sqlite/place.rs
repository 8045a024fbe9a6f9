//! Where the file is, and whether that is still the file we have open.

use super::words;
use crate::leases::store::StoreError;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Leases say who is where: for dhcpd and its group. SQLite gives the WAL the same mode.
const MODE: u32 = 0o640;

/// A file and the WAL beside it.
#[derive(Debug)]
pub struct Place {
    /// As configured.
    pub path: PathBuf,
    /// Without symbolic links: SQLite puts the WAL beside this one.
    pub file: PathBuf,
    wal: PathBuf,
    identity: Identity,
    /// Of the WAL, which SQLite makes when it opens the file.
    wal_identity: Option<Identity>,
}

/// Device and inode: what stays when a path is given to another file.
type Identity = (u64, u64);

impl Place {
    /// The file, made where there is none.
    pub fn prepare(path: &Path) -> Result<Place, StoreError> {
        let said = |error: io::Error| words::no_file(path, &error);
        create(path).map_err(said)?;
        if !fs::metadata(path).map_err(said)?.is_file() {
            return Err(words::not_a_file(path));
        }
        let file = fs::canonicalize(path).map_err(said)?;
        let identity = identity(path).map_err(said)?;
        let mut wal = file.clone().into_os_string();
        wal.push("-wal");
        Ok(Place { path: path.to_owned(), file, wal: wal.into(), identity, wal_identity: None })
    }

    /// SQLite has it open: was it still this one, and which is its WAL?
    pub fn opened(mut self) -> Result<Place, StoreError> {
        self.wal_identity = identity(&self.wal).ok();
        self.still_there()?;
        Ok(self)
    }

    /// Whether file and WAL are those that are open.
    pub fn still_there(&self) -> Result<(), StoreError> {
        if identity(&self.path).ok() != Some(self.identity) {
            return Err(words::moved(&self.path));
        }
        match self.wal_identity {
            Some(wal) if identity(&self.wal).ok() == Some(wal) => Ok(()),
            _ => Err(words::moved(&self.wal)),
        }
    }
}

/// An empty file, of which the directory knows for good.
fn create(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(file) => {
            file.sync_all()?;
            drop(file);
            File::open(directory(path))?.sync_all()
        }
    }
}

/// The one that holds it.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

//! Remembering: what is believed is kept in a file, so that a restart while SMD is down serves what it served before.
//!
//! ```text
//!   records ──▶ FILE.tmp-PID ──fsync──▶ FILE becomes FILE.previous, the new one FILE ──▶ fsync of the directory
//!   start   ◀── FILE, else FILE.previous; what cannot be read becomes FILE.bad or FILE.newer
//! ```
//! There is a whole file under one of the two names at every moment, whatever happens.

mod format;
#[cfg(test)]
mod tests;

pub use format::{Contents, Unreadable};

use crate::{records::Records, refresh::Peak, snapshot::Legacy};
use format::Writer;
use jiff::Timestamp;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// From one write to the next, so that a cluster that changes all the time does not wear out a disk: some 25 MB at 100,000
/// interfaces. What changes in between is read from SMD again. A guess.
pub const WRITE_GAP: Duration = Duration::from_secs(10);

/// A file whose content is still right is written again after this, so that it says how old it is within this.
pub const REWRITE_AFTER: Duration = Duration::from_secs(600);

/// For the owner and the group of the service.
const MODE: u32 = 0o640;

/// Buffer of both directions. A guess.
const BUFFER: usize = 1 << 18;

/// Where it is kept.
#[derive(Debug, Clone)]
pub struct Store {
    file: PathBuf,
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

/// Written whole, and not under its name yet.
#[derive(Debug)]
pub struct Written {
    file: File,
    at: PathBuf,
}

impl Store {
    /// Kept in this file.
    pub fn new(file: PathBuf) -> Store {
        Store { file }
    }

    /// Its path.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What was kept, if anything can be used. What cannot is set aside, with a warning.
    pub fn load(&self) -> Option<Contents> {
        self.remove_leftovers();
        for file in [self.file.clone(), self.sibling("previous")] {
            match read(&file) {
                Ok(contents) => return Some(contents),
                Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.set_aside(&file, &error),
            }
        }
        None
    }

    /// Writes to a new file. Slow only as far as the page cache is.
    pub fn write(&self, keeping: &Keeping<'_>) -> io::Result<Written> {
        if let Some(directory) = self.file.parent() {
            fs::create_dir_all(directory)?;
        }
        let at = self.sibling(&format!("tmp-{}", std::process::id()));
        let written = write(&at, keeping);
        if written.is_err() {
            let _ = fs::remove_file(&at);
        }
        Ok(Written { file: written?, at })
    }

    /// Waits for the disk, and gives the new file its name.
    pub fn put(&self, written: Written) -> io::Result<()> {
        let put = self.rename(&written);
        if put.is_err() {
            let _ = fs::remove_file(&written.at);
        }
        put
    }

    fn rename(&self, written: &Written) -> io::Result<()> {
        written.file.sync_all()?;
        match fs::rename(&self.file, self.sibling("previous")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&written.at, &self.file)?,
        }
        let directory = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn set_aside(&self, file: &Path, why: &Unreadable) {
        let ending = if matches!(why, Unreadable::Newer(_)) { "newer" } else { "bad" };
        let aside = self.sibling(ending);
        let file_name = file.display();
        match fs::rename(file, &aside) {
            Ok(()) => {
                let aside = aside.display();
                tracing::warn!(file = %file_name, aside = %aside, "the snapshot file cannot be used: {why}; it is set aside");
            }
            Err(error) => {
                tracing::warn!(file = %file_name, %error, "the snapshot file cannot be used: {why}; nor can it be set aside");
            }
        }
    }

    /// Of processes that were killed while they wrote.
    fn remove_leftovers(&self) {
        let prefix = self.sibling("tmp-");
        let (Some(prefix), Some(directory)) = (prefix.file_name(), self.file.parent()) else { return };
        let prefix = prefix.as_encoded_bytes();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.as_encoded_bytes().strip_prefix(prefix).map(String::from_utf8_lossy);
            let lives = |process: &str| Path::new("/proc").join(process).exists();
            if process.is_some_and(|process| !lives(&process)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn sibling(&self, ending: &str) -> PathBuf {
        let mut name: OsString = self.file.clone().into();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

fn read(file: &Path) -> Result<Contents, Unreadable> {
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Unreadable::Damaged("it is no file"));
    }
    format::read(BufReader::with_capacity(BUFFER, file), metadata.len())
}

fn write(at: &Path, keeping: &Keeping<'_>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(at)?;
    let mut writer = Writer::new(BufWriter::with_capacity(BUFFER, file))?;
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
    writer.end()?.into_inner().map_err(io::IntoInnerError::into_error)
}

//! Writing: to a new file that only one process has, which takes the place of the old one when it is on disk.

use crate::{Kept, read::BUFFER};
use prost::Message;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::Xxh3;

/// For the owner and the group of the service.
const MODE: u32 = 0o640;

/// Writes the next file. Dropped before its end, it leaves nothing.
pub struct Writer {
    /// Goes before the lock does.
    scratch: Scratch,
    to: BufWriter<File>,
    sum: Xxh3,
    buffer: Vec<u8>,
}

/// Written whole, but neither on disk for certain nor under its name yet. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct Written {
    /// Goes before the lock does.
    scratch: Scratch,
    file: File,
}

/// The file that is being written; goes with this unless it got its name.
#[derive(Debug)]
struct Scratch {
    at: PathBuf,
    kept: Kept,
    placed: bool,
}

impl Writer {
    pub(crate) fn begin(kept: &Kept) -> io::Result<Option<Writer>> {
        let at = kept.beside("new");
        let Some(file) = lock(&at)? else { return Ok(None) };
        let scratch = Scratch { at, kept: kept.clone(), placed: false };
        // Of a writer that was killed.
        file.set_len(0)?;
        let to = BufWriter::with_capacity(BUFFER, file);
        let buffer = format!("{} {}\n", kept.kind.name, kept.kind.version).into_bytes();
        let mut writer = Writer { to, sum: Xxh3::new(), buffer, scratch };
        writer.flush_buffer()?;
        Ok(Some(writer))
    }

    /// Adds a message.
    ///
    /// # Errors
    /// Whatever the file system says, a full disk first.
    pub fn put(&mut self, message: &impl Message) -> io::Result<()> {
        message.encode_length_delimited(&mut self.buffer).map_err(io::Error::other)?;
        self.flush_buffer()
    }

    /// That was all. Slow only as far as the page cache is.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn end(mut self) -> io::Result<Written> {
        self.to.write_all(&self.sum.digest128().to_le_bytes())?;
        self.to.flush()?;
        let file = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Written { file, scratch: self.scratch })
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.sum.update(&self.buffer);
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Written {
    /// Waits for the disk, and gives the new file its name.
    ///
    /// # Errors
    /// Whatever the file system says; there is a whole file still.
    pub fn place(mut self) -> io::Result<()> {
        let Kept { path, kind } = &self.scratch.kept;
        self.file.sync_all()?;
        if kind.previous {
            match fs::rename(path, self.scratch.kept.beside("previous")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.scratch.at, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        self.scratch.placed = true;
        // The rename itself is to be on disk, too.
        File::open(directory)?.sync_all()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.at);
        }
    }
}

/// The file that is being written, for us alone. `None`: another process writes it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.create(true).read(true).write(true).truncate(false).mode(MODE).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // Whoever had it before may have finished and renamed it.
    let is_ours = fs::metadata(path).is_ok_and(|there| {
        file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    });
    Ok(is_ours.then_some(file))
}

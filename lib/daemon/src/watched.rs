//! A file that is read again when it changed: known by what the system says of it, so that looking costs one call.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

/// A file that changed less than this before it was read may have changed again within the same tick of its clock: it
/// is read once more. Ticks of file systems are at most two seconds (FAT).
pub const UNSETTLED: Duration = Duration::from_secs(2);

/// By what a file that changed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What came of looking.
#[derive(Debug)]
pub enum Found {
    /// As it was.
    Same,
    /// This text; no stamp while it may still be changing.
    Text(Option<Stamp>, String),
}

/// Reads the file unless it is as `before`. One that is no ordinary file, or larger than `max_size` bytes, is an error. What is
/// no UTF-8 is replaced, so that it spoils its line alone. May block for as long as the file system does.
pub fn look(path: &Path, before: Option<Stamp>, max_size: u64) -> io::Result<Found> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let stamp = Stamp::of(&metadata);
    if before == Some(stamp) {
        return Ok(Found::Same);
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(max_size + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_size {
        let message = format!("larger than {} MiB", max_size >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let is_settled = age.is_some_and(|age| age > UNSETTLED);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Found::Text(is_settled.then_some(stamp), text))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

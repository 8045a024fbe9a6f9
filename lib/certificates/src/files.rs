//! Files that others replace while the program runs: certificates, keys.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// Largest certificate or key file that is read: a hundred authorities are 200 kB. A guess.
const MAX_FILE: u64 = 1 << 20;

/// What tells one state of some files from another. A file that is replaced has another inode, one that is written to
/// another time of change, which nobody can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<Option<Of>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Of {
    inode: (u64, u64),
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    /// As the files are now; one that is missing is a state, too.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Stamp {
        let stamp = |file: &Path| {
            let metadata = fs::metadata(file).ok()?;
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            Some(Of { inode: (metadata.dev(), metadata.ino()), changed, length: metadata.len() })
        };
        Stamp(files.into_iter().map(stamp).collect())
    }
}

/// A whole file, within bounds. Its name is for the caller to tell.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(file)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.len() > MAX_FILE {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    fs::read(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_replaced_or_removed_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let stamp = || Stamp::of([file.as_path()]);
        let mut seen = vec![stamp()];
        fs::write(&file, "one").unwrap();
        seen.push(stamp());
        fs::write(directory.path().join("new"), "two").unwrap();
        fs::rename(directory.path().join("new"), &file).unwrap();
        seen.push(stamp());
        assert_eq!(stamp(), seen[2], "nothing happened");
        fs::write(&file, "three").unwrap();
        seen.push(stamp());
        for (number, one) in seen.iter().enumerate() {
            assert!(!seen[..number].contains(one), "state {number} looks like one before it");
        }
    }

    #[test]
    fn what_is_no_certificate_file_is_not_read() {
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(Path::new("/")).is_err());
        assert!(read(Path::new("/nonexistent")).is_err());
    }
}

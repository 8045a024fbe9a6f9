//! Which files are below a folder.

use super::Stamp;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files and folders looked at. A guess, far above the per-node folders of a large cluster.
const MAX_ENTRIES: usize = 200_000;
/// Folders inside folders. A guess.
const MAX_DEPTH: usize = 16;
/// How often a folder may be met on the way down: once more than it is there, for the link `boot -> .` that network
/// installers have, and no further, as such links multiply.
const MAX_MEETINGS: usize = 2;

/// A file and one of its names.
pub(super) struct Found {
    pub(super) name: String,
    /// Without links.
    pub(super) target: PathBuf,
    pub(super) stamp: Stamp,
}

pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) left_out: Vec<String>,
    entries: usize,
    /// The folders we are in, without links; the first is the root.
    way: Vec<PathBuf>,
}

impl Scan {
    /// Everything below `root`, which has no links in its path.
    pub(super) fn of(root: &Path) -> io::Result<Scan> {
        let mut scan =
            Scan { found: Vec::new(), left_out: Vec::new(), entries: 0, way: vec![root.to_owned()] };
        scan.folder(root, "")?;
        Ok(scan)
    }

    fn folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            self.entries += 1;
            if self.entries > MAX_ENTRIES || self.way.len() > MAX_DEPTH + 1 {
                self.left_out.push(format!("{name}: too many files, or folders too deep"));
                return Ok(());
            }
            if let Err(error) = self.entry(&entry.path(), &name) {
                self.left_out.push(format!("{name}: {error}"));
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str) -> io::Result<()> {
        // A link may point anywhere inside the root and nowhere else.
        let target = fs::canonicalize(path)?;
        if !target.starts_with(&self.way[0]) {
            return Err(io::Error::other("a link out of the root"));
        }
        let facts = fs::metadata(&target)?;
        if facts.is_dir() {
            return self.enter(target, name);
        }
        if facts.is_file() {
            let stamp = (facts.len(), facts.modified().ok());
            self.found.push(Found { name: name.to_string(), target, stamp });
        }
        Ok(())
    }

    fn enter(&mut self, folder: PathBuf, name: &str) -> io::Result<()> {
        if self.way.iter().filter(|met| **met == folder).count() >= MAX_MEETINGS {
            return Ok(());
        }
        self.way.push(folder.clone());
        let read = self.folder(&folder, &format!("{name}/"));
        self.way.pop();
        read
    }
}

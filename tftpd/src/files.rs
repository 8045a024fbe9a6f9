//! The files below the root, held in memory: a transfer never waits for a disk, and nothing outside the root can be
//! named because nothing outside the root is in the table.

use arc_swap::ArcSwap;
use bytes::Bytes;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// The built-in script: an unknown node that runs it asks again, gently, until SMD knows it.
pub const DEFAULT_SCRIPT: (&str, &[u8]) = ("default", b"#!ipxe\nreboot\n");

/// Memory for all files together. A guess: loaders are megabytes, a few kernels with initramfs fit too.
const MAX_HELD: u64 = 1 << 30;
/// Files and folders looked at. A guess, far above the per-node folders of a large cluster.
const MAX_ENTRIES: usize = 200_000;
/// Folders inside folders. A guess.
const MAX_DEPTH: usize = 16;

/// One consistent state of the root.
#[derive(Debug, Default, Clone)]
pub struct Files {
    table: HashMap<String, File>,
    /// What was left out, a sentence each.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone)]
struct File {
    content: Bytes,
    stamp: Stamp,
}

/// Tells a changed file from an unchanged one without reading it.
type Stamp = (u64, Option<SystemTime>);

/// A name that is refused rather than not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traversal;

impl Files {
    /// The file of that name. Names are looked for below the root, whatever they begin with; `\` counts as `/`.
    ///
    /// # Errors
    /// A name with `..` in it.
    pub fn find(&self, name: &str) -> Result<Option<Bytes>, Traversal> {
        let name = name.replace('\\', "/");
        let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(Traversal);
        }
        let path = parts.join("/");
        let held = self.table.get(&path).map(|file| file.content.clone());
        let built_in = || (path == DEFAULT_SCRIPT.0).then(|| Bytes::from_static(DEFAULT_SCRIPT.1));
        Ok(held.or_else(built_in))
    }

    /// How many files, and their bytes together.
    pub fn size(&self) -> (usize, u64) {
        (self.table.len(), self.table.values().map(|file| file.stamp.0).sum())
    }

    /// Only for tests of decisions.
    #[cfg(test)]
    pub fn of(files: &[(&str, &[u8])]) -> Files {
        let file = |content: &[u8]| File {
            content: Bytes::copy_from_slice(content),
            stamp: (content.len() as u64, None),
        };
        let table = files.iter().map(|(name, content)| (name.to_string(), file(content))).collect();
        Files { table, left_out: Vec::new() }
    }
}

/// The root folder and what is held of it.
pub struct Root {
    folder: PathBuf,
    held: ArcSwap<Files>,
    /// Files seen changing in the last scan: taken when the next one finds them unchanged, so that a file is never served
    /// while it is still being copied into the root.
    settling: Mutex<HashMap<String, Stamp>>,
}

impl Root {
    /// Reads everything below `folder`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(folder: &Path) -> io::Result<Root> {
        let root =
            Root { folder: fs::canonicalize(folder)?, held: ArcSwap::default(), settling: Mutex::default() };
        root.scan(true)?;
        Ok(root)
    }

    /// What is held now.
    pub fn files(&self) -> Arc<Files> {
        self.held.load_full()
    }

    /// Looks again and reads what changed; whether anything did. Blocking.
    ///
    /// # Errors
    /// The folder cannot be read; what is held stays.
    pub fn reload(&self) -> io::Result<bool> {
        self.scan(false)
    }

    fn scan(&self, at_once: bool) -> io::Result<bool> {
        let before = self.held.load_full();
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scan = Scan { root: &self.folder, found: Vec::new(), left_out: Vec::new(), entries: 0 };
        scan.folder(&self.folder, "", 0)?;
        let mut next = Files { table: HashMap::new(), left_out: scan.left_out };
        let mut still_settling = HashMap::new();
        let mut changed = false;
        let mut held = 0;
        for (name, path, stamp) in scan.found {
            let old = before.table.get(&name);
            let is_new = old.is_none_or(|old| old.stamp != stamp);
            let settled = at_once || settling.get(&name) == Some(&stamp);
            let file = match old {
                _ if is_new && settled => read(&path, stamp)
                    .inspect_err(|error| next.left_out.push(format!("{name}: {error}")))
                    .ok(),
                Some(old) => Some(old.clone()),
                None => None,
            };
            if is_new && !settled {
                still_settling.insert(name.clone(), stamp);
            }
            let Some(file) = file else { continue };
            held += file.content.len() as u64;
            if held > MAX_HELD {
                held -= file.content.len() as u64;
                next.left_out.push(format!("{name}: more than {} MiB in all files together", MAX_HELD >> 20));
                continue;
            }
            changed |= is_new && settled;
            next.table.insert(name, file);
        }
        changed |= before.table.keys().any(|name| !next.table.contains_key(name))
            || before.left_out != next.left_out;
        *settling = still_settling;
        if changed {
            self.held.store(Arc::new(next));
        }
        Ok(changed)
    }
}

fn read(path: &Path, stamp: Stamp) -> io::Result<File> {
    if stamp.0 > MAX_HELD {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_HELD >> 20)));
    }
    let content = Bytes::from(fs::read(path)?);
    Ok(File { stamp: (content.len() as u64, stamp.1), content })
}

struct Scan<'a> {
    root: &'a Path,
    found: Vec<(String, PathBuf, Stamp)>,
    left_out: Vec<String>,
    entries: usize,
}

impl Scan<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            self.entries += 1;
            if self.entries > MAX_ENTRIES || depth > MAX_DEPTH {
                self.left_out.push(format!("{name}: too many files, or folders too deep"));
                return Ok(());
            }
            if let Err(error) = self.entry(&entry.path(), &name, depth) {
                self.left_out.push(format!("{name}: {error}"));
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, depth: usize) -> io::Result<()> {
        // A link may point anywhere inside the root and nowhere else.
        let target = fs::canonicalize(path)?;
        if !target.starts_with(self.root) {
            return Err(io::Error::other("a link out of the root"));
        }
        let facts = fs::metadata(&target)?;
        if facts.is_dir() {
            self.folder(&target, &format!("{name}/"), depth + 1)?;
        } else if facts.is_file() {
            self.found.push((name.to_string(), target, (facts.len(), facts.modified().ok())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn content(root: &Root, name: &str) -> Option<Vec<u8>> {
        root.files().find(name).unwrap().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn names_are_looked_for_below_the_root_only() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("root");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::write(folder.join("sub/inner"), "i").unwrap();
        symlink(outside.path().join("secret"), folder.join("leak")).unwrap();
        symlink(outside.path(), folder.join("up")).unwrap();
        symlink(folder.join("sub/inner"), folder.join("inside")).unwrap();
        symlink(&folder, folder.join("sub/loop")).unwrap();
        let root = Root::open(&folder).unwrap();
        for name in ["sub/inner", "/sub/inner", "//sub/./inner", "\\sub\\inner", "inside"] {
            assert_eq!(content(&root, name).as_deref(), Some(&b"i"[..]), "{name}");
        }
        for name in ["../secret", "sub/../../secret", "..\\secret", "..", "sub/.."] {
            assert_eq!(root.files().find(name), Err(Traversal), "{name}");
        }
        for name in ["leak", "up/secret", "sub", "", "/"] {
            assert_eq!(content(&root, name), None, "{name}");
        }
        assert!(root.files().left_out.iter().any(|why| why.contains("leak: a link out of the root")));
    }

    #[test]
    fn the_default_script_is_built_in_and_a_file_of_that_name_wins() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert_eq!(content(&root, "default").as_deref(), Some(DEFAULT_SCRIPT.1));
        fs::write(folder.path().join("default"), "mine").unwrap();
        root.reload().unwrap();
        root.reload().unwrap();
        assert_eq!(content(&root, "/default").as_deref(), Some(&b"mine"[..]));
    }

    #[test]
    fn a_changed_file_is_served_once_it_has_settled_and_a_removed_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("loader"), "one").unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert!(!root.reload().unwrap());
        fs::write(folder.path().join("loader"), "three").unwrap();
        assert!(!root.reload().unwrap(), "it may still be written");
        assert_eq!(content(&root, "loader").as_deref(), Some(&b"one"[..]));
        assert!(root.reload().unwrap());
        assert_eq!(content(&root, "loader").as_deref(), Some(&b"three"[..]));
        fs::remove_file(folder.path().join("loader")).unwrap();
        assert!(root.reload().unwrap());
        assert_eq!(content(&root, "loader"), None);
    }

    #[test]
    fn a_root_that_is_gone_leaves_what_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), "a").unwrap();
        let root = Root::open(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert!(root.reload().is_err());
        assert_eq!(content(&root, "a").as_deref(), Some(&b"a"[..]));
    }
}

//! The files below the root, held in memory: a transfer never waits for a disk, and nothing outside the root can be
//! named because nothing outside the root is in the table.

mod netascii;
mod scan;
#[cfg(test)]
mod tests;

use arc_swap::ArcSwap;
use bytes::Bytes;
use scan::{Found, Scan};
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

/// The built-in script: an unknown node that runs it asks again, gently, until SMD knows it.
pub const DEFAULT_SCRIPT: (&str, &[u8]) = ("default", b"#!ipxe\nreboot\n");

/// Memory for all files together. A guess: loaders are megabytes, a few kernels with initramfs fit too.
const MAX_HELD: u64 = 1 << 30;
/// Netascii makes another copy of a file; text files are smaller than this.
const MAX_NETASCII: usize = 1 << 20;

static BUILT_IN: LazyLock<Arc<File>> = LazyLock::new(|| Arc::new(File::of(DEFAULT_SCRIPT.1)));

/// One consistent state of the root.
#[derive(Debug, Default, Clone)]
pub struct Files {
    table: HashMap<String, Arc<File>>,
    held: u64,
    /// What was left out, a sentence each.
    pub left_out: Vec<String>,
}

/// A file in memory, however many names it has.
#[derive(Debug)]
pub struct File {
    content: Bytes,
    netascii: OnceLock<Bytes>,
    target: PathBuf,
    stamp: Stamp,
}

/// Tells a changed file from an unchanged one without reading it.
type Stamp = (u64, Option<SystemTime>);

/// A name that is refused rather than not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traversal;

impl File {
    fn of(content: &'static [u8]) -> File {
        let stamp = (content.len() as u64, None);
        File {
            content: Bytes::from_static(content),
            netascii: OnceLock::new(),
            target: PathBuf::new(),
            stamp,
        }
    }

    /// As it is on disk.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// With line ends as RFC 764 wants them, made when it is first asked for and shared by all transfers; `None` for files
    /// of more than a megabyte, which are no text.
    pub fn netascii(&self) -> Option<Bytes> {
        (self.content.len() <= MAX_NETASCII)
            .then(|| self.netascii.get_or_init(|| netascii::encode(&self.content)).clone())
    }
}

impl Files {
    /// The file of that name. Names are looked for below the root, whatever they begin with; `\` counts as `/`.
    ///
    /// # Errors
    /// A name with `..` in it.
    pub fn find(&self, name: &str) -> Result<Option<&Arc<File>>, Traversal> {
        let name = name.replace('\\', "/");
        let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(Traversal);
        }
        let path = parts.join("/");
        let built_in = || (path == DEFAULT_SCRIPT.0).then(|| &*BUILT_IN);
        Ok(self.table.get(&path).or_else(built_in))
    }

    /// How many names, and the bytes behind them; a file with several names is held once.
    pub fn size(&self) -> (usize, u64) {
        (self.table.len(), self.held)
    }

    /// Only for tests of decisions.
    #[cfg(test)]
    pub fn of(files: &[(&str, &'static [u8])]) -> Files {
        let table =
            files.iter().map(|(name, content)| (name.to_string(), Arc::new(File::of(content)))).collect();
        Files { table, ..Files::default() }
    }
}

/// The root folder and what is held of it.
pub struct Root {
    folder: PathBuf,
    held: ArcSwap<Files>,
    /// Files seen changing in the last scan: taken when the next one finds them unchanged, so that a file is never served
    /// while it is still being copied into the root.
    settling: Mutex<HashMap<PathBuf, Stamp>>,
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
        let scan = Scan::of(&self.folder)?;
        let mut next = Next::after(&before, scan.left_out, (!at_once).then_some(&*settling));
        for found in scan.found {
            next.take(&before, found);
        }
        let Next { files, settling: unsettled, .. } = next;
        *settling = unsettled;
        let same = before.table.len() == files.table.len()
            && files
                .table
                .iter()
                .all(|(name, file)| before.table.get(name).is_some_and(|held| Arc::ptr_eq(held, file)))
            && before.left_out == files.left_out;
        if !same {
            self.held.store(Arc::new(files));
        }
        Ok(!same)
    }
}

/// The next state of the root, while it is put together.
struct Next<'a> {
    files: Files,
    /// What is in memory, by path without links.
    known: HashMap<PathBuf, Arc<File>>,
    counted: HashSet<PathBuf>,
    /// `None`: everything counts as settled.
    settled: Option<&'a HashMap<PathBuf, Stamp>>,
    settling: HashMap<PathBuf, Stamp>,
}

impl<'a> Next<'a> {
    fn after(before: &Files, left_out: Vec<String>, settled: Option<&'a HashMap<PathBuf, Stamp>>) -> Self {
        Next {
            files: Files { left_out, ..Files::default() },
            known: before.table.values().map(|file| (file.target.clone(), file.clone())).collect(),
            counted: HashSet::new(),
            settled,
            settling: HashMap::new(),
        }
    }

    fn take(&mut self, before: &Files, found: Found) {
        let old = before.table.get(&found.name);
        match self.file(&found, old) {
            Ok(Some(file)) => {
                if self.counted.insert(file.target.clone()) {
                    self.files.held += file.content.len() as u64;
                }
                self.files.table.insert(found.name, file);
            }
            Ok(None) => {}
            Err(error) => self.files.left_out.push(format!("{}: {error}", found.name)),
        }
    }

    fn file(&mut self, found: &Found, old: Option<&Arc<File>>) -> io::Result<Option<Arc<File>>> {
        let known = self.known.get(&found.target).filter(|file| file.stamp == found.stamp).cloned();
        let seen_before = |settled: &HashMap<_, _>| settled.get(&found.target) == Some(&found.stamp);
        if known.is_none() && !self.settled.is_none_or(seen_before) {
            self.settling.insert(found.target.clone(), found.stamp);
            return Ok(old.cloned());
        }
        let size = if self.counted.contains(&found.target) { 0 } else { found.stamp.0 };
        if self.files.held + size > MAX_HELD {
            // It stays settled: the next scan shall come to the same end.
            self.settling.insert(found.target.clone(), found.stamp);
            return Err(io::Error::other(format!("more than {} MiB in all files together", MAX_HELD >> 20)));
        }
        if known.is_some() {
            return Ok(known);
        }
        let file = read(found).inspect_err(|_| {
            self.settling.insert(found.target.clone(), found.stamp);
        })?;
        let file = Arc::new(file);
        self.known.insert(found.target.clone(), file.clone());
        Ok(Some(file))
    }
}

/// No more than was announced: a file that grows meanwhile has another stamp in the next scan.
fn read(found: &Found) -> io::Result<File> {
    let mut content = Vec::with_capacity(found.stamp.0 as usize);
    fs::File::open(&found.target)?.take(found.stamp.0).read_to_end(&mut content)?;
    let stamp = (content.len() as u64, found.stamp.1);
    let target = found.target.clone();
    Ok(File { content: content.into(), netascii: OnceLock::new(), target, stamp })
}

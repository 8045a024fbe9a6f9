//! KEEPING: files of messages that outlive a program: versioned, summed up, replaced at once or not at all.
//!
//! ```text
//!   coresmd-snapshot 1\n          whose kind it is and its version; another one is not read
//!   message, message, message ... protobuf, each behind its length
//!   16 bytes                      XXH3-128 of everything before, little endian
//! ```
//! Messages are written and read one by one, so that neither takes memory. What they are and what they mean is up to who
//! keeps them; fields may be added to them (their numbers are never used again), and anything that an older program would
//! misread is a new version.
//!
//! ```text
//!   write ──▶ FILE.new (locked) ──fsync──▶ FILE becomes FILE.previous (if kept), the new one FILE ──▶ fsync of the directory
//!   load  ◀── FILE, else FILE.previous; what cannot be used becomes FILE.newer (a later version) or FILE.bad
//! ```
//! There is a whole file at every moment, whatever happens; several processes may share one. What a writer leaves that was
//! killed is one `FILE.new`, which the next one overwrites.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Reader, Unusable};
pub use write::{Writer, Written};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What a file says of itself in its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// A word such as `coresmd-snapshot`; the same in every version.
    pub name: &'static str,
    /// Grows when an older program could not read the file any more.
    pub version: u32,
    /// Whether the file before the last one is kept, too.
    pub previous: bool,
}

/// Where something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    path: PathBuf,
    kind: Kind,
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded<T> {
    /// What was kept, from the newest file that can be used.
    pub content: Option<T>,
    /// What could not be used.
    pub aside: Vec<Aside>,
}

/// A file that could not be used.
#[derive(Debug)]
pub struct Aside {
    /// Where it was.
    pub file: PathBuf,
    /// Why.
    pub why: Unusable,
    /// Where it is now; an error: it could not be moved and is where it was.
    pub now: io::Result<PathBuf>,
}

impl Kept {
    /// Kept in the file of this path and those beside it.
    pub fn new(path: PathBuf, kind: Kind) -> Kept {
        Kept { path, kind }
    }

    /// The path of the file itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the newest file that can be used. Blocks. What `read` returns is given out only when the whole file was read
    /// and its checksum holds; what cannot be used is set aside in place of the one before; never an error.
    pub fn load<T>(&self, mut read: impl FnMut(&mut Reader) -> Result<T, Unusable>) -> Loaded<T> {
        let previous = self.kind.previous.then(|| self.beside("previous"));
        let mut aside = Vec::new();
        for file in [self.path.clone()].into_iter().chain(previous) {
            match self.read(&file, &mut read) {
                Ok(content) => return Loaded { content: Some(content), aside },
                Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(why) => aside.push(self.set_aside(file, why)),
            }
        }
        Loaded { content: None, aside }
    }

    fn read<T>(
        &self,
        file: &Path,
        read: &mut impl FnMut(&mut Reader) -> Result<T, Unusable>,
    ) -> Result<T, Unusable> {
        let mut reader = Reader::open(file, self.kind)?;
        let content = read(&mut reader)?;
        reader.end()?;
        Ok(content)
    }

    /// Looks into the file without reading it whole: what it says is not proven by its checksum.
    ///
    /// # Errors
    /// It cannot be read, or is none of this kind and version.
    pub fn peek(&self) -> Result<Reader, Unusable> {
        Reader::open(&self.path, self.kind)
    }

    /// Begins the next file. `None`: another process is writing it.
    ///
    /// # Errors
    /// Whatever the file system says; the file that was there is as it was.
    pub fn write(&self) -> io::Result<Option<Writer>> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        Writer::begin(self)
    }

    fn set_aside(&self, file: PathBuf, why: Unusable) -> Aside {
        let ending = if matches!(why, Unusable::Newer { .. }) { "newer" } else { "bad" };
        let aside = self.beside(ending);
        let now = fs::rename(&file, &aside).map(|()| aside);
        Aside { file, why, now }
    }

    /// There is one of each at most.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }
}

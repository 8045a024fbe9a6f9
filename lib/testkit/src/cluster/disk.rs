//! A small disk that can be full or read-only, under a folder of a test.

use super::namespace::{PREFIX, is_left_behind};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Fills what is left of the disk.
const FILLER: &str = "filler";

/// A file system in memory; unmounted when dropped.
pub struct Disk {
    folder: PathBuf,
    source: String,
}

impl Disk {
    /// Mounted on an empty folder, of so many kilobytes.
    ///
    /// # Panics
    /// When not root.
    pub fn mount(folder: &Path, kilobytes: u64) -> Disk {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let source = format!("{PREFIX}{}-{number}-disk", std::process::id());
        let disk = Disk { folder: folder.to_owned(), source };
        disk.remount(MsFlags::empty(), &format!("size={kilobytes}k,mode=755"));
        disk
    }

    /// Nothing can be written any more, or everything again. Fails while a file is open for writing, so it is tried for a while.
    pub fn read_only(&self, yes: bool) {
        let flags = if yes { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        self.remount(MsFlags::MS_REMOUNT | flags, "");
    }

    /// Leaves not a byte.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.folder.join(FILLER)).expect("a file can be created");
        for size in [64 << 10, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives back what [`Disk::fill`] took.
    pub fn free(&self) {
        fs::remove_file(self.folder.join(FILLER)).expect("fill comes first");
    }

    fn remount(&self, flags: MsFlags, options: &str) {
        let what = format!("{} is mounted with {flags:?}", self.folder.display());
        super::within(std::time::Duration::from_secs(5), &what, || {
            mount(Some(self.source.as_str()), &self.folder, Some("tmpfs"), flags, Some(options)).ok()
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}

/// Unmounts what runs of this program left behind that were killed.
pub(super) fn clear_leftovers() {
    for line in fs::read_to_string("/proc/mounts").unwrap_or_default().lines() {
        let mut parts = line.split(' ');
        if let (Some(source), Some(folder)) = (parts.next(), parts.next())
            && is_left_behind(source)
        {
            let _ = umount2(folder, MntFlags::MNT_DETACH);
        }
    }
}

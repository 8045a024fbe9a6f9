//! What tests of the store share: rows, a small disk, another process.

use super::{Change, Row};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs,
    io::Write,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    thread,
};
use values::Mac;

/// The variable that tells a test that it is the other process, and of which file.
const OTHER: &str = "DHCPD_TEST_LEASES";

/// A MAC of this number.
pub fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// An address of this number.
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number)
}

/// Who holds it until then.
pub fn row(holder: u32, of: u32, expiry: i64) -> Row {
    Row { mac: mac(holder), address: address(of), expiry, hostname: format!("host{holder}") }
}

/// The same as a change.
pub fn put(holder: u32, of: u32, expiry: i64) -> Change {
    Change::Put(row(holder, of, expiry))
}

/// In order of addresses.
pub fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.address);
    rows
}

/// Runs `test` with a disk of so many kilobytes, which only it and its threads see and which ends with them.
pub fn on_a_small_disk(kilobytes: u32, test: impl FnOnce(&Path) + Send) {
    let folder = tempfile::tempdir().unwrap();
    let alone = || {
        unshare(CloneFlags::CLONE_NEWNS)
            .expect("a disk of one's own needs root: run `make test` or use sudo");
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_PRIVATE | MsFlags::MS_REC, nothing).unwrap();
        let size = format!("size={kilobytes}k");
        mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some(&*size)).unwrap();
        test(folder.path());
    };
    let ended = thread::scope(|scope| scope.spawn(alone).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Leaves not a byte; removing the file gives them back.
pub fn fill(file: &Path) {
    let mut file = fs::File::create(file).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// This test, in a process of its own: there `other_process` is the file.
pub fn another_process(test: &str, file: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("leases::store::{test}"), "--nocapture"]);
    command.env(OTHER, file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// In the process that `another_process` starts.
pub fn other_process() -> Option<std::path::PathBuf> {
    std::env::var_os(OTHER).map(Into::into)
}

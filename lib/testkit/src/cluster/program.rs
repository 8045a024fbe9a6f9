//! Programs that run beside the test: found, started, logged, killed.

use super::Namespace;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;

/// A running program; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with both outputs appended to a file.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Process {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let output = file.try_clone().expect("a second handle");
        let child = command.stdout(output).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Process { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self, time: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        super::within(time, &what, || self.ended())
    }

    /// Its process id, which is the program's own: `ip netns exec` and `setpriv` become what they start.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).unwrap_or_else(|error| panic!("{} cannot be signalled: {error}", self.name));
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of it.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and gives what it printed to both outputs.
///
/// # Panics
/// When it takes longer than `time`: it is killed.
pub fn finish(command: &mut Command, time: Duration) -> (ExitStatus, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = format!("{command:?}");
    let taken = std::mem::replace(command, Command::new("true"));
    let mut process = Process::start(&said, taken, &folder.path().join("output"));
    let status = process.wait(time);
    (status, process.log())
}

/// The binary of one of our programs: in `CORESMD_BIN`, or where cargo put it beside this test.
pub(crate) fn binary(name: &str) -> PathBuf {
    let given = std::env::var_os("CORESMD_BIN").map(PathBuf::from);
    let built = || {
        let test = std::env::current_exe().expect("the test itself");
        test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_owned()
    };
    let path = given.unwrap_or_else(built).join(name);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo build -p smd-cache -p dhcpd -p dnsd -p tftpd` (or `make test`), or set CORESMD_BIN",
        path.display()
    );
    path
}

/// One of our programs as user and group nobody, with these capabilities and no others; from a copy in `folder`, for the
/// place it was built in may be open to its owner alone.
pub(crate) fn as_nobody(machine: &Namespace, program: &str, capabilities: &str, folder: &Path) -> Command {
    let copy = folder.join(program);
    if !copy.is_file() {
        fs::copy(binary(program), &copy).expect("a program can be copied");
    }
    let list = capabilities.split(',').filter(|one| !one.is_empty());
    let list = list.fold("-all".to_owned(), |list, one| list + ",+" + one);
    let mut command = machine.command(tool("setpriv"));
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    for set in ["bounding-set", "inh-caps", "ambient-caps"] {
        command.arg(format!("--{set}={list}"));
    }
    command.arg(copy);
    command
}

/// Lets a program's clock show another time (libfaketime); what it measures times with is left alone.
pub(crate) fn shift_clock(command: &mut Command, seconds: i32) {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let library = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    let library = library.expect("libfaketime is missing: run `make tools`, or: apt-get install libfaketime");
    command.env("LD_PRELOAD", library).env("FAKETIME", format!("{seconds:+}s"));
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Programs of others, and the package they come in.
const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("dhclient", "isc-dhcp-client"),
    ("udhcpc", "udhcpc"),
    ("dhcrelay", "isc-dhcp-relay"),
    ("dig", "bind9-dnsutils"),
    ("delv", "bind9-dnsutils"),
    ("curl", "curl"),
    ("atftp", "atftp"),
    ("tftp", "tftp-hpa"),
    ("nft", "nftables"),
    ("kea-dhcp4", "kea-dhcp4-server"),
    ("perfdhcp", "kea-admin"),
    ("dhcpcd", "dhcpcd-base"),
    ("dhcping", "dhcping"),
    ("dhcp_release", "dnsmasq-utils"),
    ("dnsmasq", "dnsmasq-base"),
    ("nsd", "nsd"),
    ("knotd", "knot"),
    ("kzonecheck", "knot-dnssecutils"),
    ("kdig", "knot-dnsutils"),
    ("drill", "ldnsutils"),
    ("ldns-read-zone", "ldnsutils"),
    ("named-checkzone", "bind9-utils"),
    ("getent", "libc-bin"),
    ("musl-gcc", "musl-tools"),
    ("dnsperf", "dnsperf"),
];

/// Where a program is.
///
/// # Panics
/// When it is missing, with the words how to install it.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into(), home.join("go/bin")]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    let how =
        TOOLS.iter().find(|(tool, _)| *tool == name).map(|(_, package)| format!("apt-get install {package}"));
    let how =
        how.unwrap_or_else(|| "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9".to_owned());
    found.unwrap_or_else(|| panic!("{name} is missing: run `make tools`, or: {how}"))
}

/// Checks that all of these are there.
///
/// # Panics
/// When one is missing.
pub fn need_tools(names: &[&str]) {
    for name in names {
        tool(name);
    }
}

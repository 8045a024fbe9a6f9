//! A container engine of a test's own: dockerd in network, process and mount namespaces of its own. Published ports, bridges,
//! firewall rules and host networking are those of a machine that ends with the test, and killing one process ends all of it.
//!
//! ```text
//!   the machine's engine ── docker save │ docker load ──▶ ┌ namespaces of the test ─────────────────────┐
//!     builds images                                       │ dockerd ── containers, volumes, networks    │
//!                                                         │ commands of a README, machines on bridges   │
//!                                                         └─────────────────────────────────────────────┘
//! ```

use crate::cluster::{Inside, Namespace, Process, finish, need_tools, tool, within};
use nix::sys::signal::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Where it keeps images and containers: overlayfs wants a real disk, which /tmp may not be.
const DISK: &str = "/var/tmp";
/// Begins the names of its folders and control groups, followed by the process that made them.
const PREFIX: &str = "coresmd-engine-";
/// What of its files is not on a disk where Docker is installed, but in /run.
const RUN: [&str; 3] = ["exec", "pid", "docker.sock"];
/// dockerd takes 3 s on two idle cores.
const START: Duration = Duration::from_secs(60);
/// Some 150 MB are written and read.
const LOAD: Duration = Duration::from_secs(120);
/// What dockerd and its containers leave in each hierarchy once they are gone.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// A running engine; everything in it ends with it.
pub struct Engine {
    // In this order: first the programs end, then what they ran in goes.
    process: Process,
    namespace: Namespace,
    folder: Folder,
}

impl Engine {
    /// Starts one without any image.
    ///
    /// # Panics
    /// When not root, or when something is missing: with the words what to install or run.
    pub fn start() -> Engine {
        assert!(nix::unistd::geteuid().is_root(), "containers need root: run `make test` or use sudo");
        need_tools(&["ip", "setpriv", "nsenter", "unshare", "dockerd", "docker"]);
        crate::cluster::clear_leftovers();
        clear_leftovers();
        let folder = Folder::new();
        let (process, namespace) = boot(&folder);
        let mut engine = Engine { process, namespace, folder };
        engine.wait_for_dockerd();
        engine
    }

    /// The machine loses its power and starts again: with what is on its disk, and a network without cables.
    pub fn reboot(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.wait(START);
        for name in RUN {
            let path = self.folder.path(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        (self.process, self.namespace) = boot(&self.folder);
        self.wait_for_dockerd();
    }

    fn wait_for_dockerd(&mut self) {
        within(START, "dockerd answers", || {
            if let Some(status) = self.process.ended() {
                panic!("dockerd ended with {status}:\n{}", self.process.log_tail());
            }
            let answer = self.docker().arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            answer.is_ok_and(|status| status.success()).then_some(())
        });
    }

    /// Takes images from the machine's own engine, under their names there.
    ///
    /// # Panics
    /// When one is not there.
    pub fn load(&self, images: &[&str]) {
        let socket = self.socket();
        let line = format!("set -o pipefail; docker save {} | docker -H {socket} load", images.join(" "));
        let mut bash = Command::new("bash");
        let (status, said) = finish(bash.args(["-c", &line]), LOAD);
        assert!(status.success(), "{line}\n{said}\nrun `make images` for those of ours");
    }

    /// Gives an image one more name.
    pub fn tag(&self, image: &str, name: &str) {
        self.run(&["tag", image, name]);
    }

    /// `docker ARGUMENTS`, and what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        let (status, said) = finish(self.docker().args(arguments), LOAD);
        assert!(status.success(), "docker {}: {status}\n{said}", arguments.join(" "));
        said
    }

    fn docker(&self) -> Command {
        let mut command = Command::new(tool("docker"));
        command.args(["-H", &self.socket()]).stdin(Stdio::null());
        command
    }

    /// What `DOCKER_HOST` is for those who use it.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path("docker.sock").display())
    }

    /// The machine it runs on: where published ports are, and bridges.
    pub fn host(&self) -> &Namespace {
        &self.namespace
    }

    /// A runtime on that machine.
    pub fn inside(&self) -> Inside {
        Inside::of(&self.namespace)
    }

    /// A command on the engine's machine, also among its processes, who have numbers of their own there, as `docker inspect`
    /// gives them. Whatever it leaves running or mounted ends with the engine.
    ///
    /// # Panics
    /// When dockerd has gone.
    pub fn command(&self, program: &str) -> Command {
        let pid = self.process.pid();
        let dockerd = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
        let mut command = Command::new(tool("setpriv"));
        command.args(["--pdeathsig", "KILL", "nsenter", "--target", dockerd.trim()]);
        command.args(["--pid", "--mount", "--net", "--", program]).stdin(Stdio::null());
        command
    }

    /// A folder on its disk, for what should go with it.
    pub fn disk(&self) -> &Path {
        &self.folder.0
    }

    /// What it complained of last.
    pub fn complaints(&self) -> String {
        let log = self.process.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("level=info")).collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

fn boot(folder: &Folder) -> (Process, Namespace) {
    let namespace = Namespace::new("engine");
    let process = Process::start("dockerd", dockerd(&namespace, folder), &folder.path("log"));
    (process, namespace)
}

/// Through `nsenter`, as `ip netns exec` would hide the control groups.
fn dockerd(namespace: &Namespace, folder: &Folder) -> Command {
    let mut command = Command::new(tool("setpriv"));
    command.args(["--pdeathsig", "KILL", "nsenter", &format!("--net=/run/netns/{}", namespace.name())]);
    command.args(["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "dockerd"]);
    for (option, name) in [
        ("--data-root", "data"),
        ("--exec-root", "exec"),
        ("--pidfile", "pid"),
        ("--config-file", "daemon.json"),
    ] {
        command.arg(option).arg(folder.path(name));
    }
    command.arg("--host").arg(format!("unix://{}", folder.path("docker.sock").display()));
    // Under systemd the name of a group would have to be that of a slice.
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent"]);
    command.arg(format!("/{}", folder.name()));
    command.env_remove("DOCKER_HOST").stdin(Stdio::null());
    command
}

/// Its files, and control groups of the same name; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(Path::new(DISK).join(format!("{PREFIX}{}", std::process::id())));
        fs::create_dir_all(&folder.0).expect("a folder can be made");
        fs::write(folder.path("daemon.json"), "{}").expect("a file can be written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn name(&self) -> String {
        self.0.file_name().expect("it has a name").to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Mounts were in a namespace of dockerd's, which the kernel takes down a moment after its last process.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        for hierarchy in fs::read_dir(CONTROL_GROUPS).into_iter().flatten().flatten() {
            remove_groups(&hierarchy.path().join(self.name()));
        }
        remove_groups(&Path::new(CONTROL_GROUPS).join(self.name()));
    }
}

/// A control group and those in it, all without processes; its files go with it.
fn remove_groups(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&inner.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Clears what runs that were killed left behind.
fn clear_leftovers() {
    for entry in fs::read_dir(DISK).into_iter().flatten().flatten() {
        let owner = entry.file_name().to_string_lossy().strip_prefix(PREFIX).map(str::to_owned);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            drop(Folder(entry.path()));
        }
    }
}

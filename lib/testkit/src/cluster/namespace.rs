//! Network namespaces: made, entered, and cleared away.

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    future::Future,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::runtime::{Builder, Runtime};

/// Every namespace of ours begins so, followed by the process that made it.
pub(super) const PREFIX: &str = "coresmd-test-";

/// A network namespace; deleted when dropped, with everything that still runs in it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one with its loopback up.
    pub fn new(role: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// `ip -n NAME ...`.
    ///
    /// # Panics
    /// When it fails.
    pub fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// A cable to another machine, both ends up.
    pub fn plug(&self, device: &str, other: &Namespace, end: &str) {
        self.ip(&format!("link add {device} type veth peer name {end} netns {}", other.name));
        self.ip(&format!("link set {device} up"));
        other.ip(&format!("link set {end} up"));
    }

    /// Its name, as `ip` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs in it and is killed when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"]).arg(program.as_ref());
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Kills what runs in a namespace of ours, and deletes it.
fn remove(name: &str) {
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
        if pid != std::process::id() as i32 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).status();
}

/// Clears what runs of this program left behind that were killed.
pub(crate) fn clear_leftovers() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if is_left_behind(name) {
            remove(name);
        }
    }
}

/// Whether something of this name is ours and the process that made it is gone.
pub(super) fn is_left_behind(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

fn ip(arguments: &str) {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("ip, of package iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}

/// A runtime whose tasks live in a namespace.
pub struct Inside(Option<Runtime>);

impl Inside {
    /// Of this namespace.
    pub fn of(namespace: &Namespace) -> Inside {
        let path = format!("/run/netns/{}", namespace.name);
        let enter = move || {
            let file = File::open(&path).expect("a namespace that is there");
            setns(file, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
        };
        let runtime =
            Builder::new_multi_thread().worker_threads(1).on_thread_start(enter).enable_all().build();
        Inside(Some(runtime.expect("a runtime")))
    }

    /// Runs something in there to its end.
    pub fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.0.as_ref().expect("there until dropped");
        // Spawned, because the calling thread itself is not in the namespace.
        runtime.block_on(runtime.spawn(task)).expect("the task does not panic")
    }
}

impl Inside {
    /// Starts something in there; it ends with this at the latest.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.0.as_ref().expect("there until dropped").spawn(task)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

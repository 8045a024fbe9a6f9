//! Whole clusters for tests: the real programs, smd-sim, and machines with real clients, each in a network namespace.
//!
//! ```text
//!   SRV 172.16.0.253 ── SW (bridge) ── NODE1 eth0, NODE2 eth0            relayed: NODE3 eth0 ── 10.40.1.1 RELAY
//!       172.16.0.0/24        └──────────────────────────────────────────────────────────────── 172.16.0.2
//! ```
//! Everything ends with the [`Cluster`], also when the test panics; what a killed run left behind is cleared by the next.

mod namespace;
mod program;
mod wire;

pub use namespace::{Inside, Namespace};
pub use program::{Process, finish, need_tools, tool};
pub use wire::Wire;

use crate::smd::{Inventory, Options, Sim};
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Address of the machine that runs the programs.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 253);
/// The relay, as its clients and the server see it.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 40, 1, 1);
/// SMD's port.
const SMD_PORT: u16 = 27779;
/// Debug builds take 4 s for ten thousand nodes alone on two cores; this is for a busy machine.
const START: Duration = Duration::from_secs(60);

/// Programs of a cluster with the port of their admin HTTP, in the order they are started.
const PROGRAMS: [(&str, u16); 4] =
    [("smd-cache", 27781), ("dhcpd", 27782), ("dnsd", 27783), ("tftpd", 27784)];

/// One cluster at a time: their clients are measured in milliseconds, on machines with two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A running cluster.
pub struct Cluster {
    programs: BTreeMap<&'static str, Process>,
    sim: Option<Sim>,
    inside: Inside,
    at_relay: Inside,
    /// The machines and the cables between them.
    pub wire: Wire,
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// A cluster whose SMD holds this, with all programs ready.
    ///
    /// # Panics
    /// When not root, or when something is missing: with the words what to install or run.
    pub fn start(inventory: Inventory) -> Cluster {
        let mut cluster = Cluster::bare();
        cluster.start_smd(inventory);
        for (name, _) in PROGRAMS {
            cluster.start_program(name);
        }
        for (name, _) in PROGRAMS {
            cluster.wait_ready(name);
        }
        cluster
    }

    /// Only the machines; nothing runs yet.
    pub fn bare() -> Cluster {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            nix::unistd::geteuid().is_root(),
            "network namespaces need root: run `make test` or use sudo"
        );
        need_tools(&["ip", "setpriv"]);
        let wire = Wire::build();
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["run", "tftp"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder");
        }
        let (inside, at_relay) = (Inside::of(&wire.server), Inside::of(&wire.relay));
        let cluster =
            Cluster { programs: BTreeMap::new(), sim: None, inside, at_relay, wire, folder, _turn: turn };
        cluster.write_config("");
        cluster
    }

    /// Starts SMD's stand-in on its usual port.
    pub fn start_smd(&mut self, inventory: Inventory) {
        self.sim = None;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, SMD_PORT));
        let started = within(START, "SMD's port is free", || {
            let options = Options { listen, inventory: inventory.clone(), token: None };
            self.inside.run(Sim::start_with(options)).ok()
        });
        self.sim = Some(started);
    }

    /// SMD's stand-in.
    ///
    /// # Panics
    /// When it was not started.
    pub fn smd(&self) -> &Sim {
        self.sim.as_ref().expect("start_smd comes first")
    }

    /// SMD is gone: its port is closed.
    pub fn stop_smd(&mut self) {
        self.sim = None;
    }

    /// Starts one of the programs.
    pub fn start_program(&mut self, name: &'static str) {
        let runtime = self.runtime_folder();
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = self.wire.server.command(program::binary(name));
        command.arg("--config").arg(self.config_file()).env("RUNTIME_DIR", runtime);
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()));
        let old = self.programs.insert(name, Process::start(name, command, &log));
        assert!(old.is_none(), "{name} runs already");
    }

    /// A question to a running program by its own subcommand: how it ended, and what it said.
    pub fn ask(&self, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.wire.server.command(program::binary(name));
        command.args(arguments).arg("--config").arg(self.config_file());
        command.env("RUNTIME_DIR", self.runtime_folder());
        let (status, said) = finish(&mut command, Duration::from_secs(20));
        (status.code(), said)
    }

    /// RUNTIME_DIR of the programs.
    pub fn runtime_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Where the programs' binaries are.
    pub fn programs_folder(&self) -> PathBuf {
        program::binary("smd-cache").parent().expect("a folder").to_owned()
    }

    /// A running program's process id.
    pub fn pid(&self, name: &str) -> u32 {
        self.programs.get(name).expect("a program that was started").pid()
    }

    /// Kills a program at once.
    pub fn kill(&mut self, name: &str) {
        assert!(self.programs.remove(name).is_some(), "{name} does not run");
    }

    /// Waits until a program says it is ready.
    pub fn wait_ready(&mut self, name: &str) {
        let http = crate::http();
        let url = format!("http://127.0.0.1:{}/ready", admin_port(name));
        within(START, &format!("{name} is ready"), || {
            let process = self.programs.get_mut(name).expect("a program that was started");
            if let Some(status) = process.ended() {
                panic!("{name} ended with {status}:\n{}", process.log_tail());
            }
            let get = http.get(&url).timeout(Duration::from_secs(1));
            let answer = self.inside.run(async move { get.send().await.ok() })?;
            answer.status().is_success().then_some(())
        });
    }

    /// `/ready`, `/metrics` or whatever else admin HTTP has: status and text. `None`: nobody answers.
    pub fn admin(&self, name: &str, path: &str) -> Option<(u16, String)> {
        let get = crate::http().get(format!("http://127.0.0.1:{}{path}", admin_port(name)));
        self.inside.run(async move {
            let answer = get.timeout(Duration::from_secs(2)).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    /// A runtime on the server machine, for clients written in Rust.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// The same on the relay machine.
    pub fn at_relay(&self) -> &Inside {
        &self.at_relay
    }

    /// A folder for this cluster alone.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the TFTP root; before tftpd is started.
    pub fn tftp_file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join("tftp").join(name), bytes).expect("a file can be written");
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("coresmd.yaml")
    }

    /// The configuration of all four; `more` is added at the end.
    pub fn write_config(&self, more: &str) {
        let root = self.folder.path().join("tftp");
        let text = format!(
            r#"domain: openchami.cluster
boot:
  script_url: "http://{SERVER}:8081/boot/v1/bootscript?mac={{mac}}"
inventory:
  endpoints: ["http://127.0.0.1:27780"]
smd_cache:
  smd: {{url: "http://127.0.0.1:{SMD_PORT}"}}
  refresh: 1s
  snapshot_file: {}
dhcpd:
  v4:
    listen: ["{SERVER}:67"]
    server_id: {SERVER}
    lease_time: 1h
    router: [172.16.0.254]
    netmask: 255.255.255.0
    dns: [{SERVER}]
    subnets: [{{cidr: 10.40.1.0/24, router: [{RELAY}]}}]
dnsd:
  listen: ["0.0.0.0:53"]
  records: ["smd A {SERVER}"]
tftpd:
  listen: ["0.0.0.0:69"]
  root: {}
{more}"#,
            self.folder.path().join("snapshot").display(),
            root.display(),
        );
        fs::write(self.config_file(), text).expect("a file can be written");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, process) in &self.programs {
                eprintln!("---- the end of {name}'s log ----\n{}", process.log_tail());
            }
        }
        self.programs.clear();
    }
}

fn admin_port(name: &str) -> u16 {
    PROGRAMS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, port)| *port)
        .expect("one of the four programs")
}

/// Asks again and again until there is an answer, at most for `time`.
///
/// # Panics
/// When there is none.
pub fn within<T>(time: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "within {time:?}: {what}");
        std::thread::sleep(POLL);
    }
}

/// How often is asked: short beside what is waited for, long beside the cost of asking.
const POLL: Duration = Duration::from_millis(20);

//! Whole clusters for tests: the real programs, smd-sim, and machines with real clients, each in a network namespace.
//!
//! ```text
//!   SRV 172.16.0.253 ── SW (bridge) ── NODE1 eth0, NODE2 eth0            relayed: NODE3 eth0 ── 10.40.1.1 RELAY
//!       172.16.0.0/24        └──────────────────────────────────────────────────────────────── 172.16.0.2
//! ```
//! Everything ends with the [`Cluster`], also when the test panics; what a killed run left behind is cleared by the next.

mod disk;
mod firewall;
mod namespace;
mod program;
mod settings;
mod wire;

pub use disk::Disk;
pub use firewall::{Fate, Wall};
pub(crate) use namespace::clear_leftovers;
pub use namespace::{Inside, Namespace};
pub use program::{Process, finish, need_tools, tool};
pub use settings::Settings;
pub use wire::Wire;

use crate::smd::{Inventory, Options, Sim};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Address of the machine that runs the programs.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 253);
/// The relay, as its clients and the server see it.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 40, 1, 1);
/// SMD's port.
const SMD_PORT: u16 = 27779;
/// The usual configuration file.
const CONFIG: &str = "coresmd.yaml";
/// Debug builds take 4 s for ten thousand nodes alone on two cores; this is for a busy machine.
const START: Duration = Duration::from_secs(60);

/// Programs of a cluster with the port of their admin HTTP, in the order they are started.
const PROGRAMS: [(&str, u16); 4] =
    [("smd-cache", 27781), ("dhcpd", 27782), ("dnsd", 27783), ("tftpd", 27784)];

/// One cluster at a time: their clients are measured in milliseconds, on machines with two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One of a cluster's programs, or one more of a kind with settings of its own.
#[derive(Debug, Clone)]
pub struct Instance<'a> {
    /// What the test calls it.
    pub name: &'a str,
    /// What runs.
    pub program: &'a str,
    /// Its configuration; absent: that of the cluster.
    pub settings: Option<&'a Settings>,
    /// Port of its admin HTTP.
    pub admin: u16,
    /// So many seconds its clock is ahead (or behind); timers run as they do.
    pub clock: i32,
    /// Runs as nobody with these capabilities alone (`net_raw,net_bind_service`); absent: as root.
    pub capabilities: Option<&'a str>,
}

impl<'a> Instance<'a> {
    /// The usual one.
    ///
    /// # Panics
    /// When it is none of the four programs.
    pub fn of(program: &'a str) -> Instance<'a> {
        let known = PROGRAMS.iter().find(|(known, _)| *known == program);
        let (_, admin) = known.expect("one of the four programs");
        Instance { name: program, program, settings: None, admin: *admin, clock: 0, capabilities: None }
    }

    /// A second smd-cache, whose settings are those of [`Settings::replica`] with number 2.
    pub fn second_cache(settings: &'a Settings) -> Instance<'a> {
        let settings = Some(settings);
        let admin = 27_881;
        Instance { name: "smd-cache-2", settings, admin, ..Instance::of("smd-cache") }
    }
}

struct Running {
    process: Process,
    admin: u16,
}

/// A running cluster.
pub struct Cluster {
    programs: BTreeMap<String, Running>,
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
        Cluster::start_with(inventory, &Settings::default())
    }

    /// The same with other settings.
    pub fn start_with(inventory: Inventory, settings: &Settings) -> Cluster {
        let mut cluster = Cluster::bare();
        cluster.configure(settings);
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
        for name in ["tftp", "var"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder");
        }
        let (inside, at_relay) = (Inside::of(&wire.server), Inside::of(&wire.relay));
        let cluster =
            Cluster { programs: BTreeMap::new(), sim: None, inside, at_relay, wire, folder, _turn: turn };
        cluster.configure(&Settings::default());
        cluster
    }

    /// Starts SMD's stand-in on its usual port.
    pub fn start_smd(&mut self, inventory: Inventory) {
        self.sim = None;
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, SMD_PORT));
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
    pub fn start_program(&mut self, name: &str) {
        self.start_instance(&Instance::of(name));
    }

    /// Starts a program as told.
    ///
    /// # Panics
    /// When one of this name runs already.
    pub fn start_instance(&mut self, instance: &Instance<'_>) {
        let Instance { name, program, settings, admin, clock, capabilities } = *instance;
        assert!(!self.programs.contains_key(name), "{name} runs already");
        // Programs in their usual form share it, as they do on a host.
        let runtime = match name == program {
            true => self.runtime_folder(),
            false => self.runtime_folder().join(name),
        };
        fs::create_dir_all(&runtime).expect("a folder can be made");
        let config = match settings {
            Some(settings) => self.write(&format!("{name}.yaml"), &settings.render(self.folder.path())),
            None => self.config_file(),
        };
        let mut command = match capabilities {
            None => self.wire.server.command(program::binary(program)),
            Some(capabilities) => {
                [self.folder(), &self.var(), &runtime].into_iter().for_each(open_to_nobody);
                program::as_nobody(&self.wire.server, program, capabilities, self.folder())
            }
        };
        command.arg("--config").arg(config).env("RUNTIME_DIR", runtime);
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()));
        if clock != 0 {
            program::shift_clock(&mut command, clock);
        }
        let process = Process::start(name, command, &self.log_file(name));
        self.programs.insert(name.to_owned(), Running { process, admin });
    }

    /// A question to a running program by its own subcommand: how it ended, and what it said.
    pub fn ask(&self, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.wire.server.command(program::binary(name));
        command.args(arguments).arg("--config").arg(self.config_file());
        command.env("RUNTIME_DIR", self.runtime_folder());
        let (status, said) = finish(&mut command, Duration::from_secs(20));
        (status.code(), said)
    }

    /// What the programs in their usual form are configured by.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
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
        self.running(name).process.pid()
    }

    /// What a running program has in memory, in kilobytes.
    pub fn resident(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(name))).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{name} has no memory: {status}"))
    }

    /// Kills a program at once.
    pub fn kill(&mut self, name: &str) {
        assert!(self.programs.remove(name).is_some(), "{name} does not run");
    }

    /// Tells a program to end, and waits until it has; it must end well.
    pub fn terminate(&mut self, name: &str) {
        self.ask_to_end(name);
        let status = self.wait_end(name, START);
        assert!(status.success(), "{name} ended with {status}:\n{}", self.log(name));
    }

    /// Tells a program to end (SIGTERM).
    pub fn ask_to_end(&self, name: &str) {
        self.running(name).process.signal(Signal::SIGTERM);
    }

    /// Waits until a program has ended, and says how.
    pub fn wait_end(&mut self, name: &str, time: Duration) -> ExitStatus {
        let mut running = self.programs.remove(name).unwrap_or_else(|| panic!("{name} does not run"));
        running.process.wait(time)
    }

    /// Stops a program where it stands: nothing is closed, nothing is answered.
    pub fn pause(&self, name: &str) {
        self.running(name).process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self, name: &str) {
        self.running(name).process.signal(Signal::SIGCONT);
    }

    /// Everything that programs of this name have said.
    pub fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until a program says it is ready.
    pub fn wait_ready(&mut self, name: &str) {
        let http = crate::http();
        let url = format!("http://127.0.0.1:{}/ready", self.running(name).admin);
        within(START, &format!("{name} is ready"), || {
            let process = &mut self.programs.get_mut(name).expect("a program that was started").process;
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
        let get = crate::http().get(format!("http://127.0.0.1:{}{path}", self.running(name).admin));
        self.inside.run(async move {
            let answer = get.timeout(Duration::from_secs(2)).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    /// A metric's value, labels and all: `smd_cache_reads_total{...}`. `None`: it is not there, or nobody answers.
    pub fn metric(&self, name: &str, metric: &str) -> Option<f64> {
        let (_, page) = self.admin(name, "/metrics")?;
        page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
    }

    fn running(&self, name: &str) -> &Running {
        self.programs.get(name).unwrap_or_else(|| panic!("{name} was not started"))
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

    /// Where programs keep their files, in place of /var/lib/coresmd.
    pub fn var(&self) -> PathBuf {
        self.folder.path().join("var")
    }

    /// Puts a small disk under [`Cluster::var`]; before the programs are started.
    pub fn small_disk(&self, kilobytes: u64) -> Disk {
        Disk::mount(&self.var(), kilobytes)
    }

    /// The configuration of programs started from now on.
    pub fn configure(&self, settings: &Settings) {
        self.write(CONFIG, &settings.render(self.folder.path()));
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, running) in &self.programs {
                eprintln!("---- the end of {name}'s log ----\n{}", running.process.log_tail());
            }
        }
        self.programs.clear();
    }
}

/// A program without root reads and writes there too.
fn open_to_nobody(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("a folder of ours");
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

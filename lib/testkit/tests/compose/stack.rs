//! A project of Compose in an engine of its own, and machines on its network.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use testkit::{
    cluster::{Inside, Namespace, finish, need_tools, tool},
    engine::Engine,
    prober::Known,
    smd::{Options, Sim, generate},
};

/// Where the four programs are.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 253);
/// Machines of smd-sim's cluster that have one address each.
pub const NODE1: Known =
    Known { mac: "02:10:00:00:00:00", address: "172.16.0.10", fqdn: "nid0001.openchami.cluster" };
pub const NODE3: Known =
    Known { mac: "02:10:00:00:00:02", address: "172.16.0.12", fqdn: "nid0003.openchami.cluster" };
/// The four programs, with the ports of their admin HTTP.
pub const PROGRAMS: [(&str, u16); 4] =
    [("smd-cache", 27781), ("dhcpd", 27782), ("dnsd", 27783), ("tftpd", 27784)];

/// The images, as the machine's engine knows them.
pub const IMAGES: [&str; 2] = ["coresmd", "coresmd-play"];
/// The longest a line takes: a `up --wait` in which smd-cache is waited for in vain takes 30 s.
const LINE: Duration = Duration::from_secs(180);
/// One engine at a time: what happens in it is measured in seconds, on machines with two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A copy of what a user has cloned, beside an engine that has the images.
pub struct Stack {
    engine: Engine,
    project: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    /// Nothing runs in it yet.
    pub fn new() -> Stack {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        need_tools(&["curl", "dig", "grpcurl", "udhcpc"]);
        let engine = Engine::start();
        engine.load(&IMAGES);
        let project = tempfile::tempdir().unwrap();
        for name in ["compose.yaml", ".env", "deploy"] {
            copy(&repository().join(name), &project.path().join(name));
        }
        configure_podman(&engine.disk().join("podman"));
        Stack { engine, project, _turn: turn }
    }

    /// `docker compose up -d --wait`.
    pub fn up() -> Stack {
        let stack = Stack::new();
        stack.compose("up -d --wait");
        stack
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The images of profile `observability`, and what stands for Grafana's.
    pub fn load_what_draws(&self) {
        self.engine.load(&["prom/prometheus:v2.53.3"]);
        self.load_as("pretend-grafana", "grafana/grafana:11.6.0");
    }

    /// An image, under the name of the one that it stands for.
    pub fn load_as(&self, image: &str, name: &str) {
        self.engine.load(&[image]);
        self.engine.tag(image, name);
    }

    /// The machine is switched off and on.
    pub fn reboot(&mut self) {
        self.engine.reboot();
    }

    /// Where the clone is.
    pub fn folder(&self) -> &Path {
        self.project.path()
    }

    /// A line as a user types it, on the engine's machine: how it ended, and what it said.
    pub fn try_line(&self, line: &str) -> (bool, String) {
        let mut bash = self.engine.command("bash");
        let folder = self.folder().display();
        self.settle(bash.args(["-c", &format!("cd {folder}; set -o pipefail; {line}")]));
        let (status, said) = finish(&mut bash, LINE);
        (status.success(), said)
    }

    /// The same; it must end well.
    #[track_caller]
    pub fn line(&self, line: &str) -> String {
        let (well, said) = self.try_line(line);
        assert!(well, "$ {line}\n{said}\n{}", self.how_it_is());
        said
    }

    /// `docker compose ...`, which must end well.
    #[track_caller]
    pub fn compose(&self, arguments: &str) -> String {
        self.line(&format!("docker compose {arguments}"))
    }

    /// With which engine a command works, and with Podman's files beside it.
    fn settle(&self, command: &mut Command) {
        command.env("DOCKER_HOST", self.engine.socket());
        for name in ["COMPOSE_PROFILES", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "CORESMD_IMAGE"] {
            command.env_remove(name);
        }
        let podman = self.engine.disk().join("podman");
        command.env("CONTAINERS_CONF", podman.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", podman.join("storage.conf"));
    }

    /// For a test that fails: what runs, and what it said last.
    fn how_it_is(&self) -> String {
        let (_, running) = self.try_line("docker compose --profile '*' ps -a");
        let (_, logs) = self.try_line("docker compose --profile '*' logs --tail 15 2>&1 | cut -c1-300");
        format!(
            "---- running ----\n{running}\n---- logs ----\n{logs}\n---- dockerd ----\n{}",
            self.engine.complaints()
        )
    }

    /// The container of a service, as the engine knows it; the first of several.
    pub fn container(&self, service: &str) -> String {
        self.containers(service).into_iter().next().unwrap_or_else(|| panic!("no container of {service}"))
    }

    /// All of them.
    pub fn containers(&self, service: &str) -> Vec<String> {
        self.compose(&format!("ps -q {service}")).lines().map(str::to_owned).collect()
    }

    /// A fact that `docker inspect` has of a container or image.
    pub fn inspect(&self, object: &str, format: &str) -> String {
        self.engine.run(&["inspect", "--format", format, object]).trim().to_owned()
    }

    /// kill -9 of a container's program, as the kernel does when memory is short.
    pub fn kill(&self, container: &str) {
        let pid = self.inspect(container, "{{.State.Pid}}");
        let status = self.engine.command("kill").args(["-9", &pid]).status().unwrap();
        assert!(status.success(), "{container} has process {pid}");
    }

    /// A file of /proc of a container's program.
    pub fn proc(&self, container: &str, file: &str) -> String {
        let pid = self.inspect(container, "{{.State.Pid}}");
        let output = self.engine.command("cat").arg(format!("/proc/{pid}/{file}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A machine that is plugged into network `cluster` by its `eth0`, without an address.
    pub fn machine(&self, name: &str) -> Namespace {
        let network = self.engine.run(&["network", "inspect", "-f", "{{.Id}}", "coresmd_cluster"]);
        let machine = Namespace::new(name);
        let host = self.engine.host();
        let port = format!("port-{name}");
        host.plug(&port, &machine, "eth0");
        host.ip(&format!("link set {port} master br-{}", &network[..12]));
        machine
    }

    /// A counter of a program's, summed over its labels; by the port of its admin HTTP.
    pub fn metric(&self, port: u16, name: &str) -> f64 {
        let page = self.line(&format!("curl -sf {SERVER}:{port}/metrics"));
        let of_it = |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
        page.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// What a site has: machines on a wire, on which its host has the servers' address; and SMD.
pub struct Site {
    /// One of the machines: its `eth0` is NODE1.
    pub machine: Namespace,
    _inside: Inside,
    _smd: Sim,
}

impl Site {
    pub fn new(stack: &Stack) -> Site {
        let host = stack.engine().host();
        let machine = Namespace::new("site");
        host.plug("eth1", &machine, "eth0");
        machine.ip(&format!("link set eth0 address {}", NODE1.mac));
        host.ip(&format!("addr add {SERVER}/24 dev eth1"));
        let inside = stack.engine().inside();
        let listen = "127.0.0.1:27779".parse().unwrap();
        let options = Options { listen, inventory: generate(100, 1), token: None };
        let smd = inside.run(Sim::start_with(options)).expect("SMD's port is free");
        Site { machine, _inside: inside, _smd: smd }
    }
}

/// The machine, whose `eth0` is NODE1, gets NODE1's address.
#[track_caller]
pub fn gets_its_address(machine: &Namespace) {
    let said = udhcpc(machine);
    assert!(said.contains(&format!("lease of {} obtained from {SERVER}", NODE1.address)), "{said}");
}

/// What a DHCP client says that gets an address at a machine's `eth0`.
#[track_caller]
pub fn udhcpc(machine: &Namespace) -> String {
    let mut client = machine.command(tool("udhcpc"));
    client.args(["-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "1", "-s", "/bin/true"]);
    let (status, said) = finish(&mut client, Duration::from_secs(30));
    assert!(status.success(), "udhcpc: {said}");
    said
}

/// With its files where the engine's are, and what it needs where neither systemd nor its usual limits are.
fn configure_podman(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        at("storage"),
        at("run")
    );
    let containers = format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
         static_dir = \"{}\"\ntmp_dir = \"{}\"\nvolume_path = \"{}\"\n",
        at("static"),
        at("tmp"),
        at("volumes")
    );
    fs::write(folder.join("storage.conf"), storage).unwrap();
    fs::write(folder.join("containers.conf"), containers).unwrap();
}

/// Where this crate's repository is.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

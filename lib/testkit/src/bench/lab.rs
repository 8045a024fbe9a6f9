//! The bench itself: processes on the first core, what drives them on the second.

use crate::smd::Inventory;
use anyhow::{Context, bail, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Every start takes well below: a hundred thousand interfaces take two seconds, a million names of dnsd ten. A guess for a
/// machine that does other things, too.
const START_LIMIT: Duration = Duration::from_secs(300);
/// How often is looked.
const POLL: Duration = Duration::from_millis(1);

/// The kernel counts in these (USER_HZ) what children used that have ended.
const TICK: Duration = Duration::from_millis(10);

/// Where things are measured.
pub struct Lab {
    programs: PathBuf,
    directory: tempfile::TempDir,
    /// For what is measured, and for everything else.
    cores: [usize; 2],
}

/// Ports of one run.
#[derive(Clone, Copy)]
pub struct Ports {
    pub smd_cache: SocketAddr,
    pub dhcpd: SocketAddr,
    pub dnsd: SocketAddr,
}

/// A child on the first core; killed when dropped.
pub struct Server {
    name: &'static str,
    child: Child,
    runtime: PathBuf,
}

impl Lab {
    /// Moves this process to the second core.
    pub fn new(programs: PathBuf) -> anyhow::Result<Lab> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("which cores there are")?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let (Some(first), Some(second)) = (cores.next(), cores.next()) else {
            bail!("two cores are needed: one for what is measured, one for what drives it")
        };
        let mut own = CpuSet::new();
        own.set(second).context("a core of ours")?;
        sched_setaffinity(Pid::from_raw(0), &own).context("pinning this process")?;
        let directory = tempfile::Builder::new().prefix("coresmd-bench-").tempdir()?;
        Ok(Lab { programs, directory, cores: [first, second] })
    }

    /// What the figures are worth: which machine, which day.
    pub fn machine(&self) -> String {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, model)| model);
        let kernel = read("/proc/sys/kernel/osrelease");
        let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        format!(
            "{day}, {model}, server on core {}, load on core {}, Linux {}",
            self.cores[0],
            self.cores[1],
            kernel.trim()
        )
    }

    /// Free ports of loopback.
    pub fn ports(&self) -> anyhow::Result<Ports> {
        Ok(Ports { smd_cache: free()?, dhcpd: free()?, dnsd: free()? })
    }

    /// A stand-in for SMD with so many nodes: on the second core, and behind everything else there, so that whoever feels for
    /// pauses from there feels those of the first.
    pub async fn smd(&self, nodes: usize) -> anyhow::Result<Smd> {
        let address = free()?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(self.programs.join("smd-sim"));
        command.args(["--listen", &address.to_string(), "--nodes", &nodes.to_string()]);
        let server = self.run("smd-sim", self.cores[1], &command, self.directory.path().to_owned())?;
        let smd = Smd { _server: server, url: format!("http://{address}"), http: crate::http() };
        let began = Instant::now();
        while smd.http.get(format!("{}/hsm/v2/service/ready", smd.url)).send().await.is_err() {
            ensure!(began.elapsed() < START_LIMIT, "smd-sim was not ready in time");
            tokio::time::sleep(POLL).await;
        }
        Ok(smd)
    }

    /// A directory of this name.
    pub fn room(&self, name: &str) -> anyhow::Result<PathBuf> {
        let room = self.directory.path().join(name);
        fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// Writes a configuration for all programs.
    pub fn configure(&self, name: &str, smd: &str, ports: Ports, more: &str) -> anyhow::Result<PathBuf> {
        let dhcpd = ports.dhcpd;
        let v4 =
            format!("{{listen: [\"{dhcpd}\"], server_id: 127.0.0.1, subnets: [{{cidr: 172.16.0.0/12}}]}}");
        self.configure_with(name, smd, ports, &v4, more)
    }

    /// The same with this `dhcpd.v4`.
    pub fn configure_with(
        &self,
        name: &str,
        smd: &str,
        ports: Ports,
        v4: &str,
        more: &str,
    ) -> anyhow::Result<PathBuf> {
        let Ports { smd_cache, dnsd, .. } = ports;
        let run = self.room(name)?;
        let text = format!(
            "domain: bench.cluster
inventory: {{endpoints: [\"http://{smd_cache}\"], replica_file: \"{run}/replica-{{program}}\"}}
dhcpd: {{admin: 127.0.0.1:0, v4: {v4}}}
dnsd: {{admin: 127.0.0.1:0, listen: [\"{dnsd}\"]}}
smd_cache:
  admin: 127.0.0.1:0
  listen: [\"{smd_cache}\"]
  smd: {{url: \"{smd}\"}}
  snapshot_file: {run}/snapshot
{more}",
            run = run.display()
        );
        let file = run.join("coresmd.yaml");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Starts one of our programs with this configuration.
    pub fn start(&self, name: &'static str, config: &Path) -> anyhow::Result<Server> {
        let runtime = config.parent().context("a file in a directory")?.to_owned();
        let _ = fs::remove_file(runtime.join(format!("{name}.admin")));
        let mut command = Command::new(self.programs.join(name));
        command.arg("--config").arg(config).args(["--log-format", "text"]).env("RUNTIME_DIR", &runtime);
        self.run(name, self.cores[0], &command, runtime)
    }

    /// Starts a program that is not ours.
    pub fn measured(&self, name: &'static str, command: &Command, room: PathBuf) -> anyhow::Result<Server> {
        self.run(name, self.cores[0], command, room)
    }

    /// A program that is built beside ours, if it is.
    pub fn tool(&self, name: &str) -> Option<PathBuf> {
        let tool = self.programs.parent()?.join("tools").join(name);
        tool.is_file().then_some(tool)
    }

    /// Starts the peer of look-ups.
    pub fn start_hello(&self, address: SocketAddr) -> anyhow::Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--hello", &address.to_string()]);
        self.run("hello", self.cores[0], &command, self.directory.path().to_owned())
    }

    fn run(
        &self,
        name: &'static str,
        core: usize,
        command: &Command,
        runtime: PathBuf,
    ) -> anyhow::Result<Server> {
        let log = fs::File::create(runtime.join(format!("{name}.log")))?;
        let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c", &core.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .envs(variables)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .with_context(|| format!("{name} cannot be started (setpriv and taskset are in util-linux)"))?;
        Ok(Server { name, child, runtime })
    }
}

/// The stand-in for SMD.
pub struct Smd {
    _server: Server,
    pub url: String,
    http: reqwest::Client,
}

impl Smd {
    /// Puts these, or replaces what has their keys.
    pub async fn load(&self, inventory: &Inventory) -> anyhow::Result<()> {
        let body = serde_json::to_vec(inventory)?;
        let post = self.http.post(format!("{}/control/machines", self.url)).body(body);
        post.send().await?.error_for_status()?;
        Ok(())
    }

    /// All that it holds.
    pub async fn inventory(&self) -> anyhow::Result<Inventory> {
        let answer = self.http.get(format!("{}/control/inventory", self.url)).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}

impl Server {
    /// Waits until `/ready` says 200; how long that took.
    pub async fn ready(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log());
            }
            if self.admin("/ready").await.is_some_and(|(status, _)| status == 200) {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < START_LIMIT, "{} was not ready in time", self.name);
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.runtime.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// A page of admin HTTP.
    pub async fn admin(&self, path: &str) -> Option<(u16, String)> {
        let text = fs::read_to_string(self.runtime.join(format!("{}.admin", self.name))).ok()?;
        let address: SocketAddr = text.trim().parse().ok()?;
        let path = path.to_owned();
        let get = tokio::net::TcpStream::connect(address);
        let mut stream = get.await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.ok()?;
        let status = reply.split(' ').nth(1)?.parse().ok()?;
        Some((status, reply))
    }

    /// CPU that its threads and those of its children have used, to the nanosecond; of children that have ended, to the tick.
    pub fn cpu(&self) -> Duration {
        family(self.child.id()).into_iter().map(|process| threads(process) + ended(process)).sum()
    }

    /// Resident now, and at its highest, in megabytes.
    pub fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let megabytes = |name| field(name).unwrap_or(0.0) / 1024.0;
        (megabytes("VmRSS:"), megabytes("VmHWM:"))
    }

    /// Tells it to stop, and waits.
    pub async fn stop(mut self) {
        let _ = nix::sys::signal::kill(Pid::from_raw(self.child.id() as i32), nix::sys::signal::SIGTERM);
        let end = Instant::now() + START_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process, its children, and theirs.
fn family(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, stat(process)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![process];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(child, _)| *child));
        at += 1;
    }
    family
}

/// What `/proc/PID/stat` says after the name: state, parent, ...
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// CPU of a process' threads.
fn threads(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let used = |task: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.into_iter().flatten().flatten().filter_map(used).sum())
}

/// CPU of its children that have ended: cutime and cstime.
fn ended(process: u32) -> Duration {
    let ticks = stat(process).and_then(|fields| {
        let of = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some(of(13)? + of(14)?)
    });
    TICK * ticks.unwrap_or(0)
}

fn free() -> anyhow::Result<SocketAddr> {
    for _ in 0..20 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = udp.local_addr()?;
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port on 127.0.0.1")
}

/// Of durations, in order.
pub struct Sorted(Vec<Duration>);

impl Sorted {
    pub fn new(mut all: Vec<Duration>) -> Sorted {
        all.sort_unstable();
        Sorted(all)
    }

    /// The one that so many percent are not above, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(at).map_or(f64::NAN, |one| one.as_secs_f64() * 1e3)
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub fn most(&self) -> f64 {
        self.percentile(100)
    }
}

/// The one in the middle.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a table as Markdown has it.
pub fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    println!("### {title}\n");
    println!("| {} |", head.join(" | "));
    println!("|{}", "---|".repeat(head.len()));
    rows.iter().for_each(|row| println!("| {} |", row.join(" | ")));
    println!();
}

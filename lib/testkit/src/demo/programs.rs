//! smd-sim and the four programs as children.
//!
//! They end with the demo, however it ends: told to stop and waited for when [`Programs`] is dropped (also by a panic), and
//! told by the kernel when the demo is killed, as each asks for that before it becomes the program ([`become_program`]).

use super::{page::Page, settings::Settings};
use anyhow::{Context, bail, ensure};
use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
    },
    unistd::{Pid, getpid, getppid},
};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Every start takes well below a second, also of debug builds; this holds on a busy machine. A guess.
const START_LIMIT: Duration = Duration::from_secs(20);
/// One question to a page of a program on the same host.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often is asked.
const POLL: Duration = Duration::from_millis(10);
/// Nothing of a demo is worth draining longer for.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How much of a log is shown. A guess: what led to the end is in the last lines.
const LOG_LINES: usize = 12;

/// The children, in the order they were started.
pub(super) struct Programs {
    binaries: PathBuf,
    directory: PathBuf,
    running: Vec<Running>,
}

struct Running {
    name: &'static str,
    child: Child,
}

impl Programs {
    /// None yet. `binaries` is where they are, `directory` where they may write.
    pub(super) fn new(binaries: &Path, directory: &Path) -> Programs {
        Programs { binaries: binaries.into(), directory: directory.into(), running: Vec::new() }
    }

    /// Starts all five, each once the one before it is ready.
    pub(super) async fn start(
        &mut self,
        settings: &Settings,
        nodes: usize,
        page: &Page,
    ) -> anyhow::Result<()> {
        page.text(&format!(
            "Starting everything on loopback; configuration and logs are in {}",
            self.directory.display()
        ));
        let (config, listen, count) = (settings.config_file(), settings.smd.to_string(), nodes.to_string());
        let sim: [&OsStr; 4] = ["--listen", &listen, "--nodes", &count].map(OsStr::new);
        let common =
            [OsStr::new("--config"), config.as_ref(), OsStr::new("--log-format"), OsStr::new("text")];
        let what = format!("stands in for SMD with {nodes} nodes");
        for (name, what, address, arguments) in [
            ("smd-sim", what.as_str(), settings.smd, sim),
            ("smd-cache", "reads SMD every second; gRPC", settings.smd_cache, common),
            ("dhcpd", "addresses and boot files; DHCP", settings.dhcpd, common),
            ("dnsd", "names; DNS", settings.dnsd, common),
            ("tftpd", "boot loaders; TFTP", settings.tftpd, common),
        ] {
            page.before(name, &format!("{what} on {address}"));
            let began = Instant::now();
            self.spawn(name, &arguments)?;
            let said = self.wait_ready(name, settings).await?;
            page.after(&format!("ready after {} ms", began.elapsed().as_millis()));
            if let Some(but) = said.strip_prefix("degraded\n") {
                page.text(&format!("             but {}", but.trim_end()));
            }
        }
        Ok(())
    }

    fn spawn(&mut self, name: &'static str, arguments: &[&OsStr]) -> anyhow::Result<()> {
        let program = self.binaries.join(name);
        ensure!(program.is_file(), "{} is not there; `make demo` builds it", program.display());
        let log = File::create(self.log(name)).context("no log can be written")?;
        let child = Command::new(std::env::current_exe().context("no path to this program")?)
            .arg(BECOME)
            .arg(getpid().to_string())
            .arg(program)
            .args(arguments)
            .env("RUNTIME_DIR", &self.directory)
            .process_group(0) // Ctrl-C on the terminal is for the demo, which then stops them in order
            .stdin(Stdio::null())
            .stderr(log.try_clone().context("no log can be written")?)
            .stdout(log)
            .spawn();
        let child = child.with_context(|| format!("{name} cannot be started"))?;
        self.running.push(Running { name, child });
        Ok(())
    }

    /// Answers with what the program says when it is ready.
    async fn wait_ready(&mut self, name: &'static str, settings: &Settings) -> anyhow::Result<String> {
        let http = crate::http();
        let end = Instant::now() + START_LIMIT;
        let mut said = "nothing".to_owned();
        loop {
            self.look_after()?;
            let url = match name {
                "smd-sim" => Ok(format!("{}/hsm/v2/service/ready", settings.smd_url())),
                name => settings.admin_url(name, "ready"),
            };
            if let Ok(url) = url
                && let Ok(answer) = http.get(url).timeout(ANSWER_LIMIT).send().await
            {
                let ready = answer.status().is_success();
                said = answer.text().await.unwrap_or_default();
                if ready {
                    return Ok(said);
                }
            }
            ensure!(
                Instant::now() < end,
                "{name} was not ready within {} s; it said: {}",
                START_LIMIT.as_secs(),
                said.trim_end()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// # Errors
    /// Says which child has ended.
    pub(super) fn look_after(&mut self) -> anyhow::Result<()> {
        for Running { name, child } in &mut self.running {
            if let Some(status) = child.try_wait().with_context(|| format!("{name} cannot be watched"))? {
                bail!("{name} ended by itself ({status})");
            }
        }
        Ok(())
    }

    /// The ends of the logs, for somebody who wonders what went wrong.
    pub(super) fn show_logs(&self) {
        for Running { name, .. } in &self.running {
            let text = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("\n---- the end of {name}'s log ----");
            lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| eprintln!("{line}"));
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for Running { child, .. } in &self.running {
            // An error says: it has ended, and nobody else has its number as long as it was not waited for.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
        }
        let end = Instant::now() + STOP_LIMIT;
        for Running { child, .. } in &mut self.running {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(POLL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where a program says its admin HTTP is.
pub(super) fn admin_address(directory: &Path, name: &str) -> anyhow::Result<std::net::SocketAddr> {
    let text = fs::read_to_string(directory.join(format!("{name}.admin")));
    let text = text.with_context(|| format!("{name} did not say where its admin HTTP is"))?;
    text.trim().parse().with_context(|| format!("{name} says that its admin HTTP is at {text:?}"))
}

/// The first argument that makes this program call [`become_program`] with the rest.
pub const BECOME: &str = "become";

/// Turns this process, a child of `parent`, into a program that is told to stop when the parent's thread that started
/// it ends. Returns only when that fails.
pub fn become_program(parent: &str, program: &OsStr, arguments: &[OsString]) -> io::Error {
    if let Err(error) = set_pdeathsig(Signal::SIGTERM) {
        return error.into();
    }
    // Gone before it could be told to tell us.
    if getppid().to_string() != parent {
        return io::Error::other("the demo has ended");
    }
    Command::new(program).args(arguments).exec()
}

//! RUNNING: what is the same in all four programs: command line, configuration, logs, metrics, admin HTTP, readiness,
//! signals, version. Knows no protocol.

mod admin;
pub mod ask;
pub mod health;
mod log;
pub mod manual;
mod metrics;
mod readiness;
pub mod runtime;
mod version;
pub mod watched;

pub use log::LogFormat;
pub use readiness::{Liveness, PULSE_LIMIT, Pulse, Readiness, State};
pub use version::{SHORT_VERSION, VERSION, Version};

use anyhow::Context;
use config::{Config, Mistake, Program};
use prometheus_client::registry::Registry;
use std::{
    future::Future, net::SocketAddr, path::Path, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// How long draining may take before the process ends anyway: below the ten seconds that container engines wait.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// Flags every program has; flatten into the program's own `clap::Parser`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, default_value = "/etc/coresmd/coresmd.yaml", global = true)]
    pub config: PathBuf,
    /// Check the whole file, say yes or no, and exit
    #[arg(long)]
    pub check: bool,
    /// Ask the running program's /ready and exit
    #[arg(long)]
    pub health: bool,
    /// How logs look; default: text on a terminal, else json
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

/// What a running program is handed.
pub struct Running {
    /// The configuration at start.
    pub config: Arc<Config>,
    /// A new good configuration after SIGHUP.
    pub reload: watch::Receiver<Arc<Config>>,
    /// Cancelled by SIGTERM or SIGINT; drain and return.
    pub shutdown: CancellationToken,
    /// Register metrics here, under the program's own prefix, before `admin` is called.
    pub registry: Registry,
    /// What `/ready` says.
    pub readiness: Readiness,
    /// What `/live` says.
    pub liveness: Liveness,
    version: Version,
    bound: Option<admin::Bound>,
}

impl Running {
    /// For tests: a program that no process runs.
    pub fn new(program: Program, config: Config) -> Running {
        let config = Arc::new(config);
        let (_, reload) = watch::channel(config.clone());
        Running {
            config,
            reload,
            shutdown: CancellationToken::new(),
            registry: Registry::default(),
            readiness: Readiness::default(),
            liveness: Liveness::default(),
            version: Version::of(name(program)),
            bound: None,
        }
    }

    /// Binds admin HTTP, which does not answer yet: when the port is taken, to the next free one that the configuration gives to
    /// nobody. Answers with the real address, for those who have to tell it before [`Running::admin`] starts the pages.
    pub async fn bind_admin(&mut self, listen: SocketAddr) -> anyhow::Result<SocketAddr> {
        let bound = admin::Bound::to(listen, &self.config.tcp_ports()).await?;
        let address = bound.address()?;
        self.bound = Some(bound);
        Ok(address)
    }

    /// Starts admin HTTP (`/live /ready /metrics /version` and `extra`), binding it unless [`Running::bind_admin`] has; the
    /// address is written to RUNTIME_DIR/NAME.admin and returned. Metrics must be registered before.
    pub async fn admin(&mut self, listen: SocketAddr, extra: axum::Router) -> anyhow::Result<SocketAddr> {
        if self.bound.is_none() {
            self.bind_admin(listen).await?;
        }
        let bound = self.bound.take().context("admin HTTP was bound just now")?;
        metrics::register(&mut self.registry, &self.version, self.readiness.clone());
        let pages = admin::Pages {
            version: self.version.clone(),
            readiness: self.readiness.clone(),
            liveness: self.liveness.clone(),
            registry: std::mem::take(&mut self.registry),
        };
        admin::start(bound, pages, extra, self.shutdown.clone())
    }

    /// A new pulse that `/live` watches.
    pub fn pulse(&self, name: &'static str) -> Pulse {
        self.liveness.pulse(name)
    }
}

/// The whole life of a program: flags, configuration (every mistake listed), `--check`, `--health`, logs, runtime, signals.
/// An error of `serve` is logged and the exit code is 1.
pub fn main<F, Fut>(program: Program, args: Args, serve: F) -> ExitCode
where
    F: FnOnce(Running) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    if args.health {
        return ask_health(name(program));
    }
    let config = match read(&args.config) {
        Ok(config) => config,
        Err(mistakes) => return refuse(&mistakes),
    };
    if args.check {
        println!("{}: good", args.config.display());
        return ExitCode::SUCCESS;
    }
    let not_served = not_served(&args.config, &config, program);
    if !not_served.is_empty() {
        return refuse(&not_served);
    }
    log::start(args.log_format);
    match run(program, args.config, config, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "{} ends", name(program));
            ExitCode::FAILURE
        }
    }
}

/// The name of a program: of its binary, its folder, its metrics.
pub fn name(program: Program) -> &'static str {
    match program {
        Program::SmdCache => "smd-cache",
        Program::Dhcpd => "dhcpd",
        Program::Dnsd => "dnsd",
        Program::Tftpd => "tftpd",
    }
}

fn run<F, Fut>(program: Program, file: PathBuf, config: Config, serve: F) -> anyhow::Result<()>
where
    F: FnOnce(Running) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended = runtime.block_on(async {
        // First of all: PID 1 of a container ignores SIGTERM until there is a handler.
        let signals = Signals::install().context("signal handlers")?;
        let (reloaded, reload) = watch::channel(Arc::new(config.clone()));
        let mut running = Running::new(program, config);
        running.reload = reload;
        let version = running.version.clone();
        tracing::info!(version = version.version, commit = version.commit, "{} starts", version.program);
        let shutdown = running.shutdown.clone();
        let watcher = tokio::spawn(signals.watch(program, file, reloaded, shutdown.clone()));
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        let ended = tokio::select! {
            ended = serve(running) => ended,
            () = drained => Err(anyhow::anyhow!("draining took longer than {DRAIN_LIMIT:?}")),
        };
        shutdown.cancel();
        watcher.abort();
        ended
    });
    // Nothing that is left may hold the exit up; what had to be finished was joined by `serve`.
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("{} ended", name(program));
    ended
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn watch(
        mut self,
        program: Program,
        file: PathBuf,
        reloaded: watch::Sender<Arc<Config>>,
        shutdown: CancellationToken,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => stop(&shutdown),
                _ = self.interrupt.recv() => stop(&shutdown),
                _ = self.hangup.recv() => reread(program, &file, &reloaded),
            }
        }
    }
}

/// The first signal drains, the second ends the process at once.
fn stop(shutdown: &CancellationToken) {
    if shutdown.is_cancelled() {
        tracing::warn!("told to stop a second time: ending at once");
        std::process::exit(1);
    }
    tracing::info!("told to stop: draining");
    shutdown.cancel();
}

/// SIGHUP: a good file replaces the configuration, a bad one changes nothing.
fn reread(program: Program, file: &Path, reloaded: &watch::Sender<Arc<Config>>) {
    let read = read(file).and_then(|config| match not_served(file, &config, program) {
        refused if refused.is_empty() => Ok(config),
        refused => Err(refused),
    });
    match read {
        Ok(config) => {
            reloaded.send_replace(Arc::new(config));
            tracing::info!(file = %file.display(), "the configuration was read again");
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                tracing::error!(mistake, "the new configuration has a mistake");
            }
            tracing::error!(file = %file.display(), "the configuration stays as it was");
        }
    }
}

/// The file as configuration, or one line a mistake.
fn read(file: &Path) -> Result<Config, Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![format!("{}: {error}", file.display())])?;
    config::parse(&text).map_err(|mistakes| mistakes.0.iter().map(|mistake| line(file, mistake)).collect())
}

fn not_served(file: &Path, config: &Config, program: Program) -> Vec<String> {
    let concern = |programs: &[Program]| programs.is_empty() || programs.contains(&program);
    let keys = config.not_served.iter().filter(|(_, programs)| concern(programs));
    keys.map(|(mistake, _)| line(file, mistake)).collect()
}

fn line(file: &Path, Mistake { line, column, key, message }: &Mistake) -> String {
    match key.as_str() {
        "" => format!("{}:{line}:{column}: {message}", file.display()),
        key => format!("{}:{line}:{column}: {key}: {message}", file.display()),
    }
}

fn refuse(mistakes: &[String]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("{mistake}");
    }
    if mistakes.len() > 1 {
        eprintln!("{} mistakes", mistakes.len());
    }
    ExitCode::FAILURE
}

fn ask_health(program: &str) -> ExitCode {
    let answer = runtime::admin_address(program).and_then(|address| health::fetch(address, "/ready"));
    match answer {
        Ok((status, page)) => {
            print!("{page}");
            if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{program} does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

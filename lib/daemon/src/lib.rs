//! RUNNING: what is the same in all four programs: command line, configuration, logs, metrics, admin HTTP, readiness,
//! signals, version. Knows no protocol.

use config::{Config, Program};
use prometheus_client::registry::Registry;
use std::{future::Future, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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
    /// text or json; default: text on a terminal
    #[arg(long)]
    pub log_format: Option<String>,
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
}

/// One answer of a readiness check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Well.
    Ready,
    /// Serving, but: a sentence.
    Degraded(String),
    /// Cannot answer yet: a sentence.
    Missing(String),
}

/// Named checks, asked when `/ready` is asked.
#[derive(Clone, Default)]
pub struct Readiness;

impl Readiness {
    /// Adds a check.
    pub fn add(&self, _name: &'static str, _check: impl Fn() -> State + Send + Sync + 'static) {
        todo!()
    }
}

/// A loop's sign of life: `/live` fails when one has not beaten for [`PULSE_LIMIT`].
#[derive(Clone)]
pub struct Pulse;

impl Pulse {
    /// Called at least once a second by the loop.
    pub fn beat(&self) {}
}

impl Running {
    /// Starts admin HTTP (`/live /ready /metrics /version` and `extra`); the next free port when the port is taken, written
    /// to RUNTIME_DIR/NAME.admin. Answers with the real address.
    pub async fn admin(&mut self, _listen: SocketAddr, _extra: axum::Router) -> anyhow::Result<SocketAddr> {
        todo!()
    }

    /// A new pulse that `/live` watches.
    pub fn pulse(&self, _name: &'static str) -> Pulse {
        todo!()
    }
}

/// The whole life of a program: flags, configuration (every mistake listed), `--check`, `--health`, logs, runtime, signals.
/// An error of `serve` is logged and the exit code is 1.
pub fn main<F, Fut>(_program: Program, _args: Args, _serve: F) -> ExitCode
where
    F: FnOnce(Running) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    todo!()
}

/// `--version`: version, commit, date, compiler, host and user of the build. For `#[command(version = daemon::VERSION)]`.
pub const VERSION: &str = "0.1.0";

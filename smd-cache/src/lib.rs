//! The service between SMD and the daemons: one indexed, named snapshot of SMD's inventory, served over gRPC.
//!
//! ```text
//!   SMD ─▶ smd ─▶ refresh ─▶ records ─▶ snapshot (named by naming) ─▶ state ─┬▶ service: look-ups, lists, status
//!         REST    one owner   what is    immutable, one a generation  swapped ├▶ watch: replicas
//!                  ▲          believed                                        └▶ metrics, /ready, /targets
//!                 pull ◀── a MAC that is not held ── service
//! ```
//! `listen` is the door: TLS, who is asking (`caller`), how much at once.

pub mod ask;
pub mod caller;
pub mod config;
pub mod explain;
pub mod listen;
mod listing;
pub mod metrics;
pub mod naming;
pub mod pull;
pub mod records;
pub mod refresh;
pub mod service;
pub mod smd;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod store;
pub mod tls;
pub mod watch;

use anyhow::Context;
use axum::{Json, Router, routing::get};
use config::Settings;
use daemon::Running;
use listen::{Listeners, Refused};
use metrics::Metrics;
use proto::v1::smd_cache_server::SERVICE_NAME;
use pull::Pulling;
use refresh::{Owner, Refresher};
use serde::Serialize;
use service::Service;
use state::State;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tls::Tls;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

/// Open Watches and calls get this long to end after SIGTERM; lib/daemon's own limit is 8 s.
const DRAIN: Duration = Duration::from_secs(5);

/// The whole program: serves until it is told to stop.
pub async fn serve(running: Running) -> anyhow::Result<()> {
    let settings = Settings::of(&running.config);
    Program::start(running, settings).await?.run().await
}

/// smd-cache with its sockets bound and nothing served yet.
pub struct Program {
    running: Running,
    owner: Owner,
    pulling: Pulling,
    service: Service,
    listeners: Listeners,
    tls: Option<Arc<Tls>>,
    refused: Refused,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
}

impl Program {
    /// Binds everything and starts admin HTTP.
    pub async fn start(mut running: Running, settings: Settings) -> anyhow::Result<Program> {
        let state = Arc::new(State::new(settings.stale_after));
        let metrics = Metrics::register(&mut running.registry, &state);
        let refused = Refused::register(&mut running.registry);
        let tls = settings.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let group = settings.socket_group.as_deref();
        let listeners = Listeners::bind(&settings.listen, &settings.socket, group).await?;
        let checked = state.clone();
        running.readiness.add("SMD", move || status::readiness(&checked));
        if let Some(tls) = tls.clone() {
            running
                .readiness
                .add("TLS", move || tls.problem().map_or(daemon::State::Ready, daemon::State::Degraded));
        }
        let admin = running.admin(settings.admin, targets(state.clone())).await?;
        let (refresher, inbox) = Refresher::new();
        let owner = Owner::new(settings, state.clone(), metrics.clone(), inbox, running.reload.clone())?;
        let (puller, pulling) = Pulling::new(owner.reader(), refresher.clone());
        let mut service = Service::new(state, refresher, puller, metrics, running.shutdown.clone());
        service.tls = tls.clone();
        let addresses = listeners.addresses();
        let encrypted = tls.is_some();
        tracing::info!(tcp = ?addresses, tls = encrypted, unix = ?listeners.socket(), "gRPC is listening");
        Ok(Program { running, owner, pulling, service, listeners, tls, refused, addresses, admin })
    }

    /// Where gRPC is served over TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The Unix socket.
    pub fn socket(&self) -> Option<PathBuf> {
        self.listeners.socket().map(Path::to_owned)
    }

    /// Where admin HTTP is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Cancel it to end the program.
    pub fn shutdown(&self) -> CancellationToken {
        self.running.shutdown.clone()
    }

    /// What is known.
    pub fn state(&self) -> Arc<State> {
        self.service.state.clone()
    }

    /// Serves until it is told to stop, then drains. A listener or the owner that ends before that is an error.
    pub async fn run(mut self) -> anyhow::Result<()> {
        // Before the first question: what is known from an earlier run is never "cannot tell".
        self.owner.load().await;
        let shutdown = self.running.shutdown.clone();
        let tasks = self.service.tasks.clone();
        let state = self.state();
        let health = HealthReporter::new();
        set_health(&health, ServingStatus::NotServing).await;
        let pulse = self.running.pulse("reading SMD");
        let mut owner = tokio::spawn(self.owner.run(move || pulse.beat(), shutdown.clone()));
        tasks.spawn(self.pulling.run(shutdown.clone()));
        let reporter = health.clone();
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(report_health(state, reporter)));
        if let Some(tls) = self.tls.clone() {
            tasks.spawn(shutdown.clone().run_until_cancelled_owned(tls.follow()));
        }
        let server = self.listeners.serve(self.service, self.tls, health, self.refused, shutdown.clone());
        tokio::pin!(server);
        let ended = tokio::select! {
            ended = &mut server => {
                shutdown.cancel();
                if timeout(DRAIN, &mut owner).await.is_err() {
                    tracing::warn!("the inventory was not written to the snapshot file within {DRAIN:?}");
                }
                ended
            }
            ended = &mut owner => {
                let ended = ended.context("the task that reads SMD died");
                match shutdown.is_cancelled() {
                    true => timeout(DRAIN, server).await.unwrap_or_else(|_| {
                        tracing::warn!("calls were still open after {DRAIN:?}: they are cut off");
                        Ok(())
                    }),
                    false => ended.and_then(|()| anyhow::bail!("the task that reads SMD ended")),
                }
            }
        };
        shutdown.cancel();
        tasks.close();
        let _ = timeout(DRAIN, tasks.wait()).await;
        ended
    }
}

/// Serving as soon as look-ups can be answered, and from then on: stale answers are answers.
async fn report_health(state: Arc<State>, health: HealthReporter) {
    let mut published = state.published();
    while state.view().snapshot.is_none() {
        if published.changed().await.is_err() {
            return;
        }
    }
    set_health(&health, ServingStatus::Serving).await;
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in ["", SERVICE_NAME] {
        health.set_service_status(service, status).await;
    }
}

/// Prometheus' HTTP service discovery: the admin HTTP of every program that watches.
#[derive(Debug, Serialize)]
struct Target {
    targets: Vec<SocketAddr>,
    labels: Labels,
}

/// None: what a client says of itself is not to become a label.
#[derive(Debug, Serialize)]
struct Labels {}

fn targets(state: Arc<State>) -> Router {
    let page = async move || Json([Target { targets: state.clients.targets(), labels: Labels {} }]);
    Router::new().route("/targets", get(page))
}

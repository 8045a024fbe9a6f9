//! The program around the decisions: sockets that follow the interfaces, loops that receive, the pages for people.

mod explain;
mod frame;
mod hosts;
mod interfaces;
mod lending;
mod link;
mod news;
mod quiet;
mod shell;
mod sockets;

use crate::{config::Config, metrics::Metrics, unknown};
use anyhow::{Context, bail};
use axum::{Json, Router, routing::get};
use config::Listen;
use daemon::{Running, State};
use hosts::Keeper;
use interfaces::Wanted;
use inventory::{Health, Inventory, Who};
use lending::{Events, Lending};
use news::News;
use shell::{Network, PACKET_DEADLINE, Shell};
use sockets::{Listener, Place, Reconciled, is_passing};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout},
};
use udp::Batch;

/// How often interfaces are read again though the kernel said nothing of a change: what it said may be lost. One system call
/// for each interface.
const RESCAN: Duration = Duration::from_secs(5);

/// How often loops show that they turn; a tenth of `daemon::PULSE_LIMIT`.
const BEAT: Duration = Duration::from_secs(1);

/// Received in one call, and answered before the loop looks at anything else: a burst costs one wake-up, shutdown waits for no
/// more than this.
const BURST: usize = 64;

/// The largest UDP payload: nothing is ever cut.
const LARGEST: usize = 65_535;

/// Pause after an error while receiving, and how many in a row mean that the socket is dead: ten seconds, twice the
/// time in which an interface that vanished is noticed and its socket closed.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
const ERRORS_IN_A_ROW: u32 = 100;

/// Serves DHCPv4 until told to stop.
pub async fn serve(mut running: Running) -> anyhow::Result<()> {
    let file = running.config.clone();
    let admin = running.bind_admin(file.dhcpd.admin).await?;
    let metrics = Metrics::register(&mut running.registry);
    let who = Who { name: "dhcpd", version: daemon::SHORT_VERSION, admin_port: admin.port() };
    let shutdown = running.shutdown.clone();
    let inventory = Inventory::start(&file.inventory, who, &mut running.registry, shutdown);
    let mut server = Server::new(&file, inventory.clone(), metrics)?;
    server.bind()?;
    let replica = file.inventory.replica;
    let asked = inventory.clone();
    running.readiness.add("inventory", move || inventory_state(&asked.health(), replica));
    running.readiness.add("sockets", server.readiness());
    running.readiness.add("hosts_file", server.hosts.readiness());
    if let Some(lending) = server.shell.lending.clone() {
        running.readiness.add("leases", move || lending.standing());
    }
    running.admin(admin, server.pages()).await?;
    let ended = server.run(running).await;
    inventory.stopped().await;
    ended
}

/// Sockets, their loops, and what they share.
pub struct Server {
    shell: Arc<Shell>,
    listen: Vec<Listen>,
    loops: JoinSet<(Arc<Listener>, io::Result<()>)>,
    standing: Arc<Mutex<Standing>>,
    hosts: Keeper,
    /// From the thread that writes leases; `None`: there are no pools.
    written: Option<Events>,
    news: News,
}

/// How well the sockets are, for `/ready`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Standing {
    sockets: usize,
    devices: usize,
    relays_only: bool,
    problems: Vec<String>,
}

impl Server {
    /// Without sockets yet.
    pub fn new(file: &config::Config, inventory: Inventory, metrics: Metrics) -> anyhow::Result<Server> {
        let v4 = file.dhcpd.v4.as_ref();
        let (Some(v4), Some(config)) = (v4, Config::new(file)) else {
            bail!("there is nothing to serve: the configuration has no `dhcpd.v4`");
        };
        let lending = v4.unknown.as_ref().map(|unknown| Lending::start(unknown, metrics.lease_store.clone()));
        let (lending, written) =
            lending.transpose().context("no thread can be started for the leases")?.unzip();
        let shell = Shell::new(config, inventory.clone(), metrics.clone(), lending.map(Arc::new));
        let shell = Arc::new(shell);
        let mut hosts = Keeper::new(v4.hosts_file.clone(), shell.hosts.clone(), inventory, metrics);
        hosts.read();
        Ok(Server {
            shell,
            listen: v4.listen.clone(),
            loops: JoinSet::new(),
            standing: Arc::default(),
            hosts,
            written,
            news: News::subscribe(),
        })
    }

    /// Opens the sockets for the first time.
    ///
    /// # Errors
    /// A port that another server holds or that we may not bind. Interfaces that are not there yet are no error.
    pub fn bind(&mut self) -> anyhow::Result<()> {
        let mut reconciled = self.reconcile()?;
        let fatal = reconciled.failed.iter().position(|(_, error)| !is_passing(error));
        if let Some(place) = fatal {
            let (place, error) = reconciled.failed.swap_remove(place);
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => ": another DHCP server runs on this host",
                io::ErrorKind::PermissionDenied => ": CAP_NET_BIND_SERVICE is missing",
                _ => "",
            };
            return Err(error).with_context(|| format!("cannot listen on {place}{hint}"));
        }
        if reconciled.relays_only {
            tracing::warn!("CAP_NET_RAW is missing: only relays are served");
        }
        Ok(())
    }

    /// The check behind `/ready`.
    pub fn readiness(&self) -> impl Fn() -> State + Send + Sync + 'static {
        let standing = self.standing.clone();
        move || standing.lock().unwrap_or_else(PoisonError::into_inner).state()
    }

    /// The pages beside those that every program has.
    pub fn pages(&self) -> Router {
        let unknown: unknown::Unknown = self.shell.unknown.clone();
        let pages = Router::new().route("/unknown", get(async move || Json(unknown.rows())));
        let pages = pages.merge(explain::page(self.shell.clone()));
        match &self.shell.lending {
            Some(lending) => pages.merge(lending::pages(lending.clone())),
            None => pages,
        }
    }

    /// Where the sockets are bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shell.sockets.addresses()
    }

    /// Serves until told to stop; then finishes what waits.
    pub async fn run(mut self, mut running: Running) -> anyhow::Result<()> {
        let pulse = running.pulse("sockets");
        let mut writing =
            self.written.take().map(|events| tokio::spawn(lending::follow(self.shell.clone(), events)));
        let mut generations = self.shell.inventory.changes();
        let (mut rescan, mut beat) = (interval_at(Instant::now() + RESCAN, RESCAN), interval(BEAT));
        self.take();
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = running.shutdown.cancelled() => break,
                _ = beat.tick() => if self.shell.sockets.all_turned() { pulse.beat() },
                _ = rescan.tick() => {
                    self.rescan();
                    self.count_drops();
                    self.hosts.look();
                    self.take();
                    self.count();
                }
                Ok(()) = generations.changed() => {
                    self.hosts.look();
                    self.take();
                }
                () = ended(&mut writing) => bail!("the thread that writes leases ended"),
                Some(seen) = self.hosts.seen() => {
                    self.hosts.take(seen.context("reading the hosts file panicked")?);
                    self.take();
                }
                () = self.news.heard() => {
                    self.rescan();
                    self.take();
                }
                file = changed(&mut running.reload) => self.reload(&file),
                Some(ended) = self.loops.join_next() => ended_well(ended)?,
            }
        }
        self.drain(writing).await;
        Ok(())
    }

    async fn drain(mut self, writing: Option<JoinHandle<()>>) {
        for listener in self.shell.sockets.open().iter() {
            listener.closed.cancel();
        }
        while self.loops.join_next().await.is_some() {}
        self.shell.waiting.close();
        if timeout(PACKET_DEADLINE * 2, self.shell.waiting.wait()).await.is_err() {
            tracing::warn!(left = self.shell.waiting.len(), "requests that still wait are given up");
        }
        if let (Some(lending), Some(writing)) = (&self.shell.lending, writing) {
            lending.end(writing).await;
        }
    }

    /// Tells the pools which addresses belong to somebody.
    fn take(&self) {
        let Some(lending) = &self.shell.lending else { return };
        let inventory = &self.shell.inventory;
        let (hosts, network, config) =
            (self.shell.hosts.load(), self.shell.network.load(), self.shell.config.load());
        lending.take(&inventory.snapshot(), !inventory.is_expired(), &hosts, &network.ours, &config);
    }

    fn count(&self) {
        if let Some(lending) = &self.shell.lending {
            self.shell.metrics.pools(&lending.counts());
        }
    }

    /// Other pools are in force at once; whether there are any, and where their leases are written, is settled at start.
    fn change_pools(&self, unknown: Option<&config::Unknown>) {
        match (&self.shell.lending, unknown) {
            (Some(lending), Some(unknown)) if lending.is_stored_in(unknown) => lending.set_pools(unknown),
            (Some(lending), Some(unknown)) => {
                tracing::warn!(lease_store = unknown.lease_store, "another lease store takes a restart");
                lending.set_pools(unknown);
            }
            (None, Some(_)) => {
                tracing::warn!("serving unknown machines (`dhcpd.v4.unknown`) takes a restart")
            }
            (Some(_) | None, None) => {}
        }
        self.take();
        self.count();
    }

    fn reload(&mut self, file: &config::Config) {
        let (Some(v4), Some(config)) = (file.dhcpd.v4.as_ref(), Config::new(file)) else {
            return tracing::error!("the new configuration has no `dhcpd.v4`: the old one stays");
        };
        self.shell.config.store(Arc::new(config));
        self.listen.clone_from(&v4.listen);
        self.hosts.change(v4.hosts_file.clone());
        self.rescan();
        self.change_pools(v4.unknown.as_ref());
    }

    fn rescan(&mut self) {
        match self.reconcile() {
            Ok(reconciled) => {
                // What passes is in `/ready`; the interface changed while it was looked at, and is looked at again.
                let lasting = reconciled.failed.into_iter().filter(|(_, error)| !is_passing(error));
                for (place, error) in lasting {
                    if let Some(left_out) = self.shell.quiet.admit("listen", Instant::now().into_std()) {
                        tracing::error!(%place, %error, left_out, "cannot listen");
                    }
                }
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "the sockets stay as they are"),
        }
    }

    /// What was thrown away before we could receive it.
    fn count_drops(&self) {
        let Ok(dropped @ 1..) = self.shell.sockets.dropped() else { return };
        self.shell.metrics.kernel_drops.inc_by(dropped);
        if let Some(left_out) = self.shell.quiet.admit("kernel_drops", Instant::now().into_std()) {
            tracing::warn!(
                dropped,
                left_out,
                "the kernel had no room for packets: raise net.core.rmem_max and start dhcpd again"
            );
        }
    }

    /// Makes the sockets what the interfaces and `listen` want, and starts a loop for each new one.
    fn reconcile(&mut self) -> anyhow::Result<Reconciled> {
        let interfaces = interfaces::read().context("the interfaces cannot be read")?;
        let ours = interfaces::own_addresses(&interfaces);
        let wanted = interfaces::wanted(&self.listen, &interfaces);
        let network = Network { interfaces, ours };
        if **self.shell.network.load() != network {
            self.shell.network.store(Arc::new(network));
        }
        let reconciled = self.shell.sockets.reconcile(&wanted);
        for listener in &reconciled.opened {
            self.loops.spawn(turn(self.shell.clone(), listener.clone()));
        }
        self.stand(&wanted, &reconciled);
        Ok(reconciled)
    }

    fn stand(&self, wanted: &Wanted, reconciled: &Reconciled) {
        let open = self.shell.sockets.open();
        self.shell.metrics.sockets.set(open.len() as i64);
        let failed =
            reconciled.failed.iter().map(|(place, error)| format!("cannot listen on {place}: {error}"));
        let standing = Standing {
            sockets: open.len(),
            devices: open.iter().filter(|listener| matches!(listener.place, Place::Device(_))).count(),
            relays_only: reconciled.relays_only,
            problems: wanted.missing.iter().cloned().chain(failed).collect(),
        };
        let mut held = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if *held != standing {
            for problem in &standing.problems {
                tracing::warn!(problem, "not everything that `listen` names is served");
            }
            *held = standing;
        }
    }
}

impl Standing {
    fn state(&self) -> State {
        let problems = self.problems.join("; ");
        match self {
            Standing { sockets: 0, problems: none, .. } if none.is_empty() => {
                State::Missing("no interface can be served".into())
            }
            Standing { sockets: 0, .. } => State::Missing(problems),
            Standing { relays_only: true, .. } => {
                State::Degraded("serves relays only: CAP_NET_RAW is missing".into())
            }
            Standing { problems: some, .. } if !some.is_empty() => State::Degraded(problems),
            Standing { devices: 0, .. } => State::Degraded(
                "serves relays only: `listen` names no interface that hears broadcasts".into(),
            ),
            _ => State::Ready,
        }
    }
}

/// What `/ready` says of the inventory. Without a replica there is nothing to be complete.
fn inventory_state(health: &Health, replica: bool) -> State {
    let usable = (health.complete && !health.expired) || (!replica && health.connected);
    match (usable, health.connected && !health.stale) {
        (false, _) if health.reason.is_empty() => State::Missing("no snapshot of the inventory yet".into()),
        (false, _) => State::Missing(health.reason.clone()),
        (true, false) => State::Degraded(health.reason.clone()),
        (true, true) => State::Ready,
    }
}

/// Returns when a task ended; never, where there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(task) => _ = task.await,
        None => std::future::pending().await,
    }
}

/// The next configuration; never, when nobody can send one.
async fn changed(reload: &mut watch::Receiver<Arc<config::Config>>) -> Arc<config::Config> {
    match reload.changed().await {
        Ok(()) => reload.borrow_and_update().clone(),
        Err(_) => std::future::pending().await,
    }
}

/// A loop may end only when its socket is not wanted any more.
fn ended_well(ended: Result<(Arc<Listener>, io::Result<()>), tokio::task::JoinError>) -> anyhow::Result<()> {
    let (listener, result) = ended.context("a loop that receives panicked")?;
    result.with_context(|| format!("the socket {} is dead", listener.place))
}

/// One socket's loop.
async fn turn(shell: Arc<Shell>, listener: Arc<Listener>) -> (Arc<Listener>, io::Result<()>) {
    let mut batch = Batch::new(BURST, LARGEST);
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut errors = 0;
    loop {
        let received = tokio::select! {
            () = listener.closed.cancelled() => return (listener, Ok(())),
            _ = beat.tick() => { listener.turn(); continue }
            received = listener.socket.receive_batch(&mut batch) => received,
        };
        let Err(error) = received.map(|_| burst(&shell, &listener, &batch)) else {
            errors = 0;
            continue;
        };
        errors += 1;
        shell.metrics.receive_error();
        if let Some(left_out) = shell.quiet.admit("receive", Instant::now().into_std()) {
            tracing::warn!(place = %listener.place, %error, left_out, "receiving failed");
        }
        if errors == ERRORS_IN_A_ROW {
            return (listener, Err(error));
        }
        sleep(ERROR_PAUSE).await;
    }
}

/// A datagram and those that were queued behind it.
fn burst(shell: &Arc<Shell>, listener: &Arc<Listener>, batch: &Batch) {
    for (bytes, datagram) in batch.iter() {
        shell.packet(listener, bytes, &datagram);
    }
}

#[cfg(test)]
mod tests;

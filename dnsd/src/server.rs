//! The shell: start, sockets, reload and the end. `service` puts wire, inventory and decision together; `udp` and `tcp` carry
//! bytes to it and back.

mod explain;
mod files;
mod forwarding;
mod https;
mod notify;
mod places;
mod query_log;
mod record_files;
mod service;
mod sockets;
mod stalls;
mod stream;
mod tcp;
mod tls;
mod transfers;
mod udp;

pub use places::{Place, Places};
pub use query_log::QueryLog;
pub use service::{Outcome, Service};
pub use sockets::Sockets;
pub use stream::converse;
pub use tcp::{Connections, Listener, Speaks};
pub use transfers::Transfer;
pub use udp::Waiting;

use crate::metrics::Metrics;
use anyhow::Context;
use config::Config;
use daemon::{Running, State};
use inventory::{Inventory, Who, yielding};
use record_files::Keeper;
use sockets::leave;
use std::{
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long the sockets stay closed for want of a first snapshot: replicas that share the port can answer meanwhile.
const BIND_AT_LATEST: Duration = Duration::from_secs(2);

/// How long answers in the making may take at the end: as long as a packet may, and a little more.
const DRAIN: Duration = Duration::from_secs(1);

/// The whole life of dnsd, from a configuration to the last answer.
pub async fn serve(mut running: Running) -> anyhow::Result<()> {
    let config = running.config.clone();
    let metrics = Metrics::new(&mut running.registry);
    let admin = running.bind_admin(config.dnsd.admin).await?;
    let who = Who { name: "dnsd", version: daemon::SHORT_VERSION, admin_port: admin.port() };
    let inventory = Inventory::start(&config.inventory, who, &mut running.registry, running.shutdown.clone());
    let configured_at = now();
    let certificate = config.dnsd.tls.as_ref().map(tls::load).transpose()?;
    let service = Arc::new(Service::new(inventory.clone(), &config, configured_at, metrics));
    service.begin_copying(&config)?;
    let checked = service.clone();
    running.readiness.add("inventory", move || checked.readiness());
    if let Some(files) = certificate.clone() {
        running.readiness.add("TLS", move || files.problem().map_or(State::Ready, State::Degraded));
    }
    let forwarding = service.forwarding.clone();
    running.readiness.add("forwarding", move || forwarding.readiness());
    running.admin(config.dnsd.admin, explain::page(service.clone())).await.context("admin HTTP")?;

    let mut keeper = Keeper::new(&config, service.metrics.files.clone());
    running.readiness.add("files", keeper.readiness());
    service.take_files(keeper.read());

    let mut changes = inventory.changes();
    tokio::select! {
        () = first_snapshot(&inventory, &mut changes, config.inventory.replica) => {}
        () = running.shutdown.cancelled() => return Ok(()),
    }
    service.rebuild(&config, configured_at);
    warn(&service, &config);
    keeper.left_out(service.left_out());
    let mut sockets = Sockets::bind(&config.dnsd.listen)?;
    let mut followers = JoinSet::new();
    if let Some(files) = certificate {
        sockets.bind_encrypted(&config.dnsd, &files)?;
        followers.spawn(files.follow());
    }
    let reload = running.reload.clone();
    followers.spawn(notify::tell(service.clone(), config.clone(), reload.clone(), running.shutdown.clone()));
    let follower = follow(service.clone(), config, configured_at, changes, reload, keeper);
    followers.spawn(follower);
    let ended = attended(run(service.clone(), sockets, &running), &mut followers, &running.shutdown).await;
    service.queries.finish().await;
    followers.shutdown().await;
    service.forwarding.stopped().await;
    inventory.stopped().await;
    ended
}

/// Serves as long as those live who keep zones, certificates and secondaries up to date: names that stay as they were for ever are worse
/// than a restart.
async fn attended(
    serving: impl Future<Output = anyhow::Result<()>>,
    followers: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut serving = pin!(serving);
    let died = tokio::select! {
        ended = &mut serving => return ended,
        died = followers.join_next() => died,
    };
    let is_due = shutdown.is_cancelled();
    shutdown.cancel();
    serving.await?;
    match died {
        Some(Err(error)) if !is_due => Err(error).context("a task that keeps things up to date died"),
        _ if !is_due => Err(anyhow::anyhow!("a task that keeps things up to date ended by itself")),
        _ => Ok(()),
    }
}

/// Waits until there is something to answer from, within bounds.
async fn first_snapshot(inventory: &Inventory, changes: &mut watch::Receiver<u64>, replica: bool) {
    let complete = async {
        while replica && !inventory.snapshot().is_complete() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    if timeout(BIND_AT_LATEST, complete).await.is_err() {
        tracing::warn!("no snapshot yet: serving all the same, SERVFAIL where it is needed");
    }
}

/// Takes each generation, each configuration and each change of a file up. Changes that come while one is being taken up are taken
/// up together.
async fn follow(
    service: Arc<Service>,
    mut config: Arc<Config>,
    mut configured_at: u32,
    mut changes: watch::Receiver<u64>,
    mut reload: watch::Receiver<Arc<Config>>,
    mut keeper: Keeper,
) {
    let mut settling = true;
    loop {
        let mut reloaded = false;
        tokio::select! {
            () = next(&mut changes) => {}
            () = next(&mut reload) => reloaded = true,
            () = service.copying.settled(), if settling => settling = false,
            files = keeper.changed() => {
                tracing::info!("records of hosts and zone files changed");
                service.take_files(files);
                configured_at = now();
            }
        }
        if reloaded {
            let newer = reload.borrow_and_update().clone();
            for key in needs_restart(&config, &newer) {
                tracing::warn!("{key} changed: that takes a restart");
            }
            if newer.dnsd.records != config.dnsd.records {
                configured_at = now();
            }
            service.take_files(keeper.change(&newer));
            config = newer;
        }
        let (builder, with) = (service.clone(), config.clone());
        let build = move || {
            builder.rebuild(&with, configured_at);
            builder.left_out()
        };
        // Looks at every known address: milliseconds that packets need not wait for.
        match yielding("zones", build).await {
            Ok(left_out) => keeper.left_out(left_out),
            Err(error) => tracing::error!(%error, "the zones could not be built and stay as they were"),
        }
        if reloaded {
            warn(&service, &config);
        }
    }
}

/// Keys that only count at the start. The files of `tls` are another matter: what is in them counts when it changes.
fn needs_restart(old: &Config, new: &Config) -> impl Iterator<Item = &'static str> {
    let (was, is) = (&old.dnsd, &new.dnsd);
    let changed = [
        (was.admin != is.admin, "dnsd.admin"),
        (was.listen != is.listen, "dnsd.listen"),
        (was.tls != is.tls, "dnsd.tls"),
        (was.https != is.https, "dnsd.https"),
        (old.inventory != new.inventory, "inventory"),
    ];
    changed.into_iter().filter(|(changed, _)| *changed).map(|(_, key)| key)
}

/// Waits for a change; for ever when there will be none.
async fn next<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        pending().await
    }
}

/// What a configuration may say and can hardly mean.
fn warn(service: &Service, config: &Config) {
    if service.access.load().is_open_resolver() {
        tracing::warn!(
            "dnsd.recursion_from lists everybody: whoever reaches this host, or forges an address, has names forwarded; \
             list your own networks"
        );
    }
    forwarding::warn_of_ourselves(config);
    for record in service.strays(config) {
        tracing::warn!(record, "this record is in none of our zones and is not served");
    }
}

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// Serves until told to stop; a socket that dies ends everything.
pub async fn run(service: Arc<Service>, sockets: Sockets, running: &Running) -> anyhow::Result<()> {
    let shutdown = &running.shutdown;
    let (waiting, connections) = (Waiting::default(), Connections::with_files(files::raise_limit()));
    let mut loops: JoinSet<std::io::Result<()>> = JoinSet::new();
    let (udp, stop) =
        (sockets.udp.into_iter().map(Arc::new).collect::<Vec<_>>(), Arc::<AtomicBool>::default());
    let mut pulses = Vec::new();
    for socket in &udp {
        service.metrics.socket(socket.clone());
        let pulse = running.pulse("udp");
        pulses.push(pulse.clone());
        let (service, socket, waiting, stop) =
            (service.clone(), socket.clone(), waiting.clone(), stop.clone());
        loops.spawn_blocking(move || udp::serve(service, socket, waiting, pulse, stop));
    }
    loops.spawn(stalls::watch(pulses, shutdown.clone()));
    for listener in sockets.tcp {
        let address =
            listener.socket.local_addr().map_or_else(|error| error.to_string(), |it| it.to_string());
        tracing::info!(address, over = %listener.speaks, "serving DNS");
        let pulse = running.pulse("tcp");
        loops.spawn(tcp::serve(service.clone(), listener, connections.clone(), pulse, shutdown.clone()));
    }
    let died = first_death(&mut loops, shutdown).await;
    shutdown.cancel();
    leave(&udp);
    stop.store(true, Ordering::Relaxed);
    let drained = async {
        while loops.join_next().await.is_some() {}
        waiting.finish().await;
        connections.finish().await;
    };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some answers were not finished in time");
    }
    died
}

async fn first_death(
    loops: &mut JoinSet<std::io::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let ended = loops.join_next().await;
    match ended {
        _ if shutdown.is_cancelled() => Ok(()),
        Some(Ok(Err(error))) => Err(error).context("a socket died"),
        Some(Err(error)) => Err(error).context("a socket's task died"),
        _ => Err(anyhow::anyhow!("a socket's task ended by itself")),
    }
}

/// After an error of `recv` or `accept`: these come from the system, not from a client, and may pass.
async fn pause() {
    sleep(PAUSE).await;
}

/// A guess.
const PAUSE: Duration = Duration::from_millis(50);

/// So many errors in a row mean that the socket is dead: a guess, about a second with [`pause`].
const DEAD_AFTER: u32 = 20;

#[cfg(test)]
mod tests;

//! tftpd: boot loaders and scripts over TFTP, read-only and from memory.
//!
//! RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440. `wire` reads and writes packets, `decide` answers requests,
//! `session` is one transfer as plain state, `transfers` all of a socket, `files` what can be had, `server` the sockets around them.

pub mod decide;
pub mod files;
pub mod metrics;
mod server;
pub mod session;
pub mod transfers;
pub mod wire;

use crate::{files::Root, metrics::Metrics, server::Worker};
use anyhow::Context;
use daemon::{Running, State};
use inventory::{Health, Inventory, Who};
use std::{net::SocketAddr, sync::Arc, thread::available_parallelism, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the root is looked at: a new loader is served a few seconds after it was copied there.
const RELOAD: Duration = Duration::from_secs(1);
/// More workers than this share the service port to no use. A guess.
const MAX_WORKERS: usize = 16;

/// Serves until it is told to stop.
///
/// # Errors
/// A root that cannot be read, an address that cannot be bound, a listener that died.
pub async fn serve(mut running: Running) -> anyhow::Result<()> {
    let config = running.config.tftpd.clone();
    let metrics = Metrics::register(&mut running.registry);
    let admin = running.bind_admin(config.admin).await?;
    let root = Root::open(&config.root)
        .with_context(|| format!("tftpd.root {} cannot be read", config.root.display()))?;
    let root = Arc::new(root);
    report(&root, &metrics);

    let mut tasks = JoinSet::new();
    for listen in &config.listen {
        for worker in bind(*listen, config.single_port, &root, &metrics)? {
            let pulse = running.pulse("transfers");
            let shutdown = running.shutdown.clone();
            tasks.spawn(async move {
                worker.run(shutdown, pulse).await.context("a socket cannot be read any more")
            });
        }
    }
    let held = root.clone();
    running.readiness.add("files", move || match held.files().left_out.as_slice() {
        [] => State::Ready,
        [first, ..] => State::Degraded(format!(
            "{} files are not served, the first: {first}",
            held.files().left_out.len()
        )),
    });
    let inventory = show(&mut running, admin.port());
    running.admin(admin, axum::Router::new()).await?;
    tasks.spawn(reload(root, metrics, running.shutdown.clone()));

    while let Some(ended) = tasks.join_next().await {
        // A task that ends before it was told to takes the program with it.
        let early = !running.shutdown.is_cancelled();
        running.shutdown.cancel();
        ended.context("a task of tftpd ended in a panic")??;
        anyhow::ensure!(!early, "a listener ended");
    }
    inventory.stopped().await;
    Ok(())
}

/// Lets smd-cache know that this program is there, and where its admin HTTP is. It holds no machines: nothing that is served depends on
/// which machine asks.
fn show(running: &mut Running, admin_port: u16) -> Inventory {
    let config = config::Inventory { replica: false, max_stale: None, ..running.config.inventory.clone() };
    let who = Who { name: "tftpd", version: daemon::SHORT_VERSION, admin_port };
    let shutdown = running.shutdown.clone();
    let inventory = Inventory::start(&config, who, &mut running.registry, shutdown);
    let asked = inventory.clone();
    running.readiness.add("inventory", move || standing(asked.health()));
    inventory
}

/// Without smd-cache everything is served, so it never keeps this program from being ready.
fn standing(Health { connected, reason, .. }: Health) -> State {
    match connected {
        true => State::Ready,
        false => State::Degraded(format!("{reason}; files are served all the same")),
    }
}

fn bind(
    listen: SocketAddr,
    single_port: bool,
    root: &Arc<Root>,
    metrics: &Metrics,
) -> anyhow::Result<Vec<Worker>> {
    let cores = available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let mut listen = listen;
    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..cores {
        let worker = Worker::bind(listen, single_port, root.clone(), metrics.clone());
        let worker = worker.with_context(|| format!("tftpd cannot listen on {listen}"))?;
        // With port 0 the workers share the port that the first one was given.
        listen = worker.local_address()?;
        workers.push(worker);
    }
    tracing::info!(%listen, workers = cores, single_port, "TFTP is listening");
    Ok(workers)
}

async fn reload(root: Arc<Root>, metrics: Metrics, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut failed = false;
    while shutdown.run_until_cancelled(tokio::time::sleep(RELOAD)).await.is_some() {
        let looked = root.clone();
        let reloaded =
            tokio::task::spawn_blocking(move || looked.reload()).await.context("reading the root")?;
        match &reloaded {
            Ok(true) => report(&root, &metrics),
            Ok(false) if failed => tracing::info!("the root can be read again"),
            Err(error) if !failed => {
                tracing::warn!(%error, "the root cannot be read; what is held goes on being served")
            }
            _ => {}
        }
        failed = reloaded.is_err();
    }
    Ok(())
}

fn report(root: &Root, metrics: &Metrics) {
    let files = root.files();
    let (count, bytes) = files.size();
    metrics.files.set(count as i64);
    metrics.files_bytes.set(bytes as i64);
    tracing::info!(files = count, bytes, "files are held in memory");
    for why in &files.left_out {
        tracing::warn!(why, "a file is not served");
    }
}

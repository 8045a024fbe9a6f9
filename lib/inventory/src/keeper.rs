//! The task that keeps the replica on disk: reads it before the first connection, writes it after changes.

use crate::{
    Layers, Replica,
    file::{self, Loaded, ReplicaFile},
    metrics::{self, Metrics},
    yielding,
};
use proto::v1;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The least time between two writes: a cluster that boots changes every second, and the disk has other work. A guess.
pub(crate) const WRITE_EVERY: Duration = Duration::from_secs(10);

/// After a change this long is waited for the next one: changes come in bursts.
const SETTLE: Duration = Duration::from_secs(1);

/// A write that failed is tried again after this, changes or not: a disk that was full may not be full any more.
const RETRY: Duration = Duration::from_secs(60);

/// With `max_stale`, what did not change is written anew when this part of it has passed: the file says when SMD was read.
const PART_OF_MAX_STALE: u32 = 10;

/// Reads the file off the reactor, and when it was written. What is wrong with it is logged, never an error.
pub(crate) async fn load(file: &ReplicaFile, metrics: &Metrics) -> Option<(Replica, SystemTime)> {
    let (begun, of) = (Instant::now(), file.clone());
    let loaded = spawn_blocking(move || file::load(&of)).await.ok()?;
    let path = file.path().display();
    match loaded {
        Loaded::Replica(replica, written_at) => {
            metrics.file_whole_at(Some(written_at));
            let (interfaces, took) = (replica.interface_count(), begun.elapsed().as_millis());
            tracing::info!(%path, interfaces, milliseconds = took, "the replica file is loaded; it is served, marked stale");
            return Some((*replica, written_at));
        }
        Loaded::Nothing => tracing::debug!(%path, "there is no replica file yet"),
        Loaded::Bad(why, Some(aside)) => {
            tracing::warn!(%path, aside = %aside.display(), "the replica file cannot be used and is set aside: {why}");
        }
        Loaded::Bad(why, None) => tracing::warn!(%path, "the replica file cannot be used: {why}"),
    }
    None
}

/// Writes until `shutdown`, and then once more.
pub(crate) struct Keeper {
    pub(crate) file: ReplicaFile,
    pub(crate) layers: Arc<Layers>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) max_stale: Option<Duration>,
    /// Of what the file has.
    pub(crate) written: Option<v1::Freshness>,
    /// The last write failed, and that was said.
    pub(crate) failing: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Keeper {
    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.keep_writing()).await;
        // A restart goes on with the newest: also where only the time of reading is newer.
        let replica = self.layers.snapshot();
        if self.written.as_ref() != Some(replica.origin()) {
            self.write(replica).await;
        }
    }

    async fn keep_writing(&mut self) {
        let mut changes = self.layers.changes();
        changes.mark_changed();
        let mut earliest = Instant::now();
        loop {
            let anew = match (self.failing, self.max_stale) {
                (true, _) => Some(RETRY),
                (false, Some(max_stale)) => Some((max_stale / PART_OF_MAX_STALE).max(WRITE_EVERY)),
                (false, None) => None,
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = after(anew) => {}
            }
            sleep_until(earliest.max(Instant::now() + SETTLE)).await;
            changes.mark_unchanged();
            let replica = self.layers.snapshot();
            if self.failing || self.is_due(&replica) {
                self.write(replica).await;
                earliest = Instant::now() + WRITE_EVERY;
            }
        }
    }

    /// It has other content than the file, or `max_stale` asks for a newer date.
    fn is_due(&self, replica: &Replica) -> bool {
        let (Some(written), now) = (&self.written, replica.origin()) else { return true };
        let other = written.digest != now.digest
            || (written.digest.is_empty()
                && (&written.instance, written.generation) != (&now.instance, now.generation));
        other || (self.max_stale.is_some() && written.whole_read_at != now.whole_read_at)
    }

    async fn write(&mut self, replica: Arc<Replica>) {
        if !replica.is_complete() {
            return;
        }
        let (file, freshness) = (self.file.clone(), replica.origin().clone());
        let outcome = yielding("replica file", move || file::save(&file, &replica)).await.flatten();
        self.metrics.wrote(*outcome.as_ref().unwrap_or(&metrics::Write::Failed));
        match &outcome {
            Ok(metrics::Write::Written) => {
                self.metrics.file_whole_at(Some(SystemTime::now()));
                self.written = Some(freshness);
            }
            // Whoever else writes it writes the same, or something newer.
            Ok(_) => {}
            Err(error) => self.complain(error),
        }
        self.failing = outcome.is_err();
    }

    /// Once, until a write succeeds again.
    fn complain(&self, error: &std::io::Error) {
        let path = self.file.path().display();
        match self.failing {
            false => tracing::warn!(
                %path,
                "the replica file cannot be written: {error}; a restart while smd-cache is away would find an old one or none"
            ),
            true => tracing::debug!(%path, "still: the replica file cannot be written: {error}"),
        }
    }
}

/// Never, without a time.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

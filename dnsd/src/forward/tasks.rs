//! What runs beside: flights, probes, connections. All end when forwarding does.

use std::future::Future;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Their owner. How many there are is bounded where they are started: one for each flight, and two for each forwarder.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs it to its end, or to that of all.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Whether the end has come.
    pub fn are_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends all.
    pub async fn stopped(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

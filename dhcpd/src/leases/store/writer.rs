//! One thread owns the store and writes what was decided, many at a time.
//!
//! ```text
//!              ┌──────── pause (200 ms .. 5 s), jobs fail at once ◀────────┐
//!              ▼                                                          │ fails
//!   start ─▶ open ─▶ Opened(rows) ─▶ take all that is queued ─▶ commit ───┤
//!                                        ▲                                │ done
//!                                        └────────── Committed(tickets) ◀─┘
//! ```
//! What waits while one group is on its way to the disk is the next group, so the disk's time is shared by all, and a group
//! is one wake-up of whoever waits for it. Where the disk is fast, commits keep a distance of 5 ms, so that groups form.

#[cfg(test)]
mod tests;
mod worker;

use super::{Change, Health, Row, Store, StoreError};
use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use worker::{Job, Worker};

/// Jobs that may wait. A disk that takes 20 ms for a commit gets so many in time for 200,000 replies a second, more than we
/// make; some 100 bytes each.
pub const QUEUE: usize = 4096;

/// Jobs in one commit: at 5 us each they hold nobody up for longer than a disk does.
pub const GROUP: usize = 1024;

/// Events that wait for whoever receives them; until there is room nothing more is written. A guess: it is awake.
const EVENTS: usize = 4;

/// What became of it, in the order in which it happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// The store is open, and this is what is in it. What it lacks is to be submitted. The first event, and again after
    /// each failure, before anything else is committed.
    Opened(Vec<Row>),
    /// The changes of these are on disk.
    Committed(Vec<T>),
    /// The changes of these are not, as far as is known; the next `Opened` tells.
    Failed(Vec<T>, StoreError),
}

/// The way to the thread. `T` is what comes back when a job is done: a reply that may be sent now.
#[derive(Debug)]
pub struct Writer<T> {
    queue: SyncSender<Job<T>>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl<T: Send + 'static> Writer<T> {
    /// Starts the thread, which opens the store by itself. `open` may block.
    ///
    /// The receiver ends (`None`) when the thread has ended: after the writer was closed or dropped, or by a mistake of ours,
    /// which should end the program.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        open: impl FnMut() -> Result<Box<dyn Store>, StoreError> + Send + 'static,
        health: Health,
    ) -> io::Result<(Writer<T>, mpsc::Receiver<Event<T>>)> {
        let (queue, jobs) = sync_channel(QUEUE);
        let (events, receiver) = mpsc::channel(EVENTS);
        let (end, ended) = oneshot::channel();
        let worker = Worker::new(open, jobs, events, health);
        let thread = thread::Builder::new().name("leases".into()).spawn(move || {
            let _end: oneshot::Sender<()> = end;
            worker.run();
        })?;
        Ok((Writer { queue, ended, thread }, receiver))
    }

    /// Has these written, all or none, after everything that was submitted before. Never waits: the ticket comes back when
    /// [`QUEUE`] jobs wait already.
    pub fn submit(&self, changes: Vec<Change>, ticket: T) -> Result<(), T> {
        self.queue.try_send(Job { changes, ticket }).map_err(|error| {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            let (Full(job) | Disconnected(job)) = error;
            job.ticket
        })
    }

    /// Has what is queued written and the store closed. Whoever has the receiver reads on meanwhile, or drops it. False: it
    /// is not done after so long, or the thread panicked; what was reported as committed is on disk all the same.
    pub async fn close(self, bound: Duration) -> bool {
        drop(self.queue);
        // An error only says that the sender is gone: the thread has ended.
        match timeout(bound, self.ended).await {
            Ok(_) => self.thread.join().is_ok(),
            Err(_) => {
                tracing::error!(?bound, "the writer of leases has not ended in time");
                false
            }
        }
    }
}

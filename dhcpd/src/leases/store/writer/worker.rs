//! The thread's side of the writer.

use super::{Event, GROUP};
use crate::leases::store::{Change, Health, Row, Store, StoreError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::Sender;

/// The pause after the first failure. A client asks again after some 4 s (RFC 2131 §4.1), so a lock that is soon let go
/// costs it nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The pauses double up to this one: an operator who put it right does not wait long. A guess.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// From the beginning of one commit to that of the next at least. A commit costs the kernel some 70 us of CPU whatever is in
/// it, and a fast disk would take thousands a second of one change each. No client notices 5 ms, and one that comes alone does
/// not wait.
pub const PACE: Duration = Duration::from_millis(5);

/// Changes that belong together, and what comes back for them.
#[derive(Debug)]
pub struct Job<T> {
    pub changes: Vec<Change>,
    pub ticket: T,
}

/// Owns the store.
pub struct Worker<T, O> {
    open: O,
    jobs: Receiver<Job<T>>,
    events: Sender<Event<T>>,
    health: Health,
    state: State,
    /// Grows with each failure, and is small again after a commit: a file that opens and cannot be written is no success.
    pause: Duration,
    /// No commit begins before.
    next_commit: Instant,
    /// Of the group; kept for its room.
    changes: Vec<Change>,
}

enum State {
    Open(Box<dyn Store>),
    /// Not open until at least then.
    Closed(Instant, StoreError),
}

/// Why the thread woke.
enum Woken<T> {
    Job(Job<T>),
    Pause,
    Closed,
}

impl<T, O: FnMut() -> Result<Box<dyn Store>, StoreError>> Worker<T, O> {
    pub fn new(open: O, jobs: Receiver<Job<T>>, events: Sender<Event<T>>, health: Health) -> Worker<T, O> {
        let now = Instant::now();
        let state = State::Closed(now, StoreError("it is not open yet".into()));
        Worker {
            open,
            jobs,
            events,
            health,
            state,
            pause: FIRST_PAUSE,
            next_commit: now,
            changes: Vec::new(),
        }
    }

    /// Until the writer is closed and its queue is empty.
    pub fn run(mut self) {
        loop {
            if matches!(self.state, State::Closed(at, _) if at <= Instant::now()) {
                self.reopen();
            }
            match self.wait() {
                Woken::Job(job) => self.group(job),
                Woken::Pause => {}
                Woken::Closed => break,
            }
        }
        if let Err(why) = close(self.state) {
            tracing::error!(%why, "the store of leases could not be closed; what was written is safe");
        }
    }

    fn wait(&self) -> Woken<T> {
        match &self.state {
            State::Open(_) => self.jobs.recv().map_or(Woken::Closed, Woken::Job),
            State::Closed(until, _) => {
                match self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(job) => Woken::Job(job),
                    Err(RecvTimeoutError::Timeout) => Woken::Pause,
                    Err(RecvTimeoutError::Disconnected) => Woken::Closed,
                }
            }
        }
    }

    fn reopen(&mut self) {
        let open = &mut self.open;
        match caught(|| open().and_then(|mut store| store.load().map(|rows| (store, rows)))) {
            Ok((store, rows)) => {
                self.state = State::Open(store);
                self.tell_opened(rows);
            }
            Err(why) => self.fail(why),
        }
    }

    fn tell_opened(&mut self, rows: Vec<Row>) {
        let count = rows.len();
        match self.health.opened(&rows) {
            Some(before) => tracing::info!(rows = count, %before, "leases can be written again"),
            None => tracing::info!(rows = count, "leases are open"),
        }
        self.tell(Event::Opened(rows));
    }

    /// This job and what is queued behind it.
    fn group(&mut self, first: Job<T>) {
        if matches!(self.state, State::Open(_)) {
            thread::sleep(self.next_commit.saturating_duration_since(Instant::now()));
            self.next_commit = Instant::now() + PACE;
        }
        let mut tickets = vec![first.ticket];
        self.changes.clear();
        self.changes.extend(first.changes);
        for job in self.jobs.try_iter().take(GROUP - 1) {
            self.changes.extend(job.changes);
            tickets.push(job.ticket);
        }
        let event = match self.commit() {
            Ok(()) => Event::Committed(tickets),
            Err(why) => Event::Failed(tickets, why),
        };
        self.tell(event);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let store = match &mut self.state {
            State::Open(store) => store,
            State::Closed(_, why) => return Err(why.clone()),
        };
        let committed = caught(|| store.commit(&self.changes));
        match &committed {
            Ok(()) => {
                self.pause = FIRST_PAUSE;
                self.health.committed(&self.changes);
            }
            Err(why) => self.fail(why.clone()),
        }
        committed
    }

    fn fail(&mut self, why: StoreError) {
        if self.health.failed(&why) {
            tracing::error!(
                %why,
                "leases cannot be written: clients of pools get no answer until they can; dhcpd tries again by itself"
            );
        }
        let next = State::Closed(Instant::now() + self.pause, why);
        let before = std::mem::replace(&mut self.state, next);
        // What is wrong with it is known already.
        let _ = close(before);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    /// Nobody receives any more: then nobody wants to know, and the rest is written for the next start.
    fn tell(&self, event: Event<T>) {
        let _ = self.events.blocking_send(event);
    }
}

/// SQLite writes what is left in the WAL into the file; a broken store may panic once more.
fn close(state: State) -> Result<(), StoreError> {
    caught(|| {
        drop(state);
        Ok(())
    })
}

/// A panic of the store is a failure like any other.
fn caught<R>(work: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(StoreError(words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    let said =
        said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given");
    format!("the store panicked, a mistake of ours: {said}")
}

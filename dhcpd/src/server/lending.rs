//! The leases of a running dhcpd: the index, the thread that writes, and the replies that wait for it.

use super::shell::{Request, Shell};
use crate::{
    config::Config,
    decide::{OwnAddress, Reply},
    hosts::Hosts,
    leases::{
        self, Count, Leases, Listed, Pool, Update,
        page::Line,
        store::{Change, Event, Health, Row, Sqlite, State, Store, Writer},
    },
    metrics::Dropped,
};
use axum::{
    Json, Router,
    extract::Query,
    http::StatusCode,
    routing::{get, post},
};
use inventory::Replica;
use ipnet::Ipv4Net;
use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use values::Mac;

/// What the end may take: what is queued is written in a few milliseconds, and a disk that hangs must not keep dhcpd from
/// ending.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// What comes from the thread that writes.
pub type Events = mpsc::Receiver<Event<Ticket>>;

/// What waits for a commit.
pub enum Ticket {
    /// A reply that may be sent then.
    Promise(Box<Promise>),
    /// Nothing.
    Nothing,
}

/// A lease and the reply that grants it.
pub struct Promise {
    row: Row,
    /// When the lease ends, by a clock that nobody sets.
    end: Instant,
    request: Request,
    reply: Box<Reply>,
}

/// Shared by all packets.
pub struct Lending {
    book: Mutex<Book>,
    /// Pools whose exhaustion was told.
    exhausted: Mutex<BTreeSet<Ipv4Net>>,
    store: String,
    health: Health,
}

/// The index and the way to the disk, changed together so that the file follows the index in its order.
pub struct Book {
    /// The index.
    pub leases: Leases,
    /// `None` at the end.
    writer: Option<Writer<Ticket>>,
}

/// `/leases`, and POST `/leases/release?mac=`.
pub fn pages(lending: Arc<Lending>) -> Router {
    let listed = lending.clone();
    let list = async move || Json(listed.list().into_iter().map(Line::new).collect::<Vec<_>>());
    let release = async move |Query(asked): Query<HashMap<String, String>>| {
        let mac = asked.get("mac").ok_or((StatusCode::BAD_REQUEST, "`mac` is missing".to_owned()))?;
        let mac: Mac =
            mac.parse().map_err(|bad: values::BadMac| (StatusCode::BAD_REQUEST, bad.to_string()))?;
        let busy = || (StatusCode::SERVICE_UNAVAILABLE, "too much waits for the disk; try again".to_owned());
        lending.release(mac).map(Json).ok_or_else(busy)
    };
    Router::new().route("/leases", get(list)).route("/leases/release", post(release))
}

impl Lending {
    /// Starts the thread, which opens the store by itself.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(unknown: &config::Unknown, health: Health) -> io::Result<(Lending, Events)> {
        let path = PathBuf::from(unknown.lease_store.strip_prefix("sqlite:").unwrap_or(&unknown.lease_store));
        let open = move || Sqlite::open(&path).map(|store| Box::new(store) as Box<dyn Store>);
        let (writer, events) = Writer::start(open, health.clone())?;
        let leases = Leases::new(Pool::of(&unknown.pools));
        Ok((
            Lending {
                book: Mutex::new(Book { leases, writer: Some(writer) }),
                exhausted: Mutex::default(),
                store: unknown.lease_store.clone(),
                health,
            },
            events,
        ))
    }

    /// With what has run out ended.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        let mut book = self.lock();
        book.leases.expire(Instant::now());
        book
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For `/ready`: known machines are served whatever the disk does.
    pub fn standing(&self) -> daemon::State {
        match self.health.status().state {
            State::Open => daemon::State::Ready,
            State::Opening => daemon::State::Degraded("the leases are being read".into()),
            State::Failing(why) => daemon::State::Degraded(format!(
                "unknown machines get no answer: leases cannot be written: {why}"
            )),
        }
    }

    /// Every address in use or once used.
    pub fn list(&self) -> Vec<Listed> {
        self.book().leases.list(Instant::now())
    }

    /// By pool. One that has addresses again may be told of anew.
    pub fn counts(&self) -> Vec<Count> {
        let counts = self.book().leases.counts();
        let has_room =
            |count: &&Count| count.offered + count.leased + count.set_aside + count.taken < count.size;
        let mut exhausted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        for count in counts.iter().filter(has_room) {
            if exhausted.remove(&count.subnet) {
                tracing::info!(subnet = %count.subnet, "the pool has free addresses again");
            }
        }
        counts
    }

    /// Whether a pool is exhausted that was not when this was asked last.
    pub fn is_first_exhaustion(&self, subnet: Ipv4Net) -> bool {
        self.exhausted.lock().unwrap_or_else(PoisonError::into_inner).insert(subnet)
    }

    /// Frees what a machine holds. Which addresses that were; `None`: too much waits for the disk.
    pub fn release(&self, mac: Mac) -> Option<Vec<Ipv4Addr>> {
        let mut book = self.book();
        let held = book.leases.holds(mac).map(|(address, _)| address).collect();
        let changes = book.apply(&[Update::Forget(mac)]);
        book.submit(changes, Ticket::Nothing).ok().map(|()| held)
    }

    /// Whether a configuration means the same file.
    pub fn is_stored_in(&self, unknown: &config::Unknown) -> bool {
        self.store == unknown.lease_store
    }

    /// Other pools, from a configuration that was read again.
    pub fn set_pools(&self, unknown: &config::Unknown) {
        self.book().leases.set_pools(Pool::of(&unknown.pools));
    }

    /// Which addresses of the pools belong to whom, by everything that says so.
    pub fn take(
        &self,
        replica: &Replica,
        is_usable: bool,
        hosts: &Hosts,
        ours: &[OwnAddress],
        config: &Config,
    ) {
        let ranges = leases::ranges(self.lock().leases.pools());
        let taken = leases::taken(&ranges, replica, hosts, ours, config);
        self.lock().leases.take(taken, replica.is_complete() && is_usable);
    }

    /// Writes what is queued, closes the store and sends the replies that waited for that, which `following` does.
    pub async fn end(&self, following: JoinHandle<()>) {
        let Some(writer) = self.lock().writer.take() else { return };
        _ = tokio::join!(writer.close(LAST_WRITE), timeout(LAST_WRITE, following));
    }
}

/// Does what the thread that writes makes possible, until that ends. A task of its own: whoever waits for replies has
/// nothing to do with interfaces and files.
pub async fn follow(shell: Arc<Shell>, mut events: Events) {
    let Some(lending) = shell.lending.clone() else { return };
    while let Some(event) = events.recv().await {
        shell.written(&lending, event);
    }
}

impl Book {
    /// What has to be written for it.
    pub fn apply(&mut self, updates: &[Update]) -> Vec<Change> {
        let mut changes = Vec::new();
        for update in updates {
            self.leases.apply(update, Instant::now(), wall(), &mut changes);
        }
        changes
    }

    /// Nothing to write needs no place in the queue.
    fn submit(&self, changes: Vec<Change>, ticket: Ticket) -> Result<(), Ticket> {
        match &self.writer {
            _ if changes.is_empty() => Ok(()),
            Some(writer) => writer.submit(changes, ticket),
            None => Err(ticket),
        }
    }

    /// Does what was decided. The reply, if it can be sent at once; what waits for the disk, is given up, or is silence
    /// comes back as `None`.
    pub fn settle(
        &mut self,
        shell: &Shell,
        updates: &[Update],
        request: Request,
        reply: Option<Box<Reply>>,
    ) -> Option<(Request, Box<Reply>)> {
        let changes = self.apply(updates);
        let (ticket, now) = match (reply, granted(updates, &changes)) {
            (Some(reply), Some((row, time))) => {
                let end = Instant::now() + time;
                (Ticket::Promise(Box::new(Promise { row, end, request, reply })), None)
            }
            (reply, _) => (Ticket::Nothing, reply.map(|reply| (request, reply))),
        };
        // A row that is not removed in time says only who had the address last, or until when nobody else gets it.
        if let Err(Ticket::Promise(_)) = self.submit(changes, ticket) {
            shell.metrics.dropped(Dropped::Overload);
        }
        now
    }
}

impl Shell {
    /// What the thread that writes reports.
    pub(super) fn written(self: &Arc<Shell>, lending: &Lending, event: Event<Ticket>) {
        match event {
            Event::Opened(rows) => {
                let mut book = lending.book();
                let missing = book.leases.merge(rows, Instant::now(), wall());
                if book.submit(missing, Ticket::Nothing).is_err() {
                    tracing::error!(
                        "leases that the file lacks were not written: too much waits for the disk"
                    );
                }
            }
            Event::Committed(tickets) => {
                let mut promises: Vec<Box<Promise>> =
                    tickets.into_iter().filter_map(Ticket::promise).collect();
                {
                    let mut book = lending.lock();
                    promises.retain(|promise| book.leases.committed(&promise.row, promise.end));
                }
                for promise in promises {
                    self.guarded(|| self.reply(&promise.request, &promise.reply));
                }
            }
            Event::Failed(tickets, _) => {
                lending.lock().leases.close();
                let lost = tickets.into_iter().filter_map(Ticket::promise);
                lost.for_each(|_| self.metrics.dropped(Dropped::LeaseStore));
            }
        }
    }
}

impl Ticket {
    fn promise(self) -> Option<Box<Promise>> {
        match self {
            Ticket::Promise(promise) => Some(promise),
            Ticket::Nothing => None,
        }
    }
}

/// The row of the lease that is granted, and for how long it is.
fn granted(updates: &[Update], changes: &[Change]) -> Option<(Row, Duration)> {
    let (granted, time) = updates.iter().find_map(|update| match update {
        Update::Grant { address, time, .. } => Some((*address, Duration::from_secs((*time).into()))),
        _ => None,
    })?;
    changes.iter().find_map(|change| match change {
        Change::Put(row) if row.address == granted => Some((row.clone(), time)),
        _ => None,
    })
}

/// Unix seconds.
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

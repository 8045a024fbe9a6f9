//! Connections have places: so many in all, so many for one client. When all are taken, the one that was idle longest of a few leaves
//! for a new one, so whoever opens connections and says nothing keeps nobody out.
//!
//! A connection is `busy` while answers of its are being waited for, and idle since its last whole query otherwise, also in the middle of
//! a handshake, of a query or of an answer: those who are slow with these are no better than those who say nothing.

use crate::{forward, metrics::Dropped};
use futures::task::AtomicWaker;
use std::{
    collections::HashMap,
    future::poll_fn,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// TCP connections at once. A measurement: one that is idle takes 1.5 kB of ours (`ten_thousand_idle_connections_keep_nobody_out`) and 4 of
/// the kernel's.
const MAX_PLAIN: usize = 4096;

/// The same for TLS and HTTPS together. A measurement: one that is idle takes 11 kB and 23 kB, so 24 MB at the worst.
const MAX_ENCRYPTED: usize = 1024;

/// The share of one client: one or two connections are what it should need (RFC 7766 §6.2.2), but many may stand behind one address.
/// A guess that leaves room for others whatever one of them does.
const SHARE_OF_CLIENT: usize = 16;

/// File descriptors that are not for connections: sockets, files, calls to smd-cache, admin HTTP, a guess with room; and one for each
/// question that forwarders are asked.
const OTHER_FILES: usize = 136 + forward::MAX_FLIGHTS;

/// How many are looked at for the one that leaves. A guess: of 16, the one idle longest is among the idlest tenth of all four times in
/// five, and an attacker cannot make it cost more.
const CANDIDATES: usize = 16;

/// Who was heard of within this time does not leave: what a client may need for its next query, or this machine to read it, at a bad
/// moment. So long a flood of new connections may keep out newer ones. A guess.
const AT_LEAST: Duration = Duration::from_secs(2);

/// From this part of the places on, idle connections are closed sooner (RFC 7766 §6.2.3).
const NEARLY_FULL: (usize, usize) = (3, 4);

/// The time that idle connections have then. A guess: more than a round trip, and too little to hold places with.
const IDLE_NEARLY_FULL: Duration = Duration::from_secs(4);

/// Places of one kind.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    max_of_client: usize,
    idle: Duration,
    taken: Mutex<Taken>,
    /// How many of them.
    count: AtomicUsize,
    began: Instant,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Taken {
    seats: Vec<Arc<Seat>>,
    of_client: HashMap<IpAddr, usize>,
    closing: bool,
}

/// What others know of a connection, and can tell it.
#[derive(Debug)]
struct Seat {
    client: IpAddr,
    /// Where it stands in `seats`; changed under the lock of these.
    index: AtomicUsize,
    /// Milliseconds since `began`, or [`BUSY`].
    heard_at: AtomicU64,
    leave: AtomicU8,
    waker: AtomicWaker,
}

const BUSY: u64 = u64::MAX;

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Another one takes its place.
    Now = 1,
    /// The program ends: what was asked is still answered.
    Drain = 2,
}

/// A connection's own place; dropped, it is free.
#[derive(Debug)]
pub struct Place {
    seat: Arc<Seat>,
    places: Places,
}

/// How many places there are for TCP, and for TLS and HTTPS, with so many file descriptors.
pub fn limits(files: usize) -> (usize, usize) {
    let room = files.saturating_sub(OTHER_FILES);
    ((room / 5 * 4).min(MAX_PLAIN), (room / 5).min(MAX_ENCRYPTED))
}

impl Places {
    /// So many, for connections that may be idle so long.
    pub fn new(max: usize, idle: Duration) -> Places {
        Places(Arc::new(Inner {
            max,
            max_of_client: (max / SHARE_OF_CLIENT).max(1),
            idle,
            taken: Mutex::default(),
            count: AtomicUsize::new(0),
            began: Instant::now(),
            tasks: TaskTracker::new(),
        }))
    }

    /// A place, or why there is none.
    pub fn take(&self, client: IpAddr) -> Result<Place, Dropped> {
        let client = household(client);
        let mut taken = self.taken();
        if taken.closing {
            return Err(Dropped::Connections);
        }
        if taken.of_client.get(&client).is_some_and(|count| *count >= self.0.max_of_client) {
            return Err(Dropped::OfClient);
        }
        if taken.seats.len() >= self.0.max {
            let idlest = self.idlest(&taken).ok_or(Dropped::Connections)?;
            taken.remove(&idlest);
            idlest.tell(Leave::Now);
        }
        *taken.of_client.entry(client).or_default() += 1;
        let seat = Arc::new(Seat {
            client,
            index: AtomicUsize::new(taken.seats.len()),
            heard_at: AtomicU64::new(self.now()),
            leave: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        taken.seats.push(seat.clone());
        self.0.count.store(taken.seats.len(), Relaxed);
        Ok(Place { seat, places: self.clone() })
    }

    /// Of a few, the one that was idle longest, if it was long enough.
    fn idlest(&self, taken: &Taken) -> Option<Arc<Seat>> {
        let candidates =
            (0..CANDIDATES).filter_map(|_| taken.seats.get(fastrand::usize(..taken.seats.len())));
        let idlest = candidates.min_by_key(|seat| seat.heard_at.load(Relaxed))?;
        let idle = self.now().checked_sub(idlest.heard_at.load(Relaxed))?;
        (u128::from(idle) >= AT_LEAST.as_millis()).then(|| idlest.clone())
    }

    /// How long a connection may be idle as things are now.
    pub fn idle_allowed(&self) -> Duration {
        let (part, whole) = NEARLY_FULL;
        let nearly_full = self.0.count.load(Relaxed) * whole >= self.0.max * part;
        if nearly_full { IDLE_NEARLY_FULL.min(self.0.idle) } else { self.0.idle }
    }

    /// For a task that has one of the places.
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Tells all that the program ends, and waits for them.
    pub async fn finish(&self) {
        {
            let mut taken = self.taken();
            taken.closing = true;
            taken.seats.iter().for_each(|seat| seat.tell(Leave::Drain));
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.0.began.elapsed().as_millis() as u64
    }
}

impl Taken {
    /// Nothing happens to one that is not there any more.
    fn remove(&mut self, seat: &Arc<Seat>) {
        let index = seat.index.load(Relaxed);
        if !self.seats.get(index).is_some_and(|found| Arc::ptr_eq(found, seat)) {
            return;
        }
        self.seats.swap_remove(index);
        if let Some(moved) = self.seats.get(index) {
            moved.index.store(index, Relaxed);
        }
        if let Some(count) = self.of_client.get_mut(&seat.client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&seat.client);
            }
        }
    }
}

impl Seat {
    fn tell(&self, leave: Leave) {
        self.leave.fetch_max(leave as u8, Relaxed);
        self.waker.wake();
    }
}

impl Place {
    /// A whole query came, or its answer went.
    pub fn heard(&self) {
        self.seat.heard_at.store(self.places.now(), Relaxed);
    }

    /// An answer is being waited for.
    pub fn busy(&self) {
        self.seat.heard_at.store(BUSY, Relaxed);
    }

    /// Since when nothing was heard; nothing while it is busy.
    pub fn idle(&self) -> Option<Duration> {
        let heard_at = self.seat.heard_at.load(Relaxed);
        (heard_at != BUSY).then(|| Duration::from_millis(self.places.now().saturating_sub(heard_at)))
    }

    /// All the places.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Waits until it is told something.
    pub async fn leaves(&self) -> Leave {
        poll_fn(|context| self.told(context).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// What it is told; the task of `context` is woken when there is something.
    pub fn told(&self, context: &Context) -> Option<Leave> {
        self.seat.waker.register(context.waker());
        match self.seat.leave.load(Relaxed) {
            0 => None,
            leave if leave == Leave::Now as u8 => Some(Leave::Now),
            _ => Some(Leave::Drain),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.remove(&self.seat);
        self.places.0.count.store(taken.seats.len(), Relaxed);
    }
}

/// Whose share it is: an IPv6 host has a /64 of addresses to itself (RFC 6177).
fn household(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests;

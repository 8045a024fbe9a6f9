//! Places for connections: so many in all, so many for one address.
//!
//! A connection that has not asked anything yet gives its place to the next one when there is none left, the one that has
//! been silent longest first. So ten thousand that only connect lock nobody out, not even others of the same address.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections over TCP: one for each Watch that may be open and some for people. A guess.
pub const MAX_CONNECTIONS: usize = crate::watch::MAX_WATCHERS + 200;

/// Connections of one address: half of all, so that no one alone can take every place, and enough for the daemons of a site
/// that come through one gateway or run on one machine. A guess.
pub const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 2;

/// Connections over the Unix socket, in places of their own: however full TCP is, an operator gets in.
pub const MAX_LOCAL: usize = MAX_PER_ADDRESS;

/// The places of all listeners.
#[derive(Debug, Clone)]
pub struct Places {
    tcp: Arc<Semaphore>,
    local: Arc<Semaphore>,
    book: Arc<Mutex<Book>>,
}

/// Who sits where. No more entries than places.
#[derive(Debug, Default)]
struct Book {
    hosts: HashMap<IpAddr, usize>,
    /// Those that have not asked anything yet, in the order in which they came.
    silent: BTreeMap<u64, Silent>,
    last_number: u64,
}

#[derive(Debug)]
struct Silent {
    /// `None`: over the Unix socket.
    host: Option<IpAddr>,
    leave: CancellationToken,
}

/// A place that nobody has yet.
#[derive(Debug)]
pub struct Free(OwnedSemaphorePermit, Arc<Mutex<Book>>);

/// One taken place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    seat: Arc<Seat>,
    host: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

/// What the calls of a connection know of its place.
#[derive(Debug)]
pub struct Seat {
    number: u64,
    has_asked: AtomicBool,
    leave: CancellationToken,
    book: Arc<Mutex<Book>>,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            tcp: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            local: Arc::new(Semaphore::new(MAX_LOCAL)),
            book: Arc::default(),
        }
    }
}

impl Places {
    /// Waits for a place for whoever connects next over TCP.
    pub async fn tcp(&self) -> Free {
        self.free(&self.tcp, |silent| silent.host.is_some()).await
    }

    /// The same over the Unix socket.
    pub async fn local(&self) -> Free {
        self.free(&self.local, |silent| silent.host.is_none()).await
    }

    async fn free(&self, places: &Arc<Semaphore>, ours: impl Fn(&Silent) -> bool) -> Free {
        if places.available_permits() == 0 {
            locked(&self.book).dismiss(ours);
        }
        let permit = places.clone().acquire_owned().await;
        Free(permit.expect("the semaphore is never closed"), self.book.clone())
    }
}

impl Free {
    /// Gives it to `host`, unless that has its share already and all of those have asked something. No host: the Unix
    /// socket, whose peers have no address.
    pub fn take(self, host: Option<IpAddr>) -> Option<Place> {
        let Free(permit, book) = self;
        let host = host.map(|host| host.to_canonical());
        let leave = CancellationToken::new();
        let number = locked(&book).enter(host, &leave)?;
        let seat = Arc::new(Seat { number, has_asked: AtomicBool::new(false), leave, book });
        Some(Place { seat, host, _permit: permit })
    }
}

impl Book {
    fn enter(&mut self, host: Option<IpAddr>, leave: &CancellationToken) -> Option<u64> {
        if let Some(host) = host {
            let full = self.hosts.get(&host).is_some_and(|count| *count >= MAX_PER_ADDRESS);
            if full && !self.dismiss(|silent| silent.host == Some(host)) {
                return None;
            }
            *self.hosts.entry(host).or_default() += 1;
        }
        self.last_number += 1;
        self.silent.insert(self.last_number, Silent { host, leave: leave.clone() });
        Some(self.last_number)
    }

    /// Ends the connection that has been silent longest among those. Its place is free a moment later.
    fn dismiss(&mut self, among: impl Fn(&Silent) -> bool) -> bool {
        let Some(number) = self.silent.iter().find(|(_, silent)| among(silent)).map(|(number, _)| *number)
        else {
            return false;
        };
        if let Some(silent) = self.silent.remove(&number) {
            silent.leave.cancel();
        }
        true
    }

    fn leave(&mut self, host: Option<IpAddr>, number: u64) {
        self.silent.remove(&number);
        let Some(host) = host else { return };
        if let Some(count) = self.hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&host);
            }
        }
    }
}

impl Place {
    /// For the calls of this connection.
    pub fn seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }

    /// Cancelled when another one needs it more.
    pub fn leave(&self) -> CancellationToken {
        self.seat.leave.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.seat.book).leave(self.host, self.seat.number);
    }
}

impl Seat {
    /// A call has come: from now on it keeps its place.
    pub fn asks(&self) {
        if !self.has_asked.load(Ordering::Relaxed) {
            self.has_asked.store(true, Ordering::Relaxed);
            locked(&self.book).silent.remove(&self.number);
        }
    }
}

fn locked(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn host(last: u8) -> Option<IpAddr> {
        Some([10, 0, 0, last].into())
    }

    async fn busy(places: &Places, host: Option<IpAddr>) -> Place {
        let place = places.tcp().await.take(host).unwrap();
        place.seat().asks();
        place
    }

    #[tokio::test]
    async fn one_address_leaves_places_for_others() {
        let places = Places::default();
        let mut held = Vec::new();
        for _ in 0..MAX_PER_ADDRESS {
            held.push(busy(&places, host(1)).await);
        }
        assert!(places.tcp().await.take(host(1)).is_none(), "it has its share");
        let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
        assert!(places.tcp().await.take(mapped).is_none(), "the same in IPv6's spelling");
        let other = places.tcp().await.take(host(2)).expect("another one gets in");
        held.pop();
        held.push(places.tcp().await.take(host(1)).expect("a place that was given back"));
        drop((held, other));
        let book = locked(&places.book);
        assert!(book.hosts.is_empty() && book.silent.is_empty(), "nothing is kept of those who went");
        assert_eq!(places.tcp.available_permits(), MAX_CONNECTIONS);
    }

    #[tokio::test]
    async fn the_unix_socket_has_places_when_tcp_has_none() {
        let places = Places::default();
        let mut held = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            held.push(busy(&places, host((number % 2) as u8)).await);
        }
        assert!(places.tcp().now_or_never().is_none(), "nobody else is accepted");
        assert!(places.local().now_or_never().unwrap().take(None).is_some());
    }

    #[tokio::test]
    async fn who_has_not_asked_anything_makes_room_the_longest_silent_first() {
        let places = Places::default();
        let mut held = vec![busy(&places, host(1)).await];
        for _ in 1..MAX_PER_ADDRESS {
            held.push(places.tcp().await.take(host(1)).unwrap());
        }
        let gone = |held: &[Place]| {
            let is_gone = |(number, place): (usize, &Place)| place.leave().is_cancelled().then_some(number);
            held.iter().enumerate().filter_map(is_gone).collect::<Vec<_>>()
        };
        held.push(places.tcp().await.take(host(1)).expect("one of its own goes"));
        assert_eq!(gone(&held), [1], "not the one that has asked");
        held[2].seat().asks();
        held.push(places.tcp().await.take(host(1)).expect("one more"));
        assert_eq!(gone(&held), [1, 3]);
    }

    #[tokio::test]
    async fn also_when_there_is_no_place_at_all() {
        let places = Places::default();
        let mut held = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            held.push(places.tcp().await.take(host((number % 2) as u8)).unwrap());
        }
        assert!(places.tcp().now_or_never().is_none(), "not yet: who is to leave does so in its own time");
        assert!(held[0].leave().is_cancelled() && !held[held.len() - 1].leave().is_cancelled());
        held.remove(0);
        assert!(places.tcp().now_or_never().unwrap().take(host(3)).is_some());
    }
}

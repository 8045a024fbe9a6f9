//! Places for connections: so many in all, so many for one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    hosts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One taken place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// One place of an address.
#[derive(Debug)]
struct Share {
    host: IpAddr,
    hosts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place that nobody has yet.
#[derive(Debug)]
pub struct Free(OwnedSemaphorePermit, Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Default for Places {
    fn default() -> Places {
        Places {
            tcp: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            local: Arc::new(Semaphore::new(MAX_LOCAL)),
            hosts: Arc::default(),
        }
    }
}

impl Places {
    /// Waits for a place for whoever connects next over TCP.
    pub async fn tcp(&self) -> Free {
        self.free(&self.tcp).await
    }

    /// The same over the Unix socket.
    pub async fn local(&self) -> Free {
        self.free(&self.local).await
    }

    async fn free(&self, places: &Arc<Semaphore>) -> Free {
        let place = places.clone().acquire_owned().await;
        Free(place.expect("the semaphore is never closed"), self.hosts.clone())
    }
}

impl Free {
    /// Gives it to `host`, unless that has its share already. No host: the Unix socket, whose peers have no address.
    pub fn take(self, host: Option<IpAddr>) -> Option<Place> {
        let Free(place, hosts) = self;
        let share = match host {
            None => None,
            Some(host) => Some(Share::of(host.to_canonical(), hosts)?),
        };
        Some(Place { _place: place, _share: share })
    }
}

impl Share {
    fn of(host: IpAddr, hosts: Arc<Mutex<HashMap<IpAddr, usize>>>) -> Option<Share> {
        {
            let mut counts = locked(&hosts);
            let count = counts.entry(host).or_default();
            if *count >= MAX_PER_ADDRESS {
                return None;
            }
            *count += 1;
        }
        Some(Share { host, hosts })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = locked(&self.hosts);
        if let Some(count) = counts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.host);
            }
        }
    }
}

fn locked(hosts: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn host(last: u8) -> Option<IpAddr> {
        Some([10, 0, 0, last].into())
    }

    #[tokio::test]
    async fn one_address_leaves_places_for_others() {
        let places = Places::default();
        let mut held = Vec::new();
        for _ in 0..MAX_PER_ADDRESS {
            held.push(places.tcp().await.take(host(1)).unwrap());
        }
        assert!(places.tcp().await.take(host(1)).is_none(), "it has its share");
        let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
        assert!(places.tcp().await.take(mapped).is_none(), "the same in IPv6's spelling");
        let other = places.tcp().await.take(host(2)).expect("another one gets in");
        held.pop();
        held.push(places.tcp().await.take(host(1)).expect("a place that was given back"));
        drop((held, other));
        assert!(locked(&places.hosts).is_empty(), "nothing is kept of those who went");
        assert_eq!(places.tcp.available_permits(), MAX_CONNECTIONS);
    }

    #[tokio::test]
    async fn the_unix_socket_has_places_when_tcp_has_none() {
        let places = Places::default();
        let mut held = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            held.push(places.tcp().await.take(host((number % 2) as u8)).unwrap());
        }
        assert!(places.tcp().now_or_never().is_none(), "nobody else is accepted");
        assert!(places.local().now_or_never().unwrap().take(None).is_some());
    }
}

//! The index as people and metrics see it. Both look at every address: they are for now and then.

use super::{Count, Entry, Leases, Listed, Pool, State};
use std::{net::Ipv4Addr, time::Instant};

impl Leases {
    /// For people, by address.
    pub fn list(&self, now: Instant) -> Vec<Listed> {
        let mut list: Vec<Listed> =
            self.entries.iter().map(|(address, entry)| self.listed(*address, entry, now)).collect();
        list.sort_by_key(|listed| listed.address);
        list
    }

    /// One address for people; `None`: it was never given.
    pub fn at(&self, address: Ipv4Addr, now: Instant) -> Option<Listed> {
        self.entries.get(&address).map(|entry| self.listed(address, entry, now))
    }

    fn listed(&self, address: Ipv4Addr, entry: &Entry, now: Instant) -> Listed {
        Listed {
            address,
            mac: entry.mac,
            state: entry.state.label(),
            left: entry.state.until().map(|end| end.saturating_duration_since(now)),
            hostname: entry.hostname.to_string(),
            taken: self.is_anothers(entry.mac, address),
        }
    }

    /// For metrics, by pool.
    pub fn counts(&self) -> Vec<Count> {
        let zero = |pool: &Pool| Count {
            subnet: pool.subnet(),
            size: pool.size(),
            offered: 0,
            leased: 0,
            set_aside: 0,
            taken: 0,
        };
        let mut counts: Vec<Count> = self.pools.iter().map(zero).collect();
        let place = |address: &Ipv4Addr| self.pools.iter().position(|pool| pool.covers(*address));
        for (address, entry) in &self.entries {
            let Some(count) = place(address).map(|place| &mut counts[place]) else { continue };
            match entry.state {
                State::Free(_) => {}
                State::Offered(_) | State::Promised(_) => count.offered += 1,
                State::Leased(_) => count.leased += 1,
                State::SetAside(_) | State::Kept(_) => count.set_aside += 1,
            }
        }
        for address in self.taken.keys().filter(|address| !self.is_in_use(**address)) {
            if let Some(place) = place(address) {
                counts[place].taken += 1;
            }
        }
        counts
    }
}

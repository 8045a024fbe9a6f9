//! The free addresses of one subnet, least recently used first.

use ipnet::Ipv4Net;
use std::{collections::BTreeSet, net::Ipv4Addr, ops::RangeInclusive, time::Instant};

/// Ranges of a subnet. Addresses never given are counted through and take no room, so a pool may be a /8.
#[derive(Debug, Clone)]
pub struct Pool {
    subnet: Ipv4Net,
    /// Ascending, apart from each other.
    ranges: Vec<RangeInclusive<u32>>,
    /// Free ones that were given once (by the order of their use), or passed over while they were taken (0).
    free: BTreeSet<(u64, Ipv4Addr)>,
    /// Declined ones, the one that comes back first in front.
    pub(super) aside: BTreeSet<(Instant, Ipv4Addr)>,
    /// The first that was never looked at.
    next: Option<u32>,
}

impl Pool {
    /// Pools of what the configuration lists; ranges of one subnet are one pool. Longest prefixes first.
    pub fn of(listed: &[config::Pool]) -> Vec<Pool> {
        let mut pools: Vec<Pool> = Vec::new();
        for one in listed {
            let (subnet, range) = (one.subnet.trunc(), one.start.to_bits()..=one.end.to_bits());
            match pools.iter_mut().find(|pool| pool.subnet == subnet) {
                Some(pool) => pool.ranges.push(range),
                None => {
                    pools.push(Pool {
                        subnet,
                        ranges: vec![range],
                        free: BTreeSet::new(),
                        aside: BTreeSet::new(),
                        next: None,
                    });
                }
            }
        }
        for pool in &mut pools {
            pool.ranges.sort_by_key(|range| *range.start());
            pool.next = pool.ranges.first().map(|range| *range.start());
        }
        pools.sort_by_key(|pool| (std::cmp::Reverse(pool.subnet.prefix_len()), pool.subnet.network()));
        pools
    }

    /// Where its addresses can be used.
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// How many addresses it has.
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum()
    }

    /// Its ranges.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<Ipv4Addr>> {
        self.ranges
            .iter()
            .map(|range| Ipv4Addr::from_bits(*range.start())..=Ipv4Addr::from_bits(*range.end()))
    }

    /// Whether an address is in one of its ranges.
    pub fn covers(&self, address: Ipv4Addr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address.to_bits()))
    }

    /// The free address that was used longest ago; never, before any that was.
    pub(super) fn oldest(&self) -> Option<Ipv4Addr> {
        let returned = self.free.first().copied();
        match (returned, self.next) {
            (Some((0, address)), _) => Some(address),
            (_, Some(next)) => Some(Ipv4Addr::from_bits(next)),
            (returned, None) => returned.map(|(_, address)| address),
        }
    }

    /// It is not free any more.
    pub(super) fn remove(&mut self, used: u64, address: Ipv4Addr) {
        self.free.remove(&(used, address));
    }

    /// It is free. One that the count has not come to yet needs no place in the list.
    pub(super) fn put_back(&mut self, used: u64, address: Ipv4Addr) {
        let was_passed = self.next.is_none_or(|next| address.to_bits() < next);
        if used > 0 || was_passed {
            self.free.insert((used, address));
        }
    }

    /// Moves on to the next address that was never given and that nobody has.
    pub(super) fn advance(&mut self, is_used: impl Fn(Ipv4Addr) -> bool) {
        while let Some(next) = self.next
            && is_used(Ipv4Addr::from_bits(next))
        {
            self.next = self.following(next);
        }
    }

    fn following(&self, address: u32) -> Option<u32> {
        let at = self.ranges.iter().position(|range| range.contains(&address))?;
        match address < *self.ranges[at].end() {
            true => Some(address + 1),
            false => self.ranges.get(at + 1).map(|range| *range.start()),
        }
    }
}

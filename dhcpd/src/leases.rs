//! Addresses for machines SMD does not know yet: who holds which until when.
//!
//! The index in memory decides and is all that a packet touches; what it promises is written by [`store`] first.
//!
//! ```text
//!          DISCOVER          REQUEST               the row is on disk
//!   free ───────────▶ offered ───────▶ promised ────────────────────▶ leased ⟲ renewed
//!    ▲  15 s, another server ─┘  15 s ─────┘                            │
//!    ├───────────────────────────────── it ran out, RELEASE, NAK ───────┤
//!    └── set aside (an hour; the inventory's own: a minute) ◀───DECLINE─┘
//! ```
//!
//! A free address remembers who had it last, and that machine gets it back while nobody else did. Apart from all this an
//! address can be *taken*: the inventory (or we, a router, a name server) holds it, and then no pool gives it to
//! anybody else, in whatever state it is.

mod lists;
pub mod page;
mod pool;
pub mod store;
mod taken;
#[cfg(test)]
mod tests;
mod types;

pub use pool::Pool;
pub use taken::{ranges, taken};
pub use types::{Count, Hold, Listed, Taker, Update};

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use store::Row;
use values::Mac;

/// How long an offer is held. A guess: clients choose within two seconds, iPXE asks again after at most eight.
pub const OFFER_HOLD: Duration = Duration::from_secs(15);

/// How long a promise may wait for the disk before its address can be given to somebody else.
const COMMIT_HOLD: Duration = Duration::from_secs(15);

/// How long a declined address is set aside: whoever uses it without asking needs somebody to look after it. A guess.
const DECLINE_HOLD: Duration = Duration::from_secs(3600);

/// How long an address stays kept for a machine that the inventory's copy here does not hold yet: it follows within a
/// second or two.
const KEEP: Duration = Duration::from_secs(60);

/// Declines that count of one machine until it renews a lease: a broken one, which declines after each ACK (RFC 2131
/// §3.1), must not empty a pool.
const DECLINES: u8 = 3;

/// Every address in use, and those that were.
#[derive(Debug, Default)]
pub struct Leases {
    pools: Vec<Pool>,
    entries: HashMap<Ipv4Addr, Entry>,
    owners: HashMap<Mac, Owner>,
    timers: BTreeSet<(Instant, Ipv4Addr)>,
    taken: HashMap<Ipv4Addr, Taker>,
    is_complete: bool,
    is_open: bool,
    uses: u64,
}

/// An address that was given once.
#[derive(Debug, Clone)]
struct Entry {
    mac: Mac,
    state: State,
    /// The machine has it by a lease, or had.
    was_leased: bool,
    hostname: Box<str>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody's; the less, the longer ago it was used.
    Free(u64),
    Offered(Instant),
    /// Granted, and its row is on its way to the disk.
    Promised(Instant),
    Leased(Instant),
    /// Somebody uses it without having asked.
    SetAside(Instant),
    /// The inventory's, by a record that [`Leases::take`] has not brought yet.
    Kept(Instant),
}

impl State {
    fn until(self) -> Option<Instant> {
        match self {
            State::Free(_) => None,
            State::Offered(at)
            | State::Promised(at)
            | State::Leased(at)
            | State::SetAside(at)
            | State::Kept(at) => Some(at),
        }
    }

    /// By its machine.
    fn is_held(self) -> bool {
        matches!(self, State::Offered(_) | State::Promised(_) | State::Leased(_))
    }

    fn label(self) -> &'static str {
        match self {
            State::Free(_) => "free",
            State::Offered(_) | State::Promised(_) => "offered",
            State::Leased(_) => "leased",
            State::SetAside(_) => "set_aside",
            State::Kept(_) => "kept",
        }
    }
}

/// The addresses a machine holds or held last, one a subnet.
#[derive(Debug, Clone, Default)]
struct Owner {
    addresses: Vec<Ipv4Addr>,
    declined: u8,
}

impl Leases {
    /// Without leases yet.
    pub fn new(pools: Vec<Pool>) -> Leases {
        Leases { pools, ..Leases::default() }
    }

    /// The pools, the longest prefixes first.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Whether an address is one that a pool gives.
    pub fn covers(&self, address: Ipv4Addr) -> bool {
        self.pool_of(address).is_some()
    }

    /// Whether the inventory is known as a whole: else nobody can tell which addresses are free.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the store takes leases; else nothing is promised.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The store failed. [`Leases::merge`] is for when it is back.
    pub fn close(&mut self) {
        self.is_open = false;
    }

    /// How a machine holds an address, if it does.
    pub fn hold(&self, mac: Mac, address: Ipv4Addr) -> Option<Hold> {
        let entry = self.entries.get(&address).filter(|entry| entry.mac == mac)?;
        match entry.state {
            State::Offered(_) | State::Promised(_) => Some(Hold::Offered),
            State::Leased(_) => Some(Hold::Leased),
            State::Free(_) | State::SetAside(_) | State::Kept(_) => None,
        }
    }

    /// Every address a machine holds.
    pub fn holds(&self, mac: Mac) -> impl Iterator<Item = (Ipv4Addr, Hold)> {
        let owned = self.owners.get(&mac).into_iter().flat_map(|owner| &owner.addresses);
        owned.filter_map(move |address| Some((*address, self.hold(mac, *address)?)))
    }

    /// Who else has a lease on an address that still runs, or is about to be told so.
    pub fn leased_to_another(&self, mac: Mac, address: Ipv4Addr) -> Option<Mac> {
        let holder = self.entries.get(&address)?.mac;
        (holder != mac && self.is_written(holder, address)).then_some(holder)
    }

    /// Whether an address is not this machine's to have, by the inventory.
    pub fn is_anothers(&self, mac: Mac, address: Ipv4Addr) -> bool {
        let kept = self
            .entries
            .get(&address)
            .is_some_and(|entry| matches!(entry.state, State::Kept(_)) && entry.mac != mac);
        kept || self.taken.get(&address).is_some_and(|taker| *taker != Taker::One(mac))
    }

    /// Whether a machine that the inventory has with this address must be known here before a pool gives it away.
    pub fn must_keep(&self, address: Ipv4Addr) -> bool {
        let kept = |entry: &Entry| matches!(entry.state, State::Kept(_));
        self.covers(address)
            && !self.taken.contains_key(&address)
            && !self.entries.get(&address).is_some_and(kept)
    }

    /// The address a pool has for a machine: what it holds; what it had last; what it asks for; the one that was used
    /// longest ago. `None`: exhausted.
    pub fn choose(&self, pool: &Pool, mac: Mac, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let own = self.owners.get(&mac).into_iter().flat_map(|owner| &owner.addresses).copied();
        let own = own.filter(|address| pool.covers(*address) && self.can_have_back(mac, *address));
        own.max_by_key(|address| self.hold(mac, *address).is_some())
            .or(wanted.filter(|address| pool.covers(*address) && self.is_free(*address)))
            .or_else(|| pool.oldest())
    }

    fn can_have_back(&self, mac: Mac, address: Ipv4Addr) -> bool {
        let held = self.hold(mac, address).is_some();
        (held || !self.is_in_use(address)) && !self.is_anothers(mac, address)
    }

    fn is_free(&self, address: Ipv4Addr) -> bool {
        !self.taken.contains_key(&address) && !self.is_in_use(address)
    }

    /// Whether it is in any state but free.
    fn is_in_use(&self, address: Ipv4Addr) -> bool {
        self.entries.get(&address).is_some_and(|entry| !matches!(entry.state, State::Free(_)))
    }

    /// Ends what has run out. To be called before deciding; costs nothing where nothing did.
    pub fn expire(&mut self, now: Instant) {
        while let Some((at, address)) = self.timers.first().copied()
            && at <= now
        {
            self.release(address);
        }
    }

    /// Does what was decided. What has to be written goes to `changes`; `wall` is Unix seconds.
    pub fn apply(&mut self, update: &Update, now: Instant, wall: i64, changes: &mut Vec<store::Change>) {
        match *update {
            Update::Offer { mac, address } => self.offer(mac, address, now),
            Update::Grant { mac, address, time, ref hostname } => {
                self.hold_on(mac, address, now);
                let expiry = wall.saturating_add(time.into());
                changes.push(store::Change::Put(Row { mac, address, expiry, hostname: hostname.clone() }));
            }
            Update::Free { mac, address } => self.free(mac, address, wall, changes),
            Update::Forget(mac) => self.forget(mac, changes),
            Update::Withdraw(mac) => self.withdraw(mac),
            Update::SetAside { mac, address } => self.set_aside(mac, address, now, changes),
            Update::Keep { mac, address } => self.set(address, mac, State::Kept(now + KEEP)),
        }
    }

    /// The row of a grant is on disk: the lease runs until `end`, and its holder may be told. Not (`false`) where the
    /// address went another way meanwhile.
    pub fn committed(&mut self, row: &Row, end: Instant) -> bool {
        if !self.is_written(row.mac, row.address) {
            return false;
        }
        let renewed = self.hold(row.mac, row.address) == Some(Hold::Leased);
        self.set(row.address, row.mac, State::Leased(end));
        self.name(row);
        if let Some(owner) = self.owners.get_mut(&row.mac).filter(|_| renewed) {
            owner.declined = 0;
        }
        true
    }

    /// The store was opened and holds these. What memory holds counts more, for it may have been promised while another
    /// file lay there, and what it gave up while nothing could be written stays given up; what the file lacks of that is
    /// handed out for writing.
    pub fn merge(&mut self, mut rows: Vec<Row>, now: Instant, wall: i64) -> Vec<store::Change> {
        self.is_open = true;
        rows.sort_by_key(|row| (row.expiry, row.address)); // those that ended first become the oldest
        for row in &rows {
            if !self.is_news(row, wall) {
                continue;
            }
            let state = if row.expiry > wall {
                State::Leased(until(row, now, wall))
            } else {
                self.uses += 1;
                State::Free(self.uses)
            };
            self.set(row.address, row.mac, state);
            self.name(row);
        }
        let held: HashMap<Ipv4Addr, &Row> = rows.iter().map(|row| (row.address, row)).collect();
        let lacks = |(address, entry): (&Ipv4Addr, &Entry)| {
            let its = held.get(address).filter(|row| row.mac == entry.mac).map(|row| row.expiry);
            let expiry = match entry.state {
                State::Leased(end) => {
                    wall.saturating_add(end.saturating_duration_since(now).as_secs() as i64)
                }
                State::Free(_) => wall,
                _ => return None,
            };
            let is_right = match entry.state {
                State::Leased(_) => its.is_some_and(|its| its >= expiry),
                _ => its.is_none_or(|its| its <= expiry),
            };
            if is_right {
                return None;
            }
            let (mac, hostname) = (entry.mac, entry.hostname.to_string());
            Some(store::Change::Put(Row { mac, address: *address, expiry, hostname }))
        };
        self.entries.iter().filter_map(lacks).collect()
    }

    /// Whether a row says more than memory knows. A lease of another machine that runs was promised, which an offer was
    /// not; of its own lease a machine's entry knows better whether it still runs.
    fn is_news(&self, row: &Row, wall: i64) -> bool {
        self.entries.get(&row.address).is_none_or(|entry| {
            let is_free = matches!(entry.state, State::Free(_) | State::Offered(_));
            is_free && entry.mac != row.mac && row.expiry > wall
        })
    }

    /// Which addresses of the pools belong to somebody, and whether all of them are known.
    pub fn take(&mut self, taken: HashMap<Ipv4Addr, Taker>, is_complete: bool) {
        let before = std::mem::replace(&mut self.taken, taken);
        self.is_complete = is_complete;
        let lost: Vec<Ipv4Addr> =
            before.keys().filter(|address| !self.taken.contains_key(address)).copied().collect();
        let gained: Vec<Ipv4Addr> =
            self.taken.keys().filter(|address| !before.contains_key(address)).copied().collect();
        for address in gained {
            let used = self.used(address);
            if let Some(pool) = self.pool_of_mut(address) {
                pool.remove(used, address);
            }
        }
        for address in lost {
            let (is_in_use, used) = (self.is_in_use(address), self.used(address));
            if let Some(pool) = self.pool_of_mut(address).filter(|_| !is_in_use) {
                pool.put_back(used, address);
            }
        }
        self.advance(|_| true);
    }

    /// Other pools. What is leased outside of them stays so until it runs out.
    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        let mut next = Leases { pools, uses: self.uses, is_open: self.is_open, ..Leases::default() };
        let mut entries: Vec<(Ipv4Addr, Entry)> = self.entries.drain().collect();
        entries.sort_by_key(|(address, entry)| match entry.state {
            State::Free(used) => (used, *address),
            _ => (u64::MAX, *address),
        });
        for (address, entry) in entries {
            let declined = self.owners.get(&entry.mac).map_or(0, |owner| owner.declined);
            next.set(address, entry.mac, entry.state);
            next.entries.insert(address, entry.clone());
            next.owners.entry(entry.mac).and_modify(|owner| owner.declined = declined);
        }
        *self = next;
    }

    fn offer(&mut self, mac: Mac, address: Ipv4Addr, now: Instant) {
        // What is leased to it stays leased: an offer of the same takes nothing away.
        if !self.is_written(mac, address) {
            self.set(address, mac, State::Offered(now + OFFER_HOLD));
        }
    }

    /// An address that waits for the disk is held meanwhile.
    fn hold_on(&mut self, mac: Mac, address: Ipv4Addr, now: Instant) {
        let least = now + COMMIT_HOLD;
        match self.entries.get(&address).filter(|entry| entry.mac == mac).map(|entry| entry.state) {
            Some(State::Leased(end)) => self.set(address, mac, State::Leased(end.max(least))),
            _ => self.set(address, mac, State::Promised(least)),
        }
    }

    /// Whether a machine's hold on an address is on disk, or on its way there.
    fn is_written(&self, mac: Mac, address: Ipv4Addr) -> bool {
        let state = self.entries.get(&address).filter(|entry| entry.mac == mac).map(|entry| entry.state);
        matches!(state, Some(State::Promised(_) | State::Leased(_)))
    }

    fn free(&mut self, mac: Mac, address: Ipv4Addr, wall: i64, changes: &mut Vec<store::Change>) {
        let Some(entry) = self.entries.get(&address).filter(|entry| entry.mac == mac) else { return };
        let hostname = entry.hostname.to_string();
        match entry.state {
            State::Leased(_) => {
                changes.push(store::Change::Put(Row { mac, address, expiry: wall, hostname }))
            }
            State::Promised(_) => changes.push(store::Change::Remove(address)),
            State::Offered(_) => {}
            State::Free(_) | State::SetAside(_) | State::Kept(_) => return,
        }
        self.release(address);
    }

    fn forget(&mut self, mac: Mac, changes: &mut Vec<store::Change>) {
        let held: Vec<Ipv4Addr> = self.holds(mac).map(|(address, _)| address).collect();
        for address in held {
            self.unwrite(mac, address, changes);
            self.release(address);
        }
    }

    fn unwrite(&self, mac: Mac, address: Ipv4Addr, changes: &mut Vec<store::Change>) {
        if self.is_written(mac, address) {
            changes.push(store::Change::Remove(address));
        }
    }

    fn withdraw(&mut self, mac: Mac) {
        let held = self.holds(mac).map(|(address, _)| address);
        let offered: Vec<Ipv4Addr> = held.filter(|address| !self.is_written(mac, *address)).collect();
        for address in offered {
            self.release(address);
        }
    }

    fn set_aside(&mut self, mac: Mac, address: Ipv4Addr, now: Instant, changes: &mut Vec<store::Change>) {
        if self.hold(mac, address).is_none() {
            return;
        }
        self.unwrite(mac, address, changes);
        let owner = self.owners.entry(mac).or_default();
        owner.declined = owner.declined.saturating_add(1);
        if owner.declined > DECLINES {
            // Not its own any more: the next one may suit it.
            owner.addresses.retain(|owned| *owned != address);
            return self.release(address);
        }
        self.make_room_aside(address);
        self.set(address, mac, State::SetAside(now + DECLINE_HOLD));
    }

    /// At most a tenth of a pool, at least one, is set aside: the one that was so longest goes back.
    fn make_room_aside(&mut self, address: Ipv4Addr) {
        let Some(pool) = self.pool_of(address) else { return };
        let limit = (pool.size() / 10).max(1) as usize;
        let surplus = (pool.aside.len() + 1).saturating_sub(limit);
        let oldest: Vec<Ipv4Addr> = pool.aside.iter().take(surplus).map(|(_, address)| *address).collect();
        for address in oldest {
            self.release(address);
        }
    }

    /// Back into the pool, unless somebody else took it. An offer that came to nothing leaves no trace: who asks with one MAC
    /// after the other takes neither memory nor the addresses that others had last.
    fn release(&mut self, address: Ipv4Addr) {
        let Some(entry) = self.entries.get(&address) else { return };
        match entry.state {
            State::Offered(end) if !entry.was_leased => self.unuse(address, entry.mac, end),
            _ => {
                let mac = entry.mac;
                self.uses += 1;
                self.set(address, mac, State::Free(self.uses));
            }
        }
    }

    fn unuse(&mut self, address: Ipv4Addr, mac: Mac, end: Instant) {
        self.timers.remove(&(end, address));
        self.entries.remove(&address);
        self.disown(mac, address);
        let is_taken = self.taken.contains_key(&address);
        if let Some(pool) = self.pool_of_mut(address).filter(|_| !is_taken) {
            pool.put_back(0, address);
        }
    }

    /// The one way in which an address changes hands or state.
    fn set(&mut self, address: Ipv4Addr, mac: Mac, state: State) {
        let before = self.entries.get(&address).map(|entry| (entry.mac, entry.state));
        if let Some(end) = before.and_then(|(_, state)| state.until()) {
            self.timers.remove(&(end, address));
        }
        match before {
            Some((owner, _)) if owner != mac => {
                self.disown(owner, address);
                self.own(mac, address);
            }
            // Its own of long ago may no longer be thought of as that.
            Some((_, before)) if state.is_held() && !before.is_held() => self.own(mac, address),
            Some(_) => {}
            None => self.own(mac, address),
        }
        let used = self.used(address);
        let is_taken = self.taken.contains_key(&address);
        if let Some(pool) = self.pool_of_mut(address) {
            pool.remove(used, address);
            if let Some((_, State::SetAside(end))) = before {
                pool.aside.remove(&(end, address));
            }
            match state {
                State::Free(used) if !is_taken => pool.put_back(used, address),
                State::SetAside(end) => _ = pool.aside.insert((end, address)),
                _ => {}
            }
        }
        if let Some(end) = state.until() {
            self.timers.insert((end, address));
        }
        let new = || Entry { mac, state, was_leased: false, hostname: Box::default() };
        let entry = self.entries.entry(address).or_insert_with(new);
        if entry.mac != mac {
            *entry = new();
        }
        entry.state = state;
        entry.was_leased |= !matches!(state, State::Offered(_));
        self.advance(|pool| pool.covers(address));
    }

    fn name(&mut self, row: &Row) {
        if let Some(entry) = self.entries.get_mut(&row.address)
            && *entry.hostname != *row.hostname
        {
            entry.hostname = row.hostname.as_str().into();
        }
    }

    /// One address a pool: what the machine had there before is no longer thought of as its own, unless it holds it.
    fn own(&mut self, mac: Mac, address: Ipv4Addr) {
        let pool = self.pools.iter().position(|pool| pool.covers(address));
        let owned = self.owners.get(&mac).map(|owner| owner.addresses.clone()).unwrap_or_default();
        let stays = |other: &Ipv4Addr| {
            self.hold(mac, *other).is_some() || self.pools.iter().position(|pool| pool.covers(*other)) != pool
        };
        let mut kept: Vec<Ipv4Addr> = owned.into_iter().filter(stays).collect();
        kept.push(address);
        self.owners.entry(mac).or_default().addresses = kept;
    }

    fn disown(&mut self, mac: Mac, address: Ipv4Addr) {
        if let Some(owner) = self.owners.get_mut(&mac) {
            owner.addresses.retain(|owned| *owned != address);
            if owner.addresses.is_empty() {
                self.owners.remove(&mac);
            }
        }
    }

    /// The order in which a free address was used.
    fn used(&self, address: Ipv4Addr) -> u64 {
        match self.entries.get(&address).map(|entry| entry.state) {
            Some(State::Free(used)) => used,
            _ => 0,
        }
    }

    fn pool_of(&self, address: Ipv4Addr) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.covers(address))
    }

    fn pool_of_mut(&mut self, address: Ipv4Addr) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.covers(address))
    }

    /// The next unused address of these pools is one that can be given.
    fn advance(&mut self, which: impl Fn(&Pool) -> bool) {
        let (entries, taken) = (&self.entries, &self.taken);
        for pool in self.pools.iter_mut().filter(|pool| which(pool)) {
            pool.advance(|address| entries.contains_key(&address) || taken.contains_key(&address));
        }
    }
}

/// When a row's lease ends, on our clock.
fn until(row: &Row, now: Instant, wall: i64) -> Instant {
    let left = row.expiry.saturating_sub(wall).clamp(0, u32::MAX.into());
    now + Duration::from_secs(left as u64)
}

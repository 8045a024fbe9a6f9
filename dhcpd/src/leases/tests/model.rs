//! Whatever happens in whatever order: a naive index that looks at every address says the same.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MACHINES: u8 = 5;
/// Twelve addresses in two pools of which one lies in the other, and what a configuration may make of them.
const POOLS: [&[(&str, &str, &str)]; 3] = [
    &[
        ("10.0.0.0/28", "10.0.0.1", "10.0.0.3"),
        ("10.0.0.0/28", "10.0.0.6", "10.0.0.8"),
        ("10.0.0.0/24", "10.0.0.20", "10.0.0.25"),
    ],
    &[("10.0.0.0/24", "10.0.0.20", "10.0.0.22")],
    &[("10.0.0.0/28", "10.0.0.1", "10.0.0.7")],
];

#[derive(Debug, Clone)]
enum Step {
    /// DISCOVER: the pool's address for it is offered.
    Discover {
        pool: usize,
        number: u8,
        wanted: u8,
    },
    /// REQUEST for what it holds.
    Request {
        number: u8,
        time: u32,
    },
    Free {
        number: u8,
        address: u8,
    },
    Decline {
        number: u8,
        address: u8,
    },
    Forget(u8),
    Withdraw(u8),
    Keep {
        number: u8,
        address: u8,
    },
    /// The thread that writes has done so.
    Commit,
    Later(u32),
    /// Whose these addresses are from now on; 9: several machines'.
    Take(Vec<(u8, u8)>),
    Pools(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..MACHINES;
    let address = || prop_oneof![1u8..9, 20u8..26];
    prop_oneof![
        6 => (0usize..2, number(), address()).prop_map(|(pool, number, wanted)| Step::Discover { pool, number, wanted }),
        6 => (number(), 1u32..90).prop_map(|(number, time)| Step::Request { number, time }),
        1 => (number(), address()).prop_map(|(number, address)| Step::Free { number, address }),
        2 => (number(), address()).prop_map(|(number, address)| Step::Decline { number, address }),
        1 => number().prop_map(Step::Forget),
        1 => number().prop_map(Step::Withdraw),
        1 => (number(), address()).prop_map(|(number, address)| Step::Keep { number, address }),
        4 => Just(Step::Commit),
        3 => prop_oneof![1u32..20, 50u32..4000].prop_map(Step::Later),
        2 => prop::collection::vec((address(), prop_oneof![number(), Just(9)]), 0..6).prop_map(Step::Take),
        1 => (0usize..3).prop_map(Step::Pools),
        1 => Just(Step::Restart),
    ]
}

/// What the naive index knows of an address.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    /// The higher, the later.
    Free(u64),
    Offered(u32),
    Promised(u32),
    Leased(u32),
    Aside(u32),
    Kept(u32),
}

/// The index, the file, and beside them the naive index.
struct World {
    scene: Scene,
    pools: usize,
    disk: BTreeMap<Ipv4Addr, Row>,
    /// What waits for the disk, and when a lease that is granted ends.
    queue: Vec<(Change, Option<u32>)>,
    naive: BTreeMap<Ipv4Addr, (Mac, Is)>,
    taken: BTreeMap<Ipv4Addr, Taker>,
    /// Rows on disk that nobody was told of.
    untold: BTreeSet<Ipv4Addr>,
    /// See [`World::remember`].
    had: BTreeMap<Ipv4Addr, Mac>,
    uses: u64,
}

impl World {
    fn new() -> World {
        World {
            scene: Scene::new(POOLS[0]),
            pools: 0,
            disk: BTreeMap::new(),
            queue: Vec::new(),
            naive: BTreeMap::new(),
            taken: BTreeMap::new(),
            untold: BTreeSet::new(),
            had: BTreeMap::new(),
            uses: 0,
        }
    }

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn holds(&self, mac: Mac, address: Ipv4Addr) -> bool {
        matches!(self.naive.get(&address), Some((holder, Is::Offered(_) | Is::Promised(_) | Is::Leased(_))) if *holder == mac)
    }

    /// On disk, or on its way there.
    fn is_written(&self, mac: Mac, address: Ipv4Addr) -> bool {
        matches!(self.naive.get(&address), Some((holder, Is::Promised(_) | Is::Leased(_))) if *holder == mac)
    }

    fn is_anothers(&self, mac: Mac, address: Ipv4Addr) -> bool {
        let kept = matches!(self.naive.get(&address), Some((holder, Is::Kept(_))) if *holder != mac);
        kept || self.taken.get(&address).is_some_and(|taker| *taker != Taker::One(mac))
    }

    /// `None`: somebody has it. `Some(0)`: it was never given.
    fn free_since(&self, address: Ipv4Addr) -> Option<u64> {
        match self.naive.get(&address) {
            None => Some(0),
            Some((_, Is::Free(used))) => Some(*used),
            Some(_) => None,
        }
    }

    /// An offer that came to nothing is as if it had not been.
    fn free(&mut self, address: Ipv4Addr) {
        match self.naive.get(&address).copied() {
            Some((mac, Is::Offered(_))) if self.had.get(&address) != Some(&mac) => {
                self.naive.remove(&address);
            }
            Some((mac, _)) => {
                self.uses += 1;
                self.naive.insert(address, (mac, Is::Free(self.uses)));
            }
            None => {}
        }
    }

    /// Who has or had each address by more than an offer, as long as nobody else was offered it.
    fn remember(&mut self) {
        for (address, (mac, is)) in &self.naive {
            match is {
                Is::Offered(_) if self.had.get(address) != Some(mac) => _ = self.had.remove(address),
                Is::Offered(_) => {}
                _ => _ = self.had.insert(*address, *mac),
            }
        }
    }

    fn all(&self) -> Vec<Ipv4Addr> {
        let pools = self.scene.leases.pools();
        let ranges = pools.iter().flat_map(Pool::ranges);
        ranges
            .flat_map(|range| (range.start().to_bits()..=range.end().to_bits()).map(Ipv4Addr::from_bits))
            .collect()
    }

    fn apply(&mut self, update: Update, end: Option<u32>) {
        let changes = self.scene.apply(update);
        self.queue.extend(changes.into_iter().map(|change| (change, end)));
    }

    fn step(&mut self, step: &Step) {
        let now = self.scene.seconds;
        match *step {
            Step::Discover { pool, number, wanted } => {
                self.discover(pool, mac(number), World::address(wanted))
            }
            Step::Request { number, time } => self.request(mac(number), time),
            Step::Free { number, address } => {
                let (mac, address) = (mac(number), World::address(address));
                if self.holds(mac, address) {
                    self.free(address);
                }
                self.apply(Update::Free { mac, address }, None);
            }
            Step::Decline { number, address } => {
                let (mac, address) = (mac(number), World::address(address));
                let held = self.holds(mac, address);
                self.apply(Update::SetAside { mac, address }, None);
                if held {
                    self.follow_decline(mac, address, now);
                }
            }
            Step::Forget(number) => {
                self.release_all(mac(number), true);
                self.apply(Update::Forget(mac(number)), None);
            }
            Step::Withdraw(number) => {
                self.release_all(mac(number), false);
                self.apply(Update::Withdraw(mac(number)), None);
            }
            Step::Keep { number, address } => {
                let (mac, address) = (mac(number), World::address(address));
                let leases = &self.scene.leases;
                if leases.must_keep(address) && leases.leased_to_another(mac, address).is_none() {
                    self.release_all(mac, true);
                    self.apply(Update::Forget(mac), None);
                    self.naive.insert(address, (mac, Is::Kept(now + KEEP.as_secs() as u32)));
                    self.apply(Update::Keep { mac, address }, None);
                }
            }
            Step::Commit => {
                self.commit();
                self.later(0); // a lease may have ended before its row was written
            }
            Step::Later(seconds) => self.later(seconds),
            Step::Take(ref list) => {
                let taker = |number| if number == 9 { Taker::Others } else { Taker::One(mac(number)) };
                self.taken =
                    list.iter().map(|(last, number)| (World::address(*last), taker(*number))).collect();
                self.retake();
            }
            Step::Pools(pools) => {
                self.pools = pools;
                self.scene.leases.set_pools(super::pools(POOLS[pools]));
                self.retake();
            }
            Step::Restart => self.restart(),
        }
    }

    fn retake(&mut self) {
        self.scene.leases.take(self.taken.clone().into_iter().collect(), true);
    }

    /// The address that is chosen is one that may be, and by the right rank.
    fn discover(&mut self, pool: usize, mac: Mac, wanted: Ipv4Addr) {
        let Some(pool) = self.scene.leases.pools().get(pool) else { return };
        let all = || self.all().into_iter().filter(|address| pool.covers(*address));
        let usable = |address: &Ipv4Addr| !self.is_anothers(mac, *address);
        let held: Vec<_> = all().filter(|address| self.holds(mac, *address)).filter(usable).collect();
        let last =
            |address: &Ipv4Addr| matches!(self.naive.get(address), Some((had, Is::Free(_))) if *had == mac);
        let had: Vec<_> = all().filter(last).filter(usable).collect();
        let is_free =
            |address: &Ipv4Addr| !self.taken.contains_key(address) && self.free_since(*address).is_some();
        let oldest = all().filter(is_free).filter_map(|address| self.free_since(address)).min();
        let chosen = self.scene.leases.choose(pool, mac, Some(wanted));
        match chosen {
            None => assert!(held.is_empty() && oldest.is_none(), "{mac} finds nothing in {pool:?}"),
            Some(address) if !held.is_empty() => assert!(held.contains(&address), "{address}, not {held:?}"),
            Some(address) if had.contains(&address) => {}
            Some(address) => {
                assert!(is_free(&address) && pool.covers(address), "{address} is not free");
                let is_wanted = pool.covers(wanted) && is_free(&wanted);
                match is_wanted {
                    true => assert_eq!(address, wanted),
                    false => assert_eq!(self.free_since(address), oldest, "{address} is not the oldest"),
                }
            }
        }
        let Some(address) = chosen else { return };
        let until = self.scene.seconds + OFFER_HOLD.as_secs() as u32;
        if !self.is_written(mac, address) {
            self.naive.insert(address, (mac, Is::Offered(until)));
        }
        self.apply(Update::Offer { mac, address }, None);
    }

    fn request(&mut self, mac: Mac, time: u32) {
        let held = self.naive.keys().copied().find(|address| self.holds(mac, *address));
        let Some(address) = held.filter(|address| !self.is_anothers(mac, *address)) else { return };
        let least = self.scene.seconds + COMMIT_HOLD.as_secs() as u32;
        self.naive.entry(address).and_modify(|(_, is)| match is {
            Is::Leased(end) => *end = (*end).max(least),
            other => *other = Is::Promised(least),
        });
        let end = self.scene.seconds + time;
        self.apply(Update::Grant { mac, address, time, hostname: String::new() }, Some(end));
    }

    /// The bounds have tests of their own: which one came back to make room is taken from the index.
    fn follow_decline(&mut self, mac: Mac, address: Ipv4Addr, now: u32) {
        let states: BTreeMap<_, _> = self
            .scene
            .leases
            .list(self.scene.now())
            .into_iter()
            .map(|one| (one.address, one.state))
            .collect();
        let aside: Vec<_> = self
            .naive
            .iter()
            .filter(|(_, (_, is))| matches!(is, Is::Aside(_)))
            .map(|(address, _)| *address)
            .collect();
        for before in aside.into_iter().filter(|before| states[before] == "free") {
            self.free(before);
        }
        match states.get(&address) {
            None | Some(&"free") => self.free(address),
            _ => _ = self.naive.insert(address, (mac, Is::Aside(now + DECLINE_HOLD.as_secs() as u32))),
        }
    }

    fn release_all(&mut self, mac: Mac, with_leases: bool) {
        let released = |(address, (holder, is)): (&Ipv4Addr, &(Mac, Is))| {
            let is_held = matches!(is, Is::Offered(_)) || (with_leases && self.is_written(mac, *address));
            (*holder == mac && is_held).then_some(*address)
        };
        let all: Vec<_> = self.naive.iter().filter_map(released).collect();
        // In which order is of no promise: as the index has it.
        let order: Vec<_> = self.scene.leases.holds(mac).map(|(address, _)| address).collect();
        assert!(all.iter().all(|address| order.contains(address)), "{mac} holds {all:?}, not {order:?}");
        order.into_iter().filter(|address| all.contains(address)).for_each(|address| self.free(address));
    }

    fn commit(&mut self) {
        for (change, end) in std::mem::take(&mut self.queue) {
            match change {
                Change::Remove(address) => _ = self.disk.remove(&address),
                Change::Put(row) => {
                    self.disk.insert(row.address, row.clone());
                    self.untold.remove(&row.address);
                    if let Some(end) = end {
                        self.committed(&row, end);
                    }
                }
            }
        }
    }

    fn committed(&mut self, row: &Row, end: u32) {
        let told = self.scene.leases.committed(row, self.scene.start + Duration::from_secs(end.into()));
        assert_eq!(told, self.is_written(row.mac, row.address), "{row:?}");
        match told {
            true => _ = self.naive.insert(row.address, (row.mac, Is::Leased(end))),
            false => _ = self.untold.insert(row.address),
        }
    }

    fn later(&mut self, seconds: u32) {
        self.scene.later(seconds);
        let now = self.scene.seconds;
        let end = |is: &Is| match is {
            Is::Free(_) => None,
            Is::Offered(end) | Is::Promised(end) | Is::Leased(end) | Is::Aside(end) | Is::Kept(end) => {
                Some(*end)
            }
        };
        let mut ended: Vec<(u32, Ipv4Addr)> = self
            .naive
            .iter()
            .filter_map(|(address, (_, is))| Some((end(is).filter(|end| *end <= now)?, *address)))
            .collect();
        ended.sort();
        ended.into_iter().for_each(|(_, address)| self.free(address));
    }

    /// What was told is there again, with the same end.
    fn restart(&mut self) {
        self.commit();
        self.later(0);
        let leased = |leases: &Leases, now| -> BTreeMap<_, _> {
            leases
                .list(now)
                .into_iter()
                .filter(|one| one.state == "leased")
                .map(|one| (one.address, (one.mac, one.left)))
                .collect()
        };
        let now = self.scene.now();
        let before = leased(&self.scene.leases, now);
        let mut again = Leases::new(pools(POOLS[self.pools]));
        let missing = again.merge(self.disk.values().cloned().collect(), now, self.scene.wall());
        assert_eq!(missing, []);
        let mut after = leased(&again, now);
        after.retain(|address, _| before.contains_key(address) || !self.untold.contains(address));
        assert_eq!(after, before);
        // Of the others the file knows nothing; go on with what was there, so that the naive index need not read files.
        self.check();
    }

    fn check(&mut self) {
        self.remember();
        let leases = &self.scene.leases;
        let seen: BTreeMap<_, _> =
            leases.list(self.scene.now()).into_iter().map(|one| (one.address, one)).collect();
        assert_eq!(seen.len(), self.naive.len());
        for (address, (mac, is)) in &self.naive {
            let one = &seen[address];
            let (state, end) = match *is {
                Is::Free(_) => ("free", None),
                Is::Offered(end) | Is::Promised(end) => ("offered", Some(end)),
                Is::Leased(end) => ("leased", Some(end)),
                Is::Aside(end) => ("set_aside", Some(end)),
                Is::Kept(end) => ("kept", Some(end)),
            };
            let left = end.map(|end| Duration::from_secs((end - self.scene.seconds).into()));
            assert_eq!((one.mac, one.state, one.left), (*mac, state, left), "{address}");
            for number in 0..MACHINES {
                let who = super::mac(number);
                let listed = leases.holds(who).any(|(held, _)| held == *address);
                assert_eq!(listed, self.holds(who, *address), "{address} of {who}");
                assert_eq!(leases.is_anothers(who, *address), self.is_anothers(who, *address));
            }
        }
        for count in leases.counts() {
            let pool = leases.pools().iter().find(|pool| pool.subnet() == count.subnet).unwrap();
            let all = self.all().into_iter().filter(|address| pool.covers(*address));
            let free = all
                .filter(|address| self.free_since(*address).is_some() && !self.taken.contains_key(address));
            let used = count.offered + count.leased + count.set_aside + count.taken;
            assert_eq!(used + free.count() as u64, count.size, "{count:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn whatever_happens_the_index_is_what_a_naive_one_is(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}

//! What the index promises, each by name; all of it together by a naive one beside it in [`model`].

mod failure;
mod model;
mod taken;

use super::*;
use store::Change;

/// Unix seconds at which these tests begin.
const WALL: i64 = 1_800_000_000;
const HOUR: u32 = 3600;

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn pools(listed: &[(&str, &str, &str)]) -> Vec<Pool> {
    let pool = |(subnet, start, end): &(&str, &str, &str)| config::Pool {
        subnet: subnet.parse().unwrap(),
        start: ip(start),
        end: ip(end),
    };
    Pool::of(&listed.iter().map(pool).collect::<Vec<_>>())
}

/// An index beside a clock.
struct Scene {
    leases: Leases,
    start: Instant,
    seconds: u32,
    /// What the wall clock is wrong by.
    jumped: i64,
}

impl Scene {
    fn new(listed: &[(&str, &str, &str)]) -> Scene {
        let mut leases = Leases::new(pools(listed));
        leases.take(HashMap::new(), true);
        assert_eq!(leases.merge(Vec::new(), Instant::now(), WALL), [], "an empty file, an empty memory");
        Scene { leases, start: Instant::now(), seconds: 0, jumped: 0 }
    }

    /// One pool of 10.0.0.1 to this one.
    fn of(last: u8) -> Scene {
        Scene::new(&[("10.0.0.0/24", "10.0.0.1", &format!("10.0.0.{last}"))])
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds.into())
    }

    fn wall(&self) -> i64 {
        WALL + i64::from(self.seconds) + self.jumped
    }

    fn later(&mut self, seconds: u32) {
        self.seconds += seconds;
        self.leases.expire(self.now());
    }

    fn apply(&mut self, update: Update) -> Vec<Change> {
        let mut changes = Vec::new();
        let (now, wall) = (self.now(), self.wall());
        self.leases.apply(&update, now, wall, &mut changes);
        changes
    }

    /// The address that the first pool has for it.
    fn choose(&self, number: u8) -> Option<Ipv4Addr> {
        self.leases.choose(&self.leases.pools()[0], mac(number), None)
    }

    fn offer(&mut self, number: u8) -> Ipv4Addr {
        let address = self.choose(number).expect("a free address");
        assert_eq!(self.apply(Update::Offer { mac: mac(number), address }), [], "offers are not written");
        address
    }

    /// What is written before the machine is told.
    fn grant(&mut self, number: u8, address: Ipv4Addr, time: u32) -> Row {
        let hostname = format!("host{number}");
        let changes = self.apply(Update::Grant { mac: mac(number), address, time, hostname });
        let [Change::Put(row)] = &changes[..] else { panic!("{changes:?}") };
        row.clone()
    }

    fn lease(&mut self, number: u8, time: u32) -> Row {
        let address = self.offer(number);
        let row = self.grant(number, address, time);
        assert!(self.leases.committed(&row, self.now() + Duration::from_secs(time.into())));
        row
    }

    fn hold(&self, number: u8, address: &str) -> Option<Hold> {
        self.leases.hold(mac(number), ip(address))
    }

    fn take(&mut self, taken: &[(&str, Taker)]) {
        self.leases.take(taken.iter().map(|(address, taker)| (ip(address), *taker)).collect(), true);
    }
}

#[test]
fn an_offer_is_held_for_its_machine_and_for_a_while_only() {
    let mut scene = Scene::of(2);
    assert_eq!(scene.offer(1), ip("10.0.0.1"));
    assert_eq!(scene.choose(1), Some(ip("10.0.0.1")), "asked again, the same");
    assert_eq!(scene.offer(2), ip("10.0.0.2"));
    assert_eq!(scene.choose(3), None, "all are promised");
    scene.later(OFFER_HOLD.as_secs() as u32);
    assert_eq!(scene.choose(3), Some(ip("10.0.0.1")));
}

#[test]
fn a_lease_runs_when_its_row_is_on_disk_and_until_it_ends() {
    let mut scene = Scene::of(1);
    let address = scene.offer(1);
    let row = scene.grant(1, address, HOUR);
    assert_eq!(row, Row { mac: mac(1), address, expiry: WALL + i64::from(HOUR), hostname: "host1".into() });
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Offered), "not before");
    assert!(scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
    scene.later(HOUR - 1);
    assert_eq!((scene.hold(1, "10.0.0.1"), scene.choose(2)), (Some(Hold::Leased), None));
    scene.later(1);
    assert_eq!((scene.hold(1, "10.0.0.1"), scene.choose(2)), (None, Some(address)));
}

#[test]
fn a_grant_that_came_too_late_to_the_disk_is_told_nobody() {
    let mut scene = Scene::of(1);
    let address = scene.offer(1);
    let row = scene.grant(1, address, HOUR);
    scene.later(COMMIT_HOLD.as_secs() as u32);
    assert_eq!(scene.offer(2), address, "the disk hung for too long");
    assert!(!scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
    assert_eq!((scene.hold(1, "10.0.0.1"), scene.hold(2, "10.0.0.1")), (None, Some(Hold::Offered)));
}

#[test]
fn a_renewal_that_waits_for_the_disk_keeps_the_lease_meanwhile() {
    let mut scene = Scene::of(1);
    let row = scene.lease(1, HOUR);
    scene.later(HOUR - 1);
    scene.grant(1, row.address, HOUR);
    scene.later(2);
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Leased));
    scene.later(COMMIT_HOLD.as_secs() as u32);
    assert_eq!(scene.hold(1, "10.0.0.1"), None, "it was never written");
}

#[test]
fn a_machine_gets_what_it_had_while_nobody_else_does() {
    let mut scene = Scene::of(3);
    for number in [1, 2] {
        scene.lease(number, HOUR);
    }
    scene.later(HOUR);
    assert_eq!(scene.choose(2), Some(ip("10.0.0.2")));
    assert_eq!(scene.offer(9), ip("10.0.0.3"), "one that nobody ever had");
    assert_eq!(scene.offer(8), ip("10.0.0.1"), "then the one that was free for longest");
    assert_eq!(scene.choose(1), Some(ip("10.0.0.2")), "its own is gone");
}

#[test]
fn a_machine_that_comes_back_to_an_address_of_long_ago_holds_that_one_alone() {
    let mut scene = Scene::of(2);
    let first = scene.offer(1);
    scene.take(&[("10.0.0.1", Taker::One(mac(99)))]);
    scene.later(20);
    let second = scene.offer(1);
    assert_ne!(first, second);
    scene.later(20);
    scene.take(&[]);
    assert_eq!(scene.apply(Update::Offer { mac: mac(2), address: second }), []);
    assert_eq!(scene.offer(1), first);
    assert_eq!(scene.leases.holds(mac(1)).collect::<Vec<_>>(), [(first, Hold::Offered)]);
    scene.apply(Update::Withdraw(mac(1)));
    assert_eq!(scene.leases.holds(mac(1)).next(), None);
}

#[test]
fn what_is_asked_for_is_given_where_it_is_free() {
    let mut scene = Scene::of(9);
    let asks = |scene: &Scene, number, wanted| {
        scene.leases.choose(&scene.leases.pools()[0], mac(number), Some(ip(wanted)))
    };
    assert_eq!(asks(&scene, 1, "10.0.0.7"), Some(ip("10.0.0.7")));
    scene.apply(Update::Offer { mac: mac(1), address: ip("10.0.0.7") });
    assert_eq!(asks(&scene, 1, "10.0.0.8"), Some(ip("10.0.0.7")), "what it holds counts more");
    assert_eq!(asks(&scene, 2, "10.0.0.7"), Some(ip("10.0.0.1")), "another's");
    assert_eq!(asks(&scene, 2, "10.0.0.10"), Some(ip("10.0.0.1")), "not the pool's");
    scene.take(&[("10.0.0.8", Taker::One(mac(99)))]);
    assert_eq!(asks(&scene, 2, "10.0.0.8"), Some(ip("10.0.0.1")), "the inventory's");
}

#[test]
fn what_the_inventory_takes_no_pool_gives_and_gives_again_when_it_is_free() {
    let mut scene = Scene::of(3);
    scene.lease(1, HOUR);
    scene.take(&[
        ("10.0.0.1", Taker::One(mac(99))),
        ("10.0.0.2", Taker::Others),
        ("10.0.0.3", Taker::One(mac(98))),
    ]);
    assert!(scene.leases.is_anothers(mac(1), ip("10.0.0.1")));
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Leased), "until it is told");
    assert_eq!([1, 2].map(|number| scene.choose(number)), [None, None]);
    scene.later(HOUR);
    assert_eq!(scene.choose(1), None, "nor when it ran out");
    scene.take(&[]);
    let mut given: Vec<_> = [1, 2, 3].map(|number| scene.offer(number)).into();
    given.sort();
    assert_eq!(given, [1, 2, 3].map(|last| Ipv4Addr::new(10, 0, 0, last)), "none is lost");
}

#[test]
fn an_address_that_is_the_machines_own_in_the_inventory_is_not_anothers() {
    let mut scene = Scene::of(1);
    scene.lease(1, HOUR);
    scene.take(&[("10.0.0.1", Taker::One(mac(1)))]);
    assert!(!scene.leases.is_anothers(mac(1), ip("10.0.0.1")));
    assert_eq!((scene.choose(1), scene.choose(2)), (Some(ip("10.0.0.1")), None));
}

#[test]
fn what_is_kept_for_a_machine_is_given_to_nobody_until_the_inventory_says_so_too() {
    let mut scene = Scene::of(1);
    assert!(scene.leases.must_keep(ip("10.0.0.1")) && !scene.leases.must_keep(ip("10.0.0.2")));
    scene.offer(1);
    scene.apply(Update::Keep { mac: mac(99), address: ip("10.0.0.1") });
    assert_eq!((scene.hold(1, "10.0.0.1"), scene.choose(1)), (None, None));
    assert!(scene.leases.is_anothers(mac(1), ip("10.0.0.1")) && !scene.leases.must_keep(ip("10.0.0.1")));
    scene.take(&[("10.0.0.1", Taker::One(mac(99)))]);
    scene.later(KEEP.as_secs() as u32);
    assert_eq!(scene.choose(1), None);
    scene.take(&[]);
    assert_eq!(scene.choose(1), Some(ip("10.0.0.1")));
}

#[test]
fn a_tenth_of_a_pool_is_set_aside_at_most_and_one_at_least() {
    for (size, most) in [(2, 1), (9, 1), (20, 2), (30, 3)] {
        let mut scene = Scene::of(size);
        for number in 0..6 {
            let address = scene.offer(number);
            scene.apply(Update::SetAside { mac: mac(number), address });
            scene.later(1);
            let counts = &scene.leases.counts()[0];
            assert_eq!(counts.set_aside, u64::from(number + 1).min(most), "of {size}");
        }
        scene.later(DECLINE_HOLD.as_secs() as u32);
        assert_eq!(scene.leases.counts()[0].set_aside, 0);
    }
}

#[test]
fn the_fourth_decline_of_a_machine_does_not_count_until_it_renews_a_lease() {
    let mut scene = Scene::of(100);
    // As clients do it: the ACK first, then the look whether somebody else has it (RFC 2131 section 3.1).
    let decline = |scene: &mut Scene| {
        let address = scene.lease(1, HOUR).address;
        assert_eq!(scene.apply(Update::SetAside { mac: mac(1), address }), [Change::Remove(address)]);
        assert_eq!(scene.hold(1, &address.to_string()), None);
        assert_ne!(scene.choose(1), Some(address), "the next one may suit it");
        scene.leases.counts()[0].set_aside
    };
    assert_eq!([(); 5].map(|()| decline(&mut scene)), [1, 2, 3, 3, 3]);
    let row = scene.lease(1, HOUR);
    scene.grant(1, row.address, HOUR);
    assert!(scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
    assert_eq!(decline(&mut scene), 4, "the count starts anew");
}

#[test]
fn only_its_holder_gives_an_address_back_or_calls_it_used() {
    let mut scene = Scene::of(1);
    let address = scene.lease(1, HOUR).address;
    for update in [
        Update::Free { mac: mac(2), address },
        Update::SetAside { mac: mac(2), address },
        Update::Forget(mac(2)),
        Update::Withdraw(mac(2)),
        Update::Withdraw(mac(1)), // of a lease: it keeps that
    ] {
        assert_eq!(scene.apply(update.clone()), [], "{update:?}");
        assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Leased), "{update:?}");
    }
    let freed = Row { mac: mac(1), address, expiry: WALL, hostname: "host1".into() };
    assert_eq!(
        scene.apply(Update::Free { mac: mac(1), address }),
        [Change::Put(freed)],
        "remembered as the last"
    );
    assert_eq!(scene.choose(2), Some(address));
}

#[test]
fn a_machine_that_is_forgotten_leaves_no_row_not_even_one_on_its_way() {
    let mut scene = Scene::of(2);
    let address = scene.lease(1, HOUR).address;
    assert_eq!(scene.apply(Update::Forget(mac(1))), [Change::Remove(address)]);
    let second = scene.offer(2);
    scene.grant(2, second, HOUR);
    assert_eq!(scene.apply(Update::Forget(mac(2))), [Change::Remove(second)]);
    assert_eq!((scene.leases.holds(mac(1)).count(), scene.leases.holds(mac(2)).count()), (0, 0));
}

#[test]
fn a_grant_that_was_taken_back_is_told_nobody_though_the_address_is_offered_again() {
    let mut scene = Scene::of(1);
    let address = scene.offer(1);
    let row = scene.grant(1, address, HOUR);
    scene.apply(Update::Forget(mac(1)));
    assert_eq!(scene.offer(1), address);
    assert!(!scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Offered));
}

#[test]
fn a_grant_on_its_way_to_the_disk_is_no_offer_any_more() {
    let mut scene = Scene::of(1);
    let address = scene.offer(1);
    let row = scene.grant(1, address, HOUR);
    assert_eq!(scene.offer(1), address, "asked again meanwhile");
    assert_eq!(scene.apply(Update::Withdraw(mac(1))), [], "it asked us");
    assert!(scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
}

#[test]
fn a_pool_of_millions_takes_no_room_until_it_is_used() {
    let mut scene = Scene::new(&[("10.0.0.0/8", "10.0.0.0", "10.255.255.255")]);
    assert_eq!(scene.leases.counts()[0].size, 1 << 24);
    scene.take(&[("10.0.0.0", Taker::Others), ("10.200.0.0", Taker::Others)]);
    assert_eq!(scene.offer(1), ip("10.0.0.1"));
    scene.take(&[]);
    assert_eq!((scene.choose(2), scene.choose(1)), (Some(ip("10.0.0.0")), Some(ip("10.0.0.1"))));
    assert_eq!(scene.leases.entries.len(), 1);
}

#[test]
fn offers_that_come_to_nothing_leave_no_trace() {
    let mut scene = Scene::new(&[("10.0.0.0/8", "10.0.0.0", "10.255.255.255")]);
    let kept = scene.lease(1, 60);
    scene.later(3600);
    for round in 0..100 {
        let given: BTreeSet<_> = (2..250).map(|number| scene.offer(number)).collect();
        assert!(given.len() == 248 && !given.contains(&kept.address), "{round}");
        scene.later(OFFER_HOLD.as_secs() as u32);
    }
    assert_eq!((scene.leases.entries.len(), scene.leases.owners.len(), scene.leases.timers.len()), (1, 1, 0));
    assert_eq!(scene.choose(1), Some(kept.address), "who had an address has it still");
}

#[test]
fn ranges_of_one_subnet_are_one_pool() {
    let mut scene = Scene::new(&[
        ("10.0.0.0/24", "10.0.0.200", "10.0.0.201"),
        ("10.0.0.0/16", "10.0.9.1", "10.0.9.9"),
        ("10.0.0.0/24", "10.0.0.10", "10.0.0.11"),
    ]);
    assert_eq!(scene.leases.pools().len(), 2);
    assert_eq!(scene.leases.pools()[0].subnet(), "10.0.0.0/24".parse().unwrap(), "the longest first");
    let given = [1, 2, 3, 4].map(|number| scene.offer(number).octets()[3]);
    assert_eq!((given, scene.choose(5)), ([10, 11, 200, 201], None));
}

#[test]
fn a_lease_in_a_pool_that_went_stays_until_it_ends() {
    let mut scene = Scene::of(2);
    scene.lease(1, HOUR);
    scene.leases.set_pools(pools(&[("10.9.0.0/24", "10.9.0.1", "10.9.0.1")]));
    assert!(!scene.leases.is_complete(), "until it is said which of them are taken");
    scene.take(&[]);
    assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Leased));
    assert_eq!(scene.choose(1), Some(ip("10.9.0.1")), "but it is no reason to get it again");
    scene.later(HOUR);
    assert_eq!(scene.hold(1, "10.0.0.1"), None);
    scene.leases.set_pools(pools(&[("10.0.0.0/24", "10.0.0.1", "10.0.0.2")]));
    scene.take(&[]);
    assert_eq!((scene.choose(1), scene.choose(2)), (Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))));
}

#[test]
fn a_wall_clock_that_jumps_ends_no_lease_and_keeps_none() {
    for jumped in [-1_000_000_000, -1, 1, 1_000_000_000] {
        let mut scene = Scene::of(1);
        let address = scene.offer(1);
        let row = scene.grant(1, address, HOUR);
        scene.jumped = jumped;
        assert!(scene.leases.committed(&row, scene.now() + Duration::from_secs(HOUR.into())));
        scene.later(HOUR - 1);
        assert_eq!(scene.hold(1, "10.0.0.1"), Some(Hold::Leased), "{jumped}");
        scene.later(1);
        assert_eq!(scene.hold(1, "10.0.0.1"), None, "{jumped}");
    }
}

#[test]
fn memory_counts_more_than_another_file_and_what_that_lacks_is_handed_out() {
    let mut scene = Scene::of(9);
    let rows = [1, 2, 3].map(|number| scene.lease(number, HOUR));
    scene.leases.close();
    assert!(!scene.leases.is_open());
    let other = |number: u8, address: &Row, expiry| Row { mac: mac(number), expiry, ..address.clone() };
    let ninth = Row { mac: mac(9), address: ip("10.0.0.9"), expiry: WALL + 5, hostname: "nine".into() };
    let file = vec![
        other(7, &rows[0], WALL + 9999), // another's in the file
        other(2, &rows[1], WALL + 60),   // its own, but older
        rows[2].clone(),                 // the same
        ninth.clone(),                   // only in the file
    ];
    let mut missing = scene.leases.merge(file, scene.now(), scene.wall());
    missing.sort_by_key(|change| match change {
        Change::Put(row) => row.address,
        Change::Remove(address) => *address,
    });
    assert_eq!(missing, [Change::Put(rows[0].clone()), Change::Put(rows[1].clone())]);
    assert!(scene.leases.is_open());
    for (number, address) in [(1, "10.0.0.1"), (2, "10.0.0.2"), (3, "10.0.0.3"), (9, "10.0.0.9")] {
        assert_eq!(scene.hold(number, address), Some(Hold::Leased), "{address}");
    }
    scene.later(5);
    assert_eq!(scene.hold(9, "10.0.0.9"), None);
}

#[test]
fn what_the_file_says_of_the_past_is_remembered_the_oldest_first() {
    let mut scene = Scene::of(2);
    let row = |number: u8, last: u8, expiry| Row {
        mac: mac(number),
        address: Ipv4Addr::new(10, 0, 0, last),
        expiry,
        hostname: String::new(),
    };
    let rows = vec![row(1, 1, WALL - 10), row(2, 2, WALL - 20)];
    assert_eq!(scene.leases.merge(rows, scene.now(), WALL), []);
    assert_eq!((scene.choose(1), scene.choose(2)), (Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))));
    assert_eq!(scene.choose(3), Some(ip("10.0.0.2")), "free for longest");
}

#[test]
fn people_see_every_address_with_its_state() {
    let mut scene = Scene::of(9);
    scene.lease(1, HOUR);
    scene.offer(2);
    let declined = scene.offer(3);
    scene.apply(Update::SetAside { mac: mac(3), address: declined });
    let freed = scene.lease(4, HOUR).address;
    scene.apply(Update::Free { mac: mac(4), address: freed });
    scene.apply(Update::Keep { mac: mac(99), address: ip("10.0.0.9") });
    scene.take(&[("10.0.0.1", Taker::One(mac(98)))]);
    let seen: Vec<_> = scene
        .leases
        .list(scene.now())
        .into_iter()
        .map(|one| {
            let left = one.left.map(|left| left.as_secs());
            (one.address.octets()[3], one.mac.0[5], one.state, left, one.hostname, one.taken)
        })
        .collect();
    let line =
        |last, number, state, left, name: &str, taken| (last, number, state, left, name.to_owned(), taken);
    assert_eq!(
        seen,
        [
            line(1, 1, "leased", Some(3600), "host1", true),
            line(2, 2, "offered", Some(15), "", false),
            line(3, 3, "set_aside", Some(3600), "", false),
            line(4, 4, "free", None, "host4", false),
            line(9, 99, "kept", Some(60), "", false),
        ]
    );
}

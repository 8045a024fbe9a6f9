//! From a change in SMD to every answer.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NODE3, SOON};
use std::time::{Duration, Instant};
use testkit::cluster::{Cluster, within};

/// What DESIGN promises between smd-cache and the daemons.
const SPREAD: Duration = Duration::from_millis(50);

#[test]
fn a_node_added_to_smd_is_answered_within_refresh() {
    let cluster = Cluster::start(scene::inventory());
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Silent);
    assert_eq!(scene::address_of(&cluster, NEWCOMER.fqdn), scene::NXDOMAIN);
    scene::add(&cluster, NEWCOMER);
    let began = Instant::now();
    within(SOON, "its name has an address", || {
        (scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address)).then_some(())
    });
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Offer(NEWCOMER.address.parse().unwrap()));
    assert_eq!(scene::name_of(&cluster, NEWCOMER.address), scene::pointer(NEWCOMER.fqdn));
    println!("a new node was served {:?} after SMD had it (refresh: 1 s)", began.elapsed());
}

/// In most of five rounds: a machine that runs other tests stands still for longer than that now and then.
#[test]
fn fifty_milliseconds_after_smd_cache_knows_a_new_address_nobody_answers_the_old_one() {
    const ROUNDS: usize = 5;
    let cluster = Cluster::start(scene::inventory());
    let mut old = NODE3.address.to_owned();
    let mut in_time = 0;
    for round in 0..ROUNDS {
        let new = format!("10.40.1.{}", 50 + round);
        assert!(cluster.smd().set_addresses(NODE3.mac, &[&new]));
        let known = scene::known_at(&cluster, NODE3.mac, &new);
        let everybody_knows = || {
            scene::address_of(&cluster, NODE3.fqdn) == Dns::data(&new)
                && scene::name_of(&cluster, &new) == scene::pointer(NODE3.fqdn)
                && scene::name_of(&cluster, &old) == scene::NXDOMAIN
                && scene::discover(&cluster, NODE3.mac) == Dhcp::Offer(new.parse().unwrap())
        };
        std::thread::sleep((known + SPREAD).saturating_duration_since(Instant::now())); // the promise is a time
        in_time += usize::from(everybody_knows());
        within(SOON, &format!("round {round}: everybody knows"), || everybody_knows().then_some(()));
        old = new;
    }
    assert!(in_time > ROUNDS / 2, "only {in_time} of {ROUNDS} changes had spread within {SPREAD:?}");
}

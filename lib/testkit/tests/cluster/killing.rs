//! kill -9, again and again, while clients ask.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NODE1, RELAYED, SOON};
use std::time::{Duration, Instant};
use testkit::{
    cluster::{Cluster, within},
    prober::{Asked, Prober},
};

/// How often smd-cache is killed.
const TIMES: usize = 100;
/// How long it lives at most: it is met while it starts, while it reads SMD, and while it serves.
const LONGEST_LIFE: u64 = 500;

#[test]
fn smd_cache_is_killed_a_hundred_times_and_no_known_node_notices() {
    let mut cluster = Cluster::start(scene::probed());
    let seed = fastrand::u64(..);
    println!("lives drawn with seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let prober = Prober::start(&cluster, &RELAYED);
    for _ in 0..TIMES {
        cluster.kill("smd-cache");
        cluster.start_program("smd-cache");
        prober.watch_for(Duration::from_millis(random.u64(0..LONGEST_LIFE)));
    }
    cluster.wait_ready("smd-cache");
    scene::add(&cluster, NEWCOMER);
    within(4 * SOON, "the daemons hear of changes again", || {
        let named = scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address);
        let offered = Dhcp::Offer(NEWCOMER.address.parse().unwrap());
        (named && scene::discover(&cluster, NEWCOMER.mac) == offered).then_some(())
    });
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd]);
}

#[test]
fn daemons_restarted_while_there_is_no_smd_cache_serve_known_nodes() {
    let mut cluster = Cluster::start(scene::probed());
    within(SOON, "the daemons have written down what they know", || {
        let written = |name: &str| cluster.var().join(format!("replica-{name}")).exists();
        (written("dhcpd") && written("dnsd")).then_some(())
    });
    cluster.kill("smd-cache");
    for daemon in ["dhcpd", "dnsd"] {
        cluster.kill(daemon);
        cluster.start_program(daemon);
        cluster.wait_ready(daemon);
    }
    let prober = Prober::start(&cluster, &RELAYED);
    prober.watch_for(Duration::from_secs(2));
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Silent, "it cannot be told");
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd]);
}

/// Its file is written every so often only, so it comes back with less than the daemons have.
#[test]
fn what_was_learnt_last_is_not_forgotten_when_smd_cache_comes_back_with_less_and_smd_is_gone() {
    let mut cluster = Cluster::start(scene::probed());
    within(2 * SOON, "the snapshot is on disk", || cluster.var().join("snapshot").exists().then_some(()));
    assert!(cluster.smd().set_addresses(NODE1.mac, &["172.16.0.171"]));
    let served = Dns::data("172.16.0.171");
    within(SOON, "the change is served", || {
        (scene::address_of(&cluster, NODE1.fqdn) == served).then_some(())
    });
    cluster.kill("smd-cache");
    let inventory = cluster.smd().inventory();
    cluster.stop_smd();
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    let knows = scene::lookup(&cluster, NODE1.mac).unwrap();
    assert_eq!(knows.interfaces[0].addresses[0].address, NODE1.address, "it comes back with less");
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        assert_eq!(scene::address_of(&cluster, NODE1.fqdn), served);
        let offered = scene::discover_on(&cluster, NODE1.mac, "172.16.0.1".parse().unwrap());
        assert_eq!(offered, Dhcp::Offer("172.16.0.171".parse().unwrap()));
        std::thread::sleep(Duration::from_millis(50)); // what is seen in this time is the test
    }
    cluster.start_smd(inventory);
    within(2 * SOON, "smd-cache knows it, too", || {
        let reply = scene::lookup(&cluster, NODE1.mac)?;
        (reply.interfaces[0].addresses[0].address == "172.16.0.171").then_some(())
    });
    assert_eq!(scene::address_of(&cluster, NODE1.fqdn), served);
}

//! kill -9, again and again, while clients ask.

use crate::{
    prober::{Asked, Prober},
    scene::{self, Dhcp, Dns, NEWCOMER, RELAYED, SOON},
};
use std::time::Duration;
use testkit::cluster::{Cluster, within};

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
    let report = prober.stop(&cluster);
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
    let report = prober.stop(&cluster);
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd]);
}

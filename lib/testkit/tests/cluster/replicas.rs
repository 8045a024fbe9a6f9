//! Two smd-caches behind the same daemons: one may die, or be blind, and nobody goes back in time.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NODE1, RELAYED, SOON};
use std::time::{Duration, Instant};
use testkit::{
    cluster::{Cluster, Fate, Instance, Settings, Wall, need_tools, within},
    prober::{Asked, Prober},
};

/// Heartbeats missing for 6 s, or 10 s of a blind one beside one that sees, and the waits between tries; room for a busy machine.
const MOVED: Duration = Duration::from_secs(30);
const DAEMONS: [Asked; 2] = [Asked::Dhcpd, Asked::Dnsd];
const FIRST: &str = "smd-cache";
const SECOND: &str = "smd-cache-2";

/// The settings of two smd-caches on one machine and the daemons that know both.
fn settings() -> Settings {
    let both = r#"["http://127.0.0.1:27780", "http://127.0.0.1:27880"]"#;
    Settings::default().inventory("endpoints", both).smd_cache("stale_after", "3s")
}

/// A cluster with both, the clock of the second so far from that of the first.
fn two(clock: i32) -> Cluster {
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    cluster.start_smd(scene::probed());
    cluster.start_program(FIRST);
    start_second(&mut cluster, clock);
    cluster.wait_ready(FIRST);
    cluster.wait_ready(SECOND);
    for daemon in ["dhcpd", "dnsd"] {
        cluster.start_program(daemon);
    }
    for daemon in ["dhcpd", "dnsd"] {
        cluster.wait_ready(daemon);
    }
    cluster
}

fn start_second(cluster: &mut Cluster, clock: i32) {
    cluster.start_instance(&Instance { clock, ..Instance::second_cache(&settings().replica(2)) });
}

fn watchers(cluster: &Cluster, name: &str) -> Option<f64> {
    cluster.metric(name, "smd_cache_watchers")
}

/// NODE1 gets another address, and both daemons answer with it and never again with the one before.
fn change_and_see(cluster: &Cluster, last: u8) {
    let new = format!("172.16.0.{last}");
    assert!(cluster.smd().set_addresses(NODE1.mac, &[&new]));
    within(MOVED, &format!("NODE1 is {new}"), || {
        (scene::address_of(cluster, NODE1.fqdn) == Dns::data(&new)).then_some(())
    });
    within(SOON, &format!("it is offered {new}"), || {
        let offered = scene::discover_on(cluster, NODE1.mac, "172.16.0.1".parse().unwrap());
        (offered == Dhcp::Offer(new.parse().unwrap())).then_some(())
    });
}

/// For a while there is no other answer than this.
fn check_stays(cluster: &Cluster, last: u8, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert_eq!(scene::address_of(cluster, NODE1.fqdn), Dns::data(&format!("172.16.0.{last}")));
        std::thread::sleep(Duration::from_millis(20)); // what is seen in this time is the test
    }
}

/// Each is killed once while clients ask; what changes comes through whichever is left.
fn take_turns(clock: i32) {
    let mut cluster = two(clock);
    let prober = Prober::start(&cluster, &RELAYED);
    prober.watch_for(Duration::from_secs(3));
    assert_eq!(
        (watchers(&cluster, FIRST), watchers(&cluster, SECOND)),
        (Some(2.0), Some(0.0)),
        "nobody moves"
    );
    change_and_see(&cluster, 131);

    cluster.kill(FIRST);
    check_stays(&cluster, 131, Duration::from_secs(1));
    change_and_see(&cluster, 132);
    cluster.start_program(FIRST);
    cluster.wait_ready(FIRST);
    prober.watch_for(Duration::from_secs(2));
    assert_eq!(
        (watchers(&cluster, FIRST), watchers(&cluster, SECOND)),
        (Some(0.0), Some(2.0)),
        "nobody goes back"
    );

    cluster.kill(SECOND);
    check_stays(&cluster, 132, Duration::from_secs(1));
    change_and_see(&cluster, 133);
    let report = prober.stop();
    println!("clocks {clock} s apart\n{report}");
    report.check_nothing_lost(&DAEMONS);
}

#[test]
fn two_smd_caches_killed_in_turns_known_nodes_never_notice_and_changes_come_through() {
    take_turns(0);
}

#[test]
fn one_that_stands_still_is_left_for_the_other() {
    let cluster = two(0);
    let prober = Prober::start(&cluster, &RELAYED);
    change_and_see(&cluster, 136);
    cluster.pause(FIRST);
    change_and_see(&cluster, 137);
    assert_eq!(watchers(&cluster, SECOND), Some(2.0));
    cluster.resume(FIRST);
    check_stays(&cluster, 137, Duration::from_secs(3));
    change_and_see(&cluster, 138);
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
}

#[test]
fn clocks_a_second_apart_change_nothing_of_that() {
    take_turns(-1);
    take_turns(1);
}

#[test]
fn a_blind_smd_cache_is_left_for_one_that_sees_and_nobody_goes_back_to_what_it_knew() {
    need_tools(&["nft"]);
    let mut cluster = two(0);
    let prober = Prober::start(&cluster, &RELAYED);
    change_and_see(&cluster, 141);
    let cable = "127.0.0.1".parse().unwrap();
    let wall = Wall::around(&cluster.wire.server, Some(cable), 27779, Fate::Silence);
    change_and_see(&cluster, 142); // which takes a move: the one that is asked does not hear of it
    scene::add(&cluster, NEWCOMER);
    within(MOVED, "a node that came meanwhile", || {
        (scene::address_of(&cluster, NEWCOMER.fqdn) == Dns::data(NEWCOMER.address)).then_some(())
    });
    assert_eq!(watchers(&cluster, SECOND), Some(2.0));
    assert_eq!(scene::status(&cluster, 27780).unwrap().freshness.map(|it| it.stale), Some(true));

    cluster.kill(SECOND); // only the blind one is left, which knows the past
    check_stays(&cluster, 142, Duration::from_secs(8));
    assert_eq!(scene::address_of(&cluster, NEWCOMER.fqdn), Dns::data(NEWCOMER.address));
    drop(wall);
    change_and_see(&cluster, 143);
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
}

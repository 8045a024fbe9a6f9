//! What fails without a word: programs that stand still, packets that do not arrive.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NODE1, RELAYED, SOON};
use std::time::{Duration, Instant};
use testkit::{
    cluster::{Cluster, Fate, RELAY, SERVER, Wall, need_tools, within},
    packets::dhcp4::{Machine, Relay},
    prober::{Asked, Prober},
};
use tokio::net::UdpSocket;
use values::Mac;

/// Longer than it takes a daemon to give up a smd-cache that says nothing: 6 s without a heartbeat.
const GIVEN_UP: Duration = Duration::from_secs(8);
/// The daemons, whose answers must not depend on smd-cache being there.
const DAEMONS: [Asked; 2] = [Asked::Dhcpd, Asked::Dnsd];

/// A daemon's Watch stands, or does not.
fn wait_connected(cluster: &Cluster, daemon: &str, connected: bool) {
    let wanted = if connected { 1.0 } else { 0.0 };
    within(4 * SOON, &format!("{daemon} is connected: {connected}"), || {
        (cluster.metric(daemon, "inventory_connected") == Some(wanted)).then_some(())
    });
}

fn served(cluster: &Cluster, node: scene::Node) -> Option<()> {
    let named = scene::address_of(cluster, node.fqdn) == Dns::data(node.address);
    (named && scene::discover(cluster, node.mac) == Dhcp::Offer(node.address.parse().unwrap())).then_some(())
}

#[test]
fn a_smd_cache_that_stands_still_is_given_up_and_found_again() {
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    cluster.pause("smd-cache");
    prober.watch_for(GIVEN_UP);
    wait_connected(&cluster, "dhcpd", false);
    wait_connected(&cluster, "dnsd", false);
    scene::add(&cluster, NEWCOMER);
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Silent, "it cannot be told");
    cluster.resume("smd-cache");
    within(4 * SOON, "the node that came meanwhile is served", || served(&cluster, NEWCOMER));
    wait_connected(&cluster, "dhcpd", true);
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
}

#[test]
fn packets_that_do_not_arrive_cost_no_answer_and_what_changed_meanwhile_comes_after() {
    need_tools(&["nft"]);
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    let mut old = NODE1.address.to_owned();
    for (round, fate) in [Fate::Silence, Fate::Reset].into_iter().enumerate() {
        let wall = Wall::around(&cluster.wire.server, None, 27780, fate);
        wait_connected(&cluster, "dnsd", false);
        let new = format!("172.16.0.{}", 120 + round);
        assert!(cluster.smd().set_addresses(NODE1.mac, &[&new]));
        prober.watch_for(Duration::from_secs(2));
        assert_eq!(
            scene::address_of(&cluster, NODE1.fqdn),
            Dns::data(&old),
            "nobody has heard of the change"
        );
        drop(wall);
        within(4 * SOON, "the change is heard of", || {
            (scene::address_of(&cluster, NODE1.fqdn) == Dns::data(&new)).then_some(())
        });
        assert_eq!(scene::name_of(&cluster, &old), scene::NXDOMAIN);
        wait_connected(&cluster, "dhcpd", true);
        old = new;
    }
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
}

/// DISCOVERs of so many machines that nobody knows, a few at a time as a switch lets them through; whether one was answered.
fn strangers(cluster: &Cluster, count: u32) -> bool {
    cluster.at_relay().run(async move {
        let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
        for number in 0..count {
            let [_, a, b, c] = number.to_be_bytes();
            let relay = Relay { address: RELAY, link: None, source_port: true };
            let machine = Machine::new(Mac([2, 0x99, 0, a, b, c])).behind(relay);
            let message = dhcproto::Encodable::to_vec(&machine.discover(number)).expect("a message");
            socket.send_to(&message, (SERVER, 67)).await.expect("it can be sent");
            if number % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let mut buffer = [0; 1500];
        tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut buffer)).await.is_ok()
    })
}

#[test]
fn a_thousand_askers_on_a_smd_cache_that_hangs_hold_up_nobody_who_is_known() {
    let cluster = Cluster::start(scene::probed());
    let prober = Prober::start(&cluster, &RELAYED);
    cluster.pause("smd-cache");
    for _ in 0..4 {
        assert!(!strangers(&cluster, 1_000), "whoever cannot be told about gets no answer");
    }
    prober.watch_for(Duration::from_secs(1));
    cluster.resume("smd-cache");
    let resumed = Instant::now();
    scene::add(&cluster, NEWCOMER);
    within(4 * SOON, "a new node is served", || served(&cluster, NEWCOMER));
    println!("after a hung smd-cache a new node was served in {:?}", resumed.elapsed());
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&DAEMONS);
}

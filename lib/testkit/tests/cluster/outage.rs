//! What is down may be down: known nodes are served, and nobody is called unknown by somebody who cannot tell.

use crate::scene::{self, Dhcp, Dns, NEWCOMER, NODE1, NODE3, NXDOMAIN, Node, SERVFAIL, SOON};
use proto::v1::Outcome;
use std::time::Duration;
use testkit::{
    cluster::{Cluster, finish, need_tools, tool, within},
    smd::{Failure, Fault, Inventory},
};

const DAEMONS: [&str; 3] = ["dhcpd", "dnsd", "tftpd"];

/// All four programs, beside SMD or without it.
fn started(smd: Option<Inventory>) -> Cluster {
    need_tools(&["curl"]);
    let mut cluster = Cluster::bare();
    cluster.tftp_file("loader", b"a loader");
    if let Some(inventory) = smd {
        cluster.start_smd(inventory);
    }
    for program in ["smd-cache", "dhcpd", "dnsd", "tftpd"] {
        cluster.start_program(program);
    }
    cluster
}

fn offered(node: Node) -> Dhcp {
    Dhcp::Offer(node.address.parse().unwrap())
}

/// A node gets its address, its names and its loader.
#[track_caller]
fn check_served(cluster: &Cluster, node: Node) {
    assert_eq!(scene::discover(cluster, node.mac), offered(node));
    assert_eq!(scene::address_of(cluster, node.fqdn), Dns::data(node.address));
    assert_eq!(scene::name_of(cluster, node.address), scene::pointer(node.fqdn));
    let mut command = cluster.wire.server.command(tool("curl"));
    command.args(["-sS", "tftp://172.16.0.253/loader"]);
    assert_eq!(finish(&mut command, Duration::from_secs(10)).1, "a loader");
}

/// A node is served at latest after so long.
fn wait_served(cluster: &Cluster, node: Node) {
    within(2 * SOON, &format!("{} is served", node.id), || {
        (scene::address_of(cluster, node.fqdn) == Dns::data(node.address)).then_some(())
    });
    within(2 * SOON, &format!("{} is offered its address", node.id), || {
        (scene::discover(cluster, node.mac) == offered(node)).then_some(())
    });
    // Which reverse zones are ours is known when the zones have been built, a moment after names are served.
    within(2 * SOON, &format!("{}'s address has its name", node.id), || {
        (scene::name_of(cluster, node.address) == scene::pointer(node.fqdn)).then_some(())
    });
    check_served(cluster, node);
}

/// Says nothing of anybody, in any way.
#[track_caller]
fn check_nobody_is_called_unknown(cluster: &Cluster) {
    for node in [NODE3, NEWCOMER] {
        assert_eq!(scene::discover(cluster, node.mac), Dhcp::Silent);
        assert_eq!(scene::reboot(cluster, node.mac, "10.40.1.99".parse().unwrap()), Dhcp::Silent, "no NAK");
        assert_eq!(scene::address_of(cluster, node.fqdn), SERVFAIL);
        assert_eq!(scene::name_of(cluster, node.address), SERVFAIL);
    }
}

#[test]
fn smd_cache_killed_and_back_known_nodes_never_notice() {
    let mut cluster = started(Some(scene::inventory()));
    DAEMONS.iter().for_each(|program| cluster.wait_ready(program));
    wait_served(&cluster, NODE3);

    cluster.kill("smd-cache");
    check_served(&cluster, NODE3);
    check_served(&cluster, NODE3);
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Silent, "it may have been added since");
    assert_eq!(scene::reboot(&cluster, NEWCOMER.mac, "10.40.1.14".parse().unwrap()), Dhcp::Silent);
    assert_eq!(
        scene::address_of(&cluster, NEWCOMER.fqdn),
        NXDOMAIN,
        "the snapshot is whole: SMD did not have it"
    );
    for program in DAEMONS {
        let (status, said) = cluster.admin(program, "/ready").unwrap();
        assert_eq!(status, 200, "{program} goes on serving, so it is ready: {said}");
    }

    scene::add(&cluster, NEWCOMER);
    cluster.start_program("smd-cache");
    wait_served(&cluster, NEWCOMER);
    wait_served(&cluster, NODE3);
}

#[test]
fn daemons_without_any_snapshot_say_nothing_until_smd_cache_comes() {
    need_tools(&["curl"]);
    let mut cluster = Cluster::bare();
    cluster.tftp_file("loader", b"a loader");
    cluster.start_smd(scene::inventory());
    DAEMONS.iter().for_each(|program| cluster.start_program(program));
    within(SOON, "dnsd listens two seconds after it was started, with or without smd-cache", || {
        (scene::address_of(&cluster, NODE1.fqdn) != Dns::Silent).then_some(())
    });
    check_nobody_is_called_unknown(&cluster);
    assert_eq!(
        scene::address_of(&cluster, "smd.openchami.cluster"),
        Dns::data("172.16.0.253"),
        "static records"
    );
    for program in ["dhcpd", "dnsd"] {
        assert_eq!(cluster.admin(program, "/ready").map(|(status, _)| status), Some(503), "{program}");
    }
    cluster.start_program("smd-cache");
    wait_served(&cluster, NODE3);
    DAEMONS.iter().for_each(|program| cluster.wait_ready(program));
}

#[test]
fn smd_gone_at_start_nobody_is_called_unknown() {
    let mut cluster = started(None);
    within(SOON, "dnsd listens two seconds after it was started", || {
        (scene::address_of(&cluster, NODE1.fqdn) != Dns::Silent).then_some(())
    });
    within(SOON, "smd-cache answers", || scene::outcome(&cluster, NODE1.mac));
    assert_eq!(scene::outcome(&cluster, NODE1.mac), Some(Outcome::Unavailable));
    check_nobody_is_called_unknown(&cluster);
    assert_eq!(cluster.admin("smd-cache", "/ready").map(|(status, _)| status), Some(503));

    cluster.start_smd(scene::inventory());
    wait_served(&cluster, NODE3);
    assert_eq!(scene::discover(&cluster, NEWCOMER.mac), Dhcp::Silent);
    // Names are served as soon as they are here; that a name is not there can be said when the zones have been built, with a serial.
    within(SOON, "dnsd knows who is not there", || {
        let answer = scene::address_of(&cluster, NEWCOMER.fqdn);
        assert!([NXDOMAIN, SERVFAIL].contains(&answer), "{answer:?}");
        (answer == NXDOMAIN).then_some(())
    });
}

#[test]
fn a_bad_answer_of_smd_changes_nothing() {
    let mut cluster = started(Some(scene::inventory()));
    wait_served(&cluster, NODE3);
    let faults = [
        Fault::Error500,
        Fault::Html,
        Fault::CutJson,
        Fault::HalfBody,
        Fault::Close,
        Fault::DatabaseDown,
        Fault::Hang,
    ];
    for fault in faults {
        let before: u64 = cluster.smd().requests().values().sum();
        cluster.smd().fail(Failure::all(fault));
        within(2 * SOON, &format!("smd-cache reads SMD, which does {fault:?}"), || {
            (cluster.smd().requests().values().sum::<u64>() > before + 1 || fault == Fault::Hang)
                .then_some(())
        });
        assert_eq!(scene::outcome(&cluster, NODE3.mac), Some(Outcome::Found), "{fault:?}");
        assert_eq!(scene::address_of(&cluster, NODE3.fqdn), Dns::data(NODE3.address), "{fault:?}");
        assert_eq!(scene::discover(&cluster, NODE3.mac), offered(NODE3), "{fault:?}");
        cluster.smd().heal();
    }
    cluster.stop_smd();
    check_served(&cluster, NODE3);
}

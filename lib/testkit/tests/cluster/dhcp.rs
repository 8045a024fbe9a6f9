//! DHCPv4 with ISC dhclient, busybox udhcpc and ISC dhcrelay.

use crate::{
    clients::{Client, Told, dhclient, dhcrelay, power_on, udhcpc},
    scene::{self, Dhcp, NEWCOMER, NODE1, NODE2, NODE3, Node},
};
use nix::sys::signal::Signal;
use std::{fs, process::Command, time::Duration};
use testkit::cluster::{Cluster, Namespace, need_tools, within};

const TOOLS: &[&str] = &["dhclient", "udhcpc", "dhcrelay"];

fn routes(machine: &Namespace) -> String {
    let output = Command::new("ip").args(["-n", machine.name(), "route"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn check(told: &Told, wanted: &[(&str, &str)]) {
    for (key, value) in wanted {
        assert_eq!(told.get(*key).map(String::as_str), Some(*value), "{key} in {told:#?}");
    }
}

fn check_dhclient(client: &Client, reason: &str, node: Node, router: &str) {
    let told = client.told(reason, 1);
    check(
        &told,
        &[
            ("new_ip_address", node.address),
            ("new_subnet_mask", "255.255.255.0"),
            ("new_routers", router),
            ("new_host_name", node.fqdn),
            ("new_domain_name", "openchami.cluster"),
            ("new_domain_name_servers", "172.16.0.253"),
            ("new_dhcp_lease_time", "3600"),
            ("new_dhcp_server_identifier", "172.16.0.253"),
        ],
    );
}

fn check_udhcpc(client: &Client, node: Node, router: &str) {
    let told = client.told("bound", 1);
    check(
        &told,
        &[
            ("ip", node.address),
            ("subnet", "255.255.255.0"),
            ("router", router),
            ("hostname", node.fqdn),
            ("domain", "openchami.cluster"),
            ("dns", "172.16.0.253"),
            ("lease", "3600"),
            ("serverid", "172.16.0.253"),
        ],
    );
}

#[test]
fn known_nodes_get_their_lease_name_and_routes_directly_and_through_a_relay() {
    need_tools(TOOLS);
    let resolver = fs::read("/etc/resolv.conf").ok();
    let cluster = Cluster::start(scene::inventory());
    let wire = &cluster.wire;
    power_on(&wire.node1, NODE1.mac);
    power_on(&wire.node2, NODE2.mac);
    power_on(&wire.node3, NODE3.mac);
    let one = dhclient(&wire.node1, &cluster.folder().join("n1"));
    let two = udhcpc(&wire.node2, &cluster.folder().join("n2"), &[]);
    check_dhclient(&one, "BOUND", NODE1, "172.16.0.254");
    check_udhcpc(&two, NODE2, "172.16.0.254");
    for machine in [&wire.node1, &wire.node2] {
        assert!(routes(machine).contains("default via 172.16.0.254"), "{}", routes(machine));
    }

    let _relay = dhcrelay(&wire.relay, cluster.folder(), "172.16.0.253");
    let three = dhclient(&wire.node3, &cluster.folder().join("n3"));
    check_dhclient(&three, "BOUND", NODE3, "10.40.1.1");
    assert!(routes(&wire.node3).contains("default via 10.40.1.1"), "{}", routes(&wire.node3));
    drop(three);
    power_on(&wire.node3, NODE3.mac);
    let three = udhcpc(&wire.node3, &cluster.folder().join("n3u"), &[]);
    check_udhcpc(&three, NODE3, "10.40.1.1");
    three.process.signal(Signal::SIGUSR1); // renews by unicast, past the relay agent
    check(&three.told("renew", 1), &[("ip", NODE3.address)]);
    assert_eq!(fs::read("/etc/resolv.conf").ok(), resolver, "the clients leave the host alone");
}

#[test]
fn leases_are_renewed_until_the_address_moves_in_smd_then_refused() {
    need_tools(TOOLS);
    let cluster = Cluster::start(scene::inventory());
    let wire = &cluster.wire;
    let remembering = cluster.folder().join("n1");
    power_on(&wire.node1, NODE1.mac);
    power_on(&wire.node2, NODE2.mac);
    let one = dhclient(&wire.node1, &remembering);
    let two = udhcpc(&wire.node2, &cluster.folder().join("n2"), &[]);
    one.told("BOUND", 1);
    two.told("bound", 1);

    two.process.signal(Signal::SIGUSR1);
    check(&two.told("renew", 1), &[("ip", NODE2.address), ("lease", "3600")]);
    drop(one);
    power_on(&wire.node1, NODE1.mac);
    let one = dhclient(&wire.node1, &remembering);
    check(&one.told("REBOOT", 1), &[("new_ip_address", NODE1.address)]);
    drop(one);

    assert!(cluster.smd().set_addresses(NODE1.mac, &["172.16.0.21"]));
    assert!(cluster.smd().set_addresses(NODE2.mac, &["172.16.0.22"]));
    scene::wait_known(&cluster, NODE1.mac, "172.16.0.21");
    scene::wait_known(&cluster, NODE2.mac, "172.16.0.22");
    two.process.signal(Signal::SIGUSR1);
    two.told("nak", 1);
    check(&two.told("bound", 2), &[("ip", "172.16.0.22")]);
    power_on(&wire.node1, NODE1.mac);
    let one = dhclient(&wire.node1, &remembering);
    check(&one.told("BOUND", 2), &[("new_ip_address", "172.16.0.21")]);
    assert!(one.process.log().contains("DHCPNAK"), "{}", one.process.log());
}

#[test]
fn an_unknown_mac_gets_no_answer_is_listed_and_is_served_once_smd_has_it() {
    need_tools(TOOLS);
    let cluster = Cluster::start(scene::inventory());
    let wire = &cluster.wire;
    let newcomer = Node { address: "172.16.0.14", ..NEWCOMER };
    power_on(&wire.node1, newcomer.mac);
    let mut stranger = udhcpc(&wire.node1, &cluster.folder().join("u"), &["-n", "-t", "2"]);
    assert!(!stranger.process.wait(Duration::from_secs(20)).success(), "{}", stranger.process.log());
    assert!(stranger.was_told("leasefail") && !stranger.was_told("bound"), "{}", stranger.process.log());
    assert_eq!(scene::reboot(&cluster, newcomer.mac, "10.40.1.14".parse().unwrap()), Dhcp::Silent);
    let (_, list) = cluster.admin("dhcpd", "/unknown").unwrap();
    assert!(list.contains(newcomer.mac), "{list}");

    let waiting = udhcpc(&wire.node1, &cluster.folder().join("w"), &["-t", "30"]);
    scene::add(&cluster, newcomer);
    check_udhcpc(&waiting, newcomer, "172.16.0.254");
    within(scene::SOON, "it is no longer listed as unknown, or listed as before", || {
        scene::outcome(&cluster, newcomer.mac).map(drop)
    });
}

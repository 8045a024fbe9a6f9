//! Further clients of other hands: dhcpcd, dhcping, dnsmasq's dhcp_release, and a hundred machines of Kea's perfdhcp.

use crate::{
    clients::{Told, dhclient, dhcpcd, dhcrelay, power_on, udhcpc},
    scene::{self, NODE1, NODE3},
};
use nix::sys::signal::Signal;
use std::time::Duration;
use testkit::{
    cluster::{Cluster, Namespace, SERVER, Settings, finish, need_tools, tool, within},
    smd::{Component, EthernetInterface, Inventory},
};

/// All of them ask again after seconds if one answer is lost.
const ANSWER: Duration = Duration::from_secs(30);
/// Machines of perfdhcp, and how many of them begin each second.
const MACHINES: u8 = 100;
const RATE: &str = "50";

/// What makes dhcpcd give its lease back (`dhcpcd --release` sends it).
const RELEASE: Signal = Signal::SIGALRM;

/// Releases that dhcpd has seen.
fn released(cluster: &Cluster) -> f64 {
    cluster.metric("dhcpd", r#"dhcpd_requests_total{kind="release"}"#).expect("dhcpd counts them")
}

/// Runs a client to its end; what it said.
#[track_caller]
fn run(machine: &Namespace, program: &str, arguments: &[&str]) -> String {
    let (status, said) = finish(machine.command(tool(program)).args(arguments), ANSWER);
    assert!(status.success(), "{program} {arguments:?}: {status}\n{said}");
    said
}

#[test]
fn dhcpcd_gets_its_lease_directly_and_through_a_relay_and_gives_it_back() {
    need_tools(&["dhcpcd", "dhcrelay"]);
    let cluster = Cluster::start(scene::inventory());
    let wire = &cluster.wire;
    power_on(&wire.node1, NODE1.mac);
    power_on(&wire.node3, NODE3.mac);
    let _relay = dhcrelay(&wire.relay, cluster.folder(), &SERVER.to_string());
    let asked = [(&wire.node1, NODE1, "172.16.0.254"), (&wire.node3, NODE3, "10.40.1.1")];
    for (machine, node, router) in asked {
        let client = dhcpcd(machine, &cluster.folder().join(node.id));
        let told = client.told("BOUND", 1);
        let wanted = [
            ("new_ip_address", node.address),
            ("new_subnet_mask", "255.255.255.0"),
            ("new_routers", router),
            ("new_host_name", node.fqdn),
            ("new_domain_name", "openchami.cluster"),
            ("new_dhcp_lease_time", "3600"),
            ("new_dhcp_server_identifier", "172.16.0.253"),
        ];
        for (key, value) in wanted {
            assert_eq!(told.get(key).map(String::as_str), Some(value), "{key} in {told:#?}");
        }
        let before = released(&cluster);
        client.process.signal(RELEASE);
        within(ANSWER, "it gives the lease back", || (released(&cluster) > before).then_some(()));
    }
}

#[test]
fn dhcping_is_answered_and_what_dhcp_release_gives_back_is_noted() {
    need_tools(&["dhcping", "dhcp_release"]);
    let cluster = Cluster::start(scene::inventory());
    let wire = &cluster.wire;
    power_on(&wire.node1, NODE1.mac);
    let client = dhclient(&wire.node1, &cluster.folder().join("n1"));
    client.told("BOUND", 1);
    drop(client);

    let server = SERVER.to_string();
    let asks = ["-c", NODE1.address, "-s", &server, "-h", NODE1.mac, "-v", "-t", "5"];
    let got = format!("Got answer from: {SERVER}");
    let said = run(&wire.node1, "dhcping", &asks);
    assert!(said.contains(&got), "REQUEST: {said}");
    let said = run(&wire.node1, "dhcping", &[&["-i"][..], &asks].concat());
    assert!(said.contains(&got), "INFORM: {said}");

    let noted = || cluster.metric("dhcpd", r#"dhcpd_notes_total{kind="released"}"#);
    let before = noted().unwrap_or_default();
    run(&wire.server, "dhcp_release", &["srv0", NODE1.address, NODE1.mac]);
    within(scene::SOON, "the release is noted", || (noted()? > before).then_some(()));
}

/// perfdhcp makes up machines by counting from this one.
fn machine_of_perfdhcp(number: u8) -> (String, String, String) {
    let mac = format!("02:7a:00:00:00:{number:02x}");
    (mac, format!("x3000c0s{number}b0n0"), format!("172.16.0.{}", number + 100))
}

#[test]
fn a_hundred_machines_of_perfdhcp_are_served_without_a_drop() {
    need_tools(&["perfdhcp"]);
    let mut inventory = Inventory::default();
    for number in 0..MACHINES {
        let (mac, id, address) = machine_of_perfdhcp(number);
        inventory.interfaces.push(EthernetInterface::new(&mac, &id, &[&address]));
        inventory.components.push(Component::new(&id, i64::from(number) + 1));
    }
    let cluster = Cluster::start(inventory);
    let (first, ..) = machine_of_perfdhcp(0);
    let (base, count, server) = (format!("mac={first}"), MACHINES.to_string(), SERVER.to_string());
    // It plays a relay on the server's segment. -u: every address is another one; -W: how long it waits for the last answers (us);
    // -d: what takes longer is lost (s).
    let pace = ["-4", "-u", "-r", RATE, "-n", &count, "-R", &count, "-W", "1000000", "-d", "5"];
    let whom = ["-b", &base, "-l", "172.16.0.2", &server];
    let said = run(&cluster.wire.relay, "perfdhcp", &[&pace[..], &whom[..]].concat());
    let wanted = [&format!("received packets: {count}"), "drops: 0", "non unique addresses: 0"];
    for wanted in wanted {
        let found = said.lines().filter(|line| *line == wanted).count();
        assert_eq!(found, 2, "'{wanted}' of both exchanges:\n{said}");
    }
}

/// Pools on both links.
fn pools() -> Settings {
    Settings::default().dhcp4(
        "unknown",
        "{lease_store: \"sqlite:VAR/leases.db\", lease_time: 5m, pools: [\
         {subnet: 172.16.0.0/24, start: 172.16.0.160, end: 172.16.0.169}, \
         {subnet: 10.40.1.0/24, start: 10.40.1.160, end: 10.40.1.169}]}",
    )
}

/// The address a client was told, which is of a pool and for five minutes.
#[track_caller]
fn pooled(told: &Told, [address, lease]: [&str; 2], network: &str) -> String {
    let address = told.get(address).unwrap_or_else(|| panic!("no address in {told:#?}"));
    let last = address.strip_prefix(network).and_then(|last| last.parse().ok());
    assert!(last.is_some_and(|last: u8| (160..170).contains(&last)), "{address} is of no pool of {network}");
    assert_eq!(told.get(lease).map(String::as_str), Some("300"), "{told:#?}");
    address.clone()
}

#[test]
fn unknown_machines_lease_renew_and_give_back_with_udhcpc_dhclient_and_dhcpcd() {
    need_tools(&["udhcpc", "dhclient", "dhcpcd", "dhcrelay"]);
    let cluster = Cluster::start_with(scene::inventory(), &pools());
    let wire = &cluster.wire;
    for (number, machine) in [&wire.node1, &wire.node2, &wire.node3].into_iter().enumerate() {
        power_on(machine, &format!("02:7b:00:00:00:0{number}"));
    }
    let wait_released =
        |count| within(ANSWER, "it is given back", || (released(&cluster) >= count).then_some(()));

    let one = udhcpc(&wire.node1, &cluster.folder().join("n1"), &[]);
    let leased = pooled(&one.told("bound", 1), ["ip", "lease"], "172.16.0.");
    one.process.signal(Signal::SIGUSR1);
    assert_eq!(pooled(&one.told("renew", 1), ["ip", "lease"], "172.16.0."), leased);
    one.process.signal(Signal::SIGUSR2);
    wait_released(1.0);

    let keys = ["new_ip_address", "new_dhcp_lease_time"];
    let folder = cluster.folder().join("n2");
    let two = dhclient(&wire.node2, &folder);
    let leased = pooled(&two.told("BOUND", 1), keys, "172.16.0.");
    let written = || std::fs::read_to_string(folder.join("leases")).unwrap_or_default().contains(&leased);
    within(ANSWER, "it writes its lease down, after it has told", || written().then_some(()));
    drop(two);
    power_on(&wire.node2, "02:7b:00:00:00:01");
    let two = dhclient(&wire.node2, &folder);
    assert_eq!(pooled(&two.told("REBOOT", 1), keys, "172.16.0."), leased, "it remembers its lease");

    let _relay = dhcrelay(&wire.relay, cluster.folder(), &SERVER.to_string());
    let three = dhcpcd(&wire.node3, &cluster.folder().join("n3"));
    pooled(&three.told("BOUND", 1), keys, "10.40.1.");
    three.process.signal(RELEASE);
    wait_released(2.0);
}

//! Interfaces that come, go and change under a dhcpd that runs, several of them, and what it needs from the kernel.
//!
//! The kernel of the machines that run these tests has bridges and macvlans, but neither VLAN devices nor bonds. What dhcpd
//! sees of a bond that fails over is a device whose MAC changes, of a VLAN a device of a name with a dot, and frames with a
//! tag that its parent must not take for its own: these are tested.

use crate::station::{Station, request};
use dhcpd::wire::{MessageType, Request};
use std::{collections::BTreeSet, fs, time::Duration};
use testkit::{
    cluster::{Cluster, Instance, Namespace, Settings, finish, within},
    smd::{Component, EthernetInterface, Inventory},
};
use tokio::net::UdpSocket;

/// In 172.16.0.0/24, the network of `srv0`.
const HERE: &str = "02:78:00:00:00:01";
/// In 10.50.1.0/24, the network of `eth1`.
const THERE: &str = "02:78:00:00:00:02";
/// In 10.51.1.0/24, the second network of `eth1`.
const SECOND: &str = "02:78:00:00:00:03";
/// In both.
const BOTH: &str = "02:78:00:00:00:04";

/// Long enough on a busy machine, and well before the interfaces are read for no other reason than that 5 s are over.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How long a program may take to say something.
const SOON: Duration = Duration::from_secs(20);

fn inventory() -> Inventory {
    let nodes = [
        (HERE, &["172.16.0.14"][..]),
        (THERE, &["10.50.1.14"]),
        (SECOND, &["10.51.1.14"]),
        (BOTH, &["10.51.1.15", "10.50.1.15"]),
    ];
    let mut inventory = Inventory::default();
    for (number, (mac, addresses)) in nodes.into_iter().enumerate() {
        let id = format!("x3000c0s{number}b0n0");
        inventory.interfaces.push(EthernetInterface::new(mac, &id, addresses));
        inventory.components.push(Component::new(&id, 3_000 + number as i64));
    }
    inventory
}

/// Listens so, and is called after the address that a packet came to.
fn listening(listen: &str) -> Settings {
    let keep =
        Settings::default().without_dhcp4("server_id").without_dhcp4("router").without_dhcp4("subnets");
    keep.dhcp4("listen", listen)
}

/// SMD and its cache run, and their settings are there.
fn bare(settings: &Settings) -> Cluster {
    let mut cluster = Cluster::bare();
    cluster.configure(settings);
    cluster.start_smd(inventory());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    cluster
}

/// dhcpd runs too.
fn cluster(settings: &Settings) -> Cluster {
    let mut cluster = bare(settings);
    cluster.start_program("dhcpd");
    cluster.wait_ready("dhcpd");
    cluster
}

/// A cable from a device of the server to `eth0` of a new machine; the server's end is down and has no address.
fn cable(cluster: &Cluster, device: &str) -> Namespace {
    let machine = Namespace::new("far");
    plug(cluster, device, &machine);
    machine
}

fn plug(cluster: &Cluster, device: &str, machine: &Namespace) {
    let name = machine.name();
    cluster.wire.server.ip(&format!("link add {device} type veth peer name eth0 netns {name}"));
    machine.ip("link set eth0 up");
}

/// Waits until so many are open: those of `0.0.0.0` are one for each interface and one for relays.
fn wait_sockets(cluster: &Cluster, count: f64) {
    within(AT_ONCE, &format!("{count} sockets are open"), || {
        (cluster.metric("dhcpd", "dhcpd_sockets") == Some(count)).then_some(())
    });
}

/// `/ready` of dhcpd: status and text.
fn ready(cluster: &Cluster) -> (u16, String) {
    within(SOON, "dhcpd answers", || cluster.admin("dhcpd", "/ready"))
}

/// Waits until `/ready` is that and says that.
fn wait_ready(cluster: &Cluster, status: u16, text: &str) {
    let mut last = (0, String::new());
    let end = std::time::Instant::now() + SOON;
    while std::time::Instant::now() < end {
        last = ready(cluster);
        if last.0 == status && last.1.contains(text) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not {status} with '{text}', but {last:?}");
}

#[test]
fn an_interface_is_served_while_it_is_there_whatever_it_is_called_and_whichever_mac_it_has() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    let server = &cluster.wire.server;
    let here = Station::at(&cluster.wire.node1, "eth0");
    assert_eq!(here.discover(HERE).iter().filter(|it| it.offers("172.16.0.14", "172.16.0.253")).count(), 1);

    let far = cable(&cluster, "eth1");
    let there = Station::at(&far, "eth0");
    server.ip("link set eth1 up");
    assert!(there.discover(THERE).is_empty(), "it has no address");
    server.ip("addr add 10.50.1.1/24 dev eth1");
    there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
    let one = there.discover(THERE);
    assert!(one.len() == 1 && one[0].source.ip().to_string() == "10.50.1.1", "{one:#?}");

    server.ip("link set eth1 address 02:78:ff:00:00:01");
    there.until(AT_ONCE, THERE, |it| it.from.to_string() == "02:78:ff:00:00:01");
    assert_eq!(there.discover(THERE).len(), 1);
    assert!(!cluster.log("dhcpd").contains("ERROR"), "{}", cluster.log("dhcpd"));

    server.ip("link set eth1 name lan-A.1_x");
    within(AT_ONCE, "the new name is in the log", || {
        cluster.log("dhcpd").contains("%lan-A.1_x:67").then_some(())
    });

    assert_eq!(there.discover(THERE).len(), 1);
    server.ip("link set lan-A.1_x down");
    wait_sockets(&cluster, 2.0);
    server.ip("link set lan-A.1_x up");
    there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));

    server.ip("addr add 10.50.1.2/24 dev lan-A.1_x");
    server.ip("addr del 10.50.1.1/24 dev lan-A.1_x");
    server.ip("addr replace 10.50.1.2/24 dev lan-A.1_x");
    there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.2"));
    let old =
        request(MessageType::Request, THERE).option(50u8, &[10, 50, 1, 14]).option(54u8, &[10, 50, 1, 1]);
    assert!(there.ask(old).is_empty(), "10.50.1.1 is another server now");
    far.ip("addr add 10.50.1.14/24 dev eth0"); // it has its address, and answers ARP for it
    let rebinding = Request { ciaddr: "10.50.1.14".parse().unwrap(), ..request(MessageType::Request, THERE) };
    let acks = there.ask(rebinding);
    assert!(acks.len() == 1 && acks[0].message.message_type() == Some(MessageType::Ack), "{acks:#?}");
    assert_eq!(acks[0].message.address(54u8), Some("10.50.1.2".parse().unwrap()));
    far.ip("addr flush dev eth0");

    for _ in 0..3 {
        server.ip("link del lan-A.1_x");
        plug(&cluster, "lan-A.1_x", &far);
        let there = Station::at(&far, "eth0");
        server.ip("addr add 10.50.1.3/24 dev lan-A.1_x");
        server.ip("link set lan-A.1_x up");
        there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.3"));
        assert_eq!(there.discover(THERE).len(), 1);
    }
    server.ip("link del lan-A.1_x");
    wait_sockets(&cluster, 2.0);
    assert_eq!(here.discover(HERE).len(), 1);
    assert!(!cluster.log("dhcpd").contains("ERROR"), "{}", cluster.log("dhcpd"));
}

#[test]
fn an_interface_that_flaps_leaves_nothing_behind() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    let server = &cluster.wire.server;
    let there = Station::at(&cable(&cluster, "eth1"), "eth0");
    server.ip("addr add 10.50.1.1/24 dev eth1");
    server.ip("link set eth1 up");
    there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
    let files = || fs::read_dir(format!("/proc/{}/fd", cluster.pid("dhcpd"))).unwrap().count();
    let before = files();
    for number in 0..=250 {
        server.ip(&format!("link set eth1 address 02:78:ff:00:01:{number:02x}"));
        if number % 5 == 0 {
            server.ip("link set eth1 down");
            server.ip("link set eth1 up");
        }
    }
    there.until(AT_ONCE, THERE, |it| it.from.to_string() == "02:78:ff:00:01:fa");
    wait_sockets(&cluster, 3.0);
    within(AT_ONCE, "every socket that was replaced is closed", || (files() <= before).then_some(()));
    assert_eq!(there.discover(THERE).len(), 1);
    assert!(!cluster.log("dhcpd").contains("ERROR"), "{}", cluster.log("dhcpd"));
}

#[test]
fn a_client_is_answered_from_the_address_of_its_own_subnet() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    let server = &cluster.wire.server;
    let there = Station::at(&cable(&cluster, "eth1"), "eth0");
    server.ip("addr add 10.50.1.1/24 dev eth1");
    server.ip("addr add 10.50.1.2/24 dev eth1");
    server.ip("addr add 10.51.1.1/24 dev eth1 label eth1second");
    server.ip("link set eth1 up");
    there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
    for (mac, address, id) in [
        (THERE, "10.50.1.14", "10.50.1.1"),
        (SECOND, "10.51.1.14", "10.51.1.1"),
        (BOTH, "10.51.1.15", "10.51.1.1"),
        // No address of it is of this link: its first one, with a warning.
        (HERE, "172.16.0.14", "10.50.1.1"),
    ] {
        let answers = there.discover(mac);
        assert!(answers.len() == 1 && answers[0].offers(address, id), "{mac} {answers:#?}");
        assert_eq!(answers[0].source.to_string(), format!("{id}:67"), "{mac}");
    }
    assert_eq!(cluster.metric("dhcpd", r#"dhcpd_notes_total{kind="off_link"}"#), Some(1.0));
    // Any of ours is us.
    for id in [[10, 50, 1, 1], [10, 50, 1, 2], [172, 16, 0, 253]] {
        let chosen = request(MessageType::Request, THERE).option(50u8, &[10, 50, 1, 14]).option(54u8, &id);
        let acks = there.ask(chosen);
        assert!(acks.len() == 1 && acks[0].message.message_type() == Some(MessageType::Ack), "{acks:#?}");
    }
}

#[test]
fn an_interface_without_an_address_is_served_in_the_name_of_server_id_or_not_at_all() {
    let settings = listening(r#"["%eth1"]"#);
    for (settings, is_served) in
        [(settings.clone().dhcp4("server_id", "172.16.0.253"), true), (settings, false)]
    {
        let mut cluster = bare(&settings);
        let far = cable(&cluster, "eth1");
        cluster.wire.server.ip("link set eth1 up");
        cluster.start_program("dhcpd");
        wait_ready(&cluster, 200, "interface eth1 has no IPv4 address yet");
        let there = Station::at(&far, "eth0");
        let broadcast = Request { flags: 0x8000, ..request(MessageType::Discover, THERE) };
        for (asked, to) in
            [(request(MessageType::Discover, THERE), "10.50.1.14:68"), (broadcast, "255.255.255.255:68")]
        {
            let answers = there.ask(asked);
            assert_eq!(answers.len(), usize::from(is_served), "{answers:#?}");
            for answer in answers {
                assert!(answer.offers("10.50.1.14", "172.16.0.253"), "{answer:#?}");
                assert_eq!(answer.source.to_string(), "172.16.0.253:67");
                assert_eq!(answer.destination.to_string(), to);
            }
        }
    }
}

#[test]
fn a_bridge_and_its_ports_are_one_link_and_a_macvlan_is_another() {
    let mut cluster = bare(&listening(r#"["%br-mgmt.9", "%port0", "%mv0"]"#).dhcp4("server_id", "10.50.1.1"));
    cluster.start_program("dhcpd");
    wait_ready(&cluster, 503, "there is no interface br-mgmt.9; there is no interface port0");
    let server = &cluster.wire.server;
    let (one, two) = (cable(&cluster, "port0"), cable(&cluster, "port1"));
    server.ip("link add br-mgmt.9 type bridge stp_state 0 forward_delay 0");
    for device in ["port0", "port1"] {
        server.ip(&format!("link set {device} master br-mgmt.9"));
        server.ip(&format!("link set {device} up"));
    }
    server.ip("addr add 10.50.1.1/24 dev br-mgmt.9");
    server.ip("link set br-mgmt.9 up");
    // The switch behind srv0 sees the macvlan's frames; srv0 itself is not listened on.
    server.ip("link add link srv0 name mv0 type macvlan mode bridge");
    server.ip("addr add 172.16.0.252/24 dev mv0");
    server.ip("link set mv0 up");
    let stations = [Station::at(&one, "eth0"), Station::at(&two, "eth0")];
    stations[0].until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
    for station in &stations {
        assert_eq!(station.discover(THERE).len(), 1, "one request, one answer");
    }
    let here = Station::at(&cluster.wire.node1, "eth0");
    here.until(AT_ONCE, HERE, |it| it.offers("172.16.0.14", "10.50.1.1"));
    let answers = here.discover(HERE);
    assert!(answers.len() == 1 && answers[0].source.to_string() == "172.16.0.252:67", "{answers:#?}");
    wait_ready(&cluster, 200, "interface port0 has no IPv4 address yet");
}

#[test]
fn two_interfaces_on_one_link_give_a_machine_the_same_address() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    cluster.wire.server.ip("link add link srv0 name mv0 type macvlan mode bridge");
    cluster.wire.server.ip("addr add 172.16.0.252/24 dev mv0");
    cluster.wire.server.ip("link set mv0 up");
    let here = Station::at(&cluster.wire.node1, "eth0");
    here.until(AT_ONCE, HERE, |it| it.offers("172.16.0.14", "172.16.0.252"));
    let answers = here.discover(HERE);
    let servers: BTreeSet<String> = answers.iter().map(|it| it.source.to_string()).collect();
    assert!(answers.len() == 2 && servers.len() == 2, "{answers:#?}");
    assert!(answers.iter().all(|it| it.message.yiaddr == answers[0].message.yiaddr), "{answers:#?}");
}

#[test]
fn a_frame_of_another_vlan_is_not_for_the_interface_that_it_came_through() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67", "%srv0.100"]"#));
    wait_ready(&cluster, 200, "there is no interface srv0.100");
    let here = Station::at(&cluster.wire.node1, "eth0");
    assert!(here.ask_tagged(100, request(MessageType::Discover, HERE)).is_empty());
    assert_eq!(here.discover(HERE).len(), 1);
}

#[test]
fn who_starts_before_its_interface_says_so_and_serves_once_it_is_there() {
    for (listen, early, no_address) in [
        ("%eth1", (503, "there is no interface eth1"), (200, "interface eth1 has no IPv4 address yet")),
        (
            "10.50.1.1",
            (503, "no interface has the address 10.50.1.1"),
            (503, "no interface has the address 10.50.1.1"),
        ),
        (
            "0.0.0.0",
            (200, "no interface that hears broadcasts has an IPv4 address yet"),
            (200, "no interface that hears broadcasts has an IPv4 address yet"),
        ),
    ] {
        let mut cluster = bare(&listening(&format!(r#"["{listen}"]"#)));
        cluster.wire.server.ip("addr flush dev srv0");
        cluster.start_program("dhcpd");
        wait_ready(&cluster, early.0, early.1);
        let far = cable(&cluster, "eth1");
        cluster.wire.server.ip("link set eth1 up");
        wait_ready(&cluster, no_address.0, no_address.1);
        cluster.wire.server.ip("addr add 10.50.1.1/24 dev eth1");
        let there = Station::at(&far, "eth0");
        let took = there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
        eprintln!("{listen}: an offer {took:?} after the address was there");
        cluster.wait_ready("dhcpd");
        let (status, text) = ready(&cluster);
        assert!(status == 200 && !text.contains("degraded"), "{text}");
        assert_eq!(there.discover(THERE).len(), 1);
    }
}

#[test]
fn two_capabilities_are_enough_and_without_them_it_says_what_is_missing() {
    let settings = Settings::default().dhcp4("listen", r#"["0.0.0.0:67"]"#);
    let mut cluster = bare(&settings);
    let here = Station::at(&cluster.wire.node1, "eth0");
    let with = |capabilities| Instance { capabilities: Some(capabilities), ..Instance::of("dhcpd") };

    cluster.start_instance(&with("net_bind_service,net_raw"));
    cluster.wait_ready("dhcpd");
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.pid("dhcpd"))).unwrap();
    let fields: BTreeSet<&str> =
        status.lines().filter(|line| line.starts_with("CapEff") || line.starts_with("Uid")).collect();
    assert_eq!(fields, BTreeSet::from(["CapEff:\t0000000000002400", "Uid:\t65534\t65534\t65534\t65534"]));
    assert_eq!(here.discover(HERE).len(), 1);
    let far = cable(&cluster, "eth1");
    cluster.wire.server.ip("addr add 10.50.1.1/24 dev eth1");
    cluster.wire.server.ip("link set eth1 up");
    Station::at(&far, "eth0").until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "172.16.0.253"));
    cluster.kill("dhcpd");

    cluster.start_instance(&with("net_bind_service"));
    cluster.wait_ready("dhcpd");
    wait_ready(&cluster, 200, "serves relays only: CAP_NET_RAW is missing");
    assert!(here.discover(HERE).is_empty());
    assert_eq!(relayed(&cluster), Some("172.16.0.14".to_owned()));
    cluster.kill("dhcpd");

    cluster.start_instance(&with(""));
    within(SOON, "it says why it cannot", || {
        cluster.log("dhcpd").contains("CAP_NET_BIND_SERVICE is missing").then_some(())
    });
}

/// What a relay on the relay machine is offered for [`HERE`].
fn relayed(cluster: &Cluster) -> Option<String> {
    let message = request(MessageType::Discover, HERE).relayed("172.16.0.2".parse().unwrap());
    cluster.at_relay().run(async move {
        let socket = UdpSocket::bind("172.16.0.2:67").await.expect("nobody else is a relay");
        socket.send_to(&message.encode(), "172.16.0.253:67").await.expect("there is a route");
        let mut buffer = [0; 1500];
        let received =
            tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut buffer)).await.ok()?.ok()?;
        Some(dhcpd::wire::parse_reply(&buffer[..received]).ok()?.yiaddr.to_string())
    })
}

#[test]
fn a_second_dhcpd_never_gets_in_not_even_while_the_first_opens_sockets() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    let second = cluster.folder().join("second.yaml");
    let text = fs::read_to_string(cluster.config_file()).unwrap();
    let runtime = cluster.folder().join("second");
    fs::create_dir(&runtime).unwrap();
    for listen in ["0.0.0.0:67", "172.16.0.253:67", "%srv0", "%eth1", "10.50.1.1"] {
        fs::write(&second, text.replace("0.0.0.0:67", listen)).unwrap();
        let far = cable(&cluster, "eth1");
        cluster.wire.server.ip("link set eth1 up");
        cluster.wire.server.ip("addr add 10.50.1.1/24 dev eth1");
        let mut command = cluster.wire.server.command(cluster.programs_folder().join("dhcpd"));
        command.arg("--config").arg(&second).env("RUNTIME_DIR", &runtime);
        let (status, said) = finish(&mut command, SOON);
        assert!(
            !status.success() && said.contains("another DHCP server runs on this host"),
            "{listen}: {said}"
        );
        let there = Station::at(&far, "eth0");
        there.until(AT_ONCE, THERE, |it| it.offers("10.50.1.14", "10.50.1.1"));
        cluster.wire.server.ip("link del eth1");
        wait_sockets(&cluster, 2.0);
    }
}

#[test]
fn what_is_longer_than_the_link_takes_is_broadcast_in_fragments() {
    let cluster = cluster(&listening(r#"["0.0.0.0:67"]"#));
    cluster.wire.server.ip("link set srv0 mtu 300");
    let message = request(MessageType::Discover, HERE);
    let (xid, bytes) = (message.xid, message.encode());
    let machine = testkit::cluster::Inside::of(&cluster.wire.node1);
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
    let offered = machine.run(async move {
        let socket = UdpSocket::bind("0.0.0.0:68").await.unwrap();
        socket.set_broadcast(true).unwrap();
        socket.bind_device(Some(b"eth0")).unwrap();
        socket.send_to(&bytes, "255.255.255.255:67").await.ok()?;
        let mut buffer = [0; 1500];
        let received =
            tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.ok()?.ok()?;
        dhcpd::wire::parse_reply(&buffer[..received]).ok().filter(|it| it.xid == xid)
    });
    assert_eq!(offered.expect("an offer").yiaddr.to_string(), "172.16.0.14");
    assert_eq!(cluster.metric("dhcpd", r#"dhcpd_send_errors_total{way="link"}"#), Some(1.0));
}

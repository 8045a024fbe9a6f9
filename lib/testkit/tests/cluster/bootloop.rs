//! Machines that SMD does not know yet: they boot in a loop from a pool until it does, and then have their own address.

use crate::{
    clients::{dhclient, power_on, udhcpc},
    scene::{self, Dhcp, NEWCOMER, NODE3, Node, SOON},
};
use dhcpd::leases::page::Line;
use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{fs, net::Ipv4Addr};
use testkit::{
    cluster::{Cluster, RELAY, SERVER, Settings, need_tools, within},
    packets::dhcp4::{self, Machine, Message, Relay, value},
};
use tokio::net::UdpSocket;
use values::Mac;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 40, 1, 160);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 40, 1, 161);
const STRANGER: &str = "02:99:00:00:00:01";
const OTHER: &str = "02:99:00:00:00:02";
/// A BMC that Magellan finds by the address it leases.
const BMC: Node = Node { id: "x1000c0s7b0", nid: 0, mac: STRANGER, address: "10.40.1.160", fqdn: "" };

/// A pool behind the relay, of two addresses, and one on the server's segment.
fn settings() -> Settings {
    pools("10.40.1.160", "10.40.1.161")
}

fn pools(start: &str, end: &str) -> Settings {
    let unknown = format!(
        "{{lease_store: \"sqlite:VAR/leases.db\", lease_time: 10m, pools: [\
         {{subnet: 10.40.1.0/24, start: {start}, end: {end}}}, \
         {{subnet: 172.16.0.0/24, start: 172.16.0.160, end: 172.16.0.169}}]}}"
    );
    Settings::default().dhcp4("unknown", &unknown)
}

/// smd-cache and dhcpd beside SMD.
fn cluster(settings: &Settings) -> Cluster {
    let mut cluster = Cluster::bare();
    cluster.configure(settings);
    cluster.start_smd(scene::inventory());
    for program in ["smd-cache", "dhcpd"] {
        cluster.start_program(program);
        cluster.wait_ready(program);
    }
    within(SOON, "pools serve", || said(&cluster, "/ready").starts_with("ready").then_some(()));
    cluster
}

fn said(cluster: &Cluster, page: &str) -> String {
    cluster.admin("dhcpd", page).expect("dhcpd answers").1
}

fn machine(mac: &str) -> Machine {
    let relay = Relay { address: RELAY, link: None, source_port: true };
    Machine::new(mac.parse::<Mac>().unwrap()).behind(relay)
}

/// What dhcpd says to it, if anything, as text, and the whole of it.
fn ask(cluster: &Cluster, message: Message) -> (String, Option<Message>) {
    let reply = cluster.at_relay().run(async move {
        let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
        dhcp4::exchange(&socket, (SERVER, 67).into(), &message, scene::SILENCE).await.expect("dhcpd listens")
    });
    let Some(reply) = reply else { return ("silent".into(), None) };
    let kind = format!("{:?}", reply.opts().msg_type().expect("a type")).to_uppercase();
    let given = reply.yiaddr();
    (if given.is_unspecified() { kind } else { format!("{kind} {given}") }, Some(reply))
}

fn discover(cluster: &Cluster, mac: &str) -> String {
    ask(cluster, machine(mac).discover(fastrand::u32(..))).0
}

/// Takes an offer.
fn select(cluster: &Cluster, mac: &str, address: Ipv4Addr) -> String {
    ask(cluster, machine(mac).request(fastrand::u32(..), address, SERVER)).0
}

/// Keeps its address.
fn renew(cluster: &Cluster, mac: &str, address: Ipv4Addr) -> (String, Option<Message>) {
    let mut message = machine(mac).message(fastrand::u32(..), MessageType::Request, []);
    message.set_ciaddr(address);
    ask(cluster, message)
}

/// The whole four-way.
fn lease(cluster: &Cluster, mac: &str, address: Ipv4Addr) {
    assert_eq!(discover(cluster, mac), format!("OFFER {address}"));
    assert_eq!(select(cluster, mac, address), format!("ACK {address}"));
}

/// Who holds what in which state, as `dhcpd leases list` says.
fn listed(cluster: &Cluster) -> Vec<(String, String, String)> {
    let (code, text) = cluster.ask("dhcpd", &["leases", "list", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<Line> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    lines.into_iter().map(|line| (line.address.to_string(), line.mac, line.state)).collect()
}

fn line(address: Ipv4Addr, mac: &str, state: &str) -> (String, String, String) {
    (address.to_string(), mac.to_owned(), state.to_owned())
}

fn text(message: &Message, code: OptionCode) -> String {
    String::from_utf8_lossy(&value(message, code).unwrap_or_default()).trim_end_matches('\0').to_owned()
}

#[test]
fn a_node_boots_in_a_loop_until_smd_knows_it_and_then_has_its_own_address() {
    let cluster = cluster(&settings());
    let firmware = machine(NEWCOMER.mac).with_firmware(7);
    let (offer, message) = ask(&cluster, firmware.discover(1));
    assert_eq!(offer, "OFFER 10.40.1.160");
    assert_eq!(text(&message.unwrap(), OptionCode::BootfileName), "ipxe-x86_64.efi");
    let (ack, message) = ask(&cluster, firmware.request(2, FIRST, SERVER));
    assert_eq!(ack, "ACK 10.40.1.160");
    let message = message.unwrap();
    assert_eq!(message.opts().get(OptionCode::AddressLeaseTime), Some(&DhcpOption::AddressLeaseTime(600)));
    let (offer, message) = ask(&cluster, firmware.with_ipxe().discover(3));
    assert_eq!(offer, "OFFER 10.40.1.160", "the loader gets the same");
    assert_eq!(text(&message.unwrap(), OptionCode::BootfileName), "default", "the script that reboots");
    assert_eq!(select(&cluster, NEWCOMER.mac, FIRST), "ACK 10.40.1.160");
    assert_eq!(renew(&cluster, NEWCOMER.mac, FIRST).0, "ACK 10.40.1.160");
    assert_eq!(listed(&cluster), [line(FIRST, NEWCOMER.mac, "leased")]);
    let (code, why) = cluster.ask("dhcpd", &["explain", NEWCOMER.mac, "--relay", &RELAY.to_string()]);
    assert!(code == Some(0) && why.contains("It leases 10.40.1.160 for another"), "{why}");

    scene::add(&cluster, NEWCOMER);
    within(2 * SOON, "it is refused", || (renew(&cluster, NEWCOMER.mac, FIRST).0 == "NAK").then_some(()));
    let own: Ipv4Addr = NEWCOMER.address.parse().unwrap();
    lease(&cluster, NEWCOMER.mac, own);
    assert_eq!(listed(&cluster), [line(FIRST, NEWCOMER.mac, "free")]);
}

#[test]
fn a_bmc_that_is_put_into_smd_with_the_address_it_leases_keeps_it() {
    let mut cluster = cluster(&settings());
    lease(&cluster, BMC.mac, FIRST);
    scene::add(&cluster, BMC);
    // A lease of the known: their time.
    let is_known = |message: Option<Message>| {
        let time = message?.opts().get(OptionCode::AddressLeaseTime).cloned();
        (time == Some(DhcpOption::AddressLeaseTime(3600))).then_some(())
    };
    within(2 * SOON, "it is served as known", || {
        let (said, message) = renew(&cluster, BMC.mac, FIRST);
        assert_eq!(said, "ACK 10.40.1.160", "it is never refused");
        is_known(message)
    });
    assert!(listed(&cluster).iter().all(|(.., state)| state != "leased"), "{:?}", listed(&cluster));
    cluster.kill("dhcpd");
    cluster.start_program("dhcpd");
    cluster.wait_ready("dhcpd");
    assert_eq!(renew(&cluster, BMC.mac, FIRST).0, "ACK 10.40.1.160");
    within(SOON, "pools serve", || (discover(&cluster, OTHER) == "OFFER 10.40.1.161").then_some(()));
    assert_eq!(discover(&cluster, "02:99:00:00:00:03"), "silent", "it is nobody else's");
}

#[test]
fn an_address_that_smd_gives_to_another_machine_goes_there_when_its_holder_was_refused_it() {
    let cluster = cluster(&settings());
    lease(&cluster, STRANGER, FIRST);
    let owner = Node { address: "10.40.1.160", ..NEWCOMER };
    scene::add(&cluster, owner);
    scene::wait_known(&cluster, owner.mac, owner.address);
    within(2 * SOON, "the owner waits", || (discover(&cluster, owner.mac) == "silent").then_some(()));
    let (code, why) = cluster.ask("dhcpd", &["explain", owner.mac, "--relay", &RELAY.to_string()]);
    assert!(
        code == Some(3) && why.contains(&format!("10.40.1.160 is leased to {STRANGER} for another")),
        "{why}"
    );
    assert_eq!(renew(&cluster, STRANGER, FIRST).0, "NAK");
    lease(&cluster, owner.mac, FIRST);
    lease(&cluster, STRANGER, SECOND);
}

#[test]
fn clients_of_other_hands_lease_renew_and_give_back() {
    need_tools(&["dhclient", "udhcpc"]);
    let cluster = cluster(&settings());
    let wire = &cluster.wire;
    power_on(&wire.node1, STRANGER);
    power_on(&wire.node2, OTHER);
    let one = dhclient(&wire.node1, &cluster.folder().join("n1"));
    let told = one.told("BOUND", 1);
    assert_eq!(
        (told["new_ip_address"].as_str(), told["new_dhcp_lease_time"].as_str()),
        ("172.16.0.160", "600")
    );
    let two = udhcpc(&wire.node2, &cluster.folder().join("n2"), &["-R"]);
    let told = two.told("bound", 1);
    assert_eq!((told["ip"].as_str(), told["lease"].as_str()), ("172.16.0.161", "600"));
    two.process.signal(Signal::SIGUSR1);
    assert_eq!(two.told("renew", 1)["ip"], "172.16.0.161");
    let [first, second] = [Ipv4Addr::new(172, 16, 0, 160), Ipv4Addr::new(172, 16, 0, 161)];
    assert_eq!(listed(&cluster), [line(first, STRANGER, "leased"), line(second, OTHER, "leased")]);
    two.process.signal(Signal::SIGUSR2); // RELEASE
    within(SOON, "it is free", || (listed(&cluster)[1] == line(second, OTHER, "free")).then_some(()));
    drop(one);
    power_on(&wire.node1, STRANGER);
    let again = dhclient(&wire.node1, &cluster.folder().join("n1"));
    assert_eq!(again.told("REBOOT", 1)["new_ip_address"], "172.16.0.160", "it remembers, and so does dhcpd");
}

#[test]
fn with_smd_and_smd_cache_away_leases_are_renewed_and_nobody_new_is_served() {
    let mut cluster = cluster(&settings());
    lease(&cluster, STRANGER, FIRST);
    cluster.stop_smd();
    cluster.kill("smd-cache");
    assert_eq!(renew(&cluster, STRANGER, FIRST).0, "ACK 10.40.1.160");
    assert_eq!(discover(&cluster, OTHER), "silent");
    assert_eq!(select(&cluster, OTHER, SECOND), "silent");
    assert_eq!(scene::discover(&cluster, NODE3.mac), Dhcp::Offer(NODE3.address.parse().unwrap()));
}

#[test]
fn leases_outlive_dhcpd_and_can_be_listed_and_freed() {
    let mut cluster = cluster(&settings());
    let (code, text) = cluster.ask("dhcpd", &["leases", "list"]);
    assert_eq!((code, text.as_str()), (Some(0), "no address of a pool was given to anybody yet\n"));
    lease(&cluster, STRANGER, FIRST);
    lease(&cluster, OTHER, SECOND);
    cluster.kill("dhcpd");
    cluster.start_program("dhcpd");
    cluster.wait_ready("dhcpd");
    within(SOON, "the leases are there", || (listed(&cluster).len() == 2).then_some(()));
    assert_eq!(listed(&cluster), [line(FIRST, STRANGER, "leased"), line(SECOND, OTHER, "leased")]);
    assert_eq!(renew(&cluster, STRANGER, FIRST).0, "ACK 10.40.1.160");
    assert_eq!(discover(&cluster, NEWCOMER.mac), "silent", "all are leased");
    let (_, table) = cluster.ask("dhcpd", &["leases", "list"]);
    assert!(table.starts_with("ADDRESS") && table.lines().count() == 3, "{table}");

    let freed = cluster.ask("dhcpd", &["leases", "release", STRANGER]);
    assert_eq!(freed, (Some(0), "10.40.1.160 is free\n".to_owned()));
    let again = cluster.ask("dhcpd", &["leases", "release", STRANGER]);
    assert_eq!(again, (Some(3), format!("{STRANGER} holds no address of a pool\n")));
    lease(&cluster, NEWCOMER.mac, FIRST);
    assert_eq!(renew(&cluster, STRANGER, FIRST).0, "NAK");
}

#[test]
fn other_pools_are_in_force_after_a_hangup_and_leases_of_before_run_on() {
    let cluster = cluster(&settings());
    lease(&cluster, STRANGER, FIRST);
    cluster.configure(&pools("10.40.1.200", "10.40.1.201"));
    kill(Pid::from_raw(cluster.pid("dhcpd") as i32), Signal::SIGHUP).unwrap();
    within(SOON, "the new pool serves", || (discover(&cluster, OTHER) == "OFFER 10.40.1.200").then_some(()));
    assert_eq!(listed(&cluster)[0], line(FIRST, STRANGER, "leased"), "until it ends, or its holder asks");
    assert_eq!(discover(&cluster, STRANGER), "OFFER 10.40.1.201");
}

#[test]
fn a_file_that_cannot_be_opened_degrades_dhcpd_and_known_nodes_are_served() {
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    fs::create_dir_all(cluster.var().join("leases.db")).unwrap();
    cluster.start_smd(scene::inventory());
    for program in ["smd-cache", "dhcpd"] {
        cluster.start_program(program);
        cluster.wait_ready(program);
    }
    let page = within(SOON, "it says so", || {
        Some(said(&cluster, "/ready")).filter(|page| page.contains("leases cannot be written"))
    });
    assert!(page.starts_with("degraded\n") && page.contains("leases.db"), "{page}");
    assert_eq!(scene::discover(&cluster, NODE3.mac), Dhcp::Offer(NODE3.address.parse().unwrap()));
    assert_eq!(discover(&cluster, STRANGER), "silent");
    fs::remove_dir(cluster.var().join("leases.db")).unwrap();
    within(2 * SOON, "it goes on by itself", || {
        (discover(&cluster, STRANGER) == "OFFER 10.40.1.160").then_some(())
    });
}

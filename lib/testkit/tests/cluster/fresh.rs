//! How soon a change in SMD is answered, and what it does not cost.

use crate::scene::{self, Dhcp, Dns, NODE1, NXDOMAIN, RELAYED, SOON};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Cluster, RELAY, SERVER, Settings, within},
    packets::dhcp4::{Machine, Relay},
    prober::{Asked, Prober},
    smd::{EthernetInterface, Inventory, SignedDuration},
};
use tokio::net::UdpSocket;
use values::Mac;

/// So rarely that nothing in these tests is seen by a whole read.
const RARELY: &str = "10m";
/// DESIGN's bound for a change that a delta shows is 1.5 s at the 99th percentile; this is for debug builds on a busy machine.
const BY_DELTA: Duration = Duration::from_secs(3);
/// Room for a busy machine beyond what is promised.
const SLACK: Duration = Duration::from_secs(2);

/// The n-th of the nodes that a test makes up, behind the relay.
struct Made {
    id: String,
    nid: i64,
    mac: String,
    address: Ipv4Addr,
}

impl Made {
    fn new(number: u8) -> Made {
        Made {
            id: format!("x2000c0s{number}b0n0"),
            nid: 1_000 + i64::from(number),
            mac: format!("02:78:00:00:00:{number:02x}"),
            address: Ipv4Addr::new(10, 40, 1, 100 + number),
        }
    }

    fn fqdn(&self) -> String {
        format!("nid{:04}.openchami.cluster", self.nid)
    }

    fn add(&self, cluster: &Cluster) {
        cluster.smd().add_node(&self.id, self.nid, &self.mac, &self.address.to_string());
    }

    fn is_offered(&self, cluster: &Cluster) -> bool {
        scene::discover(cluster, &self.mac) == Dhcp::Offer(self.address)
    }

    fn is_named(&self, cluster: &Cluster) -> bool {
        scene::address_of(cluster, &self.fqdn()) == Dns::data(&self.address.to_string())
    }
}

/// Times, sorted, as a line of text.
fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    format!("{} times: half {:.2?}, p90 {:.2?}, p99 {:.2?}", times.len(), at(50), at(90), at(99))
}

/// So many changes in all, by so many threads: none waits for the others.
const CHANGES: u8 = 50;
const AT_ONCE: u8 = 5;

#[test]
fn new_interfaces_and_changed_addresses_reach_dhcpd_and_dnsd_by_delta() {
    let settings = Settings::default().smd_cache("refresh", RARELY).smd_cache("pull_through", "false");
    let cluster = Cluster::start_with(scene::probed(), &settings);
    let times: Vec<(Duration, Duration)> = std::thread::scope(|scope| {
        let threads = (0..AT_ONCE).map(|thread| {
            let cluster = &cluster;
            scope.spawn(move || (0..CHANGES / AT_ONCE).map(|change| seen(cluster, thread, change)).collect())
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().flat_map(|thread| -> Vec<_> { thread.join().expect("each is seen") }).collect()
    });
    let (named, offered) = times.into_iter().unzip();
    println!("change in SMD -> name: {}", summary(named));
    println!("change in SMD -> offer: {}", summary(offered));
    let whole = "GET /hsm/v2/Inventory/EthernetInterfaces";
    assert!(cluster.smd().requests()[whole] <= 2, "it was not a whole read that brought them");
}

/// Makes a change and says when its name and its offer were seen. Every other one is another address of the node before.
fn seen(cluster: &Cluster, thread: u8, change: u8) -> (Duration, Duration) {
    let number = thread * (CHANGES / AT_ONCE) + change;
    let node = Made { address: Ipv4Addr::new(10, 40, 1, 100 + number), ..Made::new(number - change % 2) };
    std::thread::sleep(Duration::from_millis(fastrand::u64(..300))); // at any time between two polls
    let began = Instant::now();
    match change % 2 {
        0 => node.add(cluster),
        _ => assert!(cluster.smd().set_addresses(&node.mac, &[&node.address.to_string()])),
    }
    within(BY_DELTA, "dnsd answers", || node.is_named(cluster).then_some(()));
    let named = began.elapsed();
    within(BY_DELTA, "dhcpd answers", || node.is_offered(cluster).then_some(()));
    (named, began.elapsed())
}

#[test]
fn what_appears_late_and_what_a_clock_set_back_hides_is_seen_in_time() {
    let settings = Settings::default().smd_cache("refresh", "5s").smd_cache("pull_through", "false");
    let cluster = Cluster::start_with(scene::probed(), &settings);
    Made::new(1).add(&cluster);
    within(BY_DELTA + SLACK, "a new node", || Made::new(1).is_named(&cluster).then_some(()));
    // A transaction that began 3 s before: its time is older than what was seen already.
    let late = Made::new(2);
    late.add(&cluster);
    let mut inventory = cluster.smd().inventory();
    inventory.interfaces.retain(|row| row.mac == late.mac);
    inventory.interfaces[0].last_update -= SignedDuration::from_secs(3);
    cluster.smd().load(Inventory { interfaces: inventory.interfaces, ..Inventory::default() });
    within(BY_DELTA + SLACK, "a node of a slow transaction", || late.is_named(&cluster).then_some(()));
    for (number, hours) in [(3, 5), (4, -2), (5, 0)] {
        cluster.smd().set_clock_offset(SignedDuration::from_hours(hours));
        let node = Made::new(number);
        node.add(&cluster);
        let bound = Duration::from_secs(5 + 2) + SLACK;
        within(bound, &format!("a node, SMD's clock {hours} hours off"), || {
            node.is_named(&cluster).then_some(())
        });
    }
}

#[test]
fn removals_numbers_and_roles_show_within_refresh_and_two_seconds() {
    let rules = "rules:\n  - 'role:Service,hostname:svc{02d}'\n  - 'type:Node,hostname:nid{04d}'\n";
    let cluster =
        Cluster::start_with(scene::probed(), &Settings::default().smd_cache("refresh", "3s").more(rules));
    let bound = Duration::from_secs(3 + 2) + SLACK;
    let timed = |what: &str, mut seen: Box<dyn FnMut() -> bool + '_>| {
        let began = Instant::now();
        within(bound, what, || seen().then_some(()));
        println!("{what}: {:.2?}", began.elapsed());
    };
    cluster.smd().change_component(NODE1.id, |node| node.nid = 71);
    let renamed = || scene::address_of(&cluster, "nid0071.openchami.cluster") == Dns::data(NODE1.address);
    timed("another NID", Box::new(renamed));
    assert_eq!(scene::address_of(&cluster, NODE1.fqdn), NXDOMAIN);

    cluster.smd().change_component(NODE1.id, |node| node.role = "Service".to_owned());
    let renamed = || scene::address_of(&cluster, "svc71.openchami.cluster") == Dns::data(NODE1.address);
    timed("another role", Box::new(renamed));

    assert!(cluster.smd().remove(scene::NODE3.id));
    timed("removed from DNS", Box::new(|| scene::address_of(&cluster, scene::NODE3.fqdn) == NXDOMAIN));
    assert_eq!(scene::discover(&cluster, scene::NODE3.mac), Dhcp::Silent);
    assert_eq!(scene::name_of(&cluster, scene::NODE3.address), NXDOMAIN);
}

#[test]
fn a_new_node_is_answered_in_the_exchange_of_its_first_packet() {
    let settings = Settings::default().smd_cache("refresh", RARELY).smd_cache("poll_changes", "0");
    let cluster = Cluster::start_with(scene::probed(), &settings);
    let mut first = 0;
    let mut times = Vec::new();
    for number in 0..30 {
        let node = Made::new(number);
        node.add(&cluster);
        let began = Instant::now();
        match node.is_offered(&cluster) {
            true => first += 1,
            false => {
                within(SOON, "its retransmission is answered", || node.is_offered(&cluster).then_some(()))
            }
        }
        times.push(began.elapsed());
        within(SOON, "its name follows", || node.is_named(&cluster).then_some(()));
    }
    println!("DISCOVER of a node that SMD has just got: {}", summary(times));
    assert!(first >= 27, "{first} of 30 were answered at once: the others are those of a busy machine");
}

#[test]
fn a_flood_of_strangers_keeps_no_new_node_from_its_answer_and_smd_is_asked_for_many_at_a_time() {
    let cluster = Cluster::start_with(scene::probed(), &Settings::default().smd_cache("refresh", RARELY));
    let prober = Prober::start(&cluster, &RELAYED);
    let began = Instant::now();
    let flood = cluster.at_relay().spawn(flood(5_000));
    let mut times = Vec::new();
    for number in 0..10 {
        let node = Made::new(number);
        node.add(&cluster);
        let added = Instant::now();
        within(SOON, "a new node is served amid strangers", || node.is_offered(&cluster).then_some(()));
        times.push(added.elapsed());
    }
    let answered = cluster.at_relay().run(flood).unwrap();
    assert_eq!(answered, 0, "nobody unknown gets an answer");
    println!("a new node amid a flood: {}", summary(times));
    let asked =
        cluster.smd().requests().get("GET /hsm/v2/Inventory/EthernetInterfaces?id").copied().unwrap_or(0);
    let rate = asked as f64 / began.elapsed().as_secs_f64();
    println!("SMD was asked for {asked} machines by name, {rate:.0} times a second");
    assert!(asked < 5_000, "less often than there were strangers: {asked}");
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd, Asked::SmdCache]);
}

/// DISCOVERs of so many machines that nobody knows, a thousand a second; how many were answered.
async fn flood(count: u32) -> usize {
    let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
    let mut answered = 0;
    let mut buffer = [0; 1500];
    for number in 0..count {
        let [_, a, b, c] = number.to_be_bytes();
        let relay = Relay { address: RELAY, link: None, source_port: true };
        let machine = Machine::new(Mac([2, 0x98, 0, a, b, c])).behind(relay);
        let message = dhcproto::Encodable::to_vec(&machine.discover(number)).expect("a message");
        socket.send_to(&message, (SERVER, 67)).await.expect("it can be sent");
        tokio::time::sleep(Duration::from_millis(1)).await;
        answered += usize::from(socket.try_recv(&mut buffer).is_ok());
    }
    answered
}

/// An interface whose component is not there yet is nobody's, until the component comes.
#[test]
fn an_interface_before_its_component_is_served_once_both_are_there() {
    let settings = Settings::default().smd_cache("refresh", RARELY);
    let cluster = Cluster::start_with(scene::probed(), &settings);
    let node = Made::new(9);
    let interface = EthernetInterface::new(&node.mac, &node.id, &[&node.address.to_string()]);
    cluster.smd().load(Inventory { interfaces: vec![interface], ..Inventory::default() });
    scene::wait_known(&cluster, &node.mac, &node.address.to_string());
    assert!(!node.is_offered(&cluster) && !node.is_named(&cluster));
    node.add(&cluster);
    within(BY_DELTA + SLACK, "it is named", || node.is_named(&cluster).then_some(()));
    within(SOON, "it is served", || node.is_offered(&cluster).then_some(()));
}

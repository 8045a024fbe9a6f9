//! Several dnsd: one may be killed, or told to stop, and its clients see nothing of it.

use crate::scene::{self, NODE1};
use hickory_proto::rr::RecordType;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::{
    cluster::{Cluster, Inside, Instance, Process, Settings, need_tools, tool},
    packets::dns,
};
use tokio::task::JoinHandle;

/// The servers' addresses.
const FIRST: &str = "172.16.0.253";
const SECOND: &str = "172.16.0.252";
/// What a stub resolver waits for one server before it asks the other (glibc: 5 s, `options timeout:1` is usual on clusters).
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often each server is asked before it gives up, as in glibc.
const ATTEMPTS: usize = 2;
const CLIENTS: usize = 16;

fn server(address: &str) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(address.parse::<Ipv4Addr>().unwrap()), 53)
}

/// Settings of a dnsd with files and ports of its own.
fn settings(listen: &str, number: u16) -> Settings {
    Settings::default()
        .dnsd("listen", &format!("[\"{listen}:53\"]"))
        .dnsd("admin", &format!("127.0.0.1:{}", 27_700 + 100 * number))
        .inventory("replica_file", &format!("VAR/replica-dnsd-{number}"))
}

/// Two dnsd, on these addresses, with their names and settings.
struct Pair {
    cluster: Cluster,
    members: [(&'static str, Settings, u16); 2],
}

impl Pair {
    fn start(listen: [&str; 2]) -> Pair {
        let mut cluster = Cluster::bare();
        cluster.wire.server.ip(&format!("addr add {SECOND}/24 dev srv0"));
        cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
        cluster.start_smd(scene::inventory());
        cluster.start_program("smd-cache");
        cluster.wait_ready("smd-cache");
        let [one, two] = listen;
        let members = [("dnsd-1", settings(one, 1), 27_800), ("dnsd-2", settings(two, 2), 27_900)];
        let mut pair = Pair { cluster, members };
        (0..2).for_each(|number| pair.start_one(number));
        pair
    }

    /// Starts one of them, until it is ready.
    fn start_one(&mut self, number: usize) {
        let (name, settings, admin) = &self.members[number];
        let instance = Instance { name, settings: Some(settings), admin: *admin, ..Instance::of("dnsd") };
        self.cluster.start_instance(&instance);
        self.cluster.wait_ready(name);
    }
}

/// Questions, and those that nobody answered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    asked: usize,
    failed: usize,
}

/// Asks for a node as a stub resolver with these servers does.
async fn stub(servers: Vec<SocketAddr>, stop: Arc<AtomicBool>) -> Counts {
    let mut counts = Counts::default();
    while !stop.load(Ordering::Relaxed) {
        let mut found = false;
        for server in servers.iter().cycle().take(servers.len() * ATTEMPTS) {
            // An error is the ICMP of a host where nobody listens.
            let answer = dns::ask(*server, NODE1.fqdn, RecordType::A, TIMEOUT).await.ok().flatten();
            if answer.is_some_and(|answer| answer.answers.len() == 1) {
                found = true;
                break;
            }
        }
        counts.asked += 1;
        counts.failed += usize::from(!found);
        tokio::time::sleep(Duration::from_millis(2)).await; // hundreds of questions a second are enough
    }
    counts
}

/// Clients on the node, until they are stopped.
struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Counts>>,
    place: Inside,
}

impl Clients {
    fn start(cluster: &Cluster, servers: &[SocketAddr]) -> Clients {
        let (stop, place) = (Arc::new(AtomicBool::new(false)), Inside::of(&cluster.wire.node1));
        let one = |_| place.spawn(stub(servers.to_vec(), stop.clone()));
        Clients { tasks: (0..CLIENTS).map(one).collect(), stop, place }
    }

    fn stop(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let tasks = self.tasks;
        self.place.run(async move {
            let mut all = Counts::default();
            for task in tasks {
                let counts = task.await.expect("a client does not panic");
                all.asked += counts.asked;
                all.failed += counts.failed;
            }
            all
        })
    }
}

/// dnsperf at both servers, as load: what it misses is not judged.
fn load(cluster: &Cluster) -> Vec<Process> {
    let file = cluster.folder().join("questions");
    fs::write(&file, format!("{0} A\nnope.openchami.cluster A\n{0} AAAA\n", NODE1.fqdn)).unwrap();
    let at = |address: &&str| {
        let mut command = cluster.wire.node2.command(tool("dnsperf"));
        command.args(["-s", address, "-l", "60", "-Q", "500", "-t", "1", "-d"]).arg(&file);
        Process::start("dnsperf", command, &cluster.folder().join("dnsperf.log"))
    };
    [FIRST, SECOND].iter().map(at).collect()
}

#[test]
fn a_client_with_two_servers_sees_nothing_of_one_that_is_killed() {
    need_tools(&["dnsperf"]);
    let mut pair = Pair::start([FIRST, SECOND]);
    pair.cluster.wire.node2.ip("addr add 172.16.0.78/24 dev eth0");
    let _load = load(&pair.cluster);
    let clients = Clients::start(&pair.cluster, &[server(FIRST), server(SECOND)]);
    for round in 0..6 {
        let number = round % 2;
        pair.cluster.kill(pair.members[number].0);
        std::thread::sleep(Duration::from_millis(500)); // clients meet the dead one
        pair.start_one(number);
    }
    let counts = clients.stop();
    assert!(counts.asked > 50 && counts.failed == 0, "{counts:?}");
}

/// No second try here: a query that is lost is lost.
async fn once(server: SocketAddr, stop: Arc<AtomicBool>) -> Counts {
    let mut counts = Counts::default();
    while !stop.load(Ordering::Relaxed) {
        let answer = dns::ask(server, NODE1.fqdn, RecordType::A, 5 * TIMEOUT).await.ok().flatten();
        counts.asked += 1;
        counts.failed += usize::from(answer.is_none_or(|answer| answer.answers.len() != 1));
    }
    counts
}

#[test]
fn replicas_on_one_port_come_and_go_without_losing_a_query() {
    let mut pair = Pair::start([FIRST, FIRST]);
    let (stop, place) = (Arc::new(AtomicBool::new(false)), Inside::of(&pair.cluster.wire.node1));
    let tasks: Vec<_> = (0..CLIENTS).map(|_| place.spawn(once(server(FIRST), stop.clone()))).collect();
    for round in 0..6 {
        let number = round % 2;
        std::thread::sleep(Duration::from_millis(300)); // both are asked
        pair.cluster.terminate(pair.members[number].0);
        pair.start_one(number);
    }
    stop.store(true, Ordering::Relaxed);
    let counts = Clients { stop, tasks, place }.stop();
    assert!(counts.asked > 50 && counts.failed == 0, "{counts:?}");
}

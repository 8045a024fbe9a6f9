//! Leases of machines that SMD does not know: what a client was told is on disk, whatever becomes of dhcpd and of the disk.

use crate::scene::{self, Dhcp, NODE3, SOON};
use dhcpd::leases::store::{Row, Sqlite, Store};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use testkit::{
    cluster::{Cluster, RELAY, SERVER, Settings, within},
    packets::dhcp4::{self, Machine, Message, MessageType, Relay},
};
use tokio::{net::UdpSocket, task::JoinHandle};
use values::Mac;

/// How often dhcpd is killed.
const TIMES: usize = 25;
/// How long it lives at most: it is met while it starts, while it takes up its leases, and while it grants them.
const LONGEST_LIFE: u64 = 800;
/// Machines that ask all the time; fewer than the pool has addresses.
const MACHINES: u32 = 100;
/// Longer than any of these tests, so that no lease ends in one.
const LEASE_SECONDS: i64 = 3600;
/// After this a machine asks anew. Short, so that many ask just after a start.
const PATIENCE: Duration = Duration::from_millis(300);

/// A pool behind the relay, and its leases in `var`.
fn settings() -> Settings {
    Settings::default().dhcp4(
        "unknown",
        "{lease_store: \"sqlite:VAR/leases.db\", lease_time: 1h, \
         pools: [{subnet: 10.40.1.0/24, start: 10.40.1.100, end: 10.40.1.240}]}",
    )
}

fn file(cluster: &Cluster) -> PathBuf {
    cluster.var().join("leases.db")
}

/// A machine that is not in SMD.
fn stranger(number: u32) -> Mac {
    let [_, b, c, d] = number.to_be_bytes();
    Mac([2, 0x99, 0, b, c, d])
}

fn machine(mac: Mac) -> Machine {
    Machine::new(mac).behind(Relay { address: RELAY, link: None, source_port: true })
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// What clients were told: who has which address, and at least until when.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    leases: BTreeMap<Mac, (Ipv4Addr, i64)>,
    holders: HashMap<Ipv4Addr, Mac>,
    acks: usize,
    wrong: Vec<String>,
}

impl Ledger {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// An ACK that answers a request sent at this time. No lease ends meanwhile and nobody gives one back.
    fn ack(&self, mac: Mac, address: Ipv4Addr, asked_at: i64) {
        let mut told = self.told();
        told.acks += 1;
        let holder = *told.holders.entry(address).or_insert(mac);
        if holder != mac {
            told.wrong.push(format!("{address} is of {holder}, and {mac} has it too"));
        }
        let before = told.leases.insert(mac, (address, asked_at + LEASE_SECONDS));
        if let Some((before, _)) = before.filter(|(before, _)| *before != address) {
            told.wrong.push(format!("{mac} had {before}, and now {address}"));
        }
    }

    /// What is in the file, or in a copy of it, fits.
    fn check(&self, rows: &[Row]) {
        let told = self.told();
        assert!(told.wrong.is_empty(), "{:#?}", told.wrong);
        let addresses: HashSet<_> = rows.iter().map(|row| row.address).collect();
        assert_eq!(addresses.len(), rows.len(), "an address has two rows: {rows:#?}");
        for (mac, (address, until)) in &told.leases {
            let row = rows.iter().find(|row| row.address == *address);
            let row = row.unwrap_or_else(|| panic!("{mac} was told {address}, and there is no row of it"));
            assert_eq!(row.mac, *mac, "{mac} was told {address}");
            assert!(row.expiry >= *until, "{mac} was told {address} until {until} at least: {row:?}");
        }
    }
}

/// Machines that lease addresses and renew them, until they are stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    machines: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(cluster: &Cluster, ledger: &Ledger) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let live = |number| cluster.at_relay().spawn(live(stranger(number), ledger.clone(), stop.clone()));
        let machines = (0..MACHINES).map(live).collect();
        Crowd { stop, machines }
    }

    fn stop(self, cluster: &Cluster) {
        self.stop.store(true, Ordering::Relaxed);
        cluster.inside().run(async move {
            for machine in self.machines {
                machine.await.expect("a machine does not panic");
            }
        });
    }
}

/// One machine: four-way, and then its address again and again, as after a reboot.
async fn live(mac: Mac, ledger: Ledger, stop: Arc<AtomicBool>) {
    let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
    let mut mine = None;
    while !stop.load(Ordering::Relaxed) {
        mine = match mine {
            None => offered(&socket, mac).await,
            Some(address) => match request(&socket, mac, address, &ledger).await {
                Some(MessageType::Nak) => None,
                _ => Some(address),
            },
        };
    }
}

async fn offered(socket: &UdpSocket, mac: Mac) -> Option<Ipv4Addr> {
    let offer = exchange(socket, machine(mac).discover(fastrand::u32(..))).await?;
    (offer.opts().msg_type() == Some(MessageType::Offer)).then(|| offer.yiaddr())
}

/// Asks for this address, and notes it when that is granted.
async fn request(socket: &UdpSocket, mac: Mac, address: Ipv4Addr, ledger: &Ledger) -> Option<MessageType> {
    let asked_at = unix_seconds();
    let reply = exchange(socket, machine(mac).request(fastrand::u32(..), address, SERVER)).await?;
    let kind = reply.opts().msg_type()?;
    if kind == MessageType::Ack {
        ledger.ack(mac, reply.yiaddr(), asked_at);
    }
    Some(kind)
}

/// A port that nobody listens on says so to the socket: dhcpd is being restarted, and the machine asks again.
async fn exchange(socket: &UdpSocket, message: Message) -> Option<Message> {
    let answer = dhcp4::exchange(socket, (SERVER, 67).into(), &message, PATIENCE).await;
    if answer.is_err() {
        tokio::time::sleep(PATIENCE / 10).await;
    }
    answer.ok().flatten()
}

/// A whole four-way of one machine: what it got.
fn lease(cluster: &Cluster, mac: Mac, ledger: &Ledger) -> Option<Ipv4Addr> {
    let ledger = ledger.clone();
    cluster.at_relay().run(async move {
        let socket = UdpSocket::bind((RELAY, 0)).await.expect("a socket on the relay");
        let address = offered(&socket, mac).await?;
        let kind = request(&socket, mac, address, &ledger).await?;
        (kind == MessageType::Ack).then_some(address)
    })
}

/// The rows of the file as a dead dhcpd left it; of a copy, so that the next one finds all of it as it was.
fn left_behind(cluster: &Cluster) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["leases.db", "leases.db-wal"] {
        let from = cluster.var().join(name);
        if from.exists() {
            fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    Sqlite::open(&folder.path().join("leases.db")).unwrap().load().unwrap()
}

/// Still answered, whatever the disk does.
fn known_nodes_are_served(cluster: &Cluster) {
    assert_eq!(scene::discover(cluster, NODE3.mac), Dhcp::Offer(NODE3.address.parse().unwrap()));
}

fn said(cluster: &Cluster, words: &str) -> usize {
    cluster.log("dhcpd").lines().filter(|line| line.contains(words)).count()
}

#[test]
fn killed_at_any_moment_every_lease_that_was_acknowledged_is_there_and_no_address_has_two_holders() {
    let mut cluster = Cluster::start_with(scene::probed(), &settings());
    let seed = fastrand::u64(..);
    println!("lives drawn with seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let ledger = Ledger::default();
    let crowd = Crowd::start(&cluster, &ledger);
    within(2 * SOON, "machines lease addresses", || (ledger.told().acks > 0).then_some(()));
    for round in 0..TIMES {
        std::thread::sleep(Duration::from_millis(random.u64(0..LONGEST_LIFE))); // a life
        cluster.kill("dhcpd");
        println!("round {round}: {} ACKs", ledger.told().acks);
        // What is on its way arrives.
        std::thread::sleep(PATIENCE);
        ledger.check(&left_behind(&cluster));
        cluster.start_program("dhcpd");
    }
    cluster.wait_ready("dhcpd");
    let before = ledger.told().acks;
    let rounds = before + 3 * MACHINES as usize;
    within(4 * SOON, "everybody is served again", || (ledger.told().acks > rounds).then_some(()));
    crowd.stop(&cluster);
    cluster.kill("dhcpd");
    ledger.check(&left_behind(&cluster));
    assert_eq!(ledger.told().leases.len(), MACHINES as usize, "and nobody went without");
}

#[test]
fn on_a_full_disk_nothing_is_promised_and_with_room_again_it_goes_on() {
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    let disk = cluster.small_disk(4096);
    cluster.start_smd(scene::probed());
    for program in ["smd-cache", "dhcpd"] {
        cluster.start_program(program);
        cluster.wait_ready(program);
    }
    let ledger = Ledger::default();
    assert!(lease(&cluster, stranger(1), &ledger).is_some());
    disk.fill();
    let refused = (2..60).find(|number| lease(&cluster, stranger(*number), &ledger).is_none());
    let refused = refused.expect("there is no room for so many");
    assert!(said(&cluster, "leases cannot be written") > 0 && said(&cluster, "is full") > 0);
    known_nodes_are_served(&cluster);
    disk.free();
    within(4 * SOON, "the next machine has its lease", || lease(&cluster, stranger(refused), &ledger));
    assert!(said(&cluster, "leases can be written again") > 0);
    cluster.kill("dhcpd");
    ledger.check(&left_behind(&cluster));
}

#[test]
fn a_locked_file_holds_up_unknown_machines_only_and_only_while_it_is_locked() {
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    let lock = Sqlite::open(&file(&cluster)).unwrap();
    cluster.start_smd(scene::probed());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    cluster.start_program("dhcpd");
    within(2 * SOON, "known nodes are served", || {
        (scene::discover(&cluster, NODE3.mac) != Dhcp::Silent).then_some(())
    });
    known_nodes_are_served(&cluster);
    let ledger = Ledger::default();
    assert_eq!(lease(&cluster, stranger(1), &ledger), None);
    assert_eq!(lease(&cluster, stranger(2), &ledger), None);
    assert_eq!(said(&cluster, "another process uses"), 1, "once, however many ask");
    drop(lock);
    within(4 * SOON, "it goes on by itself", || lease(&cluster, stranger(1), &ledger));
    cluster.kill("dhcpd");
    ledger.check(&left_behind(&cluster));
}

#[test]
fn a_file_that_is_deleted_while_machines_lease_is_made_again_with_all_leases() {
    let mut cluster = Cluster::start_with(scene::probed(), &settings());
    let ledger = Ledger::default();
    let crowd = Crowd::start(&cluster, &ledger);
    for number in 1..=3 {
        let enough = number * 2 * MACHINES as usize;
        within(4 * SOON, "machines lease addresses", || (ledger.told().acks > enough).then_some(()));
        fs::remove_file(file(&cluster)).unwrap();
        within(2 * SOON, "it is there again", || file(&cluster).exists().then_some(()));
        let again = "leases can be written again";
        within(2 * SOON, "it is open again", || (said(&cluster, again) >= number).then_some(()));
    }
    let before = ledger.told().acks;
    within(4 * SOON, "it goes on", || (ledger.told().acks > before + MACHINES as usize).then_some(()));
    crowd.stop(&cluster);
    cluster.kill("dhcpd");
    ledger.check(&left_behind(&cluster));
}

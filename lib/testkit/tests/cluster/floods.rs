//! Floods: dnsd answers what it is for meanwhile, and is no bigger afterwards than before.

use crate::scene::{self, NODE1};
use fastrand::Rng;
use hickory_proto::rr::RecordType;
use std::{
    fmt::Write,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Cluster, Inside, RELAY, SERVER, Settings, finish, need_tools, tool},
    packets::dns,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const DNSD: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER), 53);
/// A client in earnest asks once more after so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// What allocators may keep of a burst, in kilobytes.
const GROWTH: u64 = 4096;
/// Where floods come from: all in one /24.
const FLOODER: [&str; 3] = ["172.16.0.77", "172.16.0.78", "172.16.0.79"];

fn served(settings: &Settings) -> Cluster {
    let mut cluster = Cluster::bare();
    cluster.configure(settings);
    cluster.start_smd(scene::inventory());
    for name in ["smd-cache", "dnsd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    for address in FLOODER {
        cluster.wire.node1.ip(&format!("addr add {address}/24 dev eth0"));
    }
    cluster
}

/// Look-ups that went beyond what dnsd holds.
fn beyond(cluster: &Cluster) -> f64 {
    let of = |layer| cluster.metric("dnsd", &format!("inventory_lookups_total{{layer=\"{layer}\"}}"));
    ["cache", "call"].into_iter().filter_map(of).sum()
}

/// Asks for a node until told to stop; how often, and how often there was no answer even to a second query.
async fn earnest(stop: Arc<AtomicBool>) -> (u32, u32) {
    let (mut asked, mut failed) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let mut answered = false;
        for _ in 0..2 {
            let answer = dns::ask(DNSD, NODE1.fqdn, RecordType::A, PATIENCE).await.unwrap();
            answered = answer.is_some_and(|answer| answer.answers.len() == 1);
            if answered {
                break;
            }
        }
        asked += 1;
        failed += u32::from(!answered);
    }
    (asked, failed)
}

/// Does something while a client in earnest asks from the relay's place, and is answered.
fn while_asked<T>(cluster: &Cluster, flood: impl FnOnce() -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let client = cluster.at_relay().spawn(earnest(stop.clone()));
    let result = flood();
    stop.store(true, Ordering::Relaxed);
    let (asked, failed) = cluster.at_relay().run(async { client.await.unwrap() });
    assert!(asked > 0 && failed == 0, "{failed} of {asked} questions were not answered");
    result
}

/// dnsperf's names that nobody bears, for so many seconds; how many were answered.
fn nonsense(cluster: &Cluster, seconds: u32) -> u64 {
    let mut random = Rng::with_seed(3);
    let lines = (0..50_000).fold(String::new(), |mut lines, number| {
        let odd: String = (0..random.usize(1..40)).map(|_| random.lowercase()).collect();
        let name = match number % 4 {
            0 => format!("{odd}.openchami.cluster A"),
            1 => format!("{odd}.{}.openchami.cluster AAAA", random.u32(..)),
            2 => format!("{}.0.16.172.in-addr.arpa PTR", 150 + random.u8(..100)),
            _ => format!("{odd}.nid0001.openchami.cluster TXT"),
        };
        writeln!(lines, "{name}").unwrap();
        lines
    });
    let file = cluster.folder().join("nonsense");
    fs::write(&file, lines).unwrap();
    let mut command = cluster.wire.node1.command(tool("dnsperf"));
    command.args(["-s", &SERVER.to_string(), "-l", &seconds.to_string(), "-c", "10", "-d"]).arg(&file);
    let (status, said) = finish(&mut command, Duration::from_secs(60));
    assert!(status.success(), "{said}");
    let completed = said.lines().find_map(|line| line.trim().strip_prefix("Queries completed:"));
    completed
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn names_that_do_not_exist_cost_no_call_and_no_growth() {
    need_tools(&["dnsperf"]);
    let cluster = served(&Settings::default());
    nonsense(&cluster, 1); // what the first thousands need is needed once
    let before = (cluster.resident("dnsd"), beyond(&cluster));
    let answered = while_asked(&cluster, || nonsense(&cluster, 5));
    assert!(answered > 1000, "{answered} answers are no flood");
    assert_eq!(beyond(&cluster), before.1, "everything is known here");
    let after = cluster.resident("dnsd");
    assert!(after <= before.0 + GROWTH, "{} kB before {answered} names, {after} kB after", before.0);
}

/// Bytes of any kind; half of them begin like a query.
fn garbage(random: &mut Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..random.usize(0..600)).map(|_| random.u8(..)).collect();
    if random.bool() && bytes.len() >= 12 {
        bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, random.u8(..3)]);
    }
    bytes
}

async fn garbage_over_udp(number: usize) {
    let mut random = Rng::with_seed(4);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    for _ in 0..number {
        socket.send_to(&garbage(&mut random), DNSD).await.unwrap();
    }
}

/// Streams of garbage, some with a true length before it; dnsd may end them whenever it likes.
async fn garbage_over_tcp(connections: u64) {
    for number in 0..connections {
        let mut random = Rng::with_seed(number);
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(DNSD)).await else { continue };
        for _ in 0..20 {
            let mut bytes = garbage(&mut random);
            if number % 2 == 0 {
                bytes.splice(0..0, (bytes.len() as u16).to_be_bytes());
            }
            if !matches!(timeout(PATIENCE, stream.write_all(&bytes)).await, Ok(Ok(()))) {
                break;
            }
        }
    }
}

#[test]
fn garbage_is_no_harm() {
    let cluster = served(&Settings::default());
    let place = Inside::of(&cluster.wire.node1);
    let flood = || {
        place.run(garbage_over_udp(20_000));
        place.run(garbage_over_tcp(100));
    };
    flood();
    let before = cluster.resident("dnsd");
    while_asked(&cluster, flood);
    let after = cluster.resident("dnsd");
    assert!(after <= before + GROWTH, "{before} kB before, {after} kB after");
    assert_eq!(scene::address_of(&cluster, NODE1.fqdn), scene::Dns::data(NODE1.address));
}

/// What came back of a flood.
#[derive(Debug, Default)]
struct Heard {
    whole: u32,
    cut: u32,
}

/// Asks for one name from several addresses of one network, as one who forges a victim's; until the time is over.
async fn forged(time: Duration) -> (u32, Heard) {
    let mut sockets = Vec::new();
    for address in FLOODER {
        let address: Ipv4Addr = address.parse().unwrap();
        sockets.push(UdpSocket::bind((address, 0)).await.unwrap());
    }
    let query = dns::query(NODE1.fqdn, RecordType::A);
    let (mut sent, mut heard, mut answer) = (0, Heard::default(), [0; 512]);
    let end = Instant::now() + time;
    while Instant::now() < end {
        for socket in &sockets {
            socket.send_to(&query, DNSD).await.unwrap();
            sent += 1;
            while let Ok(Ok(_)) = timeout(Duration::from_millis(1), socket.recv(&mut answer)).await {
                match answer[2] & 2 {
                    0 => heard.whole += 1,
                    _ => heard.cut += 1,
                }
            }
        }
    }
    (sent, heard)
}

#[test]
fn a_flood_with_forged_addresses_is_bounded_and_clients_are_told_to_use_tcp() {
    need_tools(&["dig"]);
    let settings = Settings::default().dnsd("rate_limit", "{responses_per_second: 20, slip: 2}");
    let cluster = served(&settings);
    let place = Inside::of(&cluster.wire.node1);
    let began = Instant::now();
    // The relay is in another network: its client is none of those who flood.
    assert_ne!(RELAY.octets()[..3], SERVER.octets()[..3]);
    let (sent, heard) = place.run(forged(Duration::from_secs(3)));
    let seconds = began.elapsed().as_secs_f64() + 1.0;
    assert!(sent > 200, "{sent} queries are no flood");
    // A second's worth at once, and then the rate; threads that meet may let a few through.
    assert!(f64::from(heard.whole) <= 20.0 * (seconds + 1.0) + 10.0, "{heard:?} of {sent} in {seconds} s");
    assert!(heard.cut > 0, "{heard:?}: nobody is told to use TCP");
    assert!(heard.cut <= sent / 2 + 1, "{heard:?} of {sent}: no more than the slip");
    let mut dig = cluster.wire.node1.command(tool("dig"));
    dig.args(["@172.16.0.253", "+tcp", "+short", NODE1.fqdn]);
    assert_eq!(finish(&mut dig, Duration::from_secs(10)).1.trim(), NODE1.address, "TCP is never limited");
    let dropped = cluster.metric("dnsd", "dnsd_rate_limit_dropped_total").unwrap();
    let slipped = cluster.metric("dnsd", "dnsd_rate_limit_slipped_total").unwrap();
    assert!(dropped > 0.0 && slipped >= f64::from(heard.cut), "{dropped} dropped, {slipped} slipped");
}

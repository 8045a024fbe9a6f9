//! Several tftpds on one port: one may be told to stop, and what is being loaded is loaded to its end.

use crate::scene::SOON;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Cluster, Inside, Instance, SERVER, within},
    packets::tftp::{self, Wish},
};
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};

const CLIENTS: usize = 16;
/// A thousand blocks: a transfer takes long enough for any moment to be in the middle of many.
const FILE: usize = 512 * 1000;
const LOCKSTEP: Wish = Wish { block_size: 512, window_size: 1 };
/// What container engines wait before they kill.
const STOP_AT_MOST: Duration = Duration::from_secs(10);
const REPLICAS: [&str; 2] = ["tftpd", "tftpd-2"];

fn server() -> SocketAddr {
    SocketAddr::new(SERVER.into(), 69)
}

fn content() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(11);
    std::iter::repeat_with(|| random.u8(..)).take(FILE).collect()
}

/// A cluster with a file to load, and nothing else: tftpd needs nobody.
fn cluster() -> Cluster {
    let cluster = Cluster::bare();
    cluster.tftp_file("loader.efi", &content());
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
    cluster
}

fn start(cluster: &mut Cluster, name: &str) {
    let admin = if name == REPLICAS[0] { 27784 } else { 27785 };
    cluster.start_instance(&Instance { name, admin, ..Instance::of("tftpd") });
    cluster.wait_ready(name);
}

/// How clients fared; `lost` are transfers that broke off.
#[derive(Debug, Default)]
struct Counts {
    loaded: AtomicUsize,
    lost: AtomicUsize,
}

/// Machines that load the file again and again. One whose transfer breaks off asks once more, as firmware does, and must get it then.
struct Clients {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
    place: Inside,
}

impl Clients {
    fn start(cluster: &Cluster) -> Clients {
        let place = Inside::of(&cluster.wire.node1);
        let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let one = |_| place.spawn(load_on(counts.clone(), stop.clone()));
        let tasks = (0..CLIENTS).map(one).collect();
        let clients = Clients { tasks, counts, stop, place };
        clients.load_some();
        clients
    }

    /// Waits until each has loaded the file about once more.
    fn load_some(&self) {
        let before = self.counts.loaded.load(Ordering::Relaxed);
        within(4 * SOON, "clients load the file", || {
            (self.counts.loaded.load(Ordering::Relaxed) >= before + CLIENTS).then_some(())
        });
    }

    /// Transfers that came to their end, and those that broke off.
    fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let tasks = self.tasks;
        self.place.run(async move {
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        });
        (self.counts.loaded.load(Ordering::Relaxed), self.counts.lost.load(Ordering::Relaxed))
    }
}

async fn load_on(counts: Arc<Counts>, stop: Arc<AtomicBool>) -> io::Result<()> {
    let wanted = content();
    while !stop.load(Ordering::Relaxed) {
        let fetched = match tftp::fetch(server(), "loader.efi", LOCKSTEP).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                tftp::fetch(server(), "loader.efi", LOCKSTEP).await?
            }
            fetched => fetched?,
        };
        assert!(fetched.bytes == wanted, "{} bytes of {FILE}", fetched.bytes.len());
        counts.loaded.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn replicas_come_and_go_and_every_transfer_is_finished() {
    let mut cluster = cluster();
    REPLICAS.iter().for_each(|name| start(&mut cluster, name));
    let clients = Clients::start(&cluster);
    for name in REPLICAS.iter().cycle().take(4) {
        clients.load_some();
        let began = Instant::now();
        cluster.terminate(name);
        assert!(began.elapsed() < STOP_AT_MOST, "{name} took {:?}", began.elapsed());
        // The other one serves alone.
        clients.load_some();
        start(&mut cluster, name);
    }
    clients.load_some();
    let (loaded, lost) = clients.stop();
    println!("{loaded} transfers, {lost} of them lost");
    assert_eq!(lost, 0);
    for name in REPLICAS {
        let finished = cluster.log(name).matches("transfers that run are finished").count();
        assert!(finished > 0, "{name} had none when it was stopped: nothing was tested");
        assert!(cluster.metric(name, "tftpd_transfers_started_total") > Some(0.0), "{name} served nobody");
    }
}

/// The state of a transfer is in the program that serves it (RFC 1350 has no way to go on elsewhere): it breaks off, and the next request
/// is answered by who is left.
#[test]
fn what_one_that_is_killed_was_sending_is_asked_for_anew() {
    let mut cluster = cluster();
    REPLICAS.iter().for_each(|name| start(&mut cluster, name));
    let clients = Clients::start(&cluster);
    cluster.kill(REPLICAS[1]);
    let survivor = |cluster: &Cluster| cluster.metric(REPLICAS[0], "tftpd_transfers_started_total");
    let before = survivor(&cluster);
    // Longer than a client waits for the one that is dead.
    std::thread::sleep(Duration::from_secs(4));
    clients.load_some();
    assert!(survivor(&cluster) > before);
    let (loaded, lost) = clients.stop();
    println!("{loaded} transfers came to their end, {lost} broke off");
    assert!((1..=CLIENTS).contains(&lost), "{lost}: only what ran at that moment, and some did");
}

/// What the first answer to a request is, and who gave it. The request is sent once.
async fn ask(socket: &UdpSocket, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    socket.send_to(&tftp::request("loader.efi", LOCKSTEP), server()).await.unwrap();
    let mut buffer = vec![0; 2048];
    // An error is the ICMP of a host where nobody listens.
    let (length, from) = timeout(time, socket.recv_from(&mut buffer)).await.ok()?.ok()?;
    buffer.truncate(length);
    Some((buffer, from))
}

/// A client that asks and then says nothing. Whether it was answered.
async fn ask_and_fall_silent() -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    ask(&socket, Duration::from_secs(1)).await.is_some()
}

/// Asks for the size again and again, as UEFI does: from a new port each time, and with an ERROR once it knows. Requests, and those that
/// were not answered.
async fn probe_on(stop: Arc<AtomicBool>) -> (usize, usize) {
    let (mut asked, mut failed) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        asked += 1;
        match ask(&socket, Duration::from_secs(5)).await {
            Some((_, from)) => drop(socket.send_to(b"\0\x05\0\x08enough\0", from).await.unwrap()),
            None => failed += 1,
        }
    }
    (asked, failed)
}

#[test]
fn replicas_come_and_go_without_losing_a_request() {
    let mut cluster = cluster();
    REPLICAS.iter().for_each(|name| start(&mut cluster, name));
    let (place, stop) = (Inside::of(&cluster.wire.node1), Arc::<AtomicBool>::default());
    let tasks: Vec<_> = (0..CLIENTS).map(|_| place.spawn(probe_on(stop.clone()))).collect();
    for name in REPLICAS.iter().cycle().take(6) {
        std::thread::sleep(Duration::from_millis(300)); // both are asked
        cluster.terminate(name);
        start(&mut cluster, name);
    }
    stop.store(true, Ordering::Relaxed);
    let counts = place.run(async move {
        let mut all = (0, 0);
        for task in tasks {
            let (asked, failed) = task.await.unwrap();
            all = (all.0 + asked, all.1 + failed);
        }
        all
    });
    println!("{} requests, {} not answered", counts.0, counts.1);
    assert!(counts.0 > 500 && counts.1 == 0, "{counts:?}");
}

#[test]
fn while_one_waits_for_a_silent_client_the_other_hears_every_request() {
    let mut cluster = cluster();
    let place = Inside::of(&cluster.wire.node1);
    start(&mut cluster, REPLICAS[0]);
    assert!(place.run(ask_and_fall_silent()));
    start(&mut cluster, REPLICAS[1]);
    cluster.ask_to_end(REPLICAS[0]);
    within(SOON, "it waits for the transfer", || {
        cluster.log(REPLICAS[0]).contains("transfers that run are finished").then_some(())
    });
    let asking: Vec<_> = (0..4 * CLIENTS).map(|_| place.spawn(ask_and_fall_silent())).collect();
    place.run(async move {
        for asked in asking {
            assert!(asked.await.unwrap(), "a request went to the one that is being stopped");
        }
    });
    assert!(cluster.wait_end(REPLICAS[0], STOP_AT_MOST).success());
}

#[test]
fn silent_clients_are_not_waited_for_longer_than_the_engine_waits_and_a_second_signal_ends_at_once() {
    let mut cluster = cluster();
    let place = Inside::of(&cluster.wire.node1);
    for signals in [1, 2] {
        start(&mut cluster, "tftpd");
        assert!(place.run(ask_and_fall_silent()));
        cluster.ask_to_end("tftpd");
        within(SOON, "it waits for the transfer", || {
            (cluster.log("tftpd").matches("transfers that run are finished").count() == signals).then_some(())
        });
        assert!(!place.run(ask_and_fall_silent()), "nothing new is begun");
        let began = Instant::now();
        if signals == 2 {
            cluster.ask_to_end("tftpd");
        }
        let status = cluster.wait_end("tftpd", STOP_AT_MOST);
        let took = began.elapsed();
        println!("{signals} signals: {status} after {took:?}");
        match signals {
            1 => assert!(status.success() && took > Duration::from_secs(3), "{status} after {took:?}"),
            _ => {
                assert!(status.code() == Some(1) && took < Duration::from_secs(1), "{status} after {took:?}")
            }
        }
    }
}

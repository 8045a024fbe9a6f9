//! The replica on disk: a daemon that is restarted while no smd-cache is there serves what it knew.

use super::*;
use crate::{
    file::{Loaded, ReplicaFile, load},
    keeper::{Keeper, WRITE_EVERY},
    metrics::Write,
    watch::{Effect, Link},
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::time::sleep;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replica-{program}");
    (directory, path)
}

fn kept(endpoint: Endpoint, path: &Path) -> config::Inventory {
    config::Inventory { replica_file: Some(path.into()), ..configured(vec![endpoint]) }
}

fn on_disk(path: &Path) -> Option<Replica> {
    match load(&ReplicaFile::new(path, "dhcpd")) {
        Loaded::Replica(replica, _) => Some(*replica),
        _ => None,
    }
}

fn nowhere() -> Endpoint {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Endpoint::Tcp(format!("http://{address}"))
}

#[tokio::test]
async fn a_daemon_restarted_while_no_smd_cache_is_there_serves_known_machines() {
    let (_directory, path) = directory();
    let mut server = Server::start();
    let endpoint = tcp(&server);
    let (inventory, shutdown) = start_with(kept(endpoint.clone(), &path));
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
    shutdown.cancel();
    inventory.stopped().await;
    drop(watch);
    let address = server.kill();

    let (inventory, _) = start_with(kept(endpoint, &path));
    eventually("the file is loaded", || inventory.health().complete).await;
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1, stale");
    assert_eq!(kind(inventory.lookup(name(NAME)).await), "found, stale");
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable", "nobody is called unknown");
    let health = inventory.health();
    assert!(health.stale && !health.connected && !health.reason.is_empty(), "{health:?}");

    let mut server = Server::start_at(address);
    let watch = server.next_watch().await;
    assert_eq!(told(&watch), ("a", 5, "a-5"), "and goes on where it was");
    watch.send(hello(5, true)).await;
    eventually("it is well again", || !inventory.health().stale).await;
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
}

#[tokio::test]
async fn who_waits_for_changes_hears_of_the_file() {
    let (_directory, path) = directory();
    let held = replica_of(5, vec![node("172.16.0.1")], vec![component(ID, &[NAME])]);
    file::save(&ReplicaFile::new(&path, "dhcpd"), &held).unwrap();
    let (inventory, _) = start_with(kept(nowhere(), &path));
    let mut changes = inventory.changes();
    while !inventory.snapshot().is_complete() {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_no_more_than_a_warning() {
    let (directory, path) = directory();
    std::fs::write(directory.path().join("replica-dhcpd"), "coresmd-replica\x01nonsense").unwrap();
    let mut server = Server::start();
    let (inventory, shutdown) = start_with(kept(tcp(&server), &path));
    let watch = server.next_watch().await;
    assert_eq!(watch.request.freshness, None);
    greet(&watch, &inventory).await;
    shutdown.cancel();
    inventory.stopped().await;
    assert!(directory.path().join("replica-dhcpd.bad").exists());
    assert_eq!(on_disk(&path).unwrap().interface_count(), 1, "a good one has its place");
}

#[tokio::test]
async fn without_a_replica_nothing_is_written() {
    let (directory, path) = directory();
    let mut server = Server::start();
    let (inventory, shutdown) = start_with(config::Inventory { replica: false, ..kept(tcp(&server), &path) });
    let watch = server.next_watch().await;
    watch.send(hello(5, false)).await;
    eventually("it is greeted", || inventory.health().connected).await;
    shutdown.cancel();
    inventory.stopped().await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// The keeper alone, under paused time.
struct Desk {
    layers: Arc<Layers>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    keeper: tokio::task::JoinHandle<()>,
}

impl Desk {
    fn new(path: &Path, max_stale: Option<Duration>) -> Desk {
        let metrics = Arc::new(Metrics::default());
        let layers = Arc::new(Layers::new(Replica::default(), None, metrics.clone(), TaskTracker::new()));
        let shutdown = CancellationToken::new();
        let keeper = Keeper {
            file: ReplicaFile::new(path, "dhcpd"),
            layers: layers.clone(),
            metrics: metrics.clone(),
            max_stale,
            written: None,
            failing: false,
            shutdown: shutdown.clone(),
        };
        Desk { layers, metrics, shutdown, keeper: tokio::spawn(keeper.run()) }
    }

    /// Content as of this generation, read at this second; a change wakes.
    fn is_at(&self, generation: u64, second: i64, wake: bool) {
        let mut held = replica_of(generation, vec![node("172.16.0.1")], vec![]);
        let at = Some(prost_types::Timestamp { seconds: 1_700_000_000 + second, nanos: 0 });
        held.set_freshness(v1::Freshness { read_at: at, whole_read_at: at, ..fresh("a", generation) });
        let effect = Effect { publish: Some(held), wake, ..Effect::default() };
        self.layers.take(effect, Link::default(), doubt::Standard::default());
    }

    fn written(&self) -> u64 {
        self.metrics.writes(Write::Written)
    }

    async fn ends(self) -> u64 {
        self.shutdown.cancel();
        self.keeper.await.unwrap();
        self.metrics.writes(Write::Written)
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_written_every_ten_seconds_at_most_and_not_at_all_without_a_change() {
    let (_directory, path) = directory();
    let desk = Desk::new(&path, None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(desk.written(), 0, "there is nothing yet");
    desk.is_at(1, 0, true);
    sleep(Duration::from_secs(5)).await;
    assert_eq!((desk.written(), on_disk(&path).unwrap().freshness().generation), (1, 1), "soon");
    for generation in 2..=101 {
        desk.is_at(generation, 0, true);
        sleep(Duration::from_secs(1)).await;
    }
    let busy = desk.written();
    assert!((8..=12).contains(&busy), "{busy} writes in 100 s of changes");
    sleep(2 * WRITE_EVERY).await;
    assert_eq!(on_disk(&path).unwrap().freshness().generation, 101, "the last one is not forgotten");
    let settled = desk.written();
    for second in 0..3_600 {
        desk.is_at(101, second, false);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(desk.written(), settled, "reads that changed nothing write nothing");
    assert_eq!(desk.ends().await, settled + 1, "but the end is told how fresh it was");
    let at_the_end = on_disk(&path).unwrap().origin().whole_read_at.unwrap();
    assert_eq!(at_the_end.seconds, 1_700_003_599);
}

#[tokio::test(start_paused = true)]
async fn with_max_stale_the_file_does_not_grow_old_by_itself() {
    let (_directory, path) = directory();
    let desk = Desk::new(&path, Some(Duration::from_secs(600)));
    for second in 0..1_200 {
        desk.is_at(1, second, second == 0);
        sleep(Duration::from_secs(1)).await;
    }
    let written = desk.written();
    assert!((18..=21).contains(&written), "{written} writes in 1,200 s: each minute");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_be_made_is_tried_again() {
    let (directory, _) = directory();
    std::fs::write(directory.path().join("later"), "a file").unwrap();
    let path = directory.path().join("later/replica");
    let desk = Desk::new(&path, None);
    desk.is_at(1, 0, true);
    sleep(Duration::from_secs(30)).await;
    assert_eq!((desk.metrics.writes(Write::Failed), desk.written()), (1, 0));
    std::fs::remove_file(directory.path().join("later")).unwrap();
    sleep(Duration::from_secs(90)).await;
    assert_eq!(desk.written(), 1, "without a change");
    assert_eq!(desk.ends().await, 1, "and there is nothing more to write");
}

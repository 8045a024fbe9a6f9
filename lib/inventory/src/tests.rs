//! The whole inventory against a scripted smd-cache on real sockets.

mod disk;
mod flood;
mod model;
mod releases;
mod replicas;
mod secure;
mod server;

use crate::{fixtures::*, *};
use config::Endpoint;
use proto::v1::{self, Outcome, watch_event::Event};
use server::{Says, Server, Watching, eventually};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const MAC: &str = "02:00:00:00:00:01";
const NEW: &str = "02:00:00:00:00:02";
const ID: &str = "x1000c0s0b0n0";
const NAME: &str = "nid0001.cluster.local";

fn start(endpoint: Endpoint, replica: bool) -> (Inventory, CancellationToken) {
    start_with(config::Inventory { replica, ..configured(vec![endpoint]) })
}

fn configured(endpoints: Vec<Endpoint>) -> config::Inventory {
    config::Inventory { endpoints, replica: true, replica_file: None, max_stale: None, tls: None }
}

fn start_with(config: config::Inventory) -> (Inventory, CancellationToken) {
    let who = Who { name: "dhcpd", version: "0.1.0", admin_port: 27782 };
    let shutdown = CancellationToken::new();
    (Inventory::start(&config, who, &mut Registry::default(), shutdown.clone()), shutdown)
}

fn tcp(server: &Server) -> Endpoint {
    Endpoint::Tcp(format!("http://{}", server.address))
}

/// With a replica of generation 5 that holds node 1.
async fn following() -> (Server, Watching, Inventory) {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), true);
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
    (server, watch, inventory)
}

async fn greet(watch: &Watching, inventory: &Inventory) {
    watch.send(hello(5, false)).await;
    watch
        .send(Event::Put(v1::Put {
            interfaces: vec![node("172.16.0.1")],
            components: vec![component(ID, &[NAME])],
        }))
        .await;
    watch.send(Event::Complete(v1::Complete { freshness: Some(fresh("a", 5)), ..Default::default() })).await;
    eventually("the snapshot is complete", || inventory.health().complete && !inventory.health().stale).await;
}

/// What a server is told to be held: instance, generation, digest.
fn told(watch: &Watching) -> (&str, u64, &str) {
    let freshness = watch.request.freshness.as_ref().expect("something is held");
    (&freshness.instance, freshness.generation, &freshness.digest)
}

fn hello(generation: u64, resumed: bool) -> Event {
    Event::Hello(v1::Hello {
        freshness: Some(fresh("a", generation)),
        synced: true,
        resumed,
        ..Default::default()
    })
}

fn node(address: &str) -> v1::Interface {
    interface(MAC, ID, &[(address, &[NAME])])
}

fn found(generation: u64, interface: v1::Interface) -> Says {
    Says::Reply(Box::new(reply(Outcome::Found, generation, Some(interface))))
}

fn unknown(generation: u64) -> Says {
    Says::Reply(Box::new(reply(Outcome::Unknown, generation, None)))
}

fn reply(outcome: Outcome, generation: u64, interface: Option<v1::Interface>) -> v1::LookupReply {
    v1::LookupReply {
        outcome: outcome.into(),
        interfaces: interface.into_iter().collect(),
        freshness: Some(fresh("a", generation)),
        ..Default::default()
    }
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An answer in a few words.
fn say(answer: Lookup<Interface>) -> String {
    match answer {
        Lookup::Found(interface, freshness) => {
            let address =
                interface.addresses.first().map_or("no address".into(), |held| held.address.to_string());
            format!("{address}{}", if freshness.stale { ", stale" } else { "" })
        }
        Lookup::Unknown => "unknown".into(),
        Lookup::Unavailable => "unavailable".into(),
    }
}

fn kind<T>(answer: Lookup<T>) -> &'static str {
    match answer {
        Lookup::Found(_, freshness) if freshness.stale => "found, stale",
        Lookup::Found(..) => "found",
        Lookup::Unknown => "unknown",
        Lookup::Unavailable => "unavailable",
    }
}

#[tokio::test]
async fn what_the_replica_holds_is_answered_without_a_call() {
    let (server, _watch, inventory) = following().await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.1"));
    assert_eq!(inventory.peek(&name(NAME)).map(kind), Some("found"));
    assert_eq!(inventory.peek(&"172.16.0.1".parse::<IpAddr>().unwrap()).map(kind), Some("found"));
    assert_eq!(inventory.peek(&ID.parse::<Xname>().unwrap()).map(kind), Some("found"));
    // Complete means that all else is unknown, but for MACs: smd-cache may know more than any snapshot.
    assert_eq!(inventory.peek(&name("nonsense.cluster.local")).map(kind), Some("unknown"));
    assert_eq!(inventory.peek(&"172.16.0.9".parse::<IpAddr>().unwrap()).map(kind), Some("unknown"));
    assert_eq!(inventory.peek(&mac(NEW)).map(say), None);
    assert_eq!(server.asked("nonsense.cluster.local") + server.asked(MAC), 0);
}

#[tokio::test]
async fn smd_cache_is_told_who_asks() {
    let mut server = Server::start();
    let (_inventory, _) = start(tcp(&server), true);
    let request = server.next_watch().await.request;
    assert_eq!((request.client_name.as_str(), request.client_version.as_str()), ("dhcpd", "0.1.0"));
    assert_eq!((request.admin_port, request.snapshot, request.freshness), (27782, true, None));
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smd-cache.sock");
    let mut server = Server::start_on_socket(&path);
    let (inventory, _) = start(Endpoint::Unix(path), true);
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
    server.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
}

#[tokio::test]
async fn an_unknown_mac_is_asked_for_once() {
    let (server, _watch, inventory) = following().await;
    server.says(NEW, unknown(5));
    for _ in 0..3 {
        assert_eq!(say(inventory.lookup(mac(NEW)).await), "unknown");
    }
    assert_eq!(inventory.peek(&mac(NEW)).map(say).as_deref(), Some("unknown"));
    assert_eq!(server.asked(NEW), 1);
}

#[tokio::test]
async fn everybody_who_asks_for_a_key_shares_one_call() {
    let (server, _watch, inventory) = following().await;
    let release = Arc::new(Notify::new());
    let answer = reply(Outcome::Found, 5, Some(interface(NEW, "", &[("172.16.0.2", &[])])));
    server.says(NEW, Says::Later(release.clone(), Box::new(answer)));
    let askers: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let inventory = inventory.clone();
                async move { say(inventory.lookup(mac(NEW)).await) }
            })
        })
        .collect();
    eventually("the call arrives", || server.asked(NEW) == 1).await;
    release.notify_one();
    for asker in askers {
        assert_eq!(asker.await.unwrap(), "172.16.0.2");
    }
    assert_eq!(server.asked(NEW), 1);
}

#[tokio::test]
async fn a_call_outlives_those_who_asked() {
    let (server, _watch, inventory) = following().await;
    let release = Arc::new(Notify::new());
    server.says(NEW, Says::Later(release.clone(), Box::new(reply(Outcome::Unknown, 5, None))));
    let asker = tokio::spawn({
        let inventory = inventory.clone();
        async move { drop(inventory.lookup(mac(NEW)).await) }
    });
    eventually("the call arrives", || server.asked(NEW) == 1).await;
    asker.abort();
    release.notify_one();
    eventually("its answer is kept", || inventory.peek(&mac(NEW)).is_some()).await;
}

#[tokio::test]
async fn what_is_no_answer_is_never_kept() {
    let (server, _watch, inventory) = following().await;
    let other = found(5, interface("02:00:00:00:00:99", "", &[]));
    let table = [
        ("unavailable", Says::Reply(Box::new(reply(Outcome::Unavailable, 5, None)))),
        ("unspecified", Says::Reply(Box::default())),
        ("an error", Says::Error(tonic::Status::resource_exhausted("overload"))),
        ("another's record", other),
    ];
    for (number, (case, says)) in table.into_iter().enumerate() {
        let key = format!("02:00:00:00:01:{number:02x}");
        server.says(&key, says);
        for asked in 1..=2 {
            assert_eq!(say(inventory.lookup(mac(&key)).await), "unavailable", "{case}");
            assert_eq!(server.asked(&key), asked, "{case} is asked for each time");
        }
    }
    server.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2", "and the next one is served");
}

#[tokio::test]
async fn calls_that_are_not_answered_in_time_end_and_three_of_them_lose_the_connection() {
    let (mut server, _watch, inventory) = following().await;
    server.says(NEW, Says::Never);
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable");
        let took = begun.elapsed();
        assert!(took >= calls::CALL_DEADLINE / 2, "{took:?}: it is given its time");
    }
    let again = server.next_watch().await;
    assert_eq!(told(&again), ("a", 5, "a-5"), "what is held can be continued");
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.1, stale"));
    again.send(hello(5, true)).await;
    eventually("it is well again", || !inventory.health().stale).await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.1"));
}

#[tokio::test]
async fn after_a_change_nobody_gets_the_old_answer() {
    let (server, watch, inventory) = following().await;
    // Pulled through, before any snapshot has it.
    server.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
    let mut changes = inventory.changes();
    changes.mark_unchanged();
    let change = |generation, put: Vec<_>, removed: Vec<String>| {
        let freshness = Some(fresh("a", generation));
        Event::Change(v1::Change {
            freshness,
            put_interfaces: put,
            removed_macs: removed,
            ..Default::default()
        })
    };
    watch.send(change(6, vec![node("172.16.0.7"), interface(NEW, "", &[("172.16.0.8", &[])])], vec![])).await;
    changes.changed().await.unwrap();
    assert_eq!(*changes.borrow_and_update(), 6);
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.7"));
    assert_eq!(inventory.peek(&mac(NEW)).map(say).as_deref(), Some("172.16.0.8"));
    assert_eq!(inventory.peek(&"172.16.0.1".parse::<IpAddr>().unwrap()).map(kind), Some("unknown"));
    watch.send(change(7, vec![], vec![MAC.into(), NEW.into()])).await;
    changes.changed().await.unwrap();
    assert_eq!(inventory.peek(&mac(MAC)).map(say), None);
    assert_eq!(inventory.peek(&mac(NEW)).map(say), None, "nor from the cache");
    // An answer of generation 6 still on its way is used, but not kept.
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
    assert_eq!(inventory.peek(&mac(NEW)).map(say), None);
}

#[tokio::test]
async fn smd_cache_gone_known_machines_are_served_and_nobody_is_called_unknown() {
    let (server, watch, inventory) = following().await;
    drop(watch);
    let address = server.kill();
    eventually("the loss is noticed", || !inventory.health().connected).await;
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1, stale");
    assert_eq!(kind(inventory.lookup(name(NAME)).await), "found, stale");
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable");
    assert_eq!(kind(inventory.lookup(name("nonsense.cluster.local")).await), "unknown", "complete, if old");
    let health = inventory.health();
    assert!(
        health.complete && health.stale && health.reason.contains("smd-cache at http://127"),
        "{health:?}"
    );

    let mut server = Server::start_at(address);
    let watch = server.next_watch().await;
    assert_eq!(told(&watch), ("a", 5, "a-5"));
    watch.send(hello(5, true)).await;
    eventually("it is well again", || !inventory.health().stale).await;
    assert_eq!(inventory.health().reason, "");
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
}

#[tokio::test]
async fn before_the_first_snapshot_nothing_is_unknown() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (inventory, shutdown) = start(Endpoint::Tcp(format!("http://{closed}")), true);
    let begun = Instant::now();
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "unavailable");
    assert_eq!(kind(inventory.lookup(name(NAME)).await), "unavailable");
    assert!(begun.elapsed() < layers::LOOKUP_DEADLINE, "nobody waits for what cannot come");
    eventually("the reason is known", || inventory.health().reason.contains("refused")).await;
    shutdown.cancel();
    inventory.stopped().await;
}

#[tokio::test]
async fn while_the_replica_is_not_complete_each_key_is_called_for() {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), true);
    let watch = server.next_watch().await;
    watch.send(hello(5, false)).await;
    eventually("it is greeted", || inventory.health().connected).await;
    server.says("172.16.0.1", found(5, node("172.16.0.1")));
    server.says("nonsense.cluster.local", unknown(5));
    for _ in 0..2 {
        assert_eq!(kind(inventory.lookup("172.16.0.1".parse::<IpAddr>().unwrap()).await), "found");
        assert_eq!(kind(inventory.lookup(name("nonsense.cluster.local")).await), "unknown");
    }
    assert_eq!((server.asked("172.16.0.1"), server.asked("nonsense.cluster.local")), (1, 1));
}

#[tokio::test]
async fn without_a_replica_answers_are_kept_until_a_change_speaks_of_them() {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), false);
    let watch = server.next_watch().await;
    assert!(!watch.request.snapshot);
    watch.send(hello(5, false)).await;
    eventually("it is greeted", || inventory.health().connected).await;
    server.says(MAC, found(5, node("172.16.0.1")));
    server.says(NAME, found(5, node("172.16.0.1")));
    for _ in 0..2 {
        assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
        assert_eq!(kind(inventory.lookup(name(NAME)).await), "found");
    }
    assert_eq!((server.asked(MAC), server.asked(NAME)), (1, 1));
    let mut changes = inventory.changes();
    changes.mark_unchanged();
    let change = v1::Change {
        freshness: Some(fresh("a", 6)),
        put_interfaces: vec![node("172.16.0.7")],
        ..Default::default()
    };
    watch.send(Event::Change(change)).await;
    changes.changed().await.unwrap();
    assert_eq!(inventory.peek(&mac(MAC)).map(say), None);
    assert_eq!(inventory.peek(&name(NAME)).map(kind), None);

    server.says(MAC, found(6, node("172.16.0.7")));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.7");
    drop(watch);
    let again = server.next_watch().await;
    again
        .send(Event::Hello(v1::Hello { freshness: Some(fresh("b", 1)), synced: true, ..Default::default() }))
        .await;
    eventually("it is greeted by another instance", || inventory.health().generation == 1).await;
    server.says(MAC, Says::Error(tonic::Status::unavailable("starting")));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.7, stale", "asked again, and nobody answers");
    assert_eq!(server.asked(MAC), 3);
}

#[tokio::test]
async fn past_the_bound_on_calls_the_answer_is_unavailable_at_once() {
    let (server, _watch, inventory) = following().await;
    let asked = calls::MAX_CALLS + 50;
    let begun = Instant::now();
    let askers: Vec<_> = (0..asked)
        .map(|number| {
            let key = format!("02:00:00:01:{:02x}:{:02x}", number / 256, number % 256);
            server.says(&key, Says::Never);
            let inventory = inventory.clone();
            tokio::spawn(async move { say(inventory.lookup(mac(&key)).await) })
        })
        .collect();
    for asker in askers {
        assert_eq!(asker.await.unwrap(), "unavailable");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}: all of them within their deadline");
    assert!(server.asked_in_all() <= calls::MAX_CALLS, "{}", server.asked_in_all());
}

#[tokio::test]
async fn a_cancelled_inventory_ends_all_that_it_started() {
    let mut server = Server::start();
    let (inventory, shutdown) = start(tcp(&server), true);
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(2), inventory.stopped()).await.expect("it stops");
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1", "what it holds it still says");
}

#[test]
fn names_as_text_are_answered_like_keys_and_every_answer_is_counted() {
    let mut registry = Registry::default();
    let layers = Layers::new(
        replica_of(5, vec![node("172.16.0.1")], vec![component(ID, &[NAME])]),
        None,
        Arc::new(Metrics::register(&mut registry)),
        TaskTracker::new(),
    );
    assert_eq!(layers.peek_name(NAME).map(kind), Some("found"));
    assert_eq!(layers.peek_name("nonsense.cluster.local").map(kind), Some("unknown"));
    assert_eq!(layers.peek(&name(NAME)).map(kind), Some("found"));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("inventory_lookups_total{layer=\"replica\"} 3"), "{text}");
}

#[tokio::test]
async fn not_ready_says_what_is_missing() {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), true);
    let watch = server.next_watch().await;
    let hello = v1::Hello { freshness: Some(v1::Freshness::default()), ..Default::default() };
    watch.send(Event::Hello(hello)).await;
    eventually("it is greeted", || inventory.health().connected).await;
    let at = format!("smd-cache at http://{}", server.address);
    assert_eq!(inventory.health().reason, format!("{at} has not read SMD yet"));
    watch.send(Event::Synced(v1::Synced { freshness: Some(fresh("a", 5)), ..Default::default() })).await;
    eventually("the reason follows", || {
        inventory.health().reason == format!("the snapshot of {at} has not arrived yet")
    })
    .await;
    watch.send(Event::Complete(v1::Complete { freshness: Some(fresh("a", 5)), ..Default::default() })).await;
    eventually("it has arrived", || inventory.health().complete && inventory.health().reason.is_empty())
        .await;
}

#[test]
fn every_test_that_the_page_on_replicas_names_is_there() {
    let source = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let page = include_str!("../../../docs/replicas.md");
    let named: Vec<_> = page.split('`').filter_map(|code| code.rsplit_once("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (module, test) in named {
        assert!(source.contains(&format!("fn {test}(")), "{module}::{test}");
    }
}

fn sources(folder: &std::path::Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => sources(&path),
            false => std::fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

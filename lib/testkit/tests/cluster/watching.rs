//! Watch with many watchers, and with a cluster that never rests.

use crate::scene::{self, NODE1, NODE3, SOON};
use proto::v1::{self, smd_cache_client::SmdCacheClient, watch_event::Event};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use testkit::cluster::{Cluster, Settings};
use tonic::{Streaming, transport::Endpoint};

const CACHE: &str = "http://127.0.0.1:27780";
/// DESIGN's number.
const WATCHERS: usize = 500;
/// As many as one connection may have calls, and more than one connection has in the field.
const PER_CONNECTION: usize = 50;
/// Often enough to be met by every read.
const FLAPS: u32 = 10_000;

fn request(name: &str) -> v1::WatchRequest {
    v1::WatchRequest { client_name: name.to_owned(), snapshot: true, ..v1::WatchRequest::default() }
}

fn kind(event: &v1::WatchEvent) -> &'static str {
    match event.event {
        Some(Event::Hello(_)) => "hello",
        Some(Event::Heartbeat(_)) => "heartbeat",
        Some(Event::Synced(_)) => "synced",
        Some(Event::Put(_)) => "put",
        Some(Event::Complete(_)) => "complete",
        Some(Event::Change(_)) => "change",
        None => "unknown",
    }
}

/// A Watch that has its snapshot.
async fn watch(client: &mut SmdCacheClient<tonic::transport::Channel>) -> Streaming<v1::WatchEvent> {
    let mut events = client.watch(request("test")).await.expect("a Watch").into_inner();
    while kind(&events.message().await.expect("the Watch lasts").expect("the Watch lasts")) != "complete" {}
    events
}

#[test]
fn a_node_that_flaps_ten_thousand_times_wakes_nobody() {
    let cluster = Cluster::start_with(
        scene::probed(),
        &Settings::default().smd_cache("refresh", "100ms").smd_cache("poll_changes", "100ms"),
    );
    let before = scene::status(&cluster, 27780).unwrap().freshness.unwrap();
    let watching = cluster.inside().spawn(async {
        let mut client = SmdCacheClient::connect(CACHE).await.expect("smd-cache listens");
        let mut events = watch(&mut client).await;
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        let listen = async {
            loop {
                let event = events.message().await.expect("the Watch lasts").expect("the Watch lasts");
                *seen.entry(kind(&event)).or_default() += 1;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(6), listen).await;
        seen
    });
    let reads = cluster.smd().requests();
    for flap in 0..FLAPS {
        cluster.smd().change_component(NODE1.id, |node| {
            node.state = if flap % 2 == 0 { "Off" } else { "Ready" }.to_owned();
            node.flag = if flap % 3 == 0 { "Warning" } else { "OK" }.to_owned();
        });
        std::thread::sleep(Duration::from_micros(300)); // spread over many reads
    }
    let seen = cluster.inside().run(watching).unwrap();
    let components = "GET /hsm/v2/State/Components";
    let read = cluster.smd().requests()[components] - reads[components];
    assert!(read > 10, "the flapping is spread over many reads: {read}");
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&"heartbeat"], "{seen:?}");
    let after = scene::status(&cluster, 27780).unwrap().freshness.unwrap();
    assert_eq!((after.generation, after.digest), (before.generation, before.digest));
}

#[test]
fn five_hundred_watchers_all_hear_of_a_change() {
    let mut cluster = Cluster::bare();
    cluster.start_smd(scene::probed());
    cluster.start_program("smd-cache");
    cluster.wait_ready("smd-cache");
    let watchers = cluster.inside().run(async {
        let mut watchers = Vec::new();
        for _ in 0..WATCHERS / PER_CONNECTION {
            let channel = Endpoint::from_static(CACHE).connect().await.expect("smd-cache listens");
            let mut client = SmdCacheClient::new(channel);
            for _ in 0..PER_CONNECTION {
                watchers.push(watch(&mut client).await);
            }
        }
        watchers
    });
    assert_eq!(scene::status(&cluster, 27780).unwrap().clients.len(), WATCHERS);
    assert!(cluster.smd().set_addresses(NODE3.mac, &["10.40.1.77"]));
    let heard = cluster.inside().run(async {
        let tasks: Vec<_> = watchers.into_iter().map(|events| tokio::spawn(hear(events))).collect();
        let mut heard = Vec::new();
        for task in tasks {
            heard.push(task.await.expect("no watcher panics"));
        }
        heard
    });
    let (first, last) = (heard.iter().min().unwrap(), heard.iter().max().unwrap());
    println!("{WATCHERS} watchers heard of it within {:?} of each other", *last - *first);
    let status = scene::status(&cluster, 27780).unwrap();
    assert!(status.ready);
    assert_eq!(cluster.metric("smd-cache", "smd_cache_watchers_cut_total"), Some(0.0));
}

/// When the change arrived.
async fn hear(mut events: Streaming<v1::WatchEvent>) -> Instant {
    let change = async {
        loop {
            match events.message().await.expect("the Watch lasts").expect("the Watch lasts").event {
                Some(Event::Change(change)) => return change,
                _ => continue,
            }
        }
    };
    let change = tokio::time::timeout(2 * SOON, change).await.expect("everybody hears of it");
    let addresses: Vec<_> = change.put_interfaces.iter().flat_map(|it| &it.addresses).collect();
    assert_eq!(addresses.iter().map(|it| it.address.as_str()).collect::<Vec<_>>(), ["10.40.1.77"]);
    Instant::now()
}

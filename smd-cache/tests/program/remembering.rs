//! What was believed outlives the program.

use crate::{
    Cache, eventually,
    fake_smd::{FakeSmd, INTERFACES, plain},
};
use proto::v1::Outcome;
use std::{fs, path::Path, time::Duration};

async fn started(smd: &FakeSmd, file: &Path) -> Cache {
    let settings = |settings: &mut smd_cache::config::Settings| {
        settings.snapshot_file = Some(file.to_owned());
    };
    Cache::start(smd, "domain: cluster.local", settings).await.ready().await
}

async fn kept(file: &Path) {
    eventually("the file is there", async || file.exists()).await;
}

#[tokio::test]
async fn a_restart_without_smd_serves_what_was_known_and_calls_no_mac_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("var/snapshot");
    let smd = FakeSmd::with(&[1, 2]).await;
    let mut cache = started(&smd, &file).await;
    let before = cache.status().await;
    cache.stop().await;

    let gone = FakeSmd::empty().await;
    gone.answer(INTERFACES, plain(503, "gone"));
    let mut cache = started(&gone, &file).await;
    let found = cache.mac("02:00:00:00:00:02").await;
    assert_eq!(found.outcome(), Outcome::Found);
    let freshness = found.freshness.unwrap();
    let earlier = before.freshness.unwrap();
    assert!(freshness.stale, "{freshness:?}");
    assert_eq!(freshness.digest, earlier.digest, "who watched before can go on");
    assert_ne!(freshness.instance, earlier.instance);
    assert_eq!(cache.name("nid0001.cluster.local").await.outcome(), Outcome::Found);
    assert_eq!(cache.mac("02:00:00:00:00:09").await.outcome(), Outcome::Unavailable);
    assert_eq!(cache.name("nid0009.cluster.local").await.outcome(), Outcome::Unknown);
    assert_eq!(cache.address("10.0.0.9").await.outcome(), Outcome::Unknown);
    let status = cache.status().await;
    assert_eq!(status.zones, before.zones, "no serial moves");
    assert!(status.ready && status.warnings.iter().any(|text| text.contains("stale")), "{status:#?}");
    let (code, page) = cache.page("/ready").await;
    assert!(code == 200 && page.starts_with("degraded"), "{page}");

    gone.set(&[1, 2]);
    eventually("fresh", async || !cache.status().await.freshness.unwrap().stale).await;
    assert_eq!(cache.status().await.freshness.unwrap().generation, freshness.generation, "nothing changed");
    cache.stop().await;
}

#[tokio::test]
async fn what_was_removed_meanwhile_goes_when_smd_says_so_and_the_guard_remembers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot");
    let nodes: Vec<u8> = (1..=40).collect();
    let smd = FakeSmd::with(&nodes).await;
    started(&smd, &file).await.stop().await;

    smd.set(&nodes[..30]);
    let mut cache = started(&smd, &file).await;
    assert_eq!(cache.mac("02:00:00:00:00:28").await.outcome(), Outcome::Found, "as before");
    eventually("it goes", async || cache.mac("02:00:00:00:00:28").await.outcome() == Outcome::Unknown).await;
    cache.stop().await;

    // Half of what there was in the last hour, of which only the file knows.
    smd.set(&nodes[..19]);
    let cache = started(&smd, &file).await;
    eventually("it is held back", async || {
        cache.page("/metrics").await.1.contains("\nsmd_cache_losses_held_back 1")
    })
    .await;
    cache.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_warning_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = started(&smd, &directory.path().join("file/snapshot")).await;
    eventually("it says so", async || {
        cache.status().await.warnings.iter().any(|text| text.contains("snapshot file cannot be written"))
    })
    .await;
    assert!(cache.page("/metrics").await.1.contains("smd_cache_snapshot_writes_total{outcome=\"failed\"} 1"));
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found);
    assert_eq!(cache.page("/ready").await.0, 200);
    cache.stop().await;
}

#[tokio::test]
async fn it_is_written_rarely_however_much_changes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot");
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = started(&smd, &file).await;
    kept(&file).await;
    for node in 2..12 {
        smd.set(&[1, node]);
        cache.refresh().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(cache.page("/metrics").await.1.contains("smd_cache_snapshot_writes_total{outcome=\"ok\"} 1"));
    cache.stop().await;
    assert!(directory.path().join("snapshot.previous").exists(), "and once more at the end");
}

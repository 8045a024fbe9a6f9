//! A MAC that is not held is asked of SMD before it is called unknown.

use crate::{
    Cache, eventually,
    fake_smd::{Answer, FakeSmd, INTERFACES, plain},
};
use proto::v1::{self, Outcome};
use std::time::{Duration, Instant};

const NEWCOMER: &str = "02:00:00:00:00:02";

/// Whole reads are rare, and there are no others.
async fn started(smd: &FakeSmd, change: impl FnOnce(&mut smd_cache::config::Settings)) -> Cache {
    let rarely = |settings: &mut smd_cache::config::Settings| {
        settings.refresh = Duration::from_secs(3600);
        change(settings);
    };
    Cache::start(smd, "domain: cluster.local", rarely).await.ready().await
}

fn asked(smd: &FakeSmd, text: &str) -> usize {
    smd.requests().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_machine_that_was_just_added_is_found_by_the_first_question() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = started(&smd, |_| {}).await;
    smd.set(&[1, 2]);
    let found = cache.mac(NEWCOMER).await;
    assert_eq!(found.outcome(), Outcome::Found);
    let interface = &found.interfaces[0];
    assert_eq!(interface.component.as_ref().map(|owner| owner.id.as_str()), Some("x1000c0s2b0n0"));
    assert_eq!(interface.addresses[0].fqdn, "nid0002.cluster.local");
    assert_eq!(found.freshness.unwrap().generation, 2, "who watches learns of it");
    assert_eq!(cache.name("nid0002.cluster.local").await.outcome(), Outcome::Found);
    assert_eq!(asked(&smd, "?ID=020000000002&ID=02-00-00-00-00-02 "), 1, "{:?}", smd.requests());
    assert_eq!(cache.mac(NEWCOMER).await.outcome(), Outcome::Found);
    assert_eq!(asked(&smd, "?ID="), 1, "now it is held");
    cache.stop().await;
}

#[tokio::test]
async fn what_smd_does_not_have_is_unknown_and_not_asked_for_again_at_once() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = started(&smd, |_| {}).await;
    for _ in 0..10 {
        assert_eq!(cache.mac(NEWCOMER).await.outcome(), Outcome::Unknown);
    }
    assert_eq!(asked(&smd, "?ID="), 1);
    assert!(cache.page("/metrics").await.1.contains("smd_cache_pulls_total{outcome=\"absent\"} 10"));
    smd.set(&[1, 2]);
    eventually("after a few seconds it is", async || cache.mac(NEWCOMER).await.outcome() == Outcome::Found)
        .await;
    cache.stop().await;
}

#[tokio::test]
async fn many_at_once_share_requests() {
    let smd = FakeSmd::with(&[1]).await;
    let cache = started(&smd, |_| {}).await;
    smd.set(&(1..=250).collect::<Vec<_>>());
    // On a busy machine some are not answered in time, and ask again as machines do.
    let asking = (0..1_000_u32).map(|number| {
        let mut grpc = cache.grpc.clone();
        let mac = format!("02:00:00:00:00:{:02x}", number % 250 + 1);
        async move {
            eventually("found", async || {
                let request = v1::LookupMacRequest { mac: mac.clone() };
                grpc.lookup_mac(request).await.unwrap().into_inner().outcome() == Outcome::Found
            })
            .await;
        }
    });
    futures::future::join_all(asking).await;
    assert!(asked(&smd, "?ID=") < 60, "{} requests", asked(&smd, "?ID="));
    cache.stop().await;
}

#[tokio::test]
async fn an_smd_that_hangs_costs_a_bounded_wait_and_nobody_is_called_unknown() {
    let smd = FakeSmd::with(&[1]).await;
    let late = |settings: &mut smd_cache::config::Settings| settings.poll_changes = Duration::from_millis(20);
    let mut cache = started(&smd, late).await;
    smd.answer(INTERFACES, Answer::Hang);
    tokio::time::sleep(Duration::from_millis(100)).await; // until the last delta is older than it may be
    let asking = Instant::now();
    assert_eq!(cache.mac(NEWCOMER).await.outcome(), Outcome::Unavailable);
    let waited = asking.elapsed();
    assert!(waited >= Duration::from_millis(140) && waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(cache.mac("02:00:00:00:00:01").await.outcome(), Outcome::Found, "at once");
    cache.stop().await;
}

#[tokio::test]
async fn without_pulling_through_a_recent_read_says_unknown_and_an_older_one_cannot_tell() {
    let smd = FakeSmd::with(&[1]).await;
    let without = |settings: &mut smd_cache::config::Settings| {
        settings.pull_through = false;
        settings.refresh = Duration::from_secs(1);
    };
    let mut cache = Cache::start(&smd, "domain: cluster.local", without).await.ready().await;
    assert_eq!(cache.mac(NEWCOMER).await.outcome(), Outcome::Unknown);
    smd.answer(INTERFACES, plain(503, "gone"));
    eventually("it cannot be told", async || cache.mac(NEWCOMER).await.outcome() == Outcome::Unavailable)
        .await;
    assert!(!cache.mac("02:00:00:00:00:01").await.freshness.unwrap().stale, "long before that");
    assert_eq!(asked(&smd, "?ID="), 0);
    cache.stop().await;
}

#[tokio::test]
async fn after_an_outage_nobody_is_called_unknown_before_smd_was_read() {
    let smd = FakeSmd::with(&[1]).await;
    let soon = |settings: &mut smd_cache::config::Settings| settings.stale_after = Duration::from_millis(100);
    let mut cache = started(&smd, soon).await;
    eventually("it is stale", async || cache.status().await.freshness.unwrap().stale).await;
    // SMD is there again and has been asked for this one, but not for all.
    assert_eq!(cache.mac(NEWCOMER).await.outcome(), Outcome::Unavailable);
    assert_eq!(asked(&smd, "?ID="), 1);
    smd.set(&[1, 3]);
    assert_eq!(cache.mac("02:00:00:00:00:03").await.outcome(), Outcome::Found, "what there is is served");
    cache.stop().await;
}

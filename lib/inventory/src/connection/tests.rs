use super::*;
use crate::{Inventory, Replica, fixtures::*, layers::Layers};
use proto::v1::watch_event::Event;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;

fn watcher() -> (Watcher, Arc<Layers>) {
    let held = replica_of(5, vec![], vec![]);
    let layers = Arc::new(Layers::new(held.clone(), None, Arc::default(), TaskTracker::new()));
    let who = Who { name: "test", version: "1", admin_port: 0 };
    let session = Session::new(held, true);
    let watcher = Watcher {
        endpoints: Endpoints::new(vec![]),
        tls: None,
        who,
        session,
        layers: layers.clone(),
        metrics: Arc::default(),
        shutdown: CancellationToken::new(),
    };
    (watcher, layers)
}

fn event(event: Event) -> Result<v1::WatchEvent, Status> {
    Ok(v1::WatchEvent { event: Some(event) })
}

fn hello() -> Event {
    Event::Hello(v1::Hello {
        freshness: Some(fresh("a", 5)),
        synced: true,
        resumed: true,
        ..Default::default()
    })
}

fn heartbeat() -> Event {
    Event::Heartbeat(v1::Heartbeat { freshness: Some(fresh("a", 5)) })
}

#[tokio::test(start_paused = true)]
async fn six_seconds_of_silence_are_the_end() {
    let (mut watcher, layers) = watcher();
    let (sender, events) = mpsc::channel(1);
    let begun = Instant::now();
    let server = tokio::spawn(async move {
        sender.send(event(hello())).await.unwrap();
        for _ in 0..5 {
            sleep(Duration::from_secs(2)).await;
            sender.send(event(heartbeat())).await.unwrap();
        }
        sender.closed().await;
    });
    let End { loss, text, .. } = watcher.follow(None, ReceiverStream::new(events)).await;
    assert_eq!((loss, begun.elapsed().as_secs()), (Loss::Silent, 10 + 6), "{text}");
    assert!(layers.health().connected, "until it is given up");
    let effect = watcher.session.lost();
    watcher.carry_out(effect);
    let health = layers.health();
    assert!(health.complete && !health.connected && health.stale && !health.reason.is_empty(), "{health:?}");
    assert!(layers.snapshot().freshness().stale);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_end_has_its_reason() {
    let gap = Event::Change(v1::Change { freshness: Some(fresh("a", 9)), ..Default::default() });
    let cut = Err(Status::resource_exhausted("too slow"));
    let ends = Err(Status::unavailable("smd-cache ends"));
    let later_release = Ok(v1::WatchEvent { event: None });
    for (case, script, expected) in [
        ("ends", vec![event(hello())], Loss::Ended),
        ("is ended with a word", vec![event(hello()), ends], Loss::Ended),
        ("is cut off", vec![event(hello()), cut], Loss::Slow),
        ("misses a change", vec![event(hello()), later_release, event(gap)], Loss::Gap),
    ] {
        let (mut watcher, _) = watcher();
        let End { loss, text, .. } = watcher.follow(None, tokio_stream::iter(script)).await;
        assert_eq!(loss, expected, "{case}: {text}");
        assert!(!text.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_are_not_answered_in_time_end_a_watch_that_beats() {
    let (mut watcher, layers) = watcher();
    layers.calls.too_many_timeouts.notify_one(); // an earlier connection's
    let (sender, events) = mpsc::channel(1);
    let calls = layers.calls.clone();
    tokio::spawn(async move {
        sender.send(event(hello())).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        sender.send(event(heartbeat())).await.unwrap();
        calls.too_many_timeouts.notify_one();
        sender.closed().await;
    });
    let begun = Instant::now();
    let End { loss, .. } = watcher.follow(None, ReceiverStream::new(events)).await;
    assert_eq!((loss, begun.elapsed().as_secs()), (Loss::Calls, 2));
}

#[test]
fn a_fixed_inventory_is_well() {
    let health = Inventory::fixed(replica_of(5, vec![], vec![])).health();
    assert!(health.complete && health.connected && !health.stale && health.reason.is_empty(), "{health:?}");
    assert!(!Inventory::fixed(Replica::default()).health().complete);
}

//! Several smd-caches: which one is asked, and that nobody goes back in time. docs/replicas.md is the table of it.

use super::*;
use prost_types::Timestamp;
use tokio::net::TcpListener;

/// A Watch that does not come within this time was not wanted. Waits between tries are 50 ms at first.
const A_WHILE: Duration = Duration::from_millis(400);

async fn closed() -> Endpoint {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Endpoint::Tcp(format!("http://{address}"))
}

/// Two of them, and a client that follows the first at generation 5 of instance a.
async fn pair() -> (Server, Watching, Server, Inventory) {
    let (mut first, second) = (Server::start(), Server::start());
    let (inventory, _) = start_with(configured(vec![tcp(&first), tcp(&second)]));
    let watch = first.next_watch().await;
    greet(&watch, &inventory).await;
    (first, watch, second, inventory)
}

/// Of instance b, which read SMD so many seconds after what `greet` sends was read.
fn read_after(generation: u64, seconds: i64) -> v1::Freshness {
    let at = Some(Timestamp { seconds: 1_700_000_000 + seconds, nanos: 0 });
    v1::Freshness { read_at: at, whole_read_at: at, ..fresh("b", generation) }
}

/// The same, so many seconds from now.
fn read_in(generation: u64, seconds: i64) -> v1::Freshness {
    read_after(generation, seconds_from_now(seconds))
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + seconds - 1_700_000_000
}

fn hello_of(freshness: v1::Freshness, synced: bool) -> Event {
    Event::Hello(v1::Hello { freshness: Some(freshness), synced, ..Default::default() })
}

fn beat(freshness: v1::Freshness) -> Event {
    Event::Heartbeat(v1::Heartbeat { freshness: Some(freshness) })
}

/// What b says of a MAC.
fn says(outcome: Outcome, freshness: v1::Freshness, interface: Option<v1::Interface>) -> Says {
    let freshness = Some(freshness);
    Says::Reply(Box::new(v1::LookupReply { freshness, ..reply(outcome, 1, interface) }))
}

fn written(key: &str, address: &str, seconds: i64) -> Option<v1::Interface> {
    let last_update = Some(Timestamp { seconds: 1_700_000_000 + seconds, nanos: 0 });
    Some(v1::Interface { last_update, ..interface(key, "", &[(address, &[])]) })
}

async fn is_greeted(inventory: &Inventory, endpoint: &Endpoint) {
    let Endpoint::Tcp(url) = endpoint else { unreachable!("these are TCP") };
    eventually("the other one greets", || {
        let health = inventory.health();
        health.connected && health.endpoint == *url
    })
    .await;
}

#[tokio::test]
async fn a_first_endpoint_that_is_dead_or_hangs_keeps_nobody() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = Endpoint::Tcp(format!("http://{}", hangs.local_addr().unwrap()));
    for (case, endpoints) in [
        ("dead", vec![closed().await]),
        ("hangs", vec![hanging.clone()]),
        ("both", vec![closed().await, hanging]),
    ] {
        let mut server = Server::start();
        let begun = Instant::now();
        let (inventory, _) = start_with(configured([endpoints, vec![tcp(&server)]].concat()));
        let watch = server.next_watch().await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{case}: {:?}", begun.elapsed());
        greet(&watch, &inventory).await;
        assert_eq!(inventory.health().endpoint, format!("http://{}", server.address));
    }
}

#[tokio::test]
async fn when_one_is_killed_the_next_takes_over_without_going_back() {
    let (first, watch, mut second, inventory) = pair().await;
    drop(watch);
    first.kill();
    let watch = second.next_watch().await;
    assert_eq!(told(&watch), ("a", 5, "a-5"));
    let read_at = watch.request.freshness.as_ref().and_then(|told| told.read_at);
    let as_of = SystemTime::try_from(read_at.unwrap()).unwrap();
    assert!(
        as_of > SystemTime::now() - Duration::from_secs(60),
        "no read that began before that was got will do"
    );
    watch.send(hello_of(read_after(2, -60), false)).await;
    is_greeted(&inventory, &tcp(&second)).await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.1, stale"));
    let synced = v1::Synced { freshness: Some(read_after(3, 10)), ..Default::default() };
    watch.send(Event::Synced(synced)).await;
    watch.send(Event::Put(v1::Put { interfaces: vec![node("172.16.0.7")], ..Default::default() })).await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.1, stale"), "until it is whole");
    watch
        .send(Event::Complete(v1::Complete { freshness: Some(read_after(3, 10)), ..Default::default() }))
        .await;
    eventually("it is followed", || !inventory.health().stale).await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.7"));
}

#[tokio::test]
async fn who_moved_stays_when_the_first_is_back() {
    let (first, watch, mut second, inventory) = pair().await;
    drop(watch);
    let address = first.kill();
    let watch = second.next_watch().await;
    watch.send(hello_of(read_after(2, 10), true)).await;
    let mut first = Server::start_at(address);
    first.has_status(fresh("a", 9));
    for _ in 0..4 {
        watch.send(beat(read_after(2, 10))).await;
        assert!(first.is_watched_within(A_WHILE / 4).await.is_none(), "the second one is good");
    }
    assert_eq!(first.asked("status"), 0, "nobody looks elsewhere while all is well");
    assert!(inventory.health().connected);
}

#[tokio::test]
async fn a_look_up_is_never_tried_on_a_second_one() {
    let (first, _watch, mut second, inventory) = pair().await;
    first.says(NEW, Says::Error(tonic::Status::unavailable("starting")));
    second.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable");
    assert!(second.is_watched_within(A_WHILE).await.is_none());
    assert_eq!((first.asked(NEW), second.asked_in_all()), (1, 0));
}

#[tokio::test]
async fn one_that_does_not_answer_look_ups_is_left() {
    let (first, _watch, mut second, inventory) = pair().await;
    first.says(NEW, Says::Never);
    let added = written(NEW, "172.16.0.2", seconds_from_now(30));
    second.says(NEW, says(Outcome::Found, read_after(2, 10), added));
    for _ in 0..3 {
        assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable");
    }
    let watch = second.next_watch().await;
    watch.send(hello_of(read_after(2, -1), false)).await;
    is_greeted(&inventory, &tcp(&second)).await;
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2, stale", "the client's next packet");
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_anew_where_it_came_from() {
    let (mut first, watch, mut second, _inventory) = pair().await;
    watch.send(Event::Change(v1::Change { freshness: Some(fresh("a", 9)), ..Default::default() })).await;
    let again = first.next_watch().await;
    assert_eq!(again.request.freshness.unwrap().generation, 0, "the whole snapshot");
    assert!(second.is_watched_within(A_WHILE).await.is_none());
}

#[tokio::test]
async fn a_blind_one_is_left_at_once_by_who_has_nothing() {
    let blind = v1::Freshness { stale: true, whole_read_at: None, read_at: None, ..fresh("a", 0) };
    let (mut first, mut second) = (Server::start(), Server::start());
    second.has_status(fresh("b", 3));
    let (inventory, _) = start_with(configured(vec![tcp(&first), tcp(&second)]));
    let watch = first.next_watch().await;
    watch.send(hello_of(blind.clone(), false)).await;
    let watch = second.next_watch().await;
    watch.send(hello_of(fresh("b", 3), true)).await;
    watch.send(Event::Complete(v1::Complete { freshness: Some(fresh("b", 3)), ..Default::default() })).await;
    eventually("it is well", || inventory.health().complete && !inventory.health().stale).await;

    // Two that are equally bad: one stays.
    second.has_status(blind.clone());
    first.has_status(blind.clone());
    watch.send(beat(v1::Freshness { stale: true, ..fresh("b", 3) })).await;
    assert!(first.is_watched_within(A_WHILE).await.is_none());
    assert_eq!(first.asked("status"), 1, "it is looked at");
    let health = inventory.health();
    assert!(
        health.stale && health.reason.contains("the last whole read of SMD by smd-cache at http"),
        "{health:?}"
    );
}

#[tokio::test]
async fn before_a_server_is_synced_only_what_cannot_be_older_is_believed() {
    let (first, watch, mut second, inventory) = pair().await;
    // Pulled through from the first, which no snapshot has yet.
    first.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
    drop(watch);
    first.kill();
    let watch = second.next_watch().await;
    watch.send(hello_of(read_after(2, -60), false)).await;
    is_greeted(&inventory, &tcp(&second)).await;

    let (old, late) = (read_after(2, -60), read_in(2, 30));
    let key = |number: u8| format!("02:00:00:00:03:{number:02x}");
    let table = [
        (
            "removed since",
            says(Outcome::Found, old.clone(), written(&key(0), "172.16.3.0", -90)),
            "unavailable",
        ),
        (
            "nobody knows when",
            says(Outcome::Found, old.clone(), Some(interface(&key(1), "", &[("172.16.3.1", &[])]))),
            "unavailable",
        ),
        (
            "added since",
            says(Outcome::Found, old.clone(), written(&key(2), "172.16.3.2", seconds_from_now(30))),
            "172.16.3.2, stale",
        ),
        (
            "read since",
            says(Outcome::Found, late.clone(), written(&key(3), "172.16.3.3", -90)),
            "172.16.3.3, stale",
        ),
        ("unknown", says(Outcome::Unknown, old.clone(), None), "unknown"),
        ("cannot tell", says(Outcome::Unavailable, old.clone(), None), "unavailable"),
    ];
    for (number, (case, says, expected)) in table.into_iter().enumerate() {
        let key = key(number as u8);
        second.says(&key, says);
        assert_eq!(say(inventory.lookup(mac(&key)).await), expected, "{case}");
    }
    // What is held, and what was found lately, is not asked for.
    second.says(MAC, says(Outcome::Unknown, old.clone(), None));
    second.says(NEW, says(Outcome::Unknown, old.clone(), None));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1, stale");
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2, stale");
    assert_eq!(kind(inventory.lookup(name(NAME)).await), "found, stale");
    assert_eq!(kind(inventory.lookup(name("other.cluster.local")).await), "unknown");
    assert_eq!((second.asked(MAC), second.asked(NEW), second.asked("other.cluster.local")), (0, 0, 0));
}

#[tokio::test]
async fn a_machine_that_was_found_is_not_denied_by_a_read_from_before() {
    let (first, watch, mut second, inventory) = pair().await;
    first.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
    drop(watch);
    first.kill();
    // It read SMD after the snapshot that is held, but before the machine was found: its snapshot does not have it.
    let watch = second.next_watch().await;
    watch.send(hello_of(read_after(2, 10), true)).await;
    watch
        .send(Event::Complete(v1::Complete { freshness: Some(read_after(2, 10)), ..Default::default() }))
        .await;
    eventually("it is followed", || !inventory.health().stale).await;
    second.says(NEW, says(Outcome::Unknown, read_after(2, 10), None));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2, stale");
    let in_a_moment = SystemTime::now() + 2 * doubt::CLOCKS;
    let now = v1::Freshness { read_at: Some(in_a_moment.into()), ..read_after(2, 10) };
    second.says(NEW, says(Outcome::Unknown, now, None));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unknown", "a read of now knows better");
}

#[tokio::test]
async fn back_at_the_first_the_answers_of_the_second_are_asked_for_again() {
    let (mut first, watch, mut second, inventory) = pair().await;
    drop(watch);
    let watch = second.next_watch().await;
    watch.send(hello_of(read_after(2, -60), false)).await;
    is_greeted(&inventory, &tcp(&second)).await;
    second.says(NEW, says(Outcome::Unknown, read_after(2, -60), None));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unknown");
    drop(watch);
    let watch = first.next_watch().await;
    watch.send(hello(5, true)).await;
    eventually("it is followed again", || !inventory.health().stale).await;
    first.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
}

#[tokio::test]
async fn without_a_replica_an_unsynced_server_answers_and_it_is_marked_stale() {
    let (mut first, mut second) = (Server::start(), Server::start());
    let config = config::Inventory { replica: false, ..configured(vec![tcp(&first), tcp(&second)]) };
    let (inventory, _) = start_with(config);
    let watch = first.next_watch().await;
    watch.send(hello(5, false)).await;
    eventually("it is greeted", || inventory.health().connected && !inventory.health().stale).await;
    first.says(MAC, found(5, node("172.16.0.1")));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
    drop(watch);
    first.kill();
    let watch = second.next_watch().await;
    assert_eq!(told(&watch), ("a", 5, "a-5"));
    watch.send(hello_of(read_after(2, -60), false)).await;
    is_greeted(&inventory, &tcp(&second)).await;
    second.says(MAC, says(Outcome::Found, read_after(2, -60), Some(node("172.16.0.9"))));
    second.says(NEW, says(Outcome::Found, read_after(2, -60), written(NEW, "172.16.0.2", -90)));
    for _ in 0..2 {
        assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1, stale", "what was got before");
        assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2, stale", "there is nothing better");
    }
    let synced = v1::Synced { freshness: Some(read_after(3, 60)), ..Default::default() };
    watch.send(Event::Synced(synced)).await;
    eventually("it is synced", || !inventory.health().stale).await;
    second.says(MAC, says(Outcome::Found, read_after(3, 60), Some(node("172.16.0.7"))));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.7");
}

#[tokio::test]
async fn who_was_answered_but_has_no_snapshot_yet_does_not_go_back_either() {
    let (mut first, mut second) = (Server::start(), Server::start());
    let (inventory, _) = start_with(configured(vec![tcp(&first), tcp(&second)]));
    let watch = first.next_watch().await;
    watch.send(hello(5, false)).await;
    eventually("it is greeted", || inventory.health().connected).await;
    first.says(MAC, found(5, node("172.16.0.1")));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
    drop(watch);
    first.kill();
    let watch = second.next_watch().await;
    assert_eq!(told(&watch), ("a", 0, ""), "what was answered from");
    let read_at = watch.request.freshness.and_then(|told| told.read_at);
    let answered_at = SystemTime::try_from(read_at.unwrap()).unwrap();
    assert!(answered_at > SystemTime::now() - Duration::from_secs(60), "not read before that was answered");
}

#[tokio::test]
async fn moves_are_counted_by_their_reason() {
    let (mut first, mut second) = (Server::start(), Server::start());
    let mut registry = Registry::default();
    let who = Who { name: "dnsd", version: "0.1.0", admin_port: 0 };
    let config = configured(vec![tcp(&first), tcp(&second)]);
    let _inventory = Inventory::start(&config, who, &mut registry, CancellationToken::new());
    drop(first.next_watch().await);
    second.next_watch().await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "inventory_endpoint_changes_total{reason=\"ended\"} 1",
        "inventory_watch_losses_total{reason=\"ended\"} 1",
        "inventory_endpoint_changes_total{reason=\"stale\"} 0",
    ] {
        assert!(text.lines().any(|held| held == line), "{line} is missing in\n{text}");
    }
}

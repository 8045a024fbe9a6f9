//! However much is asked, what is held and what is under way are bounded, and nobody waits for longer than promised.

use super::*;
use crate::{
    calls::{Called, MAX_CALLS},
    doubt::Standard,
    keys::AnyKey,
    watch::{Effect, Link, Position},
};

/// As many different keys as are asked for.
const KEYS: u64 = 1_000_000;

fn flooded(number: u64) -> AnyKey {
    match number % 3 {
        0 => AnyKey::Mac(mac(&format!(
            "06:00:{:02x}:{:02x}:{:02x}:00",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        ))),
        1 => AnyKey::Name(name(&format!("nonsense-{number}.cluster.local"))),
        _ => AnyKey::Address(IpAddr::from((number as u32).to_be_bytes())),
    }
}

#[tokio::test]
async fn a_million_answers_leave_no_more_than_the_bound() {
    let answers = cache::Answers::new();
    let position = Some(Position { instance: "a".into(), generation: 5 });
    answers.follow(watch::Forget::AskAgain, position, Standard { synced: true, held: None });
    let freshness = Freshness { generation: 5, ..Freshness::default() };
    for number in 0..KEYS {
        answers.keep(flooded(number), "a", cache::Entry::new(None, Default::default(), freshness));
        if number.is_multiple_of(50_000) {
            assert!(answers.count() <= cache::MAX_ENTRIES, "{number}: {}", answers.count());
        }
    }
    assert!(answers.count() <= cache::MAX_ENTRIES, "{}", answers.count());
}

#[tokio::test]
async fn a_million_keys_of_a_hung_smd_cache_are_no_more_calls_than_the_bound() {
    let (server, _watch, inventory) = following().await;
    let calls = inventory.layers.calls.clone();
    for number in 0..MAX_CALLS as u64 * 2 {
        server.says(&flooded(number).to_string(), Says::Never);
    }
    let first: Vec<_> = (0..MAX_CALLS as u64)
        .map(|number| {
            let calls = calls.clone();
            tokio::spawn(async move { calls.ask(flooded(number)).await })
        })
        .collect();
    eventually("all places are taken", || calls.under_way() == MAX_CALLS).await;
    let mut refused = 0;
    // No await gives way here: no call ends meanwhile.
    for number in MAX_CALLS as u64..KEYS {
        let answer = futures::FutureExt::now_or_never(calls.ask(flooded(number)));
        refused += u64::from(matches!(answer, Some(Called::Unavailable)));
        assert!(calls.under_way() <= MAX_CALLS);
    }
    assert_eq!(refused, KEYS - MAX_CALLS as u64, "at once");
    assert!(inventory.tasks.len() <= MAX_CALLS + 2, "{} tasks", inventory.tasks.len());
    for asker in first {
        assert!(matches!(asker.await.unwrap(), Called::Unavailable));
    }
    eventually("all places are free again", || calls.under_way() == 0).await;
}

#[tokio::test]
async fn names_that_do_not_exist_cost_no_call_and_no_memory() {
    let (server, _watch, inventory) = following().await;
    for number in 0..100_000u64 {
        let key = name(&format!("nonsense-{number}.cluster.local"));
        assert!(matches!(inventory.peek(&key), Some(Lookup::Unknown)));
    }
    assert_eq!((server.asked_in_all(), inventory.layers.answers_held()), (0, 0));
}

/// The silent failure: connected, and nothing comes back.
#[tokio::test]
async fn a_thousand_askers_of_a_hung_smd_cache_all_know_within_their_deadline() {
    let (server, _watch, inventory) = following().await;
    let unknown = |number: usize| mac(&format!("02:00:00:02:{:02x}:{:02x}", number / 256, number % 256));
    let askers: Vec<_> = (0..1_000)
        .map(|number| {
            // Some ask for the same.
            let key = unknown(number % 400);
            server.says(&key.to_string(), Says::Never);
            let inventory = inventory.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let known = say(inventory.lookup(mac(MAC)).await);
                (known, say(inventory.lookup(key).await), begun.elapsed())
            })
        })
        .collect();
    for asker in askers {
        let (known, answer, took) = asker.await.unwrap();
        assert!(known.starts_with("172.16.0.1"), "who is known is served: {known}");
        assert_eq!(answer, "unavailable");
        // The deadline, and what a busy machine needs to run a thousand tasks.
        assert!(took < layers::LOOKUP_DEADLINE + Duration::from_millis(1_500), "{took:?}");
    }
    assert!(inventory.layers.calls.under_way() <= MAX_CALLS);
    assert!(server.asked_in_all() <= MAX_CALLS, "{}", server.asked_in_all());
    assert_eq!(inventory.layers.answers_held(), 0, "the lack of an answer is not kept");
}

#[test]
fn nothing_older_than_max_stale_is_served() {
    let read_at = |age: u64| Some((SystemTime::now() - Duration::from_secs(age)).into());
    let held = |age| {
        let freshness = v1::Freshness { read_at: read_at(0), whole_read_at: read_at(age), ..fresh("a", 5) };
        Replica::from_messages("", vec![], vec![node("172.16.0.1")], vec![component(ID, &[NAME])], freshness)
    };
    for (age, expired) in [(50, false), (70, true)] {
        let limit = Some(Duration::from_secs(60));
        let layers = Layers::new(held(age), limit, Arc::default(), TaskTracker::new());
        let link = Link { connected: false, ..Link::default() };
        layers.take(Effect { publish: Some(held(age)), ..Effect::default() }, link, Standard::default());
        assert_eq!(layers.is_expired(), expired);
        let expected = if expired { None } else { Some("found") };
        assert_eq!(layers.peek(&mac(MAC)).map(kind), expected, "a MAC");
        assert_eq!(layers.peek(&name(NAME)).map(kind), expected, "a name");
        let unknown = if expired { None } else { Some("unknown") };
        assert_eq!(layers.peek_name("nonsense.cluster.local").map(kind), unknown, "nor is anything denied");
        assert_eq!(layers.health().expired, expired);
        assert_eq!(
            layers.health().reason.contains("max_stale (60 s)"),
            expired,
            "{}",
            layers.health().reason
        );
    }
}

#[tokio::test]
async fn what_a_call_brings_is_not_served_either_when_it_is_too_old() {
    let mut server = Server::start();
    let limit = Some(Duration::from_secs(60));
    let (inventory, _) = start_with(config::Inventory { max_stale: limit, ..configured(vec![tcp(&server)]) });
    let watch = server.next_watch().await;
    watch.send(hello(5, false)).await;
    watch.send(Event::Complete(v1::Complete { freshness: Some(fresh("a", 5)), ..Default::default() })).await;
    eventually("the old snapshot is there", || inventory.health().complete).await;
    // All of these were read in 2023.
    server.says(MAC, found(5, node("172.16.0.1")));
    server.says(NAME, unknown(5));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "unavailable");
    assert_eq!(kind(inventory.lookup(name(NAME)).await), "unavailable");
    let now = Some(SystemTime::now().into());
    let fresh_now = v1::Freshness { read_at: now, whole_read_at: now, ..fresh("a", 5) };
    let reply =
        v1::LookupReply { freshness: Some(fresh_now), ..reply(Outcome::Found, 5, Some(node("172.16.0.1"))) };
    server.says(MAC, Says::Reply(Box::new(reply)));
    assert_eq!(say(inventory.lookup(mac(MAC)).await), "172.16.0.1");
}

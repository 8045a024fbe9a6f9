//! A smd-cache one release ahead or behind.

use super::*;
use prost::Message;

/// A message with a field more than this release knows.
fn from_the_future(message: &impl Message) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    bytes.extend([0xfa, 0x3f, 3, b'n', b'e', b'w']); // field 1023, three bytes
    bytes
}

#[tokio::test]
async fn a_release_ahead_is_followed_and_what_is_not_understood_left_out() {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), true);
    let watch = server.next_watch().await;
    watch.send(hello(5, false)).await;
    watch.send_unknown().await;
    let put = v1::Put { interfaces: vec![node("172.16.0.1")], components: vec![component(ID, &[NAME])] };
    watch.send(Event::Put(v1::Put::decode(&from_the_future(&put)[..]).unwrap())).await;
    watch.send_unknown().await;
    watch.send(Event::Complete(v1::Complete { freshness: Some(fresh("a", 5)), ..Default::default() })).await;
    watch.send_unknown().await;
    eventually("it is followed", || inventory.health().complete && !inventory.health().stale).await;
    let change =
        v1::Change { freshness: Some(fresh("a", 6)), removed_macs: vec![MAC.into()], ..Default::default() };
    watch.send(Event::Change(v1::Change::decode(&from_the_future(&change)[..]).unwrap())).await;
    eventually("changes are", || inventory.health().generation == 6).await;
    // An outcome that does not exist yet is no answer.
    server
        .says(NEW, Says::Reply(Box::new(v1::LookupReply { outcome: 99, ..reply(Outcome::Found, 6, None) })));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "unavailable");
}

/// It says no domain in Synced and Complete, no zones in Synced, and has no digests.
#[tokio::test]
async fn a_release_behind_is_followed() {
    let mut server = Server::start();
    let (inventory, _) = start(tcp(&server), true);
    let bare = |generation| Some(v1::Freshness { digest: String::new(), ..fresh("a", generation) });
    let watch = server.next_watch().await;
    let zones = vec![v1::Zone { name: "cluster.local".into(), serial: 3 }];
    let domain = "cluster.local".to_owned();
    watch
        .send(Event::Hello(v1::Hello {
            freshness: bare(0),
            domain,
            zones: zones.clone(),
            ..Default::default()
        }))
        .await;
    watch.send(Event::Synced(v1::Synced { freshness: bare(1), ..Default::default() })).await;
    watch.send(Event::Put(v1::Put { interfaces: vec![node("172.16.0.1")], ..Default::default() })).await;
    watch.send(Event::Complete(v1::Complete { freshness: bare(1), zones, ..Default::default() })).await;
    eventually("it is followed", || inventory.health().complete && !inventory.health().stale).await;
    let held = inventory.snapshot();
    assert_eq!((held.domain().unwrap().as_str(), held.zones().len()), ("cluster.local", 1));
    // Another instance without digests is not taken for the same content.
    drop(watch);
    let watch = server.next_watch().await;
    let other = Some(v1::Freshness { instance: "b".into(), ..bare(7).unwrap() });
    watch
        .send(Event::Hello(v1::Hello { freshness: other.clone(), synced: true, ..Default::default() }))
        .await;
    watch.send(Event::Put(v1::Put { interfaces: vec![node("172.16.0.9")], ..Default::default() })).await;
    watch.send(Event::Complete(v1::Complete { freshness: other, ..Default::default() })).await;
    eventually("it is followed, too", || inventory.health().generation == 7 && !inventory.health().stale)
        .await;
    assert_eq!(inventory.peek(&mac(MAC)).map(say).as_deref(), Some("172.16.0.9"));
}

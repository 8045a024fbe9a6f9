//! Explain over gRPC, and the subcommands over the Unix socket.

use crate::{
    Cache,
    fake_smd::{Answer, FakeSmd, INTERFACES},
};
use futures::future::join_all;
use proto::v1::{self, Outcome, explain_request::Key};
use smd_cache::ask::{How, Question, ask};
use std::path::Path;
use tonic::Code;

async fn explain(cache: &mut Cache, key: Key) -> v1::ExplainReply {
    cache.grpc.explain(v1::ExplainRequest { key: Some(key) }).await.unwrap().into_inner()
}

/// As the program would be asked from a shell on this host.
async fn asked(cache: &Cache, question: impl FnOnce(How) -> Question) -> (String, u8) {
    let endpoint = Some(format!("unix:{}", cache.socket.display()));
    let how = How { endpoint, ..How::default() };
    ask(Path::new("/nonexistent"), &question(how)).await.unwrap()
}

async fn explained(cache: &Cache, key: &str) -> (String, u8) {
    asked(cache, |how| Question::Explain { key: key.into(), how }).await
}

#[tokio::test]
async fn every_kind_of_key_is_explained_with_what_its_look_up_says() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let keys = [
        (Key::Mac("02:00:00:00:00:01".into()), cache.mac("02:00:00:00:00:01").await),
        (Key::Address("10.0.0.1".into()), cache.address("10.0.0.1").await),
        (Key::Name("nid0001.cluster.local".into()), cache.name("nid0001.cluster.local").await),
        (Key::Id("x1000c0s1b0n0".into()), cache.component("x1000c0s1b0n0").await),
        (Key::Mac("02:00:00:00:00:99".into()), cache.mac("02:00:00:00:00:99").await),
        (Key::Name("nope.cluster.local".into()), cache.name("nope.cluster.local").await),
    ];
    for (key, looked_up) in keys {
        let found = explain(&mut cache, key.clone()).await.found.unwrap();
        let timeless = |reply| v1::LookupReply { freshness: None, ..reply };
        assert_eq!(timeless(found), timeless(looked_up), "{key:?}");
    }
    let reply = explain(&mut cache, Key::Address("10.0.0.1".into())).await;
    assert_eq!(reply.text[0], "10.0.0.1 belongs to 02:00:00:00:00:01 (x1000c0s1b0n0).");
    let matched: Vec<_> =
        reply.rules.iter().filter(|trace| trace.matched && !trace.address.is_empty()).collect();
    assert_eq!(matched.len(), 1, "{:?}", reply.rules);
    assert_eq!(matched[0].component_id, "x1000c0s1b0n0");
    for key in [None, Some(Key::Mac("zz".into())), Some(Key::Address("10.0.0.256".into()))] {
        let refused = cache.grpc.explain(v1::ExplainRequest { key }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    cache.stop().await;
}

#[tokio::test]
async fn the_subcommands_ask_the_running_program() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let cache = Cache::of(&smd).await.ready().await;
    let verdict = "nid0001 boots: 02:00:00:00:00:01 (x1000c0s1b0n0) has 10.0.0.1.";
    for key in ["02-00-00-00-00-01", "10.0.0.1", "X1000C0S1B0N0", "nid0001", "NID0001.cluster.local."] {
        let (text, code) = explained(&cache, key).await;
        assert!(code == 0 && text.contains(verdict), "{key}: {text}");
    }
    let (text, code) = explained(&cache, "nid0009").await;
    assert!(code == 3 && text.starts_with("Nobody is called nid0009.cluster.local: "), "{text}");
    let (text, code) = asked(&cache, |how| Question::Status { how }).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(": ready\n") && text.contains("2 interfaces (2 that DHCP can serve)"), "{text}");
    assert_eq!(
        asked(&cache, |how| Question::Problems { how }).await,
        ("no problem with SMD's records\n".into(), 0)
    );
    smd.set_addresses(&[(1, "10.0.0.1".into()), (2, "nonsense".into())]);
    let (text, code) = asked(&cache, |how| Question::Refresh { full: true, force: false, how }).await;
    assert!(code == 0 && text.starts_with("SMD was read: generation "), "{text}");
    let (text, code) = asked(&cache, |how| Question::Problems { how }).await;
    assert_eq!(code, 3);
    assert_eq!(text, "bad_address (1)\n  'nonsense' is neither an IPv4 nor an IPv6 address; it is skipped\n");
    let json = asked(&cache, |how| Question::Problems { how: How { json: true, ..how } }).await.0;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["mac"], "02:00:00:00:00:02");
    cache.stop().await;
}

#[tokio::test]
async fn before_the_first_read_nothing_can_be_told() {
    let smd = FakeSmd::empty().await;
    smd.answer(INTERFACES, Answer::Hang);
    let cache = Cache::of(&smd).await;
    for key in ["02:00:00:00:00:01", "10.0.0.1", "nid0001.cluster.local", "x1000c0s1b0n0"] {
        let (text, code) = explained(&cache, key).await;
        assert!(code == 4 && text.starts_with("It cannot be told whether SMD has "), "{key}: {text}");
    }
    let (text, code) = asked(&cache, |how| Question::Status { how }).await;
    assert!(code == 4 && text.contains(": not ready\n"), "{text}");
    cache.stop().await;
}

#[tokio::test]
async fn many_explanations_at_once_are_bounded_and_look_ups_go_on() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let explanations = (0..200).map(|_| {
        let mut grpc = cache.grpc.clone();
        async move {
            let key = Some(Key::Mac("02:00:00:00:00:01".into()));
            grpc.explain(v1::ExplainRequest { key }).await.map(drop).map_err(|status| status.code())
        }
    });
    let all = join_all(explanations);
    let (ended, looked_up) = tokio::join!(all, {
        let mut grpc = cache.grpc.clone();
        async move { grpc.lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() }).await }
    });
    assert_eq!(looked_up.unwrap().into_inner().outcome(), Outcome::Found);
    assert!(ended.iter().any(Result::is_ok));
    assert!(ended.iter().all(|one| matches!(one, Ok(()) | Err(Code::ResourceExhausted))), "{ended:?}");
    assert!(
        !explain(&mut cache, Key::Mac("02:00:00:00:00:01".into())).await.text.is_empty(),
        "places are given back"
    );
    cache.stop().await;
}

#[tokio::test]
async fn an_operator_sees_what_is_held_back_and_lets_it_go() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let cache = Cache::of(&smd).await.ready().await;
    smd.set(&[]);
    let held_back = async || asked(&cache, |how| Question::Problems { how }).await.0.contains("held_back");
    crate::eventually("held back", held_back).await;
    let (text, code) = explained(&cache, "nid0001").await;
    assert!(code == 0 && text.contains("Problem (held_back): "), "{text}");
    let (text, code) = asked(&cache, |how| Question::Refresh { full: false, force: true, how }).await;
    assert_eq!(code, 0, "{text}");
    let (text, code) = explained(&cache, "02:00:00:00:00:01").await;
    assert!(code == 3 && text.starts_with("DHCP treats 02:00:00:00:00:01 as unknown: "), "{text}");
    cache.stop().await;
}

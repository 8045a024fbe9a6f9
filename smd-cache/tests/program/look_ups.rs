//! Text in, outcome out.

use crate::{Cache, fake_smd::FakeSmd};
use futures::TryStreamExt;
use proto::v1::{self, Outcome};
use tonic::Code;

pub async fn problems(cache: &mut Cache) -> Vec<v1::Problem> {
    let stream = cache.grpc.list_problems(v1::ListProblemsRequest {}).await.unwrap().into_inner();
    stream.try_collect().await.unwrap()
}

#[tokio::test]
async fn a_machine_is_found_by_each_of_its_keys_in_any_spelling() {
    let smd = FakeSmd::with(&[1, 2]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let expected = cache.mac("02:00:00:00:00:01").await.interfaces;
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0].component.as_ref().unwrap().id, "x1000c0s1b0n0");
    assert_eq!(expected[0].addresses[0].fqdn, "nid0001.cluster.local");
    for mac in ["020000000001", "0200.0000.0001", "02-00-00-00-00-01"] {
        assert_eq!(cache.mac(mac).await.interfaces, expected, "{mac}");
    }
    for address in ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1"] {
        assert_eq!(cache.address(address).await.interfaces, expected, "{address}");
    }
    for name in ["nid0001.cluster.local", "NID0001.Cluster.Local.", "x1000c0s1b0n0.cluster.local"] {
        assert_eq!(cache.name(name).await.interfaces, expected, "{name}");
    }
    for id in ["x1000c0s1b0n0", "X1000C0S01B0N0"] {
        let reply = cache.component(id).await;
        assert_eq!(reply.interfaces, expected, "{id}");
        assert_eq!(reply.components.len(), 1);
    }
    let listed = cache.grpc.list_interfaces(v1::ListInterfacesRequest {}).await.unwrap().into_inner();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    assert_eq!((listed.len(), &listed[0]), (2, &expected[0]));
    cache.stop().await;
}

#[tokio::test]
async fn a_name_above_others_exists_and_bears_nothing() {
    let smd = FakeSmd::with(&[1]).await;
    let file = "domain: cluster.local\nrules: ['type:Node,hostname:n{04d}.rack1']";
    let mut cache = Cache::start(&smd, file, |_| {}).await.ready().await;
    assert_eq!(cache.name("n0001.rack1.cluster.local").await.interfaces.len(), 1);
    let parent = cache.name("Rack1.cluster.local").await;
    assert!(parent.empty_non_terminal && parent.outcome() == Outcome::Found, "{parent:?}");
    let nobody = cache.name("rack2.cluster.local").await;
    assert!(!nobody.empty_non_terminal && nobody.outcome() == Outcome::Unknown, "{nobody:?}");
    cache.stop().await;
}

#[tokio::test]
async fn a_component_without_address_bears_its_name() {
    let smd = FakeSmd::empty().await;
    smd.set_addresses(&[(1, String::new())]);
    let mut cache = Cache::of(&smd).await.ready().await;
    let reply = cache.name("nid0001.cluster.local").await;
    assert_eq!(reply.outcome(), Outcome::Found);
    assert_eq!((reply.interfaces.len(), reply.components.len()), (0, 1));
    cache.stop().await;
}

#[tokio::test]
async fn malformed_keys_are_invalid_arguments_with_a_sentence() {
    let smd = FakeSmd::empty().await;
    let mut cache = Cache::of(&smd).await;
    let long = "a".repeat(300);
    let mut refused = Vec::new();
    for mac in ["", "02:00:00:00:01", "x1000c0s0b0n0", "02:00:00:00:00:01:02", &long] {
        refused.push(cache.grpc.lookup_mac(v1::LookupMacRequest { mac: mac.into() }).await.unwrap_err());
    }
    for address in ["", "10.0.0", "10.0.0.256", "fd00:::1", "nid0001", &long] {
        let request = v1::LookupAddressRequest { address: address.into() };
        refused.push(cache.grpc.lookup_address(request).await.unwrap_err());
    }
    for name in ["", ".", "a..b", "a b", "\u{e4}.local", &long] {
        refused.push(cache.grpc.lookup_name(v1::LookupNameRequest { name: name.into() }).await.unwrap_err());
    }
    for id in ["", "nid0001.cluster", "x", "1000", &long] {
        let request = v1::LookupComponentRequest { id: id.into() };
        refused.push(cache.grpc.lookup_component(request).await.unwrap_err());
    }
    for status in &refused {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(" is not a") && status.message().len() < 300, "{status}");
    }
    let metrics = cache.page("/metrics").await.1;
    assert!(
        metrics.contains(r#"smd_cache_lookups_total{rpc="lookup_mac",outcome="invalid"} 5"#),
        "{metrics}"
    );
    cache.stop().await;
}

#[tokio::test]
async fn lists_before_the_first_read_are_not_empty_but_unavailable() {
    let smd = FakeSmd::empty().await;
    smd.answer(crate::fake_smd::INTERFACES, crate::fake_smd::Answer::Hang);
    let mut cache = Cache::of(&smd).await;
    let refused = cache.grpc.list_interfaces(v1::ListInterfacesRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let refused = cache.grpc.list_problems(v1::ListProblemsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    cache.stop().await;
}

#[tokio::test]
async fn a_request_bigger_than_any_real_one_is_refused() {
    let smd = FakeSmd::empty().await;
    let mut cache = Cache::of(&smd).await;
    let refused = cache.grpc.lookup_mac(v1::LookupMacRequest { mac: "0".repeat(100_000) }).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    cache.stop().await;
}

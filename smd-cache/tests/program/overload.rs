//! More calls than are served at a time.

use crate::{Cache, PATIENCE, fake_smd::FakeSmd};
use futures::stream;
use proto::v1::{self, watch_event::Event};
use std::time::Duration;
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;

async fn health(cache: &Cache) -> ServingStatus {
    let mut client = HealthClient::new(cache.channel.clone());
    client.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

/// A call whose request never arrives whole.
async fn unfinished(channel: Channel) -> Result<(), tonic::Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| tonic::Status::unknown(error.to_string()))?;
    let path = PathAndQuery::from_static("/smdcache.v1.SmdCache/LookupMac");
    let codec = ProstCodec::<v1::LookupMacRequest, v1::LookupReply>::default();
    grpc.client_streaming(Request::new(stream::pending()), path, codec).await.map(|_| ())
}

#[tokio::test]
async fn calls_past_the_bound_are_refused_at_once() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    let watch = || v1::WatchRequest { snapshot: true, ..v1::WatchRequest::default() };
    let mut watching = cache.grpc.watch(watch()).await.unwrap().into_inner();
    // The bound is on all connections together; one alone may have fewer.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let channel = cache.another_connection().await;
        for _ in 0..200 {
            calls.spawn(unfinished(channel.clone()));
        }
    }
    let refused = tokio::time::timeout(PATIENCE, calls.join_next()).await.expect("some are refused at once");
    let status = refused.unwrap().unwrap().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let asked = cache.grpc.lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() });
    let status = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("at once").unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    // Everything else goes on: nothing of it shares the look-ups' bound.
    assert_eq!(health(&cache).await, ServingStatus::Serving);
    assert!(cache.status().await.ready);
    assert!(cache.grpc.list_interfaces(v1::ListInterfacesRequest {}).await.is_ok());
    assert!(cache.refresh().await.is_ok());
    let mut another = cache.grpc.watch(watch()).await.unwrap().into_inner();
    assert!(another.message().await.unwrap().is_some());
    smd.set(&[1, 2]);
    let mut change = async || watching.message().await.unwrap().unwrap().event;
    crate::eventually("a Watch in progress", async || matches!(change().await, Some(Event::Change(_)))).await;
    // An operator on this host has bounds of his own, also for look-ups.
    let asked = cache
        .over_the_socket()
        .await
        .lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() })
        .await;
    assert!(asked.is_ok(), "{asked:?}");
    assert!(cache.metric(r#"smd_cache_calls_refused_total{reason="overload"}"#).await > 1);
    calls.shutdown().await;
    crate::eventually("served again", async || {
        cache.grpc.lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() }).await.is_ok()
    })
    .await;
    cache.stop().await;
}

#[tokio::test]
async fn a_look_up_that_does_not_arrive_is_ended() {
    let smd = FakeSmd::with(&[1]).await;
    let cache = Cache::of(&smd).await.ready().await;
    let ended = tokio::time::timeout(PATIENCE, unfinished(cache.channel.clone())).await.expect("in time");
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    cache.stop().await;
}

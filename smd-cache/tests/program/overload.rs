//! More calls than are served at a time.

use crate::{Cache, PATIENCE, fake_smd::FakeSmd};
use futures::stream;
use proto::v1;
use std::time::Duration;
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

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
    calls.shutdown().await;
    crate::eventually("served again", async || {
        cache.grpc.lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() }).await.is_ok()
    })
    .await;
    cache.stop().await;
}

//! Listening, health, reflection, admin HTTP, start and end.

use crate::{
    Cache,
    fake_smd::{Answer, FakeSmd, INTERFACES},
};
use daemon::Running;
use futures::TryStreamExt;
use proto::v1;
use smd_cache::{
    Program,
    config::{Settings, Socket},
};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SERVICES: [&str; 2] = ["", "smdcache.v1.SmdCache"];

async fn health(cache: &Cache, service: &str) -> ServingStatus {
    let mut client = HealthClient::new(cache.channel.clone());
    client.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn health_is_serving_once_look_ups_can_be_answered() {
    let smd = FakeSmd::empty().await;
    smd.answer(INTERFACES, Answer::Json("no".into()));
    let cache = Cache::of(&smd).await;
    for service in SERVICES {
        assert_eq!(health(&cache, service).await, ServingStatus::NotServing, "{service:?}");
    }
    smd.set(&[1]);
    let cache = cache.ready().await;
    for service in SERVICES {
        crate::eventually("serving", async || health(&cache, service).await == ServingStatus::Serving).await;
    }
    cache.stop().await;
}

#[tokio::test]
async fn reflection_lists_and_describes_the_service() {
    let smd = FakeSmd::empty().await;
    let cache = Cache::of(&smd).await;
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let asked = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("smdcache.v1.SmdCache".into())),
        ask(MessageRequest::FileContainingSymbol("grpc.health.v1.Health".into())),
    ];
    let mut client = ServerReflectionClient::new(cache.channel.clone());
    let replies = client.server_reflection_info(futures::stream::iter(asked)).await.unwrap().into_inner();
    let replies: Vec<_> =
        replies.map_ok(|reply| reply.message_response.unwrap()).try_collect().await.unwrap();
    let MessageResponse::ListServicesResponse(listed) = &replies[0] else { panic!("{replies:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["smdcache.v1.SmdCache", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(matches!(&replies[1], MessageResponse::FileDescriptorResponse(_)), "{:?}", replies[1]);
    assert!(matches!(&replies[2], MessageResponse::FileDescriptorResponse(_)), "{:?}", replies[2]);
    // The older protocol, which older grpcurls speak.
    use tonic_reflection::pb::v1alpha as old;
    let mut client = old::server_reflection_client::ServerReflectionClient::new(cache.channel.clone());
    let asked = old::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(old::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut replies =
        client.server_reflection_info(futures::stream::iter([asked])).await.unwrap().into_inner();
    assert!(replies.message().await.unwrap().unwrap().message_response.is_some());
    cache.stop().await;
}

#[tokio::test]
async fn the_unix_socket_answers_and_goes_with_the_program() {
    let smd = FakeSmd::with(&[1]).await;
    let cache = Cache::of(&smd).await.ready().await;
    let path = cache.socket.clone();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("unix:{}", path.display())).unwrap();
    let mut grpc = v1::smd_cache_client::SmdCacheClient::new(endpoint.connect().await.unwrap());
    assert!(grpc.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().ready);
    drop(grpc);
    cache.stop().await;
    assert!(!path.exists());
}

async fn start_with(socket: Socket, smd: &FakeSmd) -> anyhow::Result<Program> {
    start_with_group(socket, None, smd).await
}

async fn start_with_group(socket: Socket, group: Option<&str>, smd: &FakeSmd) -> anyhow::Result<Program> {
    let config = config::parse("").unwrap();
    let mut settings = Settings::of(&config);
    settings.listen = vec![([127, 0, 0, 1], 0).into()];
    settings.admin = ([127, 0, 0, 1], 0).into();
    settings.smd.url = smd.url();
    settings.socket = socket;
    settings.socket_group = group.map(str::to_owned);
    Program::start(Running::new(config::Program::SmdCache, config), settings).await
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let smd = FakeSmd::empty().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smd-cache.sock");
    let left_behind = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = format!("{:#}", start_with(Socket::Given(path.clone()), &smd).await.err().unwrap());
    assert!(error.contains("belongs to a running program"), "{error}");
    drop(left_behind);
    assert!(path.exists());
    start_with(Socket::Given(path.clone()), &smd).await.unwrap();

    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let error = format!("{:#}", start_with(Socket::Given(file.clone()), &smd).await.err().unwrap());
    assert!(error.contains("it is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn the_default_socket_is_done_without_where_it_cannot_be_made() {
    let smd = FakeSmd::empty().await;
    let impossible = std::path::PathBuf::from("/dev/null/coresmd/smd-cache.sock");
    assert!(start_with(Socket::Given(impossible.clone()), &smd).await.is_err());
    let program = start_with(Socket::Default(impossible), &smd).await.unwrap();
    assert_eq!(program.socket(), None);
    assert_eq!(program.addresses().len(), 1);
}

#[tokio::test]
async fn the_sockets_group_is_given_or_nothing_starts() {
    let smd = FakeSmd::empty().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smd-cache.sock");
    let own = nix::unistd::getgid();
    let name = nix::unistd::Group::from_gid(own).unwrap().unwrap().name;
    let root = nix::unistd::geteuid().is_root();
    // Whoever is root may give it to a group that has no name.
    let groups = [(own.to_string(), own.as_raw()), (name, own.as_raw()), ("54321".to_owned(), 54_321)];
    for (group, gid) in groups.iter().take(if root { 3 } else { 2 }) {
        let program = start_with_group(Socket::Given(path.clone()), Some(group), &smd).await.unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o777), (*gid, 0o660), "{group}");
        drop(program);
    }
    let default = Socket::Default(directory.path().join("default.sock"));
    for socket in [Socket::Given(path), default] {
        let error = start_with_group(socket, Some("no-such-group"), &smd).await.err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("smd_cache.socket_group: there is no group 'no-such-group'"), "{error}");
    }
    let impossible = Socket::Default("/dev/null/coresmd/smd-cache.sock".into());
    assert!(start_with_group(impossible, Some(&own.to_string()), &smd).await.is_err(), "it was asked for");
}

#[tokio::test]
async fn prometheus_finds_the_programs_that_watch() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    assert_eq!(cache.page("/targets").await, (200, r#"[{"targets":[],"labels":{}}]"#.into()));
    let watch = |name: &str, admin_port| v1::WatchRequest {
        client_name: name.into(),
        admin_port,
        snapshot: true,
        ..v1::WatchRequest::default()
    };
    let dnsd = cache.grpc.watch(watch("evil\"},{", 27783)).await.unwrap();
    let script = cache.grpc.watch(watch("script", 0)).await.unwrap();
    assert_eq!(cache.page("/targets").await.1, r#"[{"targets":["127.0.0.1:27783"],"labels":{}}]"#);
    assert_eq!(cache.status().await.clients.len(), 2);
    assert!(cache.page("/metrics").await.1.contains("smd_cache_watchers 2"));
    drop((dnsd, script));
    crate::eventually("struck off", async || cache.status().await.clients.is_empty()).await;
    cache.stop().await;
}

#[tokio::test]
async fn the_readme_lists_every_metric_and_no_other() {
    let smd = FakeSmd::with(&[1]).await;
    let mut cache = Cache::of(&smd).await.ready().await;
    cache.mac("02:00:00:00:00:01").await;
    let page = cache.page("/metrics").await.1;
    let mut listed = daemon::manual::listed(include_str!("../../README.md"), "smd_cache_");
    listed.append(&mut daemon::manual::listed(include_str!("../../../lib/daemon/README.md"), "daemon_"));
    assert_eq!(daemon::manual::exposed(&page), listed);
    cache.stop().await;
}

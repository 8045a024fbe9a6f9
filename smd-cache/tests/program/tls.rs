//! TLS on TCP: who gets in, who may do what, and certificates that are replaced while it runs.

use crate::{
    Cache, PATIENCE, eventually,
    fake_smd::FakeSmd,
    pki::{Authority, Odd, Pair, replace},
};
use proto::v1::{self, smd_cache_client::SmdCacheClient};
use smd_cache::{
    ask::{How, Question, ask},
    caller::Lists,
    tls,
};
use std::{path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Two authorities, one for servers and one for clients, and where the files are.
struct Site {
    server_ca: Authority,
    client_ca: Authority,
    directory: TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site {
            server_ca: Authority::new(),
            client_ca: Authority::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        site.server_ca.server().write(site.path(), "server");
        replace(&site.path().join("client-ca.pem"), &site.client_ca.pem);
        site
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn settings(&self, mutual: bool, lists: Lists) -> tls::Settings {
        tls::Settings {
            cert: self.path().join("server.pem"),
            key: self.path().join("server.key"),
            client_ca: mutual.then(|| self.path().join("client-ca.pem")),
            lists,
        }
    }

    async fn cache(&self, mutual: bool, lists: Lists) -> (FakeSmd, Cache) {
        let smd = FakeSmd::with(&[1]).await;
        let tls = self.settings(mutual, lists);
        let cache = Cache::start(&smd, "domain: cluster.local", |settings| settings.tls = Some(tls)).await;
        (smd, cache.ready().await)
    }

    fn endpoint(&self, cache: &Cache, identity: Option<Identity>) -> Endpoint {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.server_ca.pem))
            .domain_name("localhost");
        let tls = identity.into_iter().fold(tls, ClientTlsConfig::identity);
        Endpoint::from_shared(format!("https://{}", cache.listens)).unwrap().tls_config(tls).unwrap()
    }

    fn grpc(&self, cache: &Cache, identity: Option<Identity>) -> SmdCacheClient<Channel> {
        SmdCacheClient::new(self.endpoint(cache, identity).connect_lazy())
    }
}

fn lists(clients: &[&str], force: &[&str]) -> Lists {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Lists { clients: owned(clients), force: owned(force) }
}

async fn look_up(mut grpc: SmdCacheClient<Channel>) -> Result<v1::LookupReply, Status> {
    let asked = grpc.lookup_mac(v1::LookupMacRequest { mac: "02:00:00:00:00:01".into() });
    timeout(PATIENCE, asked).await.expect("an answer or a refusal").map(tonic::Response::into_inner)
}

async fn force(mut grpc: SmdCacheClient<Channel>) -> Code {
    grpc.refresh(v1::RefreshRequest { full: true, force: true })
        .await
        .map_or_else(|refused| refused.code(), |_| Code::Ok)
}

#[tokio::test]
async fn with_tls_look_ups_are_answered_and_plain_clients_are_not() {
    let site = Site::new();
    let (_smd, cache) = site.cache(false, Lists::default()).await;
    let grpc = site.grpc(&cache, None);
    assert_eq!(look_up(grpc.clone()).await.unwrap().interfaces.len(), 1);
    assert_eq!(force(grpc).await, Code::PermissionDenied, "nobody in particular");
    look_up(cache.grpc.clone()).await.expect_err("plain HTTP/2 on the TLS port");
    let refused = r#"smd_cache_connections_refused_total{reason="not_tls"}"#;
    eventually("counted", async || cache.metric(refused).await > 0).await;
    let stranger = Site::new();
    look_up(stranger.grpc(&cache, None)).await.expect_err("does not know who signed our certificate");
    let refused = r#"smd_cache_connections_refused_total{reason="distrusts_us"}"#;
    eventually("counted", async || cache.metric(refused).await > 0).await;
    cache.stop().await;
}

#[tokio::test]
async fn the_unix_socket_needs_no_certificate() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, lists(&["nobody"], &[])).await;
    let operator = cache.over_the_socket().await;
    look_up(operator.clone()).await.unwrap();
    assert_eq!(force(operator).await, Code::Ok);
    cache.stop().await;
}

#[tokio::test]
async fn clients_without_a_good_certificate_are_refused_and_counted_by_reason() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, Lists::default()).await;
    let odd = |odd| Some(site.client_ca.odd_client("dhcpd", odd));
    let cases: [(&str, Option<Pair>); 5] = [
        ("no_certificate", None),
        ("unknown_authority", Some(Authority::new().client("dhcpd"))),
        ("unknown_authority", Some(site.server_ca.client("dhcpd"))),
        ("expired", odd(Odd { expired: true, ..Odd::default() })),
        ("bad_certificate", odd(Odd { server_only: true, ..Odd::default() })),
    ];
    for (reason, pair) in cases {
        let line = format!("smd_cache_connections_refused_total{{reason=\"{reason}\"}}");
        let before = cache.metric(&line).await;
        let refused = look_up(site.grpc(&cache, pair.as_ref().map(Pair::identity))).await;
        assert!(refused.is_err(), "{reason}");
        eventually(reason, async || cache.metric(&line).await > before).await;
    }
    let good = site.grpc(&cache, Some(site.client_ca.client("anybody").identity()));
    look_up(good).await.expect("a good certificate is enough where there is no list");
    cache.stop().await;
}

#[tokio::test]
async fn only_listed_names_may_ask_and_only_some_of_them_may_force() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, lists(&["dhcpd", "dnsd.cluster"], &["operator"])).await;
    let dns_name = Odd { in_dns_names: true, ..Odd::default() };
    for (pair, asks, forces) in [
        (site.client_ca.client("dhcpd"), true, false),
        (site.client_ca.odd_client("dnsd.cluster", dns_name), true, false),
        (site.client_ca.client("operator"), true, true),
        (site.client_ca.client("tftpd"), false, false),
        (site.client_ca.client("dhcpd.evil"), false, false),
    ] {
        let endpoint = site.endpoint(&cache, Some(pair.identity()));
        let channel = endpoint.connect_lazy();
        let answer = look_up(SmdCacheClient::new(channel.clone())).await;
        assert_eq!(answer.is_ok(), asks, "{answer:?}");
        let expected = if forces { Code::Ok } else { Code::PermissionDenied };
        assert_eq!(force(SmdCacheClient::new(channel.clone())).await, expected);
        if let Err(refused) = answer {
            assert_eq!(refused.code(), Code::PermissionDenied);
            assert!(refused.message().contains("smd_cache.tls.clients"), "{refused}");
            let health = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
            assert_eq!(health.unwrap_err().code(), Code::PermissionDenied, "nothing at all");
        }
    }
    assert!(cache.metric(r#"smd_cache_calls_refused_total{reason="not_listed"}"#).await >= 4);
    cache.stop().await;
}

#[tokio::test]
async fn certificates_are_replaced_without_a_restart() {
    let site = Site::new();
    let (_smd, mut cache) = site.cache(true, Lists::default()).await;
    cache.grpc = cache.over_the_socket().await;
    let dhcpd = site.client_ca.client("dhcpd");
    let before = site.grpc(&cache, Some(dhcpd.identity()));
    look_up(before.clone()).await.unwrap();

    let mut next = Site::new();
    std::fs::write(site.path().join("server.pem"), "half a certi").unwrap();
    let warned = "The files of smd_cache.tls changed and cannot be used";
    eventually("a warning", async || {
        cache.status().await.warnings.iter().any(|warning| warning.starts_with(warned))
    })
    .await;
    assert!(cache.page("/ready").await.1.contains("server.pem"), "ready says it, too");
    look_up(site.grpc(&cache, Some(dhcpd.identity()))).await.expect("the old certificate is still shown");

    next.server_ca.server().write(site.path(), "server");
    replace(&site.path().join("client-ca.pem"), &next.client_ca.pem);
    let dnsd = next.client_ca.client("dnsd").identity();
    eventually("the new files are in use", async || {
        look_up(next.grpc(&cache, Some(dnsd.clone()))).await.is_ok()
    })
    .await;
    assert!(!cache.status().await.warnings.iter().any(|warning| warning.starts_with(warned)));
    next.client_ca = Authority::new();
    let old_client = next.grpc(&cache, Some(dhcpd.identity()));
    look_up(old_client).await.expect_err("its authority is none any more");
    look_up(before).await.expect("a connection keeps what it was greeted with");
    cache.stop().await;
}

#[tokio::test]
async fn slow_handshakes_hold_nobody_up_and_end() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, Lists::default()).await;
    let mut slow = Vec::new();
    for said in 0..100_usize {
        let mut stream = TcpStream::connect(cache.listens).await.unwrap();
        // The beginning of a ClientHello.
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..said % 7]).await.unwrap();
        slow.push(stream);
    }
    let dhcpd = site.client_ca.client("dhcpd").identity();
    look_up(site.grpc(&cache, Some(dhcpd))).await.expect("served while they dawdle");
    let limit = tls::HANDSHAKE_DEADLINE + PATIENCE;
    for mut stream in slow {
        let ended = timeout(limit, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "cut off");
    }
    assert!(cache.metric(r#"smd_cache_connections_refused_total{reason="handshake_timed_out"}"#).await >= 90);
    cache.stop().await;
}

#[tokio::test]
async fn five_hundred_daemons_come_back_at_once() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, Lists::default()).await;
    let dhcpd = site.client_ca.client("dhcpd").identity();
    let mut daemons = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let mut grpc = site.grpc(&cache, Some(dhcpd.clone()));
        daemons.spawn(async move {
            let mut events = grpc.watch(v1::WatchRequest::default()).await?.into_inner();
            events.message().await.map(|event| (event.is_some(), events, grpc))
        });
    }
    let everybody = timeout(PATIENCE + Duration::from_secs(40), daemons.join_all()).await.expect("in time");
    for greeted in &everybody {
        assert!(greeted.as_ref().unwrap().0);
    }
    assert_eq!(cache.metric("smd_cache_watchers").await, 500);
    cache.shutdown.cancel();
    drop(everybody);
    cache.stop().await;
}

#[tokio::test]
async fn the_subcommands_ask_with_the_files_that_are_named_or_those_of_the_configuration() {
    let site = Site::new();
    let (_smd, cache) = site.cache(true, lists(&["operator"], &[])).await;
    let ca = site.path().join("ca.pem");
    replace(&ca, &site.server_ca.pem);
    let (cert, key) = site.client_ca.client("operator").write(site.path(), "operator");
    let file = site.path().join("coresmd.yaml");
    let (ca_file, cert_file, key_file) = (ca.display(), cert.display(), key.display());
    let configured = format!(
        "inventory: {{tls: {{ca_cert: {ca_file}, client_cert: {cert_file}, client_key: {key_file}}}}}"
    );
    replace(&file, &configured);

    let nowhere = Path::new("/nonexistent");
    let how = How { endpoint: Some(format!("https://{}", cache.listens)), ..How::default() };
    let named =
        How { ca_cert: Some(ca.clone()), client_cert: Some(cert), client_key: Some(key), ..how.clone() };
    for (file, how) in [(nowhere, named), (&*file, how.clone())] {
        let (page, code) = ask(file, &Question::Status { how }).await.unwrap();
        assert!(code == 0 && page.contains(": ready\n"), "{page}");
    }
    let (other, _) = site.client_ca.client("nobody").write(site.path(), "nobody");
    let other_key = other.with_extension("key");
    let stranger = site.path().join("client-ca.pem");
    for (how, wanted) in [
        (how.clone(), "who signed smd-cache's certificate?"),
        (How { ca_cert: Some(stranger), ..how.clone() }, "smd-cache cannot be reached at https://"),
        (How { ca_cert: Some(site.path().join("absent")), ..how.clone() }, "absent cannot be read"),
        (
            How {
                ca_cert: Some(ca.clone()),
                client_cert: Some(other),
                client_key: Some(other_key),
                ..how.clone()
            },
            "nobody",
        ),
        // An alert, unless the connection is gone before it is read.
        (How { ca_cert: Some(ca), ..how }, "smd-cache "),
    ] {
        let said = format!("{:#}", ask(nowhere, &Question::Status { how }).await.unwrap_err());
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    cache.stop().await;
}

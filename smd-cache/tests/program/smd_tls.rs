//! Towards an SMD that speaks TLS: its authority, our certificate, and files that are replaced while it runs.

use crate::{
    Cache, eventually,
    fake_smd::{FakeSmd, Tls},
    pki::{Authority, Pair, replace},
};
use smd_cache::smd::{Client, Settings, Source};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// What SMD shows, and whose certificates it wants.
fn smd_with(pair: &Pair, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
}

async fn smd(pair: &Pair, clients: Option<&Authority>) -> (Tls, FakeSmd) {
    let tls = Arc::new(Mutex::new(smd_with(pair, clients)));
    (tls.clone(), FakeSmd::with_tls(tls, &[1]).await)
}

fn settings(smd: &FakeSmd, directory: &Path, with_certificate: bool) -> Settings {
    let pair = (directory.join("client.pem"), directory.join("client.key"));
    Settings {
        url: smd.url(),
        ca_cert: Some(directory.join("ca.pem")),
        client: with_certificate.then_some(pair),
        token_file: None,
        max_body: 100_000,
    }
}

#[tokio::test]
async fn only_an_smd_whose_authority_is_ours_is_believed() {
    let (ours, other) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    replace(&directory.path().join("ca.pem"), &ours.pem);
    for (pair, believed) in [(ours.server(), true), (other.server(), false), (ours.client("smd"), false)] {
        let (_tls, smd) = smd(&pair, None).await;
        let read =
            Client::new(&settings(&smd, directory.path(), false)).unwrap().whole(Source::Interfaces).await;
        assert_eq!(read.is_ok(), believed, "{read:?}");
        if let Err(error) = read {
            assert_eq!(error.label(), "unreachable", "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_smd_that_wants_a_certificate_gets_ours() {
    let (smd_ca, client_ca) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    replace(&directory.path().join("ca.pem"), &smd_ca.pem);
    client_ca.client("smd-cache").write(directory.path(), "client");
    let (_tls, smd) = smd(&smd_ca.server(), Some(&client_ca)).await;
    let read = async |with_certificate| {
        let client = Client::new(&settings(&smd, directory.path(), with_certificate)).unwrap();
        client.whole(Source::Interfaces).await
    };
    read(true).await.unwrap();
    let refused = read(false).await.unwrap_err();
    assert_eq!(refused.label(), "unreachable", "{refused}");
    Authority::new().client("smd-cache").write(directory.path(), "client");
    assert_eq!(read(true).await.unwrap_err().label(), "unreachable");
}

#[tokio::test]
async fn certificates_towards_smd_are_replaced_without_a_restart() {
    let (smd_ca, client_ca) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    replace(&ca_file, &smd_ca.pem);
    client_ca.client("smd-cache").write(directory.path(), "client");
    let (tls, smd) = smd(&smd_ca.server(), Some(&client_ca)).await;
    let settings = settings(&smd, directory.path(), true);
    let mut cache = Cache::start(&smd, "", |own| own.smd = settings).await.ready().await;

    // A bad file keeps what there was, and somebody is told.
    replace(&ca_file, "-----BEGIN CERTIFICATE-----\n");
    let remark = "new certificate files towards SMD cannot be used";
    eventually("a warning", async || {
        cache.status().await.warnings.iter().any(|warning| warning.contains(remark))
    })
    .await;
    cache.refresh().await.expect("SMD is still read");

    // Everything becomes new.
    let (smd_ca, client_ca) = (Authority::new(), Authority::new());
    *tls.lock().unwrap() = smd_with(&smd_ca.server(), Some(&client_ca));
    eventually("refused", async || cache.refresh().await.is_err()).await;
    replace(&ca_file, &smd_ca.pem);
    client_ca.client("smd-cache").write(directory.path(), "client");
    eventually("read again", async || cache.refresh().await.is_ok()).await;
    let warnings = cache.status().await.warnings;
    assert!(!warnings.iter().any(|warning| warning.contains(remark)), "{warnings:?}");
    cache.stop().await;
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start_and_no_key_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let pair = authority.client("smd-cache");
    let secret = pair.key.lines().nth(1).unwrap().to_owned();
    let file = |name: &str| directory.path().join(name);
    let settings = Settings {
        url: "https://127.0.0.1:1".into(),
        ca_cert: Some(file("ca.pem")),
        client: Some((file("client.pem"), file("client.key"))),
        token_file: None,
        max_body: 1,
    };
    let start = || {
        replace(&file("ca.pem"), &authority.pem);
        pair.write(directory.path(), "client");
    };
    start();
    Client::new(&settings).unwrap();
    for (name, text, word) in [
        ("ca.pem", "", "ca.pem holds no certificate"),
        ("ca.pem", "hello", "ca.pem holds no certificate"),
        ("client.key", "", "client.key are no PEM pair"),
        ("client.key", &pair.key.replace("-----END", "----END"), "client.key are no PEM pair"),
        ("client.pem", &pair.key, "client.pem"),
        ("client.key", &authority.client("other").key, "smd_cache.smd"),
    ] {
        start();
        replace(&file(name), text);
        let error = format!("{:#}", Client::new(&settings).expect_err(word));
        assert!(error.contains(word) && !error.contains(&secret), "{name}: {error}");
    }
}

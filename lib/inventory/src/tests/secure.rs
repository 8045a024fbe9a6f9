//! TLS towards smd-cache, with certificates made here.

use super::*;
use config::ClientTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
fn signed(by: &Authority, host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn identity((certificate, key): &(String, String)) -> Identity {
    Identity::from_pem(certificate, key)
}

/// What a client of this authority has on disk, and its certificate is by `by`.
fn files(directory: &TempDir, trusts: &Authority, by: Option<&Authority>) -> ClientTls {
    let write = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ours = by.map(|by| signed(by, "dhcpd"));
    ClientTls {
        ca_cert: Some(write("ca.pem", &trusts.pem())),
        client_cert: ours.as_ref().map(|(certificate, _)| write("client.pem", certificate)),
        client_key: ours.as_ref().map(|(_, key)| write("client.key", key)),
    }
}

fn client(server: &Server, tls: ClientTls) -> Inventory {
    start_with(config::Inventory { tls: Some(tls), ..configured(vec![tcp(server)]) }).0
}

#[tokio::test]
async fn both_sides_show_certificates_and_look_ups_are_answered() {
    let (ours, directory) = (authority("ours"), tempfile::tempdir().unwrap());
    let ca = Some(Certificate::from_pem(ours.pem()));
    let mut server = Server::start_with_tls(identity(&signed(&ours, "127.0.0.1")), ca);
    let inventory = client(&server, files(&directory, &ours, Some(&ours)));
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
    server.says(NEW, found(5, interface(NEW, "", &[("172.16.0.2", &[])])));
    assert_eq!(say(inventory.lookup(mac(NEW)).await), "172.16.0.2");
}

#[tokio::test]
async fn who_cannot_be_trusted_is_not_asked_and_the_reason_is_said() {
    let (ours, others) = (authority("one"), authority("another"));
    let own_ca = || Some(Certificate::from_pem(ours.pem()));
    let good = signed(&ours, "127.0.0.1");
    let wrong_host = signed(&ours, "smd-cache.example");
    for (case, server, trusts, client_by, reason) in [
        ("another authority", Server::start_with_tls(identity(&good), None), &others, None, "UnknownIssuer"),
        (
            "another host",
            Server::start_with_tls(identity(&wrong_host), None),
            &ours,
            None,
            "not valid for name",
        ),
        ("no TLS there", Server::start(), &ours, None, ""),
        ("we show none", Server::start_with_tls(identity(&good), own_ca()), &ours, None, ""),
        ("we show another's", Server::start_with_tls(identity(&good), own_ca()), &ours, Some(&others), ""),
    ] {
        let (mut server, directory) = (server, tempfile::tempdir().unwrap());
        let inventory = client(&server, files(&directory, trusts, client_by));
        eventually(&format!("{case}: there is a reason"), || {
            let health = inventory.health();
            !health.connected && health.reason.contains("smd-cache at http") && health.reason.contains(reason)
        })
        .await;
        assert!(server.is_watched_within(Duration::from_millis(100)).await.is_none(), "{case}");
        assert_eq!(say(inventory.lookup(mac(MAC)).await), "unavailable", "{case}");
    }
}

#[tokio::test]
async fn renewed_files_are_read_at_the_next_connection() {
    let (old, new) = (authority("one"), authority("another"));
    let directory = tempfile::tempdir().unwrap();
    let ca = Some(Certificate::from_pem(new.pem()));
    let mut server = Server::start_with_tls(identity(&signed(&new, "127.0.0.1")), ca);
    let inventory = client(&server, files(&directory, &old, Some(&old)));
    eventually("it is not trusted", || inventory.health().reason.contains("UnknownIssuer")).await;
    std::fs::write(directory.path().join("client.key"), "half a file").unwrap();
    eventually("the bad file is named", || inventory.health().reason.contains("client_key")).await;
    files(&directory, &new, Some(&new));
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
}

#[tokio::test]
async fn a_unix_socket_needs_no_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smd-cache.sock");
    let mut server = Server::start_on_socket(&path);
    let tls = Some(files(&directory, &authority("ours"), None));
    let (inventory, _) = start_with(config::Inventory { tls, ..configured(vec![Endpoint::Unix(path)]) });
    let watch = server.next_watch().await;
    greet(&watch, &inventory).await;
}

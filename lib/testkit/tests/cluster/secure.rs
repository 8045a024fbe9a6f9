//! TLS between the daemons and smd-cache: who may ask, and certificates that are replaced while everything runs.

use crate::scene::{self, Dns, NODE1, RELAYED, SOON};
use proto::v1::{self, smd_cache_client::SmdCacheClient};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::{fs, path::Path};
use testkit::{
    cluster::{Cluster, Fate, Settings, Wall, need_tools, within},
    prober::{Asked, Prober},
};
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};

const CACHE: &str = "https://127.0.0.1:27780";

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the site's authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for a client of this name, or (without one) for the server at 127.0.0.1.
    fn sign(&self, client: Option<&str>) -> (String, String) {
        let addresses = if client.is_none() { vec!["127.0.0.1".to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(addresses).unwrap();
        params.extended_key_usages = vec![match client {
            Some(_) => ExtendedKeyUsagePurpose::ClientAuth,
            None => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.distinguished_name.push(DnType::CommonName, client.unwrap_or("smd-cache"));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Everything the programs need, each file replaced whole.
    fn write(&self, folder: &Path) {
        let replace = |name: &str, text: &str| {
            let new = folder.join(format!("{name}.new"));
            fs::write(&new, text).unwrap();
            fs::rename(new, folder.join(name)).unwrap();
        };
        replace("ca.pem", &self.pem);
        for (name, client) in [("server", None), ("daemons", Some("daemons"))] {
            let (certificate, key) = self.sign(client);
            replace(&format!("{name}.key"), &key);
            replace(&format!("{name}.pem"), &certificate);
        }
    }
}

fn settings() -> Settings {
    let server = "{cert: VAR/server.pem, key: VAR/server.key, client_ca: VAR/ca.pem, clients: [daemons], force: [operator]}";
    let client = "{ca_cert: VAR/ca.pem, client_cert: VAR/daemons.pem, client_key: VAR/daemons.key}";
    Settings::default().smd_cache("tls", server).inventory("tls", client)
}

/// How a forced Refresh of this client ends; `None`: there is not even a connection.
fn force(cluster: &Cluster, authority: &Authority, client: &str) -> Option<Result<(), Code>> {
    let (certificate, key) = authority.sign(Some(client));
    let ca = Certificate::from_pem(&authority.pem);
    let tls = ClientTlsConfig::new().ca_certificate(ca).identity(Identity::from_pem(certificate, key));
    cluster.inside().run(async move {
        let channel = Endpoint::from_static(CACHE).tls_config(tls).ok()?.connect().await.ok()?;
        let reply =
            SmdCacheClient::new(channel).refresh(v1::RefreshRequest { full: true, force: true }).await;
        Some(reply.map(drop).map_err(|status| status.code()))
    })
}

/// NODE1 gets another address, and dnsd hears of it.
fn change_and_see(cluster: &Cluster, last: u8) {
    let new = format!("172.16.0.{last}");
    assert!(cluster.smd().set_addresses(NODE1.mac, &[&new]));
    within(6 * SOON, &format!("NODE1 is {new}"), || {
        (scene::address_of(cluster, NODE1.fqdn) == Dns::data(&new)).then_some(())
    });
}

#[test]
fn daemons_ask_over_mutual_tls_and_certificates_are_replaced_without_a_restart() {
    need_tools(&["nft"]);
    let authority = Authority::new();
    let mut cluster = Cluster::bare();
    cluster.configure(&settings());
    authority.write(&cluster.var());
    cluster.start_smd(scene::probed());
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.start_program(program);
    }
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        cluster.wait_ready(program);
    }
    let prober = Prober::start(&cluster, &RELAYED);
    change_and_see(&cluster, 161);
    assert!(scene::status(&cluster, 27780).is_none(), "nobody is answered without TLS");
    assert_eq!(force(&cluster, &authority, "operator"), Some(Ok(())));
    assert_eq!(force(&cluster, &authority, "daemons"), Some(Err(Code::PermissionDenied)));
    assert_ne!(force(&cluster, &authority, "somebody"), Some(Ok(())));

    let next = Authority::new(); // and nothing that the old one signed is good any more
    next.write(&cluster.var());
    let wall = Wall::around(&cluster.wire.server, None, 27780, Fate::Reset);
    within(4 * SOON, "the connections are gone", || {
        (cluster.metric("dnsd", "inventory_connected") == Some(0.0)).then_some(())
    });
    drop(wall);
    change_and_see(&cluster, 162);
    assert_eq!(force(&cluster, &next, "operator"), Some(Ok(())));
    assert_ne!(
        force(&cluster, &authority, "operator"),
        Some(Ok(())),
        "the old authority's word counts no more"
    );
    let report = prober.stop();
    println!("{report}");
    report.check_nothing_lost(&[Asked::Dhcpd, Asked::Dnsd]);
    for program in ["smd-cache", "dhcpd", "dnsd"] {
        assert!(!cluster.log(program).contains("PRIVATE KEY"), "{program} keeps keys to itself");
    }
}

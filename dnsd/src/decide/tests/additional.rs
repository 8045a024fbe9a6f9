//! Addresses of servers that answers name.

use super::*;
use crate::wire::UDP_LIMIT_PLAIN;

const SERVICES: &str = r#"
domain: cluster.local
dnsd:
  records:
    - "@ NS nid0001"
    - "_slurmctld._tcp SRV 0 0 6817 nid0001"
    - "_slurmctld._tcp SRV 10 0 6817 nid0002"
    - "_ldap._tcp SRV 0 0 389 ldap.example.com."
    - "_kerberos._udp SRV 0 0 88 nid0099"
    - "_etcd-server-ssl._tcp SRV 0 0 2380 etcd"
    - "etcd A 10.0.0.1"
    - "etcd A 10.0.0.2"
    - "smtp MX 10 etcd"
    - "alias CNAME _etcd-server-ssl._tcp"
"#;

#[test]
fn services_come_with_the_addresses_of_machines_and_of_records() {
    check(
        &replica(),
        SERVICES,
        &[
            (
                "_slurmctld._tcp.cluster.local. SRV",
                "NoError aa; _slurmctld._tcp.cluster.local. 60 SRV 0 0 6817 nid0001.cluster.local., \
                 _slurmctld._tcp.cluster.local. 60 SRV 10 0 6817 nid0002.cluster.local.; ; \
                 nid0001.cluster.local. 60 A 172.16.0.1, \
                 nid0002.cluster.local. 60 A 172.16.0.2, nid0002.cluster.local. 60 A 10.9.8.7, \
                 nid0002.cluster.local. 60 AAAA fd00:16::2",
            ),
            (
                "_ldap._tcp.cluster.local. SRV",
                "NoError aa; _ldap._tcp.cluster.local. 60 SRV 0 0 389 ldap.example.com.",
            ),
            (
                "_kerberos._udp.cluster.local. SRV",
                "NoError aa; _kerberos._udp.cluster.local. 60 SRV 0 0 88 nid0099.cluster.local.",
            ),
            (
                "alias.cluster.local. SRV",
                "NoError aa; alias.cluster.local. 60 CNAME _etcd-server-ssl._tcp.cluster.local., \
                 _etcd-server-ssl._tcp.cluster.local. 60 SRV 0 0 2380 etcd.cluster.local.; ; \
                 etcd.cluster.local. 60 A 10.0.0.1, etcd.cluster.local. 60 A 10.0.0.2",
            ),
            (
                "smtp.cluster.local. MX",
                "NoError aa; smtp.cluster.local. 60 MX 10 etcd.cluster.local.; ; \
                 etcd.cluster.local. 60 A 10.0.0.1, etcd.cluster.local. 60 A 10.0.0.2",
            ),
            (
                "cluster.local. NS",
                "NoError aa; cluster.local. 60 NS nid0001.cluster.local.; ; nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            (
                "etcd.cluster.local. A",
                "NoError aa; etcd.cluster.local. 60 A 10.0.0.1, etcd.cluster.local. 60 A 10.0.0.2",
            ),
        ],
    );
}

#[test]
fn before_the_first_snapshot_services_are_answered_with_what_is_there() {
    check(
        &Replica::default(),
        SERVICES,
        &[(
            "_slurmctld._tcp.cluster.local. SRV",
            "NoError aa; _slurmctld._tcp.cluster.local. 60 SRV 0 0 6817 nid0001.cluster.local., \
             _slurmctld._tcp.cluster.local. 60 SRV 10 0 6817 nid0002.cluster.local.",
        )],
    );
}

#[test]
fn addresses_that_do_not_fit_are_left_out_set_by_set_and_nothing_is_truncated() {
    let servers: String = (0..8)
        .map(|number| {
            let addresses: String =
                (0..4).map(|last| format!("    - \"s{number} A 10.0.{number}.{last}\"\n")).collect();
            format!("    - \"_x._tcp SRV 0 0 1 s{number}\"\n{addresses}")
        })
        .collect();
    let zones =
        Zones::build(&config(&format!("domain: c.test\ndnsd:\n  records:\n{servers}")), &replica(), 1000);
    let asked = query("_x._tcp.c.test. SRV");
    let on_udp = answer(&zones, &replica(), &asked, Transport::Udp).unwrap();
    let on_tcp = answer(&zones, &replica(), &asked, Transport::Tcp).unwrap();
    assert!(on_udp.len() <= UDP_LIMIT_PLAIN, "{}", on_udp.len());
    let (short, whole) = (text(&on_udp), text(&on_tcp));
    assert!(short.starts_with("NoError aa; _x._tcp") && short.matches("SRV").count() == 8, "{short}");
    assert_eq!(whole.matches(" A ").count(), 32);
    let told = short.matches(" A ").count();
    assert!(told > 0 && told < 32 && told % 4 == 0, "whole sets only: {short}");
}

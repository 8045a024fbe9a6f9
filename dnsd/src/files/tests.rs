//! What is answered from files, beside everything else.

use super::*;
use crate::{
    fixture::{CONFIG, answer, config, query, replica, text},
    wire::Transport,
    zones::Zones,
};
use inventory::Replica;

fn zone(text: &str) -> Arc<ZoneFile> {
    let parsed = zone_file::parse(text, Some(&"cluster.local".parse().unwrap())).unwrap();
    assert_eq!(parsed.bad, []);
    Arc::new(ZoneFile { path: "file".into(), records: parsed.records })
}

fn files(zones: &[&str], hosts: &str) -> Files {
    let (hosts, bad) = Hosts::parse(hosts, Some(&"cluster.local".parse().unwrap()));
    assert_eq!(bad, []);
    Files { zones: zones.iter().map(|text| zone(text)).collect(), hosts: Arc::new(hosts) }
}

fn check(files: &Files, replica: &Replica, table: &[(&str, &str)]) -> Zones {
    let zones = Zones::with_files(None, &config(CONFIG), files, replica, 1000);
    for (question, wanted) in table {
        let reply = text(&answer(&zones, replica, &query(question), Transport::Udp).unwrap());
        assert_eq!(reply, *wanted, "{question}");
    }
    zones
}

#[test]
fn records_count_more_than_files_these_more_than_smd_and_smd_more_than_hosts() {
    let one = "smd A 10.1.1.1\nsmd TXT from-one\nnid0001 A 10.1.1.2\nboth MX 1 a\nboth MX 2 b\nwww A 10.1.1.3\nali CNAME smd\n";
    let two = "both MX 3 c\nboth TXT from-two\nali A 10.2.2.2\nnid0002 CNAME smd\nout2 CNAME www\n";
    let hosts = "10.3.3.1 smd both\n10.3.3.2 nid0001 nid0002 nid0003\n10.3.3.3 ali\nfd00::3 nid0001\n172.16.0.1 taken\n10.3.3.4 own\n";
    check(
        &files(&[one, two], hosts),
        &replica(),
        &[
            ("smd.cluster.local. A", "NoError aa; smd.cluster.local. 60 A 172.16.0.253"),
            ("smd.cluster.local. TXT", "NoError aa; smd.cluster.local. 60 TXT from-one"),
            ("www.cluster.local. CNAME", "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local."),
            // Files over SMD, SMD over hosts, family by family.
            ("nid0001.cluster.local. A", "NoError aa; nid0001.cluster.local. 60 A 10.1.1.2"),
            ("nid0001.cluster.local. AAAA", "NoError aa; nid0001.cluster.local. 60 AAAA fd00::3"),
            ("x1000c0s1b0n0.cluster.local. A", "NoError aa; x1000c0s1b0n0.cluster.local. 60 A 172.16.0.1"),
            ("nid0003.cluster.local. A", "NoError aa; nid0003.cluster.local. 60 A 10.3.3.2"),
            (
                "nid0002.lab.test. A",
                "NXDomain aa; ; lab.test. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
            // An earlier file over a later one, type by type.
            (
                "both.cluster.local. MX",
                "NoError aa; both.cluster.local. 60 MX 1 a.cluster.local., both.cluster.local. 60 MX 2 b.cluster.local.",
            ),
            ("both.cluster.local. TXT", "NoError aa; both.cluster.local. 60 TXT from-two"),
            ("both.cluster.local. A", "NoError aa; both.cluster.local. 60 A 10.3.3.1"),
            // An alias replaces everything that counts less.
            (
                "ali.cluster.local. A",
                "NoError aa; ali.cluster.local. 60 CNAME smd.cluster.local., smd.cluster.local. 60 A 172.16.0.253",
            ),
            (
                "nid0002.cluster.local. A",
                "NoError aa; nid0002.cluster.local. 60 CNAME smd.cluster.local., smd.cluster.local. 60 A 172.16.0.253",
            ),
            // Back: SMD's name, else the hosts file's; its /24 is a zone of ours then.
            (
                "1.0.16.172.in-addr.arpa. PTR",
                "NoError aa; 1.0.16.172.in-addr.arpa. 60 PTR nid0001.cluster.local.",
            ),
            ("taken.cluster.local. A", "NoError aa; taken.cluster.local. 60 A 172.16.0.1"),
            ("1.3.3.10.in-addr.arpa. PTR", "NoError aa; 1.3.3.10.in-addr.arpa. 60 PTR smd.cluster.local."),
            (
                "9.3.3.10.in-addr.arpa. PTR",
                "NXDomain aa; ; 3.3.10.in-addr.arpa. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
        ],
    );
}

#[test]
fn files_are_served_before_the_first_snapshot() {
    check(
        &files(&["a A 10.0.0.1\nb.a A 10.0.0.2\n"], "10.0.0.3 h\n"),
        &Replica::default(),
        &[
            ("a.cluster.local. A", "NoError aa; a.cluster.local. 60 A 10.0.0.1"),
            ("h.cluster.local. A", "NoError aa; h.cluster.local. 60 A 10.0.0.3"),
            ("3.0.0.10.in-addr.arpa. PTR", "NoError aa; 3.0.0.10.in-addr.arpa. 60 PTR h.cluster.local."),
            ("x.cluster.local. A", "ServFail"),
        ],
    );
}

#[test]
fn a_zone_file_makes_parents_delegations_and_name_servers() {
    let text = "$TTL 300\n@ SOA a b 1 2 3 4 5\n@ NS ns1\nns1 A 10.0.0.1\na.deep.place A 10.0.0.2\nsub NS ns.sub\nns.sub A 10.0.0.3\n\
                $ORIGIN 16.172.in-addr.arpa.\n9.9 PTR nine.cluster.local.\n1.0 PTR other.cluster.local.\n\
                $ORIGIN cluster.local.\nca CAA 0 issue \"ca.example.net\"\n";
    let soa =
        |zone: &str| format!("{zone} 5 SOA ns1.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5");
    check(
        &files(&[text], ""),
        &replica(),
        &[
            (
                "cluster.local. NS",
                "NoError aa; cluster.local. 300 NS ns1.cluster.local.; ; ns1.cluster.local. 300 A 10.0.0.1",
            ),
            ("place.cluster.local. A", &format!("NoError aa; ; {}", soa("cluster.local."))),
            (
                "x.sub.cluster.local. A",
                "NoError; ; sub.cluster.local. 300 NS ns.sub.cluster.local.; ns.sub.cluster.local. 300 A 10.0.0.3",
            ),
            (
                "9.9.16.172.in-addr.arpa. PTR",
                "NoError aa; 9.9.16.172.in-addr.arpa. 300 PTR nine.cluster.local.",
            ),
            ("9.16.172.in-addr.arpa. PTR", &format!("NoError aa; ; {}", soa("16.172.in-addr.arpa."))),
            (
                "1.0.16.172.in-addr.arpa. PTR",
                "NoError aa; 1.0.16.172.in-addr.arpa. 300 PTR other.cluster.local.",
            ),
            ("ca.cluster.local. CAA", "NoError aa; ca.cluster.local. 300 CAA 0 issue \"ca.example.net\""),
            ("ca.cluster.local. TXT", &format!("NoError aa; ; {}", soa("cluster.local."))),
        ],
    );
}

#[test]
fn what_no_zone_holds_and_what_would_hide_a_zone_is_told_of() {
    let files = files(
        &["www.example.com. A 10.0.0.1\n@ CNAME www\nlab.test. CNAME www\na A 10.0.0.1\n"],
        "10.0.0.2 www.example.org\n",
    );
    let zones = check(
        &files,
        &replica(),
        &[
            ("www.example.com. A", "Refused"),
            ("www.example.org. A", "Refused"),
            ("2.0.0.10.in-addr.arpa. PTR", "Refused"),
            (
                "cluster.local. CNAME",
                "NoError aa; ; cluster.local. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
        ],
    );
    let left_out = zones.left_out(&files);
    let told: Vec<String> = left_out[0].1.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1: www.example.com. is in no zone of ours",
            "line 2: cluster.local. is a zone and cannot be an alias (RFC 1034 §3.6.2)",
            "line 3: lab.test. is a zone and cannot be an alias (RFC 1034 §3.6.2)",
        ]
    );
}

#[test]
fn services_stand_in_files_too() {
    let text =
        "_slurmctld._tcp SRV 0 0 6817 nid0001\n_ldap._tcp SRV 0 0 389 ldap\n_kerberos._udp SRV 0 0 88 kdc\n";
    check(
        &files(&[text], "10.0.0.5 ldap kdc\n"),
        &replica(),
        &[
            (
                "_slurmctld._tcp.cluster.local. SRV",
                "NoError aa; _slurmctld._tcp.cluster.local. 60 SRV 0 0 6817 nid0001.cluster.local.; ; nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            (
                "_ldap._tcp.cluster.local. SRV",
                "NoError aa; _ldap._tcp.cluster.local. 60 SRV 0 0 389 ldap.cluster.local.; ; ldap.cluster.local. 60 A 10.0.0.5",
            ),
            (
                "_kerberos._udp.cluster.local. SRV",
                "NoError aa; _kerberos._udp.cluster.local. 60 SRV 0 0 88 kdc.cluster.local.; ; kdc.cluster.local. 60 A 10.0.0.5",
            ),
        ],
    );
}

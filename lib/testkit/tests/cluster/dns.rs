//! DNS with dig, over UDP and TCP, from a node's place on the wire.

use crate::scene::{self, NODE1, NODE2};
use std::time::Duration;
use testkit::cluster::{Cluster, finish, need_tools, tool};

/// dig's whole answer.
fn dig(cluster: &Cluster, arguments: &str) -> String {
    let mut command = cluster.wire.node1.command(tool("dig"));
    command.args(["@172.16.0.253", "+tries=1", "+time=3", "+noedns"]).args(arguments.split_whitespace());
    finish(&mut command, Duration::from_secs(15)).1
}

#[test]
fn delv_takes_our_answers_for_well_formed() {
    need_tools(&["delv"]);
    let cluster = Cluster::start(scene::inventory());
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
    for transport in ["+notcp", "+tcp"] {
        for (question, wanted) in [
            (format!("{} A", NODE1.fqdn), NODE1.address),
            (format!("-x {}", NODE2.address), NODE2.fqdn),
            ("nid9999.openchami.cluster A".to_owned(), "ncache nxdomain"),
            ("nid0001.openchami.cluster AAAA".to_owned(), "ncache nxrrset"),
        ] {
            let mut command = cluster.wire.node1.command(tool("delv"));
            command.args(["-i", "@172.16.0.253", transport]).args(question.split_whitespace()); // -i: nothing is signed
            let (_, answer) = finish(&mut command, Duration::from_secs(15));
            assert!(
                answer.contains(wanted),
                "'{wanted}' is not in the answer to {question} {transport}:\n{answer}"
            );
        }
    }
}

#[test]
fn dig_gets_names_forward_and_back_over_udp_and_tcp() {
    need_tools(&["dig"]);
    let cluster = Cluster::start(scene::inventory());
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");
    let address = format!("{} A", NODE1.fqdn);
    let reverse = format!("-x {}", NODE2.address);
    let two = format!("{}.", NODE2.fqdn);
    let cases: &[(&str, &[&str])] = &[
        (&address, &["status: NOERROR", " aa", NODE1.address]),
        ("NID0001.OpenCHAMI.cluster. A", &["status: NOERROR", NODE1.address]),
        ("x1000c0s0b0n0.openchami.cluster A", &["status: NOERROR", NODE1.address]),
        (&reverse, &["status: NOERROR", " aa", &two]),
        ("nid0001.openchami.cluster AAAA", &["status: NOERROR", "ANSWER: 0", "SOA"]),
        ("nid9999.openchami.cluster A", &["status: NXDOMAIN", " aa", "SOA"]),
        ("openchami.cluster SOA", &["status: NOERROR", " aa", "IN\tSOA"]),
        ("openchami.cluster NS", &["status: NOERROR", " aa", "IN\tNS"]),
        ("smd.openchami.cluster A", &["status: NOERROR", "172.16.0.253"]),
        ("www.example.org A", &["status: REFUSED"]),
        ("nid0001.openchami.cluster A +edns=0", &["status: NOERROR", "EDNS: version: 0", NODE1.address]),
        ("nid0001.openchami.cluster A +edns=1 +noednsneg", &["BADVERS"]),
    ];
    for transport in ["+notcp", "+tcp"] {
        for (question, wanted) in cases {
            let answer = dig(&cluster, &format!("{question} {transport}"));
            for part in *wanted {
                assert!(
                    answer.contains(part),
                    "'{part}' is not in the answer to {question} {transport}:\n{answer}"
                );
            }
        }
    }
}

use super::*;
use crate::{
    fixture::{CONFIG, answer, config, query, replica, text},
    wire::Transport,
};
use inventory::Replica;

mod additional;
mod search;
mod texts;

const SOA: &str = "cluster.local. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5";

/// The answers of the fixture's cluster to a table of questions.
fn check(replica: &Replica, configuration: &str, table: &[(&str, &str)]) {
    let zones = Zones::build(&config(configuration), replica, 1000);
    let mut wrong = Vec::new();
    for (question, wanted) in table {
        let reply = answer(&zones, replica, &query(question), Transport::Udp).unwrap();
        let reply = text(&reply).replace(SOA, "SOA");
        if reply != *wanted {
            wrong.push(format!("{question}\n  {reply}\n  {wanted} was wanted"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn machines_have_their_addresses_forward_and_back() {
    check(
        &replica(),
        CONFIG,
        &[
            ("nid0001.cluster.local. A", "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1"),
            ("NID0001.Cluster.LOCAL. A", "NoError aa; NID0001.Cluster.LOCAL. 60 A 172.16.0.1"),
            ("x1000c0s1b0n0.cluster.local. A", "NoError aa; x1000c0s1b0n0.cluster.local. 60 A 172.16.0.1"),
            (
                "nid0002.cluster.local. A",
                "NoError aa; nid0002.cluster.local. 60 A 172.16.0.2, nid0002.cluster.local. 60 A 10.9.8.7",
            ),
            ("nid0002.cluster.local. AAAA", "NoError aa; nid0002.cluster.local. 60 AAAA fd00:16::2"),
            ("n02.rack.lab.test. AAAA", "NoError aa; n02.rack.lab.test. 60 AAAA fd00:16::2"),
            (
                "1.0.16.172.in-addr.arpa. PTR",
                "NoError aa; 1.0.16.172.in-addr.arpa. 60 PTR nid0001.cluster.local.",
            ),
            (
                "7.8.9.10.in-addr.arpa. PTR",
                "NoError aa; 7.8.9.10.in-addr.arpa. 60 PTR nid0002.cluster.local.",
            ),
            (
                "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa. PTR",
                "NoError aa; 2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa. 60 PTR \
                 nid0002.cluster.local.",
            ),
        ],
    );
}

#[test]
fn what_exists_without_the_type_is_nodata_and_what_does_not_is_nxdomain() {
    let no_data = "NoError aa; ; SOA";
    let absent = "NXDomain aa; ; SOA";
    check(
        &replica(),
        CONFIG,
        &[
            ("nid0001.cluster.local. AAAA", no_data),
            ("nid0001.cluster.local. MX", no_data),
            ("nid0001.cluster.local. PTR", no_data),
            ("nid0001.cluster.local. NS", no_data),
            ("nid0001.cluster.local. SOA", no_data),
            ("nid0003.cluster.local. A", no_data),
            ("cluster.local. A", no_data),
            ("cluster.local. MX", no_data),
            // Configured names, and what lies between them and the apex.
            ("smd.cluster.local. TXT", no_data),
            ("est.of.all.cluster.local. A", no_data),
            ("all.cluster.local. ANY", no_data),
            ("_udp.cluster.local. SRV", no_data),
            // Our own name, where the site has not said which addresses it has.
            ("ns.cluster.local. A", no_data),
            ("nid0004.cluster.local. A", absent),
            ("nid0004.cluster.local. TXT", absent),
            ("nid0004.cluster.local. ANY", absent),
            ("www.nid0001.cluster.local. A", absent),
            ("*.cluster.local. A", absent),
            (
                "n02.lab.test. A",
                "NXDomain aa; ; lab.test. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
            (
                "rack.lab.test. A",
                "NoError aa; ; lab.test. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
        ],
    );
}

#[test]
fn reverse_names_exist_down_to_the_addresses() {
    let soa =
        |zone: &str| format!("{zone} 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5");
    let no_data = |zone: &str| format!("NoError aa; ; {}", soa(zone));
    let absent = |zone: &str| format!("NXDomain aa; ; {}", soa(zone));
    let zone = "16.172.in-addr.arpa.";
    check(
        &replica(),
        CONFIG,
        &[
            ("0.16.172.in-addr.arpa. PTR", &no_data(zone)),
            ("1.0.16.172.in-addr.arpa. A", &no_data(zone)),
            // Held by an interface that has no name.
            ("1.3.16.172.in-addr.arpa. PTR", &no_data(zone)),
            ("9.0.16.172.in-addr.arpa. PTR", &absent(zone)),
            ("5.16.172.in-addr.arpa. PTR", &absent(zone)),
            ("300.0.16.172.in-addr.arpa. PTR", &absent(zone)),
            ("x.1.0.16.172.in-addr.arpa. PTR", &absent(zone)),
            // The /24 of a known address is a zone by itself.
            ("8.8.9.10.in-addr.arpa. PTR", &absent("8.9.10.in-addr.arpa.")),
            ("8.9.10.in-addr.arpa. PTR", &no_data("8.9.10.in-addr.arpa.")),
        ],
    );
}

#[test]
fn the_apex_has_soa_and_ns() {
    let soa =
        "NoError aa; cluster.local. 60 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5";
    check(
        &replica(),
        CONFIG,
        &[
            ("cluster.local. SOA", soa),
            ("cluster.local. ANY", soa),
            ("cluster.local. NS", "NoError aa; cluster.local. 60 NS ns.cluster.local."),
            ("16.172.in-addr.arpa. NS", "NoError aa; 16.172.in-addr.arpa. 60 NS ns.cluster.local."),
        ],
    );
}

#[test]
fn what_is_not_ours_is_refused() {
    check(
        &replica(),
        CONFIG,
        &[
            ("www.example.com. A", "Refused"),
            ("notcluster.local. A", "Refused"),
            ("nid0001.notcluster.local. A", "Refused"),
            ("nid0001.cluster.local.example.com. A", "Refused"),
            ("local. SOA", "Refused"),
            (". NS", "Refused"),
            ("1.1.168.192.in-addr.arpa. PTR", "Refused"),
            ("in-addr.arpa. SOA", "Refused"),
            ("cluster.local. AXFR", "Refused"),
            ("cluster.local. IXFR", "Refused"),
        ],
    );
}

#[test]
fn any_is_one_set() {
    check(
        &replica(),
        CONFIG,
        &[
            ("nid0001.cluster.local. ANY", "NoError aa; nid0001.cluster.local. 60 TXT hello"),
            (
                "nid0002.lab.test. ANY",
                "NXDomain aa; ; lab.test. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
            ("x1000c0s1b0n0.lab.test. ANY", "NoError aa; x1000c0s1b0n0.lab.test. 60 A 172.16.0.1"),
            ("smd.cluster.local. ANY", "NoError aa; smd.cluster.local. 60 A 172.16.0.253"),
            ("www.cluster.local. ANY", "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local."),
            (
                "1.0.16.172.in-addr.arpa. ANY",
                "NoError aa; 1.0.16.172.in-addr.arpa. 60 PTR nid0001.cluster.local.",
            ),
        ],
    );
}

#[test]
fn configured_records_stand_beside_machines() {
    check(
        &replica(),
        CONFIG,
        &[
            ("smd.cluster.local. A", "NoError aa; smd.cluster.local. 60 A 172.16.0.253"),
            ("smd.cluster.local. AAAA", "NoError aa; smd.cluster.local. 60 AAAA fd00:16::253"),
            (
                "_ntp._udp.cluster.local. SRV",
                "NoError aa; _ntp._udp.cluster.local. 60 SRV 0 5 123 smd.cluster.local.; ; \
                 smd.cluster.local. 60 A 172.16.0.253, smd.cluster.local. 60 AAAA fd00:16::253",
            ),
            (
                "mail.cluster.local. MX",
                "NoError aa; mail.cluster.local. 60 MX 10 smd.cluster.local.; ; \
                 smd.cluster.local. 60 A 172.16.0.253, smd.cluster.local. 60 AAAA fd00:16::253",
            ),
            ("text.cluster.local. TXT", "NoError aa; text.cluster.local. 60 TXT one twothree"),
            ("nid0001.cluster.local. TXT", "NoError aa; nid0001.cluster.local. 60 TXT hello"),
            ("nid0001.cluster.local. A", "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1"),
        ],
    );
}

#[test]
fn aliases_are_followed_inside_our_zones() {
    check(
        &replica(),
        CONFIG,
        &[
            (
                "www.cluster.local. A",
                "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local., nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            ("www.cluster.local. CNAME", "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local."),
            (
                "www.cluster.local. AAAA",
                "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local.; SOA",
            ),
            (
                "six.cluster.local. AAAA",
                "NoError aa; six.cluster.local. 60 CNAME nid0002.cluster.local., nid0002.cluster.local. 60 AAAA fd00:16::2",
            ),
            (
                "gone.cluster.local. A",
                "NXDomain aa; gone.cluster.local. 60 CNAME nid0099.cluster.local.; SOA",
            ),
            ("out.cluster.local. A", "NoError aa; out.cluster.local. 60 CNAME www.example.com."),
            (
                "loop1.cluster.local. A",
                "NoError aa; loop1.cluster.local. 60 CNAME loop2.cluster.local., loop2.cluster.local. 60 CNAME loop1.cluster.local.",
            ),
        ],
    );
}

#[test]
fn ds_of_an_inner_zone_is_the_outer_ones() {
    let config = format!("{CONFIG}    - \"in AAAA fd00:16::1\"\n")
        .replace("zones:", "zones:\n  - {name: in.cluster.local}");
    check(
        &replica(),
        &config,
        &[
            ("in.cluster.local. DS", "NoError aa; ; SOA"),
            ("in.cluster.local. TXT", "NoError aa; ; in.SOA"),
            ("cluster.local. DS", "NoError aa; ; SOA"),
        ],
    );
}

#[test]
fn below_a_delegation_others_answer() {
    let referral = "NoError; ; child.cluster.local. 60 NS ns.child.cluster.local.; ns.child.cluster.local. 60 A 172.16.0.251";
    check(
        &replica(),
        CONFIG,
        &[
            ("child.cluster.local. NS", referral),
            ("host.child.cluster.local. A", referral),
            ("child.cluster.local. DS", "NoError aa; ; SOA"),
        ],
    );
}

#[test]
fn before_the_first_snapshot_only_configured_records_are_answered() {
    check(
        &Replica::default(),
        CONFIG,
        &[
            ("smd.cluster.local. A", "NoError aa; smd.cluster.local. 60 A 172.16.0.253"),
            ("nid0001.cluster.local. A", "ServFail"),
            ("nope.cluster.local. A", "ServFail"),
            ("www.cluster.local. A", "ServFail"),
            ("www.cluster.local. CNAME", "NoError aa; www.cluster.local. 300 CNAME nid0001.cluster.local."),
            ("1.0.16.172.in-addr.arpa. PTR", "ServFail"),
            ("0.16.172.in-addr.arpa. PTR", "ServFail"),
            ("1.1.168.192.in-addr.arpa. PTR", "ServFail"),
            ("in-addr.arpa. SOA", "ServFail"),
            ("1.ip6.arpa. PTR", "ServFail"),
            ("www.example.com. A", "Refused"),
        ],
    );
}

#[test]
fn without_a_serial_nothing_is_denied() {
    let configuration = "domain: cluster.local";
    check(
        &Replica::default(),
        configuration,
        &[
            ("cluster.local. SOA", "ServFail"),
            ("cluster.local. A", "ServFail"),
            ("cluster.local. NS", "NoError aa; cluster.local. 60 NS ns.cluster.local."),
        ],
    );
}

#[test]
fn what_cannot_be_told_is_servfail_for_every_kind_of_key() {
    let replica = replica();
    let zones = Zones::build(&config(CONFIG), &replica, 1000);
    for (question, held) in [
        ("nid0001.cluster.local. A", Held::Bearers(Lookup::Unavailable)),
        ("nid0001.cluster.local. HTTPS", Held::Bearers(Lookup::Unavailable)),
        ("1.0.16.172.in-addr.arpa. PTR", Held::Holders(Lookup::Unavailable)),
        ("0.16.172.in-addr.arpa. PTR", Held::Below(None)),
    ] {
        // HTTPS stands nowhere in the configuration, so nid0001 (which has a TXT) is NODATA without asking.
        let query = query(question);
        let message = crate::wire::read(&query).unwrap();
        match plan(&zones, &message, Rights::default()) {
            Plan::Ask(_, pending) => {
                let Decision::Reply(reply) = decide(pending, held) else { panic!("nobody may recurse") };
                assert_eq!(reply.rcode, Rcode::ServFail, "{question}");
            }
            Plan::Done(Decision::Forward(_)) => panic!("nobody may recurse"),
            Plan::Done(Decision::Reply(reply)) => assert_eq!(reply.rcode, Rcode::NoError, "{question}"),
        }
    }
}

#[test]
fn who_may_not_ask_is_refused_whatever_the_question() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let denied = Rights { denied: true, recursion: true, transfer: true };
    for question in ["nid0001.cluster.local. A", "nope.cluster.local. A", "cluster.local. AXFR", "x.org. A"] {
        let query = query(question);
        let message = crate::wire::read(&query).unwrap();
        let Plan::Done(Decision::Reply(reply)) = plan(&zones, &message, denied) else { panic!("{question}") };
        assert_eq!(reply.rcode, Rcode::Refused, "{question}");
    }
}

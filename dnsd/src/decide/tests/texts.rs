//! TXT about machines.

use super::*;

fn with_texts(more: &str) -> String {
    format!("{CONFIG}{more}  node_txt: true\n")
}

fn facts(owner: &str, number: u32) -> String {
    let texts = [format!("id=x1000c0s{number}b0n0"), format!("nid={number}"), "type=Node".into()];
    let records: Vec<String> = texts.iter().map(|text| format!("{owner} 60 TXT {text}")).collect();
    format!("NoError aa; {}", records.join(", "))
}

#[test]
fn each_name_of_a_machine_tells_what_it_is() {
    let named = |owner: &str, number| (format!("{owner} TXT"), facts(owner, number));
    let table = [
        named("nid0002.cluster.local.", 2),
        named("x1000c0s2b0n0.cluster.local.", 2),
        named("n02.rack.lab.test.", 2),
        named("NID0002.cluster.local.", 2),
        // Without an address.
        named("nid0003.cluster.local.", 3),
    ];
    let table: Vec<(&str, &str)> =
        table.iter().map(|(asked, wanted)| (asked.as_str(), wanted.as_str())).collect();
    check(&replica(), &with_texts(""), &table);
}

#[test]
fn what_is_configured_replaces_it_and_nothing_else_changes() {
    check(
        &replica(),
        &with_texts(""),
        &[
            ("nid0001.cluster.local. TXT", "NoError aa; nid0001.cluster.local. 60 TXT hello"),
            ("nid0001.cluster.local. A", "NoError aa; nid0001.cluster.local. 60 A 172.16.0.1"),
            ("nid0001.cluster.local. MX", "NoError aa; ; SOA"),
            // ANY is one set (RFC 8482), addresses first; without any it is the texts.
            ("x1000c0s1b0n0.cluster.local. ANY", "NoError aa; x1000c0s1b0n0.cluster.local. 60 A 172.16.0.1"),
            ("nid0003.cluster.local. ANY", &facts("nid0003.cluster.local.", 3)),
            ("nid0003.cluster.local. A", "NoError aa; ; SOA"),
            ("smd.cluster.local. TXT", "NoError aa; ; SOA"),
            ("nid0004.cluster.local. TXT", "NXDomain aa; ; SOA"),
            (
                "rack.lab.test. TXT",
                "NoError aa; ; lab.test. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
            (
                "six.cluster.local. TXT",
                "NoError aa; six.cluster.local. 60 CNAME nid0002.cluster.local., nid0002.cluster.local. 60 TXT id=x1000c0s2b0n0, \
                 nid0002.cluster.local. 60 TXT nid=2, nid0002.cluster.local. 60 TXT type=Node",
            ),
            (
                "1.0.16.172.in-addr.arpa. TXT",
                "NoError aa; ; 16.172.in-addr.arpa. 5 SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5",
            ),
        ],
    );
}

#[test]
fn nobody_is_told_unless_the_site_says_so() {
    check(&replica(), CONFIG, &[("nid0002.cluster.local. TXT", "NoError aa; ; SOA")]);
}

#[test]
fn before_the_first_snapshot_it_cannot_be_told() {
    check(
        &Replica::default(),
        &with_texts(""),
        &[
            ("nid0001.cluster.local. TXT", "NoError aa; nid0001.cluster.local. 60 TXT hello"),
            ("nid0002.cluster.local. TXT", "ServFail"),
        ],
    );
}

//! Names of one label.

use super::*;

fn searching(domains: &str) -> String {
    format!("{CONFIG}  search: [{domains}]\n")
}

#[test]
fn a_short_name_is_an_alias_of_the_first_that_exists() {
    check(
        &replica(),
        &searching("cluster.local, lab.test, nowhere.test"),
        &[
            (
                "nid0001. A",
                "NoError; nid0001. 60 CNAME nid0001.cluster.local., nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            (
                "NID0001. A",
                "NoError; NID0001. 60 CNAME nid0001.cluster.local., nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            // The name exists: no data, and not the next domain.
            ("nid0001. AAAA", "NoError; nid0001. 60 CNAME nid0001.cluster.local.; SOA"),
            ("nid0003. A", "NoError; nid0003. 60 CNAME nid0003.cluster.local.; SOA"),
            ("nid0001. CNAME", "NoError; nid0001. 60 CNAME nid0001.cluster.local."),
            ("nid0001. ANY", "NoError; nid0001. 60 CNAME nid0001.cluster.local."),
            (
                "text. TXT",
                "NoError; text. 60 CNAME text.cluster.local., text.cluster.local. 60 TXT one twothree",
            ),
            (
                "six. AAAA",
                "NoError; six. 60 CNAME six.cluster.local., six.cluster.local. 60 CNAME nid0002.cluster.local., \
                 nid0002.cluster.local. 60 AAAA fd00:16::2",
            ),
            (
                "out. A",
                "NoError; out. 60 CNAME out.cluster.local., out.cluster.local. 60 CNAME www.example.com.",
            ),
        ],
    );
    // That an earlier domain does not have it may be otherwise soon.
    check(
        &replica(),
        &searching("lab.test, cluster.local"),
        &[
            (
                "nid0001. A",
                "NoError; nid0001. 5 CNAME nid0001.cluster.local., nid0001.cluster.local. 60 A 172.16.0.1",
            ),
            (
                "x1000c0s1b0n0. A",
                "NoError; x1000c0s1b0n0. 60 CNAME x1000c0s1b0n0.lab.test., x1000c0s1b0n0.lab.test. 60 A 172.16.0.1",
            ),
        ],
    );
}

#[test]
fn nothing_else_is_searched_for() {
    check(
        &replica(),
        &searching("cluster.local"),
        &[
            ("nid0099. A", "Refused"),
            ("nid0001.rack. A", "Refused"),
            ("1.0. A", "Refused"),
            (". A", "Refused"),
            // Whose the name is, is the root's to say.
            ("nid0001. NS", "Refused"),
            ("nid0001. SOA", "Refused"),
            ("nid0001. DS", "Refused"),
            ("nid0099.cluster.local. A", "NXDomain aa; ; SOA"),
        ],
    );
    check(&replica(), CONFIG, &[("nid0001. A", "Refused")]);
    check(&replica(), &searching("example.com"), &[("nid0001. A", "Refused")]);
    let longest = format!("{}. A", "a".repeat(63));
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(60)].join(".");
    check(&replica(), &searching(&format!("{long}.cluster.local")), &[(&longest, "Refused")]);
}

#[test]
fn a_zone_of_one_label_comes_before_the_search() {
    let text = "domain: cluster\nzones: [{name: cluster}, {name: cluster.local}]\n\
                dnsd:\n  search: [cluster.local]\n  records: [\"cluster.cluster.local. A 10.0.0.1\", \"@ A 10.0.0.2\"]\n";
    check(&replica(), text, &[("cluster. A", "NoError aa; cluster. 60 A 10.0.0.2")]);
}

#[test]
fn before_the_first_snapshot_short_names_cannot_be_told() {
    check(
        &Replica::default(),
        &searching("cluster.local"),
        &[("nid0001. A", "ServFail"), ("nid0099. A", "ServFail")],
    );
    // Without a replica only what is configured is looked through, and nothing is waited for.
    let off = format!("{}inventory: {{replica: false}}\n", searching("cluster.local"));
    check(
        &Replica::default(),
        &off,
        &[
            ("smd. A", "NoError; smd. 60 CNAME smd.cluster.local., smd.cluster.local. 60 A 172.16.0.253"),
            ("nid0002. A", "Refused"),
        ],
    );
}

//! What sites put beside SMD's names, with the real programs: names by network and by interface, TXT about a node, short names,
//! services, and records in files that change.

use crate::scene::{self, NODE1, SOON};
use std::{fs, time::Duration};
use testkit::{
    cluster::{Cluster, Settings, finish, need_tools, tool, within},
    smd::{Address, EthernetInterface, Inventory},
};

const NAMING: &str = r#"rules:
  - {name: hsn, match: {type: [Node], network: [HSN]}, hostname: "nid{06d}-{nic}"}
  - {name: nodes, match: {type: [Node]}, hostname: "nid{04d}"}
zones:
  - {name: openchami.cluster}
  - {name: hsn.openchami.cluster, network: HSN, nodes: "nid{06d}"}
"#;

/// The first node has two interfaces on the high-speed network besides.
fn inventory() -> Inventory {
    let mut inventory = scene::inventory();
    for (mac, address) in [("02:77:00:00:02:01", "10.100.0.1"), ("02:77:00:00:02:02", "10.100.0.2")] {
        let mut interface = EthernetInterface::new(mac, NODE1.id, &[]);
        interface.addresses = vec![Address { address: address.into(), network: "HSN".into() }];
        inventory.interfaces.push(interface);
    }
    inventory
}

/// The answer section, in order.
fn dig(cluster: &Cluster, question: &str) -> Vec<String> {
    let mut command = cluster.wire.node1.command(tool("dig"));
    command
        .args(["@172.16.0.253", "+tries=1", "+time=3", "+short", "+norec"])
        .args(question.split_whitespace());
    let (_, answer) = finish(&mut command, Duration::from_secs(15));
    let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn eventually(cluster: &Cluster, question: &str, wanted: &[&str]) {
    within(SOON, &format!("{question}: {wanted:?}"), || (dig(cluster, question) == wanted).then_some(()));
}

#[test]
fn what_sites_put_beside_the_names_of_smd() {
    need_tools(&["dig"]);
    let settings = Settings::default()
        .dnsd("node_txt", "true")
        .dnsd("search", "[hsn.openchami.cluster, openchami.cluster]")
        .dnsd("hosts_file", "VAR/hosts")
        .dnsd("zone_files", "[VAR/services.zone]")
        .more(NAMING);
    let mut cluster = Cluster::bare();
    cluster.configure(&settings);
    let (hosts, services) = (cluster.var().join("hosts"), cluster.var().join("services.zone"));
    fs::write(&hosts, "127.0.0.1 localhost\n172.16.0.200 login head\n172.16.0.201 nid0001\n").unwrap();
    fs::write(&services, "$TTL 1m\n_slurmctld._tcp SRV 0 0 6817 login\nca CAA 0 issue \"ca.example.net\"\n")
        .unwrap();
    cluster.start_smd(inventory());
    for name in ["smd-cache", "dnsd"] {
        cluster.start_program(name);
        cluster.wait_ready(name);
    }
    cluster.wire.node1.ip("addr add 172.16.0.77/24 dev eth0");

    for (question, wanted) in [
        ("nid0001.openchami.cluster A", &["172.16.0.11"][..]),
        ("nid000001-hsn0.openchami.cluster A", &["10.100.0.1"]),
        ("nid000001-hsn1.openchami.cluster A", &["10.100.0.2"]),
        ("nid000001.hsn.openchami.cluster A", &["10.100.0.1", "10.100.0.2"]),
        ("x1000c0s0b0n0.hsn.openchami.cluster A", &["10.100.0.1", "10.100.0.2"]),
        ("nid000002.hsn.openchami.cluster A", &[]),
        ("-x 10.100.0.2", &["nid000001-hsn1.openchami.cluster."]),
        (
            "nid0002.openchami.cluster TXT",
            &["\"id=x1000c0s0b0n1\"", "\"nid=2\"", "\"role=Compute\"", "\"type=Node\""],
        ),
        ("nid0002. A", &["172.16.0.12", "nid0002.openchami.cluster."]),
        ("nid000001. A", &["10.100.0.1", "10.100.0.2", "nid000001.hsn.openchami.cluster."]),
        ("head.openchami.cluster A", &["172.16.0.200"]),
        ("-x 172.16.0.200", &["login.openchami.cluster."]),
        ("_slurmctld._tcp.openchami.cluster SRV", &["0 0 6817 login.openchami.cluster."]),
        ("ca.openchami.cluster CAA", &["0 issue \"ca.example.net\""]),
        ("localhost.openchami.cluster A", &[]),
    ] {
        eventually(&cluster, question, wanted);
    }

    // Edited while dnsd runs, once well, once badly.
    fs::write(&hosts, "172.16.0.210 login\n").unwrap();
    eventually(&cluster, "login.openchami.cluster A", &["172.16.0.210"]);
    eventually(&cluster, "head.openchami.cluster A", &[]);
    fs::write(&services, "$INCLUDE /etc/passwd\n").unwrap();
    within(SOON, "/ready names the file that was refused", || {
        let (_, ready) = cluster.admin("dnsd", "/ready")?;
        (ready.contains("services.zone") && ready.contains("$INCLUDE")).then_some(())
    });
    eventually(&cluster, "_slurmctld._tcp.openchami.cluster SRV", &["0 0 6817 login.openchami.cluster."]);
}

//! Names by network and by interface.

use super::*;

/// `mac component description address@NETWORK,...`; `-` is nothing, `_` in a description a blank.
fn row(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let addresses = words[3].split(',').filter(|text| *text != "-").map(|address| {
        let (address, network) = address.split_once('@').unwrap_or((address, ""));
        json!({"IPAddress": address, "Network": network})
    });
    json!({
        "ID": words[0].replace(':', ""),
        "MACAddress": words[0],
        "ComponentID": words[1],
        "Description": words[2].trim_matches('-').replace('_', " "),
        "IPAddresses": addresses.collect::<Vec<_>>(),
    })
}

fn named(text: &str, rows: &[&str], components: &[&str]) -> (Snapshot, Vec<Problem>) {
    let rows = rows.iter().map(|line| row(line)).collect();
    let components = components.iter().map(|line| component(line)).collect();
    build(&records_of(rows, components), &naming(text), None, at(0))
}

/// `address name name ...` of every address.
fn names(snapshot: &Snapshot) -> Vec<String> {
    let line = |address: &Address| {
        let names = address.names.iter().map(|name| name.as_str().to_owned());
        [address.address.to_string()].into_iter().chain(names).collect::<Vec<_>>().join(" ")
    };
    snapshot.interfaces().flat_map(|interface| interface.addresses.iter().map(line)).collect()
}

const NODE: [&str; 1] = ["x0c0s0b0n0 Node 1000"];

#[test]
fn users_find_a_node_by_network_and_by_interface() {
    let text = r#"
domain: c.local
rules: ["type:Node,network:HSN,hostname:nid{06d}-{nic}", "type:Node,hostname:nid{06d}"]
zones:
  - {name: c.local}
  - {name: hsn.c.local, network: hsn, nodes: "nid{06d}"}
"#;
    let (snapshot, problems) = named(
        text,
        &[
            "02:00:00:00:00:01 x0c0s0b0n0 boot 10.0.0.1@NMN",
            "02:00:00:00:00:02 x0c0s0b0n0 - 10.1.0.2@HSN",
            "02:00:00:00:00:03 x0c0s0b0n0 - 10.1.0.3@HSN,fd00::3@HSN",
        ],
        &NODE,
    );
    assert_eq!(reasons(&problems), [""; 0]);
    let hsn = |nic: &str| {
        format!("nid001000-{nic}.c.local x0c0s0b0n0.c.local nid001000.hsn.c.local x0c0s0b0n0.hsn.c.local")
    };
    assert_eq!(
        names(&snapshot),
        [
            "10.0.0.1 nid001000.c.local x0c0s0b0n0.c.local".to_owned(),
            format!("10.1.0.2 {}", hsn("hsn0")),
            format!("10.1.0.3 {}", hsn("hsn1")),
            format!("fd00::3 {}", hsn("hsn1")),
        ]
    );
    let Bearer::Component(node, interfaces) = snapshot.by_name(&name("nid001000.hsn.c.local")) else {
        panic!()
    };
    assert_eq!((node.names.len(), interfaces.len()), (6, 2));
}

#[test]
fn a_zone_of_a_network_holds_nothing_else() {
    let text = r#"
domain: c.local
rules: ["type:NodeBMC,hostname:bmc{04d}", "hostname:nid{04d}"]
zones: [{name: h.test, network: [HSN, HMN]}, {name: n.test, network: HSN, nodes: "n{02d}"}]
"#;
    let (snapshot, _) = named(
        text,
        &[
            "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1@HSN",
            "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2@NMN,10.0.0.3",
            "02:00:00:00:00:03 x0c0s0b0 - 10.0.0.4@hsn",
        ],
        &["x0c0s0b0n0 Node 1", "x0c0s0b0n1 Node 2", "x0c0s0b0n2 Node 3", "x0c0s0b0 NodeBMC"],
    );
    let zones = "nid0001.h.test x0c0s0b0n0.h.test n01.n.test x0c0s0b0n0.n.test";
    assert_eq!(
        names(&snapshot),
        [
            format!("10.0.0.1 nid0001.c.local x0c0s0b0n0.c.local {zones}"),
            "10.0.0.2 nid0002.c.local x0c0s0b0n1.c.local".to_owned(),
            "10.0.0.3 nid0002.c.local x0c0s0b0n1.c.local".to_owned(),
            // Other machines than Nodes have the name of their rule.
            "10.0.0.4 bmc0001.c.local x0c0s0b0.c.local bmc0001.h.test x0c0s0b0.h.test bmc0001.n.test x0c0s0b0.n.test"
                .to_owned(),
        ]
    );
    for absent in ["nid0002.h.test", "x0c0s0b0n1.h.test", "n03.n.test", "x0c0s0b0n2.n.test"] {
        assert_eq!(snapshot.by_name(&name(absent)), Bearer::Nobody, "{absent}");
    }
    assert!(
        matches!(snapshot.by_name(&name("nid0003.c.local")), Bearer::Component(..)),
        "without an address"
    );
}

#[test]
fn numbers_follow_descriptions_then_macs_on_each_network_by_itself() {
    let text = "domain: c.local\nrules: [\"hostname:'{nic}'\"]";
    let first = |rows: &[&str]| -> Vec<String> {
        let (snapshot, _) = named(text, rows, &NODE);
        snapshot
            .interfaces()
            .flat_map(|one| &one.addresses)
            .map(|address| address.hostname().to_owned())
            .collect()
    };
    let rows = [
        "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1@HSN",
        "02:00:00:00:00:02 x0c0s0b0n0 HSN_0 10.0.0.2@HSN",
        "02:00:00:00:00:03 x0c0s0b0n0 eth7 10.0.0.3@hmn_rvr,10.0.0.4@hsn",
    ];
    assert_eq!(first(&rows), ["hsn1", "hsn0", "hmn-rvr0", "hsn2"]);
    // Another network, an interface without an address, another machine, a higher MAC: nothing moves.
    let more = [
        "02:00:00:00:00:00 x0c0s0b0n0 - 10.0.0.9@NMN",
        "02:00:00:00:00:00 x0c0s0b0n0 - -",
        "02:00:00:00:00:00 x0c0s0b0n9 - 10.0.0.9@HSN",
        "02:00:00:00:00:09 x0c0s0b0n0 - 10.0.0.9@HSN",
    ];
    for other in more {
        let all = first(&[&[other], &rows[..]].concat());
        let kept: Vec<&String> =
            all.iter().filter(|name| ["hsn1", "hsn0", "hmn-rvr0", "hsn2"].contains(&&***name)).collect();
        assert_eq!(kept, ["hsn1", "hsn0", "hmn-rvr0", "hsn2"], "{other}");
    }
}

#[test]
fn without_a_network_the_pattern_does_not_apply() {
    let text = "domain: c.local\nrules: [\"hostname:nid{04d}.{network}\"]\nzones: [{name: z.test, nodes: \"n{02d}-{nic}\"}]";
    let (snapshot, problems) = named(
        text,
        &[
            "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1@High_Speed,10.0.0.2",
            "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.3@\u{e9}",
            "02:00:00:00:00:03 x0c0s0b0n2 - -",
        ],
        &["x0c0s0b0n0 Node 1", "x0c0s0b0n1 Node 2", "x0c0s0b0n2 Node 3"],
    );
    assert_eq!(
        names(&snapshot),
        [
            "10.0.0.1 nid0001.high-speed.c.local x0c0s0b0n0.c.local x0c0s0b0n0.z.test n01-high-speed0.z.test",
            "10.0.0.2 x0c0s0b0n0.c.local x0c0s0b0n0.z.test",
            "10.0.0.3 x0c0s0b0n1.c.local x0c0s0b0n1.z.test",
        ]
    );
    assert_eq!(reasons(&problems), ["no_network", "no_network"], "and none for what has no address");
    assert!(problems[0].message.starts_with("SMD names no network"), "{problems:?}");
    assert!(problems[1].message.starts_with("network '\u{e9}' of x0c0s0b0n1 cannot"), "{problems:?}");
}

#[test]
fn contested_names_are_settled_in_these_zones_as_in_others() {
    let text = "domain: c.local\nrules: [\"hostname:'{id}'\"]\nzones: [{name: h.test, network: HSN, nodes: \"n{02d}\"}]";
    let rows = [
        "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1@HSN",
        "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2@HSN",
        // Would ask for the same, were it on the network.
        "02:00:00:00:00:03 x0c0s0b0n2 - 10.0.0.3@NMN",
    ];
    let components = ["x0c0s0b0n0 Node 1", "x0c0s0b0n1 Node 1", "x0c0s0b0n2 Node 1"];
    let (snapshot, problems) = named(text, &rows, &components);
    assert_eq!(reasons(&problems), ["duplicate_name"]);
    assert!(problems[0].message.contains("claimed by x0c0s0b0n0, x0c0s0b0n1:"), "{}", problems[0].message);
    assert_eq!(names(&snapshot)[0], "10.0.0.1 x0c0s0b0n0.c.local x0c0s0b0n0.h.test");
    let (snapshot, problems) = named(text, &rows[1..], &components);
    assert_eq!(reasons(&problems), [""; 0]);
    assert_eq!(names(&snapshot)[0], "10.0.0.2 x0c0s0b0n1.c.local n01.h.test x0c0s0b0n1.h.test");
}

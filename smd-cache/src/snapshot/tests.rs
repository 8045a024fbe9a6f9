use super::*;
use crate::{
    naming::Naming,
    records::{Problem, Read, Records, decode_components, decode_interfaces},
};
use jiff::Timestamp;
use proto::v1;
use serde_json::{Value, json};

mod networks;

const RULES: &str = r#"
domain: c.local
rules: ["type:Node,hostname:nid{04d}", "type:NodeBMC,hostname:bmc{04d}"]
"#;

/// `mac component last-update address,address`; `-` is nothing.
fn interface(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let or_empty = |at: usize| words.get(at).copied().filter(|word| *word != "-").unwrap_or("");
    let addresses = or_empty(3).split(',').filter(|text| !text.is_empty());
    json!({
        "ID": words[0].replace(':', ""),
        "MACAddress": words[0],
        "ComponentID": or_empty(1),
        "LastUpdate": if or_empty(2).is_empty() { String::new() } else { format!("2026-01-01T00:00:{}Z", words[2]) },
        "IPAddresses": addresses.map(|address| json!({"IPAddress": address})).collect::<Vec<_>>(),
    })
}

/// `id type nid`.
fn component(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut component = json!({"ID": words[0], "Type": words[1]});
    if let Some(nid) = words.get(2) {
        component["NID"] = json!(nid);
    }
    component
}

fn records_of(interfaces: Vec<Value>, components: Vec<Value>) -> Records {
    let read = |sequence| Read { sequence, started_at: Timestamp::UNIX_EPOCH };
    let mut records = Records::new();
    let interfaces = Value::from(interfaces).to_string();
    records.apply_whole_interfaces(read(1), decode_interfaces(interfaces.as_bytes()).unwrap());
    let components = json!({ "Components": components }).to_string();
    records.apply_whole_components(read(2), decode_components(components.as_bytes()).unwrap());
    records
}

fn records(interfaces: &[&str], components: &[&str]) -> Records {
    records_of(
        interfaces.iter().map(|line| interface(line)).collect(),
        components.iter().map(|line| component(line)).collect(),
    )
}

fn naming(text: &str) -> Naming {
    Naming::from_config(&config::parse(text).unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn after(previous: Option<&Snapshot>, interfaces: &[&str], components: &[&str]) -> (Snapshot, Vec<Problem>) {
    build(&records(interfaces, components), &naming(RULES), previous, at(1000))
}

fn first(interfaces: &[&str], components: &[&str]) -> (Snapshot, Vec<Problem>) {
    after(None, interfaces, components)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn reasons(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.reason.label()).collect()
}

/// Every interface as `last byte of MAC:component[!]=address(names) ...`; `!`: contested.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let address = |address: &Address| {
        let names: Vec<&str> = address.names.iter().map(Name::as_str).collect();
        format!("{}({})", address.address, names.join(" "))
    };
    let interface = |interface: &Arc<Interface>| {
        let addresses: Vec<String> = interface.addresses.iter().map(address).collect();
        let owner = interface.component_id.as_ref().map_or("-", Xname::as_str);
        let contested = if interface.contested { "!" } else { "" };
        format!("{:02x}:{owner}{contested}={}", interface.mac.0[5], addresses.join(" "))
    };
    snapshot.interfaces().map(interface).collect()
}

const NODES: [&str; 3] = ["x0c0s0b0n0 Node 1", "x0c0s0b0n1 Node 2", "x0c0s0b0 NodeBMC"];

#[test]
fn nothing_in_gives_a_snapshot_that_knows_nothing() {
    let (snapshot, problems) = build(&Records::new(), &naming(RULES), None, at(0));
    assert_eq!((snapshot.generation(), problems.len(), snapshot.counts()), (1, 0, Counts::default()));
    assert_eq!(snapshot.interface(mac("02:00:00:00:00:01")), None);
    assert_eq!(snapshot.by_name(&name("nid0001.c.local")), Bearer::Nobody);
    assert_eq!(snapshot.by_address("10.0.0.1".parse().unwrap()).count(), 0);
    assert_eq!(snapshot.interfaces_of(&"x0c0s0b0n0".parse().unwrap()).count(), 0);
}

#[test]
fn everything_is_found_by_every_key() {
    let (snapshot, problems) = first(
        &[
            "02:00:00:00:00:02 x0c0s0b0n0 - 10.0.0.2,fd00::2",
            "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1",
            "02:00:00:00:00:03 x0c0s0b0 - 10.0.0.3",
        ],
        &NODES,
    );
    assert_eq!(reasons(&problems), [""; 0]);
    assert_eq!(
        shown(&snapshot),
        [
            "01:x0c0s0b0n0=10.0.0.1(nid0001.c.local x0c0s0b0n0.c.local)",
            "02:x0c0s0b0n0=10.0.0.2(nid0001.c.local x0c0s0b0n0.c.local) fd00::2(nid0001.c.local x0c0s0b0n0.c.local)",
            "03:x0c0s0b0=10.0.0.3(bmc0001.c.local x0c0s0b0.c.local)",
        ]
    );
    let macs = |bearer: Bearer| match bearer {
        Bearer::Component(component, interfaces) => {
            format!(
                "{} {:?}",
                component.id,
                interfaces.iter().map(|interface| interface.mac.0[5]).collect::<Vec<_>>()
            )
        }
        other => format!("{other:?}"),
    };
    for (asked, expected) in [
        ("nid0001.c.local", "x0c0s0b0n0 [1, 2]"),
        ("X0C0S0B0N0.c.local.", "x0c0s0b0n0 [1, 2]"),
        ("bmc0001.c.local", "x0c0s0b0 [3]"),
        ("nid0002.c.local", "x0c0s0b0n1 []"),
        ("nid0003.c.local", "Nobody"),
        ("c.local", "Nobody"),
    ] {
        assert_eq!(macs(snapshot.by_name(&name(asked))), expected, "{asked}");
    }
    let by_address =
        |text: &str| snapshot.by_address(text.parse().unwrap()).map(|held| held.mac.0[5]).collect::<Vec<_>>();
    assert_eq!(
        (by_address("10.0.0.1"), by_address("fd00::2"), by_address("10.0.0.9")),
        (vec![1], vec![2], vec![])
    );
    let of = |text: &str| {
        snapshot.interfaces_of(&text.parse().unwrap()).map(|held| held.mac.0[5]).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("x0c0s0b0n0"), of("x0c0s0b0"), of("x0c0s0b0n1"), of("x9")),
        (vec![1, 2], vec![3], vec![], vec![])
    );
    let counts = Counts { interfaces: 3, components: 3, addresses: 4, names: 6, servable_interfaces: 3 };
    assert_eq!(snapshot.counts(), counts);
}

#[test]
fn everything_can_be_gone_through_in_pieces() {
    let rows = |number: u16| format!("02:00:00:00:{:02x}:{:02x} -", number / 256, number % 256);
    let rows: Vec<String> = (0..1000).map(rows).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let (snapshot, _) = first(&rows, &NODES);
    let mut pieces = Vec::new();
    while let Some(next) =
        snapshot.interfaces_after(pieces.last().map(|last: &Arc<Interface>| last.mac)).next()
    {
        pieces.push(next.clone());
    }
    assert!(pieces.iter().eq(snapshot.interfaces()));
    assert!(snapshot.interfaces_after(None).eq(snapshot.interfaces()));
    let after: Vec<&str> =
        snapshot.components_after(Some(&"x0c0s0b0".parse().unwrap())).map(|held| held.id.as_str()).collect();
    assert_eq!(after, ["x0c0s0b0n0", "x0c0s0b0n1"]);
    assert!(snapshot.components_after(None).eq(snapshot.components()));
}

#[test]
fn interfaces_without_a_component_have_addresses_but_no_names() {
    let (snapshot, problems) =
        first(&["02:00:00:00:00:01 - - 10.0.0.1", "02:00:00:00:00:02 x9c0s0b0n0 - 10.0.0.2"], &NODES);
    assert_eq!(shown(&snapshot), ["01:-=10.0.0.1()", "02:x9c0s0b0n0=10.0.0.2()"]);
    assert_eq!(reasons(&problems), ["no_component", "no_component"]);
    assert_eq!(snapshot.counts().servable_interfaces, 0);
    assert_eq!(snapshot.by_address("10.0.0.1".parse().unwrap()).count(), 1);
}

#[test]
fn ignore_holds_without_address_and_without_component() {
    let rules = "rules: [\"id_set:x9c0s0b0n0|x0c0s0b0n0,ignore:true\"]";
    let records = records(
        &["02:00:00:00:00:01 x0c0s0b0n0", "02:00:00:00:00:02 x9c0s0b0n0", "02:00:00:00:00:03 x0c0s0b0n1"],
        &NODES,
    );
    let (snapshot, _) = build(&records, &naming(rules), None, at(0));
    let ignored: Vec<bool> = snapshot.interfaces().map(|interface| interface.policy.ignore).collect();
    assert_eq!(ignored, [true, true, false]);
}

#[test]
fn one_mac_in_two_spellings_is_one_interface() {
    let (snapshot, problems) = first(
        &[
            "02-00-00-00-00-01 x0c0s0b0n0 01 10.0.0.1,10.0.0.3",
            "02:00:00:00:00:01 x0c0s0b0n0 02 10.0.0.2,10.0.0.1",
            "0200.0000.0001 - 00 10.0.0.4",
        ],
        &NODES,
    );
    let addresses: Vec<String> = snapshot
        .interface(mac("02:00:00:00:00:01"))
        .unwrap()
        .addresses
        .iter()
        .map(|address| address.address.to_string())
        .collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.3", "10.0.0.2", "10.0.0.4"]);
    assert_eq!((reasons(&problems), snapshot.counts().interfaces), (vec![], 1));
}

#[test]
fn a_contested_mac_goes_to_the_existing_the_holder_the_older_the_lower() {
    let rows = |a: &str, b: &str| {
        [format!("02:00:00:00:00:01 {a} 10.0.0.1"), format!("02-00-00-00-00-01 {b} 10.0.0.2")]
    };
    for (a, b, held_by, expected) in [
        ("x0c0s0b0n0 05", "x0c0s0b0n1 05", None, "x0c0s0b0n0"),
        ("x0c0s0b0n0 05", "x0c0s0b0n1 04", None, "x0c0s0b0n1"),
        ("x0c0s0b0n0 -", "x0c0s0b0n1 04", None, "x0c0s0b0n1"),
        ("x0c0s0b0n0 04", "x0c0s0b0n1 05", Some("x0c0s0b0n1"), "x0c0s0b0n1"),
        ("x0c0s0b0n0 04", "x0c0s0b0n1 05", Some("x0c0s0b0"), "x0c0s0b0n0"),
        ("x9c0s0b0n0 04", "x0c0s0b0n1 05", None, "x0c0s0b0n1"),
        ("x9c0s0b0n0 04", "x0c0s0b0n1 05", Some("x9c0s0b0n0"), "x0c0s0b0n1"),
    ] {
        let previous = held_by.map(|id| first(&[&format!("02:00:00:00:00:01 {id} 00 10.0.0.1")], &NODES).0);
        for rows in [rows(a, b), rows(b, a)] {
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let (snapshot, problems) = after(previous.as_ref(), &rows, &NODES);
            let interface = snapshot.interface(mac("02:00:00:00:00:01")).unwrap();
            assert_eq!(
                interface.component_id.as_ref().unwrap().as_str(),
                expected,
                "{rows:?} held by {held_by:?}"
            );
            assert_eq!((interface.contested, interface.addresses.len()), (true, 1), "{rows:?}");
            assert_eq!(reasons(&problems), ["duplicate_mac"]);
        }
    }
}

#[test]
fn a_contested_address_goes_to_the_existing_the_holder_the_older_the_lower() {
    for (a, b, held_by, expected) in [
        ("x0c0s0b0n0 05", "x0c0s0b0n1 05", None, 1),
        ("x0c0s0b0n0 05", "x0c0s0b0n1 04", None, 2),
        ("x0c0s0b0n0 04", "x0c0s0b0n1 05", Some("02:00:00:00:00:02 x0c0s0b0n1"), 2),
        ("x0c0s0b0n0 04", "x0c0s0b0n1 05", Some("02:00:00:00:00:09 x0c0s0b0n1"), 2),
        ("x0c0s0b0n0 04", "x0c0s0b0n1 05", Some("02:00:00:00:00:09 x0c0s0b0"), 1),
        ("- 04", "x0c0s0b0n1 05", None, 2),
        ("- 05", "- 05", None, 1),
        ("- 05", "- 04", Some("02:00:00:00:00:01 -"), 1),
        ("x9c0s0b0n0 04", "x0c0s0b0n1 05", None, 2),
    ] {
        let previous = held_by.map(|holder| first(&[&format!("{holder} 00 10.0.0.1")], &NODES).0);
        let rows = [
            format!("02:00:00:00:00:01 {a} 10.0.0.1,10.0.0.8"),
            format!("02:00:00:00:00:02 {b} 10.0.0.1,10.0.0.9"),
        ];
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let (snapshot, problems) = after(previous.as_ref(), &rows, &NODES);
        let holders: Vec<u8> =
            snapshot.by_address("10.0.0.1".parse().unwrap()).map(|held| held.mac.0[5]).collect();
        assert_eq!(holders, [expected], "{rows:?} held by {held_by:?}");
        assert!(snapshot.interfaces().all(|interface| interface.contested), "{rows:?}");
        assert_eq!(snapshot.counts().addresses, 3, "the others stay");
        assert_eq!(reasons(&problems).iter().filter(|reason| **reason == "duplicate_address").count(), 1);
    }
}

#[test]
fn an_address_on_two_interfaces_of_one_component_is_on_both() {
    let (snapshot, problems) = first(
        &["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1,10.0.0.1", "02:00:00:00:00:02 x0c0s0b0n0 - 10.0.0.1"],
        &NODES,
    );
    assert_eq!(snapshot.by_address("10.0.0.1".parse().unwrap()).count(), 2);
    assert!(snapshot.interfaces().all(|interface| !interface.contested));
    assert_eq!(reasons(&problems), [""; 0]);
}

#[test]
fn a_contested_name_is_nobodys_unless_somebody_holds_it() {
    let rows = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1", "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2"];
    let twins = ["x0c0s0b0n0 Node 1", "x0c0s0b0n1 Node 1", "x0c0s0b0 NodeBMC"];
    let (nobodys, problems) = first(&rows, &twins);
    let by_xname =
        ["01:x0c0s0b0n0=10.0.0.1(x0c0s0b0n0.c.local)", "02:x0c0s0b0n1=10.0.0.2(x0c0s0b0n1.c.local)"];
    assert_eq!(
        (shown(&nobodys), reasons(&problems)),
        (by_xname.map(str::to_owned).to_vec(), vec!["duplicate_name"])
    );
    assert_eq!(nobodys.by_name(&name("nid0001.c.local")), Bearer::Nobody);
    let fqdn = |snapshot: &Snapshot, at: usize| {
        let interface = snapshot.interfaces().nth(at).unwrap().clone();
        let address = &interface.addresses[0];
        (address.hostname().to_owned(), address.fqdn.clone().unwrap().to_string())
    };
    assert_eq!(
        fqdn(&nobodys, 0),
        ("x0c0s0b0n0".to_owned(), "x0c0s0b0n0.c.local".to_owned()),
        "DHCP says so too"
    );

    let (held, _) = first(&rows, &NODES);
    let (kept, problems) = after(Some(&held), &rows, &twins);
    assert_eq!(fqdn(&kept, 0).1, "nid0001.c.local");
    assert_eq!(
        (fqdn(&kept, 1).1.as_str(), reasons(&problems)),
        ("x0c0s0b0n1.c.local", vec!["duplicate_name"])
    );
    let (still, _) = after(Some(&nobodys), &rows, &twins);
    assert_eq!(still.generation(), nobodys.generation());
    let (gone, problems) = after(Some(&nobodys), &rows[..1], &twins[..1]);
    assert_eq!((fqdn(&gone, 0).1.as_str(), problems.len()), ("nid0001.c.local", 0));
}

#[test]
fn bare_names_are_contested_too() {
    let rules = naming("rules: [\"hostname:same\"]");
    let rows = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1", "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2"];
    let (one, _) = build(&records(&rows[..1], &NODES[..1]), &rules, None, at(0));
    let (two, problems) = build(&records(&rows, &NODES), &rules, Some(&one), at(0));
    let fqdns: Vec<&str> =
        two.interfaces().map(|interface| interface.addresses[0].fqdn.as_ref().unwrap().as_str()).collect();
    assert_eq!((fqdns, reasons(&problems)), (vec!["same", "x0c0s0b0n1"], vec!["duplicate_name"]));
    assert!(two.interfaces().all(|interface| interface.addresses[0].names.is_empty()), "in no zone");
}

#[test]
fn nobody_can_take_a_components_xname() {
    let rules = naming("domain: c.local\nrules: [\"id:x0c0s0b0n1,hostname:x0c0s0b0n0\"]");
    let rows = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1", "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2"];
    let (snapshot, problems) = build(&records(&rows, &NODES), &rules, None, at(0));
    assert_eq!(
        shown(&snapshot),
        ["01:x0c0s0b0n0=10.0.0.1(x0c0s0b0n0.c.local)", "02:x0c0s0b0n1=10.0.0.2(x0c0s0b0n1.c.local)"]
    );
    assert_eq!(reasons(&problems), ["duplicate_name"]);
}

#[test]
fn what_cannot_be_named_by_its_pattern_has_its_xname() {
    let long = "h".repeat(56);
    let text =
        format!("domain: c.local\nrules: [\"type:Node,hostname:nid{{04d}}\", \"hostname:{long}{{id}}\"]");
    let rows = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1", "02:00:00:00:00:02 x0c0s0b0 - 10.0.0.2"];
    let records = records(&rows, &["x0c0s0b0n0 Node", "x0c0s0b0 NodeBMC"]);
    let (snapshot, problems) = build(&records, &naming(&text), None, at(0));
    assert_eq!(
        shown(&snapshot),
        ["01:x0c0s0b0n0=10.0.0.1(x0c0s0b0n0.c.local)", "02:x0c0s0b0=10.0.0.2(x0c0s0b0.c.local)"]
    );
    assert_eq!(reasons(&problems), ["no_nid", "bad_name"]);
}

#[test]
fn a_bmc_has_the_lowest_nid_of_its_nodes() {
    let (snapshot, _) = first(
        &[
            "02:00:00:00:00:01 x0c0s0b0 - 10.0.0.1",
            "02:00:00:00:00:02 x0c0s1b0 - 10.0.0.2",
            "02:00:00:00:00:03 x0c0s2b0 - 10.0.0.3",
        ],
        &[
            "x0c0s0b0 NodeBMC",
            "x0c0s0b0n1 Node 5",
            "x0c0s0b0n0 Node 9",
            "x0c0s1b0 NodeBMC 7",
            "x0c0s2b0 NodeBMC",
            "x0c0s2b0n0 Node",
        ],
    );
    let names: Vec<&str> =
        snapshot.interfaces().map(|interface| interface.addresses[0].names[0].as_str()).collect();
    assert_eq!(names, ["bmc0005.c.local", "bmc0007.c.local", "x0c0s2b0.c.local"]);
    assert_eq!(snapshot.component(&"x0c0s0b0".parse().unwrap()).unwrap().nid, None, "SMD gives it none");
}

const ZONES: &str = r#"
domain: c.local
rules: ["type:Node,subnet:10.0.0.0/8,hostname:nid{04d}", "type:Node,hostname:v6{04d},domain:six.local"]
zones: [{name: c.local}, {name: lab.test, nodes: "n{02d}.rack"}, {name: 10.in-addr.arpa}, {name: d.f.ip6.arpa}]
"#;

#[test]
fn zones_with_a_pattern_name_every_node_and_everything_by_xname() {
    let records = records(
        &["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1,fd00::1", "02:00:00:00:00:02 x0c0s0b0 - 10.0.0.2"],
        &NODES,
    );
    let (snapshot, _) = build(&records, &naming(ZONES), None, at(0));
    assert_eq!(
        shown(&snapshot),
        [
            "01:x0c0s0b0n0=10.0.0.1(nid0001.c.local x0c0s0b0n0.c.local n01.rack.lab.test x0c0s0b0n0.lab.test) \
             fd00::1(v60001.six.local x0c0s0b0n0.six.local n01.rack.lab.test x0c0s0b0n0.lab.test)",
            "02:x0c0s0b0=10.0.0.2(x0c0s0b0.c.local x0c0s0b0.lab.test)",
        ]
    );
    for (asked, expected) in
        [("rack.lab.test", true), ("lab.test", false), ("test", false), ("x.rack.lab.test", false)]
    {
        assert_eq!(snapshot.by_name(&name(asked)) == Bearer::Parent, expected, "{asked}");
    }
    let all: Vec<&str> =
        snapshot.component(&"x0c0s0b0n0".parse().unwrap()).unwrap().names.iter().map(Name::as_str).collect();
    assert_eq!(
        all,
        [
            "nid0001.c.local",
            "x0c0s0b0n0.c.local",
            "n01.rack.lab.test",
            "x0c0s0b0n0.lab.test",
            "v60001.six.local",
            "x0c0s0b0n0.six.local"
        ]
    );
    // Without an address: what the rules say apart from any.
    let bare: Vec<&str> =
        snapshot.component(&"x0c0s0b0n1".parse().unwrap()).unwrap().names.iter().map(Name::as_str).collect();
    assert_eq!(
        bare,
        ["v60002.six.local", "x0c0s0b0n1.six.local", "n02.rack.lab.test", "x0c0s0b0n1.lab.test"]
    );
}

#[test]
fn a_serial_moves_when_a_record_of_its_zone_does() {
    let rules = naming(ZONES);
    let serials = |snapshot: &Snapshot| snapshot.zones().iter().map(|zone| zone.serial).collect::<Vec<_>>();
    let one = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1"];
    let other = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.2"];
    let six = ["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.2,fd00::1"];
    let node = &NODES[..1];
    // Zones: c.local, lab.test, 10.in-addr.arpa, d.f.ip6.arpa, six.local.
    let (start, _) = build(&records(&one, node), &rules, None, at(1000));
    assert_eq!(serials(&start), [1000; 5]);
    let (same, _) = build(&records(&one, node), &rules, Some(&start), at(2000));
    assert_eq!(serials(&same), [1000; 5]);
    let (moved, _) = build(&records(&other, node), &rules, Some(&same), at(2000));
    assert_eq!(serials(&moved), [2000, 2000, 2000, 1000, 1000]);
    let (again, _) = build(&records(&six, node), &rules, Some(&moved), at(1500));
    assert_eq!(serials(&again), [2000, 2001, 2000, 1500, 1500], "the clock went back, the serial did not");
    let (away, _) = build(&records(&[], node), &rules, Some(&again), at(1500));
    assert_eq!(serials(&away)[2], 2001);
}

fn with(interface_fields: Value, component_fields: Value) -> Records {
    let mut row = interface("02:00:00:00:00:01 x0c0s0b0n0 01 10.0.0.1");
    let mut owner = component("x0c0s0b0n0 Node 1");
    for (target, fields) in [(&mut row, interface_fields), (&mut owner, component_fields)] {
        target.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    records_of(vec![row], vec![owner])
}

#[test]
fn volatile_fields_are_seen_but_are_no_new_generation() {
    let rules = naming(RULES);
    let (before, _) = build(&with(json!({}), json!({})), &rules, None, at(0));
    for (interface_fields, component_fields) in [
        (json!({"LastUpdate": "2026-02-02T00:00:00Z"}), json!({})),
        (json!({}), json!({"State": "On"})),
        (json!({}), json!({"Flag": "Warning"})),
        (json!({}), json!({"Enabled": false})),
    ] {
        let (after, _) =
            build(&with(interface_fields.clone(), component_fields.clone()), &rules, Some(&before), at(9));
        assert_eq!(
            (after.generation(), after.digest()),
            (1, before.digest()),
            "{interface_fields} {component_fields}"
        );
        assert!(after.change_from(&before).is_empty());
        let same = |a: &Snapshot, b: &Snapshot| {
            a.interfaces().eq(b.interfaces()) && a.components().eq(b.components())
        };
        assert!(!same(&after, &before), "the new value is served: {interface_fields} {component_fields}");
    }
    let looks = naming("rules: [\"enabled:false,ignore:true\", \"hostname:n\"]");
    let (before, _) = build(&with(json!({}), json!({"Enabled": true})), &looks, None, at(0));
    let (after, _) = build(&with(json!({}), json!({"Enabled": null})), &looks, Some(&before), at(0));
    assert_eq!(after.generation(), 2, "a rule matches on it");
}

#[test]
fn every_other_field_is_content() {
    let rules = naming(RULES);
    let (before, _) = build(&with(json!({}), json!({})), &rules, None, at(0));
    for (interface_fields, component_fields) in [
        (json!({"Description": "eth0"}), json!({})),
        (json!({"IPAddresses": []}), json!({})),
        (json!({"IPAddresses": [{"IPAddress": "10.0.0.1", "Network": "HSN"}]}), json!({})),
        (json!({"ComponentID": ""}), json!({})),
        (json!({}), json!({"NID": 2})),
        (json!({}), json!({"Type": "VirtualNode"})),
        (json!({}), json!({"Role": "Service"})),
        (json!({}), json!({"SubRole": "Worker"})),
        (json!({}), json!({"Arch": "ARM"})),
        (json!({}), json!({"Class": "Hill"})),
    ] {
        let (after, _) =
            build(&with(interface_fields.clone(), component_fields.clone()), &rules, Some(&before), at(9));
        assert_eq!(after.generation(), 2, "{interface_fields} {component_fields}");
        assert_ne!(after.digest(), before.digest(), "{interface_fields} {component_fields}");
        assert!(!after.change_from(&before).is_empty(), "{interface_fields} {component_fields}");
    }
}

#[test]
fn all_that_rules_say_is_content_and_travels() {
    let records = records(&["02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1"], &NODES);
    let with = |rule: &str| {
        build(&records, &naming(&format!("rules: [{{name: r, hostname: a, {rule}}}]")), None, at(0)).0
    };
    let mut digests = vec![with("match: {}").digest()];
    for rule in [
        "boot_file: a",
        "boot_file: b",
        "script_url: http://a/",
        "next_server: 10.0.0.1",
        "next_server: 10.0.0.2",
        "options: {252: a}",
        "options: {253: a}",
        "options: {252: ab}",
        "options: {252: a, 253: b}",
        "options: {252: unset}",
        "mtu: 9000",
        "lease_time: 1h",
    ] {
        let digest = with(rule).digest();
        assert!(!digests.contains(&digest), "{rule}");
        digests.push(digest);
    }
    let all = with(
        "boot_file: 'x/{id}', script_url: http://a/, next_server: 10.0.0.1, mtu: 9000, options: {252: unset, 28: 10.0.0.255}",
    );
    let message: v1::Interface = (&**all.interfaces().next().unwrap()).into();
    let policy = message.addresses[0].policy.clone().unwrap();
    let option = |code, value: &[u8]| v1::DhcpOption { code, value: value.to_vec() };
    let expected = v1::Policy {
        boot_file: "x/{id}".into(),
        next_server: "10.0.0.1".into(),
        script_url: "http://a/".into(),
        options: vec![option(26, &[0x23, 0x28]), option(28, &[10, 0, 0, 255]), option(252, &[])],
        rules: vec!["r".into()],
        ..Default::default()
    };
    assert_eq!(policy, expected);
}

#[test]
fn zones_and_domain_are_content() {
    let records = records(&[], &[]);
    let (before, _) = build(&records, &naming("domain: a.local"), None, at(0));
    for text in ["domain: b.local", "{}", "domain: a.local\nzones: [{name: b.local}]"] {
        let (after, _) = build(&records, &naming(text), Some(&before), at(0));
        assert_ne!(after.digest(), before.digest(), "{text}");
    }
}

#[test]
fn a_change_says_what_was_put_and_what_was_removed_and_shares_the_rest() {
    let rows = [
        "02:00:00:00:00:01 x0c0s0b0n0 - 10.0.0.1",
        "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.2",
        "02:00:00:00:00:03 - - 10.0.0.3",
    ];
    let (before, _) = first(&rows, &NODES[..2]);
    let (after, _) = after(
        Some(&before),
        &[rows[0], "02:00:00:00:00:02 x0c0s0b0n1 - 10.0.0.9", "02:00:00:00:00:04 - - 10.0.0.4"],
        &[NODES[0], NODES[2]],
    );
    let change = after.change_from(&before);
    let macs = |list: &[Arc<Interface>]| list.iter().map(|interface| interface.mac.0[5]).collect::<Vec<_>>();
    assert_eq!(macs(&change.put_interfaces), [2, 4]);
    assert_eq!(change.removed_macs, [mac("02:00:00:00:00:03")]);
    assert_eq!(
        change.put_components.iter().map(|component| component.id.as_str()).collect::<Vec<_>>(),
        ["x0c0s0b0"]
    );
    assert_eq!(change.removed_ids.iter().map(Xname::as_str).collect::<Vec<_>>(), ["x0c0s0b0n1"]);
    let shared = |snapshot: &Snapshot| snapshot.interface(mac("02:00:00:00:00:01")).unwrap().clone();
    assert!(Arc::ptr_eq(&shared(&before), &shared(&after)));
    assert_eq!(after.generation(), 2);
    let back = before.change_from(&after);
    assert_eq!((macs(&back.put_interfaces), back.removed_macs), (vec![2, 3], vec![mac("02:00:00:00:00:04")]));
}

#[test]
fn messages_say_what_the_items_say() {
    let (snapshot, _) = first(&["02:00:00:00:00:01 x0c0s0b0n0 01 10.0.0.1"], &NODES);
    let item = snapshot.interface(mac("02:00:00:00:00:01")).unwrap();
    let message = snapshot.with_component(item);
    assert_eq!(v1::Interface::from(&**item).component, None);
    assert_eq!((message.mac.as_str(), message.component_id.as_str()), ("02:00:00:00:00:01", "x0c0s0b0n0"));
    assert_eq!(message.last_update.unwrap().seconds, 1_767_225_601);
    let component = message.component.unwrap();
    assert_eq!((component.r#type.as_str(), component.nid), ("Node", Some(1)));
    let address = &message.addresses[0];
    assert_eq!((address.hostname.as_str(), address.domain.as_str()), ("nid0001", "c.local"));
    assert_eq!(address.fqdn, "nid0001.c.local");
    assert_eq!(address.names, ["nid0001.c.local", "x0c0s0b0n0.c.local"]);
    assert_eq!(component.names, address.names);
}

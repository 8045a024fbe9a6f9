use super::*;
use crate::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot::build,
    state::Moment,
};
use proptest::prelude::*;
use proto::v1::{Freshness, Outcome};
use serde_json::{Value, json};
use tokio::time::Instant;

const RULES: &str = r#"
domain: c.local
zones: [{name: c.local}, {name: mgmt.local, nodes: "mgmt{04d}"}]
rules:
  - {name: quiet, match: {id: x9c0s0b0n0}, ignore: true}
  - {name: gateways, match: {subnet: 10.1.0.0/16}, routers: [10.1.0.254], boot_file: a.efi, mtu: 9000, continue: true}
  - {name: nodes, match: {type: Node}, hostname: "nid{04d}"}
  - {name: bmcs, match: {type: [NodeBMC, RouterBMC], role: Compute}, hostname: "bmc{04d}"}
  - {name: switches, match: {type: MgmtSwitch}, hostname: "sw-{id}"}
"#;

/// `mac component address,address`; `-` is nothing.
fn interface(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let or_empty = |at: usize| words.get(at).copied().filter(|word| *word != "-").unwrap_or("");
    let addresses = or_empty(2).split(',').filter(|text| !text.is_empty());
    json!({
        "ID": words[0].replace(':', ""),
        "MACAddress": words[0],
        "ComponentID": or_empty(1),
        "Type": if or_empty(1).contains('n') { "Node" } else { "" },
        "IPAddresses": addresses.map(|address| json!({"IPAddress": address})).collect::<Vec<_>>(),
    })
}

/// `id type nid role`
fn component(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut component = json!({"ID": words[0], "Type": words[1]});
    for (key, word) in ["NID", "Role"].iter().zip(&words[2..]) {
        component[key] = json!(word);
    }
    component
}

fn naming(text: &str) -> Naming {
    Naming::from_config(&config::parse(text).unwrap())
}

fn view(rules: &str, interfaces: Vec<Value>, components: Vec<Value>) -> View {
    let read = |sequence| Read { sequence, started_at: Timestamp::from_second(100).unwrap() };
    let mut records = Records::new();
    let interfaces = Value::from(interfaces).to_string();
    records.apply_whole_interfaces(read(1), decode_interfaces(interfaces.as_bytes()).unwrap());
    let components = json!({ "Components": components }).to_string();
    records.apply_whole_components(read(2), decode_components(components.as_bytes()).unwrap());
    let naming = naming(rules);
    let (snapshot, problems) = build(&records, &naming, None, Timestamp::from_second(100).unwrap());
    let moment = Moment { read: read(1), begun: Some(Instant::now()) };
    View {
        snapshot: Some(Arc::new(snapshot)),
        problems: Arc::new(problems),
        naming: Arc::new(naming),
        read: Some(moment),
        whole: Some(moment),
        ..View::default()
    }
}

fn scene() -> View {
    let interfaces = [
        "02:00:00:00:00:01 x1c0s0b0n0 10.0.0.1,10.1.0.1",
        "02:00:00:00:00:02 x1c0s0b0 10.0.0.2",
        "02:00:00:00:00:10 -",
        "02:00:00:00:00:11 x7c0s0b0n0 10.0.0.11",
        "02:00:00:00:00:12 x1c0s1b0n0 -",
        "02:00:00:00:00:13 x9c0s0b0n0 10.0.0.13",
        "02:00:00:00:00:14 x1c0s2b0n0 fd00::14",
        "02:00:00:00:00:15 x1c0s3b0n0 10.0.0.1",
        "02:00:00:00:00:16 x1c0s4b0n0 10.0.0.16",
        "02:00:00:00:00:17 x1c0s5b0n0 10.0.0.17",
        "02:00:00:00:00:18 x1c0s6b0n0 10.0.0.18",
        "02:00:00:00:77:0g x1c0s7b0n0 10.0.0.19",
        "03:00:00:00:00:20 x1c0s7b0n0 10.0.0.20",
    ];
    let components = [
        "x1c0s0b0n0 Node 1 Compute",
        "x1c0s0b0 NodeBMC",
        "x1c0s1b0n0 Node 2",
        "x9c0s0b0n0 Node 9",
        "x1c0s2b0n0 Node 3",
        "x1c0s3b0n0 Node 4",
        "x1c0s4b0n0 Node 77",
        "x1c0s5b0n0 Node 77",
        "x1c0s6b0n0 Node",
        "x1c0s7b0n0 Node 8",
    ];
    view(
        RULES,
        interfaces.into_iter().map(interface).collect(),
        components.into_iter().map(component).collect(),
    )
}

fn key(text: &str) -> Key {
    let mac = || text.parse().ok().map(Key::Mac);
    let address = || text.parse().ok().map(Key::Address);
    let id = || text.parse().ok().map(Key::Id);
    mac().or_else(address).or_else(id).unwrap_or_else(|| Key::Name(text.parse().unwrap()))
}

/// What the look-up of it would say, as far as an explanation looks at it.
fn found(view: &View, key: &Key, stale: bool) -> LookupReply {
    let held = Scene::new(view, key).is_held();
    let outcome = match (held, stale, key) {
        (true, ..) => Outcome::Found,
        (false, true, Key::Mac(_)) => Outcome::Unavailable,
        (false, ..) => Outcome::Unknown,
    };
    let at = |moment: Moment| crate::snapshot::contract::timestamp(moment.read.started_at);
    let freshness = Freshness {
        generation: view.generation(),
        read_at: view.read.map(at),
        whole_read_at: view.whole.map(at),
        stale,
        ..Freshness::default()
    };
    LookupReply { outcome: outcome.into(), freshness: Some(freshness), ..LookupReply::default() }
}

fn explained(view: &View, text: &str) -> v1::ExplainReply {
    let key = key(text);
    explain(view, &key, found(view, &key, false), Timestamp::from_second(103).unwrap())
}

/// The key, then what it is explained with, in this order; sentences between them are left out here.
const EXPLAINED: [(&str, &[&str]); 21] = [
    (
        "02:00:00:00:00:01",
        &[
            "nid0001 boots: 02:00:00:00:00:01 (x1c0s0b0n0) has 10.0.0.1 and 10.1.0.1; DHCP gives the one that fits where it asks.",
            "Problem (duplicate_address): address 10.0.0.1 is claimed by x1c0s0b0n0 and by x1c0s3b0n0: it stays with x1c0s0b0n0; correct the others in SMD.",
            "SMD has x1c0s0b0n0 as Node, NID 1, role Compute.",
            "10.0.0.1 and 10.1.0.1 are called nid0001.c.local: rule nodes says so; also x1c0s0b0n0.c.local, mgmt0001.mgmt.local and x1c0s0b0n0.mgmt.local.",
            "For 10.1.0.1 its rules say routers 10.1.0.254 and prefix length 16 and boot file a.efi and DHCP options 26.",
            "Rule quiet did not match: x1c0s0b0n0 is not among the ids it wants.",
            "For 10.0.0.1 rule gateways did not match: it wants subnet 10.1.0.0/16, and 10.0.0.1 is not in there.",
            "For 10.1.0.1 rule gateways matched.",
            "Rule nodes matched.",
            "Rules bmcs and switches were not looked at: one before matched and ended it.",
            "SMD was last read 3 s ago, whole 3 s ago (generation 1).",
        ],
    ),
    (
        "02:00:00:00:00:02",
        &[
            "x1c0s0b0 is served: 02:00:00:00:00:02 (x1c0s0b0) has 10.0.0.2.",
            "10.0.0.2 is called x1c0s0b0.c.local: no rule names it, so its xname does; also x1c0s0b0.mgmt.local.",
            "Rule nodes did not match: it wants type Node, and it is NodeBMC.",
            "Rule bmcs did not match: it wants role Compute, and SMD does not say.",
        ],
    ),
    (
        "02:00:00:00:00:10",
        &[
            "DHCP treats 02:00:00:00:00:10 as unknown: SMD ties it to no component.",
            "Problem (no_component): SMD ties interface 02:00:00:00:00:10 to no component: DHCP treats it as unknown.",
            "Rule quiet did not match: it wants certain ids, and SMD ties the interface to none.",
        ],
    ),
    (
        "02:00:00:00:00:11",
        &[
            "DHCP treats 02:00:00:00:00:11 as unknown: it belongs to x7c0s0b0n0, which SMD does not have.",
            "Rule nodes matched.",
        ],
    ),
    (
        "02:00:00:00:00:12",
        &["DHCP treats 02:00:00:00:00:12 as unknown: SMD has no usable address for it (x1c0s1b0n0)."],
    ),
    (
        "02:00:00:00:00:13",
        &[
            "DHCP stays silent to 02:00:00:00:00:13 (x9c0s0b0n0): rule quiet says ignore.",
            "Rule quiet matched.",
        ],
    ),
    (
        "02:00:00:00:00:14",
        &[
            "nid0003 has IPv6 alone: 02:00:00:00:00:14 (x1c0s2b0n0) has fd00::14, and DHCPv4 treats it as unknown.",
        ],
    ),
    (
        "02:00:00:00:00:15",
        &[
            "DHCP treats 02:00:00:00:00:15 as unknown: others have what it claims, so that no address is left for it (x1c0s3b0n0).",
            "Problem (duplicate_address): address 10.0.0.1 is claimed by x1c0s0b0n0 and by x1c0s3b0n0: it stays with x1c0s0b0n0; correct the others in SMD.",
        ],
    ),
    (
        "02:00:00:00:00:16",
        &[
            "x1c0s4b0n0 boots: 02:00:00:00:00:16 (x1c0s4b0n0) has 10.0.0.16.",
            "Problem (duplicate_name): name nid0077.c.local is claimed by x1c0s4b0n0, x1c0s5b0n0: nobody gets it, all are called by their xnames; are their NIDs right?",
            "10.0.0.16 is called x1c0s4b0n0.c.local: rule nodes would call it nid0077.c.local, which it does not get; also x1c0s4b0n0.mgmt.local.",
        ],
    ),
    (
        "02:00:00:00:00:18",
        &[
            "x1c0s6b0n0 boots: 02:00:00:00:00:18 (x1c0s6b0n0) has 10.0.0.18.",
            "Problem (no_nid): x1c0s6b0n0 has no NID, which the pattern of its name needs: it is called by its xname.",
            "10.0.0.18 is called x1c0s6b0n0.c.local: rule nodes needs a NID, which it does not have; also x1c0s6b0n0.mgmt.local.",
        ],
    ),
    (
        "02:00:00:00:00:03",
        &[
            "DHCP treats 02:00:00:00:00:03 as unknown: SMD was read 3 s ago and does not have it.",
            "SMD has 02:00:00:00:00:01 (x1c0s0b0n0): is 02:00:00:00:00:03 another port of it?",
            "SMD was last read 3 s ago, whole 3 s ago (generation 1).",
        ],
    ),
    (
        "02:00:00:00:77:0f",
        &[
            "DHCP treats 02:00:00:00:77:0f as unknown: SMD was read 3 s ago and does not have it.",
            "A record was refused that looks like it: interface '02000000770g': '02:00:00:00:77:0g' is not a MAC: 12 hexadecimal digits, with colons, dashes, dots or nothing between them.",
        ],
    ),
    (
        "03:00:00:00:00:20",
        &[
            "DHCP treats 03:00:00:00:00:20 as unknown: SMD was read 3 s ago and does not have it; a record that may be it was refused.",
            "Problem (unusable_mac): 03:00:00:00:00:20 is all zeros or a group address: no machine can have it.",
        ],
    ),
    (
        "10.0.0.1",
        &[
            "10.0.0.1 belongs to 02:00:00:00:00:01 (x1c0s0b0n0).",
            "Problem (duplicate_address): address 10.0.0.1 is claimed by x1c0s0b0n0 and by x1c0s3b0n0: it stays with x1c0s0b0n0; correct the others in SMD.",
        ],
    ),
    (
        "10.9.0.1",
        &[
            "Nobody has 10.9.0.1: SMD was read 3 s ago and no machine holds it.",
            "SMD has no address at all in its /24.",
        ],
    ),
    (
        "mgmt0001.mgmt.local",
        &[
            "mgmt0001.mgmt.local is x1c0s0b0n0: 10.0.0.1 and 10.1.0.1.",
            "nid0001 boots: 02:00:00:00:00:01 (x1c0s0b0n0) has 10.0.0.1 and 10.1.0.1; DHCP gives the one that fits where it asks.",
        ],
    ),
    (
        "nid0077.c.local",
        &[
            "Nobody is called nid0077.c.local: no machine that SMD had 3 s ago bears the name; several claim it, so none of them gets it.",
        ],
    ),
    (
        "nid0001.other",
        &[
            "Nobody is called nid0001.other: no machine that SMD had 3 s ago bears the name.",
            "nid0001.other is in no zone of ours; those are c.local, mgmt.local.",
            "nid0001.c.local exists: it is x1c0s0b0n0.",
        ],
    ),
    (
        "x1c0s7b0n0",
        &[
            "x1c0s7b0n0 has no interface in SMD: DHCP knows no MAC of it, and its names have no address.",
            "x1c0s7b0n0 is called nid0008.c.local: rule nodes says so; also x1c0s7b0n0.c.local, mgmt0008.mgmt.local and x1c0s7b0n0.mgmt.local.",
        ],
    ),
    (
        "x7c0s0b0n0",
        &[
            "SMD had no component x7c0s0b0n0 when it was read 3 s ago.",
            "Interface 02:00:00:00:00:11 of SMD belongs to it all the same.",
        ],
    ),
    (
        "x1c0s0b0n1",
        &[
            "SMD had no component x1c0s0b0n1 when it was read 3 s ago.",
            "SMD has x1c0s0b0 (NodeBMC), which it would be part of.",
        ],
    ),
];

#[test]
fn an_operator_is_told_the_verdict_first_and_then_why() {
    let view = scene();
    for (key, wanted) in EXPLAINED {
        let text = explained(&view, key).text;
        assert_eq!(text[0], wanted[0], "{key}");
        let mut rest = text.iter();
        for sentence in wanted {
            assert!(
                rest.any(|said| said == sentence),
                "'{sentence}' is not there in its place, for {key}: {text:#?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_told_is_not_called_unknown() {
    let now = Timestamp::from_second(1_000).unwrap();
    let said = |view: &View, text: &str| {
        let key = key(text);
        explain(view, &key, found(view, &key, true), now).text
    };
    let nothing = View::default();
    for (key, consequence) in [
        ("02:00:00:00:00:01", "DHCP stays silent to it"),
        ("10.0.0.1", "DNS answers SERVFAIL"),
        ("nid0001.c.local", "DNS answers SERVFAIL"),
        ("x1c0s0b0n0", "nothing is known"),
    ] {
        let wanted =
            format!("It cannot be told whether SMD has {key}: SMD was never read. Until then {consequence}.");
        assert_eq!(said(&nothing, key), [wanted.as_str(), "SMD was never read."]);
    }
    let view = scene();
    assert_eq!(
        said(&view, "02:00:00:00:01:01")[0],
        "It cannot be told whether SMD has 02:00:00:00:01:01, so DHCP stays silent: SMD was last read whole 15 min ago, which is too long to say that it does not."
    );
    let old =
        "All this may be old: SMD was last read whole 15 min ago, and anything 15 min ago (generation 1).";
    assert_eq!(said(&view, "02:00:00:00:00:02").last().map(String::as_str), Some(old));
}

#[test]
fn a_component_with_thousands_of_interfaces_is_explained_within_bounds() {
    let many = (0..5_000).map(|number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        let (mac, address) = (format!("02:00:00:00:{high:02x}:{low:02x}"), format!("10.1.{high}.{low}"));
        interface(&format!("{mac} x1c0s0b0n0 {address}"))
    });
    let view = view(RULES, many.collect(), vec![component("x1c0s0b0n0 Node 1")]);
    let key = key("x1c0s0b0n0");
    let interface = || v1::Interface::default();
    let all =
        LookupReply { interfaces: (0..5_000).map(|_| interface()).collect(), ..found(&view, &key, false) };
    let reply = explain(&view, &key, all, Timestamp::from_second(103).unwrap());
    assert_eq!(reply.found.unwrap().interfaces.len(), MAX_INTERFACES);
    assert_eq!(reply.rules.len(), MAX_INTERFACES * 2 * 5);
    assert!(reply.text.len() <= MAX_SENTENCES);
    let left_out = format!("{} more interfaces of it are left out here.", 5_000 - MAX_INTERFACES);
    assert!(reply.text.contains(&left_out), "{:#?}", reply.text);
}

#[test]
fn keys_are_parsed_or_refused_with_a_sentence() {
    let of = |key| Key::of(&v1::ExplainRequest { key });
    assert_eq!(of(Some(explain_request::Key::Mac("0200.0000.0001".into()))), Ok(key("02:00:00:00:00:01")));
    assert_eq!(of(Some(explain_request::Key::Address("::ffff:10.0.0.1".into()))), Ok(key("10.0.0.1")));
    assert_eq!(
        of(Some(explain_request::Key::Name("NID0001.C.local.".into()))),
        Ok(Key::Name("nid0001.c.local".parse().unwrap()))
    );
    assert_eq!(of(Some(explain_request::Key::Id("X1C0S0B0N0".into()))), Ok(key("x1c0s0b0n0")));
    assert_eq!(of(None), Err("say what to explain: one of mac, address, name, id".into()));
    for bad in [explain_request::Key::Mac("x".into()), explain_request::Key::Id("nid-1".into())] {
        assert!(of(Some(bad)).unwrap_err().contains("is not a"));
    }
}

#[test]
fn a_word_is_not_mentioned_by_a_longer_one() {
    for (sentence, word, is) in [
        ("address 10.0.0.1 is claimed", "10.0.0.1", true),
        ("address 10.0.0.11 is claimed", "10.0.0.1", false),
        ("address 110.0.0.1 is claimed", "10.0.0.1", false),
        ("fd00::1 is claimed", "fd00::1", true),
        ("fd00::1:2 is claimed", "fd00::1", false),
        ("by x1c0s0b0n0: it stays", "x1c0s0b0n0", true),
        ("by x1c0s0b0n0: it stays", "x1c0s0b0", false),
        ("'02:00:00:00:00:01' is", "02:00:00:00:00:01", true),
        ("name a.c.local.", "a.c.local", true),
        ("name b.a.c.local.", "a.c.local", false),
    ] {
        assert_eq!(concern::mentions(sentence, word), is, "{word} in {sentence}");
    }
}

#[test]
fn names_by_network_are_explained() {
    let rules = r#"
domain: c.local
rules: [{name: nics, match: {type: Node}, hostname: "nid{04d}-{nic}"}]
zones: [{name: hsn.c.local, network: HSN, nodes: "nid{04d}"}]
"#;
    let rows = ["02:00:00:00:00:01 x1c0s0b0n0 10.0.0.1,10.0.0.2", "02:00:00:00:00:02 x1c0s0b0n0 10.1.0.1"];
    let mut rows: Vec<Value> = rows.into_iter().map(interface).collect();
    rows[0]["IPAddresses"][0]["Network"] = json!("NMN");
    rows[1]["IPAddresses"][0]["Network"] = json!("HSN");
    let view = view(rules, rows, vec![component("x1c0s0b0n0 Node 1 Compute")]);
    let text = explained(&view, "x1c0s0b0n0").text;
    for wanted in [
        "10.0.0.1 is called nid0001-nmn0.c.local: rule nics says so; also x1c0s0b0n0.c.local.",
        "10.0.0.2 is called x1c0s0b0n0.c.local: rule nics needs a network that can be in a name.",
        "10.1.0.1 is called nid0001-hsn0.c.local: rule nics says so; also x1c0s0b0n0.c.local, nid0001.hsn.c.local and x1c0s0b0n0.hsn.c.local.",
        "Zone hsn.c.local is for network HSN: 10.0.0.1 and 10.0.0.2 are not named there.",
        "Problem (no_network): SMD names no network for an address of x1c0s0b0n0, which the pattern of its name needs: it is called by its xname there.",
    ] {
        assert!(text.iter().any(|sentence| sentence == wanted), "{wanted}\n{text:#?}");
    }
}

const MANY_RULES: &str = r#"
domain: c.local
rules:
  - {name: a, match: {subnet: 10.0.0.0/30}, routers: [10.0.0.254], continue: true}
  - {name: b, match: {role: Compute}, hostname: "c{04d}", continue: true}
  - {name: c, match: {id_set: "x0c0s[0-1]b0n0"}, hostname: "n{04d}"}
  - {name: d, match: {type: NodeBMC}, hostname: "bmc{04d}"}
  - {name: e, match: {type: Node, subnet: fd00::/16}, ignore: true}
  - {name: n, match: {type: Node, network: [HSN, N_M]}, hostname: "nid{04d}-{nic}", domain: n.local}
  - {name: f, match: {type: Node}, hostname: "nid{04d}"}
zones: [{name: n.local, network: HSN}]
"#;

proptest! {
    /// Whatever SMD holds: what an explanation says matched is what the picture was built with, and a name that rules give is
    /// borne, unless a problem says why not.
    #[test]
    fn an_explanation_says_what_was_built(
        interfaces in prop::collection::vec((0u8..12, 0u8..6, 0u8..3, 0u8..8, any::<bool>()), 0..12),
        components in prop::collection::vec((0u8..5, 0u8..3, prop::option::of(0u8..4), any::<bool>()), 0..8),
    ) {
        let id = |slot: u8, kind: u8| match kind {
            0 => format!("x0c0s{slot}b0n0"),
            1 => format!("x0c0s{slot}b0"),
            _ => "-".to_owned(),
        };
        let rows = interfaces.iter().map(|(mac, slot, kind, last, six)| {
            let address = if *six { format!("fd00::{last}") } else { format!("10.0.0.{last}") };
            let line = format!("02:00:00:00:00:{mac:02x} {} {address},10.0.0.{}", id(*slot, *kind), last + 1);
            let mut row = interface(&line);
            row["IPAddresses"][0]["Network"] = json!(["", "HSN", "hsn", "N_M"][usize::from(last % 4)]);
            row["Description"] = json!(["", "HSN1"][usize::from(mac % 2)]);
            row
        });
        let owners = components.iter().map(|(slot, kind, nid, compute)| {
            let kind = kind % 2;
            let mut one = component(&format!("{} {}", id(*slot, kind), if kind == 0 { "Node" } else { "NodeBMC" }));
            if let Some(nid) = nid {
                one["NID"] = json!(nid);
            }
            one["Role"] = json!(if *compute { "Compute" } else { "" });
            one
        });
        let view = view(MANY_RULES, rows.collect(), owners.collect());
        let snapshot = view.snapshot.clone().unwrap();
        for interface in snapshot.interfaces() {
            let key = Key::Mac(interface.mac);
            let reply = explain(&view, &key, found(&view, &key, false), Timestamp::from_second(103).unwrap());
            let matched = |address: &str| -> Vec<String> {
                let own = reply.rules.iter().filter(|trace| trace.address == address && trace.matched);
                own.map(|trace| trace.rule.clone()).collect()
            };
            prop_assert_eq!(matched(""), interface.policy.rules.clone());
            for address in &interface.addresses {
                prop_assert_eq!(matched(&address.address.to_string()), address.policy.rules.clone());
            }
            let scene = Scene::new(&view, &key);
            for judged in scene.judge() {
                let Some(wish::Wish::Name(name)) = wish::wish(&scene, &judged) else { continue };
                let Some(is) = judged.address.and_then(|address| address.fqdn.as_ref()) else { continue };
                let contested = view.problems.iter().any(|problem| problem.name.as_ref() == Some(&name));
                prop_assert!(*is == name || contested, "{} is not {}", is, name);
            }
        }
    }
}

//! What the system we replace was asked, as far as naming and policy decide the answer: every judged DHCPv4 reply and every
//! judged DNS answer, from SMD's records and the configuration files alone.
#![allow(clippy::unwrap_used)] // all of it is a test

use config::Config;
use jiff::Timestamp;
use serde_json::Value;
use smd_cache::{
    naming::Naming,
    records::{Problem, Read, Records, decode_components, decode_interfaces},
    snapshot::{Bearer, Snapshot, build},
};
use std::net::{IpAddr, Ipv4Addr};
use values::{Mac, Name};

fn golden(file: &str) -> String {
    let path = format!("{}/../lib/testkit/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn cases(file: &str) -> Vec<Value> {
    golden(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn snapshot(inventory: &str, config: &Config) -> (Snapshot, Vec<Problem>) {
    let inventory: Value = serde_json::from_str(&golden(inventory)).unwrap();
    let components = match &inventory["Components"] {
        list @ Value::Array(_) => serde_json::json!({ "Components": list }),
        whole => whole.clone(),
    };
    let mut records = Records::new();
    let read = |sequence| Read { sequence, started_at: Timestamp::UNIX_EPOCH };
    let interfaces = decode_interfaces(inventory["EthernetInterfaces"].to_string().as_bytes()).unwrap();
    records.apply_whole_interfaces(read(1), interfaces);
    records.apply_whole_components(read(2), decode_components(components.to_string().as_bytes()).unwrap());
    build(&records, &Naming::from_config(config), None, Timestamp::UNIX_EPOCH)
}

fn mask(prefix: u8) -> String {
    format!("{:08x}", u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

/// Name, mask and routers of each judged reply to one of SMD's machines, against its address in the snapshot.
fn check_reply(case: &str, snapshot: &Snapshot, config: &Config, step: &Value) -> bool {
    let ours = &step["ours"];
    let Some(address) = ours["fields"]["yiaddr"].as_str().and_then(|text| text.parse::<Ipv4Addr>().ok())
    else {
        return false;
    };
    let hex = step["send"]["hex"].as_str().unwrap();
    if address.is_unspecified() || hex.len() < 68 {
        return false;
    }
    let mac: Mac = hex[56..68].parse().unwrap();
    let interface = snapshot.interface(mac).unwrap_or_else(|| panic!("{case}: {mac}"));
    let entry = interface.addresses.iter().find(|entry| entry.address == IpAddr::V4(address));
    let entry = entry.unwrap_or_else(|| panic!("{case}: {mac} {address}"));
    let v4 = config.dhcpd.v4.as_ref().unwrap();
    if let Some(name) = ours["options"]["12"].as_str() {
        let fqdn = entry.fqdn.as_ref().unwrap().as_str();
        let hex: String = fqdn.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, name, "{case}: {fqdn}");
    }
    if let Some(expected) = ours["options"]["1"].as_str() {
        let prefix = entry.policy.prefix_length.or(v4.netmask).unwrap();
        assert_eq!(mask(prefix), expected, "{case}: mask");
    }
    if let Some(expected) = ours["options"]["3"].as_str() {
        let routers = if entry.policy.routers.is_empty() { &v4.router } else { &entry.policy.routers };
        let hex: String = routers.iter().map(|router| format!("{:08x}", u32::from(*router))).collect();
        assert_eq!(hex, expected, "{case}: routers");
    }
    assert!(!entry.policy.ignore && !interface.policy.ignore, "{case}: answered");
    true
}

#[test]
fn every_judged_dhcpv4_reply_has_our_name_mask_and_routers() {
    let cases = cases("dhcp4.jsonl");
    let mut checked = 0;
    for config_name in "basic domains example no-rules overlap patterns policy relay widemask".split(' ') {
        let config = config::parse(&golden(&format!("configs/{config_name}.yaml"))).unwrap();
        let (snapshot, _) = snapshot("inventory.json", &config);
        for case in cases.iter().filter(|case| case["config"] == config_name) {
            let name = format!("{config_name}/{}", case["name"].as_str().unwrap());
            for step in case["steps"].as_array().unwrap() {
                checked += usize::from(check_reply(&name, &snapshot, &config, step));
            }
        }
    }
    assert!(checked > 60, "{checked} replies");
}

#[test]
fn ignored_machines_are_ignored_with_and_without_addresses() {
    let config = config::parse(&golden("configs/policy.yaml")).unwrap();
    let (snapshot, _) = snapshot("inventory.json", &config);
    let ignored = snapshot.interfaces().filter(|interface| interface.policy.ignore);
    let macs: Vec<String> = ignored.map(|interface| interface.mac.to_string()).collect();
    assert_eq!(macs, ["02:00:00:00:01:0a", "02:00:00:00:02:11", "02:00:00:00:02:13"]);
}

#[test]
fn what_is_odd_in_the_dhcp_scene_is_reported() {
    let config = config::parse(&golden("configs/basic.yaml")).unwrap();
    let (snapshot, problems) = snapshot("inventory.json", &config);
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            format!(
                "{} {}",
                problem.reason.label(),
                problem.mac.map(|mac| mac.to_string()).unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "bad_address 02:00:00:00:01:18",
            "empty_address 02:00:00:00:01:05",
            "empty_address 02:00:00:00:01:16",
            "no_component 02:00:00:00:03:01",
            "no_component 02:00:00:00:03:02",
            "no_nid ",
            "no_nid ",
        ],
        "{problems:#?}"
    );
    let counts = snapshot.counts();
    assert_eq!((counts.interfaces, counts.components, counts.servable_interfaces), (25, 22, 21));
    let without_nid = snapshot.interface("02:00:00:00:01:15".parse().unwrap()).unwrap();
    assert_eq!(without_nid.addresses[0].fqdn.as_ref().unwrap().as_str(), "x1000c0s5b0n0.openchami.cluster");
}

/// All addresses a name has.
fn addresses(snapshot: &Snapshot, name: &Name) -> Option<Vec<IpAddr>> {
    match snapshot.by_name(name) {
        Bearer::Nobody => None,
        Bearer::Parent => Some(Vec::new()),
        Bearer::Component(_, interfaces) => {
            let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
            Some(addresses.filter(|address| address.bears(name)).map(|address| address.address).collect())
        }
    }
}

fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let labels: Vec<&str> = labels.split('.').rev().collect();
        return labels.join(".").parse().ok().filter(|_| labels.len() == 4);
    }
    let labels: String = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    let groups: Vec<&str> =
        labels.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(":").parse().ok()
}

#[test]
fn every_judged_dns_answer_follows_from_the_snapshot() {
    let config = config::parse(&golden("dns-config.yaml")).unwrap();
    let (snapshot, _) = snapshot("dns-inventory.json", &config);
    let zones: Vec<Name> = snapshot.zones().iter().map(|zone| zone.name.clone()).collect();
    let mut checked = 0;
    for case in cases("dns.jsonl") {
        let question = case["query"]["text"].as_str().unwrap().split("] ").nth(1).unwrap_or("");
        let mut words = question.split(' ');
        let (Some(Ok(name)), Some("IN"), Some(kind)) =
            (words.next().map(str::parse::<Name>), words.next(), words.next())
        else {
            continue;
        };
        let Some(rcode) =
            case["ours"]["rcode"].as_str().filter(|rcode| ["NOERROR", "NXDOMAIN"].contains(rcode))
        else {
            continue;
        };
        if case["when"] == "smd_never" || zones.contains(&name) || !zones.iter().any(|zone| name.is_in(zone))
        {
            continue;
        }
        let why = case["name"].as_str().unwrap();
        if name.as_str().ends_with(".arpa") {
            let Some(address) = reverse(name.as_str()) else { continue };
            let canonical = snapshot.by_address(address).next().and_then(|interface| {
                interface.addresses.iter().find(|entry| entry.address == address)?.names.first().cloned()
            });
            assert_eq!(canonical.is_some(), rcode == "NOERROR", "{why}");
            if let Some(record) = case["ours"]["answer"][0].as_str() {
                let target = record.rsplit(' ').next().unwrap();
                assert_eq!(canonical.map(|name| format!("{name}.")).as_deref(), Some(target), "{why}");
            }
        } else {
            let held = addresses(&snapshot, &name);
            assert_eq!(held.is_some(), rcode == "NOERROR", "{why}: {name} {held:?}");
            if let (Some(held), "A" | "AAAA", Some(answer)) = (held, kind, case["ours"]["answer"].as_array())
            {
                let mut expected: Vec<IpAddr> = answer
                    .iter()
                    .filter_map(|record| record.as_str()?.rsplit(' ').next()?.parse().ok())
                    .collect();
                let mut held: Vec<IpAddr> =
                    held.into_iter().filter(|address| address.is_ipv4() == (kind == "A")).collect();
                expected.sort();
                held.sort();
                assert_eq!(held, expected, "{why}");
            }
        }
        checked += 1;
    }
    assert!(checked > 70, "{checked} answers");
}

#[test]
fn what_dns_md_leaves_to_us_is_decided() {
    let config = config::parse(&golden("dns-config.yaml")).unwrap();
    let (snapshot, problems) = snapshot("dns-inventory.json", &config);
    let named = |name: &str| {
        addresses(&snapshot, &name.parse().unwrap())
            .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    // Two nodes have NID 13: nobody is nid0013.
    assert_eq!(named("nid0013.cluster.local"), None);
    assert_eq!(named("x1000c0s6b0n0.cluster.local"), Some(vec!["172.16.0.13".to_owned()]));
    // Two nodes have 172.16.0.8, learnt at the same time: the lower xname keeps it.
    assert_eq!(named("nid0008.cluster.local"), Some(vec!["172.16.0.8".to_owned()]));
    assert_eq!(named("nid0009.cluster.local"), Some(vec!["172.16.0.9".to_owned()]));
    // No rule names this type: it has its xname.
    assert_eq!(named("x3000m0.cluster.local"), Some(vec!["172.16.2.4".to_owned()]));
    // A node without address exists.
    assert_eq!(named("nid0006.cluster.local"), Some(vec![]));
    let mut reasons: Vec<&str> = problems.iter().map(|problem| problem.reason.label()).collect();
    reasons.dedup();
    assert_eq!(
        reasons,
        ["bad_address", "empty_address", "no_component", "duplicate_address", "duplicate_name"]
    );
}

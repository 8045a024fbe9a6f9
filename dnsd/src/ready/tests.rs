use super::*;
use crate::{
    files::{Files, Hosts},
    fixture::{CONFIG, answer as decided, component, config, interface, query, replica, text},
    wire::Transport,
};
use config::Config;
use proptest::{prelude::*, test_runner::TestCaseError};
use proto::v1;

fn with_texts() -> String {
    format!("{CONFIG}  node_txt: true\n")
}

/// Every name the fixture's zones hold, and some near them that they do not.
fn names(zones: &Zones) -> Vec<String> {
    let text = |wire: &[u8]| crate::wire::text(wire) + ".";
    let held: Vec<String> =
        zones.iter().flat_map(|zone| zones.ready.nodes_of(zone)).map(|(name, _)| text(name)).collect();
    let below = held.iter().flat_map(|name| [format!("nope.{name}"), format!("a.b.c.{name}")]);
    let odd = [
        "cluster.local.x.",
        "local.",
        ".",
        "example.com.",
        "xcluster.local.",
        "NiD0001.CLUSTER.local.",
        "300.0.16.172.in-addr.arpa.",
        "02.0.16.172.in-addr.arpa.",
        "g.0.0.ip6.arpa.",
        "a.b.c.d.e.f.g.h.i.j.cluster.local.",
    ];
    below.chain(held.iter().cloned()).chain(odd.map(str::to_owned)).collect()
}

const KINDS: [&str; 12] =
    ["A", "AAAA", "PTR", "TXT", "CNAME", "SOA", "NS", "MX", "SRV", "ANY", "HTTPS", "AXFR"];

/// OPT variants: none, plain, small, with an option, with DO, of version 1.
fn with_opt(mut query: Vec<u8>, variant: usize) -> Vec<u8> {
    let opt: &[u8] = match variant {
        0 => return query,
        1 => &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0],
        2 => &[0, 0, 41, 0, 10, 0, 0, 0, 0, 0, 0],
        3 => &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
        4 => &[0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0],
        5 => &[0, 0, 41, 16, 0, 0, 1, 0, 0, 0, 0],
        _ => &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 5, 0, 10, 0, 8, 1],
    };
    query[11] += 1;
    query.extend_from_slice(opt);
    query
}

#[test]
fn what_is_answered_in_place_is_what_would_be_decided() {
    let (replica, config) = (replica(), config(&with_texts()));
    let zones = Zones::build(&config, &replica, 1000);
    let (mut in_place, mut all) = (0, 0);
    for name in names(&zones) {
        for (number, kind) in KINDS.iter().enumerate() {
            let bytes = with_opt(query(&format!("{name} {kind}")), (number + name.len()) % 7);
            for transport in [Transport::Udp, Transport::Tcp] {
                let mut out = Vec::new();
                let placed = answer(&zones, &bytes, transport, &mut out);
                let wanted = decided(&zones, &replica, &bytes, transport);
                all += 1;
                let Some(placed) = placed else { continue };
                in_place += 1;
                assert_eq!(Some(&out), wanted.as_ref(), "{name} {kind}");
                assert_eq!(u16::from(out[3] & 0xf), placed.rcode.code());
                assert_eq!(
                    placed.slot,
                    zones
                        .find(crate::wire::read(&bytes).unwrap().question.unwrap().name.as_bytes())
                        .unwrap()
                        .slot
                );
            }
        }
    }
    assert!(in_place * 5 > all, "most of what machines ask is answered in place: {in_place} of {all}");
}

#[test]
fn what_machines_ask_all_the_time_is_answered_in_place() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    for question in [
        "nid0001.cluster.local. A",
        "nid0001.cluster.local. AAAA",
        "nid0001.cluster.local. HTTPS",
        "nope.cluster.local. A",
        "x1000c0s2b0n0.lab.test. AAAA",
        "1.0.16.172.in-addr.arpa. PTR",
        "9.0.16.172.in-addr.arpa. PTR",
        "smd.cluster.local. A",
        "rack.lab.test. A",
        "cluster.local. A",
    ] {
        for variant in [0, 1, 3, 4] {
            let placed = answer(&zones, &with_opt(query(question), variant), Transport::Udp, &mut Vec::new());
            assert!(placed.is_some(), "{question}, OPT {variant}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_differ(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0..40usize) {
        let replica = replica();
        let zones = Zones::build(&config(CONFIG), &replica, 1000);
        let mut mangled = with_opt(query("nid0001.cluster.local. A"), 3);
        let at = at.min(mangled.len());
        let end = (at + bytes.len() % 4).min(mangled.len());
        mangled.splice(at..end, bytes.iter().copied().take(4));
        for bytes in [bytes, mangled] {
            let mut out = Vec::new();
            if answer(&zones, &bytes, Transport::Udp, &mut out).is_some() {
                prop_assert_eq!(Some(out), decided(&zones, &replica, &bytes, Transport::Udp));
            }
        }
    }
}

/// A machine and the last octets of its addresses; none: it goes.
type Step = (u8, Vec<u8>, bool);

fn change(steps: &[Step], generation: u64) -> v1::Change {
    let mut change = v1::Change {
        freshness: Some(v1::Freshness { instance: "test".into(), generation, ..Default::default() }),
        zones: vec![v1::Zone { name: "cluster.local".into(), serial: generation as u32 }],
        ..Default::default()
    };
    for (number, addresses, component_too) in steps {
        let addresses: Vec<String> = addresses
            .iter()
            .map(|last| match last % 4 {
                0 => format!("fd00:{}::{last}", last % 3),
                network => format!("10.{network}.0.{last}"),
            })
            .collect();
        let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let number = u32::from(*number);
        match texts.is_empty() {
            true => change.removed_macs.push(interface(number, &[]).mac),
            false => change.put_interfaces.push(interface(number, &texts)),
        }
        match component_too {
            true => {
                let role = format!("role-{}", generation % 3);
                change.put_components.push(v1::Component { role, ..component(number) });
            }
            false => change.removed_ids.push(component(number).id),
        }
    }
    change
}

/// Configurations of the same site, one after the other.
fn variants() -> Vec<Config> {
    // Zones come and go around what stands in them.
    let more = "    - \"77.0.1.10.in-addr.arpa. PTR smd\"\n    - \"78.0.2.10.in-addr.arpa. PTR smd\"\n";
    let plain = format!("{CONFIG}{more}");
    let zones = |more: &str| plain.replace("zones:\n", &format!("zones:\n{more}"));
    let texts = [
        format!("{plain}  node_txt: true\n"),
        format!("{plain}  node_txt: true\n  ptr: xname\n"),
        zones("  - {name: 1.10.in-addr.arpa}\n  - {name: inner.cluster.local}\n"),
        zones("  - {name: 5.0.2.10.in-addr.arpa}\n  - {name: new.test, missing: forward}\n"),
        format!("{plain}    - \"inner NS ns.inner\"\n    - \"nid0002.lab.test. CNAME smd\"\n"),
    ];
    texts.iter().map(|text| config(text)).collect()
}

/// A configuration, and what changes in the inventory.
type Round = (usize, Vec<Step>);

proptest! {
    /// The incremental one against the one made from nothing, and in place against decided.
    #[test]
    fn after_any_changes_it_is_as_if_made_anew(
        rounds in prop::collection::vec(
            (0..9usize, prop::collection::vec((0..12u8, prop::collection::vec(any::<u8>(), 0..3), any::<bool>()), 1..6)),
            1..6,
        )
    ) {
        as_if_made_anew(&rounds)?;
    }
}

fn as_if_made_anew(rounds: &[Round]) -> Result<(), TestCaseError> {
    let variants = variants();
    let mut replica = replica();
    // What SMD says takes its place, and gives it back.
    let hosts =
        "10.1.0.1 nid0001 a\n10.2.0.2 nid0002\nfd00:1::4 nid0003\n192.0.2.1 b\n10.3.0.9 far.example.com\n";
    let (hosts, _) = Hosts::parse(hosts, variants[0].domain.as_ref());
    let files = Files { zones: Vec::new(), hosts: hosts.into() };
    let mut zones = Zones::with_files(None, &variants[0], &files, &replica, 1000);
    for (generation, (variant, round)) in (2..).zip(rounds) {
        replica.change(change(round, generation), true);
        // Mostly the first one.
        let config = variants.get(*variant).unwrap_or(&variants[0]);
        let next = Zones::with_files(Some(&zones), config, &files, &replica, 1000);
        let anew = Zones::with_files(None, config, &files, &replica, 1000);
        prop_assert_eq!(listed(&next), listed(&anew));
        prop_assert_eq!(next.ready.len(), anew.ready.len());
        for zone in next.iter() {
            let same = anew.zone(&zone.apex).unwrap();
            prop_assert_eq!(next.ready.digest(zone), anew.ready.digest(same), "digest of {:?}", zone.apex);
        }
        for (number, name) in names(&next).iter().enumerate().skip(generation as usize % 4).step_by(4) {
            let bytes = query(&format!("{name} {}", KINDS[number / 4 % 4]));
            let mut out = Vec::new();
            if answer(&next, &bytes, Transport::Udp, &mut out).is_some() {
                prop_assert_eq!(Some(out), decided(&next, &replica, &bytes, Transport::Udp), "{}", name);
            }
        }
        zones = next;
    }
    Ok(())
}

/// All names and what stands there.
fn listed(zones: &Zones) -> Vec<String> {
    let of_zone = |zone| {
        let line = |(name, node): (&[u8], Node)| format!("{name:?} {:?}", node.sets().collect::<Vec<_>>());
        zones.ready.nodes_of(zone).map(line).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = zones
        .iter()
        .flat_map(|zone| of_zone(zone).into_iter().map(move |line| format!("{:?} {line}", zone.apex)))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_burst_is_answered_as_its_queries_are_one_by_one() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let names = names(&zones);
    let queries: Vec<Vec<u8>> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let mut bytes = with_opt(query(&format!("{name} {}", KINDS[number % KINDS.len()])), number % 7);
            bytes.truncate(bytes.len() - number % 5 / 4);
            bytes
        })
        .collect();
    let mut burst = Burst::default();
    for queries in queries.chunks(100) {
        burst.read(&zones, queries.iter().map(Vec::as_slice));
        for (number, query) in queries.iter().enumerate() {
            let (mut together, mut alone) = (Vec::new(), Vec::new());
            let one = burst.answer(number, &zones, query, Transport::Udp, &mut together);
            assert_eq!(one, answer(&zones, query, Transport::Udp, &mut alone));
            assert_eq!(together, alone);
        }
        assert_eq!(burst.answer(queries.len(), &zones, &queries[0], Transport::Udp, &mut Vec::new()), None);
    }
}

#[test]
fn records_in_a_zone_of_known_addresses_come_and_go_with_it() {
    let config = config(&format!("{CONFIG}    - \"77.0.1.10.in-addr.arpa. PTR smd\"\n"));
    let mut replica = replica();
    let mut zones = Zones::build(&config, &replica, 1000);
    let name = to_wire(&"77.0.1.10.in-addr.arpa".parse().unwrap());
    // The last zone takes the number of the one before it.
    for (generation, address, wanted) in [(2, 1, true), (3, 2, false), (4, 1, true)] {
        replica.change(change(&[(7, vec![address], true)], generation), true);
        zones = Zones::after(Some(&zones), &config, &replica, 1000);
        assert_eq!(zones.ready.node(&name).is_some(), wanted, "generation {generation}");
        let bytes = query("77.0.1.10.in-addr.arpa. TXT");
        let mut out = Vec::new();
        if answer(&zones, &bytes, Transport::Udp, &mut out).is_some() {
            assert_eq!(Some(out), decided(&zones, &replica, &bytes, Transport::Udp));
        }
    }
}

#[test]
fn addresses_lead_back_to_xnames_where_that_is_wanted_and_after_a_reload() {
    let replica = replica();
    let configs = [CONFIG.to_owned(), format!("{CONFIG}  ptr: xname\n")].map(|text| config(&text));
    let mut zones = Zones::build(&configs[0], &replica, 1000);
    for (number, wanted) in
        [(0, "nid0001.cluster.local."), (1, "x1000c0s1b0n0.cluster.local."), (0, "nid0001.cluster.local.")]
    {
        zones = Zones::after(Some(&zones), &configs[number], &replica, 1000);
        let bytes = query("1.0.16.172.in-addr.arpa. PTR");
        let mut placed = Vec::new();
        answer(&zones, &bytes, Transport::Udp, &mut placed).unwrap();
        let slowly = decided(&zones, &replica, &bytes, Transport::Udp).unwrap();
        let wanted = format!("NoError aa; 1.0.16.172.in-addr.arpa. 60 PTR {wanted}");
        assert_eq!([text(&placed), text(&slowly)], [wanted.clone(), wanted]);
        let anew = Zones::build(&configs[number], &replica, 1000);
        for zone in zones.iter() {
            assert_eq!(zones.ready.digest(zone), anew.ready.digest(anew.zone(&zone.apex).unwrap()));
        }
    }
}

#[test]
fn zones_of_known_addresses_take_up_other_name_servers() {
    let with_domain = |domain| {
        let zones = ["a.test", "b.test", "cluster.local", "lab.test", "16.172.in-addr.arpa"];
        // All but those of known addresses have name servers of their own.
        let records = zones.map(|zone| format!("'{zone}. NS ns.{zone}.'")).join(", ");
        let zones = zones.map(|zone| format!("{{name: {zone}}}")).join(", ");
        config(&format!("domain: {domain}\nzones: [{zones}]\ndnsd: {{records: [{records}]}}\n"))
    };
    let replica = replica();
    let before = Zones::build(&with_domain("a.test"), &replica, 1000);
    let after = Zones::after(Some(&before), &with_domain("b.test"), &replica, 1000);
    let anew = Zones::build(&with_domain("b.test"), &replica, 1000);
    let apex = to_wire(&"8.9.10.in-addr.arpa".parse().unwrap());
    let sets = |zones: &Zones| format!("{:?}", zones.ready.node(&apex).unwrap().sets().collect::<Vec<_>>());
    assert_eq!(sets(&after), sets(&anew));
    let digest = |zones: &Zones| zones.ready.digest(zones.zone(&apex).unwrap());
    assert_eq!(digest(&after), digest(&anew));
}

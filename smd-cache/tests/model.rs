//! A model of naming and snapshot: what SMD holds decides the snapshot, not how it was learnt.
//!
//! A world is a small inventory full of clashes. It is told to the owner of the records in many ways: whole reads in any order
//! of arrival, records in any order inside them, cut into deltas. From the same holders the snapshot must be the same.
#![allow(clippy::unwrap_used)] // all of it is a test

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use smd_cache::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot::{Bearer, Snapshot, build},
};
use std::collections::{BTreeMap, BTreeSet};
use values::{Name, Xname};

const CONFIG: &str = r#"
domain: c.local
rules:
  - "id:x0c0s0b0n3,ignore:true"
  - "subnet:10.0.1.0/24,hostname:m{02d},domain:mgmt.local,routers:10.0.1.254"
  - "type:Node,hostname:nid{02d},continue:true"
  - "role:Service,hostname:svc{02d},domain_append:none"
  - "type:NodeBMC,hostname:bmc{02d}"
zones: [{name: lab.test, nodes: "n{02d}.rack"}, {name: 10.in-addr.arpa}]
"#;

/// A row of interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    mac: u8,
    /// Dashes instead of colons, as discovery writes it: a row of its own.
    dashes: bool,
    owner: Option<u8>,
    addresses: Vec<u8>,
    age: u8,
}

#[derive(Debug, Clone, Default)]
struct World {
    rows: BTreeMap<(u8, bool), Row>,
    /// Kind, NID, role by number.
    components: BTreeMap<u8, (bool, Option<u8>, bool)>,
}

fn xname(number: u8) -> String {
    if number < 6 {
        format!("x0c0s{}b0n{}", number / 4, number % 4)
    } else {
        format!("x0c0s{}b0", number - 6)
    }
}

fn address(number: u8) -> String {
    match number {
        0 => String::new(),
        1 => "not-an-address".to_owned(),
        number if number % 3 == 0 => format!("fd00::{number}"),
        number => format!("10.0.{}.{number}", number % 2),
    }
}

impl Row {
    fn json(&self) -> Value {
        let mac = format!("02:00:00:00:00:{:02x}", self.mac);
        let mac = if self.dashes { mac.replace(':', "-") } else { mac };
        json!({
            "ID": if self.dashes { mac.clone() } else { mac.replace(':', "") },
            "MACAddress": mac,
            "ComponentID": self.owner.map(xname).unwrap_or_default(),
            "LastUpdate": format!("2026-01-01T00:00:0{}Z", self.age),
            "IPAddresses": self.addresses.iter().map(|number| json!({"IPAddress": address(*number)})).collect::<Vec<_>>(),
        })
    }
}

impl World {
    fn interfaces(&self) -> Vec<Value> {
        self.rows.values().map(Row::json).collect()
    }

    fn components(&self) -> Vec<Value> {
        let json = |(number, (service, nid, _)): (&u8, &(bool, Option<u8>, bool))| {
            let kind = if *number < 6 { "Node" } else { "NodeBMC" };
            let role = if *service { "Service" } else { "Compute" };
            json!({"ID": xname(*number), "Type": kind, "NID": nid, "Role": role})
        };
        self.components.iter().map(json).collect()
    }
}

fn row() -> impl Strategy<Value = Row> {
    let owner = prop::option::weighted(0.8, 0..9u8);
    (1..7u8, prop::bool::weighted(0.2), owner, prop::collection::vec(0..14u8, 0..4), 0..3u8)
        .prop_map(|(mac, dashes, owner, addresses, age)| Row { mac, dashes, owner, addresses, age })
}

fn world() -> impl Strategy<Value = World> {
    let component = (0..9u8, any::<bool>(), prop::option::weighted(0.8, 1..4u8));
    (prop::collection::vec(row(), 0..9), prop::collection::vec(component, 0..9)).prop_map(
        |(rows, components)| World {
            rows: rows.into_iter().map(|row| ((row.mac, row.dashes), row)).collect(),
            components: components
                .into_iter()
                .map(|(id, service, nid)| (id, (service, nid, false)))
                .collect(),
        },
    )
}

/// No two components have the same MAC, address or NID.
fn peaceful_world() -> impl Strategy<Value = World> {
    let machine = (any::<bool>(), prop::collection::vec(any::<bool>(), 0..3));
    prop::collection::vec(machine, 0..6).prop_map(|machines| {
        let mut world = World::default();
        for (number, (service, addresses)) in (0..).zip(machines) {
            world.components.insert(number, (service, Some(number + 1), false));
            let own = addresses.iter().zip(0..).map(|(other, at)| 2 + number * 6 + at * 2 + u8::from(*other));
            let row =
                Row { mac: number + 1, dashes: false, owner: Some(number), addresses: own.collect(), age: 0 };
            world.rows.insert((row.mac, false), row);
        }
        world
    })
}

fn naming() -> Naming {
    Naming::from_config(&config::parse(CONFIG).unwrap())
}

fn read(sequence: u64) -> Read {
    Read { sequence, started_at: Timestamp::UNIX_EPOCH }
}

enum Told {
    WholeInterfaces(Vec<Value>),
    Interfaces(Vec<Value>),
    WholeComponents(Vec<Value>),
    Components(Vec<Value>),
}

fn tell(records: &mut Records, sequence: u64, told: Told) {
    let read = read(sequence);
    let interfaces = |rows: Vec<Value>| decode_interfaces(Value::from(rows).to_string().as_bytes()).unwrap();
    let components =
        |rows: Vec<Value>| decode_components(json!({ "Components": rows }).to_string().as_bytes()).unwrap();
    match told {
        Told::WholeInterfaces(rows) => records.apply_whole_interfaces(read, interfaces(rows)),
        Told::Interfaces(rows) => records.apply_interfaces(read, interfaces(rows)),
        Told::WholeComponents(rows) => records.apply_whole_components(read, components(rows)),
        Told::Components(rows) => records.apply_components(read, components(rows)),
    }
}

/// The plain way: a whole read of each.
fn plainly(world: &World) -> Records {
    let mut records = Records::new();
    tell(&mut records, 100, Told::WholeInterfaces(world.interfaces()));
    tell(&mut records, 101, Told::WholeComponents(world.components()));
    records
}

/// Asks for what is missing by name, and believes what comes.
fn confirm(records: &mut Records, sequence: u64, world: &World) {
    let asked: Vec<_> = records.missing_interfaces().collect();
    let rows = world.interfaces().into_iter().filter(|row| asked.iter().any(|(_, id)| row["ID"] == **id));
    let answer = Value::from(rows.collect::<Vec<_>>()).to_string();
    records.confirm_interfaces(read(sequence), &asked, decode_interfaces(answer.as_bytes()).unwrap());
    let asked: Vec<_> = records.missing_components().collect();
    let rows = world.components().into_iter().filter(|row| asked.iter().any(|id| row["ID"] == *id.as_str()));
    let answer = json!({ "Components": rows.collect::<Vec<_>>() }).to_string();
    records.confirm_components(read(sequence), &asked, decode_components(answer.as_bytes()).unwrap());
    records.let_go();
}

fn snapshot(records: &Records, previous: Option<&Snapshot>) -> (Snapshot, Vec<String>) {
    let (snapshot, problems) = build(records, &naming(), previous, Timestamp::UNIX_EPOCH);
    (snapshot, problems.iter().map(|problem| format!("{problem:?}")).collect())
}

/// Two snapshots with the same content, item by item.
fn assert_same(a: &Snapshot, b: &Snapshot) {
    assert!(a.interfaces().eq(b.interfaces()), "{a:#?}\n{b:#?}");
    assert!(a.components().eq(b.components()), "{a:#?}\n{b:#?}");
    assert_eq!((a.digest(), a.counts()), (b.digest(), b.counts()));
}

/// The story of a world that was another one before: old whole reads, new ones, and deltas of rows at their final state.
fn story(before: &World, world: &World, random: &mut fastrand::Rng) -> Vec<(u64, Told)> {
    let mut story = vec![
        (1, Told::WholeInterfaces(before.interfaces())),
        (2, Told::WholeComponents(before.components())),
        (100, Told::WholeInterfaces(world.interfaces())),
        (101, Told::WholeComponents(world.components())),
        (102, Told::WholeInterfaces(world.interfaces())),
        (103, Told::WholeComponents(world.components())),
    ];
    for sequence in 3..20 {
        let stale = world.interfaces().into_iter().chain(before.interfaces()).filter(|_| random.bool());
        // An ID stands once in an answer.
        let rows: BTreeMap<String, Value> = stale.map(|row| (row["ID"].to_string(), row)).collect();
        story.push((sequence, Told::Interfaces(rows.into_values().collect())));
    }
    for sequence in 104..108 {
        let fresh = world.interfaces().into_iter().filter(|_| random.bool());
        story.push((sequence, Told::Interfaces(fresh.collect())));
        let fresh = world.components().into_iter().filter(|_| random.bool());
        story.push((sequence + 10, Told::Components(fresh.collect())));
    }
    for (_, told) in &mut story {
        match told {
            Told::WholeInterfaces(rows)
            | Told::Interfaces(rows)
            | Told::WholeComponents(rows)
            | Told::Components(rows) => random.shuffle(rows),
        }
    }
    random.shuffle(&mut story);
    story
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn however_it_was_learnt_the_snapshot_is_the_same_from_the_same_holders(
        before in world(), world in world(), seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (holders, _) = snapshot(&plainly(&before), None);
        let (expected, problems) = snapshot(&plainly(&world), Some(&holders));
        let mut records = Records::new();
        for (sequence, told) in story(&before, &world, &mut random) {
            tell(&mut records, sequence, told);
        }
        confirm(&mut records, 200, &world);
        let (learnt, same_problems) = snapshot(&records, Some(&holders));
        assert_same(&learnt, &expected);
        prop_assert_eq!(same_problems, problems);
        prop_assert_eq!(learnt.generation(), expected.generation());
    }

    #[test]
    fn without_contested_keys_every_grouping_gives_the_same(world in peaceful_world(), seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (expected, problems) = snapshot(&plainly(&world), None);
        let clashes = problems.iter().any(|problem| problem.contains("Duplicate"));
        prop_assert!(!clashes, "a peaceful world has none");
        let mut records = Records::new();
        let mut last: Option<Snapshot> = None;
        let mut interfaces = world.interfaces();
        let mut components = world.components();
        random.shuffle(&mut interfaces);
        random.shuffle(&mut components);
        let mut sequence = 0;
        while !interfaces.is_empty() || !components.is_empty() {
            sequence += 1;
            let some = interfaces.split_off(interfaces.len() - random.usize(0..=interfaces.len()));
            tell(&mut records, sequence, Told::Interfaces(some));
            let some = components.split_off(components.len() - random.usize(0..=components.len()));
            tell(&mut records, sequence, Told::Components(some));
            // A snapshot after every piece, each the holder for the next.
            last = Some(snapshot(&records, last.as_ref()).0);
        }
        assert_same(&last.unwrap_or_else(|| snapshot(&records, None).0), &expected);
    }

    #[test]
    fn change_after_change_leads_to_the_same_as_starting_there(a in world(), b in world()) {
        let (from, _) = snapshot(&plainly(&a), None);
        let (to, _) = snapshot(&plainly(&b), Some(&from));
        let change = to.change_from(&from);
        let mut interfaces: BTreeMap<_, _> = from.interfaces().map(|item| (item.mac, item.clone())).collect();
        interfaces.extend(change.put_interfaces.iter().map(|item| (item.mac, item.clone())));
        interfaces.retain(|mac, _| !change.removed_macs.contains(mac));
        let mut components: BTreeMap<_, _> = from.components().map(|item| (item.id.clone(), item.clone())).collect();
        components.extend(change.put_components.iter().map(|item| (item.id.clone(), item.clone())));
        components.retain(|id, _| !change.removed_ids.contains(id));
        prop_assert!(components.values().eq(to.components()));
        // `last_update` may be old in a replica.
        let content = |items: Vec<&std::sync::Arc<smd_cache::snapshot::Interface>>| {
            items.into_iter().map(|item| smd_cache::snapshot::Interface { last_update: None, ..(**item).clone() }).collect::<Vec<_>>()
        };
        prop_assert_eq!(content(interfaces.values().collect()), content(to.interfaces().collect()));
        prop_assert_eq!(change.is_empty(), from.digest() == to.digest());
    }

    #[test]
    fn from_the_same_records_and_rules_comes_the_same_again(before in world(), world in world()) {
        let (holders, _) = snapshot(&plainly(&before), None);
        let records = plainly(&world);
        let (first, _) = snapshot(&records, Some(&holders));
        let (second, _) = snapshot(&records, Some(&first));
        assert_same(&second, &first);
        prop_assert_eq!(second.generation(), first.generation());
    }

    #[test]
    fn every_snapshot_keeps_its_promises(before in world(), world in world()) {
        let (holders, _) = snapshot(&plainly(&before), None);
        let (snapshot, problems) = snapshot(&plainly(&world), Some(&holders));
        check_addresses(&snapshot);
        check_names(&snapshot);
        check_macs(&world, &snapshot, &holders);
        let unexplained = snapshot.interfaces().filter(|item| item.contested).count() > 0
            && !problems.iter().any(|problem| problem.contains("Duplicate"));
        prop_assert!(!unexplained);
    }
}

/// An address is held by interfaces of one component only, and is found.
fn check_addresses(snapshot: &Snapshot) {
    let mut holders: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for interface in snapshot.interfaces() {
        for entry in &interface.addresses {
            let holder =
                interface.component_id.as_ref().map_or_else(|| interface.mac.to_string(), Xname::to_string);
            holders.entry(entry.address).or_default().insert(holder);
            assert!(snapshot.by_address(entry.address).any(|found| found.mac == interface.mac));
        }
    }
    assert!(holders.values().all(|holders| holders.len() == 1), "{holders:?}");
}

/// A name is borne by one component only, everybody has the xname, DHCP and DNS agree, and parents are known.
fn check_names(snapshot: &Snapshot) {
    let mut bearers: BTreeMap<&Name, &Xname> = BTreeMap::new();
    for component in snapshot.components() {
        for name in component.names.iter() {
            assert_eq!(*bearers.entry(name).or_insert(&component.id), &component.id, "{name}");
            assert!(
                matches!(snapshot.by_name(name), Bearer::Component(found, _) if found.id == component.id),
                "{name}"
            );
            if let Some(parent) = name.parent().filter(|parent| parent.as_str() == "rack.lab.test") {
                assert_eq!(snapshot.by_name(&parent), Bearer::Parent);
            }
        }
        let own = format!("{}.lab.test", component.id).parse().unwrap();
        assert!(component.names.contains(&own), "{own}");
    }
    for interface in snapshot.interfaces() {
        let exists = interface.component_id.as_ref().is_some_and(|id| snapshot.component(id).is_some());
        for entry in &interface.addresses {
            assert_eq!(entry.fqdn.is_some(), exists);
            assert_eq!(entry.names.is_empty(), !exists);
            if let Some(fqdn) = entry.fqdn.as_ref().filter(|_| entry.domain.is_some()) {
                assert_eq!(Some(fqdn), entry.names.first());
            }
            for name in entry.names.iter() {
                assert!(bearers.get(name) == interface.component_id.as_ref().as_ref(), "{name}");
            }
        }
    }
}

/// Every MAC of SMD is there, and whose it is follows the rule, told anew here: existing, holder, older, lower.
fn check_macs(world: &World, snapshot: &Snapshot, holders: &Snapshot) {
    let macs: BTreeSet<u8> = world.rows.keys().map(|(mac, _)| *mac).collect();
    assert_eq!(snapshot.counts().interfaces, macs.len());
    for mac in macs {
        let key = format!("02:00:00:00:00:{mac:02x}").parse().unwrap();
        let holder = holders.interface(key).and_then(|interface| interface.component_id.clone());
        let exists = |number: &u8| world.components.contains_key(number);
        let claims = world.rows.values().filter(|row| row.mac == mac).filter_map(|row| {
            let number = row.owner?;
            let id: Xname = xname(number).parse().unwrap();
            Some((!exists(&number), holder.as_ref() != Some(&id), row.age, id))
        });
        let winner = claims.min().map(|claim| claim.3);
        assert_eq!(snapshot.interface(key).unwrap().component_id, winner);
    }
}

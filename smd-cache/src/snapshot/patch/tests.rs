//! The promise: a patch gives what a whole build gives. Few keys, so that everything clashes with everything.

use super::{super::Digest, *};
use crate::{
    records::{Read, decode_components, decode_interfaces},
    snapshot::{Counts, ZoneSerial, build},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const CONFIGS: [&str; 5] = [
    r#"
domain: c.local
rules: ["type:Node,hostname:nid{04d}", "type:NodeBMC,hostname:bmc{04d}"]
"#,
    r#"
domain: c.local
rules:
  - "id:x0c0s0b0n3,ignore:true"
  - "id:x0c0s0b0n2,hostname:x0c0s0b0n1"
  - "subnet:10.0.1.0/24,hostname:m{02d},domain:mgmt.local,routers:10.0.1.254"
  - "type:Node,hostname:nid{02d},continue:true"
  - "role:Service,hostname:svc{02d},domain_append:none"
  - "type:NodeBMC,hostname:bmc{02d}"
zones: [{name: lab.test, nodes: "n{02d}.rack"}, {name: 10.in-addr.arpa}]
"#,
    r#"
rules: ["enabled:false,hostname:off{02d}.deep.down", "hostname:all{02d}"]
zones: [{name: down, nodes: "{id}.by.id"}]
"#,
    r#"
domain: c.local
rules:
  - "network:hsn,type:Node,hostname:nid{02d}-{nic},domain:hsn.local"
  - "type:Node,hostname:nid{02d}.{network},domain:hsn.local"
  - "type:NodeBMC,hostname:'bmc-{nic}'"
zones:
  - {name: hsn.local, network: HSN}
  - {name: other.local, network: [n_m, hsn], nodes: "n{02d}"}
  - {name: nics.local, nodes: "{nic}.{id}"}
"#,
    r#"
domain: c.local
rules: ["hostname:'{nic}'"]
zones: [{name: c.local, network: [HSN, n_m]}, {name: lab.test, nodes: "n{02d}"}]
"#,
];

/// Two are one for names.
const NETWORKS: [&str; 4] = ["HSN", "hsn", "", "N_M"];

const DESCRIPTIONS: [&str; 5] = ["", "eth0", "HSN0", "hsn 1", "n-m2"];

#[derive(Debug, Clone, PartialEq)]
struct Row {
    owner: Option<u8>,
    addresses: Vec<u8>,
    age: u8,
    /// The first address is on this one, the next on the next ...
    network: usize,
    description: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Machine {
    nid: Option<u8>,
    service: bool,
    enabled: bool,
    state: bool,
}

/// By MAC and spelling; by number of the component.
#[derive(Debug, Clone, Default)]
struct World {
    rows: BTreeMap<(u8, u8), Row>,
    machines: BTreeMap<u8, Machine>,
}

#[derive(Debug, Clone)]
enum Step {
    Row((u8, u8), Option<Row>),
    Machine(u8, Option<Machine>),
}

fn xname(number: u8) -> String {
    match number {
        0..6 => format!("x0c0s{}b0n{}", number / 4, number % 4),
        6..8 => format!("x0c0s{}b0", number - 6),
        _ => "x0c0s0b01".to_owned(),
    }
}

fn mac_of(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn address(number: u8) -> String {
    match number {
        0 => "not-an-address".to_owned(),
        number if number % 3 == 0 => format!("fd00::{number}"),
        number => format!("10.0.{}.{number}", number % 2),
    }
}

impl World {
    fn take(&mut self, steps: &[Step]) -> Touched {
        let mut touched = Touched::default();
        for step in steps {
            match step {
                Step::Row(key, row) => {
                    touched.macs.insert(mac_of(key.0).parse().unwrap());
                    self.rows.remove(key);
                    self.rows.extend(row.clone().map(|row| (*key, row)));
                }
                Step::Machine(number, machine) => {
                    touched.ids.insert(xname(*number).parse().unwrap());
                    self.machines.remove(number);
                    self.machines.extend(machine.clone().map(|machine| (*number, machine)));
                }
            }
        }
        touched
    }

    fn records(&self) -> Records {
        let read = |sequence| Read { sequence, started_at: Timestamp::UNIX_EPOCH };
        let mut records = Records::new();
        let row = |((mac, spelling), row): (&(u8, u8), &Row)| {
            let mac = mac_of(*mac).replace(':', ["", "-", ":"][*spelling as usize]);
            let networks = NETWORKS.iter().cycle().skip(row.network);
            let addresses = row.addresses.iter().zip(networks);
            let addresses =
                addresses.map(|(number, network)| json!({"IPAddress": address(*number), "Network": network}));
            json!({
                "ID": mac,
                "MACAddress": mac,
                "Description": DESCRIPTIONS[row.description],
                "ComponentID": row.owner.map(xname).unwrap_or_default(),
                "LastUpdate": format!("2026-01-01T00:00:0{}Z", row.age),
                "IPAddresses": addresses.collect::<Vec<_>>(),
            })
        };
        let rows = self.rows.iter().map(row).collect::<Value>().to_string();
        records.apply_whole_interfaces(read(1), decode_interfaces(rows.as_bytes()).unwrap());
        let machine = |(number, machine): (&u8, &Machine)| {
            json!({
                "ID": xname(*number),
                "Type": if *number < 6 { "Node" } else { "NodeBMC" },
                "NID": machine.nid,
                "Role": if machine.service { "Service" } else { "Compute" },
                "Enabled": machine.enabled,
                "State": if machine.state { "On" } else { "Off" },
            })
        };
        let machines =
            json!({"Components": self.machines.iter().map(machine).collect::<Vec<_>>()}).to_string();
        records.apply_whole_components(read(2), decode_components(machines.as_bytes()).unwrap());
        records
    }
}

fn step() -> impl Strategy<Value = Step> {
    let owner = prop::option::weighted(0.8, 0..9u8);
    let place = (0..NETWORKS.len(), 0..DESCRIPTIONS.len());
    let row = (owner, prop::collection::vec(0..9u8, 0..4), 0..3u8, place).prop_map(
        |(owner, addresses, age, (network, description))| Row { owner, addresses, age, network, description },
    );
    let machine = (prop::option::weighted(0.8, 1..4u8), any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(nid, service, enabled, state)| Machine { nid, service, enabled, state });
    prop_oneof![
        ((1..7u8, 0..3u8), prop::option::weighted(0.8, row)).prop_map(|(key, row)| Step::Row(key, row)),
        (0..9u8, prop::option::weighted(0.8, machine)).prop_map(|(id, machine)| Step::Machine(id, machine)),
    ]
}

/// All that anybody can see of it.
fn content(snapshot: &Snapshot) -> (u64, Digest, Vec<ZoneSerial>, Counts, Vec<String>) {
    let interfaces = snapshot.interfaces().map(|interface| format!("{interface:?}"));
    let components = snapshot.components().map(|component| format!("{component:?}"));
    let index = &snapshot.index;
    let lists = [
        index.claims.iter().map(|claim| format!("{claim:?}")).collect::<Vec<_>>(),
        index.lost.iter().map(|lost| format!("lost {lost:?}")).collect(),
        index.rows.iter().map(|row| format!("{row:?}")).collect(),
        index.others.iter().map(|other| format!("other {other:?}")).collect(),
        index.names.iter().map(|borne| format!("{} {}", borne.name, borne.id)).collect(),
        index.rivals.iter().map(|rival| format!("rival {rival:?}")).collect(),
        index.parents.iter().map(|parent| format!("{parent:?}")).collect(),
    ];
    let all = interfaces.chain(components).chain(lists.into_iter().flatten()).collect();
    (snapshot.generation(), snapshot.digest(), snapshot.zones().to_vec(), snapshot.counts(), all)
}

fn unshared<T: PartialEq>(new: &Arc<T>, old: Option<&Arc<T>>) -> bool {
    old.is_some_and(|old| old == new && !Arc::ptr_eq(old, new))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    /// Also of a patch, and of a patch of that.
    #[test]
    fn a_patch_gives_what_a_whole_build_gives(
        config in 0..CONFIGS.len(),
        start in prop::collection::vec(step(), 0..25),
        chain in prop::collection::vec(prop::collection::vec(step(), 0..4), 1..8),
    ) {
        let naming = Naming::from_config(&config::parse(CONFIGS[config]).unwrap());
        let mut world = World::default();
        world.take(&start);
        let at = |second: usize| Timestamp::from_second(1000 + second as i64).unwrap();
        let (mut snapshot, mut problems) = build(&world.records(), &naming, None, at(0));
        for (second, steps) in chain.iter().enumerate() {
            let touched = world.take(steps);
            let records = world.records();
            let (whole, wrong) = build(&records, &naming, Some(&snapshot), at(second));
            let patched = patch(&records, &naming, &snapshot, &problems, &touched, at(second));
            let (patched, found) = patched.expect("little changed");
            prop_assert_eq!(content(&patched), content(&whole));
            prop_assert_eq!(&found, &wrong);
            prop_assert_eq!(patched.change_from(&snapshot), whole.change_from(&snapshot));
            for interface in patched.interfaces() {
                prop_assert!(!unshared(interface, snapshot.interface(interface.mac)));
            }
            for component in patched.components() {
                prop_assert!(!unshared(component, snapshot.component(&component.id)));
            }
            (snapshot, problems) = (patched, found);
        }
    }

    /// Though age and xname rules alone would decide otherwise.
    #[test]
    fn what_outlives_a_restart_keeps_holders_and_serials(
        config in 0..CONFIGS.len(),
        start in prop::collection::vec(step(), 0..25),
        chain in prop::collection::vec(prop::collection::vec(step(), 0..4), 1..8),
    ) {
        let naming = Naming::from_config(&config::parse(CONFIGS[config]).unwrap());
        let mut world = World::default();
        world.take(&start);
        let (mut before, _) = build(&world.records(), &naming, None, Timestamp::UNIX_EPOCH);
        for steps in &chain {
            world.take(steps);
            (before, _) = build(&world.records(), &naming, Some(&before), Timestamp::UNIX_EPOCH);
        }
        let legacy = Snapshot::from_legacy(before.legacy());
        let later = Timestamp::from_second(9999).unwrap();
        let (after, _) = build(&world.records(), &naming, Some(&legacy), later);
        let (_, digest, zones, counts, items) = content(&after);
        let (_, was_digest, was_zones, was_counts, were_items) = content(&before);
        prop_assert_eq!((digest, zones, counts, items), (was_digest, was_zones, was_counts, were_items));
        prop_assert_eq!(after.generation(), 1);
        prop_assert_eq!(after.legacy(), before.legacy());
    }
}

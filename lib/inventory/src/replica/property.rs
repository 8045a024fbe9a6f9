//! However it came about, a replica is the one that would be built from what it holds.

use super::*;
use crate::fixtures::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, fmt::Write};

const MACS: u8 = 6;
const IDS: u8 = 4;
const NAMES: [&str; 8] =
    ["a.z.local", "b.z.local", "z.local", "x.a.z.local", "c.mgmt.other", "d.c.mgmt.other", "other", "local"];

/// One record of a change, small enough that keys collide all the time.
#[derive(Debug, Clone)]
enum Step {
    PutInterface { mac: u8, id: Option<u8>, addresses: Vec<(u8, Vec<usize>)> },
    RemoveInterface(u8),
    PutComponent { id: u8, role: bool, names: Vec<usize> },
    RemoveComponent(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let names = || proptest::collection::vec(0..NAMES.len(), 0..3);
    let addresses = proptest::collection::vec((0..6u8, names()), 0..3);
    prop_oneof![
        4 => (0..MACS, proptest::option::of(0..IDS), addresses)
            .prop_map(|(mac, id, addresses)| Step::PutInterface { mac, id, addresses }),
        2 => (0..MACS).prop_map(Step::RemoveInterface),
        3 => (0..IDS, any::<bool>(), names()).prop_map(|(id, role, names)| Step::PutComponent { id, role, names }),
        1 => (0..IDS).prop_map(Step::RemoveComponent),
    ]
}

fn mac(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn id(number: u8) -> String {
    format!("x{number}c0s0b0n0")
}

fn address(number: u8) -> String {
    if number < 4 { format!("172.16.{number}.1") } else { format!("fd00::{number}") }
}

/// What is held, as messages: the plain truth that the replica is compared with.
#[derive(Default)]
struct Truth {
    interfaces: BTreeMap<String, v1::Interface>,
    components: BTreeMap<String, v1::Component>,
}

impl Truth {
    fn patch(&mut self, steps: &[Step]) -> Patch {
        let mut patch = Patch::default();
        let (mut macs, mut ids) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::PutInterface { mac: number, id: owner, addresses } => {
                    let owner = owner.map_or(String::new(), id);
                    let addresses: Vec<_> = addresses
                        .iter()
                        .map(|(number, names)| {
                            (address(*number), names.iter().map(|name| NAMES[*name]).collect::<Vec<_>>())
                        })
                        .collect();
                    let lent: Vec<_> =
                        addresses.iter().map(|(text, names)| (text.as_str(), names.as_slice())).collect();
                    macs.insert(mac(*number), Some(interface(&mac(*number), &owner, &lent)));
                }
                Step::RemoveInterface(number) => drop(macs.insert(mac(*number), None)),
                Step::PutComponent { id: number, role, names } => {
                    let names: Vec<_> = names.iter().map(|name| NAMES[*name]).collect();
                    let role = if *role { "Compute" } else { "Management" };
                    let put = v1::Component { role: role.into(), ..component(&id(*number), &names) };
                    ids.insert(id(*number), Some(put));
                }
                Step::RemoveComponent(number) => drop(ids.insert(id(*number), None)),
            }
        }
        // A change speaks once of each key.
        for (key, put) in macs {
            match put {
                Some(put) => {
                    self.interfaces.insert(key, put.clone());
                    patch.interfaces.push(put);
                }
                None => {
                    self.interfaces.remove(&key);
                    patch.removed_macs.push(key);
                }
            }
        }
        for (key, put) in ids {
            match put {
                Some(put) => {
                    self.components.insert(key, put.clone());
                    patch.components.push(put);
                }
                None => {
                    self.components.remove(&key);
                    patch.removed_ids.push(key);
                }
            }
        }
        patch
    }

    fn built(&self) -> Replica {
        replica_of(
            1,
            self.interfaces.values().cloned().collect(),
            self.components.values().cloned().collect(),
        )
    }

    /// Names as they must be, found by looking at everything.
    fn names(&self) -> String {
        let mut bearing: Vec<&str> = Vec::new();
        for held in self.interfaces.values() {
            bearing.extend(held.addresses.iter().flat_map(|address| &address.names).map(String::as_str));
        }
        bearing.extend(self.components.values().flat_map(|held| &held.names).map(String::as_str));
        let mut all: BTreeMap<&str, bool> = BTreeMap::new();
        for name in &bearing {
            let mut rest = *name;
            while let Some((_, parent)) = rest.split_once('.') {
                all.entry(parent).or_insert(true);
                rest = parent;
            }
        }
        all.extend(bearing.iter().map(|name| (*name, false)));
        all.iter()
            .map(|(name, parent)| format!("{name}{}\n", if *parent { " (only a parent)" } else { "" }))
            .collect()
    }
}

/// Everything that can be asked, as text.
fn everything(replica: &Replica) -> String {
    let mut text = names(replica);
    for interface in replica.interfaces() {
        let _ = writeln!(text, "{interface:?}");
    }
    let mut all: Vec<_> = replica.names.all().collect();
    all.sort();
    for name in all {
        let _ = writeln!(text, "{name}: {:?}", replica.name(name.as_str()));
    }
    for number in 0..IDS {
        let _ = writeln!(text, "{}: {:?}", id(number), replica.machine(&id(number)));
    }
    for number in 0..6 {
        let address: IpAddr = address(number).parse().unwrap();
        let macs: Option<Vec<_>> =
            replica.address(&address).map(|held| held.interfaces.iter().map(|held| held.mac).collect());
        let _ =
            writeln!(text, "{address}: {macs:?}, in prefix: {}", replica.has_address_in(address..=address));
    }
    text
}

fn names(replica: &Replica) -> String {
    let mut all: Vec<_> = replica.names.all().cloned().collect();
    all.sort();
    let kind = |name: &Name| replica.name(name.as_str()).is_some_and(|found| found.empty_non_terminal);
    all.iter().map(|name| format!("{name}{}\n", if kind(name) { " (only a parent)" } else { "" })).collect()
}

proptest! {
    #[test]
    fn any_changes_lead_to_the_replica_built_from_their_outcome(
        changes in proptest::collection::vec(proptest::collection::vec(step(), 1..5), 1..12)
    ) {
        let mut truth = Truth::default();
        let mut replica = truth.built();
        for change in &changes {
            let before = (replica.clone(), everything(&replica));
            replica.apply(truth.patch(change));
            prop_assert_eq!(everything(&replica), everything(&truth.built()), "after {:?}", change);
            prop_assert_eq!(names(&replica), truth.names(), "after {:?}", change);
            prop_assert_eq!(everything(&before.0), before.1, "the one before is immutable");
        }
    }

    #[test]
    fn no_messages_make_it_panic(texts in proptest::collection::vec(".{0,12}|02:00:00:00:00:0[0-9]|x[0-9]{1,3}c0s0b0n0", 8)) {
        let [mac, id, address, name, domain, removed, router, zone] = texts.as_slice() else { unreachable!("eight") };
        let mut odd = interface(mac, id, &[(address, &[name])]);
        odd.policy = Some(v1::Policy { routers: vec![router.clone()], next_server: router.clone(), ..Default::default() });
        let zones = vec![v1::Zone { name: zone.clone(), serial: 1 }];
        let mut replica = Replica::from_messages(domain, zones, vec![odd], vec![component(id, &[name])], v1::Freshness::default());
        replica.apply(Patch { removed_macs: vec![removed.clone(), mac.clone()], removed_ids: vec![id.clone(), removed.clone()], ..Patch::default() });
        prop_assert_eq!(replica.interfaces().count(), 0);
        prop_assert_eq!(names(&replica), "");
    }
}

//! Reads of an SMD that changes, restarts and confirmations in any order, against a naive model of what may be shown.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const NODES: u32 = 24;

const NOBODYS: u32 = 3;

/// The address of each node that is there: one of its own in one of six forms, or none. With [`NOBODYS`] and greater ones it
/// is tied to a component that nobody has.
type Rows = BTreeMap<u32, Option<u32>>;

struct World {
    random: fastrand::Rng,
    sequence: u64,
    /// What SMD has.
    rows: Rows,
    components: BTreeSet<u32>,
    believed: Believed,
    /// What the latest read that spoke of it said.
    said: Rows,
    /// And its number.
    heard: BTreeMap<u32, u64>,
    /// A read of some that began, was answered, and has not arrived.
    in_flight: Option<(u64, Rows)>,
    /// Everything that was ever said.
    ever: BTreeSet<(u32, Option<u32>)>,
    /// The most that could be served since a loss was last believed.
    most: usize,
    /// Whole reads in a row whose losses were held back.
    held_back: u32,
}

fn mac(node: u32) -> String {
    format!("02:00:00:00:00:{node:02x}")
}

fn list(rows: &Rows) -> String {
    let row = |(node, address): (&u32, &Option<u32>)| {
        let cabinet = u32::from(address.is_some_and(|form| form >= NOBODYS));
        let address =
            address.map(|form| format!(r#"{{"IPAddress":"10.0.{form}.{node}"}}"#)).unwrap_or_default();
        format!(
            r#"{{"ID":"0200000000{node:02x}","MACAddress":"{}","ComponentID":"x{cabinet}c0s{node}b0n0","IPAddresses":[{address}]}}"#,
            mac(*node)
        )
    };
    format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(","))
}

fn component_list(ids: &BTreeSet<u32>) -> String {
    let row = |node: &u32| format!(r#"{{"ID":"x0c0s{node}b0n0","Type":"Node","NID":{}}}"#, node + 1);
    format!("{{\"Components\":[{}]}}", ids.iter().map(row).collect::<Vec<_>>().join(","))
}

/// What a picture has of each node.
fn rows_of(picture: &Picture) -> Rows {
    let row = |node| {
        let held = picture.snapshot.interface(mac(node).parse().unwrap())?;
        let addresses = picture.snapshot.with_component(held).addresses;
        let form = addresses.first().map(|held| held.address.split('.').nth(2).unwrap().parse().unwrap());
        Some((node, form))
    };
    (0..NODES).filter_map(row).collect()
}

impl World {
    fn new(seed: u64) -> World {
        let rows: Rows = (0..NODES).map(|node| (node, Some(0))).collect();
        let mut world = World {
            random: fastrand::Rng::with_seed(seed),
            sequence: 0,
            rows,
            components: (0..NODES).collect(),
            believed: believed("domain: a"),
            said: Rows::new(),
            heard: BTreeMap::new(),
            in_flight: None,
            ever: BTreeSet::new(),
            most: 0,
            held_back: 0,
        };
        world.read_whole();
        world.show(Occasion::Whole);
        world
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// One node, or most of them.
    fn some_nodes(&mut self) -> Vec<u32> {
        match self.random.u32(..3) {
            0 => (0..NODES).filter(|_| self.random.u32(..4) > 0).collect(),
            _ => vec![self.random.u32(..NODES)],
        }
    }

    fn change(&mut self) {
        let kind = self.random.u32(..7);
        for node in self.some_nodes() {
            match kind {
                0 => drop(self.rows.remove(&node)),
                1 => drop(self.components.remove(&node)),
                2 => drop(self.rows.insert(node, None)),
                3 => drop(self.components.insert(node)),
                _ => drop(self.rows.insert(node, Some(self.random.u32(..2 * NOBODYS)))),
            }
        }
    }

    fn hear(&mut self, sequence: u64, rows: &Rows) {
        for (node, form) in rows {
            if self.heard.get(node).is_none_or(|heard| *heard < sequence) {
                self.heard.insert(*node, sequence);
                self.said.insert(*node, *form);
                self.ever.insert((*node, *form));
            }
        }
    }

    fn read_whole(&mut self) {
        let (sequence, _) = (self.next(), self.next());
        let (rows, components) = (list(&self.rows), component_list(&self.components));
        let hash = |text: &str| xxhash_rust::xxh3::xxh3_128(text.as_bytes());
        let bodies = [(rows.as_str(), hash(&rows)), (components.as_str(), hash(&components))];
        // As the owner does: what was overtaken is read again.
        let mut heard = sequence;
        if !learn(&mut self.believed, sequence, bodies) {
            (heard, _) = (self.next(), self.next());
            assert!(learn(&mut self.believed, heard, bodies), "never a third time");
        }
        self.hear(heard, &self.rows.clone());
    }

    fn read_some(&mut self) {
        let (asked, sequence) = (self.some_nodes(), self.next());
        let rows: Rows = self.rows.clone().into_iter().filter(|(node, _)| asked.contains(node)).collect();
        self.arrive(sequence, &rows);
    }

    fn arrive(&mut self, sequence: u64, rows: &Rows) {
        let answer = decode_interfaces(list(rows).as_bytes()).unwrap();
        self.believed.learn_some(moment(sequence).read, answer, Vec::new());
        self.hear(sequence, rows);
    }

    /// One that is slow begins, or arrives after others that began later.
    fn read_slowly(&mut self) {
        match self.in_flight.take() {
            Some((sequence, rows)) => self.arrive(sequence, &rows),
            None => self.in_flight = Some((self.next(), self.rows.clone())),
        }
    }

    fn confirm(&mut self) {
        let Some(doubt) = self.believed.missing() else { return };
        let (sequence, of_components) = (self.next(), self.next());
        let node_of = |key: &crate::records::InterfaceKey| u32::from_str_radix(&key.1[10..], 16).unwrap();
        let asked: BTreeSet<u32> = doubt.interfaces.iter().map(node_of).collect();
        let rows: Rows = self.rows.clone().into_iter().filter(|(node, _)| asked.contains(node)).collect();
        let wanted = |id: &u32| doubt.components.contains(&format!("x0c0s{id}b0n0").parse().unwrap());
        let components = self.components.iter().copied().filter(wanted).collect();
        self.believed.confirm(Confirmed {
            interfaces: vec![Asked {
                read: moment(sequence).read,
                asked: doubt.interfaces,
                answer: decode_interfaces(list(&rows).as_bytes()).unwrap(),
            }],
            components: vec![Asked {
                read: moment(of_components).read,
                asked: doubt.components,
                answer: decode_components(component_list(&components).as_bytes()).unwrap(),
            }],
        });
        for node in asked.iter().filter(|node| !rows.contains_key(node)) {
            if self.heard.get(node).is_none_or(|heard| *heard < sequence) {
                self.heard.insert(*node, sequence);
                self.said.remove(node);
            }
        }
        self.hear(sequence, &rows);
    }

    /// The program ends and begins again; what was not written is forgotten.
    fn restart(&mut self) {
        if !self.believed.can_be_kept() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("snapshot"));
        store.write(&self.believed.keeping(None, None)).unwrap().place().unwrap();
        let mut afresh = believed("domain: a");
        let before = self.believed.picture(Occasion::Other, at(0));
        let picture = afresh.restore(store.load().unwrap(), at(0));
        assert_eq!(rows_of(&picture), rows_of(&before));
        assert_eq!(servable(&picture), servable(&before), "a restart loses nothing");
        self.said = rows_of(&picture);
        self.heard.clear();
        self.in_flight = None;
        self.believed = afresh;
        self.held_back = 0;
        self.read_whole();
        self.show(Occasion::Other);
    }

    fn show(&mut self, occasion: Occasion) {
        let picture = self.believed.picture(occasion, at(0));
        let (shown, servable) = (rows_of(&picture), servable(&picture));
        for (node, form) in &shown {
            assert!(self.ever.contains(&(*node, *form)), "{node} was never said to be so");
        }
        match &picture.held_back {
            None => assert_eq!(shown, self.said, "nothing is held back"),
            Some(held_back) => assert!(held_back.left < self.most.max(1), "{held_back}"),
        }
        let too_few = self.most > 0 && (servable == 0 || (self.most >= 20 && servable * 2 < self.most));
        if too_few && occasion != Occasion::Forced {
            let reads = self.held_back + u32::from(occasion == Occasion::Whole);
            assert!(
                servable > 0 && reads >= LIMITS.confirmations,
                "{servable} of {} after {reads}",
                self.most
            );
        }
        self.most = if too_few { servable } else { self.most.max(servable) };
        self.held_back = match (picture.held_back, occasion) {
            (None, _) => 0,
            (Some(_), Occasion::Whole) => self.held_back + 1,
            (Some(_), _) => self.held_back,
        };
    }

    fn step(&mut self) {
        match self.random.u32(..14) {
            0..3 => self.change(),
            3..5 => self.read_some(),
            5..8 => self.read_whole(),
            8..10 => self.confirm(),
            10..12 => self.read_slowly(),
            12 => return self.restart(),
            _ => return self.show(Occasion::Forced),
        }
        // The owner calls a whole read a confirmation only where nothing is in doubt.
        let settled = self.believed.missing().is_none();
        let whole = settled && self.random.bool();
        self.show(if whole { Occasion::Whole } else { Occasion::Other });
    }
}

#[test]
fn whatever_happens_no_wipe_passes_and_what_is_shown_is_what_was_said() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for step in 0..60 {
            let outcome = catch_unwind(AssertUnwindSafe(|| world.step()));
            assert!(outcome.is_ok(), "seed {seed}, step {step}");
        }
        // SMD is well again, and so is what is shown.
        world.rows = (0..NODES).map(|node| (node, Some(1))).collect();
        world.components = (0..NODES).collect();
        world.read_whole();
        world.show(Occasion::Whole);
        assert_eq!(servable(&world.believed.picture(Occasion::Other, at(0))), NODES as usize, "seed {seed}");
    }
}

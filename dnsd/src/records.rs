//! Records that stand in the configuration (`dnsd.records`) and in files, by owner.

use crate::wire::{RrSet, kind, suffixes, to_wire};
use config::{RecordData, RecordLine};
use std::collections::HashMap;
use values::Name;

/// What a record without a TTL of its own gets.
pub const DEFAULT_TTL: u32 = 60;

/// All static records, and the empty names above them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    nodes: HashMap<Box<[u8]>, Node>,
    delegates: bool,
}

/// One owner; without records it is there only because of a name below it (RFC 8020).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its records by type. A CNAME stands alone (RFC 1034 §3.6.2).
    pub sets: Vec<RrSet>,
    /// The CNAME again, to be followed.
    pub alias: Option<Alias>,
}

/// A CNAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Wire form, lower case.
    pub target: Box<[u8]>,
    /// Seconds.
    pub ttl: u32,
    /// Made by `dnsd.search`, and in no zone of ours.
    pub searched: bool,
}

impl Node {
    /// A CNAME stands alone, and is one.
    fn settle_alias(&mut self) {
        if let Some(set) = self.set(kind::CNAME).cloned() {
            self.alias = Some(Alias { target: set.data[0].clone(), ttl: set.ttl, searched: false });
            self.sets = vec![RrSet { data: vec![set.data[0].clone()], ..set }];
        }
    }

    /// Its records of one type.
    pub fn set(&self, kind: u16) -> Option<&RrSet> {
        self.sets.iter().find(|set| set.kind == kind)
    }
}

impl Records {
    /// From the lines of the configuration. Where a CNAME and other data share an owner the CNAME wins.
    pub fn new(lines: &[RecordLine]) -> Records {
        let mut records = Records::default();
        records.add(lines.iter().map(|line| {
            let (kind, data) = encode(&line.data);
            (to_wire(&line.owner), kind, line.ttl.unwrap_or(DEFAULT_TTL), data)
        }));
        records
    }

    /// Adds records that count less than what is there: what is there of one type of a name stays alone, and an alias that is
    /// there, or is not alone, is an alias no more.
    pub fn add(&mut self, lesser: impl Iterator<Item = (Box<[u8]>, u16, u32, Box<[u8]>)>) {
        let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
        for (owner, kind, ttl, data) in lesser {
            add(&mut nodes.entry(owner).or_default().sets, kind, ttl, data);
        }
        for (owner, mut lesser) in nodes {
            lesser.settle_alias();
            let node = self.nodes.entry(owner).or_default();
            if node.sets.is_empty() {
                *node = lesser;
            } else if node.alias.is_none() && lesser.alias.is_none() {
                let further = lesser.sets.into_iter().filter(|set| node.set(set.kind).is_none());
                let further: Vec<RrSet> = further.collect();
                node.sets.extend(further);
            }
        }
    }

    /// What stands at a name, if it exists here.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All owners.
    pub fn owners(&self) -> Vec<Box<[u8]>> {
        self.nodes.keys().cloned().collect()
    }

    /// Makes a name exist without records.
    pub fn exists(&mut self, name: &[u8]) {
        if !self.nodes.contains_key(name) {
            self.nodes.insert(name.into(), Node::default());
        }
    }

    /// Says that NS records below an apex are there: only then need [`Records::cut`] look.
    pub fn delegate(&mut self) {
        self.delegates = true;
    }

    /// The delegation a name is at or below, nearest to the apex.
    pub fn cut<'r>(&'r self, apex: &[u8], name: &'r [u8]) -> Option<(&'r [u8], &'r RrSet)> {
        if !self.delegates {
            return None;
        }
        let below_apex = suffixes(name).take_while(|rest| rest.len() > apex.len());
        below_apex.filter_map(|rest| Some((rest, self.node(rest)?.set(kind::NS)?))).last()
    }
}

/// One TTL for the set: the smallest. The same data twice is one record.
fn add(sets: &mut Vec<RrSet>, kind: u16, ttl: u32, data: Box<[u8]>) {
    match sets.iter_mut().find(|set| set.kind == kind) {
        Some(set) => {
            set.ttl = set.ttl.min(ttl);
            if !set.data.contains(&data) {
                set.data.push(data);
            }
        }
        None => sets.push(RrSet { kind, ttl, data: vec![data] }),
    }
}

fn encode(data: &RecordData) -> (u16, Box<[u8]>) {
    match data {
        RecordData::A(address) => (kind::A, address.octets().into()),
        RecordData::Aaaa(address) => (kind::AAAA, address.octets().into()),
        RecordData::Cname(target) => (kind::CNAME, to_wire(target)),
        RecordData::Ptr(target) => (kind::PTR, to_wire(target)),
        RecordData::Ns(target) => (kind::NS, to_wire(target)),
        RecordData::Mx(preference, target) => (kind::MX, numbers(&[*preference], target)),
        RecordData::Srv(priority, weight, port, target) => {
            (kind::SRV, numbers(&[*priority, *weight, *port], target))
        }
        RecordData::Txt(strings) => (kind::TXT, strings.iter().flat_map(|text| string(text)).collect()),
    }
}

fn numbers(numbers: &[u16], target: &Name) -> Box<[u8]> {
    let mut data: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    data.extend_from_slice(&to_wire(target));
    data.into()
}

/// A character-string: at most 255 bytes, which the configuration has checked.
fn string(text: &str) -> Vec<u8> {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    [&[bytes.len() as u8], bytes].concat()
}

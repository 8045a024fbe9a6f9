//! Where in a snapshot a key is found, and who asked for keys that several want.
//!
//! Nothing in here is a position: a change would move all that comes after it.

use super::{
    keys::{TextMap, TextSet},
    sorted::{Keyed, Sorted},
};
use crate::naming::Zone;
use std::{cmp::Ordering, net::IpAddr};
use values::{Mac, Name, Xname};
use xxhash_rust::xxh3::xxh3_64;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// By MAC.
    pub interfaces: usize,
    /// By xname.
    pub components: usize,
    /// Addresses, of all interfaces.
    pub addresses: usize,
    /// Names that somebody bears.
    pub names: usize,
    /// Interfaces with a component and a usable address: what DHCP can serve.
    pub servable_interfaces: usize,
}

/// All keys but MACs and xnames, by which the items themselves lie.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The interfaces that claim an address, those that do not get it as well.
    pub claims: Sorted<(IpAddr, Mac)>,
    /// What an interface claims and does not get.
    pub lost: Sorted<(Mac, IpAddr)>,
    /// The interfaces of which a row names a component, existing or not.
    pub rows: Sorted<(Xname, Mac)>,
    /// The components that a MAC's rows name beside the one that has it.
    pub others: Sorted<(Mac, Xname)>,
    /// Who bears a name.
    pub names: Sorted<Borne>,
    /// Everybody who asked for a name that several asked for.
    pub rivals: Sorted<(Name, Xname)>,
    /// Names that stand between a borne name and its zone.
    pub parents: Sorted<Parent>,
    /// See [`Counts`].
    pub servable: usize,
}

/// A name and who bears it. Lies by the hash: comparing numbers that lie side by side is faster than texts that do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Borne {
    hash: u64,
    pub name: Name,
    pub id: Xname,
}

/// A name and how many borne ones are below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    pub name: Name,
    pub below: u32,
}

impl Borne {
    pub fn new(name: Name, id: Xname) -> Borne {
        Borne { hash: xxh3_64(name.as_str().as_bytes()), name, id }
    }
}

impl Keyed for Borne {
    fn order(&self, other: &Self) -> Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.name.cmp(&other.name))
    }
}

impl Keyed for Parent {
    fn order(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Index {
    /// The MACs that claim an address, in order.
    pub fn claimants(&self, address: IpAddr) -> impl Iterator<Item = Mac> {
        let claims = self.claims.from(move |(claimed, _)| claimed.cmp(&address));
        claims.take_while(move |(claimed, _)| *claimed == address).map(|(_, mac)| *mac)
    }

    /// The addresses that an interface claims and does not get.
    pub fn lost_by(&self, mac: Mac) -> impl Iterator<Item = IpAddr> {
        let lost = self.lost.from(move |(loser, _)| loser.cmp(&mac));
        lost.take_while(move |(loser, _)| *loser == mac).map(|(_, address)| *address)
    }

    /// The MACs of which a row names this component, in order.
    pub fn rows_of(&self, id: &Xname) -> impl Iterator<Item = Mac> {
        let rows = self.rows.from(move |(named, _)| named.cmp(id));
        rows.take_while(move |(named, _)| named == id).map(|(_, mac)| *mac)
    }

    /// The components that a MAC's rows name beside its owner.
    pub fn others_of(&self, mac: Mac) -> impl Iterator<Item = &Xname> {
        let others = self.others.from(move |(named, _)| named.cmp(&mac));
        others.take_while(move |(named, _)| *named == mac).map(|(_, id)| id)
    }

    /// Who bears a name; with the name as it is held.
    pub fn borne(&self, name: &str) -> Option<&Borne> {
        let hash = xxh3_64(name.as_bytes());
        self.names.find(|borne| borne.hash.cmp(&hash).then_with(|| borne.name.as_str().cmp(name)))
    }

    /// Everybody who asked for a contested name, in order; nobody where it is not contested.
    pub fn rivals_for(&self, name: &Name) -> impl Iterator<Item = &Xname> {
        let rivals = self.rivals.from(move |(wanted, _)| wanted.cmp(name));
        rivals.take_while(move |(wanted, _)| wanted == name).map(|(_, id)| id)
    }

    pub fn is_parent(&self, name: &Name) -> bool {
        self.below(name) > 0
    }

    /// How many borne names are below this one.
    pub fn below(&self, name: &Name) -> u32 {
        self.parents.find(|parent| parent.name.cmp(name)).map_or(0, |parent| parent.below)
    }
}

/// From all names that are borne.
pub fn parents(names: &[Borne], zones: &[Zone]) -> Sorted<Parent> {
    let apexes = apexes(zones);
    let mut below: TextMap<&str, u32> = TextMap::default();
    for borne in names {
        for parent in parents_within(borne.name.as_str(), &apexes) {
            *below.entry(parent).or_default() += 1;
        }
    }
    let parent = |(name, below): (&str, u32)| Some(Parent { name: name.parse().ok()?, below });
    let mut parents: Vec<Parent> = below.into_iter().filter_map(parent).collect();
    parents.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Sorted::new(parents)
}

pub type Apexes<'a> = TextSet<&'a str>;

pub fn apexes(zones: &[Zone]) -> Apexes<'_> {
    zones.iter().map(|zone| zone.name.as_str()).collect()
}

/// From the name's parent up to, and without, the apex of its zone; none where it is in no zone.
pub fn parents_within<'a>(name: &'a str, apexes: &Apexes<'_>) -> impl Iterator<Item = &'a str> {
    let parent = |name: &&'a str| name.split_once('.').map(|(_, parent)| parent);
    let ancestors = move || std::iter::successors(parent(&name), parent);
    let distance = ancestors().position(|ancestor| apexes.contains(ancestor)).unwrap_or(0);
    ancestors().take(distance)
}

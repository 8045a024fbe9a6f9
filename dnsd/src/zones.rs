//! Which zones are ours, and everything about them that does not depend on the query. Built anew for each generation of the
//! inventory and each configuration, and swapped whole: a packet only reads.

use crate::{
    metrics::{Metrics, Slot},
    ready::Ready,
    records::Records,
    reverse,
    wire::{RrSet, kind, suffixes, to_wire},
};
use config::{Config, Missing};
use inventory::Replica;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};
use values::Name;

/// How long a negative answer holds: short, as nodes are added all the time.
pub const NEGATIVE_TTL: u32 = 5;
/// TTL of SOA and of NS made by us, like everything else.
const APEX_TTL: u32 = 60;
/// SOA timers for secondaries: ask every minute, insist every half, give up after a week. Guesses.
const SOA_TIMERS: [u32; 4] = [60, 30, 604_800, NEGATIVE_TTL];
/// The name of our own name server where no NS record is configured, and of the mailbox in SOA.
const NAME_SERVER: &str = "ns";
const MAILBOX: &str = "hostmaster";

/// All zones and static records.
#[derive(Debug)]
pub struct Zones {
    by_apex: HashMap<Box<[u8]>, Zone>,
    /// Static records and names that exist for other reasons than the inventory's.
    pub records: Records,
    /// The inventory's first snapshot was received, or none is to be expected: which reverse zones are ours is known.
    pub loaded: bool,
    /// Something said which zones are ours: the file, or the inventory. Before, any name may turn out to be.
    pub told: bool,
    /// Everything that they hold.
    pub ready: Ready,
    longest_apex: usize,
}

/// One zone.
#[derive(Debug)]
pub struct Zone {
    /// Apex in wire form, lower case.
    pub apex: Box<[u8]>,
    /// Below in-addr.arpa or ip6.arpa.
    pub reverse: bool,
    /// `None` before anything tells its serial; then there is no negative answer either.
    pub soa: Option<RrSet>,
    /// Never empty.
    pub ns: RrSet,
    /// What a name that is not in it gets. Reverse zones nobody listed hold some addresses of a network, not all of it.
    pub missing: Missing,
    /// There because of known addresses, not because anybody named it.
    pub automatic: bool,
    /// Where its answers are counted.
    pub slot: Slot,
}

impl Zones {
    /// From the configuration and what the inventory holds now. `configured_at`: Unix seconds of when this configuration came.
    pub fn build(config: &Config, replica: &Replica, configured_at: u32) -> Zones {
        let serials: HashMap<Box<[u8]>, u32> =
            replica.zones().iter().map(|(name, serial)| (to_wire(name), *serial)).collect();
        let mut names: BTreeSet<Box<[u8]>> = configured(config).iter().map(to_wire).collect();
        names.extend(serials.keys().cloned());
        names.extend(replica.domain().map(to_wire));
        let reverse_zones = automatic(replica, &names);

        let mut records = Records::new(&config.dnsd.records);
        let own_serial = (!records.is_empty() || !config.inventory.replica).then_some(configured_at);
        // Zones smd-cache does not number change only when one it numbers does: the same addresses are in both.
        let newest = serials.values().copied().chain(own_serial).max();
        let primary =
            config.domain.as_ref().or(replica.domain()).map(to_wire).or_else(|| first_forward(&names));

        let serial_of = |apex: &[u8]| match serials.get(apex) {
            Some(serial) => Some(own_serial.map_or(*serial, |own| own.max(*serial))),
            None => newest,
        };
        let zone = |apex: &[u8]| Zone::new(apex, primary.as_deref(), serial_of(apex), &records);
        let mut zones: HashMap<_, _> =
            names.iter().chain(&reverse_zones).map(|apex| (apex.clone(), zone(apex))).collect();
        mark_forwarding(&mut zones, config, &reverse_zones);
        for zone in zones.values_mut().filter(|zone| reverse_zones.contains(&zone.apex)) {
            (zone.automatic, zone.slot) = (true, Slot::AUTOMATIC);
        }
        let longest_apex = zones.keys().map(|apex| apex.len()).max().unwrap_or(0);
        let loaded = replica.is_complete() || !config.inventory.replica;
        let mut zones = Zones {
            by_apex: zones,
            records: Records::default(),
            loaded,
            told: loaded || !configured(config).is_empty(),
            ready: Ready::default(),
            longest_apex,
        };
        zones.fill_in(&mut records);
        zones.records = records;
        zones.ready = Ready::build(&zones, replica);
        zones
    }

    /// Gives the zones their places among the counters.
    pub fn count_in(&mut self, metrics: &Metrics) {
        metrics.zones.set(self.count() as i64);
        // In order, so that it is the same zones that have none left after each start.
        let mut zones: Vec<_> = self.by_apex.values_mut().filter(|zone| !zone.automatic).collect();
        zones.sort_unstable_by(|one, other| one.apex.cmp(&other.apex));
        for zone in zones {
            zone.slot = metrics.slot(&zone.apex);
        }
    }

    /// The zone a name (wire form, lower case) is in: the longest that matches label by label.
    pub fn find(&self, name: &[u8]) -> Option<&Zone> {
        suffixes(name).filter(|rest| rest.len() <= self.longest_apex).find_map(|rest| self.by_apex.get(rest))
    }

    /// Apexes of the zones with host names, in order of their text.
    pub fn forward(&self) -> Vec<&[u8]> {
        let zones = self.by_apex.values().filter(|zone| !zone.reverse);
        let mut apexes: Vec<&[u8]> = zones.map(|zone| &*zone.apex).collect();
        apexes.sort_unstable();
        apexes
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.by_apex.values()
    }

    /// How many zones there are.
    pub fn count(&self) -> usize {
        self.by_apex.len()
    }

    /// Static owners that no zone holds: they cannot be served.
    pub fn strays<'c>(&self, config: &'c Config) -> Vec<&'c str> {
        let stray = |line: &&config::RecordLine| self.find(&to_wire(&line.owner)).is_none();
        config.dnsd.records.iter().filter(stray).map(|line| line.text.as_str()).collect()
    }

    /// Names that exist because something is below them, or because we call ourselves by them; delegations.
    fn fill_in(&self, records: &mut Records) {
        for owner in records.owners() {
            let Some(zone) = self.find(&owner) else { continue };
            if *owner != *zone.apex && records.node(&owner).is_some_and(|node| node.set(kind::NS).is_some()) {
                records.delegate();
            }
            between(&owner, &zone.apex, records);
        }
        for apex in self.by_apex.keys() {
            let parent = suffixes(apex).nth(1).and_then(|parent| self.find(parent));
            if let Some(parent) = parent {
                between(apex, &parent.apex, records);
            }
        }
        for zone in self.by_apex.values() {
            for server in &zone.ns.data {
                if self.find(server).is_some() {
                    records.exists(server);
                }
            }
        }
    }
}

impl Zone {
    /// NS: those configured at the apex, else those of the domain, else `ns.DOMAIN`, which also is SOA's primary then.
    fn new(apex: &[u8], primary: Option<&[u8]>, serial: Option<u32>, records: &Records) -> Zone {
        let domain = primary.unwrap_or(apex);
        let configured = |name: &[u8]| records.node(name).and_then(|node| node.set(kind::NS)).cloned();
        let ns = configured(apex).or_else(|| configured(domain)).unwrap_or_else(|| RrSet {
            kind: kind::NS,
            ttl: APEX_TTL,
            data: vec![below(domain, NAME_SERVER)],
        });
        let soa = serial.map(|serial| {
            let numbers = [[serial].as_slice(), &SOA_TIMERS].concat();
            let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
            let names = [&*ns.data[0], &below(domain, MAILBOX)].concat();
            RrSet { kind: kind::SOA, ttl: APEX_TTL, data: vec![names.into_iter().chain(numbers).collect()] }
        });
        Zone {
            apex: apex.into(),
            reverse: reverse::parse(apex).is_some(),
            soa,
            ns,
            missing: Missing::Nxdomain,
            automatic: false,
            slot: Slot::OTHER,
        }
    }
}

/// Zones the file speaks of: the domain, each domain a rule names, those listed.
fn configured(config: &Config) -> Vec<Name> {
    let global = config.domain.as_ref();
    let ruled = config.rules.iter().filter_map(|rule| rule.effective_domain(global));
    global
        .cloned()
        .into_iter()
        .chain(ruled)
        .chain(config.zones.iter().map(|zone| zone.name.clone()))
        .collect()
}

/// Zones whose misses are others' to answer: those that say so, and those nobody listed.
fn mark_forwarding(zones: &mut HashMap<Box<[u8]>, Zone>, config: &Config, automatic: &BTreeSet<Box<[u8]>>) {
    let said = config.zones.iter().filter(|zone| zone.missing == Missing::Forward);
    for apex in said.map(|zone| to_wire(&zone.name)).chain(automatic.iter().cloned()) {
        if let Some(zone) = zones.get_mut(&apex) {
            zone.missing = Missing::Forward;
        }
    }
}

/// The /24s and /64s of known addresses that no other zone covers.
fn automatic(replica: &Replica, names: &BTreeSet<Box<[u8]>>) -> BTreeSet<Box<[u8]>> {
    let mut seen = HashSet::new();
    let addresses =
        replica.interfaces().flat_map(|interface| &interface.addresses).map(|entry| entry.address);
    let first_of_each = addresses.filter(|address| seen.insert(network(address)));
    let zones = first_of_each.map(reverse::zone_of);
    zones.filter(|zone| !suffixes(zone).any(|rest| names.contains(rest))).collect()
}

fn network(address: &IpAddr) -> (bool, u64) {
    match address {
        IpAddr::V4(address) => (true, u64::from(address.to_bits() >> 8)),
        IpAddr::V6(address) => (false, (address.to_bits() >> 64) as u64),
    }
}

fn first_forward(names: &BTreeSet<Box<[u8]>>) -> Option<Box<[u8]>> {
    names.iter().find(|name| reverse::parse(name).is_none()).cloned()
}

/// Makes every name between an owner and the apex exist.
fn between(owner: &[u8], apex: &[u8], records: &mut Records) {
    for parent in suffixes(owner).skip(1).take_while(|rest| rest.len() > apex.len()) {
        records.exists(parent);
    }
}

/// `label.domain`; just the domain where that would be too long for a name.
fn below(domain: &[u8], label: &str) -> Box<[u8]> {
    if domain.len() + label.len() >= 255 {
        return domain.into();
    }
    [&[label.len() as u8], label.as_bytes(), domain].concat().into()
}

#[cfg(test)]
mod tests;

//! Which zones are ours, and everything about them that does not depend on the query. Built anew for each generation of the
//! inventory and each configuration, and swapped whole: a packet only reads.

mod which;

use crate::{
    explain::name_text,
    files::{BadLine, Files, Record, ZoneFile},
    metrics::{Metrics, Slot},
    ready::Ready,
    records::{DEFAULT_TTL, Records},
    reverse,
    wire::{RrSet, kind, suffixes, to_wire},
};
use config::{Config, Missing, Pointer};
use inventory::Replica;
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};
use which::{automatic, configured, first_forward, mark_forwarding};

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
    /// By number; `None`: a zone that is gone.
    list: Vec<Option<Zone>>,
    by_apex: HashMap<Box<[u8]>, u16>,
    /// Static records and names that exist for other reasons than the inventory's.
    pub records: Records,
    /// The inventory's first snapshot was received, or none is to be expected: which reverse zones are ours is known.
    pub loaded: bool,
    /// All of the inventory is in [`Zones::ready`].
    pub complete: bool,
    /// Something said which zones are ours: the file, or the inventory. Before, any name may turn out to be.
    pub told: bool,
    /// Machines have TXT records.
    pub node_txt: bool,
    /// What addresses lead back to.
    pub pointer: Pointer,
    /// Domains in which short names are looked for (wire form), in order.
    pub search: Vec<Box<[u8]>>,
    /// Everything that they hold.
    pub ready: Ready,
    longest_apex: usize,
    /// What it was made of.
    replica: Replica,
}

/// One zone.
#[derive(Debug)]
pub struct Zone {
    /// The same as long as there is such a zone.
    pub number: u16,
    /// Apex in wire form, lower case.
    pub apex: Box<[u8]>,
    /// Below in-addr.arpa or ip6.arpa.
    pub reverse: bool,
    /// `None` before anything tells its serial; then there is no negative answer either.
    pub soa: Option<RrSet>,
    /// The serial that smd-cache gives it, if it knows the zone.
    pub told: Option<u32>,
    /// The serial is that of what it holds; else the zone is not for copying yet.
    pub settled: bool,
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
    /// Serials are those of zones that were never served before; [`crate::transfer::serials`] makes them what they are to be.
    pub fn build(config: &Config, replica: &Replica, configured_at: u32) -> Zones {
        Zones::after(None, config, replica, configured_at)
    }

    /// The same, where what stays as it was `before` need not be made again.
    pub fn after(before: Option<&Zones>, config: &Config, replica: &Replica, configured_at: u32) -> Zones {
        Zones::with_files(before, config, &Files::default(), replica, configured_at)
    }

    /// The same with records from files; `configured_at`: when configuration or files changed last.
    pub fn with_files(
        before: Option<&Zones>,
        config: &Config,
        files: &Files,
        replica: &Replica,
        configured_at: u32,
    ) -> Zones {
        let told: HashMap<Box<[u8]>, u32> =
            replica.zones().iter().map(|(name, serial)| (to_wire(name), *serial)).collect();
        let mut names: BTreeSet<Box<[u8]>> = configured(config).iter().map(to_wire).collect();
        names.extend(told.keys().cloned());
        names.extend(replica.domain().map(to_wire));
        let hosts = files.hosts.beside(replica);
        let reverse_zones = automatic(replica, &hosts, &names);

        let is_apex = |owner: &[u8]| names.contains(owner) || reverse_zones.contains(owner);
        let mut records = Records::new(&config.dnsd.records);
        for file in &files.zones {
            records.add(file.usable(is_apex));
        }
        records.add(hosts.records().map(|(owner, kind, data)| (owner, kind, DEFAULT_TTL, data)));
        let primary =
            config.domain.as_ref().or(replica.domain()).map(to_wire).or_else(|| first_forward(&names));
        let own = (!records.is_empty() || !config.inventory.replica).then_some(configured_at);
        let serials = Serials::new(told, own);
        let zone = |apex: &[u8]| {
            let told = serials.told.get(apex).copied();
            Zone { told, ..Zone::new(apex, primary.as_deref(), serials.of(apex), &records) }
        };
        let mut zones: HashMap<_, _> =
            names.iter().chain(&reverse_zones).map(|apex| (apex.clone(), zone(apex))).collect();
        mark_forwarding(&mut zones, config, &reverse_zones);
        for zone in zones.values_mut().filter(|zone| reverse_zones.contains(&zone.apex)) {
            (zone.automatic, zone.slot) = (true, Slot::AUTOMATIC);
        }
        let longest_apex = zones.keys().map(|apex| apex.len()).max().unwrap_or(0);
        let loaded = replica.is_complete() || !config.inventory.replica;
        let (list, by_apex) = number(zones.into_values(), before);
        let mut zones = Zones {
            list,
            by_apex,
            records: Records::default(),
            loaded,
            complete: replica.is_complete(),
            told: loaded || !configured(config).is_empty(),
            node_txt: config.dnsd.node_txt,
            pointer: config.dnsd.ptr,
            search: config.dnsd.search.iter().map(to_wire).collect(),
            ready: Ready::default(),
            longest_apex,
            replica: replica.clone(),
        };
        zones.fill_in(&mut records);
        zones.records = records;
        zones.ready = Ready::build(&zones, replica, before);
        zones
    }

    /// Whether what is not the inventory's is the same in both, so that they differ where addresses and names of machines do.
    pub(crate) fn differ_by_addresses_only(&self, other: &Zones) -> bool {
        let named = |zones: &Zones| {
            let named = zones.iter().filter(|zone| !zone.automatic);
            let said = |zone: &Zone| (zone.apex.clone(), (zone.number, zone.ns.clone(), zone.missing));
            named.map(said).collect::<HashMap<_, _>>()
        };
        let machines = |zones: &Zones| (zones.node_txt, zones.pointer);
        machines(self) == machines(other) && self.records == other.records && named(self) == named(other)
    }

    /// The inventory it was made of.
    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// By [`Zone::number`].
    pub fn numbered(&self, number: u16) -> Option<&Zone> {
        self.list.get(usize::from(number))?.as_ref()
    }

    /// By apex.
    pub fn zone(&self, apex: &[u8]) -> Option<&Zone> {
        self.by_apex.get(apex).and_then(|number| self.numbered(*number))
    }

    /// Gives the zones their places among the counters.
    pub fn count_in(&mut self, metrics: &Metrics) {
        metrics.zones.set(self.count() as i64);
        // In order, so that it is the same zones that have none left after each start.
        let mut zones: Vec<_> = self.list.iter_mut().flatten().filter(|zone| !zone.automatic).collect();
        zones.sort_unstable_by(|one, other| one.apex.cmp(&other.apex));
        for zone in zones {
            zone.slot = metrics.slot(&zone.apex);
        }
    }

    /// The zone a name (wire form, lower case) is in: the longest that matches label by label.
    pub fn find(&self, name: &[u8]) -> Option<&Zone> {
        suffixes(name).filter(|rest| rest.len() <= self.longest_apex).find_map(|rest| self.zone(rest))
    }

    /// Apexes of the zones with host names, in order of their text.
    pub fn forward(&self) -> Vec<&[u8]> {
        let zones = self.iter().filter(|zone| !zone.reverse);
        let mut apexes: Vec<&[u8]> = zones.map(|zone| &*zone.apex).collect();
        apexes.sort_unstable();
        apexes
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.list.iter().flatten()
    }

    /// The same, to be numbered.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Zone> {
        self.list.iter_mut().flatten()
    }

    /// Every [`Zone::number`] is below this.
    pub(crate) fn numbers(&self) -> usize {
        self.list.len()
    }

    /// The zones of ours that are cut out of this one: to who has only this one they are delegations.
    pub fn children(&self, zone: &Zone) -> impl Iterator<Item = &Zone> {
        self.iter().filter(move |child| self.parent(child).is_some_and(|parent| parent.apex == zone.apex))
    }

    /// The zone of ours that this one is cut out of.
    pub fn parent(&self, zone: &Zone) -> Option<&Zone> {
        suffixes(&zone.apex).nth(1).and_then(|above| self.find(above))
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

    /// What of files is not served though it was understood: by file, lines and why.
    pub fn left_out(&self, files: &Files) -> Vec<(PathBuf, Vec<BadLine>)> {
        let of_file = |file: &ZoneFile| {
            let bad = |record: &Record| {
                let zone = self.find(&record.owner);
                let message = match zone {
                    None => format!("{} is in no zone of ours", name_text(&record.owner)),
                    Some(zone) if zone.apex == record.owner && record.kind == kind::CNAME => {
                        format!(
                            "{} is a zone and cannot be an alias (RFC 1034 §3.6.2)",
                            name_text(&record.owner)
                        )
                    }
                    Some(_) => return None,
                };
                Some(BadLine { line: record.line, message })
            };
            (file.path.clone(), file.records.iter().filter_map(bad).collect::<Vec<_>>())
        };
        files.zones.iter().map(|file| of_file(file)).filter(|(_, lines)| !lines.is_empty()).collect()
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
        for apex in self.iter().map(|zone| &zone.apex) {
            let parent = suffixes(apex).nth(1).and_then(|parent| self.find(parent));
            if let Some(parent) = parent {
                between(apex, &parent.apex, records);
            }
        }
        for zone in self.iter() {
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
            number: 0,
            apex: apex.into(),
            reverse: reverse::parse(apex).is_some(),
            soa,
            told: None,
            settled: true,
            ns,
            missing: Missing::Nxdomain,
            automatic: false,
            slot: Slot::OTHER,
        }
    }
}

/// What zones begin with.
struct Serials {
    /// By smd-cache, for the zones it knows.
    told: HashMap<Box<[u8]>, u32>,
    /// When static records changed last; `None`: there are none.
    own: Option<u32>,
    /// Zones smd-cache does not number change only when one it numbers does: the same addresses are in both.
    newest: Option<u32>,
}

impl Serials {
    fn new(told: HashMap<Box<[u8]>, u32>, own: Option<u32>) -> Serials {
        let newest = told.values().copied().chain(own).max();
        Serials { told, own, newest }
    }

    fn of(&self, apex: &[u8]) -> Option<u32> {
        match self.told.get(apex) {
            Some(told) => Some(self.own.map_or(*told, |own| own.max(*told))),
            None => self.newest,
        }
    }
}

/// More zones than have numbers are not served: 65,536 networks of 256 addresses each.
const MAX_ZONES: usize = u16::MAX as usize;

/// Zones by number, and numbers by apex.
type Numbered = (Vec<Option<Zone>>, HashMap<Box<[u8]>, u16>);

/// Gives each zone its number, those of `before` the same again.
fn number(zones: impl Iterator<Item = Zone>, before: Option<&Zones>) -> Numbered {
    let mut list: Vec<Option<Zone>> = Vec::new();
    list.resize_with(before.map_or(0, |before| before.list.len()), || None);
    let (known, mut new): (Vec<Zone>, Vec<Zone>) =
        zones.partition(|zone| before.is_some_and(|before| before.zone(&zone.apex).is_some()));
    // Where numbers do not suffice, those that somebody named have one.
    new.sort_by_key(|zone| zone.automatic);
    for zone in known {
        let number = before.and_then(|before| before.zone(&zone.apex)).map_or(0, |zone| zone.number);
        list[usize::from(number)] = Some(zone);
    }
    let mut free = 0;
    for zone in new {
        while list.get(free).is_some_and(Option::is_some) {
            free += 1;
        }
        match list.get_mut(free) {
            Some(place) => *place = Some(zone),
            None if free < MAX_ZONES => list.push(Some(zone)),
            None => break,
        }
    }
    let mut by_apex = HashMap::new();
    for (number, zone) in list.iter_mut().enumerate() {
        if let Some(zone) = zone {
            zone.number = number as u16;
            by_apex.insert(zone.apex.clone(), zone.number);
        }
    }
    (list, by_apex)
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

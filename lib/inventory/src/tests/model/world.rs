//! SMD and two smd-caches, as simple as they can be.

use super::*;
use prost_types::Timestamp;
use std::collections::BTreeMap;

/// Machines: few, so that they meet.
pub(super) const KEYS: u8 = 3;

/// Everything a machine can be: each change makes one that never was before. Its address.
pub(super) type Version = u32;

/// A machine's version and when SMD wrote it, in milliseconds.
type Record = (Version, i64);

/// After so long the last read does not say UNKNOWN any more: 3 x `poll_changes`.
const RECENT: i64 = 3_000;

/// `stale_after`.
const STALE: i64 = 30_000;

#[derive(Debug)]
pub(super) struct World {
    now: i64,
    /// All that SMD ever was.
    pub(super) states: Vec<BTreeMap<u8, Version>>,
    smd: BTreeMap<u8, Record>,
    pub(super) servers: [Server; 2],
    versions: Version,
    instances: u32,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    instance: String,
    skew: i64,
    pub(super) sees: bool,
    generation: u64,
    content: BTreeMap<u8, Record>,
    /// Contents by generation, from the first on.
    history: Vec<BTreeMap<u8, Record>>,
    /// What the snapshot file had after each read: content, start of the last whole read and of the last of any kind.
    on_disk: Vec<(BTreeMap<u8, Record>, i64, i64)>,
    /// Number and start of the last whole read; number 0: by an earlier life.
    whole: Option<(u64, i64)>,
    read: Option<i64>,
    /// One that has begun.
    reading: Option<(u64, i64)>,
    begun: u64,
}

/// A Watch, as smd-cache has it.
#[derive(Debug)]
pub(super) struct Watch {
    held: Option<v1::Freshness>,
    arrived: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    Waiting,
    Sending(BTreeMap<u8, Record>, u64),
    Completing(u64),
    Following(u64),
}

pub(super) fn mac(key: u8) -> Mac {
    format!("02:00:00:00:00:{key:02x}").parse().unwrap()
}

pub(super) fn name(key: u8) -> Name {
    format!("nid{key}.cluster.local").parse().unwrap()
}

pub(super) fn version(address: IpAddr) -> Version {
    match address {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(_) => unreachable!("these are IPv4"),
    }
}

fn message(key: u8, (version, written): &Record) -> v1::Interface {
    let address = std::net::Ipv4Addr::from(*version).to_string();
    let last_update = Some(stamp(*written));
    let name = name(key).to_string();
    v1::Interface { last_update, ..interface(&mac(key).to_string(), "", &[(&address, &[&name])]) }
}

fn stamp(milliseconds: i64) -> Timestamp {
    let nanos = (milliseconds.rem_euclid(1_000) * 1_000_000) as i32;
    Timestamp { seconds: milliseconds.div_euclid(1_000), nanos }
}

impl World {
    pub(super) fn new(skews: [i64; 2]) -> World {
        let server = |number: usize| Server {
            instance: format!("first-{number}"),
            skew: skews[number],
            sees: true,
            ..Server::default()
        };
        World {
            now: 1_700_000_000_000,
            states: vec![BTreeMap::new()],
            smd: BTreeMap::new(),
            servers: [server(0), server(1)],
            versions: 0x0a00_0000,
            instances: 0,
        }
    }

    pub(super) fn set_clock(&self) {
        let now = Duration::from_millis(self.now as u64);
        clock::SET.set(Some(SystemTime::UNIX_EPOCH + now));
    }

    pub(super) fn wait(&mut self, tenths: u64) {
        self.now += tenths as i64 * 100;
        self.set_clock();
    }

    pub(super) fn change(&mut self, key: u8, removed: bool) {
        // No two things happen at once.
        self.now += 1;
        self.set_clock();
        self.versions += 1;
        match removed {
            true => drop(self.smd.remove(&key)),
            false => drop(self.smd.insert(key, (self.versions, self.now))),
        }
        self.states.push(self.smd.iter().map(|(key, (version, _))| (*key, *version)).collect());
    }

    pub(super) fn newest(&self, key: u8) -> Option<Version> {
        self.smd.get(&key).map(|(version, _)| *version)
    }

    pub(super) fn begin(&mut self, server: usize) {
        self.now += 1;
        self.set_clock();
        let now = self.now;
        let server = &mut self.servers[server];
        server.begun += 1;
        server.reading = Some((server.begun, now + server.skew));
    }

    pub(super) fn end(&mut self, server: usize) {
        let content = self.smd.clone();
        let server = &mut self.servers[server];
        let Some(reading) = server.reading.take().filter(|_| server.sees) else { return };
        server.whole = Some(reading);
        server.read = server.read.max(Some(reading.1));
        server.publish(content);
    }

    /// Additions and changes, no removals.
    pub(super) fn delta(&mut self, server: usize) {
        self.now += 1;
        self.set_clock();
        let (now, smd) = (self.now, self.smd.clone());
        let server = &mut self.servers[server];
        if server.whole.is_some_and(|(number, _)| number > 0) && server.sees {
            server.begun += 1;
            server.read = Some(now + server.skew);
            let mut content = server.content.clone();
            content.extend(smd);
            server.publish(content);
        }
    }

    /// From disk, perhaps an older picture; no read of this process has succeeded yet.
    pub(super) fn restart(&mut self, server: usize, forgets: bool) {
        self.instances += 1;
        let instance = format!("restarted-{}", self.instances);
        let server = &mut self.servers[server];
        let known = server.on_disk.len().saturating_sub(if forgets { 2 } else { 0 });
        let (skew, sees, mut on_disk) = (server.skew, server.sees, std::mem::take(&mut server.on_disk));
        on_disk.truncate(known);
        *server = Server { instance, skew, sees, ..Server::default() };
        if let Some((content, whole, read)) = on_disk.last() {
            server.whole = Some((0, *whole));
            server.read = Some(*read);
            server.publish(content.clone());
        }
        server.on_disk = on_disk;
    }
}

impl Server {
    fn publish(&mut self, content: BTreeMap<u8, Record>) {
        if let (Some((_, whole)), Some(read)) = (self.whole, self.read) {
            self.on_disk.push((content.clone(), whole, read));
        }
        if self.generation == 0 || content != self.content {
            self.generation += 1;
            self.content = content.clone();
            self.history.push(content);
        }
    }

    fn freshness(&self, now: i64) -> v1::Freshness {
        let whole = self.whole.map(|(_, begun)| begun);
        v1::Freshness {
            instance: self.instance.clone(),
            generation: self.generation,
            read_at: self.read.map(stamp),
            whole_read_at: whole.map(stamp),
            stale: self.whole.is_none_or(|(number, begun)| number == 0 || now + self.skew - begun > STALE),
            digest: if self.generation > 0 { format!("{:?}", self.content) } else { String::new() },
        }
    }

    pub(super) fn watch(&self, held: Option<v1::Freshness>) -> Watch {
        Watch { held, arrived: self.begun, phase: Phase::Greeting }
    }

    fn is_synced(&self, watch: &Watch) -> bool {
        let Some((number, begun)) = self.whole else { return false };
        let Some(held) = &watch.held else { return true };
        let later = |read_at: &Timestamp| {
            begun > read_at.seconds * 1_000 + i64::from(read_at.nanos) / 1_000_000 + 1_000
        };
        held.instance == self.instance || number > watch.arrived || held.read_at.as_ref().is_none_or(later)
    }

    /// Whether what is held is continued, and the phase in which it is served.
    fn start(&self, watch: &mut Watch) -> bool {
        let held = watch.held.as_ref();
        let same =
            held.is_some_and(|held| held.digest == self.freshness(0).digest && !held.digest.is_empty());
        let ours = held.filter(|held| held.instance == self.instance && held.generation > 0);
        watch.phase = match (same, ours) {
            (true, _) => Phase::Following(self.generation),
            (false, Some(held)) => Phase::Following(held.generation),
            (false, None) => Phase::Sending(self.content.clone(), self.generation),
        };
        same || ours.is_some()
    }

    /// The next event; a heartbeat when there is no other.
    pub(super) fn next(&self, watch: &mut Watch, world: &World) -> Event {
        let beat = || Event::Heartbeat(v1::Heartbeat { freshness: Some(self.freshness(world.now)) });
        self.news(watch, world).unwrap_or_else(beat)
    }

    fn news(&self, watch: &mut Watch, world: &World) -> Option<Event> {
        let freshness = Some(self.freshness(world.now));
        match std::mem::replace(&mut watch.phase, Phase::Waiting) {
            Phase::Greeting => {
                let synced = self.is_synced(watch);
                let resumed = synced && self.start(watch);
                Some(Event::Hello(v1::Hello { freshness, synced, resumed, ..Default::default() }))
            }
            Phase::Waiting if self.is_synced(watch) => {
                let resumed = self.start(watch);
                Some(Event::Synced(v1::Synced { freshness, resumed, ..Default::default() }))
            }
            Phase::Waiting => None,
            Phase::Sending(content, generation) => {
                let interfaces = content.iter().map(|(key, record)| message(*key, record)).collect();
                watch.phase = Phase::Completing(generation);
                // The freshness of the picture that is sent, as smd-cache notes it when it begins.
                watch.held = Some(v1::Freshness { generation, ..self.freshness(world.now) });
                Some(Event::Put(v1::Put { interfaces, ..Default::default() }))
            }
            Phase::Completing(generation) => {
                watch.phase = Phase::Following(generation);
                Some(Event::Complete(v1::Complete { freshness: watch.held.clone(), ..Default::default() }))
            }
            Phase::Following(generation) => self.follow(watch, generation, world.now),
        }
    }

    fn follow(&self, watch: &mut Watch, generation: u64, now: i64) -> Option<Event> {
        if generation == self.generation {
            watch.phase = Phase::Following(generation);
            return None;
        }
        watch.phase = Phase::Following(generation + 1);
        let (old, new) = (&self.history[generation as usize - 1], &self.history[generation as usize]);
        let put = new.iter().filter(|(key, record)| old.get(key) != Some(record));
        let removed = old.keys().filter(|key| !new.contains_key(key));
        Some(Event::Change(v1::Change {
            freshness: Some(v1::Freshness {
                generation: generation + 1,
                digest: format!("{new:?}"),
                ..self.freshness(now)
            }),
            put_interfaces: put.map(|(key, record)| message(*key, record)).collect(),
            removed_macs: removed.map(|key| mac(*key).to_string()).collect(),
            ..Default::default()
        }))
    }

    /// As DESIGN.md's table has it.
    pub(super) fn answer(&self, world: &World, key: &AnyKey) -> v1::LookupReply {
        let number = (0..KEYS).find(|number| match key {
            AnyKey::Mac(asked) => *asked == mac(*number),
            AnyKey::Name(asked) => *asked == name(*number),
            _ => false,
        });
        let number = number.expect("only these are asked for");
        let of_mac = matches!(key, AnyKey::Mac(_));
        let pulled = world.smd.get(&number).filter(|_| of_mac && self.sees);
        let found = self.content.get(&number).or(pulled).map(|record| message(number, record));
        let this_life = self.whole.is_some_and(|(number, _)| number > 0);
        let recent = this_life && self.read.is_some_and(|read| world.now + self.skew - read <= RECENT);
        let may_deny = if of_mac { self.sees || recent } else { self.generation > 0 };
        let outcome = match (&found, may_deny) {
            (Some(_), _) => Outcome::Found,
            (None, true) => Outcome::Unknown,
            (None, false) => Outcome::Unavailable,
        };
        v1::LookupReply { freshness: Some(self.freshness(world.now)), ..reply(outcome, 0, found) }
    }
}

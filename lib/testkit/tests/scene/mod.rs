//! dhcpd without sockets: SMD's answers and a configuration file on one side, datagrams on the other; between them all
//! that a packet meets: smd-cache's snapshot, the messages of the contract, the replica, parser, decision, encoder.

use dhcpd::{
    config::Config,
    decide::{Arrival, Decision, Facts, OwnAddress, decide, key},
    hosts::Hosts,
    leases::{self, Leases, Pool, Update, store::Change},
    wire::{self, Refused},
};
use inventory::{Interface, Lookup, Replica};
use jiff::Timestamp;
use serde_json::Value;
use smd_cache::{
    naming::Naming,
    records::{Read, Records, decode_components, decode_interfaces},
    snapshot::build,
};
use std::time::{Duration, Instant};
use values::Mac;

/// A dhcpd that knows what SMD holds.
pub struct Scene {
    config: Config,
    replica: Replica,
    ours: Vec<OwnAddress>,
    hosts: Hosts,
    pools: Vec<Pool>,
    /// SMD was never read.
    blind: bool,
    started: Instant,
}

/// What a dhcpd remembers, and its clock.
#[derive(Default)]
pub struct Memory {
    leases: Leases,
    clock: Duration,
}

impl Memory {
    /// Time passes.
    #[allow(dead_code)]
    pub fn advance(&mut self, time: Duration) {
        self.clock += time;
    }
}

impl Scene {
    /// From the file, the bodies of SMD's two collections and the addresses of our interfaces, `ADDRESS/LENGTH`; interface indices
    /// count from 1.
    pub fn new(file: &str, interfaces: &Value, components: &Value, ours: &[&str]) -> Scene {
        let file = config::parse(file).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let own = |(index, text): (usize, &&str)| {
            let net: ipnet::Ipv4Net = text.parse().expect("ADDRESS/LENGTH");
            OwnAddress { interface: index as u32 + 1, address: net.addr(), prefix_length: net.prefix_len() }
        };
        Scene {
            config: Config::new(&file).expect("dhcpd.v4"),
            replica: replica(&file, interfaces, components),
            ours: ours.iter().enumerate().map(own).collect(),
            hosts: Hosts::default(),
            pools: file.dhcpd.v4.and_then(|v4| v4.unknown).map(|u| Pool::of(&u.pools)).unwrap_or_default(),
            blind: false,
            started: Instant::now(),
        }
    }

    /// That could never read SMD.
    #[allow(dead_code)]
    pub fn blind(self) -> Scene {
        Scene { replica: Replica::default(), blind: true, ..self }
    }

    /// An empty memory, whose store is open.
    #[allow(dead_code)]
    pub fn memory(&self) -> Memory {
        let mut leases = Leases::new(self.pools.clone());
        leases.merge(Vec::new(), self.started, 0);
        Memory { leases, clock: Duration::ZERO }
    }

    /// What is done about a datagram, and remembered of it. What would be written is.
    #[allow(dead_code)]
    pub fn serve(&self, memory: &mut Memory, bytes: &[u8], arrival: &Arrival) -> Result<Decision, Refused> {
        let message = wire::parse(bytes)?;
        let (now, wall) = (self.started + memory.clock, 1_800_000_000 + memory.clock.as_secs() as i64);
        let ranges = leases::ranges(&self.pools);
        let taken = leases::taken(&ranges, &self.replica, &self.hosts, &self.ours, &self.config);
        memory.leases.take(taken, self.replica.is_complete());
        memory.leases.expire(now);
        let lookup = match key(&self.config, &message, arrival, &self.ours) {
            Ok(mac) => self.lookup(mac),
            Err(_) => Lookup::Unavailable, // nobody asks then
        };
        let leases = (!self.pools.is_empty()).then_some(&memory.leases);
        let facts = Facts { lookup: &lookup, ours: &self.ours, hosts: &self.hosts, leases };
        let decision = decide(&self.config, &message, arrival, &facts);
        let mut changes = Vec::new();
        for update in &decision.updates {
            memory.leases.apply(update, now, wall, &mut changes);
        }
        let time = decision.updates.iter().find_map(|update| match update {
            Update::Grant { time, .. } => Some(Duration::from_secs((*time).into())),
            _ => None,
        });
        for (change, time) in changes.iter().zip(time) {
            if let Change::Put(row) = change {
                assert!(memory.leases.committed(row, now + time), "nobody else got it meanwhile");
            }
        }
        Ok(decision)
    }

    /// With this text in its hosts file.
    #[allow(dead_code)] // not every test has one
    pub fn with_hosts(self, text: &str) -> Scene {
        let (hosts, bad) = Hosts::parse(text);
        assert_eq!(bad, []);
        Scene { hosts, ..self }
    }

    /// What is done about a datagram.
    pub fn answer(&self, bytes: &[u8], arrival: &Arrival) -> Result<Decision, Refused> {
        self.serve(&mut self.memory(), bytes, arrival)
    }

    fn lookup(&self, mac: Mac) -> Lookup<Interface> {
        match self.replica.mac(&mac) {
            Some(interface) => Lookup::Found(interface.clone(), self.replica.freshness()),
            None if self.blind => Lookup::Unavailable,
            None => Lookup::Unknown,
        }
    }
}

fn replica(file: &config::Config, interfaces: &Value, components: &Value) -> Replica {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("RFC 3339");
    let read = |sequence| Read { sequence, started_at: now };
    let mut records = Records::new();
    let interfaces = decode_interfaces(interfaces.to_string().as_bytes()).expect("an array");
    records.apply_whole_interfaces(read(1), interfaces);
    let components = decode_components(components.to_string().as_bytes()).expect("an object");
    records.apply_whole_components(read(2), components);
    let (snapshot, _) = build(&records, &Naming::from_config(file), None, now);
    Replica::from_messages(
        snapshot.domain().map(ToString::to_string).unwrap_or_default().as_str(),
        snapshot.zones().iter().map(Into::into).collect(),
        snapshot.interfaces().map(|interface| (&**interface).into()).collect(),
        snapshot.components().map(|component| (&**component).into()).collect(),
        proto::v1::Freshness { instance: "scene".into(), generation: 1, ..Default::default() },
    )
}

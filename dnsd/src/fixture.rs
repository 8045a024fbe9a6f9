//! A small cluster for tests, and questions to it as a line of text each.

use crate::{
    access::Rights,
    decide::{Decision, Held, Key, Plan, decide, plan},
    wire::{self, HostText, Transport},
    zones::Zones,
};
use config::Config;
use hickory_proto::{
    op::{Message, OpCode},
    rr::{Name, Record, RecordType},
};
use inventory::{Lookup, Replica};
use std::str::FromStr;

pub const CONFIG: &str = r#"
domain: cluster.local
rules:
  - type:Node,hostname:nid{04d}
zones:
  - {name: cluster.local}
  - {name: lab.test, nodes: "n{02d}.rack"}
  - {name: 16.172.in-addr.arpa}
dnsd:
  records:
    - "www 300 CNAME nid0001"
    - "out CNAME www.example.com."
    - "gone CNAME nid0099"
    - "six CNAME nid0002"
    - "loop1 CNAME loop2"
    - "loop2 CNAME loop1"
    - "smd A 172.16.0.253"
    - "smd AAAA fd00:16::253"
    - "_ntp._udp SRV 0 5 123 smd"
    - "mail MX 10 smd"
    - "text TXT \"one two\" three"
    - "nid0001 TXT hello"
    - "deep.est.of.all A 172.16.0.250"
    - "child NS ns.child"
    - "ns.child A 172.16.0.251"
"#;

pub fn config(text: &str) -> Config {
    config::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// nid0001 has an IPv4 address, nid0002 both, nid0003 none, and one address has no name.
pub fn replica() -> Replica {
    let zones = ["cluster.local", "lab.test", "16.172.in-addr.arpa"];
    let zones = zones.map(|name| proto::v1::Zone { name: name.into(), serial: 7 }).to_vec();
    let interfaces = vec![
        interface(1, &["172.16.0.1"]),
        interface(2, &["172.16.0.2", "10.9.8.7", "fd00:16::2"]),
        proto::v1::Interface {
            mac: "02:00:00:00:00:09".into(),
            addresses: vec![proto::v1::Address { address: "172.16.3.1".into(), ..Default::default() }],
            ..Default::default()
        },
    ];
    let components = (1..=3).map(component).collect();
    let freshness = proto::v1::Freshness { instance: "test".into(), generation: 1, ..Default::default() };
    Replica::from_messages("cluster.local", zones, interfaces, components, freshness)
}

fn names(number: u32) -> Vec<String> {
    let node = format!("x1000c0s{number}b0n0");
    vec![
        format!("nid{number:04}.cluster.local"),
        format!("{node}.cluster.local"),
        format!("n{number:02}.rack.lab.test"),
        format!("{node}.lab.test"),
    ]
}

pub fn interface(number: u32, addresses: &[&str]) -> proto::v1::Interface {
    let address = |address: &&str| proto::v1::Address {
        address: address.to_string(),
        names: names(number),
        ..Default::default()
    };
    proto::v1::Interface {
        mac: format!("02:00:00:00:00:{number:02x}"),
        component_id: format!("x1000c0s{number}b0n0"),
        addresses: addresses.iter().map(address).collect(),
        ..Default::default()
    }
}

pub fn component(number: u32) -> proto::v1::Component {
    proto::v1::Component {
        id: format!("x1000c0s{number}b0n0"),
        r#type: "Node".into(),
        nid: Some(number.into()),
        names: names(number),
        ..Default::default()
    }
}

/// A query as `dig +norec` sends it; `text` is `NAME TYPE`.
pub fn query(text: &str) -> Vec<u8> {
    let (name, kind) = text.split_once(' ').unwrap();
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.op_code = OpCode::Query;
    let kind = RecordType::from_str(kind).unwrap_or(RecordType::IXFR);
    // Not `from_str`: it makes everything lower case.
    message.add_query(hickory_proto::op::Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// What the inventory says, without a server.
pub fn held(replica: &Replica, key: &Key) -> Held {
    let found = |complete: bool| if complete { Lookup::Unknown } else { Lookup::Unavailable };
    let complete = replica.is_complete();
    match key {
        Key::Name(name) => {
            let bearers = HostText::of(name).and_then(|text| replica.name(text.as_str()));
            Held::Bearers(bearers.map_or(found(complete), |it| Lookup::Found(it, replica.freshness())))
        }
        Key::Address(address) => Held::Holders(match replica.address(address) {
            Some(holders) => Lookup::Found(holders, replica.freshness()),
            None if complete => Lookup::Unknown,
            None => Lookup::Unavailable,
        }),
        Key::Prefix(range) => Held::Below(complete.then(|| replica.has_address_in(range.clone()))),
    }
}

/// Bytes in, bytes out; `None`: silence.
pub fn answer(zones: &Zones, replica: &Replica, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let message = wire::read(query).ok()?;
    let decision = match plan(zones, &message, Rights::default()) {
        Plan::Done(decision) => decision,
        Plan::Ask(key, pending) => decide(pending, held(replica, &key)),
    };
    let Decision::Reply(reply) = decision else { panic!("nobody may recurse") };
    let mut out = Vec::new();
    wire::write(&message, transport, &reply, &mut out);
    Some(out)
}

/// An answer as one line: `RCODE flags; records; authority`.
pub fn text(answer: &[u8]) -> String {
    let message = Message::from_vec(answer).unwrap_or_else(|error| panic!("{error}: {answer:02x?}"));
    let metadata = &message.metadata;
    let mut line = format!("{:?}", metadata.response_code);
    let flags = [
        (metadata.authoritative, " aa"),
        (metadata.truncation, " tc"),
        (metadata.recursion_available, " ra"),
    ];
    flags.iter().filter(|(set, _)| *set).for_each(|(_, flag)| line.push_str(flag));
    for section in [&message.answers, &message.authorities, &message.additionals] {
        let records: Vec<String> = section.iter().map(record).collect();
        line.push_str("; ");
        line.push_str(&records.join(", "));
    }
    line.trim_end_matches("; ").trim_end().into()
}

fn record(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

//! dnsd's way from the bytes of a query to those of its answer, in any of a few states: the first byte says which.

use config::Missing;
use dnsd::{
    access::Rights,
    decide::{Decision, Held, Key, Plan, decide, plan},
    ready,
    wire::{HostText, Message, TCP_LIMIT, Transport, UDP_LIMIT, UDP_LIMIT_PLAIN, kind, read, write},
    zones::Zones,
};
use hickory_proto::{op, rr::RecordType};
use inventory::{Lookup, Replica};
use proto::v1;
use std::sync::LazyLock;

/// Records of every type, delegations, aliases that end well, elsewhere, nowhere and never.
const CONFIG: &str = r#"
domain: lab.example
zones: [{name: lab.example}, {name: in.lab.example}, {name: 16.172.in-addr.arpa}]
dnsd:
  records:
    - "@ MX 10 smd"
    - "ns A 172.16.0.253"
    - "smd A 172.16.0.253"
    - "smd AAAA fd00:16::253"
    - "www CNAME n1"
    - "two CNAME www"
    - "out CNAME www.example.com."
    - "gone CNAME n9"
    - "round CNAME again"
    - "again CNAME round"
    - "cut CNAME host.child"
    - "_ntp._udp SRV 0 5 123 smd"
    - "n1 TXT hello"
    - "a.b.c A 172.16.0.250"
    - "child NS ns.child"
    - "child NS ns.example.com."
    - "ns.child A 172.16.0.251"
    - "x.in A 172.16.0.252"
"#;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

struct World {
    /// With everything the inventory has, and before the first snapshot.
    states: [(Zones, Replica); 2],
}

impl World {
    fn new() -> World {
        let config = config::parse(CONFIG).expect("a good file");
        let state = |replica: Replica| (Zones::build(&config, &replica, 7), replica);
        World { states: [state(replica()), state(Replica::default())] }
    }
}

/// Machines with an address, with both families, with more than fit into a datagram, without one; an address without a name.
fn replica() -> Replica {
    let names = |number: u32| vec![format!("n{number}.lab.example"), format!("x{number}.in.lab.example")];
    let address = |address: String, names: Vec<String>| v1::Address { address, names, ..Default::default() };
    let interface = |number: u32, addresses: Vec<String>| v1::Interface {
        mac: format!("02:00:00:00:00:{number:02x}"),
        component_id: format!("x1000c0s{number}b0n0"),
        addresses: addresses.into_iter().map(|text| address(text, names(number))).collect(),
        ..Default::default()
    };
    let component = |number: u32| v1::Component {
        id: format!("x1000c0s{number}b0n0"),
        r#type: "Node".into(),
        names: names(number),
        ..Default::default()
    };
    let interfaces = vec![
        interface(1, vec!["172.16.0.1".into()]),
        interface(2, vec!["172.16.0.2".into(), "10.9.8.7".into(), "fd00:16::2".into()]),
        interface(3, (0..90).map(|last| format!("10.3.0.{last}")).collect()),
        v1::Interface {
            mac: "02:00:00:00:00:09".into(),
            addresses: vec![address("172.16.3.1".into(), Vec::new())],
            ..Default::default()
        },
    ];
    let zones = ["lab.example", "in.lab.example", "16.172.in-addr.arpa"];
    let zones = zones.map(|name| v1::Zone { name: name.into(), serial: 7 }).to_vec();
    let freshness = v1::Freshness { instance: "fuzz".into(), generation: 1, ..Default::default() };
    Replica::from_messages("lab.example", zones, interfaces, (1..=4).map(component).collect(), freshness)
}

/// The first byte chooses; where it has its highest bit, the header is made that of a query, so that few are wasted.
pub fn dns_decide(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut query = rest.to_vec();
    if choice & 0x80 != 0 && query.len() >= 12 {
        query[2] &= 1;
        query[4..10].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        query[10] = 0;
        query[11] &= 1;
    }
    let transport = Transport::ALL[usize::from(choice & 3)];
    let rights = Rights { recursion: choice & 4 != 0, denied: choice & 8 != 0, ..Rights::default() };
    let (zones, replica) = &WORLD.states[usize::from(choice >> 4 & 1)];
    let Ok(message) = read(&query) else { return };
    let made = answer(zones, replica, &message, transport, rights);
    assert_eq!(made, answer(zones, replica, &message, transport, rights), "the same again");
    let mut in_place = Vec::new();
    if replica.is_complete()
        && rights == Rights::default()
        && ready::answer(zones, &query, transport, &mut in_place).is_some()
    {
        assert_eq!(made.as_ref(), Some(&in_place), "in place as decided");
    }
    if let Some(answer) = made {
        check(&query, &message, transport, rights, &answer);
    }
}

/// `None`: a forwarder is asked.
fn answer(
    zones: &Zones,
    replica: &Replica,
    message: &Message,
    transport: Transport,
    rights: Rights,
) -> Option<Vec<u8>> {
    let decision = match plan(zones, message, rights) {
        Plan::Done(decision) => decision,
        Plan::Ask(key, pending) => decide(pending, held(replica, &key)),
    };
    let reply = match decision {
        Decision::Reply(reply) => reply,
        Decision::Forward(forward) => {
            assert!(rights.recursion && message.recursion_desired() && !rights.denied);
            let zone = zones.find(forward.name);
            assert!(zone.is_none_or(|zone| zone.missing == Missing::Forward), "names of ours stay here");
            return None;
        }
    };
    let mut out = Vec::new();
    write(message, transport, &reply, &mut out);
    Some(out)
}

fn held(replica: &Replica, key: &Key) -> Held {
    let complete = replica.is_complete();
    fn absent<T>(complete: bool) -> Lookup<T> {
        if complete { Lookup::Unknown } else { Lookup::Unavailable }
    }
    let freshness = replica.freshness();
    match key {
        Key::Name(name) => {
            let found = HostText::of(name).and_then(|text| replica.name(text.as_str()));
            Held::Bearers(found.map_or(absent(complete), |found| Lookup::Found(found, freshness)))
        }
        Key::Address(address) => {
            let found = replica.address(address);
            Held::Holders(found.map_or(absent(complete), |found| Lookup::Found(found, freshness)))
        }
        Key::Prefix(range) => Held::Below(complete.then(|| replica.has_address_in(range.clone()))),
    }
}

/// What holds for any answer to any query.
fn check(query: &[u8], message: &Message, transport: Transport, rights: Rights, answer: &[u8]) {
    let most = match (transport, message.edns) {
        (Transport::Udp, None) => UDP_LIMIT_PLAIN,
        (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(UDP_LIMIT_PLAIN, UDP_LIMIT),
        _ => TCP_LIMIT,
    };
    assert!(answer.len() <= most, "{} bytes, of {most}", answer.len());
    assert_eq!(answer[..2], query[..2], "the id");
    let flags = u16::from_be_bytes([answer[2], answer[3]]);
    assert_eq!(flags & 0xf910, 0x8000 | message.flags & 0x7910, "QR; opcode, RD and CD as they came");
    assert_eq!(flags & 0x0060, 0, "neither AD nor Z");
    let question = message.question.as_ref().map_or(&[][..], |question| question.raw);
    assert_eq!(&answer[12..12 + question.len()], question, "the question, byte for byte");
    let read = op::Message::from_vec(answer).unwrap_or_else(|error| panic!("{error}: {answer:02x?}"));
    assert_eq!(read.queries.len(), usize::from(!question.is_empty()));
    assert_eq!(read.edns.is_some(), message.edns.is_some(), "OPT where OPT was");
    let records = read.answers.len() + read.authorities.len() + read.additionals.len();
    let metadata = &read.metadata;
    assert!(!metadata.truncation || transport == Transport::Udp && records == 0, "cut: without records");
    let has =
        |section: &[hickory_proto::rr::Record], kind| section.iter().any(|one| one.record_type() == kind);
    match u16::from(metadata.response_code) {
        // What is said instead of asking a forwarder (RFC 6761) belongs to no zone.
        0 | 3 if rights.recursion => {}
        0 if !metadata.truncation && records == 0 => {
            panic!("nothing, and nothing to remember it by: {message:?}")
        }
        0 if read.answers.is_empty() && !metadata.truncation => {
            let referral = has(&read.authorities, RecordType::NS) && !metadata.authoritative;
            assert!(referral || has(&read.authorities, RecordType::SOA) && metadata.authoritative);
        }
        0 => {}
        3 => assert!(
            metadata.authoritative && (metadata.truncation || has(&read.authorities, RecordType::SOA))
        ),
        _ => assert!(records == 0 && !metadata.authoritative, "an error says nothing about names"),
    }
    if let Some(first) = read.answers.first() {
        assert_eq!(first.name.to_lowercase(), read.queries[0].name().to_lowercase(), "of what was asked");
        let asked = message.question.as_ref().map_or(0, |question| question.kind);
        let fits = |one: &hickory_proto::rr::Record| {
            let found = u16::from(one.record_type());
            found == asked || found == kind::CNAME || asked == kind::ANY
        };
        assert!(read.answers.iter().all(fits), "records of the type that was asked for");
    }
}

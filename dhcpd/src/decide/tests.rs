use super::*;
use crate::wire::Request;
use MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request as Ask};
use inventory::{Component, Freshness, Policy};
use proptest::prelude::*;
use std::sync::Arc;

mod answer;
mod boot;
mod hosts;
mod lent;
mod options;
mod place;
mod pool;
mod transcript;

const MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 253);
/// Two interfaces and a loopback.
const OURS: [OwnAddress; 3] = [
    OwnAddress { interface: 9, address: Ipv4Addr::new(127, 0, 0, 1), prefix_length: 8 },
    OwnAddress { interface: 1, address: SERVER, prefix_length: 24 },
    OwnAddress { interface: 2, address: Ipv4Addr::new(10, 40, 1, 253), prefix_length: 24 },
];
const FILE: &str = r#"
boot:
  script_url: "http://172.16.0.253/script?mac={mac}&id={id}&nid={nid}&host={hostname}&arch={arch}"
  http_url: "http://172.16.0.253/loaders/"
dhcpd:
  v4:
    server_id: 172.16.0.253
    lease_time: 1h
    router: [172.16.0.254]
    netmask: 255.255.255.0
    dns: [172.16.0.253]
    subnets:
      - {cidr: 10.50.0.0/16, router: [10.50.0.1], lease_time: 2h}
      - {cidr: 10.50.9.0/24, router: [], dns: [10.50.9.1]}
"#;

fn config(text: &str) -> Config {
    let file = ::config::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    Config::new(&file).expect("dhcpd.v4")
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A node with these addresses, named after their last byte.
fn node(addresses: &[&str]) -> Interface {
    let component = Component {
        id: "x1000c0s0b0n0".parse().unwrap(),
        nid: Some(7),
        traits: Arc::new(inventory::Traits { kind: "Node".into(), ..Default::default() }),
        names: [].into(),
    };
    let address = |text: &&str| Address {
        address: text.parse().unwrap(),
        network: "".into(),
        hostname: "nid0007".into(),
        domain: "cluster.local".into(),
        fqdn: "nid0007.cluster.local".into(),
        names: [].into(),
        policy: Policy::default(),
    };
    Interface {
        mac: MAC,
        description: "".into(),
        component_id: Some(component.id.clone()),
        component: Some(Arc::new(component)),
        addresses: addresses.iter().map(address).collect(),
        policy: Policy::default(),
        contested: false,
    }
}

fn found(interface: Interface) -> Lookup<Interface> {
    Lookup::Found(Arc::new(interface), Freshness::default())
}

/// Heard as a broadcast on the first interface.
fn broadcast() -> Arrival {
    Arrival {
        interface: 1,
        source: SocketAddrV4::new(ANY, 68),
        destination: Ipv4Addr::BROADCAST,
        relay_socket: false,
    }
}

/// Sent to our address from here.
fn unicast(source: &str) -> Arrival {
    Arrival { source: source.parse().unwrap(), destination: SERVER, ..broadcast() }
}

fn new(kind: MessageType) -> Request {
    Request::new(kind, MAC)
}

trait With {
    fn address(self, code: u8, address: &str) -> Self;
    fn client(self, address: &str) -> Self;
}

impl With for Request {
    fn address(self, code: u8, address: &str) -> Request {
        self.option(code, &ip(address).octets())
    }
    fn client(self, address: &str) -> Request {
        Request { ciaddr: ip(address), ..self }
    }
}

fn ask(file: &str, request: &Request, arrival: &Arrival, lookup: &Lookup<Interface>) -> Decision {
    let message = wire_parse(request);
    let hosts = Hosts::default();
    decide(&config(file), &message, arrival, &Facts { lookup, ours: &OURS, hosts: &hosts, leases: None })
}

fn wire_parse(request: &Request) -> Message {
    crate::wire::parse(&request.encode()).unwrap()
}

fn reply(decision: &Decision) -> &Reply {
    match &decision.outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Silent(_) => panic!("{decision}"),
    }
}

/// `OFFER 172.16.0.11`, `NAK`, `silent: unknown`.
fn short(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Silent(reason) => format!("silent: {}", reason.label()),
        Outcome::Reply(reply) => {
            let kind = format!("{:?}", reply.message_type).to_uppercase();
            let given = reply.packet.yiaddr;
            if given.is_unspecified() { kind } else { format!("{kind} {given}") }
        }
    }
}

#[test]
fn every_row_of_the_decision_table() {
    let known = found(node(&["172.16.0.11"]));
    let mut quiet = node(&["172.16.0.11"]);
    quiet.policy.ignore = true;
    let mut quiet_there = node(&["172.16.0.11"]);
    quiet_there.addresses[0].policy.ignore = true;
    let mut nothing_but_quiet = node(&[]);
    nothing_but_quiet.policy.ignore = true;
    let mut no_component = node(&["172.16.0.11"]);
    no_component.component = None;
    let rows = [
        ("known", known),
        ("ignored", found(quiet)),
        ("ignored by its address", found(quiet_there)),
        ("ignored, no address", found(nothing_but_quiet)),
        ("unknown", Lookup::Unknown),
        ("no address", found(node(&[]))),
        ("only IPv6", found(node(&["fd00::1"]))),
        ("only nonsense", found(node(&["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"]))),
        ("no component", found(no_component)),
        ("cannot tell", Lookup::Unavailable),
    ];
    let own = || new(Ask).address(50, "172.16.0.11");
    let columns = [
        new(Discover),
        own().address(54, "172.16.0.253"),
        own(),
        new(Ask).address(50, "172.16.0.99"),
        new(Ask).address(50, "192.168.9.9"),
        new(Inform).client("172.16.0.11"),
        new(Release).client("172.16.0.11").address(54, "172.16.0.253"),
        new(Decline).address(50, "172.16.0.11").address(54, "172.16.0.253"),
    ];
    let offer = "OFFER 172.16.0.11";
    let ack = "ACK 172.16.0.11";
    let ignored = "silent: ignored";
    let unknown = "silent: unknown";
    let blind = "silent: unavailable";
    let (release, decline) = ("silent: release", "silent: decline");
    let stranger = [unknown, unknown, unknown, unknown, "NAK", unknown, release, decline];
    let expected = [
        [offer, ack, ack, "NAK", "NAK", "ACK", release, decline],
        [ignored; 8],
        [ignored, ignored, ignored, ignored, ignored, ignored, release, decline],
        [ignored; 8],
        stranger,
        stranger,
        stranger,
        stranger,
        stranger,
        [blind, blind, blind, blind, blind, blind, release, decline],
    ];
    for ((name, lookup), row) in rows.iter().zip(expected) {
        for (request, expected) in columns.iter().zip(row) {
            let decision = ask(FILE, request, &broadcast(), lookup);
            assert_eq!(short(&decision), expected, "{name}: {}\n{decision}", wire_parse(request));
        }
    }
}

#[test]
fn what_needs_no_look_up_asks_for_none() {
    let anonymous = Request { hlen: 0, ..new(Discover) };
    let mut bootp = new(Discover);
    bootp.options.remove(53);
    let misdirected = Arrival { relay_socket: true, ..broadcast() };
    let table = [
        (new(Discover), broadcast(), Ok(MAC)),
        (new(Discover).address(54, "172.16.0.9"), broadcast(), Ok(MAC)),
        (new(Inform).address(54, "172.16.0.9"), broadcast(), Ok(MAC)),
        (new(Ask).address(54, "172.16.0.9"), broadcast(), Err(Silent::OtherServer)),
        (new(Release).address(54, "172.16.0.9"), broadcast(), Err(Silent::OtherServer)),
        (new(Decline).address(54, "172.16.0.9"), broadcast(), Err(Silent::OtherServer)),
        (new(Ask).address(54, "172.16.0.253"), broadcast(), Ok(MAC)),
        (new(Ask).address(54, "10.40.1.253"), broadcast(), Ok(MAC)),
        (new(Ask).address(54, "10.40.1.1").option(82, &[11, 4, 10, 40, 1, 1]), broadcast(), Ok(MAC)),
        (new(Ask).option(54, &[1, 2]), broadcast(), Ok(MAC)),
        (new(Offer), broadcast(), Err(Silent::MessageType)),
        (new(Ack), broadcast(), Err(Silent::MessageType)),
        (new(Nak), broadcast(), Err(Silent::MessageType)),
        (new(MessageType::LeaseQuery), broadcast(), Err(Silent::MessageType)),
        (new(MessageType::Unknown(99)), broadcast(), Err(Silent::MessageType)),
        (bootp, broadcast(), Err(Silent::Bootp)),
        (anonymous, broadcast(), Err(Silent::NoIdentity)),
        (new(Discover).relayed(ip("255.255.255.255")), broadcast(), Err(Silent::RelayAgent)),
        (new(Discover).relayed(ip("239.0.0.1")).option(82, &[19, 0]), broadcast(), Err(Silent::RelayAgent)),
        (new(Discover).relayed(ip("172.16.0.255")), broadcast(), Err(Silent::RelayAgent)),
        (new(Discover).relayed(ip("10.50.9.255")), broadcast(), Ok(MAC)),
        (new(Discover), misdirected, Err(Silent::NotForUs)),
        (new(Discover), Arrival { relay_socket: true, ..unicast("10.40.1.1:67") }, Ok(MAC)),
    ];
    let config = config(FILE);
    for (request, arrival, expected) in table {
        let message = wire_parse(&request);
        assert_eq!(key(&config, &message, &arrival, &OURS), expected, "{message}");
        if let Err(reason) = expected {
            let facts = Facts {
                lookup: &found(node(&["172.16.0.11"])),
                ours: &OURS,
                hosts: &Hosts::default(),
                leases: None,
            };
            assert_eq!(decide(&config, &message, &arrival, &facts).outcome, Outcome::Silent(reason));
        }
    }
}

#[test]
fn replies_go_where_rfc_2131_says() {
    let flagged = |request: Request| Request { flags: 0x8000, ..request };
    let infiniband =
        Request { htype: 32, hlen: 0, ..flagged(new(Discover)) }.option(61, &[1, 2, 0, 0, 0, 1, 1]);
    let with_port = new(Discover).relayed(ip("172.16.0.5")).option(82, &[19, 0]);
    let everybody = Destination::Broadcast { interface: 1, port: 68 };
    let to = |text: &str| Destination::Unicast(text.parse().unwrap());
    let frame = Destination::Link { mac: MAC, address: "172.16.0.11:68".parse().unwrap(), interface: 1 };
    let table = [
        (new(Discover), broadcast(), frame),
        (flagged(new(Discover)), broadcast(), everybody),
        (new(Ask).address(50, "172.16.0.11"), broadcast(), frame),
        (new(Ask).client("172.16.0.11"), broadcast(), to("172.16.0.11:68")),
        (flagged(new(Ask).client("172.16.0.11")), unicast("172.16.0.11:68"), to("172.16.0.11:68")),
        // ciaddr is believed where it is what is given
        (new(Ask).client("172.16.0.99").address(50, "172.16.0.11"), broadcast(), frame),
        // NAK: everybody, whatever the client says it has
        (new(Ask).address(50, "172.16.0.99"), broadcast(), everybody),
        (new(Ask).client("172.16.0.99"), unicast("172.16.0.99:68"), everybody),
        // relayed: all of them to giaddr
        (new(Discover).relayed(ip("172.16.0.5")), unicast("172.16.0.5:67"), to("172.16.0.5:67")),
        (flagged(new(Discover)).relayed(ip("172.16.0.5")), unicast("172.16.0.5:9067"), to("172.16.0.5:67")),
        (with_port, unicast("172.16.0.5:9067"), to("172.16.0.5:9067")),
        (
            new(Ask).client("172.16.0.11").relayed(ip("172.16.0.5")),
            unicast("172.16.0.5:67"),
            to("172.16.0.5:67"),
        ),
        (
            new(Ask).address(50, "172.16.0.99").relayed(ip("172.16.0.5")),
            unicast("172.16.0.5:67"),
            to("172.16.0.5:67"),
        ),
        // INFORM
        (new(Inform).client("172.16.0.11"), unicast("172.16.0.11:68"), to("172.16.0.11:68")),
        (new(Inform).client("172.16.0.77"), unicast("172.16.0.77:68"), to("172.16.0.77:68")),
        (new(Inform), unicast("172.16.0.77:68"), to("172.16.0.77:68")),
        (new(Inform), broadcast(), everybody),
        (new(Inform).client("255.255.255.255"), broadcast(), everybody),
        // no frame can be addressed
        (infiniband, broadcast(), everybody),
        (Request { htype: 32, ..new(Discover) }, broadcast(), everybody),
    ];
    for (request, arrival, expected) in table {
        let decision = ask(FILE, &request, &arrival, &found(node(&["172.16.0.11"])));
        assert_eq!(reply(&decision).destination, expected, "{}\n{decision}", wire_parse(&request));
    }
}

#[test]
fn release_and_decline_are_noted_only_from_the_holder_who_names_us() {
    let released = Note::Released { address: ip("172.16.0.11") };
    let conflict = Note::Conflict { address: ip("172.16.0.11") };
    let table = [
        (new(Release).client("172.16.0.11").address(54, "172.16.0.253"), vec![released]),
        (new(Release).client("172.16.0.11"), vec![]),
        (new(Release).client("172.16.0.12").address(54, "172.16.0.253"), vec![]),
        (new(Decline).address(50, "172.16.0.11").address(54, "172.16.0.253"), vec![conflict]),
        (new(Decline).address(50, "172.16.0.11"), vec![]),
        (new(Decline).address(50, "172.16.0.12").address(54, "172.16.0.253"), vec![]),
        (new(Decline).address(54, "172.16.0.253"), vec![]),
    ];
    for (request, notes) in table {
        let decision = ask(FILE, &request, &broadcast(), &found(node(&["172.16.0.11"])));
        assert_eq!(decision.notes, notes, "{}", wire_parse(&request));
        assert!(matches!(decision.outcome, Outcome::Silent(Silent::Release | Silent::Decline)));
    }
}

#[test]
fn labels_are_distinct() {
    let labels: std::collections::BTreeSet<&str> = Silent::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels.len(), Silent::ALL.len());
}

/// Bytes that are likely to be read as something.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(1u8), Just(3), Just(4), Just(7), Just(8), any::<u8>()];
    let code = prop_oneof![
        Just(50u8),
        Just(54),
        Just(52),
        Just(55),
        Just(57),
        Just(60),
        Just(61),
        Just(77),
        Just(82),
        Just(93),
        Just(97),
        Just(118),
        any::<u8>()
    ];
    let address = prop_oneof![
        Just(vec![172, 16, 0, 11]),
        Just(vec![172, 16, 0, 253]),
        Just(b"PXEClient".to_vec()),
        Just(b"iPXE".to_vec()),
        Just(vec![0, 7]),
        Just(vec![5, 4, 10, 40, 1, 0, 11, 4, 1, 2, 3, 4, 19, 0]),
        proptest::collection::vec(any::<u8>(), 0..300)
    ];
    let header = proptest::collection::vec(any::<u8>(), 236);
    (kind, proptest::collection::vec((code, address), 0..9), header, any::<[bool; 4]>()).prop_map(
        |(kind, options, header, [own_mac, unrelayed, no_client, no_end])| {
            let mut request = new(MessageType::from(kind));
            for (code, value) in options {
                request.options.put(code, &value);
            }
            let mut bytes = request.encode();
            let mac = bytes[28..34].to_vec();
            bytes[1..236].copy_from_slice(&header[1..]);
            bytes[2] %= 17;
            if own_mac {
                bytes[2] = 6;
                bytes[28..34].copy_from_slice(&mac);
            }
            for (zero, field) in [(no_client, 12..16), (unrelayed, 24..28)] {
                if zero {
                    bytes[field].fill(0);
                }
            }
            bytes.truncate(bytes.len() - no_end as usize);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_a_decision_or_its_reply_panic(bytes in requests(), broadcast_it in any::<bool>(), known in any::<bool>()) {
        let message = crate::wire::parse(&bytes).unwrap();
        let arrival = if broadcast_it { broadcast() } else { unicast("10.40.1.1:9067") };
        let lookup = if known { found(node(&["172.16.0.11", "10.40.1.13"])) } else { Lookup::Unknown };
        let decision = decide(&config(FILE), &message, &arrival, &Facts { lookup: &lookup, ours: &OURS, hosts: &Hosts::default(), leases: None });
        let _ = (decision.to_string(), message.to_string());
        if let Outcome::Reply(reply) = &decision.outcome {
            let bytes = reply.encode();
            let read = crate::wire::parse_reply(&bytes).unwrap();
            prop_assert!(bytes.len() >= 300 && bytes.len() <= 1472.max(reply.packet.limit));
            prop_assert_eq!((read.xid, read.chaddr, read.giaddr), (message.xid, message.chaddr, message.giaddr));
            prop_assert_eq!(read.option(82u8), message.option(82u8));
            prop_assert_eq!(read.message_type(), Some(reply.message_type));
            prop_assert!([50u8, 55, 57].iter().all(|code| read.option(*code).is_none()));
            prop_assert!(known || reply.message_type == Nak);
        }
    }
}

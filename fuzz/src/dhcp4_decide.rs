//! `dhcpd::decide` on any message, for any of a few inventories, configurations and arrivals: the bytes say which.

use super::dhcp4_leases::{self, POOLED};
use dhcpd::{
    config::Config,
    decide::{Arrival, Decision, Destination, Facts, Note, Outcome, OwnAddress, Reply, decide},
    hosts::Hosts,
    leases::{Leases, Pool, Update},
    wire::{Message, MessageType, parse, parse_reply},
};
use inventory::{Interface, Lookup, Replica};
use proto::v1;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    sync::{Arc, LazyLock},
};
use values::Mac;

const FULL: &str = r#"
domain: lab.example
boot:
  script_url: "http://172.16.0.253/boot?mac={mac}&name={hostname}"
  http_url: "http://172.16.0.253/loaders"
dhcpd:
  v4:
    server_id: 172.16.0.253
    lease_time: 1h
    router: [172.16.0.254]
    dns: [172.16.0.253, 172.16.0.252]
    subnets: [{cidr: 172.16.0.0/24}, {cidr: 10.40.0.0/16, lease_time: 10s, router: [10.40.0.1]}]
"#;
const BARE: &str = "domain: lab.example\ndhcpd: {v4: {lease_time: 10m}}\n";

/// Configurations, what the inventory may say of a MAC, and our addresses.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

struct World {
    /// With the pools of each that has any.
    configs: Vec<(Config, Option<Vec<Pool>>)>,
    machines: Vec<Interface>,
    freshness: inventory::Freshness,
    ours: Vec<OwnAddress>,
    /// Empty: a machine of the hosts file is served as one of the inventory.
    hosts: Hosts,
}

/// What the first bytes choose; the rest is the datagram.
struct Case<'a> {
    config: &'a Config,
    lookup: Lookup<Interface>,
    leases: Option<Leases>,
    arrival: Arrival,
}

/// The first five bytes choose; where the first has its highest bit, the next ones are made a request, so that few are wasted.
pub fn dhcp4_decide(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first_chunk::<5>() else { return };
    let mut datagram = rest.to_vec();
    if choice[0] & 0x80 != 0 {
        datagram.resize(datagram.len().max(240), 0);
        datagram[0] = 1;
        datagram[2] %= 17;
        datagram[236..240].copy_from_slice(&[99, 130, 83, 99]);
    }
    let Ok(message) = parse(&datagram) else { return };
    let world = &*WORLD;
    let case = world.case(choice, &message);
    let facts =
        Facts { lookup: &case.lookup, ours: &world.ours, hosts: &world.hosts, leases: case.leases.as_ref() };
    let decision = decide(case.config, &message, &case.arrival, &facts);
    assert_eq!(decision, decide(case.config, &message, &case.arrival, &facts), "the same again");
    case.check(&message, &decision, &world.ours);
}

impl World {
    fn new() -> World {
        let config = |text: &str| {
            let file = config::parse(text).expect("a good file");
            (Config::new(&file).expect("dhcpd.v4"), dhcp4_leases::pools(&file))
        };
        let replica = replica();
        let own = |interface, address: [u8; 4], prefix_length| OwnAddress {
            interface,
            address: address.into(),
            prefix_length,
        };
        World {
            configs: vec![config(FULL), config(BARE), config(POOLED)],
            machines: replica.interfaces().map(|interface| Interface::clone(interface)).collect(),
            freshness: replica.freshness(),
            hosts: Hosts::default(),
            ours: vec![
                own(1, [127, 0, 0, 1], 8),
                own(2, [172, 16, 0, 253], 24),
                own(2, [10, 40, 1, 1], 24),
                own(4, [192, 0, 2, 1], 31),
            ],
        }
    }

    fn case(&self, choice: &[u8; 5], message: &Message) -> Case<'_> {
        let [config, machine, interface, destination, source] = *choice;
        let mac = message.mac().unwrap_or(Mac([2, 0, 0, 0, 0, 1]));
        let (config, pools) = &self.configs[(config & 0x7f) as usize % self.configs.len()];
        let lookups = self.machines.len() + 2;
        let lookup = match machine as usize % lookups {
            0 => Lookup::Unknown,
            1 => Lookup::Unavailable,
            number => {
                let machine = Interface { mac, ..self.machines[number - 2].clone() };
                Lookup::Found(Arc::new(machine), self.freshness)
            }
        };
        let to = match destination % 4 {
            0 => self.ours[1].address,
            1 => self.ours[2].address,
            2 => Ipv4Addr::new(172, 16, 0, 255),
            _ => Ipv4Addr::BROADCAST,
        };
        let source = match source % 4 {
            0 => Ipv4Addr::UNSPECIFIED,
            1 => message.ciaddr,
            2 => message.giaddr,
            _ => Ipv4Addr::new(172, 16, 0, source),
        };
        Case {
            config,
            lookup,
            // The destination, too, has bits to spare.
            leases: pools.as_ref().map(|pools| dhcp4_leases::leases(pools, mac, destination >> 2)),
            arrival: Arrival {
                interface: u32::from(interface >> 1) % 5,
                source: SocketAddrV4::new(source, 1024 + u16::from(interface)),
                destination: to,
                relay_socket: interface & 1 != 0,
            },
        }
    }
}

impl Case<'_> {
    fn check(&self, message: &Message, decision: &Decision, ours: &[OwnAddress]) {
        if let Some(leases) = &self.leases {
            let (known, label) = (self.known(), format!("{message}\n{decision}"));
            dhcp4_leases::check(self.config, leases, message, decision, known.is_some(), &label);
        } else {
            assert!(decision.updates.iter().all(|update| matches!(update, Update::Withdraw(_))), "{message}");
        }
        let reply = match &decision.outcome {
            Outcome::Reply(reply) => reply,
            Outcome::Silent(silent) => return assert!(!silent.label().is_empty()),
        };
        let bytes = reply.encode();
        let read = parse_reply(&bytes).expect("what we send is a reply");
        let label = format!("{message}\n{read}\n{:?}", reply.destination);
        assert!((300..=1472).contains(&bytes.len()), "{label}");
        assert!(self.may_be_answered(message, reply.message_type), "{label}");
        copied(message, &read, &label);
        options(message, &read, &label);
        let left_out = decision.notes.iter().find_map(|note| match note {
            Note::LeftOut { codes } => Some(codes.as_slice()),
            _ => None,
        });
        let left_out = left_out.unwrap_or_default();
        self.gives(message, reply, &read, left_out, &label);
        assert!(![51, 53, 54, 82].iter().any(|code| left_out.contains(code)), "{label}");
        self.goes(message, reply, &label);
        let named = read.address(54u8).expect("option 54");
        let is_us =
            |address| self.config.server_id == Some(address) || ours.iter().any(|own| own.address == address);
        assert!(is_us(reply.source), "{label}");
        assert!(is_us(named) || message.relay_address(11) == Some(named), "{label}");
    }

    /// The machine's record, where it can be served from.
    fn known(&self) -> Option<&Interface> {
        let Lookup::Found(interface, _) = &self.lookup else { return None };
        let has_address = || interface.addresses.iter().any(|entry| entry.address.is_ipv4());
        let is_usable = interface.component.is_some() && !interface.policy.ignore && has_address();
        is_usable.then_some(&**interface)
    }

    /// Which answer may follow which message, and whether any may.
    fn may_be_answered(&self, message: &Message, answer: MessageType) -> bool {
        if let (None, Some(leases)) = (self.known(), &self.leases) {
            let is_blind = matches!(self.lookup, Lookup::Unavailable);
            let is_ignored = matches!(&self.lookup, Lookup::Found(interface, _) if interface.policy.ignore);
            return !is_ignored && dhcp4_leases::may_be_answered(leases, message, answer, is_blind);
        }
        let is_known = match &self.lookup {
            Lookup::Unavailable => return false,
            Lookup::Found(interface, _) if interface.policy.ignore => return false,
            Lookup::Unknown | Lookup::Found(..) => self.known().is_some(),
        };
        match message.message_type() {
            Some(MessageType::Discover) => is_known && answer == MessageType::Offer,
            Some(MessageType::Request) => {
                answer == MessageType::Nak || (is_known && answer == MessageType::Ack)
            }
            Some(MessageType::Inform) => is_known && answer == MessageType::Ack,
            _ => false,
        }
    }

    /// A machine is given one of its own addresses, or one of a pool, or none.
    fn gives(&self, message: &Message, reply: &Reply, read: &Message, left_out: &[u8], label: &str) {
        let given = read.yiaddr;
        let own = match (self.known(), &self.leases, message.mac()) {
            (Some(interface), ..) => {
                interface.addresses.iter().any(|entry| entry.address == IpAddr::V4(given))
            }
            (None, Some(leases), Some(mac)) => dhcp4_leases::may_give(leases, mac, given, reply.message_type),
            _ => false,
        };
        let gives =
            reply.message_type != MessageType::Nak && message.message_type() != Some(MessageType::Inform);
        assert_eq!(!given.is_unspecified(), gives, "{label}");
        assert!(own || !gives, "{label}");
        let time = |code: u8| {
            read.option(code).map(|value| u32::from_be_bytes(value.try_into().expect("four bytes")))
        };
        assert_eq!(time(51).is_some(), gives, "{label}");
        let lease = time(51).unwrap_or(0);
        // T1 and T2 are there unless the lease is for ever, or somebody is told that they found no room.
        let [renew, rebind] = [58, 59].map(|code| {
            let may_miss = !gives || lease == u32::MAX || left_out.contains(&code);
            assert!(time(code).is_some() != may_miss, "{code} {label}");
            time(code).unwrap_or(lease)
        });
        assert!(rebind <= lease && (renew <= rebind || left_out.contains(&58)), "{label}");
    }

    /// RFC 2131 §4.1.
    fn goes(&self, message: &Message, reply: &Reply, label: &str) {
        let address = match reply.destination {
            Destination::Unicast(to) if message.is_relayed() => {
                let port = message.relay_suboption(19).map_or(67, |_| self.arrival.source.port());
                assert_eq!(to, SocketAddrV4::new(message.giaddr, port), "{label}");
                *to.ip()
            }
            Destination::Unicast(to) => {
                assert_ne!(reply.message_type, MessageType::Nak, "{label}");
                assert_eq!(to.port(), 68, "{label}");
                assert!([message.ciaddr, *self.arrival.source.ip()].contains(to.ip()), "{label}");
                *to.ip()
            }
            Destination::Broadcast { interface, port } => {
                return assert_eq!(
                    (interface, port, message.is_relayed()),
                    (self.arrival.interface, 68, false),
                    "{label}"
                );
            }
            Destination::Link { mac, address, interface } => {
                assert_eq!(
                    (interface, Some(mac)),
                    (self.arrival.interface, message.link_address()),
                    "{label}"
                );
                assert_eq!(address, SocketAddrV4::new(reply.packet.yiaddr, 68), "{label}");
                assert!(mac.is_usable() && message.htype == 1, "{label}");
                assert!(!message.wants_broadcast() && !message.is_relayed(), "{label}");
                *address.ip()
            }
        };
        let is_one = !(address.is_unspecified() || address.is_multicast() || address.is_broadcast());
        assert!(is_one, "a machine that has it: {label}");
    }
}

/// RFC 2131 table 3.
fn copied(message: &Message, read: &Message, label: &str) {
    let fields =
        |message: &Message| (message.htype, message.hlen, message.xid, message.giaddr, message.chaddr);
    assert_eq!(fields(read), fields(message), "{label}");
    assert_eq!((read.hops, read.secs), (0, 0), "{label}");
    let is_nak = read.message_type() == Some(MessageType::Nak);
    let is_inform = message.message_type() == Some(MessageType::Inform);
    let nowhere = is_nak || (is_inform && message.ciaddr.is_unspecified()); // for the relay to bring it to
    let broadcast = if nowhere && message.is_relayed() { 0x8000 } else { 0 };
    assert_eq!(read.flags, message.flags | broadcast, "{label}");
    match read.message_type() {
        Some(MessageType::Ack) => assert_eq!(read.ciaddr, message.ciaddr, "{label}"),
        _ => assert!(read.ciaddr.is_unspecified(), "{label}"),
    }
}

fn options(message: &Message, read: &Message, label: &str) {
    assert_eq!(read.option(82u8), message.option(82u8), "option 82 comes back as it is: {label}");
    if message.option(82u8).is_some() {
        assert_eq!(read.last_option(), Some(82), "{label}");
    }
    for code in [50u8, 55, 57] {
        assert_eq!(read.option(code), None, "only clients send {code}: {label}");
    }
    assert_eq!(read.option(61u8), message.option(61u8).filter(|_| read.option(61u8).is_some()), "{label}");
    if read.message_type() == Some(MessageType::Nak) {
        assert!(read.options().all(|(code, _)| [53, 54, 61, 82].contains(&code)), "{label}");
        assert!(read.siaddr.is_unspecified(), "{label}");
    }
}

/// A usual node, one with two addresses, one whose rule has a lot to say, one that is ignored, one with no address of this
/// kind, one without an owner.
fn replica() -> Replica {
    let long = |code, length| v1::DhcpOption { code, value: vec![7; length] };
    let talkative = v1::Policy {
        routers: vec!["10.40.1.9".into()],
        prefix_length: Some(20),
        boot_file: format!("{}.efi", "x".repeat(200)),
        next_server: "10.40.1.8".into(),
        options: vec![
            long(43, 255),
            long(224, 700),
            long(53, 1),
            long(82, 9),
            long(255, 3),
            long(0, 1),
            long(225, 0),
        ],
        ..Default::default()
    };
    let ignored = v1::Policy { ignore: true, ..Default::default() };
    let machines: [(&[&str], v1::Policy, bool); 6] = [
        (&["172.16.0.1"], v1::Policy::default(), true),
        (&["10.40.1.7", "172.16.0.2", "fd00::2"], v1::Policy::default(), true),
        (&["172.16.0.3", "10.40.1.3"], talkative, true),
        (&["172.16.0.4"], ignored, true),
        (&["fd00::5"], v1::Policy::default(), true),
        (&["172.16.0.6"], v1::Policy::default(), false),
    ];
    let mut interfaces = Vec::new();
    let mut components = Vec::new();
    for (number, (addresses, policy, is_owned)) in machines.into_iter().enumerate() {
        let id = format!("x1000c0s{number}b0n0");
        let address = |text: &&str| v1::Address {
            address: (*text).into(),
            hostname: format!("nid{number}"),
            domain: "lab.example".into(),
            fqdn: format!("nid{number}.lab.example"),
            names: vec![format!("nid{number}.lab.example")],
            policy: Some(policy.clone()),
            ..Default::default()
        };
        interfaces.push(v1::Interface {
            mac: Mac([2, 0, 0, 0, 0, number as u8]).to_string(),
            component_id: if is_owned { id.clone() } else { String::new() },
            addresses: addresses.iter().map(address).collect(),
            policy: Some(policy.clone()),
            ..Default::default()
        });
        components.push(v1::Component {
            id,
            r#type: "Node".into(),
            nid: Some(number as i64),
            ..Default::default()
        });
    }
    let freshness = v1::Freshness { generation: 1, ..Default::default() };
    let replica = Replica::from_messages("lab.example", Vec::new(), interfaces, components, freshness);
    assert_eq!(replica.interface_count(), 6, "all of them can be read");
    replica
}

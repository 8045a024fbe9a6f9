//! What pools and leases may be beside a DHCP message, and what a decision may do to them.

use dhcpd::{
    config::Config,
    decide::{Decision, Outcome},
    leases::{Hold, Leases, Pool, Taker, Update, store::Row},
    wire::{Message, MessageType},
};
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use values::Mac;

/// Two pools of three and of two addresses.
pub const POOLED: &str = r#"
domain: lab.example
dhcpd:
  v4:
    server_id: 172.16.0.253
    subnets: [{cidr: 172.16.0.0/24}, {cidr: 10.40.0.0/16}]
    unknown:
      lease_time: 10m
      pools:
        - {subnet: 172.16.0.0/24, start: 172.16.0.1, end: 172.16.0.3}
        - {subnet: 10.40.1.0/24, start: 10.40.1.7, end: 10.40.1.8}
"#;
const ADDRESSES: [Ipv4Addr; 5] = [
    Ipv4Addr::new(172, 16, 0, 1),
    Ipv4Addr::new(172, 16, 0, 2),
    Ipv4Addr::new(172, 16, 0, 3),
    Ipv4Addr::new(10, 40, 1, 7),
    Ipv4Addr::new(10, 40, 1, 8),
];
const LEASE_TIME: u32 = 600;
const OTHER: Mac = Mac([2, 0x99, 0, 0, 0, 1]);
const OWNER: Mac = Mac([2, 0x99, 0, 0, 0, 2]);

/// The pools of a file; `None`: it has none.
pub fn pools(file: &config::Config) -> Option<Vec<Pool>> {
    let unknown = file.dhcpd.v4.as_ref()?.unknown.as_ref()?;
    Some(Pool::of(&unknown.pools))
}

/// Leases beside a message of this machine: who has each address, and what the inventory says of it, by the bits of a
/// number.
pub fn leases(pools: &[Pool], mac: Mac, choice: u8) -> Leases {
    let now = Instant::now();
    let mut leases = Leases::new(pools.to_vec());
    if choice & 7 != 7 {
        leases.merge(Vec::new(), now, 0); // else nothing can be written
    }
    let mut hold = |mac: Mac, address: Ipv4Addr, is_leased: bool| {
        leases.apply(&Update::Offer { mac, address }, now, 0, &mut Vec::new());
        if is_leased {
            let row = Row { mac, address, expiry: LEASE_TIME.into(), hostname: String::new() };
            let grant = Update::Grant { mac, address, time: LEASE_TIME, hostname: String::new() };
            leases.apply(&grant, now, 0, &mut Vec::new());
            assert!(leases.committed(&row, now + Duration::from_secs(LEASE_TIME.into())));
        }
    };
    match choice & 7 {
        0 | 7 => {}
        1 => hold(mac, ADDRESSES[0], true),
        2 => hold(mac, ADDRESSES[1], false),
        3 => hold(OTHER, ADDRESSES[0], true),
        4 => hold(OTHER, ADDRESSES[0], false),
        5 => ADDRESSES.iter().for_each(|address| hold(OTHER, *address, true)),
        _ => {
            hold(mac, ADDRESSES[0], true);
            hold(OTHER, ADDRESSES[3], true);
            hold(OTHER, ADDRESSES[1], false);
            let decline = Update::SetAside { mac: OTHER, address: ADDRESSES[1] };
            leases.apply(&decline, now, 0, &mut Vec::new());
        }
    }
    let taker = match choice >> 3 & 3 {
        0 => None,
        1 => Some(Taker::One(mac)),
        2 => Some(Taker::One(OWNER)),
        _ => Some(Taker::Others),
    };
    let taken: HashMap<_, _> = taker.map(|taker| (ADDRESSES[0], taker)).into_iter().collect();
    leases.take(taken, choice & 0x20 == 0);
    leases
}

/// Whether an answer to a machine that the inventory does not have, or (`is_blind`) of which it cannot tell, may be.
pub fn may_be_answered(leases: &Leases, message: &Message, answer: MessageType, is_blind: bool) -> bool {
    match (message.message_type(), answer) {
        (Some(MessageType::Discover), MessageType::Offer) => !is_blind,
        (Some(MessageType::Request), MessageType::Ack | MessageType::Nak) if is_blind => {
            message.mac().is_some_and(|mac| leases.holds(mac).any(|(_, hold)| hold == Hold::Leased))
        }
        (Some(MessageType::Request), MessageType::Ack | MessageType::Nak) => true,
        (Some(MessageType::Inform), MessageType::Ack) => !is_blind,
        _ => false,
    }
}

/// Whether a pool may give a machine this address.
pub fn may_give(leases: &Leases, mac: Mac, address: Ipv4Addr, answer: MessageType) -> bool {
    let is_held = leases.hold(mac, address).is_some();
    let runs = leases.hold(mac, address) == Some(Hold::Leased);
    let of_others = [OTHER, OWNER]
        .into_iter()
        .filter(|other| *other != mac)
        .any(|other| leases.hold(other, address).is_some());
    let is_right = leases.covers(address) && !leases.is_anothers(mac, address) && !of_others;
    let may_promise = leases.is_open() && (leases.is_complete() || (runs && answer == MessageType::Ack));
    is_right && may_promise && (is_held || answer == MessageType::Offer)
}

/// What is done to the leases goes with what is said.
pub fn check(
    config: &Config,
    leases: &Leases,
    message: &Message,
    decision: &Decision,
    is_known: bool,
    label: &str,
) {
    let Some(mac) = message.mac() else { return assert_eq!(decision.updates, [], "{label}") };
    let holds = leases.holds(mac).next().is_some();
    let updates = &decision.updates[..];
    let Outcome::Reply(reply) = &decision.outcome else {
        return match updates {
            [] => {}
            [Update::Withdraw(whose)] => assert_eq!(*whose, mac, "{label}"),
            [Update::Free { mac: whose, address } | Update::SetAside { mac: whose, address }] => {
                assert!(*whose == mac && leases.hold(mac, *address).is_some(), "{label}");
            }
            _ => panic!("{updates:?} {label}"),
        };
    };
    let given = reply.packet.yiaddr;
    let is_inform = message.message_type() == Some(MessageType::Inform);
    match (is_known, reply.message_type) {
        _ if is_inform => assert_eq!(updates, [], "{label}"),
        (true, kind) => {
            assert_eq!(updates.contains(&Update::Forget(mac)), holds, "{label}");
            let is_kept = kind != MessageType::Nak && leases.must_keep(given);
            assert_eq!(updates.contains(&Update::Keep { mac, address: given }), is_kept, "{label}");
            assert_eq!(updates.len(), usize::from(holds) + usize::from(is_kept), "{label}");
            assert_eq!(leases.leased_to_another(mac, given), None, "{label}");
        }
        (false, MessageType::Offer) => {
            assert_eq!(updates, [Update::Offer { mac, address: given }], "{label}")
        }
        (false, MessageType::Ack) => {
            let [Update::Grant { mac: whose, address, time, .. }] = updates else {
                panic!("{updates:?} {label}")
            };
            let told = config.unknown.as_ref().map(|unknown| unknown.lease_time);
            assert_eq!((*whose, *address, Some(*time)), (mac, given, told), "{label}");
        }
        (false, _) => match updates {
            [] => {}
            [Update::Free { mac: whose, address }] => {
                assert!(*whose == mac && leases.hold(mac, *address) == Some(Hold::Leased), "{label}");
            }
            _ => panic!("{updates:?} {label}"),
        },
    }
}

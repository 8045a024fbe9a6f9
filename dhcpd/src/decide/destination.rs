//! Where replies go (RFC 2131 §4.1) and whose name they bear.

use super::{Destination, Question, SERVER_OVERRIDE, is_host};
use crate::wire::MessageType;
use std::net::{Ipv4Addr, SocketAddrV4};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// RFC 8357: the relay wants replies at the port it sent from.
const RELAY_SOURCE_PORT: u8 = 19;
const ETHERNET: u8 = 1;

/// Where a reply that gives `given` (unspecified: nothing) goes.
pub(super) fn destination(question: &Question<'_>, kind: MessageType, given: Ipv4Addr) -> Destination {
    let Question { message, arrival, .. } = question;
    let broadcast = Destination::Broadcast { interface: arrival.interface, port: CLIENT_PORT };
    if message.is_relayed() {
        let port = match message.relay_suboption(RELAY_SOURCE_PORT) {
            Some(_) => arrival.source.port(),
            None => SERVER_PORT,
        };
        return Destination::Unicast(SocketAddrV4::new(message.giaddr, port));
    }
    if kind == MessageType::Nak {
        return broadcast;
    }
    if question.kind == MessageType::Inform {
        // ciaddr; the sender where a client left it out
        let has = [message.ciaddr, *arrival.source.ip()].into_iter().find(|address| is_host(*address));
        return has
            .map_or(broadcast, |address| Destination::Unicast(SocketAddrV4::new(address, CLIENT_PORT)));
    }
    if given.is_unspecified() {
        return broadcast; // no address to reach it at
    }
    if message.ciaddr == given {
        return Destination::Unicast(SocketAddrV4::new(given, CLIENT_PORT));
    }
    match message.link_address() {
        Some(mac) if message.htype == ETHERNET && mac.is_usable() && !message.wants_broadcast() => {
            let address = SocketAddrV4::new(given, CLIENT_PORT);
            Destination::Link { mac, address, interface: arrival.interface }
        }
        _ => broadcast,
    }
}

/// Our own address towards a client that is at (or gets) `client`: the one it wrote to; else one of the receiving
/// interface, in the client's network if there is one.
pub(super) fn own_address(question: &Question<'_>, client: Ipv4Addr) -> Option<Ipv4Addr> {
    let Question { arrival, ours, .. } = question;
    if arrival.is_unicast(ours) {
        return Some(arrival.destination);
    }
    let here = || ours.iter().filter(|own| own.interface == arrival.interface);
    let near = here().find(|own| own.network().is_some_and(|network| network.contains(&client)));
    near.or_else(|| here().next()).map(|own| own.address)
}

/// Option 54.
pub(super) fn server_id(question: &Question<'_>, own: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    question.message.relay_address(SERVER_OVERRIDE).or(question.config.server_id).or(own)
}

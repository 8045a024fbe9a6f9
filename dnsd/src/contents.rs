//! What stands at a machine's name and at the name of its address: the one definition, for answers (`decide`) and for
//! everything that is held ready or copied (`ready`).

use crate::{
    decide::POSITIVE_TTL,
    node_text,
    wire::{RrSet, kind, push_name},
};
use config::Pointer;
use inventory::{Address, Bearers, Holders, Interface, Name};
use std::net::IpAddr;

/// The records of a machine's name, by type in the order in which ANY prefers them. None: the name exists without any.
/// `texts`: TXT is among them.
pub fn of_name(bearers: &Bearers, texts: bool) -> Vec<RrSet> {
    let kinds = [kind::A, kind::AAAA, kind::TXT];
    kinds.into_iter().filter_map(|kind| of_name_and_kind(bearers, kind, texts)).collect()
}

/// One set of them: of this type, or for ANY the first there is (RFC 8482 §4.1).
pub fn of_name_and_kind(bearers: &Bearers, kind: u16, texts: bool) -> Option<RrSet> {
    match kind {
        kind::A | kind::AAAA => addresses(&bearers.addresses, kind),
        kind::TXT if texts => node_text::facts(&bearers.components),
        kind::ANY => of_name(bearers, texts).into_iter().next(),
        _ => None,
    }
}

/// The PTR record of an address: one of its names. An address without a name is there all the same, as its parents are.
pub fn of_address(holders: &Holders, address: IpAddr, pointer: Pointer) -> Option<RrSet> {
    let name = holders.interfaces.iter().find_map(|interface| {
        let entry = interface.address(address)?;
        let by_xname = || by_xname(interface, entry).filter(|_| pointer == Pointer::Xname);
        by_xname().or(entry.names.first())
    })?;
    let mut data = Vec::new();
    push_name(name, &mut data);
    Some(RrSet { kind: kind::PTR, ttl: POSITIVE_TTL, data: vec![data.into()] })
}

/// The first of its names that begins with the xname of the machine.
fn by_xname<'i>(interface: &Interface, entry: &'i Address) -> Option<&'i Name> {
    let id = interface.component_id.as_ref()?.as_str();
    entry.names.iter().find(|name| name.as_str().split('.').next() == Some(id))
}

/// Those of one family; `None`: there are none.
fn addresses(addresses: &[IpAddr], kind: u16) -> Option<RrSet> {
    let octets = |address: &IpAddr| -> Option<Box<[u8]>> {
        match address {
            IpAddr::V4(address) if kind == kind::A => Some(address.octets().into()),
            IpAddr::V6(address) if kind == kind::AAAA => Some(address.octets().into()),
            _ => None,
        }
    };
    let data: Vec<Box<[u8]>> = addresses.iter().filter_map(octets).collect();
    (!data.is_empty()).then_some(RrSet { kind, ttl: POSITIVE_TTL, data })
}

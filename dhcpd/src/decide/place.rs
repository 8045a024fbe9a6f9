//! Where on the network a client is, and so which of its addresses it can use there.

use super::{Note, OwnAddress, Question, addresses, destination::own_address};
use crate::{leases::Pool, wire::OptionCode};
use inventory::Interface;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// RFC 3527: the relay says which link the client is on.
const LINK_SELECTION: u8 = 5;

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place<'a> {
    /// In this subnet; `link` is the address that says so.
    Subnet { network: Ipv4Net, link: Ipv4Addr },
    /// Behind a relay in a subnet nobody configured: any address will do.
    Unconfigured { link: Ipv4Addr },
    /// Somewhere; it has this address and is reached at it.
    Reachable(Ipv4Addr),
    /// On the link of the receiving interface.
    Here { interface: u32, ours: &'a [OwnAddress] },
    /// On the link of the receiving interface, in whose prefixes it has no address: any will do.
    Stray,
}

impl<'a> Place<'a> {
    /// Of a machine that the inventory knows.
    pub(super) fn of(question: &Question<'a>, interface: &Interface) -> Place<'a> {
        let holds = |wanted: Ipv4Addr| addresses(interface).any(|(address, _)| address == wanted);
        match Place::of_stranger(question) {
            Place::Reachable(address) if holds(address) => Place::Reachable(address),
            Place::Reachable(_) | Place::Here { .. } => on_link(question, interface),
            place => place,
        }
    }

    /// Of a machine that may have any address.
    pub(super) fn of_stranger(question: &Question<'a>) -> Place<'a> {
        let message = question.message;
        // RFC 3011: an option we cannot honour is as if it were not there, and is not returned.
        let selected = message
            .address(OptionCode::SubnetSelection)
            .filter(|selected| question.network(*selected).is_some());
        let relay = Some(message.giaddr).filter(|_| message.is_relayed());
        if let Some(link) = message.relay_address(LINK_SELECTION).or(selected).or(relay) {
            match question.network(link) {
                Some(network) => return Place::Subnet { network, link },
                None if message.is_relayed() => return Place::Unconfigured { link },
                None => {}
            }
        }
        match is_unicast(question) {
            true => Place::Reachable(message.ciaddr),
            false => here(question),
        }
    }

    /// Whether an address can be used there.
    pub(super) fn admits(&self, address: Ipv4Addr) -> bool {
        match self {
            Place::Subnet { network, .. } => network.contains(&address),
            Place::Unconfigured { .. } | Place::Stray => true,
            Place::Reachable(own) => *own == address,
            Place::Here { interface, ours } => prefixes(*interface, ours).any(|net| net.contains(&address)),
        }
    }

    /// Whether a pool's addresses can be used there.
    pub(super) fn has_pool(&self, pool: &Pool) -> bool {
        let subnet = pool.subnet();
        match self {
            Place::Subnet { network, link } => {
                let is_inside = |address: &Ipv4Addr| network.contains(address);
                subnet.contains(link)
                    && pool.ranges().all(|range| is_inside(range.start()) && is_inside(range.end()))
            }
            Place::Here { interface, ours } => {
                prefixes(*interface, ours).any(|own| own.contains(&subnet) || subnet.contains(&own))
            }
            Place::Reachable(own) => subnet.contains(own),
            Place::Unconfigured { .. } | Place::Stray => false,
        }
    }

    /// Whether we serve that link at all.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Place::Subnet { .. } | Place::Reachable(_) => true,
            Place::Here { interface, ours } => prefixes(*interface, ours).next().is_some(),
            Place::Unconfigured { .. } | Place::Stray => false,
        }
    }

    /// Whether an unknown client's address is certainly of another link. Not where it may come from anywhere, or where
    /// the interface has no prefix; and one that is in use (ciaddr) only where its network is one of ours to judge.
    pub(super) fn excludes(&self, question: &Question<'_>, address: Ipv4Addr) -> bool {
        let is_certain = match self {
            Place::Subnet { .. } => true,
            Place::Here { interface, ours } => prefixes(*interface, ours).next().is_some(),
            Place::Unconfigured { .. } | Place::Reachable(_) | Place::Stray => false,
        };
        let is_judged = question.message.ciaddr.is_unspecified() || question.network(address).is_some();
        is_certain && is_judged && !self.admits(address)
    }

    /// An address of its network, where that is one of ours to speak for.
    pub(super) fn link(&self, question: &Question<'_>) -> Option<Ipv4Addr> {
        match self {
            Place::Subnet { link, .. } => Some(*link),
            Place::Here { .. } => own_address(question, Ipv4Addr::UNSPECIFIED),
            Place::Unconfigured { .. } | Place::Reachable(_) | Place::Stray => None,
        }
    }

    /// What is odd about giving an address there.
    pub(super) fn warning(&self, address: Ipv4Addr) -> Option<Note> {
        match self {
            Place::Unconfigured { link } => Some(Note::UnconfiguredSubnet { link: *link }),
            Place::Stray => Some(Note::OffLink { address }),
            Place::Subnet { .. } | Place::Reachable(_) | Place::Here { .. } => None,
        }
    }

    /// What to say where a machine has no address for its place.
    pub(super) fn nothing_there(&self) -> Option<Note> {
        match self {
            Place::Subnet { link, .. } => Some(Note::NoAddressThere { link: *link }),
            _ => None,
        }
    }

    /// Whether option 118 decided, which is then returned (RFC 3011 §2).
    pub(super) fn honours_subnet_selection(&self, question: &Question<'_>) -> bool {
        match self {
            Place::Subnet { link, .. } => {
                question.message.address(OptionCode::SubnetSelection) == Some(*link)
            }
            _ => false,
        }
    }
}

/// Sent to an address of ours by a client that has one; relays are told by giaddr.
fn is_unicast(question: &Question<'_>) -> bool {
    !question.message.ciaddr.is_unspecified() && question.arrival.is_unicast(question.ours)
}

fn here<'a>(question: &Question<'a>) -> Place<'a> {
    Place::Here { interface: question.arrival.interface, ours: question.ours }
}

fn on_link<'a>(question: &Question<'a>, interface: &Interface) -> Place<'a> {
    let here = here(question);
    let fits = addresses(interface).any(|(address, _)| here.admits(address));
    if fits { here } else { Place::Stray }
}

fn prefixes(interface: u32, ours: &[OwnAddress]) -> impl Iterator<Item = Ipv4Net> {
    ours.iter().filter(move |own| own.interface == interface).filter_map(OwnAddress::network)
}

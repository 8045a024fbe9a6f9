//! What to answer, if anything, and where to: a pure function of the configuration, the message, where it arrived and
//! what the inventory said. No socket, clock, log or metric; the shell around it counts [`Silent`] and logs [`Note`]s.

mod answer;
mod destination;
mod listed;
mod place;
mod pool;
mod reason;
#[cfg(test)]
mod tests;
mod text;

pub use reason::{Note, Silent};

use crate::{
    config::Config,
    hosts::Hosts,
    leases::{Hold, Leases, Pool, Update},
    wire::{LONGEST_RELAY_AGENT, Message, MessageType, OptionCode, Packet},
};
use answer::Answer;
use inventory::{Address, Interface, Lookup};
use ipnet::Ipv4Net;
use place::Place;
use pool::Pools;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use values::Mac;

/// Where a datagram arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Index of the interface it came in on.
    pub interface: u32,
    /// Sender.
    pub source: SocketAddrV4,
    /// The address it was sent to: ours, or a broadcast address.
    pub destination: Ipv4Addr,
    /// From the socket that serves relays on any interface, which hears broadcasts that are not for it.
    pub relay_socket: bool,
}

/// An address of one of our own interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// Index of the interface.
    pub interface: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix_length: u8,
}

/// What had to be asked before deciding.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the inventory says about the MAC of [`key`].
    pub lookup: &'a Lookup<Interface>,
    /// The IPv4 addresses of all our interfaces.
    pub ours: &'a [OwnAddress],
    /// Machines that stand in a file beside the inventory.
    pub hosts: &'a Hosts,
    /// What machines were lent that the inventory does not know; what had run out is ended. `None`: there are no pools.
    pub leases: Option<&'a Leases>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Answer or not.
    pub outcome: Outcome,
    /// What an operator should hear of.
    pub notes: Vec<Note>,
    /// What it does to the leases. A reply that comes with [`Update::Grant`] waits until that is on disk.
    pub updates: Vec<Update>,
}

/// Answer or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Send this.
    Reply(Box<Reply>),
    /// Send nothing.
    Silent(Silent),
}

/// An answer and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// OFFER, ACK or NAK.
    pub message_type: MessageType,
    /// Where to.
    pub destination: Destination,
    /// Source address to use; one of ours.
    pub source: Ipv4Addr,
    /// Header and options.
    pub packet: Packet,
}

impl Reply {
    /// The UDP payload.
    pub fn encode(&self) -> Vec<u8> {
        self.packet.encode()
    }
}

/// Where a reply goes (RFC 2131 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// A relay, or a client that has its address: ordinary UDP, routed.
    Unicast(SocketAddrV4),
    /// 255.255.255.255 out of this interface.
    Broadcast {
        /// Index.
        interface: u32,
        /// UDP port.
        port: u16,
    },
    /// A frame to the client's hardware address; it does not answer ARP yet. Broadcast instead where that fails.
    Link {
        /// Destination of the frame.
        mac: Mac,
        /// Destination of the IP packet: the address being given.
        address: SocketAddrV4,
        /// Index.
        interface: u32,
    },
}

/// RFC 5107: a relay that wants to see renewals too names itself as the server.
const SERVER_OVERRIDE: u8 = 11;

/// What the inventory must be asked for before deciding; an error where no answer is due whatever it says.
pub fn key(
    config: &Config,
    message: &Message,
    arrival: &Arrival,
    ours: &[OwnAddress],
) -> Result<Mac, Silent> {
    use MessageType::{Decline, Discover, Inform, Release, Request};
    if arrival.relay_socket && !arrival.is_unicast(ours) {
        return Err(Silent::NotForUs);
    }
    let kind = message.message_type().ok_or(Silent::Bootp)?;
    if !matches!(kind, Discover | Request | Inform | Release | Decline) {
        return Err(Silent::MessageType);
    }
    let names_server = matches!(kind, Request | Release | Decline); // the others must not (RFC 2131 table 5)
    if names_server && server(message).is_some_and(|named| !is_us(named, config, message, ours)) {
        return Err(Silent::OtherServer);
    }
    // It must come back whole (RFC 3046 §2.2), and would leave no room for an answer.
    if message.option(OptionCode::RelayAgentInformation).is_some_and(|v| v.len() > LONGEST_RELAY_AGENT) {
        return Err(Silent::RelayAgent);
    }
    if reaches_many(message.giaddr, ours) {
        return Err(Silent::RelayAgent);
    }
    message.mac().ok_or(Silent::NoIdentity)
}

/// Whether an answer sent there would be for more than one machine: a giaddr that no relay has, but that who wants to see us
/// shout at a port of his choice (RFC 8357) may put there.
fn reaches_many(address: Ipv4Addr, ours: &[OwnAddress]) -> bool {
    let is_of = |network: Ipv4Net| network.prefix_len() < 31 && network.broadcast() == address;
    address.is_multicast() || address.is_broadcast() || ours.iter().filter_map(OwnAddress::network).any(is_of)
}

/// Option 54.
fn server(message: &Message) -> Option<Ipv4Addr> {
    message.address(OptionCode::ServerIdentifier)
}

/// Whether an identifier is ours: the configured one, any address of any interface, or the relay's in our stead.
fn is_us(named: Ipv4Addr, config: &Config, message: &Message, ours: &[OwnAddress]) -> bool {
    is_us_alone(named, config, ours) || message.relay_address(SERVER_OVERRIDE) == Some(named)
}

/// Whether it is no other server's: the relay's is that of each server behind it.
fn is_us_alone(named: Ipv4Addr, config: &Config, ours: &[OwnAddress]) -> bool {
    config.server_id == Some(named) || ours.iter().any(|own| own.address == named)
}

/// Decides.
///
/// | the MAC is | DISCOVER | REQUEST for its own | REQUEST for another | INFORM | RELEASE, DECLINE |
/// |---|---|---|---|---|---|
/// | known | OFFER | ACK | NAK | ACK | silent, noted |
/// | known, policy ignore | silent | silent | silent | silent | silent |
/// | unknown, a pool there | OFFER | ACK | NAK | ACK | freed, set aside |
/// | unknown, no pool | silent | silent | silent; NAK where the address is not of the link | silent | silent |
/// | cannot tell | silent | silent; a lease of ours that runs is renewed | silent | silent | freed, set aside |
///
/// A machine of the hosts file is a known one where the inventory has no usable record of it, or cannot tell.
pub fn decide(config: &Config, message: &Message, arrival: &Arrival, facts: &Facts<'_>) -> Decision {
    let mac = match key(config, message, arrival, facts.ours) {
        Ok(mac) => mac,
        Err(silent) => return unasked(message, silent),
    };
    let kind = message.message_type().unwrap_or(MessageType::Unknown(0)); // `key` has seen it
    let pools = config.unknown.as_ref().zip(facts.leases).map(|(unknown, leases)| Pools { unknown, leases });
    let question = Question { config, message, arrival, ours: facts.ours, kind, pools, leases: facts.leases };
    if let Some(host) = facts.host(&mac) {
        return question.known(host);
    }
    match facts.lookup {
        Lookup::Found(interface, _) if interface.policy.ignore => Decision::silent(Silent::Ignored),
        Lookup::Found(interface, _) if is_usable(interface) => question.known(interface),
        Lookup::Found(..) | Lookup::Unknown => question.unknown(mac),
        Lookup::Unavailable => {
            let promised = pools.and_then(|pools| question.cannot_tell(pools, mac));
            promised.unwrap_or_else(|| Decision::silent(question.unanswered().unwrap_or(Silent::Unavailable)))
        }
    }
}

/// What follows where [`key`] has none: a client that chose another server has no use for our offer.
pub fn unasked(message: &Message, silent: Silent) -> Decision {
    let withdrawn = message.mac().filter(|_| silent == Silent::OtherServer).map(Update::Withdraw);
    Decision::silent(silent).and(withdrawn)
}

impl<'a> Facts<'a> {
    /// The machine's line in the hosts file, where that counts: the inventory has no usable record of it, and does not
    /// say to ignore it.
    pub fn host(&self, mac: &Mac) -> Option<&'a Interface> {
        match self.lookup {
            Lookup::Found(interface, _) if interface.policy.ignore || is_usable(interface) => None,
            Lookup::Found(..) | Lookup::Unknown | Lookup::Unavailable => {
                self.hosts.get(mac).map(|host| &**host)
            }
        }
    }
}

/// Whether a record can be served from: it has an owner and an IPv4 address.
fn is_usable(interface: &Interface) -> bool {
    interface.component.is_some() && addresses(interface).next().is_some()
}

/// The addresses that DHCPv4 can give, in SMD's order.
fn addresses(interface: &Interface) -> impl Iterator<Item = (Ipv4Addr, &Address)> {
    interface.addresses.iter().filter_map(|entry| match entry.address {
        IpAddr::V4(address) if is_host(address) => Some((address, entry)),
        _ => None,
    })
}

/// Whether a machine can have it.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast())
}

/// One message that deserves thought, and all that is known beside the inventory.
#[derive(Clone, Copy)]
struct Question<'a> {
    config: &'a Config,
    message: &'a Message,
    arrival: &'a Arrival,
    ours: &'a [OwnAddress],
    kind: MessageType,
    pools: Option<Pools<'a>>,
    /// Also of pools that are configured no more: what was promised is.
    leases: Option<&'a Leases>,
}

impl<'a> Question<'a> {
    fn known(&self, interface: &'a Interface) -> Decision {
        let place = Place::of(self, interface);
        let fitting = || addresses(interface).find(|(address, _)| place.admits(*address));
        let (chosen, outcome) = match self.kind {
            MessageType::Discover => (fitting(), MessageType::Offer),
            MessageType::Inform => {
                let own = addresses(interface).find(|(address, _)| *address == self.message.ciaddr);
                (own.or_else(fitting), MessageType::Ack)
            }
            MessageType::Request => match self.wanted() {
                None => (fitting(), MessageType::Ack),
                Some(wanted) => {
                    let own = addresses(interface).find(|(address, _)| *address == wanted);
                    (own.filter(|(address, _)| place.admits(*address)), MessageType::Ack)
                }
            },
            _ => return self.noted(interface),
        };
        let ignored = match chosen.or_else(fitting) {
            Some((_, entry)) => entry.policy.ignore,
            None => addresses(interface).all(|(_, entry)| entry.policy.ignore),
        };
        if ignored {
            return Decision::silent(Silent::Ignored);
        }
        match (chosen, self.kind) {
            (Some((address, entry)), _) => {
                let warning = place.warning(address);
                let answer =
                    Answer { question: self, interface, given: Some((address, entry)), unknown: None };
                self.beside(interface.mac, Some(address), answer.grant(outcome).with(warning))
            }
            (None, MessageType::Inform) => {
                Answer { question: self, interface, given: None, unknown: None }.grant(outcome)
            }
            (None, MessageType::Request) => self.beside(interface.mac, None, answer::refuse(self)),
            (None, _) => Decision::silent(Silent::NoAddress).with(place.nothing_there()),
        }
    }

    fn beside(&self, mac: Mac, given: Option<Ipv4Addr>, decision: Decision) -> Decision {
        match self.leases {
            Some(leases) => self.beside_pools(leases, mac, given, decision),
            None => decision,
        }
    }

    /// RELEASE and DECLINE count only when they name us, from the machine that holds the address.
    fn noted(&self, interface: &Interface) -> Decision {
        if let Some(leases) = self.leases.filter(|leases| leases.holds(interface.mac).next().is_some()) {
            return self.given_back(leases, interface.mac); // of before it was known
        }
        let holds = |address: &Ipv4Addr| addresses(interface).any(|(held, _)| held == *address);
        let note = match self.kind {
            _ if server(self.message).is_none() => None,
            MessageType::Release => {
                Some(self.message.ciaddr).filter(holds).map(|address| Note::Released { address })
            }
            _ => self.requested().filter(holds).map(|address| Note::Conflict { address }),
        };
        Decision::silent(self.unanswered().unwrap_or(Silent::Release)).with(note)
    }

    /// A pool's guest; else silence, but an address that cannot be right where the client is gets a NAK, so that it
    /// starts anew.
    fn unknown(&self, mac: Mac) -> Decision {
        let guest = self.pools.and_then(|pools| self.guest(pools, mac));
        let decision = guest.unwrap_or_else(|| match self.kind {
            MessageType::Request if self.wanted().is_some_and(|wanted| self.is_wrong(wanted)) => {
                answer::refuse(self)
            }
            _ => self
                .without_address()
                .unwrap_or_else(|| Decision::silent(self.unanswered().unwrap_or(Silent::Unknown))),
        });
        decision.with(Some(Note::UnknownMac(mac)))
    }

    /// Whether an unknown client must not have what it wants: it is of another link; or, where we are the only server,
    /// we have no record of it.
    fn is_wrong(&self, wanted: Ipv4Addr) -> bool {
        let place = Place::of_stranger(self);
        place.excludes(self, wanted) || (self.config.authoritative && place.is_ours())
    }

    /// What a machine is told that gets no address, asks whether it may give itself one (RFC 2563), and may not.
    fn without_address(&self) -> Option<Decision> {
        if self.kind != MessageType::Discover || self.message.option(OptionCode::DisableSLAAC).is_none() {
            return None;
        }
        let link = Place::of_stranger(self).link(self)?;
        let is_forbidden = self.config.values(link).auto_configure == Some(false);
        is_forbidden.then(|| answer::forbid_auto_configure(self, link))
    }

    /// The types that nobody answers.
    fn unanswered(&self) -> Option<Silent> {
        match self.kind {
            MessageType::Release => Some(Silent::Release),
            MessageType::Decline => Some(Silent::Decline),
            _ => None,
        }
    }

    /// Option 50.
    fn requested(&self) -> Option<Ipv4Addr> {
        self.message.address(OptionCode::RequestedIpAddress)
    }

    /// What a REQUEST is for; `None` where it does not say, which we take for "what is mine".
    fn wanted(&self) -> Option<Ipv4Addr> {
        self.requested().or(Some(self.message.ciaddr)).filter(|address| !address.is_unspecified())
    }

    /// The networks that clients can be in: configured ones, and those of our interfaces. The longest that contains
    /// an address.
    fn network(&self, address: Ipv4Addr) -> Option<Ipv4Net> {
        let configured = self.config.networks.iter().copied().find(|network| network.contains(&address));
        let own =
            self.ours.iter().filter_map(OwnAddress::network).filter(|network| network.contains(&address));
        own.chain(configured).max_by_key(Ipv4Net::prefix_len)
    }
}

impl Arrival {
    /// Whether it was sent to an address of ours, rather than to everybody.
    fn is_unicast(&self, ours: &[OwnAddress]) -> bool {
        ours.iter().any(|own| own.address == self.destination)
    }
}

impl OwnAddress {
    /// The network it lies in. No client lives on a loopback interface.
    pub fn network(&self) -> Option<Ipv4Net> {
        Ipv4Net::new(self.address, self.prefix_length).ok().filter(|_| !self.address.is_loopback())
    }
}

impl Decision {
    fn silent(reason: Silent) -> Decision {
        Decision { outcome: Outcome::Silent(reason), notes: Vec::new(), updates: Vec::new() }
    }

    fn with(mut self, note: Option<Note>) -> Decision {
        self.notes.extend(note);
        self
    }

    fn and(mut self, updates: impl IntoIterator<Item = Update>) -> Decision {
        self.updates.extend(updates);
        self
    }
}

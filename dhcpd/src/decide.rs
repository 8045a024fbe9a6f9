//! What to answer, if anything, and where to: a pure function of the configuration, the message, where it arrived and
//! what the inventory said. No socket, clock, log or metric; the shell around it counts [`Silent`] and logs [`Note`]s.

use crate::{config::Config, wire::{Message, MessageType, Packet}};
use inventory::{Interface, Lookup};
use std::net::{Ipv4Addr, SocketAddrV4};
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

/// What had to be asked before deciding. Leases and the time follow when there are pools.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the inventory says about the MAC of [`key`].
    pub lookup: &'a Lookup<Interface>,
    /// The IPv4 addresses of all our interfaces.
    pub ours: &'a [OwnAddress],
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Answer or not.
    pub outcome: Outcome,
    /// What an operator should hear of.
    pub notes: Vec<Note>,
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
        todo!()
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

/// Why nothing is sent; also the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silent {
    /// Heard by the relay socket, but not sent to an address of ours.
    NotForUs,
    /// No option 53: BOOTP.
    Bootp,
    /// A type that clients do not send to servers.
    MessageType,
    /// Neither hardware address nor a MAC in option 61.
    NoIdentity,
    /// The client chose another server.
    OtherServer,
    /// Policy.
    Ignored,
    /// SMD does not have the MAC.
    Unknown,
    /// The inventory cannot tell.
    Unavailable,
    /// Known, but with no address on the client's network.
    NoAddress,
    /// RELEASE is never answered.
    Release,
    /// DECLINE is never answered.
    Decline,
    /// The receiving interface has no address that could be our identifier.
    NoServerId,
}

impl Silent {
    /// All of them, in the order of their declaration.
    pub const ALL: [Silent; 12] = [
        Silent::NotForUs,
        Silent::Bootp,
        Silent::MessageType,
        Silent::NoIdentity,
        Silent::OtherServer,
        Silent::Ignored,
        Silent::Unknown,
        Silent::Unavailable,
        Silent::NoAddress,
        Silent::Release,
        Silent::Decline,
        Silent::NoServerId,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Silent::NotForUs => "not_for_us",
            Silent::Bootp => "bootp",
            Silent::MessageType => "message_type",
            Silent::NoIdentity => "no_identity",
            Silent::OtherServer => "other_server",
            Silent::Ignored => "ignored",
            Silent::Unknown => "unknown",
            Silent::Unavailable => "unavailable",
            Silent::NoAddress => "no_address",
            Silent::Release => "release",
            Silent::Decline => "decline",
            Silent::NoServerId => "no_server_id",
        }
    }
}

/// What an operator should hear of, beside the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Not in SMD, or without component or address there: for the list of unknown MACs.
    UnknownMac(Mac),
    /// Relayed from a network that neither the file, a rule nor one of our interfaces has.
    UnconfiguredSubnet {
        /// giaddr, or the address that selected the link.
        link: Ipv4Addr,
    },
    /// Heard directly, but its address is in no prefix of the receiving interface.
    OffLink {
        /// What it got.
        address: Ipv4Addr,
    },
    /// Known, but with no address in the network it asks from.
    NoAddressThere {
        /// giaddr, or the address that selected the link.
        link: Ipv4Addr,
    },
    /// DECLINE: somebody else uses the address.
    Conflict {
        /// Which.
        address: Ipv4Addr,
    },
    /// RELEASE by the holder.
    Released {
        /// Which.
        address: Ipv4Addr,
    },
    /// A boot client whose architecture has no loader in the table.
    NoLoader {
        /// Its first one.
        architecture: u16,
    },
    /// Options that did not fit into what the client accepts.
    LeftOut {
        /// Their codes.
        codes: Vec<u8>,
    },
}

impl Note {
    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Note::UnknownMac(_) => "unknown_mac",
            Note::UnconfiguredSubnet { .. } => "unconfigured_subnet",
            Note::OffLink { .. } => "off_link",
            Note::NoAddressThere { .. } => "no_address_there",
            Note::Conflict { .. } => "conflict",
            Note::Released { .. } => "released",
            Note::NoLoader { .. } => "no_loader",
            Note::LeftOut { .. } => "left_out",
        }
    }
}

/// What the inventory must be asked for before deciding; an error where no answer is due whatever it says.
pub fn key(_config: &Config, _message: &Message, _arrival: &Arrival, _ours: &[OwnAddress]) -> Result<Mac, Silent> {
    todo!()
}

/// Decides.
pub fn decide(_config: &Config, _message: &Message, _arrival: &Arrival, _facts: &Facts<'_>) -> Decision {
    todo!()
}

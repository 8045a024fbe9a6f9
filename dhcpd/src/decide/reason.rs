//! The closed words of decisions: why nothing is sent, and what an operator should hear of. Both are metric labels.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use values::Mac;

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
    /// An option 82 so long that no answer could return it, or a giaddr that is many machines' at once.
    RelayAgent,
    /// No address is free where the client is.
    PoolExhausted,
    /// Its address is leased to another machine until that one is refused it.
    Leased,
    /// Leases cannot be written, so none is promised.
    LeaseStore,
}

impl Silent {
    /// All of them, in the order of their declaration.
    pub const ALL: [Silent; 16] = [
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
        Silent::RelayAgent,
        Silent::PoolExhausted,
        Silent::Leased,
        Silent::LeaseStore,
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
            Silent::RelayAgent => "relay_agent",
            Silent::PoolExhausted => "pool_exhausted",
            Silent::Leased => "leased",
            Silent::LeaseStore => "lease_store",
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
    /// No address is free in the pool.
    PoolExhausted {
        /// Of this subnet.
        subnet: Ipv4Net,
    },
    /// An address of the inventory is leased to a machine that is not its owner.
    Leased {
        /// Which.
        address: Ipv4Addr,
        /// To whom.
        holder: Mac,
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
            Note::PoolExhausted { .. } => "pool_exhausted",
            Note::Leased { .. } => "leased",
        }
    }
}

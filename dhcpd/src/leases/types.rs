//! The words of the index: what is asked of it, what is done to it, what people see of it.

use ipnet::Ipv4Net;
use std::{net::Ipv4Addr, time::Duration};
use values::Mac;

/// Whose an address is that is not the pool's to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker {
    /// The one machine that the inventory has with it; to that one a pool may give it.
    One(Mac),
    /// Several claim it; or it is ours, a router's, a name server's.
    Others,
}

/// How a machine holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// For a short while, in memory alone.
    Offered,
    /// Until it ends, on disk.
    Leased,
}

/// What a decision does to the leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Hold it for this machine until it asks.
    Offer {
        /// Whose.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
    },
    /// A lease, as soon as it is on disk; the reply waits for that.
    Grant {
        /// Whose.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
        /// How long, in seconds.
        time: u32,
        /// What the client calls itself.
        hostname: String,
    },
    /// Its holder has done with it, or is refused it; remembered as the last one that had it.
    Free {
        /// Whose.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
    },
    /// The inventory knows this machine now: nothing of ours is its any more.
    Forget(Mac),
    /// It chose another server.
    Withdraw(Mac),
    /// Somebody else uses it.
    SetAside {
        /// Who says so.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
    },
    /// Given to a machine that the inventory has with it, sooner than [`Leases::take`](super::Leases::take) heard of it.
    Keep {
        /// Whose.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
    },
}

/// An address in use or once used, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub address: Ipv4Addr,
    /// Who has it, or had it last.
    pub mac: Mac,
    /// `offered`, `leased`, `set_aside`, `kept`, `free`.
    pub state: &'static str,
    /// How long it goes on so.
    pub left: Option<Duration>,
    /// What the client calls itself.
    pub hostname: String,
    /// Somebody else's in the inventory: the holder is refused at its next REQUEST.
    pub taken: bool,
}

/// How many addresses of a subnet's pool are in which state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Which.
    pub subnet: Ipv4Net,
    /// In the pool.
    pub size: u64,
    /// Held for a client that was offered them.
    pub offered: u64,
    /// Leased.
    pub leased: u64,
    /// Declined, or kept.
    pub set_aside: u64,
    /// The inventory's, and not leased.
    pub taken: u64,
}

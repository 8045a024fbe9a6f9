//! Decisions as one line for people: logs, transcripts of tests, `explain`.

use super::{Decision, Destination, Note, Outcome, Reply};
use crate::wire;
use std::fmt;

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Reply(reply) => write!(f, "{reply}")?,
            Outcome::Silent(reason) => write!(f, "silent: {}", reason.label())?,
        }
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match wire::parse_reply(&self.encode()) {
            Ok(message) => write!(f, "{message}")?,
            Err(refused) => write!(f, "unreadable: {}", refused.label())?,
        }
        write!(f, " -> {} from {}", self.destination, self.source)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Unicast(address) => write!(f, "{address}"),
            Destination::Broadcast { port, .. } => write!(f, "broadcast:{port}"),
            Destination::Link { mac, address, .. } => write!(f, "{mac} {address}"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::UnknownMac(mac) => write!(f, "{mac} is not known"),
            Note::UnconfiguredSubnet { link } => write!(f, "no subnet contains {link}: first address given"),
            Note::OffLink { address } => write!(f, "{address} is in no prefix of the receiving interface"),
            Note::NoAddressThere { link } => write!(f, "no address in the subnet of {link}"),
            Note::Conflict { address } => write!(f, "somebody else uses {address}"),
            Note::Released { address } => write!(f, "{address} released"),
            Note::NoLoader { architecture } => write!(f, "no loader for architecture {architecture}"),
            Note::LeftOut { codes } => write!(f, "no room for options {codes:?}"),
            Note::PoolExhausted { subnet } => write!(f, "the pool of {subnet} is exhausted"),
            Note::Leased { address, holder } => write!(f, "{address} is leased to {holder}"),
        }
    }
}

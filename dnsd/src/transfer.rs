//! Zones copied by others: AXFR, IXFR and NOTIFY, who may have them, and the serials by which they are compared.
//!
//! ```text
//!   query ─tsig▶ signature ─asked▶ whole zone ─messages▶ stream of messages, each signed      (server::transfers carries them)
//!                                └▶ one message: SOA, or a code
//!   zones ─serials▶ numbered zones ─notify▶ who is told, when, how often                         (server::notify carries them)
//! ```
//! IXFR keeps no history: a client that is behind gets the whole zone (RFC 1995 §4), which is what a name server of a cluster
//! needs to send in a second. A client may copy when its address is listed *and*, with a key configured, its query is signed:
//! either alone is what is lost first, an address to whoever is in the network and a key to whoever reads a file.

pub mod key;
pub mod messages;
pub mod notify;

pub mod serials;
pub mod tsig;

#[cfg(test)]
mod tests;

use crate::{
    access::Rights,
    decide::{Answer, Reply, failure},
    reverse,
    wire::{Message, Question, Rcode, RrSet, kind},
    zones::{Zone, Zones},
};

/// What a query for a transfer comes to.
#[derive(Debug)]
pub enum Asked<'a> {
    /// This code, and nothing else.
    Refused(Rcode),
    /// The client has what we have: a SOA record says so (RFC 1995 §4).
    Current(&'a RrSet),
    /// All of it.
    Whole(&'a Zone, &'a RrSet),
}

/// `None`: it asks for something else.
pub fn asked<'a>(
    zones: &'a Zones,
    message: &Message,
    question: &Question,
    rights: Rights,
) -> Option<Asked<'a>> {
    let serial = match question.kind {
        kind::AXFR => Ok(None),
        kind::IXFR => message.serial.map(Some).ok_or(Rcode::FormErr),
        _ => return None,
    };
    let found = zone(zones, question.name.as_bytes(), rights);
    Some(match (found, serial) {
        (Err(rcode), _) | (_, Err(rcode)) => Asked::Refused(rcode),
        (Ok((_, soa)), Ok(Some(theirs))) if !serials::is_greater(serials::serial_of(soa), theirs) => {
            Asked::Current(soa)
        }
        (Ok((zone, soa)), Ok(_)) => Asked::Whole(zone, soa),
    })
}

/// The zone that begins at this name, for who may have it.
fn zone<'a>(zones: &'a Zones, apex: &[u8], rights: Rights) -> Result<(&'a Zone, &'a RrSet), Rcode> {
    if !rights.transfer {
        return Err(Rcode::Refused);
    }
    match zones.zone(apex) {
        // Half a zone is none.
        Some(zone) if zones.complete && zone.settled => {
            zone.soa.as_ref().map(|soa| (zone, soa)).ok_or(Rcode::ServFail)
        }
        Some(_) => Err(Rcode::ServFail),
        None if !zones.loaded && reverse::parse(apex).is_some() => Err(Rcode::ServFail),
        // RFC 5936 §2.2.1.
        None => Err(Rcode::NotAuth),
    }
}

impl<'a> Asked<'a> {
    /// The answer where there can be only one message: on UDP, over HTTPS, and to who already has the zone. There is no AXFR so
    /// (RFC 5936 §4.2); to IXFR the SOA says that it takes a connection (RFC 1995 §2).
    pub fn in_one_message(self, kind: u16) -> Reply<'a> {
        match self {
            Asked::Refused(rcode) => failure(rcode),
            Asked::Whole(..) if kind == kind::AXFR => failure(Rcode::FormErr),
            Asked::Current(soa) | Asked::Whole(_, soa) => {
                Reply { authoritative: true, answer: Answer::Set(soa), ..failure(Rcode::NoError) }
            }
        }
    }
}

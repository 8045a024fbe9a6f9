//! An answer of a forwarder, as this client gets it: its id, its spelling of the question, RD and CD as it sent them, no more than it can
//! receive, OPT only where it has one, our aliases before what they lead to, and the time that has gone by taken off.
//!
//! AA is 0, unless the answer begins with an alias of ours (RFC 1035 §4.1.1: AA speaks of the first owner). RA is 1.

use super::{
    Answer,
    answer::ttl,
    records::{push, records},
};
use crate::{
    records::Alias,
    wire::{
        self, HEADER, Message, OPT_LENGTH, Transport, fill_header, flag, kind, pointer, push_opt, push_record,
    },
};

/// What an answer is shaped for.
#[derive(Debug, Clone, Copy)]
pub struct For<'a> {
    /// The client's query.
    pub message: &'a Message<'a>,
    /// Decides how long it may be.
    pub transport: Transport,
    /// CNAMEs of ours that lead from the client's question to the forwarder's.
    pub aliases: &'a [&'a Alias],
}

/// How old an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Seconds since it was received.
    Fresh(u32),
    /// Past its time: holds for this many seconds more.
    Stale(u32),
}

const SERVFAIL: u16 = 2;

/// Writes it into `out`, cleared first. True when it did not fit and TC is set: then it has no records but OPT.
pub fn write(client: For, answer: &Answer, age: Age, out: &mut Vec<u8>) -> bool {
    let For { message, transport, aliases } = client;
    out.clear();
    out.extend_from_slice(&message.id.to_be_bytes());
    out.extend_from_slice(&[0; HEADER - 2]);
    out.extend_from_slice(message.question.as_ref().map_or(&[][..], |question| question.raw));
    let records_at = out.len();

    let mut rcode = answer.rcode;
    // Response codes above 15 need an OPT to travel in.
    let can_be_told = rcode < 16 || message.edns.is_some();
    let mut counts = match can_be_told {
        true => sections(client, answer, age, out),
        false => None,
    };
    if counts.is_none() {
        rcode = SERVFAIL;
        out.truncate(records_at);
    }
    let opt_length = if message.edns.is_some() { OPT_LENGTH } else { 0 };
    let reserved = opt_length + message.tsig.map_or(0, |tsig| tsig.room());
    let truncated = out.len() + reserved > wire::limit(transport, message.edns);
    if truncated {
        out.truncate(records_at);
        counts = None;
    }
    let mut counts = counts.unwrap_or_default();
    if let Some(edns) = message.edns {
        push_opt(rcode, edns.dnssec, out);
        counts[2] += 1;
    }

    let mut flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | message.flags & flag::COPIED | rcode & 0xf;
    // What a search made of a short name is nobody's word.
    let begins_with_ours = aliases.first().is_some_and(|first| !first.searched);
    flags |= if begins_with_ours { flag::AUTHORITATIVE } else { 0 };
    flags |= if truncated { flag::TRUNCATED } else { 0 };
    let authentic = answer.authentic && aliases.is_empty() && message.wants_authentic();
    flags |= if authentic { flag::AUTHENTIC_DATA } else { 0 };
    out[5] = u8::from(message.question.is_some());
    fill_header(flags, counts, out);
    truncated
}

/// Aliases and records; how many of each section. `None`: they are too long to be pointed into.
fn sections(client: For, answer: &Answer, age: Age, out: &mut Vec<u8>) -> Option<[u16; 3]> {
    let bytes = &answer.bytes;
    let from = answer.records_at();
    let target_at = push_aliases(client.aliases, out);
    let to = out.len();
    if to == from {
        // The usual case: nothing moves.
        out.extend_from_slice(&bytes[from..]);
    } else {
        // The forwarder's question is where the last alias leads.
        let moved =
            |target: usize| if target < from { target - HEADER + target_at } else { target - from + to };
        for record in records(bytes, from).flatten() {
            push(bytes, &record, &moved, out).ok()?;
        }
    }
    for record in records(bytes, from).flatten() {
        let left = match age {
            Age::Fresh(seconds) => ttl(bytes, &record).saturating_sub(seconds),
            Age::Stale(seconds) => seconds,
        };
        let at = record.ttl_at - from + to;
        out[at..at + 4].copy_from_slice(&left.to_be_bytes());
    }
    let count = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Some([count(6) + client.aliases.len() as u16, count(8), count(10)])
}

/// Where the name stands that they lead to: without any, the question.
fn push_aliases(aliases: &[&Alias], out: &mut Vec<u8>) -> usize {
    let mut owner = HEADER;
    for alias in aliases {
        // A question and eight names: within the 14 bits of a pointer.
        out.extend_from_slice(&pointer(owner));
        push_record(kind::CNAME, alias.ttl, &alias.target, out);
        owner = out.len() - alias.target.len();
    }
    owner
}

#[cfg(test)]
mod tests;

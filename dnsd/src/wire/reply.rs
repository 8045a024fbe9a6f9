//! Writing answers. Owner names are pointers to the question or to the alias before; names inside records stay uncompressed:
//! none of our answers is long because of them.

use super::{
    Edns, HEADER, KEEPALIVE, Message, OPT_LENGTH, Rcode, RrSet, TCP_LIMIT, Transport, UDP_LIMIT,
    UDP_LIMIT_PLAIN, fill_header, flag, kind, pointer, push_opt, push_record, suffixes,
};
use crate::decide::{Answer, Reply};
use std::time::Duration;

/// Code, length and value of the one option there is.
const KEEPALIVE_LENGTH: usize = 6;

/// Writes the whole answer into `out` (cleared first). True when it did not fit and TC is set: then it has no records but OPT.
pub fn write(message: &Message, transport: Transport, reply: &Reply, out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(&message.id.to_be_bytes());
    out.extend_from_slice(&[0; HEADER - 2]);
    let question = message.question.as_ref().map_or(&[][..], |question| question.raw);
    out.extend_from_slice(question);
    let records_at = out.len();

    let idle = message.edns.filter(|edns| edns.keepalive).and_then(|_| transport.idle());
    let opt_length = if message.edns.is_some() { OPT_LENGTH } else { 0 };
    let option_length = if idle.is_some() { KEEPALIVE_LENGTH } else { 0 };
    let reserved = opt_length + option_length + message.tsig.map_or(0, |tsig| tsig.room());
    let mut writer =
        Writer { out, limit: limit(transport, message.edns).saturating_sub(reserved), fits: true };
    let mut counts = writer.sections(message, reply);
    let truncated = !writer.fits;
    if truncated {
        out.truncate(records_at);
        counts = [0; 3];
    }
    if let Some(edns) = message.edns {
        push_opt(reply.rcode.code(), edns.dnssec, out);
        counts[2] += 1;
    }
    if let Some(idle) = idle {
        push_keepalive(idle, out);
    }

    let mut flags = flag::RESPONSE | message.flags & flag::COPIED | reply.rcode.code() & 0xf;
    flags |= if reply.authoritative { flag::AUTHORITATIVE } else { 0 };
    flags |= if truncated { flag::TRUNCATED } else { 0 };
    out[5] = u8::from(!question.is_empty());
    fill_header(flags, counts, out);
    truncated
}

/// Leaves of an answer what tells the client to come by TCP: header, question and OPT. False: the query cannot be read, and nothing is
/// to be sent.
pub fn truncate(query: &[u8], out: &mut Vec<u8>) -> bool {
    let (Ok(message), [_, _, high, low, ..]) = (super::read(query), out.as_slice()) else { return false };
    let flags = [*high | (flag::TRUNCATED >> 8) as u8, *low];
    write(&message, Transport::Udp, &crate::decide::failure(Rcode::NoError), out);
    out[2..4].copy_from_slice(&flags);
    true
}

/// RA in an answer that was written: the client may have other names asked for.
pub fn set_recursion_available(answer: &mut [u8]) {
    answer[3] |= flag::RECURSION_AVAILABLE as u8;
}

/// Longest answer that this client can receive.
pub(crate) fn limit(transport: Transport, edns: Option<Edns>) -> usize {
    match (transport, edns) {
        (Transport::Tcp | Transport::Tls | Transport::Https, _) => TCP_LIMIT,
        (Transport::Udp, None) => UDP_LIMIT_PLAIN,
        (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(UDP_LIMIT_PLAIN, UDP_LIMIT),
    }
}

/// edns-tcp-keepalive, behind the OPT that was just written: how long the connection may be idle, in tenths of a second (RFC 7828 §3.1).
fn push_keepalive(idle: Duration, out: &mut Vec<u8>) {
    let length_at = out.len() - 2;
    out[length_at..].copy_from_slice(&(KEEPALIVE_LENGTH as u16).to_be_bytes());
    for word in [KEEPALIVE, 2, (idle.as_millis() / 100) as u16] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
    fits: bool,
}

impl Writer<'_> {
    /// The records of the answer, authority and additional section; how many of each.
    fn sections(&mut self, message: &Message, reply: &Reply) -> [u16; 3] {
        let mut owner = HEADER;
        for alias in &reply.aliases {
            owner = self.record(owner, kind::CNAME, alias.ttl, &alias.target);
        }
        let answers = reply.aliases.len() as u16 + self.answer(owner, &reply.answer);
        let mut authorities = 0;
        if let Some(authority) = &reply.authority {
            let owner = offset(message, authority.owner);
            for data in &authority.set.data {
                match owner {
                    Some(at) => _ = self.record(at, authority.set.kind, authority.ttl, data),
                    None => self.named_record(authority.owner, authority.set.kind, authority.ttl, data),
                }
                authorities += 1;
            }
        }
        let mut additional = 0;
        for (name, set) in &reply.glue {
            for data in &set.data {
                self.named_record(name, set.kind, set.ttl, data);
                additional += 1;
            }
        }
        for (name, set) in &reply.additional {
            additional += self.whole_set(name, set);
        }
        [answers, authorities, additional]
    }

    /// All records of a set or, where they do not fit, none: what is additional may be left out (RFC 2181 §9).
    fn whole_set(&mut self, owner: &[u8], set: &RrSet) -> u16 {
        if !self.fits {
            return 0;
        }
        let before = self.out.len();
        for data in &set.data {
            self.named_record(owner, set.kind, set.ttl, data);
            if !self.fits {
                self.out.truncate(before);
                self.fits = true;
                return 0;
            }
        }
        set.data.len() as u16
    }

    fn answer(&mut self, owner: usize, answer: &Answer) -> u16 {
        let set = match answer {
            Answer::Nothing => return 0,
            Answer::Set(set) => *set,
            Answer::Made(set) => set,
        };
        let mut count = 0;
        for data in &set.data {
            self.record(owner, set.kind, set.ttl, data);
            count += 1;
            if !self.fits {
                break;
            }
        }
        count
    }

    /// A record whose owner stands at an offset of this message, which a pointer reaches: the question, or aliases right after it.
    /// Answers where its data begin.
    fn record(&mut self, owner: usize, kind: u16, ttl: u32, data: &[u8]) -> usize {
        self.out.extend_from_slice(&pointer(owner));
        self.rest(kind, ttl, data)
    }

    fn named_record(&mut self, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) {
        self.out.extend_from_slice(owner);
        self.rest(kind, ttl, data);
    }

    fn rest(&mut self, kind: u16, ttl: u32, data: &[u8]) -> usize {
        push_record(kind, ttl, data, self.out);
        self.fits &= self.out.len() <= self.limit;
        self.out.len() - data.len()
    }
}

/// Where the question holds this name as one of its parents, or itself. An alias may have led elsewhere.
fn offset(message: &Message, name: &[u8]) -> Option<usize> {
    let asked = message.question.as_ref()?.name.as_bytes();
    let found = suffixes(asked).find(|suffix| suffix.len() <= name.len())?;
    (found == name).then(|| HEADER + asked.len() - name.len())
}

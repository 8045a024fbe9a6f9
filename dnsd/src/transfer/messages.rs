//! A zone as messages (RFC 5936 §2.2): SOA, everything else, SOA; as many messages as it takes, one after the other, so that memory
//! does not grow with the zone.

use crate::{
    transfer::tsig::Signature,
    wire::{Edns, HEADER, Message, OPT_LENGTH, RrSet, TCP_LIMIT, flag, kind, pointer, push_opt, push_record},
    zones::{Zone, Zones},
};

/// Messages are closed at this length: pointers reach that far (RFC 1035 §4.1.4), and a slow client holds no more memory.
pub const MESSAGE: usize = 16_384;

/// What all messages of one transfer have in common.
#[derive(Debug, Clone)]
pub struct Head {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    edns: Option<Edns>,
    /// For TSIG.
    room: usize,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Both SOAs are counted.
    pub records: u64,
    /// Messages.
    pub messages: u64,
}

/// Why not all of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Nobody takes the messages any more.
    Gone,
    /// A record is too long for any message.
    TooLong,
}

impl Head {
    /// Of the answer to this query.
    pub fn of(message: &Message) -> Head {
        Head {
            id: message.id,
            flags: flag::RESPONSE | flag::AUTHORITATIVE | message.flags & flag::COPIED,
            question: message.question.as_ref().map_or_else(Vec::new, |question| question.raw.to_vec()),
            edns: message.edns,
            room: message.tsig.map_or(0, |tsig| tsig.room()),
        }
    }
}

/// Gives every message to `send`, signed where the query was; it says whether more are wanted. `now` in Unix seconds.
pub fn write(
    zones: &Zones,
    zone: &Zone,
    head: Head,
    signature: Signature,
    now: impl Fn() -> u64,
    send: impl FnMut(Vec<u8>) -> bool,
) -> Result<Sent, Stopped> {
    let Some(soa) = &zone.soa else { return Ok(Sent::default()) };
    let mut stream = Stream::new(zone, head, signature, now, send);
    stream.set(&zone.apex, soa.kind, soa.ttl, soa.data.iter().map(|data| &**data))?;
    // Second, so that the first message of an answer to IXFR never has a SOA alone, which would say "you have it all".
    stream.rr_set(&zone.apex, &zone.ns)?;
    for child in zones.children(zone) {
        stream.rr_set(&child.apex, &child.ns)?;
    }
    for (owner, node) in zones.ready.nodes_of(zone) {
        for set in node.sets() {
            if set.kind() != kind::NS || *owner != *zone.apex {
                stream.set(owner, set.kind(), set.ttl(), set.data())?;
            }
        }
    }
    stream.rr_set(&zone.apex, soa)?;
    stream.close()?;
    Ok(stream.sent)
}

struct Stream<'z, N, S> {
    apex: &'z [u8],
    head: Head,
    signature: Signature,
    now: N,
    send: S,
    message: Vec<u8>,
    records: u16,
    /// Where the apex stands in this message.
    apex_at: Option<usize>,
    sent: Sent,
}

impl<'z, N: Fn() -> u64, S: FnMut(Vec<u8>) -> bool> Stream<'z, N, S> {
    fn new(zone: &'z Zone, head: Head, signature: Signature, now: N, send: S) -> Self {
        let (message, sent) = (Vec::with_capacity(MESSAGE), Sent::default());
        let mut stream =
            Stream { apex: &zone.apex, head, signature, now, send, message, records: 0, apex_at: None, sent };
        stream.open();
        stream
    }

    /// Header and question, also in messages after the first one (RFC 5936 §2.2.1): owners point to it.
    fn open(&mut self) {
        let Head { id, flags, question, .. } = &self.head;
        self.message.clear();
        self.records = 0;
        for number in [*id, *flags, 1, 0, 0, 0] {
            self.message.extend_from_slice(&number.to_be_bytes());
        }
        self.message.extend_from_slice(question);
        // Not where the client asked in capitals: its copies would have them.
        self.apex_at = question.starts_with(self.apex).then_some(HEADER);
    }

    fn rr_set(&mut self, owner: &[u8], set: &RrSet) -> Result<(), Stopped> {
        self.set(owner, set.kind, set.ttl, set.data.iter().map(|data| &**data))
    }

    fn set<'d>(
        &mut self,
        owner: &[u8],
        kind: u16,
        ttl: u32,
        data: impl Iterator<Item = &'d [u8]>,
    ) -> Result<(), Stopped> {
        let mut owner_at = None;
        for data in data {
            // An upper bound: the owner may be two bytes in the end.
            let longest = owner.len() + 10 + data.len();
            if self.records > 0 && self.message.len() + longest > MESSAGE - self.reserved() {
                self.close()?;
                self.open();
                owner_at = None;
            }
            if self.message.len() + longest > TCP_LIMIT - self.reserved() {
                return Err(Stopped::TooLong);
            }
            owner_at = Some(self.owner(owner, owner_at));
            push_record(kind, ttl, data, &mut self.message);
            self.records += 1;
        }
        Ok(())
    }

    /// Pointers are to offsets below [`MESSAGE`]: only a record that begins there can be longer.
    ///
    /// A pointer to the same name, or labels and a pointer to the apex, or all of it. Answers where it stands.
    fn owner(&mut self, owner: &[u8], before: Option<usize>) -> usize {
        let here = self.message.len();
        let below = owner.len() - self.apex.len();
        match (before, self.apex_at) {
            (Some(at), _) => {
                self.message.extend_from_slice(&pointer(at));
                return at;
            }
            (None, Some(at)) if below == 0 => {
                self.message.extend_from_slice(&pointer(at));
                return at;
            }
            (None, Some(at)) => {
                self.message.extend_from_slice(&owner[..below]);
                self.message.extend_from_slice(&pointer(at));
            }
            (None, None) => {
                self.message.extend_from_slice(owner);
                self.apex_at = Some(here + below);
            }
        }
        here
    }

    fn reserved(&self) -> usize {
        self.head.room + if self.head.edns.is_some() { OPT_LENGTH } else { 0 }
    }

    fn close(&mut self) -> Result<(), Stopped> {
        self.message[6..8].copy_from_slice(&self.records.to_be_bytes());
        if let Some(edns) = self.head.edns {
            push_opt(0, edns.dnssec, &mut self.message);
            self.message[11] = 1;
        }
        self.signature.sign(&mut self.message, (self.now)());
        self.sent.records += u64::from(self.records);
        self.sent.messages += 1;
        let message = std::mem::replace(&mut self.message, Vec::with_capacity(MESSAGE));
        if (self.send)(message) { Ok(()) } else { Err(Stopped::Gone) }
    }
}

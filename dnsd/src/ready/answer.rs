//! Answers in place: from the bytes of a query to those of its answer, without an allocation, a task or a look-up.
//!
//! Only what is asked all the time: a query with one question of class IN and at most an OPT, about a name that our zones hold or
//! could hold. Everything else, and everything odd, is `None`: `decide` has it. What is said here is byte for byte what `decide` and
//! `wire` would say; a test compares them.

use super::{
    Ready,
    entry::{self, Set},
};
use crate::{
    metrics::Slot,
    wire::{
        Edns, HEADER, Rcode, Transport, fill_header, flag, kind, limit, name_end, pointer, push_opt,
        push_record, read_opt, suffixes,
    },
    zones::{NEGATIVE_TTL, Zone, Zones},
};
use config::Missing;
use std::{hint::black_box, ops::Range};

/// Labels between a name that does not exist and one that does, at most. Host names have one or two; who asks for names of a hundred
/// labels waits for `decide`.
const MAX_LABELS_MISSING: usize = 8;

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;

/// QR, opcode: a query has neither.
const NOT_A_QUERY: u8 = 0xf8;

/// One question, no answer, no authority.
const COUNTS: [u8; 6] = [0, 1, 0, 0, 0, 0];

/// An answer that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Where it is counted.
    pub slot: Slot,
    /// Type asked for.
    pub kind: u16,
    /// Response code.
    pub rcode: Rcode,
}

/// The answer, written to `out`, which must be empty. The zones must be of a complete inventory that may be served.
pub fn answer(zones: &Zones, query: &[u8], transport: Transport, out: &mut Vec<u8>) -> Option<Placed> {
    let asked = read(query)?;
    let mut buffer = [0; MAX_NAME];
    let name = &mut buffer[..asked.name_end - HEADER];
    name.copy_from_slice(&query[HEADER..asked.name_end]);
    name.make_ascii_lowercase();
    place(zones, &asked, name, zones.ready.table.hash(name), query, transport, out)
}

/// Queries that came together and are answered one after the other. What they need is fetched from memory for all of them at once: the
/// names of a large cluster are not in the processor's caches, and each answer would wait twice.
#[derive(Default)]
pub struct Burst {
    /// In lower case, one after the other.
    names: Vec<u8>,
    asked: Vec<Option<(Asked, Range<usize>, u64)>>,
}

impl Burst {
    /// Takes a new burst up, in the order in which it is answered.
    pub fn read<'q>(&mut self, zones: &Zones, queries: impl Iterator<Item = &'q [u8]>) {
        let table = &zones.ready.table;
        self.names.clear();
        self.asked.clear();
        for query in queries {
            let asked = read(query).map(|asked| {
                let start = self.names.len();
                self.names.extend_from_slice(&query[HEADER..asked.name_end]);
                let name = &mut self.names[start..];
                // Lengths are below 'A', so they stay as they are.
                name.make_ascii_lowercase();
                let hash = table.hash(name);
                (asked, start..self.names.len(), hash)
            });
            self.asked.push(asked);
        }
        let mut places = [0; MOST];
        let hashes = self.asked.iter().flatten().map(|(_, _, hash)| *hash);
        places.iter_mut().zip(hashes.clone()).for_each(|(place, hash)| *place = table.touch_slot(hash));
        let touched =
            places.iter().zip(hashes).fold(0u8, |sum, (place, hash)| sum ^ table.touch_entry(hash, *place));
        black_box(touched);
    }

    /// The answer to the query of this number.
    pub fn answer(
        &self,
        number: usize,
        zones: &Zones,
        query: &[u8],
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<Placed> {
        let (asked, name, hash) = self.asked.get(number)?.as_ref()?;
        place(zones, asked, &self.names[name.clone()], *hash, query, transport, out)
    }
}

/// Queries of a burst whose memory is fetched beforehand.
const MOST: usize = 64;

fn place(
    zones: &Zones,
    asked: &Asked,
    name: &[u8],
    hash: u64,
    query: &[u8],
    transport: Transport,
    out: &mut Vec<u8>,
) -> Option<Placed> {
    let (found, zone) = match zones.ready.table.get(hash, name) {
        Some(entry) => (Some(entry), zones.numbered(entry::zone(entry))?),
        None => (None, zones.numbered(entry::zone(closest(&zones.ready, name)?))?),
    };
    let set = match found {
        Some(entry) if entry::flags(entry) & entry::NOT_IN_PLACE != 0 => return None,
        // The SOA stands with the zone.
        Some(entry) if entry::flags(entry) & entry::APEX != 0 && asked.kind == kind::SOA => return None,
        Some(entry) => entry::sets(entry).find(|set| set.kind() == asked.kind),
        None if zone.missing == Missing::Forward => return None,
        None => None,
    };
    let rcode = if found.is_some() { Rcode::NoError } else { Rcode::NxDomain };
    write(asked, query, zone, set, rcode, out)?;
    let most = limit(transport, asked.edns);
    (out.len() <= most).then_some(Placed { slot: zone.slot, kind: asked.kind, rcode })
}

/// The closest name above that exists, unless it is somebody else's.
fn closest<'r>(ready: &'r Ready, name: &[u8]) -> Option<&'r [u8]> {
    let above = suffixes(name).skip(1).take(MAX_LABELS_MISSING).filter(|rest| rest.len() > 1);
    let entry = above.into_iter().find_map(|rest| ready.table.get(ready.table.hash(rest), rest))?;
    (entry::flags(entry) & entry::NOT_IN_PLACE == 0).then_some(entry)
}

/// What a query says besides the name itself.
struct Asked {
    name_end: usize,
    kind: u16,
    edns: Option<Edns>,
}

fn read(query: &[u8]) -> Option<Asked> {
    let header = query.get(..HEADER)?;
    if header[2] & NOT_A_QUERY != 0 || header[4..10] != COUNTS || header[10] != 0 {
        return None;
    }
    let name_end = name_end(query, HEADER)?;
    let (fixed, rest) = query[name_end..].split_at_checked(4)?;
    let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
    if fixed[2..] != [0, 1] || !is_plain(kind) {
        return None;
    }
    let edns = match header[11] {
        0 => None,
        1 => Some(read_opt(rest).filter(|edns| edns.version == 0 && !edns.keepalive)?),
        _ => return None,
    };
    Some(Asked { name_end, kind, edns })
}

/// Types whose records say all that there is to say: the others may bring addresses along, or are questions of another kind.
fn is_plain(kind: u16) -> bool {
    !matches!(kind, 0 | kind::NS | kind::MX | kind::SRV | kind::OPT | kind::DS) && kind < kind::FIRST_META
}

fn write(
    asked: &Asked,
    query: &[u8],
    zone: &Zone,
    set: Option<Set<'_>>,
    rcode: Rcode,
    out: &mut Vec<u8>,
) -> Option<()> {
    out.extend_from_slice(&query[..asked.name_end + 4]);
    let mut counts = [0u16; 3];
    match set {
        Some(set) => {
            out.extend_from_slice(set.records());
            counts[0] = set.count();
        }
        None => {
            let soa = zone.soa.as_ref()?;
            let owner = asked.name_end - zone.apex.len();
            out.extend_from_slice(&pointer(owner));
            push_record(kind::SOA, soa.ttl.min(NEGATIVE_TTL), soa.data.first()?, out);
            counts[1] = 1;
        }
    }
    if let Some(edns) = asked.edns {
        push_opt(rcode.code(), edns.dnssec, out);
        counts[2] = 1;
    }
    let flags = u16::from_be_bytes([query[2], query[3]]);
    let flags = flag::RESPONSE | flag::AUTHORITATIVE | flags & flag::COPIED | rcode.code();
    fill_header(flags, counts, out);
    Some(())
}

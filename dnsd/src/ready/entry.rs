//! One name and its records as bytes, in the form they have in an answer.
//!
//! ```text
//! │ length 4 │ flags 1 │ name length 1 │ zone 2 │ name │ set set ... │
//! set:       │ kind 2 │ count 2 │ length 4 │ record record ... │
//! record:    │ c0 0c │ type │ class │ TTL │ length │ RDATA │        as after a question (RFC 1035 §4.1.3, §4.1.4)
//! ```
//! Our own numbers are in the machine's byte order: an entry never leaves the process.

use crate::wire::{HEADER, pointer, push_record};

/// Bytes before the name.
const HEAD: usize = 8;
/// Bytes before a set's records.
const SET_HEAD: usize = 8;
/// The name's answers are not made in place: an alias, or somebody else's part of the tree.
pub(super) const NOT_IN_PLACE: u8 = 1;
/// The apex of a zone.
pub(super) const APEX: u8 = 2;

/// Writes an entry behind others.
pub(super) struct Builder<'b> {
    bytes: &'b mut Vec<u8>,
    at: usize,
}

impl Builder<'_> {
    /// A name in wire form (at most 255 bytes) without records; `zone` is a number of the zone.
    pub(super) fn new<'b>(bytes: &'b mut Vec<u8>, name: &[u8], flags: u8, zone: u16) -> Builder<'b> {
        let at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[flags, name.len() as u8]);
        bytes.extend_from_slice(&zone.to_ne_bytes());
        bytes.extend_from_slice(name);
        Builder { bytes, at }
    }

    /// Records of one type; none: nothing is added.
    pub(super) fn set<D: AsRef<[u8]>>(&mut self, kind: u16, ttl: u32, records: impl IntoIterator<Item = D>) {
        let head = self.bytes.len();
        self.bytes.extend_from_slice(&[0; SET_HEAD]);
        let mut count = 0u16;
        for data in records {
            self.bytes.extend_from_slice(&pointer(HEADER));
            push_record(kind, ttl, data.as_ref(), self.bytes);
            count += 1;
        }
        if count == 0 {
            return self.bytes.truncate(head);
        }
        let length = (self.bytes.len() - head - SET_HEAD) as u32;
        self.bytes[head..head + 2].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[head + 2..head + 4].copy_from_slice(&count.to_ne_bytes());
        self.bytes[head + 4..head + 8].copy_from_slice(&length.to_ne_bytes());
    }

    pub(super) fn finish(self) {
        let length = (self.bytes.len() - self.at) as u32;
        self.bytes[self.at..self.at + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// The entry that these bytes begin with.
pub(super) fn first(bytes: &[u8]) -> &[u8] {
    let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    &bytes[..length as usize]
}

/// Entries that stand one after the other.
pub(super) fn each(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let held = (!bytes.is_empty()).then(|| first(bytes))?;
        bytes = &bytes[held.len()..];
        Some(held)
    })
}

/// Whose it is.
pub(super) fn name(entry: &[u8]) -> &[u8] {
    &entry[HEAD..HEAD + usize::from(entry[5])]
}

pub(super) fn flags(entry: &[u8]) -> u8 {
    entry[4]
}

/// The number of its zone.
pub(super) fn zone(entry: &[u8]) -> u16 {
    u16::from_ne_bytes([entry[6], entry[7]])
}

/// Its sets.
pub(super) fn sets(entry: &[u8]) -> impl Iterator<Item = Set<'_>> + use<'_> {
    let mut rest = &entry[HEAD + usize::from(entry[5])..];
    std::iter::from_fn(move || {
        let (head, after) = rest.split_at_checked(SET_HEAD)?;
        let length = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]);
        let (records, next) = after.split_at(length as usize);
        rest = next;
        let number = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
        Some(Set { kind: number(0), count: number(2), records })
    })
}

/// Records of one type.
#[derive(Debug, Clone, Copy)]
pub struct Set<'r> {
    kind: u16,
    count: u16,
    records: &'r [u8],
}

impl<'r> Set<'r> {
    /// Type number.
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// How many records there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// As they stand in an answer, each owned by the name in the question.
    pub fn records(&self) -> &'r [u8] {
        self.records
    }

    /// Seconds.
    pub fn ttl(&self) -> u32 {
        u32::from_be_bytes([self.records[6], self.records[7], self.records[8], self.records[9]])
    }

    /// RDATA of each record, uncompressed.
    pub fn data(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let length = u16::from_be_bytes([*rest.get(10)?, *rest.get(11)?]);
            let (record, next) = rest.split_at(12 + usize::from(length));
            rest = next;
            Some(&record[12..])
        })
    }
}

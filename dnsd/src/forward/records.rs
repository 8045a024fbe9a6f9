//! The records of a message, walked but not decoded; and moved, where pointers of compressed names (RFC 1035 §4.1.4) must follow.

use crate::wire::HEADER;
use std::ops::Range;

/// What cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 0 answer, 1 authority, 2 additional.
    pub section: usize,
    /// TYPE.
    pub kind: u16,
    /// From the owner's name to the end of the data.
    pub whole: Range<usize>,
    /// The 4 bytes of TTL.
    pub ttl_at: usize,
    /// RDATA.
    pub data: Range<usize>,
}

/// Walks the records of a message from `at`, where its question ends. After what cannot be read there is nothing more.
pub struct Records<'m> {
    bytes: &'m [u8],
    at: usize,
    left: [u16; 3],
    section: usize,
}

/// The records of a message whose question ends at `at`.
pub fn records(bytes: &[u8], at: usize) -> Records<'_> {
    let count = |at: usize| bytes.get(at..at + 2).map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]));
    Records { bytes, at, left: [count(6), count(8), count(10)], section: 0 }
}

impl Records<'_> {
    fn read(&self) -> Result<Record, Garbage> {
        let fixed_at = name_end(self.bytes, self.at)?;
        let fixed = self.bytes.get(fixed_at..fixed_at + 10).ok_or(Garbage)?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = fixed_at + 10..fixed_at + 10 + length;
        if data.end > self.bytes.len() {
            return Err(Garbage);
        }
        Ok(Record {
            section: self.section,
            kind: u16::from_be_bytes([fixed[0], fixed[1]]),
            whole: self.at..data.end,
            ttl_at: fixed_at + 4,
            data,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Garbage>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left.get(self.section)? == &0 {
            self.section += 1;
        }
        let record = self.read();
        match &record {
            Ok(record) => {
                self.left[self.section] -= 1;
                self.at = record.whole.end;
            }
            Err(Garbage) => self.section = self.left.len(),
        }
        Some(record)
    }
}

/// The end of a name that may end in a pointer. One that does not point back to where names can be is garbage: it may never end.
fn name_end(bytes: &[u8], start: usize) -> Result<usize, Garbage> {
    match pointer_of(bytes, start)? {
        (end, None) => Ok(end),
        (end, Some(at)) => {
            let target = target(bytes, at);
            if (HEADER..start).contains(&target) { Ok(end) } else { Err(Garbage) }
        }
    }
}

/// The end of the name, and where in it a pointer stands.
fn pointer_of(bytes: &[u8], mut at: usize) -> Result<(usize, Option<usize>), Garbage> {
    loop {
        match *bytes.get(at).ok_or(Garbage)? {
            0 => return Ok((at + 1, None)),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. if at + 2 <= bytes.len() => return Ok((at + 2, Some(at))),
            _ => return Err(Garbage),
        }
    }
}

fn target(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]) & 0x3fff)
}

/// Appends a record of `bytes` to `out`; each pointer in it points to where `moved` says its target went.
pub fn push(
    bytes: &[u8],
    record: &Record,
    moved: &impl Fn(usize) -> usize,
    out: &mut Vec<u8>,
) -> Result<(), Garbage> {
    let shift = out.len();
    out.extend_from_slice(&bytes[record.whole.clone()]);
    let mut names = vec![record.whole.start];
    names_in_data(bytes, record, &mut names)?;
    for name in names {
        let Some(at) = pointer_of(bytes, name)?.1 else { continue };
        let target = moved(target(bytes, at));
        // 14 bits: what went further cannot be pointed at.
        let pointer = u16::try_from(target).ok().filter(|target| *target <= 0x3fff).ok_or(Garbage)?;
        let at = at - record.whole.start + shift;
        out[at..at + 2].copy_from_slice(&(0xc000 | pointer).to_be_bytes());
    }
    Ok(())
}

/// Where names stand in the data of the types that may compress them (RFC 1035 §3.3, and those of RFC 3597 §4 that servers do compress).
fn names_in_data(bytes: &[u8], record: &Record, names: &mut Vec<usize>) -> Result<(), Garbage> {
    let (skipped, count) = match record.kind {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NXT, DNAME.
        2..=5 | 7..=9 | 12 | 30 | 39 => (0, 1),
        // SOA, MINFO, RP.
        6 | 14 | 17 => (0, 2),
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => (2, 1),
        // PX.
        26 => (2, 2),
        // SRV.
        33 => (6, 1),
        // SIG.
        24 => (18, 1),
        // NAPTR.
        35 => (naptr_strings(&bytes[record.data.clone()]).ok_or(Garbage)?, 1),
        _ => return Ok(()),
    };
    let mut at = record.data.start + skipped;
    for _ in 0..count {
        names.push(at);
        at = pointer_of(&bytes[..record.data.end], at)?.0;
    }
    Ok(())
}

/// Order, preference and three strings stand before its name (RFC 3403 §4.1).
fn naptr_strings(data: &[u8]) -> Option<usize> {
    (0..3).try_fold(4, |at, _| Some(at + 1 + usize::from(*data.get(at)?)))
}

//! What a forwarder sent: is it the answer to our query, can it be read, and how long may it be kept.
//!
//! Records stay bytes: types nobody has thought of yet pass. Only OPT, which speaks of the way between two servers, is taken out.

use super::{
    Question,
    records::{Garbage, Record, push, records},
};
use crate::wire::{CLASS_IN, HEADER, flag, kind, suffixes};

/// Longest that an answer is kept, and that we say it holds: a day, as resolvers do (RFC 8767 §4 asks for a limit, of days).
const MAX_TTL: u32 = 86_400;
/// Longest that it is kept that something is not there (RFC 2308 §5: one to three hours work well).
const MAX_NEGATIVE_TTL: u32 = 3600;
/// How long a failure is kept: at least 1 s, at most 5 minutes (RFC 9520 §3.2, which suggests 5 s).
pub const FAILURE_TTL: u32 = 5;

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
/// Our OPT is not understood, by a server that has one itself.
const BADVERS: u16 = 16;

/// An answer, in the form it is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A header whose counts of records are right, the question in lower case, and the records without OPT.
    pub bytes: Box<[u8]>,
    /// All bits of the response code.
    pub rcode: u16,
    /// The forwarder checked signatures.
    pub authentic: bool,
}

/// A query on its way, as far as its answer must agree with it.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'q> {
    /// Whose answer we wait for.
    pub id: u16,
    /// The name as we spelled it.
    pub spelled: &'q [u8],
    /// QTYPE.
    pub kind: u16,
}

/// A message that answers our query.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// All of it.
    Whole(Answer),
    /// TC: TCP has the rest.
    Truncated,
    /// FORMERR without OPT: a server from before EDNS (RFC 6891 §7).
    NoEdns,
}

/// Why a message is no answer to our query. The last may be one: some servers do not keep the case of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be read.
    Malformed,
    /// A query, or of another opcode.
    NotAnAnswer,
    /// Another id.
    Id,
    /// Another question.
    Question,
    /// The question in another spelling.
    Spelling,
}

impl Wrong {
    /// All there are.
    pub const ALL: [Wrong; 5] =
        [Wrong::Malformed, Wrong::NotAnAnswer, Wrong::Id, Wrong::Question, Wrong::Spelling];

    /// Metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Wrong::Malformed => "malformed",
            Wrong::NotAnAnswer => "not_an_answer",
            Wrong::Id => "id",
            Wrong::Question => "question",
            Wrong::Spelling => "spelling",
        }
    }
}

impl From<Garbage> for Wrong {
    fn from(Garbage: Garbage) -> Wrong {
        Wrong::Malformed
    }
}

/// Compares a message with the query it should be the answer to.
///
/// # Errors
/// It is none; whoever sent it is not heeded.
pub fn check(bytes: &[u8], sent: Sent) -> Result<Received, Wrong> {
    if bytes.len() < HEADER {
        return Err(Wrong::Malformed);
    }
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let flags = word(2);
    match flags & (flag::RESPONSE | flag::OPCODE) {
        _ if word(0) != sent.id => return Err(Wrong::Id),
        flag::RESPONSE => {}
        _ => return Err(Wrong::NotAnAnswer),
    }
    let short = flags & 0xf;
    if bytes.len() == HEADER && matches!(short, FORMERR | SERVFAIL | NOTIMP | REFUSED) {
        // Some servers send no more of what they did not read.
        return Ok(if short == FORMERR { Received::NoEdns } else { Received::Whole(error(sent, short)) });
    }
    let records_at = same_question(bytes, word(4), sent)?;
    if flags & flag::TRUNCATED != 0 {
        // Cut anywhere, so its records need not be readable.
        return Ok(Received::Truncated);
    }
    let mut answer = without_opt(bytes, records_at, short)?;
    answer.authentic = flags & flag::AUTHENTIC_DATA != 0;
    let has_opt = records(bytes, records_at).flatten().any(|record| record.kind == kind::OPT);
    Ok(if short == FORMERR && !has_opt { Received::NoEdns } else { Received::Whole(answer) })
}

/// Where the question ends.
fn same_question(bytes: &[u8], count: u16, sent: Sent) -> Result<usize, Wrong> {
    let end = HEADER + sent.spelled.len();
    let name = bytes.get(HEADER..end).ok_or(Wrong::Question)?;
    let rest = bytes.get(end..end + 4).ok_or(Wrong::Question)?;
    let ([k0, k1], [c0, c1]) = (sent.kind.to_be_bytes(), CLASS_IN.to_be_bytes());
    if count != 1 || !name.eq_ignore_ascii_case(sent.spelled) || rest != [k0, k1, c0, c1] {
        return Err(Wrong::Question);
    }
    if name == sent.spelled { Ok(end + 4) } else { Err(Wrong::Spelling) }
}

/// The answer as it is kept. `short`: the bits of the response code that stand in the header.
fn without_opt(bytes: &[u8], records_at: usize, short: u16) -> Result<Answer, Garbage> {
    let all = records(bytes, records_at).collect::<Result<Vec<Record>, _>>()?;
    let mut opts = all.iter().filter(|record| record.kind == kind::OPT);
    let (opt, another) = (opts.next(), opts.next());
    if another.is_some() || opt.is_some_and(|opt| opt.section != 2) {
        return Err(Garbage);
    }
    let high = opt.map_or(0, |opt| u16::from(bytes[opt.ttl_at]));
    let (opt_at, opt_length) = opt.map_or((usize::MAX, 0), |opt| (opt.whole.start, opt.whole.len()));
    let moved = |target: usize| if target > opt_at { target - opt_length } else { target };

    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..records_at]);
    out[HEADER..records_at - 4].make_ascii_lowercase();
    for record in all.iter().filter(|record| record.kind != kind::OPT) {
        push(bytes, record, &moved, &mut out)?;
    }
    let additional = all.iter().filter(|record| record.section == 2).count() - usize::from(opt.is_some());
    out[10..12].copy_from_slice(&(additional as u16).to_be_bytes());
    Ok(Answer { bytes: out.into(), rcode: high << 4 | short, authentic: false })
}

fn error(sent: Sent, rcode: u16) -> Answer {
    let mut bytes = vec![0; HEADER];
    bytes[5] = 1; // one question
    bytes.extend(sent.spelled.iter().map(u8::to_ascii_lowercase));
    bytes.extend_from_slice(&sent.kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    Answer { bytes: bytes.into(), rcode, authentic: false }
}

impl Answer {
    /// What we say when no forwarder says anything.
    pub fn servfail(question: &Question) -> Answer {
        error(Sent { id: 0, spelled: question.name(), kind: question.kind() }, SERVFAIL)
    }

    /// Where records begin.
    pub fn records_at(&self) -> usize {
        let from_root = suffixes(&self.bytes[HEADER..]).last().map_or(0, <[u8]>::len);
        self.bytes.len() - from_root + 1 + 4
    }

    /// Another forwarder may do better: it failed, or will not serve us.
    pub fn is_failure(&self) -> bool {
        matches!(self.rcode, FORMERR | SERVFAIL | NOTIMP | REFUSED | BADVERS)
    }

    /// How many seconds it may be kept; 0: not at all.
    pub fn lifetime(&self) -> u32 {
        if !matches!(self.rcode, NOERROR | NXDOMAIN) {
            return FAILURE_TTL;
        }
        let at = self.records_at();
        let asked = u16::from_be_bytes([self.bytes[at - 4], self.bytes[at - 3]]);
        let all: Vec<Record> = records(&self.bytes, at).flatten().collect();
        let least = all.iter().map(|record| ttl(&self.bytes, record)).min().unwrap_or(0);
        if self.rcode == NOERROR && all.iter().any(|record| record.section == 0 && record.kind == asked) {
            return least.min(MAX_TTL);
        }
        // Nothing there, perhaps behind aliases: for as long as the SOA says; not at all without one (RFC 2308 §5).
        let soa = all.iter().find(|record| record.section == 1 && record.kind == kind::SOA);
        soa.map_or(0, |soa| least.min(minimum(&self.bytes, soa)).min(MAX_NEGATIVE_TTL))
    }
}

/// The TTL of a record; with the first bit set it is 0 (RFC 2181 §8).
pub fn ttl(bytes: &[u8], record: &Record) -> u32 {
    let seconds = word32(bytes, record.ttl_at);
    if seconds > i32::MAX as u32 { 0 } else { seconds.min(MAX_TTL) }
}

/// The last number of a SOA (RFC 1035 §3.3.13).
fn minimum(bytes: &[u8], soa: &Record) -> u32 {
    if soa.data.len() < 22 { 0 } else { word32(bytes, soa.data.end - 4) }
}

fn word32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests;

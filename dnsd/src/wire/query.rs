//! Reading queries. Strict where RFCs are, and never further than the message reaches.

use super::{HEADER, WireName, flag, kind};
use crate::records::Alias;
use std::sync::OnceLock;

/// What gets no answer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// Shorter than a header: there is no id to answer to.
    TooShort,
    /// QR is set: two servers that answer each other's answers never stop.
    Response,
}

/// A query, read as far as it could be.
#[derive(Debug)]
pub struct Message<'a> {
    /// Comes back as it is.
    pub id: u16,
    /// The third and fourth byte of the header.
    pub flags: u16,
    /// Where there is exactly one that can be read.
    pub question: Option<Question<'a>>,
    /// Where everything could be read and there is an OPT record.
    pub edns: Option<Edns>,
    /// The same for a TSIG record.
    pub tsig: Option<Tsig<'a>>,
    /// The serial of a SOA record in the authority section: what IXFR has (RFC 1995 §3).
    pub serial: Option<u32>,
    /// Something could not be read: FORMERR.
    pub malformed: bool,
    /// Room for the alias that `dnsd.search` makes of a short name: an answer borrows from zones and message.
    pub searched: OnceLock<Alias>,
}

/// The question.
#[derive(Debug)]
pub struct Question<'a> {
    /// Comes back byte for byte: resolvers check the case they chose ("0x20").
    pub raw: &'a [u8],
    /// Lower case.
    pub name: WireName,
    /// QTYPE.
    pub kind: u16,
    /// QCLASS.
    pub class: u16,
}

/// edns-tcp-keepalive (RFC 7828 §3.1).
pub(crate) const KEEPALIVE: u16 = 11;

/// The OPT record of a query (RFC 6891 §6.1). Of its options one is understood; the others are skipped, and cookies never echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// What the client can receive on UDP.
    pub size: u16,
    /// Anything above 0 is BADVERS.
    pub version: u8,
    /// DNSSEC records welcome; copied.
    pub dnssec: bool,
    /// The client asks how long its connection may be idle (RFC 7828).
    pub keepalive: bool,
}

/// The TSIG record of a message (RFC 8945 §4.2), read but not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tsig<'a> {
    /// Where in the message it begins; nothing follows it.
    pub at: usize,
    /// Name of the key, in wire form and in any case.
    pub key: &'a [u8],
    /// Likewise.
    pub algorithm: &'a [u8],
    /// Unix seconds of the signature; 48 bits.
    pub time: u64,
    /// By how many seconds the clocks may differ.
    pub fudge: u16,
    /// The signature.
    pub mac: &'a [u8],
    /// Id of the message when it was signed; forwarders change it.
    pub original_id: u16,
    /// In answers: what was wrong with the query's.
    pub error: u16,
    /// In BADTIME answers: the server's time.
    pub other: &'a [u8],
}

impl Message<'_> {
    /// 0 is QUERY.
    pub fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// RD: others may be asked.
    pub fn recursion_desired(&self) -> bool {
        self.flags & flag::RECURSION_DESIRED != 0
    }

    /// CD: the client checks signatures itself (RFC 4035 §3.2.2).
    pub fn checking_disabled(&self) -> bool {
        self.flags & flag::CHECKING_DISABLED != 0
    }

    /// The client understands AD in an answer (RFC 6840 §5.7).
    pub fn wants_authentic(&self) -> bool {
        self.flags & flag::AUTHENTIC_DATA != 0 || self.edns.is_some_and(|edns| edns.dnssec)
    }
}

/// Reads a query; what cannot be read is marked, not dropped, as the client is owed a FORMERR.
pub fn read(bytes: &[u8]) -> Result<Message<'_>, Silent> {
    if bytes.len() < HEADER {
        return Err(Silent::TooShort);
    }
    match bytes[2] & RESPONSE {
        0 => Ok(read_message(bytes)),
        _ => Err(Silent::Response),
    }
}

/// Reads an answer to a question of ours; `None`: it is none.
pub fn read_answer(bytes: &[u8]) -> Option<Message<'_>> {
    (bytes.len() >= HEADER && bytes[2] & RESPONSE != 0).then(|| read_message(bytes))
}

/// QR, in the third byte.
const RESPONSE: u8 = 0x80;

/// At least a header.
fn read_message(bytes: &[u8]) -> Message<'_> {
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut message = Message {
        id: word(0),
        flags: word(2),
        question: None,
        edns: None,
        tsig: None,
        serial: None,
        malformed: true,
        searched: OnceLock::new(),
    };
    // RFC 9619: a QUERY has exactly one question.
    if word(4) != 1 {
        return message;
    }
    let Some((question, end)) = read_question(bytes) else { return message };
    message.question = Some(question);
    if let Some(records) = read_records(bytes, end, [word(6), word(8), word(10)]) {
        message.edns = records.edns;
        message.tsig = records.tsig;
        message.serial = records.serial;
        message.malformed = false;
    }
    message
}

fn read_question(bytes: &[u8]) -> Option<(Question<'_>, usize)> {
    let (name, end) = WireName::read(bytes, HEADER)?;
    let fixed = bytes.get(end..end + 4)?;
    let question = Question {
        raw: &bytes[HEADER..end + 4],
        name,
        kind: u16::from_be_bytes([fixed[0], fixed[1]]),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
    };
    Some((question, end + 4))
}

/// What we take note of behind the question.
#[derive(Default)]
struct Records<'a> {
    edns: Option<Edns>,
    tsig: Option<Tsig<'a>>,
    serial: Option<u32>,
}

/// Walks answer, authority and additional section; `None` when they do not hold what the header counts, or OPT or TSIG is wrong.
/// Each record has at least 11 bytes, so the walk is bounded by the message. What follows the last record is ignored.
fn read_records(bytes: &[u8], mut at: usize, counts: [u16; 3]) -> Option<Records<'_>> {
    let mut records = Records::default();
    for (section, count) in counts.into_iter().enumerate() {
        for _ in 0..count {
            let fixed_at = skip_name(bytes, at)?;
            let fixed = bytes.get(fixed_at..fixed_at + 10)?;
            let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let data = bytes.get(fixed_at + 10..fixed_at + 10 + length)?;
            // TSIG is the last record of all (RFC 8945 §5.1).
            if records.tsig.is_some() {
                return None;
            }
            match (u16::from_be_bytes([fixed[0], fixed[1]]), section) {
                (kind::OPT, 2) if records.edns.is_none() && bytes[at] == 0 && options_fit(data) => {
                    records.edns = Some(Edns::of(fixed, data));
                }
                (kind::TSIG, 2) => records.tsig = Some(read_tsig(bytes, at, fixed, data)?),
                // One OPT, in the additional section, owned by the root (RFC 6891 §6.1.1).
                (kind::OPT | kind::TSIG, _) => return None,
                (kind::SOA, 1) => records.serial = soa_serial(data),
                _ => {}
            }
            at = fixed_at + 10 + length;
        }
    }
    Some(records)
}

/// Class ANY, TTL 0, no compression (RFC 8945 §4.2).
fn read_tsig<'a>(bytes: &'a [u8], at: usize, fixed: &[u8], data: &'a [u8]) -> Option<Tsig<'a>> {
    if fixed[2..8] != [0, 255, 0, 0, 0, 0] {
        return None;
    }
    let (_, key_end) = WireName::read(bytes, at)?;
    let (_, algorithm_end) = WireName::read(data, 0)?;
    let (algorithm, rest) = data.split_at_checked(algorithm_end)?;
    let (numbers, rest) = rest.split_first_chunk::<10>()?;
    let (time, fudge_and_size) = numbers.split_first_chunk::<6>()?;
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (mac, rest) = rest.split_at_checked(word(fudge_and_size, 2).into())?;
    let (numbers, other) = rest.split_first_chunk::<6>()?;
    (other.len() == usize::from(word(numbers, 4))).then_some(Tsig {
        at,
        key: &bytes[at..key_end],
        algorithm,
        time: time.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)),
        fudge: word(fudge_and_size, 0),
        mac,
        original_id: word(numbers, 0),
        error: word(numbers, 2),
        other,
    })
}

/// The first of the five numbers behind the two names (RFC 1035 §3.3.13), which have at least a byte each.
fn soa_serial(data: &[u8]) -> Option<u32> {
    let numbers = data.len().checked_sub(20).filter(|at| *at >= 2)?;
    data[numbers..].first_chunk().map(|serial| u32::from_be_bytes(*serial))
}

/// An OPT that begins these bytes and is as it should be (RFC 6891 §6.1.2); else `None`.
pub(crate) fn read_opt(bytes: &[u8]) -> Option<Edns> {
    let (root, fixed) = (bytes.first()?, bytes.get(1..11)?);
    let data = bytes.get(11..11 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
    let is_opt = *root == 0 && u16::from_be_bytes([fixed[0], fixed[1]]) == kind::OPT;
    (is_opt && options_fit(data)).then(|| Edns::of(fixed, data))
}

impl Edns {
    /// From what stands between the owner and the options of an OPT, and these.
    fn of(fixed: &[u8], data: &[u8]) -> Edns {
        Edns {
            size: u16::from_be_bytes([fixed[2], fixed[3]]),
            version: fixed[5],
            dnssec: fixed[6] & 0x80 != 0,
            keepalive: options(data).any(|option| option == KEEPALIVE),
        }
    }
}

/// The end of a name that may end in a pointer; the pointer is not followed.
pub(super) fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return (at + 2 <= bytes.len()).then_some(at + 2),
            _ => return None,
        }
    }
}

/// Codes of the options, as far as they fit. Most clients send none.
fn options(mut data: &[u8]) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let (option, rest) = data.split_first_chunk::<4>()?;
        data = rest.get(usize::from(u16::from_be_bytes([option[2], option[3]]))..)?;
        Some(u16::from_be_bytes([option[0], option[1]]))
    })
}

fn options_fit(mut data: &[u8]) -> bool {
    while let [_, _, high, low, rest @ ..] = data {
        match rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) {
            Some(next) => data = next,
            None => return false,
        }
    }
    data.is_empty()
}

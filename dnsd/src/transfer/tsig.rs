//! TSIG (RFC 8945): messages signed with a secret that both sides have.
//!
//! On `ring`'s HMAC, which rustls brings anyway. hickory-proto has TSIG, too, but signs typed messages one by one, while a
//! transfer is a stream of bytes in which each signature covers the one before (§5.3.1); it also knows no truncation.
//!
//! ```text
//!            ┌ length and MAC of the message before: the query's, then each answer's; nothing before a query
//!   HMAC of ─┤ the message as it was before TSIG was added to it
//!            └ key, class, TTL, algorithm, time, fudge, error, other; after the first answer only time and fudge
//! ```

#[cfg(test)]
mod tests;

use crate::wire::{HEADER, Message, Rcode, Tsig, kind, to_wire};
use config::TsigAlgorithm;
use ring::hmac;
use std::sync::Arc;
use values::Name;

/// By how many seconds clocks may differ, as we say (RFC 8945 §10).
const FUDGE: u16 = 300;

/// No shorter MAC counts, nor less than half of it (RFC 8945 §5.2.2.1).
const MIN_MAC: usize = 10;

/// Longest MAC: of SHA-512.
const MAX_MAC: usize = 64;

/// Server's time in a BADTIME answer.
const MAX_OTHER: usize = 6;

/// Type, class, TTL and length of a record.
const FIXED: usize = 10;

/// Numbers in the data of TSIG: time, fudge, length of MAC, id, error, length of other.
const NUMBERS: usize = 16;

/// A secret and what it is known by.
pub struct Key {
    /// Wire form, lower case.
    name: Box<[u8]>,
    /// Likewise.
    algorithm: &'static [u8],
    secret: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", String::from_utf8_lossy(&self.name))
    }
}

impl Key {
    /// From the bytes of the secret.
    pub fn new(name: &Name, algorithm: TsigAlgorithm, secret: &[u8]) -> Key {
        let (algorithm, hash): (&[u8], _) = match algorithm {
            TsigAlgorithm::HmacSha256 => (b"\x0bhmac-sha256\0", hmac::HMAC_SHA256),
            TsigAlgorithm::HmacSha384 => (b"\x0bhmac-sha384\0", hmac::HMAC_SHA384),
            TsigAlgorithm::HmacSha512 => (b"\x0bhmac-sha512\0", hmac::HMAC_SHA512),
        };
        Key { name: to_wire(name), algorithm, secret: hmac::Key::new(hash, secret) }
    }

    fn is_of(&self, tsig: &Tsig) -> bool {
        self.name.eq_ignore_ascii_case(tsig.key) && self.algorithm.eq_ignore_ascii_case(tsig.algorithm)
    }

    fn full_length(&self) -> usize {
        self.secret.algorithm().digest_algorithm().output_len()
    }

    /// Whether `mac` is what this signs with, or its beginning. In constant time, which ring offers for whole tags only: so tags
    /// of both are compared.
    fn begins_with(&self, signed: &[u8], mac: &[u8]) -> bool {
        let whole = hmac::sign(&self.secret, signed);
        let Some(beginning) = whole.as_ref().get(..mac.len()) else { return false };
        let tag = hmac::sign(&self.secret, beginning);
        hmac::verify(&self.secret, mac, tag.as_ref()).is_ok()
    }
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its lengths are none that can be (RFC 8945 §5.2.2.1).
    Form,
    /// We do not have the key, or not with this algorithm.
    Key,
    /// It was made with another secret, or of another message.
    Signature,
    /// Too old, or from the future.
    Time,
    /// Good as far as it goes. Ours are whole, and so must theirs be.
    Truncated,
}

impl Flaw {
    /// TSIG's own error code (RFC 8945 §3); none where nothing is said but FORMERR.
    fn code(self) -> u16 {
        match self {
            Flaw::Form => 0,
            Flaw::Signature => 16,
            Flaw::Key => 17,
            Flaw::Time => 18,
            Flaw::Truncated => 22,
        }
    }

    fn rcode(self) -> Rcode {
        if self == Flaw::Form { Rcode::FormErr } else { Rcode::NotAuth }
    }
}

/// How a query was signed, and so how its answer is.
#[derive(Debug, Default)]
pub enum Signature {
    /// Not at all.
    #[default]
    Absent,
    /// With our key; its answers are signed, too.
    Valid(Session),
    /// Wrongly.
    Flawed(Flaw, Refusal),
}

/// What the answer to a wrong signature says (RFC 8945 §5.3.2).
#[derive(Debug)]
pub enum Refusal {
    /// There is no key to sign with: the record without a MAC.
    Unsigned(Box<Record>),
    /// The key is right, but not the time or the length.
    Signed(Session, Box<Record>),
}

impl Signature {
    /// Looks at a query (§5.2): key, MAC, time, truncation, in this order. `now` in Unix seconds.
    pub fn of(query: &[u8], message: &Message, key: Option<&Arc<Key>>, now: u64) -> Signature {
        let Some(tsig) = &message.tsig else { return Signature::Absent };
        let Some(key) = key.filter(|key| key.is_of(tsig)) else {
            return Signature::flawed(Flaw::Key, tsig, None, now);
        };
        let session = Session { key: key.clone(), before: tsig.mac.to_vec(), answers: 0 };
        match verify(key, &[], query, tsig, now) {
            Ok(()) => Signature::Valid(session),
            Err(flaw) => Signature::flawed(flaw, tsig, Some(session), now),
        }
    }

    fn flawed(flaw: Flaw, tsig: &Tsig, session: Option<Session>, now: u64) -> Signature {
        let other = if flaw == Flaw::Time { now.to_be_bytes()[2..].to_vec() } else { Vec::new() };
        let record = Box::new(Record {
            key: tsig.key.to_ascii_lowercase(),
            algorithm: tsig.algorithm.to_ascii_lowercase(),
            time: tsig.time,
            fudge: tsig.fudge,
            error: flaw.code(),
            other,
        });
        let refusal = match (flaw, session) {
            (Flaw::Time | Flaw::Truncated, Some(session)) => Refusal::Signed(session, record),
            _ => Refusal::Unsigned(record),
        };
        Signature::Flawed(flaw, refusal)
    }

    /// Whether it holds.
    pub fn is_valid(&self) -> bool {
        matches!(self, Signature::Valid(_))
    }

    /// What the query is answered with instead of anything it asked for.
    pub fn refused(&self) -> Option<Rcode> {
        match self {
            Signature::Flawed(flaw, _) => Some(flaw.rcode()),
            _ => None,
        }
    }

    /// Adds to an answer what this calls for. Room for it was left ([`Tsig::room`]).
    pub fn sign(&mut self, answer: &mut Vec<u8>, now: u64) {
        match self {
            Signature::Absent | Signature::Flawed(Flaw::Form, _) => {}
            Signature::Valid(session) => session.sign(answer, now),
            Signature::Flawed(_, Refusal::Unsigned(record)) => record.append(answer, &[]),
            Signature::Flawed(_, Refusal::Signed(session, record)) => session.sign_as(answer, record),
        }
    }
}

impl Tsig<'_> {
    /// How long the TSIG record of an answer may be.
    pub fn room(&self) -> usize {
        self.key.len() + FIXED + self.algorithm.len() + NUMBERS + MAX_MAC + MAX_OTHER
    }
}

/// What is signed one after the other: a query, and each message of its answer.
#[derive(Debug)]
pub struct Session {
    key: Arc<Key>,
    /// MAC of the last one.
    before: Vec<u8>,
    answers: u32,
}

impl Session {
    /// Begins with a query of ours.
    pub fn begin(key: Arc<Key>) -> Session {
        Session { key, before: Vec::new(), answers: 0 }
    }

    /// How much longer a message gets by being signed.
    pub fn room(&self) -> usize {
        self.key.name.len() + FIXED + self.key.algorithm.len() + NUMBERS + self.key.full_length()
    }

    /// Adds TSIG to the next message.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        let record = Record {
            key: self.key.name.to_vec(),
            algorithm: self.key.algorithm.to_vec(),
            time: now,
            fudge: FUDGE,
            error: 0,
            other: Vec::new(),
        };
        self.sign_as(message, &record);
    }

    fn sign_as(&mut self, message: &mut Vec<u8>, record: &Record) {
        let variables = if self.answers == 0 { record.variables() } else { record.timers() };
        let signed = [&prefixed(&self.before), &message[..], &variables].concat();
        let mac = hmac::sign(&self.key.secret, &signed);
        record.append(message, mac.as_ref());
        self.before = mac.as_ref().to_vec();
        self.answers += 1;
    }

    /// Whether this answers what was signed last, and was signed with the same key. For answers of one message.
    pub fn is_answer(&self, answer: &[u8], tsig: &Tsig, now: u64) -> bool {
        self.key.is_of(tsig) && verify(&self.key, &self.before, answer, tsig, now).is_ok()
    }
}

/// Everything in a TSIG record but the MAC and the id.
#[derive(Debug)]
pub struct Record {
    key: Vec<u8>,
    algorithm: Vec<u8>,
    time: u64,
    fudge: u16,
    error: u16,
    other: Vec<u8>,
}

impl Record {
    /// Puts it at the end of a message, and counts it.
    fn append(&self, message: &mut Vec<u8>, mac: &[u8]) {
        let id = [message[0], message[1]];
        message.extend_from_slice(&self.key);
        message.extend_from_slice(&kind::TSIG.to_be_bytes());
        message.extend_from_slice(&CLASS_AND_TTL);
        let length = self.algorithm.len() + NUMBERS + mac.len() + self.other.len();
        message.extend_from_slice(&(length as u16).to_be_bytes());
        message.extend_from_slice(&self.algorithm);
        message.extend_from_slice(&self.timers());
        message.extend_from_slice(&prefixed_always(mac));
        message.extend_from_slice(&id);
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&prefixed_always(&self.other));
        count_additional(message, 1);
    }

    /// What is signed beside the message (§4.3.3).
    fn variables(&self) -> Vec<u8> {
        let error = self.error.to_be_bytes();
        let other = prefixed_always(&self.other);
        [&self.key[..], &CLASS_AND_TTL, &self.algorithm, &self.timers(), &error, &other].concat()
    }

    /// From the second message of an answer on.
    fn timers(&self) -> Vec<u8> {
        [&self.time.to_be_bytes()[2..], &self.fudge.to_be_bytes()].concat()
    }
}

/// ANY and 0.
const CLASS_AND_TTL: [u8; 6] = [0, 255, 0, 0, 0, 0];

/// The first message after `before`, in which `tsig` was found.
fn verify(key: &Key, before: &[u8], bytes: &[u8], tsig: &Tsig, now: u64) -> Result<(), Flaw> {
    let (length, full) = (tsig.mac.len(), key.full_length());
    if length > full || length < MIN_MAC.max(full / 2) {
        return Err(Flaw::Form);
    }
    let record = Record {
        key: key.name.to_vec(),
        algorithm: key.algorithm.to_vec(),
        time: tsig.time,
        fudge: tsig.fudge,
        error: tsig.error,
        other: tsig.other.to_vec(),
    };
    let mut message = bytes[..tsig.at].to_vec();
    message[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
    count_additional(&mut message, -1);
    let signed = [prefixed(before), message, record.variables()].concat();
    if !key.begins_with(&signed, tsig.mac) {
        return Err(Flaw::Signature);
    }
    if now.abs_diff(tsig.time) > tsig.fudge.into() {
        return Err(Flaw::Time);
    }
    if length < full { Err(Flaw::Truncated) } else { Ok(()) }
}

/// Behind its length; nothing where there is nothing.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() { Vec::new() } else { prefixed_always(bytes) }
}

fn prefixed_always(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// The fourth number of the header.
fn count_additional(message: &mut [u8], change: i16) {
    if let Some(count) = message[..HEADER].last_chunk_mut::<2>() {
        *count = u16::from_be_bytes(*count).wrapping_add_signed(change).to_be_bytes();
    }
}

//! What every message is made of, whoever writes it.

use super::{CLASS_IN, UDP_LIMIT, kind};

/// Bits of the third and fourth byte of a header (RFC 1035 §4.1.1, RFC 4035 §3.2).
pub(crate) mod flag {
    /// QR: an answer.
    pub(crate) const RESPONSE: u16 = 0x8000;
    /// Four bits.
    pub(crate) const OPCODE: u16 = 0x7800;
    /// AA.
    pub(crate) const AUTHORITATIVE: u16 = 0x0400;
    /// TC.
    pub(crate) const TRUNCATED: u16 = 0x0200;
    /// RD.
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    /// RA.
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    /// AD.
    pub(crate) const AUTHENTIC_DATA: u16 = 0x0020;
    /// CD.
    pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
    /// Those of a query that come back; AA, RA, AD and Z do not (RFC 4035 §3.2.2).
    pub(crate) const COPIED: u16 = OPCODE | RECURSION_DESIRED | CHECKING_DISABLED;
}

/// OPT without options: root, type, size, flags, length.
pub(crate) const OPT_LENGTH: usize = 11;

/// OPT without options (RFC 6891 §6.1.2). `rcode`: all of its bits, of which the upper eight stand here; `dnssec`: DO.
pub(crate) fn push_opt(rcode: u16, dnssec: bool, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&kind::OPT.to_be_bytes());
    out.extend_from_slice(&(UDP_LIMIT as u16).to_be_bytes());
    out.extend_from_slice(&[(rcode >> 4) as u8, 0, if dnssec { 0x80 } else { 0 }, 0, 0, 0]);
}

/// A pointer to the name that stands at `at`, which its 14 bits must reach (RFC 1035 §4.1.4).
pub(crate) fn pointer(at: usize) -> [u8; 2] {
    (0xc000 | (at as u16 & 0x3fff)).to_be_bytes()
}

/// A record but for its owner.
pub(crate) fn push_record(kind: u16, ttl: u32, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

/// Flags, and how many records each section has, into a header.
pub(crate) fn fill_header(flags: u16, counts: [u16; 3], message: &mut [u8]) {
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    for (at, count) in [6, 8, 10].into_iter().zip(counts) {
        message[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

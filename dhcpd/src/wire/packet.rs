//! A reply before it is bytes, and how it becomes them.
//!
//! Options stand in the order they were put in, which is also their rank: what does not fit into the options field
//! goes to `file` and `sname` (RFC 2132 §9.3), and what does not fit there either is left out, the last ones first.
//! Option 82 always fits, verbatim, right before End (RFC 3046 §2.2).

use super::{
    BOOTREPLY, COOKIE, END, FILE, HEADER, LONGEST_PART, MessageType, OPTIONS, OVERLOADED_FILE,
    OVERLOADED_SNAME, OptionCode, SNAME,
};
use std::net::Ipv4Addr;

/// RFC 1542 §2.1: relays and old clients may drop what is shorter.
const SHORTEST: usize = 300;
/// IP and UDP headers, which option 57 counts and a payload does not.
const HEADERS: usize = 28;
/// RFC 2131 §2: what every client accepts; also the least that option 57 may say (RFC 2132 §9.10).
const DATAGRAM: u16 = 576;
/// One Ethernet frame. edk2 drops longer replies whatever it says in option 57.
const LARGEST_DATAGRAM: u16 = 1500;
/// Longest option 82 that leaves the client the 312 bytes of options it always takes (RFC 2131 §2); real ones have some
/// dozens. Four parts hold so much.
pub const LONGEST_RELAY_AGENT: usize = LARGEST_DATAGRAM as usize - HEADERS - OPTIONS - 312 - 4 * 2;
/// Option 52 with its value.
const OVERLOAD_SIZE: usize = 3;

/// Header and options of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Copied.
    pub htype: u8,
    /// Copied.
    pub hlen: u8,
    /// Copied.
    pub xid: u32,
    /// Copied; the highest bit tells a relay to broadcast.
    pub flags: u16,
    /// Copied in an ACK.
    pub ciaddr: Ipv4Addr,
    /// The address given.
    pub yiaddr: Ipv4Addr,
    /// Next server.
    pub siaddr: Ipv4Addr,
    /// Copied.
    pub giaddr: Ipv4Addr,
    /// Copied.
    pub chaddr: [u8; 16],
    /// Boot file, for ROMs that read no option 67; it is never overloaded then.
    pub file: Option<String>,
    /// In order.
    pub options: Options,
    /// Option 82 as it came, for the tail.
    pub relay_agent: Option<Vec<u8>>,
    /// Longest payload the client accepts.
    pub limit: usize,
}

/// Options in the order of their rank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    bytes: Vec<u8>,
    entries: Vec<(u8, usize, usize)>,
}

impl Options {
    /// Room for a usual reply.
    pub fn new() -> Options {
        Options { bytes: Vec::with_capacity(256), entries: Vec::with_capacity(24) }
    }

    /// Puts an option last.
    pub fn put(&mut self, code: impl Into<u8>, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push((code.into(), start, self.bytes.len()));
    }

    /// Option 53.
    pub fn message_type(&mut self, kind: MessageType) {
        self.put(OptionCode::MessageType, &[kind.into()]);
    }

    /// A list of addresses; nothing where there are none.
    pub fn addresses(&mut self, code: OptionCode, addresses: &[Ipv4Addr]) {
        if addresses.is_empty() {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend(addresses.iter().flat_map(|address| address.octets()));
        self.entries.push((code.into(), start, self.bytes.len()));
    }

    /// A number of 32 bits.
    pub fn number(&mut self, code: OptionCode, number: u32) {
        self.put(code, &number.to_be_bytes());
    }

    /// Text; nothing where it is empty.
    pub fn text(&mut self, code: OptionCode, text: &str) {
        if !text.is_empty() {
            self.put(code, text.as_bytes());
        }
    }

    /// Text with a NUL behind it, which old ROMs rely on.
    pub fn terminated(&mut self, code: OptionCode, text: &str) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.entries.push((code.into(), start, self.bytes.len()));
    }

    /// Puts a value in the place, and so the rank, of the one that is there; else last.
    pub fn set(&mut self, code: u8, value: &[u8]) {
        self.put(code, value);
        let last = self.entries.len() - 1;
        if let Some(at) = self.entries[..last].iter().position(|(held, ..)| *held == code) {
            self.entries.swap_remove(at);
        }
    }

    /// Takes an option out.
    pub fn remove(&mut self, code: u8) {
        self.entries.retain(|(held, ..)| *held != code);
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.entries.iter().map(|(code, start, end)| (*code, &self.bytes[*start..*end]))
    }

    /// The value of an option.
    pub fn value(&self, code: impl Into<u8>) -> Option<&[u8]> {
        let code = code.into();
        self.iter().find(|(held, _)| *held == code).map(|(_, value)| value)
    }
}

/// The longest payload for a client that said `accepts` in option 57. What a relay adds and takes off again is its own
/// affair, so option 82 comes on top as long as a frame holds it.
pub fn limit(accepts: Option<u16>, relay_agent: Option<&[u8]>) -> usize {
    let accepts = accepts.unwrap_or(DATAGRAM).clamp(DATAGRAM, LARGEST_DATAGRAM);
    let tail = relay_agent.map_or(0, |value| size(value.len()));
    (accepts as usize + tail).min(LARGEST_DATAGRAM as usize) - HEADERS
}

/// Bytes of an option with so long a value, in as many parts as that takes.
fn size(length: usize) -> usize {
    length + 2 * length.div_ceil(LONGEST_PART).max(1)
}

/// A field of the message that holds options.
struct Area {
    bytes: Vec<u8>,
    /// Without its End.
    capacity: usize,
}

impl Area {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    fn put(&mut self, code: u8, value: &[u8]) {
        self.bytes.extend_from_slice(&[code, value.len() as u8]); // callers keep parts within LONGEST_PART
        self.bytes.extend_from_slice(value);
    }
}

impl Packet {
    /// The UDP payload.
    pub fn encode(&self) -> Vec<u8> {
        self.lay_out().0
    }

    /// Codes of the options that do not fit.
    pub fn left_out(&self) -> Vec<u8> {
        if self.fits() { Vec::new() } else { self.lay_out().1 }
    }

    /// What the options field may hold, without option 82 and End.
    fn room(&self) -> usize {
        let tail = self.relay_agent.as_ref().map_or(0, |value| size(value.len()));
        self.limit.saturating_sub(OPTIONS + tail + 1)
    }

    fn fits(&self) -> bool {
        self.options.iter().map(|(_, value)| size(value.len())).sum::<usize>() <= self.room()
    }

    fn lay_out(&self) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.limit.max(SHORTEST));
        self.header(&mut bytes);
        let left_out = if self.fits() {
            for (code, value) in self.options.iter() {
                write(&mut bytes, code, value);
            }
            Vec::new()
        } else {
            self.overload(&mut bytes)
        };
        if let Some(value) = &self.relay_agent {
            write(&mut bytes, OptionCode::RelayAgentInformation.into(), value);
        }
        bytes.push(END);
        if bytes.len() < SHORTEST {
            bytes.resize(SHORTEST, 0);
        }
        (bytes, left_out)
    }

    fn header(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&[BOOTREPLY, self.htype, self.hlen, 0]);
        bytes.extend_from_slice(&self.xid.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            bytes.extend_from_slice(&address.octets());
        }
        bytes.extend_from_slice(&self.chaddr);
        bytes.resize(HEADER, 0);
        if let Some(name) = self.file_field() {
            bytes[FILE.start..FILE.start + name.len()].copy_from_slice(name);
        }
        bytes.extend_from_slice(&COOKIE);
    }

    /// A name that fits with its NUL; a longer one stands in option 67 alone.
    fn file_field(&self) -> Option<&[u8]> {
        self.file.as_ref().map(|name| name.as_bytes()).filter(|name| name.len() < FILE.len())
    }

    /// Options in as many of the three fields as it takes. Answers with what found no room.
    fn overload(&self, bytes: &mut Vec<u8>) -> Vec<u8> {
        let file = if self.file_field().is_none() { FILE.len() - 1 } else { 0 };
        let capacities = [self.room().saturating_sub(OVERLOAD_SIZE), file, SNAME.len() - 1];
        let mut areas = capacities.map(|capacity| Area { bytes: Vec::new(), capacity });
        let mut left_out = Vec::new();
        for (code, value) in self.options.iter() {
            if !place(&mut areas, code, value) {
                left_out.push(code);
            }
        }
        let [options, file, sname] = areas;
        let mut used = 0;
        for (area, field, bit) in [(file, FILE, OVERLOADED_FILE), (sname, SNAME, OVERLOADED_SNAME)] {
            if !area.bytes.is_empty() {
                used |= bit;
                let end = field.start + area.bytes.len();
                bytes[field.start..end].copy_from_slice(&area.bytes);
                bytes[end] = END;
            }
        }
        // Option 53 stays first.
        let first = options.bytes.get(1).map_or(0, |length| 2 + *length as usize);
        bytes.extend_from_slice(&options.bytes[..first]);
        if used != 0 {
            bytes.extend_from_slice(&[OptionCode::OptionOverload.into(), 1, used]);
        }
        bytes.extend_from_slice(&options.bytes[first..]);
        left_out
    }
}

/// Whole in the first area that takes it; else in parts over all of them, in the order in which they are joined.
fn place(areas: &mut [Area; 3], code: u8, value: &[u8]) -> bool {
    if value.len() <= LONGEST_PART
        && let Some(area) = areas.iter_mut().find(|area| area.room() >= value.len() + 2)
    {
        area.put(code, value);
        return true;
    }
    let takes = |area: &Area| {
        let parts = area.room().div_ceil(LONGEST_PART + 2);
        area.room().saturating_sub(2 * parts)
    };
    if areas.iter().map(takes).sum::<usize>() < value.len() {
        return false;
    }
    let mut rest = value;
    for area in areas {
        while !rest.is_empty() && area.room() > 2 {
            let (part, after) = rest.split_at(rest.len().min(LONGEST_PART).min(area.room() - 2));
            area.put(code, part);
            rest = after;
        }
    }
    true
}

/// An option, in parts where it is long (RFC 3396 §4).
pub(super) fn write(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        bytes.extend_from_slice(&[code, 0]);
    }
    for part in value.chunks(LONGEST_PART) {
        bytes.extend_from_slice(&[code, part.len() as u8]); // chunks are at most LONGEST_PART
        bytes.extend_from_slice(part);
    }
}

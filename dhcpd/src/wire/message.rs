//! A message, parsed: leniently where that is harmless, never trusting a length.

use super::{
    BOOTREPLY, BOOTREQUEST, BROADCAST_FLAG, COOKIE, END, FILE, MessageType, OPTIONS, OVERLOADED_FILE,
    OVERLOADED_SNAME, OptionCode, PAD, SNAME,
};
use std::{net::Ipv4Addr, ops::Range};
use values::Mac;

/// A DHCP message: its header, and its options with the parts of split ones joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Kind of hardware: 1 Ethernet, 32 InfiniBand.
    pub htype: u8,
    /// Bytes of `chaddr` that count, at most 16.
    pub hlen: u8,
    /// Relays it went through.
    pub hops: u8,
    /// Chosen by the client, copied into the reply.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// Only the highest bit means something: see [`Message::wants_broadcast`].
    pub flags: u16,
    /// The address the client has and answers at.
    pub ciaddr: Ipv4Addr,
    /// In replies: the address given.
    pub yiaddr: Ipv4Addr,
    /// In replies: the next server.
    pub siaddr: Ipv4Addr,
    /// The relay.
    pub giaddr: Ipv4Addr,
    /// Client hardware address.
    pub chaddr: [u8; 16],
    /// Length of the datagram.
    pub length: usize,
    /// The datagram; joined values follow.
    bytes: Vec<u8>,
    /// By code.
    options: Vec<Entry>,
    last: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    code: u8,
    start: usize,
    end: usize,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Less than a header and the cookie.
    Short,
    /// `op` is not what is sent to this side.
    NotARequest,
    /// `hlen` above 16.
    HardwareLength,
    /// No DHCP cookie.
    Cookie,
}

impl Refused {
    /// All of them, in the order of their declaration.
    pub const ALL: [Refused; 4] =
        [Refused::Short, Refused::NotARequest, Refused::HardwareLength, Refused::Cookie];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Refused::Short => "short",
            Refused::NotARequest => "not_a_request",
            Refused::HardwareLength => "hardware_length",
            Refused::Cookie => "cookie",
        }
    }
}

/// Reads a request (`op` 1).
pub fn parse(bytes: &[u8]) -> Result<Message, Refused> {
    read(bytes, BOOTREQUEST)
}

/// Reads a reply (`op` 2): for clients, relays and tests.
pub fn parse_reply(bytes: &[u8]) -> Result<Message, Refused> {
    read(bytes, BOOTREPLY)
}

fn read(bytes: &[u8], op: u8) -> Result<Message, Refused> {
    if bytes.len() < OPTIONS {
        return Err(Refused::Short);
    }
    if bytes[0] != op {
        return Err(Refused::NotARequest);
    }
    if bytes[2] as usize > 16 {
        return Err(Refused::HardwareLength);
    }
    if bytes[236..OPTIONS] != COOKIE {
        return Err(Refused::Cookie);
    }
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let address = |at: usize| Ipv4Addr::from_bits(word(at));
    let mut chaddr = [0; 16];
    chaddr.copy_from_slice(&bytes[28..44]);
    let (parts, last) = parts(bytes);
    let mut message = Message {
        htype: bytes[1],
        hlen: bytes[2],
        hops: bytes[3],
        xid: word(4),
        secs: half(8),
        flags: half(10),
        ciaddr: address(12),
        yiaddr: address(16),
        siaddr: address(20),
        giaddr: address(24),
        chaddr,
        length: bytes.len(),
        bytes: bytes.to_vec(),
        options: Vec::with_capacity(parts.len()),
        last,
    };
    message.join(parts);
    Ok(message)
}

/// Every option in the order of RFC 3396 §5: options field, `file`, `sname`; and the code of the last one in the
/// options field.
fn parts(bytes: &[u8]) -> (Vec<Entry>, Option<u8>) {
    let mut parts = Vec::with_capacity(24);
    walk(bytes, OPTIONS..bytes.len(), &mut parts);
    let last = parts.last().map(|part| part.code);
    let overloaded = parts
        .iter()
        .find(|part| part.code == u8::from(OptionCode::OptionOverload) && part.end - part.start == 1)
        .map_or(0, |part| bytes[part.start]);
    if overloaded & OVERLOADED_FILE != 0 {
        walk(bytes, FILE, &mut parts);
    }
    if overloaded & OVERLOADED_SNAME != 0 {
        walk(bytes, SNAME, &mut parts);
    }
    (parts, last)
}

/// The options of one field. A missing End is no harm; an option that runs past the field's end is left out, for
/// nobody can say what it would have been.
fn walk(bytes: &[u8], field: Range<usize>, parts: &mut Vec<Entry>) {
    let mut at = field.start;
    while at < field.end && bytes[at] != END {
        if bytes[at] == PAD {
            at += 1;
            continue;
        }
        if at + 2 > field.end {
            return;
        }
        let start = at + 2;
        let end = start + bytes[at + 1] as usize;
        if end > field.end {
            return;
        }
        parts.push(Entry { code: bytes[at], start, end });
        at = end;
    }
}

impl Message {
    /// Sorted by code; values of a code that stands more than once become one.
    fn join(&mut self, mut parts: Vec<Entry>) {
        parts.sort_by_key(|part| part.code); // stable: parts of one code stay in order
        for same in parts.chunk_by(|a, b| a.code == b.code) {
            if let [only] = same {
                self.options.push(*only);
                continue;
            }
            let start = self.bytes.len();
            for part in same {
                self.bytes.extend_from_within(part.start..part.end);
            }
            self.options.push(Entry { code: same[0].code, start, end: self.bytes.len() });
        }
    }

    /// Option 53; `None`: BOOTP.
    pub fn message_type(&self) -> Option<MessageType> {
        let value = self.option(OptionCode::MessageType)?;
        value.first().map(|kind| MessageType::from(*kind))
    }

    /// The value of an option; parts of a split one are joined (RFC 3396).
    pub fn option(&self, code: impl Into<u8>) -> Option<&[u8]> {
        let code = code.into();
        let at = self.options.binary_search_by_key(&code, |entry| entry.code).ok()?;
        Some(&self.bytes[self.options[at].start..self.options[at].end])
    }

    /// Every option, by code.
    pub fn options(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.options.iter().map(|entry| (entry.code, &self.bytes[entry.start..entry.end]))
    }

    /// The option that stands last in the options field.
    pub fn last_option(&self) -> Option<u8> {
        self.last
    }

    /// An option that is one address; of any other length it counts as absent.
    pub fn address(&self, code: impl Into<u8>) -> Option<Ipv4Addr> {
        address(self.option(code)?)
    }

    /// A sub-option of option 82 (RFC 3046 §2.0). One that is cut hides only itself.
    pub fn relay_suboption(&self, code: u8) -> Option<&[u8]> {
        let mut rest = self.option(OptionCode::RelayAgentInformation)?;
        while let [found, length, after @ ..] = rest {
            let value = after.get(..*length as usize)?;
            if *found == code {
                return Some(value);
            }
            rest = &after[value.len()..];
        }
        None
    }

    /// A sub-option of option 82 that is one address.
    pub fn relay_address(&self, code: u8) -> Option<Ipv4Addr> {
        address(self.relay_suboption(code)?)
    }

    /// Whether it came through a relay.
    pub fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// The broadcast flag.
    pub fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }

    /// The hardware address as far as it counts.
    pub fn hardware_address(&self) -> &[u8] {
        &self.chaddr[..self.hlen as usize]
    }

    /// What the inventory is asked for: `chaddr`; or, where the hardware's address does not fit there (RFC 4390 says
    /// hlen 0; some firmware puts its UUID there, hlen 16), the MAC in option 61.
    pub fn mac(&self) -> Option<Mac> {
        let mac = self.link_address().or_else(|| match self.option(OptionCode::ClientIdentifier)? {
            // type 1, then the address (RFC 2132 §9.14)
            [1, mac @ ..] if self.hlen != 6 => mac.try_into().ok().map(Mac),
            _ => None,
        })?;
        mac.is_usable().then_some(mac)
    }

    /// Where a frame to the client goes; `None` where the hardware address is no MAC.
    pub fn link_address(&self) -> Option<Mac> {
        self.hardware_address().try_into().ok().map(Mac)
    }

    /// Whether the client asked for an option. Without option 55 it wants whatever there is.
    pub fn asks_for(&self, code: impl Into<u8>) -> bool {
        let code = code.into();
        self.option(OptionCode::ParameterRequestList).is_none_or(|list| list.contains(&code))
    }

    /// Whether option 55 lists an option, for those that nobody gets unasked.
    pub fn lists(&self, code: impl Into<u8>) -> bool {
        let code = code.into();
        self.option(OptionCode::ParameterRequestList).is_some_and(|list| list.contains(&code))
    }

    /// Option 60 as text, whatever is not printable replaced.
    pub fn vendor_class(&self) -> Option<String> {
        let class = self.option(OptionCode::ClassIdentifier)?;
        let printable =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '?' };
        Some(class.iter().map(printable).collect())
    }

    /// Option 93: the architectures the client can boot, in its order (RFC 4578 §2.1). Half a number at the end is
    /// left out. Where it has none, the one that the vendor class names: some firmware sends nothing else.
    pub fn architectures(&self) -> impl Iterator<Item = u16> + '_ {
        let list = self.option(OptionCode::ClientSystemArchitecture).unwrap_or_default();
        let of_class = if list.len() < 2 { self.architecture_of_class() } else { None };
        list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).chain(of_class)
    }

    /// `PXEClient:Arch:00007:UNDI:003016`, five digits (PXE specification 2.1, table 2-1); `HTTPClient` alike.
    fn architecture_of_class(&self) -> Option<u16> {
        let class = self.option(OptionCode::ClassIdentifier)?;
        let client = class.strip_prefix(b"PXEClient").or_else(|| class.strip_prefix(b"HTTPClient"))?;
        let digits = client.strip_prefix(b":Arch:")?.get(..5)?;
        str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    }

    /// Whether option 77 says so: as bare text (what iPXE does), or as a class among counted ones (RFC 3004 §4).
    pub fn has_user_class(&self, class: &[u8]) -> bool {
        let Some(value) = self.option(OptionCode::UserClass) else { return false };
        let mut counted = value;
        let mut found = false;
        while let [length, after @ ..] = counted {
            let Some(one) = after.get(..*length as usize) else { break };
            found |= one == class;
            counted = &after[one.len()..];
        }
        value == class || (found && counted.is_empty())
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

//! A client's or relay's message, parsed.

use super::MessageType;
use std::net::Ipv4Addr;
use values::Mac;

/// A request that can be worked on: at least a header and a cookie, `op` 1, a hardware address that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Chosen by the client, copied into the reply.
    pub xid: u32,
    /// `ciaddr`: the address the client has and answers at.
    pub client: Ipv4Addr,
    /// `giaddr`: the relay.
    pub relay: Ipv4Addr,
}

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Less than a header and the cookie.
    Short,
    /// `op` is not 1.
    NotARequest,
    /// `hlen` above 16.
    HardwareLength,
    /// No DHCP cookie.
    Cookie,
}

impl Refused {
    /// All of them, in the order of their declaration.
    pub const ALL: [Refused; 4] = [Refused::Short, Refused::NotARequest, Refused::HardwareLength, Refused::Cookie];

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

/// Reads a request.
pub fn parse(_bytes: &[u8]) -> Result<Message, Refused> {
    todo!()
}

impl Message {
    /// Option 53; `None`: BOOTP, or a type nobody defined.
    pub fn message_type(&self) -> Option<MessageType> {
        todo!()
    }

    /// The value of an option; parts of a split one are joined (RFC 3396).
    pub fn option(&self, _code: u8) -> Option<&[u8]> {
        todo!()
    }

    /// What the inventory is asked for: chaddr, or for hardware without one (hlen 0 or 16) the MAC in option 61.
    pub fn mac(&self) -> Option<Mac> {
        todo!()
    }

    /// Option 60 as text, whatever is not printable replaced.
    pub fn vendor_class(&self) -> Option<String> {
        todo!()
    }

    /// Option 93: the architectures the client can boot, in its order.
    pub fn architectures(&self) -> impl Iterator<Item = u16> + '_ {
        std::iter::empty()
    }
}

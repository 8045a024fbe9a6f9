//! A client's message before it is bytes: for explanations of made-up packets, demonstrations and tests.

use super::{BOOTREQUEST, COOKIE, END, HEADER, MessageType, Options, packet::write};
use std::net::Ipv4Addr;
use values::Mac;

/// A request; what is not set is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Kind of hardware.
    pub htype: u8,
    /// Bytes of `chaddr` that count.
    pub hlen: u8,
    /// Relays it went through.
    pub hops: u8,
    /// Comes back in the reply.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The highest bit asks for broadcast.
    pub flags: u16,
    /// The address the client has.
    pub ciaddr: Ipv4Addr,
    /// The relay.
    pub giaddr: Ipv4Addr,
    /// Client hardware address.
    pub chaddr: [u8; 16],
    /// In order; option 53 is there.
    pub options: Options,
}

impl Request {
    /// Of an Ethernet client.
    pub fn new(kind: MessageType, mac: Mac) -> Request {
        let mut chaddr = [0; 16];
        chaddr[..6].copy_from_slice(&mac.0);
        let mut options = Options::new();
        options.message_type(kind);
        Request {
            htype: 1,
            hlen: 6,
            hops: 0,
            xid: 0,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            options,
        }
    }

    /// With one more option.
    pub fn option(mut self, code: impl Into<u8>, value: &[u8]) -> Request {
        self.options.put(code, value);
        self
    }

    /// Through this relay.
    pub fn relayed(self, giaddr: Ipv4Addr) -> Request {
        Request { giaddr, hops: 1, ..self }
    }

    /// The UDP payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![BOOTREQUEST, self.htype, self.hlen, self.hops];
        bytes.extend_from_slice(&self.xid.to_be_bytes());
        bytes.extend_from_slice(&self.secs.to_be_bytes());
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        bytes.extend_from_slice(&self.ciaddr.octets());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.giaddr.octets());
        bytes.extend_from_slice(&self.chaddr);
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(&COOKIE);
        for (code, value) in self.options.iter() {
            write(&mut bytes, code, value);
        }
        bytes.push(END);
        bytes
    }
}

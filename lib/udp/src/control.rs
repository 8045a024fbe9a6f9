//! Control messages: where a datagram arrived, where an answer leaves. Pure but for their layout.

use crate::Arrival;
use nix::{
    libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo},
    sys::socket::{CmsgIterator, ControlMessage, ControlMessageOwned, SockaddrStorage},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Room for the control messages of one datagram, aligned as `cmsghdr` is. 40 bytes are needed (IPV6_PKTINFO); the
/// rest is for messages that a socket option set from outside may add.
#[repr(align(8))]
pub struct Buffer(pub [u8; 128]);

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer([0; 128])
    }
}

/// Reads IP_PKTINFO or IPV6_PKTINFO.
pub fn arrival(messages: CmsgIterator<'_>) -> Arrival {
    let mut arrival = Arrival::default();
    for message in messages {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let (local, address) = (address4(info.ipi_spec_dst), address4(info.ipi_addr));
                arrival = Arrival::v4(info.ipi_ifindex, local, address);
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                arrival = Arrival::v6(info.ipi6_ifindex, info.ipi6_addr.s6_addr.into());
            }
            _ => {}
        }
    }
    arrival
}

impl Arrival {
    /// From IP_PKTINFO.
    pub(crate) fn v4(interface: i32, local: Ipv4Addr, address: Ipv4Addr) -> Arrival {
        Arrival {
            address: Some(address.into()),
            local: (!local.is_unspecified()).then_some(local.into()),
            interface: u32::try_from(interface).unwrap_or(0),
        }
    }

    /// From IPV6_PKTINFO, which has one address only.
    pub(crate) fn v6(interface: u32, address: Ipv6Addr) -> Arrival {
        let local = (!address.is_multicast()).then_some(address.into());
        Arrival { address: Some(address.into()), local, interface }
    }
}

/// The control message that an answer is sent with.
pub enum Source {
    /// The kernel chooses.
    Any,
    /// IP_PKTINFO
    V4(in_pktinfo),
    /// IPV6_PKTINFO
    V6(in6_pktinfo),
}

impl Source {
    /// A source of the family of `to`; an address of the other family is left out.
    pub fn new(to: &SocketAddr, from: Option<Arrival>) -> Source {
        let Some(from) = from else { return Source::Any };
        if to.is_ipv4() {
            let local = match from.local {
                Some(IpAddr::V4(local)) => local,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            Source::V4(in_pktinfo {
                ipi_ifindex: i32::try_from(from.interface).unwrap_or(0),
                ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(local.octets()) },
                ipi_addr: in_addr { s_addr: 0 },
            })
        } else {
            let local = match from.local {
                Some(IpAddr::V6(local)) => local,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            Source::V6(in6_pktinfo {
                ipi6_addr: in6_addr { s6_addr: local.octets() },
                ipi6_ifindex: from.interface,
            })
        }
    }

    /// As `sendmsg` takes it.
    pub fn messages(&self) -> Option<ControlMessage<'_>> {
        match self {
            Source::Any => None,
            Source::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Source::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        }
    }
}

/// The peer of an IPv4 or IPv6 socket.
pub fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

fn address4(address: in_addr) -> Ipv4Addr {
    Ipv4Addr::from(address.s_addr.to_ne_bytes())
}

//! Frames to clients that have no address yet: one long-lived packet socket for each interface.
//!
//! SOCK_RAW with our own Ethernet header rather than SOCK_DGRAM with the kernel's: the destination of the latter is a
//! `sockaddr_ll` that we would have to make, which nix leaves to `unsafe` code; the former needs only the one that
//! `getifaddrs` gives for the interface itself. VLAN devices, bridges and bonds take such frames as they are. On what is no
//! Ethernet there is no packet socket and the reply is broadcast; InfiniBand clients must ask for that anyway (RFC 4390).

use super::{
    frame::{Ends, frame},
    interfaces,
};
use nix::sys::socket::{LinkAddr, MsgFlags, sendto};
use socket2::{Domain, Socket, Type};
use std::{io, net::SocketAddrV4, os::fd::AsRawFd};
use values::Mac;

/// Sends frames out of one interface; receives nothing.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    interface: LinkAddr,
    mac: Mac,
}

impl Link {
    /// Opens the socket; needs CAP_NET_RAW.
    pub fn open(interface: LinkAddr) -> io::Result<Link> {
        let mac = interfaces::mac(&interface).ok_or(io::ErrorKind::Unsupported)?;
        // Protocol 0: no frame is ever queued on it.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        Ok(Link { socket, interface, mac })
    }

    /// Sends a UDP payload to one hardware address. Never waits.
    pub fn send(
        &self,
        payload: &[u8],
        source: SocketAddrV4,
        to: Mac,
        destination: SocketAddrV4,
    ) -> io::Result<()> {
        let ends = Ends { source_mac: self.mac, destination_mac: to, source, destination };
        let frame = frame(&ends, payload).ok_or(io::ErrorKind::InvalidInput)?;
        sendto(self.socket.as_raw_fd(), &frame, &self.interface, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

//! DATAGRAMS: UDP sockets that know where a datagram arrived and from which address the answer must leave.

use std::{io, net::{IpAddr, SocketAddr}};

/// How to open a socket.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Share the port with other processes (dnsd, tftpd; never where broadcasts are read).
    pub reuse_port: bool,
    /// Bind to one interface (SO_BINDTODEVICE).
    pub device: Option<String>,
    /// May send to broadcast addresses.
    pub broadcast: bool,
    /// Receive buffer to ask the kernel for; 0: the system's default.
    pub receive_buffer: usize,
}

/// Where a datagram arrived: the address it was sent to and the interface it came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Destination address of the datagram; may be a broadcast or multicast address.
    pub address: Option<IpAddr>,
    /// A local unicast address of that interface (ipi_spec_dst): what an answer is sent from.
    pub local: Option<IpAddr>,
    /// Interface index, 0 when unknown.
    pub interface: u32,
}

/// One received datagram; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// Bytes received.
    pub length: usize,
    /// Sender.
    pub peer: SocketAddr,
    /// Where it arrived.
    pub arrival: Arrival,
}

/// A UDP socket with IP_PKTINFO / IPV6_RECVPKTINFO on.
#[derive(Debug)]
pub struct Socket;

impl Socket {
    /// Opens and binds.
    pub fn bind(_address: SocketAddr, _options: &Options) -> io::Result<Socket> {
        todo!()
    }
    /// The address it is bound to.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    /// Waits for one datagram.
    pub async fn receive(&self, _buffer: &mut [u8]) -> io::Result<Datagram> {
        todo!()
    }
    /// Sends one datagram; with `from`, out of that interface and with that source address.
    pub async fn send(&self, _bytes: &[u8], _to: SocketAddr, _from: Option<Arrival>) -> io::Result<()> {
        todo!()
    }
    /// Sends without waiting; `WouldBlock` when the buffer is full.
    pub fn try_send(&self, _bytes: &[u8], _to: SocketAddr, _from: Option<Arrival>) -> io::Result<()> {
        todo!()
    }
}

//! DATAGRAMS: UDP sockets that know where a datagram arrived and from which address the answer must leave.
//!
//! A server bound to `0.0.0.0` that answers from another address than it was asked at is not heard: resolvers, TFTP
//! clients and relays all compare. So every socket here reports the destination of each datagram (IP_PKTINFO,
//! IPV6_PKTINFO) and takes the source of each answer. Sockets are IPv4 or IPv6, never both (`IPV6_V6ONLY`): IPv4
//! addresses stay IPv4 addresses, and both wildcards can be bound side by side.
//!
//! Two ways to serve: [`Socket`] belongs to an asynchronous runtime and receives one by one or in bursts ([`Batch`]);
//! [`Blocking`] belongs to a thread that answers in place, a burst at a time ([`Exchange`]).

mod batch;
mod control;
mod drops;
mod exchange;
mod many;

pub use batch::Batch;
pub use drops::Drops;
pub use exchange::{Blocking, Exchange, Query};

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};
use tokio::{io::Interest, net::UdpSocket};

/// RFC 863: what is sent there is thrown away. Nothing is ever sent.
const DISCARD: u16 = 9;

/// How to open a socket.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Share the port with other processes (dnsd, tftpd; never where broadcasts are read).
    pub reuse_port: bool,
    /// Bind beside sockets that have SO_REUSEADDR too (see [`Socket::set_reuse_address`]).
    pub reuse_address: bool,
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
    /// Interface index, 0 when unknown. In an answer 0 leaves the interface to the routing table.
    pub interface: u32,
}

/// One received datagram; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// Bytes received.
    pub length: usize,
    /// The datagram was longer than the buffer; its end is lost.
    pub truncated: bool,
    /// Sender.
    pub peer: SocketAddr,
    /// Where it arrived.
    pub arrival: Arrival,
}

/// A UDP socket with IP_PKTINFO / IPV6_RECVPKTINFO on.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
}

impl Socket {
    /// Opens and binds. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Socket> {
        let socket = open(address, options)?;
        socket.set_nonblocking(true)?;
        Ok(Socket { socket: UdpSocket::from_std(socket.into())? })
    }

    /// The address it is bound to.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// SO_REUSEADDR after binding. Linux lets a second socket bind an overlapping UDP address only while both have it,
    /// so a program can place its own sockets beside each other and then shut everybody else out again.
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        SockRef::from(&self.socket).set_reuse_address(reuse)
    }

    /// Waits for one datagram.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.socket.async_io(Interest::READABLE, || self.receive_now(buffer)).await
    }

    /// A datagram that has arrived already; `WouldBlock` when there is none.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        // Not `try_io`: the runtime may not have heard of it yet.
        self.receive_now(buffer)
    }

    /// Receives nothing more: the socket leaves its SO_REUSEPORT group at once, and what comes now goes to those who stay. What is
    /// queued already can still be received, and answers can be sent.
    pub fn leave(&self) -> io::Result<()> {
        leave_group(&SockRef::from(&self.socket))
    }

    /// Sends one datagram; with `from`, out of that interface and with that source address.
    pub async fn send(&self, bytes: &[u8], to: SocketAddr, from: Option<Arrival>) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || send_now(self.as_fd(), bytes, to, from)).await
    }

    /// Sends without waiting; `WouldBlock` when the buffer is full.
    pub fn try_send(&self, bytes: &[u8], to: SocketAddr, from: Option<Arrival>) -> io::Result<()> {
        // Not `try_io`: a fresh socket is writable before the runtime has polled it for the first time.
        send_now(self.as_fd(), bytes, to, from)
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut control = control::Buffer::default();
        let mut parts = [io::IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control.0), MsgFlags::MSG_DONTWAIT)?;
        Ok(Datagram {
            length: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            peer: message
                .address
                .as_ref()
                .and_then(control::socket_address)
                .ok_or(io::ErrorKind::AddrNotAvailable)?,
            arrival: control::arrival(message.cmsgs()?),
        })
    }
}

/// Opens and binds.
fn open(address: SocketAddr, options: &Options) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    if let Some(device) = &options.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if options.receive_buffer > 0 {
        // Above the system's bound where we may (CAP_NET_ADMIN), else up to it.
        if setsockopt(&socket, sockopt::RcvBufForce, &options.receive_buffer).is_err() {
            socket.set_recv_buffer_size(options.receive_buffer)?;
        }
    }
    socket.set_broadcast(options.broadcast)?;
    socket.set_reuse_address(options.reuse_address)?;
    socket.set_reuse_port(options.reuse_port)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// By being connected to a port where nobody is.
fn leave_group(socket: &socket2::Socket) -> io::Result<()> {
    let nobody: IpAddr = match socket.local_addr()?.is_ipv4() {
        true => Ipv4Addr::LOCALHOST.into(),
        false => Ipv6Addr::LOCALHOST.into(),
    };
    socket.connect(&SocketAddr::new(nobody, DISCARD).into())
}

/// Sends one datagram with a source, without waiting for room: also where the socket is one that waits.
fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr, from: Option<Arrival>) -> io::Result<()> {
    let source = control::Source::new(&to, from);
    let parts = [io::IoSlice::new(bytes)];
    let to = SockaddrStorage::from(to);
    sendmsg(socket.as_raw_fd(), &parts, source.messages().as_slice(), MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;

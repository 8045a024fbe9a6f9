//! DHCP messages as frames on a link, as firmware without an address sends and hears them: from any MAC, by a packet socket.

use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv,
        send, socket,
    },
};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};
use values::Mac;

/// How often is looked for a frame: a machine's own answer takes a tenth of it.
const LOOK: Duration = Duration::from_millis(1);
/// The longest frame that is read whole.
const LARGEST: usize = 65_536;

/// A place on a link.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Link {
    /// At this interface of the network namespace that the calling thread is in. It takes CAP_NET_RAW.
    ///
    /// # Errors
    /// There is no such interface, or no such right.
    pub fn open(interface: &str) -> io::Result<Link> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        let link = |storage: &SockaddrStorage| storage.as_link_addr().copied();
        let of_it = |entry: InterfaceAddress| match entry.interface_name == interface {
            true => entry.address.as_ref().and_then(link),
            false => None,
        };
        let link: Option<LinkAddr> = getifaddrs()?.find_map(of_it);
        bind(socket.as_raw_fd(), &link.ok_or(io::ErrorKind::NotFound)?)?;
        Ok(Link { socket, buffer: vec![0; LARGEST] })
    }

    /// Puts a frame on it.
    ///
    /// # Errors
    /// Those of the socket; while the cable is pulled, too.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// The next frame that has come, if any.
    pub fn heard(&mut self) -> Option<&[u8]> {
        let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT).ok()?;
        self.buffer.get(..length)
    }

    /// The first frame that `take` makes something of, at most for `time`.
    pub async fn hear<T>(&mut self, time: Duration, take: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            match self.heard() {
                Some(frame) => match take(frame) {
                    None => {}
                    taken => return taken,
                },
                None => tokio::time::sleep(LOOK).await,
            }
        }
        None
    }
}

/// A broadcast of a machine without an address (RFC 2131 §4.1), tagged (IEEE 802.1Q) or not; without the optional UDP checksum.
pub fn frame(from: Mac, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(from.0);
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    let length = |headers: usize| ((headers + payload.len()) as u16).to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend(length(28));
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend([0, 68, 0, 67]);
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

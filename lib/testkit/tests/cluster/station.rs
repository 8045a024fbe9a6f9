//! Machines that have no operating system: DHCP messages as frames on a cable, from any MAC, and every frame that comes back.

use dhcpd::wire::{self, Message, MessageType, Request};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv,
        send, socket,
    },
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Inside, Namespace},
    pcap,
};
use values::Mac;

/// How long is listened after a message: more than twice the 400 ms that dhcpd gives a packet.
const LISTENED: Duration = Duration::from_millis(1000);

/// A place on a cable.
pub struct Station {
    socket: OwnedFd,
}

/// A frame of a DHCP server.
#[derive(Debug)]
pub struct Answer {
    /// MAC of the server's interface.
    pub from: Mac,
    pub source: SocketAddrV4,
    /// 255.255.255.255, or the address being given.
    pub destination: SocketAddrV4,
    pub message: Message,
}

impl Answer {
    pub fn offers(&self, address: &str, server_id: &str) -> bool {
        self.message.message_type() == Some(MessageType::Offer)
            && self.message.yiaddr == address.parse::<Ipv4Addr>().unwrap()
            && self.message.address(54u8) == Some(server_id.parse().unwrap())
    }
}

impl Station {
    /// At this device of a machine.
    pub fn at(machine: &Namespace, device: &str) -> Station {
        let device = device.to_owned();
        let socket = Inside::of(machine).run(async move { open(&device) });
        Station { socket }
    }

    /// Broadcasts a DISCOVER and listens: all that comes back for it.
    pub fn discover(&self, mac: &str) -> Vec<Answer> {
        self.ask(request(MessageType::Discover, mac))
    }

    /// The same for any message; the answers are those to its `xid`.
    pub fn ask(&self, request: Request) -> Vec<Answer> {
        let frame = frame(Mac(request.chaddr[..6].try_into().unwrap()), None, &request.encode());
        self.exchange(&frame, request.xid)
    }

    /// The same in a frame with a VLAN tag.
    pub fn ask_tagged(&self, vlan: u16, request: Request) -> Vec<Answer> {
        let frame = frame(Mac(request.chaddr[..6].try_into().unwrap()), Some(vlan), &request.encode());
        self.exchange(&frame, request.xid)
    }

    /// Asks again until an answer is such, at most for `time`; then how long that took.
    pub fn until(&self, time: Duration, mac: &str, is_such: impl Fn(&Answer) -> bool) -> Duration {
        let began = Instant::now();
        let mut seen = Vec::new();
        while began.elapsed() < time {
            let request = request(MessageType::Discover, mac);
            let frame = frame(mac.parse().unwrap(), None, &request.encode());
            self.send(&frame);
            let heard = self.listen(request.xid, Duration::from_millis(100));
            if heard.iter().any(&is_such) {
                return began.elapsed();
            }
            seen.extend(heard);
        }
        panic!("within {time:?} no such answer to {mac} among {seen:#?}");
    }

    fn exchange(&self, frame: &[u8], xid: u32) -> Vec<Answer> {
        self.send(frame);
        self.listen(xid, LISTENED)
    }

    fn send(&self, frame: &[u8]) {
        // Fails while the cable is pulled: nobody hears it then.
        let _ = send(self.socket.as_raw_fd(), frame, MsgFlags::empty());
    }

    fn listen(&self, xid: u32, time: Duration) -> Vec<Answer> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        let mut buffer = vec![0; 65_536];
        while Instant::now() < end {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => heard.extend(answer(&buffer[..length]).filter(|it| it.message.xid == xid)),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        heard
    }
}

/// With an `xid` of its own.
pub fn request(kind: MessageType, mac: &str) -> Request {
    Request { xid: fastrand::u32(1..), ..Request::new(kind, mac.parse().unwrap()) }
}

/// In the machine's namespace.
fn open(device: &str) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).expect("root");
    let link = |storage: &SockaddrStorage| storage.as_link_addr().copied();
    let of_device = |entry: nix::ifaddrs::InterfaceAddress| match entry.interface_name == device {
        true => entry.address.as_ref().and_then(link),
        false => None,
    };
    let link: LinkAddr = getifaddrs().unwrap().find_map(of_device).expect("a device of this name");
    bind(socket.as_raw_fd(), &link).expect("the device is there");
    socket
}

fn answer(frame: &[u8]) -> Option<Answer> {
    let datagram = pcap::datagram(0, frame)?;
    let message = wire::parse_reply(&datagram.payload).ok()?;
    let pcap::Datagram { mac, source, destination, .. } = datagram;
    Some(Answer { from: mac, source, destination, message })
}

/// A broadcast of a machine without an address (RFC 2131 §4.1), tagged (IEEE 802.1Q) or not; without the optional UDP checksum.
fn frame(from: Mac, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
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

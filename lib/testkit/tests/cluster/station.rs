//! Machines that have no operating system: DHCP messages as frames on a cable, from any MAC, and every frame that comes back.

use dhcpd::wire::{self, Message, MessageType, Request};
use std::{
    cell::RefCell,
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};
use testkit::{
    cluster::{Inside, Namespace},
    packets::link::{Link, frame},
    pcap,
};
use values::Mac;

/// How long is listened after a message: more than twice the 400 ms that dhcpd gives a packet.
const LISTENED: Duration = Duration::from_millis(1000);

/// A place on a cable.
pub struct Station {
    link: RefCell<Link>,
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
        let link = Inside::of(machine).run(async move { Link::open(&device) });
        Station { link: RefCell::new(link.expect("a device of this name, and root")) }
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
        let _ = self.link.borrow().send(frame);
    }

    fn listen(&self, xid: u32, time: Duration) -> Vec<Answer> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        let mut link = self.link.borrow_mut();
        while Instant::now() < end {
            match link.heard() {
                Some(frame) => heard.extend(answer(frame).filter(|it| it.message.xid == xid)),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        heard
    }
}

/// With an `xid` of its own.
pub fn request(kind: MessageType, mac: &str) -> Request {
    Request { xid: fastrand::u32(1..), ..Request::new(kind, mac.parse().unwrap()) }
}

fn answer(frame: &[u8]) -> Option<Answer> {
    let datagram = pcap::datagram(0, frame)?;
    let message = wire::parse_reply(&datagram.payload).ok()?;
    let pcap::Datagram { mac, source, destination, .. } = datagram;
    Some(Answer { from: mac, source, destination, message })
}

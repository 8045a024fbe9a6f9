//! Ten thousand machines behind a relay, on one thread: each asks, takes what it is offered, and asks again when it hears
//! nothing, as RFC 2131 §4.1 says.

use crate::packets::dhcp4::{Machine, MessageType, Relay};
use anyhow::{Context, ensure};
use dhcproto::Encodable;
use nix::sys::socket::{setsockopt, sockopt};
use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};
use values::Mac;

/// For replies that arrive while requests are sent: what is lost here would be counted against the server.
const RECEIVE_BUFFER: usize = 64 << 20;
/// RFC 2131 §4.1: the first wait, doubled each time up to 64 s, and up to a second more or less.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const DOUBLINGS: u32 = 4;
/// How often it is looked who has waited too long.
const TICK: Duration = Duration::from_millis(20);
/// Pause of a flood between its bursts.
const BREATH: Duration = Duration::from_millis(1);
/// Replies taken in a row before that is looked at.
const IN_A_ROW: usize = 256;
/// Stand in a template where the addresses come.
const NO_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const NO_SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);

/// What became of the machines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Have an address.
    pub bound: usize,
    /// Different addresses among them.
    pub addresses: usize,
    /// OFFERs, ACKs and NAKs that were heard.
    pub replies: u64,
    /// Messages sent again because nothing was heard.
    pub again: u64,
    /// From the first message to the last ACK.
    pub took: Duration,
}

#[derive(Clone, Copy)]
enum Stage {
    Discovering,
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    Bound(Ipv4Addr),
}

#[derive(Clone, Copy)]
struct One {
    mac: Mac,
    stage: Stage,
    sent: Instant,
    tries: u32,
}

/// The machines' side of the wire.
pub struct Machines {
    socket: UdpSocket,
    server: SocketAddrV4,
    discover: Vec<u8>,
    request: Template,
    /// No two exchanges have the same.
    next_xid: u32,
}

struct Template {
    bytes: Vec<u8>,
    address: usize,
    server: usize,
}

impl Machines {
    /// Behind the relay of this address, which is one of the calling thread's namespace.
    pub fn new(relay: Ipv4Addr, server: Ipv4Addr) -> anyhow::Result<Machines> {
        let socket = UdpSocket::bind((relay, 67)).context("port 67 of the relay")?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("a large receive buffer")?;
        // Never asleep: waking us would be work of the server.
        socket.set_nonblocking(true)?;
        let machine =
            Machine::new(Mac([0; 6])).behind(Relay { address: relay, link: None, source_port: false });
        let request = machine.request(0, NO_ADDRESS, NO_SERVER).to_vec()?;
        let place = |address: Ipv4Addr| {
            let found = request.windows(4).position(|window| window == address.octets());
            found.context("a template has both addresses")
        };
        Ok(Machines {
            socket,
            server: SocketAddrV4::new(server, 67),
            discover: machine.discover(0).to_vec()?,
            request: Template { address: place(NO_ADDRESS)?, server: place(NO_SERVER)?, bytes: request },
            next_xid: 1,
        })
    }

    /// Whether the server answers this machine within a second.
    pub fn is_answered(&mut self, mac: Mac) -> bool {
        let outcome = self.boot(&[mac], 1, Duration::from_secs(1));
        outcome.is_ok_and(|outcome| outcome.bound == 1)
    }

    /// Boots all of them, so many at a time, for at most so long.
    pub fn boot(&mut self, macs: &[Mac], at_once: usize, limit: Duration) -> anyhow::Result<Outcome> {
        let first_xid = self.next_xid;
        self.next_xid += macs.len() as u32;
        let began = Instant::now();
        let mut outcome = Outcome::default();
        let mut all: Vec<One> = Vec::with_capacity(macs.len());
        let (mut looked, mut last) = (began, began);
        let mut reply = [0; 1500];
        while outcome.bound < macs.len() && began.elapsed() < limit {
            while all.len() < macs.len() && all.len() - outcome.bound < at_once {
                let one =
                    One { mac: macs[all.len()], stage: Stage::Discovering, sent: Instant::now(), tries: 0 };
                self.send(first_xid + all.len() as u32, &one)?;
                all.push(one);
            }
            for _ in 0..IN_A_ROW {
                let Some(length) = self.receive(&mut reply)? else { break };
                let Some((xid, heard)) = read(&reply[..length]) else { continue };
                let Some(index) = xid.checked_sub(first_xid).map(|index| index as usize) else { continue };
                let Some(one) = all.get_mut(index) else { continue };
                outcome.replies += 1;
                match (one.hear(heard), one.stage) {
                    (false, _) => {}
                    (true, Stage::Bound(_)) => (outcome.bound, last) = (outcome.bound + 1, Instant::now()),
                    (true, _) => self.send(xid, one)?,
                }
                if all.len() < macs.len() {
                    break;
                }
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                outcome.again += self.ask_again(first_xid, &mut all)?;
            }
        }
        let held = all.iter().filter_map(|one| match one.stage {
            Stage::Bound(address) => Some(address),
            _ => None,
        });
        outcome.addresses = held.collect::<HashSet<_>>().len();
        outcome.took = last - began;
        Ok(outcome)
    }

    /// DISCOVERs of machines that nobody knows, at most so many a second, and no ear for the answers. How many were sent.
    pub fn flood(&mut self, time: Duration, per_second: u32) -> anyhow::Result<u64> {
        let (began, mut sent) = (Instant::now(), 0);
        let mut random = fastrand::Rng::with_seed(5);
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
            while sent < due {
                let mut mac = [0; 6];
                random.fill(&mut mac);
                mac[0] = 0x06; // unicast, locally administered, none of the inventory's
                let one = One { mac: Mac(mac), stage: Stage::Discovering, sent: began, tries: 0 };
                self.send(random.u32(..), &one)?;
                sent += 1;
            }
            while self.receive(&mut [0; 1500])?.is_some() {}
            std::thread::sleep(BREATH);
        }
        Ok(sent)
    }

    fn ask_again(&self, first_xid: u32, all: &mut [One]) -> anyhow::Result<u64> {
        let mut again = 0;
        for (index, one) in all.iter_mut().enumerate() {
            if !matches!(one.stage, Stage::Bound(_)) && one.sent.elapsed() >= wait(index, one.tries) {
                (one.sent, one.tries) = (Instant::now(), one.tries + 1);
                self.send(first_xid + index as u32, one)?;
                again += 1;
            }
        }
        Ok(again)
    }

    fn send(&self, xid: u32, one: &One) -> anyhow::Result<()> {
        let mut bytes = [0; 576];
        let template = match one.stage {
            Stage::Requesting { .. } => &self.request.bytes,
            _ => &self.discover,
        };
        ensure!(template.len() <= bytes.len(), "a message is longer than expected");
        let message = &mut bytes[..template.len()];
        message.copy_from_slice(template);
        message[4..8].copy_from_slice(&xid.to_be_bytes());
        message[28..34].copy_from_slice(&one.mac.0);
        if let Stage::Requesting { address, server } = one.stage {
            message[self.request.address..][..4].copy_from_slice(&address.octets());
            message[self.request.server..][..4].copy_from_slice(&server.octets());
        }
        match self.socket.send_to(message, self.server) {
            // A server that is not there yet, or gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(drop).context("sending"),
        }
    }

    fn receive(&self, reply: &mut [u8]) -> anyhow::Result<Option<usize>> {
        match self.socket.recv(reply) {
            Ok(length) => Ok(Some(length)),
            Err(error)
                if [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionRefused].contains(&error.kind()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).context("receiving"),
        }
    }
}

/// How long a machine waits for an answer to this try: the same in every run.
fn wait(index: usize, tries: u32) -> Duration {
    let mut random = fastrand::Rng::with_seed(index as u64 * 8 + u64::from(tries));
    let spread = Duration::from_millis(random.u64(..2000));
    FIRST_WAIT * 2_u32.pow(tries.min(DOUBLINGS)) - Duration::from_secs(1) + spread
}

/// What matters of a reply.
#[derive(Clone, Copy)]
struct Heard {
    kind: MessageType,
    address: Ipv4Addr,
    server: Ipv4Addr,
}

/// Xid and what was said; options are walked by hand, for decoding all of them is more work than serving.
fn read(bytes: &[u8]) -> Option<(u32, Heard)> {
    let xid = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let address: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    let (mut kind, mut server) = (None, None);
    let mut rest = bytes.get(240..)?;
    while let [code, length, after @ ..] = rest {
        let value = after.get(..*length as usize)?;
        match code {
            53 => kind = value.first().map(|kind| MessageType::from(*kind)),
            54 => server = <[u8; 4]>::try_from(value).ok(),
            _ => {}
        }
        if kind.is_some() && server.is_some() {
            break;
        }
        rest = &after[value.len()..];
    }
    Some((xid, Heard { kind: kind?, address: address.into(), server: server?.into() }))
}

impl One {
    /// Whether that changed anything.
    fn hear(&mut self, heard: Heard) -> bool {
        let Heard { kind, address, server } = heard;
        self.stage = match (kind, self.stage) {
            (MessageType::Offer, Stage::Discovering) => Stage::Requesting { address, server },
            (MessageType::Ack, Stage::Requesting { .. }) => Stage::Bound(address),
            (MessageType::Nak, Stage::Requesting { .. }) => Stage::Discovering,
            _ => return false,
        };
        (self.sent, self.tries) = (Instant::now(), 0);
        true
    }
}

//! The transfers that run on one socket: who is served, what a packet means to them, which of them wait too long.

use crate::{
    decide::{self, Decision, Path, Refusal, Silence},
    files::Files,
    metrics::Ending,
    session::{Session, Step},
    wire::{ErrorCode, Malformed, Packet},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

/// Transfers of one worker: ten thousand nodes that power on at once, on one core.
const MAX_TRANSFERS: usize = 10_000;
/// Transfers of one client address. A guess: a node runs one, but many may stand behind one address.
const MAX_OF_CLIENT: usize = 256;

/// Transfers by client; `T` is what the shell keeps with each.
pub struct Transfers<T> {
    running: HashMap<SocketAddr, Transfer<T>>,
    of_client: HashMap<IpAddr, usize>,
    draining: bool,
}

/// One of them.
pub struct Transfer<T> {
    /// Its state.
    pub session: Session,
    /// As the client named it.
    pub file: String,
    /// When it began.
    pub began: Instant,
    /// The shell's.
    pub kept: T,
}

/// A packet and where it came from.
pub struct Incoming<T> {
    /// The client.
    pub peer: SocketAddr,
    /// What it sent.
    pub packet: Result<Packet, Malformed>,
    /// It came to a port of transfers, not (only) of requests.
    pub own_port: bool,
    /// The way back.
    pub path: Path,
    /// Put beside a transfer that begins.
    pub kept: T,
}

/// What a packet or a timer leads to.
pub enum Outcome<T> {
    /// A transfer began (in place of the one it returns): send what is outgoing.
    Began(Option<Transfer<T>>),
    /// Send what is outgoing.
    Send,
    /// Send it again.
    Repeat,
    /// Nothing now.
    Wait,
    /// A transfer ended.
    Ended(Transfer<T>, Ending),
    /// Answer with an ERROR.
    Refuse(ErrorCode, &'static str, Refusal),
    /// Drop it.
    Silent(Silence),
}

impl<T> Default for Transfers<T> {
    fn default() -> Self {
        Transfers { running: HashMap::new(), of_client: HashMap::new(), draining: false }
    }
}

impl<T> Transfers<T> {
    /// A packet, of a client that may have a transfer.
    pub fn received(&mut self, incoming: Incoming<T>, files: &Files, now: Instant) -> Outcome<T> {
        let Incoming { peer, packet, own_port, path, kept } = incoming;
        match (&packet, self.running.get_mut(&peer)) {
            (Ok(Packet::Ack(block)), Some(transfer)) if own_port => {
                let step = transfer.session.acknowledge(*block, now);
                self.stepped(peer, step)
            }
            (Ok(Packet::Error { .. }), Some(transfer)) if own_port => {
                let probe = transfer.session.has_only_announced();
                self.ended(peer, if probe { Ending::SizeProbe } else { Ending::Aborted })
            }
            (Ok(Packet::Other), Some(_)) => Outcome::Silent(Silence::Stray),
            _ => match decide::decide(&packet, files, path, own_port, now) {
                Decision::Refuse(code, text, refusal) => Outcome::Refuse(code, text, refusal),
                Decision::Silent(silence) => Outcome::Silent(silence),
                Decision::Start(session) => {
                    let file =
                        if let Ok(Packet::Read(request)) = packet { request.file } else { String::new() };
                    self.begin(peer, Transfer { session: *session, file, began: now, kept })
                }
            },
        }
    }

    /// Transfers whose timer has run out, to be handed to [`Transfers::timed_out`] one by one.
    pub fn due(&self, now: Instant) -> Vec<SocketAddr> {
        self.running
            .iter()
            .filter(|(_, transfer)| transfer.session.due() <= now)
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Nothing came of this client in time.
    pub fn timed_out(&mut self, peer: SocketAddr, now: Instant, jitter: f32) -> Outcome<T> {
        let Some(transfer) = self.running.get_mut(&peer) else { return Outcome::Wait };
        let step = transfer.session.timed_out(now, jitter);
        self.stepped(peer, step)
    }

    /// The transfer of this client.
    pub fn get(&self, peer: &SocketAddr) -> Option<&Transfer<T>> {
        self.running.get(peer)
    }

    /// From now on nothing begins.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Nothing runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    fn begin(&mut self, peer: SocketAddr, transfer: Transfer<T>) -> Outcome<T> {
        let before = self.remove(peer);
        if let Err(silence) = self.room_for(peer.ip(), before.is_some()) {
            return Outcome::Silent(silence);
        }
        *self.of_client.entry(peer.ip()).or_default() += 1;
        self.running.insert(peer, transfer);
        Outcome::Began(before)
    }

    fn room_for(&self, client: IpAddr, replaces: bool) -> Result<(), Silence> {
        let of_client = self.of_client.get(&client).copied().unwrap_or(0);
        match () {
            () if replaces => Ok(()),
            () if self.draining => Err(Silence::Draining),
            () if self.running.len() >= MAX_TRANSFERS => Err(Silence::Busy),
            () if of_client >= MAX_OF_CLIENT => Err(Silence::ClientBusy),
            () => Ok(()),
        }
    }

    fn stepped(&mut self, peer: SocketAddr, step: Step) -> Outcome<T> {
        match step {
            Step::Send => Outcome::Send,
            Step::Repeat => Outcome::Repeat,
            Step::Wait => Outcome::Wait,
            Step::Complete => self.ended(peer, Ending::Complete),
            Step::GiveUp => self.ended(peer, Ending::TimedOut),
        }
    }

    fn ended(&mut self, peer: SocketAddr, ending: Ending) -> Outcome<T> {
        self.remove(peer).map_or(Outcome::Wait, |transfer| Outcome::Ended(transfer, ending))
    }

    fn remove(&mut self, peer: SocketAddr) -> Option<Transfer<T>> {
        let transfer = self.running.remove(&peer)?;
        if let Some(of_client) = self.of_client.get_mut(&peer.ip()) {
            *of_client -= 1;
            if *of_client == 0 {
                self.of_client.remove(&peer.ip());
            }
        }
        Some(transfer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    const PATH: Path = Path { mtu: 1500, ipv6: false };

    fn peer(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn send(transfers: &mut Transfers<()>, port: u16, bytes: &[u8]) -> &'static str {
        let files = Files::of(&[("a", b"content")]);
        let incoming =
            Incoming { peer: peer(port), packet: wire::parse(bytes), own_port: true, path: PATH, kept: () };
        match transfers.received(incoming, &files, Instant::now()) {
            Outcome::Began(None) => "began",
            Outcome::Began(Some(_)) => "began anew",
            Outcome::Send => "send",
            Outcome::Repeat => "repeat",
            Outcome::Wait => "wait",
            Outcome::Ended(_, ending) => ending.label(),
            Outcome::Refuse(_, _, refusal) => refusal.label(),
            Outcome::Silent(silence) => silence.label(),
        }
    }

    const REQUEST: &[u8] = b"\0\x01a\0octet\0";
    const SIZE_REQUEST: &[u8] = b"\0\x01a\0octet\0tsize\x000\0";
    const ERROR: &[u8] = b"\0\x05\0\x08enough\0";
    const ACK_1: &[u8] = b"\0\x04\0\x01";

    #[test]
    fn transfers_end_in_as_many_ways_as_there_are() {
        let mut transfers = Transfers::default();
        assert_eq!(send(&mut transfers, 1, REQUEST), "began");
        assert_eq!(send(&mut transfers, 1, REQUEST), "began anew");
        assert_eq!(send(&mut transfers, 1, ACK_1), "complete");
        assert_eq!(send(&mut transfers, 1, ACK_1), "unknown_transfer");
        assert_eq!(send(&mut transfers, 2, SIZE_REQUEST), "began");
        assert_eq!(send(&mut transfers, 2, ERROR), "size_probe");
        assert_eq!(send(&mut transfers, 2, ERROR), "stray");
        assert_eq!(send(&mut transfers, 3, REQUEST), "began");
        assert_eq!(send(&mut transfers, 3, ERROR), "aborted");
        assert!(transfers.is_empty() && transfers.of_client.is_empty());
    }

    #[test]
    fn one_client_cannot_take_every_place() {
        let mut transfers = Transfers::default();
        for port in 1..=MAX_OF_CLIENT as u16 {
            assert_eq!(send(&mut transfers, port, REQUEST), "began");
        }
        assert_eq!(send(&mut transfers, 9999, REQUEST), "client_busy");
        assert_eq!(send(&mut transfers, 1, REQUEST), "began anew");
        assert_eq!(send(&mut transfers, 1, ACK_1), "complete");
        assert_eq!(send(&mut transfers, 9999, REQUEST), "began");
    }

    #[test]
    fn a_draining_server_ends_what_runs_and_begins_nothing() {
        let mut transfers = Transfers::default();
        assert_eq!(send(&mut transfers, 1, REQUEST), "began");
        transfers.drain();
        assert_eq!(send(&mut transfers, 2, REQUEST), "draining");
        assert_eq!(send(&mut transfers, 1, ACK_1), "complete");
    }

    #[test]
    fn a_silent_client_is_asked_again_and_given_up() {
        let mut transfers = Transfers::default();
        assert_eq!(send(&mut transfers, 1, REQUEST), "began");
        assert!(transfers.due(Instant::now()).is_empty());
        let mut repeats = 0;
        loop {
            let due = transfers.get(&peer(1)).unwrap().session.due();
            assert_eq!(transfers.due(due), [peer(1)]);
            match transfers.timed_out(peer(1), due, 0.5) {
                Outcome::Repeat => repeats += 1,
                Outcome::Ended(_, Ending::TimedOut) => break,
                _ => panic!("neither repeated nor given up"),
            }
        }
        assert_eq!(repeats, 5);
        assert!(transfers.is_empty());
    }
}

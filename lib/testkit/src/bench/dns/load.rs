//! What asks: queries from several ports of one core, so many at a time or so many a second, each answer looked at and timed.
//!
//! It never sleeps and sends many datagrams in one call, so that a server is kept waiting as little as can be: waking a process
//! is work of a virtual machine, and says nothing about servers of names.

use super::questions::{Expected, Questions};
use anyhow::Context;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt},
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// Ports that ask. Several, as clients are several; few, for each is looked at in turn.
const PORTS: usize = 8;
/// Queries in one call.
const BURST: usize = 16;
/// Answers in one call.
const TAKEN: usize = 32;
/// Longer ones are no answers without EDNS.
const LONGEST: usize = 512;
/// Header of a message.
const HEADER: usize = 12;
/// What has no answer by then is lost: a fifth of what a stub resolver waits, and less than a port takes to come round to the
/// same id at half a million queries a second.
const PATIENCE: Duration = Duration::from_secs(1);
/// For answers that arrive while queries are sent: what is lost here would be counted against the server.
const RECEIVE_BUFFER: usize = 16 << 20;

/// How queries follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many without an answer at any time.
    AtOnce(usize),
    /// So many each second, whatever is answered.
    PerSecond(f64),
}

/// What became of the queries.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers that were as they should be.
    pub answers: u64,
    /// That were not.
    pub wrong: u64,
    /// Queries without an answer.
    pub lost: u64,
    /// From the first query to the last answer.
    pub took: Duration,
    /// Microseconds that each answer took.
    pub times: Vec<u32>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// What so much of the answers took at most.
    pub fn within(&mut self, part: f64) -> Duration {
        self.times.sort_unstable();
        let at = ((self.times.len() as f64 * part).ceil() as usize).max(1) - 1;
        Duration::from_micros(self.times.get(at).copied().unwrap_or(0).into())
    }
}

/// A port that asks, and what it waits for.
struct Port {
    socket: UdpSocket,
    /// When the query of each id was sent, until it is answered.
    sent: Vec<Option<Instant>>,
    /// All that were sent and may still wait, in order.
    waiting: VecDeque<u16>,
    next: u16,
    in_flight: usize,
}

/// A core that asks one server.
pub struct Load {
    ports: Vec<Port>,
}

impl Load {
    /// Ports of the calling thread's namespace.
    pub fn new(from: Ipv4Addr, server: SocketAddrV4) -> anyhow::Result<Load> {
        let ports = (0..PORTS).map(|_| Port::new(from, server));
        Ok(Load { ports: ports.collect::<anyhow::Result<_>>()? })
    }

    /// Asks for so long, then waits for what is left.
    pub fn run(&mut self, questions: &mut Questions, pace: Pace, time: Duration) -> anyhow::Result<Outcome> {
        let mut buffers = vec![[0; LONGEST]; TAKEN];
        let mut outcome = Outcome::default();
        let (began, mut asked, mut turn) = (Instant::now(), 0, 0);
        let mut last = began;
        loop {
            let now = Instant::now();
            let asking = now - began < time;
            let in_flight: usize = self.ports.iter().map(|port| port.in_flight).sum();
            if !asking && in_flight == 0 {
                break;
            }
            let room = match pace {
                _ if !asking => 0,
                Pace::AtOnce(most) => most.saturating_sub(in_flight),
                Pace::PerSecond(rate) => ((now - began).as_secs_f64() * rate) as usize - asked,
            };
            if room > 0 {
                asked += self.ports[turn].ask(questions, room.min(BURST), &mut outcome)?;
                turn = (turn + 1) % PORTS;
            }
            for port in self.ports.iter_mut().filter(|port| port.in_flight > 0) {
                if port.hear(&mut buffers, questions.expected, &mut outcome)? {
                    last = Instant::now();
                }
                outcome.lost += port.give_up(now);
            }
        }
        outcome.took = last - began;
        Ok(outcome)
    }
}

impl Port {
    fn new(from: Ipv4Addr, server: SocketAddrV4) -> anyhow::Result<Port> {
        let socket = UdpSocket::bind((from, 0)).context("a port that asks")?;
        socket.connect(server)?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("a large receive buffer")?;
        let sent = vec![None; usize::from(u16::MAX) + 1];
        Ok(Port { socket, sent, waiting: VecDeque::new(), next: 0, in_flight: 0 })
    }

    /// How many were sent.
    fn ask(
        &mut self,
        questions: &mut Questions,
        count: usize,
        outcome: &mut Outcome,
    ) -> anyhow::Result<usize> {
        let ids: Vec<[u8; 2]> = (0..count as u16).map(|n| self.next.wrapping_add(n).to_be_bytes()).collect();
        let bodies: Vec<&[u8]> = questions.next(count).collect();
        let parts: Vec<_> =
            ids.iter().zip(&bodies).map(|(id, body)| [IoSlice::new(id), IoSlice::new(body)]).collect();
        let mut nothing: Vec<_> = ids.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<_> =
            parts.iter().zip(&mut nothing).map(|(part, nothing)| MMsgHdr::new(part, nothing)).collect();
        // Before they are sent: an answer may be there before the call returns.
        let now = Instant::now();
        let sent = match sendmmsg(&self.socket, &mut messages, SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            // The socket's buffer is full, or the answer to an earlier one was that nobody listens.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNREFUSED) => 0,
            Err(error) => return Err(error).context("asking"),
        };
        for _ in 0..sent {
            let id = self.next;
            self.next = id.wrapping_add(1);
            match self.sent[usize::from(id)].replace(now) {
                None => self.in_flight += 1,
                Some(_) => outcome.lost += 1,
            }
            self.waiting.push_back(id);
        }
        Ok(sent)
    }

    /// Takes what has arrived; whether there was any.
    fn hear(
        &mut self,
        buffers: &mut [[u8; LONGEST]],
        expected: Option<Expected>,
        outcome: &mut Outcome,
    ) -> anyhow::Result<bool> {
        let mut parts: Vec<_> = buffers.iter_mut().map(|part| [IoSliceMut::new(part)]).collect();
        let mut headers = MultiHeaders::<()>::preallocate(TAKEN, None);
        let fd = self.socket.as_raw_fd();
        let lengths: Vec<usize> =
            match recvmmsg(fd, &mut headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
                Ok(messages) => messages.map(|message| message.bytes).collect(),
                Err(Errno::EAGAIN | Errno::ECONNREFUSED) => return Ok(false),
                Err(error) => return Err(error).context("hearing"),
            };
        let now = Instant::now();
        for (bytes, length) in buffers.iter().zip(lengths) {
            let Some(id) = bytes[..length].first_chunk::<2>() else { continue };
            let Some(sent) = self.sent[usize::from(u16::from_be_bytes(*id))].take() else { continue };
            self.in_flight -= 1;
            outcome.times.push((now - sent).as_micros() as u32);
            match length >= HEADER && expected.is_none_or(|expected| expected.is_met(bytes)) {
                true => outcome.answers += 1,
                false => outcome.wrong += 1,
            }
        }
        Ok(true)
    }

    /// How many waited too long.
    fn give_up(&mut self, now: Instant) -> u64 {
        let mut lost = 0;
        while let Some(id) = self.waiting.front() {
            let slot = &mut self.sent[usize::from(*id)];
            match slot {
                Some(sent) if now.saturating_duration_since(*sent) < PATIENCE => break,
                Some(_) => {
                    (*slot, lost) = (None, lost + 1);
                    self.in_flight -= 1;
                }
                None => {}
            }
            self.waiting.pop_front();
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Answers with NOERROR and one record: all but every tenth query, every fourth of them with another RCODE.
    fn half_a_server(socket: UdpSocket) {
        let mut bytes = [0; LONGEST];
        for number in 0.. {
            let Ok((length, peer)) = socket.recv_from(&mut bytes) else { return };
            if number % 10 == 9 {
                continue;
            }
            bytes[2] |= 0x80;
            bytes[3] = if number % 4 == 0 { 5 } else { 0 };
            bytes[7] = 1;
            if socket.send_to(&bytes[..length], peer).is_err() {
                return;
            }
        }
    }

    #[test]
    fn every_query_is_answered_wrong_or_lost() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        // The thread ends when nobody asks any more.
        socket.set_read_timeout(Some(PATIENCE * 4)).expect("a limit");
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr().expect("bound").port());
        let serving = thread::spawn(move || half_a_server(socket));
        let names = (0..100).map(|number| format!("nid{number:03}.bench.cluster."));
        let mut questions = Questions::known(names).expect("names");
        let mut load = Load::new(Ipv4Addr::LOCALHOST, server).expect("ports");
        let mut outcome =
            load.run(&mut questions, Pace::PerSecond(2_000.0), Duration::from_millis(500)).expect("it runs");
        let Outcome { answers, wrong, lost, .. } = outcome;
        let all = answers + wrong + lost;
        assert!((1..=1_000).contains(&all), "{outcome:?}");
        assert!(lost >= all / 10, "{lost} of {all}");
        assert!(wrong > 0 && answers > wrong, "{answers} answers, {wrong} wrong");
        assert_eq!(outcome.times.len() as u64, answers + wrong);
        assert!(outcome.within(0.5) <= outcome.within(1.0));
        serving.join().expect("it ends by itself");
    }
}

//! Questions answered in place by threads of their own: receive what is there, answer each, send all answers in one call.
//!
//! A thread waits in `recvmmsg` itself. Compared with a task on an asynchronous runtime that saves, for each burst, the call that
//! waits and the call that finds nothing: at a rate where the server sleeps between bursts that is half of what it costs.

use crate::{Arrival, Datagram, Options, leave_group, many::Slots, open, send_now};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// How long a call may wait for room in the send buffer. Only a link that stands still lets it fill; what is not sent then would be
/// too late for its client anyway.
const SEND_AT_MOST: Duration = Duration::from_millis(100);

/// A socket for threads: its calls wait. Shared by the thread that receives and by whoever answers later.
#[derive(Debug)]
pub struct Blocking {
    socket: socket2::Socket,
}

impl Blocking {
    /// Opens and binds. Receiving returns with nothing every `beat`.
    pub fn bind(address: SocketAddr, options: &Options, beat: Duration) -> io::Result<Blocking> {
        let socket = open(address, options)?;
        socket.set_read_timeout(Some(beat))?;
        socket.set_write_timeout(Some(SEND_AT_MOST))?;
        Ok(Blocking { socket })
    }

    /// The address it is bound to.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Receives nothing more: the socket leaves its SO_REUSEPORT group at once, and new queries go to those who stay. What is
    /// queued already can still be received, and answers can be sent.
    pub fn leave(&self) -> io::Result<()> {
        leave_group(&self.socket)
    }

    /// Sends one datagram; with `from`, out of that interface and with that source address. `WouldBlock` where there is no room: this
    /// is for those who answer later, on a runtime whose threads must not wait.
    pub fn send(&self, bytes: &[u8], to: SocketAddr, from: Option<Arrival>) -> io::Result<()> {
        send_now(self.as_fd(), bytes, to, from)
    }
}

impl AsFd for Blocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Room for a burst of questions and for their answers.
pub struct Exchange {
    slots: Slots,
    answers: Vec<Vec<u8>>,
    /// Slots that have an answer.
    answered: Vec<usize>,
}

/// One question of a burst.
pub struct Query<'a> {
    slots: &'a Slots,
    slot: usize,
}

impl Query<'_> {
    /// The datagram; cut off where it was longer than its room.
    pub fn bytes(&self) -> &[u8] {
        self.slots.bytes(self.slot)
    }

    /// Who asks, and where the question arrived. `None` never happens on a UDP socket.
    pub fn datagram(&self) -> Option<Datagram> {
        self.slots.datagram(self.slot)
    }

    /// The how many-th of its burst it is, counted from 0.
    pub fn number(&self) -> usize {
        self.slot
    }

    /// Who asks.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.slots.peer(self.slot)
    }
}

impl Exchange {
    /// Room for so many questions (at least one) of so many bytes (at least one).
    pub fn new(most: usize, longest: usize) -> Exchange {
        let slots = Slots::new(most, longest);
        let answers = vec![Vec::new(); slots.most()];
        Exchange { slots, answers, answered: Vec::new() }
    }

    /// How many were received last.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for questions and takes those that are there. None: the beat of the socket has passed.
    pub fn receive(&mut self, socket: &Blocking) -> io::Result<usize> {
        self.take(socket, libc::MSG_WAITFORONE)
    }

    /// Takes those that are there already; none: the queue is empty.
    pub fn try_receive(&mut self, socket: &Blocking) -> io::Result<usize> {
        self.take(socket, libc::MSG_DONTWAIT)
    }

    fn take(&mut self, socket: &Blocking, flags: i32) -> io::Result<usize> {
        self.answered.clear();
        match self.slots.receive(socket.as_fd(), flags) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(0)
            }
            received => received,
        }
    }

    /// The questions, in their order.
    pub fn questions(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|slot| self.slots.bytes(slot))
    }

    /// Puts each question to `answer`, which writes into an empty buffer. False: no answer is sent.
    pub fn answer(&mut self, mut answer: impl FnMut(&Query<'_>, &mut Vec<u8>) -> bool) {
        for slot in 0..self.slots.len() {
            let out = &mut self.answers[slot];
            out.clear();
            if answer(&Query { slots: &self.slots, slot }, out) {
                self.answered.push(slot);
            }
        }
    }

    /// Sends the answers, each from the address that was asked. One that cannot be sent hurts only itself; how many could not, and
    /// the last reason.
    pub fn send(&mut self, socket: &Blocking) -> Option<(usize, io::Error)> {
        let mut failed: Option<(usize, io::Error)> = None;
        let mut rest = self.answered.as_slice();
        while !rest.is_empty() {
            let answers = rest.iter().map(|slot| (*slot, self.answers[*slot].as_slice()));
            match self.slots.send(socket.as_fd(), answers) {
                Ok(sent) => rest = &rest[sent.max(1)..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed = Some((failed.map_or(1, |(count, _)| count + 1), error));
                    rest = &rest[1..];
                }
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests;

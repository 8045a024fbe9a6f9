//! Bursts for asynchronous sockets: one call takes what is there, so the kernel's queue is empty again while there is still
//! room in it.

use crate::{Datagram, Socket, many::Slots};
use std::{fmt, io, os::fd::AsFd};
use tokio::io::Interest;

/// Room for a burst, and what was received last.
pub struct Batch {
    slots: Slots,
}

impl Batch {
    /// Room for so many datagrams (at least one) of so many bytes (at least one). Memory is touched only as it is filled.
    pub fn new(most: usize, longest: usize) -> Batch {
        Batch { slots: Slots::new(most, longest) }
    }

    /// What was received last, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Datagram)> {
        (0..self.len()).filter_map(|slot| Some((self.slots.bytes(slot), self.slots.datagram(slot)?)))
    }

    /// How many were received last.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn fill(&mut self, socket: &Socket) -> io::Result<usize> {
        self.slots.receive(socket.as_fd(), libc::MSG_DONTWAIT)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Socket {
    /// Waits for datagrams and takes those that are there, as many as there is room for. At least one.
    pub async fn receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        self.socket.async_io(Interest::READABLE, || batch.fill(self)).await
    }

    /// Those that have arrived already; `WouldBlock` when there are none.
    pub fn try_receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        self.socket.try_io(Interest::READABLE, || batch.fill(self))
    }
}

//! Many datagrams in one system call (`recvmmsg`): a burst costs one call instead of one each, and the kernel's queue is
//! empty again while there is still room in it.
//!
//! There is no `sendmmsg` here. What nix's returns can only be counted by reading peer addresses that a *sending* call never
//! wrote, and every answer goes to another peer anyway: the network stack, not the call, is what sending costs.

use crate::{Datagram, Socket, control};
use nix::{
    errno::Errno,
    libc::in6_pktinfo,
    sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg},
};
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, RawFd},
};
use tokio::io::Interest;

/// The least that is asked for at once. Headers for each datagram are prepared before a call, so a socket that hears one
/// now and then should not prepare many.
const FEWEST: usize = 4;

/// Room for a burst, and what was received last.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    longest: usize,
    most: usize,
    /// How many the next call asks for: twice what the last one got.
    next: usize,
    received: Vec<Datagram>,
}

impl Batch {
    /// Room for so many datagrams (at least one) of so many bytes (at least one). Memory is touched only as it is filled.
    pub fn new(most: usize, longest: usize) -> Batch {
        let (most, longest) = (most.max(1), longest.max(1));
        Batch { bytes: vec![0; most * longest], longest, most, next: FEWEST.min(most), received: Vec::new() }
    }

    /// What was received last, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Datagram)> {
        let parts = self.bytes.chunks(self.longest).zip(&self.received);
        parts.map(|(bytes, datagram)| (&bytes[..datagram.length], datagram))
    }

    /// How many were received last.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    fn fill(&mut self, fd: RawFd) -> nix::Result<usize> {
        self.received.clear();
        // Anew for each call: the kernel writes into these headers how much room it used, and nix does not set that back.
        let control = nix::cmsg_space!(in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(self.next, Some(control));
        let mut parts: Vec<_> =
            self.bytes.chunks_mut(self.longest).take(self.next).map(|part| [IoSliceMut::new(part)]).collect();
        let messages = recvmmsg(fd, &mut headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        for message in messages {
            self.received.push(datagram(&message)?);
        }
        self.next = (self.received.len() * 2).clamp(FEWEST.min(self.most), self.most);
        Ok(self.received.len())
    }
}

/// What a header says. An error is what no UDP socket of ours yields: a peer that is no IP address, control messages cut.
pub(crate) fn datagram(message: &RecvMsg<'_, '_, SockaddrStorage>) -> nix::Result<Datagram> {
    let peer = message.address.as_ref().and_then(control::socket_address).ok_or(Errno::EAFNOSUPPORT)?;
    Ok(Datagram {
        length: message.bytes,
        truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        peer,
        arrival: control::arrival(message.cmsgs()?),
    })
}

impl Socket {
    /// Waits for datagrams and takes those that are there, as many as there is room for. At least one.
    pub async fn receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        self.socket.async_io(Interest::READABLE, || self.fill(batch)).await
    }

    /// Those that have arrived already; `WouldBlock` when there are none.
    pub fn try_receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        self.socket.try_io(Interest::READABLE, || self.fill(batch))
    }

    fn fill(&self, batch: &mut Batch) -> io::Result<usize> {
        Ok(batch.fill(self.socket.as_raw_fd())?)
    }
}

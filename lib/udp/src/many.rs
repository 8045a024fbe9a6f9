//! Many datagrams in one system call: `recvmmsg` into slots, `sendmmsg` back out of them.
//!
//! The only module of the workspace with `unsafe`, for these two calls. nix's safe ones cannot do it: its `sendmmsg` reads
//! peer addresses that a sending call never wrote, and its `recvmmsg` allocates headers anew for each call. Here an answer
//! goes back with the very name and control message its query came with, so nothing is parsed or made in between.
#![allow(unsafe_code)]

use crate::{Arrival, Datagram};
use libc::{AF_INET, AF_INET6, iovec, mmsghdr, msghdr};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd, BorrowedFd},
    ptr::null_mut,
};

/// The least that is asked for at once: headers for each datagram are prepared before a call, so a socket that hears one
/// now and then should not prepare many.
const FEWEST: usize = 4;

/// A `sockaddr_in` or `sockaddr_in6`.
#[derive(Clone)]
#[repr(align(8))]
struct Name([u8; size_of::<libc::sockaddr_in6>()]);

/// Room for control messages, aligned as `cmsghdr` is. 40 bytes are needed (IPV6_PKTINFO); the rest is for messages
/// that a socket option set from outside may add.
#[derive(Clone)]
#[repr(align(8))]
struct Control([u8; 128]);

/// `cmsghdr` in front of the data of a control message: length, level, type.
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();
/// Control messages begin at multiples of this.
const CONTROL_ALIGN: usize = align_of::<libc::cmsghdr>();

/// Where datagrams are received, and what came with each.
pub(crate) struct Slots {
    bytes: Vec<u8>,
    longest: usize,
    names: Vec<Name>,
    controls: Vec<Control>,
    incoming: Headers,
    outgoing: Headers,
    received: usize,
    /// How many the next call asks for: twice what the last one got.
    next: usize,
}

/// What the kernel is shown: written anew before each call, by the function that makes it.
#[derive(Default)]
struct Headers {
    messages: Vec<mmsghdr>,
    parts: Vec<iovec>,
}

// SAFETY: the pointers in there are followed by the kernel alone, within the call they were written for.
unsafe impl Send for Headers {}
// SAFETY: likewise; a shared reference gives nobody the pointers.
unsafe impl Sync for Headers {}

impl Slots {
    /// Room for so many datagrams (at least one) of so many bytes (at least one). Memory is touched only as it is filled.
    pub(crate) fn new(most: usize, longest: usize) -> Slots {
        let (most, longest) = (most.max(1), longest.max(1));
        Slots {
            bytes: vec![0; most * longest],
            longest,
            names: vec![Name([0; _]); most],
            controls: vec![Control([0; _]); most],
            incoming: Headers::default(),
            outgoing: Headers::default(),
            received: 0,
            next: FEWEST,
        }
    }

    /// How many there are.
    pub(crate) fn most(&self) -> usize {
        self.names.len()
    }

    /// How many were received last.
    pub(crate) fn len(&self) -> usize {
        self.received
    }

    /// Receives what is there, with flags of `recvmmsg`. What was received before is gone.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, flags: i32) -> io::Result<usize> {
        let wanted = self.next.min(self.most());
        self.received = 0;
        self.incoming.clear();
        let slots = self.bytes.chunks_mut(self.longest).zip(&mut self.names).zip(&mut self.controls);
        for ((bytes, name), control) in slots.take(wanted) {
            let part = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            self.incoming.push(part, (name, size_of::<Name>()), (control, size_of::<Control>()));
        }
        let headers = self.incoming.show();
        // SAFETY: `headers` are `wanted` headers of buffers in our slots, which nothing else touches during the call.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, wanted as u32, flags as _, null_mut()) };
        self.received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        self.next = (self.received * 2).max(FEWEST);
        Ok(self.received)
    }

    /// Sends each answer back to where the datagram in that slot came from, out of the address that it was sent to. How
    /// many were sent; an error is about the first of them.
    pub(crate) fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        answers: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> io::Result<usize> {
        self.outgoing.clear();
        for (slot, answer) in answers {
            let (name, control) = (self.name(slot).len(), self.control(slot).len());
            let part = iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
            self.outgoing.push(part, (&mut self.names[slot], name), (&mut self.controls[slot], control));
        }
        let count = self.outgoing.messages.len() as u32;
        let headers = self.outgoing.show();
        // SAFETY: `headers` are `count` headers of buffers that are borrowed until the end of this function; `sendmmsg` writes
        // to none of them, only to the length in the header.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// The datagram in a slot.
    pub(crate) fn bytes(&self, slot: usize) -> &[u8] {
        let at = slot * self.longest;
        &self.bytes[at..at + self.length(slot)]
    }

    /// What is known of it. `None` is what no UDP socket of ours yields: a peer that is no IP address.
    pub(crate) fn datagram(&self, slot: usize) -> Option<Datagram> {
        let flags = self.incoming.messages[slot].msg_hdr.msg_flags;
        Some(Datagram {
            length: self.length(slot),
            truncated: flags & libc::MSG_TRUNC != 0,
            peer: self.peer(slot)?,
            arrival: arrival(self.control(slot)).unwrap_or_default(),
        })
    }

    /// Who sent it.
    pub(crate) fn peer(&self, slot: usize) -> Option<SocketAddr> {
        let name = self.name(slot);
        let family = i32::from(u16::from_ne_bytes(part(name, 0)?));
        let port = u16::from_be_bytes(part(name, 2)?);
        match family {
            AF_INET => Some((Ipv4Addr::from(part::<4>(name, 4)?), port).into()),
            AF_INET6 => {
                let (address, flow) =
                    (Ipv6Addr::from(part::<16>(name, 8)?), u32::from_be_bytes(part(name, 4)?));
                let scope = u32::from_ne_bytes(part(name, 24)?);
                Some(SocketAddrV6::new(address, port, flow, scope).into())
            }
            _ => None,
        }
    }

    fn length(&self, slot: usize) -> usize {
        (self.incoming.messages[slot].msg_len as usize).min(self.longest)
    }

    fn name(&self, slot: usize) -> &[u8] {
        let bytes = &self.names[slot].0;
        let length = self.incoming.messages[slot].msg_hdr.msg_namelen as usize;
        &bytes[..length.min(bytes.len())]
    }

    /// The first control message, padding included: there is one at most that is ours.
    fn control(&self, slot: usize) -> &[u8] {
        let bytes = &self.controls[slot].0;
        let received = self.incoming.messages[slot].msg_hdr.msg_controllen;
        if received < CONTROL_HEADER {
            return &[];
        }
        let length = part(bytes, 0).map_or(0, usize::from_ne_bytes).next_multiple_of(CONTROL_ALIGN);
        &bytes[..length.min(received).min(bytes.len())]
    }
}

impl Headers {
    fn clear(&mut self) {
        self.messages.clear();
        self.parts.clear();
    }

    /// A buffer, and name and control message with their lengths. Where the buffer stands is put in by [`Headers::show`], when
    /// the list of parts moves no more.
    fn push(
        &mut self,
        part: iovec,
        (name, name_length): (&mut Name, usize),
        (control, used): (&mut Control, usize),
    ) {
        self.parts.push(part);
        // SAFETY: integers and pointers, which may be zero.
        let mut header: msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.0.as_mut_ptr().cast();
        header.msg_namelen = name_length as u32;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = used as _;
        self.messages.push(mmsghdr { msg_hdr: header, msg_len: 0 });
    }

    fn show(&mut self) -> *mut mmsghdr {
        for (message, part) in self.messages.iter_mut().zip(&mut self.parts) {
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        self.messages.as_mut_ptr()
    }
}

/// IP_PKTINFO or IPV6_PKTINFO, as ip(7) and ipv6(7) lay them out.
fn arrival(control: &[u8]) -> Option<Arrival> {
    let kind =
        (i32::from_ne_bytes(part(control, size_of::<usize>())?), i32::from_ne_bytes(part(control, 12)?));
    let data = control.get(CONTROL_HEADER..)?;
    match kind {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            let (local, address) = (Ipv4Addr::from(part::<4>(data, 4)?), Ipv4Addr::from(part::<4>(data, 8)?));
            Some(Arrival::v4(i32::from_ne_bytes(part(data, 0)?), local, address))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            Some(Arrival::v6(u32::from_ne_bytes(part(data, 16)?), Ipv6Addr::from(part::<16>(data, 0)?)))
        }
        _ => None,
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

//! The kernel says when an interface or an address comes, goes or changes (rtnetlink(7)). What it says is not read, only that
//! it says something: the interfaces are then read anew. So one that comes up is served at once, and the first frame after a
//! bond failed over leaves from the new MAC. No capability is needed for it.

use nix::{
    errno::Errno,
    libc::{RTMGRP_IPV4_IFADDR, RTMGRP_LINK},
    sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket},
};
use std::{io, os::fd::AsRawFd, time::Duration};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep_until},
};

/// Least time between two readings of the interfaces. A device that comes up makes some five messages in a few milliseconds:
/// the first is followed at once, the rest together. A guess: on a host that starts a container a second it costs 1 % of a
/// core at a thousand interfaces.
const GAP: Duration = Duration::from_millis(200);

/// Messages thrown away in a row before anything else is looked at; what is left is found after the gap. The kernel's usual
/// buffer (208 kB) holds about a hundred.
const AT_ONCE: usize = 256;

/// Hears of changes.
#[derive(Debug)]
pub struct News {
    socket: Option<UdpSocket>,
    /// Not followed before.
    next: Instant,
}

impl News {
    /// Where the kernel does not tell, nothing is ever heard, and interfaces are read at intervals all the same. Must be
    /// called inside a tokio runtime.
    pub fn subscribe() -> News {
        let socket = open().inspect_err(|error| {
            tracing::info!(%error, "the kernel does not tell when interfaces change: they are read every 5 seconds");
        });
        News { socket: socket.ok(), next: Instant::now() }
    }

    /// Waits until something changed. Nothing is lost when this is dropped before.
    pub async fn heard(&mut self) {
        if let Some(socket) = &self.socket {
            let mut heard = socket.readable().await;
            sleep_until(self.next).await;
            self.next = Instant::now() + GAP;
            heard = heard.and_then(|()| throw_away(socket));
            let Err(error) = heard else { return };
            tracing::warn!(%error, "the kernel no longer tells when interfaces change: they are read every 5 seconds");
            self.socket = None;
        }
        std::future::pending().await
    }
}

/// tokio has no safe wrapper for netlink. As a `UdpSocket` it can be waited for and read, which is all that is done with it.
fn open() -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    let groups = (RTMGRP_LINK | RTMGRP_IPV4_IFADDR) as u32;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    UdpSocket::from_std(socket.into())
}

/// What is there. A buffer that ran over (ENOBUFS) is news as well.
fn throw_away(socket: &UdpSocket) -> io::Result<()> {
    for _ in 0..AT_ONCE {
        // The rest of a longer message is thrown away with it.
        match socket.try_recv(&mut [0; 16]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.raw_os_error() != Some(Errno::ENOBUFS as i32) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

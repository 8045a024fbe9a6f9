//! The least a server on datagrams can do: take what is there, send the same bytes back. What a server of names costs beyond
//! this is its own; the rest is the kernel's. It goes through lib/udp as dnsd does (which calls `recvmmsg` and `sendmmsg`, and
//! answers from the address that was asked), so that what is compared is the work on names.

use anyhow::Context;
use std::{net::SocketAddrV4, time::Duration};
use udp::{Blocking, Exchange, Options};

/// Datagrams of one call, and their bytes: as dnsd has them.
const MOST: usize = 64;
const LONGEST: usize = 4096;
/// How often an idle echo wakes up: nobody cares.
const BEAT: Duration = Duration::from_secs(60);

/// Serves until it is killed.
pub fn serve(address: SocketAddrV4) -> anyhow::Result<()> {
    let socket = Blocking::bind(address.into(), &Options::default(), BEAT).context("the echo's port")?;
    let mut exchange = Exchange::new(MOST, LONGEST);
    loop {
        exchange.receive(&socket).context("receiving")?;
        exchange.answer(|query, out| {
            out.extend_from_slice(query.bytes());
            true
        });
        if let Some((count, error)) = exchange.send(&socket) {
            eprintln!("{count} were not sent back: {error}");
        }
    }
}

//! The sockets that dnsd serves on.

use super::{
    tcp::{self, Listener, Speaks},
    tls::Greetings,
    udp::BEAT,
};
use anyhow::Context;
use certificates::Followed;
use config::Dnsd;
use std::{net::SocketAddr, sync::Arc};
use udp::{Blocking, Options};

/// UDP sockets, and threads answering them, per address: one a core, up to this. A guess: sixteen answer some three million
/// queries a second. The kernel spreads the clients.
const MAX_UDP_LOOPS: usize = 16;

/// All of them together, except that each address has one at least: half of the threads that the runtime has for what blocks (512), for
/// files, zones and transfers need some, too.
const MAX_UDP_THREADS: usize = 256;

/// Receive buffer of each of them, as far as the system allows (`net.core.rmem_max`): what arrives while the thread does not run,
/// some thousand queries.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Bound and waiting.
pub struct Sockets {
    /// Several an address.
    pub udp: Vec<Blocking>,
    /// One an address.
    pub tcp: Vec<Listener>,
}

impl Sockets {
    /// Binds all of them, or says which could not be. Must be called inside a tokio runtime.
    pub fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Sockets> {
        anyhow::ensure!(
            addresses.len() <= MAX_UDP_THREADS,
            "dnsd.listen: at most {MAX_UDP_THREADS} addresses"
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let loops = loops(cores, addresses.len());
        let mut sockets = Sockets { udp: Vec::new(), tcp: Vec::new() };
        for address in addresses {
            let listener = tcp::listen(*address).with_context(|| format!("TCP {address}"))?;
            // Port 0 becomes a real one, which UDP takes too.
            let address = listener.local_addr().context("TCP address")?;
            sockets.tcp.push(Listener { socket: listener, speaks: Speaks::Plain });
            for _ in 0..loops {
                let options =
                    Options { reuse_port: true, receive_buffer: RECEIVE_BUFFER, ..Default::default() };
                let socket =
                    Blocking::bind(address, &options, BEAT).with_context(|| format!("UDP {address}"))?;
                sockets.udp.push(socket);
            }
        }
        Ok(sockets)
    }

    /// And those of DNS over TLS and HTTPS.
    pub(super) fn bind_encrypted(
        &mut self,
        dnsd: &Dnsd,
        files: &Arc<Followed<Greetings>>,
    ) -> anyhow::Result<()> {
        let tls = dnsd.tls.iter().flat_map(|tls| &tls.listen);
        let tls = tls.map(|address| (address, Speaks::Tls(files.clone())));
        let https = dnsd.https.iter().map(|address| (address, Speaks::Https(files.clone())));
        for (address, speaks) in tls.chain(https) {
            let socket = tcp::listen(*address).with_context(|| format!("{speaks} {address}"))?;
            self.tcp.push(Listener { socket, speaks });
        }
        Ok(())
    }
}

/// UDP sockets for each address.
fn loops(cores: usize, addresses: usize) -> usize {
    let share = MAX_UDP_THREADS / addresses.max(1);
    cores.min(MAX_UDP_LOOPS).min(share).max(1)
}

/// New queries go to other replicas from here on.
pub(super) fn leave(sockets: &[Arc<Blocking>]) {
    for socket in sockets {
        if let Err(error) = socket.leave() {
            tracing::warn!(%error, "queries may be lost: a socket could not leave its group");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_leave_threads_for_files_and_zones() {
        for (cores, addresses, wanted) in
            [(1, 1, 1), (2, 1, 2), (64, 1, 16), (64, 16, 16), (64, 64, 4), (64, 256, 1)]
        {
            assert_eq!(loops(cores, addresses), wanted, "{cores} cores, {addresses} addresses");
            assert!(wanted * addresses <= MAX_UDP_THREADS);
        }
    }
}

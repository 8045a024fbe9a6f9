//! The shell: sockets, timers and counters around [`Transfers`].
//!
//! One worker a core, each with its own socket on the service port (SO_REUSEPORT: the kernel sends all packets of one
//! client to the same worker) and, unless `single_port`, one more for its transfers. A transfer is an entry in its worker's
//! table, not a task.

use crate::{
    decide::{Path, Refusal},
    files::Root,
    metrics::{Ending, Metrics},
    session::Outgoing,
    transfers::{Incoming, Outcome, Transfer, Transfers},
    wire,
};
use daemon::Pulse;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use udp::{Arrival, Datagram, Options, Socket};

/// How exact retransmission timers are; a scan of ten thousand transfers takes a tenth of a millisecond.
const TICK: Duration = Duration::from_millis(100);
/// Looks at the clock when nothing runs.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Running transfers may end for so long after SIGTERM: a second less than a program has to drain.
const DRAIN: Duration = Duration::from_secs(7);
/// Requests that had arrived when SIGTERM came and are answered still. A guess, above what [`RECEIVE_BUFFER`] holds.
const QUEUE_AT_MOST: usize = 65_536;
/// Requests are at most 512 bytes and ACKs four; longer packets are cut and then fail to parse.
const LARGEST_RECEIVED: usize = 2048;
/// Requests of a boot storm wait here while others are served.
const RECEIVE_BUFFER: usize = 4 << 20;
/// An interface's MTU is asked again after this.
const MTU_AGE: Duration = Duration::from_secs(10);
/// What Ethernet has, for an interface that cannot be asked.
const USUAL_MTU: usize = 1500;

/// One worker of one listen address.
pub struct Worker {
    requests: Arc<Socket>,
    own: Arc<Socket>,
    root: Arc<Root>,
    metrics: Metrics,
    /// With each transfer: where its request arrived.
    transfers: Transfers<Arrival>,
    mtu: HashMap<u32, (usize, Instant)>,
    packet: Vec<u8>,
}

impl Worker {
    /// Binds the worker's sockets.
    ///
    /// # Errors
    /// The address is taken by another user's process, or may not be bound.
    pub fn bind(
        listen: SocketAddr,
        single_port: bool,
        root: Arc<Root>,
        metrics: Metrics,
    ) -> io::Result<Worker> {
        let options = Options { reuse_port: true, receive_buffer: RECEIVE_BUFFER, ..Options::default() };
        let requests = Arc::new(Socket::bind(listen, &options)?);
        let own = match single_port {
            true => requests.clone(),
            false => Arc::new(Socket::bind(
                SocketAddr::new(listen.ip(), 0),
                &Options { reuse_port: false, ..options },
            )?),
        };
        Ok(Worker {
            requests,
            own,
            root,
            metrics,
            transfers: Transfers::default(),
            mtu: HashMap::new(),
            packet: Vec::new(),
        })
    }

    /// Where requests are heard.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.requests.local_address()
    }

    /// Serves until `shutdown`, then until the running transfers have ended, at most seven seconds more.
    ///
    /// # Errors
    /// A socket that cannot be read any more.
    pub async fn run(mut self, shutdown: CancellationToken, pulse: Pulse) -> io::Result<()> {
        let (requests, own) = (self.requests.clone(), self.own.clone());
        let one_socket = Arc::ptr_eq(&requests, &own);
        let (mut request, mut packet) = ([0; LARGEST_RECEIVED], [0; LARGEST_RECEIVED]);
        let mut next_tick = tokio::time::Instant::now();
        let mut cut_off_at = None;
        loop {
            tokio::select! {
                received = requests.receive(&mut request) => {
                    let datagram = received?;
                    self.received(&request[..datagram.length], datagram, one_socket).await;
                }
                received = own.receive(&mut packet), if !one_socket => {
                    let datagram = received?;
                    self.received(&packet[..datagram.length], datagram, true).await;
                }
                () = tokio::time::sleep_until(next_tick) => {
                    pulse.beat();
                    self.tick().await;
                    next_tick += IDLE_TICK;
                }
                () = shutdown.cancelled(), if cut_off_at.is_none() => {
                    self.leave().await;
                    cut_off_at = Some(Instant::now() + DRAIN);
                }
            }
            if cut_off_at.is_some_and(|end| self.transfers.is_empty() || Instant::now() >= end) {
                self.metrics.cut_off(self.transfers.len());
                return Ok(());
            }
            let tick = if self.transfers.is_empty() { IDLE_TICK } else { TICK };
            next_tick = next_tick.min(tokio::time::Instant::now() + tick);
        }
    }

    /// Begins nothing from here on. With a port of their own transfers go on while other replicas hear the requests; those that
    /// had arrived here are answered still. In single-port mode the ACKs of transfers come to the socket that would leave.
    async fn leave(&mut self) {
        if !Arc::ptr_eq(&self.requests, &self.own) {
            if let Err(error) = self.requests.leave() {
                tracing::warn!(%error, "requests may be lost: a socket could not leave its group");
            }
            let requests = self.requests.clone();
            let mut request = [0; LARGEST_RECEIVED];
            for _ in 0..QUEUE_AT_MOST {
                let Ok(datagram) = requests.try_receive(&mut request) else { break };
                self.received(&request[..datagram.length], datagram, false).await;
            }
        }
        self.transfers.drain();
        if !self.transfers.is_empty() {
            tracing::info!(transfers = self.transfers.len(), "transfers that run are finished");
        }
    }

    async fn received(&mut self, bytes: &[u8], datagram: Datagram, own_port: bool) {
        let (peer, now) = (datagram.peer, Instant::now());
        let path = Path { mtu: self.mtu(datagram.arrival.interface, now), ipv6: peer.is_ipv6() };
        // Answers leave from the address that was asked; the routing table knows the way.
        let from = Arrival { interface: 0, ..datagram.arrival };
        let incoming = Incoming { peer, packet: wire::parse(bytes), own_port, path, kept: from };
        let outcome = self.transfers.received(incoming, &self.root.files(), now);
        self.act(peer, from, outcome).await;
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        for peer in self.transfers.due(now) {
            let outcome = self.transfers.timed_out(peer, now, fastrand::f32());
            self.act(peer, Arrival::default(), outcome).await;
        }
    }

    async fn act(&mut self, peer: SocketAddr, from: Arrival, outcome: Outcome<Arrival>) {
        match outcome {
            Outcome::Wait => {}
            Outcome::Silent(silence) => self.metrics.silent(silence),
            Outcome::Ended(transfer, ending) => self.ended(peer, &transfer, ending),
            Outcome::Send => self.send(peer).await,
            Outcome::Repeat => {
                self.metrics.repeated.inc();
                self.send(peer).await;
            }
            Outcome::Began(before) => {
                if let Some(transfer) = before {
                    self.ended(peer, &transfer, Ending::Restarted);
                }
                self.metrics.start();
                self.send(peer).await;
            }
            Outcome::Refuse(code, text, refusal) => {
                self.metrics.refuse(refusal);
                tracing::debug!(%peer, reason = refusal.label(), "refused");
                // Refusals of requests come from the port that was asked, so that no later packet finds a transfer.
                let socket = if refusal == Refusal::UnknownTransfer { &self.own } else { &self.requests };
                count(&self.metrics, socket.send(&wire::error(code, text), peer, Some(from)).await);
            }
        }
    }

    async fn send(&mut self, peer: SocketAddr) {
        let Some(transfer) = self.transfers.get(&peer) else { return };
        let from = Some(transfer.kept);
        match transfer.session.outgoing() {
            Outgoing::OptionAck(packet) => count(&self.metrics, self.own.send(packet, peer, from).await),
            Outgoing::Blocks(blocks) => {
                for (block, payload) in blocks {
                    wire::data(&mut self.packet, block, payload);
                    count(&self.metrics, self.own.send(&self.packet, peer, from).await);
                }
            }
        }
    }

    fn ended(&self, peer: SocketAddr, transfer: &Transfer<Arrival>, ending: Ending) {
        let bytes = transfer.session.acknowledged_bytes();
        self.metrics.bytes.inc_by(bytes);
        self.metrics.end(ending);
        let milliseconds = transfer.began.elapsed().as_millis() as u64;
        tracing::debug!(%peer, file = transfer.file, bytes, milliseconds, ?ending, "a transfer ended");
    }

    fn mtu(&mut self, interface: u32, now: Instant) -> usize {
        match self.mtu.get(&interface) {
            Some((mtu, asked)) if now - *asked < MTU_AGE => *mtu,
            _ => {
                let mtu = ask_mtu(interface).unwrap_or(USUAL_MTU);
                self.mtu.insert(interface, (mtu, now));
                mtu
            }
        }
    }
}

fn ask_mtu(interface: u32) -> Option<usize> {
    let name = nix::net::if_::if_indextoname(interface).ok()?.into_string().ok()?;
    std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?.trim().parse().ok()
}

/// A packet that could not be sent is like one that was lost: the timer sends it again.
fn count(metrics: &Metrics, sent: io::Result<()>) {
    if let Err(error) = sent {
        metrics.send_errors.inc();
        tracing::debug!(%error, "a packet could not be sent");
    }
}

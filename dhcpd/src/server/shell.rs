//! The thin shell around [`decide`]: receive, ask the inventory, decide, send, count.
//!
//! A machine that the replica holds is answered in the loop that received its packet; only a look-up that waits gets a task.
//! So a cluster that boots costs no task a packet, and a smd-cache that does not answer holds nobody up.

use super::{
    interfaces::Interface,
    lending::{Book, Lending},
    quiet::Quiet,
    sockets::{Listener, Sockets},
};
use crate::{
    config::Config,
    decide::{
        Arrival, Decision, Destination, Facts, Note, Outcome, OwnAddress, Reply, Silent, decide, key, unasked,
    },
    hosts::Hosts,
    metrics::{Dropped, Metrics, Sent},
    unknown::{Sighting, Unknown},
    wire::{self, Message},
};
use arc_swap::ArcSwap;
use futures::FutureExt;
use inventory::{Inventory, Lookup};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use tracing::field::{DisplayValue, display};
use values::Mac;

/// How long a packet may take: above the look-up's own 300 ms, well below the second after which clients ask again.
pub const PACKET_DEADLINE: Duration = Duration::from_millis(400);

/// Requests that may wait at the same time. A guess: at the deadline above it is 2,500 a second that smd-cache would have to
/// leave unanswered; each is a task of about 2 kB.
pub const IN_FLIGHT: usize = 1024;

/// What every packet needs; one for the whole program.
pub struct Shell {
    /// Replaced on SIGHUP.
    pub config: ArcSwap<Config>,
    /// Replaced when the hosts file changes.
    pub hosts: Arc<ArcSwap<Hosts>>,
    /// Replaced when interfaces change.
    pub network: ArcSwap<Network>,
    /// The open sockets.
    pub sockets: Sockets,
    /// Who asked in vain.
    pub unknown: Unknown,
    /// Counters.
    pub metrics: Metrics,
    /// Logs that clients trigger.
    pub quiet: Quiet,
    /// Requests that wait; joined when the program ends.
    pub waiting: TaskTracker,
    /// Whom to ask.
    pub inventory: Inventory,
    /// What machines are lent that SMD does not know; `None`: they are not served.
    pub lending: Option<Arc<Lending>>,
    permits: Arc<Semaphore>,
}

/// Our interfaces and their addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// By name.
    pub interfaces: Vec<Interface>,
    /// Of all of them.
    pub ours: Vec<OwnAddress>,
}

/// A message and where it came from.
pub struct Request {
    message: Message,
    arrival: Arrival,
    listener: Arc<Listener>,
}

/// Keeps a place among [`IN_FLIGHT`].
struct Waiting {
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

impl Shell {
    /// Without sockets yet.
    pub fn new(
        config: Config,
        inventory: Inventory,
        metrics: Metrics,
        lending: Option<Arc<Lending>>,
    ) -> Shell {
        Shell {
            config: ArcSwap::from_pointee(config),
            hosts: Arc::default(),
            network: ArcSwap::default(),
            sockets: Sockets::default(),
            unknown: Unknown::default(),
            metrics,
            quiet: Quiet::default(),
            waiting: TaskTracker::new(),
            inventory,
            lending,
            permits: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// One datagram. Never waits, and never panics: a mistake of ours costs the packet that found it.
    pub fn packet(self: &Arc<Self>, listener: &Arc<Listener>, bytes: &[u8], datagram: &udp::Datagram) {
        self.guarded(|| self.receive(listener, bytes, datagram));
    }

    pub(super) fn guarded(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.panicked();
        }
    }

    fn receive(self: &Arc<Self>, listener: &Arc<Listener>, bytes: &[u8], datagram: &udp::Datagram) {
        let Some(arrival) = arrival(listener, datagram) else { return };
        let message = match wire::parse(bytes) {
            Ok(message) => message,
            Err(refused) => {
                tracing::debug!(source = %arrival.source, reason = refused.label(), "no DHCP request");
                return self.metrics.refused(refused);
            }
        };
        let key = key(&self.config.load(), &message, &arrival, &self.network.load().ours);
        if key == Err(Silent::NotForUs) {
            // A broadcast that the interface's own socket hears as well: counted there as a request.
            return self.metrics.silent(Silent::NotForUs);
        }
        self.metrics.request(message.message_type());
        let request = Request { message, arrival, listener: listener.clone() };
        match key {
            Err(silent) => {
                let decision = unasked(&request.message, silent);
                let lending = self.lending.as_ref().filter(|_| !decision.updates.is_empty());
                self.settle(request, decision, lending.map(|lending| lending.book()));
            }
            Ok(mac) => match self.inventory.peek(&mac) {
                Some(lookup) => self.answer(request, &lookup),
                None => self.ask(request, mac),
            },
        }
    }

    /// A look-up that waits.
    fn ask(self: &Arc<Self>, request: Request, mac: Mac) {
        let Some(waiting) = self.wait() else { return };
        let shell = self.clone();
        self.waiting.spawn(async move {
            let _waiting = waiting;
            let worked = AssertUnwindSafe(async {
                match timeout(PACKET_DEADLINE, shell.inventory.lookup(mac)).await {
                    Ok(lookup) => shell.answer(request, &lookup),
                    Err(_) => shell.metrics.dropped(Dropped::Deadline),
                }
            });
            if worked.catch_unwind().await.is_err() {
                shell.panicked();
            }
        });
    }

    fn answer(self: &Arc<Self>, request: Request, lookup: &Lookup<inventory::Interface>) {
        let book = self.lending.as_ref().map(|lending| lending.book());
        let decision = {
            let (network, hosts) = (self.network.load(), self.hosts.load());
            let leases = book.as_ref().map(|book| &book.leases);
            let facts = Facts { lookup, ours: &network.ours, hosts: &hosts, leases };
            decide(&self.config.load(), &request.message, &request.arrival, &facts)
        };
        self.settle(request, decision, book);
    }

    /// Does what was decided. What promises a lease is sent when that is on disk.
    fn settle(self: &Arc<Self>, request: Request, decision: Decision, book: Option<MutexGuard<'_, Book>>) {
        let Decision { outcome, notes, updates } = decision;
        let book = book.filter(|_| !updates.is_empty()); // else let go of before anything is logged
        for note in &notes {
            self.note(&request, note);
        }
        let (request, reply) = match outcome {
            Outcome::Silent(silent) => {
                self.stay_silent(&request, silent);
                (request, None)
            }
            Outcome::Reply(reply) => (request, Some(reply)),
        };
        let ready = match book {
            Some(mut book) => book.settle(self, &updates, request, reply),
            None => reply.map(|reply| (request, reply)),
        };
        if let Some((request, reply)) = ready {
            self.reply(&request, &reply);
        }
    }

    fn stay_silent(&self, request: &Request, silent: Silent) {
        self.metrics.silent(silent);
        tracing::debug!(mac = mac(&request.message), reason = silent.label(), "no answer");
    }

    pub(super) fn reply(self: &Arc<Self>, request: &Request, reply: &Reply) {
        self.metrics.reply(reply.message_type);
        tracing::debug!(mac = mac(&request.message), kind = ?reply.message_type, to = %reply.destination, "answer");
        let bytes = reply.encode();
        let port = request.listener.port;
        match reply.destination {
            Destination::Unicast(to) => self.unicast(request, reply.source, to, bytes),
            Destination::Broadcast { interface, port: to } => {
                self.broadcast(request, reply.source, interface, to, bytes);
            }
            Destination::Link { mac, address, interface } => {
                let source = SocketAddrV4::new(reply.source, port);
                if !self.frame(interface, source, mac, address, &bytes) {
                    self.broadcast(request, reply.source, interface, address.port(), bytes);
                }
            }
        }
    }

    /// Relayed replies leave by the socket that is bound to no interface: the way back to a relay is the routing table's.
    fn unicast(self: &Arc<Self>, request: &Request, source: Ipv4Addr, to: SocketAddrV4, bytes: Vec<u8>) {
        let routed = match request.message.giaddr.is_unspecified() {
            true => None,
            false => self.sockets.routed(request.listener.port, source),
        };
        let listener = routed.unwrap_or_else(|| request.listener.clone());
        self.send(listener, to, from(source, 0), bytes, Sent::Unicast);
    }

    fn broadcast(
        self: &Arc<Self>,
        request: &Request,
        source: Ipv4Addr,
        interface: u32,
        port: u16,
        bytes: Vec<u8>,
    ) {
        let own = self.sockets.on_interface(interface, request.listener.port);
        let listener = own.unwrap_or_else(|| request.listener.clone());
        let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, port);
        self.send(listener, everybody, from(source, interface), bytes, Sent::Broadcast);
    }

    /// Whether a frame was sent.
    fn frame(&self, interface: u32, source: SocketAddrV4, mac: Mac, to: SocketAddrV4, bytes: &[u8]) -> bool {
        let listener = self.sockets.on_interface(interface, source.port());
        let Some(link) = listener.as_ref().and_then(|listener| listener.link.as_ref()) else { return false };
        let sent = link.send(bytes, source, mac, to);
        if let Err(error) = &sent {
            self.send_failed(Sent::Link, to.into(), error);
        }
        sent.is_ok()
    }

    fn send(
        self: &Arc<Self>,
        listener: Arc<Listener>,
        to: SocketAddrV4,
        from: udp::Arrival,
        bytes: Vec<u8>,
        way: Sent,
    ) {
        match listener.socket.try_send(&bytes, to.into(), Some(from)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.send_later(listener, to, from, bytes, way);
            }
            Err(error) => self.send_failed(way, to.into(), &error),
        }
    }

    /// The socket's buffer is full: wait for room, within the time a packet has.
    fn send_later(
        self: &Arc<Self>,
        listener: Arc<Listener>,
        to: SocketAddrV4,
        from: udp::Arrival,
        bytes: Vec<u8>,
        way: Sent,
    ) {
        let Some(waiting) = self.wait() else { return };
        let shell = self.clone();
        self.waiting.spawn(async move {
            let _waiting = waiting;
            match timeout(PACKET_DEADLINE, listener.socket.send(&bytes, to.into(), Some(from))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => shell.send_failed(way, to.into(), &error),
                Err(_) => shell.metrics.dropped(Dropped::Deadline),
            }
        });
    }

    /// A place among those that wait; `None`, counted, when all are taken.
    fn wait(&self) -> Option<Waiting> {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            self.metrics.dropped(Dropped::Overload);
            if let Some(left_out) = self.quiet.admit("overload", Instant::now()) {
                tracing::warn!(
                    limit = IN_FLIGHT,
                    left_out,
                    "too many requests wait for the inventory: one is dropped"
                );
            }
            return None;
        };
        self.metrics.in_flight.inc();
        Some(Waiting { metrics: self.metrics.clone(), _permit: permit })
    }

    /// Takes every place among those that wait.
    #[cfg(test)]
    pub fn wait_for_all(&self) -> OwnedSemaphorePermit {
        self.permits.clone().try_acquire_many_owned(IN_FLIGHT as u32).expect("nobody waits yet")
    }

    fn send_failed(&self, way: Sent, to: SocketAddr, error: &io::Error) {
        self.metrics.send_error(way);
        if let Some(left_out) = self.quiet.admit("send", Instant::now()) {
            tracing::warn!(%to, %error, ?way, left_out, "an answer could not be sent");
        }
    }

    fn panicked(&self) {
        self.metrics.dropped(Dropped::Panic);
        if let Some(left_out) = self.quiet.admit("panic", Instant::now()) {
            tracing::error!(left_out, "a packet made us panic and was dropped; please report this");
        }
    }

    fn note(&self, request: &Request, note: &Note) {
        self.metrics.note(note);
        let worth_telling = match note {
            Note::UnknownMac(mac) => self.remember(request, *mac),
            Note::PoolExhausted { subnet } => {
                self.lending.as_ref().is_some_and(|lending| lending.is_first_exhaustion(*subnet))
            }
            _ => true,
        };
        let left_out = match worth_telling {
            true => self.quiet.admit(note.label(), Instant::now()),
            false => None,
        };
        if let Some(left_out) = left_out {
            tell(request, note, left_out);
        }
    }

    /// Whether this MAC was not on the list yet.
    fn remember(&self, request: &Request, mac: Mac) -> bool {
        let network = self.network.load();
        let interface = network.interfaces.iter().find(|one| one.index == request.arrival.interface);
        let sighting = Sighting {
            mac,
            relay: Some(request.message.giaddr).filter(|relay| !relay.is_unspecified()),
            interface: interface.map(|interface| interface.name.clone()),
            vendor_class: request.message.vendor_class(),
            architecture: request.message.architectures().next(),
        };
        let (held, new) = self.unknown.record(sighting, jiff::Timestamp::now());
        self.metrics.unknown_macs.set(held as i64);
        new
    }
}

/// A note as a sentence.
fn tell(request: &Request, note: &Note, left_out: u32) {
    let Request { message, arrival, .. } = request;
    let mac = mac(message);
    let relay = Some(message.giaddr).filter(|relay| !relay.is_unspecified()).map(display);
    match note {
        Note::UnknownMac(mac) => {
            tracing::info!(%mac, relay, left_out, "an unknown MAC asks for an address; see `dhcpd unknown`");
        }
        Note::UnconfiguredSubnet { link } => {
            tracing::warn!(mac, %link, left_out, "relayed from a subnet that nobody configured: its first address was given");
        }
        Note::OffLink { address } => {
            let interface = arrival.interface;
            tracing::warn!(mac, %address, interface, left_out, "no address of this machine is of the interface it was heard on: its first was given");
        }
        Note::NoAddressThere { link } => {
            tracing::warn!(mac, %link, left_out, "SMD has no address for this machine in the subnet it asks from");
        }
        Note::Conflict { address } => {
            tracing::warn!(mac, %address, left_out, "the machine declined its address: another one uses it");
        }
        Note::Released { address } => tracing::debug!(mac, %address, "released"),
        Note::NoLoader { architecture } => {
            tracing::warn!(
                mac,
                architecture,
                left_out,
                "there is no boot loader for this architecture in `boot.loaders`"
            );
        }
        Note::PoolExhausted { subnet } => {
            tracing::error!(mac, %subnet, "the pool is exhausted: unknown machines of this subnet get no address until one is free");
        }
        Note::Leased { address, holder } => {
            tracing::warn!(
                mac,
                %address,
                %holder,
                left_out,
                "SMD gives this machine an address that another one has from a pool; it is served as soon as that one asks again, \
                 at most one lease time from now"
            );
        }
        Note::LeftOut { codes } => {
            tracing::warn!(mac, ?codes, left_out, "options did not fit into what the client accepts");
        }
    }
}

/// Who asks, for logs.
fn mac(message: &Message) -> Option<DisplayValue<Mac>> {
    message.mac().map(display)
}

/// Where it arrived, as decisions want it. `None`: not IPv4, which such a socket does not receive.
fn arrival(listener: &Listener, datagram: &udp::Datagram) -> Option<Arrival> {
    let SocketAddr::V4(source) = datagram.peer else { return None };
    let destination = match datagram.arrival.address {
        Some(IpAddr::V4(address)) => address,
        _ => return None,
    };
    let relay_socket = listener.device().is_none();
    Some(Arrival { interface: datagram.arrival.interface, source, destination, relay_socket })
}

/// The source of an answer.
fn from(source: Ipv4Addr, interface: u32) -> udp::Arrival {
    let local = (!source.is_unspecified()).then_some(source.into());
    udp::Arrival { address: None, local, interface }
}

//! The sockets that are open, and the steps by which they are opened.
//!
//! Linux lets two UDP sockets share port 67 when they are bound to different interfaces, but one that is bound to none
//! overlaps all of them unless each has SO_REUSEADDR. And it copies a broadcast to every socket that matches, so a second
//! dhcpd on the host must not be let in unseen. Hence: device-bound sockets are bound first, without SO_REUSEADDR: any other
//! server's socket makes that fail. Then it is set on all of ours, the unbound one is bound beside them, and it is cleared on
//! all: from here on nobody else can bind the port.

use super::{
    interfaces::{Device, Wanted},
    link::Link,
};
use arc_swap::ArcSwap;
use nix::errno::Errno;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;
use udp::{Drops, Options, Socket};

/// Ten thousand machines that boot together send as many messages within a second or two; with what the kernel counts for
/// each (about 800 bytes) that is 8 MB. The kernel gives at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 8 << 20;

/// What a socket is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Clients on one interface.
    Device(Device),
    /// Relays anywhere, and clients that have their address.
    Relay(SocketAddrV4),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Device(device) => write!(f, "%{}:{}", device.name, device.port),
            Place::Relay(address) => write!(f, "{address}"),
        }
    }
}

/// An open socket.
#[derive(Debug)]
pub struct Listener {
    /// What it is there for.
    pub place: Place,
    /// UDP.
    pub socket: Socket,
    /// Frames, where the interface is an Ethernet.
    pub link: Option<Link>,
    /// The UDP port it is bound to.
    pub port: u16,
    /// Cancelled when it is not wanted any more.
    pub closed: CancellationToken,
    turned: AtomicBool,
    dropped: AtomicU64,
}

impl Listener {
    fn open(place: Place, reuse_address: bool) -> io::Result<Listener> {
        let (address, device, link) = match &place {
            Place::Device(device) => {
                let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, device.port);
                (address, Some(device.name.clone()), device.link.map(Link::open).transpose()?)
            }
            Place::Relay(address) => (*address, None, None),
        };
        let options = Options {
            reuse_address,
            device,
            broadcast: true,
            receive_buffer: RECEIVE_BUFFER,
            ..Options::default()
        };
        let socket = Socket::bind(address.into(), &options)?;
        let port = socket.local_address()?.port();
        Ok(Listener {
            place,
            socket,
            link,
            port,
            closed: CancellationToken::new(),
            turned: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
        })
    }

    /// The interface it is bound to.
    pub fn device(&self) -> Option<&Device> {
        match &self.place {
            Place::Device(device) => Some(device),
            Place::Relay(_) => None,
        }
    }

    /// Called by its loop at least once a second.
    pub fn turn(&self) {
        self.turned.store(true, Ordering::Relaxed);
    }
}

/// What `reconcile` did.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Opened just now: a loop must be started for each.
    pub opened: Vec<Arc<Listener>>,
    /// What could not be opened, and why.
    pub failed: Vec<(Place, io::Error)>,
    /// There are interfaces to serve, but without CAP_NET_RAW only relays are.
    pub relays_only: bool,
}

/// The sockets that are open. Read for every packet, changed when interfaces come and go.
#[derive(Debug, Default)]
pub struct Sockets {
    open: ArcSwap<Vec<Arc<Listener>>>,
    /// CAP_NET_RAW is missing, which does not change while the process lives.
    relays_only: AtomicBool,
}

impl Sockets {
    /// Those that are open now.
    pub fn open(&self) -> Arc<Vec<Arc<Listener>>> {
        self.open.load_full()
    }

    /// Opens what is missing and then closes what is not wanted any more, so that a socket that takes another's place (the
    /// interface has a new name or MAC) stands beside it before that goes, and nobody else gets the port. One caller at a time.
    pub fn reconcile(&self, wanted: &Wanted) -> Reconciled {
        let places = self.places(wanted);
        let mut open = self.open().to_vec();
        let relays_only = self.relays_only.load(Ordering::Relaxed) && !wanted.devices.is_empty();
        let mut reconciled = Reconciled { relays_only, ..Reconciled::default() };
        for place in &places {
            if open.iter().any(|listener| listener.place == *place) {
                continue;
            }
            match open_beside(&open, place.clone()) {
                Ok(listener) => {
                    tracing::info!(%place, "listening");
                    let listener = Arc::new(listener);
                    open.push(listener.clone());
                    reconciled.opened.push(listener);
                }
                // Opening a packet socket or binding to a device is refused with EPERM, port 67 with EACCES.
                Err(error) if matches!(place, Place::Device(_)) && is(&error, Errno::EPERM) => {
                    self.relays_only.store(true, Ordering::Relaxed);
                    return self.reconcile(wanted);
                }
                Err(error) => reconciled.failed.push((place.clone(), error)),
            }
        }
        let (open, unwanted): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|listener| places.contains(&listener.place));
        self.open.store(Arc::new(open));
        for listener in unwanted {
            tracing::info!(place = %listener.place, "no longer listening");
            listener.closed.cancel();
        }
        reconciled
    }

    /// What is to be open. Without CAP_NET_RAW, relays that come through an interface are heard without being bound to it.
    fn places(&self, wanted: &Wanted) -> Vec<Place> {
        let mut relays = wanted.relays.clone();
        if self.relays_only.load(Ordering::Relaxed) {
            let anywhere = |device: &Device| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, device.port);
            relays.extend(wanted.devices.iter().map(anywhere));
            return relays.into_iter().map(Place::Relay).collect();
        }
        let devices = wanted.devices.iter().cloned().map(Place::Device);
        devices.chain(relays.into_iter().map(Place::Relay)).collect()
    }

    /// The socket for a reply that is routed: one bound to no interface, because the way to a relay need not be the
    /// way it came. `None`: there is none with that port.
    pub fn routed(&self, port: u16, source: Ipv4Addr) -> Option<Arc<Listener>> {
        let open = self.open.load();
        let with_address = |wanted: Ipv4Addr| {
            open.iter().find(|listener| match listener.place {
                Place::Relay(address) => *address.ip() == wanted && listener.port == port,
                Place::Device(_) => false,
            })
        };
        with_address(source).or_else(|| with_address(Ipv4Addr::UNSPECIFIED)).cloned()
    }

    /// The socket on an interface.
    pub fn on_interface(&self, index: u32, port: u16) -> Option<Arc<Listener>> {
        let open = self.open.load();
        let fits = |device: &Device| device.index == index && device.port == port;
        open.iter().find(|listener| listener.device().is_some_and(fits)).cloned()
    }

    /// Whether the loops of all sockets turned since this was asked last.
    pub fn all_turned(&self) -> bool {
        // Every one is asked, so that all are asked anew the next time.
        let hanging = |listener: &&Arc<Listener>| !listener.turned.swap(false, Ordering::Relaxed);
        self.open.load().iter().filter(hanging).count() == 0
    }

    /// What the kernel dropped since this was asked last, because our buffers were full.
    pub fn dropped(&self) -> io::Result<u64> {
        let drops = Drops::read()?;
        let new = |listener: &Arc<Listener>| {
            let all = drops.of(&listener.socket)?;
            Ok(all.saturating_sub(listener.dropped.swap(all, Ordering::Relaxed)))
        };
        self.open.load().iter().map(new).sum()
    }

    /// The addresses sockets are bound to.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.open.load().iter().filter_map(|listener| listener.socket.local_address().ok()).collect()
    }
}

/// Opens a socket beside those we have. Only where it overlaps one of ours is SO_REUSEADDR needed, and then only meanwhile.
fn open_beside(ours: &[Arc<Listener>], place: Place) -> io::Result<Listener> {
    let overlaps = |other: &Arc<Listener>| match (&place, &other.place) {
        (Place::Device(device), Place::Device(other)) => device.index == other.index,
        _ => true,
    };
    let reuse = ours.iter().any(overlaps);
    for listener in ours.iter().filter(|_| reuse) {
        listener.socket.set_reuse_address(true)?;
    }
    let opened = Listener::open(place, reuse);
    for socket in ours.iter().map(|listener| &listener.socket).chain(opened.as_ref().map(|new| &new.socket)) {
        socket.set_reuse_address(false)?;
    }
    opened
}

/// Nobody else's fault: gone or not there yet; the next round tries again.
pub fn is_passing(error: &io::Error) -> bool {
    [Errno::ENODEV, Errno::EADDRNOTAVAIL, Errno::ENETDOWN].into_iter().any(|passing| is(error, passing))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(addresses: &[SocketAddrV4]) -> Wanted {
        Wanted { relays: addresses.iter().copied().collect(), ..Wanted::default() }
    }

    fn loopback(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    #[tokio::test]
    async fn a_second_server_fails_to_bind() {
        let first = Sockets::default();
        assert_eq!(first.reconcile(&relays(&[loopback(0)])).opened.len(), 1);
        let port = first.addresses()[0].port();
        let second = Sockets::default();
        for address in [loopback(port), SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)] {
            let refused = second.reconcile(&relays(&[address]));
            assert_eq!(refused.failed[0].1.kind(), io::ErrorKind::AddrInUse);
            assert!(second.addresses().is_empty());
        }
    }

    #[tokio::test]
    async fn our_own_sockets_may_overlap_and_are_closed_to_others_afterwards() {
        let sockets = Sockets::default();
        sockets.reconcile(&relays(&[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)]));
        let port = sockets.addresses()[0].port();
        let both = [SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), loopback(port)];
        let reconciled = sockets.reconcile(&relays(&both));
        assert_eq!((reconciled.opened.len(), reconciled.failed.len()), (1, 0));
        assert_eq!(sockets.addresses().len(), 2);
        let second = Sockets::default().reconcile(&relays(&["127.0.0.2:0".parse().unwrap(), loopback(port)]));
        assert_eq!(second.failed[0].1.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_closed_and_the_rest_is_left_alone() {
        let sockets = Sockets::default();
        sockets.reconcile(&relays(&[loopback(0), "127.0.0.2:0".parse().unwrap()]));
        let kept = sockets.addresses()[0];
        let gone = sockets.open()[1].clone();
        assert!(sockets.reconcile(&relays(&[loopback(0)])).opened.is_empty());
        assert_eq!(sockets.addresses(), [kept]);
        assert!(gone.closed.is_cancelled());
    }

    #[tokio::test]
    async fn a_socket_takes_the_place_of_another_while_that_is_still_open() {
        let sockets = Sockets::default();
        sockets.reconcile(&relays(&[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)]));
        let (port, before) = (sockets.addresses()[0].port(), sockets.open()[0].clone());
        let reconciled = sockets.reconcile(&relays(&[loopback(port)]));
        assert_eq!((reconciled.opened.len(), reconciled.failed.len()), (1, 0));
        assert_eq!(sockets.addresses(), [SocketAddr::from(loopback(port))]);
        assert!(before.closed.is_cancelled());
        let second = Sockets::default().reconcile(&relays(&[loopback(port)]));
        assert_eq!(second.failed[0].1.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_reply_is_routed_by_the_socket_of_its_source_address() {
        let sockets = Sockets::default();
        sockets.reconcile(&relays(&[loopback(0)]));
        let port = sockets.addresses()[0].port();
        assert!(sockets.routed(port, Ipv4Addr::LOCALHOST).is_some());
        assert!(sockets.routed(port, Ipv4Addr::new(10, 0, 0, 1)).is_none());
        assert!(sockets.routed(port.wrapping_add(1), Ipv4Addr::LOCALHOST).is_none());
        assert!(sockets.on_interface(1, port).is_none());
    }

    #[tokio::test]
    async fn without_the_right_to_frames_relays_are_heard_all_the_same() {
        let device = Device { name: "lo".into(), index: 1, link: None, port: 0 };
        let wanted = Wanted { devices: vec![device], ..Wanted::default() };
        let sockets = Sockets { relays_only: AtomicBool::new(true), ..Sockets::default() };
        let reconciled = sockets.reconcile(&wanted);
        assert!(reconciled.relays_only);
        assert_eq!(reconciled.opened[0].place, Place::Relay(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)));
        let again = sockets.reconcile(&wanted);
        assert!(again.relays_only && again.opened.is_empty() && sockets.addresses().len() == 1);
    }

    #[tokio::test]
    async fn a_loop_that_does_not_turn_is_noticed() {
        let sockets = Sockets::default();
        sockets.reconcile(&relays(&[loopback(0), "127.0.0.2:0".parse().unwrap()]));
        assert!(sockets.all_turned());
        sockets.open()[0].turn();
        assert!(!sockets.all_turned());
        sockets.open().iter().for_each(|listener| listener.turn());
        assert!(sockets.all_turned());
    }
}

//! TCP, whatever is spoken over it: connections are accepted, get a place or are closed, and are handed on.

use super::{
    DEAD_AFTER, Service, https, pause,
    places::{Place, Places, limits},
    stream::converse,
    tls::{Greetings, greet},
};
use crate::{
    access::Client,
    forward,
    metrics::Count,
    wire::{IDLE, IDLE_ENCRYPTED, Transport},
};
use certificates::Followed;
use daemon::Pulse;
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// What a listener lets queue up before `accept`; the usual ceiling of the kernel's default.
const BACKLOG: u32 = 1024;

/// What the kernel keeps of answers that a client does not take, and of queries we do not read: it would let them grow to megabytes
/// for each connection. A guess: two of the longest answers there are. The kernel doubles it.
const KERNEL_BUFFER: u32 = 128 * 1024;

/// Answers waited for at once, over all streams; past it they wait for their turn. As on UDP, those that forwarders are asked for
/// leave as many to the inventory.
const MAX_WAITING: usize = 1024 + forward::MAX_WAITING;

/// The bounds on connections.
#[derive(Clone)]
pub struct Connections {
    plain: Places,
    encrypted: Places,
    waiting: Arc<Semaphore>,
}

impl Connections {
    /// As many as file descriptors allow.
    pub fn with_files(files: usize) -> Connections {
        let (plain, encrypted) = limits(files);
        Connections {
            plain: Places::new(plain, IDLE),
            encrypted: Places::new(encrypted, IDLE_ENCRYPTED),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Tells them that the program ends, and waits for them.
    pub(super) async fn finish(&self) {
        tokio::join!(self.plain.finish(), self.encrypted.finish());
    }
}

/// What is spoken over connections to a listener.
#[derive(Debug, Clone)]
pub enum Speaks {
    /// RFC 7766.
    Plain,
    /// RFC 7858.
    Tls(Arc<Followed<Greetings>>),
    /// RFC 8484.
    Https(Arc<Followed<Greetings>>),
}

impl Speaks {
    fn transport(&self) -> Transport {
        match self {
            Speaks::Plain => Transport::Tcp,
            Speaks::Tls(_) => Transport::Tls,
            Speaks::Https(_) => Transport::Https,
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Speaks::Plain => "UDP and TCP",
            Speaks::Tls(_) => "TLS",
            Speaks::Https(_) => "HTTPS",
        })
    }
}

/// Bound and waiting.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Over it.
    pub speaks: Speaks,
}

/// Replicas share the port (SO_REUSEPORT); `[::]` leaves IPv4 to `0.0.0.0`. Connections inherit the options.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    // Answers are whole writes; waiting for more to send would only delay them.
    socket.set_nodelay(true)?;
    socket.set_send_buffer_size(KERNEL_BUFFER)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until told to stop, and then who is queued.
pub(super) async fn serve(
    service: Arc<Service>,
    Listener { socket, speaks }: Listener,
    connections: Connections,
    pulse: Pulse,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut errors = 0;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = beat.tick() => {
                pulse.beat();
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                errors = 0;
                admit(&service, &speaks, stream, peer.ip(), &connections);
            }
            Err(error) if errors >= DEAD_AFTER => return Err(error),
            Err(error) => {
                errors += 1;
                tracing::warn!(%error, "accepting a connection failed");
                pause().await;
            }
        }
    }
    // For their clients those in the queue are connected, and have asked already: closing the listener would reset them.
    let queue = socket.into_std()?;
    let queued = (0..BACKLOG).map_while(|_| queue.accept().ok());
    for (stream, peer) in queued {
        stream.set_nonblocking(true)?;
        admit(&service, &speaks, TcpStream::from_std(stream)?, peer.ip(), &connections);
    }
    Ok(())
}

/// Without a place a connection is closed at once. Each kind has a task of its own size: that of HTTP/2 is ten times that of TCP.
fn admit(
    service: &Arc<Service>,
    speaks: &Speaks,
    stream: TcpStream,
    client: IpAddr,
    connections: &Connections,
) {
    let places = if matches!(speaks, Speaks::Plain) { &connections.plain } else { &connections.encrypted };
    let place = match places.take(client) {
        Ok(place) => place,
        Err(reason) => return service.metrics.dropped(reason),
    };
    let client = Client { address: client, transport: speaks.transport() };
    let guest = Guest { service: service.clone(), client, place, waiting: connections.waiting.clone() };
    service.metrics.opened(client.transport);
    match speaks {
        Speaks::Plain => places.tasks().spawn(guest.plain(stream)),
        Speaks::Tls(files) => places.tasks().spawn(guest.tls(stream, files.current())),
        Speaks::Https(files) => places.tasks().spawn(guest.https(stream, files.current())),
    };
}

/// Who was given a place.
struct Guest {
    service: Arc<Service>,
    client: Client,
    place: Place,
    waiting: Arc<Semaphore>,
}

impl Guest {
    async fn plain(self, stream: TcpStream) {
        converse(&self.service, stream, self.client, &self.place, &self.waiting).await;
        self.service.metrics.closed(self.client.transport);
    }

    async fn tls(self, stream: TcpStream, greetings: Arc<Greetings>) {
        let metrics = &self.service.metrics;
        if let Some(stream) = greet(greetings.dot.clone(), stream, &self.place, metrics).await {
            converse(&self.service, stream, self.client, &self.place, &self.waiting).await;
        }
        metrics.closed(self.client.transport);
    }

    async fn https(self, stream: TcpStream, greetings: Arc<Greetings>) {
        let Guest { service, client, place, waiting } = self;
        let metrics = &service.metrics;
        if let Some(stream) = greet(greetings.doh.clone(), stream, &place, metrics).await {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let desk = Arc::new(https::Desk::new(service.clone(), client, place, waiting));
            https::converse(desk, stream, http2).await;
        }
        metrics.closed(client.transport);
    }
}

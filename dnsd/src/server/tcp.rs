//! TCP, whatever is spoken over it: connections are accepted, get a place or are closed, and are handed on.

use super::{DEAD_AFTER, Service, pause, places::Places, stream::converse};
use crate::{access::Client, metrics::Count, wire::Transport};
use daemon::Pulse;
use std::{
    io,
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

/// Answers waited for at once, over all streams; past it they wait for their turn. As on UDP.
const MAX_WAITING: usize = 1024;

/// The bounds on connections.
#[derive(Clone)]
pub struct Connections {
    plain: Places,
    waiting: Arc<Semaphore>,
}

impl Connections {
    /// So many of TCP.
    pub fn new(plain: usize) -> Connections {
        Connections { plain: Places::new(plain), waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    /// Tells them that the program ends, and waits for them.
    pub(super) async fn finish(&self) {
        self.plain.finish().await;
    }
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

/// Accepts until told to stop.
pub(super) async fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    connections: Connections,
    pulse: Pulse,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut errors = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = beat.tick() => {
                pulse.beat();
                continue;
            }
            () = shutdown.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                errors = 0;
                admit(&service, stream, peer.ip(), &connections);
            }
            Err(error) if errors >= DEAD_AFTER => return Err(error),
            Err(error) => {
                errors += 1;
                tracing::warn!(%error, "accepting a connection failed");
                pause().await;
            }
        }
    }
}

/// Without a place a connection is closed at once.
fn admit(service: &Arc<Service>, stream: TcpStream, client: IpAddr, connections: &Connections) {
    let place = match connections.plain.take(client) {
        Ok(place) => place,
        Err(reason) => return service.metrics.dropped(reason),
    };
    let (service, waiting) = (service.clone(), connections.waiting.clone());
    connections.plain.tasks().spawn(async move {
        service.metrics.opened(Transport::Tcp);
        let client = Client { address: client, transport: Transport::Tcp };
        converse(&service, stream, client, &place, &waiting).await;
        service.metrics.closed(Transport::Tcp);
        drop(place);
    });
}

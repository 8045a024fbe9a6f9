//! TCP (RFC 7766): any number of queries on a connection, also pipelined, answered in their order.

use super::{DEAD_AFTER, Service, pause, udp::MAX_QUERY};
use crate::{
    access::Client,
    metrics::{Count, Dropped},
    wire::Transport,
};
use daemon::Pulse;
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once. A guess: half of the 1024 file descriptors a process usually has.
const MAX_CONNECTIONS: usize = 512;

/// Connections of one client address: one or two each are what clients should need (RFC 7766 §6.2.2), but many may stand behind
/// one address. A guess that leaves room for others whatever one of them does.
const MAX_OF_CLIENT: usize = 64;

/// How long a client may take for its next whole query, or to take an answer: what NSD and Knot allow, about (RFC 7766 §6.2.3
/// asks for seconds).
const IDLE: Duration = Duration::from_secs(10);

/// Most queries are below 100 bytes; a few pipelined ones fit.
const READ_BUFFER: usize = 1024;

/// The bounds on connections.
#[derive(Clone)]
pub struct Connections {
    permits: Arc<Semaphore>,
    of_client: Arc<Mutex<HashMap<IpAddr, usize>>>,
    tasks: TaskTracker,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            of_client: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }
}

/// A connection's place among those of its client and of all.
struct Place {
    client: IpAddr,
    of_client: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_client = self.of_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                of_client.remove(&self.client);
            }
        }
    }
}

impl Connections {
    /// `None` where there is no room.
    fn place(&self, client: IpAddr) -> Option<Place> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let mut of_client = self.of_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of_client.entry(client).or_default();
        if *count >= MAX_OF_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place { client, of_client: self.of_client.clone(), _permit: permit })
    }

    /// Waits for those that are left.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
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
                admit(&service, stream, peer.ip(), &connections, &shutdown);
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

/// Over the bound a connection is closed at once: those that are open are worth more.
fn admit(
    service: &Arc<Service>,
    stream: TcpStream,
    client: IpAddr,
    connections: &Connections,
    shutdown: &CancellationToken,
) {
    let Some(place) = connections.place(client) else {
        service.metrics.dropped(Dropped::Connections);
        return;
    };
    // Answers are whole writes; waiting for more to send would only delay them.
    _ = stream.set_nodelay(true);
    let (service, shutdown) = (service.clone(), shutdown.clone());
    connections.tasks.spawn(async move {
        service.metrics.accepted.inc();
        service.metrics.connections.inc();
        converse(&service, stream, Client { address: client, transport: Transport::Tcp }, &shutdown).await;
        service.metrics.connections.dec();
        drop(place);
    });
}

/// One connection, to its end.
pub async fn converse(
    service: &Service,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: Client,
    shutdown: &CancellationToken,
) {
    let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
    let (mut query, mut reply, mut framed) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let received = tokio::select! {
            received = timeout(IDLE, receive(&mut stream, &mut query)) => received,
            () = shutdown.cancelled() => return,
        };
        match received {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return service.metrics.dropped(Dropped::Idle),
        }
        if !service.answer(&query, client, &mut reply).await {
            return;
        }
        // Length and message in one write, so that they leave in one segment (RFC 7766 §8).
        framed.clear();
        framed.extend_from_slice(&(reply.len() as u16).to_be_bytes());
        framed.extend_from_slice(&reply);
        match timeout(IDLE, stream.write_all(&framed)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return service.metrics.dropped(Dropped::SendFailed),
            Err(_) => return service.metrics.dropped(Dropped::Idle),
        }
    }
}

/// The next query; false at the end of the stream, and for queries longer than any we answer.
async fn receive(stream: &mut (impl AsyncRead + Unpin), query: &mut Vec<u8>) -> bool {
    let Ok(length) = stream.read_u16().await else { return false };
    let length = usize::from(length);
    if length > MAX_QUERY {
        return false;
    }
    query.resize(length, 0);
    stream.read_exact(query).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_every_connection() {
        let connections = Connections::default();
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut taken: Vec<_> = (0..MAX_CONNECTIONS).map_while(|_| connections.place(greedy)).collect();
        assert_eq!(taken.len(), MAX_OF_CLIENT);
        assert!(connections.place(other).is_some(), "others are served");
        taken.pop();
        assert!(connections.place(greedy).is_some(), "what was closed can be opened again");
        drop(taken);
        assert!(connections.of_client.lock().unwrap().is_empty(), "who is gone is forgotten");
        assert_eq!(connections.permits.available_permits(), MAX_CONNECTIONS);
    }

    #[test]
    fn all_clients_together_are_bounded() {
        let connections = Connections::default();
        let clients = (0..=255).flat_map(|last| [[10, 0, 0, last], [10, 0, 1, last], [10, 0, 2, last]]);
        let taken: Vec<_> = clients.filter_map(|client| connections.place(client.into())).collect();
        assert_eq!(taken.len(), MAX_CONNECTIONS);
    }
}

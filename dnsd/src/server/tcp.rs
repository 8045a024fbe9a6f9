//! TCP (RFC 7766): any number of queries on a connection, also pipelined, answered in their order.

use super::{DEAD_AFTER, Service, pause, udp::MAX_QUERY};
use crate::{metrics::Dropped, wire::Transport};
use daemon::Pulse;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once. A guess: half of the 1024 file descriptors a process usually has.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take for its next whole query, or to take an answer: what NSD and Knot allow, about (RFC 7766 §6.2.3
/// asks for seconds).
const IDLE: Duration = Duration::from_secs(10);

/// Most queries are below 100 bytes; a few pipelined ones fit.
const READ_BUFFER: usize = 1024;

/// The bound on connections.
#[derive(Clone)]
pub struct Connections {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections { permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)), tasks: TaskTracker::new() }
    }
}

impl Connections {
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
            Ok((stream, _)) => {
                errors = 0;
                admit(&service, stream, &connections, &shutdown);
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
fn admit(service: &Arc<Service>, stream: TcpStream, connections: &Connections, shutdown: &CancellationToken) {
    let Ok(permit) = connections.permits.clone().try_acquire_owned() else {
        service.metrics.dropped(Dropped::Connections);
        return;
    };
    // Answers are whole writes; waiting for more to send would only delay them.
    _ = stream.set_nodelay(true);
    let (service, shutdown) = (service.clone(), shutdown.clone());
    connections.tasks.spawn(async move {
        service.metrics.accepted.inc();
        service.metrics.connections.inc();
        converse(&service, stream, &shutdown).await;
        service.metrics.connections.dec();
        drop(permit);
    });
}

/// One connection, to its end.
pub async fn converse(
    service: &Service,
    stream: impl AsyncRead + AsyncWrite + Unpin,
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
        if !service.answer(&query, Transport::Tcp, &mut reply).await {
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

//! UDP: one task a socket. What is known is answered in place; only a look-up that waits gets a task of its own.

use super::{DEAD_AFTER, Outcome, Service, pause};
use crate::{
    access::Client,
    metrics::{Count, Dropped},
    wire::Transport,
};
use daemon::Pulse;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use udp::{Arrival, Datagram, Socket};

/// Queries have one question and a few options: far below. What is longer is cut off and so malformed.
pub(super) const MAX_QUERY: usize = 4096;

/// Look-ups that wait at once, over all sockets; each at most 400 ms. Past it queries are dropped and counted. A guess: at a
/// thousand cold nodes a second it is not reached.
const MAX_WAITING: usize = 1024;

/// What one socket answers after it was told to stop: its queue, within reason. A guess, above any default receive buffer.
const DRAINED_AT_MOST: usize = 4096;

/// The bound on look-ups that wait.
#[derive(Clone)]
pub struct Waiting {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { permits: Arc::new(Semaphore::new(MAX_WAITING)), tasks: TaskTracker::new() }
    }
}

impl Waiting {
    /// Waits for those that are left.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Answers until told to stop; then what is queued.
pub(super) async fn serve(
    service: Arc<Service>,
    socket: Arc<Socket>,
    waiting: Waiting,
    pulse: Pulse,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut shell = Shell { service, socket, waiting, out: Vec::with_capacity(MAX_QUERY) };
    let mut buffer = vec![0; MAX_QUERY];
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut errors = 0;
    loop {
        let received = tokio::select! {
            received = shell.socket.receive(&mut buffer) => received,
            _ = beat.tick() => {
                pulse.beat();
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        match received {
            Ok(datagram) => {
                errors = 0;
                shell.take(datagram, &buffer[..datagram.length]).await;
            }
            Err(error) if errors >= DEAD_AFTER => return Err(error),
            Err(error) => {
                errors += 1;
                tracing::debug!(%error, "receiving failed");
                pause().await;
            }
        }
    }
    for _ in 0..DRAINED_AT_MOST {
        let Ok(datagram) = shell.socket.try_receive(&mut buffer) else { break };
        shell.take(datagram, &buffer[..datagram.length]).await;
    }
    Ok(())
}

struct Shell {
    service: Arc<Service>,
    socket: Arc<Socket>,
    waiting: Waiting,
    out: Vec<u8>,
}

impl Shell {
    async fn take(&mut self, datagram: Datagram, query: &[u8]) {
        let Datagram { peer, arrival, .. } = datagram;
        match self.service.answer_now(query, client(peer), &mut self.out) {
            Outcome::Reply => send(&self.service, &self.socket, &self.out, peer, arrival).await,
            Outcome::Silent => {}
            Outcome::Wait => self.wait(query, peer, arrival),
        }
    }

    fn wait(&self, query: &[u8], peer: std::net::SocketAddr, arrival: Arrival) {
        let Ok(permit) = self.waiting.permits.clone().try_acquire_owned() else {
            self.service.metrics.dropped(Dropped::Busy);
            return;
        };
        let (service, socket, query) = (self.service.clone(), self.socket.clone(), query.to_vec());
        self.waiting.tasks.spawn(async move {
            let mut out = Vec::new();
            if service.answer(&query, client(peer), &mut out).await {
                send(&service, &socket, &out, peer, arrival).await;
            }
            drop(permit);
        });
    }
}

fn client(peer: std::net::SocketAddr) -> Client {
    Client { address: peer.ip(), transport: Transport::Udp }
}

async fn send(service: &Service, socket: &Socket, out: &[u8], peer: std::net::SocketAddr, arrival: Arrival) {
    let sent = match socket.try_send(out, peer, Some(arrival)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            socket.send(out, peer, Some(arrival)).await
        }
        sent => sent,
    };
    if let Err(error) = sent {
        service.metrics.dropped(Dropped::SendFailed);
        tracing::debug!(%peer, %error, "an answer could not be sent");
    }
}

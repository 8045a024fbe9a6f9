//! UDP: threads that answer in place, a burst at a time; only a query that must wait gets a task of its own.
//!
//! ```text
//! receive a burst ▶ answer each from what is held ▶ send all answers ▶ ...      one thread for each socket, one socket for each core
//!                         └▶ a task that asks, and sends by itself
//! ```
//! To end, the socket leaves its SO_REUSEPORT group, so that new queries go to other replicas; what is queued is answered still.

use super::{DEAD_AFTER, Outcome, PAUSE, Service};
use crate::{
    access::Client,
    forward,
    metrics::{Count, Dropped, Tally},
    ready::Burst,
    wire::Transport,
};
use daemon::Pulse;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use udp::{Blocking, Datagram, Exchange, Query};

/// Queries have one question and a few options: far below. What is longer is cut off and so malformed.
pub(super) const MAX_QUERY: usize = 4096;

/// Queries that one call receives at most: then a call costs little beside what it brings.
const BURST: usize = 64;

/// How often a thread that hears nothing looks whether it should end: what the end waits at most for an idle socket.
pub(super) const BEAT: Duration = Duration::from_millis(100);

/// Queries that wait at once, over all sockets: for the inventory, each at most 400 ms, or for forwarders. Those have a bound of their own,
/// past which they do not wait, so that as many are left for the inventory whatever is forwarded. Past it queries are dropped and
/// counted. A guess: at a thousand cold nodes a second it is not reached.
const MAX_WAITING: usize = 1024 + forward::MAX_WAITING;

/// What one socket answers after it was told to stop: its queue, within reason. A guess, above any default receive buffer.
const DRAINED_AT_MOST: usize = 65_536;

/// One burst in so many is timed: the clock is read twice for some thousand queries.
const TIMED: u32 = 64;

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

/// Answers until told to stop; then what is queued. Must run on a thread where waiting is allowed, inside a tokio runtime.
pub(super) fn serve(
    service: Arc<Service>,
    socket: Arc<Blocking>,
    waiting: Waiting,
    pulse: Pulse,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let tally = service.metrics.worker();
    let mut worker = Worker { service, socket, waiting, tally, bursts: 0, burst: Burst::default() };
    let mut exchange = Exchange::new(BURST, MAX_QUERY);
    let mut errors = 0;
    while !stop.load(Ordering::Relaxed) {
        match exchange.receive(&worker.socket) {
            Ok(_) => {
                errors = 0;
                worker.answer(&mut exchange);
                pulse.beat();
            }
            Err(error) if errors >= DEAD_AFTER => return Err(error),
            Err(error) => {
                errors += 1;
                tracing::debug!(%error, "receiving failed");
                thread::sleep(PAUSE);
            }
        }
    }
    let mut drained = 0;
    while drained < DRAINED_AT_MOST {
        match exchange.try_receive(&worker.socket) {
            Ok(0) | Err(_) => break,
            Ok(received) => drained += received,
        }
        worker.answer(&mut exchange);
    }
    Ok(())
}

struct Worker {
    service: Arc<Service>,
    socket: Arc<Blocking>,
    waiting: Waiting,
    tally: Tally,
    bursts: u32,
    burst: Burst,
}

impl Worker {
    /// Answers what was received, from one moment.
    fn answer(&mut self, exchange: &mut Exchange) {
        let received = exchange.len();
        if received == 0 {
            return;
        }
        let began = self.bursts.is_multiple_of(TIMED).then(Instant::now);
        self.bursts = self.bursts.wrapping_add(1);
        let (moment, mut burst) = (self.service.moment(), std::mem::take(&mut self.burst));
        moment.read(&mut burst, exchange.questions());
        exchange.answer(|query, out| {
            let Some(peer) = query.peer() else { return false };
            let client = Client { address: peer.ip(), transport: Transport::Udp };
            match moment.answer_of((&burst, query.number()), query.bytes(), client, out, &self.tally) {
                Outcome::Reply => moment.admit(query.bytes(), client, out),
                Outcome::Silent => false,
                Outcome::Wait => {
                    self.wait(query, client);
                    false
                }
            }
        });
        self.burst = burst;
        if let Some((count, error)) = exchange.send(&self.socket) {
            (0..count).for_each(|_| self.tally.dropped(Dropped::SendFailed));
            tracing::debug!(count, %error, "answers could not be sent");
        }
        if let Some(began) = began {
            self.tally.took(Transport::Udp, began.elapsed() / received as u32);
        }
    }

    fn wait(&self, query: &Query<'_>, client: Client) {
        let Some(Datagram { peer, arrival, .. }) = query.datagram() else { return };
        let Ok(permit) = self.waiting.permits.clone().try_acquire_owned() else {
            return self.tally.dropped(Dropped::Busy);
        };
        let (service, socket, query) = (self.service.clone(), self.socket.clone(), query.bytes().to_vec());
        self.waiting.tasks.spawn(async move {
            let mut out = Vec::new();
            if service.answer(&query, client, &mut out).await
                && service.moment().admit(&query, client, &mut out)
                && let Err(error) = socket.send(&out, peer, Some(arrival))
            {
                service.metrics.dropped(Dropped::SendFailed);
                tracing::debug!(%peer, %error, "an answer could not be sent");
            }
            drop(permit);
        });
    }
}

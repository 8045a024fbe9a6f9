//! Watch carries state: the picture, then every change of it, to each program that keeps a replica.
//!
//! ```text
//!             Hello                   Synced           Put ... Put, Complete          Change ...
//!  Greeting ─────────▶ Waiting ──────────────────▶ Sending ─────────────────▶ Following ───▶ cut off: too slow
//!      └── synced at once ────────────────────────────▲  └── or resumed ──────────▲
//! ```
//! [`Session::step`] decides what comes next and waits for nothing; the task around it waits, beats and sends. A watcher
//! holds a place in the bounded history and no queue of its own, so one that does not read costs nobody anything.

mod clients;
mod history;
#[cfg(test)]
mod tests;

pub use clients::{Clients, MAX_WATCHERS, Registered, TooMany};
pub use history::{History, Next};

use crate::{
    snapshot::Snapshot,
    state::{State, View},
};
use futures::{FutureExt, Stream};
use prometheus_client::metrics::counter::Counter;
use proto::v1::{self, watch_event::Event};
use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use values::{Mac, Xname};

/// The contract: a client gives up after three of these were missed.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// A watcher that takes nothing for this long is cut off: by then it holds us for dead, too.
const SEND_LIMIT: Duration = Duration::from_secs(6);

/// A watcher takes a whole snapshot within this, or is cut off, for it holds that one as long: 100,000 interfaces are 60 MB, 50 s at
/// 10 Mbit/s. A guess that allows for more than twice that.
const WHOLE_LIMIT: Duration = Duration::from_secs(120);

/// Events between the session and the connection: one that is being encoded, one that is ready.
const QUEUE: usize = 1;

/// Items of one Put: about 50 kB, far below the 4 MB that gRPC clients accept.
const PUT_ITEMS: usize = 100;

/// With more records than this to catch up on, a whole snapshot is as cheap; it also bounds the messages a client that
/// comes back has to take, so that one it failed to take is not sent for ever. A guess.
const RESUME_RECORDS: usize = 2_000;

/// What is to be done for a watcher.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // there is never more than one of them
pub enum Step {
    /// Send this.
    Send(Event),
    /// Nothing until something is published.
    Wait,
    /// It has fallen behind.
    Cut(Status),
}

/// How far one watcher is.
#[derive(Debug)]
pub struct Session {
    held: Option<v1::Freshness>,
    wants_snapshot: bool,
    /// Reads with greater numbers began after the Watch arrived.
    arrived: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    /// Not synced; what the client may have asked for since it was greeted is of this generation or a later one.
    Waiting {
        greeted: u64,
    },
    Sending(Box<Sending>),
    /// Has everything up to this generation.
    Following(u64),
}

/// How far the picture has been sent: it and two keys, however much is left.
#[derive(Debug)]
struct Sending {
    snapshot: Arc<Snapshot>,
    component: Option<Xname>,
    interface: Option<Mac>,
    freshness: v1::Freshness,
    began: Instant,
}

impl Session {
    /// A Watch that arrives now.
    pub fn new(request: v1::WatchRequest, state: &State) -> Session {
        Session {
            held: request.freshness,
            wants_snapshot: request.snapshot,
            arrived: state.reads_begun(),
            phase: Phase::Greeting,
        }
    }

    /// What comes next.
    pub fn step(&mut self, state: &State) -> Step {
        match &mut self.phase {
            Phase::Greeting => self.greet(state),
            Phase::Waiting { greeted } => {
                let greeted = *greeted;
                self.wait(state, greeted)
            }
            Phase::Sending(sending) => {
                let Some(event) = sending.next() else {
                    let why =
                        format!("a snapshot was not taken within {} s; watch again", WHOLE_LIMIT.as_secs());
                    return Step::Cut(Status::resource_exhausted(why));
                };
                if let Event::Complete(complete) = &event {
                    let generation = complete.freshness.as_ref().map_or(0, |freshness| freshness.generation);
                    self.phase = Phase::Following(generation);
                }
                Step::Send(event)
            }
            Phase::Following(position) => follow(state, position),
        }
    }

    fn greet(&mut self, state: &State) -> Step {
        let view = state.view();
        let synced = self.is_synced(state, &view);
        let (domain, zones) = match &view.snapshot {
            Some(snapshot) => (domain(snapshot), zones(snapshot)),
            None => {
                let configured = state.configured();
                (configured.domain.clone(), configured.zones.clone())
            }
        };
        self.phase = Phase::Waiting { greeted: view.generation() };
        let resumed = synced && self.start(state, &view, view.generation());
        Step::Send(Event::Hello(v1::Hello {
            freshness: Some(state.freshness(&view)),
            domain,
            zones,
            synced,
            resumed,
        }))
    }

    fn wait(&mut self, state: &State, greeted: u64) -> Step {
        let view = state.view();
        if !self.is_synced(state, &view) {
            return Step::Wait;
        }
        let resumed = self.start(state, &view, greeted);
        Step::Send(Event::Synced(v1::Synced {
            freshness: Some(state.freshness(&view)),
            resumed,
            domain: view.snapshot.as_deref().map(domain),
            zones: view.snapshot.as_deref().map(zones).unwrap_or_default(),
        }))
    }

    /// Whether this server may replace what the client holds: no client goes back in time.
    fn is_synced(&self, state: &State, view: &View) -> bool {
        if view.whole.is_none() {
            return false;
        }
        let Some(held) = &self.held else { return true };
        // What it holds came from here, and here nothing goes back.
        let ours = held.instance == state.instance;
        let Some(whole) = &view.settled else { return ours };
        ours || whole.read.sequence > self.arrived
            || held.read_at.as_ref().is_none_or(|read_at| is_later(whole.read.started_at, read_at))
    }

    /// Leaves Waiting. True when what the client holds is continued.
    fn start(&mut self, state: &State, view: &View, greeted: u64) -> bool {
        let Some(snapshot) = &view.snapshot else { return false };
        let continued = self.continued(state, snapshot);
        self.phase = match continued {
            Some(generation) => Phase::Following(generation),
            None if self.wants_snapshot => {
                Phase::Sending(Box::new(Sending::new(snapshot, state.freshness(view))))
            }
            None if greeted > 0 => Phase::Following(greeted),
            None => Phase::Following(snapshot.generation()),
        };
        continued.is_some()
    }

    /// The generation from which the client can go on with what it holds.
    fn continued(&self, state: &State, snapshot: &Snapshot) -> Option<u64> {
        let held = self.held.as_ref()?;
        if held.digest == snapshot.digest().to_string() {
            return Some(snapshot.generation());
        }
        let ours = held.instance == state.instance && (1..=snapshot.generation()).contains(&held.generation);
        if !ours {
            return None;
        }
        let missed = state.history.records_after(held.generation, snapshot.generation())?;
        (missed <= RESUME_RECORDS).then_some(held.generation)
    }
}

fn follow(state: &State, position: &mut u64) -> Step {
    match state.history.after(*position) {
        Next::None => Step::Wait,
        Next::Change(published) => {
            *position = published.generation;
            let mut change = published.message();
            if let Some(freshness) = &mut change.freshness {
                freshness.stale = state.is_stale(&state.view());
            }
            Step::Send(Event::Change(change))
        }
        Next::Gone => Step::Cut(Status::resource_exhausted(format!(
            "this Watch is too slow: the change after generation {position} is no longer held; watch again"
        ))),
    }
}

impl Sending {
    fn new(snapshot: &Arc<Snapshot>, freshness: v1::Freshness) -> Sending {
        let snapshot = snapshot.clone();
        Sending { snapshot, component: None, interface: None, freshness, began: Instant::now() }
    }

    /// `None`: it takes too long.
    fn next(&mut self) -> Option<Event> {
        if self.began.elapsed() > WHOLE_LIMIT {
            return None;
        }
        let components: Vec<_> =
            self.snapshot.components_after(self.component.as_ref()).take(PUT_ITEMS).collect();
        let room = PUT_ITEMS - components.len();
        let interfaces: Vec<_> = self.snapshot.interfaces_after(self.interface).take(room).collect();
        let put = v1::Put {
            components: components.iter().map(|&item| (&**item).into()).collect(),
            interfaces: interfaces.iter().map(|&item| (&**item).into()).collect(),
        };
        let (component, interface) =
            (components.last().map(|item| item.id.clone()), interfaces.last().map(|item| item.mac));
        self.component = component.or(self.component.take());
        self.interface = interface.or(self.interface);
        Some(match put == v1::Put::default() {
            false => Event::Put(put),
            true => Event::Complete(v1::Complete {
                freshness: Some(std::mem::take(&mut self.freshness)),
                zones: zones(&self.snapshot),
                domain: Some(domain(&self.snapshot)),
            }),
        })
    }
}

/// As the contract has it: empty when there is none.
fn domain(snapshot: &Snapshot) -> String {
    snapshot.domain().map(ToString::to_string).unwrap_or_default()
}

fn zones(snapshot: &Snapshot) -> Vec<v1::Zone> {
    snapshot.zones().iter().map(v1::Zone::from).collect()
}

/// Clocks may differ by a second.
fn is_later(ours: jiff::Timestamp, theirs: &prost_types::Timestamp) -> bool {
    let ours = i128::from(ours.as_second()) * 1_000_000_000 + i128::from(ours.subsec_nanosecond());
    let theirs = i128::from(theirs.seconds) * 1_000_000_000 + i128::from(theirs.nanos);
    ours > theirs + 1_000_000_000
}

/// What the connection reads from.
pub struct Events {
    queue: mpsc::Receiver<v1::WatchEvent>,
    end: Arc<OnceLock<Status>>,
}

impl Stream for Events {
    type Item = Result<v1::WatchEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.queue.poll_recv(context) {
            Poll::Ready(None) => Poll::Ready(std::mem::take(&mut self.end).get().cloned().map(Err)),
            ready => ready.map(|event| event.map(Ok)),
        }
    }
}

/// The task of one watcher, and what its connection reads.
pub fn task(
    session: Session,
    state: Arc<State>,
    client: Registered,
    cut: Counter,
    shutdown: CancellationToken,
) -> (impl Future<Output = ()> + Send, Events) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let end = Arc::new(OnceLock::new());
    let events = Events { queue, end: end.clone() };
    let mut feeder = Feeder { session, state, client, sender };
    let task = async move {
        let ended = tokio::select! {
            ended = feeder.run() => ended.inspect(|_| {
                cut.inc();
            }),
            () = shutdown.cancelled() => Some(Status::unavailable("smd-cache ends; watch again, or elsewhere")),
        };
        if let Some(status) = ended {
            tracing::info!(client = feeder.client.name(), reason = status.message(), "a Watch is ended");
            let _ = end.set(status);
        }
    };
    (task, events)
}

struct Feeder {
    session: Session,
    state: Arc<State>,
    client: Registered,
    sender: mpsc::Sender<v1::WatchEvent>,
}

impl Feeder {
    /// Until the client goes (`None`) or is cut off.
    async fn run(&mut self) -> Option<Status> {
        let mut published = self.state.published();
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            published.mark_unchanged();
            let event = match self.session.step(&self.state) {
                Step::Send(event) => Some(event),
                Step::Cut(status) => return Some(status),
                Step::Wait => tokio::select! {
                    _ = published.changed() => None,
                    _ = heartbeat.tick() => Some(self.heartbeat()),
                    () = self.sender.closed() => return None,
                },
            };
            if let Some(event) = event
                && let Err(ended) = self.send(event).await
            {
                return ended;
            }
            // Also while a snapshot is being sent.
            if heartbeat.tick().now_or_never().is_some()
                && let Err(ended) = self.send(self.heartbeat()).await
            {
                return ended;
            }
        }
    }

    fn heartbeat(&self) -> Event {
        let freshness = self.state.freshness(&self.state.view());
        Event::Heartbeat(v1::Heartbeat { freshness: Some(freshness) })
    }

    async fn send(&self, event: Event) -> Result<(), Option<Status>> {
        let generation = generation_of(&event);
        match timeout(SEND_LIMIT, self.sender.reserve()).await {
            Ok(Ok(place)) => place.send(v1::WatchEvent { event: Some(event) }),
            Ok(Err(_)) => return Err(None),
            Err(_) => {
                let why = format!("this Watch is too slow: it took nothing for {} s", SEND_LIMIT.as_secs());
                return Err(Some(Status::resource_exhausted(why)));
            }
        }
        if let Some(generation) = generation {
            self.client.sent(generation);
        }
        Ok(())
    }
}

/// What the client has after this event.
fn generation_of(event: &Event) -> Option<u64> {
    let freshness = match event {
        Event::Complete(complete) => complete.freshness.as_ref(),
        Event::Change(change) => change.freshness.as_ref(),
        Event::Hello(hello) if hello.resumed => hello.freshness.as_ref(),
        Event::Synced(synced) if synced.resumed => synced.freshness.as_ref(),
        _ => None,
    };
    freshness.map(|freshness| freshness.generation)
}

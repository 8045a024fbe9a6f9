//! Names outside our zones: asked of the forwarders of the configuration, and kept for as long as the answers hold.
//!
//! ```text
//! question ─cache▶ kept answer
//!              └▶ flight (one for all who ask the same) ─▶ forwarder, the next one ... ─▶ kept, and handed to all who wait
//! ```
//! Messages pass as bytes: all response codes and sections as they came. `answer` judges what came, `shape` writes it for a client.
//!
//! **Loops.** A question that comes back to us, by whatever way, is the same question: it joins the flight it belongs to instead of
//! making another, so nothing multiplies and the flight's deadline ends it. Mostly it is known before: it is spelled as we spelled it,
//! and gets SERVFAIL at once.

mod answer;
mod cache;
mod flights;
mod health;
mod metrics;
mod query;
mod question;
mod records;
mod shape;
mod stream;
mod tasks;
mod tls;
mod udp;
mod upstream;

#[cfg(test)]
pub(crate) mod tests;

pub use answer::Answer;
pub use cache::Entry;
pub use metrics::{Metrics, Source};
pub(crate) use query::id;
pub use question::Question;
pub use shape::{Age, For, write};

use arc_swap::ArcSwap;
use cache::{Cache, Kept};
use config::Config;
use daemon::State;
use flights::Flights;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tasks::Tasks;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
#[cfg(test)]
use udp::UDP_WAIT;
use upstream::Upstream;

/// From the question to SERVFAIL: three forwarders that do not answer, or two of which one is on TCP. Clients give up after 5 s.
pub const TOTAL_WAIT: Duration = Duration::from_secs(4);

/// Different questions asked of forwarders at once; each may take a socket. A guess: a quarter of the 1024 file descriptors a process
/// may have at least, and at 20 ms an answer more than 10,000 a second.
pub const MAX_FLIGHTS: usize = 256;

/// Queries that wait for forwarders at once; past it they get SERVFAIL, so that clients turn to another server. A guess.
pub const MAX_WAITING: usize = 1024;

/// What a flight may take beyond its time until those who wait have heard: so that they hear, and hear the same.
const LANDING: Duration = Duration::from_millis(100);

/// How long forwarders are waited for when there is an answer past its time (RFC 8767 §5: the client response timer).
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// What an answer past its time says that it holds for (RFC 8767 §4).
const STALE_TTL: u32 = 30;

/// Forwarders, answers, and questions on their way.
pub struct Forwarding {
    upstreams: ArcSwap<Vec<Arc<Upstream>>>,
    cache: Cache,
    flights: Flights,
    waiting: Semaphore,
    tasks: Tasks,
    metrics: Metrics,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Where the query came from.
    pub address: IpAddr,
    /// The name as it was spelled, where it is the question's.
    pub spelled: &'a [u8],
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// It.
    pub entry: Arc<Entry>,
    /// For the TTLs.
    pub age: Age,
    /// Where it came from.
    pub source: Source,
}

impl Forwarding {
    /// Asks nobody until [`Forwarding::configure`].
    pub fn new(metrics: Metrics) -> Forwarding {
        Forwarding {
            upstreams: ArcSwap::default(),
            cache: Cache::default(),
            flights: Flights::default(),
            waiting: Semaphore::new(MAX_WAITING),
            tasks: Tasks::default(),
            metrics,
        }
    }

    /// Takes a configuration up. What it does not change goes on: connections, health, and answers while nobody else is asked.
    pub fn configure(&self, config: &Config) {
        let dnsd = &config.dnsd;
        self.cache.serve_stale(dnsd.serve_stale.unwrap_or_default());
        let before = self.upstreams.load_full();
        let ca = dnsd.forward_ca.as_deref();
        let of = |forwarder| match before.iter().find(|upstream| upstream.is(forwarder, ca)) {
            Some(upstream) => upstream.clone(),
            None => Arc::new(Upstream::new(forwarder, ca, &self.metrics, &self.tasks)),
        };
        let now: Vec<_> = dnsd.forward.iter().map(of).collect();
        if now.len() == before.len() && now.iter().zip(&*before).all(|(now, before)| Arc::ptr_eq(now, before))
        {
            return;
        }
        let named = |name: &str| now.iter().any(|upstream| *upstream.name == *name);
        for gone in before.iter().filter(|upstream| !named(&upstream.name)) {
            self.metrics.forget(&gone.name);
        }
        self.upstreams.store(Arc::new(now));
        self.cache.clear();
    }

    /// Answers from what is kept; `None`: it takes waiting.
    pub fn peek(&self, question: &Question) -> Option<Resolved> {
        let now = Instant::now();
        match self.cache.find(question, now) {
            Kept::Fresh(entry) => Some(fresh(entry, Source::Cache, now)),
            Kept::StaleAndFailed(entry) => Some(stale(entry)),
            Kept::Stale(_) | Kept::Nothing => None,
        }
    }

    /// Answers, and asks a forwarder where it must.
    pub async fn resolve(self: &Arc<Self>, question: &Question, asker: Asker<'_>) -> Resolved {
        let now = Instant::now();
        let kept = match self.cache.find(question, now) {
            Kept::Fresh(entry) => return fresh(entry, Source::Cache, now),
            Kept::StaleAndFailed(entry) => return stale(entry),
            Kept::Stale(entry) => Some(entry),
            Kept::Nothing => None,
        };
        let instead = |source| kept.clone().map_or_else(|| nothing(question, source), stale);
        let Ok(_place) = self.waiting.try_acquire() else { return instead(Source::Busy) };
        let mut flight = match self.board(question, asker) {
            Ok(flight) => flight,
            Err(source) => return instead(source),
        };
        let patience = if kept.is_some() { STALE_AFTER } else { TOTAL_WAIT + LANDING };
        let landed = timeout(patience, flight.wait_for(Option::is_some)).await;
        let landed = landed.ok().and_then(|landed| landed.ok()?.clone());
        match landed {
            Some(entry) if kept.is_none() || !entry.answer.is_failure() => {
                let source = if entry.from.is_some() { Source::Forwarder } else { Source::Failed };
                fresh(entry, source, Instant::now())
            }
            _ => instead(Source::Failed),
        }
    }

    /// What is said when nobody waits any longer.
    pub fn unanswered(&self, question: &Question) -> Resolved {
        nothing(question, Source::Failed)
    }

    /// Degraded where nobody can be asked: what we know ourselves is answered all the same.
    pub fn readiness(&self) -> State {
        let upstreams = self.upstreams.load();
        match upstreams.is_empty() || upstreams.iter().any(|upstream| upstream.is_up()) {
            true => State::Ready,
            false => State::Degraded("no forwarder answers: names outside our zones are SERVFAIL".into()),
        }
    }

    /// Names of the forwarders, and whether each is asked.
    pub fn list(&self) -> Vec<(Arc<str>, bool)> {
        self.upstreams.load().iter().map(|upstream| (upstream.name.clone(), upstream.is_up())).collect()
    }

    /// Counts an answer that a client gets.
    pub fn count(&self, source: Source) {
        self.metrics.answered(source);
    }

    /// Ends what is on its way.
    pub async fn stopped(&self) {
        self.tasks.stopped().await;
    }
}

fn fresh(entry: Arc<Entry>, source: Source, now: Instant) -> Resolved {
    Resolved { age: Age::Fresh(entry.age(now)), entry, source }
}

fn stale(entry: Arc<Entry>) -> Resolved {
    Resolved { entry, age: Age::Stale(STALE_TTL), source: Source::Stale }
}

fn nothing(question: &Question, source: Source) -> Resolved {
    fresh(Arc::new(Entry::new(Answer::servfail(question), None, Instant::now())), source, Instant::now())
}

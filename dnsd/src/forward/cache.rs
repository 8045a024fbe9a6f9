//! Answers of forwarders, for as long as they hold. Bounded by what they weigh, whatever is asked for.
//!
//! Failures are kept apart, so that one does not push out the answer that could be served stale in its place.

use super::{Answer, Question, answer::FAILURE_TTL};
use moka::sync::Cache as Moka;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// What answers may weigh together: some 12,000 usual ones, in a process that should stay below 40 MB. A guess.
const MAX_ANSWERS: u64 = 8 << 20;
/// And failures: some 1,500, which live 5 s each.
const MAX_FAILURES: u64 = 1 << 20;
/// What an entry takes besides its key and its bytes: measured with moka 0.12 and glibc, 569 for each of 22,000.
const OVERHEAD: usize = 576;

/// An answer that was received.
#[derive(Debug)]
pub struct Entry {
    /// It.
    pub answer: Answer,
    /// Which forwarder it is from; `None`: none of them answered.
    pub from: Option<Arc<str>>,
    /// When it came.
    pub received: Instant,
    /// How long it holds.
    pub lifetime: Duration,
}

impl Entry {
    /// Received now.
    pub fn new(answer: Answer, from: Option<Arc<str>>, received: Instant) -> Entry {
        let lifetime = Duration::from_secs(answer.lifetime().into());
        Entry { answer, from, received, lifetime }
    }

    /// Whole seconds since it came.
    pub fn age(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.received).as_secs() as u32
    }

    fn holds(&self, now: Instant, more: Duration) -> bool {
        now.saturating_duration_since(self.received) < self.lifetime + more
    }
}

/// What is kept for a question.
#[derive(Debug, Clone)]
pub enum Kept {
    /// An answer that holds, or a failure too young to ask again.
    Fresh(Arc<Entry>),
    /// An answer past its time, and forwarders just failed to say more.
    StaleAndFailed(Arc<Entry>),
    /// An answer past its time.
    Stale(Arc<Entry>),
    /// Nothing.
    Nothing,
}

/// The two. They are made when there is something to keep: empty ones take three megabytes.
#[derive(Default)]
pub struct Cache {
    stores: OnceLock<Stores>,
    /// Seconds.
    serve_stale: AtomicU64,
}

struct Stores {
    answers: Store,
    failures: Store,
}

type Store = Moka<Box<[u8]>, Arc<Entry>>;

fn bounded(bytes: u64) -> Store {
    #[expect(clippy::borrowed_box, reason = "moka hands the key out so")]
    let weigh =
        |key: &Box<[u8]>, entry: &Arc<Entry>| (key.len() + entry.answer.bytes.len() + OVERHEAD) as u32;
    Moka::builder().max_capacity(bytes).weigher(weigh).build()
}

impl Cache {
    /// How long past its time an answer may be served.
    pub fn serve_stale(&self, more: Duration) {
        self.serve_stale.store(more.as_secs(), Ordering::Relaxed);
    }

    /// What there is.
    pub fn find(&self, question: &Question, now: Instant) -> Kept {
        let Some(Stores { answers, failures }) = self.stores.get() else { return Kept::Nothing };
        let answer = answers.get(question.key());
        if let Some(entry) = answer.as_ref().filter(|entry| entry.holds(now, Duration::ZERO)) {
            return Kept::Fresh(entry.clone());
        }
        let more = Duration::from_secs(self.serve_stale.load(Ordering::Relaxed));
        let stale = answer.filter(|entry| entry.holds(now, more));
        let failure = failures.get(question.key()).filter(|entry| entry.holds(now, Duration::ZERO));
        match (stale, failure) {
            (Some(stale), Some(_)) => Kept::StaleAndFailed(stale),
            (Some(stale), None) => Kept::Stale(stale),
            (None, Some(failure)) => Kept::Fresh(failure),
            (None, None) => Kept::Nothing,
        }
    }

    /// Keeps it where it may be kept.
    pub fn keep(&self, question: &Question, entry: Arc<Entry>) {
        let stores = || Stores { answers: bounded(MAX_ANSWERS), failures: bounded(MAX_FAILURES) };
        let Stores { answers, failures } = self.stores.get_or_init(stores);
        if entry.answer.is_failure() {
            return failures.insert(question.key().into(), entry);
        }
        failures.invalidate(question.key());
        if entry.lifetime.is_zero() {
            // What it replaces is not to be served any more.
            return answers.invalidate(question.key());
        }
        answers.insert(question.key().into(), entry);
    }

    /// Forgets everything: others are asked now.
    pub fn clear(&self) {
        if let Some(Stores { answers, failures }) = self.stores.get() {
            answers.invalidate_all();
            failures.invalidate_all();
        }
    }

    /// How many answers and failures there are, and what they weigh.
    pub fn size(&self) -> (u64, u64) {
        let Some(Stores { answers, failures }) = self.stores.get() else { return (0, 0) };
        let count = answers.entry_count() + failures.entry_count();
        (count, answers.weighted_size() + failures.weighted_size())
    }

    #[cfg(test)]
    fn settle(&self) {
        let stores = self.stores.get().unwrap();
        stores.answers.run_pending_tasks();
        stores.failures.run_pending_tasks();
    }
}

const _: () = assert!(FAILURE_TTL > 0, "a failure must be kept (RFC 9520 §3.2)");

#[cfg(test)]
mod tests;

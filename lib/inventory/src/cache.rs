//! The second layer: answers of calls, until the replica has them or they are old.
//!
//! One lock orders what Watch says and what calls bring: an answer that is older than the last change seen is never kept,
//! and one that is kept is dropped by the change that touches it. Readers take no lock.

use crate::{
    Freshness, clock,
    doubt::{CLOCKS, Said, Standard, Worth},
    keys::{AnyAnswer, AnyKey},
    watch::{Forget, MadeOf, Position},
};
use moka::sync::Cache;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Answers held. An interface takes about a kilobyte: some 8 MB at the worst, a fifth of what a daemon may take. A guess.
pub(crate) const MAX_ENTRIES: u64 = 8_192;

/// A found answer is asked for again after this, should its change have escaped us (DESIGN: at most 60 s).
const FOUND_LIFE: Duration = Duration::from_secs(60);

/// How long a machine that was just added to SMD may be told that it is unknown (DESIGN: 3 s).
const UNKNOWN_LIFE: Duration = Duration::from_secs(3);

/// A kept answer; no answer: Unknown.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) answer: Option<AnyAnswer>,
    pub(crate) freshness: Freshness,
    pub(crate) made_of: MadeOf,
    /// When it was got: a snapshot that was read later has it, or it is gone.
    got: SystemTime,
    until: Instant,
    epoch: u64,
}

/// What the cache has for a key.
#[derive(Debug)]
pub(crate) enum Hit {
    /// An answer.
    Current(Entry),
    /// To be asked for again, and served stale if nobody answers.
    Old(Entry),
}

pub(crate) struct Answers {
    entries: Cache<AnyKey, Entry>,
    place: Mutex<Place>,
    /// Entries of an earlier one are old.
    epoch: AtomicU64,
    /// Counts what Watch said, see [`Answers::moment`].
    moment: AtomicU64,
}

/// Where in which server's history we are, and what others' answers are compared with.
#[derive(Debug, Default)]
struct Place {
    position: Option<Position>,
    standard: Standard,
}

impl Entry {
    pub(crate) fn new(answer: Option<AnyAnswer>, made_of: MadeOf, freshness: Freshness) -> Entry {
        let life = if answer.is_some() { FOUND_LIFE } else { UNKNOWN_LIFE };
        let (got, until) = (clock::now(), Instant::now() + life);
        Entry { answer, freshness, made_of, got, until, epoch: 0 }
    }

    /// A read of that time cannot have known better.
    fn got_after(&self, read_at: Option<SystemTime>) -> bool {
        read_at.is_none_or(|read_at| self.got + CLOCKS > read_at)
    }
}

impl Answers {
    pub(crate) fn new() -> Answers {
        // The time to live here only frees memory; `until` decides, and obeys the clock of tests.
        let entries = Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(FOUND_LIFE).build();
        Answers { entries, place: Mutex::default(), epoch: AtomicU64::new(0), moment: AtomicU64::new(0) }
    }

    pub(crate) fn hit(&self, key: &AnyKey) -> Option<Hit> {
        let entry = self.entries.get(key).filter(|entry| Instant::now() < entry.until)?;
        if entry.epoch == self.epoch.load(Ordering::Acquire) {
            return Some(Hit::Current(entry));
        }
        entry.answer.is_some().then_some(Hit::Old(entry))
    }

    /// Keeps what `instance` said, unless a change seen since may have made it untrue.
    pub(crate) fn keep(&self, key: AnyKey, instance: &str, mut entry: Entry) {
        let place = self.lock();
        let current = place
            .position
            .as_ref()
            .is_some_and(|at| at.instance == instance && at.generation <= entry.freshness.generation);
        if current {
            entry.epoch = self.epoch.load(Ordering::Acquire);
            self.entries.insert(key, entry);
        }
    }

    /// What an answer is worth at this moment.
    pub(crate) fn worth(&self, said: &Said<'_>) -> Worth {
        let place = self.lock();
        let follows = place.position.as_ref().is_some_and(|at| at.instance == said.instance);
        place.standard.worth(said, follows)
    }

    /// Whether UNKNOWN of a read of this time is no news: this key was found later.
    pub(crate) fn found_after(&self, key: &AnyKey, read_at: Option<SystemTime>) -> bool {
        let entry = self.entries.get(key).filter(|entry| Instant::now() < entry.until);
        entry.is_some_and(|entry| entry.answer.is_some() && entry.got_after(read_at))
    }

    /// What Watch said. When this returns, nothing that it made untrue is answered from here.
    pub(crate) fn follow(&self, forget: Forget, position: Option<Position>, standard: Standard) {
        let mut place = self.lock();
        place.standard = standard;
        if position.is_some() {
            place.position = position;
            self.moment.fetch_add(1, Ordering::AcqRel);
        }
        match forget {
            Forget::Nothing => {}
            Forget::AskAgain => {
                self.epoch.fetch_add(1, Ordering::AcqRel);
            }
            Forget::Replaced(read_at) => {
                self.epoch.fetch_add(1, Ordering::AcqRel);
                self.drop_where(|_, entry| !entry.got_after(read_at));
            }
            Forget::Touched(touched) => {
                self.drop_where(|key, entry| touched.touches(key, entry.answer.as_ref(), &entry.made_of));
            }
        }
    }

    fn drop_where(&self, gone: impl Fn(&AnyKey, &Entry) -> bool) {
        for (key, entry) in &self.entries {
            if gone(&key, &entry) {
                self.entries.invalidate(&*key);
            }
        }
    }

    /// How many are held, once the latest have found their place.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }

    /// Another number after each change: whoever asks now must not be given the answer of a call from before it.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.load(Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests;

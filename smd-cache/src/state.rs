//! What is known at this moment and how good it is: written by `refresh` alone, read by everyone without waiting.

use crate::{
    config::Settings,
    naming::{Naming, Zone},
    records::{Problem, Read},
    refresh::HeldBack,
    smd::{ReadError, Source},
    snapshot::{Change, Snapshot, contract::timestamp},
    watch::{Clients, History},
};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use proto::v1;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// Shared by everything that answers.
#[derive(Debug)]
pub struct State {
    /// Random: generations of two processes cannot be compared.
    pub instance: String,
    /// When the process started.
    pub started_at: Timestamp,
    /// Changes that watchers can still be sent.
    pub history: History,
    /// Who watches.
    pub clients: Clients,
    configured: ArcSwap<Configured>,
    view: ArcSwap<View>,
    published: watch::Sender<()>,
    reads_begun: AtomicU64,
    sources: Mutex<[SourceStatus; Source::ALL.len()]>,
    remarks: Mutex<Vec<String>>,
}

/// What the configuration says and everybody must know.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// The global domain, empty when there is none.
    pub domain: String,
    /// With serial 0: what they are is known with the first picture.
    pub zones: Vec<v1::Zone>,
    /// After this a whole read is old.
    pub stale_after: Duration,
    /// SMD is asked about a MAC that is not held.
    pub pull_through: bool,
    /// When that cannot be, a read that began in this time says that a MAC is unknown.
    pub unknown_within: Duration,
}

/// One picture and when it was taken; replaced whole.
#[derive(Debug, Default)]
pub struct View {
    /// `None` until SMD was read whole.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What is wrong with SMD's records, in a fixed order.
    pub problems: Arc<Vec<Problem>>,
    /// By which the picture was built.
    pub naming: Arc<Naming>,
    /// SMD says that much is gone, and is not believed.
    pub held_back: Option<HeldBack>,
    /// The last good read of all interfaces or of what changed.
    pub read: Option<Moment>,
    /// The last good whole read.
    pub whole: Option<Moment>,
    /// The last one that left nothing in doubt: what it lacked was asked for by name. Only such a one may replace what a
    /// client holds, who may know already what is gone.
    pub settled: Option<Moment>,
    /// All but `stale`, put together when it is published: every reply carries it.
    pub stamp: Option<v1::Freshness>,
}

/// The start of a read.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Its number and what the clock said.
    pub read: Read,
    /// The same on the clock that nobody sets: ages are measured on it. `None`: in an earlier life of this program.
    pub begun: Option<Instant>,
}

impl Moment {
    /// Of what was read by the process that wrote the snapshot file: older than any read of this one.
    pub fn from_disk(started_at: Timestamp) -> Moment {
        Moment { read: Read { sequence: 0, started_at }, begun: None }
    }

    /// How long ago. From disk: as far as the clock can be trusted.
    pub fn age(&self) -> Duration {
        match self.begun {
            Some(begun) => begun.elapsed(),
            None => {
                Duration::try_from(Timestamp::now().duration_since(self.read.started_at)).unwrap_or_default()
            }
        }
    }

    /// It began in this process, at most so long ago.
    pub fn is_within(&self, time: Duration) -> bool {
        self.begun.is_some_and(|begun| begun.elapsed() <= time)
    }
}

/// How reading a source goes.
#[derive(Debug, Clone, Default)]
pub struct SourceStatus {
    /// End of the last good read.
    pub last_success: Option<Timestamp>,
    /// End of the last one that failed.
    pub last_failure: Option<Timestamp>,
    /// Kept after a success.
    pub last_error: String,
    /// Since start.
    pub successes: u64,
    /// Since start.
    pub failures: u64,
    /// Since the last success.
    pub failures_in_a_row: u64,
}

impl State {
    /// Nothing is known.
    pub fn new(stale_after: Duration) -> State {
        State {
            instance: format!("{:016x}", fastrand::u64(..)),
            started_at: Timestamp::now(),
            history: History::default(),
            clients: Clients::default(),
            configured: ArcSwap::from_pointee(Configured { stale_after, ..Configured::default() }),
            view: ArcSwap::default(),
            published: watch::Sender::new(()),
            reads_begun: AtomicU64::new(0),
            sources: Mutex::default(),
            remarks: Mutex::default(),
        }
    }

    /// Says which domain and zones there will be, before there is a picture, and how look-ups are to be answered.
    pub fn configure(&self, settings: &Settings) {
        let zone = |zone: &Zone| v1::Zone { name: zone.name.to_string(), serial: 0 };
        self.configured.store(Arc::new(Configured {
            domain: settings.naming.domain().map(ToString::to_string).unwrap_or_default(),
            zones: settings.naming.zones().iter().map(zone).collect(),
            stale_after: settings.stale_after,
            pull_through: settings.pull_through,
            unknown_within: settings.unknown_within(),
        }));
    }

    /// What the configuration says.
    pub fn configured(&self) -> Arc<Configured> {
        self.configured.load_full()
    }

    /// The picture as it is now.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Wakes after each read that succeeded, whether or not it changed anything.
    pub fn published(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }

    /// How fresh a picture is at this moment.
    pub fn freshness(&self, view: &View) -> v1::Freshness {
        let stale = self.is_stale(view);
        match &view.stamp {
            Some(stamp) => v1::Freshness { stale, ..stamp.clone() },
            None => v1::Freshness { stale, ..self.stamp(view) },
        }
    }

    fn stamp(&self, view: &View) -> v1::Freshness {
        let at = |moment: &Moment| timestamp(moment.read.started_at);
        v1::Freshness {
            instance: self.instance.clone(),
            generation: view.generation(),
            read_at: view.read.as_ref().map(at),
            // While something is in doubt a later read shows what may be gone: a client that knows it is gone must not take our
            // word for newer than that.
            whole_read_at: view.settled.as_ref().map(at),
            stale: false,
            digest: view.snapshot.as_ref().map(|snapshot| snapshot.digest().to_string()).unwrap_or_default(),
        }
    }

    /// The last whole read is older than `stale_after`, or from disk, or there was none.
    pub fn is_stale(&self, view: &View) -> bool {
        view.whole.is_none_or(|whole| !whole.is_within(self.configured.load().stale_after))
    }

    /// Numbers a read that begins now.
    pub fn begin_read(&self) -> Moment {
        let sequence = self.reads_begun.fetch_add(1, Ordering::SeqCst) + 1;
        Moment { read: Read { sequence, started_at: Timestamp::now() }, begun: Some(Instant::now()) }
    }

    /// The number of the read that began last. Those that begin later have greater ones.
    pub fn reads_begun(&self) -> u64 {
        self.reads_begun.load(Ordering::SeqCst)
    }

    /// Replaces the picture and wakes the watchers. Called by `refresh` alone.
    pub fn publish(&self, view: View) {
        let change = view.change_from(&self.view());
        self.publish_change(view, change);
    }

    /// Likewise, with what leads from the picture before to this one where the content changed; comparing the two takes a while.
    pub fn publish_change(&self, view: View, change: Option<Change>) {
        let old = self.view();
        let stamp = Some(self.stamp(&view));
        let new = Arc::new(View { stamp, ..view });
        if let (Some(change), Some(after)) = (change, &new.snapshot) {
            // First the history, then the picture: who sees the new generation finds what led to it.
            self.history.push(change, after, self.freshness(&new));
        }
        self.view.store(new);
        self.published.send_replace(());
        // The last of a whole snapshot takes tens of milliseconds to free: not where look-ups wait for it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(old)));
        }
    }

    /// Notes how a read of a source ended.
    pub fn note(&self, source: Source, outcome: Result<(), &ReadError>) {
        let mut sources = self.sources_locked();
        let status = &mut sources[source as usize];
        let now = Some(Timestamp::now());
        match outcome {
            Ok(()) => {
                status.last_success = now;
                status.successes += 1;
                status.failures_in_a_row = 0;
            }
            Err(error) => {
                status.last_failure = now;
                status.last_error = error.to_string();
                status.failures += 1;
                status.failures_in_a_row += 1;
            }
        }
    }

    /// How reading each source goes, in the order of [`Source::ALL`].
    pub fn sources(&self) -> [SourceStatus; Source::ALL.len()] {
        self.sources_locked().clone()
    }

    /// Sentences for `GetStatus` that only `refresh` can know.
    pub fn set_remarks(&self, remarks: Vec<String>) {
        *self.remarks.lock().unwrap_or_else(PoisonError::into_inner) = remarks;
    }

    /// See [`State::set_remarks`].
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sources_locked(&self) -> MutexGuard<'_, [SourceStatus; Source::ALL.len()]> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// What leads here from the picture before; `None` where there was none, or the content is the same.
    pub fn change_from(&self, before: &View) -> Option<Change> {
        let (before, after) = (before.snapshot.as_ref()?, self.snapshot.as_ref()?);
        (before.generation() != after.generation()).then(|| after.change_from(before))
    }

    /// 0: nothing is known.
    pub fn generation(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.generation())
    }
}

//! The counters: plain numbers, found by index, one set for each worker and one for everybody else.

use super::{Dropped, QueryKind, Slot};
use crate::wire::{Rcode, Transport};
use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds of the classes of `dnsd_answer_seconds`, in microseconds. In place an answer takes a few; a batch of 64 some
/// hundred; what asks smd-cache a millisecond, and up to 400 (the deadline of a packet); what is forwarded a few seconds.
pub(super) const BOUNDS: [u64; 16] =
    [2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// How long answers took.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The last one holds what is above all bounds.
    pub classes: [AtomicU64; BOUNDS.len() + 1],
    pub nanoseconds: AtomicU64,
}

/// One set, away from the cache lines of others (128: pairs of lines are fetched together).
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    pub(super) queries: [[AtomicU64; QueryKind::ALL.len()]; Transport::ALL.len()],
    pub(super) replies: [[AtomicU64; Rcode::ALL.len()]; Slot::COUNT],
    pub(super) dropped: [AtomicU64; Dropped::ALL.len()],
    pub(super) stale: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) denied: [AtomicU64; Transport::ALL.len()],
    pub(super) times: [Times; Transport::ALL.len()],
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            queries: Default::default(),
            replies: std::array::from_fn(|_| Default::default()),
            dropped: Default::default(),
            stale: AtomicU64::default(),
            truncated: AtomicU64::default(),
            denied: Default::default(),
            times: Default::default(),
        }
    }
}

/// The counters of one worker. It cannot be cloned or shared (it is not `Sync`), so there is one writer and adding is a load, an
/// addition and a store, without a locked instruction; whoever scrapes sees each number a moment late at worst.
#[derive(Debug)]
pub struct Tally {
    counters: Arc<Counters>,
    one_writer: PhantomData<Cell<()>>,
}

impl Tally {
    pub(super) fn new(counters: Arc<Counters>) -> Tally {
        Tally { counters, one_writer: PhantomData }
    }
}

impl Count for Tally {
    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn add(&self, counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
    }
}

impl Count for super::Metrics {
    fn counters(&self) -> &Counters {
        &self.shared
    }

    fn add(&self, counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Relaxed);
    }
}

/// Counting.
pub trait Count {
    /// Where.
    #[doc(hidden)]
    fn counters(&self) -> &Counters;
    /// How.
    #[doc(hidden)]
    fn add(&self, counter: &AtomicU64, more: u64);

    /// A query was read; type by number.
    fn query(&self, transport: Transport, number: u16) {
        self.add(&self.counters().queries[transport as usize][QueryKind::of(number) as usize], 1);
    }

    /// An answer was made, from this zone.
    fn reply(&self, zone: Slot, rcode: Rcode) {
        self.add(&self.counters().replies[zone.index()][rcode as usize], 1);
    }

    /// An answer that was made is of an inventory that may be behind SMD.
    fn stale(&self) {
        self.add(&self.counters().stale, 1);
    }

    /// Something came to nothing.
    fn dropped(&self, reason: Dropped) {
        self.add(&self.counters().dropped[reason as usize], 1);
    }

    /// An answer did not fit.
    fn truncated(&self) {
        self.add(&self.counters().truncated, 1);
    }

    /// A client that may not ask was told so.
    fn denied(&self, transport: Transport) {
        self.add(&self.counters().denied[transport as usize], 1);
    }

    /// So long it took from reading a query to having its answer. Reading the clock costs as much as the rest of counting: those who
    /// answer in place call this for one batch in many, with the batch's time divided by its answers; those who waited always.
    fn took(&self, transport: Transport, time: Duration) {
        let times = &self.counters().times[transport as usize];
        let class = BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < time);
        self.add(&times.classes[class], 1);
        self.add(&times.nanoseconds, time.as_nanos() as u64);
    }
}

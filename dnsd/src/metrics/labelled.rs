//! A counter for each value of an enum, for what is rare: transfers and NOTIFY.

use prometheus_client::metrics::{counter::Counter, family::Family};

type Series = Family<[(&'static str, &'static str); 1], Counter>;

/// An enum of which each value has a counter.
pub trait Label: Copy + 'static {
    /// Every value and what it is called.
    const ALL: &'static [(Self, &'static str)];

    /// What this one is called.
    fn as_str(self) -> &'static str;
}

/// The counters, under the label `result`.
#[derive(Debug, Clone)]
pub struct Labelled<L: Label> {
    family: Series,
    _label: std::marker::PhantomData<L>,
}

impl<L: Label> Default for Labelled<L> {
    /// All are there from the start.
    fn default() -> Labelled<L> {
        let family = Series::default();
        for (_, name) in L::ALL {
            drop(family.get_or_create(&[("result", *name)]));
        }
        Labelled { family, _label: std::marker::PhantomData }
    }
}

impl<L: Label> Labelled<L> {
    /// One more.
    pub fn inc(&self, label: L) {
        self.family.get_or_create(&[("result", label.as_str())]).inc();
    }

    pub(super) fn family(&self) -> Series {
        self.family.clone()
    }
}

/// What came of a query for a whole zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferResult {
    /// The client took all of it.
    Done,
    /// The client was gone or too slow, or dnsd ended.
    Broken,
    /// A SOA was enough, or says that it takes TCP.
    Soa,
    /// The client may not, there is no such zone to copy, or what is held is too old (`inventory.max_stale`).
    Refused,
    /// Too many were under way.
    Busy,
}

/// What came of telling a secondary that a zone has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyResult {
    /// It knows.
    Done,
    /// It answered with an error: it does not have the zone, or takes no word from us.
    Refused,
    /// It never answered.
    Silent,
    /// An answer that was not signed with our key.
    BadSignature,
}

impl Label for TransferResult {
    const ALL: &'static [(TransferResult, &'static str)] = &[
        (TransferResult::Done, "done"),
        (TransferResult::Broken, "broken"),
        (TransferResult::Soa, "soa"),
        (TransferResult::Refused, "refused"),
        (TransferResult::Busy, "busy"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl Label for NotifyResult {
    const ALL: &'static [(NotifyResult, &'static str)] = &[
        (NotifyResult::Done, "done"),
        (NotifyResult::Refused, "refused"),
        (NotifyResult::Silent, "silent"),
        (NotifyResult::BadSignature, "bad_signature"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

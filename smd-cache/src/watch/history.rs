//! The last changes, kept once for all watchers: a watcher is a place in here.

use crate::snapshot::{Change, Snapshot};
use proto::v1;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// At one change a second, five minutes: a daemon that restarts is back long before. A guess.
const MAX_CHANGES: usize = 300;

/// Records in all kept changes together: interface and component of ten thousand nodes, some 20 MB. A guess.
const MAX_RECORDS: usize = 20_000;

/// A change bigger than this is not sent as one: lib/inventory takes messages of 64 MB, and a record has up to 0.5 kB. Those
/// who follow are cut off and start again, with a picture in small pieces.
const MAX_CHANGE: usize = 50_000;

/// The changes that are still held, without gaps.
#[derive(Debug, Default)]
pub struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The last one pushed, held or not.
    generation: u64,
    changes: VecDeque<Arc<Published>>,
    records: usize,
}

/// A change as it is kept.
#[derive(Debug)]
pub struct Published {
    /// The one it leads to.
    pub generation: u64,
    change: Change,
    domain: String,
    zones: Vec<v1::Zone>,
    freshness: v1::Freshness,
}

/// What follows a generation.
#[derive(Debug)]
pub enum Next {
    /// Nothing: it is the last one.
    None,
    /// This.
    Change(Arc<Published>),
    /// Something that is no longer held.
    Gone,
}

impl History {
    /// The change that leads to `snapshot` from the generation before.
    pub fn push(&self, change: Change, snapshot: &Snapshot, freshness: v1::Freshness) {
        let zones = snapshot.zones().iter().map(v1::Zone::from).collect();
        let domain = super::domain(snapshot);
        let published = Published { generation: snapshot.generation(), change, domain, zones, freshness };
        let mut kept = self.kept();
        if kept.generation + 1 != published.generation || published.records() > MAX_CHANGE {
            *kept = Kept::default();
        }
        kept.generation = published.generation;
        if published.records() > MAX_CHANGE {
            return;
        }
        kept.records += published.records();
        kept.changes.push_back(Arc::new(published));
        // The newest stays, however big: those who follow closely must get it.
        while kept.changes.len() > MAX_CHANGES || (kept.records > MAX_RECORDS && kept.changes.len() > 1) {
            if let Some(oldest) = kept.changes.pop_front() {
                kept.records -= oldest.records();
            }
        }
    }

    /// The change that follows `generation`.
    pub fn after(&self, generation: u64) -> Next {
        let kept = self.kept();
        if kept.generation <= generation {
            return Next::None;
        }
        let found = kept.changes.iter().find(|change| change.generation == generation + 1);
        found.map_or(Next::Gone, |change| Next::Change(change.clone()))
    }

    /// How many records were put or removed after `from` up to `to`; `None`: not all of that is held.
    pub fn records_after(&self, from: u64, to: u64) -> Option<usize> {
        if from == to {
            return Some(0);
        }
        let kept = self.kept();
        let missed = kept.changes.iter().filter(|change| (from + 1..=to).contains(&change.generation));
        let (count, records) =
            missed.fold((0, 0), |(count, records), change| (count + 1, records + change.records()));
        (count == to.saturating_sub(from)).then_some(records)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    fn records(&self) -> usize {
        let Change { put_interfaces, removed_macs, put_components, removed_ids } = &self.change;
        put_interfaces.len() + removed_macs.len() + put_components.len() + removed_ids.len()
    }

    /// As the contract has it.
    pub fn message(&self) -> v1::Change {
        v1::Change {
            domain: Some(self.domain.clone()),
            freshness: Some(self.freshness.clone()),
            put_interfaces: self.change.put_interfaces.iter().map(|item| (&**item).into()).collect(),
            removed_macs: self.change.removed_macs.iter().map(ToString::to_string).collect(),
            put_components: self.change.put_components.iter().map(|item| (&**item).into()).collect(),
            removed_ids: self.change.removed_ids.iter().map(ToString::to_string).collect(),
            zones: self.zones.clone(),
        }
    }
}

//! A sorted list of which a clone costs nothing and a change copies one small part.
//!
//! Entries lie in runs, each shared until something in it changes; one long array would be copied whole. Filled in one go
//! it wastes nothing: hash tries and B-trees half full of such small entries take two to four times the memory.

use std::{cmp::Ordering, sync::Arc};

/// Entries in a run after a whole build; between half and twice as many later. What a change of one entry copies, beside
/// the list of runs: with 100,000 entries both are some ten microseconds.
const RUN: usize = 128;

/// What stands in a [`Sorted`]: no two entries are equal in this order, which looks at keys only.
pub trait Keyed: Clone {
    fn order(&self, other: &Self) -> Ordering;
}

impl<A: Ord + Clone, B: Ord + Clone> Keyed for (A, B) {
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

#[derive(Debug)]
pub struct Sorted<T> {
    /// None is empty.
    runs: Arc<[Arc<[T]>]>,
    len: usize,
}

/// What happens to one entry.
#[derive(Debug, Clone)]
pub enum Edit<T> {
    /// It is there, in the place of one with the same key.
    Put(T),
    /// One with its key is not there any more.
    Remove(T),
}

impl<T> Edit<T> {
    fn entry(&self) -> &T {
        match self {
            Edit::Put(entry) | Edit::Remove(entry) => entry,
        }
    }
}

impl<T: Keyed> Sorted<T> {
    /// From entries that are in order.
    pub fn new(entries: Vec<T>) -> Sorted<T> {
        debug_assert!(entries.is_sorted_by(|a, b| a.order(b).is_lt()), "in order, and no key twice");
        let len = entries.len();
        let mut runs = Vec::with_capacity(len.div_ceil(RUN));
        let mut entries = entries.into_iter();
        while entries.len() > 0 {
            runs.push(entries.by_ref().take(RUN).collect());
        }
        Sorted { runs: runs.into(), len }
    }

    /// With these edits, in any order; of two for one key the later one counts.
    pub fn edited(&self, mut edits: Vec<Edit<T>>) -> Sorted<T> {
        if edits.is_empty() {
            return self.clone();
        }
        edits.sort_by(|a, b| a.entry().order(b.entry()));
        let mut edits = edits.into_iter().peekable();
        let mut rebuilt = Rebuilt { runs: Vec::with_capacity(self.runs.len() + 1), open: Vec::new() };
        for (at, run) in self.runs.iter().enumerate() {
            let next = self.runs.get(at + 1).map(|next| &next[0]);
            let within = |edit: &Edit<T>| next.is_none_or(|next| edit.entry().order(next).is_lt());
            if edits.peek().is_some_and(within) {
                rebuilt.merge(run, std::iter::from_fn(|| edits.next_if(within)));
            } else {
                rebuilt.take_over(run);
            }
        }
        rebuilt.merge(&[], edits);
        rebuilt.close();
        let len = rebuilt.runs.iter().map(|run| run.len()).sum();
        Sorted { runs: rebuilt.runs.into(), len }
    }
}

/// The runs of a list that is being put together.
struct Rebuilt<T> {
    runs: Vec<Arc<[T]>>,
    /// Entries of changed runs, not cut into runs yet.
    open: Vec<T>,
}

impl<T: Keyed> Rebuilt<T> {
    fn merge(&mut self, run: &[T], edits: impl Iterator<Item = Edit<T>>) {
        let mut run = run.iter().peekable();
        let mut edits = edits.peekable();
        while let Some(edit) = edits.next() {
            if edits.peek().is_some_and(|later| later.entry().order(edit.entry()).is_eq()) {
                continue;
            }
            while let Some(before) = run.next_if(|held| held.order(edit.entry()).is_lt()) {
                self.open.push(before.clone());
            }
            run.next_if(|held| held.order(edit.entry()).is_eq());
            if let Edit::Put(entry) = edit {
                self.open.push(entry);
            }
        }
        self.open.extend(run.cloned());
    }

    /// An unchanged run is shared, unless what stands open before it is too little for a run of its own.
    fn take_over(&mut self, run: &Arc<[T]>) {
        if (1..RUN / 2).contains(&self.open.len()) {
            self.open.extend_from_slice(run);
            return;
        }
        self.close();
        self.runs.push(run.clone());
    }

    fn close(&mut self) {
        let runs = (self.open.len() / RUN).max(1);
        let each = self.open.len().div_ceil(runs).max(1);
        let mut open = std::mem::take(&mut self.open).into_iter();
        while open.len() > 0 {
            self.runs.push(open.by_ref().take(each).collect());
        }
    }
}

impl<T> Sorted<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The entry of which `compare` says that it is the one; `Less`: the one comes later.
    pub fn find(&self, compare: impl Fn(&T) -> Ordering) -> Option<&T> {
        self.from(&compare).next().filter(|entry| compare(entry).is_eq())
    }

    /// All from the first entry on that is not `Less`.
    pub fn from(&self, compare: impl Fn(&T) -> Ordering) -> impl Iterator<Item = &T> {
        let (run, place) = self.place(compare);
        let first = self.runs.get(run).map_or(&[] as &[T], |run| &run[place..]);
        let rest = self.runs.get(run + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flat_map(|run| run.iter()))
    }

    /// How many are `Equal`. Looks at the lengths of runs, not at entries.
    pub fn count(&self, compare: impl Fn(&T) -> Ordering) -> usize {
        let from = self.place(&compare);
        let to = self.place(|entry| compare(entry).then(Ordering::Less));
        let whole: usize = self.runs[from.0..to.0].iter().map(|run| run.len()).sum();
        whole + to.1 - from.1
    }

    pub fn iter(&self) -> Iter<'_, T> {
        Iter { runs: self.runs.iter(), run: [].iter(), left: self.len }
    }

    /// Run and place in it of the first entry that is not `Less`; past the end of the last run if all are.
    fn place(&self, compare: impl Fn(&T) -> Ordering) -> (usize, usize) {
        let after = self.runs.partition_point(|run| compare(&run[0]).is_lt());
        let Some(run) = after.checked_sub(1) else { return (0, 0) };
        match self.runs[run].partition_point(|entry| compare(entry).is_lt()) {
            place if place == self.runs[run].len() && after < self.runs.len() => (after, 0),
            place => (run, place),
        }
    }
}

/// All entries, in order.
#[derive(Debug)]
pub struct Iter<'a, T> {
    runs: std::slice::Iter<'a, Arc<[T]>>,
    run: std::slice::Iter<'a, T>,
    left: usize,
}

impl<'a, T> Iter<'a, T> {
    /// Skips a run that both share, where both stand at the begin of one.
    pub fn skip_shared(&mut self, other: &mut Iter<'a, T>) {
        while self.run.len() == 0
            && other.run.len() == 0
            && let (Some(one), Some(two)) = (self.runs.as_slice().first(), other.runs.as_slice().first())
            && Arc::ptr_eq(one, two)
        {
            for iter in [&mut *self, other] {
                iter.runs.next();
                iter.left -= one.len();
            }
        }
    }

    pub fn peek(&self) -> Option<&'a T> {
        self.run.as_slice().first().or_else(|| self.runs.as_slice().first().map(|run| &run[0]))
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if self.run.len() == 0 {
            self.run = self.runs.next()?.iter();
        }
        self.left -= 1;
        self.run.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<T> Clone for Sorted<T> {
    fn clone(&self) -> Self {
        Sorted { runs: self.runs.clone(), len: self.len }
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Sorted { runs: Arc::default(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Key and value.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Pair(u16, u8);

    impl Keyed for Pair {
        fn order(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }

    fn shared(a: &Sorted<Pair>, b: &Sorted<Pair>) -> usize {
        a.runs.iter().filter(|run| b.runs.iter().any(|other| Arc::ptr_eq(run, other))).count()
    }

    #[test]
    fn a_change_copies_one_run() {
        let before = Sorted::new((0..10_000).map(|key| Pair(key * 2, 0)).collect());
        for edit in [
            Edit::Put(Pair(5001, 1)),
            Edit::Put(Pair(5000, 1)),
            Edit::Remove(Pair(5000, 0)),
            Edit::Put(Pair(60_000, 1)),
        ] {
            let after = before.edited(vec![edit]);
            assert!(shared(&after, &before) + 1 >= before.runs.len());
        }
    }

    proptest! {
        /// Whatever is put and removed, it is the map of the same entries, in runs that are neither tiny nor huge.
        #[test]
        fn it_is_a_sorted_map(
            start in prop::collection::btree_map(0..2000u16, any::<u8>(), 0..1500),
            steps in prop::collection::vec(prop::collection::vec((0..2000u16, prop::option::of(any::<u8>())), 0..300), 1..8),
            cut in any::<bool>(),
        ) {
            let mut model: BTreeMap<u16, u8> = start;
            let mut sorted = Sorted::new(model.iter().map(|(key, value)| Pair(*key, *value)).collect());
            for step in steps {
                let before = (sorted.clone(), model.clone());
                let mut edits = Vec::new();
                for (key, value) in step {
                    match value.filter(|_| !cut || key % 8 == 0) {
                        Some(value) => {
                            model.insert(key, value);
                            edits.push(Edit::Put(Pair(key, value)));
                        }
                        None => {
                            model.remove(&key);
                            edits.push(Edit::Remove(Pair(key, 0)));
                        }
                    }
                }
                sorted = sorted.edited(edits);
                prop_assert!(sorted.iter().map(|pair| (pair.0, pair.1)).eq(model.clone()));
                prop_assert_eq!((sorted.len(), sorted.iter().len()), (model.len(), model.len()));
                prop_assert!(before.0.iter().map(|pair| (pair.0, pair.1)).eq(before.1));
                let last = sorted.runs.len().saturating_sub(1);
                prop_assert!(sorted.runs[..last].iter().all(|run| (RUN / 2..RUN * 2).contains(&run.len())));
                for key in (0..2000).step_by(37) {
                    prop_assert_eq!(sorted.find(|entry| entry.0.cmp(&key)).map(|entry| entry.1), model.get(&key).copied());
                    prop_assert!(sorted.from(|entry| entry.0.cmp(&key)).map(|pair| pair.0).eq(model.range(key..).map(|(key, _)| *key)));
                    let within = |entry: &Pair| match entry.0 {
                        held if held < key => Ordering::Less,
                        held if held < key + 300 => Ordering::Equal,
                        _ => Ordering::Greater,
                    };
                    prop_assert_eq!(sorted.count(within), model.range(key..key + 300).count());
                }
            }
        }
    }
}

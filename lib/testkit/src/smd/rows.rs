//! A table that answers in PostgreSQL's heap order: a row that is written again moves to the end.

use std::collections::{BTreeMap, HashMap};

/// Rows by key, iterated in the order of their last write.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    place: HashMap<String, u64>,
    rows: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { place: HashMap::new(), rows: BTreeMap::new(), next: 0 }
    }
}

impl<T> Rows<T> {
    /// Writes a row at the end; one of the same key is gone.
    pub(crate) fn put(&mut self, key: &str, row: T) {
        self.remove(key);
        self.place.insert(key.to_owned(), self.next);
        self.rows.insert(self.next, row);
        self.next += 1;
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<T> {
        let place = self.place.remove(key)?;
        self.rows.remove(&place)
    }

    /// The row of this key.
    pub(crate) fn find(&self, key: &str) -> Option<&T> {
        self.rows.get(self.place.get(key)?)
    }

    /// All rows, the one written last at the end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Removes all of them.
    pub(crate) fn clear(&mut self) {
        self.place.clear();
        self.rows.clear();
    }
}

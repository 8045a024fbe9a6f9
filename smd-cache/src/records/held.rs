//! Rows of one kind, each with the number of the latest read that had it.

use super::{Decoded, Problem, Read, Reason, Record, Rejected};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet, btree_map::Entry},
};

#[derive(Debug)]
pub struct Held<R> {
    /// In order of their keys.
    rows: Vec<Row<R>>,
    rejected: BTreeMap<String, (u64, Problem)>,
    last_whole: Option<Read>,
    /// Number of the whole read before that: what neither of the two had is gone.
    whole_before: Option<u64>,
    revision: u64,
}

#[derive(Debug)]
struct Row<R> {
    sequence: u64,
    record: R,
    /// Further ones with the same key in the same read; SMD's database forbids it.
    others: Vec<R>,
}

impl<R> Default for Held<R> {
    fn default() -> Self {
        Held {
            rows: Vec::new(),
            rejected: BTreeMap::new(),
            last_whole: None,
            whole_before: None,
            revision: 0,
        }
    }
}

impl<R: Record> Held<R> {
    pub fn apply(&mut self, read: Read, answer: Decoded<R>) {
        self.put_rows(grouped(read, answer.records));
        let mut rejected = answer.rejected;
        rejected.sort();
        for Rejected { key, problem } in rejected {
            self.reject(key, read.sequence, problem);
        }
        self.forget();
    }

    pub fn apply_whole(&mut self, read: Read, answer: Decoded<R>) {
        self.apply(read, answer);
        self.was_whole(read);
    }

    pub fn repeat_whole(&mut self, read: Read) -> bool {
        let Some(last) = self.last_whole.filter(|last| last.sequence < read.sequence) else { return false };
        let newer_came = |sequence: u64| sequence > last.sequence;
        if self.rows.iter().any(|row| newer_came(row.sequence))
            || self.rejected.values().any(|(sequence, _)| newer_came(*sequence))
        {
            return false;
        }
        for row in self.rows.iter_mut().filter(|row| row.sequence == last.sequence) {
            row.sequence = read.sequence;
        }
        for (sequence, _) in self.rejected.values_mut() {
            *sequence = read.sequence;
        }
        self.was_whole(read);
        true
    }

    pub fn last_whole(&self) -> Option<Read> {
        self.last_whole
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn records(&self) -> impl Iterator<Item = &R> {
        self.rows.iter().flat_map(|row| std::iter::once(&row.record).chain(&row.others))
    }

    pub fn holds(&self, compare: impl Fn(&R) -> Ordering) -> bool {
        self.rows.binary_search_by(|row| compare(&row.record)).is_ok()
    }

    /// Of the records, and of what was rejected unless a later read brought it in good shape.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let is_later = |row: &&Row<R>| {
            self.rejected.get(row.record.id()).is_some_and(|(rejected, _)| *rejected < row.sequence)
        };
        let rows = self.rows.iter().filter(|_| !self.rejected.is_empty());
        let mended: HashSet<&str> = rows.filter(is_later).map(|row| row.record.id()).collect();
        let rejected = self.rejected.iter().filter(move |(key, _)| !mended.contains(key.as_str()));
        self.records().flat_map(|record| record.problems()).chain(rejected.map(|(_, (_, problem))| problem))
    }

    /// Both lists are in order of their keys.
    fn put_rows(&mut self, rows: Vec<Row<R>>) {
        let mut fresh = Vec::new();
        let mut at = 0;
        for row in rows {
            let before = |held: &Row<R>| held.record.compare_keys(&row.record).is_lt();
            while self.rows.get(at).is_some_and(before) {
                at += 1;
            }
            match self.rows.get_mut(at).filter(|held| held.record.compare_keys(&row.record).is_eq()) {
                None => fresh.push(row),
                Some(held) => self.revision += u64::from(held.replace(row)),
            }
        }
        if !fresh.is_empty() {
            self.revision += 1;
            self.rows.extend(fresh);
            self.rows.sort_by(|a, b| a.record.compare_keys(&b.record));
        }
    }

    fn reject(&mut self, key: String, sequence: u64, problem: Problem) {
        match self.rejected.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert((sequence, problem));
                self.revision += 1;
            }
            Entry::Occupied(mut entry) if entry.get().0 < sequence => {
                let (_, before) = entry.insert((sequence, problem));
                self.revision += u64::from(before != entry.get().1);
            }
            Entry::Occupied(_) => {}
        }
    }

    fn was_whole(&mut self, read: Read) {
        match self.last_whole {
            None => self.last_whole = Some(read),
            Some(last) if last.sequence < read.sequence => {
                self.whole_before = Some(last.sequence);
                self.last_whole = Some(read);
            }
            Some(_) => self.whole_before = self.whole_before.max(Some(read.sequence)),
        }
        self.forget();
    }

    /// Drops what the two latest whole reads both did not have; of what was rejected, all that the latest one did not have.
    fn forget(&mut self) {
        let held = self.rows.len() + self.rejected.len();
        if let Some(before) = self.whole_before {
            self.rows.retain(|row| row.sequence >= before);
        }
        if let Some(last) = self.last_whole {
            self.rejected.retain(|_, (sequence, _)| *sequence >= last.sequence);
        }
        self.revision += u64::from(held != self.rows.len() + self.rejected.len());
    }
}

impl<R: PartialEq> Row<R> {
    /// Takes the later of the two; true when that changes anything. An equal record stays where it is in memory.
    fn replace(&mut self, row: Row<R>) -> bool {
        if row.sequence <= self.sequence {
            return false;
        }
        if self.record == row.record && self.others == row.others {
            self.sequence = row.sequence;
            return false;
        }
        *self = row;
        true
    }
}

/// SMD's own order means nothing: an updated row moves to the end.
fn grouped<R: Record>(read: Read, mut records: Vec<R>) -> Vec<Row<R>> {
    records.sort_by(|a, b| a.compare_keys(b).then_with(|| a.cmp(b)));
    records.dedup();
    let mut rows: Vec<Row<R>> = Vec::with_capacity(records.len());
    for record in records {
        match rows.last_mut().filter(|row| row.record.compare_keys(&record).is_eq()) {
            Some(row) => row.others.push(record),
            None => rows.push(Row { sequence: read.sequence, record, others: Vec::new() }),
        }
    }
    for row in rows.iter_mut().filter(|row| !row.others.is_empty()) {
        let count = row.others.len() + 1;
        let message = format!("SMD's answer has {count} records with ID '{}'", row.record.id());
        row.record.note(Problem::new(Reason::DuplicateId, message));
    }
    rows
}

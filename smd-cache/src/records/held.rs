//! Rows of one kind, each with the number of the latest read that had it.
//!
//! ```text
//!            a whole read lacks it           `?ID=` lacks it, too            the guard lets go
//!   held ───────────────────────────▶ missing ─────────────────▶ gone ───────────────────────▶ buried
//!    ▲  └── still served ──┘              │  └── still served ──┘  │  └── still served ──┘        │
//!    └───────────────── a later read has it ◀──────────────────────┴──────────────────────────────┘
//! ```
//! A row whose new form can serve nobody, where the old one could, keeps the old form beside it until the guard lets go.
//! Buried rows are remembered for a while, so that a slow read that began before they went cannot bring them back.

use super::{Decoded, Problem, Read, Reason, Record, Rejected};
use jiff::SignedDuration;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

/// How long a row that went is remembered: twice the longest that a read can take (`smd::WHOLE_TIMEOUT`, three sources).
const BURIED_FOR: SignedDuration = SignedDuration::from_secs(180);

/// So many keys that were touched are listed; with more the whole snapshot is built anew, which costs no more. A guess.
const MAX_TOUCHED: usize = 4_096;

#[derive(Debug)]
pub struct Held<R: Record> {
    /// In order of their keys.
    rows: Vec<Row<R>>,
    rejected: BTreeMap<String, (u64, Problem)>,
    last_whole: Option<Read>,
    buried: BTreeMap<R::Key, Read>,
    /// Rows that are gone or have a former form: what the guard has not let go yet.
    losses: usize,
    /// Something that the last whole read said is no longer what is held, so that its body is not to be believed unread.
    overtaken: bool,
    /// Rows of which something is wrong.
    noted: BTreeSet<R::Key>,
    touched: Touched<R::Name>,
    revision: u64,
}

#[derive(Debug)]
struct Row<R> {
    sequence: u64,
    /// The last whole read had it.
    in_whole: bool,
    record: R,
    rare: Option<Box<Rare<R>>>,
}

/// What hardly any row has, kept apart so that all are small.
#[derive(Debug)]
struct Rare<R> {
    /// Further ones with the same key in the same read; SMD's database forbids it.
    others: Vec<R>,
    /// SMD was asked for it by name, in this read, and does not have it.
    gone: Option<Read>,
    /// What it was when it could last serve somebody.
    former: Option<R>,
}

/// Names of what changed since somebody asked; too many are all.
#[derive(Debug)]
struct Touched<N>(Option<BTreeSet<N>>);

impl<N: Ord> Touched<N> {
    fn add(&mut self, name: N) {
        if let Some(names) = &mut self.0 {
            names.insert(name);
            if names.len() > MAX_TOUCHED {
                self.0 = None;
            }
        }
    }
}

impl<R: Record> Default for Held<R> {
    fn default() -> Self {
        Held {
            rows: Vec::new(),
            rejected: BTreeMap::new(),
            last_whole: None,
            buried: BTreeMap::new(),
            losses: 0,
            overtaken: false,
            noted: BTreeSet::new(),
            touched: Touched(Some(BTreeSet::new())),
            revision: 0,
        }
    }
}

impl<R: Record> Held<R> {
    /// What was believed before the start: older than any read.
    pub fn restore(&mut self, restored: Decoded<R>) {
        self.rows = grouped(0, restored.records).collect();
        self.noted = self.rows.iter().filter(|row| row.is_noted()).map(|row| row.record.key()).collect();
        self.rejected =
            restored.rejected.into_iter().map(|Rejected { key, problem }| (key, (0, problem))).collect();
        self.touched = Touched(None);
        self.revision += 1;
    }

    pub fn apply(&mut self, read: Read, answer: Decoded<R>) {
        let put = self.put(read, answer);
        self.overtaken |= put.changed;
    }

    fn put(&mut self, read: Read, answer: Decoded<R>) -> Put {
        self.buried.retain(|_, buried| read.started_at.duration_since(buried.started_at) < BURIED_FOR);
        let put = self.put_rows(read.sequence, answer.records);
        let mut rejected = answer.rejected;
        rejected.sort();
        for Rejected { key, problem } in rejected {
            self.reject(key, read.sequence, problem);
        }
        self.forget_rejected();
        put
    }

    pub fn apply_whole(&mut self, read: Read, answer: Decoded<R>) {
        let latest = self.last_whole.is_none_or(|last| last.sequence < read.sequence);
        let put = self.put(read, answer);
        if latest {
            self.overtaken = put.passed_over;
            self.rows.iter_mut().for_each(|row| row.in_whole = row.sequence == read.sequence);
        }
        self.was_whole(read);
    }

    /// Whether a body that equals the last whole one says what is held.
    pub fn is_repeatable(&self) -> bool {
        self.last_whole.is_some() && !self.overtaken
    }

    pub fn repeat_whole(&mut self, read: Read) -> bool {
        let Some(last) = self.last_whole.filter(|last| last.sequence < read.sequence) else { return false };
        if self.overtaken || self.rejected.values().any(|(sequence, _)| *sequence > last.sequence) {
            return false;
        }
        for row in self.rows.iter_mut().filter(|row| row.in_whole) {
            row.sequence = row.sequence.max(read.sequence);
        }
        for (sequence, _) in self.rejected.values_mut() {
            *sequence = read.sequence;
        }
        self.was_whole(read);
        true
    }

    /// Takes in the answer to having asked for these rows by name: those that it lacks are gone, unless something newer
    /// had them.
    pub fn confirm(&mut self, read: Read, asked: &[R::Key], answer: Decoded<R>) {
        self.apply(read, answer);
        for key in asked {
            let Ok(at) = self.rows.binary_search_by(|row| row.record.key_order(key)) else {
                self.bury(key.clone(), read);
                continue;
            };
            let row = &mut self.rows[at];
            if row.sequence < read.sequence && row.gone().is_none_or(|gone| gone.sequence < read.sequence) {
                self.losses += usize::from(!row.is_loss());
                row.rare().gone = Some(read);
            }
        }
    }

    /// Rows that the last whole read lacked and that nobody asked about since, in order of their keys.
    pub fn missing(&self) -> impl Iterator<Item = &R> {
        let last = self.last_whole.map_or(0, |last| last.sequence);
        self.rows.iter().filter(move |row| row.sequence < last && row.gone().is_none()).map(|row| &row.record)
    }

    /// Something is gone, or can serve nobody any more, and was not let go.
    pub fn has_losses(&self) -> bool {
        self.losses > 0
    }

    /// What would be left, each in its newest form.
    pub fn without_losses(&self) -> impl Iterator<Item = &R> {
        let left = self.rows.iter().filter(|row| row.gone().is_none());
        left.flat_map(|row| std::iter::once(&row.record).chain(row.others()))
    }

    /// What is still shown although SMD does not have it so any more.
    pub fn losses(&self) -> impl Iterator<Item = &R> {
        self.rows.iter().filter(|row| row.is_loss()).map(Row::shown)
    }

    /// Believes that what is gone is gone.
    pub fn let_go(&mut self) {
        if self.losses == 0 {
            return;
        }
        self.losses = 0;
        self.revision += 1;
        let mut buried = Vec::new();
        for row in self.rows.iter_mut().filter(|row| row.is_loss()) {
            row.rare().former = None;
            self.touched.add(row.record.name());
            self.overtaken |= row.in_whole;
            match row.gone() {
                Some(gone) => buried.push((row.record.key(), gone)),
                None => note(&mut self.noted, row),
            }
        }
        self.rows.retain(|row| row.gone().is_none());
        for (key, gone) in buried {
            self.noted.remove(&key);
            self.bury(key, gone);
        }
    }

    fn bury(&mut self, key: R::Key, gone: Read) {
        let buried = self.buried.entry(key).or_insert(gone);
        *buried = gone.max(*buried);
    }

    pub fn last_whole(&self) -> Option<Read> {
        self.last_whole
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What was put, replaced or removed since the last call; `None`: too much to list.
    pub fn take_touched(&mut self) -> Option<BTreeSet<R::Name>> {
        self.touched.0.replace(BTreeSet::new())
    }

    pub fn records(&self) -> impl Iterator<Item = &R> {
        self.rows.iter().flat_map(Row::all)
    }

    /// Those for which `compare` says equal, which must go by the order of their keys.
    pub fn matching(&self, compare: impl Fn(&R) -> Ordering) -> impl Iterator<Item = &R> {
        let start = self.rows.partition_point(|row| compare(&row.record).is_lt());
        let same = self.rows[start..].iter().take_while(move |row| compare(&row.record).is_eq());
        same.flat_map(Row::all)
    }

    pub fn holds(&self, compare: impl Fn(&R) -> Ordering) -> bool {
        self.rows.binary_search_by(|row| compare(&row.record)).is_ok()
    }

    pub fn rejected(&self) -> impl Iterator<Item = (&str, &Problem)> {
        self.rejected.iter().map(|(key, (_, problem))| (key.as_str(), problem))
    }

    /// Of the records, and of what was rejected.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let row = |key| self.rows.binary_search_by(|row| row.record.key_order(key)).ok();
        let rows = self.noted.iter().filter_map(row).map(|at| &self.rows[at]);
        let of_records = rows.flat_map(Row::all).flat_map(|record| record.problems());
        of_records.chain(self.rejected.values().map(|(_, problem)| problem))
    }

    fn put_rows(&mut self, sequence: u64, records: Vec<R>) -> Put {
        let mut put = Put::default();
        let all_fresh = self.rows.is_empty();
        let mut fresh = Vec::with_capacity(if all_fresh { records.len() } else { 0 });
        let mut at = 0;
        for row in grouped(sequence, records) {
            at = advance(&self.rows, at, |held| held.record.compare_keys(&row.record).is_lt());
            match self.rows.get(at).filter(|held| held.record.compare_keys(&row.record).is_eq()) {
                None if self.is_buried(&row) => put.passed_over = true,
                None => fresh.push(row),
                Some(_) => match self.replace(at, row) {
                    Replaced::Older => put.passed_over = true,
                    Replaced::Same => {}
                    Replaced::Changed => put.changed = true,
                },
            }
        }
        self.put_fresh(fresh);
        put
    }

    fn put_fresh(&mut self, fresh: Vec<Row<R>>) {
        if fresh.is_empty() {
            return;
        }
        self.revision += 1;
        for row in &fresh {
            self.touched.add(row.record.name());
            self.buried.remove(&row.record.key());
            note(&mut self.noted, row);
            mend(&mut self.rejected, row);
        }
        if self.rows.is_empty() {
            self.rows = fresh;
            return;
        }
        self.rows.extend(fresh);
        self.rows.sort_by(|a, b| a.record.compare_keys(&b.record));
    }

    fn replace(&mut self, at: usize, row: Row<R>) -> Replaced {
        let held = &mut self.rows[at];
        let was_loss = held.is_loss();
        let replaced = held.replace(row);
        if replaced == Replaced::Changed {
            self.revision += 1;
            self.touched.add(held.record.name());
            note(&mut self.noted, held);
        }
        if replaced != Replaced::Older {
            self.revision += u64::from(mend(&mut self.rejected, held));
        }
        self.losses += usize::from(held.is_loss());
        self.losses -= usize::from(was_loss);
        replaced
    }

    /// It went after the read that has it began.
    fn is_buried(&self, row: &Row<R>) -> bool {
        !self.buried.is_empty()
            && self.buried.get(&row.record.key()).is_some_and(|buried| row.sequence <= buried.sequence)
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
        if self.last_whole.is_none_or(|last| last.sequence < read.sequence) {
            self.last_whole = Some(read);
        }
        self.forget_rejected();
    }

    /// Drops what was rejected and the latest whole read did not have.
    fn forget_rejected(&mut self) {
        let held = self.rejected.len();
        if let Some(last) = self.last_whole {
            self.rejected.retain(|_, (sequence, _)| *sequence >= last.sequence);
        }
        self.revision += u64::from(held != self.rejected.len());
    }
}

impl<R: Record> Row<R> {
    fn gone(&self) -> Option<Read> {
        self.rare.as_ref()?.gone
    }

    fn others(&self) -> &[R] {
        self.rare.as_ref().map_or(&[], |rare| &rare.others)
    }

    fn former(&self) -> Option<&R> {
        self.rare.as_ref()?.former.as_ref()
    }

    fn rare(&mut self) -> &mut Rare<R> {
        self.rare.get_or_insert_with(|| Box::new(Rare { others: Vec::new(), gone: None, former: None }))
    }

    fn is_loss(&self) -> bool {
        self.gone().is_some() || self.former().is_some()
    }

    fn is_noted(&self) -> bool {
        self.all().any(|record| !record.problems().is_empty())
    }

    fn shown(&self) -> &R {
        self.former().unwrap_or(&self.record)
    }

    fn all(&self) -> impl Iterator<Item = &R> {
        std::iter::once(self.shown()).chain(self.others())
    }

    /// Takes the later of the two. An equal record stays where it is in memory.
    fn replace(&mut self, row: Row<R>) -> Replaced {
        if row.sequence <= self.sequence || self.gone().is_some_and(|gone| row.sequence <= gone.sequence) {
            return Replaced::Older;
        }
        self.sequence = row.sequence;
        if let Some(rare) = &mut self.rare {
            rare.gone = None;
        }
        if self.record == row.record && self.others() == row.others() {
            return Replaced::Same;
        }
        let before = std::mem::replace(&mut self.record, row.record);
        let former = self.rare.take().and_then(|rare| rare.former).or(Some(before));
        self.rare = row.rare;
        if !self.record.can_serve()
            && let former @ Some(_) = former.filter(Record::can_serve)
        {
            self.rare().former = former;
        }
        Replaced::Changed
    }
}

/// Writes down whether something is wrong with a row.
fn note<R: Record>(noted: &mut BTreeSet<R::Key>, row: &Row<R>) {
    if row.is_noted() {
        noted.insert(row.record.key());
    } else if !noted.is_empty() {
        noted.remove(&row.record.key());
    }
}

/// What was rejected and came in good shape later is well again.
fn mend<R: Record>(rejected: &mut BTreeMap<String, (u64, Problem)>, row: &Row<R>) -> bool {
    let is_mended = rejected.get(row.record.id()).is_some_and(|(sequence, _)| *sequence < row.sequence);
    is_mended && rejected.remove(row.record.id()).is_some()
}

/// What came of an answer's rows.
#[derive(Debug, Clone, Copy, Default)]
struct Put {
    /// Some were older than what is held.
    passed_over: bool,
    /// Some were different from what was held.
    changed: bool,
}

/// What came of a row that was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    /// What is held is newer.
    Older,
    Same,
    Changed,
}

/// The first position from `at` on that is not before. Mostly it is this one or the next: whole reads name every row.
fn advance<R>(rows: &[R], at: usize, before: impl Fn(&R) -> bool) -> usize {
    match rows[at..] {
        [ref this, ref next, ..] if before(this) && before(next) => {
            at + 2 + rows[at + 2..].partition_point(before)
        }
        [ref this, ..] if before(this) => at + 1,
        _ => at,
    }
}

/// Rows in order of their keys. SMD's own order means nothing: an updated row moves to the end.
fn grouped<R: Record>(sequence: u64, mut records: Vec<R>) -> impl Iterator<Item = Row<R>> {
    records.sort_by(|a, b| a.compare_keys(b).then_with(|| a.cmp(b)));
    records.dedup();
    let mut records = records.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut row = Row { sequence, in_whole: false, record: records.next()?, rare: None };
        while let Some(other) = records.next_if(|next| next.compare_keys(&row.record).is_eq()) {
            row.rare().others.push(other);
        }
        if let count @ 1.. = row.others().len() {
            let message = format!("SMD's answer has {} records with ID '{}'", count + 1, row.record.id());
            row.record.note(Problem::new(Reason::DuplicateId, message));
        }
        Some(row)
    })
}

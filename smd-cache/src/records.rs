//! SMD's records as types, and the set of them that is believed at this moment.
//!
//! Pure: bytes in, records and problems out. Reads are numbered in the order in which they *began*; whatever order they
//! end in, the set is the same: each row is what the latest read that had it said, and it is gone once the two latest
//! whole reads both began later and did not have it.

mod decode;
mod problem;

pub use decode::{BadBody, Decoded, MAX_TEXT, Rejected, decode_components, decode_interfaces};
pub use problem::{Problem, Reason};

use jiff::Timestamp;
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};
use values::{Mac, Xname};

/// One read of SMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// Grows by one with each read begun, whatever it asks for.
    pub sequence: u64,
    /// When it began, for people and for freshness; never for order.
    pub started_at: Timestamp,
}

/// A row of `Inventory/EthernetInterfaces`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceRecord {
    /// SMD's `LastUpdate`.
    pub last_update: Option<Timestamp>,
    /// SMD's `ID`, as spelt: two rows of one MAC differ in it.
    pub id: String,
    /// From `MACAddress`, whatever the spelling.
    pub mac: Mac,
    /// At most [`MAX_TEXT`] bytes.
    pub description: String,
    /// The owner; `None`: tied to nothing, or to something that is no xname.
    pub component_id: Option<Xname>,
    /// SMD's `Type`, derived from the form of the owner's xname; used only where the owner does not exist.
    pub kind: String,
    /// Usable ones in SMD's order, each once.
    pub addresses: Vec<AddressRecord>,
    /// What was wrong with it, but not enough to refuse it.
    pub problems: Vec<Problem>,
}

/// An address of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRecord {
    /// The address.
    pub address: IpAddr,
    /// SMD's `Network`, empty when it has none.
    pub network: String,
}

/// A row of `State/Components`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentRecord {
    /// xname.
    pub id: Xname,
    /// `Type`: Node, NodeBMC ... open text.
    pub kind: String,
    /// Node number, not unique.
    pub nid: Option<i64>,
    /// Role.
    pub role: String,
    /// Sub-role.
    pub sub_role: String,
    /// Architecture.
    pub arch: String,
    /// Class.
    pub class: String,
    /// State.
    pub state: String,
    /// Flag.
    pub flag: String,
    /// `None` where SMD leaves it out.
    pub enabled: Option<bool>,
    /// Groups it is a member of.
    pub groups: Vec<String>,
    /// What was wrong with it, but not enough to refuse it.
    pub problems: Vec<Problem>,
}

/// Everything that is believed.
#[derive(Debug, Default)]
pub struct Records {
    interfaces: Held<String, InterfaceRecord>,
    components: Held<Xname, ComponentRecord>,
}

impl Records {
    /// Nothing read yet.
    pub fn new() -> Records {
        Records::default()
    }

    /// A whole read of interfaces: also says what is no longer there.
    pub fn apply_whole_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply(read, answer);
        self.interfaces.was_whole(read);
    }

    /// Some interfaces (a delta, one `ID`): says nothing about others.
    pub fn apply_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply(read, answer);
    }

    /// A whole read of components.
    pub fn apply_whole_components(&mut self, read: Read, answer: Decoded<ComponentRecord>) {
        self.components.apply(read, answer);
        self.components.was_whole(read);
    }

    /// Some components (`?id=`).
    pub fn apply_components(&mut self, read: Read, answer: Decoded<ComponentRecord>) {
        self.components.apply(read, answer);
    }

    /// A whole read of interfaces whose body equals the last whole one's, so that it need not be decoded. False: it must be
    /// decoded all the same, because other reads came between.
    #[must_use]
    pub fn repeat_whole_interfaces(&mut self, read: Read) -> bool {
        self.interfaces.repeat_whole(read)
    }

    /// Likewise for components.
    #[must_use]
    pub fn repeat_whole_components(&mut self, read: Read) -> bool {
        self.components.repeat_whole(read)
    }

    /// Whether interfaces and components were both read whole at least once.
    pub fn is_whole(&self) -> bool {
        self.interfaces.last_whole.is_some() && self.components.last_whole.is_some()
    }

    /// Start of the last good whole read: of the older one of interfaces and components.
    pub fn whole_read_at(&self) -> Option<Timestamp> {
        let interfaces = self.interfaces.last_whole?;
        let components = self.components.last_whole?;
        Some(interfaces.started_at.min(components.started_at))
    }

    /// Components that interfaces name but that are not held, to be asked by `?id=` in the same cycle; in order.
    pub fn missing_components(&self) -> Vec<Xname> {
        let named = self.interfaces().filter_map(|record| record.component_id.as_ref());
        let missing: BTreeSet<&Xname> = named.filter(|id| !self.components.rows.contains_key(*id)).collect();
        missing.into_iter().cloned().collect()
    }

    /// Every row of interfaces that is believed, by `ID`; which is unique as long as SMD's database is well.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceRecord> {
        self.interfaces.records()
    }

    /// Every component that is believed, by xname; likewise.
    pub fn components(&self) -> impl Iterator<Item = &ComponentRecord> {
        self.components.records()
    }

    /// Everything that is wrong with what was read, rejected records included.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.interfaces.problems().chain(self.components.problems())
    }
}

/// What a row is known by.
trait Record: Ord {
    type Key: Ord + Clone + Borrow<str>;
    fn key(&self) -> &Self::Key;
    fn problems(&self) -> &[Problem];
    fn note(&mut self, problem: Problem);
}

impl Record for InterfaceRecord {
    type Key = String;
    fn key(&self) -> &String {
        &self.id
    }
    fn problems(&self) -> &[Problem] {
        &self.problems
    }
    fn note(&mut self, problem: Problem) {
        self.problems.push(problem.of_mac(self.mac).of_component(self.component_id.as_ref()));
    }
}

impl Record for ComponentRecord {
    type Key = Xname;
    fn key(&self) -> &Xname {
        &self.id
    }
    fn problems(&self) -> &[Problem] {
        &self.problems
    }
    fn note(&mut self, problem: Problem) {
        self.problems.push(problem.of_component(Some(&self.id)));
    }
}

/// Rows of one kind, each with the number of the latest read that had it.
#[derive(Debug)]
struct Held<K, R> {
    rows: BTreeMap<K, Row<R>>,
    rejected: BTreeMap<String, Row<Problem>>,
    last_whole: Option<Read>,
    /// Number of the whole read before that: what neither of the two had is gone.
    whole_before: Option<u64>,
}

#[derive(Debug)]
struct Row<R> {
    sequence: u64,
    record: R,
    /// Further ones with the same key in the same read; SMD's database forbids it.
    others: Vec<R>,
}

impl<K, R> Default for Held<K, R> {
    fn default() -> Self {
        Held { rows: BTreeMap::new(), rejected: BTreeMap::new(), last_whole: None, whole_before: None }
    }
}

impl<R: Record> Held<R::Key, R> {
    fn apply(&mut self, read: Read, answer: Decoded<R>) {
        let mut records = answer.records;
        // SMD's own order means nothing: an updated row moves to the end.
        records.sort_by(|a, b| a.key().cmp(b.key()).then_with(|| a.cmp(b)));
        records.dedup();
        let mut records = records.into_iter().peekable();
        while let Some(mut record) = records.next() {
            let key = record.key().clone();
            let mut others = Vec::new();
            while let Some(other) = records.next_if(|next| *next.key() == key) {
                others.push(other);
            }
            if !others.is_empty() {
                let message =
                    format!("SMD's answer has {} records with ID '{}'", others.len() + 1, key.borrow());
                record.note(Problem::new(Reason::DuplicateId, message));
            }
            put(&mut self.rows, key, Row { sequence: read.sequence, record, others });
        }
        let mut rejected = answer.rejected;
        rejected.sort();
        for Rejected { key, problem } in rejected {
            put(
                &mut self.rejected,
                key,
                Row { sequence: read.sequence, record: problem, others: Vec::new() },
            );
        }
        self.forget();
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
        if let Some(before) = self.whole_before {
            self.rows.retain(|_, row| row.sequence >= before);
        }
        if let Some(last) = self.last_whole {
            self.rejected.retain(|_, row| row.sequence >= last.sequence);
        }
    }

    fn repeat_whole(&mut self, read: Read) -> bool {
        let Some(last) = self.last_whole.filter(|last| last.sequence < read.sequence) else { return false };
        let newer_came = |sequence: u64| sequence > last.sequence;
        if self.rows.values().any(|row| newer_came(row.sequence))
            || self.rejected.values().any(|row| newer_came(row.sequence))
        {
            return false;
        }
        for row in self.rows.values_mut().filter(|row| row.sequence == last.sequence) {
            row.sequence = read.sequence;
        }
        for row in self.rejected.values_mut() {
            row.sequence = read.sequence;
        }
        self.was_whole(read);
        true
    }

    fn records(&self) -> impl Iterator<Item = &R> {
        self.rows.values().flat_map(|row| std::iter::once(&row.record).chain(&row.others))
    }

    fn problems(&self) -> impl Iterator<Item = &Problem> {
        let of_rows = self.records().flat_map(|record| record.problems());
        of_rows.chain(
            self.rejected
                .iter()
                .filter(|(key, row)| self.still_rejected(key, row))
                .map(|(_, row)| &row.record),
        )
    }

    /// A later read may have brought the record in good shape.
    fn still_rejected(&self, key: &str, rejected: &Row<Problem>) -> bool {
        self.rows.get(key).is_none_or(|row| row.sequence <= rejected.sequence)
    }
}

/// A later read replaces what an earlier one brought; within one read the first stays.
fn put<K: Ord, R>(rows: &mut BTreeMap<K, Row<R>>, key: K, row: Row<R>) {
    match rows.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(row);
        }
        Entry::Occupied(mut entry) if entry.get().sequence < row.sequence => {
            entry.insert(row);
        }
        Entry::Occupied(_) => {}
    }
}

#[cfg(test)]
mod tests;

//! SMD's records as types, and the set of them that is believed at this moment.
//!
//! Pure: bytes in, records and problems out. Reads are numbered in the order in which they *began*; whatever order they
//! end in, the set is the same: each row is what the latest read that had it said, and it is gone once the two latest
//! whole reads both began later and did not have it.

mod decode;
mod held;
mod problem;

pub use decode::{BadBody, Decoded, MAX_TEXT, Rejected, decode_components, decode_interfaces};
pub use problem::{Problem, Reason};

use held::Held;
use jiff::Timestamp;
use std::{cmp::Ordering, collections::BTreeSet, net::IpAddr, sync::Arc};
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
    pub description: Arc<str>,
    /// The owner; `None`: tied to nothing, or to something that is no xname.
    pub component_id: Option<Xname>,
    /// SMD's `Type`, derived from the form of the owner's xname; used only where the owner does not exist.
    pub kind: Arc<str>,
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
    pub network: Arc<str>,
}

/// A row of `State/Components`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentRecord {
    /// xname.
    pub id: Xname,
    /// `Type`: Node, NodeBMC ... open text.
    pub kind: Arc<str>,
    /// Node number, not unique.
    pub nid: Option<i64>,
    /// Role.
    pub role: Arc<str>,
    /// Sub-role.
    pub sub_role: Arc<str>,
    /// Architecture.
    pub arch: Arc<str>,
    /// Class.
    pub class: Arc<str>,
    /// State.
    pub state: Arc<str>,
    /// Flag.
    pub flag: Arc<str>,
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
    interfaces: Held<InterfaceRecord>,
    components: Held<ComponentRecord>,
}

impl Records {
    /// Nothing read yet.
    pub fn new() -> Records {
        Records::default()
    }

    /// A whole read of interfaces: also says what is no longer there.
    pub fn apply_whole_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply_whole(read, answer);
    }

    /// Some interfaces (a delta, one `ID`): says nothing about others.
    pub fn apply_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply(read, answer);
    }

    /// A whole read of components.
    pub fn apply_whole_components(&mut self, read: Read, answer: Decoded<ComponentRecord>) {
        self.components.apply_whole(read, answer);
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
        self.interfaces.last_whole().is_some() && self.components.last_whole().is_some()
    }

    /// Start of the last good whole read: of the older one of interfaces and components.
    pub fn whole_read_at(&self) -> Option<Timestamp> {
        let interfaces = self.interfaces.last_whole()?;
        let components = self.components.last_whole()?;
        Some(interfaces.started_at.min(components.started_at))
    }

    /// Components that interfaces name but that are not held, to be asked by `?id=` in the same cycle; in order.
    pub fn missing_components(&self) -> Vec<Xname> {
        let named = self.interfaces().filter_map(|record| record.component_id.as_ref());
        let missing: BTreeSet<&Xname> =
            named.filter(|id| !self.components.holds(|record| record.id.cmp(id))).collect();
        missing.into_iter().cloned().collect()
    }

    /// Grows whenever a record or a problem is put, replaced by another or dropped: as long as it is the same, so is the
    /// snapshot that comes of it.
    pub fn revision(&self) -> u64 {
        self.interfaces.revision() + self.components.revision()
    }

    /// Every row of interfaces that is believed, by MAC and `ID`; which is unique as long as SMD's database is well.
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
    fn compare_keys(&self, other: &Self) -> Ordering;
    fn id(&self) -> &str;
    fn problems(&self) -> &[Problem];
    fn note(&mut self, problem: Problem);
}

impl Record for InterfaceRecord {
    fn compare_keys(&self, other: &Self) -> Ordering {
        (self.mac, &self.id).cmp(&(other.mac, &other.id))
    }
    fn id(&self) -> &str {
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
    fn compare_keys(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn problems(&self) -> &[Problem] {
        &self.problems
    }
    fn note(&mut self, problem: Problem) {
        self.problems.push(problem.of_component(Some(&self.id)));
    }
}

#[cfg(test)]
mod tests;

//! SMD's records as types, and the set of them that is believed at this moment.
//!
//! Pure: bytes in, records and problems out. Reads are numbered in the order in which they *began*; whatever order they
//! end in, the set is the same: each row is what the latest read that had it said. A row that a whole read lacks stays
//! until SMD, asked for it by name, does not have it either ([`Records::confirm_interfaces`]) and somebody lets it go
//! ([`Records::let_go`]).

mod decode;
mod held;
mod problem;

pub use decode::{BadBody, Decoded, MAX_TEXT, Rejected, Texts, decode_components, decode_interfaces};
pub use problem::{Problem, Reason};

use held::Held;
use jiff::Timestamp;
use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
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

    /// What was believed when the program ended last: older than anything that is read.
    pub fn restore(&mut self, interfaces: Decoded<InterfaceRecord>, components: Decoded<ComponentRecord>) {
        self.interfaces.restore(interfaces);
        self.components.restore(components);
    }

    /// A whole read of interfaces: also says what is missing.
    pub fn apply_whole_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply_whole(read, answer);
    }

    /// Some interfaces (a delta, one `ID`): says nothing about others.
    pub fn apply_interfaces(&mut self, read: Read, answer: Decoded<InterfaceRecord>) {
        self.interfaces.apply(read, answer);
    }

    /// The answer to having asked for these interfaces by name: those it lacks are gone.
    pub fn confirm_interfaces(
        &mut self,
        read: Read,
        asked: &[InterfaceKey],
        answer: Decoded<InterfaceRecord>,
    ) {
        self.interfaces.confirm(read, asked, answer);
    }

    /// A whole read of components.
    pub fn apply_whole_components(&mut self, read: Read, answer: Decoded<ComponentRecord>) {
        self.components.apply_whole(read, answer);
    }

    /// Some components (`?id=`).
    pub fn apply_components(&mut self, read: Read, answer: Decoded<ComponentRecord>) {
        self.components.apply(read, answer);
    }

    /// The answer to having asked for these components by name.
    pub fn confirm_components(&mut self, read: Read, asked: &[Xname], answer: Decoded<ComponentRecord>) {
        self.components.confirm(read, asked, answer);
    }

    /// The interfaces that the last whole read lacked and that nobody asked about since.
    pub fn missing_interfaces(&self) -> impl Iterator<Item = InterfaceKey> {
        self.interfaces.missing().map(Record::key)
    }

    /// Likewise the components.
    pub fn missing_components(&self) -> impl Iterator<Item = Xname> {
        self.components.missing().map(Record::key)
    }

    /// Something is gone, or can serve nobody any more, and is still shown.
    pub fn has_losses(&self) -> bool {
        self.interfaces.has_losses() || self.components.has_losses()
    }

    /// The interfaces and components that are shown although SMD does not have them so any more.
    pub fn losses(&self) -> (impl Iterator<Item = &InterfaceRecord>, impl Iterator<Item = &ComponentRecord>) {
        (self.interfaces.losses(), self.components.losses())
    }

    /// How many interfaces would be left that DHCP can serve, once the losses are let go: with a component that is there
    /// and an address. At most as many as there are addresses, for nobody shares one.
    pub fn servable_without_losses(&self) -> usize {
        let components: HashSet<&Xname> = self.components.without_losses().map(|record| &record.id).collect();
        let mut macs = HashSet::new();
        let mut addresses = HashSet::new();
        for record in self.interfaces.without_losses() {
            if record.component_id.as_ref().is_some_and(|id| components.contains(id)) && record.can_serve() {
                macs.insert(record.mac);
                addresses.extend(record.addresses.iter().map(|record| record.address));
            }
        }
        macs.len().min(addresses.len())
    }

    /// Believes every loss.
    pub fn let_go(&mut self) {
        self.interfaces.let_go();
        self.components.let_go();
    }

    /// MACs of rows and ids of components that were put, replaced or removed since the last call; `None`: too many to list.
    pub fn take_touched(&mut self) -> Option<(BTreeSet<Mac>, BTreeSet<Xname>)> {
        let (macs, ids) = (self.interfaces.take_touched(), self.components.take_touched());
        macs.zip(ids)
    }

    /// Whether bodies of interfaces and components that equal the last whole ones say what is held.
    pub fn are_repeatable(&self) -> (bool, bool) {
        (self.interfaces.is_repeatable(), self.components.is_repeatable())
    }

    /// A whole read of interfaces whose body equals the last whole one's, so that it need not be decoded. False: it must be
    /// decoded all the same, because other reads brought something else since.
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

    /// Components that interfaces name but that are not held; in order. Looks at every interface.
    pub fn wanted_components(&self) -> BTreeSet<Xname> {
        let named = self.interfaces().filter_map(|record| record.component_id.as_ref());
        named.filter(|id| !self.has_component(id)).cloned().collect()
    }

    /// Whether this component is held.
    pub fn has_component(&self, id: &Xname) -> bool {
        self.components.holds(|record| record.id.cmp(id))
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

    /// Records that were refused, with their keys: interfaces and components.
    pub fn rejected(
        &self,
    ) -> (impl Iterator<Item = (&str, &Problem)>, impl Iterator<Item = (&str, &Problem)>) {
        (self.interfaces.rejected(), self.components.rejected())
    }

    /// The rows of a MAC.
    pub fn interfaces_with(&self, mac: Mac) -> impl Iterator<Item = &InterfaceRecord> {
        self.interfaces.matching(move |record| record.mac.cmp(&mac))
    }

    /// The component with this xname.
    pub fn component(&self, id: &Xname) -> Option<&ComponentRecord> {
        self.components.matching(|record| record.id.cmp(id)).next()
    }

    /// The components for which `compare`, which goes by the order of xnames, says equal.
    pub fn components_matching(
        &self,
        compare: impl Fn(&Xname) -> Ordering,
    ) -> impl Iterator<Item = &ComponentRecord> {
        self.components.matching(move |record| compare(&record.id))
    }

    /// Everything that is wrong with what was read, rejected records included.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.interfaces.problems().chain(self.components.problems())
    }
}

/// What a row of interfaces is known by: MAC and SMD's `ID`, as spelt.
pub type InterfaceKey = (Mac, String);

/// What a row is known by, and what it is worth.
trait Record: Ord {
    /// Of the row.
    type Key: Ord + Clone + std::fmt::Debug;
    /// Of what it is about: rows in two spellings are about one MAC.
    type Name: Ord + std::fmt::Debug;
    fn key(&self) -> Self::Key;
    fn name(&self) -> Self::Name;
    fn key_order(&self, key: &Self::Key) -> Ordering;
    fn compare_keys(&self, other: &Self) -> Ordering;
    fn id(&self) -> &str;
    fn problems(&self) -> &[Problem];
    fn note(&mut self, problem: Problem);
    /// By itself; a record that could and cannot any more is a loss.
    fn can_serve(&self) -> bool;
}

impl Record for InterfaceRecord {
    type Key = InterfaceKey;
    type Name = Mac;
    fn key(&self) -> InterfaceKey {
        (self.mac, self.id.clone())
    }
    fn name(&self) -> Mac {
        self.mac
    }
    fn key_order(&self, (mac, id): &InterfaceKey) -> Ordering {
        (self.mac, &self.id).cmp(&(*mac, id))
    }
    fn can_serve(&self) -> bool {
        self.component_id.is_some() && !self.addresses.is_empty()
    }
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
    type Key = Xname;
    type Name = Xname;
    fn key(&self) -> Xname {
        self.id.clone()
    }
    fn name(&self) -> Xname {
        self.id.clone()
    }
    fn key_order(&self, id: &Xname) -> Ordering {
        self.id.cmp(id)
    }
    /// A component that is there is one; whether anything is to be served for it, its interfaces say.
    fn can_serve(&self) -> bool {
        true
    }
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

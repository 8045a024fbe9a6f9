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
use std::net::IpAddr;
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
pub struct Records {}

impl Records {
    /// Nothing read yet.
    pub fn new() -> Records {
        Records::default()
    }

    /// A whole read of interfaces: also says what is no longer there.
    pub fn apply_whole_interfaces(&mut self, _read: Read, _answer: Decoded<InterfaceRecord>) {
        todo!()
    }

    /// Some interfaces (a delta, one `ID`): says nothing about others.
    pub fn apply_interfaces(&mut self, _read: Read, _answer: Decoded<InterfaceRecord>) {
        todo!()
    }

    /// A whole read of components.
    pub fn apply_whole_components(&mut self, _read: Read, _answer: Decoded<ComponentRecord>) {
        todo!()
    }

    /// Some components (`?id=`).
    pub fn apply_components(&mut self, _read: Read, _answer: Decoded<ComponentRecord>) {
        todo!()
    }

    /// A whole read of interfaces whose body equals the last whole one's, so that it need not be decoded. False: it must be
    /// decoded all the same, because other reads came between.
    #[must_use]
    pub fn repeat_whole_interfaces(&mut self, _read: Read) -> bool {
        todo!()
    }

    /// Likewise for components.
    #[must_use]
    pub fn repeat_whole_components(&mut self, _read: Read) -> bool {
        todo!()
    }

    /// Whether interfaces and components were both read whole at least once.
    pub fn is_whole(&self) -> bool {
        todo!()
    }

    /// Start of the last good whole read: of the older one of interfaces and components.
    pub fn whole_read_at(&self) -> Option<Timestamp> {
        todo!()
    }

    /// Components that interfaces name but that are not held, to be asked by `?id=` in the same cycle; in order.
    pub fn missing_components(&self) -> Vec<Xname> {
        todo!()
    }

    /// Every row of interfaces that is believed, by `ID`.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceRecord> {
        std::iter::empty()
    }

    /// Every component that is believed, by xname.
    pub fn components(&self) -> impl Iterator<Item = &ComponentRecord> {
        std::iter::empty()
    }

    /// Everything that is wrong with what was read, rejected records included.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::empty()
    }
}

//! What outlives a restart beside the records. Nothing yet: holders and serials come with the next change.
use super::Snapshot;
use std::net::IpAddr;
use values::{Mac, Name, Xname};
/// Plain data, to be written to a file and read again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legacy {
    /// All zones, in their order.
    pub zones: Vec<LegacyZone>,
    /// Contested MACs and who has them.
    pub macs: Vec<(Mac, Xname)>,
    /// Contested addresses and who has them: a component, or an interface that is tied to none.
    pub addresses: Vec<(IpAddr, Option<Xname>, Mac)>,
    /// Contested names that somebody bears.
    pub names: Vec<(Name, Xname)>,
}
/// A zone as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyZone {
    /// Its apex.
    pub name: Name,
    /// The last one.
    pub serial: u32,
    /// Hash of its records: as long as it is the same, the serial stays.
    pub records: u128,
}
impl Snapshot {
    /// What must outlive a restart.
    pub fn legacy(&self) -> Legacy {
        Legacy::default()
    }
    /// Holds no items.
    pub fn from_legacy(_: Legacy) -> Snapshot {
        Snapshot::default()
    }
}

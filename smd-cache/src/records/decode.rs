//! SMD's JSON, each record by itself.

use super::{ComponentRecord, InterfaceRecord, Problem};

/// Longest description, role, network ... that is kept, in bytes; the rest is cut off. A guess: SMD itself has no limit,
/// and nothing that people write there is longer.
pub const MAX_TEXT: usize = 256;

/// An answer, record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<R> {
    /// In the answer's order.
    pub records: Vec<R>,
    /// Those that could not be used at all.
    pub rejected: Vec<Rejected>,
}

/// A record that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// SMD's `ID` where it has one, else the record's beginning.
    pub key: String,
    /// Why.
    pub problem: Problem,
}

/// A body that is not SMD's answer at all: nothing of it is believed.
#[derive(Debug, thiserror::Error)]
#[error("the body is not {expected}: {cause}")]
pub struct BadBody {
    expected: &'static str,
    cause: String,
}

/// The body of `GET Inventory/EthernetInterfaces`: an array.
pub fn decode_interfaces(_body: &[u8]) -> Result<Decoded<InterfaceRecord>, BadBody> {
    todo!()
}

/// The body of `GET State/Components`: an object with the array `Components`.
pub fn decode_components(_body: &[u8]) -> Result<Decoded<ComponentRecord>, BadBody> {
    todo!()
}

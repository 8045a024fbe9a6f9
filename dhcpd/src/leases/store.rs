//! Leases that outlive the program. Memory is the index that decides; what it decided is written here by one thread, many
//! at a time, and only then promised to a client.
//!
//! ```text
//!   index ──submit──▶ queue ──▶ Writer's thread ──commit──▶ Store (a file)
//!     ▲                              │
//!     └──── Opened · Committed · Failed ┘
//! ```

pub mod health;
pub mod sqlite;
#[cfg(test)]
mod testing;
pub mod writer;

pub use health::{Health, State, Status};
pub use sqlite::Sqlite;
pub use writer::{Event, Writer};

use std::net::Ipv4Addr;
use values::Mac;

/// A lease as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who holds it.
    pub mac: Mac,
    /// What; one row an address.
    pub address: Ipv4Addr,
    /// Until when, in Unix seconds. In the past: it ran out, and only says who had the address last.
    pub expiry: i64,
    /// What the client calls itself (option 12), for people.
    pub hostname: String,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The address is this MAC's from now on, whoever had it before.
    Put(Row),
    /// Nobody's any more.
    Remove(Ipv4Addr),
}

/// A store of leases. A PostgreSQL one would be another implementation of this.
///
/// After an error a store is dropped and opened anew, so it need not be fit for use any more.
pub trait Store: Send {
    /// Every row, at most one for each address.
    fn load(&mut self) -> Result<Vec<Row>, StoreError>;

    /// Writes all of these in this order, or none: when it returns they survive the loss of power. After an error nobody
    /// knows which of the two it was (a disk may fail after it has written), until the rows are loaded again.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// Why leases could not be read or written, and what an operator can do about it; the writer tries again whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

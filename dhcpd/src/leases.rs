//! Addresses for machines SMD does not know yet: who holds which for how long, in memory and on disk.

pub mod store;

//! smd-cache

pub mod naming;
pub mod records;
pub mod snapshot;

//! Records that stand in files: `dnsd.hosts_file` and `dnsd.zone_files`. Text in, records and a list of what is left out; reading
//! the files, and reading them again when they change, is the shell's part (`server::record_files`).
//!
//! ```text
//!   dnsd.records  >  zone files, in their order  >  the inventory  >  the hosts file
//! ```
//! What stands further left replaces what stands further right, type by type of a name; an alias replaces everything, and is
//! replaced by anything.

pub mod entries;
pub mod hosts;
pub mod zone_file;

pub use hosts::Hosts;

use crate::wire::kind;
use std::{fmt, path::PathBuf, sync::Arc};

/// Largest file that is read: some 100,000 lines. A guess.
pub const MAX_SIZE: u64 = 4 << 20;

/// What a sentence tells one by one. A guess: enough to see what is wrong, few enough to read.
const MAX_TOLD: usize = 10;

/// A record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Line of the file, from 1.
    pub line: usize,
    /// Wire form, lower case.
    pub owner: Box<[u8]>,
    /// Type number.
    pub kind: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA.
    pub data: Box<[u8]>,
}

/// A line that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// A clause.
    pub message: String,
}

/// A zone file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneFile {
    /// Where it was read.
    pub path: PathBuf,
    /// In the order of the file.
    pub records: Vec<Record>,
}

impl ZoneFile {
    /// Owner, type, TTL and RDATA of each record, but for an alias that would hide a zone (RFC 1034 §3.6.2).
    pub fn usable(
        &self,
        is_apex: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = (Box<[u8]>, u16, u32, Box<[u8]>)> {
        let records = self.records.iter().filter(move |it| it.kind != kind::CNAME || !is_apex(&it.owner));
        records.map(|it| (it.owner.clone(), it.kind, it.ttl, it.data.clone()))
    }
}

/// All that was read from files and is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// Those that stand first count more.
    pub zones: Vec<Arc<ZoneFile>>,
    /// Of the hosts file.
    pub hosts: Arc<Hosts>,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The first of many clauses, and how many more there are.
pub fn told(all: &[impl ToString]) -> String {
    let mut told: Vec<String> = all.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    if all.len() > MAX_TOLD {
        told.push(format!("{} more", all.len() - MAX_TOLD));
    }
    told.join("; ")
}

/// The first characters of what somebody wrote, for a sentence about it.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! The leases for people: admin `/leases` and `dhcpd leases list`.

use super::Listed;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An address of a pool that is in use, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub address: Ipv4Addr,
    /// Who has it, or had it last.
    pub mac: String,
    /// `offered`, `leased`, `set_aside` (declined), `kept` (the inventory's), `free`.
    pub state: String,
    /// Seconds for which it goes on so.
    pub seconds: Option<u64>,
    /// What the client calls itself.
    pub hostname: String,
    /// The inventory has it with another machine: the holder is refused it at its next REQUEST.
    pub taken: bool,
}

impl Line {
    /// As it is listed.
    pub fn new(listed: Listed) -> Line {
        Line {
            address: listed.address,
            mac: listed.mac.to_string(),
            state: listed.state.to_owned(),
            seconds: listed.left.map(|left| left.as_secs()),
            hostname: listed.hostname,
            taken: listed.taken,
        }
    }
}

/// A table.
pub fn table(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "no address of a pool was given to anybody yet\n".into();
    }
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let row = |line: &Line| {
        let state = if line.taken { format!("{}, taken", line.state) } else { line.state.clone() };
        let seconds = line.seconds.map(|seconds| format!("{seconds} s")).unwrap_or_default();
        [line.address.to_string(), line.mac.clone(), state, or_dash(&seconds), or_dash(&line.hostname)]
    };
    let title = ["ADDRESS", "MAC", "STATE", "LEFT", "HOST NAME"].map(String::from);
    daemon::ask::columns(&std::iter::once(title).chain(lines.iter().map(row)).collect::<Vec<_>>())
}

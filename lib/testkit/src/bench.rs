//! Measures (`make bench`): each figure beside its peer or its aim, in one run, as CPU of the server.
//!
//! ```text
//! lab        processes pinned to the first core, this one to the second; their CPU and memory; medians
//! hello      the peer of look-ups: a gRPC server that does nothing
//! look_ups   LookupMac against it
//! refresh    whole reads at 1k, 10k and 100k interfaces
//! change     from a change in SMD to an answer of dnsd and dhcpd, and to 500 watchers
//! start      from exec to ready while SMD is down
//! cable      a wire: the server at one end, who asks at the other
//! dhcp       DHCPv4 beside Kea and dnsmasq: CPU per reply, ten thousand machines at once, a flood
//! dns        DNS beside NSD, Knot, dnsmasq, CoreDNS and a bare echo: CPU per answer; as names grow; while they change
//! ```
//! Absolute figures drift with the machine; ratios within one run are what counts.

mod cable;
mod change;
mod dhcp;
pub mod dns;
pub mod hello;
mod lab;
mod look_ups;
mod refresh;
mod start;

use anyhow::Context;
use lab::Lab;
use std::path::PathBuf;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// LookupMac.
    LookUps,
    /// Whole reads.
    Refresh,
    /// Change to answer.
    Change,
    /// Exec to ready.
    Start,
    /// DHCPv4; needs root.
    Dhcp,
    /// DNS; needs root.
    Dns,
}

/// Every part.
pub const ALL: [Part; 6] = [Part::LookUps, Part::Refresh, Part::Change, Part::Start, Part::Dhcp, Part::Dns];

/// Measures these and prints a table for each. `programs` is where the programs are; `short`: those of `dhcp` and `dns`
/// that take minutes are short.
pub fn run(parts: &[Part], programs: PathBuf, short: bool) -> anyhow::Result<()> {
    let lab = Lab::new(programs)?;
    println!("{}\n", lab.machine());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(async {
        for part in parts {
            match part {
                Part::LookUps => look_ups::measure(&lab).await?,
                Part::Refresh => refresh::measure(&lab).await?,
                Part::Change => change::measure(&lab).await?,
                Part::Start => start::measure(&lab).await?,
                Part::Dhcp => dhcp::measure(&lab, short)?,
                Part::Dns => dns::measure(&lab, short)?,
            }
        }
        Ok(())
    })
}

//! DNS beside NSD, Knot, dnsmasq and CoreDNS, and beside a bare echo: the same zones, the same questions, one core each.
//!
//! ```text
//! compare    all servers in turns, under our own load and under dnsperf; TCP
//! echo       the baseline: recvmmsg, sendmmsg, nothing between
//! peers      the servers, each on a port of its own
//! data       the records of all of them
//! questions  what is asked
//! load       our own load, which is cheaper than any server
//! dnsperf    a foreign one
//! made_up    a smd-cache of any size
//! growth     dnsd alone: 1k to 1M names, and changes
//! ```

mod compare;
mod data;
mod dnsperf;
pub mod echo;
mod growth;
mod load;
mod made_up;
mod peers;
mod questions;

use super::{
    cable::{Cable, need},
    lab::Lab,
};
use questions::Mix;
use std::time::Duration;

/// Queries without an answer at any time: twice what a batch of the echo holds, so that no server waits for us, and less than the
/// smallest socket buffer of the servers.
const AT_ONCE: usize = 128;
/// From Debian, in packages of these names.
const TOOLS: [(&str, &str); 7] = [
    ("nsd", "nsd"),
    ("knotd", "knot"),
    ("dnsmasq", "dnsmasq-base"),
    ("dnsperf", "dnsperf"),
    ("ip", "iproute2"),
    ("taskset", "util-linux"),
    ("unshare", "util-linux"),
];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Amount {
    mixes: &'static [Mix],
    /// The figure is their median.
    rounds: usize,
    /// Of one server and one mix under our own load.
    turn: Duration,
    /// The same under dnsperf, which counts in whole seconds.
    judged: Duration,
    changes: usize,
}

const WHOLE: Amount = Amount {
    mixes: &Mix::ALL,
    rounds: 5,
    turn: Duration::from_secs(1),
    judged: Duration::from_secs(1),
    changes: 10,
};
const SHORT: Amount = Amount {
    mixes: &[Mix::KnownA, Mix::Ptr, Mix::NameError],
    rounds: 1,
    turn: Duration::from_millis(700),
    judged: Duration::from_secs(1),
    changes: 3,
};

/// Servers at one end of a wire, who asks at the other.
pub(super) fn measure(lab: &Lab, short: bool) -> anyhow::Result<()> {
    need(&TOOLS)?;
    let amount = if short { SHORT } else { WHOLE };
    let cable = Cable::new()?;
    cable.at_server(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            compare::measure(lab, &cable, amount).await?;
            growth::measure(lab, &cable, amount).await
        })
    })
}

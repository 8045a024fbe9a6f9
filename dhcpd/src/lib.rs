//! dhcpd: DHCPv4 for the machines SMD knows.
//!
//! bytes ─[`wire`]▶ message ─[`decide::key`]▶ MAC ─inventory▶ look-up ─[`decide::decide`]▶ reply ─[`wire`]▶ bytes

pub mod boot;
pub mod config;
pub mod decide;
pub mod explain;
pub mod hosts;
pub mod leases;
pub mod metrics;
pub mod server;
pub mod unknown;
pub mod wire;

pub use server::serve;

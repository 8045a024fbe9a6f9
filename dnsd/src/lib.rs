//! dnsd: the names of the machines SMD knows, forward and back, over UDP and TCP.
//!
//! bytes ─`wire`▶ message ─`decide::plan`▶ key ─inventory▶ held ─`decide::decide`▶ reply ─`wire`▶ bytes; `server` is the shell
//! around it.

pub mod access;
pub mod contents;
pub mod decide;
pub mod explain;
pub mod files;
pub mod forward;
pub mod limit;
pub mod metrics;
mod networks;
pub mod node_text;
pub mod outside;
pub mod ready;
pub mod records;
pub mod reverse;
pub mod server;
pub mod transfer;
pub mod wire;
pub mod zones;

#[cfg(test)]
mod fixture;

pub use server::serve;

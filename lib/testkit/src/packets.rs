//! What clients say and hear: for the demo, and for tests that play a machine.
//!
//! Requests are written by other hands than those that read them in the programs (dhcproto, hickory-proto), so that a
//! misunderstanding of ours cannot hide by being made twice.

pub mod dhcp4;
pub mod dns;
pub mod link;
pub mod tftp;

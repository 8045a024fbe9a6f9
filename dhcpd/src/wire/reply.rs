//! A server's message, before it is bytes.

/// Header and options of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet;

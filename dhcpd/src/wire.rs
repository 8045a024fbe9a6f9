//! DHCPv4 messages as bytes (RFC 2131 §2, RFC 2132, RFC 3396).
//!
//! Framing is our own, because no whole-message decoder we know keeps what a server must keep: later options behind a
//! bad one, option 82 byte for byte, lists of architectures. dhcproto supplies message types, option codes and the
//! encoding of single options.

mod message;
mod reply;

pub use dhcproto::v4::MessageType;
pub use message::{Message, Refused, parse};
pub use reply::Packet;

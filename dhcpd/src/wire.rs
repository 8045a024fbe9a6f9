//! DHCPv4 messages as bytes (RFC 2131 §2, RFC 2132, RFC 3396).
//!
//! Framing is our own, because no whole-message decoder we know keeps what a server must keep: options behind a bad
//! one, option 82 byte for byte, lists of architectures. dhcproto supplies message types and option codes, and the
//! tests hold what we write against its encoder.

mod message;
mod packet;
mod request;
#[cfg(test)]
mod tests;
mod text;

pub use dhcproto::v4::{MessageType, OptionCode};
pub use message::{Message, Refused, parse, parse_reply};
pub use packet::{LONGEST_RELAY_AGENT, Options, Packet, limit};
pub use request::Request;

/// Fixed fields, up to the cookie (RFC 2131 figure 1).
const HEADER: usize = 236;
/// Header and cookie: where options begin.
const OPTIONS: usize = HEADER + 4;
/// RFC 2131 §3.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// `sname` in the header.
const SNAME: std::ops::Range<usize> = 44..108;
/// `file` in the header.
const FILE: std::ops::Range<usize> = 108..236;
/// The longest value of one option; longer ones are split (RFC 3396).
pub(crate) const LONGEST_PART: usize = 255;

const PAD: u8 = 0;
const END: u8 = 255;
const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
/// In `flags`: the client cannot receive unicast before it is configured (RFC 2131 figure 2).
pub(crate) const BROADCAST_FLAG: u16 = 0x8000;
/// In option 52: `file`, `sname` hold options (RFC 2132 §9.3).
const OVERLOADED_FILE: u8 = 1;
const OVERLOADED_SNAME: u8 = 2;

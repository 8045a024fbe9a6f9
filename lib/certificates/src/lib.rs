//! TRUSTING: certificates and keys from files that others replace while a server runs, and why handshakes fail.
//!
//! ```text
//!   files ──every CHECK──▶ changed? ──▶ good: new handshakes use them
//!                                  └──▶ bad:  the old ones stay; a warning in the log, and a sentence for /ready
//! ```
//! What a server makes of its files is its own: this room reads them, notices that they changed, and holds what is in use.

pub mod der;
pub mod files;
mod followed;
pub mod pem;
mod refusal;
mod validity;

pub use followed::Followed;
pub use refusal::{HANDSHAKE_DEADLINE, Refusal};
pub use validity::Validity;

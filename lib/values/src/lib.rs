//! VALUES: what the inventory is keyed by, parsed once at the edge and trusted from there on.
//!
//! Each type has one canonical text form, the one the contract uses (`proto/`): it is what `Display` writes.

mod mac;
mod name;
mod xname;

pub use mac::{BadMac, Mac};
pub use name::{BadName, Name};
pub use xname::{BadXname, Xname};

//! What holds for any bytes whatever. Each function here is a fuzz target, and `lib/testkit/tests/fuzz_corpus.rs` calls the same
//! ones with the inputs that fuzzing found (`corpus/`): a promise that does not hold is a panic.

mod dhcp4_decide;
mod dhcp4_leases;
mod dhcp4_parse;
mod dns_decide;
mod others;

pub use dhcp4_decide::dhcp4_decide;
pub use dhcp4_parse::dhcp4_parse;
pub use dns_decide::dns_decide;
pub use others::{config_parse, dns_read, tftp_parse};

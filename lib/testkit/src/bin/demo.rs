//! One node boots from SMD's inventory through the four programs, and tells its story (`make demo`).
//!
//! The work is done in `testkit::demo`; this is the command line around it.

fn main() {}

//! How glibc's allocator is to behave: it takes that from the environment alone, once, before a program runs.
//!
//! A refresh needs some 80 MB for a moment. As it comes, glibc keeps them: an arena for each thread that ever decoded a body,
//! and, from the first big block that was freed on, big blocks among the small ones, where one survivor holds all of it.
//! Measured at 100,000 interfaces and 75,000 components, highest after four refreshes with changes: 279 MB as it comes, 184
//! like this, in the same processor time. Another allocator (mimalloc 2 and 3) took 270 to 360.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{self, Command},
};

/// One arena; blocks from 256 kB on are given back when they are freed, and so is a free end of the heap. Guesses around
/// glibc's own defaults of 128 kB, which are fixed by saying them.
const WANTED: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Says that it was done, so that it is done once; it names the process it was done in, as what that one starts inherits it.
const DONE: &str = "SMD_CACHE_ALLOCATOR";

/// Starts the program again in the same process, with the environment that its allocator wants. What the operator says there
/// counts. Returns where that was done already, or cannot be done: then it takes more memory.
pub fn settle() {
    let this = process::id().to_string();
    if env::var(DONE).is_ok_and(|done| done == this)
        || WANTED.iter().all(|(name, _)| env::var_os(name).is_some())
    {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1)).env(DONE, this);
    if let Some(name) = env::args_os().next() {
        again.arg0(name);
    }
    again.envs(WANTED.into_iter().filter(|(name, _)| env::var_os(name).is_none()));
    // It only comes back when it failed; this program is as good, but for the memory.
    let _ = again.exec();
}

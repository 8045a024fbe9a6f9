//! The wall clock, which the times of reads are compared with; tests set it.

use std::time::SystemTime;

/// What it says now.
pub(crate) fn now() -> SystemTime {
    #[cfg(test)]
    if let Some(set) = SET.get() {
        return set;
    }
    SystemTime::now()
}

#[cfg(test)]
thread_local! {
    /// For this thread.
    pub(crate) static SET: std::cell::Cell<Option<SystemTime>> = const { std::cell::Cell::new(None) };
}

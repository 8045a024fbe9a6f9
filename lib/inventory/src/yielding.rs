//! Work that yields to what answers: building and writing whole inventories takes tenths of seconds, and where there is one core an
//! answer would wait for its turn, several milliseconds.

use std::{io, thread};
use tokio::task::spawn_blocking;

/// How much (`nice`): on a core that answers all the time it gets a tenth of it.
const NICENESS: i32 = 10;

/// Runs `work` on a thread of its own, for a thread that has yielded once does so for ever, and waits for it. The thread is not
/// waited for when this is dropped.
///
/// # Errors
/// There can be no further thread, or it panicked.
pub async fn yielding<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let work = move || {
        // Linux takes the calling thread for the process; where it may not, everything has the same priority.
        _ = rustix::process::setpriority_process(None, NICENESS);
        work()
    };
    let panicked = move || io::Error::other(format!("the thread {name} panicked"));
    let run = move || thread::Builder::new().name(name.into()).spawn(work)?.join().map_err(|_| panicked());
    spawn_blocking(run).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_at_a_low_priority_and_a_panic_is_an_error() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        assert_eq!(yielding("low", niceness).await.unwrap(), (niceness() + NICENESS).min(19));
        let error = yielding("bad", || panic!("on purpose")).await.unwrap_err();
        assert_eq!(error.to_string(), "the thread bad panicked");
    }
}

//! A loop that stands still ends the process. Its socket would go on taking its share of the queries (SO_REUSEPORT), and nobody would
//! answer them; whoever supervises the process starts it anew.

use daemon::Pulse;
use std::{io, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A loop beats ten times a second; silent for so long it stands still.
const STALLED: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks in a row that must find it so: a machine that was suspended finds everything late, once.
const LOOKS: u32 = 4;

/// Ends with an error when one of them stands still, and without one at `shutdown`.
pub(super) async fn watch(pulses: Vec<Pulse>, shutdown: CancellationToken) -> io::Result<()> {
    let mut found = 0;
    while found < LOOKS {
        let began = Instant::now();
        tokio::select! {
            () = sleep(LOOK) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        // We were late ourselves: it is the machine that has no time, not the loop.
        let on_time = began.elapsed() < 2 * LOOK;
        found = if on_time && pulses.iter().any(|pulse| pulse.age() > STALLED) { found + 1 } else { 0 };
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("it has stood still for {} s", STALLED.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::Running;

    #[tokio::test]
    async fn a_loop_that_stands_still_is_found_and_one_that_turns_is_not() {
        let running = Running::new(config::Program::Dnsd, crate::fixture::config("domain: cluster.local\n"));
        let shutdown = CancellationToken::new();
        let (still, turning) = (running.pulse("still"), running.pulse("turning"));
        let beating = tokio::spawn({
            let turning = turning.clone();
            async move {
                loop {
                    turning.beat();
                    sleep(LOOK / 5).await;
                }
            }
        });
        let watched = tokio::spawn(watch(vec![turning], shutdown.clone()));
        let error = watch(vec![still], shutdown.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "it has stood still for 1 s");
        assert!(!watched.is_finished());
        shutdown.cancel();
        assert!(watched.await.unwrap().is_ok());
        beating.abort();
    }
}

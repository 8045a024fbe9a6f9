//! Whether a forwarder is worth asking. Pure: what happened goes in, what follows comes out.
//!
//! ```text
//!          an answer                     an answer, also to a probe
//!         ┌────────┐                  ┌──────────────────────────────┐
//!         ▼        │                  ▼                              │
//!        up ───────┴─ 3 in a row: ─▶ down ─ probed after 0.5, 1, 2 ... 30 s ┘
//!                     no answer, or one that cannot be reached
//! ```
//! Any answer counts, SERVFAIL too: that is about the name that was asked for.

use std::time::Duration;

/// Failures in a row that put a forwarder aside. One name whose own servers are slow, or one lost packet, is no reason. A guess.
const MAX_FAILURES: u32 = 3;
/// Between the first probes; twice as long each time.
const FIRST_PROBE: Duration = Duration::from_millis(500);
/// And at most: a forwarder that is back waits no longer for work. A guess.
const LAST_PROBE: Duration = Duration::from_secs(30);

/// How a forwarder has fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Asked.
    Up {
        /// Failures since the last answer.
        failures: u32,
    },
    /// Passed over while another one is up.
    Down {
        /// Probes that failed.
        probes: u32,
    },
}

impl Default for Health {
    fn default() -> Health {
        Health::Up { failures: 0 }
    }
}

impl Health {
    /// Whether it is to be asked.
    pub fn is_up(self) -> bool {
        matches!(self, Health::Up { .. })
    }

    /// It answered.
    pub fn answered(self) -> Health {
        Health::default()
    }

    /// It did not. `unreachable`: it was not even there.
    pub fn failed(self, unreachable: bool) -> Health {
        match self {
            Health::Up { failures } if !unreachable && failures + 1 < MAX_FAILURES => {
                Health::Up { failures: failures + 1 }
            }
            Health::Up { .. } => Health::Down { probes: 0 },
            down => down,
        }
    }

    /// A probe is due; when, and how it fares if that fails. `None`: it is up.
    pub fn probe(self) -> Option<(Duration, Health)> {
        match self {
            Health::Up { .. } => None,
            Health::Down { probes } => {
                let wait = FIRST_PROBE.saturating_mul(1 << probes.min(10)).min(LAST_PROBE);
                Some((wait, Health::Down { probes: probes.saturating_add(1) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_or_an_unreachable_host_put_it_aside() {
        let mut health = Health::default();
        for _ in 0..10 {
            health = health.failed(false).failed(false);
            assert!(health.is_up());
            health = health.answered();
        }
        assert!(!health.failed(false).failed(false).failed(false).is_up());
        assert!(!health.failed(true).is_up());
        assert!(health.failed(true).answered().is_up(), "an answer brings it back");
    }

    #[test]
    fn probes_come_less_and_less_often_and_never_end() {
        let mut health = Health::default().failed(true);
        let mut waits = Vec::new();
        for _ in 0..100 {
            let (wait, next) = health.probe().unwrap();
            waits.push(wait.as_millis());
            // Queries that fail meanwhile change nothing.
            health = next.failed(false).failed(true);
        }
        assert_eq!(waits[..8], [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(waits[99], 30_000);
        assert_eq!(Health::default().probe(), None);
    }
}

//! What `/ready` and `/live` say.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A loop beats once a second; ten missed beats mean that it hangs. A guess, well above any pause seen.
pub const PULSE_LIMIT: Duration = Duration::from_secs(10);

/// One answer of a readiness check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Well.
    Ready,
    /// Serving, but: a sentence.
    Degraded(String),
    /// Cannot answer yet: a sentence.
    Missing(String),
}

type Check = Box<dyn Fn() -> State + Send + Sync>;

/// Named checks, asked when `/ready` is asked: nothing has to be kept up to date.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<(&'static str, Check)>>>);

impl Readiness {
    /// Adds a check.
    pub fn add(&self, name: &'static str, check: impl Fn() -> State + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(check)));
    }

    /// Whether it can answer, and whether all of it is well.
    pub(crate) fn summary(&self) -> (bool, bool) {
        let states = self.states();
        (!is_missing(&states), states.iter().all(|(_, state)| *state == State::Ready))
    }

    fn states(&self) -> Vec<(&'static str, State)> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().map(|(name, check)| (*name, check())).collect()
    }

    /// Whether the program can answer, and the page that says so: a first word (`ready`, `degraded`, `not ready`), then a
    /// line for each check that is not well.
    pub fn report(&self) -> (bool, String) {
        let states = self.states();
        let missing = is_missing(&states);
        let degraded = states.iter().any(|(_, state)| matches!(state, State::Degraded(_)));
        let mut page = String::from(match (missing, degraded) {
            (true, _) => "not ready\n",
            (false, true) => "degraded\n",
            (false, false) => "ready\n",
        });
        for (name, state) in states {
            if let State::Degraded(why) | State::Missing(why) = state {
                page.push_str(&format!("{name}: {why}\n"));
            }
        }
        (!missing, page)
    }
}

fn is_missing(states: &[(&str, State)]) -> bool {
    states.iter().any(|(_, state)| matches!(state, State::Missing(_)))
}

/// A loop's sign of life: `/live` fails when one has not beaten for [`PULSE_LIMIT`].
#[derive(Clone)]
pub struct Pulse {
    started: Instant,
    beat_at: Arc<AtomicU64>,
}

impl Pulse {
    /// Called at least once a second by the loop.
    pub fn beat(&self) {
        self.beat_at.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Since it beat last.
    pub fn age(&self) -> Duration {
        let now = self.started.elapsed();
        now.saturating_sub(Duration::from_millis(self.beat_at.load(Ordering::Relaxed)))
    }
}

/// All pulses of a program.
#[derive(Clone, Default)]
pub struct Liveness(Arc<Mutex<Vec<(&'static str, Pulse)>>>);

impl Liveness {
    /// A new pulse, beating for the first time now.
    pub fn pulse(&self, name: &'static str) -> Pulse {
        let pulse = Pulse { started: Instant::now(), beat_at: Arc::default() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, pulse.clone()));
        pulse
    }

    /// Whether all loops turn, and the page that says so.
    pub fn report(&self) -> (bool, String) {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hanging: Vec<_> = pulses.iter().filter(|(_, pulse)| pulse.age() > PULSE_LIMIT).collect();
        let lines =
            hanging.iter().map(|(name, pulse)| format!("{name}: no beat for {} s\n", pulse.age().as_secs()));
        match hanging.is_empty() {
            true => (true, "live\n".into()),
            false => (false, format!("hanging\n{}", lines.collect::<String>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_but_serving_is_ready_and_says_degraded() {
        let readiness = Readiness::default();
        assert_eq!(readiness.report(), (true, "ready\n".into()));
        readiness.add("inventory", || State::Degraded("no heartbeat for 9 s".into()));
        assert_eq!(readiness.report(), (true, "degraded\ninventory: no heartbeat for 9 s\n".into()));
    }

    #[test]
    fn one_missing_part_makes_the_program_not_ready() {
        let readiness = Readiness::default();
        readiness.add("sockets", || State::Ready);
        readiness.add("inventory", || State::Missing("no snapshot yet".into()));
        assert_eq!(readiness.report(), (false, "not ready\ninventory: no snapshot yet\n".into()));
    }

    #[test]
    fn a_loop_that_does_not_beat_is_named() {
        let liveness = Liveness::default();
        let pulse = liveness.pulse("udp");
        assert!(liveness.report().0);
        let long_ago = Pulse { started: Instant::now() - PULSE_LIMIT * 2, ..pulse.clone() };
        liveness.0.lock().unwrap().push(("tcp", long_ago.clone()));
        let (alive, page) = liveness.report();
        assert!(!alive && page.contains("tcp: no beat for") && !page.contains("udp"), "{page}");
        long_ago.beat();
        assert!(liveness.report().0);
    }
}

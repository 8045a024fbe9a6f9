//! Which smd-cache is asked: one at a time, and another one only for a reason. Pure: no socket, no clock.
//!
//! Staying is preferred: replicas answer alike, and a change costs some seconds in which nothing new is learnt. So nobody
//! returns to the first of the list because it is the first, and what did not last is tried again later and later.

use crate::metrics::Loss;
use config::Endpoint;
use std::{fmt, time::Duration};

/// The wait after the first failure, before jitter; doubled with each round of all endpoints. A smd-cache that is started
/// together with its daemons listens within a few of these. A guess.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait, so that a smd-cache that is back is found within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A Watch that was followed for this long was a good one, and whatever comes next is its first failure. Longer than the
/// silence that ends one (6 s): two smd-caches that greet and then hang are not taken in turns without a wait.
const SETTLED: Duration = Duration::from_secs(10);

/// How a Watch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) loss: Loss,
    /// A sentence about it.
    pub(crate) text: String,
    /// How long what is held was continued by it; zero: never.
    pub(crate) followed: Duration,
    /// The endpoint to go to, where that is known.
    pub(crate) to: Option<usize>,
}

/// The endpoints of the configuration, and where we are among them.
#[derive(Debug)]
pub(crate) struct Endpoints {
    all: Vec<Endpoint>,
    current: usize,
    /// Watches in a row that did not last.
    failures: usize,
}

impl Endpoints {
    pub(crate) fn new(all: Vec<Endpoint>) -> Endpoints {
        Endpoints { all, current: 0, failures: 0 }
    }

    /// `None` where there are none at all, which the configuration forbids.
    pub(crate) fn current(&self) -> Option<&Endpoint> {
        self.all.get(self.current)
    }

    /// All but the current one, with their places, in the order in which they would be tried.
    pub(crate) fn others(&self) -> Vec<(usize, Endpoint)> {
        let count = self.all.len();
        let places = (1..count).map(|step| (self.current + step) % count);
        places.map(|place| (place, self.all[place].clone())).collect()
    }

    /// There are others that were not tried yet: one that hangs must not keep us from them.
    pub(crate) fn is_first_round(&self) -> bool {
        self.all.len() > 1 && self.failures < self.all.len()
    }

    /// Takes the end of a Watch in: how long to wait before the next one. The current endpoint may be another now.
    pub(crate) fn turn(&mut self, end: &End) -> Duration {
        if end.followed >= SETTLED {
            self.failures = 0;
        }
        let count = self.all.len().max(1);
        self.current = match end.to {
            Some(place) => place % count,
            // It lives, and has what continues us: another one would have to read SMD first.
            None if end.loss.is_ours() && self.failures == 0 => self.current,
            None => (self.current + 1) % count,
        };
        self.failures = self.failures.saturating_add(1);
        let doublings = ((self.failures - 1) / count).min(16);
        (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT)
    }
}

/// Between half and all of it: daemons that lost the same smd-cache do not come back all at once.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait / 2 + wait.mul_f64(fastrand::f64() / 2.0)
}

/// An endpoint as the configuration writes it.
pub(crate) struct Named<'a>(pub(crate) &'a Endpoint);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::Tcp(url) => f.write_str(url),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: usize) -> Endpoints {
        Endpoints::new((0..count).map(|number| Endpoint::Tcp(format!("http://{number}"))).collect())
    }

    fn end(loss: Loss, followed: u64) -> End {
        End { loss, text: String::new(), followed: Duration::from_secs(followed), to: None }
    }

    #[test]
    fn every_one_is_tried_before_any_wait_gets_longer() {
        for (count, expected) in [
            (1, [50, 100, 200, 400, 800, 1600, 2000, 2000]),
            (2, [50, 50, 100, 100, 200, 200, 400, 400]),
            (3, [50, 50, 50, 100, 100, 100, 200, 200]),
        ] {
            let mut endpoints = endpoints(count);
            for (number, expected) in expected.into_iter().enumerate() {
                let first_round = count > 1 && number < count;
                assert_eq!(endpoints.is_first_round(), first_round, "{count}: failure {number}");
                let wait = endpoints.turn(&end(Loss::Refused, 0));
                assert_eq!(
                    (wait.as_millis(), endpoints.current),
                    (expected, (number + 1) % count),
                    "{count}"
                );
            }
        }
    }

    #[test]
    fn for_what_is_our_own_fault_one_stays_once() {
        let table = [
            (Loss::Refused, 1),
            (Loss::Ended, 1),
            (Loss::Silent, 1),
            (Loss::Calls, 1),
            (Loss::Stale, 1),
            (Loss::Gap, 0),
            (Loss::Slow, 0),
        ];
        for (loss, expected) in table {
            let mut endpoints = endpoints(3);
            endpoints.turn(&end(loss, 60));
            assert_eq!(endpoints.current, expected, "{loss:?}");
            endpoints.turn(&end(loss, 0));
            assert_eq!(endpoints.current, expected + 1, "{loss:?}, and again at once");
        }
    }

    #[test]
    fn two_that_greet_and_then_fail_are_taken_in_turns_ever_more_slowly() {
        let mut endpoints = endpoints(2);
        let moves = std::iter::repeat_with(|| endpoints.turn(&end(Loss::Calls, 1)));
        let first_minute = moves.take(60).scan(Duration::ZERO, |spent, wait| {
            *spent += wait + Duration::from_secs(1);
            Some(*spent)
        });
        let moves = first_minute.filter(|at| at.as_secs() < 60).count();
        assert!(moves <= 28, "{moves} in a minute, of Watches that last for a second");
        assert_eq!(endpoints.turn(&end(Loss::Calls, 11)), FIRST_WAIT, "one that lasted begins anew");
    }

    #[test]
    fn where_it_is_known_which_is_better_it_is_the_next() {
        let mut endpoints = endpoints(4);
        endpoints.turn(&End { to: Some(2), ..end(Loss::Stale, 60) });
        assert_eq!(endpoints.current, 2);
        let others: Vec<_> = endpoints.others().into_iter().map(|(place, _)| place).collect();
        assert_eq!(others, [3, 0, 1]);
    }

    #[test]
    fn waits_are_jittered_within_bounds() {
        for wait in [FIRST_WAIT, LONGEST_WAIT] {
            let jittered = jittered(wait);
            assert!(jittered >= wait / 2 && jittered <= wait, "{wait:?}: {jittered:?}");
        }
    }
}

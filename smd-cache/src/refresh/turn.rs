//! When a read that is repeated begins next, and who is told how it ended. Pure but for the telling.

use super::asking::Answer;
use proto::v1;
use std::time::Duration;
use tokio::time::Instant;

/// After a read that failed; doubled with each one that fails, up to its period. A guess: SMD's own start takes 0.3 s.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// One kind of read that is repeated.
#[derive(Default)]
pub struct Turn {
    pub under_way: bool,
    /// What is under way is not what is wanted any more.
    again: bool,
    pub next: Option<Instant>,
    failures: u32,
    /// Who is told how the one that is under way ends.
    pub waiting: Vec<Answer>,
    /// Who came during it, and is told of the next.
    pub coming: Vec<Answer>,
}

impl Turn {
    /// The first is due at this time.
    pub fn starting(now: Instant) -> Turn {
        Turn { next: Some(now), ..Turn::default() }
    }

    pub fn ask(&mut self, answer: Answer, now: Instant) {
        self.coming.push(answer);
        self.next = Some(now);
    }

    /// One that begins from now on, whatever is under way.
    pub fn at_once(&mut self, now: Instant) {
        self.next = Some(now);
        self.again = self.under_way;
    }

    pub fn is_due(&self, now: Instant) -> bool {
        !self.under_way && self.next.is_some_and(|next| next <= now)
    }

    pub fn begin(&mut self) {
        self.under_way = true;
        self.waiting.append(&mut self.coming);
    }

    /// When to wake for it.
    pub fn due(&self) -> Option<Instant> {
        self.next.filter(|_| !self.under_way)
    }

    pub fn ended(&mut self, begun: Instant, period: Duration, succeeded: bool, now: Instant) {
        self.under_way = false;
        let again = std::mem::take(&mut self.again) || !self.coming.is_empty();
        self.failures = if succeeded { 0 } else { self.failures.saturating_add(1) };
        let next = if succeeded { begun + period } else { now + retry_after(self.failures, period) };
        self.next = Some(if again { now } else { next });
    }

    pub fn tell(&mut self, outcome: &Result<v1::Freshness, String>) {
        for answer in self.waiting.drain(..) {
            let _ = answer.send(outcome.clone());
        }
    }
}

/// Between half and all of a delay that doubles: replicas that lost SMD together do not come back together.
pub fn retry_after(failures: u32, most: Duration) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(most).mul_f64(0.5 + fastrand::f64() / 2.0)
}

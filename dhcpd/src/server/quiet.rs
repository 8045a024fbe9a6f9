//! Logs that clients can trigger, kept to a few lines.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So long a kind of message is counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// So many of a kind are written in a window. A guess: enough to see a pattern, few enough to read.
const LINES: u32 = 5;

/// Which of the messages of one kind are written. Kinds are names in our source, so their number is bounded.
#[derive(Debug, Default)]
pub struct Quiet(Mutex<HashMap<&'static str, Window>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    seen: u32,
}

impl Quiet {
    /// Whether to write one of this kind now; with how many of the window before were not written.
    pub fn admit(&self, kind: &'static str, now: Instant) -> Option<u32> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(kind).or_insert(Window { began: now, seen: 0 });
        let mut left_out = 0;
        if now.duration_since(window.began) >= WINDOW {
            left_out = window.seen.saturating_sub(LINES);
            *window = Window { began: now, seen: 0 };
        }
        window.seen = window.seen.saturating_add(1);
        (window.seen <= LINES).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_then_a_number() {
        let quiet = Quiet::default();
        let start = Instant::now();
        let admitted = (0..100).filter_map(|_| quiet.admit("unknown_mac", start)).count();
        assert_eq!(admitted, LINES as usize);
        assert_eq!(quiet.admit("another", start), Some(0));
        assert_eq!(quiet.admit("unknown_mac", start + WINDOW), Some(95));
        assert_eq!(quiet.admit("unknown_mac", start + WINDOW), Some(0));
    }
}

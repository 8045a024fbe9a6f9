//! When the snapshot file is to be written. Pure.

use crate::store::{REWRITE_AFTER, WRITE_GAP};
use tokio::time::Instant;

/// What the file holds, as far as the owner knows.
#[derive(Debug, Default)]
pub struct Keep {
    /// The edition that was written last.
    edition: Option<(u64, u64)>,
    /// When writing it began, whether or not it came to be.
    begun: Option<Instant>,
    under_way: bool,
    /// Why the last one did not come to be; empty when it did.
    pub trouble: String,
}

impl Keep {
    /// When to write next, with this edition to be written.
    pub fn due(&self, edition: (u64, u64), now: Instant) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        let Some(begun) = self.begun else { return Some(now) };
        let wait = if self.edition == Some(edition) { REWRITE_AFTER } else { WRITE_GAP };
        Some(begun + wait)
    }

    /// One is on its way to the disk.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Writing this edition begins.
    pub fn begin(&mut self, edition: (u64, u64), now: Instant) {
        *self = Keep {
            edition: Some(edition),
            begun: Some(now),
            under_way: true,
            trouble: std::mem::take(&mut self.trouble),
        };
    }

    /// It is under its name, or is not. True when that is news.
    pub fn ended(&mut self, outcome: &std::io::Result<()>) -> bool {
        self.under_way = false;
        let had_trouble = !self.trouble.is_empty();
        self.trouble = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if outcome.is_err() {
            self.edition = None;
        }
        had_trouble == outcome.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn it_is_written_at_once_then_rarely_and_again_when_it_failed() {
        let start = Instant::now();
        let mut keep = Keep::default();
        assert_eq!(keep.due((1, 1), start), Some(start), "the first");
        keep.begin((1, 1), start);
        assert_eq!(keep.due((2, 1), start), None, "one at a time");
        assert!(!keep.ended(&Ok(())), "no news");
        assert_eq!(keep.due((1, 1), start), Some(start + REWRITE_AFTER), "the same again, for its age");
        assert_eq!(keep.due((2, 1), start), Some(start + WRITE_GAP), "another");
        keep.begin((2, 1), start);
        assert!(keep.ended(&Err(io::Error::other("disk full"))), "news");
        assert_eq!((keep.trouble.as_str(), keep.due((2, 1), start)), ("disk full", Some(start + WRITE_GAP)));
        keep.begin((2, 1), start);
        assert!(!keep.ended(&Err(io::Error::other("disk full"))), "no news");
        keep.begin((2, 1), start);
        assert!(keep.ended(&Ok(())), "news");
    }
}

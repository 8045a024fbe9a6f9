//! The wipe guard: whether SMD is believed when it says that much is gone. Pure.
//!
//! SMD gets emptied, restored from an old dump or pointed at another database more often than clusters shrink by half. So
//! losses (confirmed one by one before they come here) are held back when too little would be left, until whole reads say so
//! again and again. Nothing left at all is believed only when an operator says so.

use jiff::{SignedDuration, Timestamp};
use std::{collections::VecDeque, fmt};

/// Below so many interfaces half of them may well go at once.
const LEAST: usize = 20;

/// What would be left is compared with the most that was believed in this time.
const MEMORY: SignedDuration = SignedDuration::from_hours(1);

/// How finely that is remembered: 60 numbers an hour.
const GRAIN: SignedDuration = SignedDuration::from_mins(1);

/// When a loss is too great.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Percent.
    pub max_shrink: u8,
    /// Whole reads in a row after which it is believed all the same.
    pub confirmations: u32,
}

/// How many interfaces could be served at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// When that was first so.
    pub at: Timestamp,
    /// The most from then on, for a minute.
    pub servable: usize,
}

/// What the guard remembers.
#[derive(Debug, Default)]
pub struct Guard {
    peaks: VecDeque<Peak>,
    /// Whole reads in a row that would have left too little.
    reads: u32,
}

/// On what occasion the guard is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A whole read, every loss of which is confirmed.
    Whole,
    /// Anything else that was learnt: it is no confirmation.
    Other,
    /// An operator wants what SMD says to be believed.
    Forced,
}

/// Losses are not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// Servable interfaces that would be left.
    pub left: usize,
    /// The most there were in the last hour.
    pub of: usize,
    /// Whole reads in a row that said so.
    pub reads: u32,
    /// With so many of them it is believed; `None`: never by itself.
    pub needed: Option<u32>,
}

impl HeldBack {
    /// The same with fewer left.
    pub fn with(self, left: usize) -> HeldBack {
        HeldBack { left, needed: self.needed.filter(|_| left > 0), ..self }
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeldBack { left, of, reads, needed } = self;
        write!(
            f,
            "What SMD says would leave {left} of {of} interfaces that can be served: losses are held back. "
        )?;
        match needed {
            Some(needed) => write!(
                f,
                "They are believed once {needed} whole reads in a row say so ({reads} did), or at "
            )?,
            None => write!(f, "That nothing is left is never believed by itself, only at ")?,
        }
        f.write_str("`smd-cache refresh --force`.")
    }
}

impl Guard {
    /// With what was remembered before the start.
    pub fn new(peaks: impl IntoIterator<Item = Peak>) -> Guard {
        Guard { peaks: peaks.into_iter().collect(), reads: 0 }
    }

    /// What is remembered.
    pub fn peaks(&self) -> impl Iterator<Item = Peak> {
        self.peaks.iter().copied()
    }

    /// So many can be served now.
    pub fn note(&mut self, servable: usize, now: Timestamp) {
        self.peaks.retain(|peak| now.duration_since(peak.at) < MEMORY);
        match self.peaks.back_mut() {
            Some(last) if now.duration_since(last.at) < GRAIN => last.servable = last.servable.max(servable),
            _ => self.peaks.push_back(Peak { at: now, servable }),
        }
    }

    /// Whether losses that would leave so many are believed; `Some`: they are not.
    pub fn judge(
        &mut self,
        left: usize,
        occasion: Occasion,
        limits: Limits,
        now: Timestamp,
    ) -> Option<HeldBack> {
        let of = self.most(now);
        if !is_too_few(left, of, limits) || occasion == Occasion::Forced {
            return self.believe(left, of, limits);
        }
        self.reads += u32::from(occasion == Occasion::Whole);
        let needed = (left > 0).then_some(limits.confirmations);
        if needed.is_some_and(|needed| self.reads >= needed) {
            return self.believe(left, of, limits);
        }
        Some(HeldBack { left, of, reads: self.reads, needed })
    }

    /// Whether so many would be too few, whatever was said before.
    pub fn is_too_few(&self, left: usize, limits: Limits, now: Timestamp) -> bool {
        is_too_few(left, self.most(now), limits)
    }

    fn believe(&mut self, left: usize, of: usize, limits: Limits) -> Option<HeldBack> {
        self.reads = 0;
        if is_too_few(left, of, limits) {
            // It is the new measure.
            self.peaks.clear();
        }
        None
    }

    fn most(&self, now: Timestamp) -> usize {
        let recent = self.peaks.iter().filter(|peak| now.duration_since(peak.at) < MEMORY);
        recent.map(|peak| peak.servable).max().unwrap_or(0)
    }
}

fn is_too_few(left: usize, of: usize, limits: Limits) -> bool {
    let kept = 100 - usize::from(limits.max_shrink.min(100));
    of > 0 && (left == 0 || (of >= LEAST && left * 100 < of * kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_shrink: 50, confirmations: 3 };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn with(servable: usize) -> Guard {
        let mut guard = Guard::default();
        guard.note(servable, at(0));
        guard
    }

    #[test]
    fn a_loss_is_held_back_where_less_than_the_rest_would_be_left() {
        for (had, left, believed) in [
            (0, 0, true),
            (1, 0, false),
            (19, 1, true),
            (19, 0, false),
            (20, 10, true),
            (20, 9, false),
            (10_000, 5_000, true),
            (10_000, 4_999, false),
            (10_000, 0, false),
        ] {
            let held_back = with(had).judge(left, Occasion::Whole, LIMITS, at(1));
            assert_eq!(held_back.is_none(), believed, "{had} -> {left}: {held_back:?}");
        }
    }

    #[test]
    fn whole_reads_in_a_row_are_believed_and_are_the_new_measure() {
        let mut guard = with(100);
        for reads in 1..3 {
            let held_back = guard.judge(10, Occasion::Whole, LIMITS, at(1));
            assert_eq!(held_back, Some(HeldBack { left: 10, of: 100, reads, needed: Some(3) }));
            assert!(guard.judge(10, Occasion::Other, LIMITS, at(1)).is_some(), "no confirmation");
        }
        assert_eq!(guard.judge(10, Occasion::Whole, LIMITS, at(1)), None);
        guard.note(10, at(1));
        assert_eq!(guard.judge(9, Occasion::Whole, LIMITS, at(2)), None);
    }

    #[test]
    fn one_read_that_is_well_begins_the_count_anew() {
        let mut guard = with(100);
        for _ in 0..2 {
            assert!(guard.judge(10, Occasion::Whole, LIMITS, at(1)).is_some());
        }
        assert_eq!(guard.judge(90, Occasion::Whole, LIMITS, at(1)), None);
        assert_eq!(guard.judge(10, Occasion::Whole, LIMITS, at(1)).unwrap().reads, 1);
    }

    #[test]
    fn nothing_left_is_believed_only_by_force() {
        let mut guard = with(1);
        for _ in 0..100 {
            assert_eq!(guard.judge(0, Occasion::Whole, LIMITS, at(1)).unwrap().needed, None);
        }
        assert_eq!(guard.judge(0, Occasion::Forced, LIMITS, at(1)), None);
        guard.note(0, at(1));
        assert_eq!(guard.judge(0, Occasion::Whole, LIMITS, at(2)), None, "none was held any more");
    }

    #[test]
    fn the_most_of_the_last_hour_is_what_counts() {
        let mut guard = with(100);
        for (minute, servable) in [(20, 60), (40, 55), (59, 52)] {
            assert_eq!(guard.judge(servable, Occasion::Whole, LIMITS, at(minute)), None);
            guard.note(servable, at(minute));
        }
        assert!(guard.judge(49, Occasion::Whole, LIMITS, at(59)).is_some(), "in small steps, too");
        guard.note(52, at(61));
        assert_eq!(guard.judge(49, Occasion::Whole, LIMITS, at(61)), None, "100 is an hour ago");
        for minute in 62..1_000 {
            guard.note(52, at(minute));
        }
        assert!(guard.peaks().count() <= 61);
    }

    #[test]
    fn a_hundred_percent_leave_the_guard_for_nothing_at_all() {
        let limits = Limits { max_shrink: 100, ..LIMITS };
        assert_eq!(with(100).judge(1, Occasion::Whole, limits, at(1)), None);
        assert!(with(100).judge(0, Occasion::Whole, limits, at(1)).is_some());
    }
}

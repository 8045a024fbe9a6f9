//! What clients saw, judged: what was wrong, what was lost, and for how long nobody answered.

use super::{Asked, Question};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

/// What clients saw.
pub struct Report {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) records: Vec<Record>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing, or that it cannot be told.
    NoAnswer(String),
    /// Something definite.
    Answer(String),
}

/// One question and its outcome.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) asked: Asked,
    pub(super) at: Instant,
    pub(super) question: Question,
    pub(super) first: Said,
    /// Only when there was no first answer.
    pub(super) second: Option<Said>,
    pub(super) right: bool,
}

impl Report {
    /// No answer was wrong, by whomever.
    ///
    /// # Panics
    /// With the wrong ones.
    #[track_caller]
    pub fn check_nothing_wrong(&self) {
        let wrong: Vec<_> = self.records.iter().filter(|record| record.is_wrong()).collect();
        assert!(wrong.is_empty(), "{} wrong answers:\n{}\n{self}", wrong.len(), self.exchange(&wrong));
    }

    /// Besides, these programs answered everything: at the latest when they were asked once more.
    ///
    /// # Panics
    /// With what stayed unanswered.
    #[track_caller]
    pub fn check_nothing_lost(&self, by: &[Asked]) {
        self.check_nothing_wrong();
        let lost: Vec<_> =
            self.records.iter().filter(|record| !record.right && by.contains(&record.asked)).collect();
        assert!(
            lost.is_empty(),
            "{} questions without answer:\n{}\n{self}",
            lost.len(),
            self.exchange(&lost)
        );
        for asked in by {
            assert!(self.records.iter().any(|record| record.asked == *asked), "{asked:?} was never asked");
        }
    }

    /// Who gave a wrong answer.
    pub fn wrong(&self) -> BTreeSet<Asked> {
        self.records.iter().filter(|record| record.is_wrong()).map(|record| record.asked).collect()
    }

    /// The longest time without a right answer of this program.
    pub fn longest_gap(&self, asked: Asked) -> Duration {
        let right = self.records.iter().filter(|record| record.asked == asked && record.right);
        let moments = [self.began].into_iter().chain(right.map(|record| record.at)).chain([self.ended]);
        let moments: Vec<_> = moments.collect();
        moments.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap_or_default()
    }

    /// The first of them, as text.
    fn exchange(&self, records: &[&Record]) -> String {
        let lines = records.iter().take(20).map(|record| {
            let at = record.at.saturating_duration_since(self.began).as_secs_f64();
            let again =
                record.second.as_ref().map(|said| format!(", asked again: {said:?}")).unwrap_or_default();
            format!("  {at:8.3} s  {:?}  {:?}: {:?}{again}", record.asked, record.question, record.first)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Record {
    /// A definite answer that is not true, whether or not a true one followed.
    fn is_wrong(&self) -> bool {
        match (&self.first, &self.second) {
            (_, Some(Said::Answer(_))) | (Said::Answer(_), None) => !self.right,
            _ => false,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<Asked, (usize, usize, usize)> = BTreeMap::new();
        for record in &self.records {
            let count = counts.entry(record.asked).or_default();
            count.0 += 1;
            count.1 += usize::from(record.second.is_some() && record.right);
            count.2 += usize::from(!record.right);
        }
        for (asked, (all, again, without)) in counts {
            let gap = self.longest_gap(asked);
            writeln!(
                f,
                "{asked:?}: {all} questions, {again} asked once more, {without} without answer, longest gap {gap:.2?}"
            )?;
        }
        Ok(())
    }
}

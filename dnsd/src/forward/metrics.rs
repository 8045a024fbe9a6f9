//! What is counted of forwarding. The label `upstream` holds what the configuration lists, at most eight; the others are enums.

use super::{answer::Wrong, upstream::Failure};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

type ByName = [(&'static str, String); 1];
type ByNameAnd = [(&'static str, String); 2];

/// From what a fast cache on the same wire takes to the end of patience.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was kept.
    Cache,
    /// A forwarder was asked for it.
    Forwarder,
    /// It was kept, and past its time.
    Stale,
    /// Nowhere: no forwarder answered.
    Failed,
    /// Nowhere: too many others were waiting.
    Busy,
    /// Nowhere: it was our own question, back again.
    Loop,
}

impl Source {
    const ALL: [(Source, &'static str); 6] = [
        (Source::Cache, "cache"),
        (Source::Forwarder, "forwarder"),
        (Source::Stale, "stale"),
        (Source::Failed, "failed"),
        (Source::Busy, "busy"),
        (Source::Loop, "loop"),
    ];
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Metrics {
    answers: [Counter; Source::ALL.len()],
    queries: Family<ByName, Counter>,
    failures: Family<ByNameAnd, Counter>,
    wrong: Family<ByNameAnd, Counter>,
    healthy: Family<ByName, Gauge>,
    seconds: Family<ByName, Histogram, fn() -> Histogram>,
    /// Answers and failures that are kept.
    pub entries: Gauge,
    /// What they weigh.
    pub bytes: Gauge,
}

/// Those of one forwarder.
#[derive(Debug)]
pub struct Of {
    /// Asked, probes included.
    pub queries: Counter,
    failures: [Counter; Failure::LABELS.len()],
    wrong: [Counter; Wrong::ALL.len()],
    /// 1: it is asked.
    pub healthy: Gauge,
    /// Until its answer came.
    pub seconds: Histogram,
}

impl Metrics {
    /// `registry` has the prefix `dnsd`.
    pub fn new(registry: &mut Registry) -> Metrics {
        let answers: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        let metrics = Metrics {
            answers: Source::ALL.map(|(_, name)| answers.get_or_create_owned(&[("source", name)])),
            queries: Family::default(),
            failures: Family::default(),
            wrong: Family::default(),
            healthy: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            entries: Gauge::default(),
            bytes: Gauge::default(),
        };
        registry.register("forward_answers", "Answers to names outside our zones, by source", answers);
        registry.register("forward_queries", "Queries sent to each forwarder", metrics.queries.clone());
        registry.register(
            "forward_failures",
            "Queries a forwarder did not answer, by reason",
            metrics.failures.clone(),
        );
        registry.register(
            "forward_ignored",
            "Messages that were no answer to our query, by what was wrong",
            metrics.wrong.clone(),
        );
        registry.register("forward_healthy", "1: the forwarder is asked", metrics.healthy.clone());
        registry.register("forward_seconds", "Time a forwarder took to answer", metrics.seconds.clone());
        registry.register("forward_cache_entries", "Answers and failures kept", metrics.entries.clone());
        registry.register("forward_cache_bytes", "What they weigh, about", metrics.bytes.clone());
        metrics
    }

    /// A client was answered.
    pub fn answered(&self, source: Source) {
        self.answers[source as usize].inc();
    }

    /// Those of a forwarder.
    pub fn of(&self, name: &str) -> Of {
        let upstream = || [("upstream", name.to_owned())];
        let and = |reason: &str| [("upstream", name.to_owned()), ("reason", reason.to_owned())];
        Of {
            queries: self.queries.get_or_create_owned(&upstream()),
            failures: Failure::LABELS.map(|reason| self.failures.get_or_create_owned(&and(reason))),
            wrong: Wrong::ALL.map(|wrong| self.wrong.get_or_create_owned(&and(wrong.as_str()))),
            healthy: self.healthy.get_or_create_owned(&upstream()),
            seconds: self.seconds.get_or_create_owned(&upstream()),
        }
    }

    /// It is not in the configuration any more.
    pub fn forget(&self, name: &str) {
        let upstream = [("upstream", name.to_owned())];
        self.queries.remove(&upstream);
        self.healthy.remove(&upstream);
        self.seconds.remove(&upstream);
        let reasons = Failure::LABELS.into_iter().chain(Wrong::ALL.map(Wrong::as_str));
        for reason in reasons {
            let labels = [("upstream", name.to_owned()), ("reason", reason.to_owned())];
            self.failures.remove(&labels);
            self.wrong.remove(&labels);
        }
    }
}

impl Of {
    /// It gave no answer.
    pub fn failed(&self, failure: &Failure) {
        self.failures[failure.index()].inc();
    }

    /// A message was not heeded.
    pub fn wrong(&self, wrong: Wrong) {
        self.wrong[wrong as usize].inc();
    }
}

//! What Prometheus is told. README.md lists every metric, and a test compares.

use crate::{
    pull,
    records::Reason,
    smd::{ReadError, Source},
    state::State,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{sync::Arc, time::Duration};

pub(crate) const PREFIX: &str = "smd_cache";

/// What is counted as it happens; the rest is looked up when Prometheus asks.
#[derive(Debug, Clone)]
pub struct Metrics {
    reads: Family<ReadLabels, Counter>,
    read_seconds: Family<SourceLabel, Histogram, fn() -> Histogram>,
    build_seconds: Histogram,
    /// By themselves, not looked up in their family for each call.
    lookups: [[Counter; LookupOutcome::ALL.len()]; Rpc::ALL.len()],
    pulls: Family<OutcomeLabel, Counter>,
    writes: Family<OutcomeLabel, Counter>,
    /// Watches ended because they did not keep up.
    pub watchers_cut: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    rpc: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The look-ups, as labels.
#[derive(Debug, Clone, Copy)]
pub enum Rpc {
    /// LookupMac
    Mac,
    /// LookupAddress
    Address,
    /// LookupName
    Name,
    /// LookupComponent
    Component,
}

impl Rpc {
    const ALL: [Rpc; 4] = [Rpc::Mac, Rpc::Address, Rpc::Name, Rpc::Component];

    fn label(self) -> &'static str {
        match self {
            Rpc::Mac => "lookup_mac",
            Rpc::Address => "lookup_address",
            Rpc::Name => "lookup_name",
            Rpc::Component => "lookup_component",
        }
    }
}

/// How a look-up ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupOutcome {
    /// FOUND
    Found,
    /// UNKNOWN
    Unknown,
    /// UNAVAILABLE
    Unavailable,
    /// INVALID_ARGUMENT
    Invalid,
}

impl LookupOutcome {
    const ALL: [LookupOutcome; 4] =
        [LookupOutcome::Found, LookupOutcome::Unknown, LookupOutcome::Unavailable, LookupOutcome::Invalid];

    fn label(self) -> &'static str {
        match self {
            LookupOutcome::Found => "found",
            LookupOutcome::Unknown => "unknown",
            LookupOutcome::Unavailable => "unavailable",
            LookupOutcome::Invalid => "invalid",
        }
    }
}

impl Metrics {
    /// Registers everything; counters that can be foreseen start at zero.
    pub fn register(registry: &mut Registry, state: &Arc<State>) -> Metrics {
        let lookups = Family::<LookupLabels, Counter>::default();
        let metrics = Metrics {
            reads: Family::default(),
            // From a delta's millisecond to the longest answer that is waited for.
            read_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 16))
            }),
            build_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
            lookups: Rpc::ALL.map(|rpc| {
                LookupOutcome::ALL.map(|outcome| {
                    let labels = LookupLabels { rpc: rpc.label(), outcome: outcome.label() };
                    lookups.get_or_create_owned(&labels)
                })
            }),
            pulls: Family::default(),
            writes: Family::default(),
            watchers_cut: Counter::default(),
        };
        metrics.start_at_zero();
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register("reads", "Reads of SMD", metrics.reads.clone());
        let help = "How long an answer of SMD took, good or not";
        own.register_with_unit("read", help, Unit::Seconds, metrics.read_seconds.clone());
        let help = "How long decoding and building a snapshot took";
        own.register_with_unit("build", help, Unit::Seconds, metrics.build_seconds.clone());
        own.register("lookups", "Look-ups answered", lookups);
        let help = "MACs that were not held and that SMD was asked about";
        own.register("pulls", help, metrics.pulls.clone());
        own.register("snapshot_writes", "Writes of the snapshot file", metrics.writes.clone());
        own.register(
            "watchers_cut",
            "Watches ended because they were too slow",
            metrics.watchers_cut.clone(),
        );
        registry.register_collector(Box::new(AtScrape(state.clone())));
        metrics
    }

    /// A read of SMD ended.
    pub fn read(&self, source: Source, outcome: Result<(), &ReadError>, took: Duration) {
        let outcome = outcome.map_or_else(ReadError::label, |()| "ok");
        self.reads.get_or_create(&ReadLabels { source: source.label(), outcome }).inc();
        self.read_seconds.get_or_create(&SourceLabel { source: source.label() }).observe(took.as_secs_f64());
    }

    /// A snapshot was built.
    pub fn built(&self, took: Duration) {
        self.build_seconds.observe(took.as_secs_f64());
    }

    /// A look-up was answered.
    pub fn lookup(&self, rpc: Rpc, outcome: LookupOutcome) {
        self.lookups[rpc as usize][outcome as usize].inc();
    }

    /// SMD was asked about a MAC.
    pub fn pulled(&self, outcome: pull::Outcome) {
        self.pulls.get_or_create(&OutcomeLabel { outcome: outcome.label() }).inc();
    }

    /// The snapshot file was written, or was not.
    pub fn kept(&self, succeeded: bool) {
        let outcome = if succeeded { "ok" } else { "failed" };
        self.writes.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    fn start_at_zero(&self) {
        for outcome in ["ok", "failed"] {
            drop(self.writes.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in pull::Outcome::ALL {
            drop(self.pulls.get_or_create(&OutcomeLabel { outcome: outcome.label() }));
        }
        for source in Source::ALL {
            for outcome in ReadError::OUTCOMES {
                let _ = self.reads.get_or_create(&ReadLabels { source: source.label(), outcome });
            }
        }
    }
}

/// Gauges that are true at the moment they are asked for, ages above all.
#[derive(Debug)]
struct AtScrape(Arc<State>);

impl Collector for AtScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let state = &self.0;
        let view = state.view();
        let counts = view.snapshot.as_ref().map(|snapshot| snapshot.counts()).unwrap_or_default();
        let gauges = [
            ("ready", "1: look-ups can be answered", i64::from(view.snapshot.is_some())),
            ("stale", "1: the last whole read is older than stale_after", i64::from(state.is_stale(&view))),
            ("generation", "Changes of content since the start", view.generation() as i64),
            ("interfaces", "Interfaces held", counts.interfaces as i64),
            ("components", "Components held", counts.components as i64),
            ("addresses", "Addresses held", counts.addresses as i64),
            ("names", "DNS names held", counts.names as i64),
            (
                "servable_interfaces",
                "Interfaces with a component and a usable address",
                counts.servable_interfaces as i64,
            ),
            (
                "losses_held_back",
                "1: SMD says that much is gone, and is not believed",
                i64::from(view.held_back.is_some()),
            ),
            ("watchers", "Open Watches", state.clients.count() as i64),
        ];
        for (name, help, value) in gauges {
            encode(&mut encoder, name, help, None, &ConstGauge::new(value))?;
        }
        // Before the first whole read: since the start.
        let age = match &view.whole {
            Some(whole) => whole.age().as_secs_f64(),
            None => (jiff::Timestamp::now().duration_since(state.started_at)).as_secs_f64().max(0.0),
        };
        let help = "Time since the last good whole read began";
        encode(&mut encoder, "whole_read_age", help, Some(&Unit::Seconds), &ConstGauge::new(age))?;
        let problems = Family::<ReasonLabel, Gauge>::default();
        for reason in Reason::ALL {
            let _ = problems.get_or_create(&ReasonLabel { reason: reason.label() });
        }
        for problem in view.problems.iter() {
            problems.get_or_create(&ReasonLabel { reason: problem.reason.label() }).inc();
        }
        encode(&mut encoder, "problems", "Problems with SMD's records", None, &problems)
    }
}

fn encode(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    let name = format!("{PREFIX}_{name}");
    debug_assert!(matches!(metric.metric_type(), MetricType::Gauge));
    metric.encode(encoder.encode_descriptor(&name, help, unit, metric.metric_type())?)
}

//! What Prometheus is told, under `inventory_`, the same in every daemon.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};
use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// Every metric and what it says, for the daemons' READMEs and the tests that compare them.
pub const METRICS: &[(&str, &str)] = &[
    ("inventory_lookups_total", LOOKUPS),
    ("inventory_stale_answers_total", STALE),
    ("inventory_unavailable_total", UNAVAILABLE),
    ("inventory_call_timeouts_total", TIMEOUTS),
    ("inventory_calls_in_flight", IN_FLIGHT),
    ("inventory_watch_losses_total", LOSSES),
    ("inventory_connected", CONNECTED),
    ("inventory_generation", GENERATION),
    ("inventory_skipped_total", SKIPPED),
    ("inventory_age_seconds", AGE),
];

const LOOKUPS: &str = "Look-ups that were answered, by the layer that did: replica, cache, call";
const STALE: &str = "Answers given from data that is marked stale";
const UNAVAILABLE: &str = "Look-ups that could not be answered";
const TIMEOUTS: &str = "Calls to smd-cache that ran into their deadline";
const IN_FLIGHT: &str = "Calls to smd-cache under way";
const LOSSES: &str =
    "Watches that could not be started or were given up, by reason: refused, ended, silent, calls, gap";
const CONNECTED: &str = "1 while smd-cache is connected, else 0";
const GENERATION: &str = "Generation of the snapshot held";
const SKIPPED: &str = "Parts of messages of smd-cache that could not be read";
const AGE: &str =
    "Seconds since the start of the last good read of SMD that is known of; absent before the first";

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Layer {
    Replica,
    Cache,
    Call,
}

/// Why a Watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Loss {
    /// No connection, or no Watch on it.
    Refused,
    /// By smd-cache.
    Ended,
    /// No heartbeat.
    Silent,
    /// Calls in a row ran into their deadline.
    Calls,
    /// A change is missing between what is held and what was sent.
    Gap,
}

impl Loss {
    const ALL: [Loss; 5] = [Loss::Refused, Loss::Ended, Loss::Silent, Loss::Calls, Loss::Gap];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Loss::Refused => "refused",
            Loss::Ended => "ended",
            Loss::Silent => "silent",
            Loss::Calls => "calls",
            Loss::Gap => "gap",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LayerLabel {
    layer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counters by themselves, not looked up in their family for each packet.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    replica: Counter,
    cache: Counter,
    call: Counter,
    stale: Counter,
    pub(crate) unavailable: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) in_flight: Gauge,
    losses: Family<ReasonLabel, Counter>,
    pub(crate) connected: Gauge,
    pub(crate) generation: Gauge,
    pub(crate) skipped: Counter,
    read_at: Arc<ReadAt>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let lookups = Family::<LayerLabel, Counter>::default();
        let of = |layer| lookups.get_or_create_owned(&LayerLabel { layer });
        let metrics =
            Metrics { replica: of("replica"), cache: of("cache"), call: of("call"), ..Metrics::default() };
        for loss in Loss::ALL {
            drop(metrics.losses.get_or_create(&ReasonLabel { reason: loss.label() }));
        }
        let registry = registry.sub_registry_with_prefix("inventory");
        registry.register("lookups", LOOKUPS, lookups);
        registry.register("stale_answers", STALE, metrics.stale.clone());
        registry.register("unavailable", UNAVAILABLE, metrics.unavailable.clone());
        registry.register("call_timeouts", TIMEOUTS, metrics.timeouts.clone());
        registry.register("calls_in_flight", IN_FLIGHT, metrics.in_flight.clone());
        registry.register("watch_losses", LOSSES, metrics.losses.clone());
        registry.register("connected", CONNECTED, metrics.connected.clone());
        registry.register("generation", GENERATION, metrics.generation.clone());
        registry.register("skipped", SKIPPED, metrics.skipped.clone());
        registry.register_collector(Box::new(metrics.read_at.clone()));
        metrics
    }

    pub(crate) fn answered(&self, layer: Layer, stale: bool) {
        match layer {
            Layer::Replica => self.replica.inc(),
            Layer::Cache => self.cache.inc(),
            Layer::Call => self.call.inc(),
        };
        if stale {
            self.stale.inc();
        }
    }

    pub(crate) fn lost(&self, loss: Loss) {
        self.losses.get_or_create(&ReasonLabel { reason: loss.label() }).inc();
    }

    pub(crate) fn read_at(&self, read_at: Option<SystemTime>) {
        *self.read_at.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = read_at;
    }
}

/// The age is one of the moment it is asked for.
#[derive(Debug, Default)]
struct ReadAt(Mutex<Option<SystemTime>>);

impl Collector for ReadAt {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let read_at = *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(read_at) = read_at else { return Ok(()) };
        // A clock that was set back makes it zero, not an error.
        let age = read_at.elapsed().unwrap_or_default().as_secs_f64();
        let gauge = ConstGauge::new(age);
        gauge.encode(encoder.encode_descriptor("age_seconds", AGE, None, gauge.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_listed() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.read_at(Some(SystemTime::now()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let mut exposed: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split([' ', '{']).next())
            .collect();
        exposed.dedup();
        let listed: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
        assert_eq!(exposed, listed, "{text}");
    }

    #[test]
    fn answers_are_counted_by_the_layer_that_gave_them() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.answered(Layer::Replica, false);
        metrics.answered(Layer::Replica, true);
        metrics.answered(Layer::Call, false);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "inventory_lookups_total{layer=\"replica\"} 2",
            "inventory_lookups_total{layer=\"cache\"} 0",
            "inventory_lookups_total{layer=\"call\"} 1",
            "inventory_stale_answers_total 1",
        ] {
            assert!(text.lines().any(|held| held == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_readme_lists_every_metric_and_no_other() {
        let rows = include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let described: Vec<_> = rows.filter_map(|row| row.split(['`', '{']).next()).collect();
        let listed: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
        assert_eq!(described, listed);
    }
}

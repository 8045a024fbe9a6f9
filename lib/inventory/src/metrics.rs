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
    ("inventory_too_old_total", TOO_OLD),
    ("inventory_call_timeouts_total", TIMEOUTS),
    ("inventory_calls_in_flight", IN_FLIGHT),
    ("inventory_watch_losses_total", LOSSES),
    ("inventory_endpoint_changes_total", CHANGES),
    ("inventory_connected", CONNECTED),
    ("inventory_generation", GENERATION),
    ("inventory_skipped_total", SKIPPED),
    ("inventory_replica_file_writes_total", WRITES),
    ("inventory_age_seconds", AGE),
    ("inventory_replica_file_age_seconds", FILE_AGE),
];

const LOOKUPS: &str = "Look-ups that were answered, by the layer that did: replica, cache, call";
const STALE: &str = "Answers given from data that is marked stale";
const UNAVAILABLE: &str = "Look-ups that could not be answered";
const TIMEOUTS: &str = "Calls to smd-cache that ran into their deadline";
const IN_FLIGHT: &str = "Calls to smd-cache under way";
const LOSSES: &str = "Watches that could not be started or were given up, by reason: refused, ended, silent, calls, stale, \
    slow, gap";
const CHANGES: &str = "Moves to another endpoint, by the reason to leave the one before, as above";
const WRITES: &str = "Writes of the replica file, by outcome: written, failed, newer, busy";
const FILE_AGE: &str = "Seconds since the replica file was last known to be whole; absent before";
const TOO_OLD: &str = "Look-ups that could not be answered while what is held is older than max_stale";
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
    /// It does not see SMD, and another one does.
    Stale,
    /// It cut us off because we were too slow.
    Slow,
    /// A change is missing between what is held and what was sent.
    Gap,
}

impl Loss {
    const ALL: [Loss; 7] =
        [Loss::Refused, Loss::Ended, Loss::Silent, Loss::Calls, Loss::Stale, Loss::Slow, Loss::Gap];

    /// The server is well: what went wrong is between what it sent and what is held.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Loss::Slow | Loss::Gap)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Loss::Refused => "refused",
            Loss::Ended => "ended",
            Loss::Silent => "silent",
            Loss::Calls => "calls",
            Loss::Stale => "stale",
            Loss::Slow => "slow",
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

/// How a write of the replica file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Write {
    /// It is on disk.
    Written,
    /// It is not.
    Failed,
    /// Another process put a newer one there.
    Newer,
    /// Another process is writing it.
    Busy,
}

impl Write {
    const ALL: [Write; 4] = [Write::Written, Write::Failed, Write::Newer, Write::Busy];

    fn label(self) -> &'static str {
        match self {
            Write::Written => "written",
            Write::Failed => "failed",
            Write::Newer => "newer",
            Write::Busy => "busy",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counters by themselves, not looked up in their family for each packet.
#[derive(Debug)]
pub(crate) struct Metrics {
    replica: Counter,
    cache: Counter,
    call: Counter,
    stale: Counter,
    pub(crate) unavailable: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) too_old: Counter,
    losses: Family<ReasonLabel, Counter>,
    changes: Family<ReasonLabel, Counter>,
    writes: Family<OutcomeLabel, Counter>,
    pub(crate) connected: Gauge,
    pub(crate) generation: Gauge,
    pub(crate) skipped: Counter,
    read_at: Since,
    file_whole_at: Since,
}

impl Default for Metrics {
    /// Nobody is told.
    fn default() -> Metrics {
        Metrics::register(&mut Registry::default())
    }
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let lookups = Family::<LayerLabel, Counter>::default();
        let of = |layer| lookups.get_or_create_owned(&LayerLabel { layer });
        let metrics = Metrics {
            replica: of("replica"),
            cache: of("cache"),
            call: of("call"),
            stale: Counter::default(),
            unavailable: Counter::default(),
            too_old: Counter::default(),
            timeouts: Counter::default(),
            in_flight: Gauge::default(),
            losses: Family::default(),
            changes: Family::default(),
            connected: Gauge::default(),
            generation: Gauge::default(),
            skipped: Counter::default(),
            writes: Family::default(),
            read_at: Since::new("age_seconds", AGE),
            file_whole_at: Since::new("replica_file_age_seconds", FILE_AGE),
        };
        for loss in Loss::ALL {
            let reason = ReasonLabel { reason: loss.label() };
            drop(metrics.losses.get_or_create(&reason));
            drop(metrics.changes.get_or_create(&reason));
        }
        for write in Write::ALL {
            drop(metrics.writes.get_or_create(&OutcomeLabel { outcome: write.label() }));
        }
        let registry = registry.sub_registry_with_prefix("inventory");
        registry.register("lookups", LOOKUPS, lookups);
        registry.register("stale_answers", STALE, metrics.stale.clone());
        registry.register("unavailable", UNAVAILABLE, metrics.unavailable.clone());
        registry.register("too_old", TOO_OLD, metrics.too_old.clone());
        registry.register("call_timeouts", TIMEOUTS, metrics.timeouts.clone());
        registry.register("calls_in_flight", IN_FLIGHT, metrics.in_flight.clone());
        registry.register("watch_losses", LOSSES, metrics.losses.clone());
        registry.register("endpoint_changes", CHANGES, metrics.changes.clone());
        registry.register("connected", CONNECTED, metrics.connected.clone());
        registry.register("generation", GENERATION, metrics.generation.clone());
        registry.register("skipped", SKIPPED, metrics.skipped.clone());
        registry.register("replica_file_writes", WRITES, metrics.writes.clone());
        registry.register_collector(Box::new(metrics.read_at.clone()));
        registry.register_collector(Box::new(metrics.file_whole_at.clone()));
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

    /// The Watch goes on at another endpoint.
    pub(crate) fn moved(&self, loss: Loss) {
        self.changes.get_or_create(&ReasonLabel { reason: loss.label() }).inc();
    }

    pub(crate) fn wrote(&self, write: Write) {
        self.writes.get_or_create(&OutcomeLabel { outcome: write.label() }).inc();
    }

    #[cfg(test)]
    pub(crate) fn writes(&self, write: Write) -> u64 {
        self.writes.get_or_create(&OutcomeLabel { outcome: write.label() }).get()
    }

    pub(crate) fn read_at(&self, read_at: Option<SystemTime>) {
        self.read_at.set(read_at);
    }

    /// The replica file was whole at that moment.
    pub(crate) fn file_whole_at(&self, at: Option<SystemTime>) {
        self.file_whole_at.set(at);
    }
}

/// An age, of the moment it is asked for.
#[derive(Debug, Clone)]
struct Since {
    at: Arc<Mutex<Option<SystemTime>>>,
    name: &'static str,
    help: &'static str,
}

impl Since {
    fn new(name: &'static str, help: &'static str) -> Since {
        Since { at: Arc::default(), name, help }
    }

    fn set(&self, at: Option<SystemTime>) {
        *self.at.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = at;
    }
}

impl Collector for Since {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let at = *self.at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(at) = at else { return Ok(()) };
        // A clock that was set back makes it zero, not an error.
        let gauge = ConstGauge::new(at.elapsed().unwrap_or_default().as_secs_f64());
        gauge.encode(encoder.encode_descriptor(self.name, self.help, None, gauge.metric_type())?)
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
        metrics.file_whole_at(Some(SystemTime::now()));
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

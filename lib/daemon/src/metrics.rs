//! What every program tells Prometheus of itself, under `daemon_`; README.md lists it, and a test compares.

use crate::{readiness::Readiness, version::Version};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{gauge::ConstGauge, info::Info},
    registry::Registry,
};
use std::fmt;

pub(crate) const PREFIX: &str = "daemon";

/// Registers what is the same in all programs.
pub(crate) fn register(registry: &mut Registry, version: &Version, readiness: Readiness) {
    let own = registry.sub_registry_with_prefix(PREFIX);
    let labels = [("program", version.program), ("version", version.version), ("commit", version.commit)];
    own.register("build", "Which program and build this is", Info::new(labels));
    own.register_collector(Box::new(AtScrape(readiness)));
}

/// The checks of `/ready`, made when Prometheus asks.
struct AtScrape(Readiness);

impl fmt::Debug for AtScrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AtScrape")
    }
}

impl Collector for AtScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (ready, well) = self.0.summary();
        let help = "1 while the program can answer, as /ready says, else 0";
        gauge(&mut encoder, "ready", help, ready)?;
        let help = "1 while it answers, but not all of it is well: /ready names what, else 0";
        gauge(&mut encoder, "degraded", help, ready && !well)
    }
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, is: bool) -> fmt::Result {
    let gauge = ConstGauge::new(i64::from(is));
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, manual};

    fn page(registry: &Registry) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, registry).unwrap();
        page
    }

    #[test]
    fn readiness_is_that_of_the_moment_somebody_asks() {
        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        register(&mut registry, &Version::of("test"), readiness.clone());
        let said = |ready, degraded| {
            let page = page(&registry);
            let has = |line: String| page.lines().any(|found| found == line);
            has(format!("daemon_ready {ready}")) && has(format!("daemon_degraded {degraded}"))
        };
        assert!(said(1, 0));
        readiness.add("inventory", || State::Degraded("old".into()));
        assert!(said(1, 1));
        readiness.add("sockets", || State::Missing("none".into()));
        assert!(said(0, 0));
        assert!(page(&registry).contains(r#"daemon_build_info{program="test","#));
    }

    #[test]
    fn the_readme_lists_what_there_is() {
        let mut registry = Registry::default();
        register(&mut registry, &Version::of("test"), Readiness::default());
        let listed = manual::listed(include_str!("../README.md"), "daemon_");
        assert_eq!(listed, manual::registered(&registry));
    }
}

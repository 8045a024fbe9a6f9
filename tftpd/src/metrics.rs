//! What is counted. Labels are closed enums; every series exists from the start.

use crate::decide::{Refusal, Silence};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Labels = [(&'static str, &'static str); 1];

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every block was acknowledged.
    Complete,
    /// The client sent an ERROR in the middle.
    Aborted,
    /// The client sent an ERROR instead of the first ACK: it only wanted to know the size. UEFI does so at each boot.
    SizeProbe,
    /// Nothing more was heard of the client.
    TimedOut,
    /// The client asked anew from the same port.
    Restarted,
    /// The program was stopped.
    CutOff,
}

impl Ending {
    const ALL: [Ending; 6] = [
        Ending::Complete,
        Ending::Aborted,
        Ending::SizeProbe,
        Ending::TimedOut,
        Ending::Restarted,
        Ending::CutOff,
    ];

    /// As in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::Aborted => "aborted",
            Ending::SizeProbe => "size_probe",
            Ending::TimedOut => "timed_out",
            Ending::Restarted => "restarted",
            Ending::CutOff => "cut_off",
        }
    }
}

impl Refusal {
    const ALL: [Refusal; 7] = [
        Refusal::NotFound,
        Refusal::Traversal,
        Refusal::Write,
        Refusal::Mode,
        Refusal::TooLarge,
        Refusal::Malformed,
        Refusal::UnknownTransfer,
    ];

    /// As in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::Traversal => "traversal",
            Refusal::Write => "write",
            Refusal::Mode => "mode",
            Refusal::TooLarge => "too_large",
            Refusal::Malformed => "malformed",
            Refusal::UnknownTransfer => "unknown_transfer",
        }
    }
}

impl Silence {
    const ALL: [Silence; 5] =
        [Silence::NoPacket, Silence::Stray, Silence::Busy, Silence::ClientBusy, Silence::Draining];

    /// As in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Silence::NoPacket => "no_packet",
            Silence::Stray => "stray",
            Silence::Busy => "busy",
            Silence::ClientBusy => "client_busy",
            Silence::Draining => "draining",
        }
    }
}

/// All of tftpd's metrics; cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    started: Counter,
    ended: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    silent: Family<Labels, Counter>,
    /// Bytes that clients acknowledged.
    pub bytes: Counter,
    /// Times that a window or OACK was sent again.
    pub repeated: Counter,
    /// Datagrams that the kernel did not take.
    pub send_errors: Counter,
    /// Transfers that run.
    pub running: Gauge,
    /// Files held.
    pub files: Gauge,
    /// Their bytes.
    pub files_bytes: Gauge,
}

impl Metrics {
    /// Registers all of them under `tftpd_`.
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        let registry = registry.sub_registry_with_prefix("tftpd");
        registry.register(
            "transfers_started",
            "Read requests that began a transfer",
            metrics.started.clone(),
        );
        registry.register("transfers_ended", "Transfers that ended, by how", metrics.ended.clone());
        registry.register("refused", "Packets answered with an ERROR, by reason", metrics.refused.clone());
        registry.register("silent", "Packets not answered, by reason", metrics.silent.clone());
        registry.register("sent_bytes", "File bytes that clients acknowledged", metrics.bytes.clone());
        registry.register("repeated", "Windows and OACKs that were sent again", metrics.repeated.clone());
        registry.register(
            "send_errors",
            "Datagrams that the kernel did not take",
            metrics.send_errors.clone(),
        );
        registry.register("transfers", "Transfers that run now", metrics.running.clone());
        registry.register("files", "Files held in memory", metrics.files.clone());
        registry.register("files_bytes", "Bytes of the files held in memory", metrics.files_bytes.clone());
        Ending::ALL
            .iter()
            .for_each(|ending| drop(metrics.ended.get_or_create(&[("ending", ending.label())])));
        Refusal::ALL
            .iter()
            .for_each(|refusal| drop(metrics.refused.get_or_create(&[("reason", refusal.label())])));
        Silence::ALL
            .iter()
            .for_each(|silence| drop(metrics.silent.get_or_create(&[("reason", silence.label())])));
        metrics
    }

    /// A transfer began.
    pub fn start(&self) {
        self.started.inc();
        self.running.inc();
    }

    /// A transfer ended.
    pub fn end(&self, ending: Ending) {
        self.ended.get_or_create(&[("ending", ending.label())]).inc();
        self.running.dec();
    }

    /// So many transfers were still running at the end.
    pub fn cut_off(&self, transfers: usize) {
        (0..transfers).for_each(|_| self.end(Ending::CutOff));
    }

    /// An ERROR was sent.
    pub fn refuse(&self, refusal: Refusal) {
        self.refused.get_or_create(&[("reason", refusal.label())]).inc();
    }

    /// Nothing was sent.
    pub fn silent(&self, silence: Silence) {
        self.silent.get_or_create(&[("reason", silence.label())]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_metric_and_no_other() {
        let mut registry = Registry::default();
        let _metrics = Metrics::register(&mut registry);
        let listed = daemon::manual::listed(include_str!("../README.md"), "tftpd_");
        assert_eq!(listed, daemon::manual::registered(&registry));
    }
}

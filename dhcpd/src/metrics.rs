//! What dhcpd counts. Every label is one of an enum's, never anything a client said; the README lists all of them.

use crate::{
    decide::{Note, Silent},
    leases::{Count, store::Health},
    wire::{MessageType, Refused},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::fmt;

/// The counters and gauges, cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    requests: Family<Kind, Counter>,
    replies: Family<Kind, Counter>,
    silent: Family<Reason, Counter>,
    refused: Family<Reason, Counter>,
    dropped: Family<Reason, Counter>,
    notes: Family<Kind, Counter>,
    send_errors: Family<Way, Counter>,
    receive_errors: Counter,
    /// Packets that the kernel had no room for.
    pub kernel_drops: Counter,
    /// Requests that wait for the inventory or for room to send.
    pub in_flight: Gauge,
    /// Unknown MACs that are remembered.
    pub unknown_macs: Gauge,
    /// Sockets that are open.
    pub sockets: Gauge,
    /// The file of leases.
    pub lease_store: Health,
    pool_addresses: Family<InPool, Gauge>,
    /// Machines of the hosts file.
    pub hosts: Gauge,
    /// Its bad lines, and one more where it cannot be read.
    pub hosts_problems: Gauge,
}

/// The labels of [`Note`], which has no value without its facts.
const NOTES: [&str; 10] = [
    "unknown_mac",
    "unconfigured_subnet",
    "off_link",
    "no_address_there",
    "conflict",
    "released",
    "no_loader",
    "left_out",
    "pool_exhausted",
    "leased",
];

/// Why a request that could be read was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Too many wait already.
    Overload,
    /// No answer within the time a packet has.
    Deadline,
    /// A mistake of ours: a panic while it was worked on.
    Panic,
    /// A lease that could not be written.
    LeaseStore,
}

/// How a reply was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Routed.
    Unicast,
    /// To everybody on the link.
    Broadcast,
    /// As a frame; such a reply is broadcast then.
    Link,
}

/// One of an enum's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Label(&'static str);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPool {
    /// From the configuration, so there are few.
    subnet: String,
    state: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    way: Label,
}

impl Metrics {
    /// Registered under `dhcpd_`, with every reason at zero so that rates are right from the first one on.
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        let registry = registry.sub_registry_with_prefix("dhcpd");
        registry.register("requests", "Messages of clients, by type", metrics.requests.clone());
        registry.register("replies", "Answers made, by type", metrics.replies.clone());
        registry.register(
            "silent",
            "Messages that got no answer on purpose, by reason",
            metrics.silent.clone(),
        );
        registry.register("refused", "Packets that are no DHCP request, by reason", metrics.refused.clone());
        registry.register("dropped", "Requests given up, by reason", metrics.dropped.clone());
        registry.register("notes", "What an operator should look at, by kind", metrics.notes.clone());
        registry.register(
            "send_errors",
            "Answers that could not be sent, by way",
            metrics.send_errors.clone(),
        );
        registry.register("receive_errors", "Errors while receiving", metrics.receive_errors.clone());
        registry.register(
            "kernel_drops",
            "Packets dropped because a receive buffer was full",
            metrics.kernel_drops.clone(),
        );
        registry.register("in_flight", "Requests that wait", metrics.in_flight.clone());
        registry.register("unknown_macs", "Unknown MACs remembered", metrics.unknown_macs.clone());
        registry.register("sockets", "Sockets open", metrics.sockets.clone());
        let addresses = metrics.pool_addresses.clone();
        registry.register("pool_addresses", "Addresses of pools, by subnet and state", addresses);
        metrics.lease_store.register(registry);
        registry.register("hosts", "Machines of the hosts file", metrics.hosts.clone());
        registry.register(
            "hosts_problems",
            "What is wrong with the hosts file",
            metrics.hosts_problems.clone(),
        );
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for kind in ["discover", "request", "inform", "release", "decline", "bootp", "other"] {
            drop(self.requests.get_or_create(&Kind { kind: Label(kind) }));
        }
        for kind in ["offer", "ack", "nak"] {
            drop(self.replies.get_or_create(&Kind { kind: Label(kind) }));
        }
        for silent in Silent::ALL {
            drop(self.silent.get_or_create(&Reason { reason: Label(silent.label()) }));
        }
        for refused in Refused::ALL {
            drop(self.refused.get_or_create(&Reason { reason: Label(refused.label()) }));
        }
        for note in NOTES {
            drop(self.notes.get_or_create(&Kind { kind: Label(note) }));
        }
        for dropped in [Dropped::Overload, Dropped::Deadline, Dropped::Panic, Dropped::LeaseStore] {
            drop(self.dropped.get_or_create(&Reason { reason: dropped.label() }));
        }
        for sent in [Sent::Unicast, Sent::Broadcast, Sent::Link] {
            drop(self.send_errors.get_or_create(&Way { way: sent.label() }));
        }
    }

    /// How full the pools are.
    pub fn pools(&self, counts: &[Count]) {
        self.pool_addresses.clear();
        for count in counts {
            let used = count.offered + count.leased + count.set_aside + count.taken;
            let states = [
                ("offered", count.offered),
                ("leased", count.leased),
                ("set_aside", count.set_aside),
                ("taken", count.taken),
                ("free", count.size.saturating_sub(used)),
            ];
            for (state, addresses) in states {
                let labels = InPool { subnet: count.subnet.to_string(), state: Label(state) };
                self.pool_addresses.get_or_create(&labels).set(addresses as i64);
            }
        }
    }

    /// A message was read.
    pub fn request(&self, kind: Option<MessageType>) {
        self.requests.get_or_create(&Kind { kind: Label(kind.map_or("bootp", label)) }).inc();
    }

    /// An answer was made.
    pub fn reply(&self, kind: MessageType) {
        self.replies.get_or_create(&Kind { kind: Label(label(kind)) }).inc();
    }

    /// No answer, on purpose.
    pub fn silent(&self, silent: Silent) {
        self.silent.get_or_create(&Reason { reason: Label(silent.label()) }).inc();
    }

    /// No request.
    pub fn refused(&self, refused: Refused) {
        self.refused.get_or_create(&Reason { reason: Label(refused.label()) }).inc();
    }

    /// Given up.
    pub fn dropped(&self, dropped: Dropped) {
        self.dropped.get_or_create(&Reason { reason: dropped.label() }).inc();
    }

    /// Something to look at.
    pub fn note(&self, note: &Note) {
        self.notes.get_or_create(&Kind { kind: Label(note.label()) }).inc();
    }

    /// Not sent.
    pub fn send_error(&self, way: Sent) {
        self.send_errors.get_or_create(&Way { way: way.label() }).inc();
    }

    /// Not received.
    pub fn receive_error(&self) {
        self.receive_errors.inc();
    }
}

impl Dropped {
    fn label(self) -> Label {
        Label(match self {
            Dropped::Overload => "overload",
            Dropped::Deadline => "deadline",
            Dropped::Panic => "panic",
            Dropped::LeaseStore => "lease_store",
        })
    }
}

impl Sent {
    fn label(self) -> Label {
        Label(match self {
            Sent::Unicast => "unicast",
            Sent::Broadcast => "broadcast",
            Sent::Link => "link",
        })
    }
}

fn label(kind: MessageType) -> &'static str {
    match kind {
        MessageType::Discover => "discover",
        MessageType::Offer => "offer",
        MessageType::Request => "request",
        MessageType::Decline => "decline",
        MessageType::Ack => "ack",
        MessageType::Nak => "nak",
        MessageType::Release => "release",
        MessageType::Inform => "inform",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_metric_and_no_other() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let subnet = "172.16.0.0/24".parse().unwrap();
        metrics.pools(&[Count { subnet, size: 9, offered: 1, leased: 1, set_aside: 1, taken: 1 }]);
        let listed = daemon::manual::listed(include_str!("../README.md"), "dhcpd_");
        assert_eq!(listed, daemon::manual::registered(&registry));
    }

    #[test]
    fn the_readme_lists_every_reason() {
        let readme = include_str!("../README.md");
        let reasons = Silent::ALL.map(Silent::label).into_iter().chain(Refused::ALL.map(Refused::label));
        for label in reasons.chain(NOTES).chain(["overload", "deadline", "panic"]) {
            assert!(readme.contains(&format!("`{label}`")), "{label}");
        }
    }
}

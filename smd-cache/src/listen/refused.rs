//! Who was refused and why, counted. Labels are of a closed set.

use crate::tls::Refusal;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Connections and calls that were turned away.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    connections: Family<ReasonLabel, Counter>,
    calls: Family<ReasonLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// TLS did not come about.
    Tls(Refusal),
    /// Its address has its share already.
    TooMany,
    /// It did not say that it is HTTP/2.
    NoGreeting,
    /// It had not asked anything yet when another one needed its place.
    Silent,
}

/// Why a call is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// As many of its kind are being served as may be.
    Overload,
    /// It took longer than its kind may.
    TimedOut,
    /// The certificate's names are not in `clients`.
    NotListed,
}

impl Connection {
    fn all() -> impl Iterator<Item = Connection> {
        Refusal::ALL.into_iter().map(Connection::Tls).chain([
            Connection::TooMany,
            Connection::NoGreeting,
            Connection::Silent,
        ])
    }

    fn label(self) -> &'static str {
        match self {
            Connection::Tls(refusal) => refusal.label(),
            Connection::TooMany => "too_many",
            Connection::NoGreeting => "no_greeting",
            Connection::Silent => "silent",
        }
    }
}

impl Call {
    const ALL: [Call; 3] = [Call::Overload, Call::TimedOut, Call::NotListed];

    fn label(self) -> &'static str {
        match self {
            Call::Overload => "overload",
            Call::TimedOut => "timed_out",
            Call::NotListed => "not_listed",
        }
    }
}

impl Refused {
    /// Registers both; everything that can be foreseen starts at zero.
    pub fn register(registry: &mut Registry) -> Refused {
        let refused = Refused::default();
        for reason in Connection::all() {
            let _ = refused.connections.get_or_create(&ReasonLabel { reason: reason.label() });
        }
        for reason in Call::ALL {
            let _ = refused.calls.get_or_create(&ReasonLabel { reason: reason.label() });
        }
        let own = registry.sub_registry_with_prefix(crate::metrics::PREFIX);
        own.register("connections_refused", "Connections turned away", refused.connections.clone());
        own.register("calls_refused", "Calls turned away", refused.calls.clone());
        refused
    }

    /// A connection was turned away.
    pub fn connection(&self, reason: Connection) {
        self.connections.get_or_create(&ReasonLabel { reason: reason.label() }).inc();
    }

    /// A call was turned away.
    pub fn call(&self, reason: Call) {
        self.calls.get_or_create(&ReasonLabel { reason: reason.label() }).inc();
    }
}

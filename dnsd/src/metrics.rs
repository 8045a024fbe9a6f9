//! What dnsd counts. Every label value comes from an enum or from the zones, never from a packet, so all series exist from the start
//! and a packet only adds.
//!
//! ```text
//!   worker ──Count──▶ its own Tally ─┐
//!   worker ──Count──▶ its own Tally ─┼──scrape──▶ sums, under their names
//!   all others ──Count──▶ Metrics ───┘
//! ```

mod files;
mod labelled;
mod scrape;
mod slots;
mod tally;

pub use files::{FileGauges, FileKind};
pub use labelled::{Label, Labelled, NotifyResult, TransferResult};
pub use slots::Slot;
pub use tally::{Count, Tally};

use crate::{
    forward,
    wire::{Silent, Transport, kind},
};
use certificates::Refusal;
use prometheus_client::{
    encoding::EncodeMetric,
    metrics::{TypedMetric, counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use slots::Slots;
use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};
use tally::Counters;

/// Everything that is counted. Counting on it ([`Count`]) is for many tasks at once; a worker that counts every packet has a
/// [`Tally`] of its own.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Counters>,
    workers: Arc<Mutex<Vec<Arc<Counters>>>>,
    slots: Arc<Slots>,
    sockets: scrape::Sockets,
    connections: [Gauge; Transport::ALL.len()],
    accepted: [Counter; Transport::ALL.len()],
    refused: [Counter; Refusal::ALL.len()],
    /// Zones served.
    pub zones: Gauge,
    /// Answers left out because their network had enough.
    pub limited: Counter,
    /// Answers of which only "use TCP" was left.
    pub slipped: Counter,
    /// Queries that have no line in the query log though it is on.
    pub unlogged: Counter,
    /// What came of queries for whole zones.
    pub transfers: Labelled<TransferResult>,
    /// What came of telling secondaries.
    pub notifies: Labelled<NotifyResult>,
    /// Of forwarding.
    pub forward: forward::Metrics,
    /// Hosts and zone files.
    pub files: FileGauges,
}

/// Types that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryKind {
    A,
    Aaaa,
    Ptr,
    Soa,
    Ns,
    Cname,
    Mx,
    Txt,
    Srv,
    Https,
    Any,
    Transfer,
    Other,
}

impl QueryKind {
    const ALL: [(QueryKind, &'static str); 13] = [
        (QueryKind::A, "a"),
        (QueryKind::Aaaa, "aaaa"),
        (QueryKind::Ptr, "ptr"),
        (QueryKind::Soa, "soa"),
        (QueryKind::Ns, "ns"),
        (QueryKind::Cname, "cname"),
        (QueryKind::Mx, "mx"),
        (QueryKind::Txt, "txt"),
        (QueryKind::Srv, "srv"),
        (QueryKind::Https, "https"),
        (QueryKind::Any, "any"),
        (QueryKind::Transfer, "transfer"),
        (QueryKind::Other, "other"),
    ];

    fn of(number: u16) -> QueryKind {
        match number {
            kind::A => QueryKind::A,
            kind::AAAA => QueryKind::Aaaa,
            kind::PTR => QueryKind::Ptr,
            kind::SOA => QueryKind::Soa,
            kind::NS => QueryKind::Ns,
            kind::CNAME => QueryKind::Cname,
            kind::MX => QueryKind::Mx,
            kind::TXT => QueryKind::Txt,
            kind::SRV => QueryKind::Srv,
            kind::HTTPS => QueryKind::Https,
            kind::ANY => QueryKind::Any,
            kind::AXFR | kind::IXFR => QueryKind::Transfer,
            _ => QueryKind::Other,
        }
    }
}

/// Why a query, an answer or a connection came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Shorter than a header.
    TooShort,
    /// An answer, not a query.
    Response,
    /// Too many look-ups were waiting.
    Busy,
    /// The answer could not be sent.
    SendFailed,
    /// Too many connections, and none of them idle.
    Connections,
    /// Too many connections of one client.
    OfClient,
    /// A connection was closed for another one: it had been idle longest.
    Evicted,
    /// A connection had no queries for too long.
    Idle,
    /// A query took too long to arrive.
    Slow,
    /// A client left answers lying.
    Unread,
    /// An HTTP request that holds no DNS query.
    Http,
}

impl Dropped {
    const ALL: [(Dropped, &'static str); 11] = [
        (Dropped::TooShort, "too_short"),
        (Dropped::Response, "response"),
        (Dropped::Busy, "busy"),
        (Dropped::SendFailed, "send_failed"),
        (Dropped::Connections, "connections"),
        (Dropped::OfClient, "of_client"),
        (Dropped::Evicted, "evicted"),
        (Dropped::Idle, "idle"),
        (Dropped::Slow, "slow"),
        (Dropped::Unread, "unread"),
        (Dropped::Http, "http"),
    ];
}

impl From<Silent> for Dropped {
    fn from(silent: Silent) -> Dropped {
        match silent {
            Silent::TooShort => Dropped::TooShort,
            Silent::Response => Dropped::Response,
        }
    }
}

impl Metrics {
    /// Registers everything under `dnsd_`.
    pub fn new(registry: &mut Registry) -> Metrics {
        let registry = registry.sub_registry_with_prefix("dnsd");
        let refused: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        registry.register("tls_refused", "TLS handshakes that failed, by reason", refused.clone());
        let metrics = Metrics {
            shared: Arc::default(),
            workers: Arc::default(),
            slots: Arc::default(),
            sockets: Arc::default(),
            connections: streams(
                registry,
                "tcp_connections",
                "Connections open now, by what is spoken over them",
            ),
            accepted: streams(registry, "tcp_accepted", "Connections that were given a place, likewise"),
            refused: Refusal::ALL.map(|reason| refused.get_or_create_owned(&[("reason", reason.label())])),
            zones: Gauge::default(),
            limited: Counter::default(),
            slipped: Counter::default(),
            unlogged: Counter::default(),
            transfers: Labelled::default(),
            notifies: Labelled::default(),
            forward: forward::Metrics::new(registry),
            files: FileGauges::register(registry),
        };
        metrics.enroll(metrics.shared.clone());
        registry
            .register_collector(Box::new(scrape::Sums::new(metrics.workers.clone(), metrics.slots.clone())));
        registry.register_collector(Box::new(scrape::KernelDrops(metrics.sockets.clone())));
        let help = "Answers over the rate limit that were left out";
        registry.register("rate_limit_dropped", help, metrics.limited.clone());
        let help = "Answers over the rate limit that only told the client to use TCP";
        registry.register("rate_limit_slipped", help, metrics.slipped.clone());
        let help = "Queries left out of the query log: too many in a second, or the log is slow";
        registry.register("query_log_left_out", help, metrics.unlogged.clone());
        registry.register("zones", "Zones served", metrics.zones.clone());
        let help = "Queries for whole zones, by what came of them";
        registry.register("transfers", help, metrics.transfers.family());
        let help = "Secondaries told of a change, by what came of it";
        registry.register("notifies", help, metrics.notifies.family());
        metrics
    }

    /// Counters for one worker, which are part of every sum from now on, also after the worker's end. Workers are as many as sockets.
    pub fn worker(&self) -> Tally {
        let counters = Arc::default();
        self.enroll(Arc::clone(&counters));
        Tally::new(counters)
    }

    /// What the kernel drops of this socket is counted from now on.
    pub fn socket(&self, socket: Arc<udp::Blocking>) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }

    /// Where answers from this zone (apex in wire form) are counted, from now on and for good.
    pub fn slot(&self, apex: &[u8]) -> Slot {
        self.slots.of(apex)
    }

    /// A connection was given a place.
    pub fn opened(&self, transport: Transport) {
        self.accepted[transport as usize].inc();
        self.connections[transport as usize].inc();
    }

    /// A TLS handshake failed.
    pub fn refused(&self, reason: Refusal) {
        if let Some(place) = Refusal::ALL.iter().position(|other| *other == reason) {
            self.refused[place].inc();
        }
    }

    /// It is free again.
    pub fn closed(&self, transport: Transport) {
        self.connections[transport as usize].dec();
    }

    fn enroll(&self, counters: Arc<Counters>) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(counters);
    }
}

/// One a transport; there are series for those that have connections.
fn streams<M: Default + Clone + EncodeMetric + TypedMetric + Debug + Send + Sync + 'static>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> [M; Transport::ALL.len()] {
    let family: Family<[(&'static str, &'static str); 1], M> = Family::default();
    registry.register(name, help, family.clone());
    Transport::ALL.map(|transport| match transport {
        Transport::Udp => M::default(),
        _ => family.get_or_create_owned(&[("transport", transport.as_str())]),
    })
}

#[cfg(test)]
mod tests;

//! What dnsd counts. Every label value comes from an enum, so all series exist from the start and a packet only adds.

use crate::wire::{Rcode, Silent, Transport, kind};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Labelled<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;

/// The counters, found by number.
#[derive(Debug)]
pub struct Metrics {
    queries: [[Counter; QueryKind::ALL.len()]; Transport::ALL.len()],
    replies: [Counter; Rcode::ALL.len()],
    dropped: [Counter; Dropped::ALL.len()],
    /// Answers that did not fit.
    pub truncated: Counter,
    /// Open TCP connections.
    pub connections: Gauge,
    /// TCP connections accepted.
    pub accepted: Counter,
    /// Zones served.
    pub zones: Gauge,
}

/// Types that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryKind {
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
    /// Too many TCP connections.
    Connections,
    /// A TCP client was idle, or slow, for too long.
    Idle,
}

impl Dropped {
    const ALL: [(Dropped, &'static str); 6] = [
        (Dropped::TooShort, "too_short"),
        (Dropped::Response, "response"),
        (Dropped::Busy, "busy"),
        (Dropped::SendFailed, "send_failed"),
        (Dropped::Connections, "connections"),
        (Dropped::Idle, "idle"),
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
        let queries: Labelled<2> = Family::default();
        let replies: Labelled<1> = Family::default();
        let dropped: Labelled<1> = Family::default();
        let metrics = Metrics {
            queries: Transport::ALL.map(|transport| {
                QueryKind::ALL.map(|(_, name)| {
                    queries.get_or_create_owned(&[("transport", transport.as_str()), ("type", name)])
                })
            }),
            replies: Rcode::ALL.map(|rcode| replies.get_or_create_owned(&[("rcode", rcode.as_str())])),
            dropped: Dropped::ALL.map(|(_, name)| dropped.get_or_create_owned(&[("reason", name)])),
            truncated: Counter::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            zones: Gauge::default(),
        };
        registry.register("queries", "Queries read, by transport and type", queries);
        registry.register("replies", "Answers made, by response code", replies);
        registry.register("dropped", "Queries, answers and connections dropped, by reason", dropped);
        registry.register(
            "truncated",
            "Answers that did not fit and told the client to use TCP",
            metrics.truncated.clone(),
        );
        registry.register("tcp_accepted", "TCP connections accepted", metrics.accepted.clone());
        registry.register("tcp_connections", "TCP connections open now", metrics.connections.clone());
        registry.register("zones", "Zones served", metrics.zones.clone());
        metrics
    }

    /// A query was read.
    pub fn query(&self, transport: Transport, number: u16) {
        self.queries[transport as usize][QueryKind::of(number) as usize].inc();
    }

    /// An answer was made.
    pub fn reply(&self, rcode: Rcode) {
        self.replies[rcode as usize].inc();
    }

    /// Something came to nothing.
    pub fn dropped(&self, reason: Dropped) {
        self.dropped[reason as usize].inc();
    }
}

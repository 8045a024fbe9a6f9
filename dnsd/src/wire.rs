//! DNS messages as bytes: a query in, an answer out. Own code because it is small and hot: of a query we need the header,
//! one question and OPT; answers repeat a few shapes. hickory-proto is the judge in our tests.

mod name;
mod parts;
mod query;
mod reply;
mod ttl;

pub(crate) use name::name_end;
pub use name::{HostText, WireName, push_name, suffixes, text, to_wire};
pub(crate) use parts::{OPT_LENGTH, fill_header, flag, pointer, push_opt, push_record};
pub use query::{Edns, Message, Question, Silent, Tsig, read, read_answer};
pub(crate) use query::{KEEPALIVE, read_opt};
pub(crate) use reply::limit;
pub use reply::{set_recursion_available, truncate, write};
pub use ttl::shortest_ttl;

use std::time::Duration;

/// How a query came; decides how long its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// Two bytes of length, then the message (RFC 1035 §4.2.2).
    Tcp,
    /// The same inside TLS (RFC 7858).
    Tls,
    /// In an HTTP message (RFC 8484).
    Https,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https];

    /// How long a connection may be idle, where DNS itself can say so (RFC 7828): UDP has none, and HTTP its own ways.
    pub fn idle(self) -> Option<Duration> {
        match self {
            Transport::Tcp => Some(IDLE),
            Transport::Tls => Some(IDLE_ENCRYPTED),
            Transport::Udp | Transport::Https => None,
        }
    }

    /// Metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
        }
    }
}

/// How long a client may be silent between queries: what NSD and Knot allow, about (RFC 7766 §6.2.3 asks for seconds).
pub const IDLE: Duration = Duration::from_secs(10);

/// The same where there was a handshake, which costs more than some idle seconds (RFC 7858 §3.4).
pub const IDLE_ENCRYPTED: Duration = Duration::from_secs(30);

/// Response codes we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// The name is there, with or without records of the type.
    NoError,
    /// The query could not be read.
    FormErr,
    /// It cannot be told.
    ServFail,
    /// The name is not there.
    NxDomain,
    /// Not opcode QUERY.
    NotImp,
    /// Not our zone, not our class, no transfer.
    Refused,
    /// No zone of ours to copy (RFC 5936 §2.2.1), or a signature that does not hold (RFC 8945 §5.2).
    NotAuth,
    /// EDNS version above 0 (RFC 6891 §6.1.3).
    BadVers,
    /// One that only forwarders say.
    Other,
}

impl Rcode {
    /// Every code.
    pub const ALL: [Rcode; 9] = [
        Rcode::NoError,
        Rcode::FormErr,
        Rcode::ServFail,
        Rcode::NxDomain,
        Rcode::NotImp,
        Rcode::Refused,
        Rcode::NotAuth,
        Rcode::BadVers,
        Rcode::Other,
    ];

    /// The one with this code.
    pub fn of(code: u16) -> Rcode {
        Rcode::ALL.into_iter().find(|rcode| rcode.code() == code).unwrap_or(Rcode::Other)
    }

    /// All twelve bits; the upper eight travel in OPT.
    pub fn code(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
            Rcode::NotAuth => 9,
            Rcode::BadVers => 16,
            // Nobody's (RFC 6895 §2.3): never written, as forwarders' codes pass as numbers.
            Rcode::Other => 15,
        }
    }

    /// Metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Rcode::NoError => "noerror",
            Rcode::FormErr => "formerr",
            Rcode::ServFail => "servfail",
            Rcode::NxDomain => "nxdomain",
            Rcode::NotImp => "notimp",
            Rcode::Refused => "refused",
            Rcode::NotAuth => "notauth",
            Rcode::BadVers => "badvers",
            Rcode::Other => "other",
        }
    }
}

/// Record types by number.
#[allow(missing_docs)]
pub mod kind {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const HTTPS: u16 = 65;
    /// Types from here to 255 ask for something else than records of a type (RFC 6895 §3.1).
    pub const FIRST_META: u16 = 128;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;

    /// Asks for a whole zone.
    pub fn is_transfer(kind: u16) -> bool {
        matches!(kind, AXFR | IXFR)
    }
}

/// Class IN.
pub const CLASS_IN: u16 = 1;

/// Length of a header (RFC 1035 §4.1.1), and so the place of the question name.
pub const HEADER: usize = 12;

/// What we say in OPT and never exceed on UDP: 1280 of IPv6 less its headers (DNS flag day 2020).
pub const UDP_LIMIT: usize = 1232;

/// Longest answer to a UDP query without EDNS (RFC 1035 §4.2.1), and the least a client can ask for with it.
pub const UDP_LIMIT_PLAIN: usize = 512;

/// Longest message there is: the length is 16 bits.
pub const TCP_LIMIT: usize = 65535;

/// Records of one name and type, ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSet {
    /// Type number.
    pub kind: u16,
    /// The same for all of them (RFC 2181 §5.2).
    pub ttl: u32,
    /// RDATA, uncompressed; never empty.
    pub data: Vec<Box<[u8]>>,
}

#[cfg(test)]
mod tests;

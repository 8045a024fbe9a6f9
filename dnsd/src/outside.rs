//! Which names outside our zones may be asked of forwarders. Most; the rest is answered here, as RFC 6761 and its kin want.
//!
//! Not kept in, on purpose: `local`, `test`, `home.arpa` and the reverse zones of private networks (RFC 6762, 6761, 8375, 6303). Sites
//! call other clusters so, and their own resolver, which is the usual forwarder, knows them.

use crate::wire::{RrSet, kind, suffixes};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

/// What becomes of a question about somebody else's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// A forwarder is asked.
    Forwarded,
    /// REFUSED: no forwarder is to be asked for this type.
    Refused,
    /// NXDOMAIN, from here.
    Absent,
    /// NODATA, from here.
    NoData,
    /// These records, from here.
    Here(&'static RrSet),
}

/// Types 128 to 255 are questions about something else than records, such as transfers and ANY (RFC 6895 §3.1); OPT is none at all.
const META: std::ops::RangeInclusive<u16> = 128..=255;

/// Loopback addresses never change; the TTL is a guess.
const LOCALHOST_TTL: u32 = 3600;

static LOCALHOST: LazyLock<[RrSet; 2]> = LazyLock::new(|| {
    let set = |kind, data: Box<[u8]>| RrSet { kind, ttl: LOCALHOST_TTL, data: vec![data] };
    [set(kind::A, Ipv4Addr::LOCALHOST.octets().into()), set(kind::AAAA, Ipv6Addr::LOCALHOST.octets().into())]
});

/// The name is in wire form and lower case, and in no zone of ours, or nobody there bears it.
pub fn of(name: &[u8], kind: u16) -> Outside {
    if META.contains(&kind) || matches!(kind, 0 | kind::OPT) {
        return Outside::Refused;
    }
    match top(name) {
        // RFC 6761 §6.3.
        b"localhost" => LOCALHOST.iter().find(|set| set.kind == kind).map_or(Outside::NoData, Outside::Here),
        // RFC 6761 §6.4, RFC 7686 §2.
        b"invalid" | b"onion" => Outside::Absent,
        // A short name that no search list completed; no host of the internet is called so. Servers and keys of a top level domain
        // are asked for by those that validate.
        top if name.len() == top.len() + 2 && wants_host(kind) => Outside::Absent,
        _ => Outside::Forwarded,
    }
}

fn wants_host(kind: u16) -> bool {
    matches!(kind, kind::A | kind::AAAA | kind::PTR | kind::MX | kind::SRV | kind::HTTPS)
}

/// The last label; empty for the root.
fn top(name: &[u8]) -> &[u8] {
    let last = suffixes(name).take_while(|rest| rest.len() > 1).last();
    last.map_or(&[], |rest| &rest[1..rest.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_wire;

    #[test]
    fn names_that_are_nobodys_stay_here() {
        let here = |at: usize| Outside::Here(&LOCALHOST[at]);
        let table = [
            ("www.example.com", kind::A, Outside::Forwarded),
            ("www.example.com", kind::TXT, Outside::Forwarded),
            ("example.com", 65399, Outside::Forwarded),
            ("other.local", kind::A, Outside::Forwarded),
            ("lab.test", kind::A, Outside::Forwarded),
            ("1.0.16.172.in-addr.arpa", kind::PTR, Outside::Forwarded),
            ("com", kind::DS, Outside::Forwarded),
            ("com", kind::NS, Outside::Forwarded),
            ("com", kind::SOA, Outside::Forwarded),
            ("com", kind::A, Outside::Absent),
            ("nid0001", kind::AAAA, Outside::Absent),
            ("www.invalid", kind::A, Outside::Absent),
            ("invalid", kind::NS, Outside::Absent),
            ("x.onion", kind::A, Outside::Absent),
            ("onion.example", kind::A, Outside::Forwarded),
            ("localhost", kind::A, here(0)),
            ("a.localhost", kind::AAAA, here(1)),
            ("localhost", kind::MX, Outside::NoData),
            ("localhost.example", kind::A, Outside::Forwarded),
            ("www.example.com", kind::ANY, Outside::Refused),
            ("www.example.com", kind::AXFR, Outside::Refused),
            ("www.example.com", kind::OPT, Outside::Refused),
            ("www.example.com", 0, Outside::Refused),
        ];
        for (name, kind, wanted) in table {
            assert_eq!(of(&to_wire(&name.parse().unwrap()), kind), wanted, "{name} {kind}");
        }
        assert_eq!(of(&[0], kind::NS), Outside::Forwarded, "the root is asked for by those that validate");
    }
}

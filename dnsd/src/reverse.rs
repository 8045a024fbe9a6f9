//! Names of addresses: `2.0.16.172.in-addr.arpa` (RFC 1035 §3.5), nibbles below `ip6.arpa` (RFC 3596 §2.5).

use crate::wire::suffixes;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

const V4: &[u8] = b"\x07in-addr\x04arpa\0";
const V6: &[u8] = b"\x03ip6\x04arpa\0";

/// What a reverse name speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reverse {
    /// One address.
    Address(IpAddr),
    /// All addresses that begin so: exists where one of them does (RFC 8020).
    Prefix(RangeInclusive<IpAddr>),
    /// No address is written so: an octet of 300 or 02, a nibble of g, something below a whole address.
    Nothing,
}

/// `None`: not below `in-addr.arpa` or `ip6.arpa`. The name is in wire form and lower case.
pub fn parse(name: &[u8]) -> Option<Reverse> {
    let (v4, top) = suffixes(name).find_map(|rest| match rest {
        V4 => Some((true, V4)),
        V6 => Some((false, V6)),
        _ => None,
    })?;
    let labels =
        suffixes(name).take_while(|rest| rest.len() > top.len()).map(|rest| &rest[1..=usize::from(rest[0])]);
    let parsed = if v4 { v4_range(labels) } else { v6_range(labels) };
    Some(match parsed {
        Some((first, last)) if first == last => Reverse::Address(first),
        Some((first, last)) => Reverse::Prefix(first..=last),
        None => Reverse::Nothing,
    })
}

/// Apex, in wire form, of the zone that is served for a known address which no configured zone covers: its /24 or /64.
pub fn zone_of(address: IpAddr) -> Box<[u8]> {
    let text = match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{c}.{b}.{a}")
        }
        IpAddr::V6(address) => {
            let [network @ .., _, _, _, _, _, _, _, _] = address.octets();
            network
                .iter()
                .rev()
                .map(|byte| format!("{:x}.{:x}", byte & 0xf, byte >> 4))
                .collect::<Vec<_>>()
                .join(".")
        }
    };
    let top = if address.is_ipv4() { V4 } else { V6 };
    let labels = text.split('.').flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()));
    labels.chain(top.iter().copied()).collect()
}

/// The name of an address, in wire form.
pub fn name_of(address: IpAddr) -> Box<[u8]> {
    let mut name = Vec::with_capacity(74);
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let text = octet.to_string();
                name.push(text.len() as u8);
                name.extend_from_slice(text.as_bytes());
            }
            name.extend_from_slice(V4);
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                for nibble in [octet & 0xf, octet >> 4] {
                    name.extend_from_slice(&[1, HEX[usize::from(nibble)]]);
                }
            }
            name.extend_from_slice(V6);
        }
    }
    name.into()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The labels come least significant first.
fn v4_range<'n>(labels: impl Iterator<Item = &'n [u8]>) -> Option<(IpAddr, IpAddr)> {
    let (mut first, mut count) = (0u32, 0);
    for label in labels {
        if count == 4 {
            return None;
        }
        first |= u32::from(octet(label)?) << (8 * count);
        count += 1;
    }
    // `count` octets are given; move them to the front.
    let free = 32 - 8 * count;
    let first = first.checked_shl(free).unwrap_or(0);
    let last = first | u32::MAX.checked_shr(32 - free).unwrap_or(0);
    Some((Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into()))
}

fn v6_range<'n>(labels: impl Iterator<Item = &'n [u8]>) -> Option<(IpAddr, IpAddr)> {
    let (mut first, mut count) = (0u128, 0);
    for label in labels {
        if count == 32 {
            return None;
        }
        first |= u128::from(nibble(label)?) << (4 * count);
        count += 1;
    }
    let free = 128 - 4 * count;
    let first = first.checked_shl(free).unwrap_or(0);
    let last = first | u128::MAX.checked_shr(128 - free).unwrap_or(0);
    Some((Ipv6Addr::from(first).into(), Ipv6Addr::from(last).into()))
}

fn octet(label: &[u8]) -> Option<u8> {
    if label.len() > 1 && label[0] == b'0' || !label.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(label).ok()?.parse().ok()
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [letter @ b'a'..=b'f'] => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_wire;

    fn parsed(name: &str) -> Option<Reverse> {
        parse(&to_wire(&name.parse().unwrap()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_reverse_name_is_an_address_a_prefix_or_nothing() {
        let prefix = |first, last| Some(Reverse::Prefix(ip(first)..=ip(last)));
        let table = [
            ("2.0.16.172.in-addr.arpa", Some(Reverse::Address(ip("172.16.0.2")))),
            ("0.0.0.0.in-addr.arpa", Some(Reverse::Address(ip("0.0.0.0")))),
            ("0.16.172.in-addr.arpa", prefix("172.16.0.0", "172.16.0.255")),
            ("172.in-addr.arpa", prefix("172.0.0.0", "172.255.255.255")),
            ("in-addr.arpa", prefix("0.0.0.0", "255.255.255.255")),
            ("ip6.arpa", prefix("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
            ("6.1.0.0.0.0.d.f.ip6.arpa", prefix("fd00:16::", "fd00:16:ffff:ffff:ffff:ffff:ffff:ffff")),
            (
                "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa",
                Some(Reverse::Address(ip("fd00:16::2"))),
            ),
            ("1.2.0.16.172.in-addr.arpa", Some(Reverse::Nothing)),
            ("300.0.16.172.in-addr.arpa", Some(Reverse::Nothing)),
            ("02.0.16.172.in-addr.arpa", Some(Reverse::Nothing)),
            ("a.0.16.172.in-addr.arpa", Some(Reverse::Nothing)),
            ("-1.0.16.172.in-addr.arpa", Some(Reverse::Nothing)),
            ("g.6.1.0.0.0.0.d.f.ip6.arpa", Some(Reverse::Nothing)),
            ("10.6.1.0.0.0.0.d.f.ip6.arpa", Some(Reverse::Nothing)),
            ("nid0001.cluster.local", None),
            ("xin-addr.arpa", None),
            ("in-addr.arpa.local", None),
        ];
        for (name, wanted) in table {
            assert_eq!(parsed(name), wanted, "{name}");
        }
    }

    #[test]
    fn the_name_of_an_address_reads_as_that_address() {
        for address in ["172.16.0.2", "0.0.0.0", "255.255.255.255", "fd00:16::2", "::"].map(ip) {
            assert_eq!(parse(&name_of(address)), Some(Reverse::Address(address)));
        }
    }

    #[test]
    fn known_addresses_bring_the_zone_of_their_24_or_64() {
        let wire = |name: &str| to_wire(&name.parse().unwrap());
        assert_eq!(zone_of(ip("172.16.4.1")), wire("4.16.172.in-addr.arpa"));
        assert_eq!(zone_of(ip("fd00:16:0:1::2")), wire("1.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa"));
    }
}

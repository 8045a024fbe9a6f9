//! The question that is made up.

use super::Asked;
use crate::wire::{CLASS_IN, HEADER, kind, to_wire};
use std::net::IpAddr;
use values::Name;

/// Types by their names.
const TYPES: [(&str, u16); 13] = [
    ("A", kind::A),
    ("AAAA", kind::AAAA),
    ("PTR", kind::PTR),
    ("SOA", kind::SOA),
    ("NS", kind::NS),
    ("CNAME", kind::CNAME),
    ("MX", kind::MX),
    ("TXT", kind::TXT),
    ("SRV", kind::SRV),
    ("DS", kind::DS),
    ("HTTPS", kind::HTTPS),
    ("ANY", kind::ANY),
    ("AXFR", kind::AXFR),
];

/// A question as it is asked, and as it stands in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Wire form, lower case.
    pub name: Box<[u8]>,
    /// QTYPE.
    pub kind: u16,
    /// Its name.
    pub kind_text: String,
}

impl Question {
    /// A name without a dot is taken for a host in `domain`.
    pub fn of(asked: &Asked, domain: Option<&Name>) -> Result<Question, String> {
        let text = asked.name.trim();
        let address = text.parse::<IpAddr>().ok();
        let name = match address {
            Some(address) => reverse_name(address).parse::<Name>(),
            None => text.parse::<Name>(),
        };
        let name = name.map_err(|bad| bad.to_string())?;
        let is_short = address.is_none() && !text.contains('.');
        let name = match domain.filter(|_| is_short) {
            Some(domain) => domain.below(name.as_str()).map_err(|bad| bad.to_string())?,
            None => name,
        };
        let default = if address.is_some() { "PTR" } else { "A" };
        let (kind_text, kind) = kind_of(asked.r#type.as_deref().unwrap_or(default))?;
        Ok(Question { name: to_wire(&name), kind, kind_text })
    }

    /// The packet, as `dig +noedns +noad` sends it over TCP.
    pub fn packet(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[2] = 1; // recursion desired
        bytes[5] = 1; // one question
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        bytes
    }
}

/// By name, or by number: 28, TYPE28 (RFC 3597 §5).
fn kind_of(text: &str) -> Result<(String, u16), String> {
    let upper = text.trim().to_ascii_uppercase();
    if let Some((name, kind)) = TYPES.iter().find(|(name, _)| *name == upper) {
        return Ok((name.to_string(), *kind));
    }
    match upper.strip_prefix("TYPE").unwrap_or(&upper).parse::<u16>() {
        Ok(number) => Ok((kind_text(number), number)),
        Err(_) => {
            let shown: String = text.chars().take(32).collect();
            Err(format!("'{shown}' is no type such as A, AAAA, PTR or TYPE65"))
        }
    }
}

/// The name of a type.
pub fn kind_text(number: u16) -> String {
    let known = TYPES.iter().find(|(_, kind)| *kind == number);
    known.map_or_else(|| format!("TYPE{number}"), |(name, _)| name.to_string())
}

/// RFC 1035 §3.5, RFC 3596 §2.5.
fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
            let nibbles: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            format!("{}.ip6.arpa", nibbles.join("."))
        }
    }
}

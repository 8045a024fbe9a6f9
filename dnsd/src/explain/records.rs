//! Records as a zone file has them, from what they are on the wire.

use super::question::kind_text;
use crate::{
    decide::{Answer, Reply},
    wire::{RrSet, kind},
};
use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The answer section.
pub fn answers(question: &[u8], reply: &Reply<'_>) -> Vec<String> {
    let mut owner = question;
    let mut lines = Vec::new();
    for alias in &reply.aliases {
        lines.push(line(owner, alias.ttl, kind::CNAME, &name(&alias.target)));
        owner = &alias.target;
    }
    match &reply.answer {
        Answer::Nothing => {}
        Answer::Set(set) => lines.extend(set_lines(owner, set.ttl, set)),
        Answer::Made(set) => lines.extend(set_lines(owner, set.ttl, set)),
    }
    lines
}

/// The authority section.
pub fn authority(reply: &Reply<'_>) -> Vec<String> {
    let section = reply.authority.iter();
    section.flat_map(|authority| set_lines(authority.owner, authority.ttl, authority.set)).collect()
}

/// Addresses of servers that the answer names, where they fit.
pub fn additional(reply: &Reply<'_>) -> Vec<String> {
    reply.additional.iter().flat_map(|(owner, set)| set_lines(owner, set.ttl, set)).collect()
}

fn set_lines(owner: &[u8], ttl: u32, set: &RrSet) -> Vec<String> {
    set.data.iter().map(|data| line_of(owner, ttl, set.kind, data)).collect()
}

/// A record as in a zone file.
pub fn line_of(owner: &[u8], ttl: u32, kind: u16, data: &[u8]) -> String {
    line(owner, ttl, kind, &rdata(kind, data))
}

fn line(owner: &[u8], ttl: u32, kind: u16, data: &str) -> String {
    format!("{} {ttl} {} {data}", name(owner), kind_text(kind))
}

/// A name with its final dot; what is no letter, digit, dash or underscore as `\DDD` (RFC 1035 §5.1).
pub fn name(wire: &[u8]) -> String {
    cut_name(wire).map_or_else(|| "?".to_owned(), |(name, _)| name)
}

/// The name, and what follows it.
fn cut_name(wire: &[u8]) -> Option<(String, &[u8])> {
    let mut text = String::new();
    let mut rest = wire;
    loop {
        let (length, after) = rest.split_first()?;
        let label = after.get(..usize::from(*length))?;
        rest = &after[label.len()..];
        if label.is_empty() {
            break;
        }
        for byte in label {
            match byte {
                b'-' | b'_' => text.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
                byte => _ = write!(text, "\\{byte:03}"),
            }
        }
        text.push('.');
    }
    Some((if text.is_empty() { ".".to_owned() } else { text }, rest))
}

/// RDATA of the types we serve; of others as RFC 3597 §5 writes them.
fn rdata(kind: u16, data: &[u8]) -> String {
    let known = match kind {
        kind::A => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        kind::AAAA => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        kind::CNAME | kind::PTR | kind::NS => Some(name(data)),
        kind::MX => numbers_and_name(1, data),
        kind::SRV => numbers_and_name(3, data),
        kind::TXT => Some(strings(data)),
        kind::SOA => soa(data),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\\# {} {hex}", data.len())
    })
}

fn numbers_and_name(count: usize, data: &[u8]) -> Option<String> {
    let (numbers, target) = data.split_at_checked(2 * count)?;
    let numbers = numbers.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]).to_string());
    Some(numbers.chain([name(target)]).collect::<Vec<_>>().join(" "))
}

fn strings(mut data: &[u8]) -> String {
    let mut all = Vec::new();
    while let [length, after @ ..] = data {
        let text = &after[..after.len().min(usize::from(*length))];
        all.push(format!("\"{}\"", text.escape_ascii()));
        data = &after[text.len()..];
    }
    all.join(" ")
}

fn soa(data: &[u8]) -> Option<String> {
    let (server, rest) = cut_name(data)?;
    let (mailbox, numbers) = cut_name(rest)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let numbers = numbers.iter().map(|number| u32::from_be_bytes(*number).to_string());
    Some([server, mailbox].into_iter().chain(numbers).collect::<Vec<_>>().join(" "))
}

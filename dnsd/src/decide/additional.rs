//! Addresses of the servers that an answer names: who asks for SRV, MX or NS asks for these next (RFC 1035 §3.3, RFC 2782).

use super::{Answer, Reply};
use crate::{
    wire::{RrSet, kind},
    zones::Zones,
};

/// Servers whose addresses are told. A guess: more do not fit on UDP.
const MAX_SERVERS: usize = 16;

/// With the addresses of servers in our zones, as far as they are held: nothing is looked up for it.
pub fn add<'a>(zones: &'a Zones, reply: Reply<'a>) -> Reply<'a> {
    let Answer::Set(set) = reply.answer else { return reply };
    let Some(skipped) = before_name(set.kind) else { return reply };
    let mut servers: Vec<&'a [u8]> = Vec::new();
    for server in set.data.iter().filter_map(|data| data.get(skipped..)) {
        if !servers.contains(&server) && servers.len() < MAX_SERVERS {
            servers.push(server);
        }
    }
    let additional = servers.into_iter().flat_map(|server| addresses(zones, server)).collect();
    Reply { additional, ..reply }
}

/// How many bytes of RDATA stand before the server's name.
fn before_name(kind: u16) -> Option<usize> {
    match kind {
        kind::NS => Some(0),
        kind::MX => Some(2),
        kind::SRV => Some(6),
        _ => None,
    }
}

fn addresses<'a>(zones: &Zones, server: &'a [u8]) -> Vec<(&'a [u8], RrSet)> {
    let sets = zones.ready.node(server).into_iter().flat_map(|node| node.sets());
    let addresses = sets.filter(|set| matches!(set.kind(), kind::A | kind::AAAA));
    let owned = |set: crate::ready::Set<'_>| RrSet {
        kind: set.kind(),
        ttl: set.ttl(),
        data: set.data().map(Box::from).collect(),
    };
    addresses.map(|set| (server, owned(set))).collect()
}

//! `dnsd.search`: a name of one label that is not ours is looked for in our zones, for clients without a search list.
//!
//! Only what is held is looked at ([`Zones::ready`]), however many domains there are: no look-up waits. So with
//! `inventory.replica: false`, when the inventory is not held, it finds static records only.

use super::{NEGATIVE_TTL, POSITIVE_TTL, Plan, Rcode, Reply, done, error, failure, follow};
use crate::{
    records::Alias,
    wire::{Message, kind, suffixes},
    zones::Zones,
};

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;

/// What is said of a name that is in no zone of ours; `None`: it is not found this way either.
pub fn look<'a>(
    zones: &'a Zones,
    message: &'a Message,
    name: &[u8],
    kind: u16,
    recursion: bool,
) -> Option<Plan<'a>> {
    // A label with its length, and the root: one byte each.
    let is_short = suffixes(name).count() == 2;
    // Resolvers ask the root for these to find out whose a name is.
    let of_delegations = matches!(kind, kind::NS | kind::SOA | kind::DS);
    if zones.search.is_empty() || !is_short || of_delegations {
        return None;
    }
    if !zones.loaded {
        return Some(error(Rcode::ServFail));
    }
    let label = &name[..name.len() - 1];
    let names = zones.search.iter().map(|domain| [label, domain].concat());
    let exists = |name: &Vec<u8>| name.len() <= MAX_NAME && zones.ready.node(name).is_some();
    let (place, target) = names.enumerate().find(|(_, name)| exists(name))?;
    let zone = zones.find(&target)?;
    // That the domains before it do not have the name holds as long as other negative answers.
    let ttl = if place == 0 { POSITIVE_TTL } else { NEGATIVE_TTL };
    let alias = message.searched.get_or_init(|| Alias { target: target.into(), ttl, searched: true });
    if matches!(kind, kind::CNAME | kind::ANY) {
        let aliases = vec![alias];
        return Some(done(Reply { aliases, ..failure(Rcode::NoError) }));
    }
    Some(follow(zones, zone, &alias.target, kind, recursion, vec![alias]))
}

//! What to answer. No I/O, clock, log or metric: a message, the zones, and what the inventory said about one key.
//!
//! ```text
//! message ─plan▶ reply
//!             └▶ key to ask the inventory for ─▶ held ─decide▶ reply
//! ```
//! Aliases stand in the configuration, so following them needs no look-up, and there is one key at most. A decision may also be
//! to ask a forwarder: for whom and which names is decided here, what comes of it is `forward`'s.

use crate::{
    access::Rights,
    contents,
    outside::{self, Outside},
    records::{Alias, Node},
    reverse::{self, Reverse},
    transfer,
    wire::{CLASS_IN, Message, Question, RrSet, kind, suffixes},
    zones::{NEGATIVE_TTL, Zone, Zones},
};
mod additional;
mod search;

use config::{Missing, Pointer};
use inventory::{Bearers, Holders, Lookup};
use std::{net::IpAddr, ops::RangeInclusive};

pub use crate::wire::{Rcode, Silent};

/// How long an address or a name of a machine holds.
pub const POSITIVE_TTL: u32 = 60;

/// Aliases followed for a client, which goes on from the last of them. A guess; BIND follows 16.
const MAX_ALIASES: usize = 8;

/// What is done about a query.
#[derive(Debug)]
pub enum Decision<'a> {
    /// This is the answer.
    Reply(Reply<'a>),
    /// A forwarder has it.
    Forward(Forward<'a>),
}

/// A question that is asked of a forwarder.
#[derive(Debug)]
pub struct Forward<'a> {
    /// CNAMEs of ours that lead from the client's question to it: the answer begins with them.
    pub aliases: Vec<&'a Alias>,
    /// Wire form, lower case.
    pub name: &'a [u8],
    /// QTYPE.
    pub kind: u16,
}

/// An answer, borrowed from zones and inventory.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Response code.
    pub rcode: Rcode,
    /// AA.
    pub authoritative: bool,
    /// CNAMEs that lead from the question to the answer.
    pub aliases: Vec<&'a Alias>,
    /// Owned by the question, or by the last alias's target.
    pub answer: Answer<'a>,
    /// SOA of a negative answer, NS of a delegation.
    pub authority: Option<Authority<'a>>,
    /// Addresses of a delegation's servers.
    pub glue: Vec<(&'a [u8], &'a RrSet)>,
    /// Addresses that the client would ask for next; left out where they do not fit (RFC 2181 §9).
    pub additional: Vec<(&'a [u8], RrSet)>,
}

/// The answer section, without aliases.
#[derive(Debug)]
pub enum Answer<'a> {
    /// Empty.
    Nothing,
    /// Records that are there already.
    Set(&'a RrSet),
    /// Records made of what the inventory said.
    Made(RrSet),
}

/// What stands in the authority section.
#[derive(Debug)]
pub struct Authority<'a> {
    /// Owner in wire form.
    pub owner: &'a [u8],
    /// The records.
    pub set: &'a RrSet,
    /// In place of the set's own: a SOA in a negative answer carries min(its TTL, MINIMUM) (RFC 2308 §3).
    pub ttl: u32,
}

/// What the inventory must be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    /// Who bears this name (wire form).
    Name(&'a [u8]),
    /// Who holds this address.
    Address(IpAddr),
    /// Whether an address begins so.
    Prefix(RangeInclusive<IpAddr>),
}

/// What the inventory said.
#[derive(Debug, Clone)]
pub enum Held {
    /// To a name.
    Bearers(Lookup<Bearers>),
    /// To an address.
    Holders(Lookup<Holders>),
    /// To a prefix; `None`: it cannot be told.
    Below(Option<bool>),
}

/// The first half of a decision.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Nothing more is needed.
    Done(Decision<'a>),
    /// This look-up is.
    Ask(Key<'a>, Pending<'a>),
}

/// What is known while the inventory is asked.
#[derive(Debug)]
pub struct Pending<'a> {
    place: Place<'a>,
    address: Option<IpAddr>,
}

/// Where aliases have led.
#[derive(Debug)]
struct Place<'a> {
    zone: &'a Zone,
    name: &'a [u8],
    kind: u16,
    aliases: Vec<&'a Alias>,
    /// Apex, or in the configuration: never NXDOMAIN.
    exists: bool,
    /// This client may have other names asked for.
    recursion: bool,
    /// Machines have TXT records.
    node_txt: bool,
    /// What addresses lead back to.
    pointer: Pointer,
}

/// Answers from the configuration alone, or says what to ask for.
pub fn plan<'a>(zones: &'a Zones, message: &'a Message, rights: Rights) -> Plan<'a> {
    let question = match question(message, rights) {
        Ok(question) => question,
        Err(rcode) => return error(rcode),
    };
    if let Some(asked) = transfer::asked(zones, message, question, rights) {
        return done(asked.in_one_message(question.kind));
    }
    let name = question.name.as_bytes();
    // Without RD nobody has answers of others fetched, nor sees which are remembered.
    let recursion = rights.recursion && message.recursion_desired();
    match zones.find(name) {
        Some(zone) => follow(zones, zone, name, question.kind, recursion, Vec::new()),
        None if let Some(plan) = search::look(zones, message, name, question.kind, recursion) => plan,
        None => Plan::Done(elsewhere(zones, Vec::new(), name, question.kind, recursion)),
    }
}

/// The question of a message that may be answered; else what it gets.
pub fn question<'a>(message: &'a Message, rights: Rights) -> Result<&'a Question<'a>, Rcode> {
    match (&message.question, message.edns) {
        _ if rights.denied => Err(Rcode::Refused),
        _ if message.opcode() != 0 => Err(Rcode::NotImp),
        _ if message.malformed => Err(Rcode::FormErr),
        (_, Some(edns)) if edns.version > 0 => Err(Rcode::BadVers),
        (Some(question), _) if question.class == CLASS_IN => Ok(question),
        _ => Err(Rcode::Refused),
    }
}

/// For a name that is in no zone of ours.
fn elsewhere<'a>(
    zones: &Zones,
    aliases: Vec<&'a Alias>,
    name: &'a [u8],
    kind: u16,
    recursion: bool,
) -> Decision<'a> {
    // Until the addresses are known, any reverse zone may turn out to be ours; without zones in the file, any name.
    let ours_perhaps = !zones.loaded && reverse::parse(name).is_some() || recursion && !zones.told;
    Decision::Reply(match (ours_perhaps, recursion) {
        (true, _) => failure(Rcode::ServFail),
        (_, true) => return leave(aliases, name, kind),
        // The client asks on.
        (_, false) if !aliases.is_empty() => {
            Reply { authoritative: is_ours(&aliases), aliases, ..failure(Rcode::NoError) }
        }
        (_, false) => failure(Rcode::Refused),
    })
}

/// Asks a forwarder, unless the name is none for them.
fn leave<'a>(aliases: Vec<&'a Alias>, name: &'a [u8], kind: u16) -> Decision<'a> {
    let (rcode, answer) = match outside::of(name, kind) {
        Outside::Forwarded => return Decision::Forward(Forward { aliases, name, kind }),
        // The alias is ours to tell, whatever becomes of where it leads.
        Outside::Refused if !aliases.is_empty() => (Rcode::NoError, Answer::Nothing),
        Outside::Refused => (Rcode::Refused, Answer::Nothing),
        Outside::Absent => (Rcode::NxDomain, Answer::Nothing),
        Outside::NoData => (Rcode::NoError, Answer::Nothing),
        Outside::Here(set) => (Rcode::NoError, Answer::Set(set)),
    };
    let authoritative = !aliases.is_empty() && is_ours(&aliases);
    Decision::Reply(Reply { authoritative, aliases, answer, ..failure(rcode) })
}

/// Combines what the configuration says with what the inventory holds.
pub fn decide<'a>(pending: Pending<'a>, held: Held) -> Decision<'a> {
    let Pending { place, address } = pending;
    Decision::Reply(match held {
        Held::Bearers(Lookup::Found(bearers, _)) => place.machine(&bearers),
        Held::Holders(Lookup::Found(holders, _)) => place.pointer(&holders, address),
        Held::Below(Some(true)) => place.no_data(),
        Held::Bearers(Lookup::Unknown) | Held::Holders(Lookup::Unknown) | Held::Below(Some(false)) => {
            return place.absent();
        }
        Held::Bearers(Lookup::Unavailable) | Held::Holders(Lookup::Unavailable) | Held::Below(None) => {
            failure(Rcode::ServFail)
        }
    })
}

/// Goes from the question along aliases to the last name in our zones.
fn follow<'a>(
    zones: &'a Zones,
    mut zone: &'a Zone,
    mut name: &'a [u8],
    kind: u16,
    recursion: bool,
    mut aliases: Vec<&'a Alias>,
) -> Plan<'a> {
    loop {
        if let Some((owner, set)) = zones.records.cut(&zone.apex, name)
            && !(kind == kind::DS && owner == name)
        {
            return done(delegation(zones, aliases, owner, set));
        }
        // A CNAME at an apex would hide SOA and NS (RFC 1034 §3.6.2): not followed.
        let followed = !matches!(kind, kind::CNAME | kind::ANY) && *name != *zone.apex;
        let alias = zones.records.node(name).filter(|_| followed).and_then(|node| node.alias.as_ref());
        let Some(alias) = alias else { break };
        // Round in a circle, or too far: as far as it was followed, as NSD and Knot do; resolvers count for themselves.
        if aliases.len() == MAX_ALIASES || aliases.iter().any(|seen| std::ptr::eq(*seen, alias)) {
            return done(Reply { authoritative: is_ours(&aliases), aliases, ..failure(Rcode::NoError) });
        }
        aliases.push(alias);
        name = &alias.target;
        zone = match zones.find(name) {
            Some(zone) => zone,
            None => return Plan::Done(elsewhere(zones, aliases, name, kind, recursion)),
        };
    }
    let node = zones.records.node(name);
    let at_apex = *name == *zone.apex;
    // DS of an apex stands in the zone above, where that is ours, too (RFC 4035 §3.1.4.1).
    let above = suffixes(name).nth(1).filter(|_| at_apex && kind == kind::DS);
    let zone = above.and_then(|above| zones.find(above)).unwrap_or(zone);
    let exists = at_apex || node.is_some();
    let (node_txt, pointer) = (zones.node_txt, zones.pointer);
    let place = Place { zone, name, kind, aliases, exists, recursion, node_txt, pointer };
    match place.plan(node, at_apex) {
        Plan::Done(Decision::Reply(reply)) => done(additional::add(zones, reply)),
        other => other,
    }
}

impl<'a> Place<'a> {
    fn plan(self, node: Option<&'a Node>, at_apex: bool) -> Plan<'a> {
        if let Some(set) = self.own(node, at_apex) {
            return done(self.found(Answer::Set(set)));
        }
        if at_apex && self.kind == kind::SOA {
            // There is one, but nobody has told its serial yet.
            return error(Rcode::ServFail);
        }
        let machines_have = match self.kind {
            kind::A | kind::AAAA | kind::PTR | kind::ANY => true,
            kind::TXT => self.node_txt,
            _ => false,
        };
        if self.exists && !machines_have {
            return done(self.no_data());
        }
        self.ask()
    }

    /// What the configuration says; a type that stands there replaces the inventory's. ANY: one set (RFC 8482 §4.1).
    fn own(&self, node: Option<&'a Node>, at_apex: bool) -> Option<&'a RrSet> {
        match self.kind {
            kind::SOA | kind::ANY if at_apex => self.zone.soa.as_ref(),
            kind::NS if at_apex => Some(&self.zone.ns),
            kind::ANY => node?.sets.first(),
            kind => node?.set(kind),
        }
    }

    fn ask(self) -> Plan<'a> {
        if !self.zone.reverse {
            return Plan::Ask(Key::Name(self.name), Pending { place: self, address: None });
        }
        match reverse::parse(self.name) {
            Some(Reverse::Address(address)) => {
                Plan::Ask(Key::Address(address), Pending { place: self, address: Some(address) })
            }
            Some(Reverse::Prefix(range)) => {
                Plan::Ask(Key::Prefix(range), Pending { place: self, address: None })
            }
            _ => Plan::Done(self.absent()),
        }
    }

    fn machine(self, bearers: &Bearers) -> Reply<'a> {
        match contents::of_name_and_kind(bearers, self.kind, self.node_txt) {
            Some(set) => self.found(Answer::Made(set)),
            None => self.no_data(),
        }
    }

    fn pointer(self, holders: &Holders, address: Option<IpAddr>) -> Reply<'a> {
        let asked = address.filter(|_| matches!(self.kind, kind::PTR | kind::ANY));
        match asked.and_then(|address| contents::of_address(holders, address, self.pointer)) {
            Some(set) => self.found(Answer::Made(set)),
            None => self.no_data(),
        }
    }

    fn found(self, answer: Answer<'a>) -> Reply<'a> {
        Reply {
            authoritative: is_ours(&self.aliases),
            aliases: self.aliases,
            answer,
            ..failure(Rcode::NoError)
        }
    }

    fn no_data(self) -> Reply<'a> {
        self.negative(Rcode::NoError)
    }

    /// Nobody bears it: then somebody else may, where the zone says so.
    fn absent(self) -> Decision<'a> {
        let rcode = match self.exists {
            true => Rcode::NoError,
            false if self.recursion && self.zone.missing == Missing::Forward => {
                return leave(self.aliases, self.name, self.kind);
            }
            false => Rcode::NxDomain,
        };
        Decision::Reply(self.negative(rcode))
    }

    /// With SOA, or nobody could remember it (RFC 2308 §5); without a serial there is none.
    fn negative(self, rcode: Rcode) -> Reply<'a> {
        let Some(set) = &self.zone.soa else { return failure(Rcode::ServFail) };
        let authority = Authority { owner: &self.zone.apex, set, ttl: set.ttl.min(NEGATIVE_TTL) };
        Reply {
            authoritative: is_ours(&self.aliases),
            aliases: self.aliases,
            authority: Some(authority),
            ..failure(rcode)
        }
    }
}

/// Somebody else answers for this name (RFC 1034 §4.3.2, step 3b).
fn delegation<'a>(zones: &'a Zones, aliases: Vec<&'a Alias>, owner: &'a [u8], set: &'a RrSet) -> Reply<'a> {
    let addresses = |server: &'a [u8]| {
        let node = zones.records.node(server);
        let sets = node.into_iter().flat_map(|node| &node.sets);
        sets.filter(|set| matches!(set.kind, kind::A | kind::AAAA)).map(move |set| (server, set))
    };
    Reply {
        authoritative: !aliases.is_empty() && is_ours(&aliases),
        aliases,
        authority: Some(Authority { owner, set, ttl: set.ttl }),
        glue: set.data.iter().flat_map(|server| addresses(server)).collect(),
        ..failure(Rcode::NoError)
    }
}

/// AA: the question is in a zone of ours, and not only what a search made of it.
fn is_ours(aliases: &[&Alias]) -> bool {
    aliases.first().is_none_or(|first| !first.searched)
}

/// An answer without records, and nothing to be remembered.
pub fn failure<'a>(rcode: Rcode) -> Reply<'a> {
    Reply {
        rcode,
        authoritative: false,
        aliases: Vec::new(),
        answer: Answer::Nothing,
        authority: None,
        glue: Vec::new(),
        additional: Vec::new(),
    }
}

/// Nothing but a code.
pub fn error<'a>(rcode: Rcode) -> Plan<'a> {
    done(failure(rcode))
}

fn done(reply: Reply<'_>) -> Plan<'_> {
    Plan::Done(Decision::Reply(reply))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod forwarding_tests;

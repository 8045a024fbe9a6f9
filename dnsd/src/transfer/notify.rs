//! Who is told that a zone has changed, when, and how often (NOTIFY, RFC 1996). Pure: bytes and the time in, bytes out.
//!
//! ```text
//!              changed                 due                    answered, or given up
//!   (nothing) ────────▶ Waiting until ─────▶ Asked, attempt 1 ────────────────────▶ Known
//!                           ▲                   │ no answer: asked again, twice as long    │
//!                           └───────────────────┴──────── changed meanwhile ◀──────────────┘
//! ```
//! One state a zone and secondary: whatever changes while it is being told is told together, afterwards. A secondary that misses
//! all of it asks by itself when the SOA's refresh time is over.

#[cfg(test)]
mod tests;

use super::{
    serials,
    tsig::{Key, Session},
};
use crate::{
    metrics::NotifyResult,
    wire::{self, CLASS_IN, RrSet, kind},
    zones::Zones,
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// A secondary hears of a zone at most so often: each time it may copy all of it. A guess: half of what a change may take to be
/// seen is left for it.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// How long the first answer is waited for; each further one twice as long. RFC 1996 §3.6 has a minute and five retries; after
/// these five, a minute is over as well.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 5;

/// Told to one secondary at the same time: thousands of reverse zones must not come as one burst. A guess.
const AT_ONCE: usize = 32;

/// NOTIFY.
const OPCODE: u16 = 4;
/// With AA (RFC 1996 §4.5).
const FLAGS: u16 = OPCODE << 11 | wire::flag::AUTHORITATIVE;

/// What every secondary knows.
#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<Whom, Entry>,
    /// What was asked and not answered, by secondary and id of the message.
    asked: HashMap<SocketAddr, HashMap<u16, Box<[u8]>>>,
}

/// A zone, and a secondary of it.
type Whom = (Box<[u8]>, SocketAddr);

#[derive(Debug)]
struct Entry {
    soa: RrSet,
    state: State,
    /// When it was last told anything.
    told_at: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    Asked {
        id: u16,
        attempt: u32,
        until: Instant,
        serial: u32,
        session: Option<Session>,
    },
    /// Or given up.
    Known,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Apex in wire form.
    pub zone: Box<[u8]>,
    /// The secondary.
    pub target: SocketAddr,
    /// That it was told of.
    pub serial: u32,
    /// What it said.
    pub result: NotifyResult,
    /// The code of its answer; 0 where there is none.
    pub rcode: u16,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Due {
    /// To be sent.
    pub messages: Vec<(SocketAddr, Vec<u8>)>,
    /// Nobody answered.
    pub given_up: Vec<Told>,
}

impl Book {
    /// Takes up what zones are like now, and who is to be told. Nothing is told of zones that are not complete.
    pub fn changed(&mut self, zones: &Zones, targets: &[SocketAddr], now: Instant) {
        if !zones.complete {
            return;
        }
        self.entries.retain(|(zone, target), _| zones.zone(zone).is_some() && targets.contains(target));
        for (target, zones) in &mut self.asked {
            zones.retain(|_, zone| self.entries.contains_key(&(zone.clone(), *target)));
        }
        self.asked.retain(|_, zones| !zones.is_empty());
        for zone in zones.iter() {
            let Some(soa) = zone.soa.as_ref().filter(|_| zone.settled) else { continue };
            for target in targets {
                let whom = (zone.apex.clone(), *target);
                let entry = self.entries.entry(whom).or_insert_with(|| Entry {
                    soa: soa.clone(),
                    state: State::Waiting { until: now },
                    told_at: None,
                });
                entry.change(soa, now);
            }
        }
    }

    /// What is to be sent now, signed with this key; `unix` in seconds.
    pub fn due(&mut self, now: Instant, unix: u64, key: Option<&Arc<Key>>) -> Due {
        let mut due = Due::default();
        for whom in self.ready(now) {
            self.step(whom, now, unix, key, &mut due);
        }
        due
    }

    /// Whose time has come, no more than there is room for.
    fn ready(&self, now: Instant) -> Vec<Whom> {
        let mut room: HashMap<SocketAddr, usize> = HashMap::new();
        let ready = self.entries.iter().filter(|((_, target), entry)| match entry.state {
            State::Asked { until, .. } => until <= now,
            State::Waiting { until } if until <= now => {
                let room = room.entry(*target).or_insert_with(|| self.room(target));
                *room = room.saturating_sub(1);
                *room > 0
            }
            _ => false,
        });
        ready.map(|(whom, _)| whom.clone()).collect()
    }

    /// How many more may be told to this secondary, and one.
    fn room(&self, target: &SocketAddr) -> usize {
        1 + AT_ONCE.saturating_sub(self.asked.get(target).map_or(0, HashMap::len))
    }

    /// The next attempt, the first one included, or the end of them.
    fn step(&mut self, whom: Whom, now: Instant, unix: u64, key: Option<&Arc<Key>>, due: &mut Due) {
        let (zone, target) = whom.clone();
        let Some(entry) = self.entries.get_mut(&whom) else { return };
        let asked = self.asked.entry(target).or_default();
        let attempt = match &entry.state {
            State::Waiting { .. } | State::Known => 1,
            State::Asked { id, attempt, serial, .. } => {
                asked.remove(id);
                if *attempt == ATTEMPTS {
                    let (serial, result) = (*serial, NotifyResult::Silent);
                    due.given_up.push(Told { zone, target, serial, result, rcode: 0 });
                    entry.settle(serial, now);
                    return;
                }
                attempt + 1
            }
        };
        let id = unused(|id| asked.contains_key(&id));
        let (mut message, mut session) = (message(id, &zone, &entry.soa), key.cloned().map(Session::begin));
        if let Some(session) = &mut session {
            session.sign(&mut message, unix);
        }
        let until = now + FIRST_WAIT * 2u32.pow(attempt - 1);
        entry.state = State::Asked { id, attempt, until, serial: serials::serial_of(&entry.soa), session };
        entry.told_at = Some(now);
        asked.insert(id, zone);
        due.messages.push((target, message));
    }

    /// Something came from `from`; `None`: no answer to anything that was asked.
    pub fn answered(&mut self, bytes: &[u8], from: SocketAddr, now: Instant, unix: u64) -> Option<Told> {
        let message = wire::read_answer(bytes).filter(|message| message.opcode() == OPCODE)?;
        let asked = self.asked.get_mut(&from)?;
        let whom = (asked.get(&message.id)?.clone(), from);
        let entry = self.entries.get_mut(&whom)?;
        let State::Asked { serial, session, .. } = &entry.state else { return None };
        let (serial, rcode) = (*serial, message.flags & 0xf);
        let signed = match (session, &message.tsig) {
            (None, _) => true,
            (Some(session), Some(tsig)) => session.is_answer(bytes, tsig, unix),
            (Some(_), None) => false,
        };
        let flawed = message.tsig.is_some_and(|tsig| tsig.error != 0);
        let result = match (signed, rcode) {
            (true, 0) => NotifyResult::Done,
            (true, _) => NotifyResult::Refused,
            // NSD and Knot do not sign what they say about zones they do not have. Who lies so keeps the word from a secondary,
            // which asks by itself a minute later.
            (false, 1..) if !flawed => NotifyResult::Refused,
            (false, _) => NotifyResult::BadSignature,
        };
        // The true answer may still come.
        if result != NotifyResult::BadSignature {
            entry.settle(serial, now);
            asked.remove(&message.id);
        }
        let (zone, target) = whom;
        Some(Told { zone, target, serial, result, rcode })
    }

    /// When something is to be done next, whatever comes; `None`: never.
    pub fn next(&self) -> Option<Instant> {
        // Those that wait for room are looked at when an answer makes some, or none comes.
        let mut full: HashMap<SocketAddr, bool> = HashMap::new();
        let untils = self.entries.iter().filter_map(|((_, target), entry)| match entry.state {
            State::Asked { until, .. } => Some(until),
            State::Waiting { until } => {
                let full = full.entry(*target).or_insert_with(|| self.room(target) == 1);
                (!*full).then_some(until)
            }
            State::Known => None,
        });
        untils.min()
    }
}

impl Entry {
    fn change(&mut self, soa: &RrSet, now: Instant) {
        let is_new = serials::serial_of(&self.soa) != serials::serial_of(soa);
        self.soa = soa.clone();
        if is_new && matches!(self.state, State::Known) {
            self.wait(now);
        }
    }

    /// It was told of this serial, or is not going to be.
    fn settle(&mut self, serial: u32, now: Instant) {
        match serial == serials::serial_of(&self.soa) {
            true => self.state = State::Known,
            false => self.wait(now),
        }
    }

    fn wait(&mut self, now: Instant) {
        let earliest = self.told_at.map_or(now, |told| told + INTERVAL);
        self.state = State::Waiting { until: earliest.max(now) };
    }
}

/// An id that nobody who answers blindly guesses (RFC 5452).
fn unused(is_used: impl Fn(u16) -> bool) -> u16 {
    std::iter::repeat_with(crate::forward::id).find(|id| !is_used(*id)).unwrap_or_default()
}

/// SOA as question, and as a hint which serial it is (RFC 1996 §3.7).
fn message(id: u16, apex: &[u8], soa: &RrSet) -> Vec<u8> {
    let mut message: Vec<u8> = [id, FLAGS, 1, 1, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
    message.extend_from_slice(apex);
    for word in [kind::SOA, CLASS_IN] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(&wire::pointer(wire::HEADER));
    wire::push_record(kind::SOA, soa.ttl, &soa.data[0], &mut message);
    message
}

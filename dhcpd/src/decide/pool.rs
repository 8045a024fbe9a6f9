//! Machines that the inventory does not know, where pools serve them; and what the pools mean for those it knows.

use super::{
    Address, Decision, Hold, Interface, Leases, Note, Outcome, Place, Pool, Question, Silent, Update, answer,
    answer::Answer, is_us_alone, server,
};
use crate::{
    config::Unknown,
    wire::{MessageType, OptionCode},
};
use inventory::Text;
use std::net::Ipv4Addr;
use values::Mac;

/// Longest name of itself that a client's lease remembers (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 255;

/// Leases, and what the configuration says of those who get them.
#[derive(Clone, Copy)]
pub(super) struct Pools<'a> {
    pub(super) unknown: &'a Unknown,
    pub(super) leases: &'a Leases,
}

impl<'a> Question<'a> {
    /// A machine that SMD was asked for and does not have. `None`: no pool is where it is, so it is nobody's guest.
    pub(super) fn guest(&self, pools: Pools<'a>, mac: Mac) -> Option<Decision> {
        match self.kind {
            MessageType::Discover => self.offer(pools, mac),
            MessageType::Request => self.request(pools, mac),
            MessageType::Inform => self.pool_here(pools.leases).map(|_| self.inform(pools, mac)),
            _ => Some(self.given_back(pools.leases, mac)),
        }
    }

    /// Whether SMD knows the machine cannot be told: what was promised holds, and nothing more is.
    pub(super) fn cannot_tell(&self, pools: Pools<'a>, mac: Mac) -> Option<Decision> {
        match self.kind {
            MessageType::Request => {
                let wanted = self.wanted()?;
                let leased = pools.leases.hold(mac, wanted) == Some(Hold::Leased);
                let runs = leased && pools.leases.is_open() && self.is_here(pools.leases, wanted);
                if !runs || (self.is_renewal() && pools.unknown.refuse_renewals) {
                    return None;
                }
                match pools.leases.is_anothers(mac, wanted) {
                    true => Some(self.refuse_guest(pools.leases, mac)),
                    false => Some(self.lend(pools, mac, wanted)),
                }
            }
            MessageType::Release | MessageType::Decline => Some(self.given_back(pools.leases, mac)),
            _ => None,
        }
    }

    fn offer(&self, pools: Pools<'a>, mac: Mac) -> Option<Decision> {
        // What it holds comes first, be it of a wider pool.
        let holds = |pool: &&Pool| pools.leases.holds(mac).any(|(address, _)| pool.covers(address));
        let (held, others): (Vec<&Pool>, Vec<&Pool>) = self.pools_here(pools.leases).partition(holds);
        let mut last = None;
        for pool in held.into_iter().chain(others) {
            last = Some(pool);
            if let Some(silent) = unable(pools.leases) {
                return Some(Decision::silent(silent));
            }
            if let Some(address) = pools.leases.choose(pool, mac, self.requested()) {
                return Some(self.serve(pools, mac, address, MessageType::Offer));
            }
        }
        let subnet = last?.subnet();
        let exhausted = || Decision::silent(Silent::PoolExhausted);
        let decision = self.without_address().unwrap_or_else(exhausted);
        Some(decision.with(Some(Note::PoolExhausted { subnet })))
    }

    fn request(&self, pools: Pools<'a>, mac: Mac) -> Option<Decision> {
        let leases = pools.leases;
        let names_us = server(self.message).is_some_and(|named| is_us_alone(named, self.config, self.ours));
        let here = |address: Ipv4Addr| self.is_here(leases, address);
        let wanted = match self.wanted() {
            Some(wanted) => wanted,
            // It does not say: what it holds here, which is what we would have offered.
            None => leases.holds(mac).map(|(address, _)| address).find(|address| here(*address))?,
        };
        let is_its = leases.hold(mac, wanted).is_some() && here(wanted) && !leases.is_anothers(mac, wanted);
        if is_its && !(self.is_renewal() && pools.unknown.refuse_renewals) {
            // What runs already is no new promise.
            let runs = leases.is_open() && leases.hold(mac, wanted) == Some(Hold::Leased);
            return Some(match unable(leases).filter(|_| !runs) {
                Some(silent) => Decision::silent(silent),
                None => self.lend(pools, mac, wanted),
            });
        }
        if !names_us && !leases.covers(wanted) {
            return None; // not ours to judge but by where it is
        }
        // Before the rows on disk are known, an address of ours may be this machine's.
        match leases.is_open() || !leases.covers(wanted) {
            true => Some(self.refuse_guest(leases, mac)),
            false => Some(Decision::silent(Silent::LeaseStore)),
        }
    }

    fn lend(&self, pools: Pools<'a>, mac: Mac, address: Ipv4Addr) -> Decision {
        self.serve(pools, mac, address, MessageType::Ack)
    }

    fn serve(&self, pools: Pools<'a>, mac: Mac, address: Ipv4Addr, kind: MessageType) -> Decision {
        let guest = guest(mac, Some(address));
        let entry = &guest.addresses[0];
        let answer = Answer {
            question: self,
            interface: &guest,
            given: Some((address, entry)),
            unknown: Some(pools.unknown),
        };
        let update = match kind {
            MessageType::Offer => Update::Offer { mac, address },
            _ => Update::Grant { mac, address, time: pools.unknown.lease_time, hostname: self.client_name() },
        };
        let decision = answer.grant(kind);
        let is_said = matches!(decision.outcome, Outcome::Reply(_));
        decision.and(is_said.then_some(update))
    }

    fn inform(&self, pools: Pools<'a>, mac: Mac) -> Decision {
        let guest = guest(mac, None);
        let answer = Answer { question: self, interface: &guest, given: None, unknown: Some(pools.unknown) };
        answer.grant(MessageType::Ack)
    }

    /// NAK; what it asked for, if it held that, is free again.
    fn refuse_guest(&self, leases: &Leases, mac: Mac) -> Decision {
        let held = self.wanted().filter(|wanted| leases.hold(mac, *wanted) == Some(Hold::Leased));
        let decision = answer::refuse(self);
        let is_said = matches!(decision.outcome, Outcome::Reply(_)); // else it goes on using it
        decision.and(held.filter(|_| is_said).map(|address| Update::Free { mac, address }))
    }

    /// RELEASE and DECLINE: only when they name us, from the machine that holds the address.
    pub(super) fn given_back(&self, leases: &Leases, mac: Mac) -> Decision {
        let (wanted, silent) = match self.kind {
            MessageType::Release => (Some(self.message.ciaddr), Silent::Release),
            _ => (self.requested(), Silent::Decline),
        };
        let names_us = server(self.message).is_some();
        let held = wanted.filter(|address| names_us && leases.hold(mac, *address).is_some());
        let Some(address) = held else { return Decision::silent(silent) };
        let (note, update) = match self.kind {
            MessageType::Release => (Note::Released { address }, Update::Free { mac, address }),
            _ => (Note::Conflict { address }, Update::SetAside { mac, address }),
        };
        Decision::silent(silent).with(Some(note)).and([update])
    }

    /// A known machine beside the pools: its address may be leased to somebody else still, and what it was lent before
    /// it was known is not its any more.
    pub(super) fn beside_pools(
        &self,
        leases: &Leases,
        mac: Mac,
        given: Option<Ipv4Addr>,
        decision: Decision,
    ) -> Decision {
        let Outcome::Reply(_) = decision.outcome else { return decision };
        if self.kind == MessageType::Inform {
            return decision;
        }
        if let Some((address, holder)) =
            given.and_then(|address| Some((address, leases.leased_to_another(mac, address)?)))
        {
            return Decision::silent(Silent::Leased).with(Some(Note::Leased { address, holder }));
        }
        let forget = leases.holds(mac).next().map(|_| Update::Forget(mac));
        let keep =
            given.filter(|address| leases.must_keep(*address)).map(|address| Update::Keep { mac, address });
        decision.and(forget).and(keep)
    }

    /// REQUEST of a client that has the address: to renew it, or to find any server that will.
    fn is_renewal(&self) -> bool {
        self.kind == MessageType::Request
            && server(self.message).is_none()
            && !self.message.ciaddr.is_unspecified()
    }

    /// The pools of the client's link, the longest prefix first.
    fn pools_here(&self, leases: &'a Leases) -> impl Iterator<Item = &'a Pool> {
        let place = Place::of_stranger(self);
        leases.pools().iter().filter(move |pool| place.has_pool(pool))
    }

    fn pool_here(&self, leases: &'a Leases) -> Option<&'a Pool> {
        self.pools_here(leases).next()
    }

    fn is_here(&self, leases: &'a Leases, address: Ipv4Addr) -> bool {
        self.pools_here(leases).any(|pool| pool.covers(address))
    }

    /// Option 12, as far as it can be printed.
    fn client_name(&self) -> String {
        let name = self.message.option(OptionCode::Hostname).unwrap_or_default();
        name.iter()
            .take(LONGEST_NAME)
            .filter(|byte| byte.is_ascii_graphic())
            .map(|byte| *byte as char)
            .collect()
    }
}

/// Why nothing may be promised at all.
fn unable(leases: &Leases) -> Option<Silent> {
    match (leases.is_open(), leases.is_complete()) {
        (false, _) => Some(Silent::LeaseStore),
        (true, false) => Some(Silent::Unavailable),
        (true, true) => None,
    }
}

/// A machine of which nothing is known, as a record of the inventory would be.
fn guest(mac: Mac, address: Option<Ipv4Addr>) -> Interface {
    let entry = |address: Ipv4Addr| Address {
        address: address.into(),
        network: Text::default(),
        hostname: Text::default(),
        domain: Text::default(),
        fqdn: Text::default(),
        names: [].into(),
        policy: inventory::Policy::default(),
    };
    Interface {
        mac,
        description: Text::default(),
        component_id: None,
        component: None,
        addresses: address.map(entry).into_iter().collect(),
        policy: inventory::Policy::default(),
        contested: false,
    }
}

//! What pools and leases have to do with a decision, as sentences.

use crate::{
    decide::{Decision, Note, Outcome},
    leases::{Count, Hold, Leases, Listed, Update},
    wire::MessageType,
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use values::Mac;

/// The pool that gives, or cannot; who else holds what it asks for; and what it still holds though it is known.
pub fn lent(
    leases: &Leases,
    mac: Mac,
    wanted: Option<Ipv4Addr>,
    decision: &Decision,
    now: Instant,
) -> Vec<String> {
    let given = decision.updates.iter().find_map(|update| match update {
        Update::Offer { address, .. } | Update::Grant { address, .. } => Some(*address),
        _ => None,
    });
    let mut text = Vec::new();
    if let Some(address) = given {
        text.extend(pool(leases, |count| of(leases, count, address)));
        text.push(before(leases, mac, address, now));
    }
    for note in &decision.notes {
        match note {
            Note::PoolExhausted { subnet } => text.extend(pool(leases, |count| count.subnet == *subnet)),
            Note::Leased { address, .. } => text.extend(holder(leases, mac, *address, now)),
            _ => {}
        }
    }
    let is_refused =
        matches!(&decision.outcome, Outcome::Reply(reply) if reply.message_type == MessageType::Nak);
    if let Some(wanted) = wanted.filter(|_| is_refused) {
        text.extend(why_not(leases, mac, wanted, now));
    }
    if decision.updates.contains(&Update::Forget(mac)) {
        text.extend(leases.holds(mac).filter_map(|(address, _)| leases.at(address, now)).map(left_over));
    }
    text
}

fn of(leases: &Leases, count: &Count, address: Ipv4Addr) -> bool {
    leases.pools().iter().any(|pool| pool.subnet() == count.subnet && pool.covers(address))
}

/// How full it is.
fn pool(leases: &Leases, is_it: impl Fn(&Count) -> bool) -> Option<String> {
    let count = leases.counts().into_iter().find(is_it)?;
    let Count { subnet, size, offered, leased, set_aside, taken } = count;
    let free = size.saturating_sub(offered + leased + set_aside + taken);
    Some(format!(
        "The pool of {subnet} (`dhcpd.v4.unknown`) has {size} addresses: {free} free, {offered} offered, {leased} leased, {set_aside} set aside, {taken} of SMD or of servers."
    ))
}

/// Why this one of the pool's.
fn before(leases: &Leases, mac: Mac, address: Ipv4Addr, now: Instant) -> String {
    match leases.at(address, now) {
        Some(one) if leases.hold(mac, address) == Some(Hold::Leased) => {
            format!("It leases {address}{}.", still(one.left))
        }
        Some(_) if leases.hold(mac, address).is_some() => format!("{address} is offered to it already."),
        Some(one) if one.mac == mac => format!("It had {address} last."),
        Some(one) => format!("{address} was of {} and is free.", one.mac),
        None => format!("Nobody had {address} yet."),
    }
}

/// Who has an address that is somebody else's in the inventory.
fn holder(leases: &Leases, mac: Mac, address: Ipv4Addr, now: Instant) -> Option<String> {
    let one = leases.at(address, now).filter(|one| one.mac != mac)?;
    Some(format!("{address} is leased to {}{}.", one.mac, still(one.left)))
}

fn why_not(leases: &Leases, mac: Mac, wanted: Ipv4Addr, now: Instant) -> Option<String> {
    let of_another = leases.at(wanted, now).filter(|one| one.mac != mac && one.left.is_some());
    Some(match of_another {
        _ if !leases.covers(wanted) => return None,
        Some(one) => in_use(&one),
        None if leases.is_anothers(mac, wanted) => {
            format!("{wanted} is of SMD or of a server, and not its.")
        }
        None if leases.hold(mac, wanted).is_some() => {
            format!("It has {wanted} from a pool, but not for here or not any longer.")
        }
        None => format!("{wanted} is of a pool, and not lent to it."),
    })
}

fn in_use(one: &Listed) -> String {
    let Listed { address, mac, .. } = one;
    let still = still(one.left);
    match one.state {
        "set_aside" => format!("{address} is set aside{still}: {mac} says that somebody else uses it."),
        "kept" => format!("{address} is of {mac} in SMD."),
        state => format!("{address} is {state} to {mac}{still}."),
    }
}

/// Of a machine that became known.
fn left_over(one: Listed) -> String {
    format!(
        "SMD knows it now: what it leases of a pool, {}{}, ends with its next DISCOVER or REQUEST.",
        one.address,
        still(one.left)
    )
}

fn still(left: Option<Duration>) -> String {
    left.map(|left| format!(" for another {} s", left.as_secs())).unwrap_or_default()
}

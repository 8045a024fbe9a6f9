//! What to say of a key that is not held: what comes near it.

use super::{Key, Scene};
use crate::{
    naming::is_reverse,
    records::Reason,
    snapshot::{Bearer, Interface, Snapshot},
};
use std::net::IpAddr;
use values::{Mac, Name, Xname};

/// Near misses of each kind. A guess: more is no hint any more.
const MAX_HINTS: usize = 5;

/// MACs this far away are looked at: a machine's ports are mostly numbered in a row.
const PORTS: u64 = 3;

/// Hints, a sentence each.
pub fn hints(scene: &Scene<'_>) -> Vec<String> {
    let Some(snapshot) = scene.snapshot else { return Vec::new() };
    match scene.key {
        Key::Mac(mac) => [other_ports(snapshot, *mac), refused_like(scene, *mac)].concat(),
        Key::Address(address) => neighbours(snapshot, *address),
        Key::Name(name) => names_like(scene, snapshot, name),
        Key::Id(id) => relatives(snapshot, id),
    }
}

fn other_ports(snapshot: &Snapshot, mac: Mac) -> Vec<String> {
    let number = mac.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let near = number.saturating_sub(PORTS)..=number + PORTS;
    let macs = near.filter(|other| *other != number).map(|other| {
        let [_, _, bytes @ ..] = other.to_be_bytes();
        Mac(bytes)
    });
    let found = macs.filter_map(|mac| snapshot.interface(mac));
    let sentence = |interface: &std::sync::Arc<Interface>| {
        format!("SMD has {} ({}): is {mac} another port of it?", interface.mac, owner(interface))
    };
    found.take(MAX_HINTS).map(sentence).collect()
}

/// Records with a MAC that is none, but begins as this one does.
fn refused_like(scene: &Scene<'_>, mac: Mac) -> Vec<String> {
    let text = mac.to_string();
    let (colons, bare) = (&text[..14], &mac.bare()[..10]);
    let bad = scene.view.problems.iter().filter(|problem| problem.reason == Reason::BadMac);
    let alike = bad.filter(|problem| {
        let message = problem.message.to_ascii_lowercase();
        message.contains(colons) || message.contains(bare)
    });
    alike
        .take(MAX_HINTS)
        .map(|problem| format!("A record was refused that looks like it: {}.", problem.message))
        .collect()
}

/// Who is in the same /24 or /64 says whether the address is a slip of the pen or a network nobody entered.
fn neighbours(snapshot: &Snapshot, address: IpAddr) -> Vec<String> {
    let network = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits() >> 8),
        IpAddr::V6(address) => address.to_bits() >> 64,
    };
    let all = snapshot.interfaces().flat_map(|interface| &interface.addresses).map(|held| held.address);
    let is_near = |held: &IpAddr| held.is_ipv4() == address.is_ipv4() && network(*held) == network(address);
    let near = all.filter(is_near).count();
    let (kind, things) = match address {
        IpAddr::V4(_) => ("/24", "address"),
        IpAddr::V6(_) => ("/64", "address"),
    };
    vec![match near {
        0 => format!("SMD has no address at all in its {kind}."),
        1 => format!("SMD has one {things} in its {kind}."),
        many => format!("SMD has {many} {things}es in its {kind}."),
    }]
}

fn names_like(scene: &Scene<'_>, snapshot: &Snapshot, name: &Name) -> Vec<String> {
    let mut hints = Vec::new();
    let zones = || scene.naming.zones().iter().map(|zone| &zone.name);
    if !zones().any(|zone| name.is_in(zone)) {
        let listed: Vec<&str> = zones().map(Name::as_str).take(MAX_HINTS).collect();
        hints.push(match listed.is_empty() {
            true => format!("{name} is in no zone of ours: there is neither `domain` nor `zones`."),
            false => format!("{name} is in no zone of ours; those are {}.", listed.join(", ")),
        });
    }
    let label = name.as_str().split('.').next().unwrap_or_default();
    let elsewhere = zones().filter(|zone| !is_reverse(zone)).filter_map(|zone| zone.below(label).ok());
    let borne = elsewhere.filter(|other| other != name).filter_map(|other| match snapshot.by_name(&other) {
        Bearer::Component(component, _) => Some(format!("{other} exists: it is {}.", component.id)),
        Bearer::Nobody | Bearer::Parent => None,
    });
    hints.extend(borne.take(MAX_HINTS));
    let id = label.strip_prefix('x').and_then(|_| label.parse::<Xname>().ok());
    hints.extend(
        id.filter(|id| snapshot.component(id).is_none()).map(|id| format!("SMD has no component {id}.")),
    );
    hints
}

/// Interfaces that name it, what it is part of, and what is part of it.
fn relatives(snapshot: &Snapshot, id: &Xname) -> Vec<String> {
    let named = snapshot.interfaces().filter(|interface| interface.component_id.as_ref() == Some(id));
    let mut hints: Vec<String> = named
        .take(MAX_HINTS)
        .map(|interface| format!("Interface {} of SMD belongs to it all the same.", interface.mac))
        .collect();
    if let Some(parent) = id.parent().and_then(|parent| snapshot.component(&parent)) {
        hints.push(format!("SMD has {} ({}), which it would be part of.", parent.id, parent.kind));
    }
    let below = snapshot.components().filter(|component| is_below(&component.id, id));
    let below: Vec<&str> = below.map(|component| component.id.as_str()).take(MAX_HINTS).collect();
    if !below.is_empty() {
        hints.push(format!("SMD has {}, which would be part of it.", below.join(", ")));
    }
    hints
}

fn is_below(id: &Xname, whole: &Xname) -> bool {
    let rest = id.as_str().strip_prefix(whole.as_str());
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic()))
}

fn owner(interface: &Interface) -> String {
    interface.component_id.as_ref().map_or_else(|| "tied to no component".to_owned(), Xname::to_string)
}

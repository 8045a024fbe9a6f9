//! Whose MAC and whose address it is.
//!
//! A key claimed by two components stays with the one that holds it; without a holder it goes to the older `LastUpdate`, then
//! to the lower xname. A component that SMD does not have, or an interface tied to none, yields to one that exists.

use super::{Address, Interface, Snapshot};
use crate::records::{AddressRecord, InterfaceRecord, Problem, Reason};
use jiff::Timestamp;
use std::{collections::HashSet, fmt, net::IpAddr, sync::Arc};
use values::{Mac, Xname};

/// How many claimants a sentence names. A guess: enough to see what kind of mistake it is.
pub const MAX_NAMED: usize = 3;

/// An interface whose MAC is settled.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    pub mac: Mac,
    /// As SMD has it, existing or not.
    pub component_id: Option<&'a Xname>,
    /// Position of the component, where it exists.
    pub owner: Option<u32>,
    /// SMD's type by the form of the xname.
    pub kind: &'a str,
    pub description: Arc<str>,
    pub last_update: Option<Timestamp>,
    pub addresses: Vec<Held<'a>>,
    pub contested: bool,
}

/// An address of a draft.
#[derive(Debug, Clone)]
pub struct Held<'a> {
    pub address: IpAddr,
    pub network: &'a Arc<str>,
    /// Of the row it stands in.
    last_update: Option<Timestamp>,
}

impl<'a> Draft<'a> {
    /// Who claims its addresses.
    pub fn claimant(&self) -> Claimant<'a> {
        Claimant::new(self.component_id, self.mac)
    }

    fn age_of(&self, address: IpAddr) -> Age {
        age(self.addresses.iter().find(|held| held.address == address).and_then(|held| held.last_update))
    }

    /// An interface of which nothing changed that matters here. Its component exists.
    pub fn as_it_was(interface: &'a Interface) -> Draft<'a> {
        let held =
            |held: &'a Address| Held { address: held.address, network: &held.network, last_update: None };
        Draft {
            mac: interface.mac,
            component_id: interface.component_id.as_ref(),
            owner: None,
            kind: "",
            description: interface.description.clone(),
            last_update: interface.last_update,
            addresses: interface.addresses.iter().map(held).collect(),
            contested: interface.contested,
        }
    }
}

/// Who claims a MAC or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claimant<'a> {
    /// All its interfaces together.
    Component(&'a Xname),
    /// An interface tied to no component claims for itself.
    Interface(Mac),
}

impl<'a> Claimant<'a> {
    pub fn new(component_id: Option<&'a Xname>, mac: Mac) -> Claimant<'a> {
        component_id.map_or(Claimant::Interface(mac), Claimant::Component)
    }
}

impl fmt::Display for Claimant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claimant::Component(id) => write!(f, "{id}"),
            Claimant::Interface(mac) => write!(f, "{mac}, which has no component"),
        }
    }
}

/// The least wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    missing: bool,
    not_holder: bool,
    age: Age,
    claimant: Claimant<'a>,
}

/// The older the less; what has no time is the youngest.
type Age = (bool, Option<Timestamp>);

fn age(last_update: Option<Timestamp>) -> Age {
    (last_update.is_none(), last_update)
}

/// Interfaces whose MACs are settled.
#[derive(Debug, Default)]
pub struct Settled<'a> {
    /// One for each MAC, in order.
    pub drafts: Vec<Draft<'a>>,
    /// The components that a MAC's rows name beside the one that has it, perhaps repeated.
    pub others: Vec<(Mac, &'a Xname)>,
}

/// Takes a MAC that several claim from all but one. `position` of a component, where it exists.
pub fn settle_macs<'a>(
    mut rows: Vec<&'a InterfaceRecord>,
    position: impl Fn(&Xname) -> Option<u32>,
    previous: Option<&Snapshot>,
    problems: &mut Vec<Problem>,
) -> Settled<'a> {
    rows.sort_by_key(|row| (row.mac, row.component_id.is_none(), age(row.last_update), &row.id));
    let mut settled = Settled::default();
    for rows in rows.chunk_by(|a, b| a.mac == b.mac) {
        let draft = settle_mac(rows, &position, previous, problems);
        let named = rows.iter().filter_map(|row| row.component_id.as_ref());
        let others = named.filter(|id| Some(*id) != draft.component_id);
        settled.others.extend(others.map(|id| (draft.mac, id)));
        settled.drafts.push(draft);
    }
    settled
}

fn settle_mac<'a>(
    rows: &[&'a InterfaceRecord],
    position: &impl Fn(&Xname) -> Option<u32>,
    previous: Option<&Snapshot>,
    problems: &mut Vec<Problem>,
) -> Draft<'a> {
    let mac = rows[0].mac;
    if let [row] = rows {
        return alone(row, position);
    }
    let holder = || previous?.holder_of_mac(mac);
    let claims = rows.iter().filter_map(|row| {
        let id = row.component_id.as_ref()?;
        let not_holder = holder() != Some(id);
        let claimant = Claimant::Component(id);
        Some(Claim { missing: position(id).is_none(), not_holder, age: age(row.last_update), claimant })
    });
    let (winner, rivals) = settle(claims.collect());
    if !rivals.is_empty() {
        problems.push(contested_mac(mac, winner, &rivals));
    }
    let component_id = match winner {
        Some(Claimant::Component(id)) => Some(id),
        _ => None,
    };
    // Rows of one MAC in two spellings, and those tied to nothing yet, are one interface.
    let own =
        || rows.iter().filter(|row| row.component_id.is_none() || row.component_id.as_ref() == component_id);
    let mut seen = HashSet::new();
    let mut addresses = Vec::new();
    for row in own() {
        let fresh = row.addresses.iter().filter(|record| seen.insert(record.address));
        addresses.extend(fresh.map(|record| Held {
            address: record.address,
            network: &record.network,
            last_update: row.last_update,
        }));
    }
    Draft {
        mac,
        component_id,
        owner: component_id.and_then(position),
        kind: own().next().map_or("", |row| &row.kind),
        description: own()
            .map(|row| &row.description)
            .find(|text| !text.is_empty())
            .unwrap_or(&rows[0].description)
            .clone(),
        last_update: own().filter_map(|row| row.last_update).max(),
        addresses,
        contested: !rivals.is_empty(),
    }
}

/// The usual case: one row, nothing to settle.
fn alone<'a>(row: &'a InterfaceRecord, position: &impl Fn(&Xname) -> Option<u32>) -> Draft<'a> {
    let held = |record: &'a AddressRecord| Held {
        address: record.address,
        network: &record.network,
        last_update: row.last_update,
    };
    Draft {
        mac: row.mac,
        component_id: row.component_id.as_ref(),
        owner: row.component_id.as_ref().and_then(position),
        kind: &row.kind,
        description: row.description.clone(),
        last_update: row.last_update,
        addresses: row.addresses.iter().map(held).collect(),
        contested: false,
    }
}

/// The winner, and everybody else; nobody twice.
fn settle<'a>(mut claims: Vec<Claim<'a>>) -> (Option<Claimant<'a>>, Vec<Claimant<'a>>) {
    claims.sort();
    let mut claimants = claims.into_iter().map(|claim| claim.claimant);
    let winner = claimants.next();
    let mut rivals: Vec<Claimant> = claimants.filter(|claimant| Some(*claimant) != winner).collect();
    rivals.sort();
    rivals.dedup();
    (winner, rivals)
}

fn contested_mac(mac: Mac, winner: Option<Claimant<'_>>, rivals: &[Claimant<'_>]) -> Problem {
    let winner = winner.expect("a rival is there only beside a winner");
    let message = format!(
        "MAC {mac} is claimed by {winner} and by {}: it stays with {winner}; correct the others in SMD",
        listed(rivals, rivals.len())
    );
    Problem::new(Reason::DuplicateMac, message).of_mac(mac).of_component(component_of(winner))
}

fn component_of(claimant: Claimant<'_>) -> Option<&Xname> {
    match claimant {
        Claimant::Component(id) => Some(id),
        Claimant::Interface(_) => None,
    }
}

/// Takes an address that several claim from all but one. What was taken from whom, in no order.
pub fn settle_addresses(
    drafts: &mut [Draft<'_>],
    previous: Option<&Snapshot>,
    problems: &mut Vec<Problem>,
) -> Vec<(Mac, IpAddr)> {
    let mut lost: HashSet<(Mac, IpAddr)> = HashSet::new();
    let mut contested: Vec<u32> = Vec::new();
    let entries = entries(drafts);
    for same in entries.chunk_by(|a, b| a.address == b.address).filter(|same| same.len() > 1) {
        let claimants: Vec<&Draft> = same.iter().map(|entry| &drafts[entry.draft as usize]).collect();
        let Some((winner, problem)) = contest(same[0].address, &claimants, previous) else { continue };
        problems.push(problem);
        contested.extend(same.iter().map(|entry| entry.draft));
        let losers = claimants.iter().filter(|draft| draft.claimant() != winner);
        lost.extend(losers.map(|draft| (draft.mac, same[0].address)));
    }
    contested.sort_unstable();
    contested.dedup();
    for position in contested {
        let draft = &mut drafts[position as usize];
        draft.contested = true;
        draft.addresses.retain(|held| !lost.contains(&(draft.mac, held.address)));
    }
    lost.into_iter().collect()
}

/// Where an address stands.
struct Entry {
    address: IpAddr,
    draft: u32,
}

fn entries(drafts: &[Draft<'_>]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(drafts.len());
    for (held, draft) in drafts.iter().map(|draft| &draft.addresses).zip(0..) {
        entries.extend(held.iter().map(|held| Entry { address: held.address, draft }));
    }
    entries.sort_unstable_by_key(|entry| (entry.address, entry.draft));
    entries
}

/// Who gets an address that all of these claim; `None`: they are one claimant.
pub fn contest<'a>(
    address: IpAddr,
    claimants: &[&Draft<'a>],
    previous: Option<&Snapshot>,
) -> Option<(Claimant<'a>, Problem)> {
    let holder = previous.and_then(|previous| previous.holder_of_address(address));
    let claim = |draft: &&Draft<'a>| Claim {
        missing: draft.owner.is_none(),
        not_holder: holder.is_none_or(|holder| holder != draft.claimant()),
        age: draft.age_of(address),
        claimant: draft.claimant(),
    };
    let (winner, rivals) = settle(claimants.iter().map(claim).collect());
    let winner = winner.filter(|_| !rivals.is_empty())?;
    Some((winner, contested_address(address, winner, &rivals)))
}

fn contested_address(address: IpAddr, winner: Claimant<'_>, rivals: &[Claimant<'_>]) -> Problem {
    let message = format!(
        "address {address} is claimed by {winner} and by {}: it stays with {winner}; correct the others in SMD",
        listed(rivals, rivals.len())
    );
    Problem::new(Reason::DuplicateAddress, message).of_address(address).of_component(component_of(winner))
}

/// The first few of so many, and how many more.
pub fn listed(first: &[impl fmt::Display], count: usize) -> String {
    let mut text: Vec<String> = first.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if count > MAX_NAMED {
        text.push(format!("{} more", count - MAX_NAMED));
    }
    text.join(", ")
}

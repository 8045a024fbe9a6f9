//! A snapshot from the one before and what changed since, at the cost of what changed.
//!
//! ```text
//!   touched ▶ interfaces that may differ ▶ addresses they claim or claimed ▶ who gets or loses one of those
//!           ▶ components that may differ ▶ names they ask or asked for     ▶ who gets or loses one of those
//!           ▶ those few put together by the same code as in a whole build  ▶ edits of lists and indices
//! ```
//! It ends there because who gets an address or a name never changes who asks for which. The outcome is that of a whole
//! build, problems included.

mod addresses;
mod edits;
mod names;
#[cfg(test)]
mod tests;

use super::Snapshot;
use crate::{
    naming::Naming,
    records::{Problem, Reason, Records},
};
use addresses::Interfaces;
use edits::Edits;
use jiff::Timestamp;
use names::Components;
use std::collections::BTreeSet;
use values::{Mac, Xname};

/// So many interfaces or components that may differ, or that claim one address, are too many: a whole build costs little
/// more then. Measured at 100,000 interfaces: 1 % of them touched cost a tenth of it.
const MAX_PATCHED: usize = 8_192;

/// What was put, replaced or removed in the records since a snapshot was built from them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Of rows of interfaces.
    pub macs: BTreeSet<Mac>,
    /// Of components.
    pub ids: BTreeSet<Xname>,
}

/// The snapshot and the problems that [`super::build()`] would give with this previous one, which was built by the same
/// naming from records that differed in what is touched. `problems`: those of the previous one. `None`: too much changed,
/// or the previous one is only what is left from before a restart.
pub fn patch(
    records: &Records,
    naming: &Naming,
    previous: &Snapshot,
    problems: &[Problem],
    touched: &Touched,
    now: Timestamp,
) -> Option<(Snapshot, Vec<Problem>)> {
    let is_too_much = touched.macs.len() + touched.ids.len() > MAX_PATCHED;
    if previous.generation == 0 || previous.holders.is_some() || is_too_much {
        return None;
    }
    let mut found = Vec::new();
    let interfaces = Interfaces::settle(records, previous, touched, &mut found)?;
    let ids = interfaces.owners(records, previous, touched);
    let components = Components::settle(records, naming, previous, &interfaces, ids, &mut found)?;
    let stays = |problem: &&Problem| match problem.reason {
        Reason::NoComponent | Reason::DuplicateMac => {
            problem.mac.is_none_or(|mac| !interfaces.touched.contains(&mac))
        }
        Reason::DuplicateAddress => {
            problem.address.is_none_or(|address| !interfaces.awarded.contains_key(&address))
        }
        Reason::DuplicateName => {
            problem.name.as_ref().is_none_or(|name| !components.outcomes.contains_key(name))
        }
        Reason::NoNid | Reason::NoNetwork | Reason::BadName => {
            problem.component_id.as_ref().is_none_or(|id| !components.ids.contains(id))
        }
        // What the records themselves say is taken from them.
        _ => false,
    };
    let mut all: Vec<Problem> = problems.iter().filter(stays).cloned().collect();
    all.append(&mut found);
    all.extend(records.problems().cloned());
    all.sort();
    all.dedup();
    let edits = Edits::new(naming, previous, &interfaces, components)?;
    Some((edits.applied(naming, previous, now), all))
}

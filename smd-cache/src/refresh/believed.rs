//! What the owner holds: records, the picture made of them, and what the bodies were that they came from.

use super::Failed;
use crate::{
    naming::Naming,
    records::{ComponentRecord, Decoded, Problem, Read, Records, decode_components, decode_interfaces},
    smd::{Body, Groups, ReadError, Source},
    snapshot::{self, Snapshot},
    state::Moment,
};
use jiff::Timestamp;
use std::{collections::HashSet, sync::Arc, time::Duration};
use values::Xname;

/// Whole reads with the same bodies after which nothing can change any more: the second one removes what was missing in
/// the first, the third shows that it was the last.
const SETTLED: u32 = 3;

/// An answer of SMD.
pub struct Fetched {
    pub moment: Moment,
    pub took: Duration,
    pub body: Body,
}

/// Everything of the owner's that is not I/O.
pub struct Believed {
    pub records: Records,
    pub naming: Naming,
    pub snapshot: Option<Arc<Snapshot>>,
    groups: Option<(u128, Groups)>,
    /// Hashes of the bodies of the last whole read that was believed.
    interfaces_hash: Option<u128>,
    components_hash: Option<u128>,
    /// Whole reads in a row that brought nothing new.
    repeats: u32,
}

impl Believed {
    pub fn new(naming: Naming) -> Believed {
        Believed {
            records: Records::new(),
            naming,
            snapshot: None,
            groups: None,
            interfaces_hash: None,
            components_hash: None,
            repeats: 0,
        }
    }

    /// Work on it was broken off: the next bodies are decoded whatever they are.
    pub fn doubt(&mut self) {
        self.interfaces_hash = None;
        self.components_hash = None;
        self.repeats = 0;
    }

    /// Other rules, for the next picture. Groups that were read stay: they may not be to be had again for a while.
    pub fn rename(&mut self, naming: Naming) {
        if self.naming != naming {
            self.naming = naming;
            self.repeats = 0;
        }
    }

    /// The last picture is still the right one.
    pub fn is_settled(&self) -> bool {
        self.repeats >= SETTLED && self.snapshot.is_some()
    }

    pub fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Takes a whole read in: all of it, or, when a body is of no use, nothing. Bodies equal to the last are not decoded.
    pub fn learn(
        &mut self,
        Fetched { moment: interfaces_at, body: interfaces, .. }: Fetched,
        Fetched { moment: components_at, body: components, .. }: Fetched,
        groups: Option<(u128, Groups)>,
    ) -> Result<(), Failed> {
        let bad = |source| move |error| Failed(source, ReadError::Malformed(error));
        let other_groups =
            groups.is_some() && groups.as_ref().map(|new| new.0) != self.groups.as_ref().map(|old| old.0);
        let same_components = self.components_hash == Some(components.hash) && !other_groups;
        let same_interfaces = self.interfaces_hash == Some(interfaces.hash);
        // What can fail comes first.
        let decode_components = || decode_components(&components.bytes).map_err(bad(Source::Components));
        let decode_interfaces = || decode_interfaces(&interfaces.bytes).map_err(bad(Source::Interfaces));
        let new_components = (!same_components).then(decode_components).transpose()?;
        let new_interfaces = (!same_interfaces).then(decode_interfaces).transpose()?;
        self.repeats = if same_interfaces && same_components { self.repeats + 1 } else { 0 };
        if other_groups {
            self.groups = groups;
        }

        let repeated = new_interfaces.is_none() && self.records.repeat_whole_interfaces(interfaces_at.read);
        if !repeated {
            let decoded = new_interfaces.map_or_else(decode_interfaces, Ok)?;
            self.records.apply_whole_interfaces(interfaces_at.read, decoded);
        }
        let repeated = new_components.is_none() && self.records.repeat_whole_components(components_at.read);
        if !repeated {
            let mut decoded = new_components.map_or_else(decode_components, Ok)?;
            self.add_groups(&mut decoded);
            self.records.apply_whole_components(components_at.read, decoded);
        }
        self.interfaces_hash = Some(interfaces.hash);
        self.components_hash = Some(components.hash);
        Ok(())
    }

    /// Takes in components that were asked for by name. SMD ignores filters it does not know: an answer that holds more is
    /// not an answer.
    pub fn learn_some(&mut self, read: Read, asked: &[Xname], body: &Body) -> Result<(), Failed> {
        let failed = |error| Failed(Source::Components, error);
        let mut decoded =
            decode_components(&body.bytes).map_err(|error| failed(ReadError::Malformed(error)))?;
        let asked: HashSet<_> = asked.iter().collect();
        if let Some(other) = decoded.records.iter().find(|record| !asked.contains(&record.id)) {
            return Err(failed(ReadError::NotAsked(other.id.to_string())));
        }
        if !decoded.records.is_empty() {
            self.repeats = 0;
        }
        self.add_groups(&mut decoded);
        self.records.apply_components(read, decoded);
        Ok(())
    }

    /// The picture of what is believed now, and what is wrong with it.
    pub fn build(&mut self) -> (Arc<Snapshot>, Arc<Vec<Problem>>) {
        let (snapshot, problems) =
            snapshot::build(&self.records, &self.naming, self.snapshot.as_deref(), Timestamp::now());
        let snapshot = Arc::new(snapshot);
        self.snapshot = Some(snapshot.clone());
        (snapshot, Arc::new(problems))
    }

    fn add_groups(&self, decoded: &mut Decoded<ComponentRecord>) {
        let Some((_, groups)) = &self.groups else { return };
        for record in &mut decoded.records {
            record.groups = groups.get(&record.id).cloned().unwrap_or_default();
        }
    }
}

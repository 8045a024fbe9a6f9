//! What the owner holds: records, the picture made of them, and what the bodies were that they came from.

use super::Failed;
use crate::{
    naming::Naming,
    records::{
        BadBody, ComponentRecord, Decoded, InterfaceRecord, Problem, Read, Records, decode_components,
        decode_interfaces,
    },
    smd::{Body, Groups, ReadError, Source},
    snapshot::{self, Snapshot},
    state::Moment,
};
use jiff::Timestamp;
use std::{collections::HashSet, sync::Arc, time::Duration};
use values::Xname;

/// An answer of SMD.
pub struct Fetched {
    pub moment: Moment,
    pub took: Duration,
    pub body: Body,
}

/// What a whole read of one kind brings.
pub struct News<R> {
    read: Read,
    hash: u128,
    /// `None`: the body is the last one's.
    decoded: Option<Decoded<R>>,
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
    /// Revision of the records that the snapshot was built from, by these rules.
    built: Option<u64>,
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
            built: None,
        }
    }

    /// Work on it was broken off: the next bodies are decoded whatever they are.
    pub fn doubt(&mut self) {
        self.interfaces_hash = None;
        self.components_hash = None;
        self.built = None;
    }

    /// Other rules, for the next picture. Groups that were read stay: they may not be to be had again for a while.
    pub fn rename(&mut self, naming: Naming) {
        if self.naming != naming {
            self.naming = naming;
            self.built = None;
        }
    }

    /// The last picture is still the right one.
    pub fn is_settled(&self) -> bool {
        self.built == Some(self.records.revision())
    }

    pub fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Looks at a body without believing it yet; one that equals the last is not decoded.
    pub fn decode_interfaces(&self, read: Read, body: &Body) -> Result<News<InterfaceRecord>, BadBody> {
        let new = self.interfaces_hash != Some(body.hash);
        let decoded = new.then(|| decode_interfaces(&body.bytes)).transpose()?;
        Ok(News { read, hash: body.hash, decoded })
    }

    /// Likewise; after [`Believed::learn_groups`], because groups are part of the records.
    pub fn decode_components(&self, read: Read, body: &Body) -> Result<News<ComponentRecord>, BadBody> {
        let new = self.components_hash != Some(body.hash);
        let decoded = new.then(|| decode_components(&body.bytes)).transpose()?;
        Ok(News { read, hash: body.hash, decoded })
    }

    /// Takes groups in, for the components that are decoded from here on.
    pub fn learn_groups(&mut self, hash: u128, groups: Groups) {
        if self.groups.as_ref().is_none_or(|(held, _)| *held != hash) {
            self.groups = Some((hash, groups));
            self.components_hash = None;
        }
    }

    /// No rule wants groups any more: components are decoded without.
    pub fn forget_groups(&mut self) {
        if self.groups.take().is_some() {
            self.components_hash = None;
        }
    }

    /// Takes a whole read in.
    pub fn learn(&mut self, interfaces: News<InterfaceRecord>, components: News<ComponentRecord>) {
        let believed = match interfaces.decoded {
            None => self.records.repeat_whole_interfaces(interfaces.read),
            Some(decoded) => {
                self.records.apply_whole_interfaces(interfaces.read, decoded);
                true
            }
        };
        self.interfaces_hash = believed.then_some(interfaces.hash);
        let believed = match components.decoded {
            None => self.records.repeat_whole_components(components.read),
            Some(mut decoded) => {
                self.add_groups(&mut decoded);
                self.records.apply_whole_components(components.read, decoded);
                true
            }
        };
        self.components_hash = believed.then_some(components.hash);
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
        // The next whole body, were it the last one's, would not repeat what is held by then.
        self.components_hash = None;
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
        self.built = Some(self.records.revision());
        (snapshot, Arc::new(problems))
    }

    fn add_groups(&self, decoded: &mut Decoded<ComponentRecord>) {
        let Some((_, groups)) = &self.groups else { return };
        for record in &mut decoded.records {
            record.groups = groups.get(&record.id).cloned().unwrap_or_default();
        }
    }
}

//! Which number an interface has among those of its component on one network: `{nic}` of patterns. It follows from the
//! interfaces of that component alone, so a snapshot that is patched component by component has the same as one built anew.

use super::claims::Draft;
use crate::naming::nics;
use config::Nic;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The networks and numbers of some drafts.
#[derive(Debug, Default)]
pub struct Nics<'a> {
    /// By SMD's word: the DNS label, which is the same for some.
    labels: HashMap<&'a str, Option<Arc<str>>>,
    /// By the draft's place and the label.
    numbers: HashMap<(usize, Arc<str>), u32>,
}

impl<'a> Nics<'a> {
    /// All interfaces of a component must be among these, in the order of their MACs.
    pub fn of(drafts: &[Draft<'a>]) -> Nics<'a> {
        let mut nics = Nics::default();
        let mut groups: HashMap<(u32, Arc<str>), Vec<usize>> = HashMap::new();
        for (position, draft) in drafts.iter().enumerate() {
            let Some(owner) = draft.owner else { continue };
            let mut on = HashSet::new();
            for held in &draft.addresses {
                let label = nics
                    .labels
                    .entry(held.network)
                    .or_insert_with(|| nics::label(held.network).map(Arc::from));
                let Some(label) = label else { continue };
                if on.insert(label.clone()) {
                    groups.entry((owner, label.clone())).or_default().push(position);
                }
            }
        }
        for ((_, label), positions) in groups {
            let descriptions = positions.iter().map(|position| &*drafts[*position].description);
            let numbers = nics::numbers(&label, descriptions);
            nics.numbers.extend(positions.iter().map(|position| (*position, label.clone())).zip(numbers));
        }
        nics
    }

    /// Of the draft at this place, on SMD's network.
    pub fn nic(&self, position: usize, network: &str) -> Option<Nic<'_>> {
        let label = self.labels.get(network)?.as_ref()?;
        let number = *self.numbers.get(&(position, label.clone()))?;
        Some(Nic { network: label, number })
    }
}

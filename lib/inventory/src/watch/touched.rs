//! What a change speaks of: the cached answers that may be others now.

use crate::keys::{AnyAnswer, AnyKey};
use proto::v1;
use std::{collections::HashSet, net::IpAddr};
use values::{Mac, Name, Xname};

/// The keys that a change puts or removes.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    macs: HashSet<Mac>,
    ids: HashSet<Xname>,
    addresses: HashSet<IpAddr>,
    /// With all their parents: they may have been unknown and be empty non-terminals now.
    names: HashSet<Name>,
}

/// The records that an answer was made of; it is another when one of them is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MadeOf {
    pub(crate) macs: Vec<Mac>,
    pub(crate) ids: Vec<Xname>,
}

impl Touched {
    pub(crate) fn by(change: &v1::Change) -> Touched {
        let mut touched = Touched::default();
        for interface in &change.put_interfaces {
            touched.macs.extend(interface.mac.parse::<Mac>());
            touched.ids.extend(interface.component_id.parse::<Xname>());
            for address in &interface.addresses {
                touched.addresses.extend(address.address.parse::<IpAddr>());
                address.names.iter().for_each(|name| touched.name(name));
            }
        }
        for component in &change.put_components {
            touched.ids.extend(component.id.parse::<Xname>());
            component.names.iter().for_each(|name| touched.name(name));
        }
        touched.macs.extend(change.removed_macs.iter().filter_map(|mac| mac.parse::<Mac>().ok()));
        touched.ids.extend(change.removed_ids.iter().filter_map(|id| id.parse::<Xname>().ok()));
        touched
    }

    fn name(&mut self, text: &str) {
        let mut next = text.parse::<Name>().ok();
        while let Some(name) = next {
            next = name.parent();
            if !self.names.insert(name) {
                return;
            }
        }
    }

    /// Whether this answer (none: Unknown) may be another now.
    pub(crate) fn touches(&self, key: &AnyKey, answer: Option<&AnyAnswer>, made_of: &MadeOf) -> bool {
        let of_the_key = match key {
            AnyKey::Mac(mac) => self.macs.contains(mac),
            AnyKey::Address(address) => self.addresses.contains(address),
            AnyKey::Name(name) => self.names.contains(name),
            AnyKey::Id(id) => self.ids.contains(id),
        };
        // Nothing tells when the last name below it went.
        let parent_only = matches!(answer, Some(AnyAnswer::Name(bearers)) if bearers.empty_non_terminal);
        of_the_key
            || parent_only
            || made_of.macs.iter().any(|mac| self.macs.contains(mac))
            || made_of.ids.iter().any(|id| self.ids.contains(id))
    }
}

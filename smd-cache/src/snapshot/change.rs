//! What leads from one snapshot to another.

use super::{
    Component, Entry, Interface, Snapshot,
    sorted::{Keyed, Sorted},
};
use std::{cmp::Ordering, sync::Arc};
use values::{Mac, Xname};

/// One generation to another: what was put and what was removed, in order of their keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// New or different, by MAC.
    pub put_interfaces: Vec<Arc<Interface>>,
    /// Gone.
    pub removed_macs: Vec<Mac>,
    /// New or different, by xname.
    pub put_components: Vec<Arc<Component>>,
    /// Gone.
    pub removed_ids: Vec<Xname>,
}

impl Change {
    /// Whether nothing is put or removed; zones may have changed all the same.
    pub fn is_empty(&self) -> bool {
        *self == Change::default()
    }
}

impl Snapshot {
    /// What leads from `older` to this one. Both may be of any age. Empty where the digests are equal.
    pub fn change_from(&self, older: &Snapshot) -> Change {
        let mut change = Change::default();
        differences(&older.interfaces, &self.interfaces, |before, after| match (before, after) {
            (_, Some(after)) => change.put_interfaces.push(after.item.clone()),
            (before, None) => change.removed_macs.extend(before.map(|before| before.item.mac)),
        });
        differences(&older.components, &self.components, |before, after| match (before, after) {
            (_, Some(after)) => change.put_components.push(after.item.clone()),
            (before, None) => change.removed_ids.extend(before.map(|before| before.item.id.clone())),
        });
        change
    }
}

/// Walks two lists in order of their keys and hands over what is different: before, after. What they share is skipped.
pub fn differences<'a, T: Keyed>(
    old: &'a Sorted<Entry<T>>,
    new: &'a Sorted<Entry<T>>,
    mut different: impl FnMut(Option<&'a Entry<T>>, Option<&'a Entry<T>>),
) {
    let (mut old, mut new) = (old.iter(), new.iter());
    loop {
        old.skip_shared(&mut new);
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) if Arc::ptr_eq(&before.item, &after.item) => Ordering::Equal,
            (Some(before), Some(after)) => before.order(after),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if before.map(|before| before.digest) != after.map(|after| after.digest) {
            different(before, after);
        }
    }
}

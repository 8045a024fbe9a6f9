//! What leads from one snapshot to another.

use super::{Component, Entry, Interface, Snapshot};
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
        let (put_interfaces, removed_macs) =
            differences(&older.interfaces, &self.interfaces, |item| &item.mac);
        let (put_components, removed_ids) = differences(&older.components, &self.components, |item| &item.id);
        Change { put_interfaces, removed_macs, put_components, removed_ids }
    }
}

/// Walks two lists in order of their keys.
fn differences<T, K: Ord + Clone>(
    old: &[Entry<T>],
    new: &[Entry<T>],
    key: impl Fn(&T) -> &K,
) -> (Vec<Arc<T>>, Vec<K>) {
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (put, removed),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => key(&before.item).cmp(key(&after.item)),
        };
        let before = old.next_if(|_| order.is_le());
        let after = new.next_if(|_| order.is_ge());
        match (before, after) {
            (Some(before), None) => removed.push(key(&before.item).clone()),
            (before, Some(after)) if before.is_none_or(|before| before.digest != after.digest) => {
                put.push(after.item.clone());
            }
            _ => {}
        }
    }
}

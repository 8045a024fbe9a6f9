//! Entries of bytes by name, packed: a clone costs nothing, a change copies one small part, a reader touches two or three
//! cache lines however many names there are.
//!
//! ```text
//! hash of the name ─upper half▶ shard: │ mask │ slot slot slot ... │ entry entry entry ... │
//!                  ─lower half▶ slot:  upper half of the hash again, place of the entry (0: free)
//! ```
//! A shard is one allocation that is never changed: a change makes another.

use super::entry;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries in a shard, on average, before there are twice as many shards: what one change copies, about 5 kB.
const SHARD_ENTRIES: usize = 48;

/// Bytes of the mask at the beginning of a shard.
const MASK: usize = size_of::<u32>();
/// Bytes of a slot: a tag and a place.
const SLOT: usize = 2 * size_of::<u32>();

type Shard = Arc<[u8]>;
/// Hash, name, and the entry that the name has from now on.
type Change = (u64, Box<[u8]>, Option<Box<[u8]>>);

/// The map. Names are bytes; each entry begins as [`entry`] says, with its name.
#[derive(Clone)]
pub(super) struct Table {
    /// A power of two of them.
    shards: Arc<Vec<Shard>>,
    len: usize,
    /// Nobody who chooses names of machines can make them collide.
    seed: u64,
}

impl Default for Table {
    fn default() -> Table {
        Table { shards: Arc::new(vec![pack(&[])]), len: 0, seed: fastrand::u64(..) }
    }
}

impl Table {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(name);
        find(&self.shards[place(hash, self.shards.len())], hash, name)
    }

    /// Every entry, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().flat_map(|shard| entries(shard))
    }

    /// Takes the entry of each name out and puts the new one in, if there is one. Of several for one name the last counts.
    pub(super) fn change(&mut self, changes: impl IntoIterator<Item = (Box<[u8]>, Option<Box<[u8]>>)>) {
        let changes = changes.into_iter().map(|(name, new)| (self.hash(&name), name, new));
        let mut placed: Vec<Change> = changes.collect();
        self.make_room(placed.len());
        let mut shards = Vec::clone(&self.shards);
        let count = shards.len();
        // Stable: of two changes of one name the last stays last.
        placed.sort_by_key(|(hash, ..)| place(*hash, count));
        for part in placed.chunk_by(|one, two| place(one.0, count) == place(two.0, count)) {
            let shard = &mut shards[place(part[0].0, count)];
            let changed = self.changed(shard, part);
            self.len = self.len + changed.len() - entries(shard).count();
            let packed = pack(&changed);
            *shard = packed;
        }
        self.shards = Arc::new(shards);
    }

    /// What a shard holds after these changes.
    fn changed<'s>(&self, shard: &'s [u8], changes: &'s [Change]) -> Vec<(u64, &'s [u8])> {
        let is_changed = |name: &[u8]| changes.iter().any(|(_, changed, _)| **changed == *name);
        let kept = entries(shard).map(|held| (entry::name(held), held)).filter(|(name, _)| !is_changed(name));
        let kept = kept.map(|(name, held)| (self.hash(name), held));
        let new = changes.iter().enumerate().filter_map(|(at, (hash, name, new))| {
            let is_last = changes[at + 1..].iter().all(|(_, later, _)| later != name);
            Some((*hash, new.as_deref().filter(|_| is_last)?))
        });
        kept.chain(new).collect()
    }

    fn hash(&self, name: &[u8]) -> u64 {
        xxh3_64_with_seed(name, self.seed)
    }

    /// More shards, before there are so many more entries.
    fn make_room(&mut self, more: usize) {
        let wanted = (self.len + more).div_ceil(SHARD_ENTRIES).next_power_of_two();
        if wanted <= self.shards.len() {
            return;
        }
        let mut parts: Vec<Vec<(u64, &[u8])>> = vec![Vec::new(); wanted];
        for held in self.iter() {
            let hash = self.hash(entry::name(held));
            parts[place(hash, wanted)].push((hash, held));
        }
        let shards = parts.iter().map(|part| pack(part)).collect();
        self.shards = Arc::new(shards);
    }
}

/// By the upper half of the hash: the lower one is for the slots.
fn place(hash: u64, shards: usize) -> usize {
    (hash >> 32) as usize & (shards - 1)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A shard of these. At most half of its slots are taken, so that a search for what is not there ends soon.
fn pack(held: &[(u64, &[u8])]) -> Shard {
    let slots = (held.len() * 2).next_power_of_two().max(2);
    let mask = slots - 1;
    let length = MASK + slots * SLOT + held.iter().map(|(_, entry)| entry.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&(mask as u32).to_ne_bytes());
    bytes.resize(MASK + slots * SLOT, 0);
    for (hash, entry) in held {
        let at = (bytes.len() as u32).to_ne_bytes();
        let mut slot = *hash as usize & mask;
        while word(&bytes, slot_at(slot) + 4) != 0 {
            slot = (slot + 1) & mask;
        }
        bytes[slot_at(slot)..slot_at(slot) + 4].copy_from_slice(&tag(*hash).to_ne_bytes());
        bytes[slot_at(slot) + 4..slot_at(slot) + 8].copy_from_slice(&at);
        bytes.extend_from_slice(entry);
    }
    bytes.into()
}

fn find<'s>(shard: &'s [u8], hash: u64, name: &[u8]) -> Option<&'s [u8]> {
    let mask = word(shard, 0) as usize;
    let mut slot = hash as usize & mask;
    loop {
        let at = slot_at(slot);
        let place = word(shard, at + 4) as usize;
        if place == 0 {
            return None;
        }
        if word(shard, at) == tag(hash) {
            let held = entry::first(&shard[place..]);
            if entry::name(held) == name {
                return Some(held);
            }
        }
        slot = (slot + 1) & mask;
    }
}

fn entries(shard: &[u8]) -> impl Iterator<Item = &[u8]> {
    slots(shard).filter(|(_, at)| *at != 0).map(|(_, at)| entry::first(&shard[at..]))
}

/// Tag and place of each slot.
fn slots(shard: &[u8]) -> impl Iterator<Item = (u32, usize)> {
    let mask = word(shard, 0) as usize;
    (0..=mask).map(|slot| (word(shard, slot_at(slot)), word(shard, slot_at(slot) + 4) as usize))
}

fn slot_at(slot: usize) -> usize {
    MASK + slot * SLOT
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(name: &[u8], value: u16) -> Box<[u8]> {
        entry::Builder::new(name, 0, value).finish()
    }

    fn name(number: u16) -> Box<[u8]> {
        number.to_string().into_bytes().into()
    }

    proptest! {
        #[test]
        fn it_is_a_map_after_any_changes_and_a_clone_keeps_what_it_had(
            rounds in prop::collection::vec(prop::collection::vec((0..300u16, prop::option::of(any::<u16>())), 0..120), 0..8)
        ) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for round in rounds {
                let (before, was) = (table.clone(), model.clone());
                table.change(round.iter().map(|(key, value)| {
                    (name(*key), value.map(|value| entry(&name(*key), value)))
                }));
                for (key, value) in round {
                    _ = match value { Some(value) => model.insert(key, value), None => model.remove(&key) };
                }
                for (table, model) in [(&before, &was), (&table, &model)] {
                    prop_assert_eq!((table.len(), table.iter().count()), (model.len(), model.len()));
                    for key in 0..300 {
                        let wanted = model.get(&key).map(|value| entry(&name(key), *value));
                        prop_assert_eq!(table.get(&name(key)), wanted.as_deref());
                    }
                }
            }
        }
    }

    #[test]
    fn a_change_copies_one_shard() {
        let mut table = Table::default();
        table.change((0..10_000).map(|number| (name(number), Some(entry(&name(number), 1)))));
        let before = table.clone();
        table.change(vec![(name(5), None)]);
        assert_eq!(table.len(), 9_999);
        let pairs = before.shards.iter().zip(table.shards.iter());
        assert_eq!(pairs.filter(|(old, new)| !Arc::ptr_eq(old, new)).count(), 1);
    }
}

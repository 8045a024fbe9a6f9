//! Entries of bytes by name, packed: a clone costs nothing, a change copies one small part, a reader touches two cache lines that are not
//! warm already, however many names there are.
//!
//! ```text
//! hash of the name ─upper half▶ shard: │ slot × 128 │ entry entry entry ... │
//!                  ─lower half▶ slot:  8 bits of the hash again, place of the entry in 24 bits (0: free)
//! ```
//! A shard is one allocation that is never changed: a change makes another.

use super::entry;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries in a shard, on average, before there are twice as many shards: what one change copies, about 5 kB.
const SHARD_ENTRIES: usize = 48;
/// Slots in a shard.
const SLOTS: usize = 128;
/// Entries in a shard at most: some slots must stay free, or a search would never end. Hashes put so many into none of a million shards.
const MOST_ENTRIES: usize = 112;
/// Bytes of a slot.
const SLOT: usize = size_of::<u32>();
/// Bits of a slot that say where the entry is.
const PLACE_BITS: u32 = 24;

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
        Table { shards: Arc::new(vec![Arc::from([0; SLOTS * SLOT])]), len: 0, seed: fastrand::u64(..) }
    }
}

impl Table {
    /// Of all these at once; `bytes` is one entry after the other. Of several for one name one counts.
    pub(super) fn of(bytes: &[u8]) -> Table {
        let mut table = Table::default();
        let mut held: Vec<(u64, &[u8])> =
            entry::each(bytes).map(|held| (table.hash(entry::name(held)), held)).collect();
        held.sort_unstable_by_key(|(hash, _)| *hash);
        held.dedup_by(|one, two| one.0 == two.0 && entry::name(one.1) == entry::name(two.1));
        table.len = held.len();
        table.spread(held, 1);
        table
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// By what a name is found.
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        xxh3_64_with_seed(name, self.seed)
    }

    /// The entry of the name with this hash.
    pub(super) fn get(&self, hash: u64, name: &[u8]) -> Option<&[u8]> {
        find(self.shard(hash), hash, name)
    }

    /// The place of its entry in its shard, most likely. Who asks this of several names, and then [`Table::touch_entry`], and only then
    /// [`Table::get`], waits for the memory of all of them at once instead of one after the other.
    pub(super) fn touch_slot(&self, hash: u64) -> u32 {
        place_in(word(self.shard(hash), slot_of(hash)))
    }

    /// A byte of what stands there.
    pub(super) fn touch_entry(&self, hash: u64, at: u32) -> u8 {
        self.shard(hash)[at as usize]
    }

    /// Every entry, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().flat_map(|shard| entries(shard))
    }

    /// Takes the entry of each name out and puts the new one in, if there is one. Of several for one name the last counts.
    pub(super) fn change(&mut self, changes: impl IntoIterator<Item = (Box<[u8]>, Option<Box<[u8]>>)>) {
        let changes = changes.into_iter().map(|(name, new)| (self.hash(&name), name, new));
        let mut changes: Vec<Change> = changes.collect();
        let wanted = shards_for(self.len + changes.len());
        if wanted > self.shards.len() {
            self.grow(wanted);
        }
        while let Err(TooFull) = self.try_change(&mut changes) {
            self.grow(self.shards.len() * 2);
        }
    }

    fn try_change(&mut self, changes: &mut [Change]) -> Result<(), TooFull> {
        let mut shards = Vec::clone(&self.shards);
        let (count, mut len) = (shards.len(), self.len);
        // Stable: of two changes of one name the last stays last.
        changes.sort_by_key(|(hash, ..)| place(*hash, count));
        for part in changes.chunk_by(|one, two| place(one.0, count) == place(two.0, count)) {
            let shard = &mut shards[place(part[0].0, count)];
            let (before, changed) = (entries(shard).count(), self.changed(shard, part));
            len = len + changed.len() - before;
            let packed = pack(&changed)?;
            *shard = packed;
        }
        (self.shards, self.len) = (Arc::new(shards), len);
        Ok(())
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

    /// At least so many shards.
    fn grow(&mut self, at_least: usize) {
        let all = self.shards.clone();
        let held = all.iter().flat_map(|shard| entries(shard));
        let held = held.map(|held| (self.hash(entry::name(held)), held)).collect();
        self.spread(held, at_least);
    }

    /// Over at least so many shards, and as many as it takes.
    fn spread(&mut self, mut held: Vec<(u64, &[u8])>, at_least: usize) {
        let mut count = shards_for(held.len()).max(at_least);
        loop {
            held.sort_unstable_by_key(|(hash, _)| place(*hash, count));
            let mut rest = held.as_slice();
            let shards = (0..count).map(|shard| {
                let (here, others) =
                    rest.split_at(rest.partition_point(|(hash, _)| place(*hash, count) <= shard));
                rest = others;
                pack(here)
            });
            if let Ok(shards) = shards.collect() {
                self.shards = Arc::new(shards);
                return;
            }
            count *= 2;
        }
    }

    fn shard(&self, hash: u64) -> &[u8] {
        &self.shards[place(hash, self.shards.len())]
    }
}

fn shards_for(entries: usize) -> usize {
    entries.div_ceil(SHARD_ENTRIES).next_power_of_two()
}

/// A shard cannot hold what it should.
#[derive(Debug)]
struct TooFull;

/// By the upper half of the hash: the lower one is for the slots.
fn place(hash: u64, shards: usize) -> usize {
    (hash >> 32) as usize & (shards - 1)
}

/// Where the slot is in which a search begins.
fn slot_of(hash: u64) -> usize {
    (hash as usize & (SLOTS - 1)) * SLOT
}

fn next_slot(slot: usize) -> usize {
    (slot + SLOT) & (SLOTS * SLOT - 1)
}

/// Bits that neither shard nor slot go by.
fn tag(hash: u64) -> u32 {
    (hash as u32 >> 8) << PLACE_BITS
}

fn place_in(slot: u32) -> u32 {
    slot & ((1 << PLACE_BITS) - 1)
}

fn pack(held: &[(u64, &[u8])]) -> Result<Shard, TooFull> {
    let length = SLOTS * SLOT + held.iter().map(|(_, entry)| entry.len()).sum::<usize>();
    if held.len() > MOST_ENTRIES || length >> PLACE_BITS != 0 {
        return Err(TooFull);
    }
    let mut bytes = Vec::with_capacity(length);
    bytes.resize(SLOTS * SLOT, 0);
    for (hash, entry) in held {
        let mut slot = slot_of(*hash);
        while word(&bytes, slot) != 0 {
            slot = next_slot(slot);
        }
        let here = tag(*hash) | bytes.len() as u32;
        bytes[slot..slot + SLOT].copy_from_slice(&here.to_ne_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes.into())
}

fn find<'s>(shard: &'s [u8], hash: u64, name: &[u8]) -> Option<&'s [u8]> {
    let mut slot = slot_of(hash);
    loop {
        let held = word(shard, slot);
        if held == 0 {
            return None;
        }
        if held & !((1 << PLACE_BITS) - 1) == tag(hash) {
            let entry = entry::first(&shard[place_in(held) as usize..]);
            if entry::name(entry) == name {
                return Some(entry);
            }
        }
        slot = next_slot(slot);
    }
}

fn entries(shard: &[u8]) -> impl Iterator<Item = &[u8]> {
    entry::each(&shard[SLOTS * SLOT..])
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
        let mut bytes = Vec::new();
        entry::Builder::new(&mut bytes, name, 0, value).finish();
        bytes.into()
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
                        prop_assert_eq!(table.get(table.hash(&name(key)), &name(key)), wanted.as_deref());
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

    #[test]
    fn all_at_once_is_as_one_after_the_other_and_a_name_counts_once() {
        let entries: Vec<Box<[u8]>> =
            (0..5000).chain(100..200).map(|number| entry(&name(number), number)).collect();
        let table = Table::of(&entries.concat());
        assert_eq!((table.len(), table.iter().count()), (5000, 5000));
        for number in 0..5000 {
            let wanted = entry(&name(number), number);
            assert_eq!(table.get(table.hash(&name(number)), &name(number)), Some(&*wanted));
            let hash = table.hash(&name(number));
            table.touch_entry(hash, table.touch_slot(hash));
        }
        assert!(Table::of(&[]).get(0, b"x").is_none());
    }

    #[test]
    fn what_is_too_much_for_a_shard_gets_more_shards() {
        let large = |number: u16| {
            let mut bytes = Vec::new();
            let mut builder = entry::Builder::new(&mut bytes, &name(number), 0, 0);
            builder.set(16, 60, (0..60).map(|_| vec![0; 60_000]));
            builder.finish();
            bytes.into_boxed_slice()
        };
        let mut table = Table::default();
        table.change((0..8).map(|number| (name(number), Some(large(number)))));
        assert!(table.shards.len() > 1);
        assert!(
            (0..8).all(|number| table.get(table.hash(&name(number)), &name(number)) == Some(&*large(number)))
        );
    }
}

//! A hash map of which a clone costs nothing and a change copies one small part.
//!
//! Many ordinary maps, each shared until it is changed. Hash tries do the same with less to copy, but their half-filled
//! nodes took four times the memory here (40,000 names: 16 MB against 4), and a daemon may take 40 MB in all. A key is hashed
//! once: its hash tells the shard and the place in it.

use hashbrown::{HashTable, hash_table::Entry};
use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

/// Entries in a shard, on average, before there are twice as many shards: what a change copies. With fewer, the list of
/// shards, which a change copies too, gets long; with a million entries both take some hundred microseconds.
const SHARD_ENTRIES: usize = 64;

/// Keyed by a random seed of its own: nobody who chooses names can make them collide.
pub(crate) struct Shards<K, V> {
    shards: Arc<Vec<Shard<K, V>>>,
    len: usize,
    seed: RandomState,
}

type Shard<K, V> = Arc<HashTable<(K, V)>>;

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub(crate) fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (key, value) = self.find(self.seed.hash_one(key), key)?;
        Some((key, value))
    }

    /// Copies nothing where the key is not held.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.seed.hash_one(key);
        self.find(hash, key)?;
        self.shard_mut(hash).find_mut(hash, |(held, _)| held.borrow() == key).map(|(_, value)| value)
    }

    /// The value of this key, put there if there was none.
    pub(crate) fn get_or_insert(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if self.len >= self.shards.len() * SHARD_ENTRIES {
            self.grow();
        }
        let (hash, seed) = (self.seed.hash_one(&key), self.seed.clone());
        let place = self.place(hash);
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place]);
        match shard.entry(hash, |(held, _)| *held == key, |(held, _)| seed.hash_one(held)) {
            Entry::Occupied(held) => &mut held.into_mut().1,
            Entry::Vacant(room) => {
                self.len += 1;
                &mut room.insert((key, value())).into_mut().1
            }
        }
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.seed.hash_one(key);
        if self.find(hash, key).is_none() {
            return;
        }
        if let Ok(held) = self.shard_mut(hash).find_entry(hash, |(held, _)| held.borrow() == key) {
            held.remove();
            self.len -= 1;
        }
    }

    /// Keys that are in one of both alone, or whose values are not the same in both. `None`: these two do not descend from each
    /// other closely enough to tell without looking at everything.
    pub(crate) fn differences<'s>(
        &'s self,
        other: &'s Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> Option<Vec<&'s K>> {
        if self.shards.len() != other.shards.len() || self.seed.hash_one(0) != other.seed.hash_one(0) {
            return None;
        }
        let mut keys = Vec::new();
        let pairs = self.shards.iter().zip(other.shards.iter());
        for (one, two) in pairs.filter(|(one, two)| !Arc::ptr_eq(one, two)) {
            for (key, value) in one.iter() {
                let held = two.find(self.seed.hash_one(key), |(held, _)| held == key);
                if held.is_none_or(|(_, other)| !same(value, other)) {
                    keys.push(key);
                }
            }
            for (key, _) in two.iter() {
                if one.find(self.seed.hash_one(key), |(held, _)| held == key).is_none() {
                    keys.push(key);
                }
            }
        }
        Some(keys)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|(key, value)| (key, value))
    }

    /// Twice as many shards. Entries that nobody shares are moved.
    fn grow(&mut self) {
        let twice = (0..self.shards.len() * 2).map(|_| Arc::default()).collect();
        let old = std::mem::replace(&mut self.shards, Arc::new(twice));
        let seed = self.seed.clone();
        for shard in Arc::unwrap_or_clone(old) {
            for entry in Arc::unwrap_or_clone(shard) {
                let hash = seed.hash_one(&entry.0);
                self.shard_mut(hash).insert_unique(hash, entry, |(held, _)| seed.hash_one(held));
            }
        }
    }

    fn find<Q>(&self, hash: u64, key: &Q) -> Option<&(K, V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.shards[self.place(hash)].find(hash, |(held, _)| held.borrow() == key)
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<(K, V)> {
        let place = self.place(hash);
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place])
    }

    /// By the upper half of the hash: the tables themselves go by its ends.
    fn place(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Shards { shards: self.shards.clone(), len: self.len, seed: self.seed.clone() }
    }
}

impl<K, V> Default for Shards<K, V> {
    /// One empty shard; their number is a power of two from here on.
    fn default() -> Self {
        Shards { shards: Arc::new(vec![Arc::default()]), len: 0, seed: RandomState::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_at_every_size_and_a_clone_keeps_what_it_had() {
        let mut shards = Shards::default();
        let mut before = Vec::new();
        for key in 0..1000u32 {
            before.push(shards.clone());
            *shards.get_or_insert(key.to_string(), || 0) += key;
        }
        for key in (0..1000u32).step_by(2) {
            shards.remove(key.to_string().as_str());
        }
        *shards.get_mut("1").unwrap() = 77;
        assert!(shards.get_mut("0").is_none());
        shards.remove("0");
        assert_eq!((shards.len(), shards.iter().count()), (500, 500));
        assert_eq!((shards.get("1"), shards.get("3"), shards.get("4")), (Some(&77), Some(&3), None));
        for (size, old) in before.iter().enumerate() {
            assert_eq!((old.len(), old.iter().count()), (size, size));
            assert!(old.iter().all(|(key, value)| *key == value.to_string()), "{size}");
        }
    }

    #[test]
    fn a_change_copies_one_shard() {
        let mut shards = Shards::default();
        for key in 0..10_000u32 {
            shards.get_or_insert(key, || key);
        }
        let before = shards.clone();
        shards.remove(&5);
        let copied =
            before.shards.iter().zip(shards.shards.iter()).filter(|(old, new)| !Arc::ptr_eq(old, new));
        assert_eq!(copied.count(), 1);
    }
}

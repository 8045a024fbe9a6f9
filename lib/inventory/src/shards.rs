//! A hash map of which a clone costs nothing and a change copies one small part.
//!
//! Many ordinary maps, each shared until it is changed. Hash tries do the same with less to copy, but their half-filled
//! nodes took four times the memory here (40,000 names: 16 MB against 4), and a daemon may take 40 MB in all.

use std::{
    borrow::Borrow,
    collections::HashMap,
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

type Shard<K, V> = Arc<HashMap<K, V, RandomState>>;

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.shard(key).get(key)
    }

    pub(crate) fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.shard(key).get_key_value(key)
    }

    /// Copies nothing where the key is not held.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if !self.shard(key).contains_key(key) {
            return None;
        }
        self.shard_mut(key).get_mut(key)
    }

    /// The value of this key, put there if there was none.
    pub(crate) fn get_or_insert(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.shard(&key).contains_key(&key) {
            self.len += 1;
            if self.len > self.shards.len() * SHARD_ENTRIES {
                self.grow();
            }
        }
        self.shard_mut(&key).entry(key).or_insert_with(value)
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.shard(key).contains_key(key) {
            self.shard_mut(key).remove(key);
            self.len -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn grow(&mut self) {
        let twice = (0..self.shards.len() * 2).map(|_| Arc::new(HashMap::with_hasher(self.seed.clone())));
        let old = std::mem::replace(&mut self.shards, Arc::new(twice.collect()));
        for shard in old.iter() {
            for (key, value) in shard.iter() {
                self.shard_mut(key).insert(key.clone(), value.clone());
            }
        }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K, V> {
        &self.shards[self.place(key)]
    }

    fn shard_mut<Q: Hash + ?Sized>(&mut self, key: &Q) -> &mut HashMap<K, V, RandomState> {
        let place = self.place(key);
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place])
    }

    /// By the upper half of the hash: the maps themselves go by its ends.
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        (self.seed.hash_one(key) >> 32) as usize & (self.shards.len() - 1)
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
        let seed = RandomState::new();
        let first = Arc::new(HashMap::with_hasher(seed.clone()));
        Shards { shards: Arc::new(vec![first]), len: 0, seed }
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

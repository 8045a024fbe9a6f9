//! Maps by name and xname, hashed in one go: the usual hashers keep a state for streams, which costs more than the keys.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A map whose keys are short texts.
pub type TextMap<K, V> = HashMap<K, V, BuildHasherDefault<TextHasher>>;
/// A set of short texts.
pub type TextSet<K> = HashSet<K, BuildHasherDefault<TextHasher>>;

/// Not against malice: whoever can write SMD's records can do worse than make a refresh slow.
#[derive(Default)]
pub struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The byte that ends a text adds nothing where texts are hashed alone.
    fn write_u8(&mut self, byte: u8) {
        self.0 = self.0.wrapping_add(byte.into());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

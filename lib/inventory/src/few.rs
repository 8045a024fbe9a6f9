//! One thing, or rarely more: what bears a name, holds an address or belongs to a component.

use std::sync::Arc;

/// A small set of shared values in the order of their keys. Sixteen bytes, and no allocation for the usual one.
#[derive(Debug, Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(Arc<T>),
    Many(Arc<Vec<Arc<T>>>),
}

/// The very same values, not equal ones: what changed was made anew.
impl<T> PartialEq for Few<T> {
    fn eq(&self, other: &Few<T>) -> bool {
        match (self, other) {
            (Few::None, Few::None) => true,
            (Few::One(one), Few::One(other)) => Arc::ptr_eq(one, other),
            (Few::Many(many), Few::Many(others)) => {
                let same = |(one, other): (&Arc<T>, &Arc<T>)| Arc::ptr_eq(one, other);
                Arc::ptr_eq(many, others)
                    || many.len() == others.len() && many.iter().zip(others.iter()).all(same)
            }
            _ => false,
        }
    }
}

/// What sorts and identifies the values of a [`Few`].
pub(crate) trait Keyed {
    type Key: Ord + ?Sized;
    fn key(&self) -> &Self::Key;
}

impl<T: Keyed> Few<T> {
    pub(crate) fn as_slice(&self) -> &[Arc<T>] {
        match self {
            Few::None => &[],
            Few::One(one) => std::slice::from_ref(one),
            Few::Many(many) => many,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Few::None)
    }

    /// Puts the value in its place; one with the same key is replaced.
    pub(crate) fn insert(&mut self, value: Arc<T>) {
        match self {
            Few::None => *self = Few::One(value),
            Few::One(one) if one.key() == value.key() => *one = value,
            Few::One(one) => {
                let mut many = vec![one.clone(), value];
                many.sort_by(|a, b| a.key().cmp(b.key()));
                *self = Few::Many(Arc::new(many));
            }
            Few::Many(many) => {
                let many = Arc::make_mut(many);
                match many.binary_search_by(|held| held.key().cmp(value.key())) {
                    Ok(place) => many[place] = value,
                    Err(place) => many.insert(place, value),
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &T::Key) {
        match self {
            Few::None => {}
            Few::One(one) if one.key() == key => *self = Few::None,
            Few::One(_) => {}
            Few::Many(many) => {
                let many = Arc::make_mut(many);
                many.retain(|held| held.key() != key);
                if let [last] = &many[..] {
                    *self = Few::One(last.clone());
                }
            }
        }
    }
}

impl<T> Clone for Few<T> {
    fn clone(&self) -> Self {
        match self {
            Few::None => Few::None,
            Few::One(one) => Few::One(one.clone()),
            Few::Many(many) => Few::Many(many.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for u8 {
        type Key = u8;
        fn key(&self) -> &u8 {
            self
        }
    }

    #[test]
    fn a_few_keep_their_order_and_shrink_again() {
        let mut few = Few::default();
        for value in [3u8, 1, 2, 2, 3] {
            few.insert(Arc::new(value));
        }
        let held = |few: &Few<u8>| few.as_slice().iter().map(|v| **v).collect::<Vec<_>>();
        assert_eq!(held(&few), [1, 2, 3]);
        few.remove(&9);
        few.remove(&2);
        few.remove(&1);
        assert_eq!(held(&few), [3]);
        assert!(matches!(few, Few::One(_)));
        few.remove(&3);
        assert!(few.is_empty());
    }

    #[test]
    fn it_is_as_small_as_promised() {
        assert_eq!(size_of::<Few<String>>(), 16);
    }
}

//! Text and policies that thousands of records have in common, held once.

use crate::{
    shards::Shards,
    types::{Policy, Traits},
};
use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};
use values::Name;

/// Immutable text, cheap to clone; reads like a `str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Arc<str>);

impl Text {
    /// As a `str`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
/// The name's own text, not a copy of it.
impl From<Name> for Text {
    fn from(name: Name) -> Text {
        Text(name.into())
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.into())
    }
}
impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(text.into())
    }
}
impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}
impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Different texts and policies that are held once. Roles, networks, domains and the outcomes of rules are some tens; past
/// this each record has its own again. A guess.
const MAX_COMMON: usize = 1_024;

/// What records have in common. Grows until the next whole snapshot, within its bound.
#[derive(Clone, Default)]
pub(crate) struct Common {
    texts: Shards<Text, ()>,
    policies: Shards<Policy, ()>,
    traits: Shards<Arc<Traits>, ()>,
}

impl Common {
    pub(crate) fn text(&mut self, text: String) -> Text {
        if let Some((held, ())) = self.texts.get_key_value(text.as_str()) {
            return held.clone();
        }
        let text = Text::from(text);
        if self.texts.len() < MAX_COMMON {
            self.texts.get_or_insert(text.clone(), || ());
        }
        text
    }

    pub(crate) fn traits(&mut self, traits: Traits) -> Arc<Traits> {
        if let Some((held, ())) = self.traits.get_key_value(&traits) {
            return held.clone();
        }
        let traits = Arc::new(traits);
        if self.traits.len() < MAX_COMMON {
            self.traits.get_or_insert(traits.clone(), || ());
        }
        traits
    }

    pub(crate) fn policy(&mut self, policy: Policy) -> Policy {
        if let Some((held, ())) = self.policies.get_key_value(&policy) {
            return held.clone();
        }
        if self.policies.len() < MAX_COMMON {
            self.policies.get_or_insert(policy.clone(), || ());
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_and_policies_are_held_once_within_a_bound() {
        let mut common = Common::default();
        for number in 0..2 * MAX_COMMON {
            let (one, other) = (common.text(number.to_string()), common.text(number.to_string()));
            assert_eq!(Arc::ptr_eq(&one.0, &other.0), number < MAX_COMMON, "{number}");
        }
        assert_eq!(common.texts.len(), MAX_COMMON);
        let policy = |file: &str| {
            let mut policy = Policy::default();
            policy.boot_file = Some(file.into());
            policy
        };
        assert!(common.policy(policy("a")).is_same(&common.policy(policy("a"))));
        assert!(!common.policy(policy("a")).is_same(&common.policy(policy("b"))));
    }
}

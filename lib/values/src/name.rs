//! Fully qualified DNS names as the inventory knows them: host names, not arbitrary bytes.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// A DNS name in lower case without the final dot: labels of letters, digits, `-` and `_`, 1 to 63 long, 253 in all
/// (RFC 1035 §2.3.4). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Text that is no DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a DNS name: labels of letters, digits, '-' and '_', at most 63 long, 253 in all")]
pub struct BadName(pub String);

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl Name {
    /// The text form: lower case, no final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `zone` or below it, label by label: `notcluster.local` is not in `cluster.local`.
    pub fn is_in(&self, zone: &Name) -> bool {
        self.0.strip_suffix(&*zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The name without its first label; `None` for a single label.
    pub fn parent(&self) -> Option<Name> {
        self.0.split_once('.').map(|(_, parent)| Name(parent.into()))
    }

    /// `label.self`; the label may itself hold dots.
    pub fn below(&self, label: &str) -> Result<Name, BadName> {
        format!("{label}.{}", self.0).parse()
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Name, BadName> {
        let bare = text.strip_suffix('.').unwrap_or(text);
        let label_is_good = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if bare.len() > MAX_NAME || !bare.split('.').all(label_is_good) {
            return Err(BadName(text.chars().take(64).collect()));
        }
        Ok(Name(bare.to_ascii_lowercase().into()))
    }
}

/// The text itself, not a copy of it.
impl From<Name> for Arc<str> {
    fn from(name: Name) -> Arc<str> {
        name.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_compare_without_case_and_final_dot() {
        assert_eq!(name("NID0001.Cluster.Local."), name("nid0001.cluster.local"));
    }

    #[test]
    fn a_zone_is_no_bare_suffix() {
        let zone = name("cluster.local");
        assert!(zone.is_in(&zone));
        assert!(name("a.b.cluster.local").is_in(&zone));
        assert!(!name("notcluster.local").is_in(&zone));
        assert!(!name("local").is_in(&zone));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(60).as_str(); 5].join(".");
        for text in ["", ".", "a..b", ".a", "a b", "ä", &long_label, &long_name, "a.."] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert!("a".repeat(63).parse::<Name>().is_ok());
    }

    #[test]
    fn parents_and_children() {
        assert_eq!(name("a.b.c").parent(), Some(name("b.c")));
        assert_eq!(name("c").parent(), None);
        assert_eq!(name("b.c").below("x.a").unwrap(), name("x.a.b.c"));
        assert!(name("b.c").below("no label").is_err());
    }
}

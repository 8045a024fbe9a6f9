//! Component names: `x1000c0s0b0n0` is cabinet 1000, chassis 0, slot 0, BMC 0, node 0.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// An xname as SMD normalises it: lower case, numbers without leading zeros. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xname(Arc<str>);

/// Text that is no xname.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an xname such as x1000c0s0b0n0")]
pub struct BadXname(pub String);

/// The deepest real ones have some 30 characters; a guess that leaves room.
const MAX_XNAME: usize = 63;

impl Xname {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is part of: the BMC of a node, the slot of a BMC. `None` for the outermost.
    pub fn parent(&self) -> Option<Xname> {
        let without_number = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let parent = without_number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        (!parent.is_empty()).then(|| Xname(parent.into()))
    }
}

impl FromStr for Xname {
    type Err = BadXname;

    fn from_str(text: &str) -> Result<Xname, BadXname> {
        let bad = || BadXname(text.chars().take(64).collect());
        let lower = text.trim().to_ascii_lowercase();
        if lower.len() > MAX_XNAME || !lower.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(bad());
        }
        let mut normal = String::with_capacity(lower.len());
        let mut rest = lower.as_str();
        while !rest.is_empty() {
            let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
            let digits = rest[letters..].bytes().take_while(u8::is_ascii_digit).count();
            if letters == 0 || digits == 0 {
                return Err(bad());
            }
            let number = rest[letters..letters + digits].trim_start_matches('0');
            normal.push_str(&rest[..letters]);
            normal.push_str(if number.is_empty() { "0" } else { number });
            rest = &rest[letters + digits..];
        }
        Ok(Xname(normal.into()))
    }
}

impl Borrow<str> for Xname {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Xname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Xname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xnames_are_normalised_as_smd_does() {
        let xname: Xname = " X1000C0S003B0N00".parse().unwrap();
        assert_eq!(xname.as_str(), "x1000c0s3b0n0");
    }

    #[test]
    fn a_bmc_is_the_parent_of_its_nodes() {
        let node: Xname = "x1000c0s3b0n12".parse().unwrap();
        assert_eq!(node.parent().unwrap().as_str(), "x1000c0s3b0");
        assert_eq!("x1000".parse::<Xname>().unwrap().parent(), None);
    }

    #[test]
    fn what_is_no_xname_is_refused() {
        for text in [
            "",
            "1000",
            "x",
            "x1000c",
            "x1000 c0",
            "nid0001.cluster",
            "x10-0",
            &format!("x{}", "1".repeat(80)),
        ] {
            assert!(text.parse::<Xname>().is_err(), "{text}");
        }
    }
}

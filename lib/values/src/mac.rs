//! Ethernet addresses in every spelling that sites and SMD use.

use std::{fmt, str::FromStr};

/// A 48-bit hardware address. Compared as a number, printed lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// Text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a MAC: 12 hexadecimal digits, with colons, dashes, dots or nothing between them")]
pub struct BadMac(pub String);

impl Mac {
    /// Whether it can belong to one machine: neither all zeros nor a group address.
    pub fn is_usable(&self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }

    /// The 12 digits without colons: SMD's `ID`.
    pub fn bare(&self) -> String {
        self.to_string().replace(':', "")
    }
}

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Mac, BadMac> {
        let bad = || BadMac(text.chars().take(64).collect());
        let trimmed = text.trim();
        let mut bytes = [0u8; 6];
        let mut digits = 0;
        let mut since_separator = 1;
        for character in trimmed.chars() {
            match character.to_digit(16) {
                Some(_) if digits == 12 => return Err(bad()),
                Some(digit) => {
                    bytes[digits / 2] = bytes[digits / 2] << 4 | digit as u8;
                    digits += 1;
                    since_separator += 1;
                }
                None if matches!(character, ':' | '-' | '.') && since_separator > 0 && digits > 0 => {
                    // Separators stand between whole bytes: aa:bb, aabb.ccdd, never a:bb.
                    if digits % 2 != 0 {
                        return Err(bad());
                    }
                    since_separator = 0;
                }
                None => return Err(bad()),
            }
        }
        if digits != 12 || since_separator == 0 {
            return Err(bad());
        }
        Ok(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_spelling_is_the_same_mac() {
        let mac = Mac([0x02, 0, 0, 0, 1, 0xab]);
        for text in [
            "02:00:00:00:01:ab",
            "02-00-00-00-01-AB",
            "0200.0000.01ab",
            "0200000001AB",
            " 02:00:00:00:01:ab ",
        ] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "02:00:00:00:01:ab");
        assert_eq!(mac.bare(), "0200000001ab");
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for text in [
            "",
            ":",
            "02:00:00:00:01",
            "02:00:00:00:01:ab:cd",
            "02:00:00:00:01:ag",
            "2:0:0:0:1:ab",
            "02::00:00:01:ab",
            "02:00:00:00:01:ab:",
            "-02:00:00:00:01:ab",
            "x1000c0s0b0n0",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn zeros_and_group_addresses_belong_to_no_machine() {
        assert!(!Mac([0; 6]).is_usable());
        assert!(!Mac([0xff; 6]).is_usable());
        assert!(!Mac([1, 0, 0x5e, 0, 0, 1]).is_usable());
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_usable());
    }
}

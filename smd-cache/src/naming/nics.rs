//! Networks and interfaces as parts of names: `hsn` and `hsn0` in `nid001000-hsn0`.
//!
//! A number must not move to another interface because something else came or went. It cannot depend on what was before:
//! several smd-caches with other histories would differ. So it is one of two things:
//! - what SMD's description of the interface says, where that is the network and a number (`HSN0`, `hsn 0`): it never moves;
//! - else its place in the order of MACs among the interfaces that the component has on this network, through the numbers
//!   that no description says: it moves only when one of the same component on the same network with a lower MAC comes or
//!   goes. What has no address on the network does not count.

use std::collections::BTreeSet;

/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// Digits of a number in a description. A guess: nodes have a dozen interfaces.
const MAX_DIGITS: usize = 3;

/// A network's name as a DNS label: in lower case, one `-` for each run of what is no letter or digit, none at the ends.
/// `None`: nothing is left, or too much.
pub fn label(network: &str) -> Option<String> {
    let mut label = String::with_capacity(network.len());
    for character in network.chars() {
        match character {
            character if character.is_ascii_alphanumeric() => label.push(character.to_ascii_lowercase()),
            _ if label.is_empty() || label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    (1..=MAX_LABEL).contains(&label.len()).then_some(label)
}

/// The numbers of the interfaces that one component has on one network, whose descriptions these are, in the order of MACs.
pub fn numbers<'a>(label: &str, descriptions: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let mut taken = BTreeSet::new();
    // Of two with one description the first has the number.
    let described = descriptions.map(|text| described(label, text).filter(|number| taken.insert(*number)));
    let described: Vec<Option<u32>> = described.collect();
    let mut left = (0..).filter(|number| !taken.contains(number));
    let number = |described: Option<u32>| described.or_else(|| left.next());
    described.into_iter().filter_map(number).collect()
}

/// The number after the network's name.
fn described(network: &str, description: &str) -> Option<u32> {
    let description = label(description)?;
    let rest = description.strip_prefix(network)?;
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    let is_number = digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_label_of_what_can_be_in_one() {
        for (network, wanted) in [
            ("HSN", Some("hsn")),
            ("hmn_rvr", Some("hmn-rvr")),
            (" High  Speed (1) ", Some("high-speed-1")),
            ("10.40/16", Some("10-40-16")),
            ("é", None),
            ("naïve", Some("na-ve")),
            ("-", None),
            ("", None),
            (&"a".repeat(63), Some(&"a".repeat(63))),
            (&"a".repeat(64), None),
        ] {
            assert_eq!(label(network).as_deref(), wanted, "{network}");
        }
    }

    #[test]
    fn interfaces_are_numbered_as_described_and_else_in_order() {
        for (descriptions, wanted) in [
            (&["", "", ""][..], &[0, 1, 2][..]),
            (&["HSN1", "hsn 0"], &[1, 0]),
            (&["", "hsn0", "boot"], &[1, 0, 2]),
            (&["hsn-2", "", "", ""], &[2, 0, 1, 3]),
            (&["hsn0", "hsn_0", ""], &[0, 1, 2]),
            (&["hsn", "hsn9999", "nmn7", "hsn0a"], &[0, 1, 2, 3]),
            (&[], &[]),
        ] {
            assert_eq!(numbers("hsn", descriptions.iter().copied()), wanted, "{descriptions:?}");
        }
    }

    #[test]
    fn what_is_described_stays_whatever_comes_or_goes() {
        let all = ["a", "hsn3", "b", "hsn1", "c"];
        for left_out in [0, 2, 4] {
            let rest: Vec<&str> =
                all.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, text)| *text).collect();
            let numbers = numbers("hsn", rest.iter().copied());
            for (text, number) in rest.iter().zip(numbers) {
                let wanted = text.strip_prefix("hsn").map(|digit| digit.parse().unwrap());
                assert!(wanted.is_none_or(|wanted: u32| wanted == number), "{rest:?}");
            }
        }
    }
}

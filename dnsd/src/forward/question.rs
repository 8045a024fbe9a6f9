//! What is asked of forwarders: also the key that their answers are kept under.

/// Longest name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
/// Type and flags.
const MORE: usize = 3;

const DNSSEC: u8 = 1;
const CHECKING_DISABLED: u8 = 2;

/// A question of class IN, with the two bits that change its answer. On the stack, so that looking it up allocates nothing.
#[derive(Clone, Copy)]
pub struct Question {
    bytes: [u8; MAX_NAME + MORE],
    length: u16,
}

impl Question {
    /// The name is in wire form and lower case.
    pub fn new(name: &[u8], kind: u16, dnssec: bool, checking_disabled: bool) -> Question {
        let mut question = Question { bytes: [0; MAX_NAME + MORE], length: (name.len() + MORE) as u16 };
        question.bytes[..name.len()].copy_from_slice(name);
        let [high, low] = kind.to_be_bytes();
        let flags = if dnssec { DNSSEC } else { 0 } | if checking_disabled { CHECKING_DISABLED } else { 0 };
        question.bytes[name.len()..name.len() + MORE].copy_from_slice(&[high, low, flags]);
        question
    }

    /// All of it.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Wire form, lower case.
    pub fn name(&self) -> &[u8] {
        &self.key()[..usize::from(self.length) - MORE]
    }

    /// QTYPE.
    pub fn kind(&self) -> u16 {
        let at = usize::from(self.length) - MORE;
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// DO.
    pub fn dnssec(&self) -> bool {
        self.flags() & DNSSEC != 0
    }

    /// CD.
    pub fn checking_disabled(&self) -> bool {
        self.flags() & CHECKING_DISABLED != 0
    }

    fn flags(&self) -> u8 {
        self.bytes[usize::from(self.length) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{kind, to_wire};

    #[test]
    fn a_question_says_what_it_was_made_of_and_each_part_makes_another_key() {
        let (name, other) =
            (to_wire(&"www.example.com".parse().unwrap()), to_wire(&"w.example".parse().unwrap()));
        let mut keys = std::collections::HashSet::new();
        for name in [&name, &other] {
            for kind in [kind::A, kind::AAAA, 0x0100] {
                for (dnssec, checking_disabled) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let question = Question::new(name, kind, dnssec, checking_disabled);
                    assert_eq!(
                        (question.name(), question.kind(), question.dnssec(), question.checking_disabled()),
                        (&**name, kind, dnssec, checking_disabled)
                    );
                    assert!(keys.insert(question.key().to_vec()));
                }
            }
        }
    }
}

//! Queries to forwarders. What somebody who sees none of them must guess to slip us an answer: 16 bits of id, some 14.8 of source port
//! (the kernel picks one of 28,232 for each query) and one for each letter of the name, whose case we mix (draft-vixie-dnsext-dns0x20).

use super::Question;
use crate::wire::{CLASS_IN, HEADER, OPT_LENGTH, flag, push_opt};
use rustls::crypto::ring;

/// Random numbers nobody can guess; `fastrand` is for jitter.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let source = ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the kernel has random numbers once it has booted");
    bytes
}

/// An id.
pub fn id() -> u16 {
    u16::from_be_bytes(random())
}

/// The name with each letter in a case of its own, and one at least that is not as clients write it.
pub fn spell(name: &[u8]) -> Box<[u8]> {
    let coins: [u8; 32] = random();
    // Lengths of labels are below 'A', so only letters change.
    let flipped = name.iter().enumerate().map(|(at, byte)| match coins[at / 8] >> (at % 8) & 1 {
        1 => byte.to_ascii_uppercase(),
        _ => *byte,
    });
    let mut spelled: Box<[u8]> = flipped.collect();
    if !spelled.iter().any(u8::is_ascii_uppercase)
        && let Some(letter) = spelled.iter_mut().find(|byte| byte.is_ascii_lowercase())
    {
        letter.make_ascii_uppercase();
    }
    spelled
}

/// How many bits a spelling is worth.
pub fn letters(name: &[u8]) -> usize {
    name.iter().filter(|byte| byte.is_ascii_alphabetic()).count()
}

/// The query. Of the client's only the question, DO and CD are in it: no option, and never its address (RFC 7871).
pub fn write(question: &Question, spelled: &[u8], id: u16, edns: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + spelled.len() + 4 + OPT_LENGTH);
    // AD: we understand it in answers (RFC 6840 §5.7).
    let checking = if question.checking_disabled() { flag::CHECKING_DISABLED } else { 0 };
    let flags = flag::RECURSION_DESIRED | flag::AUTHENTIC_DATA | checking;
    for word in [id, flags, 1, 0, 0, u16::from(edns)] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(spelled);
    out.extend_from_slice(&question.kind().to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    if edns {
        push_opt(0, question.dnssec(), &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, kind, to_wire};

    #[test]
    fn a_query_is_one_that_we_would_read_ourselves() {
        let name = to_wire(&"www.example.com".parse().unwrap());
        for (dnssec, checking_disabled) in [(false, false), (true, false), (true, true)] {
            let question = Question::new(&name, kind::AAAA, dnssec, checking_disabled);
            let bytes = write(&question, &spell(&name), 0x1234, true);
            let read = wire::read(&bytes).unwrap();
            assert!(!read.malformed && read.recursion_desired());
            assert_eq!((read.id, read.checking_disabled()), (0x1234, checking_disabled));
            let edns = read.edns.unwrap();
            assert_eq!((edns.size, edns.version, edns.dnssec), (1232, 0, dnssec));
            let asked = read.question.unwrap();
            assert_eq!((asked.name.as_bytes(), asked.kind, asked.class), (&*name, kind::AAAA, CLASS_IN));
        }
    }

    #[test]
    fn the_spelling_differs_from_one_time_to_the_next_and_the_name_stays() {
        let name = to_wire(&"a-rather-long-name.with-many-letters.example.com".parse().unwrap());
        let (one, two) = (spell(&name), spell(&name));
        assert_ne!(one, two, "2^-40 that they are equal");
        assert!(one.eq_ignore_ascii_case(&name) && two.eq_ignore_ascii_case(&name));
        assert_eq!(letters(&name), 40);
        let short = to_wire(&"x.0".parse().unwrap());
        assert!((0..100).all(|_| *spell(&short) == *b"\x01X\x010\0"), "told from what clients write");
        assert_eq!(*spell(&[0]), [0]);
    }
}

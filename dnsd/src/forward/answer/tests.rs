use super::*;
use crate::{
    fixture::text,
    forward::tests::message,
    wire::{push_opt, to_wire},
};
use proptest::prelude::*;

const SPELLED: &[u8] = b"\x03wWw\x07exAMple\x03com\0";

fn sent() -> Sent<'static> {
    Sent { id: 7, spelled: SPELLED, kind: kind::A }
}

/// An answer to [`sent`], from records as in a zone file.
fn received(rcode: u16, sections: [&str; 3]) -> Vec<u8> {
    message(7, SPELLED, kind::A, rcode, sections)
}

fn whole(bytes: &[u8]) -> Answer {
    match check(bytes, sent()) {
        Ok(Received::Whole(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_answer_to_our_query_is_heeded() {
    let good = received(0, ["www.example.com. 60 A 192.0.2.1", "", ""]);
    assert!(matches!(check(&good, sent()), Ok(Received::Whole(_))));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        check(&bytes, sent()).unwrap_err()
    };
    for (wrong, change) in [
        (Wrong::Id, (|bytes| bytes[0] ^= 1) as fn(&mut Vec<u8>)),
        (Wrong::NotAnAnswer, |bytes| bytes[2] &= 0x7f),
        (Wrong::NotAnAnswer, |bytes| bytes[2] |= 0x10),
        (Wrong::Question, |bytes| bytes[5] = 0),
        (Wrong::Question, |bytes| bytes[5] = 2),
        (Wrong::Question, |bytes| bytes[13] = b'x'),
        (Wrong::Question, |bytes| bytes[HEADER + SPELLED.len() + 1] = 28),
        (Wrong::Question, |bytes| bytes[HEADER + SPELLED.len() + 3] = 3),
        (Wrong::Spelling, |bytes| bytes[13] ^= 0x20),
        (Wrong::Malformed, |bytes| bytes.truncate(11)),
        (Wrong::Malformed, |bytes| bytes.truncate(bytes.len() - 1)),
        (Wrong::Malformed, |bytes| bytes[7] = 2),
        (Wrong::Question, |bytes| bytes.truncate(20)),
    ] {
        assert_eq!(with(change), wrong);
    }
}

#[test]
fn a_name_that_points_forward_or_at_itself_is_garbage() {
    let good = received(0, ["www.example.com. 60 A 192.0.2.1", "", ""]);
    let at = HEADER + SPELLED.len() + 4;
    assert_eq!(good[at..at + 2], [0xc0, 12], "the owner is a pointer");
    for target in [at as u8, at as u8 + 2, 0, 11] {
        let mut bytes = good.clone();
        bytes[at + 1] = target;
        assert_eq!(check(&bytes, sent()), Err(Wrong::Malformed), "{target}");
    }
}

#[test]
fn truncation_counts_whatever_stands_behind_it() {
    let mut bytes = received(0, ["www.example.com. 60 A 192.0.2.1", "", ""]);
    bytes[2] |= 2;
    bytes.truncate(bytes.len() - 3);
    assert_eq!(check(&bytes, sent()), Ok(Received::Truncated));
}

#[test]
fn servers_that_do_not_read_further_may_answer_with_a_header() {
    let header = |rcode: u8| vec![0, 7, 0x81, 0x80 | rcode, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(check(&header(1), sent()), Ok(Received::NoEdns));
    for rcode in [2, 4, 5] {
        let answer = whole(&header(rcode));
        assert_eq!((answer.rcode, answer.is_failure(), answer.records_at()), (rcode.into(), true, 33));
    }
    assert_eq!(check(&header(0), sent()), Err(Wrong::Question));
    assert_eq!(check(&header(3), sent()), Err(Wrong::Question));
}

#[test]
fn opt_goes_wherever_it_stands_and_names_stay_right() {
    let sections = [
        "www.example.com. 60 MX 5 mail.example.com.",
        "example.com. 60 NS ns.example.com.",
        "zz.other.net. 60 A 192.0.2.9|zz.other.net. 60 AAAA 2001:db8::9",
    ];
    let plain = received(0, sections);
    let mut opt = Vec::new();
    push_opt(0x100, true, &mut opt);
    let walked: Vec<Record> = records(&plain, HEADER + SPELLED.len() + 4).flatten().collect();
    let (third, last) = (walked[2].whole.start, walked[3].whole.start);
    assert_eq!(plain[last..last + 2], [0xc0, third as u8], "the last owner is a pointer to the third");
    for at in [third, last, plain.len()] {
        let mut bytes = plain.clone();
        if at == third {
            bytes[last + 1] += opt.len() as u8;
        }
        bytes.splice(at..at, opt.clone());
        bytes[11] += 1;
        let answer = whole(&bytes);
        assert_eq!(answer.rcode, 0x100, "the upper bits of the response code stood in OPT");
        let mut again = answer.bytes.to_vec();
        again[2] = 0x80;
        assert_eq!(
            text(&again),
            "NoError ra; www.example.com. 60 MX 5 mail.example.com.; example.com. 60 NS ns.example.com.; \
             zz.other.net. 60 A 192.0.2.9, zz.other.net. 60 AAAA 2001:db8::9"
        );
    }
    let mut twice = plain.clone();
    twice.extend_from_slice(&opt);
    twice.extend_from_slice(&opt);
    twice[11] += 2;
    assert_eq!(check(&twice, sent()), Err(Wrong::Malformed));
}

#[test]
fn answers_are_kept_as_long_as_their_records_say() {
    let soa = |ttl: u32, minimum: u32| {
        format!("example.com. {ttl} SOA ns.example.com. hostmaster.example.com. 1 2 3 4 {minimum}")
    };
    let table = [
        (0, "www.example.com. 300 A 192.0.2.1", String::new(), "", 300),
        (0, "www.example.com. 300 A 192.0.2.1", "example.com. 60 NS ns.example.com.".into(), "", 60),
        (0, "www.example.com. 300 A 192.0.2.1", String::new(), "ns.example.com. 20 A 192.0.2.9", 20),
        (0, "www.example.com. 0 A 192.0.2.1", String::new(), "", 0),
        (0, "www.example.com. 999999 A 192.0.2.1", String::new(), "", 86_400),
        (0, "www.example.com. 4000000000 A 192.0.2.1", String::new(), "", 0),
        (0, "www.example.com. 30 CNAME a.example.com.|a.example.com. 90 A 192.0.2.1", String::new(), "", 30),
        // Nothing there: the SOA says how long, and without one it is not kept.
        (3, "", soa(900, 300), "", 300),
        (3, "", soa(200, 300), "", 200),
        (0, "", soa(900, 300), "", 300),
        (0, "", soa(90_000, 90_000), "", 3600),
        (0, "", String::new(), "", 0),
        (3, "", String::new(), "", 0),
        (0, "", "example.com. 60 NS ns.example.com.".into(), "", 0),
        // Behind an alias, too.
        (3, "www.example.com. 30 CNAME a.example.com.", soa(900, 300), "", 30),
        (0, "www.example.com. 900 CNAME a.example.com.", soa(900, 300), "", 300),
        (0, "www.example.com. 900 CNAME a.example.com.", String::new(), "", 0),
        // Failures.
        (2, "", String::new(), "", 5),
        (5, "", soa(900, 300), "", 5),
        (6, "", String::new(), "", 5),
    ];
    for (rcode, answers, authority, additional, wanted) in table {
        let answer = whole(&received(rcode, [answers, &authority, additional]));
        assert_eq!(answer.lifetime(), wanted, "{rcode}; {answers}; {authority}; {additional}");
    }
}

#[test]
fn our_own_servfail_is_an_answer_like_others() {
    let question = Question::new(&to_wire(&"www.example.com".parse().unwrap()), kind::A, true, false);
    let answer = Answer::servfail(&question);
    assert_eq!((answer.rcode, answer.lifetime(), answer.records_at(), answer.bytes.len()), (2, 5, 33, 33));
    let root = Answer::servfail(&Question::new(&[0], kind::NS, false, false));
    assert_eq!((root.records_at(), root.bytes.len()), (17, 17));
}

proptest! {
    /// No bytes, in a message that is ours as far as the question goes, make it panic or keep something that cannot be served.
    #[test]
    fn nothing_that_comes_does_harm(
        counts in proptest::collection::vec(0u8..4, 3),
        flags in any::<[u8; 2]>(),
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xc0), Just(12), Just(1), Just(41)], 0..200),
    ) {
        let mut bytes = received(0, ["", "", ""]);
        bytes[2] = flags[0] & 0x07 | 0x80;
        bytes[3] = flags[1];
        for (at, count) in [7, 9, 11].into_iter().zip(counts) {
            bytes[at] = count;
        }
        bytes.extend_from_slice(&rest);
        if let Ok(Received::Whole(answer)) = check(&bytes, sent()) {
            let _ = answer.lifetime();
            let counted: u16 = [6, 8, 10].iter().map(|at| u16::from_be_bytes([answer.bytes[*at], answer.bytes[at + 1]])).sum();
            prop_assert_eq!(records(&answer.bytes, answer.records_at()).flatten().count(), usize::from(counted));
        }
    }
}

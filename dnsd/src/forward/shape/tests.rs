use super::*;
use crate::{
    decide::Forward,
    fixture::text,
    forward::{
        Question,
        answer::{Received, Sent, check},
        tests::message,
    },
    transfer::tsig::{Key, Session},
    wire::to_wire,
};
use config::TsigAlgorithm;
use std::sync::Arc;

fn wire(name: &str) -> Box<[u8]> {
    to_wire(&name.parse().unwrap())
}

fn received(name: &str, rcode: u16, sections: [&str; 3]) -> Answer {
    let name = wire(name);
    let bytes = message(7, &name, kind::A, rcode, sections);
    match check(&bytes, Sent { id: 7, spelled: &name, kind: kind::A }) {
        Ok(Received::Whole(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

/// A client's query: flags, the name as it spells it, and the size and DO of its OPT.
fn query(flags: u16, spelled: &[u8], edns: Option<(u16, bool)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x1234, flags, 1, 0, 0, u16::from(edns.is_some())] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(spelled);
    bytes.extend_from_slice(&[0, 1, 0, 1]);
    if let Some((size, dnssec)) = edns {
        let at = bytes.len();
        push_opt(0, dnssec, &mut bytes);
        bytes[at + 3..at + 5].copy_from_slice(&size.to_be_bytes());
    }
    bytes
}

struct Shaped {
    bytes: Vec<u8>,
    truncated: bool,
}

fn shaped(query: &[u8], transport: Transport, aliases: &[&Alias], answer: &Answer, age: Age) -> Shaped {
    let message = &wire::read(query).unwrap();
    assert!(!message.malformed);
    let mut bytes = vec![1, 2, 3];
    let truncated = write(For { message, transport, aliases }, answer, age, &mut bytes);
    Shaped { bytes, truncated }
}

const RD: u16 = 0x0100;

#[test]
fn the_client_gets_its_id_its_spelling_and_the_bits_that_are_its() {
    let mut answer = received("www.example.com", 0, ["www.example.com. 60 A 192.0.2.1", "", ""]);
    answer.authentic = true;
    let spelled = b"\x03WWW\x07Example\x03cOm\0";
    for (flags, dnssec, wanted) in [
        (RD, None, 0x8180),
        // CD comes back; AD only to who shows interest.
        (RD | 0x0010, None, 0x8190),
        (RD | 0x0020, None, 0x81a0),
        (RD, Some(false), 0x8180),
        (RD, Some(true), 0x81a0),
    ] {
        let query = query(flags, spelled, dnssec.map(|dnssec| (4096, dnssec)));
        let reply = shaped(&query, Transport::Udp, &[], &answer, Age::Fresh(0)).bytes;
        assert_eq!(reply[..2], [0x12, 0x34]);
        assert_eq!(u16::from_be_bytes([reply[2], reply[3]]), wanted, "{flags:04x} {dnssec:?}");
        assert_eq!(&reply[HEADER..HEADER + spelled.len()], spelled);
        let opt = reply.len() - OPT_LENGTH;
        assert_eq!(reply[11] == 1, dnssec.is_some(), "OPT where the client has one");
        if let Some(dnssec) = dnssec {
            let flag = if dnssec { 0x80 } else { 0 };
            assert_eq!(reply[opt..], [0, 0, 41, 4, 208, 0, 0, flag, 0, 0, 0], "ours, not the forwarder's");
        }
    }
    answer.authentic = false;
    let reply = shaped(&query(RD | 0x20, spelled, None), Transport::Udp, &[], &answer, Age::Fresh(0)).bytes;
    assert_eq!(reply[3] & 0x20, 0);
}

#[test]
fn time_gone_by_is_taken_off_every_ttl() {
    let sections = [
        "www.example.com. 60 A 192.0.2.1",
        "example.com. 100 NS ns.example.com.",
        "ns.example.com. 4000000000 A 192.0.2.9",
    ];
    let answer = received("www.example.com", 0, sections);
    let query = query(RD, &wire("www.example.com"), None);
    for (age, ttls) in [
        (Age::Fresh(0), [60, 100, 0]),
        (Age::Fresh(59), [1, 41, 0]),
        (Age::Fresh(70), [0, 30, 0]),
        (Age::Stale(30), [30, 30, 30]),
    ] {
        let [a, ns, glue] = ttls;
        assert_eq!(
            text(&shaped(&query, Transport::Udp, &[], &answer, age).bytes),
            format!(
                "NoError ra; www.example.com. {a} A 192.0.2.1; example.com. {ns} NS ns.example.com.; ns.example.com. {glue} A 192.0.2.9"
            )
        );
    }
}

#[test]
fn what_does_not_fit_is_cut_to_the_question_and_says_so() {
    let many: Vec<String> = (0..40).map(|last| format!("www.example.com. 60 A 192.0.2.{last}")).collect();
    let answer = received("www.example.com", 0, [&many.join("|"), "", ""]);
    let name = wire("www.example.com");
    let length = 33 + 40 * 16;
    for (edns, transport, fits) in [
        (None, Transport::Udp, false),
        (Some(512), Transport::Udp, false),
        (Some(100), Transport::Udp, false),
        (Some(length as u16 + 10), Transport::Udp, false),
        (Some(length as u16 + 11), Transport::Udp, true),
        (Some(1232), Transport::Udp, true),
        (None, Transport::Tcp, true),
        (None, Transport::Tls, true),
        (Some(512), Transport::Https, true),
    ] {
        let query = query(RD, &name, edns.map(|size| (size, false)));
        let Shaped { bytes, truncated } = shaped(&query, transport, &[], &answer, Age::Fresh(0));
        let opt = if edns.is_some() { OPT_LENGTH } else { 0 };
        assert_eq!(truncated, !fits, "{edns:?} {transport:?}");
        assert_eq!(bytes.len(), if fits { length } else { 33 } + opt, "{edns:?} {transport:?}");
        assert_eq!(bytes[2] & 2 != 0, truncated);
        assert_eq!(u16::from_be_bytes([bytes[6], bytes[7]]), if fits { 40 } else { 0 });
    }
    let large = Some((4096, false));
    let more: Vec<String> = (0..100).map(|last| format!("www.example.com. 60 A 192.0.2.{last}")).collect();
    let answer = received("www.example.com", 0, [&more.join("|"), "", ""]);
    assert!(
        shaped(&query(RD, &name, large), Transport::Udp, &[], &answer, Age::Fresh(0)).truncated,
        "1232 at most"
    );
}

#[test]
fn aliases_of_ours_come_first_and_names_behind_them_stay_right() {
    let sections = [
        "www.example.com. 60 CNAME host.example.com.|host.example.com. 60 A 192.0.2.1",
        "example.com. 60 SOA ns.example.com. root.example.com. 1 2 3 4 5|example.com. 60 NS ns.example.com.",
        "ns.example.com. 60 A 192.0.2.9|x.host.example.com. 60 SRV 1 2 3 host.example.com.",
    ];
    let answer = received("www.example.com", 0, sections);
    let one = Alias { target: wire("www.example.com"), ttl: 300, searched: false };
    let two = Alias { target: wire("in.cluster.local"), ttl: 20, searched: false };
    let aliased = Forward { aliases: vec![&two, &one], name: &one.target, kind: kind::A };
    let query = query(RD, b"\x03oUt\x07cluster\x05local\0", Some((4096, false)));
    let reply = shaped(&query, Transport::Udp, &aliased.aliases, &answer, Age::Fresh(10)).bytes;
    let two = Alias { searched: true, ..two };
    let searched = shaped(&query, Transport::Udp, &[&two, &one], &answer, Age::Fresh(10)).bytes;
    assert_eq!(
        text(&searched).replacen("NoError", "NoError aa", 1),
        text(&reply),
        "AA is for what stands in our zones"
    );
    let reply = text(&reply);
    let (answers, rest) = reply.split_once("; example.com.").unwrap();
    assert_eq!(
        answers,
        "NoError aa ra; oUt.cluster.local. 20 CNAME in.cluster.local., in.cluster.local. 300 CNAME www.example.com., \
         www.example.com. 50 CNAME host.example.com., host.example.com. 50 A 192.0.2.1"
    );
    assert!(
        rest.starts_with(
            " 50 SOA ns.example.com. root.example.com. 1 2 3 4 5, example.com. 50 NS ns.example.com.; \
             ns.example.com. 50 A 192.0.2.9, x.host.example.com. 50 SRV 1 2 3 host.example.com."
        ),
        "{rest}"
    );
    // What a search made of a short name is in no zone of ours.
    let searched = Alias { searched: true, ..two.clone() };
    let reply = shaped(&query, Transport::Udp, &[&searched, &one], &answer, Age::Fresh(10)).bytes;
    assert!(text(&reply).starts_with("NoError ra; oUt.cluster.local. 20 CNAME"), "{}", text(&reply));
}

#[test]
fn a_target_too_far_for_a_pointer_is_servfail_not_garbage() {
    // More than 16 KiB of text, then an owner that is pointed at again.
    let text_of = |number: usize| format!("www.example.com. 60 TXT \"{number:0>250}\"");
    let texts: Vec<String> = (0..61).map(text_of).collect();
    let last = "|a-name-of-its-own.net. 60 A 192.0.2.1|a-name-of-its-own.net. 60 AAAA 2001:db8::1";
    let answer = received("www.example.com", 0, [&(texts.join("|") + last), "", ""]);
    assert!(answer.bytes.len() > 16_000 && answer.bytes.len() < 16_384, "{}", answer.bytes.len());
    let query = query(RD, &wire("out.cluster.local"), None);
    let alias = Alias { target: wire("www.example.com"), ttl: 300, searched: false };
    let long =
        Alias { target: wire(&format!("{0}.{0}.{0}.local", "x".repeat(60))), ttl: 300, searched: false };
    let near = shaped(&query, Transport::Tcp, &[&alias], &answer, Age::Fresh(0)).bytes;
    let far = shaped(&query, Transport::Tcp, &[&long, &long, &long, &alias], &answer, Age::Fresh(0)).bytes;
    assert!(
        text(&near)
            .ends_with("a-name-of-its-own.net. 60 A 192.0.2.1, a-name-of-its-own.net. 60 AAAA 2001:db8::1")
    );
    assert_eq!(text(&far), "ServFail aa ra");
}

#[test]
fn response_codes_pass_and_those_that_need_opt_need_it() {
    let name = wire("www.example.com");
    for (rcode, edns, wanted) in [
        (3, None, (3, 0)),
        (5, None, (5, 0)),
        (9, None, (9, 0)),
        (23, Some((1232, false)), (7, 1)),
        (23, None, (2, 0)),
    ] {
        let mut answer = received("www.example.com", 0, ["", "", ""]);
        answer.rcode = rcode;
        let reply = shaped(&query(RD, &name, edns), Transport::Udp, &[], &answer, Age::Fresh(0)).bytes;
        let upper = if edns.is_some() { reply[reply.len() - OPT_LENGTH + 5] } else { 0 };
        assert_eq!((reply[3] & 0xf, upper), wanted, "{rcode}");
    }
}

#[test]
fn our_servfail_is_written_like_any_answer() {
    let name = wire("www.example.com");
    let answer = Answer::servfail(&Question::new(&name, kind::A, false, false));
    assert_eq!(
        text(&shaped(&query(RD, &name, None), Transport::Udp, &[], &answer, Age::Fresh(0)).bytes),
        "ServFail ra"
    );
}

#[test]
fn a_signature_has_its_room() {
    let text = "a".repeat(200);
    let records = [1, 2].map(|number| format!("www.example.com. 60 TXT \"{number}{text}\""));
    let answer = received("www.example.com", 0, [&records.join("|"), "", ""]);
    let unsigned = query(RD, &wire("www.example.com"), None);
    let mut signed = unsigned.clone();
    let key = Key::new(&"key.example".parse().unwrap(), TsigAlgorithm::HmacSha256, b"secret");
    Session::begin(Arc::new(key)).sign(&mut signed, 1000);
    let [plain, tight] =
        [unsigned, signed].map(|query| shaped(&query, Transport::Udp, &[], &answer, Age::Fresh(0)));
    assert!(!plain.truncated && (400..512).contains(&plain.bytes.len()), "{}", plain.bytes.len());
    assert!(tight.truncated, "with the signature it would not fit");
}

use super::*;
use crate::{
    fixture::{CONFIG, answer, config, query, replica, text},
    zones::Zones,
};
use proptest::prelude::*;
use std::sync::LazyLock;

static CLUSTER: LazyLock<(Zones, inventory::Replica)> = LazyLock::new(|| {
    let replica = replica();
    (Zones::build(&config(CONFIG), &replica, 1000), replica)
});

fn ask(bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
    answer(&CLUSTER.0, &CLUSTER.1, bytes, transport)
}

/// A query with an OPT record.
fn edns(question: &str, size: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut bytes = query(question);
    bytes[11] += 1;
    bytes.extend_from_slice(&[0, 0, 41]);
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(&[0, version]);
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
    bytes.extend_from_slice(options);
    bytes
}

/// Response code, AA, and the OPT record as `version/size/flags/length`, if there is one; read from the bytes.
fn seen(reply: &[u8]) -> (u16, bool, Option<String>) {
    let opt = reply
        .len()
        .checked_sub(11)
        .map(|at| &reply[at..])
        .filter(|opt| reply[11] > 0 && opt[..3] == [0, 0, 41]);
    let high = opt.map_or(0, |opt| u16::from(opt[5]) << 4);
    let opt = opt.map(|opt| {
        let number = |at: usize| u16::from_be_bytes([opt[at], opt[at + 1]]);
        format!("{}/{}/{:04x}/{}", opt[6], number(3), number(7), number(9))
    });
    (high | u16::from(reply[3] & 0xf), reply[2] & 4 != 0, opt)
}

#[test]
fn edns_compliance() {
    let soa = "cluster.local. SOA";
    let opt = |flags: &str| Some(format!("0/1232/{flags}/0"));
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let list = [&[0, 3, 0, 0][..], &[0, 8, 0, 4, 0, 1, 0, 0], &[0, 9, 0, 0], &cookie].concat();
    // As ISC's EDNS compliance test asks: dns, edns, edns1, edns@512, ednsopt, edns1opt, do, ednsflags, optlist.
    let table = [
        ("no OPT, none back", query(soa), (0, true, None)),
        ("EDNS 0", edns(soa, 4096, 0, 0, &[]), (0, true, opt("0000"))),
        ("EDNS 1", edns(soa, 4096, 1, 0, &[]), (16, false, opt("0000"))),
        ("a small buffer", edns(soa, 512, 0, 0, &[]), (0, true, opt("0000"))),
        ("an absurd buffer", edns(soa, 0, 0, 0, &[]), (0, true, opt("0000"))),
        ("an unknown option", edns(soa, 4096, 0, 0, &[0, 100, 0, 0]), (0, true, opt("0000"))),
        ("EDNS 1 with an unknown option", edns(soa, 4096, 1, 0, &[0, 100, 0, 0]), (16, false, opt("0000"))),
        ("DO", edns(soa, 4096, 0, 0x8000, &[]), (0, true, opt("8000"))),
        ("Z bits", edns(soa, 4096, 0, 0x0080, &[]), (0, true, opt("0000"))),
        ("DO and Z bits", edns(soa, 4096, 0, 0xffff, &[]), (0, true, opt("8000"))),
        ("a list of known options", edns(soa, 4096, 0, 0, &list), (0, true, opt("0000"))),
        ("a cookie, never echoed", edns(soa, 4096, 0, 0, &cookie), (0, true, opt("0000"))),
        ("with REFUSED", edns("example.com. A", 4096, 0, 0, &[]), (5, false, opt("0000"))),
        ("with NXDOMAIN", edns("nope.cluster.local. A", 4096, 0, 0, &[]), (3, true, opt("0000"))),
        ("an option longer than the record", edns(soa, 4096, 0, 0, &[0, 100, 0, 9, 1]), (1, false, None)),
    ];
    for transport in Transport::ALL {
        for (what, query, wanted) in &table {
            let reply = ask(query, transport).unwrap();
            assert_eq!(seen(&reply), *wanted, "{what} over {transport:?}");
            assert_eq!(reply[..2], query[..2], "{what}: the id");
        }
    }
    let badvers = ask(&edns(soa, 4096, 1, 0, &[]), Transport::Udp).unwrap();
    assert_eq!(badvers[6..8], [0, 0], "no SOA with BADVERS");
}

#[test]
fn what_cannot_be_read_is_formerr_and_never_more_than_was_read() {
    let whole = query("nid0001.cluster.local. A");
    let edit = |change: fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let two_opts = {
        let mut bytes = edns("nid0001.cluster.local. A", 512, 0, 0, &[]);
        let opt = bytes[bytes.len() - 11..].to_vec();
        bytes.extend_from_slice(&opt);
        bytes[11] = 2;
        bytes
    };
    let table = [
        ("no question", edit(|bytes| bytes[5] = 0)),
        ("two questions", edit(|bytes| bytes[5] = 2)),
        ("nothing after the header", edit(|bytes| bytes.truncate(12))),
        ("type and class cut short", edit(|bytes| bytes.truncate(bytes.len() - 3))),
        ("name not ended", edit(|bytes| bytes.truncate(20))),
        ("reserved label type", edit(|bytes| bytes[12] = 0x40)),
        ("pointer to itself", edit(|bytes| bytes[12..14].copy_from_slice(&[0xc0, 12]))),
        ("pointer into the header", edit(|bytes| bytes[12..14].copy_from_slice(&[0xc0, 0]))),
        ("an answer that is not there", edit(|bytes| bytes[7] = 1)),
        ("65535 records that are not there", edit(|bytes| bytes[10..12].copy_from_slice(&[0xff, 0xff]))),
        ("two OPT records", two_opts),
        ("zeros", vec![0; 12]),
    ];
    for (what, query) in table {
        let reply = ask(&query, Transport::Udp).unwrap();
        assert_eq!(seen(&reply).0, 1, "{what}");
        assert_eq!(reply[6..12], [0; 6], "{what}: no records");
    }
}

#[test]
fn what_answers_and_what_is_no_message_get_silence() {
    let mut response = query("nid0001.cluster.local. A");
    response[2] |= 0x80;
    assert_eq!(ask(&response, Transport::Udp), None);
    for length in 0..12 {
        assert_eq!(ask(&vec![0; length], Transport::Udp), None);
    }
}

#[test]
fn opcode_and_class_are_looked_at_before_the_name() {
    let mut bytes = query("nid0001.cluster.local. A");
    for opcode in 1..16 {
        bytes[2] = opcode << 3;
        assert_eq!(seen(&ask(&bytes, Transport::Udp).unwrap()).0, 4, "opcode {opcode}");
    }
    bytes[2] = 0;
    for class in [0, 2, 3, 4, 254, 255] {
        *bytes.last_mut().unwrap() = class;
        assert_eq!(seen(&ask(&bytes, Transport::Udp).unwrap()), (5, false, None), "class {class}");
    }
}

#[test]
fn the_question_comes_back_byte_for_byte_and_flags_as_they_must() {
    let mut bytes = query("nId0001.ClusTer.loCAL. A");
    // Everything a client can set: AA, TC, RD, RA, Z, AD, CD.
    bytes[2] |= 0x07;
    bytes[3] |= 0xf0;
    let reply = ask(&bytes, Transport::Udp).unwrap();
    assert_eq!(reply[12..bytes.len()], bytes[12..]);
    assert_eq!(reply[2..4], [0x85, 0x10], "QR AA RD, CD");
}

#[test]
fn what_does_not_fit_is_truncated_whole_and_keeps_question_and_opt() {
    let many: Vec<String> = (0..90).map(|last| format!("    - \"many A 10.0.0.{last}\"\n")).collect();
    let config = config(&format!("domain: cluster.local\ndnsd:\n  records:\n{}", many.concat()));
    let replica = replica();
    let zones = Zones::build(&config, &replica, 1000);
    let ask = |query: &[u8], transport| answer(&zones, &replica, query, transport).unwrap();
    let plain = query("many.cluster.local. A");
    let with_opt = edns("many.cluster.local. A", 4096, 0, 0, &[]);

    let cut = ask(&plain, Transport::Udp);
    assert_eq!(text(&cut), "NoError aa tc");
    assert_eq!(cut[12..], plain[12..]);
    let cut = ask(&with_opt, Transport::Udp);
    assert_eq!((text(&cut).as_str(), seen(&cut).2), ("NoError aa tc", Some("0/1232/0000/0".into())));
    let whole = ask(&with_opt, Transport::Tcp);
    assert_eq!(whole[6..8], [0, 90]);
    assert!(!text(&whole).contains(" tc"));
}

#[test]
fn of_an_answer_that_is_cut_short_the_question_and_opt_are_left() {
    for (query, rcode) in [
        (query("nid0001.cluster.local. A"), 0),
        (edns("nid0001.cluster.local. A", 4096, 0, 0, &[]), 0),
        (edns("nope.cluster.local. A", 4096, 0, 0, &[]), 3),
    ] {
        let mut out = ask(&query, Transport::Udp).unwrap();
        let (whole, opt) = (seen(&out), out.clone());
        assert!(truncate(&query, &mut out));
        assert_eq!((out[2], out[3] & 0xf), (opt[2] | 2, rcode), "the same flags, and TC");
        assert_eq!((out[4..6].to_vec(), &out[6..10]), (vec![0, 1], &[0; 4][..]));
        assert_eq!((seen(&out), out.len() <= query.len()), (whole, true));
    }
}

#[test]
fn the_limit_is_exact() {
    // 12 header, 24 question, 16 a record, 11 OPT: 29 records are 500 bytes, with OPT 511; one more is 516 or 527.
    let zones = |count: usize| {
        let many: Vec<String> = (0..count).map(|last| format!("    - \"many A 10.0.0.{last}\"\n")).collect();
        let config = config(&format!("domain: cluster.local\ndnsd:\n  records:\n{}", many.concat()));
        Zones::build(&config, &replica(), 1000)
    };
    let question = "many.cluster.local. A";
    for (count, query, length) in [
        (29, query(question), 500),
        (30, query(question), 36),
        (29, edns(question, 512, 0, 0, &[]), 511),
        (30, edns(question, 512, 0, 0, &[]), 47),
        (30, edns(question, 527, 0, 0, &[]), 527),
    ] {
        let reply = answer(&zones(count), &replica(), &query, Transport::Udp).unwrap();
        assert_eq!(reply.len(), length, "{count} records: {}", text(&reply));
    }
}

#[test]
fn the_longest_name_is_answered() {
    let label = "b".repeat(63);
    let name = format!("{label}.{label}.{label}.{}.cluster.local.", "c".repeat(47));
    let bytes = query(&format!("{name} A"));
    assert_eq!(bytes.len(), 12 + 255 + 4);
    let reply = ask(&bytes, Transport::Udp).unwrap();
    assert!(text(&reply).starts_with("NXDomain aa; ; cluster.local."), "{}", text(&reply));
}

#[test]
fn a_dot_inside_a_label_is_no_label_boundary() {
    let mut bytes = query("nid0001xcluster.local. A");
    let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
    bytes[at] = b'.';
    assert_eq!(seen(&ask(&bytes, Transport::Udp).unwrap()).0, 5);
    let mut bytes = query("a.nid0001xb.cluster.local. A");
    let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
    bytes[at] = b'.';
    assert_eq!(seen(&ask(&bytes, Transport::Udp).unwrap()).0, 3);
}

fn labels() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "nid0001.cluster.local.",
        "www.cluster.local.",
        "host.child.cluster.local.",
        "0.16.172.in-addr.arpa.",
        "1.0.16.172.in-addr.arpa.",
        "rack.lab.test.",
        "cluster.local.",
        "example.com.",
    ]);
    let wire = |name: &str| to_wire(&name.parse().unwrap()).to_vec();
    let label = prop::collection::vec(any::<u8>(), 1..20)
        .prop_map(|label| [&[label.len() as u8], &label[..]].concat());
    let below = (prop::collection::vec(label, 0..4), known.prop_map(wire));
    below.prop_map(|(labels, name)| [labels.concat(), name].concat())
}

fn queries() -> impl Strategy<Value = Vec<u8>> {
    let kind =
        prop_oneof![prop::sample::select(vec![1u16, 2, 5, 6, 12, 15, 16, 28, 33, 65, 255]), any::<u16>()];
    let class = prop_oneof![4 => Just(1u16), 1 => any::<u16>()];
    let options =
        prop::option::of((any::<u16>(), prop_oneof![3 => Just(0u8), 1 => any::<u8>()], any::<u16>()));
    (any::<u16>(), 0u16..0x8000, labels(), kind, class, options).prop_map(
        |(id, flags, name, kind, class, opt)| {
            let mut bytes =
                [id.to_be_bytes(), flags.to_be_bytes(), [0, 1], [0; 2], [0; 2], [0, u8::from(opt.is_some())]]
                    .concat();
            bytes.extend_from_slice(&name);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&class.to_be_bytes());
            if let Some((size, version, flags)) = opt {
                bytes.extend_from_slice(&[0, 0, 41]);
                bytes.extend_from_slice(&size.to_be_bytes());
                bytes.extend_from_slice(&[0, version]);
                bytes.extend_from_slice(&flags.to_be_bytes());
                bytes.extend_from_slice(&[0, 0]);
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_us_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        _ = ask(&bytes, Transport::Udp);
    }

    #[test]
    fn no_change_to_a_query_makes_us_panic(
        query in queries(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = query;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Some(reply) = ask(&bytes, Transport::Udp) {
            prop_assert!(hickory_proto::op::Message::from_vec(&reply).is_ok() || reply[3] & 0xf != 0, "{:02x?}", reply);
            prop_assert_eq!(&reply[..2], &bytes[..2]);
        }
    }

    #[test]
    fn every_answer_parses_and_fits(query in queries()) {
        let reply = ask(&query, Transport::Udp).expect("QR is not set");
        let message = hickory_proto::op::Message::from_vec(&reply);
        prop_assert!(message.is_ok(), "{:?} {:02x?}", message, reply);
        prop_assert!(reply.len() <= UDP_LIMIT);
        let question_end = 12 + query[12..].len() - if query[11] == 1 { 11 } else { 0 };
        prop_assert_eq!(&reply[12..question_end], &query[12..question_end]);
        prop_assert_eq!(reply[2] & 0x80, 0x80);
        prop_assert_eq!(reply[3] & 0x80, 0, "no recursion");
    }
}

#[test]
fn the_shortest_ttl_is_of_any_record_but_opt() {
    use super::shortest_ttl;
    use hickory_proto::{
        op::{Edns, Message},
        rr::{Name, RData, Record, rdata::A},
    };
    let mut message = Message::query();
    assert_eq!(shortest_ttl(&message.to_vec().unwrap()), None);
    message.set_edns(Edns::new());
    assert_eq!(shortest_ttl(&message.to_vec().unwrap()), None);
    let record =
        |ttl| Record::from_rdata(Name::from_ascii("a.b.").unwrap(), ttl, RData::A(A::new(10, 0, 0, 1)));
    message.add_answer(record(60)).add_authority(record(9)).add_additional(record(300));
    let bytes = message.to_vec().unwrap();
    assert_eq!(shortest_ttl(&bytes), Some(9));
    for length in 0..bytes.len() {
        assert_eq!(shortest_ttl(&bytes[..length]), None, "cut at {length}");
    }
}

#[test]
fn who_asks_how_long_a_connection_may_be_idle_is_told_over_streams() {
    use crate::fixture::{CONFIG, config, query, replica};
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let with = |option: &[u8]| {
        let mut bytes = query("nid0001.cluster.local. A");
        bytes[11] = 1;
        bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.len() as u8]);
        bytes.extend_from_slice(option);
        bytes
    };
    let (empty, other) = ([0, 11, 0, 0], [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let both = [&other[..], &empty].concat();
    for (option, transport, wanted) in [
        (&empty[..], Transport::Tcp, &[0, 6, 0, 11, 0, 2, 0, 100][..]),
        (&both, Transport::Tcp, &[0, 6, 0, 11, 0, 2, 0, 100]),
        (&[0, 11, 0, 2, 0, 7], Transport::Tls, &[0, 6, 0, 11, 0, 2, 1, 44]),
        (&empty, Transport::Udp, &[0, 0]),
        (&empty, Transport::Https, &[0, 0]),
        (&other, Transport::Tcp, &[0, 0]),
    ] {
        let answer = answer(&zones, &replica(), &with(option), transport).unwrap();
        assert!(answer.ends_with(wanted), "{option:?} {transport:?}: {answer:?}");
        hickory_proto::op::Message::from_vec(&answer).unwrap();
    }
}

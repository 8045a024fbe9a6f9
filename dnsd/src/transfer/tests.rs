use super::{
    messages::{Head, MESSAGE, Stopped},
    tsig::Signature,
    *,
};
use crate::{
    decide::{Decision, Plan, plan},
    fixture::{CONFIG, config, query, replica},
    wire::{self, to_wire},
};
use hickory_proto::op;
use std::collections::BTreeSet;

const MAY: Rights = Rights { denied: false, recursion: false, transfer: true };

fn wire_name(name: &str) -> Box<[u8]> {
    to_wire(&name.parse().unwrap())
}

/// As a client that has this serial.
pub(crate) fn ixfr(zone: &str, serial: u32) -> Vec<u8> {
    let mut bytes = query(&format!("{zone} IXFR"));
    bytes[9] = 1;
    bytes.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
    bytes.extend_from_slice(&serial.to_be_bytes());
    bytes.extend_from_slice(&[0; 16]);
    bytes
}

/// In a word or two what a query comes to.
fn come_to(zones: &Zones, query: &[u8], rights: Rights) -> String {
    let message = wire::read(query).unwrap();
    let question = message.question.as_ref().unwrap();
    match asked(zones, &message, question, rights) {
        None => "no transfer".into(),
        Some(Asked::Refused(rcode)) => rcode.as_str().into(),
        Some(Asked::Current(soa)) => format!("soa {}", serials::serial_of(soa)),
        Some(Asked::Whole(zone, _)) => format!("whole {}", crate::explain::name_text(&zone.apex)),
    }
}

#[test]
fn who_may_have_what() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let none = Rights::default();
    let mut without_soa = query("cluster.local. IXFR");
    without_soa[9] = 0;
    let table = [
        ("another type", query("cluster.local. SOA"), MAY, "no transfer"),
        ("AXFR", query("cluster.local. AXFR"), MAY, "whole cluster.local."),
        ("AXFR in capitals", query("Cluster.LOCAL. AXFR"), MAY, "whole cluster.local."),
        ("AXFR without right", query("cluster.local. AXFR"), none, "refused"),
        (
            "AXFR of a listed reverse zone",
            query("16.172.in-addr.arpa. AXFR"),
            MAY,
            "whole 16.172.in-addr.arpa.",
        ),
        ("AXFR of an automatic one", query("8.9.10.in-addr.arpa. AXFR"), MAY, "whole 8.9.10.in-addr.arpa."),
        ("AXFR of a name in a zone", query("nid0001.cluster.local. AXFR"), MAY, "notauth"),
        ("AXFR of somebody else's zone", query("example.com. AXFR"), MAY, "notauth"),
        ("the same without right", query("example.com. AXFR"), none, "refused"),
        ("IXFR of who is behind", ixfr("cluster.local.", 999), MAY, "whole cluster.local."),
        ("IXFR of who has it", ixfr("cluster.local.", 1000), MAY, "soa 1000"),
        ("IXFR of who is ahead", ixfr("cluster.local.", 1001), MAY, "soa 1000"),
        ("IXFR of who is far behind", ixfr("cluster.local.", 3_000_000_000), MAY, "whole cluster.local."),
        ("IXFR without a SOA", without_soa, MAY, "formerr"),
        ("IXFR without right", ixfr("cluster.local.", 999), none, "refused"),
    ];
    for (what, query, rights, wanted) in table {
        assert_eq!(come_to(&zones, &query, rights), wanted, "{what}");
    }
}

#[test]
fn half_a_zone_is_none() {
    let zones = Zones::build(&config(CONFIG), &inventory::Replica::default(), 1000);
    for zone in ["cluster.local. AXFR", "1.2.10.in-addr.arpa. AXFR"] {
        assert_eq!(come_to(&zones, &query(zone), MAY), "servfail");
    }
    assert_eq!(come_to(&zones, &query("example.com. AXFR"), MAY), "notauth");
}

#[test]
fn without_a_stream_there_is_a_soa_or_an_error() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let reply = |query: &[u8]| {
        let message = wire::read(query).unwrap();
        let Plan::Done(Decision::Reply(reply)) = plan(&zones, &message, MAY) else { panic!() };
        let mut out = Vec::new();
        wire::write(&message, wire::Transport::Udp, &reply, &mut out);
        crate::fixture::text(&out)
    };
    assert_eq!(reply(&query("cluster.local. AXFR")), "FormErr");
    for serial in [7, 1000] {
        let soa = reply(&ixfr("cluster.local.", serial));
        assert!(
            soa.starts_with("NoError aa; cluster.local. 60 SOA ") && soa.contains(" 1000 60 30 "),
            "{soa}"
        );
    }
}

/// All messages of an AXFR.
fn copy(zones: &Zones, query: &[u8]) -> Vec<Vec<u8>> {
    let message = wire::read(query).unwrap();
    let question = message.question.as_ref().unwrap();
    let Some(Asked::Whole(zone, _)) = asked(zones, &message, question, MAY) else { panic!("no zone") };
    let mut all = Vec::new();
    let head = Head::of(&message);
    let sent = messages::write(
        zones,
        zone,
        head,
        Signature::Absent,
        || 0,
        |message| {
            all.push(message);
            true
        },
    );
    assert_eq!(sent.unwrap().messages, all.len() as u64);
    all
}

/// Its records, as hickory reads them: first, last, and those between in order.
fn records(messages: &[Vec<u8>]) -> (String, String, Vec<String>) {
    let mut all = Vec::new();
    for message in messages {
        let message = op::Message::from_vec(message).unwrap();
        assert!(message.metadata.authoritative && message.authorities.is_empty());
        all.extend(message.answers.iter().map(ToString::to_string));
    }
    let (first, last) = (all.remove(0), all.pop().unwrap());
    all.sort();
    (first, last, all)
}

#[test]
fn a_zone_is_soa_everything_soa() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let messages = copy(&zones, &query("cluster.local. AXFR"));
    let (first, last, all) = records(&messages);
    assert_eq!(
        first,
        "cluster.local. 60 IN SOA ns.cluster.local. hostmaster.cluster.local. 1000 60 30 604800 5"
    );
    assert_eq!(last, first);
    let wanted = [
        "_ntp._udp.cluster.local. 60 IN SRV 0 5 123 smd.cluster.local.",
        "child.cluster.local. 60 IN NS ns.child.cluster.local.",
        "cluster.local. 60 IN NS ns.cluster.local.",
        "deep.est.of.all.cluster.local. 60 IN A 172.16.0.250",
        "gone.cluster.local. 60 IN CNAME nid0099.cluster.local.",
        "loop1.cluster.local. 60 IN CNAME loop2.cluster.local.",
        "loop2.cluster.local. 60 IN CNAME loop1.cluster.local.",
        "mail.cluster.local. 60 IN MX 10 smd.cluster.local.",
        "nid0001.cluster.local. 60 IN A 172.16.0.1",
        "nid0001.cluster.local. 60 IN TXT hello",
        "nid0002.cluster.local. 60 IN A 10.9.8.7",
        "nid0002.cluster.local. 60 IN A 172.16.0.2",
        "nid0002.cluster.local. 60 IN AAAA fd00:16::2",
        "ns.child.cluster.local. 60 IN A 172.16.0.251",
        "out.cluster.local. 60 IN CNAME www.example.com.",
        "six.cluster.local. 60 IN CNAME nid0002.cluster.local.",
        "smd.cluster.local. 60 IN A 172.16.0.253",
        "smd.cluster.local. 60 IN AAAA fd00:16::253",
        "text.cluster.local. 60 IN TXT one twothree",
        "www.cluster.local. 300 IN CNAME nid0001.cluster.local.",
        "x1000c0s1b0n0.cluster.local. 60 IN A 172.16.0.1",
        "x1000c0s2b0n0.cluster.local. 60 IN A 10.9.8.7",
        "x1000c0s2b0n0.cluster.local. 60 IN A 172.16.0.2",
        "x1000c0s2b0n0.cluster.local. 60 IN AAAA fd00:16::2",
    ];
    assert_eq!(all, wanted);
}

#[test]
fn a_reverse_zone_has_its_pointers_and_a_zone_below_is_a_delegation() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let (_, _, all) = records(&copy(&zones, &query("8.9.10.in-addr.arpa. AXFR")));
    let pointer = "7.8.9.10.in-addr.arpa. 60 IN PTR nid0002.cluster.local.";
    assert_eq!(all, [pointer, "8.9.10.in-addr.arpa. 60 IN NS ns.cluster.local."]);

    let text = "domain: cluster.local\nzones: [{name: cluster.local}, {name: deep.cluster.local}]\n";
    let zones = Zones::build(&config(text), &replica(), 1000);
    let (_, _, all) = records(&copy(&zones, &query("cluster.local. AXFR")));
    assert!(all.contains(&"deep.cluster.local. 60 IN NS ns.cluster.local.".to_owned()), "{all:?}");
}

#[test]
fn who_asks_in_capitals_gets_the_names_as_they_are() {
    let zones = Zones::build(&config(CONFIG), &replica(), 1000);
    let messages = copy(&zones, &query("cLuster.locAL. AXFR"));
    assert_eq!(messages[0][12..20], *b"\x07cLuster");
    assert_eq!(records(&messages), records(&copy(&zones, &query("cluster.local. AXFR"))));
}

/// A zone with so many addresses, two a name.
fn big(count: u32) -> Zones {
    let lines: Vec<String> = (0..count)
        .map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            format!("    - \"host{} A 10.{a}.{b}.{c}\"\n", number / 2)
        })
        .collect();
    Zones::build(
        &config(&format!("domain: cluster.local\ndnsd:\n  records:\n{}", lines.concat())),
        &replica(),
        1000,
    )
}

#[test]
fn a_big_zone_comes_in_several_bounded_messages() {
    let zones = big(5000);
    for edns in [false, true] {
        let mut asked = query("cluster.local. AXFR");
        if edns {
            asked.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
            asked[11] = 1;
        }
        let messages = copy(&zones, &asked);
        assert!(messages.len() > 4, "{}", messages.len());
        for message in &messages {
            assert!(message.len() <= MESSAGE);
            assert_eq!(message[..12][..2], asked[..2], "the id");
            assert_eq!(message[11], u8::from(edns));
        }
        assert!(messages[..messages.len() - 1].iter().all(|message| message.len() > MESSAGE - 100), "full");
        let (_, _, all) = records(&messages);
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all.iter().filter(|record| record.starts_with("host")).count(), 5000);
    }
}

#[test]
fn nothing_is_written_that_nobody_takes() {
    let zones = big(5000);
    let asked = query("cluster.local. AXFR");
    let message = wire::read(&asked).unwrap();
    let mut count = 0;
    let sent = messages::write(
        &zones,
        zones.zone(&wire_name("cluster.local")).unwrap(),
        Head::of(&message),
        Signature::Absent,
        || 0,
        |_| {
            count += 1;
            count < 2
        },
    );
    assert_eq!((sent, count), (Err(Stopped::Gone), 2));
}
